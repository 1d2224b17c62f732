//! ONNX Runtime: loads the library and the models, runs them.

mod detector_model;
mod landmark_model;
mod models;
#[cfg(target_arch = "x86_64")]
mod native;
mod top_down;

use std::fmt::Display;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;

use super::PoseError;
use super::model_files::ModelFiles;
use super::provider::Provider;
pub use detector_model::DetectorModel;
pub use landmark_model::LandmarkModel;
pub use models::{Landmarker, PoseModels};
pub use top_down::TopDownModel;

/// Name of the converted models' input.
const INPUT: &str = "image";
/// A model has some 80 operators of 50 µs each. Threads that sleep between them take longer to wake up
/// than they save; so they look for work so long, which bridges the gaps between operators, and
/// leave the cores to others as soon as a run has ended.
const SPIN_MICROS: u32 = 50;
const SPIN_DURATION: &str = "session.intra_op.spin_duration_us";
const STOP_SPINNING_AFTER_RUNS: &str = "session.force_spinning_stop";

/// Keeps ONNX Runtime from telling its makers that and how it is used, as it does from version 1.29 on, and
/// from keeping an identity of the machine for that in the user's folder.
///
/// The program begins with it. What else calls [`load_runtime`] has to as well, or to have the variable
/// in its environment: the runtime tells of itself before it can be asked not to.
///
/// # Safety
/// Changes environment variables, so no other thread may run yet.
pub unsafe fn refuse_telemetry() {
    // SAFETY: the caller promises that no other thread runs.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}

/// Loads ONNX Runtime, once in a process; later calls return at once. It tells its makers of that unless
/// [`refuse_telemetry`] was called before.
///
/// # Errors
/// [`PoseError::Runtime`] when the library is missing, is no ONNX Runtime, or is too old.
pub fn load_runtime(library: &Path) -> Result<&'static Environment, PoseError> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let error = |reason: String| PoseError::Runtime {
        path: library.to_path_buf(),
        reason,
    };
    // A panic in another loader leaves nothing half-made that this one could trip over.
    let _guard = crate::sync::lock(&LOADING);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    if !library.is_file() {
        return Err(error("the file does not exist".into()));
    }
    let environment = ort::init_from(library)
        .map_err(|e| error(e.to_string()))?
        .with_telemetry(false)
        .build()
        .map_err(|e| error(e.to_string()))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}

/// Loads the runtime of these models, which has to know their provider.
///
/// # Errors
/// As [`load_runtime`], and [`PoseError::Provider`] when the provider's library is not there, or another
/// one that lacks the provider is loaded already.
pub fn load_provider(files: &ModelFiles) -> Result<&'static Environment, PoseError> {
    let provider = files.provider;
    let error = |reason: String| PoseError::Provider { provider, reason };
    if provider.of_runtime() != Provider::Cpu && !files.runtime.is_file() {
        let path = files.runtime.display();
        return Err(error(format!("its library is not there: {path}")));
    }
    let environment = load_runtime(&files.runtime)?;
    let is_available = match provider {
        Provider::Native if !Provider::has_native() => {
            return Err(error("the processor has no AVX2 with FMA".into()));
        }
        Provider::Native | Provider::Cpu => return Ok(environment),
        Provider::OpenVino => ep::OpenVINO::is_available(),
        Provider::Cuda => ep::CUDA::is_available(),
    };
    match is_available.map_err(|e| error(e.to_string()))? {
        true => Ok(environment),
        false => Err(error("this ONNX Runtime was built without it".into())),
    }
}

/// A model, ready to run.
struct Loaded {
    session: Session,
    /// Another provider was asked for, and does not take all of the model.
    is_partly_on_cpu: bool,
}

fn session(
    environment: &Environment,
    path: &Path,
    name: &str,
    hardware: (Provider, usize),
) -> Result<Loaded, PoseError> {
    if !path.is_file() {
        return Err(PoseError::MissingModel {
            name: name.into(),
            path: path.into(),
        });
    }
    let loaded = loaded(environment, hardware, |builder| {
        builder.commit_from_file(path)
    })?;
    loaded.map_err(|reason| PoseError::Model {
        name: name.into(),
        path: path.into(),
        reason,
    })
}

