//! Files that lie elsewhere: objects on S3 or what speaks its protocol, and files at `https://`
//! addresses.
//!
//! Calls wait until they are done. Large things are streamed, so that memory does not grow with
//! them.

mod address;
mod bucket;
mod error;
mod file;
mod ini;
mod listing;
mod settings;
#[cfg(test)]
mod test_server;
mod waiting;
mod web;

use std::path::{Path, PathBuf};

pub use address::{Address, S3Address, has_scheme, without_secrets};
pub use bucket::{Bucket, Listing, ObjectInfo};
pub use error::StoreError;
pub use file::RemoteFile;
use file::Sink;
pub use listing::UnusableObject;
pub use settings::{S3Keys, S3Settings};

use crate::scratch::Scratch;
use crate::sync::Cancellation;

/// What an address stands for.
#[derive(Debug)]
pub struct FoundFiles {
    /// Files, ordered by their keys.
    pub files: Vec<RemoteFile>,
    /// Objects below a prefix that cannot be fetched, by their addresses, each with the reason.
    pub refused: Vec<(S3Address, StoreError)>,
}

/// What an address stands for: a file at its own address, or all files below an `s3://` prefix.
///
/// # Errors
/// When the server cannot be reached, refuses, or has nothing there; when it is cancelled.
pub fn find(
    address: &Address,
    settings: &S3Settings,
    cancellation: &Cancellation,
) -> Result<FoundFiles, StoreError> {
    let one = |file| FoundFiles {
        files: vec![file],
        refused: Vec::new(),
    };
    match address {
        Address::Web(url) => Ok(one(web::look(url, cancellation)?)),
        Address::S3(s3) => {
            let bucket = Bucket::open(&s3.bucket, settings)?.cancelled_by(cancellation);
            let at = |key| S3Address {
                bucket: s3.bucket.clone(),
                key,
            };
            let file = |object: ObjectInfo| RemoteFile {
                address: Address::S3(at(object.key)),
                byte_size: Some(object.byte_size),
                etag: object.etag,
            };
            if !s3.is_prefix()
                && let Some(object) = bucket.look(&s3.key)?
            {
                return Ok(one(file(object)));
            }
            let Listing { objects, unusable } = bucket.list(&s3.as_prefix())?;
            if objects.is_empty() && unusable.is_empty() {
                let address = s3.to_string();
                return Err(StoreError::Missing { address });
            }
            let refused = unusable.into_iter().map(|object| {
                let address = at(object.key);
                let error = StoreError::unusable_key(&address.to_string());
                (address, error)
            });
            Ok(FoundFiles {
                refused: refused.collect(),
                files: objects.into_iter().map(file).collect(),
            })
        }
    }
}

/// A file that was fetched; it goes with this.
#[derive(Debug)]
pub struct Fetched {
    /// Where it is. It has the name that it had elsewhere.
    pub path: PathBuf,
    /// BLAKE3 of its bytes.
    pub hash: blake3::Hash,
    _folder: Scratch,
}

impl Fetched {
    /// Fetches a file into a folder for temporary files, with this process's settings.
    ///
    /// # Errors
    /// As [`fetch`], or when the settings cannot be read.
    pub fn get(file: &RemoteFile, cancellation: &Cancellation) -> Result<Self, StoreError> {
        let folder = Scratch::make().map_err(|e| StoreError::local(&Scratch::place(), &e))?;
        let name = file.address.file_name();
        let name = match &*name {
            "" | "." | ".." => "file",
            name => name,
        };
        let path = folder.path().join(name);
        let hash = fetch(file, &path, &S3Settings::detect()?, cancellation)?;
        Ok(Self {
            path,
            hash,
            _folder: folder,
        })
    }
}

/// Fetches a file into `path`, which it makes or replaces; gives the BLAKE3 hash of its bytes, which
/// is taken on the way.
///
/// # Errors
/// When the server cannot be reached, refuses, or has other content than `file` tells of; when the
/// disk takes no more; when it is cancelled. What `path` holds then is of no use.
fn fetch(
    file: &RemoteFile,
    path: &Path,
    settings: &S3Settings,
    cancellation: &Cancellation,
) -> Result<blake3::Hash, StoreError> {
    let mut sink = Sink::create(path, file)?;
    match &file.address {
        Address::Web(url) => web::fetch(url, file, &mut sink, cancellation)?,
        Address::S3(s3) => {
            (Bucket::open(&s3.bucket, settings)?.cancelled_by(cancellation)).fetch(
                &s3.key,
                file,
                &mut |bytes| sink.take(bytes),
            )?;
        }
    }
    sink.finish()
}
