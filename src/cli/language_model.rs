//! Options of commands that run a language model, and the model that they name.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::GlobalArgs;
use crate::language::bases::{self, Base};
use crate::language::{ChatTokenizer, LanguageError, Needs};
use crate::llama::{Adapter, Precision, Weights};

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

fn end_ids(tokenizer: &ChatTokenizer, weights: &Weights) -> Result<Vec<u32>, LanguageError> {
    let mut ids = tokenizer.end_ids()?;
    ids.extend(&weights.config.eos_token_ids);
    Ok(ids)
}

impl LoadedModel {
    /// Loads an adapter of this model.
    pub fn adapter(&self, folder: &Path) -> anyhow::Result<Adapter> {
        Adapter::load(folder, &self.weights.config).with_context(|| {
            format!(
                "the adapter does not fit the base model '{}'",
                self.base.name
            )
        })
    }
}
