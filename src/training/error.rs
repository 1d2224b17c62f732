//! What can go wrong with a training.

use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::evaluate::EvaluateError;
use crate::language::LanguageError;
use crate::llama::LlamaError;
use crate::train::TrainError;

/// What can go wrong with a training, beside its steps.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The data, the run's folder, or a step.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The base is not there, or its tokenizer is wrong.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// The base's weights cannot be read, or do not fit into the memory limit.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The model card cannot be written.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// No name was given, and the data's name cannot be that of an adapter.
    #[error("give a --name for the adapter")]
    Name(#[source] DatasetError),
    /// No dataset was named, and there is none.
    #[error(
        "there is no dataset in {path}; make one with `posedata dataset build --name NAME`, or give --dataset FILE.jsonl"
    )]
    NoDataset {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// No dataset was named, and there is no telling which is meant.
    #[error("there are several datasets in {path}; choose one with --dataset: {names}")]
    SeveralDatasets {
        /// The file or folder in question.
        path: PathBuf,
        /// Those that there are, in words.
        names: String,
    },
    /// The folder of datasets cannot be listed.
    #[error("cannot read ({reason}): {path}")]
    Read {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Longer texts were asked for than the base takes.
    #[error("the model takes {max_positions} tokens at most; lower --max-tokens")]
    MaxTokens {
        /// What it takes.
        max_positions: usize,
    },
    /// A GPU was asked for that this program cannot use.
    #[error(
        "this posedata is built without {feature}; build it with `cargo build --release --features {feature}`, or take --device cpu"
    )]
    NoFeature {
        /// The cargo feature that it needs.
        feature: &'static str,
    },
    /// The program could use the GPU, but the system or its driver refuses.
    #[error("cannot open the GPU")]
    Gpu(#[source] candle_core::Error),
    /// The training would need more memory than it may use; nothing has been read.
    #[error(transparent)]
    MemoryLimit(#[from] Box<MemoryShortage>),
    /// The run is over and its adapter written, but not the report.
    #[error("cannot write how training went ({reason}): {path}")]
    Report {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// By how much a training does not fit, and what would make it fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "training needs about {needed}, and the memory limit is {limit} (weights {weights}, results of {tokens} tokens {activations}, adapter and optimiser {adapter}); {remedy}"
)]
pub struct MemoryShortage {
    pub(super) needed: String,
    pub(super) limit: String,
    pub(super) weights: String,
    pub(super) tokens: usize,
    pub(super) activations: String,
    pub(super) adapter: String,
    pub(super) remedy: String,
}
