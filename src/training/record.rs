//! What the lake's table `training_runs` is told of a training.

use std::path::Path;

use super::plan::{OpenLake, Plan};
use crate::lake::{LakeError, TrainingRecord, TrainingResult, UtcTime, run_id};
use crate::resources::peak_resident_bytes;
use crate::train::{DataSource, RunFolder, TrainReport};

/// Which run this is; one that is resumed stays the same.
pub(super) struct RunIdentity {
    pub run_id: String,
    /// RFC 3339.
    pub started_at: String,
}

/// Whether the lake knows of a training.
#[derive(Debug)]
pub enum Recorded {
    /// The table `training_runs` has it.
    InLake,
    /// There is no lake, so the run is in its folder only.
    NoLake,
    /// A training that is over does not fail because the lake cannot be written.
    Failed(LakeError),
}

impl Recorded {
    pub(super) fn keep(record: &TrainingRecord, lake: Option<&OpenLake<'_>>) -> Self {
        let Some(open) = lake else {
            return Self::NoLake;
        };
        match open().and_then(|lake| lake.record_training(record)) {
            Ok(()) => Self::InLake,
            Err(error) => Self::Failed(error),
        }
    }
}

impl RunIdentity {
    pub(super) fn of(folder: &RunFolder) -> Self {
        let text = |name: &str| {
            let value = folder.resumed()?.metadata.get(name)?;
            value.as_str().map(str::to_owned)
        };
        let now = UtcTime::now();
        Self {
            run_id: text("run_id").unwrap_or_else(|| run_id(now)),
            started_at: text("started_at").unwrap_or_else(|| now.to_string()),
        }
    }

    /// The run's row; `report` is missing where it failed with an `error`.
    pub(super) fn record(
        &self,
        plan: &Plan,
        folder: &Path,
        report: Option<&TrainReport>,
        error: Option<String>,
    ) -> TrainingRecord {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        let (dataset, dataset_snapshot) = match &plan.source {
            DataSource::Dataset {
                name,
                lake_snapshot,
                ..
            } => (name.clone(), Some(*lake_snapshot)),
            DataSource::Files { train, .. } => (train.display().to_string(), None),
        };
        let settings = &plan.settings;
        let data_blake3 = settings.get("data_blake3").and_then(|value| value.as_str());
        TrainingRecord {
            run_id: self.run_id.clone(),
            name: plan.name.clone(),
            started_at: self.started_at.clone(),
            outcome: report.map_or("failed", |report| report.end.name()).into(),
            error,
            base: plan.base.name.clone(),
            dataset,
            dataset_snapshot,
            data_blake3: data_blake3.unwrap_or_default().into(),
            settings: serde_json::Value::from(settings.clone()).to_string(),
            train_examples: plan.data.train.len() as u64,
            valid_examples: plan.data.valid.len() as u64,
            result: report.map(|report| TrainingResult {
                parameters: report.parameters as u64,
                steps: report.steps,
                epochs: report.epochs,
                tokens: report.tokens,
                first_train_loss: report.first_train_loss,
                last_train_loss: report.last_train_loss,
                first_valid_loss: report.first_valid_loss,
                last_valid_loss: report.last_valid_loss,
                best_valid_loss: report.best_valid_loss,
                best_step: report.best_step,
                training_secs: report.elapsed_secs,
                tokens_per_sec: report.tokens_per_sec,
            }),
            peak_memory_bytes: peak_resident_bytes(),
            folder: absolute.display().to_string(),
        }
    }
}
