//! The models of a tracker: the detector, and one of two kinds that find landmarks.

use super::top_down::TopDownModel;
use super::{DetectorModel, LandmarkModel};
use crate::pose::PoseError;
use crate::pose::model_files::ModelFiles;
use crate::pose::model_threads::ModelThreads;

/// What finds one person's landmarks in a region.
pub enum Landmarker {
    /// BlazePose's own.
    BlazePose(LandmarkModel),
    /// One of the user's.
    TopDown(TopDownModel),
}

impl Landmarker {
    /// Loads the model. One of the user's always has all threads: it may be large, and is loaded once.
    ///
    /// # Errors
    /// When the runtime or the model is missing or unusable, or does not fit its skeleton.
    pub fn load(files: &ModelFiles, threads: impl Into<ModelThreads>) -> Result<Self, PoseError> {
        let threads = threads.into();
        Ok(match &files.skeleton {
            None => Self::BlazePose(LandmarkModel::load(files, threads)?),
            Some(skeleton) => Self::TopDown(TopDownModel::load(files, skeleton, threads.alone)?),
        })
    }

    fn is_partly_on_cpu(&self) -> bool {
        match self {
            Self::BlazePose(model) => model.is_partly_on_cpu(),
            Self::TopDown(model) => model.is_partly_on_cpu(),
        }
    }
}

/// The detector and a landmark model.
pub struct PoseModels {
    /// Finds people in a whole picture.
    pub detector: DetectorModel,
    /// Finds one person's landmarks in a region.
    pub landmarker: Landmarker,
}

impl PoseModels {
    /// Loads both models.
    ///
    /// # Errors
    /// When the runtime or a model is missing or unusable.
    pub fn load(files: &ModelFiles, threads: impl Into<ModelThreads>) -> Result<Self, PoseError> {
        let threads = threads.into();
        std::thread::scope(|scope| {
            let of_detector = threads.clone();
            let detector = scope.spawn(move || DetectorModel::load(files, of_detector));
            let landmarker = Landmarker::load(files, threads)?;
            let detector = match detector.join() {
                Ok(loaded) => loaded?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            Ok(Self {
                detector,
                landmarker,
            })
        })
    }

    /// Whether the CPU runs a part of the models that the provider does not take.
    pub fn is_partly_on_cpu(&self) -> bool {
        self.detector.is_partly_on_cpu() || self.landmarker.is_partly_on_cpu()
    }
}
