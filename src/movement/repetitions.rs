//! Repetitions of a joint angle: squats, lunges, curls, sitting down and standing up.
//!
//! A repetition goes from the angle at rest to another one and back: a squat from a large angle to a small
//! one, a raise of the arms or standing up from a chair from a small angle to a large one. Which of both it
//! is, the path tells: the way whose repetitions are alike is taken; where both are so or neither, the one with
//! more whole repetitions, or else the one from the large angle. Who does something five times comes back to
//! rest five times, so that the other way has four.
//!
//! The depth is the way between the turning point and the nearer one of both angles at rest; a repetition
//! begins and ends where the angle is a tenth of the depth away from its value at rest, so that pauses
//! between repetitions do not count; it is held from the first to the last time that the angle is within a
//! tenth of the depth of the turning point. What begins before the video or ends behind it is none.
//!
//! Without a question for one angle, an exercise is looked for: three repetitions that follow each other
//! soon are alike in depth and time, or two of 60 degrees at least. Legs that bend by turns, as fast as who
//! goes, make steps (also where the view does not tell their contacts), and no exercise; nor does a leg
//! that bends within a second while the other one is not seen. What the arms do meanwhile is their swing,
//! unless it is more than a right angle: legs that land together seem to bend by turns, too.
//!
//! Confidence: the part of the frames around the turning point in which the joint's three landmarks
//! were measured.

use super::cycles::{Cycle, CycleKind};
use super::events::{Event, EventKind, Side};
use super::search::{DetectConfig, Movement};
use super::series::{self, Turn};
use super::track::Track;
use crate::metrics::{JOINT_ANGLES, JointAngle};

/// Angles of which one is taken where none is asked for: those of exercises.
const CANDIDATES: [&str; 8] = [
    "left_knee_deg",
    "right_knee_deg",
    "left_hip_deg",
    "right_hip_deg",
    "left_elbow_deg",
    "right_elbow_deg",
    "left_shoulder_deg",
    "right_shoulder_deg",
];
/// A repetition moves an angle by at least so much, degrees; half of it is a tremble.
const MIN_DEPTH_DEG: f64 = 30.0;
/// Part of the angle's whole spread that a repetition goes through at least.
const MIN_DEPTH_PART: f64 = 0.4;
/// Of two alike repetitions the smaller one has at least so much of the larger one's depth, and the shorter
/// one of the longer one's time.
const ALIKE_PART: f64 = 0.55;
/// Two repetitions of this depth make an exercise, of smaller ones there have to be three, degrees.
const LARGE_DEPTH_DEG: f64 = 60.0;
/// The pause between them is at most so many times as long as the longer one.
const MAX_PAUSE_PART: f64 = 5.0;
/// What the video's edge leaves of a repetition's way at least, by the way on its other side: else it was cut.
const UNCUT_PART: f64 = 0.75;
/// Part of a knee's whole spread that it bends by in a step.
const STEP_DEPTH_PART: f64 = 0.5;
/// From a bend of a knee to its next one, of who goes.
const MAX_STRIDE_SECS: f64 = 2.0;
/// Where between them the other knee is bent.
const OTHER_KNEE_PART: std::ops::RangeInclusive<f64> = 0.2..=0.8;
/// A leg that bends and stretches within so short a time may be a runner's where its other one is not seen.
const MAX_QUICK_BEND_SECS: f64 = 1.0;
/// Arms of who walks or runs swing by less than this at the shoulder, degrees.
const MAX_ARM_SWING_DEG: f64 = 90.0;
/// Part of the frames in which the other one is measured, else it is not seen.
const SEEN_PART: f64 = 0.5;
/// Part of the depth that counts as still up, or as held down.
const EDGE_PART: f64 = 0.1;
/// Repetitions last so long, in seconds.
const REPETITION_SECS: std::ops::RangeInclusive<f64> = 0.3..=20.0;

/// Names of the angles whose repetitions can be counted.
pub fn angles() -> impl Iterator<Item = &'static str> {
    JOINT_ANGLES.iter().map(|joint| joint.column)
}

