//! Where the parts of a lake lie, and what its files are called.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::error::LakeError;
use crate::files::why_not_written;

/// Name of the catalog's file; its write-ahead log adds a suffix.
const CATALOG_NAME: &str = "catalog.ducklake";

/// Hex digits of a model's hash that its files' names hold: 64 bits.
const MODEL_DIGITS_IN_NAMES: usize = 16;

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

    /// The folder of a table's files.
    pub(super) fn table(&self, table: &str) -> PathBuf {
        self.data().join("main").join(table)
    }

    fn partition_by(&self, table: &str, key: &str, value: &str) -> PathBuf {
        self.table(table).join(format!("{key}={value}"))
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

/// How the names of files begin that hold a model's rows for a video, and nothing else.
pub(super) fn model_file_prefix(video_id: &str, model_sha256: &str) -> String {
    let digits: String = model_sha256.chars().take(MODEL_DIGITS_IN_NAMES).collect();
    format!("{video_id}-{digits}")
}
