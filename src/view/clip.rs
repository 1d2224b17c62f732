//! A stretch of a video as a video of its own, with or without what is known of its people.

use std::fs::File;

use super::columns::Stretch;
use super::gate::Gate;
use super::problem::{Kind, Problem};
use super::videos::Video;
use super::viewer::Footage;
use crate::export::annotation::{Caption, draw};
use crate::files::why_not_written;
use crate::lake::VideoFrame;
use crate::media_time::MediaTime;
use crate::scratch::Scratch;
use crate::sync::Cancellation;
use crate::video::{Frame, VideoEncoder, VideoReader};

/// Frames of one clip: their rows are held in memory.
pub const MAX_CLIP_FRAMES: usize = 7_200;

/// Whether a clip shows more than its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// What `posedata annotate` draws.
    Skeletons,
    /// The pictures alone.
    Nothing,
}

/// Makes a clip of a stretch of the video that `footage` shows, and opens it; it has no name any
/// more.
///
/// # Errors
/// When the video or the lake cannot be read, the clip not be written, or it is cancelled.
pub fn make_clip(
    gate: &Gate,
    video: &Video,
    footage: &Footage,
    stretch: Stretch,
    drawn: Drawn,
    cancellation: &Cancellation,
) -> Result<File, Problem> {
    let rows = match drawn {
        Drawn::Skeletons => rows(gate, video, stretch, cancellation)?,
        Drawn::Nothing => Vec::new(),
    };
    let unwritable = |e: std::io::Error| {
        Problem::new(
            Kind::Failed,
            format!("a clip cannot be made ({})", why_not_written(&e)),
        )
    };
    let folder = Scratch::make().map_err(unwritable)?;
    let clip = folder.path().join("clip.mp4");
    let mut reader = VideoReader::open_unless(&footage.path, cancellation)?;
    let info = reader.info();
    let (width, height, fps) = (info.width, info.height, info.nominal_fps);
    let mut encoder = VideoEncoder::create(&clip, width, height, fps, info.frame_colors())?;
    let no_frame = || {
        Problem::new(
            Kind::FileChanged,
            "the video file has fewer frames than the lake",
        )
        .with_remedy("ingest it again with --force")
    };
    let first = footage.number(video, stretch.from);
    if !reader.go_to(first, &footage.times)? {
        return Err(no_frame());
    }
    let caption = Caption::new(&video.sport, video.slow_motion_factor);
    let mut frame = Frame::default();
    let mut first_time: Option<MediaTime> = None;
    for index in 0..stretch.len() {
        if cancellation.is_cancelled() {
            return Err(Problem::cancelled());
        }
        if !reader.read(&mut frame)? {
            return Err(no_frame());
        }
        if let Some(row) = rows.get(index) {
            draw(&mut frame, &row.persons, &caption)?;
        }
        let first = *first_time.get_or_insert(frame.time);
        frame.index = index as u64;
        frame.time = MediaTime::from_secs(frame.time.as_secs() - first.as_secs());
        encoder.push(&frame)?;
    }
    encoder.finish_unless(cancellation)?;
    // The open file outlives its folder.
    File::open(&clip).map_err(unwritable)
}

fn rows(
    gate: &Gate,
    video: &Video,
    stretch: Stretch,
    cancellation: &Cancellation,
) -> Result<Vec<VideoFrame>, Problem> {
    gate.alone(cancellation, |lake| {
        let records = lake.find_videos(std::slice::from_ref(&video.video_id))?;
        let record = records.first();
        let record = record.ok_or_else(|| Problem::missing("the lake has no such video"))?;
        let frames = lake.frames(record)?.starting_at(stretch.from);
        let mut rows = Vec::with_capacity(stretch.len());
        for frame in frames.take(stretch.len()) {
            if cancellation.is_cancelled() {
                return Err(Problem::cancelled());
            }
            rows.push(frame?);
        }
        Ok(rows)
    })
}
