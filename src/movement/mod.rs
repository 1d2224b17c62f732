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
mod contacts;
pub mod crossings;
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

/// Finds everything in the tracks of one person, in their order.
pub fn detect(tracks: &[Track], config: &DetectConfig) -> Vec<Movement> {
    let level = tracks
        .iter()
        .map(|track| calibration::level(track, config.floor));
    let (level, floor_angles): (Vec<Track>, Vec<_>) = level.unzip();
    // A scale is that of all of the person's frames together.
    let frames = level.iter().flat_map(|track| &track.frames);
    let legs_px = frames.filter_map(TrackFrame::leg_length_px).collect();
    let usual_leg_px = series::median(legs_px);
    let mut movements: Vec<Movement> = (level.iter())
        .map(|track| gait::detect(track, config, usual_leg_px))
        .collect();
    let repetitions = {
        let steps = movements
            .iter()
            .map(|movement| around_steps(movement, |_| true));
        let walking: Vec<_> = steps.collect();
        repetitions::detect(&level, config, &walking)
    };
    let parts = level.iter().zip(floor_angles).zip(repetitions);
    for (movement, ((track, floor_angle_deg), repetitions)) in movements.iter_mut().zip(parts) {
        let running = around_steps(movement, |kind| kind == CycleKind::Run);
        for part in [jumps::detect(track, config, &running), repetitions] {
            movement.events.extend(part.events);
            movement.cycles.extend(part.cycles);
        }
        (movement.events).sort_by(|a, b| a.time_secs.total_cmp(&b.time_secs));
        (movement.cycles).sort_by(|a, b| a.start_secs.total_cmp(&b.start_secs));
        movement.floor_angle_deg = floor_angle_deg;
    }
    movements
}

/// Seconds in which somebody goes; the steps before and behind strides belong to it, too.
fn around_steps(movement: &Movement, is_wanted: impl Fn(CycleKind) -> bool) -> Vec<(f64, f64)> {
    let strides = movement.cycles.iter().filter(|cycle| is_wanted(cycle.kind));
    let around = |cycle: &Cycle| {
        let secs = cycle.duration_secs();
        (cycle.start_secs - secs, cycle.end_secs + secs)
    };
    strides.map(around).collect()
}
