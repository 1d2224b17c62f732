//! Initial contacts and toe-offs of walking and running, in side view, and the strides between them.
//!
//! Methods, each as its authors describe it, on heel, toes and hips of the filtered path:
//!
//! - [`GaitMethod::Zeni`] (Zeni, Richards, Higginson 2008, "coordinate-based treadmill algorithm"):
//!   contact where the heel is farthest in front of the pelvis, toe-off where the toes are farthest
//!   behind it. All is relative to the pelvis, so that it holds on a treadmill as well as over ground.
//! - [`GaitMethod::OConnor`] (O'Connor, Thorpe, O'Malley, Vaughan 2007, "foot velocity algorithm"):
//!   with the vertical velocity of the middle of heel and toes, toe-off is its peak, contact its
//!   trough while the heel is in the lowest 35 % of its range. It needs no forward coordinates.
//! - [`GaitMethod::ForwardVelocity`] (as `forward_velocity` of Pose2Sim's `trc_gaitevents`): a foot is
//!   on the ground while its forward velocity in the picture is small. It holds only over ground, in
//!   front of a camera that stands still, and is never chosen unasked.
//! - [`GaitMethod::Running`]: contact where the pelvis goes down fastest (Milner, Paquette 2015, for
//!   all ways to strike), toe-off where the knee is straightest next (Fellin, Rose, Royer, Davis 2010).
//!
//! Which is chosen: running gets the last, walking the first. They are told apart as by Cavagna,
//! Thys and Zamboni (1976): who walks is lowest while the feet are apart, as on a pendulum upside
//! down; who runs is highest then, as on a spring. Who does both in turn gets both methods, where each
//! lasts for seconds. Where the feet do not point across the picture
//! (front and back views), or are not seen, nothing is told.
//!
//! A stride's length needs one scale, which holds at one distance from the camera. It stays open where the
//! person is seen larger or smaller than usual, and where they grow or shrink on the way: who walks so does
//! not walk across the picture, and their way is longer than it looks.
//!
//! An event's confidence is the product of: the part of the frames within 0.1 s in which the
//! landmarks were measured, not interpolated; 1 where O'Connor's method has the same event within
//! 0.1 s, 0.7 where not (1 where that is the method itself, or for running).

use std::ops::{Range, RangeInclusive};

use super::cycles::{Cycle, CycleKind};
use super::events::{Event, EventKind, Side};
use super::search::{DetectConfig, Gait, GaitMethod, Movement};
use super::series::{self, Turn};
use super::track::{Track, TrackFrame};
use crate::pose::landmark::Landmark;

/// The feet point across the picture when heel and toes are so far apart in it on average, in leg
/// lengths. In side view it is a fifth, in front view a twentieth.
const MIN_FOOT_ACROSS: f64 = 0.1;
/// Over which the feet's direction is averaged, before and behind a frame.
const FACING_SECS: f64 = 0.4;
/// A step moves the heel by at least so much before and behind the pelvis, in leg lengths.
const MIN_SWING: f64 = 0.2;
/// Part of a signal's spread that a turning point must stand out by.
const SWING_PART: f64 = 0.4;
/// The same for velocities, whose smaller waves matter too.
const VELOCITY_SWING_PART: f64 = 0.15;
/// O'Connor's part of the heel's range below which a foot can touch the ground.
const CONTACT_HEIGHT_PART: f64 = 0.35;
/// A foot is on the ground below this part of its greatest forward velocity.
const STANCE_VELOCITY_PART: f64 = 0.2;
/// Strides of walking last so long, in seconds: race walkers take 220 steps a minute, who can hardly walk
/// 40.
const WALKING_STRIDE_SECS: RangeInclusive<f64> = 0.5..=3.0;
/// Strides of running: sprinters take 280 steps a minute.
const RUNNING_STRIDE_SECS: RangeInclusive<f64> = 0.4..=1.5;
/// Where in a stride the other foot touches the ground: half of it in who goes evenly, and not so far off in
/// who limps.
const OTHER_CONTACT_PART: RangeInclusive<f64> = 0.2..=0.8;
/// A stride that is longer than the median by this factor has a contact that was missed.
const MISSED_FACTOR: f64 = 1.6;
/// Events of two methods are the same within this time.
const AGREEMENT_SECS: f64 = 0.1;
/// What the other method's disagreement leaves of the confidence.
const ALONE_CONFIDENCE: f64 = 0.7;
/// Hips of runners are this much faster on their way up than down, in leg lengths per second: that of
/// a flight of 0.02 s.
const MIN_BOUNCE_PER_SEC: f64 = 0.2;
/// Smallest turn of the knee that counts, degrees.
const MIN_KNEE_SWING_DEG: f64 = 5.0;
/// The next toe-off comes within this time of a contact while running.
const MAX_RUNNING_STANCE_SECS: f64 = 0.5;
/// How long the pelvis's height is averaged to tell its waves from the way up or down the picture.
const DETREND_SECS: f64 = 0.5;
/// Over which walking and running are told apart within a track, before and behind a frame.
const GAIT_REACH_SECS: f64 = 2.0;
/// Correlation of the hips' height and the feet's distance by which somebody runs (walks, where negative)
/// without doubt.
const SURE_CORRELATION: f64 = 0.5;
/// Who walks, and then runs, does each for so long at least.
const MIN_PART_SECS: f64 = 3.0;
/// A foot stands or swings for so long at least.
const MIN_PHASE_SECS: f64 = 0.1;
/// Feet that move less than this in the picture during stance stand on the ground, in leg lengths.
const MAX_STANCE_SLIP: f64 = 0.25;
/// A leg's length is the median over so many seconds before and behind the ends of a stride.
const SIZE_SECS: f64 = 0.3;
/// Lengths are told where the person is at most by this part larger or smaller than usual: they are as wrong.
const MAX_SIZE_OFF: f64 = 0.1;
/// And where they grow or shrink by less than this part in a stride. Before a camera whose picture is 1.2
/// times as wide as what it shows is far away, a stride across a fifth of it goes at 23 degrees to the picture
/// then (tan = 0.1 / (0.2 * 1.2)), and looks 8 % too short.
const MAX_SIZE_CHANGE: f64 = 0.1;

