//! Base and data of a training, looked at and checked against each other.

use std::path::Path;

use serde_json::json;

use super::config::TrainingConfig;
use super::device::open_device;
use super::error::TrainingError;
use crate::dataset::check_name;
use crate::language::bases::{self, Base};
use crate::language::{ChatTokenizer, Needs};
use crate::llama::{Checkpointing, LlamaConfig, Weights};
use crate::models::ModelStore;
use crate::train::{Chats, DataSource, Settings, TrainData, data};

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

/// All that a training is made of, before anything large is read.
pub struct Plan {
    pub(super) config: TrainingConfig,
    pub(super) base: Base,
    /// What other tools call the base.
    pub(super) base_model_name: String,
    pub(super) model: LlamaConfig,
    pub(super) source: DataSource,
    pub(super) data: TrainData,
    /// What must be the same for the run to be resumed.
    pub(super) settings: Settings,
    pub(super) name: String,
    pub(super) device: candle_core::Device,
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

    /// Ids of the examples that are longer than `max_tokens` allows, and left out.
    pub fn left_out(&self) -> &[String] {
        &self.data.too_long
    }

    /// What may change when the run is resumed: names, and what only decides about speed and memory.
    pub(super) fn metadata(&self, run_id: &str, started_at: &str) -> Settings {
        let (dataset_snapshot, dataset_blake3) = match &self.source {
            DataSource::Dataset {
                lake_snapshot,
                content_blake3,
                ..
            } => (Some(lake_snapshot), Some(content_blake3)),
            DataSource::Files { .. } => (None, None),
        };
        let train = &self.config.train;
        let settings = json!({
            "run_id": run_id,
            "started_at": started_at,
            "base": self.base.name,
            "dataset": self.source.path(),
            "dataset_snapshot": dataset_snapshot,
            "dataset_blake3": dataset_blake3,
            "tokens_per_microbatch": train.batch_tokens,
            "checkpointing": self.config.checkpointing == Checkpointing::Layers,
            "time_limit_minutes": train.length.time_limit_secs.map(|secs| secs / SECS_PER_MINUTE),
            "save_every": train.save_every,
        });
        settings.as_object().cloned().unwrap_or_default()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_models_learn_at_lower_rates_by_default() {
        assert_eq!(default_learning_rate(64), 2e-3);
        assert_eq!(default_learning_rate(576), 2e-3);
        // tinyllama: 2e-3 * (576 / 2048)^0.78
        assert_eq!(default_learning_rate(2048), 7.4e-4);
        assert!(default_learning_rate(4096) > 1e-4);
    }
}