/// Loads a model on a provider with so many threads; the inner error is what ONNX Runtime says of
/// the model.
///
/// A provider other than the CPU's is asked for all of the model first: ONNX Runtime would give
/// what the provider does not take to the CPU and not say so.
fn loaded(
    environment: &Environment,
    (provider, threads): (Provider, usize),
    commit: impl Fn(&mut SessionBuilder) -> ort::Result<Session>,
) -> Result<Result<Loaded, String>, PoseError> {
    let provider = provider.of_runtime();
    if provider != Provider::Cpu {
        let whole = builder(environment, provider, threads)?
            .and_then(|builder| Ok(builder.with_disable_cpu_fallback()?));
        let whole = whole.and_then(|mut builder| commit(&mut builder));
        if let Ok(session) = whole {
            return Ok(Ok(Loaded {
                session,
                is_partly_on_cpu: false,
            }));
        }
    }
    let session = builder(environment, provider, threads)?
        .and_then(|mut builder| commit(&mut builder))
        .map_err(|e| e.to_string());
    Ok(session.map(|session| Loaded {
        session,
        is_partly_on_cpu: provider != Provider::Cpu,
    }))
}

fn builder(
    environment: &Environment,
    provider: Provider,
    threads: usize,
) -> Result<ort::Result<SessionBuilder>, PoseError> {
    let builder = match Session::builder(environment) {
        Ok(builder) => with_provider(builder, provider, threads)?,
        Err(error) => return Ok(Err(error)),
    };
    let configured = || -> ort::Result<SessionBuilder> {
        Ok(builder
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(true)?
            .with_config_entry(SPIN_DURATION, SPIN_MICROS.to_string())?
            .with_config_entry(STOP_SPINNING_AFTER_RUNS, "1")?)
    };
    Ok(configured())
}

/// Lets the provider have the models.
fn with_provider(
    builder: SessionBuilder,
    provider: Provider,
    threads: usize,
) -> Result<SessionBuilder, PoseError> {
    let registration = match provider {
        Provider::Native | Provider::Cpu => return Ok(builder),
        Provider::OpenVino => ep::OpenVINO::default()
            .with_device_type("CPU")
            // Where the processor computes with 16 bits, OpenVINO would.
            .with_precision("FP32")
            .with_num_threads(threads)
            .build(),
        // TF32 rounds to 10 bits.
        Provider::Cuda => ep::CUDA::default().with_tf32(false).build(),
    };
    let registered = builder.with_execution_providers([registration.error_on_failure()]);
    registered.map_err(|e| PoseError::Provider {
        provider,
        reason: e.to_string(),
    })
}

fn run<'s>(
    session: &'s mut Session,
    model: &'static str,
    tensor: &[f32],
    side: usize,
) -> Result<ort::session::SessionOutputs<'s>, PoseError> {
    let error = |e: &dyn Display| PoseError::Inference {
        model,
        reason: e.to_string(),
    };
    let input = TensorRef::from_array_view(([1, 3, side, side], tensor)).map_err(|e| error(&e))?;
    session
        .run(ort::inputs![INPUT => input])
        .map_err(|e| error(&e))
}

fn output<'o>(
    outputs: &'o ort::session::SessionOutputs<'_>,
    model: &'static str,
    name: &str,
    length: usize,
) -> Result<&'o [f32], PoseError> {
    let error = |reason: String| PoseError::Inference { model, reason };
    let value = outputs
        .get(name)
        .ok_or_else(|| error(format!("it has no output {name}")))?;
    let (shape, values) = value
        .try_extract_tensor::<f32>()
        .map_err(|e| error(e.to_string()))?;
    if values.len() != length {
        let reason = format!("output {name} has shape {shape:?}, expected {length} values");
        return Err(error(reason));
    }
    Ok(values)
}
