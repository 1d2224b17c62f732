//! Folders for files that are needed for a while. They go with whoever made them, and where that was
//! killed, with the next process that makes one: fetched videos and what a database spills are large,
//! and a disk for temporary files is not.

use std::env::temp_dir;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use tempfile::TempDir;

use crate::hashing::seeded_u64;

/// Its maker holds a lock on it, which ends with the maker however that ends.
const LOCK_FILE: &str = "lock";
/// What belongs to the folder's maker.
const FILES_FOLDER: &str = "files";

/// A folder of this process.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // The lock ends after what it protects.
    _folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one where the system has temporary files (TMPDIR), and deletes there what killed processes
    /// of this machine have left.
    ///
    /// # Errors
    /// When it cannot be made; [`Self::place`] says where it was to be.
    pub fn make() -> io::Result<Self> {
        static TIDIED: Once = Once::new();
        let (place, prefix) = (Self::place(), prefix());
        TIDIED.call_once(|| tidy(&place, &prefix));
        Self::make_in(&place, &prefix)
    }

    /// Where they are made.
    pub fn place() -> PathBuf {
        temp_dir()
    }

    fn make_in(place: &Path, prefix: &str) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place)?;
            let lock_path = folder.path().join(LOCK_FILE);
            let lock = File::create(&lock_path)?;
            // Without locks, nobody can tell that its maker is gone.
            let _ = lock.lock();
            // Somebody may have tidied up before the lock was there.
            if lock_path.exists() {
                let path = folder.path().join(FILES_FOLDER);
                fs::create_dir(&path)?;
                return Ok(Self {
                    path,
                    _folder: folder,
                    _lock: lock,
                });
            }
        }
    }

    /// The folder, which is empty at first.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the system says which machine this is: its name, and what was drawn when it was set up.
const MACHINE_FILES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/machine-id"];

/// Beginning of this machine's folders' names.
fn prefix() -> String {
    let told = MACHINE_FILES.map(|file| fs::read_to_string(file).unwrap_or_default());
    prefix_of(told.each_ref().map(|text| text.trim()))
}

/// Beginning of the names of a machine's folders. The machine is in it, as a place that machines share
/// may not share locks. Hashed, so that all are of one length: none begins as another does, whatever the
/// machines are called.
fn prefix_of(machine: [&str; 2]) -> String {
    format!("posedata-{:016x}-", seeded_u64(0, &machine))
}

/// Deletes what killed processes left behind. What belongs to others, or cannot be looked into, stays.
fn tidy(place: &Path, prefix: &str) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let is_scratch = (entry.file_name().as_encoded_bytes()).starts_with(prefix.as_bytes());
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

    fn leave(place: &Path, prefix: &str) -> PathBuf {
        let folder = place.join(format!("{prefix}left01"));
        fs::create_dir_all(folder.join(FILES_FOLDER)).expect("a folder");
        fs::write(folder.join(LOCK_FILE), "").expect("a file");
        fs::write(folder.join(FILES_FOLDER).join("a.mp4"), "frames").expect("a file");
        folder
    }

    #[test]
    fn what_killed_processes_left_goes_and_what_is_in_use_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let (ours, others) = (prefix_of(["a", "1"]), prefix_of(["b", "1"]));
        let living = Scratch::make_in(place.path(), &ours).expect("a folder");
        let left = leave(place.path(), &ours);
        let of_another = leave(place.path(), &others);
        tidy(place.path(), &ours);
        assert!(living.path().is_dir() && of_another.is_dir());
        assert!(!left.exists());
        drop(living);
        let entries = fs::read_dir(place.path()).expect("a folder");
        assert_eq!(entries.count(), 1);
    }

    #[test]
    fn machines_with_similar_names_leave_each_other_s_folders_alone() {
        let long = "a".repeat(40);
        let longer = format!("{long}b");
        let machines = [
            ["a", "1"],
            ["a-b", "1"],
            ["a.b", "1"],
            ["ab", "1"],
            ["a", "12"],
            ["a1", "2"],
            ["", ""],
            [&long, "1"],
            [&longer, "1"],
        ];
        for own in machines {
            let place = tempfile::tempdir().expect("a folder");
            let left = machines.map(|machine| leave(place.path(), &prefix_of(machine)));
            tidy(place.path(), &prefix_of(own));
            for (machine, folder) in machines.iter().zip(left) {
                assert_eq!(
                    folder.exists(),
                    *machine != own,
                    "{machine:?} beside {own:?}"
                );
            }
        }
    }
}