/// Contact or toe-off of a foot.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    is_contact: bool,
    time_secs: f64,
}

/// What the methods look at; lengths in leg lengths, `None` outside of side views.
struct Signals {
    times_secs: Vec<f64>,
    hips_up: Vec<Option<f64>>,
    hips_right: Vec<Option<f64>>,
    /// 1 to the picture's right, -1 to its left.
    facing: Vec<Option<f64>>,
    legs: [LegSignals; 2],
}

/// What the hips' height and the feet's distance, each less its mean, say together: products of both, and
/// their squares.
struct Bounce {
    both: f64,
    up: f64,
    apart: f64,
}

struct LegSignals {
    heel_ahead: Vec<Option<f64>>,
    toes_ahead: Vec<Option<f64>>,
    foot_up: Vec<Option<f64>>,
    heel_up: Vec<Option<f64>>,
    foot_forward: Vec<Option<f64>>,
    knee_deg: Vec<Option<f64>>,
}

/// Finds contacts, toe-offs and strides; walking and running of one track each by itself.
/// `usual_leg_px` is the length of a leg in the picture where the scale is right.
pub fn detect(track: &Track, config: &DetectConfig, usual_leg_px: Option<f64>) -> Movement {
    let Some(leg_px) = track.leg_length_px().filter(|length| *length > 0.0) else {
        return Movement::default();
    };
    let is_told = config.gait.is_some() || config.gait_method == Some(GaitMethod::Running);
    let parts = match is_told {
        true => Vec::new(),
        false => Signals::new(track, leg_px).parts(),
    };
    if parts.len() < 2 {
        return detect_part(track, leg_px, config, usual_leg_px);
    }
    let mut movement = Movement::default();
    for part in parts {
        let frames = track.frames[part].to_vec();
        let found = detect_part(&Track { frames }, leg_px, config, usual_leg_px);
        movement.events.extend(found.events);
        movement.cycles.extend(found.cycles);
        movement.strides_out_of_scale += found.strides_out_of_scale;
    }
    movement
}

