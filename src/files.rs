//! Files that appear whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

/// Temporary files and folders are private; finished ones are as public as they usually are.
const FILE_MODE: u32 = 0o644;
/// How names of temporary files and folders end.
const TEMPORARY_SUFFIX: &str = ".part";
const FOLDER_MODE: u32 = 0o755;

/// Makes `bytes` the content of `path`, and the folder around it if need be.
///
/// # Errors
/// When the disk does not take it; an older file of that name is still there then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    persist(file, path)
}

/// A hidden file that is to become `path`, in its folder, which is made if need be. Dropped before
/// it is persisted, it is deleted.
///
/// # Errors
/// When the folder or the file cannot be made.
pub fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    fs::create_dir_all(&folder)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    tempfile::Builder::new()
        .prefix(&format!(".{}.", name.to_string_lossy()))
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(folder)
}

/// The folder that a path names a file in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => PathBuf::from("."),
    }
}

/// Gives a finished temporary file its name.
///
/// # Errors
/// When it cannot be renamed; the temporary file is deleted then.
pub fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    fs::set_permissions(file.path(), fs::Permissions::from_mode(FILE_MODE))?;
    file.persist(path)?;
    Ok(())
}

/// Makes a folder's entries (files made, renamed and deleted in it) safe on the disk.
///
/// # Errors
/// When the folder cannot be opened or the disk fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// A hidden folder that is to take the place of `path`, beside it. Dropped before it is persisted,
/// it is deleted with all that is in it.
///
/// # Errors
/// When the folder, or the one around it, cannot be made.
pub fn temporary_folder_beside(path: &Path) -> io::Result<TempDir> {
    let parent = folder_of(path);
    fs::create_dir_all(&parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(TEMPORARY_SUFFIX)
        .tempdir_in(parent)
}

/// Whether a name is that of a temporary file or folder which is to become `name`.
pub fn is_temporary(candidate: &str, name: &str) -> bool {
    let middle = candidate.strip_prefix(&format!(".{name}."));
    middle.is_some_and(|middle| middle.ends_with(TEMPORARY_SUFFIX))
}

/// Puts a finished temporary folder in the place of `path` in one step; what was there is deleted.
///
/// # Errors
/// When it cannot be renamed or the disk fails.
pub fn persist_folder(new: TempDir, path: &Path) -> io::Result<()> {
    fs::set_permissions(new.path(), fs::Permissions::from_mode(FOLDER_MODE))?;
    sync_folder(new.path())?;
    let is_full = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if is_full {
        // What was there goes with the temporary name.
        exchange(new.path(), path)?;
    } else {
        // An empty folder may be in the way, and gives way.
        fs::rename(new.path(), path)?;
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

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written the content of the path; it is safe on the disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take it; an older file of that name is still there then.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner().map_err(|e| e.into_error())?;
        file.as_file().sync_all()?;
        persist(file, &self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
