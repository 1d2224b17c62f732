//! Gap filling and zero-phase low-pass filtering of a whole path, as Pose2Sim and Sports2D do it.
//!
//! The filter is biomechanics' "fourth-order zero-phase Butterworth": a second-order low-pass that
//! runs forward and then backward, so that it delays nothing. Coefficients, padding (9 samples,
//! point-mirrored at both ends) and starting state are those of `scipy.signal.butter(2, ...)` and
//! `scipy.signal.filtfilt`. The cut-off is that of each pass, as in Pose2Sim: after both, its
//! amplitude is halved (-6 dB), and -3 dB is reached at about 0.8 of it (Winter, Biomechanics and
//! Motor Control of Human Movement, would divide the cut-off by 0.802 to correct for that).
//!
//! A path is the positions of one landmark over the frames of a video; where it is not seen, there
//! is a gap. Gaps of up to `max_gap_frames` are bridged by straight lines over time, as in
//! Sports2D; longer ones split the path into pieces, each filtered on its own, and so does a jump to
//! somewhere else, and a pause of the recording ([`super::timing`]): each stretch between pauses is
//! filtered at its own rate. Nothing is extrapolated. Pieces of 9 samples or fewer cannot be padded
//! and stay as they are, as in Pose2Sim; so do stretches whose rate is too low for the cut-off.
//!
//! Samples are taken to be evenly spaced where each frame's time is within a quarter of a frame of
//! that: containers round times, pictures are taken evenly. Where they are not (variable frame
//! rate), the piece is laid through a natural cubic spline onto an even grid of twice the mean
//! frame rate, filtered there, and brought back to the true times by a second spline. Pictures out
//! of order are filtered in the order of their times, and pictures of the same time as their mean.

use std::f64::consts::{PI, SQRT_2};
use std::ops::Range;

use super::timing::{MIN_STEP, Stretch, is_even, mean_rate_hz, stretches};

/// Samples that are mirrored beyond either end: scipy's default for three coefficients.
const PADDING: usize = 9;
/// A cut-off at half the rate is not let through for a rounded frame time.
const RATE_MARGIN: f64 = 0.999;
/// Grid steps per mean frame at a variable frame rate: splines are exact to about 1 % up to a
/// quarter of the grid's rate, and motion that passes the filter is far slower.
const GRID_STEPS_PER_FRAME: usize = 2;

/// What is filtered away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterConfig {
    /// Cut-off of each of the two passes, hertz.
    pub cutoff_hz: f64,
    /// Gaps of more frames than this stay open.
    pub max_gap_frames: usize,
}

/// Why a path cannot be filtered at all.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// At or above half the frame rate of every stretch, nothing would change.
    #[error(
        "a cut-off of {cutoff_hz} Hz is not below half the frame rate ({:.2} / 2 = {:.2} Hz), so there is nothing to filter; give a lower one with --cutoff",
        .rate_hz, .rate_hz / 2.0
    )]
    CutoffTooHigh {
        /// Of each of the two passes.
        cutoff_hz: f64,
        /// Mean frame rate of the fastest stretch.
        rate_hz: f64,
    },
    /// Not above 0, or no number.
    #[error("a cut-off of {cutoff_hz} Hz filters nothing; give one above 0 with --cutoff")]
    CutoffNotPositive {
        /// Of each of the two passes.
        cutoff_hz: f64,
    },
}

/// A second-order Butterworth low-pass: `y = b * x - a * y` over the last three samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct LowPass {
    b: [f64; 3],
    a: [f64; 2],
}

