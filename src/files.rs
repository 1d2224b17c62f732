//! Files that appear whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Temporary files are private; finished ones are as public as files usually are.
const FILE_MODE: u32 = 0o644;

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
        .suffix(".part")
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
