//! The pose models as files: where they are, and what is kept of them when they are converted.

use std::path::PathBuf;
use std::sync::Arc;

use super::provider::Provider;
use super::skeleton::Skeleton;
use super::tflite::Output;

/// What is kept of the detector's TFLite outputs.
pub const DETECTOR_OUTPUTS: [Output; 2] = [
    Output {
        position: 0,
        name: "boxes",
    },
    Output {
        position: 1,
        name: "logits",
    },
];

/// What is kept of a landmark model's TFLite outputs; output 2, the segmentation, is not.
pub const LANDMARK_OUTPUTS: [Output; 4] = [
    Output {
        position: 0,
        name: "points",
    },
    Output {
        position: 1,
        name: "pose_probability",
    },
    Output {
        position: 3,
        name: "heatmaps",
    },
    Output {
        position: 4,
        name: "world",
    },
];

/// Where the installed models and their runtime are.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// libonnxruntime.so
    pub runtime: PathBuf,
    /// ONNX, with [`DETECTOR_OUTPUTS`].
    pub detector: PathBuf,
    /// ONNX, with [`LANDMARK_OUTPUTS`], or with those that the skeleton says.
    pub landmarker: PathBuf,
    /// The landmark model's name in `models/models.toml`, or that of the user's file.
    pub landmarker_name: String,
    /// What a landmark model of the user's gives; `None` for BlazePose's.
    pub skeleton: Option<Arc<Skeleton>>,
    /// What runs both models.
    pub provider: Provider,
}
