//! What a picture is to show, and how large.

/// More lines in one panel cannot be told apart: seven colours, drawn through and dashed.
pub const MAX_LINES: usize = 12;
/// Width of a picture in pixels, if nobody says otherwise.
pub const DEFAULT_WIDTH_PX: u32 = 1200;
/// Sizes in which labels can be read, and which memory can hold.
pub const SIZE_RANGE_PX: std::ops::RangeInclusive<u32> = 200..=8000;

/// What to show, and how large; columns that are not given are found by their names and types.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotOptions {
    /// Column along the x axis.
    pub x: Option<String>,
    /// Columns to draw; empty: all that are measured.
    pub y: Vec<String>,
    /// Columns whose values tell lines apart; empty: all of text, and persons.
    pub series: Vec<String>,
    /// `None`: what all rows have in common; empty: no title.
    pub title: Option<String>,
    /// Letters and lines grow with it; within [`SIZE_RANGE_PX`].
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
