//! Why a query gives no result.

use std::path::PathBuf;

use crate::lake::{LakeError, database_message};

/// Why a query gives no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The lake cannot be opened, or has no such snapshot.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The file of the query cannot be read, or is no UTF-8.
    #[error("cannot read the query ({reason}): {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// DuckDB refuses or fails; its own words.
    #[error("{0}")]
    Sql(String),
    /// The statement would leave the lake, or change something, and access is
    /// [denied](super::ExternalAccess::Denied).
    #[error("{0}; give --allow-external to run it all the same")]
    Forbidden(String),
    /// A declared parameter has no default, and no value was given.
    #[error("the query needs a value for ${name}{meaning}; give --param {name}=VALUE")]
    MissingParameter {
        /// Without the `$`.
        name: String,
        /// What the query's header says of it, in brackets; empty where it says nothing.
        meaning: String,
    },
    /// The line of the header that is to declare a parameter declares none.
    #[error("the query's header does not declare ${name}: {reason}")]
    BrokenDeclaration {
        /// Without the `$`.
        name: String,
        /// What is wrong with the line.
        reason: String,
    },
    /// A value was given that the query has no place for.
    #[error("the query has no parameter {name}; it has {known}")]
    UnknownParameter {
        /// As it was given.
        name: String,
        /// The parameters that there are, in words.
        known: String,
    },
    /// A value is not of the parameter's type.
    #[error("--param {name}={value} is not {expected}")]
    WrongParameter {
        /// Without the `$`.
        name: String,
        /// As it was given.
        value: String,
        /// What it should be, in words.
        expected: String,
    },
    /// A value that the format cannot hold, and the cast that helps.
    #[error("{0}")]
    Unwritable(String),
    /// The file of the result cannot be written.
    #[error("cannot write the result ({reason}): {path}")]
    Write {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system says, and a remedy.
        reason: String,
    },
}

impl QueryError {
    /// Whether the SQL names a table that the lake does not have, as an older one.
    pub fn is_missing_table(&self) -> bool {
        matches!(self, Self::Sql(message)
            if message.starts_with("Catalog Error") && message.contains("does not exist"))
    }
}

pub(super) fn sql_error(error: duckdb::Error) -> QueryError {
    QueryError::Sql(database_message(error))
}
