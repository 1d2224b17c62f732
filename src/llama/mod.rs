//! Llama-architecture language models: their weights, low-rank adapters (LoRA), how they compute,
//! forwards and backwards.
//!
//! Two implementations share the weights: [`candle_model`] is made of candle's operations, which run on
//! every device; the engine in [`engine`] has kernels of its own for CPUs and is what trains there.

mod adapter;
mod batch;
mod candle_model;
pub mod config;
pub mod constrained;
mod decoder;
mod dropout;
mod engine;
mod error;
pub mod files;
pub mod generate;
mod kernels;
mod loaded;
pub mod matrix;
mod open;
mod parts;
mod weights;

pub use adapter::{Adapter, LoraConfig, LoraPair, Projection};
pub use batch::Batch;
pub use candle_model::CandleModel;
pub use config::LlamaConfig;
pub use decoder::Decoder;
pub use engine::{Checkpointing, Engine, EngineOptions};
pub use error::LlamaError;
pub use files::export;
pub use kernels::memory::keep_freed_memory;
pub use loaded::LoadedModel;
pub use matrix::Matrix;
pub use weights::{LayerWeights, Precision, Weights, weights_bytes};

/// What a trainer needs of a model whose weights are frozen.
pub trait Trainable: Send {
    /// The shape of the model.
    fn config(&self) -> &LlamaConfig;

    /// Adds the gradients of `loss_scale` times the summed negative log-likelihood (nats) of a
    /// batch's targets to `gradients`, which are laid out as the adapter's pairs. Gives the sum
    /// itself, not scaled. `dropout_seed` chooses which inputs of the adapter are dropped, and
    /// nothing else does.
    ///
    /// # Errors
    /// When the batch has no targets or a token that the model does not know; models that can be
    /// cancelled give [`LlamaError::Cancelled`] then, and leave `gradients` half-done.
    fn accumulate_gradients(
        &mut self,
        adapter: &Adapter,
        batch: &Batch,
        loss_scale: f32,
        dropout_seed: u64,
        gradients: &mut [LoraPair],
    ) -> Result<f64, LlamaError>;

    /// The negative log-likelihood (nats) of each target, in the batch's order; without dropout.
    ///
    /// # Errors
    /// As [`Self::accumulate_gradients`].
    fn target_nlls(
        &mut self,
        adapter: Option<&Adapter>,
        batch: &Batch,
    ) -> Result<Vec<f32>, LlamaError>;
}
