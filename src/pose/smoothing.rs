//! Temporal smoothing of one person's landmarks: one-euro filters and a low pass for visibility.
//!
//! One-euro filter: Casiez, Roussel, Vogel, "1 Euro filter: a simple speed-based low-pass filter
//! for noisy input in interactive systems", CHI 2012; constants from MediaPipe's
//! `pose_landmark_filtering.pbtxt` and `pose_landmarks_to_roi` graphs.

use std::f64::consts::TAU;

use super::filter_clock::FilterClock;
use super::landmark::LANDMARK_COUNT;
use super::landmarker::{ImagePoint, RawPose};

/// Cut-off of the filter on the derivative, in Hz.
const DERIVATIVE_CUTOFF_HZ: f64 = 1.0;
/// Bodies smaller than this have no scale to filter by.
const MIN_BODY_SCALE_PX: f64 = 1e-6;

const LANDMARKS: OneEuroConfig = OneEuroConfig {
    min_cutoff_hz: 0.05,
    beta: 80.0,
};
const WORLD: OneEuroConfig = OneEuroConfig {
    min_cutoff_hz: 0.1,
    beta: 40.0,
};
const ALIGNMENT: OneEuroConfig = OneEuroConfig {
    min_cutoff_hz: 0.01,
    beta: 10.0,
};

/// Whether landmarks are smoothed over time. The alignment points that steer tracking always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Smoothing {
    /// One-euro filters on positions, a low pass on visibility, as in MediaPipe.
    On,
    /// Landmarks are as the model gives them, frame by frame.
    Off,
}

#[derive(Clone, Copy)]
struct OneEuroConfig {
    min_cutoff_hz: f64,
    beta: f64,
}

#[derive(Clone, Copy)]
struct OneEuroState {
    raw: f64,
    filtered: f64,
    derivative: f64,
}

/// One-euro filters of `N` points with three coordinates each, which share their clock.
#[derive(Clone)]
struct OneEuro<const N: usize> {
    config: OneEuroConfig,
    state: Option<(f64, [[OneEuroState; 3]; N])>,
}

impl<const N: usize> OneEuro<N> {
    fn new(config: OneEuroConfig) -> Self {
        Self {
            config,
            state: None,
        }
    }

    fn reset(&mut self) {
        self.state = None;
    }

    /// Filters the points of time `time_secs`; `value_scale` makes speeds independent of size.
    fn apply(&mut self, points: [[f64; 3]; N], time_secs: f64, value_scale: f64) -> [[f64; 3]; N] {
        let Some((last_secs, states)) = &mut self.state else {
            let first = |raw| OneEuroState {
                raw,
                filtered: raw,
                derivative: 0.0,
            };
            self.state = Some((time_secs, points.map(|point| point.map(first))));
            return points;
        };
        let dt_secs = time_secs - *last_secs;
        if dt_secs <= 0.0 {
            return points;
        }
        *last_secs = time_secs;
        let rate_hz = 1.0 / dt_secs;
        let alpha = |cutoff_hz: f64| 1.0 / (1.0 + rate_hz / (TAU * cutoff_hz));
        let derivative_alpha = alpha(DERIVATIVE_CUTOFF_HZ);
        for (state, value) in states
            .as_flattened_mut()
            .iter_mut()
            .zip(points.as_flattened())
        {
            let speed = (value - state.raw) * value_scale * rate_hz;
            state.derivative =
                derivative_alpha * speed + (1.0 - derivative_alpha) * state.derivative;
            let a = alpha(self.config.min_cutoff_hz + self.config.beta * state.derivative.abs());
            state.filtered = a * value + (1.0 - a) * state.filtered;
            state.raw = *value;
        }
        states.map(|point| point.map(|state| state.filtered))
    }
}

/// The smoothing state of one tracked person.
#[derive(Clone)]
pub struct Smoother {
    smoothing: Smoothing,
    clock: FilterClock,
    landmarks: OneEuro<LANDMARK_COUNT>,
    world: OneEuro<LANDMARK_COUNT>,
    alignment: OneEuro<2>,
    /// With the time at which it was seen.
    visibility: Option<(f64, [f64; LANDMARK_COUNT])>,
}

