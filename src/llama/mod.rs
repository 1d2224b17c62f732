//! Llama-architecture language models: their weights, low-rank adapters (LoRA), how they compute,
//! forwards and backwards.
//!
//! Two implementations share the weights: [`candle_model`] is made of candle's operations, which run on
//! every device; the engine in [`engine`] has kernels of its own for CPUs and is what trains there.

pub mod adapter;
pub mod batch;
pub mod candle_model;
pub mod config;
pub mod decoder;
pub mod dropout;
pub mod engine;
pub mod files;
pub mod generate;
pub mod kernels;
pub mod loaded;
pub mod matrix;
pub mod weights;

use std::path::PathBuf;

use crate::language::LanguageError;
pub use adapter::{Adapter, LoraConfig, LoraPair, Projection};
pub use batch::Batch;
pub use candle_model::CandleModel;
pub use config::LlamaConfig;
pub use decoder::Decoder;
pub use engine::{Checkpointing, Engine, EngineOptions};
pub use files::export;
pub use kernels::memory::keep_freed_memory;
pub use loaded::LoadedModel;
pub use matrix::Matrix;
pub use weights::{LayerWeights, Precision, Weights, weights_bytes};

/// What a trainer needs of a model whose weights are frozen.
pub trait Trainable: Send {
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

/// What can be wrong with a language model.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    #[error("cannot read the model: {reason}: {path}")]
    Read { path: PathBuf, reason: String },
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error(
        "the model's architecture is '{found}', and only Llama's is known; take another base model: {path}"
    )]
    Architecture { path: PathBuf, found: String },
    #[error("the model's configuration is not usable: {reason}: {path}")]
    Config { path: PathBuf, reason: String },
    #[error(
        "there are no weights here; give a GGUF file, or a folder with config.json and model.safetensors: {path}"
    )]
    NoWeights { path: PathBuf },
    #[error(
        "the model's weights are pickled ({file}), and reading a pickle can run any program, so posedata never does; take a model with model.safetensors, or convert this one with transformers' save_pretrained: {path}"
    )]
    Pickled { path: PathBuf, file: String },
    #[error("the model has no tensor '{name}'; is the file whole? {path}")]
    NoTensor { path: PathBuf, name: String },
    #[error(
        "the model has a tensor '{name}', which a Llama model has no place for; take another base model: {path}"
    )]
    Surplus { path: PathBuf, name: String },
    #[error(
        "rows of {columns} elements are no multiple of {block}, as quantised weights need; choose another precision"
    )]
    Blocks { columns: usize, block: usize },
    #[error(
        "tensor '{name}' has the shape {found:?}, and the model's configuration asks for {wanted:?}: {path}"
    )]
    Shape {
        path: PathBuf,
        name: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    #[error("the adapter is not usable: {reason}: {path}")]
    Adapter { path: PathBuf, reason: String },
    #[error("the adapter does not fit the base model '{base}'")]
    OtherShape {
        base: String,
        source: Box<LlamaError>,
    },
    #[error(
        "the weights of {base} take {needed} as {precision}, the memory limit is {limit}; take --precision bf16 or quantised, or raise --memory-limit"
    )]
    MemoryLimit {
        base: String,
        precision: &'static str,
        needed: String,
        limit: String,
    },
    #[error(
        "token {id} is beyond the model's vocabulary of {vocab_size}; does the tokenizer belong to the model?"
    )]
    UnknownToken { id: u32, vocab_size: usize },
    #[error("the text has {tokens} tokens, and the model takes {max_positions} at most")]
    TooLong { tokens: usize, max_positions: usize },
    #[error("nothing in the batch is to be learnt: no token is in the loss")]
    NoTargets,
    #[error(transparent)]
    Language(#[from] LanguageError),
    #[error("interrupted")]
    Cancelled,
    #[error("the computation failed: {0}")]
    Candle(#[from] candle_core::Error),
}