impl LowPass {
    /// A filter for samples at `rate_hz`, by the bilinear transform with the cut-off pre-warped
    /// (Oppenheim and Schafer, Discrete-Time Signal Processing).
    ///
    /// # Errors
    /// When the cut-off does not lie between 0 and half the rate.
    pub fn new(cutoff_hz: f64, rate_hz: f64) -> Result<Self, FilterError> {
        if cutoff_hz.is_nan() || cutoff_hz <= 0.0 {
            return Err(FilterError::CutoffNotPositive { cutoff_hz });
        }
        // Also for a rate that is not a number.
        if !matches!(
            cutoff_hz.partial_cmp(&(rate_hz / 2.0)),
            Some(std::cmp::Ordering::Less)
        ) {
            return Err(FilterError::CutoffTooHigh { cutoff_hz, rate_hz });
        }
        let warped = (PI * cutoff_hz / rate_hz).tan();
        let square = warped * warped;
        let scale = 1.0 / (1.0 + SQRT_2 * warped + square);
        Ok(Self {
            b: [square * scale, 2.0 * square * scale, square * scale],
            a: [
                2.0 * (square - 1.0) * scale,
                (1.0 - SQRT_2 * warped + square) * scale,
            ],
        })
    }

    /// Filters forward and backward in place. `false`, and nothing done, for 9 samples or fewer.
    pub fn filter_both_ways(&self, samples: &mut [f64]) -> bool {
        let count = samples.len();
        if count <= PADDING {
            return false;
        }
        let (first, last) = (samples[0], samples[count - 1]);
        let mut padded = Vec::with_capacity(count + 2 * PADDING);
        padded.extend((1..=PADDING).rev().map(|i| 2.0 * first - samples[i]));
        padded.extend_from_slice(samples);
        padded.extend((1..=PADDING).map(|i| 2.0 * last - samples[count - 1 - i]));
        self.pass(padded.iter_mut());
        self.pass(padded.iter_mut().rev());
        samples.copy_from_slice(&padded[PADDING..PADDING + count]);
        true
    }

    /// One pass (transposed direct form II), which starts as if the first sample had always been.
    fn pass<'a>(&self, samples: impl Iterator<Item = &'a mut f64>) {
        let Self { b, a } = self;
        let mut samples = samples.peekable();
        let first = samples.peek().map_or(0.0, |first| **first);
        let mut state = [(b[1] + b[2] - a[0] - a[1]) * first, (b[2] - a[1]) * first];
        for sample in samples {
            let input = *sample;
            let output = b[0] * input + state[0];
            state = [
                b[1] * input - a[0] * output + state[1],
                b[2] * input - a[1] * output,
            ];
            *sample = output;
        }
    }
}

/// Filters the paths of one video.
pub struct PathFilter<'a> {
    config: FilterConfig,
    times_secs: &'a [f64],
    /// Between pauses.
    stretches: Vec<Stretch>,
}

/// What became of a piece of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceOutcome {
    /// Gaps are filled, and all samples have gone through both passes.
    Filtered,
    /// Too short (9 frames or fewer) or too slow: gaps are filled, the rest is as it was.
    Unfiltered,
}

impl<'a> PathFilter<'a> {
    /// `times_secs` are the times of all frames; every path has a position per frame.
    ///
    /// # Errors
    /// When the cut-off does not lie between 0 and half the frame rate of any stretch.
    pub fn new(config: FilterConfig, times_secs: &'a [f64]) -> Result<Self, FilterError> {
        let stretches = stretches(times_secs);
        let rates = stretches.iter().filter_map(|stretch| stretch.rate_hz);
        // Without a second frame there is no rate, and nothing long enough to be filtered.
        let rate_hz = rates.max_by(f64::total_cmp).unwrap_or(f64::INFINITY);
        low_pass_at(config.cutoff_hz, rate_hz)?;
        Ok(Self {
            config,
            times_secs,
            stretches,
        })
    }

    /// The same filter for paths that have a position in each of these frames only.
    pub fn over(&self, frames: Range<usize>) -> Self {
        let stretches = self.stretches.iter().filter_map(|stretch| {
            let start = stretch.frames.start.max(frames.start);
            let end = stretch.frames.end.min(frames.end);
            (start < end).then(|| Stretch {
                frames: start - frames.start..end - frames.start,
                rate_hz: stretch.rate_hz,
            })
        });
        Self {
            config: self.config,
            stretches: stretches.collect(),
            times_secs: &self.times_secs[frames],
        }
    }

