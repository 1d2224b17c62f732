//! What an adapter's folder holds beside the adapter: its latest evaluation, and its model card.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::card::Card;
use super::{EvaluateError, Evaluation};
use crate::files::write_atomically;
use crate::language::bases;
use crate::llama::files::ADAPTER_WEIGHTS_FILE;
use crate::models::ModelStore;

/// The latest evaluation.
pub const EVAL_FILE: &str = "eval.json";
/// How the training went.
pub const TRAIN_REPORT_FILE: &str = "train_report.json";
const CARD_FILE: &str = "README.md";
const TRAIN_CONFIG_FILE: &str = "train_config.json";

/// BLAKE3 of an adapter's weights, 64 hex digits.
///
/// # Errors
/// When they cannot be read.
pub fn hash_adapter(folder: &Path) -> Result<String, EvaluateError> {
    let path = folder.join(ADAPTER_WEIGHTS_FILE);
    let bytes = fs::read(&path).map_err(|source| EvaluateError::Read { path, source })?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// An adapter's latest evaluation, if it has one.
///
/// # Errors
/// When it is damaged.
pub fn read_evaluation(folder: &Path) -> Result<Option<Evaluation>, EvaluateError> {
    read(&folder.join(EVAL_FILE))
}

/// Keeps an evaluation in the adapter's folder, and shows it in the model card.
///
/// # Errors
/// When the disk does not take it.
pub fn save(
    evaluation: &Evaluation,
    folder: &Path,
    store: &ModelStore,
) -> Result<(), EvaluateError> {
    let path = folder.join(EVAL_FILE);
    let written = json(evaluation).and_then(|json| write_atomically(&path, &json));
    written.map_err(|source| EvaluateError::Write {
        what: "the evaluation",
        path,
        source,
    })?;
    write_card(folder, &evaluation.base, store)
}

/// Writes README.md into an adapter's folder, if posedata trained the adapter; other people's cards
/// stay as they are.
///
/// # Errors
/// When what the folder holds is damaged, or the disk does not take the card.
pub fn write_card(folder: &Path, base: &str, store: &ModelStore) -> Result<(), EvaluateError> {
    let Some(config) = read::<Map<String, Value>>(&folder.join(TRAIN_CONFIG_FILE))? else {
        return Ok(());
    };
    let mut settings = Map::new();
    for part in ["settings", "about"] {
        let values = config.get(part).and_then(Value::as_object);
        settings.extend(values.cloned().unwrap_or_default());
    }
    let name = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let card = Card {
        name: name.into_owned(),
        base: base.into(),
        repository: bases::repository(store, base),
        settings,
        training: read(&folder.join(TRAIN_REPORT_FILE))?.unwrap_or_default(),
        evaluation: read_evaluation(folder)?,
    };
    let path = folder.join(CARD_FILE);
    write_atomically(&path, card.text().as_bytes()).map_err(|source| EvaluateError::Write {
        what: "the model card",
        path,
        source,
    })
}

fn json(value: &Evaluation) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

/// A JSON file, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EvaluateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.into();
            return Err(EvaluateError::Read { path, source });
        }
    };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|source| EvaluateError::Damaged {
        path: path.into(),
        source,
    })
}
