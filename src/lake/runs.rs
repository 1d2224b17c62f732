//! The history of runs: what was run on the lake, when, with what, and what became of it.

use std::fmt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::temporal_conversions::timestamp_us_to_datetime;
use duckdb::params;
use duckdb::types::{TimeUnit, Value};
use serde::{Serialize, Serializer};

use super::catalog::Access;
use super::{Lake, LakeError};
use crate::resources::HostFacts;

/// Hex digits that tell runs apart that start in the same second.
const ID_DIGITS: usize = 8;

/// A moment, in microseconds since 1970-01-01 UTC; serialised as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcTime(i64);

impl UtcTime {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_micros() as i64))
    }

    fn format(self, format: &str) -> String {
        // Only times hundreds of thousands of years away have no date.
        timestamp_us_to_datetime(self.0).map_or_else(String::new, |t| t.format(format).to_string())
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An identity for a run that starts now; identities are in the order of their runs' starts.
pub fn run_id(started_at: UtcTime) -> String {
    let seed = format!("{}-{}", started_at.0, std::process::id());
    let hash = blake3::hash(seed.as_bytes()).to_hex();
    let second = started_at.format("%Y%m%dT%H%M%SZ");
    format!("{second}-{}", &hash[..ID_DIGITS])
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Ok,
    /// Some videos failed, the others are in the lake.
    SomeFailed,
    /// The command could not do its work.
    Failed,
    Interrupted,
}

impl RunOutcome {
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
    pub path: Option<PathBuf>,
    pub message: String,
}

/// A row of the `runs` table; the columns' comments in `schemas/runs.sql` say what they mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    pub run_id: String,
    pub command: String,
    pub command_line: String,
    pub started_at: UtcTime,
    pub elapsed_secs: f64,
    pub outcome: RunOutcome,
    pub posedata_version: String,
    pub config: serde_json::Value,
    pub host: HostFacts,
    pub videos_ingested: u64,
    pub videos_replaced: u64,
    pub videos_skipped: u64,
    pub videos_failed: u64,
    pub frames: u64,
    pub stages: serde_json::Value,
    pub peak_memory_bytes: Option<u64>,
    pub memory_budget_bytes: Option<u64>,
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
        self.attached(Access::ReadWrite, |connection| {
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    run.run_id,
                    run.command,
                    run.command_line,
                    Value::Timestamp(TimeUnit::Microsecond, run.started_at.0),
                    run.elapsed_secs,
                    run.outcome.name(),
                    run.posedata_version,
                    run.config.to_string(),
                    run.host.os,
                    run.host.cpu,
                    run.host.cores as u64,
                    run.host.memory_bytes,
                    run.videos_ingested,
                    run.videos_replaced,
                    run.videos_skipped,
                    run.videos_failed,
                    run.frames,
                    run.stages.to_string(),
                    run.peak_memory_bytes,
                    run.memory_budget_bytes,
                    errors,
                ],
            )?;
            Ok(())
        })
    }
}
