//! A base model with an adapter merged into it, as files that other tools load: a folder as on the
//! Hugging Face hub, or a GGUF file.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value as GgufValue};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::super::config::RopeScaling;
use super::super::matrix::Values;
use super::super::parts::Part;
use super::super::{Adapter, LlamaConfig, LlamaError, Matrix, Weights};
use super::gguf::{ROPE_FACTORS, rope_factors, row_of_halves, with_rows};
use super::tensors::{Floats, write_tensors};
use super::writer::ModelWriter;
use super::{read_error, write_error};
use crate::files::{persist_folder, temporary_folder_beside};
use crate::language::ChatTokenizer;
use crate::language::bases::{Base, BaseFiles};
use crate::language::files::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, INDEX_FILE, TEMPLATE_FILE, TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE, WEIGHTS_FILE, WeightsIndex,
};
use crate::language::gguf::GgufMetadata;

/// No file of weights is larger, as transformers has it.
const MAX_SHARD_BYTES: usize = 5_000_000_000;

/// Files of a folder that belong to its tokenizer, where they are there.
const TOKENIZER_FILES: [&str; 8] = [
    TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE,
    TEMPLATE_FILE,
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
];

/// `general.file_type` of GGUF files, by what most tensors are (`llama_ftype` of llama.cpp).
const MOSTLY_F16: u32 = 1;
const MOSTLY_Q8_0: u32 = 7;
/// The version of quantised blocks that all of today's tools write.
const QUANTISATION_VERSION: u32 = 2;

/// Writes the tokenizer of a base model as the hub's tools read it.
///
/// # Errors
/// When its files cannot be read or written.
pub fn tokenizer_files(base: &Base, folder: &Path) -> Result<(), LlamaError> {
    let source = match &base.files {
        BaseFiles::Gguf(_) => return Ok(base.tokenizer()?.save(folder)?),
        BaseFiles::Folder(path) => path.as_path(),
        BaseFiles::TokenizerJson(path) => path.parent().unwrap_or(Path::new("")),
    };
    for name in TOKENIZER_FILES {
        copy_if_there(source, folder, name)?;
    }
    Ok(())
}

fn copy_if_there(source: &Path, folder: &Path, name: &str) -> Result<(), LlamaError> {
    let (from, to) = (source.join(name), folder.join(name));
    if !from.is_file() {
        return Ok(());
    }
    fs::copy(&from, &to)
        .map(|_| ())
        .map_err(|e| write_error(&to, e))
}

/// Writes the merged model as a folder that transformers loads: `config.json`, the weights in
/// safetensors files of at most 5 GB, tokenizer, chat template, settings of generation. Weights
/// that are kept in 16 bits are written so, all others in 32 bits. The folder appears whole, in
/// place of a model that is there. `is_stopped` is asked again and again, and ends the writing.
///
/// # Errors
/// When the folder holds something else than a model, when the disk takes no more, when the
/// adapter belongs to another model; [`LlamaError::Cancelled`] when it is stopped.
pub fn merged_safetensors(
    base: &Base,
    weights: &Weights,
    adapter: &Adapter,
    folder: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), LlamaError> {
    sharded_safetensors(base, weights, adapter, folder, MAX_SHARD_BYTES, is_stopped)
}

/// As [`merged_safetensors`], with files of weights of at most `max_shard_bytes`; a tensor that is
/// larger has one of its own.
///
/// # Errors
/// As [`merged_safetensors`].
pub fn sharded_safetensors(
    base: &Base,
    weights: &Weights,
    adapter: &Adapter,
    folder: &Path,
    max_shard_bytes: usize,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), LlamaError> {
    check_not_base(base, folder)?;
    let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !folder.join(CONFIG_FILE).is_file() {
        let reason = "the folder holds something else than a model; give another, or empty it";
        return Err(write_error(folder, reason));
    }
    let new = temporary_folder_beside(folder).map_err(|e| write_error(folder, e))?;
    write_weights(weights, adapter, new.path(), max_shard_bytes, is_stopped)?;
    tokenizer_files(base, new.path())?;
    let floats = floats_of(weights);
    let (config, generation) = match &base.files {
        BaseFiles::Gguf(path) => configs_of_gguf(path, &weights.config, floats)?,
        BaseFiles::Folder(path) | BaseFiles::TokenizerJson(path) => {
            copy_if_there(path, new.path(), GENERATION_CONFIG_FILE)?;
            (config_of_folder(path, floats)?, None)
        }
    };
    write_json(new.path(), CONFIG_FILE, &config)?;
    if let Some(generation) = generation {
        write_json(new.path(), GENERATION_CONFIG_FILE, &generation)?;
    }
    persist_folder(new, folder).map_err(|e| write_error(folder, e))
}

