//! People in closed form, whose contacts, flights and repetitions are known, and tests with them.

use std::f64::consts::{PI, TAU};

use super::events::{Event, EventKind, Side};
use super::swaps;
use super::track::{Track, TrackFrame};
use super::{Cycle, CycleKind, DetectConfig, FloorAngle, Gait, GaitMethod, Movement};
use crate::metrics::JOINT_ANGLE_COUNT;
use crate::metrics::filter::{FilterConfig, PathFilter};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::random::SplitMix64;

/// Thigh and shank.
const LEG_PX: f64 = 300.0;
const LEG_M: f64 = 0.85;
const FOOT_PX: f64 = 70.0;
const FLOOR_PX: f64 = 900.0;
/// A frame at 60 pictures a second.
const FRAME_SECS: f64 = 1.0 / 60.0;

/// A leg at a time: how far the heel is ahead of the hips, and heel and toes above the floor; pixels.
struct Leg {
    heel_ahead: f64,
    up: f64,
    toes_up: f64,
    knee_deg: f64,
}

struct Body {
    hips_right: f64,
    hips_up: f64,
    legs: [Leg; 2],
    /// 1, or less in views from the front.
    across: f64,
}

fn track(rate_hz: f64, secs: f64, body: impl Fn(f64) -> Body) -> Track {
    let count = (secs * rate_hz) as usize;
    let frames = (0..count).map(|i| {
        let time_secs = i as f64 / rate_hz;
        frame(i as u32, time_secs, &body(time_secs))
    });
    Track {
        frames: frames.collect(),
    }
}

fn frame(frame: u32, time_secs: f64, body: &Body) -> TrackFrame {
    let mut points_px = [None; LANDMARK_COUNT];
    let mut joint_angles_deg = [None; JOINT_ANGLE_COUNT];
    let hips = [body.hips_right, FLOOR_PX - body.hips_up];
    for (side, leg) in Side::ALL.into_iter().zip(&body.legs) {
        let mut put =
            |landmark: Landmark, point: [f64; 2]| points_px[landmark.index()] = Some(point);
        let heel = [hips[0] + body.across * leg.heel_ahead, FLOOR_PX - leg.up];
        put(side.hip(), hips);
        put(side.heel(), heel);
        put(
            side.toes(),
            [heel[0] + body.across * FOOT_PX, FLOOR_PX - leg.toes_up],
        );
        put(side.ankle(), [heel[0] + 10.0, heel[1] - 20.0]);
        let middle = |axis: usize| (hips[axis] + heel[axis]) / 2.0;
        put(side.knee(), [middle(0), middle(1)]);
        joint_angles_deg[side as usize] = Some(leg.knee_deg);
    }
    TrackFrame {
        frame,
        time_secs,
        measured_feet_px: feet(&points_px),
        points_px,
        interpolated: 0,
        joint_angles_deg,
    }
}

/// Heel and toes by side.
fn feet(points_px: &[Option<[f64; 2]>; LANDMARK_COUNT]) -> [[Option<[f64; 2]>; 2]; 2] {
    Side::ALL.map(|side| [side.heel(), side.toes()].map(|landmark| points_px[landmark.index()]))
}

/// Somebody who walks to the right.
#[derive(Clone, Copy)]
struct Walker {
    stride_secs: f64,
    stance_part: f64,
    /// Of the picture; 0 on a treadmill, else the hips' own.
    is_over_ground: bool,
    across: f64,
}

const WALKER: Walker = Walker {
    stride_secs: 1.1,
    stance_part: 0.62,
    is_over_ground: false,
    across: 1.0,
};
/// The heel's way before and behind the hips.
const STEP_PX: f64 = 110.0;
/// The left foot's first contact.
const FIRST_CONTACT_SECS: f64 = 0.37;

impl Walker {
    fn phase_secs(&self, time: f64, side: Side) -> f64 {
        let late = if side == Side::Left {
            0.0
        } else {
            self.stride_secs / 2.0
        };
        (time - FIRST_CONTACT_SECS - late).rem_euclid(self.stride_secs)
    }

    fn speed_px(&self) -> f64 {
        2.0 * STEP_PX / (self.stance_part * self.stride_secs)
    }

    fn leg(&self, time: f64, side: Side) -> Leg {
        let phase = self.phase_secs(time, side);
        let stance = self.stance_part * self.stride_secs;
        let heel_ahead = match phase < stance {
            true => STEP_PX - self.speed_px() * phase,
            false => {
                let part = (phase - stance) / (self.stride_secs - stance);
                -STEP_PX * (PI * part).cos()
            }
        };
        // Up with the greatest velocity at toe-off; the heel comes down before the toes, so that their
        // middle is fastest at contact.
        let rise = smooth_step((phase - stance + 0.12) / 0.24);
        let before = if phase < self.stride_secs / 2.0 {
            phase
        } else {
            phase - self.stride_secs
        };
        let up = |early_secs: f64| {
            let down = smooth_step((before + early_secs + 0.12) / 0.24);
            let high = if phase < self.stride_secs / 2.0 {
                1.0
            } else {
                rise
            };
            50.0 * (high - down)
        };
        Leg {
            heel_ahead,
            up: up(0.06),
            toes_up: up(-0.06),
            knee_deg: 150.0,
        }
    }

    fn body(&self, time: f64) -> Body {
        let legs = Side::ALL.map(|side| self.leg(time, side));
        let apart = (legs[0].heel_ahead - legs[1].heel_ahead).abs();
        Body {
            hips_right: 500.0
                + if self.is_over_ground {
                    self.speed_px() * time
                } else {
                    0.0
                },
            hips_up: LEG_PX - 0.05 * apart,
            legs,
            across: self.across,
        }
    }

    fn track(&self, rate_hz: f64, secs: f64) -> Track {
        track(rate_hz, secs, |time| self.body(time))
    }

    /// Times of contacts and toe-offs.
    fn truth(&self, secs: f64) -> Vec<(EventKind, Side, f64)> {
        let mut truth = Vec::new();
        for side in Side::ALL {
            let late = if side == Side::Left {
                0.0
            } else {
                self.stride_secs / 2.0
            };
            let mut contact = FIRST_CONTACT_SECS + late - self.stride_secs;
            while contact < secs {
                truth.push((EventKind::InitialContact, side, contact));
                let toe_off = contact + self.stance_part * self.stride_secs;
                truth.push((EventKind::ToeOff, side, toe_off));
                contact += self.stride_secs;
            }
        }
        truth
    }
}

/// 0 to 1 with the greatest slope in the middle.
fn smooth_step(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part - (TAU * part).sin() / TAU
}

/// Somebody who runs: bounces between constant forces.
fn runner(rate_hz: f64, secs: f64) -> (Track, Vec<(EventKind, Side, f64)>) {
    runner_across(rate_hz, secs, 1.0)
}

