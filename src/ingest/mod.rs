//! The main job: videos in, rows in the lake out.
//!
//! `plan` finds the videos, `pipeline` takes one video from its frames to staged files, this
//! module runs the videos over the workers and commits each.
//!
//! Resident per worker: a few decoded frames, what decoder and encoder keep, the models, and the
//! writer's chunk of rows; `memory` divides the run's budget between them. Nothing grows with a
//! video's length but the index of its annotated version, by sixteen bytes a frame.

mod backends;
mod commits;
mod failure;
mod history;
mod known;
mod located;
mod looked_at;
mod memory;
mod output_store;
mod panics;
mod persons;
mod pipeline;
mod plan;
mod returned;
mod row_config;
mod slow_motion;
mod sources;
mod stages;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use serde::Serialize;

use crate::analysis::AnalysisModel;
use crate::at_work::AtWork;
use crate::export::annotation::AnnotationError;
pub use crate::export::{AnnotatedVideo, Outputs, PoseJson};
use crate::export::{ExportError, VideoOutputs, shared_stems, unique_stem};
use crate::lake::{
    CommitOutcome, Lake, LakeError, LakePaths, PreparedVideo, Replace, VideoRecord, VideoSource,
};
use crate::pose::{ModelThreads, PoseBackend, PoseError, Provider};
use crate::store::{self, RemoteFile, S3Address, StoreError};
use crate::sync::{Cancellation, lock};
use crate::video::{EncodeError, VideoError, capture_tags, stated_frames};
pub use backends::Backends;
use commits::Commits;
pub use failure::{Failure, FailureKind};
pub use history::{RecordedIngest, run_recorded};
use known::KnownVideos;
use located::Located;
pub use memory::{MemoryError, MemoryPlan, database_bytes, worker_bytes};
use output_store::OutputStore;
pub use panics::PanicError;
use panics::caught;
use pipeline::{Interruption, VideoJob};
pub use pipeline::{StageTimes, video_id, video_id_unless};
use plan::{plan, plan_by_input};
pub use row_config::{PeopleConfig, PeopleFrom, RowConfig};
pub use slow_motion::{FACTORS, SlowMotion, in_words};
pub use sources::{LocalFile, Source, SourceError, annotate_all};

/// More threads than this do not make a model of this size faster.
const MAX_MODEL_THREADS: usize = 4;

/// A video has no more stages, and its models no more helpers.
const MAX_CREW_THREADS: usize = 4;

/// Threads that the models of one of so many workers on this machine use.
pub fn model_threads(workers: usize) -> ModelThreads {
    threads_of_worker(crate::resources::cores(), workers)
}

fn threads_of_worker(cores: usize, workers: usize) -> ModelThreads {
    let cores = cores / workers;
    let alone = cores.clamp(1, MAX_MODEL_THREADS);
    ModelThreads {
        alone,
        beside_others: cores.saturating_sub(1).clamp(1, alone),
        others: AtWork::of_crew(),
    }
}

/// Threads that do the stages of one of so many workers' videos, beside the worker's own.
fn threads_of_crew(cores: usize, workers: usize) -> usize {
    if cores < 2 {
        return 0;
    }
    // One at least, which has cores of workers that have nothing to do any more.
    (cores / workers)
        .saturating_sub(1)
        .clamp(1, MAX_CREW_THREADS)
}

/// Makes a worker's pose estimator, whose models use these threads.
pub type BackendFactory<'a> =
    dyn Fn(ModelThreads) -> Result<Box<dyn PoseBackend>, PoseError> + Sync + 'a;

/// Opens the lake's session; called once, beside the first decoding.
pub type LakeFactory<'a> = dyn Fn() -> Result<Lake, LakeError> + Sync + 'a;

/// A validated order to ingest.
pub struct IngestConfig {
    /// Files and folders.
    pub inputs: Vec<PathBuf>,
    /// Is made where there is none.
    pub lake: LakePaths,
    /// All that decides about the rows: models, thresholds, smoothing.
    pub rows: RowConfig,
    /// What is written beside the lake.
    pub outputs: Outputs,
    /// Where these files are sent to when they are whole, if they are not to stay in their folder.
    pub send_outputs_to: Option<S3Address>,
    /// Videos at once at most, and the memory that they share.
    pub memory: MemoryPlan,
    /// Frames that a decoder hands on at once.
    pub batch_size: NonZeroUsize,
    /// Cores that all workers share.
    pub cores: usize,
    /// What the workers' models run on.
    pub provider: Provider,
    /// What becomes of videos that the lake has with the same settings.
    pub replace: Replace,
}

