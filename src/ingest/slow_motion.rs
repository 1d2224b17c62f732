//! Real times of videos that play slower, or faster, than things happened.
//!
//! A time in the lake is the file's time divided by a factor: what the user says, or the rate at
//! which the pictures were taken over the rate at which they are stored. The latter is measured on
//! the first frames and without pauses, since what containers state is a mean over everything.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::metrics::timing::rate_between_pauses_hz;
use crate::sync::Cancellation;
use crate::video::{CaptureTags, Frame, VideoError, VideoReader};

/// Frames on which the stored rate is measured: times that are rounded to milliseconds give it to
/// 0.03 % at 30 frames/s.
const MEASURED_FRAMES: usize = 120;
/// Factors that cameras have: 1000 times slow is 30 000 frames/s at 30, a 1000th a picture every
/// half minute.
pub const FACTORS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
/// A camera that says nearly the stored rate stores true times.
const TRUE_WITHIN: f64 = 0.05;
/// Android divides the sensor's times by whole rates, so that the rate that is found differs from
/// the one that was meant by what the sensor is off.
const USUAL_RATES_HZ: [f64; 11] = [
    24_000.0 / 1001.0,
    24.0,
    25.0,
    30_000.0 / 1001.0,
    30.0,
    50.0,
    60_000.0 / 1001.0,
    60.0,
    120.0,
    240.0,
    15.0,
];
const USUAL_WITHIN: f64 = 0.005;

/// How the times of a video are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowMotion {
    /// As they are.
    #[default]
    Off,
    /// By the camera's tag, where there is one.
    Auto,
    /// The file plays so many times slower than things happened.
    Factor(f64),
    /// The pictures were taken at this rate, the user says.
    CaptureFps(f64),
    /// The pictures were taken at this rate, the file says.
    TaggedCaptureFps(f64),
}

impl SlowMotion {
    pub(super) fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// What becomes of it for a video with these tags: never [`Self::Auto`], and off where it would
    /// change nothing, so that it is the same ingest as without.
    pub(super) fn of_video(self, tags: CaptureTags) -> Self {
        match self {
            Self::Auto => tags.capture_fps.map_or(Self::Off, Self::TaggedCaptureFps),
            Self::Factor(1.0) => Self::Off,
            other => other,
        }
    }
}

/// Why real times cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SlowMotionError {
    #[error(transparent)]
    Video(#[from] VideoError),
    #[error(
        "{capture_fps} frames/s over the stored {stored_fps:.2} make a factor of {factor:.5}, which no camera has ({} to {} are taken); give another --capture-fps, or --slow-motion FACTOR: {path}",
        FACTORS.start(), FACTORS.end()
    )]
    Factor {
        capture_fps: f64,
        stored_fps: f64,
        factor: f64,
        path: PathBuf,
    },
}

/// How a video's times become real seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RealTimes {
    /// The file's times are divided by this; 1 where they are real.
    pub factor: f64,
    /// Rate at which the pictures were taken, as far as somebody says.
    pub capture_fps: Option<f64>,
    /// What the user is to be told.
    pub notes: Vec<String>,
}

impl RealTimes {
    /// Decodes the first frames of the video where a rate has to be compared with the stored one.
    ///
    /// # Errors
    /// When they cannot be read, the two rates do not go together, or it is cancelled.
    pub fn of(
        path: &Path,
        asked: SlowMotion,
        used: SlowMotion,
        tags: CaptureTags,
        cancellation: &Cancellation,
    ) -> Result<Self, SlowMotionError> {
        let stored_fps = match (used, tags.capture_fps) {
            (SlowMotion::Factor(_), _) | (SlowMotion::Off | SlowMotion::Auto, None) => None,
            _ => stored_rate_hz(path, cancellation)?,
        };
        Self::new(path, asked, used, tags, stored_fps)
    }

    fn new(
        path: &Path,
        asked: SlowMotion,
        used: SlowMotion,
        tags: CaptureTags,
        stored_fps: Option<f64>,
    ) -> Result<Self, SlowMotionError> {
        let mut times = Self {
            factor: 1.0,
            capture_fps: match used {
                SlowMotion::CaptureFps(fps) => Some(fps),
                _ => tags.capture_fps,
            },
            notes: Vec::new(),
        };
        let tagged = |capture_fps: f64, stored_fps: f64| {
            let factor = capture_fps / usual_rate_hz(stored_fps);
            if (factor - 1.0).abs() <= TRUE_WITHIN {
                1.0
            } else {
                factor
            }
        };
        times.factor = match (used, stored_fps) {
            (SlowMotion::Factor(factor), _) => factor,
            (SlowMotion::CaptureFps(capture_fps), Some(stored_fps)) => capture_fps / stored_fps,
            (SlowMotion::TaggedCaptureFps(capture_fps), Some(stored_fps)) => {
                tagged(capture_fps, stored_fps)
            }
            // A single picture has no rate, and no time but 0.
            _ => 1.0,
        };
        if let (Some(capture_fps), Some(stored_fps)) = (times.capture_fps, stored_fps) {
            if !FACTORS.contains(&times.factor) {
                return Err(SlowMotionError::Factor {
                    capture_fps,
                    stored_fps,
                    factor: times.factor,
                    path: path.into(),
                });
            }
            let factor = tagged(capture_fps, stored_fps);
            if used.is_off() && factor != 1.0 {
                times.notes.push(format!(
                    "hint: recorded at {} frames/s, stored at {}, so that it plays {}; give --slow-motion auto to get real times",
                    rounded(capture_fps),
                    rounded(stored_fps),
                    in_words(factor),
                ));
            }
        }
        let is_auto = asked == SlowMotion::Auto;
        if times.factor != 1.0 {
            times.notes.push(format!(
                "note: it plays {}; times, speeds and rates in the lake are in real seconds, the annotated video plays as the file does",
                in_words(times.factor),
            ));
        } else if is_auto && tags.capture_fps.is_some() {
            times.notes.push(
                "note: the file's times are real: it is stored at the rate at which the camera says that it recorded".into(),
            );
        } else if is_auto && tags.has_apple_intent {
            times.notes.push(
                "note: the file's times are taken as they are: Apple's cameras store real ones"
                    .into(),
            );
        } else if is_auto {
            times.notes.push(
                "note: no tag says at what rate the pictures were taken, so the file's times are taken as they are; give --capture-fps N if it is slow motion".into(),
            );
        }
        Ok(times)
    }

