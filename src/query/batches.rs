//! The rows of a statement that was executed.

use arrow::array::RecordBatch;
use duckdb::Statement;

use super::error::{QueryError, sql_error};

/// The rows of an executed statement, until there are no more, or an error.
pub(super) struct Batches<'s> {
    statement: &'s Statement<'s>,
    error: Option<QueryError>,
}

impl<'s> Batches<'s> {
    pub(super) fn of(statement: &'s Statement<'s>) -> Self {
        Self {
            statement,
            error: None,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// What ended the rows early.
    pub(super) fn end(&mut self) -> Result<(), QueryError> {
        self.error.take().map_or(Ok(()), Err)
    }
}

impl Iterator for Batches<'_> {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        if self.has_failed() {
            return None;
        }
        match self.statement.step() {
            Ok(rows) => rows.map(|rows| RecordBatch::from(&rows)),
            Err(error) => {
                self.error = Some(sql_error(error));
                None
            }
        }
    }
}