/// The same in a view that shows so much of what lies across the picture.
fn runner_across(rate_hz: f64, secs: f64, across: f64) -> (Track, Vec<(EventKind, Side, f64)>) {
    const STRIDE_SECS: f64 = 0.7;
    const STANCE_SECS: f64 = 0.2;
    const FLIGHT_SECS: f64 = STRIDE_SECS / 2.0 - STANCE_SECS;
    let gravity_px = 9.80665 * LEG_PX / LEG_M;
    let body = |time: f64| {
        let step = (time - FIRST_CONTACT_SECS).rem_euclid(STRIDE_SECS / 2.0);
        let fall_px = gravity_px * FLIGHT_SECS / 2.0;
        let up = match step < STANCE_SECS {
            true => -fall_px * step + fall_px / STANCE_SECS * step * step,
            false => {
                let air = step - STANCE_SECS;
                fall_px * air - gravity_px * air * air / 2.0
            }
        };
        let legs = Side::ALL.map(|side| {
            let late = if side == Side::Left {
                0.0
            } else {
                STRIDE_SECS / 2.0
            };
            let phase = (time - FIRST_CONTACT_SECS - late).rem_euclid(STRIDE_SECS);
            let knots = [
                (0.0, 160.0),
                (0.1, 140.0),
                (STANCE_SECS, 165.0),
                (0.45, 70.0),
                (STRIDE_SECS, 160.0),
            ];
            let knee_deg = knots
                .windows(2)
                .find(|pair| phase <= pair[1].0)
                .map(|pair| {
                    let part = (phase - pair[0].0) / (pair[1].0 - pair[0].0);
                    pair[0].1 + (pair[1].1 - pair[0].1) * (1.0 - (PI * part).cos()) / 2.0
                })
                .expect("a phase below the stride's end");
            let swing = ((phase - STANCE_SECS) / (STRIDE_SECS - STANCE_SECS)).clamp(0.0, 1.0);
            Leg {
                heel_ahead: match phase < STANCE_SECS {
                    true => STEP_PX * (1.0 - 2.0 * phase / STANCE_SECS),
                    false => -STEP_PX * (PI * swing).cos(),
                },
                up: 120.0 * (PI * swing).sin(),
                toes_up: 120.0 * (PI * swing).sin(),
                knee_deg,
            }
        });
        Body {
            hips_right: 500.0,
            hips_up: LEG_PX + up,
            legs,
            across,
        }
    };
    let mut truth = Vec::new();
    for i in 0..(2.0 * secs / STRIDE_SECS) as usize {
        let contact = FIRST_CONTACT_SECS + STRIDE_SECS / 2.0 * i as f64;
        let side = Side::ALL[i % 2];
        truth.push((EventKind::InitialContact, side, contact));
        truth.push((EventKind::ToeOff, side, contact + STANCE_SECS));
    }
    (track(rate_hz, secs, body), truth)
}

/// Both feet side by side, so many pixels above the ground.
fn upright(up: f64, across: f64) -> Body {
    let leg = || Leg {
        heel_ahead: 0.0,
        up,
        toes_up: up,
        knee_deg: 170.0,
    };
    Body {
        hips_right: 500.0,
        hips_up: LEG_PX + up,
        legs: [leg(), leg()],
        across,
    }
}

/// Jumps of this flight time, one every two seconds from the first second on.
fn jumper(rate_hz: f64, secs: f64, flight_secs: f64) -> Track {
    let gravity_px = 9.80665 * LEG_PX / LEG_M;
    track(rate_hz, secs, |time| {
        let air = (time - 1.0).rem_euclid(2.0);
        let up = match air < flight_secs && time >= 1.0 {
            true => gravity_px / 2.0 * air * (flight_secs - air),
            false => 0.0,
        };
        upright(up, 1.0)
    })
}

/// Squats of 90 degrees: `down_secs` down, held, as long up, then a pause of a second.
fn squatter(rate_hz: f64, count: usize, down_secs: f64, hold_secs: f64) -> Track {
    let period = 2.0 * down_secs + hold_secs + 1.0;
    track(rate_hz, 1.0 + period * count as f64, |time| {
        let phase = (time - 1.0).rem_euclid(period);
        let bent = match phase {
            _ if time < 1.0 => 0.0,
            phase if phase < down_secs => (1.0 - (PI * phase / down_secs).cos()) / 2.0,
            phase if phase < down_secs + hold_secs => 1.0,
            phase if phase < period - 1.0 => {
                (1.0 + (PI * (phase - down_secs - hold_secs) / down_secs).cos()) / 2.0
            }
            _ => 0.0,
        };
        let leg = || Leg {
            heel_ahead: 0.0,
            up: 0.0,
            toes_up: 0.0,
            knee_deg: 175.0 - 90.0 * bent,
        };
        Body {
            hips_right: 500.0,
            hips_up: LEG_PX * (1.0 - 0.3 * bent),
            legs: [leg(), leg()],
            across: 1.0,
        }
    })
}

/// A number that is normally distributed around 0 with deviation 1 (Box and Muller).
fn normal(random: &mut SplitMix64) -> f64 {
    let (a, b) = (random.next_fraction(), random.next_fraction());
    (-2.0 * (1.0 - a).ln()).sqrt() * (TAU * b).cos()
}

fn with_noise(mut track: Track, deviation_px: f64, deviation_deg: f64) -> Track {
    let mut random = SplitMix64::new(7);
    for frame in &mut track.frames {
        for coordinate in frame.points_px.iter_mut().flatten().flatten() {
            *coordinate += deviation_px * normal(&mut random);
        }
        frame.measured_feet_px = feet(&frame.points_px);
        for angle in frame.joint_angles_deg.iter_mut().flatten() {
            *angle += deviation_deg * normal(&mut random);
        }
    }
    track
}

/// Low-pass filtered like the lake's rows; gaps of up to ten frames are filled.
fn filtered(mut track: Track) -> Track {
    let times = track.times_secs();
    let config = FilterConfig {
        cutoff_hz: 6.0,
        max_gap_frames: 10,
    };
    let filter = PathFilter::new(config, &times).expect("a rate above the cut-off");
    let filter = filter.over(0..times.len());
    let smooth = |values: &mut Vec<Option<f64>>| {
        let seen: Vec<bool> = values.iter().map(Option::is_some).collect();
        let mut known: Vec<f64> = values.iter().map(|v| v.unwrap_or_default()).collect();
        for piece in filter.pieces(&seen, &[]) {
            filter.apply(piece.clone(), &seen, &mut known);
            for i in piece {
                values[i] = Some(known[i]);
            }
        }
    };
    for angle in 0..JOINT_ANGLE_COUNT {
        let mut values: Vec<Option<f64>> = track
            .frames
            .iter()
            .map(|frame| frame.joint_angles_deg[angle])
            .collect();
        smooth(&mut values);
        for (frame, value) in track.frames.iter_mut().zip(values) {
            frame.joint_angles_deg[angle] = value;
        }
    }
    let mut coordinates: Vec<Vec<Option<f64>>> = (0..LANDMARK_COUNT * 2)
        .map(|column| {
            let of = |frame: &TrackFrame| Some(frame.points_px[column / 2]?[column % 2]);
            track.frames.iter().map(of).collect()
        })
        .collect();
    coordinates.iter_mut().for_each(smooth);
    for (i, frame) in track.frames.iter_mut().enumerate() {
        for (landmark, point) in frame.points_px.iter_mut().enumerate() {
            let [x, y] = [0, 1].map(|axis| coordinates[2 * landmark + axis][i]);
            *point = x.zip(y).map(|(x, y)| [x, y]);
        }
    }
    track
}

