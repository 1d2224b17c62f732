//! Files beside the lake that are sent to a bucket.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::{Bucket, S3Address, S3Settings, StoreError};
use crate::sync::Cancellation;

/// The part of a bucket where they go.
pub(super) struct OutputStore {
    bucket: Bucket,
    address: S3Address,
}

impl OutputStore {
    pub fn open(address: S3Address, cancellation: &Cancellation) -> Result<Self, StoreError> {
        let bucket = Bucket::open(&address.bucket, &S3Settings::detect()?)?;
        let bucket = bucket.cancelled_by(cancellation);
        // Before hours of work.
        bucket.find()?;
        Ok(Self { bucket, address })
    }

    /// Sends files, in place of those of their names; gives their addresses. They are not needed here
    /// any more and are deleted.
    pub fn send(&self, files: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
        let mut sent = Vec::new();
        for file in files {
            let key = self.key(file);
            self.bucket.replace(&key, file)?;
            // What stays here goes with its folder.
            let _ = fs::remove_file(file);
            sent.push(self.bucket.address(&key).into());
        }
        Ok(sent)
    }

    /// The addresses of those files that are not there.
    pub fn missing(&self, files: &[PathBuf]) -> Result<Vec<PathBuf>, StoreError> {
        let mut missing = Vec::new();
        for file in files {
            let key = self.key(file);
            if self.bucket.look(&key)?.is_none() {
                missing.push(self.bucket.address(&key).into());
            }
        }
        Ok(missing)
    }

    fn key(&self, file: &Path) -> String {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        format!("{}{name}", self.address.as_prefix())
    }
}
