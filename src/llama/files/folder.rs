//! Folders of models as repositories of the Hugging Face hub are laid out: `config.json` and
//! safetensors files.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::config::RopeScaling;
use super::super::parts::Part;
use super::super::{LlamaConfig, LlamaError, Precision, Weights};
use super::tensors::TensorFile;
use super::{checked, read_error};
use crate::language::files::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, INDEX_FILE, PICKLE_ENDINGS, WEIGHTS_FILE, WeightsIndex,
};

/// Architectures that compute exactly as Llama does. Mistral's has windows of attention in some
/// models, which are refused on their own.
const ARCHITECTURES: [&str; 3] = ["LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM"];

/// Buffers that old files hold beside the weights; they follow from the configuration.
const BUFFER_ENDING: &str = "rotary_emb.inv_freq";

/// Reads a folder.
///
/// # Errors
/// When files are missing or damaged, are pickles, or do not hold a Llama model.
pub fn weights_of_folder(folder: &Path, precision: Precision) -> Result<Weights, LlamaError> {
    let files = weight_files(folder)?;
    let config = config_of_folder(folder)?;
    let mut places = HashMap::new();
    for file in &files {
        places.extend(file.names().into_iter().map(|name| (name, file)));
    }
    let is_known = |name: &str| {
        // Some files repeat the embedding as the output projection.
        name.ends_with(BUFFER_ENDING) || name == Part::Output.hub_name()
    };
    let mut surplus: BTreeSet<String> = places.keys().cloned().collect();
    surplus.retain(|name| !is_known(name));
    let layout = config.clone();
    let weights = Weights::from_parts(config, precision, |part| {
        let name = part.hub_name();
        surplus.remove(&name);
        let file = places.get(&name);
        let read = file.map(|file| file.read(&name, &part.shape(&layout)));
        let matrix = read.transpose()?.flatten();
        matrix.ok_or_else(|| LlamaError::NoTensor {
            path: folder.into(),
            name,
        })
    })?;
    match surplus.pop_first() {
        Some(name) => Err(LlamaError::Surplus {
            path: folder.into(),
            name,
        }),
        None => Ok(weights),
    }
}

/// The safetensors files of a folder: one, or the shards that an index names.
fn weight_files(folder: &Path) -> Result<Vec<TensorFile>, LlamaError> {
    let whole = folder.join(WEIGHTS_FILE);
    if whole.is_file() {
        return Ok(vec![TensorFile::open(&whole)?]);
    }
    let index = folder.join(INDEX_FILE);
    if !index.is_file() {
        return Err(match pickle_in(folder) {
            Some(file) => LlamaError::Pickled {
                path: folder.into(),
                file,
            },
            None => LlamaError::NoWeights {
                path: folder.into(),
            },
        });
    }
    let shards = fs::read(&index).map_err(|e| read_error(&index, e))?;
    let shards = WeightsIndex::parse(&shards).and_then(|index| index.shards());
    let shards = shards.map_err(|reason| read_error(&index, reason))?;
    let paths = shards.iter().map(|shard| folder.join(shard));
    paths.map(|path| TensorFile::open(&path)).collect()
}

/// A file of a folder that holds pickled weights.
fn pickle_in(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| PICKLE_ENDINGS.iter().any(|ending| name.ends_with(ending)))
        .collect();
    names.sort();
    names.into_iter().next()
}

/// What counts of `config.json`.
#[derive(Deserialize)]
struct ModelConfig {
    architectures: Option<Vec<String>>,
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f32>,
    /// Until version 4 of transformers.
    rope_scaling: Option<RopeConfig>,
    /// Since version 5, with `rope_theta` in it.
    rope_parameters: Option<RopeConfig>,
    partial_rotary_factor: Option<f32>,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    sliding_window: Option<usize>,
    quantization_config: Option<serde_json::Value>,
    eos_token_id: Option<TokenIds>,
}

#[derive(Deserialize)]
struct RopeConfig {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
}

/// What counts of `generation_config.json`.
#[derive(Default, Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<TokenIds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Several(Vec<u32>),
}

