//! One video's way: a thread decodes, the worker estimates poses, a thread draws and encodes, a
//! thread writes rows.
//!
//! Frames travel in buffers that the video's [`FramePool`] has paid for; a buffer comes back to the
//! decoder when the last stage that looks at it is done.
//!
//! Where several people are followed, some become certain only after they have been seen for a
//! while, and are reported from their first frame on; so the poses of the latest frames are held back
//! ([`HeldBack`]). Their pictures are not, which could be gigabytes: the thread that draws then
//! decodes the video once more, behind the first time, and the pool has paid for that as well. So it does
//! where faces are covered, which begins a second before somebody is found.
//!
//! Times in rows are real seconds (see [`super::slow_motion`]); pictures keep the file's times.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use super::looked_at::{Ahead, LookedAt};
use super::memory::{Drawing, FramePool, FrameThreads, MemoryError, MemoryPlan, QUEUED_ROWS};
use super::panics::PanicError;
use super::persons::PersonStatistics;
use super::returned::{Returned, Returner, returned};
use super::row_config::RowConfig;
use super::slow_motion::{RealTimes, SlowMotion, SlowMotionError};
use crate::at_work::AtWork;
use crate::export::annotation::{AnnotationError, Annotator, Caption};
use crate::export::faces::{LOOK_AHEAD_SECS, Scene};
use crate::export::{ExportError, Faces, PoseJsonWriter, VideoOutputs};
use crate::hashing::{hash_file, hash_file_unless};
use crate::lake::{
    LakeError, LakePaths, PersonRecord, PersonRow, PictureRecord, StagedVideo, VideoRecord,
    VideoWriter, to_lake_resolution,
};
use crate::metrics::Measurer;
use crate::pose::{HeldBack, PersonPose, PoseBackend, PoseError, PoseTimings, Provider};
use crate::store::StoreError;
use crate::sync::Cancellation;
use crate::video::{
    CaptureTags, Conversion, Frame, MediaPosition, MediaTime, ReadSummary, VideoError, VideoInfo,
    VideoReader,
};

/// Frames with their poses that wait to be drawn on.
const QUEUED_ESTIMATES: usize = 2;
/// Hex digits of a content hash that are kept: 128 bits.
const HASH_DIGITS: usize = 32;

/// Seconds that each stage was busy; stages overlap, so the sum is more than the time that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Reading the file for its identity.
    pub hash_secs: f64,
    /// Demuxing, decoding, conversion to upright square pixels where it is not done on demand.
    pub decode_secs: f64,
    /// Runs of the detector, with the crops that it is given, and the conversion of what they show.
    pub detector_secs: f64,
    /// Cutting regions out of frames for the landmark model, and converting what they show.
    pub crop_secs: f64,
    /// Runs of the landmark model.
    pub landmark_model_secs: f64,
    /// Decoding of tensors, smoothing, telling people apart.
    pub tracking_secs: f64,
    /// Measuring poses, after rounding them to what the lake stores.
    pub metrics_secs: f64,
    /// Drawing and encoding.
    pub annotate_secs: f64,
    /// Parquet files and pose files.
    pub write_secs: f64,
    /// The transaction that makes the video part of the lake, and waiting for its turn.
    pub commit_secs: f64,
    /// The decoder waited for memory: for a buffer to come back.
    pub wait_for_memory_secs: f64,
    /// The worker waited for frames.
    pub wait_for_frames_secs: f64,
    /// The worker waited for drawing and encoding.
    pub wait_for_video_secs: f64,
}

impl StageTimes {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            hash_secs: self.hash_secs + other.hash_secs,
            decode_secs: self.decode_secs + other.decode_secs,
            detector_secs: self.detector_secs + other.detector_secs,
            crop_secs: self.crop_secs + other.crop_secs,
            landmark_model_secs: self.landmark_model_secs + other.landmark_model_secs,
            tracking_secs: self.tracking_secs + other.tracking_secs,
            metrics_secs: self.metrics_secs + other.metrics_secs,
            annotate_secs: self.annotate_secs + other.annotate_secs,
            write_secs: self.write_secs + other.write_secs,
            commit_secs: self.commit_secs + other.commit_secs,
            wait_for_memory_secs: self.wait_for_memory_secs + other.wait_for_memory_secs,
            wait_for_frames_secs: self.wait_for_frames_secs + other.wait_for_frames_secs,
            wait_for_video_secs: self.wait_for_video_secs + other.wait_for_video_secs,
        }
    }
}

