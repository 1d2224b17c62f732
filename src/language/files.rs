//! The files of a model, as repositories of the Hugging Face hub are laid out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Vocabulary and rules of splitting texts, as the crate `tokenizers` reads them.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Special tokens, and in older repositories the chat template.
pub const TOKENIZER_CONFIG_FILE: &str = "tokenizer_config.json";
/// The chat template where it has a file of its own.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";
/// Shapes of the model: layers, heads, vocabulary.
pub const CONFIG_FILE: &str = "config.json";
/// How transformers chooses tokens by default, and which ones end an answer.
pub const GENERATION_CONFIG_FILE: &str = "generation_config.json";
/// The weights, where one file holds them all.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Which file holds which tensor, where they are several.
pub const INDEX_FILE: &str = "model.safetensors.index.json";
/// How names of files end that hold pickled weights.
pub const PICKLE_ENDINGS: [&str; 4] = [".bin", ".pth", ".pt", ".ckpt"];

/// What an index of several files says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct WeightsIndex {
    /// `total_size`, in bytes, and what else tools put there.
    #[serde(default)]
    pub metadata: serde_json::Value,
    /// The file of each tensor.
    pub weight_map: BTreeMap<String, String>,
}

impl WeightsIndex {
    /// Reads an index.
    ///
    /// # Errors
    /// A reason for people: it is not JSON, or holds something else.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|e| e.to_string())
    }

    /// The names of all files, each once.
    ///
    /// # Errors
    /// A reason for people: there are none, or one is no name of a file in the same folder.
    pub fn shards(&self) -> Result<Vec<String>, String> {
        let names: BTreeSet<&String> = self.weight_map.values().collect();
        let is_plain = |name: &str| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
        if let Some(name) = names.iter().find(|name| !is_plain(name)) {
            return Err(format!(
                "'{name}' is no safetensors file of the same folder"
            ));
        }
        if names.is_empty() {
            return Err("it names no files".into());
        }
        Ok(names.into_iter().cloned().collect())
    }
}
