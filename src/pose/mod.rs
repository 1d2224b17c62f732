//! BlazePose: person detection, landmarks, tracking and smoothing, as MediaPipe runs them; landmarks
//! by another, top-down model where the user has one.
//!
//! Takes pictures, gives poses. It never reads a video and touches the disk only to load a model.
//! ONNX Runtime is known to `session` alone, which prefers `native`, kernels of our own, for BlazePose's
//! landmark models.
//!
//! What a pose is, and how the models' files are made, is here without the feature `video` too.

#[cfg(feature = "video")]
mod backend;
#[cfg(feature = "video")]
pub mod crop;
#[cfg(feature = "video")]
pub mod detector;
mod filter_clock;
#[cfg(feature = "video")]
mod held_back;
pub mod landmark;
#[cfg(feature = "video")]
pub mod landmarker;
mod model_files;
#[cfg(feature = "video")]
mod model_threads;
#[cfg(all(feature = "video", target_arch = "x86_64"))]
pub mod native;
#[cfg(feature = "video")]
mod people;
mod person_pose;
mod provider;
#[cfg(feature = "video")]
pub mod roi;
#[cfg(feature = "video")]
mod session;
pub mod skeleton;
#[cfg(feature = "video")]
pub mod smoothing;
#[cfg(feature = "video")]
mod stages;
pub mod tflite;
#[cfg(feature = "video")]
mod timing;
#[cfg(feature = "video")]
mod top_down;
#[cfg(feature = "video")]
mod tracker;

pub use filter_clock::FilterClock;
pub use model_files::{DETECTOR_OUTPUTS, LANDMARK_OUTPUTS, ModelFiles};
pub use person_pose::{ImageLandmark, PersonPose};
pub use provider::Provider;
pub use skeleton::{Skeleton, SkeletonError, SkeletonIdentity};

#[cfg(feature = "video")]
pub use {
    backend::{PoseBackend, PoseError, PoseTimings},
    held_back::{EarlierPose, HeldBack},
    landmarker::LANDMARK_INPUT_SIDE,
    model_threads::ModelThreads,
    people::{LOOKAHEAD_FRAMES, MultiPersonTracker},
    session::{
        DetectorModel, LandmarkModel, Landmarker, PoseModels, TopDownModel, load_provider,
        load_runtime, refuse_telemetry,
    },
    smoothing::Smoothing,
    timing::landmark_run_time,
    tracker::{DEFAULT_DETECT_EVERY, Pick, PoseTracker, TrackerConfig, Tracking},
};
