//! One video's way: a thread decodes, the worker estimates poses, a thread writes rows.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use super::{RowConfig, secs};
use crate::lake::{
    LakeError, LakePaths, PersonRow, StagedVideo, VideoRecord, VideoWriter, to_lake_resolution,
};
use crate::metrics::{FrameMetrics, TimedPose};
use crate::pose::{PersonPose, PoseBackend, PoseError, PoseTimings};
use crate::video::{Frame, MediaTime, VideoError, VideoInfo, VideoReader};

/// Decoded frames that wait for a worker take at most this much memory.
pub const QUEUE_BYTES: usize = 48 << 20;
/// More waiting frames than this smooth nothing out, and fall out of the processor's cache before
/// they are looked at.
const MAX_QUEUED_FRAMES: usize = 4;
/// Below two the stages would take turns instead of overlapping.
const MIN_QUEUED_FRAMES: usize = 2;
/// Rows that wait for the writer, in frames.
const QUEUED_ROWS: usize = 256;
/// Hex digits of a content hash that are kept: 128 bits.
const HASH_DIGITS: usize = 32;

/// Seconds that each stage was busy; stages overlap, so the sum is more than the time that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    pub hash_secs: f64,
    pub decode_secs: f64,
    pub detector_secs: f64,
    pub crop_secs: f64,
    pub landmark_model_secs: f64,
    pub tracking_secs: f64,
    pub metrics_secs: f64,
    pub write_secs: f64,
    pub commit_secs: f64,
    /// The worker waited for frames.
    pub wait_for_frames_secs: f64,
}

impl StageTimes {
    pub fn plus(self, other: Self) -> Self {
        Self {
            hash_secs: self.hash_secs + other.hash_secs,
            decode_secs: self.decode_secs + other.decode_secs,
            detector_secs: self.detector_secs + other.detector_secs,
            crop_secs: self.crop_secs + other.crop_secs,
            landmark_model_secs: self.landmark_model_secs + other.landmark_model_secs,
            tracking_secs: self.tracking_secs + other.tracking_secs,
            metrics_secs: self.metrics_secs + other.metrics_secs,
            write_secs: self.write_secs + other.write_secs,
            commit_secs: self.commit_secs + other.commit_secs,
            wait_for_frames_secs: self.wait_for_frames_secs + other.wait_for_frames_secs,
        }
    }
}

/// Why a video was not finished.
pub enum Interruption {
    Stopped,
    Video(VideoError),
    Lake(LakeError),
    Pose(PoseError),
}

/// One video and everything that its processing has to know.
pub struct VideoJob<'a> {
    pub path: &'a Path,
    pub video_id: &'a str,
    pub config_json: &'a str,
    pub config_hash: &'a str,
    pub rows: &'a RowConfig,
    pub lake: &'a LakePaths,
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
    /// Called with the number of frames that the container suggests.
    pub on_start: &'a (dyn Fn(Option<u64>) + Sync),
    pub on_frame: &'a (dyn Fn() + Sync),
}

/// A video whose rows are on the disk, ready to be committed.
pub struct Processed {
    pub record: VideoRecord,
    pub staged: StagedVideo,
    pub stages: StageTimes,
}

/// A video's identity: the BLAKE3 hash of its bytes.
///
/// # Errors
/// When the file cannot be read.
pub fn video_id(path: &Path) -> Result<String, VideoError> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_mmap_rayon(path)
        .map_err(|e| VideoError::Unreadable {
            path: path.into(),
            reason: e.to_string(),
        })?;
    Ok(short_hash(hasher.finalize()))
}

/// The first 128 bits of a hash in hex.
pub fn short_hash(hash: blake3::Hash) -> String {
    hash.to_hex()[..HASH_DIGITS].to_owned()
}

