//! Options of commands that run a language model, and the model that they name.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use super::model_card::{read, repository};
use super::{GlobalArgs, Verbosity, human_bytes, logs};
use crate::language::bases::{self, Base};
use crate::language::{ChatTokenizer, LanguageError, Needs};
use crate::llama::{Adapter, Precision, Weights, weights_bytes};

/// A base model, and how its weights are kept.
#[derive(Args)]
pub struct ModelArgs {
    /// Base model: smollm2, tinyllama, a GGUF file, a model's folder, OWNER/NAME on the Hugging
    /// Face hub
    #[arg(long, value_name = "MODEL", default_value = "smollm2")]
    base: String,
    /// How the weights are kept; quantised is how a GGUF file has them
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
}

/// How weights are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    F32,
    Bf16,
    #[value(alias = "quantized")]
    Quantised,
}

impl PrecisionArg {
    pub fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Quantised => Precision::Quantised,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Quantised => "quantised",
        }
    }
}

/// A base model in memory.
pub struct LoadedModel {
    pub base: Base,
    pub tokenizer: ChatTokenizer,
    pub weights: Arc<Weights>,
    /// Tokens that end an answer.
    pub end_ids: Vec<u32>,
}

impl ModelArgs {
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn precision_name(&self) -> &'static str {
        self.precision.name()
    }

    /// Loads the model.
    pub fn load(&self, global: &GlobalArgs) -> anyhow::Result<LoadedModel> {
        let base = bases::find(&global.store()?, &self.base, Needs::Weights)?;
        let tokenizer = base.tokenizer()?;
        self.check_memory(&base, global)?;
        let weights = Weights::open(&base, self.precision.precision())?;
        let end_ids = end_ids(&tokenizer, &weights)?;
        Ok(LoadedModel {
            base,
            tokenizer,
            weights: Arc::new(weights),
            end_ids,
        })
    }
}

impl ModelArgs {
    /// Weights that are kept as the file has them are as small as can be.
    fn check_memory(&self, base: &Base, global: &GlobalArgs) -> anyhow::Result<()> {
        let shape = Weights::config(base)?;
        let needed_bytes = weights_bytes(&shape, self.precision.precision(), 0);
        let limit_bytes = global.memory_limit_bytes();
        ensure!(
            needed_bytes <= limit_bytes,
            "the weights of {} take {} as {}, the memory limit is {}; take --precision bf16 or quantised, or raise --memory-limit",
            base.name,
            human_bytes(needed_bytes),
            self.precision.name(),
            human_bytes(limit_bytes)
        );
        Ok(())
    }
}

fn end_ids(tokenizer: &ChatTokenizer, weights: &Weights) -> Result<Vec<u32>, LanguageError> {
    let mut ids = tokenizer.end_ids()?;
    ids.extend(&weights.config.eos_token_ids);
    Ok(ids)
}

impl LoadedModel {
    /// Loads an adapter of this model.
    pub fn adapter(&self, folder: &Path, global: &GlobalArgs) -> anyhow::Result<Adapter> {
        let adapter = Adapter::load(folder, &self.weights.config).with_context(|| {
            format!(
                "the adapter does not fit the base model '{}'",
                self.base.name
            )
        })?;
        if global.verbosity() > Verbosity::Quiet {
            self.tell_other_base(folder, global)?;
        }
        Ok(adapter)
    }

    /// Models of one shape take each other's adapters, and talk nonsense. A model may have several
    /// names, though: this is for people to judge.
    fn tell_other_base(&self, folder: &Path, global: &GlobalArgs) -> anyhow::Result<()> {
        let config: Option<serde_json::Value> = read(&folder.join("adapter_config.json"))?;
        let made_for = config.and_then(|mut config| {
            let name = config["base_model_name_or_path"].take();
            name.as_str().map(str::to_owned)
        });
        let own = repository(&self.base.name, &global.store()?);
        let own = [Some(self.base.name.clone()), own];
        let is_own = |name: &str| {
            let mut own = own.iter().flatten();
            own.any(|own| Path::new(own).file_name() == Path::new(name).file_name())
        };
        if let Some(name) = made_for.filter(|name| !name.is_empty() && !is_own(name)) {
            logs::note(format_args!(
                "hint: the adapter was made for {name}; is that the same model as {}?",
                self.base.name
            ));
        }
        Ok(())
    }
}
