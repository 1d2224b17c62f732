//! SQL texts and transactions.

use std::path::Path;

use duckdb::types::FromSql;
use duckdb::{Connection, Row, ToSql};

use super::error::{LakeError, database_message};
use crate::files::with_remedy;

/// Commits what `work` did, or takes it back when it failed.
pub(super) fn in_transaction<R>(
    connection: &Connection,
    work: impl FnOnce() -> Result<R, LakeError>,
) -> Result<R, LakeError> {
    let open = OpenTransaction::begin(connection)?;
    let value = work()?;
    // A commit that fails ends the transaction as well.
    std::mem::forget(open);
    match connection.execute_batch("COMMIT") {
        Ok(()) => Ok(value),
        Err(error) => {
            let reason = with_remedy(&database_message(error));
            // Where the database's server is gone the transaction may still be open here.
            let _ = connection.execute_batch("ROLLBACK");
            Err(LakeError::Commit { reason })
        }
    }
}

/// Takes back what was done when it goes out of scope, by an error or by a panic.
pub(super) struct OpenTransaction<'c> {
    connection: &'c Connection,
}

impl<'c> OpenTransaction<'c> {
    pub fn begin(connection: &'c Connection) -> Result<Self, LakeError> {
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection })
    }
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        // The first error is the one to tell; a failed rollback has nothing to add.
        let _ = self.connection.execute_batch("ROLLBACK");
    }
}

/// The values of a table's row, each beside its column's name, for [`insert`].
macro_rules! row {
    ($($column:ident: $value:expr),* $(,)?) => {
        &[$((stringify!($column), &$value as &dyn duckdb::ToSql)),*]
    };
}
pub(super) use row;

/// Adds a row to a table; columns that are not named are NULL.
pub(super) fn insert(
    connection: &Connection,
    table: &str,
    row: &[(&str, &dyn ToSql)],
) -> Result<(), LakeError> {
    let columns: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
    let values: Vec<&dyn ToSql> = row.iter().map(|(_, value)| *value).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        quoted_name(table),
        columns.join(", "),
        vec!["?"; columns.len()].join(", ")
    );
    connection
        .prepare_cached(&sql)?
        .execute(values.as_slice())?;
    Ok(())
}

/// The value of a column that a lake of an older format may lack.
pub(super) fn newer_column<T: FromSql>(row: &Row<'_>, column: &str) -> duckdb::Result<Option<T>> {
    match row.get(column) {
        Err(duckdb::Error::InvalidColumnName(_)) => Ok(None),
        value => value,
    }
}

/// A lake of an older format lacks the table.
pub(super) fn is_missing_table(error: &duckdb::Error) -> bool {
    let message = error.to_string();
    message.contains("Catalog Error") && message.contains("does not exist")
}

pub(super) fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads the Parquet file at `location`: a path or an `s3://` address.
pub(super) fn parquet(location: &str) -> String {
    let location = quoted_text(location);
    format!("read_parquet({location}, hive_partitioning = false)")
}

/// A table's name as SQL has it.
pub(super) fn table_in(database: &str, table: &str) -> String {
    format!("{database}.main.{}", quoted_name(table))
}
