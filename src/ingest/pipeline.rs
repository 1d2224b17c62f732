//! One video's way: it is decoded, the worker estimates poses, they are drawn and encoded, rows are
//! written. But for the estimating these are stages of a [`Crew`], to which the worker belongs as well when
//! it has to wait.
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

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;

use super::looked_at::{Ahead, LookedAt};
use super::memory::{Drawing, FramePool, FrameThreads, MemoryPlan, QUEUED_ROWS};
use super::persons::PersonStatistics;
use super::returned::{Returner, returned};
use super::row_config::RowConfig;
use super::slow_motion::{RealTimes, SlowMotion};
pub use super::stages::Interruption;
use super::stages::{
    Decoding, DrawingAgain, DrawingOnEstimates, Estimate, FrameRows, Writing, stage,
};
use crate::at_work::AtWork;
use crate::crew::{Crew, Stage};
use crate::export::annotation::{Annotator, Caption};
use crate::export::{Faces, PoseJsonWriter, VideoOutputs};
use crate::hashing::{hash_file, hash_file_unless};
use crate::lake::{
    LakePaths, PersonRecord, PersonRow, PictureRecord, StagedVideo, VideoRecord, VideoWriter,
    to_lake_resolution,
};
use crate::metrics::Measurer;
use crate::pose::{HeldBack, PersonPose, PoseBackend, PoseError, PoseTimings, Provider};
use crate::sync::Cancellation;
use crate::video::{
    CaptureTags, Conversion, Frame, MediaPosition, MediaTime, ReadSummary, VideoError, VideoInfo,
    VideoReader,
};

/// Frames with their poses that wait to be drawn on.
const QUEUED_ESTIMATES: usize = 2;
/// Rows that are worth a thread's being woken.
const ROWS_AT_ONCE: usize = 8;
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
    /// The worker had no frame, and waited or did another stage's work.
    pub wait_for_frames_secs: f64,
    /// The same where drawing and encoding did not follow.
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
    /// Threads that do the video's stages beside the worker's.
    pub crew_threads: usize,
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
    let writing = Writing {
        writer: VideoWriter::create(job.lake, &job.rows.sport, job.video_id)?,
        pose_json: match &job.outputs.pose_json {
            Some(path) => Some(PoseJsonWriter::create(path)?),
            None => None,
        },
        rows,
        cancellation: job.cancellation,
        busy: Duration::ZERO,
    };
    let caption = Caption::new(&job.rows.sport, times.lake_factor());
    let annotator = annotator(job, &info, caption, pool.encoding_pictures())?;
    let decoding = Decoding::new(reader, pool, job.batch_size, frame_sender, used_frames);

    let (mut decoded, mut drawn, mut written) = (None, None, None);
    // What is nearly done comes first, so that little waits. Each sender has one owner, so that a stage that
    // fails is noticed by those before it.
    let mut stages: Vec<Stage<'_>> = Vec::new();
    let next = match annotator {
        Some(mut annotator) => {
            if let Some(mut encoding) = annotator.take_work() {
                stages.push(Box::new(move || encoding.step()));
            }
            match drawing {
                Drawing::Again => {
                    let (drawn_sender, to_draw) = bounded(QUEUED_ROWS);
                    let again = (job.open()?, job.path.to_path_buf());
                    let faces = job.outputs.faces;
                    let again = DrawingAgain::new(again, annotator, faces, to_draw, row_sender);
                    stages.push(stage(again, &mut drawn));
                    Next::Rows(Arc::new(returner), drawn_sender)
                }
                Drawing::Off | Drawing::WithEstimates => {
                    let (estimate_sender, estimates) = bounded(QUEUED_ESTIMATES);
                    let drawing =
                        DrawingOnEstimates::new(annotator, estimates, returner, row_sender);
                    stages.push(stage(drawing, &mut drawn));
                    Next::Draw(estimate_sender)
                }
            }
        }
        None => Next::Rows(Arc::new(returner), row_sender),
    };
    stages.push(stage(writing, &mut written));
    stages.push(stage(decoding, &mut decoded));
    let crew = Crew::new(stages, job.at_work.clone());
    let estimated = std::thread::scope(|scope| {
        // The last to go: without receivers and senders the stages come to their ends, if somebody looks.
        let _change = job.at_work.change_at_end();
        let (frames, next) = (frames, next);
        for _ in 0..job.crew_threads {
            scope.spawn(|| crew.work());
        }
        let estimated = backend().map_err(Interruption::from).and_then(|backend| {
            backend.start_video();
            let mut estimation = Estimation::new(job, &info, times);
            let result = estimation.run(backend.as_mut(), &frames, &next, &crew);
            result.map(|()| estimation)
        });
        drop((frames, next));
        crew.change();
        crew.work();
        estimated
    });
    if let Some(panic) = crew.into_panic() {
        std::panic::resume_unwind(panic);
    }
    let mut estimation = estimated?;
    let decoded = ended(decoded)?;
    let drawn = drawn.transpose()?;
    let written = ended(written)?;
    let stages = &mut estimation.stages;
    stages.decode_secs = decoded.busy.as_secs_f64();
    stages.wait_for_memory_secs = (decoded.waiting + wait_for_room).as_secs_f64();
    // Only files of a video that was read to its end get their names.
    if let Some(pose_json) = written.pose_json {
        pose_json.finish()?;
    }
    if let Some(drawn) = drawn {
        let finishing = Instant::now();
        drawn.annotator.finish(job.cancellation)?;
        stages.annotate_secs = (drawn.busy + finishing.elapsed()).as_secs_f64();
    }
    stages.write_secs = written.busy.as_secs_f64();
    let warnings = info.warnings.iter().chain(&decoded.summary.warnings);
    let mut notes: Vec<String> = warnings.map(|text| format!("note: {text}")).collect();
    notes.append(&mut estimation.times.notes);
    Ok(Processed {
        record: estimation.record(&info, &decoded.summary)?,
        persons: estimation.persons.finish(job.rows.pick),
        staged: written.staged,
        stages: estimation.stages,
        notes,
    })
}