impl IngestConfig {
    /// The inputs as they may be written down.
    pub fn shown_inputs(&self) -> Vec<String> {
        let inputs = self.inputs.iter().map(|input| input.to_string_lossy());
        inputs.map(|input| store::without_secrets(&input)).collect()
    }
}

/// Told what happens while it happens; called from several threads.
pub trait IngestObserver: Sync {
    /// Files of `bytes` together will be looked at.
    fn planned(&self, bytes: u64);
    /// The first frame of a video is about to be decoded. `video` is its number in the plan, from
    /// 0; `frame_count_hint` is what the container says, which may be wrong, or nothing.
    fn video_started(
        &self,
        video: usize,
        path: &Path,
        file_bytes: u64,
        frame_count_hint: Option<u64>,
    );
    /// A frame has gone through the pose models; it is not in the lake before the video is.
    fn frame_done(&self, video: usize);
    /// The last that is told of a video. Those that are skipped, or fail early, were never started.
    fn video_finished(&self, video: usize, report: &VideoReport);
}

/// What became of a video.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoOutcome {
    /// The video is new to the lake.
    Ingested,
    /// Rows of an earlier ingest with other settings were replaced.
    Replaced,
    /// The lake has just these rows already.
    Skipped,
    /// The lake has no rows of this attempt; earlier ones are as they were.
    Failed {
        /// Whether another attempt may go better.
        kind: FailureKind,
        /// The cause in words, with the file's path.
        error: String,
    },
    /// Given up, or never begun, because the run was called off or has failed as a whole.
    Cancelled,
}

/// What became of one video. Counts are 0 and lists empty where it was not ingested.
#[derive(Clone, Debug, Serialize)]
pub struct VideoReport {
    /// The file as it was found, or its address.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: PathBuf,
    /// [`VideoOutcome::Skipped`] for a copy of a video that this run has ingested, too.
    pub outcome: VideoOutcome,
    /// `None` where the video failed or was given up.
    pub video_id: Option<String>,
    /// Frames decoded, with or without a pose.
    pub frame_count: u64,
    /// Frames with at least one pose.
    pub pose_frame_count: u64,
    /// Frames and pictures that the decoder reported as damaged.
    pub corrupt_frame_count: u64,
    /// People told apart in the whole video.
    pub person_count: u64,
    /// Size of the Parquet files that the video has added.
    pub lake_bytes: u64,
    /// Files beside the lake that were written.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub outputs: Vec<PathBuf>,
    /// Files beside the lake that an earlier ingest did not write, or that are gone.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub missing_outputs: Vec<PathBuf>,
    /// Seconds in which each stage was busy; stages overlap.
    pub stages: StageTimes,
    /// What is odd about the file, and how it was read all the same.
    pub notes: Vec<String>,
}

impl VideoReport {
    /// The report in which the video has its own name, not that of the file it was fetched into.
    fn named(mut self, source: &Located) -> Self {
        if let VideoOutcome::Failed { error, .. } = &mut self.outcome {
            *error = source.named_text(error);
        }
        for note in &mut self.notes {
            *note = source.named_text(note);
        }
        self
    }

    fn without_rows(path: &Path, outcome: VideoOutcome) -> Self {
        Self {
            path: path.into(),
            outcome,
            video_id: None,
            frame_count: 0,
            pose_frame_count: 0,
            corrupt_frame_count: 0,
            person_count: 0,
            lake_bytes: 0,
            outputs: Vec::new(),
            missing_outputs: Vec::new(),
            stages: StageTimes::default(),
            notes: Vec::new(),
        }
    }
}

