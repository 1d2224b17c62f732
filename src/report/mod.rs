//! A report that one can hand over: one HTML file with the numbers, curves and pictures of one or two
//! groups of recordings, which needs nothing else and prints well.
//!
//! All numbers come from the SQL files beside this one, over the lake and the temporary table
//! `report_videos`, which says which videos make up which group; the report lists them. Nothing is
//! calculated here.

mod content;
mod curves;
mod html;

pub use content::{Group, KeyFrame, MAX_GROUPS, Picture, Report, ReportError};
pub use html::page;
