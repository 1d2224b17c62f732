//! When pictures were taken: pauses, the stretches between them, and their rates.
//!
//! A recording that was paused, or a camera that waits for motion, leaves frames out for seconds or
//! minutes. A mean rate over the whole video then says nothing, nobody knows the way that a landmark
//! took meanwhile, and a displacement over the pause is no speed. So a video falls into stretches,
//! each with a rate of its own, and nothing is computed across their borders.
//!
//! A step from frame to frame is a pause when it is longer than [`PAUSE_STEPS`] times what is usual
//! around it (the median of the [`NEIGHBOURS`] steps before, or of those after it if that is
//! longer) and longer than [`MIN_PAUSE_SECS`]. What is usual around it decides, so that a rate that
//! jitters (29 to 31 frames a second) or changes for good is no row of pauses, nor is a time lapse.
//! A clock that goes back by as much begins a new stretch as well; smaller steps back are pictures
//! out of order.
//!
//! A step below [`MIN_STEP`] of what is usual repeats a time: where times have to ascend (MP4,
//! transport streams), writers let a picture too many follow by one tick.

use std::ops::Range;

/// Recorders drop one, two or three frames when they are busy; with more missing, the landmarks'
/// way between the two frames is unknown.
const PAUSE_STEPS: f64 = 5.0;
/// What lasts less hides no movement: people's movements are filtered with cut-offs around 6 Hz,
/// whose period is longer. It matters at rates above 50 Hz only.
const MIN_PAUSE_SECS: f64 = 0.1;
/// While nothing is usual yet, a step is a pause from here on: a stride takes about a second, and
/// after it the body looks as before.
const LONE_PAUSE_SECS: f64 = 1.0;
/// Steps that make up what is usual.
const NEIGHBOURS: usize = 9;
/// Cameras that change from 30 to 480 pictures a second in mid-recording make steps of a sixteenth.
pub(super) const MIN_STEP: f64 = 1.0 / 20.0;
/// Times are sums of rounded steps: five times as long is not longer than that.
const ROUNDING: f64 = 1.0 + 1e-6;

/// Frame times may be off an even spacing by this part of a frame.
const MAX_JITTER_FRAMES: f64 = 0.25;

fn is_pause(step_secs: f64, usual_secs: Option<f64>) -> bool {
    let longest_secs = usual_secs.map_or(LONE_PAUSE_SECS, |usual_secs| {
        (PAUSE_STEPS * usual_secs).max(MIN_PAUSE_SECS)
    });
    step_secs.abs() > longest_secs * ROUNDING
}

/// The median of the steps in which time passes, at most [`NEIGHBOURS`]; the upper of two middle
/// ones.
fn usual(steps_secs: impl Iterator<Item = f64>) -> Option<f64> {
    ranked(steps_secs, |count| count / 2)
}

/// What a step is compared with that may repeat a time: the upper quartile, as half of the steps
/// before it may repeat times themselves.
fn usual_between_pictures(steps_secs: impl Iterator<Item = f64>) -> Option<f64> {
    ranked(steps_secs, |count| (3 * count).div_ceil(4) - 1)
}

/// The step in a place, by length, of those in which time passes.
fn ranked(
    steps_secs: impl Iterator<Item = f64>,
    place: impl FnOnce(usize) -> usize,
) -> Option<f64> {
    let mut steps = [0.0; NEIGHBOURS];
    let mut count = 0;
    for (slot, step) in steps.iter_mut().zip(steps_secs.filter(|step| *step > 0.0)) {
        *slot = step;
        count += 1;
    }
    let steps = &mut steps[..count];
    (count > 0).then(|| *steps.select_nth_unstable_by(place(count), f64::total_cmp).1)
}

/// Frames that were taken without a pause.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Positions in the video, the first included, the last not.
    pub frames: Range<usize>,
    /// Mean rate; `None` for a single frame, or when no time passes.
    pub rate_hz: Option<f64>,
}

