//! Where the parts of a lake lie, and what its files are called.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::address::{LakeAddress, PostgresAddress};
use super::error::LakeError;
use crate::files::why_not_written;
use crate::scratch::Scratch;
use crate::store::{Address, Bucket, S3Address, S3Settings};

/// Name of the catalog's file; its write-ahead log adds a suffix.
pub(super) const CATALOG_NAME: &str = "catalog.ducklake";

/// Folder for files that are no use any more.
const DAMAGED_FOLDER: &str = "damaged";

/// Hex digits of a model's hash that its files' names hold: 64 bits.
const MODEL_DIGITS_IN_NAMES: usize = 16;

/// Columns by whose values the lake's files lie in folders of their own: `sport=running`.
const PARTITION_COLUMNS: [&str; 2] = ["sport", "dataset"];

/// Where the parts of a lake lie.
#[derive(Clone, Debug)]
pub struct LakePaths {
    address: LakeAddress,
    data: DataPlace,
}

/// Where a lake's files lie.
#[derive(Clone, Debug)]
pub(super) enum DataPlace {
    Folder(PathBuf),
    Bucket(Arc<DataBucket>),
}

/// A part of a bucket, and the folder of this machine where files wait to be sent there.
#[derive(Debug)]
pub(super) struct DataBucket {
    pub bucket: Bucket,
    pub address: S3Address,
    staging: Scratch,
}

impl DataBucket {
    /// The key of a file, of its name below the data folder.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.address.as_prefix())
    }
}

