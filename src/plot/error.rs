//! Why there is no picture.

use std::path::PathBuf;

use crate::query::QueryError;

#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("a picture's name ends in .svg or .png: {path}")]
    Format { path: PathBuf },
    #[error("the query gives no column {name}; it gives {columns}")]
    NoColumn { name: String, columns: String },
    #[error(
        "the column {name} is {kind} and cannot be plotted as a number; the query gives {columns}"
    )]
    NotNumeric {
        name: String,
        kind: String,
        columns: String,
    },
    #[error(
        "the query has no column of time (such as time_secs, frame or a date) to plot along; give one with --x; it gives {columns}"
    )]
    NoTime { columns: String },
    #[error("the query has no column of measured numbers; give one with --y; it gives {columns}")]
    NothingMeasured { columns: String },
    #[error("{count} columns are too many for a picture; choose some with --y")]
    TooManyColumns { count: usize },
    #[error(
        "the columns {columns} make more than {limit} series; choose columns with --series, or fewer rows in the query"
    )]
    TooManySeries { limit: usize, columns: String },
    #[error("the query gives no rows, so there is nothing to plot")]
    Empty,
    #[error("every value of {columns} is NULL, so there is nothing to plot")]
    AllNull { columns: String },
    #[error("{panels} panels and their legends need a height of at least {needed_px} px")]
    TooLow { panels: usize, needed_px: u32 },
    #[error("a width of at least {needed_px} px is needed for the labels")]
    TooNarrow { needed_px: u32 },
    #[error("the query's values cannot be read: {0}")]
    Values(String),
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
    #[error("cannot write the picture ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
}