/// Why a video was not finished.
pub enum Interruption {
    Stopped,
    Video(VideoError),
    Store(StoreError),
    /// A video from elsewhere is none; in words that name its address.
    Fetched(String),
    Lake(LakeError),
    Pose(PoseError),
    Memory(MemoryError),
    Annotation(AnnotationError),
    Export(ExportError),
    SlowMotion(SlowMotionError),
    Panic(PanicError),
}

/// One video and everything that its processing has to know.
pub struct VideoJob<'a> {
    pub path: &'a Path,
    pub video_id: &'a str,
    pub config_json: &'a str,
    pub config_hash: &'a str,
    /// What the user wants; `rows` has what becomes of it for this video.
    pub slow_motion: SlowMotion,
    pub tags: CaptureTags,
    pub rows: &'a RowConfig,
    pub lake: &'a LakePaths,
    pub memory: &'a MemoryPlan,
    pub cores: usize,
    /// Who beside the worker's models is at work.
    pub at_work: &'a AtWork,
    pub provider: Provider,
    /// Frames that the decoder hands on at once.
    pub batch_size: usize,
    pub outputs: &'a VideoOutputs,
    pub cancellation: &'a Cancellation,
    /// Called with the number of frames that the container suggests.
    pub on_start: &'a (dyn Fn(Option<u64>) + Sync),
    pub on_frame: &'a (dyn Fn() + Sync),
}

impl VideoJob<'_> {
    /// Opens the part of the video that is wanted.
    fn open(&self) -> Result<VideoReader, VideoError> {
        let reader = VideoReader::open_unless(self.path, self.cancellation)?;
        Ok(reader.with_range(self.rows.range).beside_others())
    }
}

/// A video whose rows are on the disk, ready to be committed.
pub struct Processed {
    pub record: VideoRecord,
    pub persons: Vec<PersonRecord>,
    pub staged: StagedVideo,
    pub stages: StageTimes,
    /// What the user is to be told.
    pub notes: Vec<String>,
}

/// A video's identity: the BLAKE3 hash of its bytes.
///
/// # Errors
/// When the file cannot be read.
pub fn video_id(path: &Path) -> Result<String, VideoError> {
    let (hash, _) = hash_file(path).map_err(|e| VideoError::unreadable(path, &e))?;
    Ok(short_hash(hash))
}

/// The same until it is cancelled.
///
/// # Errors
/// As [`video_id`], and [`VideoError::Stopped`] when it is cancelled.
pub fn video_id_unless(path: &Path, cancellation: &Cancellation) -> Result<String, VideoError> {
    let hash = hash_file_unless(path, || cancellation.is_cancelled());
    let hash = hash.map_err(|e| VideoError::unreadable(path, &e))?;
    hash.map(short_hash).ok_or(VideoError::Stopped)
}

/// The first 128 bits of a hash in hex.
pub fn short_hash(hash: blake3::Hash) -> String {
    hash.to_hex()[..HASH_DIGITS].to_owned()
}