    /// The stretches between pauses.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Whether a path that is seen in all frames of a stretch is filtered there.
    pub fn takes(&self, stretch: &Stretch) -> bool {
        let rate_hz = stretch.rate_hz.unwrap_or(f64::INFINITY);
        stretch.frames.len() > PADDING && low_pass_at(self.config.cutoff_hz, rate_hz).is_ok()
    }

    /// The pieces of a path: from seen frame to seen frame, without long gaps within, and never
    /// over a pause, or over the beginning of a frame in `jumps` (ascending), where a path goes on
    /// elsewhere.
    pub fn pieces(&self, is_seen: &[bool], jumps: &[usize]) -> Vec<Range<usize>> {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        let starts = self.stretches.iter().map(|stretch| stretch.frames.start);
        let mut borders: Vec<usize> = starts.chain(jumps.iter().copied()).collect();
        borders.sort_unstable();
        let mut borders = borders.into_iter().peekable();
        for (frame, _) in is_seen.iter().enumerate().filter(|(_, seen)| **seen) {
            // Borders since the seen frame before.
            let mut is_parted = false;
            while borders.next_if(|border| *border <= frame).is_some() {
                is_parted = true;
            }
            match pieces.last_mut() {
                Some(piece) if frame - piece.end <= self.config.max_gap_frames && !is_parted => {
                    piece.end = frame + 1;
                }
                _ => pieces.push(frame..frame + 1),
            }
        }
        pieces
    }

    /// Fills the gaps of one piece of a path and filters it. `values` and `is_seen` are over all
    /// frames; values where nothing was seen are ignored and, within the piece, replaced.
    pub fn apply(&self, piece: Range<usize>, is_seen: &[bool], values: &mut [f64]) -> PieceOutcome {
        let times_secs = &self.times_secs[piece.clone()];
        let stretch = (self.stretches.iter()).find(|s| s.frames.contains(&piece.start));
        let stretch_rate_hz = stretch.and_then(|stretch| stretch.rate_hz);
        let (is_seen, values) = (&is_seen[piece.clone()], &mut values[piece]);
        fill_gaps(times_secs, is_seen, values);
        let Some(stretch_rate_hz) = stretch_rate_hz else {
            return PieceOutcome::Unfiltered;
        };
        // Pictures that repeat a time, or nearly, are one sample: a curve through both would swing.
        let min_step_secs = MIN_STEP / stretch_rate_hz;
        let is_filtered = if times_secs.is_sorted_by(|a, b| b - a > min_step_secs) {
            self.filter(times_secs, stretch_rate_hz, values)
        } else {
            let mut ordered = Ordered::new(times_secs, values, min_step_secs);
            let is_filtered =
                self.filter(&ordered.times_secs, stretch_rate_hz, &mut ordered.values);
            if is_filtered {
                ordered.write_back(values);
            }
            is_filtered
        };
        if is_filtered {
            PieceOutcome::Filtered
        } else {
            PieceOutcome::Unfiltered
        }
    }

    /// `times_secs` ascend. `false`, and nothing done, for what is too short or too slow.
    fn filter(&self, times_secs: &[f64], stretch_rate_hz: f64, values: &mut [f64]) -> bool {
        let cutoff_hz = self.config.cutoff_hz;
        let Some(rate_hz) = mean_rate_hz(times_secs) else {
            return false;
        };
        if low_pass_at(cutoff_hz, stretch_rate_hz).is_err() {
            return false;
        }
        // A piece's own rate is that of a few rounded times, so the stretch's comes first.
        let even_rate_hz = [stretch_rate_hz, rate_hz]
            .into_iter()
            .find(|rate_hz| is_even(times_secs, *rate_hz));
        match even_rate_hz {
            Some(rate_hz) => LowPass::new(cutoff_hz, rate_hz)
                .is_ok_and(|low_pass| low_pass.filter_both_ways(values)),
            None => {
                values.len() > PADDING && filter_on_grid(cutoff_hz, rate_hz, times_secs, values)
            }
        }
    }
}

/// The filter for a rate that is the mean of rounded times.
fn low_pass_at(cutoff_hz: f64, rate_hz: f64) -> Result<LowPass, FilterError> {
    LowPass::new(cutoff_hz, RATE_MARGIN * rate_hz).map_err(|error| match error {
        FilterError::CutoffTooHigh { cutoff_hz, .. } => {
            FilterError::CutoffTooHigh { cutoff_hz, rate_hz }
        }
        other => other,
    })
}

