//! A video's frames again, each with the poses that the lake has of it: no model runs.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::bounded;

use super::annotation::{AnnotationError, Annotator, Caption, draw, draw_skeletons};
use super::closeup::CloseUp;
use super::faces::{LOOK_AHEAD_SECS, LostFaces, Scene};
use super::outputs::Faces;
use crate::lake::{FrameReader, LakeError, VideoFrame, VideoRecord};
use crate::sync::Cancellation;
use crate::video::{
    ContactSheet, EncodeError, Frame, ImageFormat, VideoError, VideoInfo, VideoReader,
};

/// Decoded frames that wait to be drawn on.
const QUEUED_FRAMES: usize = 3;

/// Why a video could not be shown again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read to its end.
    #[error(transparent)]
    Video(VideoError),
    /// The rows cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A frame cannot be drawn on, or the annotated video not be written.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// The annotated video cannot be started or finished.
    #[error(transparent)]
    Encode(EncodeError),
    /// The file is not the one whose rows the lake has, or another FFmpeg decodes it otherwise.
    #[error(
        "the video gives {decoded} frames, the lake has {stored}; ingest it again with --force: {path}"
    )]
    OtherFrames {
        /// The video file.
        path: PathBuf,
        /// Frames that the file gives.
        decoded: u64,
        /// Frames that the lake has.
        stored: u64,
    },
    /// It was cancelled; no file is left behind.
    #[error("interrupted")]
    Stopped,
}

impl From<VideoError> for ReplayError {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::Stopped => Self::Stopped,
            error => Self::Video(error),
        }
    }
}

impl From<EncodeError> for ReplayError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Stopped => Self::Stopped,
            error => Self::Encode(error),
        }
    }
}

/// A video and its rows, ready to be shown again.
pub struct Replay {
    path: PathBuf,
    reader: VideoReader,
    rows: FrameReader,
}

impl Replay {
    /// Opens the video at `path`, whose rows are `rows`.
    ///
    /// # Errors
    /// When the video cannot be opened, or it is cancelled.
    pub fn open(
        path: &Path,
        rows: FrameReader,
        cancellation: &Cancellation,
    ) -> Result<Self, ReplayError> {
        Ok(Self {
            path: path.into(),
            reader: VideoReader::open_unless(path, cancellation)?.with_range(rows.video().range()),
            rows,
        })
    }

    /// What the file says of itself; the lake's `videos` table may be from an older reader.
    pub fn info(&self) -> &VideoInfo {
        self.reader.info()
    }

    /// Decodes the video and calls `work` with each frame and everybody in it. A thread decodes
    /// ahead; a few frames are resident, and the rows of a second.
    ///
    /// # Errors
    /// When the video or the lake cannot be read, they have not the same frames, or `work` fails.
    pub fn for_each(
        self,
        mut work: impl FnMut(&mut Frame, Scene<'_>) -> Result<(), ReplayError>,
    ) -> Result<(), ReplayError> {
        let Self {
            path,
            reader,
            mut rows,
        } = self;
        let stored = rows.video().frame_count;
        let (frame_sender, frames) = bounded(QUEUED_FRAMES);
        let (used_sender, used_frames) = bounded(QUEUED_FRAMES + 2);
        thread::scope(|scope| {
            let decoder = scope.spawn(move || reader.send_all(&frame_sender, &used_frames));
            let mut decoded = 0;
            // Rows of frames that are still to be decoded.
            let mut coming: VecDeque<VideoFrame> = VecDeque::new();
            let worked = frames.iter().try_for_each(|mut frame| {
                decoded += 1;
                // A frame that the lake does not have is counted, for the error below.
                if let Some(row) = coming
                    .pop_front()
                    .map_or_else(|| rows.next(), |row| Some(Ok(row)))
                {
                    let row = row?;
                    let time_secs = row.time.as_secs();
                    let is_near =
                        |row: &VideoFrame| row.time.as_secs() - time_secs <= LOOK_AHEAD_SECS;
                    while coming.back().is_none_or(is_near)
                        && let Some(later) = rows.next()
                    {
                        coming.push_back(later?);
                    }
                    let later = coming.iter();
                    let later: Vec<_> = later
                        .map(|row| (row.time.as_secs(), row.persons.as_slice()))
                        .collect();
                    let scene = Scene {
                        time_secs,
                        persons: &row.persons,
                        later: &later,
                    };
                    work(&mut frame, scene)?;
                }
                // The decoder has gone when the video has ended.
                let _ = used_sender.try_send(frame);
                Ok::<_, ReplayError>(())
            });
            drop((frames, used_sender));
            let end = match decoder.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            worked?;
            end?;
            if decoded == stored {
                Ok(())
            } else {
                Err(ReplayError::OtherFrames {
                    path,
                    decoded,
                    stored,
                })
            }
        })
    }
}

/// Writes the annotated version of the video at `path`, from what the lake has of it, and calls
/// `on_frame` for each frame.
///
/// # Errors
/// When the video or the lake cannot be read, or the output not be written; no output is there
/// then.
pub fn annotate(
    path: &Path,
    rows: FrameReader,
    output: &Path,
    faces: Faces,
    cancellation: &Cancellation,
    mut on_frame: impl FnMut(),
) -> Result<(), ReplayError> {
    let caption = caption_of(rows.video()).with_faces(faces);
    let replay = Replay::open(path, rows, cancellation)?;
    let mut annotator = Annotator::create(output, replay.info(), caption)?;
    replay.for_each(|frame, scene| {
        if cancellation.is_cancelled() {
            return Err(ReplayError::Stopped);
        }
        annotator.push(frame, scene)?;
        on_frame();
        Ok(())
    })?;
    annotator.finish(cancellation)?;
    Ok(())
}

fn caption_of(video: &VideoRecord) -> Caption {
    Caption::new(&video.sport, video.slow_motion_factor)
}

/// How a contact sheet is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SheetLayout {
    /// Frames side by side; at least 1.
    pub columns: u32,
    /// Frames one below the other; at least 1.
    pub rows: u32,
    /// Width of the whole sheet.
    pub width_px: u32,
    /// Whether faces can be recognized.
    pub faces: Faces,
}