fn detect_part(
    track: &Track,
    leg_px: f64,
    config: &DetectConfig,
    usual_leg_px: Option<f64>,
) -> Movement {
    let signals = Signals::new(track, leg_px);
    let gait = match (config.gait, config.gait_method) {
        (Some(gait), _) => gait,
        (None, Some(GaitMethod::Running)) => Gait::Running,
        (None, _) => signals.gait(),
    };
    let method = config.gait_method.unwrap_or(match gait {
        Gait::Walking => GaitMethod::Zeni,
        Gait::Running => GaitMethod::Running,
    });
    let is_unseen = |side, secs| signals.is_unseen(side, secs);
    let moments = signals
        .moments(method)
        .map(|moments| without_doubt(moments, gait));
    let moments = in_steps(moments, gait, is_unseen);
    let others = match method {
        GaitMethod::Zeni | GaitMethod::ForwardVelocity => {
            Some(signals.moments(GaitMethod::OConnor))
        }
        GaitMethod::OConnor | GaitMethod::Running => None,
    };
    let mut events = Vec::new();
    for (side, moments) in Side::ALL.into_iter().zip(&moments) {
        let others = others.as_ref().map(|others| &others[side as usize][..]);
        events.extend(moments.iter().map(|moment| Event {
            kind: match moment.is_contact {
                true => EventKind::InitialContact,
                false => EventKind::ToeOff,
            },
            side: Some(side),
            frame: track.frame_at(moment.time_secs),
            time_secs: moment.time_secs,
            method: method.name(),
            confidence: Some(confidence(track, side, *moment, others)),
            value: None,
            unit: None,
        }));
    }
    events.sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
    let is_over_ground = signals.is_over_ground(&moments);
    let meters_per_leg = config.meters_per_px.map(|scale| scale * leg_px);
    let strides = Strides {
        track,
        signals: &signals,
        moments: &moments,
        events: &events,
        gait,
        method,
        meters_per_leg: meters_per_leg.filter(|_| is_over_ground),
        usual_leg_px,
    };
    let mut cycles = strides.cycles();
    let mut strides_out_of_scale = 0;
    for stride in &mut cycles {
        if stride.stride_length_m.is_some() && !strides.is_in_scale(stride) {
            (stride.stride_length_m, stride.speed_m_per_sec) = (None, None);
            strides_out_of_scale += 1;
        }
    }
    Movement {
        cycles,
        events,
        floor_angle_deg: None,
        strides_out_of_scale,
    }
}

fn confidence(track: &Track, side: Side, moment: Moment, others: Option<&[Moment]>) -> f64 {
    let landmarks = [side.heel(), side.toes(), side.hip()];
    let measured = track.measured_part(moment.time_secs, &landmarks);
    let is_same = |other: &Moment| {
        other.is_contact == moment.is_contact
            && (other.time_secs - moment.time_secs).abs() <= AGREEMENT_SECS
    };
    match others {
        Some(others) if !others.iter().any(is_same) => ALONE_CONFIDENCE * measured,
        _ => measured,
    }
}

impl Signals {
    fn new(track: &Track, leg_px: f64) -> Self {
        let times_secs = track.times_secs();
        let facing = facing(track, &times_secs, leg_px);
        let each = |get: &dyn Fn(usize) -> Option<f64>| -> Vec<Option<f64>> {
            (0..times_secs.len())
                .map(|i| {
                    let turned = i > 0 && facing[i - 1].is_some() && facing[i - 1] != facing[i];
                    facing[i].filter(|_| !turned).and(get(i))
                })
                .collect()
        };
        let frames = &track.frames;
        let ahead = |i: usize, landmark: Landmark| {
            let (point, hips) = (frames[i].at(landmark)?, frames[i].hips()?);
            Some(facing[i]? * (point[0] - hips[0]) / leg_px)
        };
        let up = |point: Option<[f64; 2]>| Some(-point?[1] / leg_px);
        let legs = Side::ALL.map(|side| LegSignals {
            heel_ahead: each(&|i| ahead(i, side.heel())),
            toes_ahead: each(&|i| ahead(i, side.toes())),
            foot_up: each(&|i| up(frames[i].foot(side))),
            heel_up: each(&|i| up(frames[i].at(side.heel()))),
            foot_forward: each(&|i| Some(facing[i]? * frames[i].foot(side)?[0] / leg_px)),
            knee_deg: each(&|i| frames[i].joint_angles_deg[side as usize]),
        });
        Self {
            hips_up: each(&|i| up(frames[i].hips())),
            hips_right: each(&|i| Some(frames[i].hips()?[0] / leg_px)),
            legs,
            facing,
            times_secs,
        }
    }

    /// How the height of the hips goes with the distance of the feet, frame by frame.
    fn bounces(&self) -> Vec<Option<Bounce>> {
        let apart: Vec<Option<f64>> = (self.legs[0].heel_ahead.iter())
            .zip(&self.legs[1].heel_ahead)
            .map(|(left, right)| Some(((*left)? - (*right)?).abs()))
            .collect();
        let off = |values: &[Option<f64>]| -> Vec<Option<f64>> {
            let means = moving_mean(&self.times_secs, values, DETREND_SECS);
            let pairs = values.iter().zip(means);
            pairs.map(|(value, mean)| Some((*value)? - mean?)).collect()
        };
        let (up, apart) = (off(&self.hips_up), off(&apart));
        let pairs = up.into_iter().zip(apart);
        pairs
            .map(|(up, apart)| {
                let (up, apart) = (up?, apart?);
                Some(Bounce {
                    both: up * apart,
                    up: up * up,
                    apart: apart * apart,
                })
            })
            .collect()
    }

