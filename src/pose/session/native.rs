//! BlazePose's models that posedata runs itself: loaded once for all who run them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::super::PoseError;
use super::super::backend::sigmoid;
use super::super::crop::ModelInput;
use super::super::detector::{ANCHOR_COUNT, BOX_VALUES};
use super::super::landmarker::{Heatmaps, LandmarkTensors, POINT_COUNT, POINT_VALUES};
use super::super::model_files::ModelFiles;
use super::super::model_threads::ModelThreads;
use super::super::native::{DetectorWeights, LandmarkerWeights, NativeDetector, NativeLandmarker};
use super::super::provider::Provider;
use crate::sync::lock;

/// Models in memory, by their files.
type Loaded<W> = Mutex<Option<HashMap<PathBuf, Weak<W>>>>;

/// A landmark model of weights that are in memory once, however many workers and people there are.
///
/// # Errors
/// When the file is missing or is no landmark model, or the processor lacks the instructions.
pub fn landmarker(
    files: &ModelFiles,
    threads: ModelThreads,
) -> Result<NativeLandmarker, PoseError> {
    static LOADED: Loaded<LandmarkerWeights> = Mutex::new(None);
    let name = &files.landmarker_name;
    let weights = shared(
        &LOADED,
        &files.landmarker,
        name,
        LandmarkerWeights::from_onnx,
    )?;
    Ok(NativeLandmarker::new(weights, threads))
}

/// The detector, of weights that are in memory once.
///
/// # Errors
/// When the file is missing or is not the detector, or the processor lacks the instructions.
pub fn detector(files: &ModelFiles, threads: ModelThreads) -> Result<NativeDetector, PoseError> {
    static LOADED: Loaded<DetectorWeights> = Mutex::new(None);
    let weights = shared(
        &LOADED,
        &files.detector,
        "detector",
        DetectorWeights::from_onnx,
    )?;
    Ok(NativeDetector::new(weights, threads))
}

fn shared<W>(
    loaded: &Loaded<W>,
    path: &Path,
    name: &str,
    read: impl FnOnce(Vec<u8>) -> Result<W, String>,
) -> Result<Arc<W>, PoseError> {
    // A panic in another loader leaves nothing half-made.
    let mut loaded = lock(loaded);
    let loaded = loaded.get_or_insert_default();
    if let Some(weights) = loaded.get(path).and_then(Weak::upgrade) {
        return Ok(weights);
    }
    let weights = Arc::new(load(path, name, read)?);
    loaded.insert(path.into(), Arc::downgrade(&weights));
    Ok(weights)
}

fn load<W>(
    path: &Path,
    name: &str,
    read: impl FnOnce(Vec<u8>) -> Result<W, String>,
) -> Result<W, PoseError> {
    if !Provider::has_native() {
        return Err(PoseError::Provider {
            provider: Provider::Native,
            reason: "the processor has no AVX2 with FMA".into(),
        });
    }
    if !path.is_file() {
        return Err(PoseError::MissingModel {
            name: name.into(),
            path: path.into(),
        });
    }
    let bytes = fs::read(path).map_err(|e| e.to_string());
    bytes.and_then(read).map_err(|reason| PoseError::Model {
        name: name.into(),
        path: path.into(),
        reason,
    })
}

/// Runs the detector and hands boxes and logits to `read`.
pub fn run_detector<R>(
    native: &mut NativeDetector,
    model: &'static str,
    tensor: &[f32],
    read: impl FnOnce(&[f32], &[f32]) -> R,
) -> Result<R, PoseError> {
    let error = |reason: String| PoseError::Inference { model, reason };
    let (boxes, logits) = native.run(tensor.into()).map_err(error)?;
    let lengths = [boxes.len(), logits.len()];
    if lengths != [ANCHOR_COUNT * BOX_VALUES, ANCHOR_COUNT] {
        return Err(error(format!("outputs of {lengths:?} values")));
    }
    Ok(read(boxes, logits))
}

/// Runs a landmark model and hands its outputs to `read`.
pub fn run_landmarker<R>(
    native: &mut NativeLandmarker,
    model: &'static str,
    picture: ModelInput<'_>,
    read: impl FnOnce(LandmarkTensors<'_>) -> R,
) -> Result<R, PoseError> {
    let error = |reason: String| PoseError::Inference { model, reason };
    let outputs = native.run(picture).map_err(error)?;
    let lengths = [outputs.points.len(), outputs.world.len()];
    if lengths != [POINT_COUNT * POINT_VALUES, POINT_COUNT * 3] {
        return Err(error(format!("outputs of {lengths:?} values")));
    }
    Ok(read(LandmarkTensors {
        points: outputs.points,
        pose_probability: sigmoid(f64::from(outputs.pose)) as f32,
        heatmaps: Heatmaps::Native(outputs.heatmaps),
        world: outputs.world,
    }))
}