/// Takes a video from its file to staged rows and finished outputs. `backend` is called when the
/// first frame is on its way, so that loading models overlaps with decoding.
pub fn process<'b>(
    job: &VideoJob<'_>,
    backend: impl FnOnce() -> Result<&'b mut Box<dyn PoseBackend>, PoseError>,
) -> Result<Processed, Interruption> {
    let reader = job.open()?;
    let info = reader.info().clone();
    (job.on_start)(info.frame_count_hint);
    let looks_ahead = job.rows.looks_ahead() || job.outputs.faces == Faces::Blurred;
    let drawing = match (&job.outputs.annotated_video, looks_ahead) {
        (None, _) => Drawing::Off,
        (Some(_), false) => Drawing::WithEstimates,
        (Some(_), true) => Drawing::Again,
    };
    // Frames that are drawn on are needed whole.
    let reader = match drawing {
        Drawing::Off | Drawing::Again => reader.with_conversion(Conversion::OnDemand),
        Drawing::WithEstimates => reader,
    };
    let persons = (job.rows.people).map_or(1, |people| usize::from(people.max_persons.get()));
    let threads = FrameThreads {
        decoding: job.cores,
        looking: persons.min(job.cores),
    };
    let waiting = Instant::now();
    let pool = FramePool::reserve(job.memory, &info, threads, drawing, job.path)?;
    let wait_for_room = waiting.elapsed();
    let times = RealTimes::of(
        job.path,
        job.slow_motion,
        job.rows.slow_motion,
        job.tags,
        job.cancellation,
    )?;
    // It holds all buffers, so that sending one never waits for itself.
    let (frame_sender, frames) = bounded(pool.capacity());
    let (returner, used_frames) = returned(job.at_work);
    let (row_sender, rows) = bounded(QUEUED_ROWS);
    let writer = VideoWriter::create(job.lake, &job.rows.sport, job.video_id)?;
    let pose_json = match &job.outputs.pose_json {
        Some(path) => Some(PoseJsonWriter::create(path)?),
        None => None,
    };
    let annotator = match &job.outputs.annotated_video {
        Some(path) => {
            let caption = Caption::new(&job.rows.sport, times.lake_factor());
            let caption = caption.with_faces(job.outputs.faces);
            let annotator = Annotator::create(path, &info, caption)?;
            let annotator = annotator.with_waiting(pool.encoding_pictures());
            Some(annotator.counted_in(job.at_work))
        }
        None => None,
    };

    let at_work = job.at_work;
    std::thread::scope(|scope| {
        let batch_size = job.batch_size;
        let decoder = scope.spawn(move || {
            decode(
                reader,
                pool,
                batch_size,
                &frame_sender,
                &used_frames,
                at_work,
            )
        });
        let cancellation = job.cancellation;
        let writing = scope.spawn(move || write(writer, pose_json, &rows, cancellation));
        // Each sender has one owner, so that a stage that fails is noticed by those before it.
        let (next, drawing) = match annotator {
            Some(annotator) if drawing == Drawing::Again => {
                let (drawn_sender, to_draw) = bounded(QUEUED_ROWS);
                let drawing =
                    scope.spawn(move || annotate_again(job, annotator, &to_draw, &row_sender));
                (Next::Rows(Arc::new(returner), drawn_sender), Some(drawing))
            }
            Some(annotator) => {
                let (estimate_sender, estimates) = bounded(QUEUED_ESTIMATES);
                let drawing = scope.spawn(move || {
                    annotate(annotator, &estimates, &returner, &row_sender, at_work)
                });
                (Next::Draw(estimate_sender), Some(drawing))
            }
            None => (Next::Rows(Arc::new(returner), row_sender), None),
        };
        let estimated = backend().map_err(Interruption::from).and_then(|backend| {
            backend.start_video();
            let mut estimation = Estimation::new(job, &info, times);
            let result = estimation.run(backend.as_mut(), &frames, &next);
            result.map(|()| estimation)
        });
        // Without receivers and senders the other threads come to their ends.
        drop((frames, next));
        let decoded = joined(decoder.join());
        let drawn = drawing.map(|drawing| joined(drawing.join())).transpose();
        let written = joined(writing.join());
        let mut estimation = estimated?;
        let decoded = decoded?;
        let drawn = drawn?;
        let (staged, pose_json, write_time) = written?;
        let stages = &mut estimation.stages;
        stages.decode_secs = decoded.busy.as_secs_f64();
        stages.wait_for_memory_secs = (decoded.waiting + wait_for_room).as_secs_f64();
        // Only files of a video that was read to its end get their names.
        if let Some(pose_json) = pose_json {
            pose_json.finish()?;
        }
        if let Some((annotator, draw_time)) = drawn {
            let finishing = Instant::now();
            annotator.finish(cancellation)?;
            stages.annotate_secs = (draw_time + finishing.elapsed()).as_secs_f64();
        }
        stages.write_secs = write_time.as_secs_f64();
        let warnings = info.warnings.iter().chain(&decoded.summary.warnings);
        let mut notes: Vec<String> = warnings.map(|text| format!("note: {text}")).collect();
        notes.append(&mut estimation.times.notes);
        Ok(Processed {
            record: estimation.record(&info, &decoded.summary)?,
            persons: estimation.persons.finish(job.rows.pick),
            staged,
            stages: estimation.stages,
            notes,
        })
    })
}

