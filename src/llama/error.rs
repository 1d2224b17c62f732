//! What can be wrong with a language model.

use std::path::PathBuf;

use crate::language::LanguageError;

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
