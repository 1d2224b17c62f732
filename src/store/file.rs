//! A file that lies elsewhere, and what it is fetched into.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::address::Address;
use super::error::StoreError;
use crate::sync::Cancellation;

/// What is known of a file at an address before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where it lies.
    pub address: Address,
    /// `None` where the server does not say.
    pub byte_size: Option<u64>,
    /// The server's mark of this content, which changes with it; `None` where it gives none.
    pub etag: Option<String>,
}

/// A file that is written and hashed.
pub(super) struct Sink<'a> {
    file: File,
    path: &'a Path,
    of: &'a RemoteFile,
    hasher: blake3::Hasher,
    cancellation: &'a Cancellation,
}

impl<'a> Sink<'a> {
    pub fn create(
        path: &'a Path,
        of: &'a RemoteFile,
        cancellation: &'a Cancellation,
    ) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| StoreError::local(path, &e))?;
        Ok(Self {
            file,
            path,
            of,
            hasher: blake3::Hasher::new(),
            cancellation,
        })
    }

    pub fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.cancellation.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        self.hasher.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|e| StoreError::local(self.path, &e))
    }

    pub fn finish(self) -> Result<blake3::Hash, StoreError> {
        let found = self.hasher.count();
        match self.of.byte_size {
            Some(expected) if expected != found => Err(StoreError::Short {
                address: self.of.address.to_string(),
                expected,
                found,
            }),
            _ => Ok(self.hasher.finalize()),
        }
    }
}
