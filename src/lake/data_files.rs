//! The lake's data files: where they lie, and all that is done to them once they are written.
//!
//! Files are named by their paths below the data folder, as the catalog and the table `files` name
//! them. How a file comes into being is told in `staged`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::error::LakeError;
use super::location::LakePaths;
use crate::files::{sync_folder, why_not_written};
use crate::hashing::hash_file;

/// Folder of the lake for files that are no use any more.
const DAMAGED_FOLDER: &str = "damaged";

/// The folder of a lake's files.
pub(super) struct DataFiles<'l> {
    paths: &'l LakePaths,
    folder: PathBuf,
}

/// Something that lies in the data folder.
pub(super) struct Listed {
    /// Below the data folder.
    pub name: String,
    pub path: PathBuf,
    /// No link, and nothing else that only looks like a file.
    pub is_file: bool,
}

impl<'l> DataFiles<'l> {
    pub fn of(paths: &'l LakePaths) -> Self {
        Self {
            paths,
            folder: paths.data(),
        }
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file's name, of its path as the catalog has it: whole, or below the data folder.
    pub fn name(&self, path: &str) -> String {
        let below = Path::new(path).strip_prefix(&self.folder);
        below.map_or(path.to_owned(), |below| below.display().to_string())
    }

    pub fn byte_size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name))?.len())
    }

    /// A file's BLAKE3 hash in hex, and its bytes.
    pub fn hash(&self, name: &str) -> io::Result<(String, u64)> {
        let (hash, byte_size) = hash_file(&self.path(name))?;
        Ok((hash.to_hex().to_string(), byte_size))
    }

    /// Everything but folders, ordered by name. What cannot be looked into is left out: it is found
    /// missing, if it is missed.
    pub fn list(&self) -> impl Iterator<Item = Listed> {
        let entries = WalkDir::new(&self.folder).sort_by_file_name().into_iter();
        let entries = entries
            .flatten()
            .filter(|entry| !entry.file_type().is_dir());
        entries.map(move |entry| Listed {
            name: self.name(&entry.path().display().to_string()),
            is_file: entry.file_type().is_file(),
            path: entry.into_path(),
        })
    }

    /// The paths of all files of a table.
    pub fn of_table(&self, table: &str) -> HashSet<PathBuf> {
        let entries = WalkDir::new(self.paths.table(table)).into_iter().flatten();
        let files = entries.filter(|entry| entry.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }

    /// Makes a file that DuckLake wrote safe on the disk.
    pub fn sync(&self, path: &Path) -> Result<(), LakeError> {
        let synced = match File::open(path) {
            Ok(file) => file
                .sync_all()
                .and_then(|()| path.parent().map_or(Ok(()), sync_folder)),
            // A living ingest renamed or gave up its own file.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        };
        synced.map_err(|e| LakeError::Write {
            path: path.into(),
            reason: why_not_written(&e),
        })
    }

    /// Moves a file out of the data folder, if there is one.
    pub fn set_aside(&self, name: &str) -> Result<(), LakeError> {
        let path = self.path(name);
        let aside = self.paths.root().join(DAMAGED_FOLDER).join(name);
        let moved = aside
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::rename(&path, &aside));
        match moved {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let reason = why_not_written(&e);
                Err(LakeError::Write { path, reason })
            }
            _ => Ok(()),
        }
    }

    /// Deletes folders that hold nothing; gives their number.
    pub fn remove_empty_folders(&self) -> u64 {
        let folders = WalkDir::new(&self.folder)
            .min_depth(1)
            .contents_first(true)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_dir());
        // Only an empty folder can be deleted so.
        folders
            .filter(|entry| fs::remove_dir(entry.path()).is_ok())
            .count() as u64
    }
}