/// What detection made of known moments.
#[derive(Debug, Default)]
struct Score {
    found: usize,
    missed: usize,
    invented: usize,
    worst_secs: f64,
}

/// Compares events with the truth between two times; those farther off than 0.15 s do not count.
fn score(events: &[Event], truth: &[(EventKind, Side, f64)], from: f64, to: f64) -> Score {
    let is_within = |time: f64| (from..=to).contains(&time);
    let mut score = Score::default();
    let mut used = vec![false; events.len()];
    for (kind, side, time) in truth.iter().filter(|(_, _, time)| is_within(*time)) {
        let matching = events
            .iter()
            .enumerate()
            .filter(|(i, event)| !used[*i] && event.kind == *kind && event.side == Some(*side));
        let off = |event: &Event| (event.time_secs - time).abs();
        match matching.min_by(|(_, a), (_, b)| off(a).total_cmp(&off(b))) {
            Some((i, event)) if off(event) < 0.15 => {
                used[i] = true;
                score.found += 1;
                score.worst_secs = score.worst_secs.max(off(event));
            }
            _ => score.missed += 1,
        }
    }
    let is_extra = |(i, event): &(usize, &Event)| !used[*i] && is_within(event.time_secs);
    // What lies at the very border may belong to a moment beyond it.
    let is_inner =
        |(_, event): &(usize, &Event)| (from + 0.15..=to - 0.15).contains(&event.time_secs);
    score.invented = events
        .iter()
        .enumerate()
        .filter(is_extra)
        .filter(is_inner)
        .count();
    score
}

fn assert_right(score: &Score, what: &str) {
    assert!(score.found > 4, "{what}: {score:?}");
    assert_eq!((score.missed, score.invented), (0, 0), "{what}: {score:?}");
    assert!(score.worst_secs <= FRAME_SECS, "{what}: {score:?}");
}

fn with_method(method: GaitMethod) -> DetectConfig {
    DetectConfig {
        gait_method: Some(method),
        ..DetectConfig::default()
    }
}

/// What is found in a single track.
fn detect(track: &Track, config: &DetectConfig) -> Movement {
    let found = super::detect(std::slice::from_ref(track), config);
    found.into_iter().next().expect("as many as tracks")
}

#[test]
fn a_thousand_strides_are_found_and_none_is_invented() {
    let secs = 1_000.0 * WALKER.stride_secs;
    let movement = detect(
        &filtered(WALKER.track(60.0, secs)),
        &DetectConfig::default(),
    );
    let score = score(&movement.events, &WALKER.truth(secs), 1.0, secs - 1.0);
    assert_right(&score, "1000 strides");
    assert!(score.found > 3_990, "{score:?}");
    assert!(movement.events.iter().all(|event| event.method == "zeni"));
    let strides = movement
        .cycles
        .iter()
        .filter(|cycle| cycle.kind == CycleKind::Walk);
    let strides: Vec<_> = strides.collect();
    assert!(
        (1_994..=1_998).contains(&strides.len()),
        "{}",
        strides.len()
    );
    for stride in &strides[2..strides.len() - 2] {
        assert!((stride.duration_secs() - 1.1).abs() < FRAME_SECS);
        assert!((stride.stance_secs.expect("a stance") - 0.62 * 1.1).abs() < 2.0 * FRAME_SECS);
        assert!((stride.step_secs.expect("a step") - 0.55).abs() < 2.0 * FRAME_SECS);
        let double_support = stride.double_support_secs.expect("both feet");
        assert!(
            (double_support - 0.24 * 1.1).abs() < 4.0 * FRAME_SECS,
            "{double_support}"
        );
    }
}

#[test]
fn both_methods_find_a_walkers_contacts_at_every_rate() {
    for rate_hz in [25.0, 30.0, 50.0, 60.0, 120.0, 240.0] {
        let walker = Walker {
            is_over_ground: true,
            ..WALKER
        };
        let track = filtered(walker.track(rate_hz, 20.0));
        for method in [GaitMethod::Zeni, GaitMethod::OConnor] {
            let movement = detect(&track, &with_method(method));
            let score = score(&movement.events, &walker.truth(20.0), 1.0, 19.0);
            assert_right(&score, &format!("{} at {rate_hz} Hz", method.name()));
        }
    }
}

#[test]
fn the_forward_velocity_tells_contacts_over_ground() {
    let walker = Walker {
        is_over_ground: true,
        ..WALKER
    };
    let track = filtered(walker.track(60.0, 20.0));
    let movement = detect(&track, &with_method(GaitMethod::ForwardVelocity));
    let score = score(&movement.events, &walker.truth(20.0), 1.0, 19.0);
    assert_eq!((score.missed, score.invented), (0, 0), "{score:?}");
    // A velocity's limit is crossed before the foot stands, and after it has begun to move.
    assert!(score.worst_secs <= 4.0 * FRAME_SECS, "{score:?}");
}

#[test]
fn a_runner_is_told_from_a_walker_and_has_flights() {
    for rate_hz in [30.0, 60.0, 120.0, 240.0] {
        let (track, truth) = runner(rate_hz, 30.0);
        let movement = detect(&filtered(track), &DetectConfig::default());
        let score = score(&movement.events, &truth, 1.0, 28.5);
        assert_right(&score, &format!("a runner at {rate_hz} Hz"));
        assert!(
            movement
                .cycles
                .iter()
                .all(|cycle| cycle.kind == CycleKind::Run)
        );
        for stride in movement.cycles.iter().filter(|cycle| cycle.end_secs < 28.0) {
            let flight = stride.flight_secs.expect("a flight");
            assert!((flight - 0.3).abs() < 3.0 * FRAME_SECS, "{flight}");
            assert_eq!(stride.double_support_secs, None);
        }
    }
}

#[test]
fn noise_of_a_hundredth_of_the_leg_costs_no_event() {
    let secs = 200.0 * WALKER.stride_secs;
    let noisy = with_noise(WALKER.track(60.0, secs), LEG_PX / 100.0, 2.0);
    let movement = detect(&filtered(noisy), &DetectConfig::default());
    let score = score(&movement.events, &WALKER.truth(secs), 1.0, secs - 1.0);
    assert_eq!((score.missed, score.invented), (0, 0), "{score:?}");
    assert!(score.worst_secs <= 3.0 * FRAME_SECS, "{score:?}");
}

#[test]
fn the_first_frames_of_somebody_who_was_just_found_make_no_contact() {
    // Found while the left heel goes back, in a frame in which it seems to be farther behind than it is.
    let first_secs = FIRST_CONTACT_SECS + WALKER.stride_secs + 0.1;
    let mut track = WALKER.track(30.0, 10.0);
    (track.frames).retain(|frame| frame.time_secs >= first_secs);
    let first = &mut track.frames[0];
    for landmark in [Side::Left.heel(), Side::Left.toes()] {
        let point = first.points_px[landmark.index()].as_mut();
        point.expect("a point")[0] -= 37.0;
    }
    let movement = detect(&filtered(track), &DetectConfig::default());
    let score = score(&movement.events, &WALKER.truth(10.0), first_secs + 1.0, 9.0);
    assert_eq!((score.missed, score.invented), (0, 0), "{score:?}");
    let is_early = |event: &&Event| event.time_secs < first_secs + 0.3;
    let early = movement
        .events
        .iter()
        .find(|event| is_early(event) && event.side == Some(Side::Left));
    assert_eq!(early, None);
    let shortest = movement
        .cycles
        .iter()
        .map(Cycle::duration_secs)
        .fold(9.0, f64::min);
    assert!((shortest - WALKER.stride_secs).abs() < 0.05, "{shortest}");
}

