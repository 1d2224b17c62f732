//! Writes the card of an adapter, from what its folder holds.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::eval::EVAL_FILE;
use crate::evaluate::Evaluation;
use crate::evaluate::card::Card;
use crate::files::write_atomically;
use crate::models::ModelStore;

const CARD_FILE: &str = "README.md";
const TRAIN_CONFIG_FILE: &str = "train_config.json";
/// How the training went.
pub const TRAIN_REPORT_FILE: &str = "train_report.json";

/// Writes README.md into an adapter's folder, if posedata trained the adapter; other people's cards
/// stay as they are.
pub fn write_card(folder: &Path, base: &str, store: &ModelStore) -> anyhow::Result<()> {
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
        repository: repository(base, store),
        settings,
        training: read(&folder.join(TRAIN_REPORT_FILE))?.unwrap_or_default(),
        evaluation: read::<Evaluation>(&folder.join(EVAL_FILE))?,
    };
    let path = folder.join(CARD_FILE);
    write_atomically(&path, card.text().as_bytes())
        .with_context(|| format!("cannot write the model card: {}", path.display()))
}

/// Where the Hugging Face hub has a base model; `None` for files of one's own.
pub fn repository(base: &str, store: &ModelStore) -> Option<String> {
    let named = store.bases().iter().find(|named| named.name == base);
    let is_repository = || base.split('/').count() == 2 && !base.starts_with('.');
    match named {
        Some(named) => Some(named.repository.clone()),
        None => (is_repository() && !Path::new(base).exists()).then(|| base.to_owned()),
    }
}

/// A JSON file, if it is there.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .with_context(|| format!("the file is damaged: {}", path.display()))
}
