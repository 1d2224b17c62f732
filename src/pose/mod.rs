//! BlazePose: person detection, landmarks, tracking and smoothing, as MediaPipe runs them.
//!
//! Takes pictures, gives poses. It never reads a video and touches the disk only to load a model.
//! ONNX Runtime is known to `session` alone.
//!
//! Poses in a picture, with the models that `posedata models add` has installed:
//!
//! ```
//! use posedata::image::BgrView;
//! use posedata::models::ModelStore;
//! use posedata::pose::{PoseBackend, PoseModels, PoseTracker, TrackerConfig};
//!
//! let files = ModelStore::new(None)?.pose_files("full")?;
//! let threads = 1;
//! let mut tracker = PoseTracker::new(PoseModels::load(&files, threads)?, TrackerConfig::default());
//!
//! let (width, height) = (320, 240);
//! let gray = vec![128; 3 * width * height];
//! let picture = BgrView::new(&gray, width, height, 3 * width).expect("all rows are there");
//! let people = tracker.estimate(picture)?;
//! assert!(people.is_empty(), "nobody is seen on a gray wall");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod crop;
pub mod detector;
mod held_back;
pub mod landmark;
pub mod landmarker;
mod people;
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
use landmark::LANDMARK_COUNT;
pub use people::{LOOKAHEAD_FRAMES, MultiPersonTracker};
pub use session::{
    DETECTOR_OUTPUTS, DetectorModel, LANDMARK_OUTPUTS, LandmarkModel, ModelFiles, PoseModels,
    load_runtime,
};
pub use smoothing::Smoothing;
pub use tracker::{DEFAULT_DETECT_EVERY, Pick, PoseTracker, TrackerConfig, Tracking};

/// Side of the landmark model's input; see [`landmarker::LANDMARK_INPUT_SIDE`].
pub use landmarker::LANDMARK_INPUT_SIDE;

/// A landmark in the image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageLandmark {
    /// Fraction of the image's width, 0 at the left edge; may lie outside 0..1.
    pub x: f32,
    /// Fraction of the image's height, 0 at the top edge; may lie outside 0..1.
    pub y: f32,
    /// Depth in image widths, negative towards the camera, 0 near the hips.
    pub z: f32,
    /// Probability that the landmark is in the picture and not hidden, 0..1.
    pub visibility: f32,
    /// Probability that the landmark lies inside the picture, 0..1.
    pub presence: f32,
}

/// One person in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonPose {
    /// Stable number of the person within the video, from 0.
    pub person: u16,
    /// Probability that the region shows a person, 0..1.
    pub probability: f32,
    pub landmarks: [ImageLandmark; LANDMARK_COUNT],
    /// x right, y down, z away from the camera, in metres from the middle of the hips.
    pub world_m: [[f32; 3]; LANDMARK_COUNT],
}

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