/// Finds repetitions in the tracks of one person, of the angle that is asked for, or of the one that moves
/// most in all of them together; who goes (stretches of seconds of each track in `walking`) repeats nothing.
pub fn detect(
    tracks: &[Track],
    config: &DetectConfig,
    walking: &[Vec<(f64, f64)>],
) -> Vec<Movement> {
    if let Some(column) = &config.angle {
        return of_column(tracks, column, walking);
    }
    let stepping: Vec<Vec<(f64, f64)>> = (tracks.iter().zip(walking))
        .map(|(track, walking)| {
            let alone = Side::ALL.map(|side| quick_bends_alone(track, side));
            [&walking[..], &steps_of_knees(track), &alone.concat()].concat()
        })
        .collect();
    let way = |movements: &[Movement]| -> f64 {
        let cycles = movements.iter().flat_map(|movement| &movement.cycles);
        cycles.map(depth_deg).sum()
    };
    let exercises = (CANDIDATES.into_iter()).map(|column| of_column(tracks, column, &stepping));
    exercises
        .filter(|movements| movements.iter().any(is_exercise))
        .max_by(|a, b| way(a).total_cmp(&way(b)))
        .unwrap_or_else(|| vec![Movement::default(); tracks.len()])
}

/// Repetitions of an angle in all tracks, counted from where it rests.
fn of_column(tracks: &[Track], column: &str, walking: &[Vec<(f64, f64)>]) -> Vec<Movement> {
    let Some(index) = (JOINT_ANGLES.iter()).position(|joint| joint.column == column) else {
        return vec![Movement::default(); tracks.len()];
    };
    let of_rest = |rest: Rest| -> Vec<Movement> {
        let parts = tracks.iter().zip(walking);
        parts
            .map(|(track, walking)| of_angle(track, index, rest, walking))
            .collect()
    };
    let worth = |movements: &[Movement]| -> (bool, usize) {
        let count = movements.iter().map(|movement| movement.cycles.len());
        (movements.iter().any(is_exercise), count.sum())
    };
    let (large, small) = (of_rest(Rest::Large), of_rest(Rest::Small));
    match worth(&small) > worth(&large) {
        true => small,
        false => large,
    }
}

fn depth_deg(cycle: &Cycle) -> f64 {
    cycle.highest_deg.unwrap_or_default() - cycle.lowest_deg.unwrap_or_default()
}

/// Whether repetitions that follow each other are alike: three of them, or two large ones.
fn is_exercise(movement: &Movement) -> bool {
    let is_near = |a: f64, b: f64| a.min(b) >= ALIKE_PART * a.max(b);
    let is_alike = |first: &Cycle, next: &Cycle| {
        let (first_secs, next_secs) = (first.duration_secs(), next.duration_secs());
        let pause_secs = next.start_secs - first.end_secs;
        is_near(depth_deg(first), depth_deg(next))
            && is_near(first_secs, next_secs)
            && pause_secs <= MAX_PAUSE_PART * first_secs.max(next_secs)
    };
    let rows = movement.cycles.chunk_by(is_alike);
    rows.map(|row| (row.len(), row.iter().map(depth_deg).fold(0.0, f64::max)))
        .any(|(count, depth)| count >= 3 || (count == 2 && depth >= LARGE_DEPTH_DEG))
}

fn knee_deg(track: &Track, side: Side) -> Vec<Option<f64>> {
    let frames = track.frames.iter();
    frames
        .map(|frame| frame.joint_angles_deg[side as usize])
        .collect()
}

/// Turning points of a knee that bends as far as in steps.
fn knee_turns(track: &Track, side: Side) -> Vec<Turn> {
    let values = knee_deg(track, side);
    let spread = series::spread(&values).unwrap_or_default();
    let swing = MIN_DEPTH_DEG.max(STEP_DEPTH_PART * spread);
    series::turns(&track.times_secs(), &values, swing)
}

/// Stretches of seconds in which a knee bends and stretches as quickly as a runner's, and the other knee,
/// which would tell, is not seen.
fn quick_bends_alone(track: &Track, side: Side) -> Vec<(f64, f64)> {
    let times = track.times_secs();
    let values = knee_deg(track, side);
    let others = knee_deg(track, side.other());
    let runs = series::runs(&values);
    let turns = knee_turns(track, side);
    let bends = turns.iter().enumerate().filter(|(_, turn)| !turn.is_max);
    let quick = bends.filter_map(|(i, low)| {
        let run = runs.iter().find(|run| run.contains(&low.index))?;
        let (before, after) = series::beside(&turns, i, run);
        let seen = others[before..=after].iter().flatten().count() as f64;
        let is_alone = seen < SEEN_PART * (after + 1 - before) as f64;
        let is_quick = times[after] - times[before] <= MAX_QUICK_BEND_SECS;
        (is_alone && is_quick).then_some((times[before], times[after]))
    });
    quick.collect()
}