/// Passes a thread's panic on.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How long decoding took, how long it waited, and what it found.
struct Decoded {
    busy: Duration,
    waiting: Duration,
    summary: ReadSummary,
}

/// Decodes the whole video; hands frames on in batches, or fewer when no buffer is free.
///
/// It works in bursts: when all buffers are full it waits until half of them have come back, so that the models
/// have all cores meanwhile.
fn decode(
    mut reader: VideoReader,
    mut pool: FramePool,
    batch_size: usize,
    frames: &Sender<Vec<Frame>>,
    used: &Returned,
    at_work: &AtWork,
) -> Result<Decoded, Interruption> {
    let mut decoded = Decoded {
        busy: Duration::ZERO,
        waiting: Duration::ZERO,
        summary: ReadSummary::default(),
    };
    let mut batch = Vec::new();
    let mut changes_seen = 0;
    let mut free_frames: Vec<Frame> = Vec::new();
    let mut working = Some(at_work.begin());
    loop {
        if free_frames.is_empty() {
            free_frames = used.take();
        }
        let mut free = free_frames.pop().or_else(|| pool.another());
        if free.is_none() {
            // What is held back here might be what the others wait for.
            if !batch.is_empty() && frames.send(std::mem::take(&mut batch)).is_err() {
                return Ok(decoded);
            }
            let waiting = Instant::now();
            // They all come back, since nobody who has one waits for another.
            (free_frames, working) = used.wait_for(pool.made().div_ceil(2), working);
            free = free_frames.pop();
            decoded.waiting += waiting.elapsed();
        }
        // A worker that gave up has dropped its ends of the channels.
        let Some(mut frame) = free else {
            return Ok(decoded);
        };
        let started = Instant::now();
        let is_frame = reader.read(&mut frame)?;
        decoded.busy += started.elapsed();
        if !is_frame {
            decoded.summary = reader.summary().clone();
            if !batch.is_empty() {
                // A worker that gave up needs no frames.
                let _ = frames.send(batch);
            }
            return Ok(decoded);
        }
        // There may be some before the part of the video that is wanted.
        for change in &reader.summary().size_changes[changes_seen..] {
            pool.grow(change.width_px, change.height_px)?;
            changes_seen += 1;
        }
        batch.push(frame);
        if batch.len() >= batch_size && frames.send(std::mem::take(&mut batch)).is_err() {
            return Ok(decoded);
        }
    }
}

/// A frame with everybody in it, on its way to be drawn on.
struct Estimate {
    frame: Frame,
    rows: FrameRows,
}

/// Where a frame goes when its poses are known.
enum Next {
    Draw(Sender<Estimate>),
    /// The picture back to the decoder at once, the rows to who writes them, or draws before.
    Rows(Arc<Returner>, Sender<FrameRows>),
}

/// Draws on frames and encodes them, then lets go of them.
fn annotate(
    mut annotator: Annotator,
    estimates: &Receiver<Estimate>,
    used: &Returner,
    rows: &Sender<FrameRows>,
    at_work: &AtWork,
) -> Result<(Annotator, Duration), Interruption> {
    let mut busy = Duration::ZERO;
    for Estimate {
        mut frame,
        rows: row,
    } in estimates
    {
        let _working = at_work.begin();
        let started = Instant::now();
        let scene = Scene {
            time_secs: row.1.as_secs(),
            persons: &row.2,
            later: &[],
        };
        annotator.push(&mut frame, scene)?;
        busy += started.elapsed();
        used.push(frame);
        if rows.send(row).is_err() {
            // The writer has failed, and its error is the one to report.
            break;
        }
    }
    Ok((annotator, busy))
}