/// Samples in the order of their times, those of the same time as one.
struct Ordered {
    times_secs: Vec<f64>,
    values: Vec<f64>,
    /// For each sample its position among them.
    positions: Vec<usize>,
}

impl Ordered {
    fn new(times_secs: &[f64], values: &[f64], min_step_secs: f64) -> Self {
        let mut order: Vec<usize> = (0..times_secs.len()).collect();
        order.sort_by(|a, b| times_secs[*a].total_cmp(&times_secs[*b]));
        let mut ordered = Self {
            times_secs: Vec::new(),
            values: Vec::new(),
            positions: vec![0; times_secs.len()],
        };
        for same in order.chunk_by(|a, b| times_secs[*b] - times_secs[*a] <= min_step_secs) {
            let sum: f64 = same.iter().map(|sample| values[*sample]).sum();
            for sample in same {
                ordered.positions[*sample] = ordered.values.len();
            }
            ordered.times_secs.push(times_secs[same[0]]);
            ordered.values.push(sum / same.len() as f64);
        }
        ordered
    }

    fn write_back(&self, values: &mut [f64]) {
        for (value, position) in values.iter_mut().zip(&self.positions) {
            *value = self.values[*position];
        }
    }
}

/// Straight lines over time between the seen frames around each gap; the first and the last frame
/// are seen.
fn fill_gaps(times_secs: &[f64], is_seen: &[bool], values: &mut [f64]) {
    let mut before = 0;
    for after in (1..values.len()).filter(|i| is_seen[*i]) {
        let step = values[after] - values[before];
        let secs = times_secs[after] - times_secs[before];
        for i in before + 1..after {
            let part = if secs > 0.0 {
                (times_secs[i] - times_secs[before]) / secs
            } else {
                0.0
            };
            values[i] = values[before] + part * step;
        }
        before = after;
    }
}

/// See the module's words on variable frame rates. `false` when times do not ascend.
fn filter_on_grid(cutoff_hz: f64, rate_hz: f64, times_secs: &[f64], values: &mut [f64]) -> bool {
    let grid_rate_hz = rate_hz * GRID_STEPS_PER_FRAME as f64;
    let Ok(low_pass) = LowPass::new(cutoff_hz, grid_rate_hz) else {
        return false;
    };
    let Some(spline) = Spline::new(times_secs, values) else {
        return false;
    };
    let grid_len = (times_secs.len() - 1) * GRID_STEPS_PER_FRAME + 1;
    let grid_secs: Vec<f64> = (0..grid_len)
        .map(|i| times_secs[0] + i as f64 / grid_rate_hz)
        .collect();
    let mut on_grid = spline.at(&grid_secs);
    low_pass.filter_both_ways(&mut on_grid);
    let Some(spline) = Spline::new(&grid_secs, &on_grid) else {
        return false;
    };
    values.copy_from_slice(&spline.at(times_secs));
    true
}

/// A natural cubic spline (Burden and Faires, Numerical Analysis, section 3.5).
struct Spline<'a> {
    x: &'a [f64],
    y: &'a [f64],
    /// Second derivatives at the knots.
    curvature: Vec<f64>,
}

impl<'a> Spline<'a> {
    /// `None` unless there are two points at least and `x` ascends strictly.
    fn new(x: &'a [f64], y: &'a [f64]) -> Option<Self> {
        let ascends = x.windows(2).all(|pair| pair[0] < pair[1]);
        if x.len() < 2 || x.len() != y.len() || !ascends {
            return None;
        }
        let slope = |i: usize| (y[i + 1] - y[i]) / (x[i + 1] - x[i]);
        // A tridiagonal system: eliminated from the left, solved from the right.
        let mut curvature = vec![0.0; x.len()];
        let mut upper = vec![0.0; x.len()];
        for i in 1..x.len() - 1 {
            let (left, right) = (x[i] - x[i - 1], x[i + 1] - x[i]);
            let pivot = 2.0 * (left + right) - left * upper[i - 1];
            upper[i] = right / pivot;
            curvature[i] = (6.0 * (slope(i) - slope(i - 1)) - left * curvature[i - 1]) / pivot;
        }
        for i in (1..x.len() - 1).rev() {
            curvature[i] -= upper[i] * curvature[i + 1];
        }
        Some(Self { x, y, curvature })
    }

