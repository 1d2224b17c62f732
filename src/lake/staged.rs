//! Files on their way into the lake.
//!
//! A file is written under a temporary name, hashed while it is written, synced with its folders,
//! renamed, and at last named by the catalog. From its first moment until the catalog names it, its
//! writer holds a lock on it (`flock`), which ends with the writer however that ends. So whoever
//! finds a file that the catalog does not name can tell the work of a living process from what a
//! killed one left behind: [`Abandoned::claim`]. Files for a bucket are written in a folder of this
//! machine and sent there before the commit; there only their age can tell.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::LakeError;
use super::location::{DataBucket, DataPlace, LakePaths};
use crate::files::sync_folder;

/// Suffix of a file that is being written.
const TEMPORARY_SUFFIX: &str = "parquet.tmp";
/// A file lies this many folders below the lake's folder: data, schema, table, partition.
const FOLDERS_BELOW_LAKE: usize = 4;
/// Folders and files vanish only when somebody cleans up at just that moment.
const CREATE_ATTEMPTS: usize = 16;

/// A file that is deleted again unless it becomes part of the lake.
pub struct StagedFile {
    path: PathBuf,
    row_count: u64,
    byte_size: u64,
    blake3: String,
    keep: bool,
    /// Where it was sent to, if the lake's files lie in a bucket.
    sent_to: Option<Arc<DataBucket>>,
    /// Holds the lock.
    _file: File,
}

impl StagedFile {
    /// Where it lies on this machine.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows of all row groups.
    pub(super) fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Length of the whole file, footer included.
    pub(super) fn byte_size(&self) -> u64 {
        self.byte_size
    }

    /// The hash of the file's bytes, 64 hex digits.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// The file's path as the lake's table `files` names it: below the data folder.
    pub fn path_in_data(&self) -> PathBuf {
        let mut parts: Vec<_> = self.path.iter().rev().take(FOLDERS_BELOW_LAKE).collect();
        parts.reverse();
        parts.iter().collect()
    }

    /// The same as text.
    pub(super) fn name(&self) -> String {
        self.path_in_data().display().to_string()
    }

    /// Puts the file where the lake's files lie, if that is in a bucket.
    pub(super) fn send(&mut self, paths: &LakePaths) -> Result<(), LakeError> {
        if let DataPlace::Bucket(bucket) = paths.data_place()
            && self.sent_to.is_none()
        {
            let key = bucket.key(&self.name());
            // From now on there may be something to delete.
            self.sent_to = Some(Arc::clone(bucket));
            bucket.bucket.create(&key, &self.path, &self.blake3)?;
        }
        Ok(())
    }

    /// The catalog knows the file now.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // A file that cannot be deleted is an orphan, which no query reads.
        if let Some(bucket) = self.sent_to.take() {
            if !self.keep {
                let _ = bucket.bucket.delete(&bucket.key(&self.name()));
            }
            let _ = fs::remove_file(&self.path);
        } else if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file under its temporary name; deleted unless it is finished.
pub(super) struct TemporaryFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    byte_size: u64,
    finished: bool,
}

impl TemporaryFile {
    /// Starts a file that will be called `path`, and makes the folders around it.
    pub fn create(path: &Path) -> io::Result<Self> {
        let temporary = path.with_extension(TEMPORARY_SUFFIX);
        let mut attempt = 1;
        let file = loop {
            match create_locked(&temporary) {
                Ok(file) => break file,
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < CREATE_ATTEMPTS => {
                    attempt += 1;
                }
                Err(e) => return Err(e),
            }
        };
        Ok(Self {
            path: path.into(),
            temporary,
            file,
            hasher: blake3::Hasher::new(),
            byte_size: 0,
            finished: false,
        })
    }

    /// Makes the file safe on the disk and gives it its name.
    pub fn finish(mut self, row_count: u64) -> io::Result<StagedFile> {
        self.file.sync_all()?;
        // The same open file, so the same lock.
        let file = self.file.try_clone()?;
        fs::rename(&self.temporary, &self.path)?;
        self.finished = true;
        let staged = StagedFile {
            path: self.path.clone(),
            row_count,
            byte_size: self.byte_size,
            blake3: self.hasher.finalize().to_hex().to_string(),
            keep: false,
            sent_to: None,
            _file: file,
        };
        for folder in staged.path.ancestors().skip(1).take(FOLDERS_BELOW_LAKE) {
            sync_folder(folder)?;
        }
        Ok(staged)
    }
}

/// Fails with `NotFound` when somebody who cleans up has deleted the folder or the file meanwhile.
fn create_locked(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    // On a filesystem without locks nobody can claim the file either.
    let _ = file.lock();
    let (named, ours) = (fs::metadata(path)?, file.metadata()?);
    if named.ino() == ours.ino() && named.dev() == ours.dev() {
        Ok(file)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.byte_size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A file or folder's lock file that no living process works on.
///
/// Sound only while the catalog is attached: nobody can commit then, and a file is let go of only
/// after its commit.
pub(super) struct Abandoned {
    path: PathBuf,
    /// Keeps others from claiming it too.
    _file: File,
}

impl Abandoned {
    /// `None` when its writer lives, when it has gone, or when that cannot be told.
    pub fn claim(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        match file.try_lock() {
            Ok(()) => Some(Self {
                path: path.into(),
                _file: file,
            }),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        }
    }

    /// Deletes the file.
    pub fn delete(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(folder: &Path) -> PathBuf {
        folder.join("data/main/metrics/sport=x/a.parquet")
    }

    #[test]
    fn a_file_is_hashed_as_it_is_written_and_locked_until_it_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path(folder.path());
        let mut file = TemporaryFile::create(&path).expect("a file");
        file.write_all(b"some rows").expect("room");
        let temporary = path.with_extension(TEMPORARY_SUFFIX);
        assert!(
            Abandoned::claim(&temporary).is_none(),
            "it is being written"
        );
        let staged = file.finish(3).expect("a finished file");
        assert!(!temporary.exists());
        assert!(Abandoned::claim(&path).is_none(), "it is to be committed");
        assert_eq!(
            staged.blake3(),
            blake3::hash(b"some rows").to_hex().as_str()
        );
        assert_eq!((staged.byte_size(), staged.row_count()), (9, 3));
        assert_eq!(
            staged.path_in_data(),
            Path::new("main/metrics/sport=x/a.parquet")
        );
        staged.keep();
        Abandoned::claim(&path)
            .expect("nobody works on it")
            .delete()
            .expect("a file");
        assert!(!path.exists());
    }

    #[test]
    fn what_is_given_up_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = path(folder.path());
        drop(TemporaryFile::create(&path).expect("a file"));
        let staged = TemporaryFile::create(&path)
            .and_then(|file| file.finish(0))
            .expect("a file");
        drop(staged);
        let entries = fs::read_dir(path.parent().expect("a folder")).expect("a folder");
        assert_eq!(entries.count(), 0);
    }
}
