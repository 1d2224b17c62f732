//! Files that appear whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Temporary files are private; finished ones are as public as files usually are.
const FILE_MODE: u32 = 0o644;

/// Makes `bytes` the content of `path`, and the folder around it if need be.
///
/// # Errors
/// When the disk does not take it; an older file of that name is still there then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    persist(file, path)
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
