//! Folders for files that were fetched. They go with whoever made them, and where that was killed,
//! with the next who fetches: videos are large, and a disk for temporary files is not.

use std::env::temp_dir;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Once;

use tempfile::TempDir;

use super::error::StoreError;

const PREFIX: &str = "posedata-fetched-";
/// Its maker holds a lock on it, which ends with the maker however that ends.
const LOCK_FILE: &str = ".lock";

/// A folder of this process for one file.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one, where the system has temporary files (TMPDIR).
    pub fn make() -> Result<Self, StoreError> {
        static TIDIED: Once = Once::new();
        let place = temp_dir();
        TIDIED.call_once(|| tidy(&place));
        Self::make_in(&place).map_err(|e| StoreError::local(&place, &e))
    }

    fn make_in(place: &Path) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
            let path = folder.path().join(LOCK_FILE);
            let lock = File::create(&path)?;
            // Without locks, nobody can tell that its maker is gone.
            let _ = lock.lock();
            // Somebody may have tidied up before the lock was there.
            if path.exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Deletes what killed processes left behind. What belongs to others, or cannot be looked into, stays.
fn tidy(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let is_scratch = (entry.file_name().as_encoded_bytes()).starts_with(PREFIX.as_bytes());
        // A folder without the file is one that is just being made.
        if is_scratch
            && let Ok(lock) = File::open(entry.path().join(LOCK_FILE))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_left_goes_and_what_is_in_use_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let living = Scratch::make_in(place.path()).expect("a folder");
        let left = place.path().join(format!("{PREFIX}left"));
        let others = place.path().join("posedata-other");
        for folder in [&left, &others] {
            fs::create_dir(folder).expect("a folder");
            fs::write(folder.join(LOCK_FILE), "").expect("a file");
            fs::write(folder.join("a.mp4"), "frames").expect("a file");
        }
        tidy(place.path());
        assert!(living.path().is_dir() && others.is_dir());
        assert!(!left.exists());
        drop(living);
        let entries = fs::read_dir(place.path()).expect("a folder");
        assert_eq!(entries.count(), 1);
    }
}
