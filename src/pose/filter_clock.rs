//! The clock of the smoothing filters, and the low pass on visibility that goes by it.

#[cfg(feature = "video")]
use crate::media_time::MediaTime;

/// Weight of the newest visibility, at MediaPipe's distance of frames.
const VISIBILITY_ALPHA: f64 = 0.1;
/// Time between two frames as MediaPipe's filters see it, whatever the video's rate.
///
/// MediaPipe's Python package numbers its frames so; landmarks that are to agree with it must be
/// filtered by the same clock.
const MEDIAPIPE_STEP_SECS: f64 = 0.033_333;

/// What time the smoothing filters go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterClock {
    /// A thirtieth of a second from frame to frame, whatever the video's rate: landmarks are
    /// MediaPipe's, and lag by the same number of frames at any rate.
    #[default]
    MediaPipe,
    /// Frames' true times: landmarks lag by the same time at any rate.
    Video,
}

impl FilterClock {
    /// Time of a video's frame, counted from 1, that was taken at `time`.
    #[cfg(feature = "video")]
    pub(super) fn secs(self, frame: u64, time: MediaTime) -> f64 {
        match self {
            Self::MediaPipe => frame as f64 * MEDIAPIPE_STEP_SECS,
            Self::Video => time.as_secs(),
        }
    }

    /// Weight of the newest visibility so long after the one before.
    pub(super) fn visibility_alpha(self, elapsed_secs: f64) -> f64 {
        match self {
            Self::MediaPipe => VISIBILITY_ALPHA,
            Self::Video => {
                let steps = elapsed_secs.max(0.0) / MEDIAPIPE_STEP_SECS;
                1.0 - (1.0 - VISIBILITY_ALPHA).powf(steps)
            }
        }
    }

    /// What a model said of a landmark's visibility in a frame, 0..1, from what the low pass made of it there
    /// and in the frame with the person before, `elapsed_secs` earlier.
    pub fn newest_visibility(self, before: f64, smoothed: f64, elapsed_secs: f64) -> f64 {
        let alpha = self.visibility_alpha(elapsed_secs);
        match alpha > 0.0 {
            true => ((smoothed - (1.0 - alpha) * before) / alpha).clamp(0.0, 1.0),
            false => smoothed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_videos_clock_visibility_follows_in_the_same_time_at_any_rate() {
        let after_a_second = |fps: u32, clock: FilterClock| {
            (0..fps).fold(0.0, |seen, _| {
                let alpha = clock.visibility_alpha(1.0 / f64::from(fps));
                alpha + (1.0 - alpha) * seen
            })
        };
        let [slow, fast] = [30, 240].map(|fps| after_a_second(fps, FilterClock::Video));
        assert!((slow - fast).abs() < 1e-9, "{slow} {fast}");
        let parity = after_a_second(30, FilterClock::MediaPipe);
        assert!((slow - parity).abs() < 1e-4, "{slow} {parity}");
        assert_eq!(FilterClock::Video.visibility_alpha(-1.0), 0.0);
    }

    #[test]
    fn what_the_low_pass_was_given_is_told_again() {
        for clock in [FilterClock::MediaPipe, FilterClock::Video] {
            let given = [0.1, 0.9, 0.95, 0.2, 1.0];
            let elapsed_secs = 1.0 / 60.0;
            let mut smoothed = given[0];
            for seen in &given[1..] {
                let before = smoothed;
                let alpha = clock.visibility_alpha(elapsed_secs);
                smoothed = alpha * seen + (1.0 - alpha) * before;
                let told = clock.newest_visibility(before, smoothed, elapsed_secs);
                assert!((told - seen).abs() < 1e-9, "{clock:?}: {told} {seen}");
            }
        }
    }
}
