//! Runs SQL over the lake, in a session that can do nothing else.
//!
//! The session is read-only and sealed before the user's SQL is seen: no other file can be read or
//! written, no extension loaded, no setting changed. It never decodes video.
//!
//! A lake is made in a folder, and queried as Arrow:
//!
//! ```
//! use arrow::array::{AsArray, RecordBatch};
//! use arrow::datatypes::{Int64Type, Schema};
//! use posedata::lake::{Lake, LakePaths};
//! use posedata::models::ModelStore;
//! use posedata::query::{ExternalAccess, Query, QueryError, Session};
//!
//! let folder = tempfile::tempdir()?;
//! let extensions = ModelStore::new(None)?.lake_extensions()?;
//! let (memory_bytes, threads) = (256 << 20, 1);
//! let lake = Lake::new(LakePaths::new(folder.path()), &extensions, memory_bytes, threads)?;
//! lake.create_or_check()?;
//!
//! let newest = None;
//! let session = Session::open(lake, newest, ExternalAccess::Denied)?;
//! let query = Query::new("SELECT count(*) AS videos FROM videos".into(), Vec::new());
//! let read = |_: &Schema, batches: &mut dyn Iterator<Item = RecordBatch>| {
//!     let counts = batches.map(|batch| batch["videos"].as_primitive::<Int64Type>().value(0));
//!     Ok::<_, QueryError>(counts.sum::<i64>())
//! };
//! assert_eq!(session.read(&query, read)?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addresses;
mod batches;
mod error;
mod format;
mod guard;
mod output;
mod params;
mod table;
mod types;

use std::io::ErrorKind;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use duckdb::Statement;
use duckdb::core::LogicalTypeHandle;
use duckdb::types::Value;

use crate::lake::{FORMAT_VERSION, Lake, LakeReader, database_message};
use crate::shipped;
use crate::sync::{Cancellation, OnCancel};
use crate::text::read_text;
use batches::Batches;
pub use error::QueryError;
use error::sql_error;
pub use format::Format;
pub use output::{Destination, Extent};
pub use params::{ANGLES, Parameter, ParameterType, declaration, parameters};
pub use table::Fit;
use types::{Adaptation, Passage};