#[test]
fn short_gaps_are_bridged_and_events_in_long_ones_are_not_guessed() {
    let mut track = WALKER.track(60.0, 20.0);
    let hide = |track: &mut Track, frames: std::ops::Range<usize>| {
        for frame in &mut track.frames[frames] {
            for landmark in [Landmark::LeftHeel, Landmark::LeftFootIndex] {
                frame.points_px[landmark.index()] = None;
            }
        }
    };
    for start in (100..900).step_by(97) {
        hide(&mut track, start..start + 4);
    }
    let movement = detect(&filtered(track.clone()), &DetectConfig::default());
    let bridged = score(&movement.events, &WALKER.truth(20.0), 1.0, 19.0);
    assert_eq!((bridged.missed, bridged.invented), (0, 0), "{bridged:?}");
    assert!(bridged.worst_secs <= 3.0 * FRAME_SECS, "{bridged:?}");

    hide(&mut track, 300..600);
    let movement = detect(&filtered(track), &DetectConfig::default());
    let in_gap =
        |event: &&Event| event.side == Some(Side::Left) && (5.0..10.0).contains(&event.time_secs);
    assert_eq!(movement.events.iter().filter(in_gap).count(), 0);
    let right: Vec<_> = (WALKER.truth(20.0).into_iter())
        .filter(|(_, side, _)| *side == Side::Right)
        .collect();
    let right_events: Vec<Event> = (movement.events.into_iter())
        .filter(|event| event.side == Some(Side::Right))
        .collect();
    let others = score(&right_events, &right, 1.0, 19.0);
    assert_eq!((others.missed, others.invented), (0, 0), "{others:?}");
}

/// The points of both legs, frame by frame.
fn legs(track: &Track) -> Vec<swaps::Legs> {
    let points = |side: Side| [side.knee(), side.ankle(), side.heel(), side.toes()];
    let frames = track.frames.iter();
    frames
        .map(|frame| Side::ALL.map(|side| points(side).map(|landmark| frame.at(landmark))))
        .collect()
}

#[test]
fn legs_that_stick_while_they_pass_each_other_are_not_exchanged() {
    for rate_hz in [25.0, 30.0, 60.0, 120.0] {
        let mut legs = legs(&WALKER.track(rate_hz, 20.0));
        // Once in six seconds, while the heels are less than so many pixels apart.
        for near_px in [40.0, 80.0] {
            for i in 1..legs.len() {
                let [left, right] = [0, 1].map(|side: usize| legs[i][side][2].expect("a heel")[0]);
                if (left - right).abs() < near_px && (i as f64 / rate_hz) % 6.0 < 0.6 {
                    legs[i] = legs[i - 1];
                }
            }
            let found = swaps::exchanged(&legs, LEG_PX, 1.0 / rate_hz);
            let count = found.iter().filter(|exchanged| **exchanged).count();
            assert_eq!(count, 0, "{near_px} px at {rate_hz} Hz");
        }
    }
}

#[test]
fn exchanged_legs_are_put_right() {
    for (rate_hz, deviation_px) in [(30.0, 0.0), (60.0, 3.0), (240.0, 3.0)] {
        let track = with_noise(WALKER.track(rate_hz, 20.0), deviation_px, 0.0);
        let mut legs = legs(&track);
        let right = legs.clone();
        let mut expected = vec![false; legs.len()];
        // Where the feet are apart: an exchange of two feet at one place is none.
        for (i, frame) in right.iter().enumerate() {
            let time = i as f64 / rate_hz;
            let is_apart =
                (frame[0][2].expect("a heel")[0] - frame[1][2].expect("a heel")[0]).abs() > 60.0;
            expected[i] = is_apart && (time % 3.1) < 0.4 && time > 1.0;
            if expected[i] {
                legs[i].swap(0, 1);
            }
        }
        let found = swaps::exchanged(&legs, LEG_PX, 1.0 / rate_hz);
        let mut wrong = 0;
        for i in 0..legs.len() {
            if found[i] {
                legs[i].swap(0, 1);
            }
            let off = |leg: usize, point: usize| {
                let (a, b) = (
                    legs[i][leg][point].expect("a point"),
                    right[i][leg][point].expect("a point"),
                );
                (a[0] - b[0]).hypot(a[1] - b[1])
            };
            wrong += usize::from(off(0, 2) > 30.0);
        }
        assert!(expected.iter().any(|exchanged| *exchanged));
        assert_eq!(wrong, 0, "at {rate_hz} Hz");
    }
}

#[test]
fn a_front_view_and_somebody_who_stands_have_no_steps() {
    let front = Walker {
        across: 0.1,
        ..WALKER
    };
    let movement = detect(&filtered(front.track(60.0, 20.0)), &DetectConfig::default());
    assert!(movement.events.is_empty(), "{movement:?}");
    let standing = track(60.0, 20.0, |_| {
        let leg = || Leg {
            heel_ahead: 0.0,
            up: 0.0,
            toes_up: 0.0,
            knee_deg: 175.0,
        };
        Body {
            hips_right: 500.0,
            hips_up: LEG_PX,
            legs: [leg(), leg()],
            across: 1.0,
        }
    });
    let standing = filtered(with_noise(standing, LEG_PX / 100.0, 3.0));
    let movement = detect(&standing, &DetectConfig::default());
    assert!(
        movement.events.is_empty() && movement.cycles.is_empty(),
        "{movement:?}"
    );
}

#[test]
fn strides_have_a_length_over_ground_and_none_on_a_treadmill() {
    let config = scaled();
    let over_ground = Walker {
        is_over_ground: true,
        ..WALKER
    };
    let movement = detect(&filtered(over_ground.track(60.0, 20.0)), &config);
    let expected_m = over_ground.speed_px() * 1.1 * LEG_M / LEG_PX;
    assert!(!movement.cycles.is_empty());
    for stride in &movement.cycles {
        let length = stride.stride_length_m.expect("a length");
        assert!(
            (length - expected_m).abs() < 0.03 * expected_m,
            "{length} {expected_m}"
        );
        let speed = stride.speed_m_per_sec.expect("a speed");
        assert!((speed - expected_m / 1.1).abs() < 0.02 * speed, "{speed}");
    }
    let movement = detect(&filtered(WALKER.track(60.0, 20.0)), &config);
    assert!(!movement.cycles.is_empty());
    assert!(
        movement
            .cycles
            .iter()
            .all(|stride| stride.stride_length_m.is_none())
    );
}

