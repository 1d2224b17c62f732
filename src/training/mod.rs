//! Fine-tuning from a base model and a dataset to an adapter in a folder: joins what the rooms
//! before it do.
//!
//! [`TrainingConfig`] is what is asked for; [`Plan`] has looked at base and data, and may still be
//! refused; [`Training`] holds the run's folder and the weights. Weights, adapter and the results of
//! one batch are resident, as `memory` estimates them.

mod config;
mod device;
mod error;
mod memory;
mod plan;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use config::{Export, TrainingConfig};
pub use device::DeviceKind;
pub use error::{MemoryShortage, TrainingError};
pub use plan::Plan;
pub use record::{OpenLake, Recorded};

use crate::evaluate::folder::{TRAIN_REPORT_FILE, write_card};
use crate::files::{why_not_written, write_atomically};
use crate::llama::files::ADAPTER_WEIGHTS_FILE;
use crate::llama::{
    Adapter, CandleModel, Engine, EngineOptions, LlamaError, Trainable, Weights, export,
};
use crate::models::ModelStore;
use crate::sync::Cancellation;
use crate::train::checkpoint::Checkpoint;
use crate::train::folder::RunConfig;
use crate::train::{End, Run, RunFolder, Start, TrainObserver, TrainReport, train};
use record::RunIdentity;

/// What is told while a training goes on.
pub trait TrainingObserver: TrainObserver {
    /// Whether the lake's table `training_runs` knows of the training.
    fn recorded(&self, recorded: &Recorded);
}

/// A training that can begin.
pub struct Training {
    plan: Plan,
    identity: RunIdentity,
    folder: RunFolder,
    weights: Arc<Weights>,
}

/// What came of a training.
pub struct Trained {
    /// Name of the adapter.
    pub name: String,
    /// As the user named the base.
    pub base: String,
    pub folder: PathBuf,
    pub report: TrainReport,
    /// Files and folders for other programs; none where the training was interrupted.
    pub outputs: Vec<PathBuf>,
    /// Ids of examples that were too long.
    pub left_out: Vec<String>,
}

impl Training {
    /// Trains, writes what others read, and records the run in the lake, if there is one.
    ///
    /// # Errors
    /// When a step fails, or the disk does not take what is written; the last checkpoint is there
    /// then.
    pub fn run(
        self,
        store: &ModelStore,
        lake: Option<&OpenLake<'_>>,
        cancellation: &Cancellation,
        observer: &dyn TrainingObserver,
    ) -> Result<Trained, TrainingError> {
        let Self {
            plan,
            identity,
            folder,
            weights,
        } = &self;
        folder.begin(&RunConfig {
            posedata_version: env!("CARGO_PKG_VERSION").into(),
            settings: plan.settings.clone(),
            metadata: plan.metadata(&identity.run_id, &identity.started_at),
        })?;
        let record = |report: Option<&TrainReport>, error: Option<String>| {
            let record = identity.record(plan, folder.path(), report, error);
            observer.recorded(&Recorded::keep(&record, lake));
        };
        let trained = self.train(cancellation, observer);
        let (report, adapter) = match trained {
            Ok(trained) => trained,
            Err(error) => {
                record(None, Some(error.to_string()));
                return Err(error);
            }
        };
        let outputs = match report.end {
            End::Interrupted => Vec::new(),
            _ => plan.write_outputs(&adapter, &report, weights, folder.path(), store)?,
        };
        record(Some(&report), None);
        Ok(Trained {
            name: plan.name.clone(),
            base: plan.base.name.clone(),
            folder: folder.path().into(),
            report,
            outputs,
            left_out: plan.data.too_long.clone(),
        })
    }

    fn train(
        &self,
        cancellation: &Cancellation,
        observer: &dyn TrainingObserver,
    ) -> Result<(TrainReport, Adapter), TrainingError> {
        let plan = &self.plan;
        let config = &plan.config.train;
        let model = &plan.model;
        let saved = match self.folder.resumed() {
            Some(_) => Checkpoint::load(self.folder.path(), &config.lora, model, config.adamw)?,
            None => None,
        };
        let start = match saved {
            Some(state) => Start::Resumed(Box::new(state)),
            None => Start::New(Adapter::new(config.lora.clone(), model, config.seed)),
        };
        let run = Run {
            base: &plan.base_model_name,
            config,
            data: &plan.data,
            folder: self.folder.path(),
            title: &plan.name,
            observer,
            cancellation,
        };
        let mut trainable = open_model(&self.weights, plan, cancellation)?;
        Ok(train(trainable.as_mut(), &run, start)?)
    }
}

impl Plan {
    /// Takes the run's folder and reads the weights. Nothing in the folder changes yet.
    ///
    /// # Errors
    /// When the training does not fit into the memory limit, when the folder holds another run that
    /// is not to be replaced, or when the weights are damaged.
    pub fn open(self, memory_limit_bytes: u64) -> Result<Training, TrainingError> {
        let Self {
            config,
            base,
            model,
            data,
            ..
        } = &self;
        memory::check(config, base, model, data, memory_limit_bytes)?;
        let path = self.config.llm_models.join(&self.name);
        let folder = RunFolder::open(&path, &self.settings, self.config.on_existing)?;
        let weights = Arc::new(Weights::open(&self.base, self.config.precision)?);
        Ok(Training {
            identity: RunIdentity::of(&folder),
            plan: self,
            folder,
            weights,
        })
    }

    /// Writes the adapter, the tokenizer, how it went, the card and the exports. Gives the paths of
    /// what other programs read.
    fn write_outputs(
        &self,
        adapter: &Adapter,
        report: &TrainReport,
        weights: &Weights,
        folder: &Path,
        store: &ModelStore,
    ) -> Result<Vec<PathBuf>, TrainingError> {
        adapter.save(folder, &self.base_model_name)?;
        export::tokenizer_files(&self.base, folder)?;
        write_report(report, &folder.join(TRAIN_REPORT_FILE))?;
        write_card(folder, &self.base.name, store)?;
        let mut outputs = vec![folder.join(ADAPTER_WEIGHTS_FILE)];
        for format in &self.config.exports {
            let path = match format {
                Export::Safetensors => folder.join("merged"),
                Export::Gguf => folder.join(format!("{}.gguf", self.name)),
            };
            match format {
                Export::Safetensors => {
                    export::merged_safetensors(&self.base, weights, adapter, &path)?;
                }
                Export::Gguf => export::merged_gguf(&self.base, weights, adapter, &path)?,
            }
            outputs.push(path);
        }
        Ok(outputs)
    }
}

fn write_report(report: &TrainReport, path: &Path) -> Result<(), TrainingError> {
    let written = serde_json::to_vec_pretty(report)
        .map_err(std::io::Error::from)
        .and_then(|mut json| {
            json.push(b'\n');
            write_atomically(path, &json)
        });
    written.map_err(|e| TrainingError::Report {
        path: path.into(),
        reason: why_not_written(&e),
    })
}

/// The model that trains on a device: kernels of our own on CPUs, candle's elsewhere.
fn open_model(
    weights: &Arc<Weights>,
    plan: &Plan,
    cancellation: &Cancellation,
) -> Result<Box<dyn Trainable>, LlamaError> {
    if plan.device.is_cpu() {
        let checkpointing = plan.config.checkpointing;
        let options = EngineOptions { checkpointing };
        let engine = Engine::new(Arc::clone(weights), options);
        return Ok(Box::new(engine.cancelled_by(cancellation)));
    }
    Ok(Box::new(CandleModel::new(weights, &plan.device)?))
}
