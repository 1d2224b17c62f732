//! Runs SQL over the lake, in a session that can do nothing else.
//!
//! The session is read-only and sealed before the user's SQL is seen: no other file can be read or
//! written, no extension loaded, no setting changed. It never decodes video.

mod guard;
mod output;
mod params;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use duckdb::types::Value;

use crate::lake::{Lake, LakeError, LakeReader, database_message};
use crate::shipped;
pub use output::Format;
pub use params::{Parameter, parameters};

/// Whether a query may reach beyond the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalAccess {
    Denied,
    Allowed,
}

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
    #[error("the query needs a value for ${name}{about}; give --param {name}=VALUE")]
    MissingParameter { name: String, about: String },
    #[error("the query has no parameter {name}; it has {known}")]
    UnknownParameter { name: String, known: String },
    #[error("--param {name}={value} is not {expected}")]
    WrongParameter {
        name: String,
        value: String,
        expected: &'static str,
    },
    #[error("cannot write the result ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
}

/// A query with the values of its parameters.
pub struct Query {
    sql: String,
    values: Vec<(String, String)>,
}

impl Query {
    /// SQL text; `values` are (parameter, value) pairs as the user gave them.
    pub fn new(sql: String, values: Vec<(String, String)>) -> Self {
        Self { sql, values }
    }

    /// Reads SQL from a file; where there is none at that path, the shipped query of that path or
    /// name is taken.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_file(path: &Path, values: Vec<(String, String)>) -> Result<Self, QueryError> {
        let sql = match std::fs::read_to_string(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => match shipped::find(path) {
                Some(file) => Ok(file.text.to_owned()),
                None => Err(format!(
                    "{e}; `posedata queries` lists those that are there always"
                )),
            },
            read => read.map_err(|e| e.to_string()),
        };
        let sql = sql.map_err(|reason| QueryError::Unreadable {
            path: path.into(),
            reason,
        })?;
        Ok(Self::new(sql, values))
    }
}

/// Where a result goes.
pub enum Destination {
    Stdout,
    /// Written under another name and renamed when it is whole.
    File(PathBuf),
}

/// A session over a lake.
pub struct Session {
    reader: LakeReader,
    access: ExternalAccess,
}

impl Session {
    /// Opens the lake, as it is or as it was at snapshot `version`, and seals the session.
    ///
    /// # Errors
    /// When the lake or the snapshot does not exist or cannot be read.
    pub fn open(
        lake: Lake,
        version: Option<u64>,
        access: ExternalAccess,
    ) -> Result<Self, QueryError> {
        let data = lake.paths().data();
        let reader = lake.into_reader(version)?;
        if access == ExternalAccess::Denied {
            guard::seal(&reader.connection, &data)?;
        }
        Ok(Self { reader, access })
    }

    /// Ends a running query from another thread.
    pub fn interrupt_handle(&self) -> std::sync::Arc<duckdb::InterruptHandle> {
        self.reader.connection.interrupt_handle()
    }

    /// Runs a query and writes its result; gives the number of rows.
    ///
    /// # Errors
    /// When the SQL is wrong or not allowed, a parameter is missing, or the result cannot be
    /// written.
    pub fn run(
        &self,
        query: &Query,
        format: Format,
        destination: &Destination,
    ) -> Result<u64, QueryError> {
        self.execute(query, |batches| output::write(batches, format, destination))
    }

    /// Runs a query and hands its schema and rows to `consume`.
    ///
    /// # Errors
    /// When the SQL is wrong or not allowed, a parameter is missing, or `consume` fails.
    pub fn read<R, E: From<QueryError>>(
        &self,
        query: &Query,
        consume: impl FnOnce(&Schema, &mut dyn Iterator<Item = RecordBatch>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.execute(query, |mut batches| {
            let schema = batches.get_schema();
            consume(&schema, &mut batches)
        })
    }

    /// Makes a temporary table, in place of an earlier one of its name, that the session's queries
    /// can read beside the lake's tables; `columns` are names and types as SQL has them.
    ///
    /// # Errors
    /// When the columns are wrong or the rows do not fit them.
    pub fn set_temporary_table(
        &self,
        name: &str,
        columns: &str,
        rows: impl Iterator<Item = Vec<Value>>,
    ) -> Result<(), QueryError> {
        let connection = &self.reader.connection;
        connection
            .execute_batch(&format!("CREATE OR REPLACE TEMP TABLE {name} ({columns})"))
            .map_err(sql_error)?;
        let mut appender = connection
            .appender_to_catalog_and_db(name, "temp", "main")
            .map_err(sql_error)?;
        for row in rows {
            let values = duckdb::appender_params_from_iter(row.iter());
            appender.append_row(values).map_err(sql_error)?;
        }
        appender.flush().map_err(sql_error)
    }

    fn execute<R, E: From<QueryError>>(
        &self,
        query: &Query,
        consume: impl FnOnce(duckdb::Arrow<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let connection = &self.reader.connection;
        if self.access == ExternalAccess::Denied {
            guard::check(connection, &query.sql)?;
        }
        let mut statement = connection.prepare(&query.sql).map_err(sql_error)?;
        let names = (1..=statement.parameter_count())
            .map(|i| statement.parameter_name(i).map_err(sql_error))
            .collect::<Result<Vec<_>, _>>()?;
        let values = params::bind(&query.sql, &names, &query.values)?;
        let bound: Vec<&dyn duckdb::ToSql> = values.iter().map(|v: &Value| v as _).collect();
        consume(statement.query_arrow(bound.as_slice()).map_err(sql_error)?)
    }
}

fn sql_error(error: duckdb::Error) -> QueryError {
    QueryError::Sql(database_message(error))
}
