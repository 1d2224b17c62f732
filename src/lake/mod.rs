//! The lake: Hive-partitioned Parquet files and their DuckLake catalog in an embedded database.
//!
//! Nothing else knows DuckLake. The catalog is attached for the milliseconds that a look or a
//! commit takes, so that any number of processes can work on one lake; whoever finds it locked
//! waits and tries again.

mod analysis;
mod catalog;
mod check;
mod datasets;
mod derived;
mod describe;
mod inventory;
mod maintenance;
mod persons;
mod poses;
mod resolution;
mod runs;
mod schema;
mod staged;
mod training;
mod writer;

pub use analysis::{AnalysisKey, AnalysisRow, AnalysisWriter};
pub use catalog::{
    CommitOutcome, IngestedVideo, LOCK_TIMEOUT, Lake, LakeInfo, LakeReader, PictureRecord, Replace,
    SnapshotInfo, TableInfo, VideoRecord,
};
pub use check::{CheckReport, Finding, Severity};
pub use datasets::{DatasetRecord, EXAMPLE_COLUMNS, ExampleRow, example_batch};
pub use derived::{CalibratedFrame, DerivedWriter, FilteredFrame, FilteredLandmark, MeasuredFrame};
pub use describe::{ColumnDescription, TableDescription, describe_tables};
pub use maintenance::{
    CompactReport, CompactedTable, Execution, ExpireReport, RemoveReport, RemovedRows, Retention,
    VacuumReport,
};
pub use persons::PersonRecord;
pub use poses::{FrameReader, VideoFrame};
pub use resolution::to_lake_resolution;
pub use runs::{RunError, RunOutcome, RunRecord, UtcTime, run_id};
pub use staged::StagedFile;
pub use training::{TrainingRecord, TrainingResult};
pub use writer::{
    PersonRow, StagedVideo, Storage, TableFile, VideoWriter, metrics_of_frames, storage_by_type,
};

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::files::why_not_written;

/// Version of the tables in `schemas/`; grows with every change of them.
pub const FORMAT_VERSION: i32 = 5;

/// Version of what ingest writes into its tables; grows when a video has to be ingested again to
/// have the rows that the newest posedata gives it.
pub const ROWS_VERSION: i32 = 3;

/// Name under which the lake is attached.
pub const LAKE_NAME: &str = "lake";

/// Name of the catalog's file; its write-ahead log adds a suffix.
const CATALOG_NAME: &str = "catalog.ducklake";

/// Where the parts of a lake lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakePaths {
    root: PathBuf,
}

impl LakePaths {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The catalog database.
    pub fn catalog(&self) -> PathBuf {
        self.root.join(CATALOG_NAME)
    }

    /// The folder of all Parquet files.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Whether there is a catalog.
    pub fn exists(&self) -> bool {
        self.catalog().exists()
    }

    /// Makes the folders of a new lake; does nothing where there is one.
    ///
    /// # Errors
    /// When the folder cannot be made, or holds something else.
    pub fn prepare(&self) -> Result<(), LakeError> {
        if self.exists() {
            return Ok(());
        }
        let not_a_lake = |reason: &str| LakeError::NotALake {
            path: self.root.clone(),
            reason: reason.into(),
        };
        if self.root.exists() && !self.root.is_dir() {
            return Err(not_a_lake("it is a file"));
        }
        let write_error = |e: std::io::Error| LakeError::Write {
            path: self.root.clone(),
            reason: why_not_written(&e),
        };
        fs::create_dir_all(&self.root).map_err(write_error)?;
        // Another process may be making the same lake; its parts are no foreign files.
        let is_part = |name: &OsStr| {
            let name = name.as_encoded_bytes();
            name == b"data" || name.starts_with(CATALOG_NAME.as_bytes())
        };
        let mut entries = fs::read_dir(&self.root).map_err(write_error)?.flatten();
        if entries.any(|entry| !is_part(&entry.file_name())) {
            return Err(not_a_lake("it holds other files and no catalog"));
        }
        fs::create_dir_all(self.data()).map_err(write_error)
    }

    /// The folder of a table's files for one sport. DuckLake keeps its own files there too, and
    /// stores paths below it as relative, so that a lake can be moved.
    pub fn partition(&self, table: &str, sport: &str) -> PathBuf {
        self.partition_by(table, "sport", sport)
    }

