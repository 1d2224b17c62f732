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
    /// Only [`Severity::Damage`] makes a lake not whole.
    pub severity: Severity,
    /// The file or video.
    pub subject: String,
    /// What is wrong with it, in words; several causes stand behind one another with semicolons.
    pub cause: String,
    /// The command that helps, or what to do, in words.
    pub remedy: String,
}

/// What `posedata lake check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The lake's folder, or the address of its database.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub lake: PathBuf,
    /// Of this lake; it may be older than what this version of posedata makes.
    pub format_version: i32,
    /// The newest one when the check began.
    pub snapshot: u64,
    /// Nothing is lost or wrong.
    pub whole: bool,
    /// Videos whose rows were compared with what `videos` says of them.
    pub videos: u64,
    /// Files that the catalog names, older snapshots' too.
    pub files: u64,
    /// Of all these files together, as the catalog knows them.
    pub bytes: u64,
    /// Files that living processes work on.
    pub files_in_work: u64,
    /// The worst first; empty where there is nothing to say.
    pub findings: Vec<Finding>,
    /// What `--repair` did.
    pub repairs: Vec<String>,
}
