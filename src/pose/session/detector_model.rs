//! BlazePose's person detector, on as many cores as are free.

use super::super::PoseError;
use super::super::detector::{ANCHOR_COUNT, BOX_VALUES, DETECTOR_INPUT_SIDE};
use super::super::model_files::ModelFiles;
use super::super::model_threads::ModelThreads;
#[cfg(target_arch = "x86_64")]
use super::super::native::NativeDetector;
use super::super::provider::Provider;
use super::{Loaded, load_provider, output, run, session};

const NAME: &str = "detector";

/// The person detector, ready to run.
pub struct DetectorModel(Engine);

/// What computes.
enum Engine {
    /// posedata's own code.
    #[cfg(target_arch = "x86_64")]
    Native(Box<NativeDetector>),
    /// ONNX Runtime, with all threads.
    Runtime(Loaded),
}

impl DetectorModel {
    /// Loads the model.
    ///
    /// # Errors
    /// When the runtime or the model is missing or unusable.
    pub fn load(files: &ModelFiles, threads: impl Into<ModelThreads>) -> Result<Self, PoseError> {
        let threads = threads.into();
        Ok(Self(match files.provider {
            #[cfg(target_arch = "x86_64")]
            Provider::Native => Engine::Native(Box::new(super::native::detector(files, threads)?)),
            provider => {
                let environment = load_provider(files)?;
                let hardware = (provider, threads.alone);
                Engine::Runtime(session(environment, &files.detector, NAME, hardware)?)
            }
        }))
    }

    /// Whether the CPU runs a part of the model that the provider does not take.
    pub(super) fn is_partly_on_cpu(&self) -> bool {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Engine::Native(..) => false,
            Engine::Runtime(loaded) => loaded.is_partly_on_cpu,
        }
    }

    /// Runs on a [3, 224, 224] tensor in -1..1 and hands the boxes [2254, 12] and score logits
    /// [2254] to `read`.
    ///
    /// # Errors
    /// When the model fails or gives tensors of another shape.
    pub fn run<R>(
        &mut self,
        tensor: &[f32],
        read: impl FnOnce(&[f32], &[f32]) -> R,
    ) -> Result<R, PoseError> {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            Engine::Native(model) => super::native::run_detector(model, NAME, tensor, read),
            Engine::Runtime(loaded) => {
                let outputs = run(&mut loaded.session, NAME, tensor, DETECTOR_INPUT_SIDE)?;
                let boxes = output(&outputs, NAME, "boxes", ANCHOR_COUNT * BOX_VALUES)?;
                let logits = output(&outputs, NAME, "logits", ANCHOR_COUNT)?;
                Ok(read(boxes, logits))
            }
        }
    }
}