    /// See the module's comment; who does not bob at all walks.
    fn gait(&self) -> Gait {
        let known = self.bounces().into_iter().flatten();
        let [both, apart] = known.fold([0.0; 2], |[both, apart], bounce| {
            [both + bounce.both, apart + bounce.apart]
        });
        match both > 0.0 && apart > 0.0 {
            true => Gait::Running,
            false => Gait::Walking,
        }
    }

    /// Frames that belong together: one part, unless walking and running follow each other, each for long
    /// enough and without doubt.
    fn parts(&self) -> Vec<Range<usize>> {
        let bounces = self.bounces();
        let mean = |of: fn(&Bounce) -> f64| {
            let values: Vec<Option<f64>> = (bounces.iter())
                .map(|bounce| bounce.as_ref().map(of))
                .collect();
            moving_mean(&self.times_secs, &values, GAIT_REACH_SECS)
        };
        let (both, up, apart) = (mean(|b| b.both), mean(|b| b.up), mean(|b| b.apart));
        // Gait, first and last frame.
        let mut spans: Vec<(Gait, usize, usize)> = Vec::new();
        for i in 0..self.times_secs.len() {
            let (Some(both), Some(up), Some(apart)) = (both[i], up[i], apart[i]) else {
                continue;
            };
            let correlation = both / (up * apart).sqrt();
            let gait = match correlation {
                sure if sure >= SURE_CORRELATION => Gait::Running,
                sure if sure <= -SURE_CORRELATION => Gait::Walking,
                _ => continue,
            };
            match spans.last_mut() {
                Some(span) if span.0 == gait => span.2 = i,
                _ => spans.push((gait, i, i)),
            }
        }
        spans.retain(|(_, first, last)| {
            self.times_secs[*last] - self.times_secs[*first] >= MIN_PART_SECS
        });
        let mut parts = Vec::new();
        let mut start = 0;
        for pair in spans.windows(2).filter(|pair| pair[0].0 != pair[1].0) {
            let end = usize::midpoint(pair[0].2, pair[1].1);
            parts.push(start..end);
            start = end;
        }
        parts.push(start..self.times_secs.len());
        parts
    }

    /// Contacts and toe-offs of both feet, each in the order of their times.
    fn moments(&self, method: GaitMethod) -> [Vec<Moment>; 2] {
        match method {
            GaitMethod::Zeni => Side::ALL.map(|side| self.zeni(side)),
            GaitMethod::OConnor => Side::ALL.map(|side| self.oconnor(side)),
            GaitMethod::ForwardVelocity => Side::ALL.map(|side| self.forward_velocity(side)),
            GaitMethod::Running => self.running(),
        }
    }

    fn zeni(&self, side: Side) -> Vec<Moment> {
        let leg = &self.legs[side as usize];
        let turns = |values: &[Option<f64>]| -> Vec<Turn> {
            let spread = series::spread(values).unwrap_or_default();
            series::turns_seen(&self.times_secs, values, MIN_SWING.max(SWING_PART * spread))
        };
        let contacts = turns(&leg.heel_ahead)
            .into_iter()
            .filter(|turn| turn.is_max);
        let toe_offs = turns(&leg.toes_ahead)
            .into_iter()
            .filter(|turn| !turn.is_max);
        sorted(moments(contacts, true).chain(moments(toe_offs, false)))
    }

    fn oconnor(&self, side: Side) -> Vec<Moment> {
        let leg = &self.legs[side as usize];
        let velocity = series::derivative(&self.times_secs, &leg.foot_up);
        let spread = series::spread(&velocity).unwrap_or_default();
        let heights: Vec<f64> = leg.heel_up.iter().flatten().copied().collect();
        let (Some(low), Some(high)) = (
            series::quantile(heights.clone(), 0.02),
            series::quantile(heights, 0.98),
        ) else {
            return Vec::new();
        };
        let limit = low + CONTACT_HEIGHT_PART * (high - low);
        let turns = series::turns_seen(&self.times_secs, &velocity, VELOCITY_SWING_PART * spread);
        let mut found: Vec<Moment> = Vec::new();
        let is_toe_off = |turn: &Turn| turn.is_max && turn.value > SWING_PART * spread / 2.0;
        let toe_offs: Vec<usize> = (0..turns.len())
            .filter(|place| is_toe_off(&turns[*place]))
            .collect();
        for (i, place) in toe_offs.iter().copied().enumerate() {
            let next = toe_offs.get(i + 1).copied().unwrap_or(turns.len());
            let contact = (turns[place + 1..next].iter())
                .filter(|turn| !turn.is_max && turn.value < 0.0)
                .filter(|turn| leg.heel_up[turn.index].is_some_and(|height| height < limit))
                .min_by(|a, b| a.value.total_cmp(&b.value));
            found.extend(moments([turns[place]], false));
            found.extend(moments(contact.copied(), true));
        }
        sorted(found.into_iter())
    }

