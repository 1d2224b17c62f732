//! What shapes a video's rows.

use std::num::NonZeroU16;

use serde::Serialize;

use super::slow_motion::SlowMotion;
use crate::lake::ROWS_VERSION;
use crate::media_time::MediaRange;
use crate::pose::{FilterClock, Pick, SkeletonIdentity, TrackerConfig};

/// What shapes a video's rows. Its hash decides whether there is anything to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowConfig {
    /// Any word; partitions the lake.
    pub sport: String,
    /// `lite`, `full` or `heavy`, or the name of the user's file without its suffix.
    pub pose_model: String,
    /// Of the landmark model's TFLite file, or of the user's ONNX file, in hexadecimal digits.
    pub pose_model_sha256: String,
    /// What the joints of a model of the user's are; `None` for BlazePose's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skeleton: Option<SkeletonIdentity>,
    /// Of the detector's TFLite file, in hexadecimal digits.
    pub detector_sha256: String,
    /// A detection counts from this score on, 0..1.
    pub min_detection_confidence: f64,
    /// A person is followed while the pose probability is above this, 0..1.
    pub min_tracking_confidence: f64,
    /// Whether rows hold smoothed landmarks.
    pub smoothing: crate::pose::Smoothing,
    /// `None` when one person is followed alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleConfig>,
    /// The default does not show, so that it is the same ingest as before there was a choice.
    #[serde(skip_serializing_if = "is_default")]
    pub pick: Pick,
    /// From where on people are reported, where they become certain later than they are seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people_from: Option<PeopleFrom>,
    /// Off does not show either.
    #[serde(skip_serializing_if = "SlowMotion::is_off")]
    pub slow_motion: SlowMotion,
    /// The part of the video that has rows; the whole one does not show.
    #[serde(skip_serializing_if = "MediaRange::is_whole")]
    pub range: MediaRange,
    /// What the smoothing filters go by; the default does not show.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_clock: FilterClock,
    /// [`ROWS_VERSION`](crate::lake::ROWS_VERSION): a newer one replaces rows of an older one.
    pub format_version: i32,
}

/// From where on people are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeopleFrom {
    /// From the first frame in which they are followed.
    FirstFrame,
}

/// What shapes the rows of several people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PeopleConfig {
    /// 2 or more.
    pub max_persons: NonZeroU16,
    /// Frames between two looks for more people.
    pub detect_every: NonZeroU16,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl RowConfig {
    /// What a tracker's settings come to, without slow motion. What does not matter for one person
    /// followed alone is left out, so that it does not make another ingest.
    pub fn new(
        sport: String,
        pose_model: String,
        pose_model_sha256: String,
        detector_sha256: String,
        tracker: &TrackerConfig,
    ) -> Self {
        let is_several = tracker.max_persons > NonZeroU16::MIN;
        Self {
            sport,
            pose_model,
            pose_model_sha256,
            skeleton: None,
            detector_sha256,
            min_detection_confidence: tracker.min_detection_confidence,
            min_tracking_confidence: tracker.min_tracking_confidence,
            smoothing: tracker.smoothing,
            people: is_several.then_some(PeopleConfig {
                max_persons: tracker.max_persons,
                detect_every: tracker.detect_every,
            }),
            pick: tracker.pick,
            people_from: (is_several || tracker.pick != Pick::First)
                .then_some(PeopleFrom::FirstFrame),
            slow_motion: SlowMotion::Off,
            range: MediaRange::WHOLE,
            filter_clock: tracker.filter_clock,
            format_version: ROWS_VERSION,
        }
    }

    /// With landmarks of a model whose joints are these.
    pub fn with_skeleton(self, skeleton: Option<SkeletonIdentity>) -> Self {
        Self { skeleton, ..self }
    }

    /// With times stretched so.
    pub fn with_slow_motion(self, slow_motion: SlowMotion) -> Self {
        Self {
            slow_motion,
            ..self
        }
    }

    /// Of a part of the video alone.
    pub fn with_range(self, range: MediaRange) -> Self {
        Self {
            range: range.simplified(),
            ..self
        }
    }

    /// Whether poses are held back to learn who else is in a frame.
    pub(super) fn looks_ahead(&self) -> bool {
        self.people_from.is_some()
    }

    /// Whether rows with this configuration, as JSON, are what these settings give, whatever the
    /// file's tags made of its slow motion.
    pub(super) fn is_config_of(&self, json: &str) -> bool {
        let without_slow_motion = |json: &str| {
            let mut config: serde_json::Value = serde_json::from_str(json).ok()?;
            config.as_object_mut()?.remove("slow_motion");
            Some(config)
        };
        let wanted = without_slow_motion(&self.to_json());
        wanted.is_some() && wanted == without_slow_motion(json)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plain struct of strings and numbers")
    }
}
