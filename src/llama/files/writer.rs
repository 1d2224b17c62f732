//! Files of many gigabytes: writing them can be stopped at any time, and leaves nothing then.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::super::LlamaError;
use super::write_error;
use crate::files::AtomicFile;

/// Bytes between two looks at whether it is to go on. So many are on the disk soon; more would make
/// the last of them, and with it the end, a matter of minutes.
const PIECE_BYTES: usize = 64 << 20;

/// A file that appears whole or not at all.
pub(super) struct ModelWriter<'s> {
    file: AtomicFile,
    is_stopped: &'s dyn Fn() -> bool,
    was_stopped: bool,
    unsynced_bytes: usize,
}

impl<'s> ModelWriter<'s> {
    /// Starts a file, which `is_stopped` ends before its time.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(path: &Path, is_stopped: &'s dyn Fn() -> bool) -> Result<Self, LlamaError> {
        Ok(Self {
            file: AtomicFile::create(path).map_err(|e| write_error(path, e))?,
            is_stopped,
            was_stopped: false,
            unsynced_bytes: 0,
        })
    }

    /// What an error of writing means.
    pub fn error(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LlamaError {
        match self.was_stopped {
            true => LlamaError::Cancelled,
            false => write_error(self.file.path(), error),
        }
    }

    /// Gives the file its name; it is safe on the disk then.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn finish(self) -> Result<(), LlamaError> {
        let path = self.file.path().to_owned();
        self.file.finish().map_err(|e| write_error(&path, e))
    }
}

impl Write for ModelWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.is_stopped)() {
            self.was_stopped = true;
            return Err(io::Error::other("interrupted"));
        }
        let written = self.file.write(&bytes[..bytes.len().min(PIECE_BYTES)])?;
        self.unsynced_bytes += written;
        if self.unsynced_bytes >= PIECE_BYTES {
            self.file.sync()?;
            self.unsynced_bytes = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for ModelWriter<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
