//! A video where it can be read, and what it is called.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pipeline::{Interruption, short_hash, video_id_unless};
use crate::lake::{VideoRecord, VideoSource};
use crate::store::{Fetched, RemoteFile};
use crate::sync::Cancellation;
use crate::video::check_file;

/// A video where it can be read.
pub(super) struct Located {
    /// What it is called: a path, or an address.
    pub path: PathBuf,
    /// The file to read.
    pub file: PathBuf,
    pub video_id: String,
    /// How long reading it for its identity took; for a video from elsewhere, fetching it.
    pub hash_time: Duration,
    /// `None` for a video on a disk.
    remote: Option<RemoteFile>,
    /// Keeps the file of a video from elsewhere.
    _fetched: Option<Fetched>,
}

impl Located {
    /// A video on a disk.
    pub fn on_disk(path: &Path, cancellation: &Cancellation) -> Result<Self, Interruption> {
        let hashing = Instant::now();
        check_file(path)?;
        Ok(Self {
            path: path.into(),
            file: path.into(),
            video_id: video_id_unless(path, cancellation)?,
            hash_time: hashing.elapsed(),
            remote: None,
            _fetched: None,
        })
    }

    /// A video that lies elsewhere, fetched into a folder for temporary files. As many lie there at
    /// once as there are workers.
    pub fn fetch(
        path: &Path,
        remote: &RemoteFile,
        cancellation: &Cancellation,
    ) -> Result<Self, Interruption> {
        let fetching = Instant::now();
        let fetched = Fetched::get(remote, cancellation)?;
        let located = Self {
            path: path.into(),
            file: fetched.path.clone(),
            video_id: short_hash(fetched.hash),
            hash_time: fetching.elapsed(),
            remote: Some(remote.clone()),
            _fetched: Some(fetched),
        };
        match check_file(&located.file) {
            Ok(_) => Ok(located),
            Err(error) => {
                let error = located.named_text(&error.to_string());
                Err(Interruption::Fetched(error))
            }
        }
    }

    /// Where a store has the content, and what it calls it; `None` for a video on a disk, and where the
    /// store does not say.
    pub fn source(&self) -> Option<VideoSource> {
        let remote = self.remote.as_ref()?;
        Some(VideoSource {
            path: remote.address.to_string(),
            source_etag: remote.content_mark()?,
        })
    }

    /// Bytes of the file.
    pub fn byte_size(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |metadata| metadata.len())
    }

    /// Writes down where the video is from.
    pub fn name(&self, record: &mut VideoRecord) {
        if let Some(remote) = &self.remote {
            record.path = remote.address.to_string();
            record.file_name = remote.address.file_name().into_owned();
            record.source_etag = remote.content_mark();
        }
    }

    /// A text in which the video has its own name.
    pub fn named_text(&self, text: &str) -> String {
        match &self.remote {
            Some(remote) => text.replace(
                &self.file.display().to_string(),
                &remote.address.to_string(),
            ),
            None => text.into(),
        }
    }
}