impl Smoother {
    /// For somebody of whom nothing has been seen yet; the first pose passes unchanged.
    pub fn new(smoothing: Smoothing, clock: FilterClock) -> Self {
        Self {
            smoothing,
            clock,
            landmarks: OneEuro::new(LANDMARKS),
            world: OneEuro::new(WORLD),
            alignment: OneEuro::new(ALIGNMENT),
            visibility: None,
        }
    }

    /// The person was not seen in this frame. Image-space filters start anew; the world and
    /// visibility filters keep their state across the gap, as MediaPipe's do.
    pub fn lost(&mut self) {
        self.landmarks.reset();
        self.alignment.reset();
    }

    /// Smooths one frame's pose at `time_secs` on a clock that grows from frame to frame.
    pub fn apply(&mut self, raw: &RawPose, time_secs: f64) -> RawPose {
        let mut pose = raw.clone();
        let [center, edge] = &raw.alignment;
        let body_scale_px = 2.0 * (edge.x_px - center.x_px).hypot(edge.y_px - center.y_px);
        let value_scale = 1.0 / body_scale_px;
        let has_scale = body_scale_px >= MIN_BODY_SCALE_PX;
        if has_scale {
            let filtered =
                self.alignment
                    .apply(raw.alignment.map(coordinates), time_secs, value_scale);
            set_coordinates(&mut pose.alignment, &filtered);
        }
        if self.smoothing == Smoothing::Off {
            return pose;
        }
        if has_scale {
            let filtered =
                self.landmarks
                    .apply(raw.landmarks.map(coordinates), time_secs, value_scale);
            set_coordinates(&mut pose.landmarks, &filtered);
        }
        pose.world_m = self.world.apply(raw.world_m, time_secs, 1.0);
        let seen = raw.landmarks.map(|landmark| landmark.visibility);
        let visibility = match self.visibility {
            None => seen,
            Some((before_secs, before)) => {
                let alpha = self.clock.visibility_alpha(time_secs - before_secs);
                std::array::from_fn(|i| alpha * seen[i] + (1.0 - alpha) * before[i])
            }
        };
        self.visibility = Some((time_secs, visibility));
        for (landmark, visibility) in pose.landmarks.iter_mut().zip(visibility) {
            landmark.visibility = visibility;
        }
        pose
    }
}

fn coordinates(point: ImagePoint) -> [f64; 3] {
    [point.x_px, point.y_px, point.z_px]
}

fn set_coordinates(points: &mut [ImagePoint], coordinates: &[[f64; 3]]) {
    for (point, [x, y, z]) in points.iter_mut().zip(coordinates) {
        (point.x_px, point.y_px, point.z_px) = (*x, *y, *z);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_at_rest_stays_and_a_repeated_time_changes_nothing() {
        let mut filter = OneEuro::<1>::new(LANDMARKS);
        let at_rest = [[3.0, 4.0, 5.0]];
        assert_eq!(filter.apply(at_rest, 1.0, 1.0), at_rest);
        assert_eq!(filter.apply(at_rest, 1.1, 1.0), at_rest);
        let jump = [[9.0, 9.0, 9.0]];
        assert_eq!(filter.apply(jump, 1.1, 1.0), jump);
        assert_eq!(filter.apply(at_rest, 1.2, 1.0), at_rest);
    }

    #[test]
    fn a_slow_move_lags_and_a_reset_forgets() {
        let mut filter = OneEuro::<1>::new(ALIGNMENT);
        filter.apply([[0.0; 3]], 0.0, 0.001);
        let [[x, _, _]] = filter.apply([[1.0; 3]], 0.1, 0.001);
        assert!(x > 0.0 && x < 0.5, "{x}");
        filter.reset();
        assert_eq!(filter.apply([[1.0; 3]], 0.2, 0.001), [[1.0; 3]]);
    }
}
