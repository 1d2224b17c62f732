//! Repetitions of a joint angle: squats, lunges, curls, sitting down and standing up.
//!
//! A repetition goes from a large angle to a small one and back. Its depth is the way between the
//! smaller one of both large angles and the small one; it begins and ends where the angle is a tenth
//! of the depth below its large value, so that pauses between repetitions do not count; it is held
//! from the first to the last time that the angle is within a tenth of the depth of the smallest value.
//! Whoever counts curls from
//! below sees the same.
//!
//! Confidence: the part of the frames around the smallest angle in which the joint's three landmarks
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
/// Repetitions that make an exercise where no angle was asked for.
const MIN_COUNT: usize = 2;
/// Part of the depth that counts as still up, or as held down.
const EDGE_PART: f64 = 0.1;
/// Repetitions last so long, in seconds.
const REPETITION_SECS: std::ops::RangeInclusive<f64> = 0.3..=20.0;

/// Names of the angles whose repetitions can be counted.
pub fn angles() -> impl Iterator<Item = &'static str> {
    JOINT_ANGLES.iter().map(|joint| joint.column)
}

/// Finds repetitions in the tracks of one person, of the angle that is asked for, or of the one that moves
/// most in all of them together; legs that walk (stretches of seconds of each track in `walking`) repeat
/// nothing.
pub fn detect(
    tracks: &[Track],
    config: &DetectConfig,
    walking: &[Vec<(f64, f64)>],
) -> Vec<Movement> {
    let found = |column: &str| -> Vec<Movement> {
        let index = (JOINT_ANGLES.iter()).position(|joint| joint.column == column);
        let of_track = |(track, walking): (&Track, &Vec<(f64, f64)>)| {
            index.map_or_else(Movement::default, |index| of_angle(track, index, walking))
        };
        tracks.iter().zip(walking).map(of_track).collect()
    };
    if let Some(column) = &config.angle {
        return found(column);
    }
    let cycles = |movements: &[Movement]| -> Vec<[f64; 2]> {
        let ends =
            |cycle: &Cycle| [cycle.lowest_deg, cycle.highest_deg].map(Option::unwrap_or_default);
        let cycles = movements.iter().flat_map(|movement| &movement.cycles);
        cycles.map(ends).collect()
    };
    let way = |movements: &[Movement]| -> f64 {
        (cycles(movements).iter())
            .map(|[lowest, highest]| highest - lowest)
            .sum()
    };
    let exercises = CANDIDATES.into_iter().map(found);
    let exercises = exercises.filter(|movements| cycles(movements).len() >= MIN_COUNT);
    exercises
        .max_by(|a, b| way(a).total_cmp(&way(b)))
        .unwrap_or_else(|| vec![Movement::default(); tracks.len()])
}

fn of_angle(track: &Track, index: usize, walking: &[(f64, f64)]) -> Movement {
    let joint = &JOINT_ANGLES[index];
    let times = track.times_secs();
    let values: Vec<Option<f64>> = (track.frames.iter())
        .map(|frame| frame.joint_angles_deg[index])
        .collect();
    let spread = series::spread(&values).unwrap_or_default();
    let min_swing = MIN_DEPTH_DEG.max(MIN_DEPTH_PART * spread);
    let turns = series::turns(&times, &values, min_swing);
    let runs = series::runs(&values);
    let mut movement = Movement::default();
    for (i, low) in turns.iter().enumerate().filter(|(_, turn)| !turn.is_max) {
        let Some(run) = runs.iter().find(|run| run.contains(&low.index)) else {
            continue;
        };
        // Who begins or ends large has no turning point there: the values to the stretch's end count.
        let (before, after) = series::beside(&turns, i, run);
        let bounds = Bounds { before, after };
        let Some(cycle) = repetition(track, joint, &times, &values, low, &bounds) else {
            continue;
        };
        let is_walk = |(from, to): &(f64, f64)| cycle.start_secs < *to && cycle.end_secs > *from;
        if !REPETITION_SECS.contains(&cycle.duration_secs()) || walking.iter().any(is_walk) {
            continue;
        }
        movement
            .events
            .push(event(track, joint, EventKind::RepLowest, low));
        movement.cycles.push(cycle);
    }
    let tops = turns.iter().filter(|turn| turn.is_max);
    let between = tops.filter(|top| {
        let cycles = &movement.cycles;
        cycles
            .iter()
            .any(|cycle| cycle.end_secs <= top.time_secs + 1e-9)
            && cycles
                .iter()
                .any(|cycle| cycle.start_secs >= top.time_secs - 1e-9)
    });
    let between: Vec<Event> = between
        .map(|top| event(track, joint, EventKind::RepHighest, top))
        .collect();
    movement.events.extend(between);
    (movement.events).sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
    movement
}

/// Positions of the largest angles around a repetition, or of the first and last known ones.
struct Bounds {
    before: usize,
    after: usize,
}

fn repetition(
    track: &Track,
    joint: &'static JointAngle,
    times: &[f64],
    values: &[Option<f64>],
    low: &Turn,
    bounds: &Bounds,
) -> Option<Cycle> {
    let value = |i: usize| values[i].unwrap_or_default();
    let highest_of =
        |range: std::ops::RangeInclusive<usize>| range.map(value).fold(f64::NEG_INFINITY, f64::max);
    let high_before = highest_of(bounds.before..=low.index);
    let high_after = highest_of(low.index..=bounds.after);
    let highest_deg = high_before.min(high_after);
    let depth = highest_deg - low.value;
    if depth < MIN_DEPTH_DEG {
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
    let up = highest_deg - EDGE_PART * depth;
    let down = low.value + EDGE_PART * depth;
    let first = (bounds.before..low.index).rev().find(|i| value(*i) >= up)?;
    let last = (low.index + 1..=bounds.after).find(|i| value(*i) >= up)?;
    let (start, end) = (crossing(first, up), crossing(last - 1, up));
    // A tremble in between does not end what is held.
    let falls = |i: &usize| value(*i) >= down && value(i + 1) < down;
    let rises = |i: &usize| value(*i) < down && value(i + 1) >= down;
    let held_from = crossing((first..low.index).find(falls)?, down);
    let held_to = crossing((low.index..last).rev().find(rises)?, down);
    let frames = [track.frame_at(start), track.frame_at(end)];
    Some(Cycle {
        confidence: Some(track.measured_part(low.time_secs, &joint.points)),
        lowest_deg: Some(low.value),
        highest_deg: Some(highest_deg),
        lowering_secs: Some(held_from - start),
        hold_secs: Some(held_to - held_from),
        raising_secs: Some(end - held_to),
        ..Cycle::new(
            CycleKind::Repetition,
            side(joint),
            joint.column,
            frames,
            [start, end],
        )
    })
}

fn event(track: &Track, joint: &'static JointAngle, kind: EventKind, turn: &Turn) -> Event {
    Event {
        kind,
        side: side(joint),
        frame: track.frame_at(turn.time_secs),
        time_secs: turn.time_secs,
        method: joint.column,
        confidence: Some(track.measured_part(turn.time_secs, &joint.points)),
        value: Some(turn.value),
        unit: Some("deg"),
    }
}

fn side(joint: &JointAngle) -> Option<Side> {
    let is_of = |side: &Side| joint.column.starts_with(side.name());
    Side::ALL.into_iter().find(is_of)
}