/// The stretches of a video whose frames have these times, in their order.
pub fn stretches(times_secs: &[f64]) -> Vec<Stretch> {
    let steps: Vec<f64> = times_secs
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    let mut starts = vec![0];
    for (i, step) in steps.iter().enumerate() {
        let before = &steps[i.saturating_sub(NEIGHBOURS)..i];
        let after = &steps[i + 1..(i + 1 + NEIGHBOURS).min(steps.len())];
        let [before, after] = [before, after].map(|steps| usual(steps.iter().copied()));
        let usual = match (before, after) {
            (Some(before), Some(after)) => Some(before.max(after)),
            (before, after) => before.or(after),
        };
        if is_pause(*step, usual) {
            starts.push(i + 1);
        }
    }
    let ends = starts.iter().copied().skip(1).chain([times_secs.len()]);
    let ranges = starts.iter().copied().zip(ends);
    ranges
        .filter(|(start, end)| start < end)
        .map(|(start, end)| Stretch {
            frames: start..end,
            rate_hz: mean_rate_hz(&times_secs[start..end]),
        })
        .collect()
}

/// Mean rate of frames that were taken without a pause; pictures that repeat a time, or are out of
/// order, do not count. `None` when no time passes.
pub fn mean_rate_hz(times_secs: &[f64]) -> Option<f64> {
    let first_secs = *times_secs.first()?;
    let count = |min_step_secs: f64| {
        let mut latest_secs = first_secs;
        let mut steps = 0_u64;
        for time_secs in times_secs {
            let step_secs = time_secs - latest_secs;
            if step_secs > 0.0 {
                latest_secs = *time_secs;
                steps += u64::from(step_secs >= min_step_secs);
            }
        }
        (steps as f64, latest_secs - first_secs)
    };
    let (steps, secs) = count(0.0);
    if steps == 0.0 {
        return None;
    }
    let (steps, secs) = count(MIN_STEP * secs / steps);
    Some(steps / secs)
}

/// Whether frames are evenly spaced, but for the rounding of their times.
pub fn is_even(times_secs: &[f64], rate_hz: f64) -> bool {
    let frames_off = |(i, time): (usize, &f64)| ((time - times_secs[0]) * rate_hz - i as f64).abs();
    let worst = times_secs.iter().enumerate().map(frames_off);
    worst.fold(0.0, f64::max) <= MAX_JITTER_FRAMES
}

/// Rate at which pictures were taken, over all stretches together; `None` when no time passes.
pub fn rate_between_pauses_hz(times_secs: &[f64]) -> Option<f64> {
    let mut clock = FrameClock::default();
    for time_secs in times_secs {
        clock.advance(*time_secs);
    }
    clock.rate_hz()
}

/// What lies between a frame and the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Passage {
    /// 0 for the first frame; not above 0 where a picture repeats a time or is out of order.
    pub elapsed_secs: f64,
    /// So much longer than the steps around it that nothing is known of what happened meanwhile.
    pub is_pause: bool,
    /// No time passed, or none to speak of.
    pub is_repeat: bool,
}

impl Passage {
    /// Whether what moved meanwhile has a speed.
    pub fn is_step(self) -> bool {
        !self.is_pause && !self.is_repeat
    }
}

/// The clock of a video that is read frame by frame: it knows the steps before, not those to come,
/// so that a rate that falls to less than a fifth for good counts as a few pauses at first.
#[derive(Clone, Debug, Default)]
pub struct FrameClock {
    /// The latest steps, the newest at `count - 1` modulo their number.
    steps_secs: [f64; NEIGHBOURS],
    count: usize,
    last_secs: Option<f64>,
    /// First and latest time of the stretch.
    start_secs: f64,
    latest_secs: f64,
    /// Steps in which time passed, and the time of the stretches before.
    steps: u64,
    before_secs: f64,
    last_step: Passage,
}

