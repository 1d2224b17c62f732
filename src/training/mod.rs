//! Fine-tuning from a base model and a dataset to an adapter in a folder: joins what the rooms
//! before it do.
//!
//! [`TrainingConfig`] is what is asked for; [`Plan`] has looked at base and data, and may still be
//! refused; [`Training`] holds the run's folder and the weights. Weights, adapter and the results of
//! one batch are resident, as `memory` estimates them.

mod device;
mod error;
mod memory;
mod plan;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

pub use device::DeviceKind;
pub use error::{MemoryShortage, TrainingError};
pub use plan::{Export, OpenLake, Plan, TrainingConfig};
pub use record::Recorded;

use crate::dataset::check_name;
use crate::evaluate::{self, TRAIN_REPORT_FILE};
use crate::files::{why_not_written, write_atomically};
use crate::language::bases::{self, Base};
use crate::language::{ChatTokenizer, Needs};
use crate::llama::{
    Adapter, CandleModel, Checkpointing, Engine, EngineOptions, LlamaError, Trainable, Weights,
    export,
};
use crate::models::ModelStore;
use crate::paths::PathTexts;
use crate::sync::Cancellation;
use crate::train::checkpoint::Checkpoint;
use crate::train::folder::RunConfig;
use crate::train::{
    Chats, DataSource, End, Run, RunFolder, Settings, Start, TrainData, TrainObserver, TrainReport,
    data, train,
};
use device::open_device;
use record::RunIdentity;

/// Texts that are longer are left out if nothing else is said.
const DEFAULT_MAX_TOKENS: usize = 2048;
/// The learning rate with which smollm2 learned most in the short runs that were compared, by the
/// loss on a validation video.
const DEFAULT_LEARNING_RATE: f64 = 2e-3;
/// Width of the model for which that rate was found.
const TUNED_HIDDEN: f64 = 576.0;
/// The best rate of adapters falls with the width of Llama models to this power (Schulman et al.,
/// "LoRA Without Regret", 2025).
const RATE_WIDTH_EXPONENT: f64 = 0.78;
const SECS_PER_MINUTE: f64 = 60.0;

/// What is told while a training goes on.
pub trait TrainingObserver: TrainObserver {
    /// Whether the lake's table `training_runs` knows of the training.
    fn recorded(&self, recorded: &Recorded);
}

impl Plan {
    /// Looks at the data, and then at the base, which may have to be fetched.
    ///
    /// # Errors
    /// When base or data cannot be read, or do not fit each other.
    pub fn new(mut config: TrainingConfig, store: &ModelStore) -> Result<Self, TrainingError> {
        let device = open_device(config.device)?;
        let dataset = match &config.dataset {
            Some(dataset) => dataset.clone(),
            None => only_dataset(&config.llm_data)?,
        };
        let seed = config.train.seed;
        let chats = data::open(&dataset, &config.llm_data, config.valid_share, seed)?;
        let name = config.name.clone().unwrap_or_else(|| chats.source.name());
        check_name(&name).map_err(TrainingError::Name)?;
        let base = bases::find(store, &config.base, Needs::Weights)?;
        let model = Weights::config(&base)?;
        let max_positions = model.max_positions;
        let max_tokens = match config.max_tokens {
            Some(wanted) if wanted > max_positions => {
                return Err(TrainingError::MaxTokens { max_positions });
            }
            Some(wanted) => wanted,
            None => DEFAULT_MAX_TOKENS.min(max_positions),
        };
        let tokenizer = base.tokenizer()?;
        let data = TrainData::encode(&chats, &tokenizer, max_tokens)?;
        let by_width = || default_learning_rate(model.hidden_size);
        config.train.schedule.peak = config.learning_rate.unwrap_or_else(by_width);
        let settings = settings(&config, &base, &tokenizer, &data)?;
        let Chats { source, .. } = chats;
        Ok(Self {
            base_model_name: base.public_name(store),
            config,
            base,
            model,
            source,
            data,
            settings,
            name,
            device,
        })
    }

    /// Name of the adapter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the examples are from.
    pub fn source(&self) -> &DataSource {
        &self.source
    }

    /// Ids of the examples that are longer than `max_tokens` allows, and left out.
    pub fn left_out(&self) -> &[String] {
        &self.data.too_long
    }