    /// Values at ascending positions between the first knot and the last.
    fn at(&self, positions: &[f64]) -> Vec<f64> {
        let Self { x, y, curvature } = self;
        let mut i = 0;
        let value = |position: &f64| {
            while i + 2 < x.len() && *position > x[i + 1] {
                i += 1;
            }
            let step = x[i + 1] - x[i];
            let (a, b) = ((x[i + 1] - position) / step, (position - x[i]) / step);
            let bend = (a * a * a - a) * curvature[i] + (b * b * b - b) * curvature[i + 1];
            a * y[i] + b * y[i + 1] + bend * step * step / 6.0
        };
        positions.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    const RATE_HZ: f64 = 30.0;

    fn times(count: usize, rate_hz: f64) -> Vec<f64> {
        (0..count).map(|i| i as f64 / rate_hz).collect()
    }

    fn config(cutoff_hz: f64, max_gap_frames: usize) -> FilterConfig {
        FilterConfig {
            cutoff_hz,
            max_gap_frames,
        }
    }

    /// Filters a path that is seen in all frames.
    fn filtered(cutoff_hz: f64, times_secs: &[f64], values: &[f64]) -> Vec<f64> {
        let filter = PathFilter::new(config(cutoff_hz, 0), times_secs).expect("a cut-off");
        let mut values = values.to_vec();
        let seen = vec![true; values.len()];
        let outcome = filter.apply(0..seen.len(), &seen, &mut values);
        assert_eq!(outcome, PieceOutcome::Filtered);
        values
    }

    /// Amplitudes of the sine and the cosine part of frequency `hz` in the middle half, by least
    /// squares over whole periods.
    fn parts(times_secs: &[f64], values: &[f64], hz: f64) -> [f64; 2] {
        let quarter = times_secs.len() / 4;
        let middle = quarter..times_secs.len() - quarter;
        let mut sums = [[0.0f64; 2]; 2];
        let mut right = [0.0f64; 2];
        for i in middle {
            let (sin, cos) = (TAU * hz * times_secs[i]).sin_cos();
            for (k, a) in [sin, cos].into_iter().enumerate() {
                for (l, b) in [sin, cos].into_iter().enumerate() {
                    sums[k][l] += a * b;
                }
                right[k] += a * values[i];
            }
        }
        let determinant = sums[0][0] * sums[1][1] - sums[0][1] * sums[1][0];
        [
            (right[0] * sums[1][1] - right[1] * sums[0][1]) / determinant,
            (right[1] * sums[0][0] - right[0] * sums[1][0]) / determinant,
        ]
    }

    /// Amplitude that both passes leave of a sine: the squared magnitude of the digital filter,
    /// 1 / (1 + (tan(pi f / rate) / tan(pi cutoff / rate))^4).
    fn gain(hz: f64, cutoff_hz: f64, rate_hz: f64) -> f64 {
        let warp = |hz: f64| (PI * hz / rate_hz).tan();
        1.0 / (1.0 + (warp(hz) / warp(cutoff_hz)).powi(4))
    }

    #[test]
    fn impossible_cut_offs_are_refused_with_a_remedy() {
        let times_secs = times(100, 24.0);
        let new = |cutoff| PathFilter::new(config(cutoff, 10), &times_secs).map(|_| ());
        for cutoff in [11.999, 12.0, 20.0, f64::INFINITY] {
            let error = new(cutoff).expect_err("too high").to_string();
            assert!(error.contains("24.00 / 2 = 12.00 Hz"), "{error}");
            assert!(error.contains("--cutoff"), "{error}");
        }
        for cutoff in [0.0, -1.0, f64::NAN] {
            let error = new(cutoff).expect_err("not positive").to_string();
            assert!(error.contains("above 0"), "{error}");
        }
        assert_eq!(new(11.9), Ok(()));
    }

    #[test]
    fn short_pieces_stay_as_they_are() {
        let times_secs = times(9, RATE_HZ);
        let filter = PathFilter::new(config(6.0, 10), &times_secs).expect("a filter");
        let mut values = [1.0, 5.0, -2.0, 4.0, 9.0, 0.0, 3.0, 3.0, 1.0];
        let before = values;
        let outcome = filter.apply(0..9, &[true; 9], &mut values);
        assert_eq!((outcome, values), (PieceOutcome::Unfiltered, before));
        let one = [0.0];
        let filter = PathFilter::new(config(6.0, 10), &one).expect("a filter");
        let outcome = filter.apply(0..1, &[true], &mut [7.0]);
        assert_eq!(outcome, PieceOutcome::Unfiltered);
    }

    #[test]
    fn gaps_up_to_the_limit_are_bridged_and_longer_ones_split() {
        let times_secs = times(12, RATE_HZ);
        let filter = PathFilter::new(config(6.0, 2), &times_secs).expect("a filter");
        let seen = "011001100010".chars().map(|c| c == '1').collect::<Vec<_>>();
        let pieces = filter.pieces(&seen, &[]);
        assert_eq!(pieces, [1..7, 10..11]);
        // A jump splits too, be it at a seen frame or in a gap.
        assert_eq!(filter.pieces(&seen, &[2]), [1..2, 2..7, 10..11]);
        assert_eq!(filter.pieces(&seen, &[0, 4, 8]), [1..3, 5..7, 10..11]);
        assert_eq!(filter.pieces(&seen, &[7, 11]), [1..7, 10..11]);
        let mut values = vec![f64::NAN; 12];
        for (i, value) in [(1, 1.0), (2, 2.0), (5, 8.0), (6, 4.0), (10, 3.0)] {
            values[i] = value;
        }
        for piece in pieces {
            filter.apply(piece, &seen, &mut values);
        }
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(values[3], 4.0) && close(values[4], 6.0), "{values:?}");
        assert!(values[0].is_nan() && values[7].is_nan() && values[11].is_nan());
        assert!(filter.pieces(&[false; 12], &[2]).is_empty());
    }