/// The walker over ground as a camera sees them who go away by this part of the first distance in each second:
/// everything about them shrinks, their way too, and feet on the ground stay where they are.
fn walker_who_goes_away(secs: f64, away_per_sec: f64) -> Track {
    let over_ground = Walker {
        is_over_ground: true,
        ..WALKER
    };
    let mut track = over_ground.track(60.0, secs);
    let speed_px = over_ground.speed_px();
    for frame in &mut track.frames {
        let time = frame.time_secs;
        let scale = 1.0 / (1.0 + away_per_sec * time);
        let way_px = match away_per_sec > 0.0 {
            true => speed_px * (away_per_sec * time).ln_1p() / away_per_sec,
            false => speed_px * time,
        };
        let hips_px = 500.0 + speed_px * time;
        let feet = frame.measured_feet_px.as_flattened_mut().iter_mut();
        for [x, y] in frame.points_px.iter_mut().chain(feet).flatten() {
            *x = 500.0 + way_px + scale * (*x - hips_px);
            *y = FLOOR_PX + scale * (*y - FLOOR_PX);
        }
    }
    track
}

#[test]
fn strides_of_somebody_who_goes_away_have_no_length() {
    let lengths = |away_per_sec: f64| -> (Vec<Option<f64>>, usize) {
        let track = filtered(walker_who_goes_away(12.0, away_per_sec));
        let movement = detect(&track, &scaled());
        let lengths = movement.cycles.iter().map(|stride| {
            assert_eq!(
                stride.stride_length_m.is_some(),
                stride.speed_m_per_sec.is_some()
            );
            stride.stride_length_m
        });
        (lengths.collect(), movement.strides_out_of_scale)
    };
    let (across, none) = lengths(0.0);
    assert!(across.len() > 15 && across.iter().all(Option::is_some) && none == 0);
    // 15 % in a stride: nobody knows how far they go.
    let (away, count) = lengths(0.14);
    assert!(away.len() > 15, "{away:?}");
    assert_eq!(count, away.iter().filter(|length| length.is_none()).count());
    assert!(count > away.len() / 2, "{away:?}");
    // Slowly away: those at the usual distance have a length, the others have none.
    let (slowly, count) = lengths(0.04);
    assert!((1..slowly.len()).contains(&count), "{slowly:?}");
    let first = slowly.first().expect("a stride");
    assert!(
        first.is_none() && slowly[slowly.len() / 2].is_some(),
        "{slowly:?}"
    );
}

#[test]
fn a_floor_that_slopes_in_the_picture_is_found_and_levelled() {
    let walker = Walker {
        is_over_ground: true,
        ..WALKER
    };
    let mut track = walker.track(60.0, 10.0);
    let (sin, cos) = 5.0_f64.to_radians().sin_cos();
    for point in track
        .frames
        .iter_mut()
        .flat_map(|frame| frame.points_px.iter_mut().flatten())
    {
        let [x, y] = *point;
        // Anticlockwise as seen: to the right is up.
        *point = [cos * x + sin * y, cos * y - sin * x];
    }
    let movement = detect(&filtered(track.clone()), &DetectConfig::default());
    let found = movement.floor_angle_deg.expect("a floor");
    assert!((found - 5.0).abs() < 0.2, "{found}");
    assert_right(
        &score(&movement.events, &walker.truth(10.0), 1.0, 9.0),
        "a sloping floor",
    );
    let given = DetectConfig {
        floor: FloorAngle::Degrees(5.0),
        ..DetectConfig::default()
    };
    assert_eq!(detect(&filtered(track), &given).floor_angle_deg, Some(5.0));
}

#[test]
fn flight_times_of_jumps_are_right_within_a_frame() {
    for rate_hz in [25.0, 30.0, 60.0, 120.0, 240.0] {
        for flight_secs in [0.3, 0.45, 0.6] {
            let track = filtered(jumper(rate_hz, 20.9, flight_secs));
            let movement = detect(&track, &scaled());
            let jumps: Vec<_> = (movement.cycles.iter())
                .filter(|cycle| cycle.kind == CycleKind::Jump)
                .collect();
            assert_eq!(jumps.len(), 10, "{rate_hz} Hz, {flight_secs} s");
            for (i, jump) in jumps.iter().enumerate() {
                let take_off = 1.0 + 2.0 * i as f64;
                let offs = [
                    jump.start_secs - take_off,
                    jump.end_secs - take_off - flight_secs,
                ];
                let worst = offs[0].abs().max(offs[1].abs());
                assert!(
                    worst <= FRAME_SECS,
                    "{rate_hz} Hz, {flight_secs} s: {offs:?}"
                );
                let height_m = 9.80665 * flight_secs * flight_secs / 8.0;
                let by_hips = jump.height_hips_m.expect("a scale");
                assert!((by_hips - height_m).abs() < 0.04, "{by_hips} {height_m}");
                assert!((jump.confidence.expect("a confidence") - 1.0).abs() < 1e-9);
            }
        }
    }
}

/// Five jumps of somebody who bends the knees before and behind, and whose feet are drawn up by `tuck_px` in the
/// air. The hips have no corner in their way: they are pushed up while the feet stand, fly, and are caught.
/// Each take-off lies elsewhere between two frames.
fn springy_jumper(rate_hz: f64, flight_secs: f64, tuck_px: f64) -> Track {
    /// From the greatest depth to the take-off, about.
    const PUSH_SECS: f64 = 0.3;
    const JUMPS: f64 = 5.0;
    let period_secs = 2.0 + 0.37 / rate_hz;
    let gravity_px = 9.80665 * LEG_PX / LEG_M;
    let speed_px = gravity_px * flight_secs / 2.0;
    // So long before the take-off, or after the landing: on the ground with that speed, and at rest.
    let knees = |secs: f64| {
        let part = (secs / PUSH_SECS).min(1.0);
        -speed_px * secs * (1.0 - part).powi(2)
    };
    track(rate_hz, (JUMPS + 1.0) * period_secs, |time| {
        let air = (time + period_secs / 2.0).rem_euclid(period_secs) - period_secs / 2.0;
        let jump = ((time - air) / period_secs).round();
        let (hips_up, feet_up) = match () {
            () if !(1.0..=JUMPS).contains(&jump) => (0.0, 0.0),
            () if air < 0.0 => (knees(-air), 0.0),
            () if air > flight_secs => (knees(air - flight_secs), 0.0),
            () => {
                let body = gravity_px / 2.0 * air * (flight_secs - air);
                let tuck = tuck_px * (PI * air / flight_secs).sin().powi(2);
                (body, body + tuck)
            }
        };
        Body {
            hips_up: LEG_PX + hips_up,
            ..upright(feet_up, 1.0)
        }
    })
}

/// How far the flight times of the five jumps are off, in seconds, with their stated uncertainties.
fn flight_errors(track: Track, flight_secs: f64, what: &str) -> Vec<(f64, f64)> {
    let movement = detect(&filtered(track), &DetectConfig::default());
    let jumps = (movement.cycles.iter()).filter(|cycle| cycle.kind == CycleKind::Jump);
    let errors: Vec<(f64, f64)> = jumps
        .map(|jump| {
            let off = jump.duration_secs() - flight_secs;
            let uncertain_secs = jump.flight_error_secs.expect("an uncertainty");
            let is_told = uncertain_secs < jump.duration_secs() / 2.0;
            assert_eq!(
                jump.flight_secs.is_some(),
                is_told,
                "{what}: {uncertain_secs}"
            );
            (off.abs(), uncertain_secs)
        })
        .collect();
    assert_eq!(errors.len(), 5, "{what}: {movement:?}");
    errors
}