    fn forward_velocity(&self, side: Side) -> Vec<Moment> {
        let leg = &self.legs[side as usize];
        let velocity = series::derivative(&self.times_secs, &leg.foot_forward);
        let known: Vec<f64> = velocity.iter().flatten().copied().collect();
        let Some(fastest) = series::quantile(known, 0.95) else {
            return Vec::new();
        };
        let limit = STANCE_VELOCITY_PART * fastest;
        let mut found = Vec::new();
        for i in 1..velocity.len() {
            let (Some(before), Some(now)) = (velocity[i - 1], velocity[i]) else {
                continue;
            };
            if (before < limit) != (now < limit) {
                let part = (limit - before) / (now - before);
                let (t0, t1) = (self.times_secs[i - 1], self.times_secs[i]);
                found.push(Moment {
                    is_contact: now < limit,
                    time_secs: t0 + part * (t1 - t0),
                });
            }
        }
        without_tremble(found)
    }

    fn running(&self) -> [Vec<Moment>; 2] {
        // Who stands trembles up and down, too, but swings no leg.
        let swings = |leg: &LegSignals| {
            series::spread(&leg.heel_ahead).is_some_and(|spread| spread >= MIN_SWING)
        };
        if !self.legs.iter().any(swings) {
            return [Vec::new(), Vec::new()];
        }
        let velocity = series::derivative(&self.times_secs, &self.hips_up);
        let spread = series::spread(&velocity).unwrap_or_default();
        let min_swing = MIN_BOUNCE_PER_SEC.max(SWING_PART * spread);
        let turns = series::turns_seen(&self.times_secs, &velocity, min_swing);
        let mut found = [Vec::new(), Vec::new()];
        for turn in turns.iter().filter(|turn| !turn.is_max && turn.value < 0.0) {
            let height = |side: Side| self.legs[side as usize].foot_up[turn.index];
            let (Some(left), Some(right)) = (height(Side::Left), height(Side::Right)) else {
                continue;
            };
            // The foot that touches the ground is the lower one.
            let side = if left <= right {
                Side::Left
            } else {
                Side::Right
            };
            found[side as usize].extend(moments([*turn], true));
        }
        for side in Side::ALL {
            let knee_deg = &self.legs[side as usize].knee_deg;
            let knee = series::turns(&self.times_secs, knee_deg, MIN_KNEE_SWING_DEG);
            let toe_offs: Vec<Moment> = (found[side as usize].iter())
                .filter_map(|contact: &Moment| {
                    let bent = (knee.iter())
                        .find(|turn| !turn.is_max && turn.time_secs > contact.time_secs)?;
                    let straight = (knee.iter())
                        .find(|turn| turn.is_max && turn.time_secs > bent.time_secs)?;
                    let secs = straight.time_secs - contact.time_secs;
                    (secs <= MAX_RUNNING_STANCE_SECS).then_some(*straight)
                })
                .flat_map(|turn| moments([turn], false))
                .collect();
            found[side as usize].extend(toe_offs);
        }
        found.map(|moments| sorted(moments.into_iter()))
    }

    /// Whether a foot is unseen at some time between two.
    fn is_unseen(&self, side: usize, [from, to]: [f64; 2]) -> bool {
        let start = (self.times_secs).partition_point(|time| *time < from);
        let end = (self.times_secs).partition_point(|time| *time <= to);
        self.legs[side].heel_ahead[start..end]
            .iter()
            .any(Option::is_none)
    }

    /// Whether feet stand still in the picture while they are on the ground, and the hips travel.
    fn is_over_ground(&self, moments: &[Vec<Moment>; 2]) -> bool {
        let mut slips = Vec::new();
        let mut hips = Vec::new();
        for (leg, moments) in self.legs.iter().zip(moments) {
            for pair in moments
                .windows(2)
                .filter(|p| p[0].is_contact && !p[1].is_contact)
            {
                // The foot rolls at both ends; between them it lies flat.
                let at =
                    |part: f64| pair[0].time_secs + part * (pair[1].time_secs - pair[0].time_secs);
                let forward =
                    |time: f64| series::value_at(&self.times_secs, &leg.foot_forward, time);
                let ahead = |time: f64| series::value_at(&self.times_secs, &leg.heel_ahead, time);
                let (from, to) = (at(0.3), at(0.7));
                if let (Some(a), Some(b), Some(c), Some(d)) =
                    (forward(from), forward(to), ahead(from), ahead(to))
                {
                    slips.push((b - a).abs());
                    hips.push((c - d).abs());
                }
            }
        }
        match (series::median(slips), series::median(hips)) {
            (Some(slip), Some(hips)) => slip < MAX_STANCE_SLIP.min(hips / 2.0),
            _ => false,
        }
    }
}