/// Takes a video from its file to staged rows. `backend` is called when the first frame is on its
/// way, so that loading models overlaps with decoding.
pub fn process<'b>(
    job: &VideoJob<'_>,
    backend: impl FnOnce() -> Result<&'b mut Box<dyn PoseBackend>, PoseError>,
) -> Result<Processed, Interruption> {
    let reader = VideoReader::open(job.path)?;
    let info = reader.info().clone();
    (job.on_start)(info.frame_count_hint);
    let frame_bytes = 3 * info.width as usize * info.height as usize;
    let queued_frames =
        (QUEUE_BYTES / frame_bytes.max(1)).clamp(MIN_QUEUED_FRAMES, MAX_QUEUED_FRAMES);
    let (frame_sender, frames) = bounded(queued_frames);
    // Pictures go back to the decoder; one more is in the worker's hands and one in the decoder's.
    let (used_sender, used_frames) = bounded(queued_frames + 2);
    let (row_sender, rows) = bounded(QUEUED_ROWS);
    let ingest_id = format!("{}-{}", &job.config_hash[..8], unique_suffix());
    let writer = VideoWriter::create(job.lake, &job.rows.sport, job.video_id, &ingest_id)?;

    std::thread::scope(|scope| {
        let decoder = scope.spawn(move || decode(reader, &frame_sender, &used_frames));
        let writing = scope.spawn(move || write(writer, &rows));
        let estimated = backend().map_err(Interruption::from).and_then(|backend| {
            backend.start_video();
            let mut estimation = Estimation::new(job, &info);
            let result = estimation.run(backend.as_mut(), &frames, &used_sender, &row_sender);
            result.map(|()| estimation)
        });
        // Without receivers and senders the other two threads come to their ends.
        drop((frames, used_sender, row_sender));
        let decoded = joined(decoder.join());
        let written = joined(writing.join());
        let mut estimation = estimated?;
        estimation.stages.decode_secs = secs(decoded?);
        let (staged, write_time) = written?;
        estimation.stages.write_secs = secs(write_time);
        Ok(Processed {
            record: estimation.record(&info)?,
            staged,
            stages: estimation.stages,
        })
    })
}

/// Passes a thread's panic on.
fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Keeps two ingests of one video in different processes, or one after the other, apart.
fn unique_suffix() -> String {
    let now = std::time::SystemTime::now();
    let nanos = now
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos());
    format!("{:x}-{nanos:x}", std::process::id())
}

/// Decodes the whole video; gives the time that decoding took.
fn decode(
    mut reader: VideoReader,
    frames: &Sender<Frame>,
    used: &Receiver<Frame>,
) -> Result<Duration, VideoError> {
    let mut busy = Duration::ZERO;
    loop {
        let mut frame = used.try_recv().unwrap_or_default();
        let started = Instant::now();
        let is_frame = reader.read(&mut frame)?;
        busy += started.elapsed();
        // A worker that gave up has dropped the receiver.
        if !is_frame || frames.send(frame).is_err() {
            return Ok(busy);
        }
    }
}

type FrameRows = (u64, MediaTime, Vec<PersonRow>);

fn write(
    mut writer: VideoWriter,
    rows: &Receiver<FrameRows>,
) -> Result<(StagedVideo, Duration), LakeError> {
    let mut busy = Duration::ZERO;
    for (frame, time, persons) in rows {
        let started = Instant::now();
        writer.push(frame, time, persons)?;
        busy += started.elapsed();
    }
    let started = Instant::now();
    let staged = writer.finish()?;
    Ok((staged, busy + started.elapsed()))
}

/// The worker's part of a video, and what it learns about it on the way.
struct Estimation<'a> {
    job: &'a VideoJob<'a>,
    image_width_px: f64,
    image_height_px: f64,
    /// Everybody in the frame before, with that frame's time.
    before: Vec<PersonPose>,
    before_secs: f64,
    frame_count: u64,
    pose_frame_count: u64,
    last_step_secs: f64,
    stages: StageTimes,
}

impl<'a> Estimation<'a> {
    fn new(job: &'a VideoJob<'a>, info: &VideoInfo) -> Self {
        Self {
            job,
            image_width_px: f64::from(info.width),
            image_height_px: f64::from(info.height),
            before: Vec::new(),
            before_secs: 0.0,
            frame_count: 0,
            pose_frame_count: 0,
            last_step_secs: info.nominal_fps.map_or(0.0, |fps| 1.0 / fps),
            stages: StageTimes::default(),
        }
    }