impl TokenIds {
    fn list(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

/// What a folder's files say of the model's shape.
///
/// # Errors
/// When they are missing, damaged, or describe another architecture.
pub fn config_of_folder(folder: &Path) -> Result<LlamaConfig, LlamaError> {
    let path = folder.join(CONFIG_FILE);
    let config: ModelConfig = read_json(&path)?;
    let generation = folder.join(GENERATION_CONFIG_FILE);
    let generation = match generation.is_file() {
        true => read_json(&generation)?,
        false => GenerationConfig::default(),
    };
    config.checked(generation, path)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LlamaError> {
    let bytes = fs::read(path).map_err(|e| read_error(path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| LlamaError::Config {
        path: path.into(),
        reason: e.to_string(),
    })
}

impl ModelConfig {
    fn checked(
        self,
        generation: GenerationConfig,
        path: PathBuf,
    ) -> Result<LlamaConfig, LlamaError> {
        let architecture = match (&self.architectures, &self.model_type) {
            (Some(names), _) if !names.is_empty() => names.join(", "),
            (_, Some(kind)) if kind == "llama" => ARCHITECTURES[0].into(),
            (_, kind) => kind.clone().unwrap_or_else(|| "not given".into()),
        };
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            return Err(LlamaError::Architecture {
                path,
                found: architecture,
            });
        }
        let error = |reason: String| LlamaError::Config {
            path: path.clone(),
            reason,
        };
        let max_positions = self.max_position_embeddings.unwrap_or(2_048);
        let act = self.hidden_act.as_deref().unwrap_or("silu");
        let refused = [
            (act != "silu" && act != "swish", "hidden_act is not 'silu'"),
            (
                self.attention_bias == Some(true),
                "attention_bias: layers with biases are not known",
            ),
            (
                self.mlp_bias == Some(true),
                "mlp_bias: layers with biases are not known",
            ),
            (
                self.partial_rotary_factor.is_some_and(|share| share != 1.0),
                "partial_rotary_factor: heads that are turned in part are not known",
            ),
            (
                self.sliding_window
                    .is_some_and(|window| window < max_positions),
                "sliding_window: attention within windows is not known",
            ),
            (
                self.quantization_config.is_some(),
                "quantization_config: take the model as it was before, or a GGUF file",
            ),
        ];
        if let Some((_, reason)) = refused.iter().find(|(is_so, _)| *is_so) {
            return Err(error((*reason).into()));
        }
        let rope = self.rope_parameters.or(self.rope_scaling);
        let inner_theta = rope.as_ref().and_then(|rope| rope.rope_theta);
        let rope_scaling = rope.map(RopeConfig::checked).transpose().map_err(error)?;
        let ends = [self.eos_token_id, generation.eos_token_id];
        let ends = ends.into_iter().flatten().flat_map(TokenIds::list);
        let mut eos_token_ids: Vec<u32> = Vec::new();
        for id in ends {
            if !eos_token_ids.contains(&id) {
                eos_token_ids.push(id);
            }
        }
        let num_heads = self.num_attention_heads.max(1);
        // What is not given is as transformers' LlamaConfig has it.
        let config = LlamaConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_layers: self.num_hidden_layers,
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads.unwrap_or(num_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / num_heads),
            rms_norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
            rope_theta: inner_theta.or(self.rope_theta).unwrap_or(10_000.0),
            rope_scaling: rope_scaling.flatten(),
            max_positions,
            is_tied: self.tie_word_embeddings.unwrap_or(false),
            eos_token_ids,
        };
        checked(config, &path)
    }
}

impl RopeConfig {
    /// `None`: nothing is scaled.
    fn checked(self) -> Result<Option<RopeScaling>, String> {
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(None),
            Some("llama3") => {
                let missing = |what: &str| format!("rope_scaling lacks '{what}'");
                Ok(Some(RopeScaling {
                    factor: self.factor.ok_or_else(|| missing("factor"))?,
                    low_freq_factor: self
                        .low_freq_factor
                        .ok_or_else(|| missing("low_freq_factor"))?,
                    high_freq_factor: self
                        .high_freq_factor
                        .ok_or_else(|| missing("high_freq_factor"))?,
                    original_max_positions: self
                        .original_max_position_embeddings
                        .ok_or_else(|| missing("original_max_position_embeddings"))?,
                }))
            }
            Some(other) => Err(format!(
                "rotary embeddings are scaled by '{other}', and only Llama 3's way is known"
            )),
        }
    }
}