/// The merged model never takes the place of the model that it is made of.
fn check_not_base(base: &Base, path: &Path) -> Result<(), LlamaError> {
    let is_base = match (fs::canonicalize(base.files.path()), fs::canonicalize(path)) {
        (Ok(base), Ok(path)) => base.starts_with(path),
        _ => false,
    };
    match is_base {
        true => Err(write_error(
            path,
            "the base model is here; give another place",
        )),
        false => Ok(()),
    }
}

fn write_weights(
    weights: &Weights,
    adapter: &Adapter,
    folder: &Path,
    max_shard_bytes: usize,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), LlamaError> {
    let floats = floats_of(weights);
    let mut shards: Vec<Vec<Part>> = vec![Vec::new()];
    let (mut shard_bytes, mut total_bytes) = (0, 0);
    for part in Part::all(&weights.config) {
        let bytes = part.shape(&weights.config).iter().product::<usize>() * floats.bytes();
        if shard_bytes > 0 && shard_bytes + bytes > max_shard_bytes {
            shards.push(Vec::new());
            shard_bytes = 0;
        }
        shard_bytes += bytes;
        total_bytes += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push(part);
        }
    }
    let mut index = WeightsIndex {
        metadata: json!({ "total_size": total_bytes }),
        ..WeightsIndex::default()
    };
    for (place, shard) in shards.iter().enumerate() {
        let file = match shards.len() {
            1 => WEIGHTS_FILE.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", place + 1),
        };
        let named = shard.iter().map(|part| {
            let name = part.hub_name();
            (name, part.shape(&weights.config))
        });
        let tensors: Vec<_> = named.collect();
        let values = |place: usize| merged(weights, adapter, shard[place]);
        write_tensors(&folder.join(&file), floats, &tensors, values, is_stopped)?;
        let names = tensors.into_iter().map(|(name, _)| (name, file.clone()));
        index.weight_map.extend(names);
    }
    match shards.len() {
        1 => Ok(()),
        _ => write_json(folder, INDEX_FILE, &index),
    }
}

fn floats_of(weights: &Weights) -> Floats {
    match &weights.embedding.values {
        Values::Bf16(_) => Floats::Bf16,
        Values::F32(_) | Values::Quantised { .. } => Floats::F32,
    }
}

fn write_json(folder: &Path, name: &str, value: &impl serde::Serialize) -> Result<(), LlamaError> {
    let path = folder.join(name);
    let json = serde_json::to_string_pretty(value).map_err(|e| write_error(&path, e))?;
    fs::write(&path, json + "\n").map_err(|e| write_error(&path, e))
}

/// A tensor of the base model as it is kept.
fn stored(weights: &Weights, part: Part) -> Stored<'_> {
    match part {
        Part::Embedding => Stored::Matrix(&weights.embedding),
        Part::Output => Stored::Matrix(weights.output()),
        Part::FinalNorm => Stored::Vector(&weights.final_norm),
        Part::InputNorm(layer) => Stored::Vector(&weights.layers[layer].input_norm),
        Part::PostAttentionNorm(layer) => {
            Stored::Vector(&weights.layers[layer].post_attention_norm)
        }
        Part::Projection(layer, own) => Stored::Matrix(weights.layers[layer].projection(own)),
    }
}