/// Decodes the video once more, and draws on its frames what comes later than they did.
fn annotate_again(
    job: &VideoJob<'_>,
    mut annotator: Annotator,
    estimated: &Receiver<FrameRows>,
    rows: &Sender<FrameRows>,
) -> Result<(Annotator, Duration), Interruption> {
    // As many frames may wait here as would take much longer than a cancellation may.
    let mut reader = job.open()?;
    let mut frame = Frame::default();
    let mut busy = Duration::ZERO;
    // Rows of frames that are still to be drawn on.
    let mut coming: VecDeque<FrameRows> = VecDeque::new();
    let reach_secs = match job.outputs.faces {
        Faces::Blurred => LOOK_AHEAD_SECS,
        Faces::Shown => 0.0,
    };
    while let Some(row) = coming.pop_front().or_else(|| estimated.recv().ok()) {
        let time_secs = row.1.as_secs();
        let is_near = |later: &FrameRows| later.1.as_secs() - time_secs <= reach_secs;
        while reach_secs > 0.0
            && coming.back().is_none_or(is_near)
            && let Ok(later) = estimated.recv()
        {
            coming.push_back(later);
        }
        let _working = job.at_work.begin();
        let started = Instant::now();
        if !reader.read(&mut frame)? || frame.index != row.0 {
            return Err(Interruption::Video(VideoError::Decode {
                path: job.path.into(),
                reason: format!("frame {} is not there when it is read again", row.0),
            }));
        }
        let later = coming.iter();
        let later: Vec<_> = later
            .map(|(_, time, persons)| (time.as_secs(), persons.as_slice()))
            .collect();
        let scene = Scene {
            time_secs,
            persons: &row.2,
            later: &later,
        };
        annotator.push(&mut frame, scene)?;
        busy += started.elapsed();
        if rows.send(row).is_err() {
            // The writer has failed, and its error is the one to report.
            break;
        }
    }
    Ok((annotator, busy))
}

/// A frame's number, its real time, and everybody in it.
type FrameRows = (u64, MediaTime, Vec<PersonRow>);

/// Writes the lake's files and the pose file; the latter has no name yet when this returns.
fn write(
    mut writer: VideoWriter,
    mut pose_json: Option<PoseJsonWriter>,
    rows: &Receiver<FrameRows>,
    cancellation: &Cancellation,
) -> Result<(StagedVideo, Option<PoseJsonWriter>, Duration), Interruption> {
    let mut busy = Duration::ZERO;
    for (frame, time, persons) in rows {
        let started = Instant::now();
        if let Some(pose_json) = &mut pose_json {
            pose_json.push(frame, time, &persons)?;
        }
        writer.push(frame, time, persons)?;
        busy += started.elapsed();
    }
    // The rows that are still to be written may be many.
    if cancellation.is_cancelled() {
        return Err(Interruption::Stopped);
    }
    let started = Instant::now();
    let staged = writer.finish()?;
    Ok((staged, pose_json, busy + started.elapsed()))
}

/// The worker's part of a video, and what it learns about it on the way.
struct Estimation<'a> {
    job: &'a VideoJob<'a>,
    times: RealTimes,
    held: HeldBack<(u64, f64)>,
    image_width_px: f64,
    image_height_px: f64,
    measurer: Measurer,
    /// Number and real time of the first frame.
    first: Option<(u64, f64)>,
    latest_secs: f64,
    frame_count: u64,
    pose_frame_count: u64,
    persons: PersonStatistics,
    last_step_secs: f64,
    stages: StageTimes,
}

