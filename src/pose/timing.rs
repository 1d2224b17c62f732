//! How long a landmark model takes.

use std::time::{Duration, Instant};

use super::landmarker::LANDMARK_INPUT_SIDE;
use super::{LandmarkModel, ModelFiles, PoseError};

/// Runs before the first that counts: memory is found, caches are filled.
const WARM_UP_RUNS: usize = 5;
/// Runs that count, at least.
const MIN_RUNS: usize = 15;
/// ...and so long at least, so that a machine with other work is seen in quieter moments too.
const MIN_TIME: Duration = Duration::from_millis(700);

/// Measures a run of the landmark model on a grey picture, with `threads` threads: the quarter of the
/// runs that were fastest took as long or less. Other work on the machine makes runs longer, and
/// none shorter.
///
/// # Errors
/// When the model cannot be loaded or run.
pub fn landmark_run_time(files: &ModelFiles, threads: usize) -> Result<Duration, PoseError> {
    let mut model = LandmarkModel::load(files, threads)?;
    let picture = vec![0.5; 3 * LANDMARK_INPUT_SIDE * LANDMARK_INPUT_SIDE];
    for _ in 0..WARM_UP_RUNS {
        model.run(&picture[..], |_| ())?;
    }
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < MIN_RUNS || started.elapsed() < MIN_TIME {
        let run = Instant::now();
        model.run(&picture[..], |_| ())?;
        times.push(run.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 4])
}
