//! What can go wrong with training.

use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::language::LanguageError;
use crate::llama::LlamaError;

/// What can go wrong with training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The dataset is damaged, or is none.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The computation fails, or a checkpoint's adapter cannot be read.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The data that was asked for is not there.
    #[error(
        "there is no dataset '{name}', and no such file or folder; build it with `posedata dataset build`, or give a .jsonl file: {path}"
    )]
    NoDataset {
        /// As it was given.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A chat cannot be made into tokens.
    #[error("example {id} cannot be learned: {error}")]
    Example {
        /// Of the example.
        id: String,
        /// Why not.
        error: LanguageError,
    },
    /// Every example is left out, or the data is empty.
    #[error(
        "there is nothing to train on ({too_long} examples are longer than {max_tokens} tokens); raise --max-tokens, or give other data: {path}"
    )]
    NothingToTrain {
        /// Examples that are longer than allowed.
        too_long: usize,
        /// What is allowed.
        max_tokens: usize,
        /// The data.
        path: PathBuf,
    },
    /// The loss or a gradient became infinite or no number.
    #[error(
        "the {what} of step {step} is {value}, so the run ends; lower --lr, or look at examples {examples}; the last checkpoint is still there"
    )]
    NotFinite {
        /// Which of the two.
        what: &'static str,
        /// From 1.
        step: u64,
        /// What it became.
        value: f64,
        /// Ids of the step's examples, not more than twenty.
        examples: String,
    },
    /// The folder cannot be written to, or the disk is full.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The run's folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// A checkpoint's files do not belong together.
    #[error("the checkpoint is damaged ({reason}); begin anew with --overwrite: {path}")]
    Damaged {
        /// The run's folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// There is a run, and nothing was said of what is to become of it.
    #[error(
        "a run is there already ({progress}); continue it with --resume, replace it with --overwrite, or give another --name: {path}"
    )]
    Exists {
        /// The run's folder.
        path: PathBuf,
        /// How far it is, in words.
        progress: String,
    },
    /// The run cannot be continued to the same numbers.
    #[error(
        "the run that is there has other settings ({differences}); give the same ones (only --epochs, --max-steps, --patience and --time-limit may become larger), begin anew with --overwrite, or give another --name: {path}"
    )]
    OtherSettings {
        /// The run's folder.
        path: PathBuf,
        /// Settings with both of their values, in words.
        differences: String,
    },
    /// The folder that would be replaced has files of somebody else.
    #[error(
        "the folder holds something else than a run; give another --name or --llm-models: {path}"
    )]
    NotARun {
        /// The run's folder.
        path: PathBuf,
    },
    /// The run is locked by a process that is alive.
    #[error(
        "another process is training there; wait for it to end, or give another --name: {path}"
    )]
    InUse {
        /// The run's folder.
        path: PathBuf,
    },
    /// `loss.svg` cannot be drawn.
    #[error("the picture of the losses cannot be drawn: {0}")]
    Plot(#[from] crate::plot::PlotError),
}
