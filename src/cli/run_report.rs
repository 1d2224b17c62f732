//! What is written down about a run of ingest: a row in the lake's history, and a report file.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::command_line::without_secrets;
use super::logs;
use crate::ingest::{IngestConfig, IngestError, IngestSummary, VideoOutcome, VideoReport};
use crate::lake::{Lake, LakeError, Replace, RunError, RunOutcome, RunRecord};

/// What `--report` writes: the run with its machine, and the summary that `--json` prints.
#[derive(Serialize)]
struct ReportFile<'a> {
    #[serde(flatten)]
    run: &'a RunRecord,
    lake: &'a Path,
    videos: &'a [VideoReport],
}

/// Refuses a report file that could not be written when the work is done.
pub fn check_file(path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let shown = path.display();
    ensure!(!path.is_dir(), "the report file is a folder: {shown}");
    ensure!(
        folder.is_dir(),
        "there is no folder for the report file; make it: {shown}"
    );
    Ok(())
}

/// A run of ingest that starts now.
pub fn start(config: &IngestConfig) -> RunRecord {
    let replace = match config.replace {
        Replace::IfDifferent => "if_different",
        Replace::Always => "always",
    };
    let settings = serde_json::json!({
        "inputs": config.inputs,
        "output": config.outputs.folder,
        "workers": config.memory.workers,
        "batch_size": config.batch_size,
        "replace": replace,
        "rows": config.rows,
    });
    let mut run = RunRecord::start("ingest", without_secrets(std::env::args_os()), settings);
    run.memory_budget_bytes = Some(config.memory.limit_bytes);
    run
}

/// Fills in how the run ended.
pub fn finish(
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
        VideoOutcome::Failed { error } => Some(RunError {
            path: Some(video.path.clone()),
            message: error.clone(),
        }),
        _ => None,
    }
}

/// Writes the report file.
///
/// # Errors
/// When the disk does not take it.
pub fn write(
    path: &Path,
    run: &RunRecord,
    lake: &Path,
    result: &Result<IngestSummary, IngestError>,
) -> anyhow::Result<()> {
    let videos = result.as_ref().map_or(&[][..], |summary| &summary.videos);
    let mut json = serde_json::to_vec_pretty(&ReportFile { run, lake, videos })?;
    json.push(b'\n');
    crate::files::write_atomically(path, &json)
        .with_context(|| format!("cannot write the report: {}", path.display()))
}

/// Adds the run to the lake's history, unless it found nothing to do. That the history lacks a run
/// is told, but makes no good run a failure.
pub fn record(
    run: &RunRecord,
    result: &Result<IngestSummary, IngestError>,
    catalog: PathBuf,
    open_lake: impl FnOnce() -> Result<Lake, LakeError>,
) {
    let has_worked = run.videos_ingested + run.videos_replaced + run.videos_failed > 0;
    let is_worth_it = match result {
        Ok(_) => has_worked || run.outcome == RunOutcome::Interrupted,
        // A lake that cannot be used takes no record either, and no lake is made for one.
        Err(IngestError::Lake(_) | IngestError::NothingFound { .. }) => false,
        Err(IngestError::Pose(_) | IngestError::Panic(_)) => true,
    };
    if !is_worth_it || !catalog.exists() {
        return;
    }
    if let Err(error) = open_lake().and_then(|lake| lake.record_run(run)) {
        logs::note(format_args!(
            "note: the run is not in the lake's history (runs): {error}"
        ));
    }
}
