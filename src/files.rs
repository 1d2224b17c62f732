//! Files that appear whole or not at all.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use crate::text;

/// Temporary files and folders are private; finished ones are as public as they usually are.
const FILE_MODE: u32 = 0o644;
/// How names of temporary files and folders end.
const TEMPORARY_SUFFIX: &str = ".part";
const FOLDER_MODE: u32 = 0o755;
/// The longest name that Linux's filesystems take (`NAME_MAX` in `limits.h`).
pub const MAX_NAME_BYTES: usize = 255;
/// What `tempfile` puts between a temporary name's beginning and its end.
const RANDOM_BYTES: usize = 6;

/// An error of the system, with what helps against it behind it.
#[derive(Debug)]
struct WithRemedy {
    error: io::Error,
    remedy: &'static str,
}

impl fmt::Display for WithRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.remedy)
    }
}

impl std::error::Error for WithRemedy {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The same error, saying what helps where something cannot be written. All errors of writing in
/// this program pass here, most of them within this module; one that says it already stays as it is.
fn explained(error: io::Error) -> io::Error {
    let is_explained = error
        .get_ref()
        .is_some_and(|inner| inner.is::<WithRemedy>());
    match remedy(error.kind()) {
        Some(remedy) if !is_explained => io::Error::new(error.kind(), WithRemedy { error, remedy }),
        _ => error,
    }
}

fn remedy(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind;
    Some(match kind {
        ErrorKind::StorageFull => "free some disk space",
        ErrorKind::QuotaExceeded => "free some of your disk quota",
        ErrorKind::PermissionDenied => "check permissions, or write to another folder",
        ErrorKind::ReadOnlyFilesystem => "write to a folder on another filesystem",
        ErrorKind::InvalidFilename => "give a shorter name",
        ErrorKind::NotFound => "check that the folder exists",
        ErrorKind::NotADirectory => "a file is where a folder should be; give another path",
        ErrorKind::AlreadyExists => "a file is in the way; give another path",
        ErrorKind::IsADirectory => "a folder has that name; give another path",
        ErrorKind::DirectoryNotEmpty => "a folder is in the way; give another path",
        ErrorKind::FileTooLarge => "the filesystem takes no larger file; write to another",
        ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy => "close what uses it",
        _ => return None,
    })
}

/// What a library says that gives the system's errors as words only, with what helps behind it.
pub fn with_remedy(words: &str) -> String {
    use rustix::io::Errno;
    let known = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ACCESS,
        Errno::PERM,
        Errno::ROFS,
        Errno::NAMETOOLONG,
        Errno::FBIG,
    ];
    let meant = known.into_iter().map(io::Error::from).find(|error| {
        // "No space left on device (os error 28)"
        let system_words = error.to_string();
        let system_words = system_words.split(" (os error").next().unwrap_or_default();
        words.contains(system_words)
    });
    match meant.and_then(|error| remedy(error.kind())) {
        Some(remedy) if !words.contains(remedy) => format!("{words}; {remedy}"),
        _ => words.into(),
    }
}

/// Why something was not written, with what helps: the words of an error, or of the system's error
/// that caused it.
pub fn why_not_written(error: &(dyn std::error::Error + 'static)) -> String {
    let words = error.to_string();
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(of_system) = current.downcast_ref::<io::Error>() {
            let is_explained = of_system
                .get_ref()
                .is_some_and(|inner| inner.is::<WithRemedy>());
            return match remedy(of_system.kind()) {
                Some(remedy) if !is_explained => format!("{words}; {remedy}"),
                _ => words,
            };
        }
        cause = current.source();
    }
    // Some libraries keep no more than the words of what caused their errors.
    with_remedy(&words)
}

/// Makes `bytes` the content of `path`, and the folder around it if need be.
///
/// # Errors
/// When the disk does not take it; an older file of that name is still there then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(explained)?;
    file.as_file().sync_all().map_err(explained)?;
    persist(file, path)
}

/// A hidden file that is to become `path`, in its folder, which is made if need be. Dropped before
/// it is persisted, it is deleted.
///
/// # Errors
/// When the folder or the file cannot be made.
pub fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    make_folder(&folder)?;
    check_name_length(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    tempfile::Builder::new()
        .prefix(&temporary_prefix(&name.to_string_lossy()))
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(folder)
        .map_err(explained)
}

/// Makes a folder, and those around it, where there is none.
///
/// # Errors
/// When it cannot be made, with what helps.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(explained)
}

/// How a temporary name for `name` begins. It has the beginning of the name only where all of it
/// would not fit.
fn temporary_prefix(name: &str) -> String {
    let room = MAX_NAME_BYTES - RANDOM_BYTES - TEMPORARY_SUFFIX.len() - "..".len();
    format!(".{}.", text::beginning(name, room))
}

/// A temporary name is shortened, so it would hide until all is written that the name itself is too
/// long.
fn check_name_length(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::InvalidFilename => Err(explained(e)),
        _ => Ok(()),
    }
}

/// The folder that a path names a file in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => PathBuf::from("."),
    }
}

/// Whether a path is that of a folder: one that is there, or one that ends as only folders do.
pub(crate) fn names_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Gives a finished temporary file its name.
///
/// # Errors
/// When it cannot be renamed; the temporary file is deleted then.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    fs::set_permissions(file.path(), fs::Permissions::from_mode(FILE_MODE)).map_err(explained)?;
    file.persist(path).map_err(|e| explained(e.error))?;
    Ok(())
}

