//! Options of commands that run a language model, and the model that they name.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::cli::{GlobalArgs, Verbosity, logs};
use crate::llama::{LoadedModel, Precision};

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
}

impl ModelArgs {
    /// Loads the model.
    pub fn load(&self, global: &GlobalArgs) -> anyhow::Result<LoadedModel> {
        let limit_bytes = global.memory_limit_bytes();
        let precision = self.precision.precision();
        let model = LoadedModel::load(&global.store()?, &self.base, precision, limit_bytes);
        Ok(model?)
    }
}

/// Asks people whether an adapter that was made for a model of another name belongs to this one.
pub fn tell_other_base(
    model: &LoadedModel,
    adapter: &Path,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    if global.verbosity() > Verbosity::Quiet
        && let Some(name) = model.other_base_of(adapter, &global.store()?)
    {
        logs::note(format_args!(
            "hint: the adapter was made for {name}; is that the same model as {}?",
            model.base.name
        ));
    }
    Ok(())
}