/// Stretches of seconds in which the knees bend by turns, as they do in steps.
fn steps_of_knees(track: &Track) -> Vec<(f64, f64)> {
    let bends = |side: Side| -> Vec<(f64, Side)> {
        let turns = knee_turns(track, side).into_iter();
        let lows = turns.filter(|turn| !turn.is_max);
        lows.map(|turn| (turn.time_secs, side)).collect()
    };
    let mut bends = [bends(Side::Left), bends(Side::Right)].concat();
    bends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let strides = bends.windows(3).filter_map(|bends| {
        let [(from, side), (between, other), (to, next)] = [bends[0], bends[1], bends[2]];
        let stride_secs = to - from;
        let is_stride = side == next
            && side != other
            && stride_secs <= MAX_STRIDE_SECS
            && OTHER_KNEE_PART.contains(&((between - from) / stride_secs));
        is_stride.then_some((from - stride_secs / 2.0, to + stride_secs / 2.0))
    });
    strides.collect()
}

fn is_shoulder(joint: &JointAngle) -> bool {
    ["left_shoulder_deg", "right_shoulder_deg"].contains(&joint.column)
}

/// The angle between repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// As in squats and curls.
    Large,
    /// As in raises, and in standing up from a chair.
    Small,
}

impl Rest {
    /// What makes a large angle of the one at rest, and the other way round.
    fn sign(self) -> f64 {
        match self {
            Self::Large => 1.0,
            Self::Small => -1.0,
        }
    }

    /// What the turning point of a repetition is, and what the one between two of them.
    fn events(self) -> [EventKind; 2] {
        match self {
            Self::Large => [EventKind::RepLowest, EventKind::RepHighest],
            Self::Small => [EventKind::RepHighest, EventKind::RepLowest],
        }
    }
}

fn of_angle(track: &Track, index: usize, rest: Rest, walking: &[(f64, f64)]) -> Movement {
    let joint = &JOINT_ANGLES[index];
    let times = track.times_secs();
    // From here on, the angle at rest is the large one.
    let values: Vec<Option<f64>> = (track.frames.iter())
        .map(|frame| Some(rest.sign() * frame.joint_angles_deg[index]?))
        .collect();
    let spread = series::spread(&values).unwrap_or_default();
    let min_swing = MIN_DEPTH_DEG.max(MIN_DEPTH_PART * spread);
    let turns = series::turns(&times, &values, min_swing);
    let runs = series::runs(&values);
    let [turning_point, between] = rest.events();
    let event = |kind: EventKind, turn: &Turn| Event {
        kind,
        side: side(joint),
        frame: track.frame_at(turn.time_secs),
        time_secs: turn.time_secs,
        method: joint.column,
        confidence: Some(track.measured_part(turn.time_secs, &joint.points)),
        value: Some(rest.sign() * turn.value),
        unit: Some("deg"),
    };
    let mut movement = Movement::default();
    for (i, low) in turns.iter().enumerate().filter(|(_, turn)| !turn.is_max) {
        let Some(run) = runs.iter().find(|run| run.contains(&low.index)) else {
            continue;
        };
        // Who begins or ends at rest has no turning point there: the values to the stretch's end count.
        let (before, after) = series::beside(&turns, i, run);
        let Some(way) = Way::new(&times, &values, low, [before, after], run) else {
            continue;
        };
        let is_walk = |(from, to): &(f64, f64)| way.start < *to && way.end > *from;
        let is_swing =
            !is_shoulder(joint) || (way.highest - way.low.value).abs() < MAX_ARM_SWING_DEG;
        let is_step = is_swing && walking.iter().any(is_walk);
        if !REPETITION_SECS.contains(&(way.end - way.start)) || is_step {
            continue;
        }
        movement.events.push(event(turning_point, low));
        movement.cycles.push(way.cycle(track, joint, rest));
    }
    let tops = turns.iter().filter(|turn| turn.is_max);
    let tops = tops.filter(|top| {
        let mut before = movement.cycles.iter();
        let mut after = movement.cycles.iter();
        before.any(|cycle| cycle.end_secs <= top.time_secs + 1e-9)
            && after.any(|cycle| cycle.start_secs >= top.time_secs - 1e-9)
    });
    let tops: Vec<Event> = tops.map(|top| event(between, top)).collect();
    movement.events.extend(tops);
    (movement.events).sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
    movement
}