    fn run(
        &mut self,
        backend: &mut dyn PoseBackend,
        frames: &Receiver<Frame>,
        used: &Sender<Frame>,
        rows: &Sender<FrameRows>,
    ) -> Result<(), Interruption> {
        let timings_before = backend.timings();
        loop {
            let waiting = Instant::now();
            let Ok(frame) = frames.recv() else {
                break;
            };
            self.stages.wait_for_frames_secs += secs(waiting.elapsed());
            if (self.job.is_stopped)() {
                return Err(Interruption::Stopped);
            }
            let persons = self.measure(backend, &frame)?;
            let row = (frame.index, frame.time, persons);
            // The decoder has gone when the video has ended; then nobody needs the picture.
            let _ = used.try_send(frame);
            if rows.send(row).is_err() {
                // The writer has failed, and its error is the one to report.
                return Ok(());
            }
            (self.job.on_frame)();
        }
        self.add_timings(timings_before, backend.timings());
        Ok(())
    }

    fn measure(
        &mut self,
        backend: &mut dyn PoseBackend,
        frame: &Frame,
    ) -> Result<Vec<PersonRow>, Interruption> {
        let view = frame.view().ok_or_else(|| VideoError::Decode {
            path: self.job.path.into(),
            reason: "a frame has no pixels".into(),
        })?;
        (self.image_width_px, self.image_height_px) = (view.width() as f64, view.height() as f64);
        let poses = backend.estimate(view)?;
        let started = Instant::now();
        let time_secs = frame.time.as_secs();
        let timed = |pose, time_secs| TimedPose {
            pose,
            time_secs,
            image_width_px: self.image_width_px,
            image_height_px: self.image_height_px,
        };
        let poses: Vec<PersonPose> = poses.into_iter().map(to_lake_resolution).collect();
        let persons = poses
            .iter()
            .map(|pose| {
                let before = self.before.iter().find(|p| p.person == pose.person);
                let before = before.map(|pose| timed(pose, self.before_secs));
                PersonRow {
                    metrics: FrameMetrics::new(timed(pose, time_secs), before),
                    pose: pose.clone(),
                }
            })
            .collect();
        self.frame_count += 1;
        self.pose_frame_count += u64::from(!poses.is_empty());
        if self.frame_count > 1 {
            self.last_step_secs = time_secs - self.before_secs;
        }
        self.before = poses;
        self.before_secs = time_secs;
        self.stages.metrics_secs += secs(started.elapsed());
        Ok(persons)
    }

    fn add_timings(&mut self, before: PoseTimings, after: PoseTimings) {
        let between = |part: fn(&PoseTimings) -> Duration| secs(part(&after) - part(&before));
        self.stages.detector_secs = between(|t| t.detector);
        self.stages.crop_secs = between(|t| t.crop);
        self.stages.landmark_model_secs = between(|t| t.landmark_model);
        self.stages.tracking_secs = between(|t| t.tracking);
    }

    fn record(&self, info: &VideoInfo) -> Result<VideoRecord, VideoError> {
        let path = self.job.path;
        let metadata = fs::metadata(path).map_err(|e| VideoError::Unreadable {
            path: path.into(),
            reason: e.to_string(),
        })?;
        let absolute = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let file_name = path.file_name().unwrap_or(path.as_os_str());
        let last_frame_secs = self.before_secs;
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
            fps: (last_frame_secs > 0.0).then(|| (self.frame_count - 1) as f64 / last_frame_secs),
            frame_count: self.frame_count,
            duration_secs: last_frame_secs + self.last_step_secs,
            pose_frame_count: self.pose_frame_count,
            pose_model: self.job.rows.pose_model.clone(),
            pose_model_sha256: self.job.rows.pose_model_sha256.clone(),
            config: self.job.config_json.into(),
            config_hash: self.job.config_hash.into(),
        })
    }
}
