//! Progress bars of ingest on the terminal: one for each video in work, one for all.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use crate::cli::logs::{self, TOLD};
use crate::cli::output::Verbosity;
use crate::export::Faces;
use crate::files::folder_of;
use crate::ingest::{IngestObserver, VideoOutcome, VideoReport};
use crate::text::{one_line, shell_word, shown};

pub struct Progress {
    verbosity: Verbosity,
    /// How whoever wants an annotated video later gets one like those of now.
    faces: Faces,
    started: Instant,
    bars: MultiProgress,
    /// Counts bytes of video files: their frames are not known before each is opened.
    total: ProgressBar,
    frames: AtomicU64,
    videos: Mutex<HashMap<usize, VideoBar>>,
}

/// A video in work.
struct VideoBar {
    bar: ProgressBar,
    file_bytes: u64,
}

impl VideoBar {
    /// The part of the file's bytes that stands for the frames done so far.
    fn bytes_done(&self) -> u64 {
        let frames = self.bar.length().unwrap_or(0).max(1) as f64;
        let share = (self.bar.position() as f64 / frames).min(1.0);
        (share * self.file_bytes as f64) as u64
    }
}

impl Progress {
    /// Bars are drawn only where standard error is a terminal.
    pub fn new(verbosity: Verbosity, faces: Faces) -> Self {
        let bars = MultiProgress::with_draw_target(logs::bar_target(verbosity));
        let total = ProgressBar::new(0)
            .with_style(style("total [{bar:30}] {percent:>3} %  {msg}  ETA {eta}"));
        Self {
            verbosity,
            faces,
            started: Instant::now(),
            total: bars.add(total),
            bars,
            frames: AtomicU64::new(0),
            videos: Mutex::default(),
        }
    }

    /// Clears the bars away.
    pub fn finish(&self) {
        self.total.finish_and_clear();
    }

    fn say(&self, line: &str) {
        // Between bars a line has to be printed by whoever draws them.
        self.bars.suspend(|| logs::tell_people(line));
    }

    fn videos(&self) -> std::sync::MutexGuard<'_, HashMap<usize, VideoBar>> {
        crate::sync::lock(&self.videos)
    }
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // The bar is drawn without the rate if there is no room for it.
        let _ = write!(out, "{:.0} frames/s", state.per_sec());
    };
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .with_key("rate", rate)
        .progress_chars("=> ")
}

impl IngestObserver for Progress {
    fn planned(&self, bytes: u64) {
        self.total.set_length(bytes);
        self.total.enable_steady_tick(Duration::from_millis(200));
    }

    fn video_started(
        &self,
        video: usize,
        path: &Path,
        _file_bytes: u64,
        frame_count_hint: Option<u64>,
    ) {
        tracing::info!(
            target: "posedata::ingest",
            video,
            path = %path.display(),
            frame_count_hint,
            "video started"
        );
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        let bar = ProgressBar::new(frame_count_hint.unwrap_or(0))
            .with_style(style(
                "      [{bar:30}] {pos}/{len}  {rate}  ETA {eta}  {msg}",
            ))
            .with_message(one_line(&name).into_owned());
        let bar = self.bars.insert_before(&self.total, bar);
        let file_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.videos().insert(video, VideoBar { bar, file_bytes });
    }

    fn frame_done(&self, video: usize) {
        if let Some(video) = self.videos().get(&video) {
            let before = video.bytes_done();
            video.bar.inc(1);
            self.total.inc(video.bytes_done() - before);
        }
        let frames = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
        let rate = frames as f64 / self.started.elapsed().as_secs_f64();
        self.total
            .set_message(format!("{frames} frames  {rate:.0} frames/s"));
    }

    fn video_finished(&self, video: usize, report: &VideoReport) {
        let file_bytes = std::fs::metadata(&report.path).map_or(0, |metadata| metadata.len());
        let done = self.videos().remove(&video).map_or(0, |video| {
            video.bar.finish_and_clear();
            video.bytes_done()
        });
        self.total.inc(file_bytes.saturating_sub(done));
        log_video(video, report);
        let path = shown(&report.path);
        match &report.outcome {
            VideoOutcome::Failed { error, .. } => {
                let line = error.to_string();
                self.bars.suspend(|| logs::tell_failure(&line));
            }
            _ if self.verbosity == Verbosity::Quiet => {}
            VideoOutcome::Ingested | VideoOutcome::Replaced => {
                let people = match report.person_count {
                    0 | 1 => String::new(),
                    n => format!(", {n} people"),
                };
                let damaged = match report.corrupt_frame_count {
                    0 => String::new(),
                    n => format!(", {n} damaged"),
                };
                self.say(&format!(
                    "{path}: {} frames, {} with a pose{people}{damaged}",
                    report.frame_count, report.pose_frame_count
                ));
                for note in &report.notes {
                    self.say(&format!("{note}: {path}"));
                }
            }
            VideoOutcome::Skipped => {
                if self.verbosity == Verbosity::Verbose {
                    self.say(&format!("{path}: in the lake already"));
                }
                for output in &report.missing_outputs {
                    // Pose files are the outputs that are no videos.
                    let command = match output.extension() {
                        Some(suffix) if suffix == "json" => "export pose-json",
                        _ if self.faces == Faces::Blurred => "annotate --blur-faces",
                        _ => "annotate",
                    };
                    let folder = folder_of(output);
                    self.say(&format!(
                        "hint: it is in the lake, but not here; `posedata {command} {} --output {}` writes it: {}",
                        shell_word(&path),
                        shell_word(&shown(&folder)),
                        shown(output)
                    ));
                }
            }
            VideoOutcome::Cancelled => {}
        }
    }
}

/// The event of a video's end.
fn log_video(video: usize, report: &VideoReport) {
    let path = report.path.display();
    let video_id = report.video_id.as_deref();
    match &report.outcome {
        VideoOutcome::Failed { kind, error } => {
            tracing::error!(target: TOLD, video, %path, error, ?kind, "video failed");
        }
        VideoOutcome::Skipped => {
            tracing::info!(target: "posedata::ingest", video, %path, video_id, "video skipped");
        }
        VideoOutcome::Cancelled => {
            tracing::info!(target: "posedata::ingest", video, %path, "video cancelled");
        }
        VideoOutcome::Ingested | VideoOutcome::Replaced => {
            let stages = &report.stages;
            tracing::info!(
                target: "posedata::ingest",
                video,
                %path,
                video_id,
                frames = report.frame_count,
                corrupt_frames = report.corrupt_frame_count,
                notes = ?report.notes,
                pose_frames = report.pose_frame_count,
                lake_bytes = report.lake_bytes,
                is_replacement = matches!(report.outcome, VideoOutcome::Replaced),
                hash_secs = stages.hash_secs,
                decode_secs = stages.decode_secs,
                detector_secs = stages.detector_secs,
                crop_secs = stages.crop_secs,
                landmark_model_secs = stages.landmark_model_secs,
                tracking_secs = stages.tracking_secs,
                metrics_secs = stages.metrics_secs,
                annotate_secs = stages.annotate_secs,
                write_secs = stages.write_secs,
                commit_secs = stages.commit_secs,
                wait_for_memory_secs = stages.wait_for_memory_secs,
                wait_for_frames_secs = stages.wait_for_frames_secs,
                wait_for_video_secs = stages.wait_for_video_secs,
                "video finished"
            );
        }
    }
}