    #[test]
    fn a_frame_that_comes_late_is_filtered_where_it_was_taken() {
        // 1 Hz at 30 frames a second, every third frame missing in the file altogether: steps of
        // 33 and 67 ms. Taken for even, frames would be off by up to a third of a frame.
        let times_secs: Vec<f64> = (0..300)
            .filter(|i| i % 3 != 2)
            .map(|i| f64::from(i) / RATE_HZ)
            .collect();
        let rate_hz = mean_rate_hz(&times_secs).expect("a rate");
        assert!(!is_even(&times_secs, rate_hz));
        let sine: Vec<f64> = times_secs.iter().map(|t| (TAU * t).sin()).collect();
        let output = filtered(6.0, &times_secs, &sine);
        let grid_gain = gain(1.0, 6.0, rate_hz * 2.0);
        for i in 20..times_secs.len() - 20 {
            let expected = grid_gain * sine[i];
            let error = (output[i] - expected).abs();
            assert!(error < 1e-3, "frame {i}: {} {expected}", output[i]);
        }
    }

    #[test]
    fn rounded_times_are_even_and_doubled_ones_do_no_harm() {
        // Matroska rounds to milliseconds.
        let rounded: Vec<f64> = (0..200)
            .map(|i| (f64::from(i) / 0.24).round() / 1e3)
            .collect();
        assert!(is_even(&rounded, mean_rate_hz(&rounded).expect("a rate")));
        let mut doubled = times(40, RATE_HZ);
        doubled[20] = doubled[19];
        doubled[21] = doubled[19];
        let filter = PathFilter::new(config(6.0, 0), &doubled).expect("a filter");
        let mut values: Vec<f64> = (0..40).map(f64::from).collect();
        let outcome = filter.apply(0..40, &[true; 40], &mut values);
        assert_eq!(outcome, PieceOutcome::Filtered);
        assert!(values.iter().all(|v| v.is_finite()));
        assert!(values[19] == values[20] && values[20] == values[21]);
    }

