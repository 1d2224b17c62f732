//! Where results go: to a path, or first to a folder for temporary files and from there to a bucket.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use walkdir::WalkDir;

use crate::scratch::Scratch;
use crate::store::{Address, Bucket, S3Address, S3Settings, StoreError};

/// What `--output` names.
pub struct Target {
    path: PathBuf,
    remote: Option<Remote>,
}

struct Remote {
    bucket: Bucket,
    address: S3Address,
    /// Holds the path.
    folder: Scratch,
}

impl Target {
    /// A file.
    ///
    /// # Errors
    /// When it is an address where nothing can be written.
    pub fn file(output: &Path) -> anyhow::Result<Self> {
        let target = Self::folder(output)?;
        let Some(remote) = &target.remote else {
            return Ok(target);
        };
        if remote.address.is_prefix() {
            bail!(
                "the address ends with a folder; give it a file's name: {}",
                remote.address
            );
        }
        let name = output.file_name().unwrap_or_default();
        Ok(Self {
            path: target.path.join(name),
            ..target
        })
    }

    /// A folder of files.
    ///
    /// # Errors
    /// When it is an address where nothing can be written.
    pub fn folder(output: &Path) -> anyhow::Result<Self> {
        let address = match Address::of_path(output)? {
            None => {
                return Ok(Self {
                    path: output.into(),
                    remote: None,
                });
            }
            Some(Address::S3(address)) => address,
            Some(Address::Web(_)) => bail!(
                "nothing can be written to a web address; give --output a path or s3://BUCKET/KEY"
            ),
        };
        let folder = Scratch::make()?;
        Ok(Self {
            path: folder.path().into(),
            remote: Some(Remote {
                bucket: Bucket::open(&address.bucket, &S3Settings::detect()?)?,
                address,
                folder,
            }),
        })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a written file is called in the end.
    pub fn shown(&self, path: &Path) -> PathBuf {
        match &self.remote {
            Some(remote) => remote.bucket.address(&self.key(remote, path)).into(),
            None => path.into(),
        }
    }

    /// Sends a file that was written to where it was meant to go, at once, so that files neither wait
    /// for each other nor pile up here. A folder takes the place of the one that is there, as on a disk.
    ///
    /// # Errors
    /// When the bucket's server cannot be reached or refuses; then it is as if it had not been written,
    /// but of a folder there may be a part.
    pub fn send(&self, path: &Path) -> Result<(), StoreError> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        if path.is_dir() {
            let sent = self.send_folder(remote, path);
            let _ = fs::remove_dir_all(path);
            return sent;
        }
        let sent = remote.bucket.replace(&self.key(remote, path), path);
        // What stays goes with its folder, but must not be sent later either.
        let _ = fs::remove_file(path);
        sent
    }

    /// Sends what was written to where it was meant to go.
    ///
    /// # Errors
    /// When the bucket's server cannot be reached or refuses.
    pub fn finish(self) -> anyhow::Result<()> {
        let Some(remote) = &self.remote else {
            return Ok(());
        };
        for entry in WalkDir::new(remote.folder.path()) {
            let entry = entry?;
            if entry.file_type().is_file() {
                remote
                    .bucket
                    .replace(&self.key(remote, entry.path()), entry.path())?;
            }
        }
        Ok(())
    }

    fn send_folder(&self, remote: &Remote, folder: &Path) -> Result<(), StoreError> {
        let mut keys = BTreeSet::new();
        for entry in WalkDir::new(folder) {
            let entry = entry.map_err(|e| StoreError::local(folder, &e.into()))?;
            if entry.file_type().is_file() {
                let key = self.key(remote, entry.path());
                remote.bucket.replace(&key, entry.path())?;
                keys.insert(key);
            }
        }
        // What an earlier export of more frames has left.
        let prefix = format!("{}/", self.key(remote, folder));
        for object in remote.bucket.list(&prefix)?.objects {
            if !keys.contains(&object.key) {
                remote.bucket.delete(&object.key)?;
            }
        }
        Ok(())
    }

    fn key(&self, remote: &Remote, path: &Path) -> String {
        if path == self.path {
            return remote.address.key.clone();
        }
        let below = path.strip_prefix(remote.folder.path()).unwrap_or(path);
        format!("{}{}", remote.address.as_prefix(), below.display())
    }
}
