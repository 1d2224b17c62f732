//! BlazePose's landmark model, on as many cores as are free.

use std::thread::JoinHandle;

use super::super::PoseError;
use super::super::landmarker::{
    HEATMAP_SIDE, LANDMARK_INPUT_SIDE, LandmarkTensors, POINT_COUNT, POINT_VALUES,
};
use super::super::model_files::ModelFiles;
use super::super::provider::Provider;
use super::{Loaded, load_provider, output, run, session};

const NAME: &str = "landmark";

/// Threads that one run of a model may use; they do not change results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelThreads {
    /// While others need cores as well.
    pub beside_others: usize,
    /// While nobody does. A run is shortened by less than what the others would have done with the
    /// core.
    pub alone: usize,
}

impl From<usize> for ModelThreads {
    fn from(threads: usize) -> Self {
        Self {
            beside_others: threads,
            alone: threads,
        }
    }
}

/// A landmark model, ready to run.
pub struct LandmarkModel {
    beside_others: Loaded,
    alone: Alone,
    /// Others need cores.
    is_beside_others: bool,
}

/// The model for runs that have all cores.
enum Alone {
    /// Those beside others have as many.
    Same,
    /// It is loaded when there is a core for that: the first time that nobody else needs it.
    Wanted(ModelFiles, usize),
    Loading(JoinHandle<Result<Loaded, PoseError>>),
    Loaded(Loaded),
}

impl LandmarkModel {
    /// Loads the model.
    ///
    /// # Errors
    /// When the runtime or the model is missing or unusable.
    pub fn load(files: &ModelFiles, threads: impl Into<ModelThreads>) -> Result<Self, PoseError> {
        let threads = threads.into();
        let is_same = threads.alone == threads.beside_others || files.provider == Provider::Cuda;
        Ok(Self {
            beside_others: load(files, threads.beside_others)?,
            alone: match is_same {
                true => Alone::Same,
                false => Alone::Wanted(files.clone(), threads.alone),
            },
            is_beside_others: false,
        })
    }

    /// Whether others need cores from now on.
    pub fn set_beside_others(&mut self, is_beside_others: bool) {
        self.is_beside_others = is_beside_others;
    }

    /// Whether the CPU runs a part of the model that the provider does not take.
    pub(super) fn is_partly_on_cpu(&self) -> bool {
        self.beside_others.is_partly_on_cpu
    }

    /// Runs on a [3, 256, 256] tensor in 0..1 and hands the outputs to `read`.
    ///
    /// # Errors
    /// When the model fails or gives tensors of another shape.
    pub fn run<R>(
        &mut self,
        tensor: &[f32],
        read: impl FnOnce(LandmarkTensors<'_>) -> R,
    ) -> Result<R, PoseError> {
        if !self.is_beside_others {
            self.alone.go_on()?;
        }
        let model = match &mut self.alone {
            Alone::Loaded(model) if !self.is_beside_others => model,
            _ => &mut self.beside_others,
        };
        let outputs = run(&mut model.session, NAME, tensor, LANDMARK_INPUT_SIDE)?;
        let heatmap_values = POINT_COUNT * HEATMAP_SIDE * HEATMAP_SIDE;
        Ok(read(LandmarkTensors {
            points: output(&outputs, NAME, "points", POINT_COUNT * POINT_VALUES)?,
            pose_probability: output(&outputs, NAME, "pose_probability", 1)?[0],
            heatmaps: output(&outputs, NAME, "heatmaps", heatmap_values)?,
            world: output(&outputs, NAME, "world", POINT_COUNT * 3)?,
        }))
    }
}

impl Alone {
    /// Begins to load the model, or takes it when it is there.
    fn go_on(&mut self) -> Result<(), PoseError> {
        *self = match std::mem::replace(self, Self::Same) {
            Self::Wanted(files, threads) => {
                Self::Loading(std::thread::spawn(move || load(&files, threads)))
            }
            Self::Loading(loading) if loading.is_finished() => match loading.join() {
                Ok(loaded) => Self::Loaded(loaded?),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            other => other,
        };
        Ok(())
    }
}

impl Drop for LandmarkModel {
    /// The process must not end while the runtime loads.
    fn drop(&mut self) {
        if let Alone::Loading(loading) = std::mem::replace(&mut self.alone, Alone::Same) {
            let _ = loading.join();
        }
    }
}

fn load(files: &ModelFiles, threads: usize) -> Result<Loaded, PoseError> {
    let environment = load_provider(files)?;
    let hardware = (files.provider, threads);
    session(
        environment,
        &files.landmarker,
        &files.landmarker_name,
        hardware,
    )
}