/// Makes a folder's entries (files made, renamed and deleted in it) safe on the disk.
///
/// # Errors
/// When the folder cannot be opened or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let opened = fs::File::open(folder).map_err(explained)?;
    opened.sync_all().map_err(explained)
}

/// A hidden folder that is to take the place of `path`, beside it. Dropped before it is persisted,
/// it is deleted with all that is in it.
///
/// # Errors
/// When the folder, or the one around it, cannot be made.
pub fn temporary_folder_beside(path: &Path) -> io::Result<TempDir> {
    let parent = folder_of(path);
    make_folder(&parent)?;
    check_name_length(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&temporary_prefix(&name))
        .suffix(TEMPORARY_SUFFIX)
        .tempdir_in(parent)
        .map_err(explained)
}

/// Whether a name is that of a temporary file or folder which is to become `name`.
pub fn is_temporary(candidate: &str, name: &str) -> bool {
    let middle = candidate.strip_prefix(&temporary_prefix(name));
    middle.is_some_and(|middle| middle.ends_with(TEMPORARY_SUFFIX))
}

/// Puts a finished temporary folder in the place of `path` in one step; what was there is deleted.
///
/// # Errors
/// When it cannot be renamed or the disk fails.
pub fn persist_folder(new: TempDir, path: &Path) -> io::Result<()> {
    fs::set_permissions(new.path(), fs::Permissions::from_mode(FOLDER_MODE)).map_err(explained)?;
    sync_folder(new.path())?;
    let is_full = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if is_full {
        // What was there goes with the temporary name.
        exchange(new.path(), path).map_err(explained)?;
    } else {
        // An empty folder may be in the way, and gives way.
        fs::rename(new.path(), path).map_err(explained)?;
        let _ = new.keep();
    }
    sync_folder(&folder_of(path))
}

/// Gives two folders each other's names.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        // Some network filesystems cannot; there is a moment without the folder then.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = new.with_extension("old");
            fs::rename(old, &aside)?;
            fs::rename(new, old)?;
            fs::rename(&aside, new)
        }
        exchanged => Ok(exchanged?),
    }
}

/// A file that is written bit by bit and has its name only when it is finished; dropped before
/// that, it leaves nothing behind.
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Starts a file, and makes the folder around it if need be.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.into(),
            file: BufWriter::new(temporary_beside(path)?),
        })
    }

    /// Where the file will be; until it is finished an older one may be there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until what was written so far is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        let file = self.file.get_ref().as_file();
        file.sync_data().map_err(explained)
    }

    /// Makes what was written the content of the path; it is safe on the disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take it; an older file of that name is still there then.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner();
        let file = file.map_err(|e| explained(e.into_error()))?;
        file.as_file().sync_all().map_err(explained)?;
        persist(file, &self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(explained)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(explained)
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to).map_err(explained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_the_cause_and_is_told_once() {
        let told = |code: i32| explained(io::Error::from_raw_os_error(code)).to_string();
        use rustix::io::Errno;
        for (errno, words) in [
            (Errno::NOSPC, "free some disk space"),
            (Errno::DQUOT, "quota"),
            (Errno::ACCESS, "permissions"),
            (Errno::PERM, "permissions"),
            (Errno::ROFS, "another filesystem"),
            (Errno::NAMETOOLONG, "shorter name"),
            (Errno::NOENT, "folder exists"),
            (Errno::NOTDIR, "a file is where a folder should be"),
            (Errno::ISDIR, "a folder has that name"),
        ] {
            let told = told(errno.raw_os_error());
            assert!(told.contains(words), "{told}");
            let is_disk = matches!(errno, Errno::NOSPC | Errno::DQUOT);
            assert_eq!(told.contains("free some"), is_disk, "{told}");
        }
        let twice = explained(explained(io::Error::from_raw_os_error(
            Errno::NOSPC.raw_os_error(),
        )));
        assert_eq!(twice.kind(), io::ErrorKind::StorageFull);
        assert_eq!(twice.to_string().matches("free some").count(), 1, "{twice}");
        assert_eq!(why_not_written(&twice), twice.to_string());
        let words = "IO Error: Could not write file \"a\": No space left on device";
        assert_eq!(with_remedy(words), format!("{words}; free some disk space"));
        assert_eq!(
            with_remedy("TransactionContext Error"),
            "TransactionContext Error"
        );
        let other = io::Error::other("odd");
        assert_eq!(explained(other).to_string(), "odd");
    }

    #[test]
    fn names_of_all_legal_lengths_are_written_and_longer_ones_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["n".repeat(MAX_NAME_BYTES), "練".repeat(85)] {
            let path = folder.path().join(&name);
            write_atomically(&path, b"whole").expect("a file");
            assert_eq!(fs::read(&path).expect("a file"), b"whole");
            let temporary = temporary_beside(&path).expect("a file");
            let temporary = temporary.path().file_name().expect("a name");
            let temporary = temporary.to_str().expect("UTF-8");
            assert!(is_temporary(temporary, &name), "{temporary}");
            assert!(!is_temporary(temporary, "other"));
        }
        let path = folder.path().join("n".repeat(MAX_NAME_BYTES + 1));
        let error = write_atomically(&path, b"").expect_err("a name that is too long");
        assert!(error.to_string().contains("shorter name"), "{error}");
        let error = temporary_folder_beside(&path).expect_err("a name that is too long");
        assert!(error.to_string().contains("shorter name"), "{error}");
        // Nothing is left behind.
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }
}