/// 1 or -1 where the feet point across the picture; `None` elsewhere.
fn facing(track: &Track, times_secs: &[f64], leg_px: f64) -> Vec<Option<f64>> {
    let across: Vec<Option<f64>> = (track.frames.iter())
        .map(|frame| {
            let foot = |side: Side| Some(frame.at(side.toes())?[0] - frame.at(side.heel())?[0]);
            let feet: Vec<f64> = Side::ALL.into_iter().filter_map(foot).collect();
            let count = feet.len();
            (count > 0).then(|| feet.iter().sum::<f64>() / (count as f64 * leg_px))
        })
        .collect();
    let mean = moving_mean(times_secs, &across, FACING_SECS);
    (mean.iter())
        .map(|mean| Some(mean.filter(|mean| mean.abs() >= MIN_FOOT_ACROSS)?.signum()))
        .collect()
}

/// Means of the known values up to so many seconds before and behind; `None` where none is known.
fn moving_mean(times_secs: &[f64], values: &[Option<f64>], secs: f64) -> Vec<Option<f64>> {
    let (mut start, mut end) = (0, 0);
    let (mut sum, mut count) = (0.0, 0_usize);
    (times_secs.iter())
        .map(|time| {
            while end < values.len() && times_secs[end] <= time + secs {
                sum += values[end].unwrap_or_default();
                count += usize::from(values[end].is_some());
                end += 1;
            }
            while times_secs[start] < time - secs {
                sum -= values[start].unwrap_or_default();
                count -= usize::from(values[start].is_some());
                start += 1;
            }
            (count > 0).then(|| sum / count as f64)
        })
        .collect()
}

fn moments(
    turns: impl IntoIterator<Item = Turn>,
    is_contact: bool,
) -> impl Iterator<Item = Moment> {
    turns.into_iter().map(move |turn| Moment {
        is_contact,
        time_secs: turn.time_secs,
    })
}

fn sorted(moments: impl Iterator<Item = Moment>) -> Vec<Moment> {
    let mut moments: Vec<Moment> = moments.collect();
    moments.sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
    moments
}

/// Leaves out pairs of moments between which hardly any time passes: a value trembles around its limit.
fn without_tremble(moments: Vec<Moment>) -> Vec<Moment> {
    let mut kept: Vec<Moment> = Vec::new();
    for moment in moments {
        match kept.last() {
            Some(before) if moment.time_secs - before.time_secs < MIN_PHASE_SECS => {
                kept.pop();
            }
            _ => kept.push(moment),
        }
    }
    kept
}

fn stride_secs(gait: Gait) -> RangeInclusive<f64> {
    match gait {
        Gait::Walking => WALKING_STRIDE_SECS,
        Gait::Running => RUNNING_STRIDE_SECS,
    }
}

/// Leaves out contacts of a foot that lie nearer than the shortest stride to another one of it: both cannot
/// be, and which of them was is not known.
fn without_doubt(moments: Vec<Moment>, gait: Gait) -> Vec<Moment> {
    let shortest_secs = *stride_secs(gait).start();
    let contacts = moments.iter().filter(|moment| moment.is_contact);
    let contacts: Vec<f64> = contacts.map(|moment| moment.time_secs).collect();
    let is_doubted = |moment: &Moment| {
        let near = contacts.iter().map(|time| (time - moment.time_secs).abs());
        moment.is_contact && near.filter(|secs| *secs < shortest_secs).count() > 1
    };
    moments
        .into_iter()
        .filter(|moment| !is_doubted(moment))
        .collect()
}

