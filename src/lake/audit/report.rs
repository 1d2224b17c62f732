//! What a check says.

use std::path::PathBuf;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Rows are lost or wrong.
    Damage,
    /// A killed process left something behind; it only takes up room.
    Leftover,
    /// Nothing is wrong, but something could be better.
    Note,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The file or video.
    pub subject: String,
    pub cause: String,
    pub remedy: String,
}

/// What `posedata lake check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub lake: PathBuf,
    pub format_version: i32,
    pub snapshot: u64,
    /// Nothing is lost or wrong.
    pub whole: bool,
    pub videos: u64,
    pub files: u64,
    pub bytes: u64,
    /// Files that living processes work on.
    pub files_in_work: u64,
    pub findings: Vec<Finding>,
    /// What `--repair` did.
    pub repairs: Vec<String>,
}
