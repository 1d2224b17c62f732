//! Models and adapters as files: GGUF, folders as on the Hugging Face hub, PEFT's adapters.

pub mod export;
mod folder;
mod gguf;
mod peft;
mod tensors;
mod writer;

pub(super) use folder::{config_of_folder, weights_of_folder};
pub(super) use gguf::{config_of_gguf, weights_of_gguf};
pub use peft::WEIGHTS_FILE as ADAPTER_WEIGHTS_FILE;
pub(super) use peft::base_of_adapter;

use std::error::Error;
use std::path::Path;

use super::{LlamaConfig, LlamaError};
use crate::files::why_not_written;

/// Heads of rotary embeddings have pairs of elements.
const ELEMENTS_PER_TURN: usize = 2;

/// A configuration whose numbers go together.
fn checked(config: LlamaConfig, path: &Path) -> Result<LlamaConfig, LlamaError> {
    let error = |reason: String| LlamaError::Config {
        path: path.into(),
        reason,
    };
    let numbers = [
        ("the vocabulary", config.vocab_size),
        ("the width", config.hidden_size),
        ("the MLP's width", config.intermediate_size),
        ("the number of layers", config.num_layers),
        ("the number of heads", config.num_heads),
        ("the number of key/value heads", config.num_kv_heads),
        ("the size of heads", config.head_dim),
        ("the longest text", config.max_positions),
    ];
    if let Some((what, _)) = numbers.iter().find(|(_, number)| *number == 0) {
        return Err(error(format!("{what} is 0")));
    }
    if !config.num_heads.is_multiple_of(config.num_kv_heads) {
        let (heads, kv_heads) = (config.num_heads, config.num_kv_heads);
        return Err(error(format!(
            "{heads} heads cannot share {kv_heads} heads of keys and values evenly"
        )));
    }
    if !config.head_dim.is_multiple_of(ELEMENTS_PER_TURN) {
        let head_dim = config.head_dim;
        return Err(error(format!(
            "rotary embeddings need heads of an even size, not {head_dim}"
        )));
    }
    let (eps, theta) = (config.rms_norm_eps, config.rope_theta);
    if !(eps.is_finite() && eps >= 0.0 && theta.is_finite() && theta > 0.0) {
        return Err(error(format!(
            "rms_norm_eps {eps} or rope_theta {theta} is out of range"
        )));
    }
    Ok(config)
}

/// What is wrong with reading a model's file.
fn read_error(path: &Path, reason: impl ToString) -> LlamaError {
    LlamaError::Read {
        path: path.into(),
        reason: reason.to_string(),
    }
}

/// What is wrong with writing a file.
fn write_error(path: &Path, reason: impl Into<Box<dyn Error + Send + Sync>>) -> LlamaError {
    let reason: Box<dyn Error + Send + Sync> = reason.into();
    LlamaError::Write {
        path: path.into(),
        reason: why_not_written(&*reason),
    }
}