/// Leaves out what belongs to no row of steps. Steps come by turns: between two contacts of a foot lies one
/// of the other foot, in the middle fifths of the stride. Contacts of one foot alone are believed only
/// where the other foot is not seen for a part of the stride, and only two strides or more in a row. A
/// toe-off is kept where it is the only one of its foot between two contacts, or within a stride before
/// the first or behind the last one.
fn in_steps(
    moments: [Vec<Moment>; 2],
    gait: Gait,
    is_unseen: impl Fn(usize, [f64; 2]) -> bool,
) -> [Vec<Moment>; 2] {
    let contacts = moments.each_ref().map(|moments| times_of(moments, true));
    let strides = [0, 1].map(|side| strides_in_turn(&contacts, side, gait, &is_unseen));
    let is_kept = |side: usize, contact: f64| {
        let ends = strides[side].iter().flat_map(|stride| stride.secs);
        let between = strides[1 - side].iter().filter_map(|stride| stride.other);
        ends.chain(between).any(|time| time == contact)
    };
    let durations = strides.iter().flatten();
    let durations = durations.map(|stride| stride.secs[1] - stride.secs[0]);
    let stride_secs = series::median(durations.collect()).unwrap_or_default();
    [0, 1].map(|side: usize| {
        let kept = contacts[side].iter().copied();
        let kept: Vec<f64> = kept.filter(|time| is_kept(side, *time)).collect();
        let toe_offs = toe_offs_between(&kept, &times_of(&moments[side], false), stride_secs);
        let moment = |is_contact: bool| {
            move |time_secs: f64| Moment {
                is_contact,
                time_secs,
            }
        };
        let contacts = kept.into_iter().map(moment(true));
        sorted(contacts.chain(toe_offs.into_iter().map(moment(false))))
    })
}

fn times_of(moments: &[Moment], is_contact: bool) -> Vec<f64> {
    let wanted = moments.iter().filter(|m| m.is_contact == is_contact);
    wanted.map(|moment| moment.time_secs).collect()
}

/// Two contacts of a foot, and the one of the other foot between them, where that is seen.
struct Turns {
    secs: [f64; 2],
    other: Option<f64>,
}

/// Strides of a side in which the feet take turns, or the other foot is not seen.
fn strides_in_turn(
    contacts: &[Vec<f64>; 2],
    side: usize,
    gait: Gait,
    is_unseen: &impl Fn(usize, [f64; 2]) -> bool,
) -> Vec<Turns> {
    let pairs = contacts[side].windows(2).map(|pair| [pair[0], pair[1]]);
    let strides = pairs.filter(|[start, end]| stride_secs(gait).contains(&(end - start)));
    let in_turn = strides.filter_map(|secs @ [start, end]| {
        let others = contacts[1 - side].iter();
        let mut inside = others.filter(|time| **time > start && **time < end);
        match (inside.next(), inside.next()) {
            (Some(other), None) => {
                let part = (other - start) / (end - start);
                let other = Some(*other);
                OTHER_CONTACT_PART
                    .contains(&part)
                    .then_some(Turns { secs, other })
            }
            (None, _) => is_unseen(1 - side, secs).then_some(Turns { secs, other: None }),
            _ => None,
        }
    });
    let in_turn: Vec<Turns> = in_turn.collect();
    let is_in_a_row = |i: usize| {
        let goes_on = |first: &Turns, next: &Turns| first.secs[1] == next.secs[0];
        (i > 0 && goes_on(&in_turn[i - 1], &in_turn[i]))
            || (i + 1 < in_turn.len() && goes_on(&in_turn[i], &in_turn[i + 1]))
    };
    let kept: Vec<bool> = (0..in_turn.len())
        .map(|i| in_turn[i].other.is_some() || is_in_a_row(i))
        .collect();
    let kept = in_turn
        .into_iter()
        .zip(kept)
        .filter(|(_, is_kept)| *is_kept);
    kept.map(|(stride, _)| stride).collect()
}

/// Toe-offs of a foot that are the only ones between its contacts; where contacts lie farther apart than
/// `MISSED_FACTOR` strides, those within a stride of either.
fn toe_offs_between(contacts: &[f64], toe_offs: &[f64], stride_secs: f64) -> Vec<f64> {
    let mut spans: Vec<[f64; 2]> = Vec::new();
    spans.extend(contacts.first().map(|first| [first - stride_secs, *first]));
    for pair in contacts.windows(2) {
        match pair[1] - pair[0] <= MISSED_FACTOR * stride_secs {
            true => spans.push([pair[0], pair[1]]),
            false => spans.extend([
                [pair[0], pair[0] + stride_secs],
                [pair[1] - stride_secs, pair[1]],
            ]),
        }
    }
    spans.extend(contacts.last().map(|last| [*last, last + stride_secs]));
    let mut found: Vec<f64> = (spans.into_iter())
        .filter_map(|[from, to]| {
            let mut inside = toe_offs.iter().filter(|time| **time > from && **time < to);
            let only = inside.next()?;
            inside.next().is_none().then_some(*only)
        })
        .collect();
    found.dedup();
    found
}

/// What strides are made of.
struct Strides<'a> {
    track: &'a Track,
    signals: &'a Signals,
    moments: &'a [Vec<Moment>; 2],
    events: &'a [Event],
    gait: Gait,
    method: GaitMethod,
    /// `None` on a treadmill too.
    meters_per_leg: Option<f64>,
    usual_leg_px: Option<f64>,
}