    /// The factor for the lake; `None` where the file's times are real.
    pub fn lake_factor(&self) -> Option<f64> {
        (self.factor != 1.0).then_some(self.factor)
    }
}

/// How a video plays, as against how things happened.
pub fn in_words(factor: f64) -> String {
    if factor >= 1.0 {
        format!("{} times slower than things happened", rounded(factor))
    } else {
        format!(
            "{} times faster than things happened (a time lapse)",
            rounded(1.0 / factor)
        )
    }
}

/// Without digits that only rounding has made.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn usual_rate_hz(rate_hz: f64) -> f64 {
    let distance = |usual: &f64| (usual / rate_hz - 1.0).abs();
    let nearest = USUAL_RATES_HZ
        .into_iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest
        .filter(|usual| distance(usual) <= USUAL_WITHIN)
        .unwrap_or(rate_hz)
}

/// The rate of a video's first frames by the file's times; `None` when no time passes.
fn stored_rate_hz(path: &Path, cancellation: &Cancellation) -> Result<Option<f64>, VideoError> {
    let mut reader = VideoReader::open_unless(path, cancellation)?;
    let mut frame = Frame::default();
    let mut times_secs = Vec::with_capacity(MEASURED_FRAMES);
    while times_secs.len() < MEASURED_FRAMES && reader.read(&mut frame)? {
        times_secs.push(frame.time.as_secs());
    }
    Ok(rate_between_pauses_hz(&times_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(asked: SlowMotion, capture_fps: Option<f64>, stored_fps: f64) -> RealTimes {
        let tags = CaptureTags {
            capture_fps,
            has_apple_intent: false,
        };
        let used = asked.of_video(tags);
        RealTimes::new(Path::new("x.mp4"), asked, used, tags, Some(stored_fps)).expect("a factor")
    }

    #[test]
    fn a_tag_is_used_when_it_is_asked_for_and_told_otherwise() {
        let told = times(SlowMotion::Off, Some(120.0), 30.0);
        assert_eq!((told.factor, told.capture_fps), (1.0, Some(120.0)));
        let note = told.notes.join(" ");
        assert!(
            note.contains("recorded at 120 frames/s, stored at 30,"),
            "{note}"
        );
        assert!(note.contains("--slow-motion auto"), "{note}");
        let used = times(SlowMotion::Auto, Some(120.0), 30.0);
        assert_eq!(used.lake_factor(), Some(4.0));
        assert!(used.notes[0].contains("4 times slower"), "{:?}", used.notes);
        // A sensor that is off by little; the phone divides by 30 all the same.
        assert_eq!(times(SlowMotion::Auto, Some(120.0), 30.045).factor, 4.0);
        let ntsc = times(SlowMotion::Auto, Some(119.88), 29.97).factor;
        assert!((ntsc - 4.0).abs() < 1e-4, "{ntsc}");
        // 24.5 frames/s are no usual rate.
        assert_eq!(times(SlowMotion::Auto, Some(245.0), 24.5).factor, 10.0);
    }

    #[test]
    fn true_times_stay_and_time_lapses_become_longer() {
        let stored = times(SlowMotion::Auto, Some(240.0), 239.981);
        assert_eq!(stored.lake_factor(), None);
        assert!(
            stored.notes[0].contains("times are real"),
            "{:?}",
            stored.notes
        );
        assert!(times(SlowMotion::Off, Some(30.0), 29.6).notes.is_empty());
        let lapse = times(SlowMotion::Auto, Some(3.0), 30.0);
        assert_eq!(lapse.factor, 0.1);
        assert!(
            lapse.notes[0].contains("10 times faster"),
            "{:?}",
            lapse.notes
        );
        assert!(times(SlowMotion::Auto, None, 30.0).notes[0].contains("--capture-fps"));
    }

    #[test]
    fn what_the_user_says_is_taken_exactly_and_within_limits() {
        assert_eq!(
            times(SlowMotion::Factor(8.0), Some(120.0), 30.0).factor,
            8.0
        );
        assert_eq!(
            times(SlowMotion::CaptureFps(100.0), Some(120.0), 25.1).factor,
            100.0 / 25.1
        );
        let tags = CaptureTags::default();
        assert!(SlowMotion::Factor(1.0).of_video(tags).is_off());
        assert!(SlowMotion::Auto.of_video(tags).is_off());
        let asked = SlowMotion::CaptureFps(90_000.0);
        let error = RealTimes::new(Path::new("x.mp4"), asked, asked, tags, Some(30.0));
        let error = error.expect_err("too much").to_string();
        assert!(error.contains("3000") && error.contains("x.mp4"), "{error}");
    }
}
