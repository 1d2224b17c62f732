//! Reads a video's frames in order, upright, each with its presentation time.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Vector};
use opencv::videoio::{self, VideoCapture, VideoCaptureTrait, VideoCaptureTraitConst};

use super::container::{Container, is_cut_off, sniff};
use super::timestamps::ContainerTimes;
use super::{MediaTime, VideoError};
use crate::image::BgrView;

/// What a video's header says.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoInfo {
    /// As displayed, after rotation.
    pub width: u32,
    pub height: u32,
    /// How far the stored pictures are turned clockwise to be displayed: 0, 90, 180 or 270.
    pub rotation_deg: u16,
    /// FOURCC or the decoder's tag.
    pub codec: String,
    /// Average rate that the container states, or `None`.
    pub nominal_fps: Option<f64>,
    /// Frames that the container states or suggests; a reader may find a few more or less.
    pub frame_count_hint: Option<u64>,
}

/// One decoded picture. Its memory is used again when it is handed back to the reader.
#[derive(Default)]
pub struct Frame {
    /// Counts from 0.
    pub index: u64,
    pub time: MediaTime,
    pub(super) picture: Mat,
}

impl Frame {
    /// The pixels; `None` for a frame that was never read.
    pub fn view(&self) -> Option<BgrView<'_>> {
        let (width, height) = (self.picture.cols(), self.picture.rows());
        let stride = self.picture.step1(0).ok()?;
        let data = self.picture.data_bytes().ok()?;
        BgrView::new(data, width as usize, height as usize, stride)
    }

    /// Bytes that the picture takes.
    pub fn byte_size(&self) -> usize {
        self.picture.total() * self.picture.elem_size().unwrap_or(0)
    }
}

/// Keeps FFmpeg and OpenCV from writing to the terminal; errors reach users through [`VideoError`].
///
/// # Safety
/// Changes environment variables, so no other thread may run yet.
pub unsafe fn silence_decoder_logs() {
    const QUIET: &str = "-8";
    for (name, value) in [
        ("OPENCV_FFMPEG_LOGLEVEL", QUIET),
        ("OPENCV_LOG_LEVEL", "SILENT"),
    ] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the caller promises that no other thread runs.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// An open video.
pub struct VideoReader {
    path: PathBuf,
    container: Option<Container>,
    capture: VideoCapture,
    info: VideoInfo,
    frames_read: u64,
    last_time: MediaTime,
    last_step_secs: f64,
    /// Read when the first frame without a time comes.
    container_times: Option<Option<ContainerTimes>>,
}

impl VideoReader {
    /// Opens a video file.
    ///
    /// # Errors
    /// When it is not a regular file, cannot be read, or holds no video that can be decoded.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        let container = check_file(path)?;
        let unreadable = |e: &dyn std::fmt::Display| VideoError::Unreadable {
            path: path.into(),
            reason: e.to_string(),
        };
        // An absolute path is never taken for a URL or a protocol, whatever the name holds.
        let absolute = fs::canonicalize(path).map_err(|e| unreadable(&e))?;
        let name = absolute
            .to_str()
            .ok_or_else(|| VideoError::NotUnicode { path: path.into() })?;
        let no_video = || match container {
            Some(container) => VideoError::NoVideoStream {
                path: path.into(),
                container: container.name(),
            },
            None => VideoError::NotAVideo { path: path.into() },
        };
        let capture = open_capture(name).map_err(|_| no_video())?;
        if !capture.is_opened().unwrap_or(false) {
            return Err(no_video());
        }
        let info = read_info(&capture);
        if info.width == 0 || info.height == 0 {
            return Err(no_video());
        }
        Ok(Self {
            path: path.into(),
            container,
            capture,
            last_step_secs: info.nominal_fps.map_or(0.0, |fps| 1.0 / fps),
            info,
            frames_read: 0,
            last_time: MediaTime::default(),
            container_times: None,
        })
    }

    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Reads the next frame into `frame`; `false` at the end of the video.
    ///
    /// # Errors
    /// When the video ends before it should, or a picture is not an 8-bit colour picture.
    pub fn read(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        let decode_error = |e: opencv::Error| VideoError::Decode {
            path: self.path.clone(),
            reason: e.message,
        };
        if !self
            .capture
            .read(&mut frame.picture)
            .map_err(decode_error)?
        {
            self.check_complete()?;
            return Ok(false);
        }
        frame.index = self.frames_read;
        frame.time = self.frame_time();
        self.frames_read += 1;
        if frame.picture.typ() != opencv::core::CV_8UC3 || frame.view().is_none() {
            return Err(VideoError::Decode {
                path: self.path.clone(),
                reason: "it does not decode to 8-bit colour pictures".into(),
            });
        }
        Ok(true)
    }

    /// The presentation time of the frame just read.
    ///
    /// Where OpenCV gives none, the container's own is looked up; containers that do not list
    /// their times continue at the last known distance.
    fn frame_time(&mut self) -> MediaTime {
        let reported_secs = self
            .capture
            .get(videoio::CAP_PROP_POS_MSEC)
            .map_or(0.0, |ms| ms / 1000.0);
        let last_secs = self.last_time.as_secs();
        let secs = if self.frames_read == 0 {
            reported_secs.max(0.0)
        } else if reported_secs > last_secs {
            reported_secs
        } else {
            self.lost_time_secs()
                .unwrap_or(last_secs + self.last_step_secs)
        };
        if self.frames_read > 0 {
            self.last_step_secs = secs - last_secs;
        }
        self.last_time = MediaTime::from_secs(secs);
        self.last_time
    }

    /// The time of the frame just read, from the container.
    fn lost_time_secs(&mut self) -> Option<f64> {
        let (path, container) = (&self.path, self.container?);
        let times = self
            .container_times
            .get_or_insert_with(|| ContainerTimes::read(path, container));
        let frame = usize::try_from(self.frames_read).ok()?;
        let last_secs = self.last_time.as_secs();
        let secs = times.as_ref()?.time_of(frame, frame - 1, last_secs)?;
        (secs > last_secs).then_some(secs)
    }

    fn check_complete(&self) -> Result<(), VideoError> {
        if self.frames_read == 0 {
            return Err(VideoError::NoFrames {
                path: self.path.clone(),
            });
        }
        let cut_off = match self.container {
            Some(container) => {
                is_cut_off(&self.path, container).map_err(|e| VideoError::Unreadable {
                    path: self.path.clone(),
                    reason: e.to_string(),
                })?
            }
            None => false,
        };
        if cut_off {
            return Err(VideoError::Truncated {
                path: self.path.clone(),
                frames_read: self.frames_read,
                frames_expected: self.info.frame_count_hint.unwrap_or(self.frames_read),
                last_secs: self.last_time.as_secs(),
            });
        }
        Ok(())
    }
}

