//! Why a query gives no result.

use std::path::PathBuf;

use crate::lake::{LakeError, database_message};

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("cannot read the query ({reason}): {path}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0}")]
    Sql(String),
    #[error("{0}; give --allow-external to run it all the same")]
    Forbidden(String),
    #[error("the query needs a value for ${name}{meaning}; give --param {name}=VALUE")]
    MissingParameter { name: String, meaning: String },
    #[error("the query has no parameter {name}; it has {known}")]
    UnknownParameter { name: String, known: String },
    #[error("--param {name}={value} is not {expected}")]
    WrongParameter {
        name: String,
        value: String,
        expected: &'static str,
    },
    /// A value that the format cannot hold, and the cast that helps.
    #[error("{0}")]
    Unwritable(String),
    #[error("cannot write the result ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
}

pub(super) fn sql_error(error: duckdb::Error) -> QueryError {
    QueryError::Sql(database_message(error))
}