impl FrameClock {
    /// To be told the time of each frame.
    pub fn advance(&mut self, time_secs: f64) -> Passage {
        let Some(last_secs) = self.last_secs.replace(time_secs) else {
            (self.start_secs, self.latest_secs) = (time_secs, time_secs);
            return self.last_step;
        };
        let elapsed_secs = time_secs - last_secs;
        let known = &self.steps_secs[..self.count.min(NEIGHBOURS)];
        let is_pause = is_pause(elapsed_secs, usual(known.iter().copied()));
        let between_secs = usual_between_pictures(known.iter().copied());
        let is_repeat = elapsed_secs <= between_secs.map_or(0.0, |secs| MIN_STEP * secs);
        if elapsed_secs > 0.0 {
            self.steps_secs[self.count % NEIGHBOURS] = elapsed_secs;
            self.count += 1;
        }
        if is_pause {
            self.before_secs += self.latest_secs - self.start_secs;
            (self.start_secs, self.latest_secs) = (time_secs, time_secs);
        } else if time_secs > self.latest_secs {
            self.latest_secs = time_secs;
            self.steps += u64::from(!is_repeat);
        }
        self.last_step = Passage {
            elapsed_secs,
            is_pause,
            is_repeat,
        };
        self.last_step
    }

    /// What lies before the latest frame.
    pub fn last_step(&self) -> Passage {
        self.last_step
    }

