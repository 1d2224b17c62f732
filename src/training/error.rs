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
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Language(#[from] LanguageError),
    #[error(transparent)]
    Llama(#[from] LlamaError),
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error("give a --name for the adapter")]
    Name(#[source] DatasetError),
    #[error(
        "there is no dataset in {path}; make one with `posedata dataset build --name NAME`, or give --dataset FILE.jsonl"
    )]
    NoDataset { path: PathBuf },
    #[error("there are several datasets in {path}; choose one with --dataset: {names}")]
    SeveralDatasets { path: PathBuf, names: String },
    #[error("cannot read ({reason}): {path}")]
    Read { path: PathBuf, reason: String },
    #[error("the model takes {max_positions} tokens at most; lower --max-tokens")]
    MaxTokens { max_positions: usize },
    #[error(
        "this posedata is built without {feature}; build it with `cargo build --release --features {feature}`, or take --device cpu"
    )]
    NoFeature { feature: &'static str },
    #[error("cannot open the GPU")]
    Gpu(#[source] candle_core::Error),
    #[error(transparent)]
    MemoryLimit(#[from] Box<MemoryShortage>),
    #[error("cannot write how training went ({reason}): {path}")]
    Report { path: PathBuf, reason: String },
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
