//! Landmark models that posedata runs itself: loaded once for all who run them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::super::PoseError;
use super::super::backend::sigmoid;
use super::super::landmarker::{Heatmaps, LandmarkTensors, POINT_COUNT, POINT_VALUES};
use super::super::model_files::ModelFiles;
use super::super::model_threads::ModelThreads;
use super::super::native::{NativeModel, Weights};
use super::super::provider::Provider;

/// A model of weights that are in memory once, however many workers and people there are.
///
/// # Errors
/// When the file is missing or is no landmark model, or the processor lacks the instructions.
pub fn native_model(files: &ModelFiles, threads: ModelThreads) -> Result<NativeModel, PoseError> {
    static LOADED: Mutex<Option<HashMap<PathBuf, Weak<Weights>>>> = Mutex::new(None);
    // A panic in another loader leaves nothing half-made.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(weights) = loaded.get(&files.landmarker).and_then(Weak::upgrade) {
        return Ok(NativeModel::new(weights, threads));
    }
    let weights = Arc::new(load(files, &files.landmarker)?);
    loaded.insert(files.landmarker.clone(), Arc::downgrade(&weights));
    Ok(NativeModel::new(weights, threads))
}

fn load(files: &ModelFiles, path: &Path) -> Result<Weights, PoseError> {
    if !Provider::has_native() {
        return Err(PoseError::Provider {
            provider: Provider::Native,
            reason: "the processor has no AVX2 with FMA".into(),
        });
    }
    let name = files.landmarker_name.clone();
    if !path.is_file() {
        return Err(PoseError::MissingModel {
            name,
            path: path.into(),
        });
    }
    let bytes = fs::read(path).map_err(|e| e.to_string());
    let weights = bytes.and_then(Weights::from_onnx);
    weights.map_err(|reason| PoseError::Model {
        name,
        path: path.into(),
        reason,
    })
}

/// Runs the model and hands its outputs to `read`.
pub fn run<R>(
    native: &mut NativeModel,
    model: &'static str,
    tensor: &[f32],
    read: impl FnOnce(LandmarkTensors<'_>) -> R,
) -> Result<R, PoseError> {
    let error = |reason: String| PoseError::Inference { model, reason };
    let outputs = native.run(tensor).map_err(error)?;
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