impl Strides<'_> {
    fn cycles(&self) -> Vec<Cycle> {
        let contacts = self.moments.each_ref().map(|m| times_of(m, true));
        let is_unseen = |side, secs| self.signals.is_unseen(side, secs);
        let strides: Vec<(Side, [f64; 2])> = (Side::ALL.into_iter())
            .flat_map(|side| {
                let strides =
                    strides_in_turn(&contacts, side as usize, self.gait, &is_unseen).into_iter();
                strides.map(move |stride| (side, stride.secs))
            })
            .collect();
        let durations = strides
            .iter()
            .map(|(_, [start, end])| end - start)
            .collect();
        let longest_secs = MISSED_FACTOR * series::median(durations).unwrap_or_default();
        let mut cycles: Vec<Cycle> = (strides.into_iter())
            .filter(|(_, [start, end])| end - start <= longest_secs && self.is_seen(*start, *end))
            .map(|(side, secs)| self.cycle(side, secs))
            .collect();
        cycles.sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
        cycles
    }

    /// Whether the person is in side view all the time and faces the same way.
    fn is_seen(&self, start_secs: f64, end_secs: f64) -> bool {
        let times = &self.signals.times_secs;
        let start = times.partition_point(|time| *time < start_secs);
        let end = times.partition_point(|time| *time <= end_secs);
        let facing = &self.signals.facing[start..end];
        facing.iter().all(|one| one.is_some() && *one == facing[0])
    }

    /// Whether the person is as large in the picture as the scale takes them to be, at both ends of a stride.
    fn is_in_scale(&self, stride: &Cycle) -> bool {
        let size = |secs: f64| {
            let frames = &self.track.frames;
            let from = frames.partition_point(|frame| frame.time_secs < secs - SIZE_SECS);
            let to = frames.partition_point(|frame| frame.time_secs <= secs + SIZE_SECS);
            let legs_px = frames[from..to].iter();
            series::median(legs_px.filter_map(TrackFrame::leg_length_px).collect())
        };
        let sizes = (size(stride.start_secs), size(stride.end_secs));
        let ((Some(start), Some(end)), Some(usual)) = (sizes, self.usual_leg_px) else {
            return true;
        };
        let is_usual = |size: f64| (size / usual - 1.0).abs() <= MAX_SIZE_OFF;
        is_usual(start) && is_usual(end) && (end / start - 1.0).abs() <= MAX_SIZE_CHANGE
    }

    fn cycle(&self, side: Side, [start, end]: [f64; 2]) -> Cycle {
        let (track, signals) = (self.track, self.signals);
        let only = |side: Side, is_contact: bool| -> Option<f64> {
            let mut inside = self.moments[side as usize].iter().filter(|moment| {
                moment.is_contact == is_contact
                    && moment.time_secs > start
                    && moment.time_secs < end
            });
            let one = inside.next()?.time_secs;
            inside.next().is_none().then_some(one)
        };
        let toe_off = only(side, false);
        let (other_contact, other_toe_off) = (only(side.other(), true), only(side.other(), false));
        let positive = |secs: f64| (secs >= 0.0).then_some(secs);
        let double_support_secs = || {
            let first = positive(other_toe_off? - start)?;
            Some(first + positive(toe_off? - other_contact?)?)
        };
        let flight_secs = || {
            let first = positive(other_contact? - toe_off?)?;
            Some(first + positive(end - other_toe_off?)?)
        };
        let stride_length_m = || {
            let hips = |time| series::value_at(&signals.times_secs, &signals.hips_right, time);
            Some((hips(end)? - hips(start)?).abs() * self.meters_per_leg?)
        };
        let stride_length_m = stride_length_m();
        let confidence = (self.events.iter())
            .filter(|event| event.side == Some(side))
            .filter(|event| event.time_secs == start || event.time_secs == end)
            .filter_map(|event| event.confidence)
            .min_by(f64::total_cmp);
        let (kind, double_support_secs, flight_secs) = match self.gait {
            Gait::Walking => (CycleKind::Walk, double_support_secs(), None),
            Gait::Running => (CycleKind::Run, None, flight_secs()),
        };
        let frames = [track.frame_at(start), track.frame_at(end)];
        Cycle {
            confidence,
            step_secs: other_contact.map(|contact| end - contact),
            stance_secs: toe_off.map(|toe_off| toe_off - start),
            swing_secs: toe_off.map(|toe_off| end - toe_off),
            double_support_secs,
            flight_secs,
            stride_length_m,
            speed_m_per_sec: stride_length_m.map(|length| length / (end - start)),
            ..Cycle::new(kind, Some(side), self.method.name(), frames, [start, end])
        }
    }
}