    /// Takes the run's folder and reads the weights. Nothing in the folder changes yet.
    ///
    /// # Errors
    /// When the training does not fit into the memory limit, when the folder holds another run that
    /// is not to be replaced, or when the weights are damaged.
    pub fn open(self, memory_limit_bytes: u64) -> Result<Training, TrainingError> {
        memory::check(&self, memory_limit_bytes)?;
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

    /// What may change when the run is resumed: names, and what only decides about speed and memory.
    fn metadata(&self, identity: &RunIdentity) -> Settings {
        let train = &self.config.train;
        let settings = json!({
            "run_id": identity.run_id,
            "started_at": identity.started_at,
            "base": self.base.name,
            "tokens_per_microbatch": train.batch_tokens,
            "checkpointing": self.config.checkpointing == Checkpointing::Layers,
            "time_limit_minutes": train.length.time_limit_secs.map(|secs| secs / SECS_PER_MINUTE),
            "save_every": train.save_every,
        });
        let mut metadata = settings.as_object().cloned().unwrap_or_default();
        metadata.extend(source_metadata(&self.source));
        metadata
    }
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
    /// Where adapter, logs and checkpoints are.
    pub folder: PathBuf,
    /// Losses, steps and times.
    pub report: TrainReport,
    /// Files and folders for other programs; none where the training itself was interrupted.
    pub outputs: Vec<PathBuf>,
    /// Whether the work was called off before all was done: the training, or what is written after
    /// it. Resumed, it does the rest.
    pub is_interrupted: bool,
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
            metadata: plan.metadata(identity),
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
        let mut outputs = Vec::new();
        let mut is_interrupted = report.end == End::Interrupted;
        if !is_interrupted {
            outputs.push(plan.write_adapter(&adapter, &report, folder.path(), store)?);
            let exports = plan.write_exports(&adapter, weights, folder.path(), cancellation)?;
            is_interrupted = exports.len() < plan.config.exports.len();
            outputs.extend(exports);
        }
        record(Some(&report), None);
        Ok(Trained {
            name: plan.name.clone(),
            base: plan.base.name.clone(),
            folder: folder.path().into(),
            report,
            outputs,
            is_interrupted,
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
    /// Writes the adapter, the tokenizer, how it went, and the card. Gives the path of the adapter.
    fn write_adapter(
        &self,
        adapter: &Adapter,
        report: &TrainReport,
        folder: &Path,
        store: &ModelStore,
    ) -> Result<PathBuf, TrainingError> {
        adapter.save(folder, &self.base_model_name)?;
        export::tokenizer_files(&self.base, folder)?;
        write_report(report, &folder.join(TRAIN_REPORT_FILE))?;
        evaluate::write_card(folder, &self.base.name, store)?;
        Ok(folder.join(crate::llama::files::ADAPTER_WEIGHTS_FILE))
    }

    /// Writes the merged models that are asked for. Gives the paths of those that are whole, which
    /// are fewer when it is cancelled.
    fn write_exports(
        &self,
        adapter: &Adapter,
        weights: &Weights,
        folder: &Path,
        cancellation: &Cancellation,
    ) -> Result<Vec<PathBuf>, TrainingError> {
        let (base, is_stopped) = (&self.base, || cancellation.is_cancelled());
        let mut written = Vec::new();
        for format in &self.config.exports {
            let path = match format {
                Export::Safetensors => folder.join("merged"),
                Export::Gguf => folder.join(format!("{}.gguf", self.name)),
            };
            let export = match format {
                Export::Safetensors => {
                    export::merged_safetensors(base, weights, adapter, &path, &is_stopped)
                }
                Export::Gguf => export::merged_gguf(base, weights, adapter, &path, &is_stopped),
            };
            match export {
                Ok(()) => written.push(path),
                Err(LlamaError::Cancelled) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
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

/// The name of the one dataset in a folder of datasets.
fn only_dataset(llm_data: &Path) -> Result<String, TrainingError> {
    let names = data::names(llm_data).map_err(|e| TrainingError::Read {
        path: llm_data.into(),
        reason: e.to_string(),
    })?;
    let path = llm_data.into();
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(names) if names.is_empty() => Err(TrainingError::NoDataset { path }),
        Err(names) => Err(TrainingError::SeveralDatasets {
            path,
            names: names.join(", "),
        }),
    }
}

/// The peak of the learning rate for a model of so many hidden units; narrower models than the one
/// it was found for get no higher one.
fn default_learning_rate(hidden: usize) -> f64 {
    let factor = (TUNED_HIDDEN / hidden.max(1) as f64).powf(RATE_WIDTH_EXPONENT);
    // A round number is easier to give again.
    let rate = DEFAULT_LEARNING_RATE * factor.min(1.0);
    (rate * 1e5).round() / 1e5
}

/// Where the examples of a run are from.
fn source_metadata(source: &DataSource) -> Settings {
    let (snapshot, hash) = match source {
        DataSource::Dataset {
            lake_snapshot,
            content_blake3,
            ..
        } => (Some(lake_snapshot), Some(content_blake3)),
        DataSource::Files { .. } => (None, None),
    };
    let metadata = json!({
        "dataset": source.path().texts(),
        "dataset_snapshot": snapshot,
        "dataset_blake3": hash,
    });
    metadata.as_object().cloned().unwrap_or_default()
}

/// What must be the same for a run to be resumed.
fn settings(
    config: &TrainingConfig,
    base: &Base,
    tokenizer: &ChatTokenizer,
    data: &TrainData,
) -> Result<Settings, TrainingError> {
    let mut settings = config.train.settings();
    let more = json!({
        "precision": config.precision.name(),
        "device": config.device.name(),
        "base_blake3": base.blake3()?,
        "tokenizer_blake3": tokenizer.blake3(),
        "data_blake3": data.blake3(),
    });
    settings.extend(more.as_object().cloned().unwrap_or_default());
    Ok(settings)
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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_dataset_whose_path_is_no_utf_8_can_be_written_down() {
        let train = Path::new(OsStr::from_bytes(b"caf\xe9/train.jsonl")).into();
        let metadata = source_metadata(&DataSource::Files { train, valid: None });
        let expected = json!({
            "dataset": "caf\u{fffd}/train.jsonl",
            "dataset_snapshot": null,
            "dataset_blake3": null,
        });
        assert_eq!(serde_json::Value::Object(metadata), expected);
    }

    #[test]
    fn wider_models_learn_at_lower_rates_by_default() {
        assert_eq!(default_learning_rate(64), 2e-3);
        assert_eq!(default_learning_rate(576), 2e-3);
        // tinyllama: 2e-3 * (576 / 2048)^0.78
        assert_eq!(default_learning_rate(2048), 7.4e-4);
        assert!(default_learning_rate(4096) > 1e-4);
    }
}
