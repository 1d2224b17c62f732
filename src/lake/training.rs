//! The history of training: which adapters were trained, on what, with what result.

use super::error::LakeError;
use super::session::Lake;
use super::sql::{insert, row};
use super::time::UtcTime;

/// A row of the table `training_runs`; the columns' comments in `schemas/training_runs.sql` say
/// what they mean.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingRecord {
    /// A resumed run keeps it.
    pub run_id: String,
    /// Also that of the run's folder.
    pub name: String,
    /// RFC 3339.
    pub started_at: String,
    /// `finished`, `stopped_early`, `out_of_time`, `interrupted` or `failed`.
    pub outcome: String,
    /// Why a failed run failed; `None` for all others.
    pub error: Option<String>,
    /// The base model as it was given: a name, a folder or a file.
    pub base: String,
    /// Name of a dataset of the lake, or the path of a file from elsewhere.
    pub dataset: String,
    /// The lake's snapshot that the dataset was built from; `None` for a file from elsewhere.
    pub dataset_snapshot: Option<u64>,
    /// Of all tokens and of which of them are learned, 64 hex digits.
    pub data_blake3: String,
    /// JSON
    pub settings: String,
    /// How many were trained on, each counted once.
    pub train_examples: u64,
    /// How many validated; 0 where there is no valid split.
    pub valid_examples: u64,
    /// `None` where the run failed.
    pub result: Option<TrainingResult>,
    /// The most that the newest session had resident; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Absolute path of the adapter's folder.
    pub folder: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingResult {
    /// Numbers of the adapter; the base model's do not count.
    pub parameters: u64,
    /// Updates of the adapter, over all sessions.
    pub steps: u64,
    /// How often everything was learned; the last time may be a part.
    pub epochs: f64,
    /// Of all steps, repeated ones counted again.
    pub tokens: u64,
    /// Nats per target of the first step, before it; `None` where there was no step.
    pub first_train_loss: Option<f64>,
    /// The same of the last step.
    pub last_train_loss: Option<f64>,
    /// Nats per target before the first step: the base model's; `None` without a valid split.
    pub first_valid_loss: Option<f64>,
    /// The same of the newest evaluation.
    pub last_valid_loss: Option<f64>,
    /// The same of the best evaluation, whose adapter is the result.
    pub best_valid_loss: Option<f64>,
    /// Steps done before the best evaluation; `None` without a valid split.
    pub best_step: Option<u64>,
    /// Of all sessions from their first step on, evaluations included.
    pub training_secs: f64,
    /// In steps alone, without evaluations.
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
