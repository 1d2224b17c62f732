//! Pictures of query results: time series with axes, units and a legend, as SVG or PNG.
//!
//! `data` reads the rows, `thin` keeps what a picture can show, `units` knows what columns' names
//! mean, `ticks` labels axes, `draw` lays out and draws, `canvas` makes the two formats of it.
//! `losses` is about training runs instead of queries.
//!
//! What is resident does not grow with the series' length but by the database's own result: each of
//! the lines shown takes at most a kilobyte per pixel of the picture's width.

mod canvas;
mod data;
mod draw;
mod losses;
mod text;
mod thin;
mod ticks;
mod units;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::files::why_not_written;
use crate::query::{Query, QueryError, Session};
use data::{Collector, PlotData};
pub use losses::{Losses, losses_svg};

/// More lines in one panel cannot be told apart: seven colours, drawn through and dashed.
pub const MAX_LINES: usize = 12;
/// Width of a picture in pixels, if nobody says otherwise.
pub const DEFAULT_WIDTH_PX: u32 = 1200;
/// Sizes in which labels can be read, and which memory can hold.
pub const SIZE_RANGE_PX: std::ops::RangeInclusive<u32> = 200..=8000;

/// The formats of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    Svg,
    Png,
}

impl PictureFormat {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// When it ends in neither `.svg` nor `.png`.
    pub fn of(path: &Path) -> Result<Self, PlotError> {
        let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        match suffix.to_ascii_lowercase().as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            _ => Err(PlotError::Format { path: path.into() }),
        }
    }
}

/// What to show, and how large; columns that are not given are found by their names and types.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotOptions {
    pub x: Option<String>,
    pub y: Vec<String>,
    pub series: Vec<String>,
    /// `None`: what all rows have in common; empty: no title.
    pub title: Option<String>,
    pub width_px: u32,
    /// `None`: as high as the panels need.
    pub height_px: Option<u32>,
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            x: None,
            y: Vec::new(),
            series: Vec::new(),
            title: None,
            width_px: DEFAULT_WIDTH_PX,
            height_px: None,
        }
    }
}

/// What became of a query's rows in a picture.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlotSummary {
    pub rows: u64,
    pub width_px: u32,
    pub height_px: u32,
    pub panels: usize,
    pub lines: usize,
    /// Lines that are not shown because no more than [`MAX_LINES`] to a panel can be told apart.
    pub hidden_lines: usize,
    /// Rows that are not shown because their x is NULL.
    pub rows_without_x: u64,
    /// Rows of one line have the same x, so something else tells them apart.
    pub has_same_x_twice: bool,
}

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

/// Runs a query and draws its result into a file, which appears whole or not at all.
///
/// # Errors
/// When the query fails, its result cannot be plotted, or the file cannot be written.
pub fn plot(
    session: &Session,
    query: &Query,
    options: &PlotOptions,
    path: &Path,
) -> Result<PlotSummary, PlotError> {
    let format = PictureFormat::of(path)?;
    let data = session.read(query, |schema, batches| {
        let mut collector = Collector::new(schema, options)?;
        for batch in batches {
            collector.push(&batch)?;
        }
        collector.finish()
    })?;
    let (picture, width_px, height_px) = picture(&data, options, format)?;
    crate::files::write_atomically(path, &picture).map_err(|e| PlotError::Write {
        path: path.into(),
        reason: why_not_written(&e),
    })?;
    Ok(PlotSummary {
        rows: data.rows,
        width_px,
        height_px,
        panels: data.panels.len(),
        lines: data.panels.iter().map(|panel| panel.lines.len()).sum(),
        hidden_lines: data.panels.iter().map(|panel| panel.hidden_lines).sum(),
        rows_without_x: data.rows_without_x,
        has_same_x_twice: data.same_x,
    })
}

/// A picture's bytes and its size.
fn picture(
    data: &PlotData,
    options: &PlotOptions,
    format: PictureFormat,
) -> Result<(Vec<u8>, u32, u32), PlotError> {
    let figure = draw::Figure::new(data, options)?;
    let (width_px, height_px) = (figure.width_px, figure.height_px);
    let bytes = match format {
        PictureFormat::Svg => canvas::svg(width_px, height_px, |area| figure.draw(area))?,
        PictureFormat::Png => canvas::png(width_px, height_px, |area| figure.draw(area))?,
    };
    Ok((bytes, width_px, height_px))
}
