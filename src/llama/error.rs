//! What can be wrong with a language model.

use std::path::PathBuf;

use crate::language::LanguageError;

/// What can be wrong with a language model.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    /// A file of the model is missing or damaged, or the system refuses to read it.
    #[error("cannot read the model: {reason}: {path}")]
    Read {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// An adapter or model cannot be written.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file that was to be made.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// A model of another family, whose layers are computed otherwise.
    #[error(
        "the model's architecture is '{found}', and only Llama's is known; take another base model: {path}"
    )]
    Architecture {
        /// The model's file or folder.
        path: PathBuf,
        /// The family as the files name it.
        found: String,
    },
    /// A number of the configuration is missing or makes no sense.
    #[error("the model's configuration is not usable: {reason}: {path}")]
    Config {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// There is a model's folder or tokenizer, but no weights in it.
    #[error(
        "there are no weights here; give a GGUF file, or a folder with config.json and model.safetensors: {path}"
    )]
    NoWeights {
        /// The model's file or folder.
        path: PathBuf,
    },
    /// There are weights, but only in Python's pickle format.
    #[error(
        "the model's weights are pickled ({file}), and reading a pickle can run any program, so posedata never does; take a model with model.safetensors, or convert this one with transformers' save_pretrained: {path}"
    )]
    Pickled {
        /// The model's file or folder.
        path: PathBuf,
        /// The pickle that was found.
        file: String,
    },
    /// The files lack a tensor of the model's shape.
    #[error("the model has no tensor '{name}'; is the file whole? {path}")]
    NoTensor {
        /// The model's file or folder.
        path: PathBuf,
        /// As the format calls it.
        name: String,
    },
    /// The files have a tensor too many, so that they are another kind of model.
    #[error(
        "the model has a tensor '{name}', which a Llama model has no place for; take another base model: {path}"
    )]
    Surplus {
        /// The model's file or folder.
        path: PathBuf,
        /// As the format calls it.
        name: String,
    },
    /// A matrix was to be quantised whose rows cannot be cut into blocks.
    #[error(
        "rows of {columns} elements are no multiple of {block}, as quantised weights need; choose another precision"
    )]
    Blocks {
        /// Elements of a row.
        columns: usize,
        /// Elements of a block.
        block: usize,
    },
    /// A tensor does not belong to the configuration.
    #[error(
        "tensor '{name}' has the shape {found:?}, and the model's configuration asks for {wanted:?}: {path}"
    )]
    Shape {
        /// The model's file or folder.
        path: PathBuf,
        /// As the format calls it.
        name: String,
        /// Dimensions in the file.
        found: Vec<usize>,
        /// Dimensions that follow from the configuration.
        wanted: Vec<usize>,
    },
    /// The adapter's folder is incomplete, damaged, or asks for what is not known here.
    #[error("the adapter is not usable: {reason}: {path}")]
    Adapter {
        /// The adapter's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The adapter was made for a model of another shape.
    #[error("the adapter does not fit the base model '{base}'")]
    OtherShape {
        /// The base model as the user named it.
        base: String,
        /// Which tensor differs.
        source: Box<LlamaError>,
    },
    /// The weights alone are more than the process may use.
    #[error(
        "the weights of {base} take {needed} as {precision}, the memory limit is {limit}; take --precision bf16 or quantised, or raise --memory-limit"
    )]
    MemoryLimit {
        /// The base model as the user named it.
        base: String,
        /// As `--precision` names it.
        precision: &'static str,
        /// With its unit.
        needed: String,
        /// With its unit.
        limit: String,
    },
    /// A token was given that has no row in the embedding.
    #[error(
        "token {id} is beyond the model's vocabulary of {vocab_size}; does the tokenizer belong to the model?"
    )]
    UnknownToken {
        /// The token.
        id: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A text is longer than the model's positions reach.
    #[error("the text has {tokens} tokens, and the model takes {max_positions} at most")]
    TooLong {
        /// Of the text.
        tokens: usize,
        /// Of the model.
        max_positions: usize,
    },
    /// A batch would have no loss.
    #[error("nothing in the batch is to be learnt: no token is in the loss")]
    NoTargets,
    /// The model's tokenizer or folder cannot be used.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// The token was cancelled in the middle of the computation.
    #[error("interrupted")]
    Cancelled,
    /// A device or operation of candle fails; its own words.
    #[error("the computation failed: {0}")]
    Candle(#[from] candle_core::Error),
}
