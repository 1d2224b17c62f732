//! What can go wrong with questions.

use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::lake::LakeError;
use crate::query::QueryError;

/// What can go wrong with questions.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// A file of a question does not say what it has to say, or fails.
    #[error("the question is broken at line {line}: {reason}: {path}")]
    Broken {
        /// The SQL file or the template.
        path: PathBuf,
        /// In that file, from 1.
        line: usize,
        /// What is wrong, in words.
        reason: String,
    },
    /// One of the two files is not there.
    #[error("a question is a pair of files, NAME.sql and NAME.jinja; there is no {missing}")]
    Incomplete {
        /// The file that lacks.
        missing: PathBuf,
    },
    /// The folder holds no question, or is none.
    #[error("there are no questions (pairs of NAME.sql and NAME.jinja): {path}")]
    NoQuestions {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing says what to do with a question that none of the files fits.
    #[error(
        "the folder has no question 'cannot_tell', which answers what no other question fits; `posedata queries copy queries/ask/cannot_tell.sql queries/ask/cannot_tell.jinja` gives a copy of it: {path}"
    )]
    NoCannotTell {
        /// The folder.
        path: PathBuf,
    },
    /// A text that is no call of these questions.
    #[error("'{call}' is no call: {reason}")]
    NotACall {
        /// The text.
        call: String,
        /// What is wrong, in words.
        reason: String,
    },
    /// Files, datasets, templates.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The SQL is refused or fails for another reason than its own.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
}
