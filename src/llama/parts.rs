//! The tensors of a model and their names.

use super::adapter::Projection;
use super::config::LlamaConfig;

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
    pub(super) fn all(config: &LlamaConfig) -> impl Iterator<Item = Self> + use<> {
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
    pub(super) fn hub_name(self) -> String {
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
    pub(super) fn gguf_name(self) -> String {
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

    pub(super) fn shape(self, config: &LlamaConfig) -> Vec<usize> {
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
    pub(super) fn turned_heads(self, config: &LlamaConfig) -> Option<usize> {
        match self {
            Self::Projection(_, Projection::Q) => Some(config.num_heads),
            Self::Projection(_, Projection::K) => Some(config.num_kv_heads),
            _ => None,
        }
    }
}

/// The name of a linear layer within a model, as transformers has it.
pub(super) fn module_name(layer: usize, projection: Projection) -> String {
    let (block, name) = (projection.block(), projection.name());
    format!("model.layers.{layer}.{block}.{name}")
}
