//! BlazePose's landmark model, on as many cores as are free.

use std::thread::JoinHandle;

use super::super::PoseError;
use super::super::crop::ModelInput;
use super::super::landmarker::{
    HEATMAP_SIDE, Heatmaps, LANDMARK_INPUT_SIDE, LandmarkTensors, POINT_COUNT, POINT_VALUES,
};
use super::super::model_files::ModelFiles;
use super::super::model_threads::ModelThreads;
#[cfg(target_arch = "x86_64")]
use super::super::native::NativeLandmarker;
use super::super::provider::Provider;
use super::{Loaded, load_provider, output, run, session};
use crate::at_work::AtWork;

const NAME: &str = "landmark";

/// A landmark model, ready to run.
pub struct LandmarkModel(Engine);

/// What computes.
enum Engine {
    /// posedata's own code.
    #[cfg(target_arch = "x86_64")]
    Native(Box<NativeLandmarker>),
    /// ONNX Runtime, with a session for each number of threads.
    Runtime(Box<Sessions>),
}

/// ONNX Runtime's sessions, and what they are given.
struct Sessions {
    beside_others: Loaded,
    alone: Alone,
    others: AtWork,
    /// The input, where it is not there as a session wants it.
    values: Vec<f32>,
}

/// The session for runs that have all cores.
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
        let engine = match files.provider {
            #[cfg(target_arch = "x86_64")]
            Provider::Native => {
                Engine::Native(Box::new(super::native::landmarker(files, threads)?))
            }
            _ => Engine::Runtime(Box::new(Sessions {
                beside_others: load(files, threads.beside_others)?,
                alone: match is_same {
                    true => Alone::Same,
                    false => Alone::Wanted(files.clone(), threads.alone),
                },
                others: threads.others,
                values: Vec::new(),
            })),
        };
        Ok(Self(engine))
    }

    /// Whether the CPU runs a part of the model that the provider does not take.
    pub(super) fn is_partly_on_cpu(&self) -> bool {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Engine::Native(..) => false,
            Engine::Runtime(sessions) => sessions.beside_others.is_partly_on_cpu,
        }
    }

    /// Runs on [3, 256, 256] in 0..1 and hands the outputs to `read`.
    ///
    /// # Errors
    /// When the model fails or gives tensors of another shape.
    pub fn run<'i, R>(
        &mut self,
        picture: impl Into<ModelInput<'i>>,
        read: impl FnOnce(LandmarkTensors<'_>) -> R,
    ) -> Result<R, PoseError> {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            Engine::Native(model) => {
                super::native::run_landmarker(model, NAME, picture.into(), read)
            }
            Engine::Runtime(sessions) => {
                let Sessions {
                    beside_others,
                    alone,
                    others,
                    values,
                } = &mut **sessions;
                let is_beside_others = others.is_anybody();
                if !is_beside_others {
                    alone.go_on()?;
                }
                let model = match alone {
                    Alone::Loaded(model) if !is_beside_others => model,
                    _ => beside_others,
                };
                let values = picture.into().values(values);
                let outputs = run(&mut model.session, NAME, values, LANDMARK_INPUT_SIDE)?;
                let heatmap_values = POINT_COUNT * HEATMAP_SIDE * HEATMAP_SIDE;
                let heatmaps = output(&outputs, NAME, "heatmaps", heatmap_values)?;
                Ok(read(LandmarkTensors {
                    points: output(&outputs, NAME, "points", POINT_COUNT * POINT_VALUES)?,
                    pose_probability: output(&outputs, NAME, "pose_probability", 1)?[0],
                    heatmaps: Heatmaps::Whole(heatmaps),
                    world: output(&outputs, NAME, "world", POINT_COUNT * 3)?,
                }))
            }
        }
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
        if let Engine::Runtime(sessions) = &mut self.0
            && let Alone::Loading(loading) = std::mem::replace(&mut sessions.alone, Alone::Same)
        {
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
