//! What says of an adapter that it writes calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::AskError;
use crate::dataset::{Dataset, Split};
use crate::files::{why_not_written, write_atomically};
use crate::llama::files::ADAPTER_WEIGHTS_FILE;

/// The file in an adapter's folder.
pub const RECORD_FILE: &str = "ask.json";
/// Below it a reading is not taken for what was asked, until validation examples say otherwise.
const DEFAULT_THRESHOLD: f64 = 0.6;

/// What an adapter that writes calls was trained on, and how sure it has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskRecord {
    /// Name of the dataset of calls.
    pub dataset: String,
    /// Of its content.
    pub dataset_blake3: String,
    /// Questions that training examples were made of.
    #[serde(default)]
    pub questions: Vec<String>,
    /// Lowest probability of a reading that is taken for what was asked.
    pub threshold: f64,
    /// Whether validation examples chose the threshold.
    pub is_threshold_chosen: bool,
}

impl AskRecord {
    /// The record of an adapter that was trained on a dataset of calls.
    pub fn of_dataset(dataset: &Dataset) -> Self {
        let trained = dataset.of_split(Split::Train).into_iter();
        let questions: BTreeSet<String> = trained.map(|example| example.task.clone()).collect();
        Self {
            dataset: dataset.manifest.name.clone(),
            dataset_blake3: dataset.content_blake3(),
            questions: questions.into_iter().collect(),
            threshold: DEFAULT_THRESHOLD,
            is_threshold_chosen: false,
        }
    }

    /// Reads the record of an adapter.
    ///
    /// # Errors
    /// When the adapter has none, or it is damaged.
    pub fn of_adapter(adapter: &Path) -> Result<Self, AskError> {
        let path = adapter.join(RECORD_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(AskError::OtherAdapter {
                    file: RECORD_FILE,
                    path: adapter.into(),
                });
            }
            Err(e) => {
                let reason = e.to_string();
                return Err(AskError::Unreadable { path, reason });
            }
        };
        serde_json::from_slice(&text).map_err(|e| AskError::Unreadable {
            path,
            reason: e.to_string(),
        })
    }

    /// Writes the record beside an adapter's weights.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn save(&self, adapter: &Path) -> Result<(), AskError> {
        let path = adapter.join(RECORD_FILE);
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|text| write_atomically(&path, &text));
        written.map_err(|e| AskError::Write {
            path,
            reason: why_not_written(&e),
        })
    }
}

/// The newest adapter of a folder of adapters that writes calls.
///
/// # Errors
/// [`AskError::NoAdapter`] when there is none.
pub fn newest_adapter(llm_models: &Path) -> Result<PathBuf, AskError> {
    let entries = fs::read_dir(llm_models).into_iter().flatten().flatten();
    let adapters = entries.map(|entry| entry.path()).filter_map(|path| {
        let is_whole = path.join(RECORD_FILE).is_file();
        let written = fs::metadata(path.join(ADAPTER_WEIGHTS_FILE)).and_then(|m| m.modified());
        let written: SystemTime = written.ok().filter(|_| is_whole)?;
        Some((written, path))
    });
    let newest = adapters.max();
    newest
        .map(|(_, path)| path)
        .ok_or_else(|| AskError::NoAdapter {
            path: llm_models.into(),
        })
}