/// What became of everything.
#[derive(Clone, Debug, Serialize)]
pub struct IngestSummary {
    /// The lake's folder, or the address of its database.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub lake: PathBuf,
    /// One for each file of the plan, in its order and not in that of their ends.
    pub videos: Vec<VideoReport>,
    /// From the search for videos to the last commit.
    pub elapsed_secs: f64,
    /// The most that the process had resident; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What the whole process was allowed.
    pub memory_budget_bytes: u64,
    /// Videos that were worked on at once; fewer than allowed where there were fewer videos.
    pub workers: usize,
    /// What the models ran on.
    pub provider: Provider,
    /// Whether the CPU ran a part of the models that the provider does not take.
    pub is_partly_on_cpu: bool,
}

impl IngestSummary {
    /// The videos that are in the lake now, and have no rows of an analysis model yet.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn without_analysis(
        &self,
        lake: &Lake,
        model: &AnalysisModel,
    ) -> Result<Vec<VideoRecord>, LakeError> {
        let mut without_rows = Vec::new();
        for report in &self.videos {
            let is_in_lake = matches!(
                report.outcome,
                VideoOutcome::Ingested | VideoOutcome::Replaced | VideoOutcome::Skipped
            );
            if let Some(video_id) = report.video_id.as_ref().filter(|_| is_in_lake)
                && !lake.has_analysis(video_id, model.key())?
            {
                without_rows.push(video_id.clone());
            }
        }
        // Without selectors, all videos of the lake would be found.
        match without_rows.is_empty() {
            true => Ok(Vec::new()),
            false => lake.find_videos(&without_rows),
        }
    }

    /// Number of videos whose outcome is `wanted`.
    pub fn count(&self, wanted: impl Fn(&VideoOutcome) -> bool) -> usize {
        let outcomes = self.videos.iter().map(|video| &video.outcome);
        outcomes.filter(|outcome| wanted(outcome)).count()
    }

    /// Frames that went through the pose models in this run.
    pub fn frame_count(&self) -> u64 {
        self.videos.iter().map(|video| video.frame_count).sum()
    }

    /// Time of all videos' stages together.
    pub fn stages(&self) -> StageTimes {
        let stages = self.videos.iter().map(|video| video.stages);
        stages.fold(StageTimes::default(), StageTimes::plus)
    }
}

/// What ends an ingest as a whole; a single video's trouble is in its report instead.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The lake cannot be opened or made.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The place that files beside the lake are to be sent to cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The models cannot be loaded or run, so that no video can be ingested.
    #[error(transparent)]
    Pose(#[from] PoseError),
    /// The opening of the lake has panicked, or a worker outside of a video's work.
    #[error(transparent)]
    Panic(#[from] PanicError),
    /// Nothing that was given is a video, or a folder or prefix with one.
    #[error("there is no video here; give a video file or a folder of them: {}", list(.inputs))]
    NothingFound {
        /// Files, folders and addresses, as they were given.
        inputs: Vec<PathBuf>,
    },
}

impl Failure for IngestError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Pose(error) => error.kind(),
            Self::Panic(error) => error.kind(),
            Self::NothingFound { .. } => FailureKind::Broken,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(", ")
}

/// The lake as the workers see it: it opens while the first frames are decoded.
struct SharedLake {
    commits: Commits,
    known: KnownVideos,
}

type LakeSlot = OnceLock<Result<SharedLake, ()>>;

struct Run<'a> {
    config: &'a IngestConfig,
    backends: &'a BackendFactory<'a>,
    observer: &'a dyn IngestObserver,
    /// Cancelled from outside, or by a fatal error: all workers stop.
    cancellation: Cancellation,
    fatal: Mutex<Option<IngestError>>,
    lake_is_new: bool,
    lake: LakeSlot,
    next_video: AtomicUsize,
    /// Of each worker.
    crew_threads: usize,
    is_partly_on_cpu: AtomicBool,
    /// Where files beside the lake are sent to, if not to a folder.
    output_store: Option<OutputStore>,
    /// Names without suffix that several videos of this run share.
    shared_stems: HashSet<OsString>,
    /// Content that this run has taken in hand, by its id, so that a copy is not worked on twice.
    claims: Mutex<HashMap<String, Claim>>,
    reports: Mutex<Vec<(usize, VideoReport)>>,
    /// Where stores have content that this run did not take from there, by its id.
    other_sources: Mutex<Vec<(String, VideoSource)>>,
}

/// Content that was taken in hand.
enum Claim {
    InWork {
        /// Numbers and paths of further files with it, which are reported when it is done.
        copies: Vec<(usize, PathBuf)>,
    },
    Done(VideoOutcome),
}

