//! Stand-ins for videos that players cannot play, or cannot step through.
//!
//! A proxy has every frame of its source, at the frame's own time. One thread decodes while another
//! encodes; a few frames are resident.

use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::bounded;

use super::mp4::stored_times;
use super::{
    EncodeError, Encoding, Frame, FrameTimes, MediaRange, MediaTime, VideoEncoder, VideoError,
    VideoReader,
};
use crate::sync::Cancellation;

/// Decoded frames that wait to be encoded.
const QUEUED_FRAMES: usize = 3;

/// Why a proxy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The source cannot be read to its end.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The proxy cannot be encoded or written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The source has not the frames that it had.
    #[error(
        "the video gives {decoded} frames, the lake has {expected}; ingest it again with --force: {path}"
    )]
    OtherFrames {
        /// The source.
        path: PathBuf,
        /// Frames that it gives.
        decoded: u64,
        /// Frames that it should give.
        expected: u64,
    },
}

/// Writes the proxy of a range of the video at `source`, which has `frame_count` frames: H.264 in MP4,
/// smaller than its source where that is large, with a key picture every quarter of a second.
/// `on_frame` is called for each frame.
///
/// # Errors
/// When the source cannot be read, has other frames, the proxy cannot be written, or it is
/// cancelled; no proxy is there then.
pub fn make_proxy(
    source: &Path,
    proxy: &Path,
    range: MediaRange,
    frame_count: u64,
    cancellation: &Cancellation,
    mut on_frame: impl FnMut(),
) -> Result<(), ProxyError> {
    let reader = VideoReader::open_unless(source, cancellation)?.with_range(range);
    let info = reader.info();
    let mut encoder = VideoEncoder::create_for(
        Encoding::STEPPING,
        proxy,
        (info.width, info.height),
        info.nominal_fps,
        info.frame_colors(),
    )?;
    let (frame_sender, frames) = bounded(QUEUED_FRAMES);
    let (used_sender, used_frames) = bounded(QUEUED_FRAMES + 2);
    let decoded = thread::scope(|scope| {
        let decoder = scope.spawn(move || reader.send_all(&frame_sender, &used_frames));
        let mut first_time = None;
        let encoded = frames.iter().try_fold(0, |count, mut frame: Frame| {
            let first = *first_time.get_or_insert(frame.time);
            frame.time = since(first, frame.time);
            encoder.push(&frame)?;
            on_frame();
            // The decoder has gone when the video has ended.
            let _ = used_sender.try_send(frame);
            Ok::<_, ProxyError>(count + 1)
        });
        drop((frames, used_sender));
        let end = match decoder.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let count = encoded?;
        end?;
        Ok::<u64, ProxyError>(count)
    })?;
    if decoded != frame_count {
        return Err(ProxyError::OtherFrames {
            path: source.into(),
            decoded,
            expected: frame_count,
        });
    }
    encoder.finish_unless(cancellation)?;
    Ok(())
}

/// The times of the frames of a proxy, which is made of the frames at `times`.
pub fn proxy_times(times: &FrameTimes) -> FrameTimes {
    let times = &times.times;
    let first = times.first().copied().unwrap_or_default();
    FrameTimes {
        first_frame: 0,
        times: stored_times(times.iter().map(|time| since(first, *time))),
    }
}

fn since(first: MediaTime, time: MediaTime) -> MediaTime {
    MediaTime::from_secs(time.as_secs() - first.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_proxy_begin_at_0_and_never_meet() {
        let of_part = FrameTimes {
            first_frame: 60,
            times: [2.0, 2.5, 2.5, 2.4, 3.0].map(MediaTime::from_secs).into(),
        };
        let made = proxy_times(&of_part);
        let ticks: Vec<i64> = (made.times.iter())
            .map(|time| (time.as_secs() * 90_000.0).round() as i64)
            .collect();
        assert_eq!(ticks, [0, 45_000, 45_001, 45_002, 90_000]);
        assert_eq!(made.first_frame, 0);
        assert_eq!(proxy_times(&FrameTimes::default()), FrameTimes::default());
    }
}