enum Stored<'a> {
    Vector(&'a [f32]),
    Matrix(&'a Matrix),
}

/// The elements of a tensor of the merged model: `W + scaling B A`.
fn merged(weights: &Weights, adapter: &Adapter, part: Part) -> Result<Vec<f32>, LlamaError> {
    let matrix = match stored(weights, part) {
        Stored::Vector(values) => return Ok(values.to_vec()),
        Stored::Matrix(matrix) => matrix,
    };
    let mut values = matrix.to_f32()?;
    let pair = match part {
        Part::Projection(layer, own) => adapter.pair(layer, own),
        _ => None,
    };
    let Some(pair) = pair else {
        return Ok(values);
    };
    let (rank, scaling) = (adapter.config.rank, adapter.config.scaling());
    let found = (pair.b.len(), pair.a.len());
    if found != (matrix.rows * rank, rank * matrix.columns) {
        return Err(LlamaError::Shape {
            path: part.hub_name().into(),
            name: "lora_B, lora_A".into(),
            found: vec![found.0, found.1],
            wanted: vec![matrix.rows * rank, rank * matrix.columns],
        });
    }
    values
        .par_chunks_exact_mut(matrix.columns)
        .zip(pair.b.par_chunks_exact(rank))
        .for_each(|(row, shares)| {
            for (share, direction) in shares.iter().zip(pair.a.chunks_exact(matrix.columns)) {
                let share = scaling * share;
                for (value, step) in row.iter_mut().zip(direction) {
                    *value += share * step;
                }
            }
        });
    Ok(values)
}

/// `config.json` of a folder, but for the type of the weights.
fn config_of_folder(folder: &Path, floats: Floats) -> Result<Value, LlamaError> {
    let path = folder.join(CONFIG_FILE);
    let config = fs::read(&path).map_err(|e| read_error(&path, e))?;
    let mut config: Value = serde_json::from_slice(&config).map_err(|e| read_error(&path, e))?;
    if let Some(fields) = config.as_object_mut() {
        // The newer name of the same.
        fields.remove("dtype");
        fields.insert("torch_dtype".into(), floats.name().into());
    }
    Ok(config)
}

/// `config.json` and `generation_config.json` for the model of a GGUF file.
fn configs_of_gguf(
    path: &Path,
    model: &LlamaConfig,
    floats: Floats,
) -> Result<(Value, Option<Value>), LlamaError> {
    let metadata = GgufMetadata::read(path)?;
    let token = |name: &str| metadata.number(&format!("tokenizer.ggml.{name}_token_id"));
    let ends = match model.eos_token_ids.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    };
    let scaling = model.rope_scaling.as_ref().map(|scaling| {
        let RopeScaling {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } = scaling;
        json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_positions,
        })
    });
    let config = json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": token("bos"),
        "eos_token_id": ends,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "hidden_size": model.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": model.intermediate_size,
        "max_position_embeddings": model.max_positions,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": model.num_heads,
        "num_hidden_layers": model.num_layers,
        "num_key_value_heads": model.num_kv_heads,
        "pad_token_id": token("padding"),
        "rms_norm_eps": model.rms_norm_eps,
        "rope_scaling": scaling,
        "rope_theta": model.rope_theta,
        "tie_word_embeddings": model.is_tied,
        "torch_dtype": floats.name(),
        "use_cache": true,
        "vocab_size": model.vocab_size,
    });
    let generation = json!({
        "bos_token_id": token("bos"),
        "eos_token_id": ends,
        "pad_token_id": token("padding"),
    });
    Ok((config, Some(generation)))
}

/// Writes the merged model as a GGUF file, with tokenizer and chat template. Where the weights are
/// kept quantised, merged matrices have blocks of 8 bits (`Q8_0`) and the others stay as they are;
/// else all matrices are written in 16 bits. The file appears whole or not at all; until then the
/// merged model is in memory beside the base's weights. `is_stopped` is asked again and again, and
/// ends the work.
///
/// # Errors
/// When the tokenizer is of a kind that GGUF files of posedata do not hold (SentencePiece's), when
/// the disk takes no more, when the adapter belongs to another model; [`LlamaError::Cancelled`] when
/// it is stopped.
pub fn merged_gguf(
    base: &Base,
    weights: &Weights,
    adapter: &Adapter,
    file: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), LlamaError> {
    check_not_base(base, file)?;
    let metadata = gguf_metadata(base, weights)?;
    let mut tensors = Vec::new();
    for part in Part::all(&weights.config) {
        if is_stopped() {
            return Err(LlamaError::Cancelled);
        }
        tensors.push((part.gguf_name(), gguf_tensor(weights, adapter, part)?));
    }
    if weights.config.rope_scaling.is_some() {
        let factors = rope_factors(&weights.config);
        tensors.push((ROPE_FACTORS.into(), quantised_vector(&factors)?));
    }
    let metadata: Vec<(&str, &GgufValue)> = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut out = ModelWriter::create(file, is_stopped)?;
    gguf_file::write(&mut out, &metadata, &tensors).map_err(|e| out.error(e))?;
    out.finish()
}

