//! The history of runs: what was run on the lake, when, with what, and what became of it.

use std::path::PathBuf;

use serde::Serialize;

use super::error::LakeError;
use super::session::Lake;
use super::sql::{insert, row};
use super::time::UtcTime;
use crate::resources::HostFacts;

/// Hex digits that tell runs apart that start in the same second.
const ID_DIGITS: usize = 8;

/// An identity for a run that starts now; identities are in the order of their runs' starts.
pub fn run_id(started_at: UtcTime) -> String {
    let seed = format!("{}-{}", started_at.micros(), std::process::id());
    let hash = blake3::hash(seed.as_bytes()).to_hex();
    let second = started_at.format("%Y%m%dT%H%M%SZ");
    format!("{second}-{}", &hash[..ID_DIGITS])
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every video that was asked for is in the lake.
    Ok,
    /// Some videos failed, the others are in the lake.
    SomeFailed,
    /// The command could not do its work.
    Failed,
    /// Called off before its end; what was committed stays.
    Interrupted,
}

impl RunOutcome {
    /// As the column `outcome` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SomeFailed => "some_failed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Something that failed in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunError {
    /// The video; `None` for what ended the run as a whole.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: Option<PathBuf>,
    /// What was wrong and what to do about it, as the command shows it.
    pub message: String,
}

/// A row of the `runs` table; the columns' comments in `schemas/runs.sql` say what they mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// Start to the second in UTC, and eight hex digits: sorts by start.
    pub run_id: String,
    /// Without `posedata`: `ingest`, for example.
    pub command: String,
    /// The whole line, quoted for a shell; secrets are replaced by `***`.
    pub command_line: String,
    /// When the command had read its settings and began to work.
    pub started_at: UtcTime,
    /// From `started_at` to the end, on a clock that is never set.
    pub elapsed_secs: f64,
    /// Of the run as a whole; `errors` tells of single videos.
    pub outcome: RunOutcome,
    /// Of the program that ran: `MAJOR.MINOR.PATCH`.
    pub posedata_version: String,
    /// The validated settings, defaults filled in.
    pub config: serde_json::Value,
    /// The machine, as the process may use it.
    pub host: HostFacts,
    /// Videos that were new to the lake.
    pub videos_ingested: u64,
    /// Videos whose rows took the place of earlier ones.
    pub videos_replaced: u64,
    /// Videos that were in the lake already, made with the same settings.
    pub videos_skipped: u64,
    /// Videos that are named in `errors`.
    pub videos_failed: u64,
    /// Frames that went through the pose models and into the lake.
    pub frames: u64,
    /// Busy seconds of each stage by name, all videos together; stages overlap.
    pub stages: serde_json::Value,
    /// The most that the process had resident; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What the run was allowed; `None` where there was no limit.
    pub memory_budget_bytes: Option<u64>,
    /// What the pose models ran on; `None` where none ran.
    pub provider: Option<String>,
    /// One for each video that failed, or the one that ended the run; empty when all went well.
    pub errors: Vec<RunError>,
}

impl RunRecord {
    /// A run that has just started and done nothing yet.
    pub fn start(command: &str, command_line: String, config: serde_json::Value) -> Self {
        let started_at = UtcTime::now();
        Self {
            run_id: run_id(started_at),
            command: command.into(),
            command_line,
            started_at,
            elapsed_secs: 0.0,
            outcome: RunOutcome::Ok,
            posedata_version: env!("CARGO_PKG_VERSION").into(),
            config,
            host: HostFacts::detect(),
            videos_ingested: 0,
            videos_replaced: 0,
            videos_skipped: 0,
            videos_failed: 0,
            frames: 0,
            stages: serde_json::json!({}),
            peak_memory_bytes: None,
            memory_budget_bytes: None,
            provider: None,
            errors: Vec::new(),
        }
    }
}

impl Lake {
    /// Adds a run to the lake's history, in one transaction and without a file.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn record_run(&self, run: &RunRecord) -> Result<(), LakeError> {
        let errors = serde_json::to_string(&run.errors).expect("paths and messages");
        self.transaction(|connection| {
            // An attempt whose end was not known may have been committed.
            connection.execute("DELETE FROM runs WHERE run_id = ?", [&run.run_id])?;
            insert(
                connection,
                "runs",
                row! {
                    run_id: run.run_id,
                    command: run.command,
                    command_line: run.command_line,
                    started_at: run.started_at,
                    elapsed_secs: run.elapsed_secs,
                    outcome: run.outcome.name(),
                    posedata_version: run.posedata_version,
                    config: run.config.to_string(),
                    os: run.host.os,
                    cpu: run.host.cpu,
                    cores: run.host.cores as u64,
                    memory_bytes: run.host.memory_bytes,
                    videos_ingested: run.videos_ingested,
                    videos_replaced: run.videos_replaced,
                    videos_skipped: run.videos_skipped,
                    videos_failed: run.videos_failed,
                    frames: run.frames,
                    stages: run.stages.to_string(),
                    peak_memory_bytes: run.peak_memory_bytes,
                    memory_budget_bytes: run.memory_budget_bytes,
                    errors: errors,
                    provider: run.provider,
                },
            )
        })
    }
}
