//! Files that lie elsewhere: objects on S3 or what speaks its protocol, and files at `https://`
//! addresses.
//!
//! Calls wait until they are done. Large things are streamed, so that memory does not grow with
//! them.

mod address;
mod bucket;
mod error;
mod ini;
mod settings;
mod web;

use std::fs::File;
use std::io::Write;
use std::path::Path;

pub use address::{Address, S3Address};
pub use bucket::{Bucket, ObjectInfo};
pub use error::StoreError;
pub use settings::{S3Keys, S3Settings};

use crate::sync::Cancellation;

/// What is known of a file at an address before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Of this one file, never a prefix.
    pub address: Address,
    /// `None` where the server does not say.
    pub byte_size: Option<u64>,
    /// The server's mark of this content, which changes with it; `None` where it gives none.
    pub etag: Option<String>,
}

/// What an address stands for: a file at its own address, or all files below an `s3://` prefix,
/// ordered by their keys.
///
/// # Errors
/// When the server cannot be reached, refuses, or has nothing there.
pub fn find(address: &Address, settings: &S3Settings) -> Result<Vec<RemoteFile>, StoreError> {
    match address {
        Address::Web(url) => Ok(vec![web::look(url)?]),
        Address::S3(s3) => {
            let bucket = Bucket::open(&s3.bucket, settings)?;
            let file = |object: ObjectInfo| RemoteFile {
                address: Address::S3(S3Address {
                    bucket: s3.bucket.clone(),
                    key: object.key,
                }),
                byte_size: Some(object.byte_size),
                etag: object.etag,
            };
            if !s3.is_prefix()
                && let Some(object) = bucket.look(&s3.key)?
            {
                return Ok(vec![file(object)]);
            }
            let found = bucket.list(&s3.as_prefix())?;
            match found.is_empty() {
                true => Err(StoreError::Missing {
                    address: s3.to_string(),
                }),
                false => Ok(found.into_iter().map(file).collect()),
            }
        }
    }
}

/// Fetches a file into `path`, which it makes or replaces; gives the BLAKE3 hash of its bytes, which
/// is taken on the way.
///
/// # Errors
/// When the server cannot be reached, refuses, or has other content than `file` tells of; when the
/// disk takes no more; when it is cancelled. What `path` holds then is of no use.
pub fn fetch(
    file: &RemoteFile,
    path: &Path,
    settings: &S3Settings,
    cancellation: &Cancellation,
) -> Result<blake3::Hash, StoreError> {
    let mut sink = Sink::create(path, file, cancellation)?;
    match &file.address {
        Address::Web(url) => web::fetch(url, file, &mut sink)?,
        Address::S3(s3) => {
            Bucket::open(&s3.bucket, settings)?
                .fetch(&s3.key, file, &mut |bytes| sink.take(bytes))?;
        }
    }
    sink.finish()
}

/// A file that is written and hashed.
struct Sink<'a> {
    file: File,
    path: &'a Path,
    of: &'a RemoteFile,
    hasher: blake3::Hasher,
    cancellation: &'a Cancellation,
}

impl<'a> Sink<'a> {
    fn create(
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

    fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.cancellation.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        self.hasher.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|e| StoreError::local(self.path, &e))
    }

    fn finish(self) -> Result<blake3::Hash, StoreError> {
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