fn gguf_tensor(weights: &Weights, adapter: &Adapter, part: Part) -> Result<QTensor, LlamaError> {
    let matrix = match stored(weights, part) {
        Stored::Vector(values) => return quantised_vector(values),
        Stored::Matrix(matrix) => matrix,
    };
    let heads = part.turned_heads(&weights.config);
    let turned = |matrix: Matrix| match heads {
        Some(heads) => with_rows(&matrix, |row| row_of_halves(row, matrix.rows / heads)),
        None => matrix,
    };
    let is_changed = match part {
        Part::Projection(layer, own) => adapter.pair(layer, own).is_some(),
        _ => false,
    };
    let (rows, columns) = (matrix.rows, matrix.columns);
    if let (Values::Quantised { kind, .. }, false) = (&matrix.values, is_changed) {
        let kind = *kind;
        if let Values::Quantised { bytes, .. } = turned(matrix.clone()).values {
            let storage = QStorage::from_data(bytes.into(), &Device::Cpu, kind)?;
            return Ok(QTensor::new(storage, (rows, columns))?);
        }
    }
    let kind = match &matrix.values {
        Values::Quantised { .. } => GgmlDType::Q8_0,
        Values::F32(_) | Values::Bf16(_) => GgmlDType::F16,
    };
    let values = merged(weights, adapter, part)?;
    let values = turned(Matrix::from_f32(rows, columns, values)).to_tensor(&Device::Cpu)?;
    Ok(QTensor::quantize(&values, kind)?)
}

fn quantised_vector(values: &[f32]) -> Result<QTensor, LlamaError> {
    let tensor = Tensor::new(values, &Device::Cpu)?;
    Ok(QTensor::quantize(&tensor, GgmlDType::F32)?)
}

/// The key-value pairs of the merged file, in their order.
fn gguf_metadata(base: &Base, weights: &Weights) -> Result<Vec<(String, GgufValue)>, LlamaError> {
    let file_type = match &weights.embedding.values {
        Values::Quantised { .. } => MOSTLY_Q8_0,
        Values::F32(_) | Values::Bf16(_) => MOSTLY_F16,
    };
    let mut metadata = match &base.files {
        BaseFiles::Gguf(path) => {
            let file = File::open(path).map_err(|e| read_error(path, e))?;
            let content = Content::read(&mut BufReader::new(file));
            let content = content.map_err(|e| read_error(path, e))?;
            let mut metadata: Vec<_> = content.metadata.into_iter().collect();
            // Of how the file was laid out; this one is not.
            metadata.retain(|(key, _)| key != "general.alignment" && !key.starts_with("split."));
            metadata
        }
        BaseFiles::Folder(path) | BaseFiles::TokenizerJson(path) => {
            let tokenizer = ChatTokenizer::open(path)?;
            let mut metadata = model_metadata(base, &weights.config);
            metadata.extend(tokenizer.gguf_metadata(weights.config.vocab_size)?);
            metadata
        }
    };
    for (key, value) in [
        ("general.file_type", file_type),
        ("general.quantization_version", QUANTISATION_VERSION),
    ] {
        metadata.retain(|(own, _)| own != key);
        metadata.push((key.into(), GgufValue::U32(value)));
    }
    metadata.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(metadata)
}

fn model_metadata(base: &Base, config: &LlamaConfig) -> Vec<(String, GgufValue)> {
    let number = |number: usize| GgufValue::U32(u32::try_from(number).unwrap_or(u32::MAX));
    let text = |text: &str| GgufValue::String(text.into());
    let name = base.name.trim_end_matches('/');
    let name = name.rsplit('/').next().unwrap_or(name);
    let of_llama = [
        ("context_length", number(config.max_positions)),
        ("embedding_length", number(config.hidden_size)),
        ("block_count", number(config.num_layers)),
        ("feed_forward_length", number(config.intermediate_size)),
        ("vocab_size", number(config.vocab_size)),
        ("attention.head_count", number(config.num_heads)),
        ("attention.head_count_kv", number(config.num_kv_heads)),
        ("attention.key_length", number(config.head_dim)),
        ("attention.value_length", number(config.head_dim)),
        (
            "attention.layer_norm_rms_epsilon",
            GgufValue::F32(config.rms_norm_eps),
        ),
        ("rope.dimension_count", number(config.head_dim)),
        ("rope.freq_base", GgufValue::F32(config.rope_theta)),
    ];
    let of_llama = of_llama.map(|(key, value)| (format!("llama.{key}"), value));
    let general = [
        ("general.architecture".to_owned(), text("llama")),
        ("general.name".to_owned(), text(name)),
        ("general.type".to_owned(), text("model")),
    ];
    general.into_iter().chain(of_llama).collect()
}
