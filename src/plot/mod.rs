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
mod error;
mod losses;
mod options;
mod text;
mod thin;
mod ticks;
mod units;

use std::ffi::OsStr;
use std::path::Path;

use crate::files::why_not_written;
use crate::query::{Query, Session};
use data::{Collector, PlotData};
pub use error::PlotError;
pub use losses::{Losses, losses_svg};
pub use options::{DEFAULT_WIDTH_PX, MAX_LINES, PlotOptions, SIZE_RANGE_PX};
pub use units::Quantity;

/// The formats of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Scales without loss; text is drawn as text.
    Svg,
    /// Pixels, with a font of our own.
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

/// What became of a query's rows in a picture.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlotSummary {
    /// Rows of the query's result.
    pub rows: u64,
    /// Of the whole picture.
    pub width_px: u32,
    /// Of the whole picture, as asked for or as the panels need it.
    pub height_px: u32,
    /// One for each unit, one below the other.
    pub panels: usize,
    /// In all panels together, without those that are hidden.
    pub lines: usize,
    /// Lines that are not shown because no more than [`MAX_LINES`] to a panel can be told apart.
    pub hidden_lines: usize,
    /// Rows that are not shown because their x is NULL.
    pub rows_without_x: u64,
    /// Rows of one line have the same x, so something else tells them apart.
    pub has_same_x_twice: bool,
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