/// Who works on a file's content.
enum Claimed {
    Ours,
    InWork,
    Done(VideoOutcome),
}

/// A video that an ingest would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// A path, or an address.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: PathBuf,
    /// `None` where a server does not say, or there is no such file.
    pub bytes: Option<u64>,
    /// As the file states; `None` where it does not, was not asked, or does not lie on a disk.
    pub frames: Option<u64>,
    /// The number of the input by which it was found, from 0.
    pub input: usize,
}

/// The videos that an ingest of `inputs` would take, in its order; and why stores could not be looked
/// into. None is read; where there are at most `max_opened`, those on a disk are asked for their frames.
///
/// # Errors
/// When there is nothing.
pub fn find(
    inputs: &[PathBuf],
    outputs: &Path,
    max_opened: usize,
) -> Result<(Vec<Found>, Vec<StoreError>), IngestError> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let candidates = plan_by_input(inputs, outputs, &Cancellation::new());
    let asks_frames = candidates.len() <= max_opened;
    for (input, candidate) in candidates {
        let frames = match &candidate {
            plan::Candidate::Video(path) if asks_frames => stated_frames(path),
            _ => None,
        };
        let path = candidate.path().to_path_buf();
        let bytes = candidate.byte_size();
        match candidate {
            plan::Candidate::Unreachable(_, error) => errors.push(error),
            _ => found.push(Found {
                path,
                bytes,
                frames,
                input,
            }),
        }
    }
    match found.is_empty() && errors.is_empty() {
        true => Err(IngestError::NothingFound {
            inputs: inputs.to_vec(),
        }),
        false => Ok((found, errors)),
    }
}

/// Ingests all videos of the order; returns when each is committed, skipped or has failed.
///
/// When `cancellation` says so, videos in work are given up, and those that were committed stay.
///
/// # Errors
/// When the lake or the models cannot be used at all, or no video was found.
pub fn run(
    config: &IngestConfig,
    backends: &BackendFactory<'_>,
    lake: &LakeFactory<'_>,
    observer: &dyn IngestObserver,
    cancellation: &Cancellation,
) -> Result<IngestSummary, IngestError> {
    let started = Instant::now();
    let videos = plan(&config.inputs, &config.outputs.folder, cancellation);
    if videos.is_empty() && !cancellation.is_cancelled() {
        return Err(IngestError::NothingFound {
            inputs: config.inputs.clone(),
        });
    }
    config.lake.prepare()?;
    observer.planned(videos.iter().filter_map(plan::Candidate::byte_size).sum());
    let names: Vec<PathBuf> = (videos.iter())
        .map(|video| plan::file_name(video.path()))
        .collect();
    let workers = config.memory.workers.min(videos.len().max(1));
    let crew_threads = threads_of_crew(config.cores, workers);
    let rest = (config.cores / workers).saturating_sub(crew_threads);
    if let Err(reason) = crate::video::limit_threads(rest.max(1)) {
        tracing::debug!(target: "posedata::ingest", reason, "OpenCV uses all cores");
    }
    let run = Run {
        config,
        backends,
        observer,
        cancellation: cancellation.child(),
        fatal: Mutex::new(None),
        lake_is_new: !config.lake.exists(),
        lake: OnceLock::new(),
        next_video: AtomicUsize::new(0),
        crew_threads,
        is_partly_on_cpu: AtomicBool::new(false),
        shared_stems: shared_stems(names.iter().map(PathBuf::as_path)),
        output_store: (config.send_outputs_to.clone())
            .map(|address| OutputStore::open(address, cancellation))
            .transpose()?,
        claims: Mutex::new(HashMap::new()),
        reports: Mutex::new(Vec::new()),
        other_sources: Mutex::new(Vec::new()),
    };
    let worker_threads = || threads_of_worker(config.cores, workers);
    std::thread::scope(|scope| {
        scope.spawn(|| run.open_lake(lake));
        let workers: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| run.work(&videos, &worker_threads())))
            .collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                run.abort(PanicError::of(&*panic));
            }
        }
    });
    if let Some(error) = lock(&run.fatal).take() {
        return Err(error);
    }
    run.record_sources();
    let mut reports = std::mem::take(&mut *lock(&run.reports));
    reports.sort_by_key(|(index, _)| *index);
    Ok(IngestSummary {
        lake: config.lake.root(),
        videos: reports.into_iter().map(|(_, report)| report).collect(),
        elapsed_secs: started.elapsed().as_secs_f64(),
        peak_memory_bytes: crate::resources::peak_resident_bytes(),
        memory_budget_bytes: config.memory.limit_bytes,
        workers,
        provider: config.provider,
        is_partly_on_cpu: run.is_partly_on_cpu.into_inner(),
    })
}

