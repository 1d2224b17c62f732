//! The files that hold the pictures of videos in the lake, for what is drawn on them again.

use std::path::{Path, PathBuf};

use super::failure::{Failure, FailureKind};
use super::pipeline::{short_hash, video_id_unless};
use super::{AnnotatedVideo, Outputs, PoseJson, video_id};
use crate::export::Faces;
use crate::export::replay::{self, ReplayError};
use crate::export::{shared_stems, unique_stem};
use crate::lake::{Lake, LakeError, VideoRecord, VideoSource};
use crate::steps::Step;
use crate::store::{Address, Fetched, RemoteFile, StoreError};
use crate::sync::Cancellation;
use crate::text::{shell_word, shown};
use crate::video::VideoError;

/// A video of the lake with the file that holds its pictures.
#[derive(Clone, Debug)]
pub struct Source {
    /// As the lake has it.
    pub video: VideoRecord,
    /// Where the file lies now, which need not be where it was ingested.
    pub path: PathBuf,
    /// Further places in stores that had the file, with their marks of its content.
    pub copies: Vec<VideoSource>,
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
    #[error("{path} is not in the lake; run `posedata ingest {}` first", shell_word(&shown(path)))]
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

impl SourceError {
    /// Whether the file is not, or no more, where it was looked for.
    fn is_elsewhere_perhaps(&self) -> bool {
        matches!(
            self,
            Self::Changed { .. }
                | Self::Store(StoreError::Missing { .. } | StoreError::Changed { .. })
        )
    }
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
            copies: Vec::new(),
        };
        let by_record = |video: VideoRecord| {
            let path = PathBuf::from(&video.path);
            source(video, path)
        };
        let mut sources = Vec::new();
        if selectors.is_empty() {
            sources.extend(all.iter().cloned().map(by_record));
        }
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
        let is_elsewhere = |source: &Self| matches!(Address::of_path(&source.path), Ok(Some(_)));
        if sources.iter().any(is_elsewhere) {
            let copies = lake.sources()?;
            for source in sources.iter_mut().filter(|source| is_elsewhere(source)) {
                source.copies = copies
                    .get(&source.video.video_id)
                    .cloned()
                    .unwrap_or_default();
            }
        }
        Ok(sources)
    }

    /// The file with the pictures; one that lies elsewhere is fetched, from another place that had it
    /// where it is not at its own any more. A file that is not the one that
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
        let gone = match self.fetched(address, None, cancellation) {
            // Somebody has renamed it, or given its name to another.
            Err(error) if error.is_elsewhere_perhaps() => error,
            done => return done,
        };
        for copy in &self.copies {
            let address = Address::parse(&copy.path);
            // What marks a web page's content is more than the server's mark, see `content_mark`.
            let Ok(Some(address @ Address::S3(_))) = address else {
                continue;
            };
            match self.fetched(address, Some(&copy.source_etag), cancellation) {
                Err(error) if error.is_elsewhere_perhaps() => {}
                done => return done,
            }
        }
        Err(gone)
    }

    /// The file that lies at an address, if it is this video's; with a mark, nothing is fetched where the
    /// store has another one by now.
    fn fetched(
        &self,
        address: Address,
        etag: Option<&str>,
        cancellation: &Cancellation,
    ) -> Result<LocalFile, SourceError> {
        let path = PathBuf::from(address.to_string());
        let remote = RemoteFile {
            address,
            byte_size: None,
            etag: etag.map(str::to_owned),
        };
        let fetched = Fetched::get(&remote, cancellation)?;
        match short_hash(fetched.hash) == self.video.video_id {
            true => Ok(LocalFile {
                path: fetched.path.clone(),
                _fetched: Some(fetched),
            }),
            false => Err(SourceError::Changed { path }),
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
