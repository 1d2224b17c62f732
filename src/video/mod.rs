//! Videos: recognising them, reading frames with their true timestamps, drawing on them, encoding.
//!
//! FFmpeg and OpenCV are known to this module alone; it knows nothing of poses. FFmpeg demuxes,
//! decodes and converts (`ffmpeg`, `converter`, `on_demand`, `scaler`, `bgr`, `bgr_avx512`, `tone`), OpenCV turns and draws.

mod bgr;
#[cfg(target_arch = "x86_64")]
mod bgr_avx512;
mod canvas;
mod capture_rate;
mod clip;
mod container;
mod converter;
mod encoder;
mod encoding;
mod entry;
mod extent;
mod ffmpeg;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod libraries;
mod mp4;
mod on_demand;
mod orientation;
mod placement;
mod proxy;
mod reader;
mod scaler;
mod sheet;
mod still;
mod timestamps;
mod tone;
mod track;

pub use canvas::{Bgr, Canvas, DrawError, text_width_px};
pub use capture_rate::{CaptureTags, capture_tags};
pub use clip::{ClipError, cut_clip};
pub use container::{Container, Content, sniff};
pub use encoder::{Encoding, VideoEncoder};
pub use encoding::{
    EncodeError, EncodingWork, MAX_PICTURES as MAX_ENCODING_PICTURES,
    MIN_PICTURES as MIN_ENCODING_PICTURES,
};
pub use ffmpeg::Colors;
pub(crate) use on_demand::MAX_STATES_BYTES;
pub use on_demand::PixelRooms;
pub use proxy::{ProxyError, make_proxy, proxy_times};
pub use reader::{
    Conversion, Frame, ReadSummary, SizeChange, VideoInfo, VideoReader, check_file, stated_frames,
};
pub(crate) use scaler::frame_memory_pixels;
pub use sheet::ContactSheet;
pub use still::{FramePart, ImageFormat};

use std::io;
use std::path::{Path, PathBuf};

pub use crate::media_time::{FrameTimes, MediaPosition, MediaRange, MediaTime};

/// Keeps OpenCV from writing to the terminal; errors reach users through [`VideoError`]. FFmpeg is told
/// where a video is opened.
///
/// # Safety
/// Changes environment variables, so no other thread may run yet.
pub unsafe fn silence_decoder_logs() {
    const OPENCV_LEVEL: &str = "OPENCV_LOG_LEVEL";
    if std::env::var_os(OPENCV_LEVEL).is_none() {
        // SAFETY: the caller promises that no other thread runs.
        unsafe { std::env::set_var(OPENCV_LEVEL, "SILENT") };
    }
}

/// Lets OpenCV use at most `threads` threads; without it, it uses all cores. FFmpeg is told how many
/// it gets where a video is opened.
///
/// # Errors
/// The reason, when OpenCV refuses.
pub fn limit_threads(threads: usize) -> Result<(), String> {
    let threads = i32::try_from(threads).unwrap_or(i32::MAX);
    opencv::core::set_num_threads(threads).map_err(|error| error.message)
}

/// Why a file gives no frames, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The system refuses to read it, or the disk fails.
    #[error("cannot read the file ({reason}); check {}: {path}", culprit(.kind))]
    Unreadable {
        /// The file that was given.
        path: PathBuf,
        /// What the system says.
        reason: String,
        /// By which it is told whether the disk or the network may be back.
        kind: io::ErrorKind,
    },
    /// There is not a single byte.
    #[error("the file is empty; copy or record it again: {path}")]
    Empty {
        /// The file that was given.
        path: PathBuf,
    },
    /// A folder, device, pipe or socket was given where a file is needed.
    #[error("this is {what}, not a file; give a video file or a folder of them: {path}")]
    NotAFile {
        /// The file that was given.
        path: PathBuf,
        /// What it is instead, with its article.
        what: &'static str,
    },
    /// Neither its first bytes nor FFmpeg know it as a video.
    #[error("not a video; convert it, or leave it out: {path}")]
    NotAVideo {
        /// The file that was given.
        path: PathBuf,
    },
    /// The container is read, but it has no pictures that a decoder is there for.
    #[error(
        "the {container} file holds no video stream that can be decoded (audio only, cut off, or an unknown codec); re-encode it to H.264: {path}"
    )]
    NoVideoStream {
        /// The file that was given.
        path: PathBuf,
        /// Name of the kind of file.
        container: &'static str,
    },
    /// An MP4 or QuickTime file without `moov`, so that nobody knows where its pictures lie.
    #[error(
        "the recording was not finished, or the file is cut off: its index (moov) is missing; copy it again from the camera, or repair it with a tool that rebuilds the index (untrunc): {path}"
    )]
    NoIndex {
        /// The file that was given.
        path: PathBuf,
    },
    /// Decoding ended well before the end that the container states.
    #[error(
        "the video is cut off: it ends after {frames_read} of about {frames_expected} frames ({last_secs:.2} s); copy it again from the camera: {path}"
    )]
    Truncated {
        /// The file that was given.
        path: PathBuf,
        /// Frames until then.
        frames_read: u64,
        /// As the container states, or as its length and rate suggest.
        frames_expected: u64,
        /// Time of the last frame before the end, since the first.
        last_secs: f64,
    },
    /// The decoder took everything and gave no picture.
    #[error("no frame could be decoded; re-encode the video to H.264: {path}")]
    NoFrames {
        /// The file that was given.
        path: PathBuf,
    },
    /// The file is a text that only names videos (HLS, PLS and the like); none of them is opened.
    #[error(
        "this is {kind}, which only names videos; give the files that it names, or join them (`ffmpeg -i PLAYLIST -c copy video.mp4`): {path}"
    )]
    Playlist {
        /// The file that was given.
        path: PathBuf,
        /// Its kind, with its article.
        kind: &'static str,
    },
    /// The decoder or the conversion of its pictures failed for good.
    #[error("decoding failed ({reason}); re-encode the video to H.264: {path}")]
    Decode {
        /// The file that was given.
        path: PathBuf,
        /// What FFmpeg or OpenCV says.
        reason: String,
    },
    /// A part was asked for that begins behind the video's end.
    #[error(
        "--from {from} is behind the end: the last frame is {last_frame}f, at {last_secs:.3} s; give an earlier one, or leave the video out: {path}"
    )]
    StartsBehindEnd {
        /// The file that was given.
        path: PathBuf,
        /// Where the part was to begin.
        from: MediaPosition,
        /// Number of the video's last frame, from 0.
        last_frame: u64,
        /// Its time since the first.
        last_secs: f64,
    },
    /// No frame is in the part that was asked for.
    #[error(
        "no frame is at or behind --from {} and before --to {to}; give a later --to: {path}",
        .from.map_or("0".into(), |from| from.to_string())
    )]
    EmptyPart {
        /// The file that was given.
        path: PathBuf,
        /// Where the part was to begin; `None` for the first frame.
        from: Option<MediaPosition>,
        /// Where it was to end.
        to: MediaPosition,
    },
    /// FFmpeg is not there.
    #[error("{reason}")]
    MissingLibrary {
        /// Which library, why, and what helps.
        reason: String,
    },
    /// The work was called off.
    #[error("stopped")]
    Stopped,
}

/// What may be wrong where a file cannot be read.
fn culprit(kind: &io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "its name",
        io::ErrorKind::PermissionDenied => "its permissions",
        _ => "its permissions and the disk",
    }
}

impl VideoError {
    /// The system does not let the file be read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable {
            path: path.into(),
            reason: error.to_string(),
            kind: error.kind(),
        }
    }
}
