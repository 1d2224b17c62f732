//! SQL texts and transactions.

use std::path::Path;

use duckdb::types::{FromSql, ToSqlOutput, Value};
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

/// Rows of one statement: DuckLake keeps as many in its catalog, and writes a file of more.
const ROWS_OF_STATEMENT: usize = 10;

/// A row that outlives what it was made of.
pub(super) type OwnedRow = Vec<(&'static str, Value)>;

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
    let sql = insert_sql(table, &columns, 1);
    connection
        .prepare_cached(&sql)?
        .execute(values.as_slice())?;
    Ok(())
}

/// Keeps the values of a row for [`insert_all`].
pub(super) fn owned(row: &[(&'static str, &dyn ToSql)]) -> Result<OwnedRow, LakeError> {
    let values = row.iter().map(|(column, value)| {
        let value = match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => value.to_owned(),
            ToSqlOutput::Owned(value) => value,
            _ => return Err(duckdb::Error::InvalidParameterName((*column).into())),
        };
        Ok((*column, value))
    });
    Ok(values.collect::<Result<_, _>>()?)
}

/// Adds rows of the same columns to a table, many with each statement.
pub(super) fn insert_all(
    connection: &Connection,
    table: &str,
    rows: &[OwnedRow],
) -> Result<(), LakeError> {
    for rows in rows.chunks(ROWS_OF_STATEMENT) {
        let columns: Vec<&str> = rows[0].iter().map(|(column, _)| *column).collect();
        let sql = insert_sql(table, &columns, rows.len());
        let values = rows.iter().flatten().map(|(_, value)| value);
        connection
            .prepare_cached(&sql)?
            .execute(duckdb::params_from_iter(values))?;
    }
    Ok(())
}

fn insert_sql(table: &str, columns: &[&str], row_count: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!(
        "INSERT INTO {} ({}) VALUES {}",
        quoted_name(table),
        columns.join(", "),
        vec![row; row_count].join(", ")
    )
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