#[test]
fn flight_times_are_right_between_frames() {
    for rate_hz in [25.0, 30.0, 60.0, 120.0, 240.0] {
        for flight_secs in [0.25, 0.3, 0.4, 0.55] {
            // 5 ms of 0.25 s are 4 % of the height, 15 ms 12 %; a frame at 25 Hz would be 35 %.
            for (tuck_px, most_secs) in [(0.0, 0.005), (0.1 * LEG_PX, 0.015)] {
                let what = format!("{rate_hz} Hz, {flight_secs} s, {tuck_px} px");
                let track = springy_jumper(rate_hz, flight_secs, tuck_px);
                for (error, _) in flight_errors(track, flight_secs, &what) {
                    assert!(error <= most_secs, "{what}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_uncertainty_of_a_flight_time_holds_with_noise() {
    for rate_hz in [30.0, 60.0, 240.0] {
        for flight_secs in [0.25, 0.3, 0.4, 0.55] {
            let what = format!("{rate_hz} Hz, {flight_secs} s");
            let track = springy_jumper(rate_hz, flight_secs, 0.0);
            let noisy = with_noise(track, LEG_PX / 100.0, 0.0);
            let errors = flight_errors(noisy, flight_secs, &what);
            for (error, stated) in &errors {
                assert!(error <= &(2.0 * stated), "{what}: {error} {stated}");
                // A frame for each contact, and not twice as much.
                let frames = stated * rate_hz;
                assert!((1.4..2.8).contains(&frames), "{what}: {frames}");
            }
            let squares = errors.iter().map(|(error, _)| error * error);
            let rms = (squares.sum::<f64>() / errors.len() as f64).sqrt();
            assert!(rms <= 0.015, "{what}: {rms}");
        }
    }
}

#[test]
fn a_jump_of_somebody_who_was_just_found_has_no_height_that_could_be_wrong() {
    let period_secs = 2.0 + 0.37 / 30.0;
    let jumps = |found_secs_before: f64| -> Vec<Cycle> {
        let mut track = springy_jumper(30.0, 0.3, 0.0);
        (track.frames).retain(|frame| frame.time_secs >= period_secs - found_secs_before);
        let movement = detect(&filtered(track), &scaled());
        let jumps = movement.cycles.into_iter();
        let jumps: Vec<Cycle> = jumps.filter(|c| c.kind == CycleKind::Jump).collect();
        let mut events = movement.events.iter();
        let first = events.find(|event| event.kind == EventKind::TakeOff);
        let first = first.expect("a take-off");
        assert_eq!(first.value, jumps[0].flight_secs);
        assert_eq!(first.unit.is_some(), first.value.is_some());
        jumps
    };
    let known = |jump: &Cycle| {
        let heights = [jump.flight_secs, jump.height_flight_m, jump.height_hips_m];
        assert!(heights.iter().all(|v| v.is_some() == heights[0].is_some()));
        heights[0].is_some()
    };
    let just_found = jumps(0.1);
    assert_eq!(
        just_found.iter().map(known).collect::<Vec<_>>(),
        [false, true, true, true, true]
    );
    assert!(just_found[0].flight_error_secs.expect("an error") > 0.15);
    let before = jumps(0.4);
    assert!(before.len() == 5 && before.iter().all(known));
    assert!(
        before
            .iter()
            .all(|jump| jump.flight_error_secs.expect("an error") < 0.06)
    );
}

/// With a scale.
fn scaled() -> DetectConfig {
    DetectConfig {
        meters_per_px: Some(LEG_M / LEG_PX),
        ..DetectConfig::default()
    }
}

#[test]
fn half_a_jump_at_the_end_of_a_video_is_none() {
    let track = filtered(jumper(60.0, 1.3, 0.5));
    let movement = detect(&track, &DetectConfig::default());
    assert!(movement.events.is_empty(), "{movement:?}");
}

#[test]
fn a_camera_that_is_moved_slowly_is_no_jump() {
    let track = track(30.0, 10.0, |time| {
        let up = 150.0 * (1.0 - (TAU * time / 5.0).cos()) / 2.0;
        upright(up, 1.0)
    });
    let movement = detect(&filtered(track), &DetectConfig::default());
    assert!(movement.events.is_empty(), "{movement:?}");
}

#[test]
fn squats_have_their_depth_tempo_and_hold() {
    for rate_hz in [25.0, 60.0, 240.0] {
        let track = filtered(with_noise(squatter(rate_hz, 12, 0.9, 0.6), 0.0, 1.0));
        let movement = detect(&track, &DetectConfig::default());
        assert_eq!(movement.cycles.len(), 12, "{rate_hz} Hz");
        let lowest = movement
            .events
            .iter()
            .filter(|event| event.kind == EventKind::RepLowest);
        assert_eq!(lowest.count(), 12);
        // A tenth of a cosine's way is passed in this part of its time.
        let edge = (0.8_f64).acos() / PI * 0.9;
        for (i, cycle) in movement.cycles.iter().enumerate() {
            assert_eq!(cycle.kind, CycleKind::Repetition);
            let depth = cycle.highest_deg.expect("an angle") - cycle.lowest_deg.expect("an angle");
            assert!((depth - 90.0).abs() < 4.0, "{depth}");
            let start = 1.0 + i as f64 * 3.4 + edge;
            assert!(
                (cycle.start_secs - start).abs() < 0.06,
                "{} {start}",
                cycle.start_secs
            );
            let (lowering, hold) = (cycle.lowering_secs, cycle.hold_secs);
            let lowering_off = lowering.expect("a time") - (0.9 - 2.0 * edge);
            assert!(lowering_off.abs() < 0.08, "{lowering_off}");
            let hold_off = hold.expect("a time") - (0.6 + 2.0 * edge);
            assert!(hold_off.abs() < 0.08, "{hold_off}");
        }
    }
}

#[test]
fn a_thousand_squats_are_a_thousand() {
    let track = filtered(squatter(30.0, 1_000, 0.5, 0.0));
    let config = DetectConfig {
        angle: Some("left_knee_deg".into()),
        ..DetectConfig::default()
    };
    let movement = detect(&track, &config);
    assert_eq!(movement.cycles.len(), 1_000);
    assert!(
        movement
            .cycles
            .iter()
            .all(|cycle| cycle.side == Some(Side::Left))
    );
}

#[test]
fn walking_can_be_said_to_be_running() {
    let config = DetectConfig {
        gait: Some(Gait::Running),
        ..DetectConfig::default()
    };
    let movement = detect(&filtered(WALKER.track(60.0, 10.0)), &config);
    assert!(
        movement
            .events
            .iter()
            .all(|event| event.method == "milner_fellin")
    );
}

#[test]
fn a_runner_from_the_front_does_not_jump() {
    let (track, _) = runner_across(60.0, 20.0, 0.1);
    let movement = detect(&filtered(track), &DetectConfig::default());
    let jumps = movement
        .cycles
        .iter()
        .filter(|cycle| cycle.kind == CycleKind::Jump);
    assert_eq!(jumps.count(), 0);
    assert!(movement.cycles.is_empty(), "{movement:?}");
    // Both feet at once are jumps, however soon they follow each other.
    let hops = track_of_hops();
    let movement = detect(&filtered(hops), &DetectConfig::default());
    assert!(movement.cycles.len() > 20, "{}", movement.cycles.len());
    assert!(
        movement
            .cycles
            .iter()
            .all(|cycle| cycle.kind == CycleKind::Jump)
    );
}

/// Hops on both feet for 0.3 s, each 0.2 s after the other, seen from the front.
fn track_of_hops() -> Track {
    let gravity_px = 9.80665 * LEG_PX / LEG_M;
    track(60.0, 20.0, |time| {
        let air = time.rem_euclid(0.5);
        let up = gravity_px / 2.0 * (air * (0.3 - air)).max(0.0);
        upright(up, 0.1)
    })
}

#[test]
fn who_walks_and_then_runs_does_both() {
    const CHANGE_SECS: f64 = 12.0;
    let mut both = WALKER.track(60.0, CHANGE_SECS);
    let (run, run_truth) = runner(60.0, 12.0);
    let count = both.frames.len() as u32;
    both.frames
        .extend(run.frames.into_iter().map(|frame| TrackFrame {
            frame: frame.frame + count,
            time_secs: frame.time_secs + CHANGE_SECS,
            ..frame
        }));
    let movement = detect(&filtered(both), &DetectConfig::default());
    let (walk, run): (Vec<Event>, Vec<Event>) =
        (movement.events.into_iter()).partition(|event| event.method == "zeni");
    let walk = score(&walk, &WALKER.truth(CHANGE_SECS), 1.0, CHANGE_SECS - 2.0);
    assert_right(&walk, "walking");
    let run_truth: Vec<_> = (run_truth.into_iter())
        .map(|(kind, side, secs)| (kind, side, secs + CHANGE_SECS))
        .collect();
    let run = score(&run, &run_truth, CHANGE_SECS + 2.0, 2.0 * CHANGE_SECS - 1.5);
    assert_right(&run, "running");
    for cycle in &movement.cycles {
        let is_before = cycle.start_secs < CHANGE_SECS - 0.5;
        let kind = if is_before {
            CycleKind::Walk
        } else {
            CycleKind::Run
        };
        assert_eq!(cycle.kind, kind, "{cycle:?}");
    }
}

#[test]
fn nobody_walks_as_fast_as_a_sprinter_and_slow_walkers_are_met() {
    let walk = |stride_secs: f64| {
        let walker = Walker {
            stride_secs,
            ..WALKER
        };
        let config = DetectConfig {
            gait: Some(Gait::Walking),
            ..DetectConfig::default()
        };
        let movement = detect(&filtered(walker.track(60.0, 40.0)), &config);
        (movement, walker.truth(40.0))
    };
    let (movement, _) = walk(0.44);
    assert_eq!((movement.events, movement.cycles), (vec![], vec![]));
    let (movement, truth) = walk(2.8);
    let score = score(&movement.events, &truth, 1.0, 37.0);
    assert_eq!((score.missed, score.invented), (0, 0), "{score:?}");
    assert!(movement.cycles.len() > 20, "{}", movement.cycles.len());
}

#[test]
fn a_velocity_that_trembles_around_its_limit_is_one_contact() {
    let walker = Walker {
        is_over_ground: true,
        ..WALKER
    };
    let noisy = with_noise(walker.track(60.0, 100.0), LEG_PX / 60.0, 2.0);
    let movement = detect(&filtered(noisy), &with_method(GaitMethod::ForwardVelocity));
    let score = score(&movement.events, &walker.truth(100.0), 1.0, 99.0);
    assert_eq!((score.missed, score.invented), (0, 0), "{score:?}");
}

#[test]
fn one_angle_is_counted_in_all_of_a_persons_path() {
    let mut second = squatter(60.0, 1, 0.9, 0.6);
    // In it the right knee bends a little more: less than the left one does in all.
    for frame in &mut second.frames {
        let right = &mut frame.joint_angles_deg[Side::Right as usize];
        *right = right.map(|deg| 175.0 - 1.1 * (175.0 - deg));
    }
    let mut first = squatter(60.0, 4, 0.9, 0.6);
    for frame in &mut first.frames {
        let right = &mut frame.joint_angles_deg[Side::Right as usize];
        *right = right.map(|deg| 175.0 - 0.8 * (175.0 - deg));
    }
    let tracks = [filtered(first), filtered(second)];
    let found = super::detect(&tracks, &DetectConfig::default());
    let counts: Vec<usize> = found.iter().map(|movement| movement.cycles.len()).collect();
    assert_eq!(counts, [4, 1]);
    let mut cycles = found.iter().flat_map(|movement| &movement.cycles);
    assert!(cycles.all(|cycle| cycle.method == "left_knee_deg"));
}

#[test]
fn a_tremble_at_the_bottom_does_not_end_what_is_held() {
    // 2 s at the bottom, of which 12 degrees up and down again in the middle.
    let mut track = squatter(60.0, 2, 0.9, 2.0);
    for frame in &mut track.frames {
        let held = (frame.time_secs - 1.0).rem_euclid(4.8) - 0.9;
        if frame.time_secs > 1.0 && (0.5..1.5).contains(&held) {
            let more = 6.0 * (1.0 - (TAU * (held - 0.5)).cos());
            for angle in frame.joint_angles_deg.iter_mut().flatten() {
                *angle += more;
            }
        }
    }
    let movement = detect(&filtered(track), &DetectConfig::default());
    assert_eq!(movement.cycles.len(), 2);
    for cycle in &movement.cycles {
        let hold = cycle.hold_secs.expect("a time");
        assert!((2.0..2.6).contains(&hold), "{hold}");
        let raising = cycle.raising_secs.expect("a time");
        assert!(raising < 0.9, "{raising}");
    }
}

#[test]
fn legs_that_take_turns_repeat_nothing_unless_their_angle_is_asked_for() {
    let (track, _) = runner_across(60.0, 20.0, 0.1);
    let track = filtered(track);
    let movement = detect(&track, &DetectConfig::default());
    assert!(movement.cycles.is_empty(), "{movement:?}");
    let asked = DetectConfig {
        angle: Some("left_knee_deg".into()),
        ..DetectConfig::default()
    };
    let count = detect(&track, &asked).cycles.len();
    assert!((26..=28).contains(&count), "{count}");
}

#[test]
fn a_runner_of_whom_one_leg_is_seen_repeats_nothing() {
    let (track, _) = runner_across(60.0, 20.0, 0.1);
    let unseen = |mut track: Track, side: Side| {
        for frame in &mut track.frames {
            frame.joint_angles_deg[side as usize] = None;
        }
        track
    };
    for side in [Side::Left, Side::Right] {
        let movement = detect(
            &unseen(filtered(track.clone()), side),
            &DetectConfig::default(),
        );
        assert!(movement.cycles.is_empty(), "{movement:?}");
    }
    let squats = unseen(filtered(squatter(60.0, 3, 0.9, 0.6)), Side::Left);
    let movement = detect(&squats, &DetectConfig::default());
    assert_eq!(movement.cycles.len(), 3, "{movement:?}");
}

#[test]
fn a_foot_that_trembles_under_somebody_who_stands_is_no_jump() {
    // As fast and as far as in a jump of 0.25 s, but the hips stay where they are.
    let track = track(60.0, 20.0, |time| {
        let air = time.rem_euclid(2.0);
        let up = 24.0 * (1.0 - ((air - 1.0) / 0.125).powi(2)).max(0.0);
        let mut body = upright(up, 0.1);
        body.hips_up = LEG_PX;
        body.legs[1].up += 90.0;
        body.legs[1].toes_up += 90.0;
        body
    });
    let movement = detect(&filtered(track), &DetectConfig::default());
    assert!(movement.events.is_empty(), "{movement:?}");
}

#[test]
fn kicks_that_take_no_turns_are_no_steps() {
    // Seconds of the farthest points of the right foot, and of the left one.
    let kicks = [vec![2.6], vec![1.0, 1.65]];
    let track = track(60.0, 5.0, |time| {
        let mut body = upright(0.0, 1.0);
        for (leg, kicks) in body.legs.iter_mut().zip(&kicks) {
            let near = kicks.iter().map(|kick: &f64| ((time - kick) / 0.3).abs());
            let nearest = near.fold(1.0, f64::min);
            leg.heel_ahead = 80.0 * (1.0 + (PI * nearest).cos()) / 2.0;
        }
        body
    });
    let movement = detect(&filtered(track), &DetectConfig::default());
    assert!(movement.events.is_empty(), "{movement:?}");
}

/// The same movement of another angle: `change` makes a knee's angle of it.
fn with_knees(mut track: Track, change: impl Fn(f64) -> f64) -> Track {
    for angle in (track.frames.iter_mut()).flat_map(|frame| &mut frame.joint_angles_deg) {
        *angle = angle.map(&change);
    }
    track
}

#[test]
fn who_stands_up_five_times_and_sits_down_again_does_so_five_times() {
    let sitting = with_knees(squatter(60.0, 5, 0.9, 0.6), |deg| 260.0 - deg);
    let movement = detect(&filtered(sitting), &DetectConfig::default());
    assert_eq!(movement.cycles.len(), 5);
    let count = |kind| (movement.events.iter().filter(|e| e.kind == kind)).count();
    assert_eq!(count(EventKind::RepHighest), 5);
    assert_eq!(count(EventKind::RepLowest), 4);
    for (i, cycle) in movement.cycles.iter().enumerate() {
        let (low, high) = (cycle.lowest_deg, cycle.highest_deg);
        assert!((low.expect("an angle") - 85.0).abs() < 2.0, "{cycle:?}");
        assert!((high.expect("an angle") - 175.0).abs() < 2.0, "{cycle:?}");
        let turn_secs = 1.0 + i as f64 * 3.4 + 0.9 + 0.3;
        assert!(cycle.start_secs < turn_secs && turn_secs < cycle.end_secs);
        let down_secs = cycle.end_secs - cycle.lowering_secs.expect("a time");
        assert!(down_secs > turn_secs, "it ends on the way down: {cycle:?}");
        let up_secs = cycle.start_secs + cycle.raising_secs.expect("a time");
        assert!(up_secs < turn_secs, "it begins on the way up: {cycle:?}");
    }
}

#[test]
fn a_repetition_that_the_video_cuts_is_none() {
    let mut track = squatter(60.0, 3, 0.9, 0.6);
    // On its way up, half of it is missing.
    (track.frames).retain(|frame| frame.time_secs < 1.0 + 2.0 * 3.4 + 0.9 + 0.6 + 0.45);
    let movement = detect(&filtered(track), &DetectConfig::default());
    assert_eq!(movement.cycles.len(), 2, "{movement:?}");
}

#[test]
fn two_bends_that_are_not_alike_are_no_exercise() {
    let bend = |time: f64, middle: f64, secs: f64, deg: f64| {
        let part = ((time - middle) / secs).clamp(-1.0, 1.0);
        deg * (1.0 + (PI * part).cos()) / 2.0
    };
    let track = track(60.0, 8.0, |time| {
        let mut body = upright(0.0, 1.0);
        body.legs[0].knee_deg = 175.0 - bend(time, 2.5, 1.5, 90.0) - bend(time, 6.0, 0.4, 60.0);
        body
    });
    let track = filtered(track);
    let movement = detect(&track, &DetectConfig::default());
    assert!(movement.cycles.is_empty(), "{movement:?}");
    let asked = DetectConfig {
        angle: Some("left_knee_deg".into()),
        ..DetectConfig::default()
    };
    assert_eq!(detect(&track, &asked).cycles.len(), 2);
}

#[test]
fn small_bends_are_no_exercise_unless_there_are_three_alike() {
    let shallow = |count| {
        let squats = squatter(60.0, count, 0.5, 0.2);
        filtered(with_knees(squats, |deg| 175.0 - (175.0 - deg) / 2.0))
    };
    let count = |track: &Track| detect(track, &DetectConfig::default()).cycles.len();
    assert_eq!([count(&shallow(2)), count(&shallow(3))], [0, 3]);
    // Two that lie half a minute apart are none either.
    let mut apart = squatter(60.0, 2, 0.5, 0.2);
    for frame in &mut apart.frames {
        frame.time_secs += if frame.time_secs > 2.5 { 30.0 } else { 0.0 };
    }
    assert_eq!(count(&apart), 0);
}

#[test]
fn arms_that_go_up_twice_and_are_up_at_the_end_went_up_twice() {
    // Up, and down after half a second, twice; then up once more, where they stay.
    let knots = [
        (0.0, 20.0),
        (1.0, 20.0),
        (1.5, 150.0),
        (2.0, 20.0),
        (3.5, 20.0),
        (4.0, 150.0),
        (4.5, 20.0),
        (8.0, 20.0),
        (8.5, 140.0),
        (9.0, 140.0),
    ];
    let track = track(60.0, 9.0, |time| {
        let pair = knots.windows(2).find(|pair| time <= pair[1].0);
        let pair = pair.expect("a time before the end");
        let part = (time - pair[0].0) / (pair[1].0 - pair[0].0);
        let mut body = upright(0.0, 1.0);
        body.legs[0].knee_deg =
            pair[0].1 + (pair[1].1 - pair[0].1) * (1.0 - (PI * part).cos()) / 2.0;
        body
    });
    let movement = detect(&filtered(track), &DetectConfig::default());
    let tops: Vec<f64> = (movement.events.iter())
        .filter(|event| event.kind == EventKind::RepHighest)
        .map(|event| event.time_secs)
        .collect();
    assert_eq!(movement.cycles.len(), 2, "{movement:?}");
    assert!(
        (tops[0] - 1.5).abs() < FRAME_SECS && (tops[1] - 4.0).abs() < FRAME_SECS,
        "{tops:?}"
    );
}