/// Whether a query may reach beyond the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalAccess {
    /// Statements that read or write anything else are refused, and the database's settings are
    /// sealed.
    Denied,
    /// The user answers for what the statement does to files and networks.
    Allowed,
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
        let sql = match read_text(path) {
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

/// A session over a lake.
pub struct Session {
    reader: LakeReader,
    scope: guard::Scope,
    access: ExternalAccess,
    interrupt: Option<OnCancel>,
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
        let data = lake.paths().data_location();
        let scope = guard::Scope::new(lake.paths().catalog_schema(), &data);
        let reader = lake.into_reader(version)?;
        if access == ExternalAccess::Denied {
            guard::seal(&reader.connection, &data)?;
        }
        Ok(Self {
            reader,
            scope,
            access,
            interrupt: None,
        })
    }

    /// The session, whose queries end with an error when `cancellation` says so: the one that runs,
    /// and those that begin later.
    #[must_use]
    pub fn interrupted_by(mut self, cancellation: &Cancellation) -> Self {
        let handle = self.reader.connection.interrupt_handle();
        self.interrupt = Some(cancellation.on_cancel(move || handle.interrupt()));
        self
    }

    /// Another session over the same lake, for another thread; what is sealed stays so. Both see the
    /// lake as it was when the first one was opened, or as it is now where the catalog lies in a
    /// database.
    ///
    /// # Errors
    /// When the database gives no further connection.
    pub fn try_clone(&self) -> Result<Self, QueryError> {
        Ok(Self {
            reader: self.reader.try_clone()?,
            scope: self.scope.clone(),
            access: self.access,
            interrupt: None,
        })
    }

    /// Ends the queries of this session when `cancellation` says so, as long as the guard lives.
    pub fn interrupt_on(&self, cancellation: &Cancellation) -> OnCancel {
        let handle = self.reader.connection.interrupt_handle();
        cancellation.on_cancel(move || handle.interrupt())
    }

    /// The lake's format, at most [`FORMAT_VERSION`].
    pub fn format_version(&self) -> i32 {
        self.reader.format_version
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
        let (statement, adaptation) = self.adapted(query, format)?;
        output::write(
            &mut Batches::of(&statement),
            &adaptation,
            format,
            destination,
        )
    }

    /// Runs a query and hands its rows to `consume`, in types that the format's writer takes.
    /// `consume` may leave before their end.
    ///
    /// # Errors
    /// As [`Self::run`], or when `consume` fails.
    pub fn read_as<R, E: From<QueryError>>(
        &self,
        query: &Query,
        format: Format,
        consume: impl FnOnce(&Schema, &mut dyn Iterator<Item = RecordBatch>) -> Result<R, E>,
    ) -> Result<R, E> {
        let (statement, adaptation) = self.adapted(query, format)?;
        let mut batches = Batches::of(&statement);
        let mut rows = output::Adapted::new(&mut batches, &adaptation);
        let consumed = consume(adaptation.schema(), &mut rows)?;
        rows.end()?;
        Ok(consumed)
    }

    /// A query's first rows, at most so many; the others are not computed where the database sees a
    /// way. What cannot be cut (EXPLAIN) stays whole.
    pub fn cut(&self, query: Query, most_rows: u64) -> Query {
        let connection = &self.reader.connection;
        let is_allowed = self.check(&query.sql).is_ok();
        // What is no statement by itself is not made one by what is put around it.
        let is_statement = |sql: &str| connection.prepare(sql).is_ok();
        // Parameters are declared in the header, which goes along.
        let sql = types::with_limit(&query.sql, most_rows);
        match is_allowed && is_statement(&query.sql) && is_statement(&sql) {
            true => Query { sql, ..query },
            false => query,
        }
    }

    /// A statement whose result is there, and how its rows get into a format.
    fn adapted(
        &self,
        query: &Query,
        format: Format,
    ) -> Result<(Statement<'_>, Adaptation), QueryError> {
        let connection = &self.reader.connection;
        let mut statement = self.executed(&query.sql, query)?;
        let passages = passages(&statement, format);
        let needs_text = passages.contains(&Passage::AsText);
        // A statement that changes something is not run twice.
        let can_wrap = self.access == ExternalAccess::Denied;
        let refused = |statement: &Statement<'_>, passages: &[Passage]| {
            let bad = passages
                .iter()
                .position(|passage| *passage != Passage::Whole);
            let column = bad.unwrap_or_default();
            let name = statement.schema().field(column).name().clone();
            let kind = statement.column_logical_type(column);
            QueryError::Unwritable(types::refusal(&name, &kind, format))
        };
        if passages.contains(&Passage::Refused) || (needs_text && !can_wrap) {
            return Err(refused(&statement, &passages));
        }
        if needs_text {
            let schema = statement.schema();
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let wrapped = types::with_texts(&query.sql, &names, &passages);
            if connection.prepare(&wrapped).is_err() {
                return Err(refused(&statement, &passages));
            }
            statement = self.executed(&wrapped, query)?;
        }
        let kinds = logical_types(&statement);
        let adaptation = Adaptation::new(&statement.schema(), &kinds, format);
        Ok((statement, adaptation))
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
        let statement = self.executed(&query.sql, query)?;
        let mut batches = Batches::of(&statement);
        let consumed = consume(&statement.schema(), &mut batches)?;
        batches.end()?;
        Ok(consumed)
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

    /// SQL that cannot be prepared: in a lake of an older format perhaps only for what it lacks.
    fn not_understood(&self, error: duckdb::Error) -> QueryError {
        let message = database_message(error);
        let found = self.reader.format_version;
        match found < FORMAT_VERSION && is_unknown_name(&message) {
            true => QueryError::Sql(format!(
                "{message}\nthe lake has the older format {found}, which may lack it; `posedata lake upgrade` gives it what format {FORMAT_VERSION} has"
            )),
            false => QueryError::Sql(message),
        }
    }

    /// Refuses what is not allowed in this session.
    fn check(&self, sql: &str) -> Result<(), QueryError> {
        match self.access {
            ExternalAccess::Allowed => Ok(()),
            ExternalAccess::Denied => guard::check(&self.reader.connection, sql, &self.scope),
        }
    }

    /// A statement with its parameters, whose result is there.
    fn executed(&self, sql: &str, query: &Query) -> Result<Statement<'_>, QueryError> {
        let connection = &self.reader.connection;
        self.check(sql)?;
        // Whoever may do anything may begin a transaction, too.
        let _snapshot = match self.access {
            ExternalAccess::Denied => Some(self.reader.snapshot()?),
            ExternalAccess::Allowed => None,
        };
        let mut statement = connection
            .prepare(sql)
            .map_err(|error| self.not_understood(error))?;
        let names = (1..=statement.parameter_count())
            .map(|i| statement.parameter_name(i).map_err(sql_error))
            .collect::<Result<Vec<_>, _>>()?;
        let values = params::bind(&query.sql, &names, &query.values)?;
        let bound: Vec<&dyn duckdb::ToSql> = values.iter().map(|v: &Value| v as _).collect();
        // Batches are taken from the statement, which tells of errors where the iterator panics.
        let _ = statement.query_arrow(bound.as_slice()).map_err(sql_error)?;
        Ok(statement)
    }
}

/// Whether a name in SQL is none that the lake has.
fn is_unknown_name(message: &str) -> bool {
    message.starts_with("Binder Error") || message.starts_with("Catalog Error")
}

fn logical_types(statement: &Statement<'_>) -> Vec<LogicalTypeHandle> {
    (0..statement.column_count())
        .map(|column| statement.column_logical_type(column))
        .collect()
}

fn passages(statement: &Statement<'_>, format: Format) -> Vec<Passage> {
    logical_types(statement)
        .iter()
        .map(|kind| types::passage(kind, format))
        .collect()
}
