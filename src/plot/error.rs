//! Why there is no picture.

use std::path::PathBuf;

use crate::query::QueryError;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The query itself fails.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The suffix tells no format.
    #[error("a picture's name ends in .svg or .png: {path}")]
    Format {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// A column was asked for that the result does not have.
    #[error("the query gives no column {name}; it gives {columns}")]
    NoColumn {
        /// As it was given.
        name: String,
        /// Names of all columns that there are.
        columns: String,
    },
    /// A column was asked for whose values are no numbers.
    #[error(
        "the column {name} is {kind} and cannot be plotted as a number; the query gives {columns}"
    )]
    NotNumeric {
        /// As it was given.
        name: String,
        /// Its type, with its article.
        kind: String,
        /// Names of all columns that there are.
        columns: String,
    },
    /// Nothing in the result runs on from row to row, and no x was given.
    #[error(
        "the query has no column of time (such as time_secs, frame or a date) to plot along; give one with --x; it gives {columns}"
    )]
    NoTime {
        /// Names of all columns that there are.
        columns: String,
    },
    /// All numbers are keys, counts or times, and no y was given.
    #[error("the query has no column of measured numbers; give one with --y; it gives {columns}")]
    NothingMeasured {
        /// Names of all columns that there are.
        columns: String,
    },
    /// More columns than one picture is drawn with.
    #[error("{count} columns are too many for a picture; choose some with --y")]
    TooManyColumns {
        /// Columns that would be drawn.
        count: usize,
    },
    /// Text columns tell more lines apart than memory should hold.
    #[error(
        "the columns {columns} make more than {limit} series; choose columns with --series, or fewer rows in the query"
    )]
    TooManySeries {
        /// So many are collected at most.
        limit: usize,
        /// The columns that tell them apart.
        columns: String,
    },
    /// The query ran and found nothing.
    #[error("the query gives no rows, so there is nothing to plot")]
    Empty,
    /// There are rows, but no number to draw.
    #[error("every value of {columns} is NULL, so there is nothing to plot")]
    AllNull {
        /// The columns that were to be drawn.
        columns: String,
    },
    /// The height that was asked for is too small.
    #[error("{panels} panels and their legends need a height of at least {needed_px} px")]
    TooLow {
        /// One for each unit.
        panels: usize,
        /// The least height.
        needed_px: u32,
    },
    /// The width that was asked for is too small.
    #[error("a width of at least {needed_px} px is needed for the labels")]
    TooNarrow {
        /// The least width.
        needed_px: u32,
    },
    /// Arrow cannot make numbers of a column; its own words.
    #[error("the query's values cannot be read: {0}")]
    Values(String),
    /// The drawing library or the encoder fails; its own words.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
    /// The file cannot be written.
    #[error("cannot write the picture ({reason}): {path}")]
    Write {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system says, and a remedy.
        reason: String,
    },
}
