//! BlazePose: person detection, landmarks, tracking and smoothing, as MediaPipe runs them.
//!
//! Takes pictures, gives poses. It never reads a video and touches the disk only to load a model.
//! ONNX Runtime is known to `session` alone.

pub mod crop;
pub mod detector;
mod held_back;
pub mod landmark;
pub mod landmarker;
mod people;
mod person_pose;
pub mod roi;
mod session;
pub mod smoothing;
mod stages;
pub mod tflite;
mod tracker;

use std::path::PathBuf;
use std::time::Duration;

use crate::image::BgrView;
pub use held_back::{EarlierPose, HeldBack};
pub use people::{LOOKAHEAD_FRAMES, MultiPersonTracker};
pub use person_pose::{ImageLandmark, PersonPose};
pub use session::{
    DETECTOR_OUTPUTS, DetectorModel, LANDMARK_OUTPUTS, LandmarkModel, ModelFiles, PoseModels,
    load_runtime,
};
pub use smoothing::Smoothing;
pub use tracker::{DEFAULT_DETECT_EVERY, Pick, PoseTracker, TrackerConfig, Tracking};

/// Side of the landmark model's input; see [`landmarker::LANDMARK_INPUT_SIDE`].
pub use landmarker::LANDMARK_INPUT_SIDE;

/// Where the time of pose estimation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoseTimings {
    pub detector: Duration,
    pub crop: Duration,
    pub landmark_model: Duration,
    pub tracking: Duration,
}

impl PoseTimings {
    fn add(&mut self, other: Self) {
        self.detector += other.detector;
        self.crop += other.crop;
        self.landmark_model += other.landmark_model;
        self.tracking += other.tracking;
    }
}

/// Finds people in the frames of one video after the other.
pub trait PoseBackend: Send {
    /// Forgets everything about the video before.
    fn start_video(&mut self);

    /// The people in the video's next frame, ordered by their number.
    ///
    /// # Errors
    /// When a model cannot be run.
    fn estimate(&mut self, frame: BgrView<'_>) -> Result<Vec<PersonPose>, PoseError>;

    /// Passes the video's next frame over, in which nobody can be measured.
    fn skip(&mut self) {}

    /// So many frames are to be held back ([`HeldBack`]) to learn who else was in them.
    fn lookahead_frames(&self) -> usize {
        0
    }

    /// Who became certain in the frame estimated last, as they were in the frames before it; each is
    /// told once.
    fn take_earlier(&mut self) -> Vec<EarlierPose> {
        Vec::new()
    }

    /// Time spent since the backend was made.
    fn timings(&self) -> PoseTimings;
}

/// What can go wrong with models and their runtime.
#[derive(Debug, thiserror::Error)]
pub enum PoseError {
    #[error(
        "cannot load ONNX Runtime ({reason}); run `make setup` or `posedata models add onnxruntime`: {path}"
    )]
    Runtime { path: PathBuf, reason: String },
    #[error("the model is not installed; run `make setup` or `posedata models add {name}`: {path}")]
    MissingModel { name: String, path: PathBuf },
    #[error("cannot load the model ({reason}); run `posedata models add --force {name}`: {path}")]
    Model {
        name: String,
        path: PathBuf,
        reason: String,
    },
    #[error("the {model} model failed: {reason}")]
    Inference { model: &'static str, reason: String },
}

pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
