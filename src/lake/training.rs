//! The history of training: which adapters were trained, on what, with what result.

use super::error::LakeError;
use super::session::Lake;
use super::sql::{insert, row};
use super::time::UtcTime;

/// A row of the table `training_runs`; the columns' comments in `schemas/training_runs.sql` say
/// what they mean.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingRecord {
    pub run_id: String,
    pub name: String,
    /// RFC 3339.
    pub started_at: String,
    pub outcome: String,
    pub error: Option<String>,
    pub base: String,
    pub dataset: String,
    pub dataset_snapshot: Option<u64>,
    pub data_blake3: String,
    /// JSON
    pub settings: String,
    pub train_examples: u64,
    pub valid_examples: u64,
    /// `None` where the run failed.
    pub result: Option<TrainingResult>,
    pub peak_memory_bytes: Option<u64>,
    pub folder: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingResult {
    pub parameters: u64,
    pub steps: u64,
    pub epochs: f64,
    pub tokens: u64,
    pub first_train_loss: Option<f64>,
    pub last_train_loss: Option<f64>,
    pub first_valid_loss: Option<f64>,
    pub last_valid_loss: Option<f64>,
    pub best_valid_loss: Option<f64>,
    pub best_step: Option<u64>,
    pub training_secs: f64,
    pub tokens_per_sec: f64,
}

impl Lake {
    /// Adds a training run to the lake's history, in place of what it knows of the same run.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn record_training(&self, run: &TrainingRecord) -> Result<(), LakeError> {
        let result = run.result.as_ref();
        let loss = |of: fn(&TrainingResult) -> Option<f64>| result.and_then(of);
        self.transaction(|connection| {
            connection.execute("DELETE FROM training_runs WHERE run_id = ?", [&run.run_id])?;
            insert(
                connection,
                "training_runs",
                row! {
                    run_id: run.run_id,
                    name: run.name,
                    started_at: run.started_at,
                    ended_at: UtcTime::now(),
                    outcome: run.outcome,
                    error: run.error,
                    posedata_version: env!("CARGO_PKG_VERSION"),
                    base: run.base,
                    dataset: run.dataset,
                    dataset_snapshot: run.dataset_snapshot,
                    data_blake3: run.data_blake3,
                    settings: run.settings,
                    train_examples: run.train_examples,
                    valid_examples: run.valid_examples,
                    parameters: result.map(|result| result.parameters),
                    steps: result.map(|result| result.steps),
                    epochs: result.map(|result| result.epochs),
                    tokens: result.map(|result| result.tokens),
                    first_train_loss: loss(|result| result.first_train_loss),
                    last_train_loss: loss(|result| result.last_train_loss),
                    first_valid_loss: loss(|result| result.first_valid_loss),
                    last_valid_loss: loss(|result| result.last_valid_loss),
                    best_valid_loss: loss(|result| result.best_valid_loss),
                    best_step: result.and_then(|result| result.best_step),
                    training_secs: result.map(|result| result.training_secs),
                    tokens_per_sec: result.map(|result| result.tokens_per_sec),
                    peak_memory_bytes: run.peak_memory_bytes,
                    folder: run.folder,
                },
            )
        })
    }
}