impl Run<'_> {
    fn abort(&self, error: impl Into<IngestError>) {
        lock(&self.fatal).get_or_insert(error.into());
        self.cancellation.cancel();
    }

    fn load_backend(&self, threads: &ModelThreads) -> Result<Box<dyn PoseBackend>, PoseError> {
        let backend = (self.backends)(threads.clone())?;
        let is_partly_on_cpu = backend.is_partly_on_cpu();
        self.is_partly_on_cpu
            .fetch_or(is_partly_on_cpu, Ordering::Relaxed);
        Ok(backend)
    }

    fn open_lake(&self, open: &LakeFactory<'_>) {
        // Only this function fills the slot, and it runs once.
        if self.cancellation.is_cancelled() {
            let _ = self.lake.set(Err(()));
            return;
        }
        let opened = caught(|| -> Result<SharedLake, IngestError> {
            let lake = open()?;
            let known = KnownVideos::of(lake.create_or_list()?);
            Ok(SharedLake {
                commits: Commits::of(lake),
                known,
            })
        });
        let slot = opened.map_err(|error| self.abort(error));
        let _ = self.lake.set(slot);
    }

    /// Waits for the lake; `None` when it cannot be opened.
    fn shared_lake(&self) -> Option<&SharedLake> {
        self.lake.wait().as_ref().ok()
    }

    /// The files of a video beside the lake; none where they are not wanted.
    fn outputs_of(&self, path: &Path, video_id: &str) -> Result<VideoOutputs, Interruption> {
        // The lake knows the videos of earlier runs.
        let lake = match self.lake_is_new {
            true => None,
            false => Some(self.shared_lake().ok_or(Interruption::Stopped)?),
        };
        let stem = unique_stem(&plan::file_name(path), video_id, |stem| {
            self.shared_stems.contains(stem)
                || lake.is_some_and(|lake| lake.known.has_other_called(stem, video_id))
        });
        Ok(self.config.outputs.of_video(&stem))
    }

    /// Files beside the lake that are not there.
    fn missing_outputs(&self, path: &Path, video_id: &str) -> Result<Vec<PathBuf>, Interruption> {
        let mut paths = self.outputs_of(path, video_id)?.paths();
        if let Some(store) = &self.output_store {
            return Ok(store.missing(&paths)?);
        }
        paths.retain(|path| !path.exists());
        Ok(paths)
    }

    /// The id of a video elsewhere that need not be fetched: the lake has its rows, made of this content
    /// with these settings.
    fn known_remote(&self, path: &Path, file: &RemoteFile) -> Option<String> {
        if self.config.replace == Replace::Always || self.lake_is_new {
            return None;
        }
        let mark = file.content_mark()?;
        let lake = self.shared_lake()?;
        let (video_id, video) = lake.known.fetched_from(path, &mark)?;
        let has_settings = match self.config.rows.slow_motion {
            // Only the file itself says what becomes of it, and the lake what became of it.
            SlowMotion::Auto => {
                let selector = [video_id.to_owned()];
                let found = lake.commits.with_lake(|lake| lake.find_videos(&selector));
                found.is_ok_and(|found| {
                    (found.iter()).any(|video| self.config.rows.is_config_of(&video.config))
                })
            }
            _ => {
                let config = self.config.rows.to_json();
                pipeline::short_hash(blake3::hash(config.as_bytes())) == video.config_hash
            }
        };
        has_settings.then(|| video_id.to_owned())
    }

    fn work(&self, videos: &[plan::Candidate], threads: &ModelThreads) {
        let mut backend = None;
        loop {
            let index = self.next_video.fetch_add(1, Ordering::Relaxed);
            let Some(video) = videos.get(index) else {
                return;
            };
            if self.cancellation.is_cancelled() {
                let report = VideoReport::without_rows(video.path(), VideoOutcome::Cancelled);
                self.report(index, report);
            } else {
                self.ingest(index, video, threads, &mut backend);
            }
        }
    }

    fn report(&self, index: usize, report: VideoReport) {
        self.observer.video_finished(index, &report);
        lock(&self.reports).push((index, report));
    }

    /// Ingests a video and reports it, and the copies of it that came meanwhile. A copy of a video
    /// that is in work is left to whoever works on that.
    fn ingest(
        &self,
        index: usize,
        video: &plan::Candidate,
        threads: &ModelThreads,
        backend: &mut Option<Box<dyn PoseBackend>>,
    ) {
        let path = video.path();
        let located = match video {
            plan::Candidate::Video(path) => caught(|| Located::on_disk(path, &self.cancellation)),
            plan::Candidate::Remote(path, file) => {
                if let Some(video_id) = self.known_remote(path, file) {
                    return self.skip(index, path, &video_id);
                }
                caught(|| Located::fetch(path, file, &self.cancellation))
            }
            plan::Candidate::Broken(path, error) => {
                return self.report(index, failed(path, error));
            }
            plan::Candidate::Unreachable(path, error) => {
                return self.report(index, failed(path, error));
            }
        };
        let source = match located {
            Ok(source) => source,
            Err(interruption) => {
                return self.report(index, self.interrupted(path, interruption));
            }
        };
        let video_id = source.video_id.clone();
        let claimed = self.claim(index, path, &video_id);
        if !matches!(claimed, Claimed::Ours) {
            self.found_elsewhere(&source);
        }
        match claimed {
            Claimed::Ours => {}
            Claimed::InWork => return,
            Claimed::Done(outcome) => {
                return self.report(index, report_of_copy(path, &video_id, &outcome));
            }
        }
        let done = caught(|| self.try_ingest(index, &source, threads, backend));
        if matches!(done, Err(Interruption::Panic(_))) {
            // Nobody knows in what state the models are.
            *backend = None;
        }
        let report = done.unwrap_or_else(|interruption| self.interrupted(path, interruption));
        let report = report.named(&source);
        if matches!(report.outcome, VideoOutcome::Skipped) {
            self.found_elsewhere(&source);
        }
        self.report_with_copies(index, &video_id, report);
    }

    /// Reports a video that need not be fetched.
    fn skip(&self, index: usize, path: &Path, video_id: &str) {
        match self.claim(index, path, video_id) {
            Claimed::Ours => {
                let mut report = skipped(path, video_id);
                match self.missing_outputs(path, video_id) {
                    Ok(missing) => report.missing_outputs = missing,
                    Err(interruption) => report = self.interrupted(path, interruption),
                }
                self.report_with_copies(index, video_id, report);
            }
            Claimed::InWork => {}
            Claimed::Done(outcome) => {
                self.report(index, report_of_copy(path, video_id, &outcome));
            }
        }
    }

    /// Reports a video, and the copies of it that came meanwhile.
    fn report_with_copies(&self, index: usize, video_id: &str, report: VideoReport) {
        let outcome = report.outcome.clone();
        self.report(index, report);
        for (copy, path) in self.conclude(video_id, &outcome) {
            self.report(copy, report_of_copy(&path, video_id, &outcome));
        }
    }

    /// Keeps in mind where a store has content whose rows are not made of what lies there.
    fn found_elsewhere(&self, source: &Located) {
        if let Some(found) = source.source() {
            lock(&self.other_sources).push((source.video_id.clone(), found));
        }
    }

    /// Writes down where stores have what is in the lake, so that it is not fetched again. That a lake
    /// lacks it makes no good run a failure.
    fn record_sources(&self) {
        let mut found = std::mem::take(&mut *lock(&self.other_sources));
        let claims = lock(&self.claims);
        let is_in_lake = |video_id: &String| {
            matches!(
                claims.get(video_id),
                Some(Claim::Done(
                    VideoOutcome::Ingested | VideoOutcome::Replaced | VideoOutcome::Skipped
                ))
            )
        };
        found.retain(|(video_id, _)| is_in_lake(video_id));
        drop(claims);
        if found.is_empty() || self.cancellation.is_cancelled() {
            return;
        }
        let Some(shared) = self.shared_lake() else {
            return;
        };
        found.retain(|(_, source)| {
            let known = shared
                .known
                .fetched_from(Path::new(&source.path), &source.source_etag);
            known.is_none()
        });
        if found.is_empty() {
            return;
        }
        let recorded = (shared.commits).with_lake(|lake| lake.record_sources(&found));
        if let Err(error) = recorded {
            tracing::warn!(target: "posedata::ingest", %error, "copies in stores will be fetched again");
        }
    }

    /// Takes content in hand, unless another file with the same content was before.
    fn claim(&self, index: usize, path: &Path, video_id: &str) -> Claimed {
        let mut claims = lock(&self.claims);
        let Some(claim) = claims.get_mut(video_id) else {
            claims.insert(video_id.into(), Claim::InWork { copies: Vec::new() });
            return Claimed::Ours;
        };
        match claim {
            Claim::InWork { copies } => {
                copies.push((index, path.into()));
                Claimed::InWork
            }
            Claim::Done(outcome) => Claimed::Done(outcome.clone()),
        }
    }

    /// Says what became of content in work; gives the copies that wait for it.
    fn conclude(&self, video_id: &str, outcome: &VideoOutcome) -> Vec<(usize, PathBuf)> {
        let done = Claim::Done(outcome.clone());
        match lock(&self.claims).insert(video_id.into(), done) {
            Some(Claim::InWork { copies }) => copies,
            Some(Claim::Done(_)) | None => Vec::new(),
        }
    }

    fn interrupted(&self, path: &Path, interruption: Interruption) -> VideoReport {
        match interruption {
            Interruption::Stopped
            | Interruption::Store(StoreError::Cancelled)
            | Interruption::Lake(LakeError::Cancelled) => {
                VideoReport::without_rows(path, VideoOutcome::Cancelled)
            }
            Interruption::Video(error) => failed(path, &error),
            Interruption::Store(error) => failed(path, &error),
            Interruption::Fetched(error) => {
                let kind = FailureKind::Broken;
                VideoReport::without_rows(path, VideoOutcome::Failed { kind, error })
            }
            Interruption::Lake(error) => failed(path, &error),
            Interruption::Memory(error) => failed(path, &error),
            Interruption::Annotation(error) => failed(path, &error),
            Interruption::Export(error) => failed(path, &error),
            Interruption::SlowMotion(error) => failed(path, &error),
            Interruption::Panic(error) => {
                let kind = error.kind();
                let error = format!("{error}: {}", path.display());
                VideoReport::without_rows(path, VideoOutcome::Failed { kind, error })
            }
            Interruption::Pose(error) => {
                // Without models no video can be ingested.
                self.abort(error);
                VideoReport::without_rows(path, VideoOutcome::Cancelled)
            }
        }
    }

    fn try_ingest(
        &self,
        index: usize,
        source: &Located,
        threads: &ModelThreads,
        backend: &mut Option<Box<dyn PoseBackend>>,
    ) -> Result<VideoReport, Interruption> {
        let (path, video_id) = (source.path.as_path(), source.video_id.clone());
        let tags = capture_tags(&source.file);
        let slow_motion = self.config.rows.slow_motion;
        let rows = self.config.rows.clone();
        let rows = rows.with_slow_motion(slow_motion.of_video(tags));
        let config = rows.to_json();
        let config_hash = pipeline::short_hash(blake3::hash(config.as_bytes()));
        // Nothing is in a lake that does not exist yet, so there is nothing to wait for.
        if self.config.replace == Replace::IfDifferent && !self.lake_is_new {
            let lake = self.shared_lake().ok_or(Interruption::Stopped)?;
            let known = lake.known.get(&video_id);
            if known.is_some_and(|video| video.config_hash == config_hash) {
                let mut report = skipped(path, &video_id);
                report.missing_outputs = self.missing_outputs(path, &video_id)?;
                return Ok(report);
            }
        }
        let outputs = self.outputs_of(path, &video_id)?;
        let job = VideoJob {
            path: &source.file,
            video_id: &video_id,
            config_json: &config,
            config_hash: &config_hash,
            slow_motion,
            tags,
            rows: &rows,
            lake: &self.config.lake,
            memory: &self.config.memory,
            cores: self.config.cores,
            at_work: &threads.others,
            crew_threads: self.crew_threads,
            provider: self.config.provider,
            batch_size: self.config.batch_size.get(),
            outputs: &outputs,
            cancellation: &self.cancellation,
            on_start: &|hint| {
                let file_bytes = source.byte_size();
                self.observer.video_started(index, path, file_bytes, hint);
            },
            on_frame: &|| self.observer.frame_done(index),
        };
        let backend = || match backend {
            Some(backend) => Ok(backend),
            none => Ok(none.insert(self.load_backend(threads)?)),
        };
        let mut done = pipeline::process(&job, backend)?;
        source.name(&mut done.record);
        let outputs = match &self.output_store {
            Some(store) => store.send(&outputs.paths())?,
            None => outputs.paths(),
        };
        let shared = self.shared_lake().ok_or(Interruption::Stopped)?;
        let committing = Instant::now();
        let lake_bytes = done.staged.byte_size;
        let frame_count = done.record.frame_count;
        let pose_frame_count = done.record.pose_frame_count;
        let corrupt_frame_count = done.record.picture.corrupt_frame_count;
        let person_count = done.persons.len() as u64;
        let outcome = shared.commits.commit(PreparedVideo {
            record: done.record,
            persons: done.persons,
            staged: done.staged,
            replace: self.config.replace,
        })?;
        let mut stages = done.stages;
        stages.hash_secs = source.hash_time.as_secs_f64();
        stages.commit_secs = committing.elapsed().as_secs_f64();
        Ok(VideoReport {
            path: path.into(),
            outcome: match outcome {
                CommitOutcome::Added => VideoOutcome::Ingested,
                CommitOutcome::Replaced => VideoOutcome::Replaced,
                CommitOutcome::AlreadyThere => VideoOutcome::Skipped,
            },
            video_id: Some(video_id),
            frame_count,
            pose_frame_count,
            corrupt_frame_count,
            person_count,
            lake_bytes,
            outputs,
            missing_outputs: Vec::new(),
            stages,
            notes: done.notes,
        })
    }
}

