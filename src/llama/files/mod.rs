//! Models and adapters as files: GGUF, folders as on the Hugging Face hub, PEFT's adapters.

pub mod export;
mod folder;
mod gguf;
mod peft;
mod tensors;

pub(super) use folder::{config_of_folder, weights_of_folder};
pub(super) use gguf::{config_of_gguf, weights_of_gguf};
pub use peft::{WEIGHTS_FILE as ADAPTER_WEIGHTS_FILE, base_of_adapter};

use std::error::Error;
use std::path::Path;

use super::{LlamaConfig, LlamaError, Projection};
use crate::files::why_not_written;

/// Heads of rotary embeddings have pairs of elements.
const ELEMENTS_PER_TURN: usize = 2;

/// A tensor of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Embedding,
    InputNorm(usize),
    PostAttentionNorm(usize),
    Projection(usize, Projection),
    FinalNorm,
    Output,
}

impl Part {
    /// The tensors of a model, in the order in which it computes.
    fn all(config: &LlamaConfig) -> impl Iterator<Item = Self> + use<> {
        let layers = (0..config.num_layers).flat_map(|layer| {
            let projections = Projection::ALL.map(|own| Self::Projection(layer, own));
            let norms = [Self::InputNorm(layer), Self::PostAttentionNorm(layer)];
            norms.into_iter().chain(projections)
        });
        let output = (!config.is_tied).then_some(Self::Output);
        [Self::Embedding]
            .into_iter()
            .chain(layers)
            .chain([Self::FinalNorm])
            .chain(output)
    }

    /// What the hub's files call it.
    fn hub_name(self) -> String {
        match self {
            Self::Embedding => "model.embed_tokens.weight".into(),
            Self::InputNorm(layer) => format!("model.layers.{layer}.input_layernorm.weight"),
            Self::PostAttentionNorm(layer) => {
                format!("model.layers.{layer}.post_attention_layernorm.weight")
            }
            Self::Projection(layer, own) => format!("{}.weight", module_name(layer, own)),
            Self::FinalNorm => "model.norm.weight".into(),
            Self::Output => "lm_head.weight".into(),
        }
    }

    /// What GGUF files call it.
    fn gguf_name(self) -> String {
        let in_layer = |layer: usize, part: &str| format!("blk.{layer}.{part}.weight");
        match self {
            Self::Embedding => "token_embd.weight".into(),
            Self::InputNorm(layer) => in_layer(layer, "attn_norm"),
            Self::PostAttentionNorm(layer) => in_layer(layer, "ffn_norm"),
            Self::Projection(layer, own) => {
                let part = match own {
                    Projection::Q => "attn_q",
                    Projection::K => "attn_k",
                    Projection::V => "attn_v",
                    Projection::O => "attn_output",
                    Projection::Gate => "ffn_gate",
                    Projection::Up => "ffn_up",
                    Projection::Down => "ffn_down",
                };
                in_layer(layer, part)
            }
            Self::FinalNorm => "output_norm.weight".into(),
            Self::Output => "output.weight".into(),
        }
    }

    fn shape(self, config: &LlamaConfig) -> Vec<usize> {
        match self {
            Self::Embedding | Self::Output => vec![config.vocab_size, config.hidden_size],
            Self::InputNorm(_) | Self::PostAttentionNorm(_) | Self::FinalNorm => {
                vec![config.hidden_size]
            }
            Self::Projection(_, own) => {
                let (output, input) = own.shape(config);
                vec![output, input]
            }
        }
    }

    /// Heads whose rows GGUF files keep in another order than the hub's: those of queries and
    /// keys.
    fn turned_heads(self, config: &LlamaConfig) -> Option<usize> {
        match self {
            Self::Projection(_, Projection::Q) => Some(config.num_heads),
            Self::Projection(_, Projection::K) => Some(config.num_kv_heads),
            _ => None,
        }
    }
}

/// The name of a linear layer within a model, as transformers has it.
fn module_name(layer: usize, projection: Projection) -> String {
    let (block, name) = (projection.block(), projection.name());
    format!("model.layers.{layer}.{block}.{name}")
}

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
