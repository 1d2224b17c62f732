//! Cuts a stretch of frames out of a video.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::{EncodeError, Frame, MediaTime, VideoEncoder, VideoError, VideoReader};

/// Why a clip could not be cut.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The source cannot be read as far as the clip reaches.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The clip cannot be encoded or written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The video ends before the clip does.
    #[error("the video has no frame {frame}; ingest it again with --force: {path}")]
    NoSuchFrame {
        /// The video that was to be cut.
        path: PathBuf,
        /// Number of the first or last frame that was asked for, from 0.
        frame: u64,
    },
}

/// Writes some frames of the video at `path` as a video of their own (MP4, H.264), with the times
/// between them as they are.
///
/// # Errors
/// When the video cannot be read, does not have these frames, or the clip cannot be written; no
/// clip is there then.
pub fn cut_clip(path: &Path, frames: RangeInclusive<u64>, clip: &Path) -> Result<(), ClipError> {
    let mut reader = VideoReader::open(path)?;
    let info = reader.info();
    let (width, height, fps) = (info.width, info.height, info.nominal_fps);
    let mut encoder = VideoEncoder::create(clip, width, height, fps, info.frame_colors())?;
    let mut frame = Frame::default();
    let mut first_time: Option<MediaTime> = None;
    while reader.read(&mut frame)? {
        let index = frame.index;
        if frames.contains(&index) {
            let first = *first_time.get_or_insert(frame.time);
            frame.index -= frames.start();
            frame.time = MediaTime::from_secs(frame.time.as_secs() - first.as_secs());
            encoder.push(&frame)?;
        }
        if index >= *frames.end() {
            encoder.finish()?;
            return Ok(());
        }
    }
    Err(ClipError::NoSuchFrame {
        path: path.into(),
        frame: *frames.end(),
    })
}