    #[test]
    fn a_repeated_picture_and_pictures_out_of_order_change_nothing_else() {
        let even = times(60, RATE_HZ);
        let path: Vec<f64> = even.iter().map(|t| (TAU * t).sin() + t).collect();
        let expected = filtered(6.0, &even, &path);
        // Frame 20 twice, then frames 40 and 41 exchanged.
        let order: Vec<usize> = (0..=20)
            .chain(20..40)
            .chain([41, 40])
            .chain(42..60)
            .collect();
        let times_secs: Vec<f64> = order.iter().map(|i| even[*i]).collect();
        let shuffled: Vec<f64> = order.iter().map(|i| path[*i]).collect();
        let output = filtered(6.0, &times_secs, &shuffled);
        for (out, i) in output.iter().zip(order) {
            assert!((out - expected[i]).abs() < 1e-12, "{out} {}", expected[i]);
        }
    }

    #[test]
    fn a_pause_parts_paths_and_each_stretch_has_its_own_rate() {
        // 30 frames at 30 Hz, 20 s nothing, 30 frames at 60 Hz, 20 s nothing, 30 frames at 8 Hz.
        let stretch =
            |start: f64, rate_hz: f64| (0..30).map(move |i| start + f64::from(i) / rate_hz);
        let times_secs: Vec<f64> = stretch(0.0, 30.0)
            .chain(stretch(21.0, 60.0))
            .chain(stretch(42.0, 8.0))
            .collect();
        let filter = PathFilter::new(config(6.0, 10), &times_secs).expect("a filter");
        assert_eq!(filter.pieces(&[true; 90], &[]), [0..30, 30..60, 60..90]);
        let takes: Vec<bool> = filter.stretches().iter().map(|s| filter.takes(s)).collect();
        assert_eq!(takes, [true, true, false], "8 Hz is too slow for 6 Hz");
        // Nobody for a few frames on both sides of a pause is no gap to be filled.
        let hidden: Vec<bool> = (0..90).map(|i| !(27..33).contains(&i)).collect();
        assert_eq!(filter.pieces(&hidden, &[]), [0..27, 33..60, 60..90]);
        let part = filter.over(20..70);
        assert_eq!(part.pieces(&[true; 50], &[]), [0..10, 10..40, 40..50]);

        let path: Vec<f64> = (0..90).map(|i| f64::from(i * i % 17)).collect();
        let mut values = path.clone();
        let outcomes =
            [0..30, 30..60, 60..90].map(|piece| filter.apply(piece, &[true; 90], &mut values));
        use PieceOutcome::{Filtered, Unfiltered};
        assert_eq!(outcomes, [Filtered, Filtered, Unfiltered]);
        for (piece, rate_hz) in [(0..30, 30.0), (30..60, 60.0)] {
            let alone = filtered(6.0, &times(30, rate_hz), &path[piece.clone()]);
            for (together, alone) in values[piece].iter().zip(alone) {
                assert!((together - alone).abs() < 1e-9);
            }
        }
        assert_eq!(values[60..], path[60..]);
        let error = PathFilter::new(config(31.0, 10), &times_secs).map(|_| ());
        let error = error.expect_err("too high for all").to_string();
        assert!(error.contains("60.00 / 2 = 30.00 Hz"), "{error}");
    }