impl LakePaths {
    /// Those of a lake in a folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            data: DataPlace::Folder(root.join("data")),
            address: LakeAddress::Folder(root),
        }
    }

    /// Those of a lake whose catalog is in a database; `data_path` is an `s3://` prefix or the path of
    /// a folder that all machines share.
    ///
    /// # Errors
    /// When the data path is of another kind, or S3 cannot be set up.
    pub fn of_database(address: PostgresAddress, data_path: &str) -> Result<Self, LakeError> {
        let data = match Address::parse(data_path)? {
            Some(Address::S3(address)) => DataPlace::Bucket(Arc::new(DataBucket {
                bucket: Bucket::open(&address.bucket, &S3Settings::detect()?)?,
                address,
                staging: Scratch::make().map_err(|e| LakeError::Write {
                    path: Scratch::place(),
                    reason: why_not_written(&e),
                })?,
            })),
            // With a slash at its end, DuckLake would not see that files lie below it.
            None if Path::new(data_path).is_absolute() => {
                DataPlace::Folder(Path::new(data_path).components().collect())
            }
            Some(Address::Web(_)) | None => {
                return Err(LakeError::WrongAddress {
                    reason: format!(
                        "a lake's files lie below an s3:// prefix or in a folder, given from the root: {data_path}"
                    ),
                });
            }
        };
        Ok(Self {
            address: LakeAddress::Postgres(address),
            data,
        })
    }

    /// What `--lake` named.
    pub fn address(&self) -> &LakeAddress {
        &self.address
    }

    /// The schema of the database that has the catalog; `None` where the catalog is a file.
    pub fn catalog_schema(&self) -> Option<&str> {
        match &self.address {
            LakeAddress::Folder(_) => None,
            LakeAddress::Postgres(address) => Some(&address.schema),
        }
    }

    /// The lake's folder, or its address: what messages and reports call it.
    pub fn root(&self) -> PathBuf {
        self.address.to_string().into()
    }

    /// The catalog: its file, or the database's address.
    pub fn catalog(&self) -> PathBuf {
        match &self.address {
            LakeAddress::Folder(root) => root.join(CATALOG_NAME),
            LakeAddress::Postgres(_) => self.root(),
        }
    }

    /// Where all Parquet files lie: a folder, or an `s3://` prefix.
    pub fn data(&self) -> PathBuf {
        self.data_location().into()
    }

    /// Where what is no use any more is moved to: beside the files.
    pub(super) fn damaged_location(&self) -> String {
        match &self.address {
            LakeAddress::Folder(root) => root.join(DAMAGED_FOLDER).display().to_string(),
            LakeAddress::Postgres(_) => format!("{}-{DAMAGED_FOLDER}", self.data_location()),
        }
    }

    pub(super) fn data_place(&self) -> &DataPlace {
        &self.data
    }

    /// The folder where files are written: that of all Parquet files, or the one where they wait to
    /// be sent to their bucket.
    fn staging(&self) -> &Path {
        match &self.data {
            DataPlace::Folder(folder) => folder,
            DataPlace::Bucket(bucket) => bucket.staging.path(),
        }
    }

    /// Where all Parquet files lie, as SQL names it: a path or an `s3://` prefix, without a slash at
    /// its end.
    pub fn data_location(&self) -> String {
        match &self.data {
            DataPlace::Folder(folder) => folder.display().to_string(),
            DataPlace::Bucket(bucket) => {
                let location = bucket.address.to_string();
                location.trim_end_matches('/').to_owned()
            }
        }
    }

    /// The first folder above the files that is called `NAME=VALUE`, with a name that counts.
    fn partition_above(&self, counts: impl Fn(&str) -> bool) -> Option<String> {
        let location = self.data_location();
        let mut folders = location.split('/');
        let is_meant = |folder: &&str| folder.split_once('=').is_some_and(|(name, _)| counts(name));
        folders.find(is_meant).map(str::to_owned)
    }

    /// Makes sure that no folder above the files gives their rows another value than they have: DuckDB
    /// takes values of columns from all folders of a path.
    ///
    /// # Errors
    /// When one does.
    pub(super) fn must_be_unmistakable(&self) -> Result<(), LakeError> {
        let folder = self.partition_above(|name| PARTITION_COLUMNS.contains(&name));
        folder.map_or(Ok(()), |folder| Err(self.misread_in(&folder)))
    }

    /// The same of a lake that is to be made, whose files could not be added either below a folder that is
    /// called so after anything else, or where its path has characters that mean something to DuckDB.
    pub(super) fn must_be_plain(&self) -> Result<(), LakeError> {
        if let Some(folder) = self.partition_above(|_| true) {
            return Err(self.misread_in(&folder));
        }
        // Settings begin at a question mark; in buckets, patterns are never names.
        let telling = match self.data {
            DataPlace::Folder(_) => "?",
            DataPlace::Bucket(_) => "?*[",
        };
        let location = self.data_location();
        match location.chars().find(|c| telling.contains(*c)) {
            None => Ok(()),
            Some(c) => Err(LakeError::WrongAddress {
                reason: format!(
                    "{c} means something to DuckDB in the path of a file; give the lake's files a place without it: {location}"
                ),
            }),
        }
    }

    fn misread_in(&self, folder: &str) -> LakeError {
        LakeError::WrongAddress {
            reason: format!(
                "DuckDB takes a folder called {folder} for a value of all rows below it; give the lake's files a place without such a folder above: {}",
                self.data_location()
            ),
        }
    }

    /// Whether there is a catalog. That of a database is there, for it was asked where the files lie.
    pub fn exists(&self) -> bool {
        match &self.address {
            LakeAddress::Folder(_) => self.catalog().exists(),
            LakeAddress::Postgres(_) => true,
        }
    }

    /// Makes the folders of a new lake; does nothing where there is one.
    ///
    /// # Errors
    /// When the folder cannot be made, or holds something else.
    pub fn prepare(&self) -> Result<(), LakeError> {
        let LakeAddress::Folder(root) = &self.address else {
            return Ok(());
        };
        if self.exists() {
            return Ok(());
        }
        self.must_be_plain()?;
        let not_a_lake = |reason: &str| LakeError::NotALake {
            path: root.clone(),
            reason: reason.into(),
        };
        if root.exists() && !root.is_dir() {
            return Err(not_a_lake("it is a file"));
        }
        let write_error = |e: std::io::Error| LakeError::Write {
            path: root.clone(),
            reason: why_not_written(&e),
        };
        fs::create_dir_all(root).map_err(write_error)?;
        // Another process may be making the same lake; its parts are no foreign files.
        let is_part = |name: &OsStr| {
            let name = name.as_encoded_bytes();
            name == b"data" || name.starts_with(CATALOG_NAME.as_bytes())
        };
        let mut entries = fs::read_dir(root).map_err(write_error)?.flatten();
        if entries.any(|entry| !is_part(&entry.file_name())) {
            return Err(not_a_lake("it holds other files and no catalog"));
        }
        fs::create_dir_all(self.staging()).map_err(write_error)
    }

    /// The folder of a table's new files for one sport. DuckLake keeps its own files there too, and
    /// stores paths below it as relative, so that a lake can be moved.
    pub fn partition(&self, table: &str, sport: &str) -> PathBuf {
        self.partition_by(table, "sport", sport)
    }

    fn partition_by(&self, table: &str, key: &str, value: &str) -> PathBuf {
        let partition = format!("{key}={value}");
        self.staging().join(table_folder(table)).join(partition)
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

/// The folder of a table's files, below that of all files.
pub(super) fn table_folder(table: &str) -> String {
    format!("main/{table}")
}

/// How the names of files begin that hold a model's rows for a video, and nothing else.
pub(super) fn model_file_prefix(video_id: &str, model_sha256: &str) -> String {
    let digits: String = model_sha256.chars().take(MODEL_DIGITS_IN_NAMES).collect();
    format!("{video_id}-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_would_be_read_as_values_are_refused() {
        let place = |folder: &str| LakePaths::new(folder);
        for folder in ["/a/sport=mov/lake", "/dataset=x"] {
            let refused = place(folder).must_be_unmistakable();
            let told = refused.expect_err("it is misread").to_string();
            assert!(told.contains(folder), "{told}");
            assert!(place(folder).must_be_plain().is_err());
        }
        // It can be read; what is there has been added somewhere else.
        let moved = place("/a/year=2026/lake");
        moved
            .must_be_unmistakable()
            .expect("no column is called so");
        assert!(moved.must_be_plain().is_err());
        assert!(place("/a/b?/lake").must_be_plain().is_err());
        place("/a/sports mov/it's [1] 100%")
            .must_be_plain()
            .expect("a plain place");
        let folder = tempfile::tempdir().expect("a folder");
        let new = place(&folder.path().join("year=2026/lake").display().to_string());
        assert!(new.prepare().is_err());
        assert!(!folder.path().join("year=2026").exists());
    }
}