fn skipped(path: &Path, video_id: &str) -> VideoReport {
    let mut report = VideoReport::without_rows(path, VideoOutcome::Skipped);
    report.video_id = Some(video_id.into());
    report
}

/// What is told of a file whose content had that outcome under another name.
fn report_of_copy(path: &Path, video_id: &str, outcome: &VideoOutcome) -> VideoReport {
    match outcome {
        VideoOutcome::Ingested | VideoOutcome::Replaced | VideoOutcome::Skipped => {
            skipped(path, video_id)
        }
        VideoOutcome::Failed { kind, error } => {
            let path_shown = path.display();
            let error = format!("it is a copy of a video that failed ({error}): {path_shown}");
            VideoReport::without_rows(path, VideoOutcome::Failed { kind: *kind, error })
        }
        VideoOutcome::Cancelled => VideoReport::without_rows(path, VideoOutcome::Cancelled),
    }
}

fn failed(path: &Path, error: &(impl std::error::Error + Failure)) -> VideoReport {
    let (kind, error) = (error.kind(), error.to_string());
    VideoReport::without_rows(path, VideoOutcome::Failed { kind, error })
}

impl From<PanicError> for Interruption {
    fn from(error: PanicError) -> Self {
        Self::Panic(error)
    }
}

impl From<VideoError> for Interruption {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::Stopped => Self::Stopped,
            error => Self::Video(error),
        }
    }
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<slow_motion::SlowMotionError> for Interruption {
    fn from(error: slow_motion::SlowMotionError) -> Self {
        match error {
            slow_motion::SlowMotionError::Video(error) => error.into(),
            error => Self::SlowMotion(error),
        }
    }
}

impl From<LakeError> for Interruption {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<MemoryError> for Interruption {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<AnnotationError> for Interruption {
    fn from(error: AnnotationError) -> Self {
        Self::Annotation(error)
    }
}

impl From<ExportError> for Interruption {
    fn from(error: ExportError) -> Self {
        Self::Export(error)
    }
}

impl From<EncodeError> for Interruption {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Stopped => Self::Stopped,
            error => Self::Annotation(error.into()),
        }
    }
}

impl From<PoseError> for Interruption {
    fn from(error: PoseError) -> Self {
        Self::Pose(error)
    }
}
