//! The files that hold the pictures of videos in the lake, for what is drawn on them again.

use std::path::{Path, PathBuf};

use super::failure::{Failure, FailureKind};
use super::pipeline::{short_hash, video_id_unless};
use super::{AnnotatedVideo, Outputs, PoseJson, video_id};
use crate::export::Faces;
use crate::export::replay::{self, ReplayError};
use crate::export::{shared_stems, unique_stem};
use crate::lake::{Lake, LakeError, VideoRecord};
use crate::steps::Step;
use crate::store::{Address, Fetched, RemoteFile, StoreError};
use crate::sync::Cancellation;
use crate::video::VideoError;

/// A video of the lake with the file that holds its pictures.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the lake has it.
    pub video: VideoRecord,
    /// Where the file lies now, which need not be where it was ingested.
    pub path: PathBuf,
    /// Name without suffix under which files made of it do not meet those of other videos.
    pub stem: String,
}

/// A video's file on this machine. One that was fetched goes with this.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    _fetched: Option<Fetched>,
}

impl LocalFile {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why a video's pictures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file was given whose content is that of no video in the lake.
    #[error("{path} is not in the lake; run `posedata ingest {path}` first")]
    NotInLake {
        /// The file that was given.
        path: PathBuf,
        /// What the lake said to its path.
        source: LakeError,
    },
    /// The lake has the video, but there is no file where it was ingested.
    #[error("the video file is gone; give the path where it lies now: {path}")]
    Gone {
        /// Where it was ingested.
        path: PathBuf,
    },
    /// There is another file at that place now.
    #[error("the file has changed since it was ingested; ingest it again: {path}")]
    Changed {
        /// Where the video was ingested.
        path: PathBuf,
    },
    /// The lake cannot be read, or has no video of that name.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The file cannot be fetched.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The pictures and rows cannot be brought together, or written.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl Failure for SourceError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NotInLake { .. } | Self::Gone { .. } | Self::Changed { .. } => {
                FailureKind::Broken
            }
            Self::Lake(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Video(error) => error.kind(),
            Self::Replay(error) => error.kind(),
        }
    }
}

impl Source {
    /// The videos that are asked for: by files, which are known by their content wherever they lie
    /// now, or by ids, paths, names or the beginnings of names; all videos where nothing is asked for.
    ///
    /// # Errors
    /// When the lake has no such video.
    pub fn find(lake: &Lake, selectors: &[String]) -> Result<Vec<Self>, SourceError> {
        let all = lake.find_videos(&[])?;
        let shared = shared_stems(all.iter().map(|video| Path::new(&video.file_name)));
        let source = |video: VideoRecord, path: PathBuf| Self {
            stem: unique_stem(Path::new(&video.file_name), &video.video_id, |stem| {
                shared.contains(stem)
            }),
            video,
            path,
        };
        let by_record = |video: VideoRecord| {
            let path = PathBuf::from(&video.path);
            source(video, path)
        };
        if selectors.is_empty() {
            return Ok(all.iter().cloned().map(by_record).collect());
        }
        let mut sources = Vec::new();
        for selector in selectors {
            let path = Path::new(selector);
            if path.is_file() {
                let found = lake.find_videos(&[video_id(path)?]);
                let found = found.map_err(|source| SourceError::NotInLake {
                    path: path.into(),
                    source,
                })?;
                sources.extend(found.into_iter().map(|video| source(video, path.into())));
            } else {
                let found = lake.find_videos(std::slice::from_ref(selector))?;
                sources.extend(found.into_iter().map(by_record));
            }
        }
        Ok(sources)
    }

    /// The file with the pictures; one that lies elsewhere is fetched. A file that is not the one that
    /// was ingested is refused: the rows of one video on the pictures of another would be worse than
    /// nothing.
    ///
    /// # Errors
    /// When the file is gone or has changed, or cannot be fetched.
    pub fn local(&self, cancellation: &Cancellation) -> Result<LocalFile, SourceError> {
        let Some(address) = Address::of_path(&self.path)? else {
            check_unless(&self.video, &self.path, cancellation)?;
            return Ok(LocalFile {
                path: self.path.clone(),
                _fetched: None,
            });
        };
        let remote = RemoteFile {
            address,
            byte_size: None,
            etag: None,
        };
        let fetched = Fetched::get(&remote, cancellation)?;
        match short_hash(fetched.hash) == self.video.video_id {
            true => Ok(LocalFile {
                path: fetched.path.clone(),
                _fetched: Some(fetched),
            }),
            false => Err(SourceError::Changed {
                path: self.path.clone(),
            }),
        }
    }

    /// Draws what the lake knows on the video, and calls `on_frame` for each frame; gives the file
    /// in `folder`.
    ///
    /// # Errors
    /// As [`Self::local`], or when the video cannot be read or written, or it is cancelled.
    pub fn annotate(
        &self,
        lake: &Lake,
        folder: &Path,
        faces: Faces,
        cancellation: &Cancellation,
        on_frame: impl FnMut(),
    ) -> Result<PathBuf, SourceError> {
        let local = self.local(cancellation)?;
        let outputs = Outputs {
            folder: folder.into(),
            annotated_video: AnnotatedVideo::On,
            pose_json: PoseJson::Off,
        };
        let output = outputs.annotated_video_of(&self.stem);
        let rows = lake.frames(&self.video)?;
        replay::annotate(local.path(), rows, &output, faces, cancellation, on_frame)?;
        Ok(output)
    }
}

/// As [`Source::local`], for a file that is known already.
///
/// # Errors
/// When the file is gone or has changed.
pub fn check_source(video: &VideoRecord, path: &Path) -> Result<(), SourceError> {
    check_unless(video, path, &Cancellation::new())
}

fn check_unless(
    video: &VideoRecord,
    path: &Path,
    cancellation: &Cancellation,
) -> Result<(), SourceError> {
    if !path.is_file() {
        return Err(SourceError::Gone { path: path.into() });
    }
    if video_id_unless(path, cancellation)? != video.video_id {
        return Err(SourceError::Changed { path: path.into() });
    }
    Ok(())
}

/// Draws on videos, one after the other, and tells of each. After a cancellation nothing more is
/// done.
pub fn annotate_all(
    lake: &Lake,
    sources: &[Source],
    folder: &Path,
    faces: Faces,
    cancellation: &Cancellation,
    mut tell: impl FnMut(&Source, Step<Result<PathBuf, SourceError>>),
) {
    for source in sources {
        if cancellation.is_cancelled() {
            return;
        }
        tell(source, Step::Begun);
        let on_frame = || tell(source, Step::Frame);
        let annotated = source.annotate(lake, folder, faces, cancellation, on_frame);
        if cancellation.is_cancelled() && annotated.is_err() {
            return;
        }
        tell(source, Step::Done(annotated));
    }
}