    /// Natural splines reproduce straight lines, and the parabola's values between knots to the
    /// order of the step's fourth power away from the ends.
    #[test]
    fn splines_pass_through_their_knots_and_keep_lines() {
        let x = [0.0, 0.3, 1.0, 1.2, 2.0];
        let line = x.map(|x| 3.0 - 2.0 * x);
        let spline = Spline::new(&x, &line).expect("a spline");
        for (position, value) in [(0.1, 2.8), (0.9, 1.2), (2.0, -1.0)] {
            assert!((spline.at(&[position])[0] - value).abs() < 1e-12);
        }
        let any = [1.0, -4.0, 2.0, 2.5, 0.0];
        let through = Spline::new(&x, &any).expect("a spline").at(&x);
        assert!(through.iter().zip(any).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(Spline::new(&[0.0, 0.0], &[1.0, 2.0]).is_none());
    }

    proptest! {
        #[test]
        fn a_constant_stays(
            value in -1e3..1e3f64, cutoff in 0.5..14.9f64, count in 10usize..200
        ) {
            let output = filtered(cutoff, &times(count, RATE_HZ), &vec![value; count]);
            for out in output {
                prop_assert!((out - value).abs() < 1e-9 * value.abs().max(1.0), "{out} {value}");
            }
        }

        #[test]
        fn sines_keep_their_phase_and_have_the_butterworth_amplitude(
            hz in 0.5..14.0f64, cutoff in 2.0..12.0f64, phase in 0.0..TAU
        ) {
            let times_secs = times(900, RATE_HZ);
            let sine: Vec<f64> = times_secs.iter().map(|t| (TAU * hz * t + phase).sin()).collect();
            let output = filtered(cutoff, &times_secs, &sine);
            let [before_sin, before_cos] = parts(&times_secs, &sine, hz);
            let [sin, cos] = parts(&times_secs, &output, hz);
            let expected = gain(hz, cutoff, RATE_HZ);
            prop_assert!((sin - expected * before_sin).abs() < 1e-6, "{sin} {before_sin}");
            prop_assert!((cos - expected * before_cos).abs() < 1e-6, "{cos} {before_cos}");
        }

        #[test]
        fn slow_sines_stay_and_fast_ones_vanish(phase in 0.0..TAU) {
            let times_secs = times(900, RATE_HZ);
            let amplitude = |hz: f64| {
                let sine: Vec<f64> = times_secs.iter().map(|t| (TAU * hz * t + phase).sin()).collect();
                let [sin, cos] = parts(&times_secs, &filtered(6.0, &times_secs, &sine), hz);
                sin.hypot(cos)
            };
            prop_assert!((amplitude(1.0) - 1.0).abs() < 0.001);
            prop_assert!((amplitude(2.0) - 1.0).abs() < 0.01);
            prop_assert!((amplitude(6.0) - 0.5).abs() < 0.001);
            prop_assert!(amplitude(14.0) < 0.001);
        }

        #[test]
        fn filtering_is_linear(
            a in prop::collection::vec(-1.0..1.0f64, 40), b in prop::collection::vec(-1.0..1.0f64, 40),
            factor in -5.0..5.0f64
        ) {
            let times_secs = times(40, RATE_HZ);
            let run = |values: &[f64]| filtered(6.0, &times_secs, values);
            let mixed: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + factor * b).collect();
            let (filtered_a, filtered_b) = (run(&a), run(&b));
            for (i, out) in run(&mixed).into_iter().enumerate() {
                prop_assert!((out - filtered_a[i] - factor * filtered_b[i]).abs() < 1e-9);
            }
        }

        #[test]
        fn whatever_is_seen_nothing_becomes_infinite(
            seen in prop::collection::vec(any::<bool>(), 1..120),
            steps in prop::collection::vec(0.001..0.2f64, 120),
            max_gap in 0usize..12, cutoff in 0.1..4.0f64
        ) {
            let mut time = 0.0;
            let times_secs: Vec<f64> = steps[..seen.len()].iter().map(|s| { time += s; time }).collect();
            if let Ok(filter) = PathFilter::new(config(cutoff, max_gap), &times_secs) {
                let mut values: Vec<f64> = seen.iter().enumerate()
                    .map(|(i, seen)| if *seen { (i as f64).sin() } else { f64::NAN })
                    .collect();
                let mut covered = vec![false; seen.len()];
                for piece in filter.pieces(&seen, &[]) {
                    covered[piece.clone()].fill(true);
                    filter.apply(piece, &seen, &mut values);
                }
                for i in 0..seen.len() {
                    prop_assert_eq!(values[i].is_finite(), covered[i], "frame {}", i);
                    prop_assert!(covered[i] || !seen[i]);
                }
            }
        }
    }
}
