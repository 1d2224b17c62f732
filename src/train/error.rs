//! What can go wrong with training.

use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::language::LanguageError;
use crate::llama::LlamaError;

/// What can go wrong with training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Llama(#[from] LlamaError),
    #[error(
        "there is no dataset '{name}', and no such file or folder; build it with `posedata dataset build`, or give a .jsonl file: {path}"
    )]
    NoDataset { name: String, path: PathBuf },
    #[error("example {id} cannot be learned: {error}")]
    Example { id: String, error: LanguageError },
    #[error(
        "there is nothing to train on ({too_long} examples are longer than {max_tokens} tokens); raise --max-tokens, or give other data: {path}"
    )]
    NothingToTrain {
        too_long: usize,
        max_tokens: usize,
        path: PathBuf,
    },
    #[error(
        "the {what} of step {step} is {value}, so the run ends; lower --lr, or look at examples {examples}; the last checkpoint is still there"
    )]
    NotFinite {
        what: &'static str,
        step: u64,
        value: f64,
        examples: String,
    },
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("the checkpoint is damaged ({reason}); begin anew with --overwrite: {path}")]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "a run is there already ({progress}); continue it with --resume, replace it with --overwrite, or give another --name: {path}"
    )]
    Exists { path: PathBuf, progress: String },
    #[error(
        "the run that is there has other settings ({differences}); give the same ones (only --epochs, --max-steps, --patience and --time-limit may become larger), begin anew with --overwrite, or give another --name: {path}"
    )]
    OtherSettings { path: PathBuf, differences: String },
    #[error(
        "the folder holds something else than a run; give another --name or --llm-models: {path}"
    )]
    NotARun { path: PathBuf },
    #[error(
        "another process is training there; wait for it to end, or give another --name: {path}"
    )]
    InUse { path: PathBuf },
    #[error("the picture of the losses cannot be drawn: {0}")]
    Plot(#[from] crate::plot::PlotError),
}
