//! What is written down about a run of ingest: a row in the lake's history, and a report file.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    BackendFactory, IngestConfig, IngestError, IngestObserver, IngestSummary, LakeFactory,
    VideoOutcome, VideoReport, run,
};
use crate::lake::{LakeError, Replace, RunError, RunOutcome, RunRecord};
use crate::paths::PathTexts;
use crate::sync::{Cancellation, lock};

/// How long a run that was called off waits for the lake, to be in its history.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// The report file: the run with its machine, and the summary that `--json` prints.
#[derive(Serialize)]
struct ReportFile<'a> {
    #[serde(flatten)]
    run: &'a RunRecord,
    #[serde(serialize_with = "crate::paths::as_text")]
    lake: &'a Path,
    videos: &'a [VideoReport],
}

/// What became of an ingest, and whether the lake's history knows of it.
pub struct RecordedIngest {
    /// As it is in the lake's `runs` table, if it is there.
    pub run: RunRecord,
    /// What became of each video, or why none was looked at.
    pub summary: Result<IngestSummary, IngestError>,
    /// Why the run is not in the lake's history; that it lacks a run makes no good run a failure.
    pub not_recorded: Option<LakeError>,
}

/// As [`run`], and puts the run into the lake's history, unless it found nothing to do.
/// `command_line` is what started it, without secrets.
pub fn run_recorded(
    config: &IngestConfig,
    backends: &BackendFactory<'_>,
    open_lake: &LakeFactory<'_>,
    observer: &dyn IngestObserver,
    cancellation: &Cancellation,
    command_line: String,
) -> RecordedIngest {
    let started = Instant::now();
    let mut record = start(config, command_line);
    // A second session of the database, for the history: starting one costs more than the commit.
    let spare_session = Mutex::new(None);
    let open = || {
        let lake = open_lake()?;
        *lock(&spare_session) = lake.try_clone().ok();
        Ok(lake)
    };
    let summary = run(config, backends, &open, observer, cancellation);
    finish(
        &mut record,
        started.elapsed().as_secs_f64(),
        &summary,
        cancellation.is_cancelled(),
    );
    let not_recorded = match is_worth_a_record(&record, &summary, config) {
        false => None,
        true => {
            let spare = lock(&spare_session).take();
            let opened = spare.map_or_else(open_lake, Ok);
            let recorded = opened.and_then(|lake| match cancellation.is_cancelled() {
                true => {
                    // The work is called off, not what is written down of it.
                    let lake = lake.cancelled_by(&Cancellation::new());
                    lake.with_lock_timeout(LAST_PATIENCE).record_run(&record)
                }
                false => lake.record_run(&record),
            });
            recorded.err()
        }
    };
    RecordedIngest {
        run: record,
        summary,
        not_recorded,
    }
}

/// A run of ingest that starts now.
fn start(config: &IngestConfig, command_line: String) -> RunRecord {
    let replace = match config.replace {
        Replace::IfDifferent => "if_different",
        Replace::Always => "always",
    };
    let settings = serde_json::json!({
        "inputs": config.shown_inputs(),
        "output": config.outputs.folder.texts(),
        "workers": config.memory.workers,
        "batch_size": config.batch_size,
        "replace": replace,
        "rows": config.rows,
    });
    let mut run = RunRecord::start("ingest", command_line, settings);
    run.memory_budget_bytes = Some(config.memory.limit_bytes);
    run.provider = Some(config.provider.name().into());
    run
}

/// Fills in how the run ended.
fn finish(
    run: &mut RunRecord,
    elapsed_secs: f64,
    result: &Result<IngestSummary, IngestError>,
    is_interrupted: bool,
) {
    run.elapsed_secs = elapsed_secs;
    let summary = match result {
        Ok(summary) => summary,
        Err(error) => {
            run.outcome = RunOutcome::Failed;
            let message = error.to_string();
            run.errors.push(RunError {
                path: None,
                message,
            });
            return;
        }
    };
    let count = |wanted: fn(&VideoOutcome) -> bool| summary.count(wanted) as u64;
    run.videos_ingested = count(|o| matches!(o, VideoOutcome::Ingested));
    run.videos_replaced = count(|o| matches!(o, VideoOutcome::Replaced));
    run.videos_skipped = count(|o| matches!(o, VideoOutcome::Skipped));
    run.videos_failed = count(|o| matches!(o, VideoOutcome::Failed { .. }));
    run.frames = summary.frame_count();
    run.stages = serde_json::json!(summary.stages());
    run.peak_memory_bytes = summary.peak_memory_bytes;
    run.errors = summary.videos.iter().filter_map(error_of).collect();
    run.outcome = match (is_interrupted, run.videos_failed) {
        (true, _) => RunOutcome::Interrupted,
        (false, 0) => RunOutcome::Ok,
        (false, _) => RunOutcome::SomeFailed,
    };
}

fn error_of(video: &VideoReport) -> Option<RunError> {
    match &video.outcome {
        VideoOutcome::Failed { error, .. } => Some(RunError {
            path: Some(video.path.clone()),
            message: error.clone(),
        }),
        _ => None,
    }
}

impl RecordedIngest {
    /// Writes the report file.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write_report(&self, path: &Path, lake: &Path) -> std::io::Result<()> {
        let videos = self.summary.as_ref();
        let report = ReportFile {
            run: &self.run,
            lake,
            videos: videos.map_or(&[][..], |summary| &summary.videos),
        };
        let mut json = serde_json::to_vec_pretty(&report)?;
        json.push(b'\n');
        crate::files::write_atomically(path, &json)
    }
}

fn is_worth_a_record(
    run: &RunRecord,
    result: &Result<IngestSummary, IngestError>,
    config: &IngestConfig,
) -> bool {
    let has_worked = run.videos_ingested + run.videos_replaced + run.videos_failed > 0;
    let is_worth_it = match result {
        Ok(_) => has_worked || run.outcome == RunOutcome::Interrupted,
        // A lake that cannot be used takes no record either, and no lake is made for one.
        Err(IngestError::Lake(_) | IngestError::Store(_) | IngestError::NothingFound { .. }) => {
            false
        }
        Err(IngestError::Pose(_) | IngestError::Panic(_)) => true,
    };
    is_worth_it && config.lake.exists()
}