/// A picture with evenly spaced annotated frames of the video at `path`, encoded as `format`; a
/// video with fewer frames than places fills the first ones.
///
/// # Errors
/// When the video or the lake cannot be read, or a picture not be drawn.
pub fn contact_sheet(
    path: &Path,
    rows: FrameReader,
    layout: SheetLayout,
    format: ImageFormat,
    cancellation: &Cancellation,
) -> Result<Vec<u8>, ReplayError> {
    let frames = rows.video().frames();
    let frame_count = frames.end - frames.start;
    let caption = caption_of(rows.video()).with_faces(layout.faces);
    let places = u64::from(layout.columns) * u64::from(layout.rows);
    let shown = frame_count.min(places);
    let replay = Replay::open(path, rows, cancellation)?;
    let tile_width_px = (layout.width_px / layout.columns).max(1);
    let mut sheet = ContactSheet::new(replay.info(), layout.columns, shown, tile_width_px)
        .map_err(AnnotationError::from)?;
    // Frame k of the sheet is the middle one of the k-th of `shown` equal parts.
    let frame_of = |place: u64| frames.start + (2 * place + 1) * frame_count / (2 * shown);
    let mut place = 0;
    let mut lost_faces = LostFaces::new();
    replay.for_each(|frame, scene| {
        if cancellation.is_cancelled() {
            return Err(ReplayError::Stopped);
        }
        if layout.faces == Faces::Blurred {
            let covered = lost_faces.cover(frame, scene);
            covered.map_err(AnnotationError::from)?;
        }
        if place < shown && frame.index == frame_of(place) {
            // Drawn at its final size, so that the text can be read.
            let mut tile = sheet.tile(frame).map_err(AnnotationError::from)?;
            draw(&mut tile, scene.persons, &caption).map_err(AnnotationError::from)?;
            sheet.place(place, &tile).map_err(AnnotationError::from)?;
            place += 1;
        }
        Ok(())
    })?;
    Ok(sheet.encode(format).map_err(AnnotationError::from)?)
}

/// Pictures of `person` in some frames of the video at `path`, with skeletons and without the panel, as
/// JPEG of that width and height; in the order of `frames`, which ascend. The whole video is decoded.
///
/// # Errors
/// When the video or the lake cannot be read, or a picture not be drawn.
pub fn pictures(
    path: &Path,
    rows: FrameReader,
    (person, frames): (u16, &[u64]),
    size_px: [u32; 2],
    faces: Faces,
    cancellation: &Cancellation,
) -> Result<Vec<Vec<u8>>, ReplayError> {
    let replay = Replay::open(path, rows, cancellation)?;
    let mut pictures = Vec::new();
    let mut lost_faces = LostFaces::new();
    replay.for_each(|frame, scene| {
        if cancellation.is_cancelled() {
            return Err(ReplayError::Stopped);
        }
        if faces == Faces::Blurred {
            let covered = lost_faces.cover(frame, scene);
            covered.map_err(AnnotationError::from)?;
        }
        for _ in frames.iter().filter(|wanted| **wanted == frame.index) {
            let closeup = CloseUp::of(frame, scene.persons, person, size_px);
            let mut tile = frame
                .part(closeup.part, size_px)
                .map_err(AnnotationError::from)?;
            draw_skeletons(&mut tile, &closeup.persons, faces).map_err(AnnotationError::from)?;
            let jpeg = tile.encoded(None, ImageFormat::Jpeg);
            pictures.push(jpeg.map_err(AnnotationError::from)?);
        }
        Ok(())
    })?;
    Ok(pictures)
}
