//! What a movement means: contacts of the feet, strides, flights and jumps, repetitions of an angle.
//!
//! Pure functions over one person's filtered path: no I/O, and nothing here knows where rows come
//! from. A path is a [`Track`]: consecutive frames without a pause or a jump of the person in
//! between. Times are interpolated between frames, because at 30 pictures a second half a frame is
//! 3 % of a step.
//!
//! What the view does not carry is not guessed: contacts are told in side view only, from feet that
//! are seen. A value that cannot be told is `None`, never 0.

pub mod calibration;
pub mod cycles;
pub mod events;
pub mod gait;
pub mod jumps;
pub mod repetitions;
mod search;
pub mod series;
pub mod swaps;
#[cfg(test)]
mod synthetic;
pub mod track;

pub use calibration::FloorAngle;
pub use cycles::{Cycle, CycleKind};
pub use events::{Event, EventKind, Side};
pub use search::{DetectConfig, Gait, GaitMethod, Movement};
pub use track::{Track, TrackFrame};

/// Finds everything in a track.
pub fn detect(track: &Track, config: &DetectConfig) -> Movement {
    let (level, floor_angle_deg) = calibration::level(track, config.floor);
    let mut movement = gait::detect(&level, config);
    // The steps before and behind belong to it, too.
    let around = |cycle: &Cycle| {
        let secs = cycle.duration_secs();
        (cycle.start_secs - secs, cycle.end_secs + secs)
    };
    let is_run = |cycle: &&Cycle| cycle.kind == CycleKind::Run;
    let running: Vec<_> = movement.cycles.iter().filter(is_run).map(around).collect();
    let walking: Vec<_> = movement.cycles.iter().map(around).collect();
    for part in [
        jumps::detect(&level, config, &running),
        repetitions::detect(&level, config, &walking),
    ] {
        movement.events.extend(part.events);
        movement.cycles.extend(part.cycles);
    }
    (movement.events).sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
    (movement.cycles).sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
    movement.floor_angle_deg = floor_angle_deg;
    movement
}