/// Refuses what must not be opened as a video, and recognises the rest. A FIFO or a device would
/// block, so nothing is opened before its type is known.
///
/// # Errors
/// When it is not a regular file, is empty, or cannot be read.
pub fn check_file(path: &Path) -> Result<Option<Container>, VideoError> {
    let unreadable = |e: std::io::Error| VideoError::Unreadable {
        path: path.into(),
        reason: e.to_string(),
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a named pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        return Err(VideoError::NotAFile {
            path: path.into(),
            what,
        });
    }
    if metadata.len() == 0 {
        return Err(VideoError::Empty { path: path.into() });
    }
    sniff(path).map_err(unreadable)
}

fn open_capture(name: &str) -> opencv::Result<VideoCapture> {
    let params: Vector<i32> = Vector::new();
    VideoCapture::from_file_with_params(name, videoio::CAP_FFMPEG, &params)
}

fn read_info(capture: &VideoCapture) -> VideoInfo {
    let number = |property: i32| {
        let value = capture.get(property).unwrap_or(0.0);
        if value.is_finite() { value } else { 0.0 }
    };
    let fourcc = number(videoio::CAP_PROP_FOURCC) as i64 as u32;
    let codec: String = fourcc
        .to_le_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .filter(|c| c.is_ascii_graphic())
        .collect();
    let fps = number(videoio::CAP_PROP_FPS);
    let frame_count = number(videoio::CAP_PROP_FRAME_COUNT);
    VideoInfo {
        width: number(videoio::CAP_PROP_FRAME_WIDTH) as u32,
        height: number(videoio::CAP_PROP_FRAME_HEIGHT) as u32,
        rotation_deg: (number(videoio::CAP_PROP_ORIENTATION_META) as i32).rem_euclid(360) as u16,
        codec: if codec.is_empty() {
            "unknown".into()
        } else {
            codec
        },
        nominal_fps: (fps > 0.0).then_some(fps),
        frame_count_hint: (frame_count >= 1.0).then_some(frame_count as u64),
    }
}