    /// Frames per second without the pauses; `None` when no time has passed.
    pub fn rate_hz(&self) -> Option<f64> {
        let recorded_secs = self.before_secs + (self.latest_secs - self.start_secs);
        (self.steps > 0).then(|| self.steps as f64 / recorded_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of frames that follow each other in these steps.
    fn times(steps_secs: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut time_secs = 0.0;
        let later = steps_secs.into_iter().map(|step| {
            time_secs += step;
            time_secs
        });
        [0.0].into_iter().chain(later).collect()
    }

    fn even(count: usize, rate_hz: f64) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(1.0 / rate_hz, count)
    }

    fn starts(times_secs: &[f64]) -> Vec<usize> {
        let stretches = stretches(times_secs);
        stretches.iter().map(|s| s.frames.start).collect()
    }

    /// The frames that [`FrameClock`] finds behind a pause.
    fn after_pauses(times_secs: &[f64]) -> Vec<usize> {
        let mut clock = FrameClock::default();
        let pauses = times_secs.iter().map(|time| clock.advance(*time).is_pause);
        let frames = pauses.enumerate().filter(|(_, is_pause)| *is_pause);
        frames.map(|(frame, _)| frame).collect()
    }

    #[test]
    fn a_pause_parts_two_stretches_with_their_own_rates() {
        let steps = even(29, 30.0).chain([20.0]).chain(even(29, 60.0));
        let times = times(steps);
        let stretches = stretches(&times);
        assert_eq!(stretches.len(), 2);
        assert_eq!(stretches[0].frames, 0..30);
        assert_eq!(stretches[1].frames, 30..60);
        for (stretch, rate_hz) in stretches.iter().zip([30.0, 60.0]) {
            let found = stretch.rate_hz.expect("a rate");
            assert!((found - rate_hz).abs() < 1e-9, "{found}");
        }
        assert_eq!(after_pauses(&times), [30]);
        // 58 steps in 29/30 s and 29/60 s.
        let rate = rate_between_pauses_hz(&times).expect("a rate");
        assert!((rate - 40.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn jitter_and_dropped_frames_are_no_pauses() {
        let jitter = (0..300).map(|i| 1.0 / [29.0, 30.0, 31.0, 30.5][i % 4]);
        assert_eq!(starts(&times(jitter)), [0]);
        for dropped in 1..=3 {
            let step = f64::from(dropped + 1) / 30.0;
            let times = times(even(20, 30.0).chain([step]).chain(even(20, 30.0)));
            assert_eq!(starts(&times), [0], "{dropped} frames dropped");
            assert!(after_pauses(&times).is_empty());
        }
        // At 240 Hz, 20 frames are a twelfth of a second.
        let quick = times(even(50, 240.0).chain([20.0 / 240.0]).chain(even(50, 240.0)));
        assert_eq!(starts(&quick), [0]);
        let half = times(even(50, 240.0).chain([0.5]).chain(even(50, 240.0)));
        assert_eq!(starts(&half), [0, 51]);
    }

    #[test]
    fn a_slow_or_changing_rate_is_no_row_of_pauses() {
        let time_lapse = times(even(40, 0.2));
        assert_eq!(starts(&time_lapse), [0]);
        assert_eq!(after_pauses(&time_lapse), [1], "nothing is usual yet");
        let rate = rate_between_pauses_hz(&time_lapse).expect("a rate");
        assert!((rate - 0.2).abs() < 1e-12);
        let slower = times(even(40, 60.0).chain(even(40, 6.0)));
        assert_eq!(starts(&slower), [0]);
        assert_eq!(after_pauses(&slower), [41, 42, 43, 44, 45]);
    }

    #[test]
    fn short_stretches_between_pauses_are_found_too() {
        let burst = || [20.0].into_iter().chain(even(2, 30.0));
        let all = times(even(29, 30.0).chain(burst()).chain(burst()).chain([20.0]));
        assert_eq!(starts(&all), [0, 30, 33, 36]);
        assert_eq!(after_pauses(&all), [30, 33, 36]);
        let lone = times([20.0]);
        assert_eq!(starts(&lone), [0, 1]);
        assert_eq!(stretches(&lone)[1].rate_hz, None);
        assert_eq!(starts(&[0.0]), [0]);
        assert!(stretches(&[]).is_empty());
    }

    #[test]
    fn repeated_times_do_not_count_and_a_clock_that_starts_anew_parts() {
        let repeated = times(even(29, 30.0).chain([0.0]).chain(even(30, 30.0)));
        assert_eq!(starts(&repeated), [0]);
        let rate = rate_between_pauses_hz(&repeated).expect("a rate");
        assert!((rate - 30.0).abs() < 1e-9, "{rate}");
        let swapped = times(
            even(20, 30.0)
                .chain([2.0 / 30.0, -1.0 / 30.0])
                .chain(even(20, 30.0)),
        );
        assert_eq!(starts(&swapped), [0]);
        let anew = times(even(29, 30.0).chain([-29.0 / 30.0]).chain(even(29, 30.0)));
        assert_eq!(starts(&anew), [0, 30]);
        let rate = rate_between_pauses_hz(&anew).expect("a rate");
        assert!((rate - 30.0).abs() < 1e-9, "{rate}");
        assert_eq!(mean_rate_hz(&[1.0, 1.0]), None);
    }

    #[test]
    fn a_step_of_a_tick_repeats_a_time() {
        const TICK_SECS: f64 = 1.0 / 90_000.0;
        let repeats = |steps: &[f64]| -> Vec<usize> {
            let mut clock = FrameClock::default();
            let times = times(steps.iter().copied());
            let passages = times.iter().map(|time| clock.advance(*time));
            let repeats = passages
                .enumerate()
                .filter(|(_, passage)| passage.is_repeat);
            let frames = repeats.map(|(frame, _)| frame).collect();
            let rates = [clock.rate_hz(), mean_rate_hz(&times)];
            for rate in rates {
                let rate = rate.expect("a rate");
                assert!((rate / 30.0 - 1.0).abs() < 2e-3, "{rate}");
            }
            frames
        };
        let step = 1.0 / 30.0;
        let once = [&[step; 20][..], &[TICK_SECS], &[step; 20]].concat();
        assert_eq!(repeats(&once), [21]);
        // Every picture twice.
        let twice = [step, TICK_SECS].repeat(20);
        let seconds: Vec<usize> = (1..=20).map(|n| 2 * n).collect();
        assert_eq!(repeats(&twice), seconds);
        // Slow motion within a recording is none.
        let slow = times([step; 20].into_iter().chain([step / 16.0; 20]));
        let mut clock = FrameClock::default();
        assert!(slow.iter().skip(1).all(|time| {
            clock.advance(*time);
            !clock.last_step().is_repeat
        }));
    }
}