/// A repetition whose angle at rest is the large one.
struct Way {
    start: f64,
    held_from: f64,
    held_to: f64,
    end: f64,
    low: Turn,
    /// The smaller one of the largest angles before and behind.
    highest: f64,
}

impl Way {
    /// The way around a smallest angle, between the positions of the largest ones or of the first and last
    /// known ones (`bounds`), in a stretch of known values.
    fn new(
        times: &[f64],
        values: &[Option<f64>],
        low: &Turn,
        [before, after]: [usize; 2],
        run: &std::ops::Range<usize>,
    ) -> Option<Self> {
        let value = |i: usize| values[i].unwrap_or_default();
        let highest_of = |range: std::ops::RangeInclusive<usize>| {
            range.map(value).fold(f64::NEG_INFINITY, f64::max)
        };
        let high_before = highest_of(before..=low.index);
        let high_after = highest_of(low.index..=after);
        let highest = high_before.min(high_after);
        let depth = highest - low.value;
        let is_at_edge = match high_before < high_after {
            true => before == run.start,
            false => after + 1 == run.end,
        };
        let is_cut = is_at_edge && depth < UNCUT_PART * (high_before.max(high_after) - low.value);
        if depth < MIN_DEPTH_DEG || is_cut {
            return None;
        }
        let crossing = |i: usize, level: f64| {
            // Between i, at or above the level, and i + 1, below it, or the other way round.
            let (y0, y1) = (value(i), value(i + 1));
            let part = if y1 == y0 {
                0.0
            } else {
                (level - y0) / (y1 - y0)
            };
            times[i] + part.clamp(0.0, 1.0) * (times[i + 1] - times[i])
        };
        let up = highest - EDGE_PART * depth;
        let down = low.value + EDGE_PART * depth;
        let first = (before..low.index).rev().find(|i| value(*i) >= up)?;
        let last = (low.index + 1..=after).find(|i| value(*i) >= up)?;
        // A tremble in between does not end what is held.
        let falls = |i: &usize| value(*i) >= down && value(i + 1) < down;
        let rises = |i: &usize| value(*i) < down && value(i + 1) >= down;
        Some(Self {
            start: crossing(first, up),
            held_from: crossing((first..low.index).find(falls)?, down),
            held_to: crossing((low.index..last).rev().find(rises)?, down),
            end: crossing(last - 1, up),
            low: *low,
            highest,
        })
    }

    fn cycle(&self, track: &Track, joint: &'static JointAngle, rest: Rest) -> Cycle {
        let (turn_deg, rest_deg) = (rest.sign() * self.low.value, rest.sign() * self.highest);
        let (there_secs, back_secs) = (self.held_from - self.start, self.end - self.held_to);
        let (lowering_secs, raising_secs) = match rest {
            Rest::Large => (there_secs, back_secs),
            Rest::Small => (back_secs, there_secs),
        };
        let frames = [track.frame_at(self.start), track.frame_at(self.end)];
        let secs = [self.start, self.end];
        Cycle {
            confidence: Some(track.measured_part(self.low.time_secs, &joint.points)),
            lowest_deg: Some(turn_deg.min(rest_deg)),
            highest_deg: Some(turn_deg.max(rest_deg)),
            lowering_secs: Some(lowering_secs),
            hold_secs: Some(self.held_to - self.held_from),
            raising_secs: Some(raising_secs),
            ..Cycle::new(
                CycleKind::Repetition,
                side(joint),
                joint.column,
                frames,
                secs,
            )
        }
    }
}

fn side(joint: &JointAngle) -> Option<Side> {
    let is_of = |side: &Side| joint.column.starts_with(side.name());
    Side::ALL.into_iter().find(is_of)
}
