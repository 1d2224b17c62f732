//! What can go wrong when questions are answered.

use std::path::PathBuf;

use crate::llama::LlamaError;
use crate::llama::constrained::ConstrainedError;
use crate::questions::QuestionError;

/// What can go wrong when questions are answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A question's file is broken, or the lake cannot be read.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// A name in the question is none of the lake.
    #[error("the lake has no video {name}; near are: {near}")]
    NoVideo {
        /// As it stands in the question.
        name: String,
        /// Names that the lake has, in words.
        near: String,
    },
    /// The model fails, or the question is longer than it takes.
    #[error(transparent)]
    Constrained(#[from] ConstrainedError),
    /// The adapter does not fit the model.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// Nothing is asked.
    #[error("the question is empty")]
    Empty,
    /// Nobody asks so much at once.
    #[error("the question has {chars} characters; ask one thing in at most {most}")]
    TooLong {
        /// As it was given.
        chars: usize,
        /// As many as are taken.
        most: usize,
    },
    /// The adapter learned something else.
    #[error(
        "the adapter was not trained to choose queries (it has no {file}); `posedata ask --recipe nearest --adapter DIR` lets it read tables, and `make demo-ask` trains one that chooses queries: {path}"
    )]
    OtherAdapter {
        /// The file that is missing.
        file: &'static str,
        /// The adapter's folder.
        path: PathBuf,
    },
    /// There is no adapter to choose.
    #[error(
        "no adapter here has learned to choose queries; train one with `posedata dataset build --name ask --recipes queries/ask --examples 6000` and `posedata train --dataset ask --time-limit 8` (`make demo-ask` does both), or give --adapter: {path}"
    )]
    NoAdapter {
        /// The folder of adapters.
        path: PathBuf,
    },
    /// What says that an adapter writes calls cannot be read.
    #[error("cannot read ({reason}): {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, or what is wrong with it.
        reason: String,
    },
    /// The results cannot be kept.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}