/// Starts the annotated video if it is wanted; so many pictures may wait to be encoded.
fn annotator(
    job: &VideoJob<'_>,
    info: &VideoInfo,
    caption: Caption,
    encoding_pictures: usize,
) -> Result<Option<Annotator>, Interruption> {
    let Some(path) = &job.outputs.annotated_video else {
        return Ok(None);
    };
    let caption = caption.with_faces(job.outputs.faces);
    let annotator = Annotator::create(path, info, caption)?;
    Ok(Some(annotator.with_waiting(encoding_pictures)))
}

/// What a stage has left.
fn ended<T>(result: Option<Result<T, Interruption>>) -> Result<T, Interruption> {
    result.expect("the crew has done all stages, and none has panicked")
}

/// Where a frame goes when its poses are known.
enum Next {
    Draw(Sender<Estimate>),
    /// The picture back to the decoder at once, the rows to who writes them, or draws before.
    Rows(Arc<Returner>, Sender<FrameRows>),
}

/// Sends something, and does other stages' work while there is no room for it. `false` when nobody takes it
/// any more.
fn send<T>(to: &Sender<T>, what: T, crew: &Crew<'_>) -> bool {
    let mut what = Some(what);
    crew.work_until(|| match to.try_send(what.take()?) {
        Ok(()) => Some(true),
        Err(TrySendError::Disconnected(_)) => Some(false),
        Err(TrySendError::Full(back)) => {
            what = Some(back);
            None
        }
    })
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
        crew: &Crew<'_>,
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
            let time = |frame: &Frame| MediaTime::from_secs(self.time_secs(frame));
            let Some(looked_at) = ahead.next(time, crew) else {
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
            if !self.hand_on(looked_at, ready, next, crew) {
                // Another stage has failed, and its error is the one to report.
                return Ok(());
            }
            (self.job.on_frame)();
        }
        while let (Next::Rows(_, rows), Some(ready)) = (next, self.held.pop()) {
            if !send(rows, self.measure(ready), crew) {
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
        crew: &Crew<'_>,
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
                let sent = send(estimates, Estimate { frame, rows }, crew);
                crew.change();
                self.stages.wait_for_video_secs += waiting.elapsed().as_secs_f64();
                sent
            }
            Next::Rows(_, rows) => {
                drop(looked_at);
                let waiting = Instant::now();
                let sent = ready.is_none_or(|ready| send(rows, ready, crew));
                if rows.len() >= ROWS_AT_ONCE {
                    crew.change();
                }
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