impl<'a> Estimation<'a> {
    fn new(job: &'a VideoJob<'a>, info: &VideoInfo, times: RealTimes) -> Self {
        Self {
            job,
            held: HeldBack::new(0),
            image_width_px: f64::from(info.width),
            image_height_px: f64::from(info.height),
            measurer: Measurer::new(),
            first: None,
            latest_secs: 0.0,
            frame_count: 0,
            pose_frame_count: 0,
            persons: PersonStatistics::default(),
            last_step_secs: info.nominal_fps.map_or(0.0, |fps| 1.0 / fps / times.factor),
            times,
            stages: StageTimes::default(),
        }
    }

    fn run(
        &mut self,
        backend: &mut dyn PoseBackend,
        frames: &Receiver<Vec<Frame>>,
        next: &Next,
    ) -> Result<(), Interruption> {
        let timings_before = backend.timings();
        // Frames that are drawn on where they are cannot wait, and nobody else may have them.
        let returner = match next {
            Next::Rows(returner, _) => {
                self.held = HeldBack::new(backend.lookahead_frames());
                Some(Arc::clone(returner))
            }
            Next::Draw(_) => None,
        };
        let mut ahead = Ahead::new(backend, frames, returner);
        loop {
            let waiting = Instant::now();
            let Some(looked_at) = ahead.next(|frame| MediaTime::from_secs(self.time_secs(frame)))
            else {
                break;
            };
            self.stages.wait_for_frames_secs += waiting.elapsed().as_secs_f64();
            if self.job.cancellation.is_cancelled() {
                return Err(Interruption::Stopped);
            }
            let frame = looked_at.frame();
            let number = (frame.index, self.time_secs(frame));
            let poses = self.estimate(ahead.backend(), &looked_at, number.1)?;
            let earlier = ahead.backend().take_earlier();
            let ready = self.held.push(number, poses, earlier);
            if !self.hand_on(looked_at, ready, next) {
                // Another stage has failed, and its error is the one to report.
                return Ok(());
            }
            (self.job.on_frame)();
        }
        while let (Next::Rows(_, rows), Some(ready)) = (next, self.held.pop()) {
            if rows.send(self.measure(ready)).is_err() {
                return Ok(());
            }
        }
        self.add_timings(timings_before, ahead.backend().timings());
        Ok(())
    }

    /// When a frame was taken.
    fn time_secs(&self, frame: &Frame) -> f64 {
        frame.time.as_secs() / self.times.factor
    }

    /// Hands on the picture that was looked at, and the frame whose poses are `ready` now. `false`
    /// when nobody takes them any more.
    fn hand_on(
        &mut self,
        looked_at: Arc<LookedAt>,
        ready: Option<((u64, f64), Vec<PersonPose>)>,
        next: &Next,
    ) -> bool {
        let ready = ready.map(|ready| self.measure(ready));
        match next {
            Next::Draw(estimates) => {
                let Some(rows) = ready else {
                    return true;
                };
                let only = Arc::into_inner(looked_at);
                let frame = only
                    .expect("nobody is told of frames that are drawn on")
                    .into_frame();
                let waiting = Instant::now();
                let sent = estimates.send(Estimate { frame, rows });
                self.stages.wait_for_video_secs += waiting.elapsed().as_secs_f64();
                sent.is_ok()
            }
            Next::Rows(_, rows) => {
                drop(looked_at);
                let waiting = Instant::now();
                let sent = ready.is_none_or(|ready| rows.send(ready).is_ok());
                self.stages.wait_for_video_secs += waiting.elapsed().as_secs_f64();
                sent
            }
        }
    }

    fn estimate(
        &mut self,
        backend: &mut dyn PoseBackend,
        looked_at: &LookedAt,
        time_secs: f64,
    ) -> Result<Vec<PersonPose>, Interruption> {
        let pixels = looked_at.pixels().ok_or_else(|| VideoError::Decode {
            path: self.job.path.into(),
            reason: "a frame has no pixels".into(),
        })?;
        (self.image_width_px, self.image_height_px) =
            (pixels.width() as f64, pixels.height() as f64);
        // What is missing or made up in a damaged picture would be measured as if it were there.
        if looked_at.frame().is_corrupt {
            backend.skip();
            return Ok(Vec::new());
        }
        Ok(backend.estimate(pixels, MediaTime::from_secs(time_secs))?)
    }

