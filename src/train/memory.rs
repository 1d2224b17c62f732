//! How much memory a run will need, told before it begins.

use serde::Serialize;

use crate::llama::{Checkpointing, LlamaConfig, LoraConfig};

const BYTES_PER_FLOAT: u64 = 4;
/// The program itself, its tokenizer and what the allocator keeps.
const PROGRAM_BYTES: u64 = 150 << 20;
/// Places of a batch whose scores over the vocabulary are in memory at once, with their gradients.
const LOGIT_PLACES: u64 = 64;
/// Adapter, gradients and the optimiser's two means.
const COPIES_OF_ADAPTER: u64 = 4;

/// Bytes that a run needs, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// The base's frozen weights, as they are kept.
    pub weights_bytes: u64,
    /// Adapter, gradients and the optimiser's means.
    pub adapter_bytes: u64,
    /// Of the largest batch.
    pub activation_bytes: u64,
    /// Tokens of the largest batch.
    pub batch_tokens: usize,
    pub(super) other_bytes: u64,
}

impl MemoryEstimate {
    /// `batch_tokens` are those of the largest batch.
    pub fn new(
        model: &LlamaConfig,
        lora: &LoraConfig,
        weights_bytes: u64,
        checkpointing: Checkpointing,
        batch_tokens: usize,
    ) -> Self {
        let adapter_floats: usize = lora
            .projections
            .iter()
            .map(|projection| {
                let (output, input) = projection.shape(model);
                lora.rank * (output + input) * model.num_layers
            })
            .sum();
        let logits = LOGIT_PLACES * model.vocab_size as u64 * BYTES_PER_FLOAT * 2;
        Self {
            weights_bytes,
            adapter_bytes: COPIES_OF_ADAPTER * BYTES_PER_FLOAT * adapter_floats as u64,
            activation_bytes: activation_bytes(model, lora, checkpointing, batch_tokens),
            batch_tokens,
            other_bytes: PROGRAM_BYTES + logits,
        }
    }

    /// All of them together: what is compared with the memory limit.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes + self.adapter_bytes + self.activation_bytes + self.other_bytes
    }
}

/// Of each token and layer are kept: the inputs of both halves of the layer, queries, keys, values,
/// the attention's output with its normaliser, both halves of the gated product, and what went
/// through each adapter's A.
fn activation_bytes(
    model: &LlamaConfig,
    lora: &LoraConfig,
    checkpointing: Checkpointing,
    tokens: usize,
) -> u64 {
    let hidden = model.hidden_size;
    let in_layer = 2 * hidden
        + 2 * model.query_size()
        + 2 * model.kv_size()
        + 2 * model.intermediate_size
        + model.num_heads
        + lora.rank * lora.projections.len();
    // Gradients on their way through a layer.
    let working = 3 * hidden + 2 * model.query_size() + 3 * model.intermediate_size;
    let floats_per_token = match checkpointing {
        Checkpointing::Off => model.num_layers * in_layer + working,
        Checkpointing::Layers => model.num_layers * hidden + in_layer + working,
    };
    tokens as u64 * floats_per_token as u64 * BYTES_PER_FLOAT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama::Projection;

    /// SmolLM2-135M's shape.
    fn smollm2() -> LlamaConfig {
        LlamaConfig {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1_536,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 100_000.0,
            rope_scaling: None,
            max_positions: 8_192,
            is_tied: true,
            eos_token_ids: vec![2],
        }
    }

    fn lora() -> LoraConfig {
        LoraConfig {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            projections: Projection::ATTENTION.into(),
            uses_rslora: false,
        }
    }

    #[test]
    fn adapter_is_counted_as_it_is() {
        let estimate = MemoryEstimate::new(&smollm2(), &lora(), 0, Checkpointing::Off, 256);
        // 921,600 parameters.
        assert_eq!(estimate.adapter_bytes, 4 * 4 * 921_600);
    }

    #[test]
    fn recomputing_layers_keeps_a_fraction_and_tokens_count_in_proportion() {
        let bytes = |checkpointing, tokens| {
            MemoryEstimate::new(&smollm2(), &lora(), 0, checkpointing, tokens).activation_bytes
        };
        let kept = bytes(Checkpointing::Off, 1024);
        assert_eq!(bytes(Checkpointing::Off, 2048), 2 * kept);
        assert!(bytes(Checkpointing::Layers, 1024) < kept / 4);
    }
}