    fn partition_by(&self, table: &str, key: &str, value: &str) -> PathBuf {
        let table = self.data().join("main").join(table);
        table.join(format!("{key}={value}"))
    }

    /// A name, never used before, for a new file of a video's rows in a table.
    pub fn new_file(&self, table: &str, sport: &str, video_id: &str) -> PathBuf {
        self.new_file_in(table, "sport", sport, video_id)
    }

    /// The same for a table that is partitioned by something else; `prefix` begins the file's name.
    pub fn new_file_in(&self, table: &str, key: &str, value: &str, prefix: &str) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = now.map_or(0, |elapsed| elapsed.as_nanos());
        let process = std::process::id();
        let file = format!("{prefix}-{process:x}-{nanos:x}-{count:x}.parquet");
        self.partition_by(table, key, value).join(file)
    }
}

/// What can go wrong with a lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error(
        "the DuckLake extension cannot be loaded ({reason}); run `make setup` or `posedata models add ducklake`: {path}"
    )]
    Extension { path: PathBuf, reason: String },
    #[error("there is no lake yet; run `posedata ingest` first, or give --lake: {path}")]
    Missing { path: PathBuf },
    #[error("not a lake ({reason}); give another folder with --lake: {path}")]
    NotALake { path: PathBuf, reason: String },
    #[error(
        "the lake has format {found}, this posedata knows {known}; install the newer posedata: {path}"
    )]
    Newer {
        path: PathBuf,
        found: i32,
        known: i32,
    },
    #[error(
        "the lake is in use by another process for {waited_secs} s now; wait for it to end and try again: {path}"
    )]
    Locked { path: PathBuf, waited_secs: u64 },
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("the video has more frames than the lake can number; split it: {path}")]
    TooLong { path: PathBuf },
    #[error("the video was ingested again or removed meanwhile; run the command again: {video_id}")]
    VideoChanged { video_id: String },
    #[error("the lake's database failed: {0}")]
    Database(String),
    #[error("a file of the lake is damaged ({reason}); run `posedata lake check --repair`: {path}")]
    DamagedFile { path: PathBuf, reason: String },
    #[error("the commit failed ({reason}); run the command again")]
    Commit { reason: String },
    #[error("snapshot {version} does not exist; `posedata lake info` lists them: {path}")]
    NoSnapshot { path: PathBuf, version: u64 },
    #[error(
        "no video in the lake is {selector}{suggestion}; give an id, a file name, a beginning of it or a path of: {known}"
    )]
    UnknownVideo {
        selector: String,
        /// The video that may have been meant, in words; empty where none is near.
        suggestion: String,
        known: String,
    },
    #[error("{selector} may be any of several videos; give more of a name, or an id: {candidates}")]
    AmbiguousVideo {
        selector: String,
        candidates: String,
    },
    #[error(
        "the lake's rows of the video are damaged ({reason}); run `posedata lake check`, or ingest it again with --force: {video}"
    )]
    Damaged { video: String, reason: String },
}

impl From<duckdb::Error> for LakeError {
    fn from(error: duckdb::Error) -> Self {
        let message = database_message(error);
        match damaged_file(&message) {
            Some(path) => Self::DamagedFile {
                path,
                reason: message.lines().next().unwrap_or_default().into(),
            },
            None => Self::Database(message),
        }
    }
}

/// The Parquet file that DuckDB names when it cannot read it.
fn damaged_file(message: &str) -> Option<PathBuf> {
    let is_of_reading = message.starts_with("IO Error")
        || message.starts_with("Invalid Input Error")
        || message.starts_with("TProtocolException");
    let quoted = message.split(['"', '\'']);
    let mut files = quoted.filter(|part| part.ends_with(".parquet"));
    let is_of_writing = catalog::WRITE_REFUSALS
        .iter()
        .any(|text| message.contains(text));
    let file = files.next().filter(|_| is_of_reading && !is_of_writing);
    file.map(PathBuf::from)
}

/// What DuckDB says, without the codes that the crate adds.
pub fn database_message(error: duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.trim().to_owned(),
        other => other.to_string(),
    }
}