    /// Measures everybody in the next frame, whose number and real time come first.
    fn measure(&mut self, ((frame, time_secs), poses): ((u64, f64), Vec<PersonPose>)) -> FrameRows {
        let started = Instant::now();
        let poses: Vec<PersonPose> = poses.into_iter().map(to_lake_resolution).collect();
        let image_size_px = [self.image_width_px, self.image_height_px];
        let metrics = self.measurer.measure(&poses, time_secs, image_size_px);
        self.persons.add(frame, time_secs, &poses, image_size_px);
        let persons: Vec<PersonRow> = poses
            .into_iter()
            .zip(metrics)
            .map(|(pose, metrics)| PersonRow { pose, metrics })
            .collect();
        self.first.get_or_insert((frame, time_secs));
        self.frame_count += 1;
        self.pose_frame_count += u64::from(!persons.is_empty());
        let step = self.measurer.clock().last_step();
        if step.is_step() {
            self.last_step_secs = step.elapsed_secs;
        }
        self.latest_secs = self.latest_secs.max(time_secs);
        self.stages.metrics_secs += started.elapsed().as_secs_f64();
        (frame, MediaTime::from_secs(time_secs), persons)
    }

    fn add_timings(&mut self, before: PoseTimings, after: PoseTimings) {
        let between =
            |part: fn(&PoseTimings) -> Duration| (part(&after) - part(&before)).as_secs_f64();
        self.stages.detector_secs = between(|t| t.detector);
        self.stages.crop_secs = between(|t| t.crop);
        self.stages.landmark_model_secs = between(|t| t.landmark_model);
        self.stages.tracking_secs = between(|t| t.tracking);
    }

    fn record(&self, info: &VideoInfo, read: &ReadSummary) -> Result<VideoRecord, VideoError> {
        let path = self.job.path;
        let metadata = fs::metadata(path).map_err(|e| VideoError::unreadable(path, &e))?;
        let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let file_name = path.file_name().unwrap_or(path.as_os_str());
        let range = self.job.rows.range;
        let (first_frame, first_secs) = match self.first {
            Some(first) if !range.is_whole() => first,
            _ => (0, 0.0),
        };
        let place = |position: MediaPosition| position.to_string();
        Ok(VideoRecord {
            video_id: self.job.video_id.into(),
            sport: self.job.rows.sport.clone(),
            file_name: file_name.to_string_lossy().into_owned(),
            path: absolute.display().to_string(),
            file_bytes: metadata.len(),
            width_px: self.image_width_px as u32,
            height_px: self.image_height_px as u32,
            rotation_deg: info.rotation_deg,
            codec: info.codec.clone(),
            fps: self.measurer.clock().rate_hz(),
            frame_count: self.frame_count,
            first_frame,
            range_from: range.from.map(place),
            range_to: range.to.map(place),
            duration_secs: self.latest_secs - first_secs + self.last_step_secs,
            pose_frame_count: self.pose_frame_count,
            pose_model: self.job.rows.pose_model.clone(),
            pose_model_sha256: self.job.rows.pose_model_sha256.clone(),
            config: self.job.config_json.into(),
            config_hash: self.job.config_hash.into(),
            picture: PictureRecord {
                coded_width_px: Some(info.coded_width),
                coded_height_px: Some(info.coded_height),
                mirrored: Some(info.is_mirrored),
                color_transfer: info.colors.transfer_name(),
                size_changes: (!read.size_changes.is_empty()).then(|| {
                    serde_json::to_string(&read.size_changes).expect("plain structs of numbers")
                }),
                corrupt_frame_count: read.corrupt_frames,
            },
            slow_motion_factor: self.times.lake_factor(),
            capture_fps: self.times.capture_fps,
            source_etag: None,
            provider: Some(self.job.provider.name().into()),
        })
    }
}
