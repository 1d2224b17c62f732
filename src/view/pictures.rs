//! Single frames, decoded exactly.
//!
//! A few videos stay open between requests, so that a step forward decodes one frame. Resident are
//! one frame per open video, and the encoded pictures that were asked for last.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;

use axum::body::Bytes;

use super::problem::Problem;
use crate::media_time::FrameTimes;
use crate::sync::{Cancellation, lock};
use crate::video::{Frame, ImageFormat, VideoReader};

/// Videos that stay open.
const OPEN_VIDEOS: usize = 2;
/// Encoded pictures that are kept.
const KEPT_BYTES: usize = 32 << 20;

/// Which picture is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Names the content.
    pub video_id: String,
    /// Where it is read.
    pub path: PathBuf,
    /// Number of the frame in that file.
    pub frame: u64,
    /// Made smaller until it is at most so wide.
    pub max_width_px: Option<u32>,
    /// Of the answer.
    pub format: ImageFormat,
}

struct OpenVideo {
    /// A file that was replaced has the same path and another id.
    video_id: String,
    path: PathBuf,
    reader: VideoReader,
    /// Ends the reader for good.
    cancellation: Cancellation,
}

/// Decodes frames.
#[derive(Default)]
pub struct Pictures {
    /// The one that was used last stands last.
    open: Mutex<VecDeque<OpenVideo>>,
    kept: Mutex<VecDeque<(Wanted, Bytes)>>,
}

impl Pictures {
    /// A frame of a video with these times, as the bytes of a picture's file; `None` where
    /// the video has no such frame.
    ///
    /// # Errors
    /// When the video cannot be read as far as that, or it is cancelled.
    pub fn get(
        &self,
        wanted: &Wanted,
        times: &FrameTimes,
        cancellation: &Cancellation,
    ) -> Result<Option<Bytes>, Problem> {
        if let Some(picture) = self.find(wanted) {
            return Ok(Some(picture));
        }
        let mut video = self.take(wanted)?;
        let token = video.cancellation.clone();
        let guard = cancellation.on_cancel(move || token.cancel());
        let mut frame = Frame::default();
        let is_there = video.reader.go_to(wanted.frame, times)? && video.reader.read(&mut frame)?;
        drop(guard);
        self.give_back(video);
        if !is_there {
            return Ok(None);
        }
        let picture = Bytes::from(frame.encoded(wanted.max_width_px, wanted.format)?);
        self.keep(wanted.clone(), picture.clone());
        Ok(Some(picture))
    }

    /// An open video: the one that has the least way to go.
    fn take(&self, wanted: &Wanted) -> Result<OpenVideo, Problem> {
        let Wanted {
            video_id,
            path,
            frame,
            ..
        } = wanted;
        let mut open = lock(&self.open);
        let fitting = open
            .iter()
            .enumerate()
            .filter(|(_, video)| video.path == *path && video.video_id == *video_id);
        let nearest = fitting.min_by_key(|(_, video)| video.reader.next_frame().abs_diff(*frame));
        let place = nearest.map(|(place, _)| place);
        if let Some(video) = place.and_then(|place| open.remove(place)) {
            return Ok(video);
        }
        drop(open);
        let cancellation = Cancellation::new();
        Ok(OpenVideo {
            video_id: video_id.clone(),
            path: path.clone(),
            reader: VideoReader::open_unless(path, &cancellation)?,
            cancellation,
        })
    }

    fn give_back(&self, video: OpenVideo) {
        if video.cancellation.is_cancelled() {
            return;
        }
        let mut open = lock(&self.open);
        open.push_back(video);
        let too_many = open.len().saturating_sub(OPEN_VIDEOS);
        let closed: Vec<OpenVideo> = open.drain(..too_many).collect();
        // Closing takes its time.
        drop(open);
        drop(closed);
    }

    fn find(&self, wanted: &Wanted) -> Option<Bytes> {
        let kept = lock(&self.kept);
        let found = kept.iter().find(|(known, _)| known == wanted);
        found.map(|(_, picture)| picture.clone())
    }

    fn keep(&self, wanted: Wanted, picture: Bytes) {
        let mut kept = lock(&self.kept);
        kept.push_back((wanted, picture));
        let bytes =
            |kept: &VecDeque<(Wanted, Bytes)>| kept.iter().map(|(_, p)| p.len()).sum::<usize>();
        while kept.len() > 1 && bytes(&kept) > KEPT_BYTES {
            kept.pop_front();
        }
    }
}
