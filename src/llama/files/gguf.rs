//! GGUF files: llama.cpp's way to keep a model.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

use super::super::config::RopeScaling;
use super::super::matrix::Values;
use super::super::parts::Part;
use super::super::{LlamaConfig, LlamaError, Matrix, Precision, Weights};
use super::{checked, read_error};

/// Divisors of the frequencies of rotary embeddings, shape [head_dim / 2]: how Llama 3's scaling
/// is kept.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// How exactly [`ROPE_FACTORS`] must be what Llama 3's scaling gives.
const FACTOR_TOLERANCE: f64 = 1e-3;

/// Reads a GGUF file.
///
/// # Errors
/// When the file is damaged, is of another architecture, or lacks tensors.
pub fn weights_of_gguf(path: &Path, precision: Precision) -> Result<Weights, LlamaError> {
    let mut file = GgufFile::open(path)?;
    let mut config = file.config()?;
    let mut surplus: HashSet<String> = file.content.tensor_infos.keys().cloned().collect();
    surplus.remove(ROPE_FACTORS);
    config.rope_scaling = file.rope_scaling(&config)?;
    let layout = config.clone();
    let weights = Weights::from_parts(config, precision, |part| {
        let name = part.gguf_name();
        surplus.remove(&name);
        let stored = file.tensor(&name, &part.shape(&layout))?;
        Ok(match part.turned_heads(&layout) {
            Some(heads) => with_rows(&stored, |row| row_of_neighbours(row, stored.rows / heads)),
            None => stored,
        })
    })?;
    match surplus.iter().min() {
        Some(name) => Err(LlamaError::Surplus {
            path: path.into(),
            name: name.clone(),
        }),
        None => Ok(weights),
    }
}

/// What a GGUF file says of the model's shape.
///
/// # Errors
/// When the file is damaged or is of another architecture.
pub fn config_of_gguf(path: &Path) -> Result<LlamaConfig, LlamaError> {
    let mut file = GgufFile::open(path)?;
    let mut config = file.config()?;
    config.rope_scaling = file.rope_scaling(&config)?;
    Ok(config)
}

/// Where GGUF files keep a row of q or k: the hub's rows are for rotary embeddings that turn the
/// halves of a head, GGUF's for those that turn neighbours.
fn row_of_neighbours(row: usize, head_dim: usize) -> usize {
    let (head, place) = (row / head_dim, row % head_dim);
    let (half, pair) = (place / (head_dim / 2), place % (head_dim / 2));
    head * head_dim + 2 * pair + half
}

/// The inverse of [`row_of_neighbours`].
pub(super) fn row_of_halves(row: usize, head_dim: usize) -> usize {
    let (head, place) = (row / head_dim, row % head_dim);
    let (pair, half) = (place / 2, place % 2);
    head * head_dim + half * (head_dim / 2) + pair
}

/// A matrix of the rows of another: `source` says which row becomes the given one.
pub(super) fn with_rows(matrix: &Matrix, source: impl Fn(usize) -> usize) -> Matrix {
    fn gather<T: Copy>(values: &[T], rows: usize, source: impl Fn(usize) -> usize) -> Vec<T> {
        let width = values.len() / rows;
        let rows = 0..rows;
        rows.flat_map(|row| {
            let start = source(row) * width;
            values[start..start + width].iter().copied()
        })
        .collect()
    }
    let rows = matrix.rows;
    let values = match &matrix.values {
        Values::F32(values) => Values::F32(gather(values, rows, source)),
        Values::Bf16(values) => Values::Bf16(gather(values, rows, source)),
        Values::Quantised { kind, bytes } => Values::Quantised {
            kind: *kind,
            bytes: gather(bytes, rows, source),
        },
    };
    Matrix {
        values,
        rows,
        columns: matrix.columns,
    }
}

struct GgufFile<'a> {
    path: &'a Path,
    content: Content,
    reader: BufReader<File>,
}

impl<'a> GgufFile<'a> {
    fn open(path: &'a Path) -> Result<Self, LlamaError> {
        let file = File::open(path).map_err(|e| read_error(path, e))?;
        let mut reader = BufReader::new(file);
        let content = Content::read(&mut reader).map_err(|e| read_error(path, e))?;
        Ok(Self {
            path,
            content,
            reader,
        })
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.to_string().ok().map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<usize> {
        let value = self.value(key)?;
        let number = value.to_u64().ok();
        number
            .or_else(|| value.to_i64().ok().and_then(|n| n.try_into().ok()))
            .or_else(|| value.to_i32().ok().and_then(|n| n.try_into().ok()))
            .and_then(|number| number.try_into().ok())
    }

    fn wrong(&self, reason: String) -> LlamaError {
        LlamaError::Config {
            path: self.path.into(),
            reason,
        }
    }

    fn config(&self) -> Result<LlamaConfig, LlamaError> {
        match self.text("general.architecture") {
            Some("llama") => {}
            other => {
                return Err(LlamaError::Architecture {
                    path: self.path.into(),
                    found: other.unwrap_or("not given").into(),
                });
            }
        }
        let needed = |key: &str| {
            let number = self.number(key);
            number.ok_or_else(|| self.wrong(format!("'{key}' is missing or is not a number")))
        };
        let real = |key: &str| self.value(key).and_then(|value| value.to_f32().ok());
        let num_heads = needed("llama.attention.head_count")?.max(1);
        let hidden_size = needed("llama.embedding_length")?;
        let head_dim = self.number("llama.attention.key_length");
        let head_dim = head_dim.unwrap_or(hidden_size / num_heads);
        let turned = self.number("llama.rope.dimension_count");
        if let Some(turned) = turned.filter(|turned| *turned != head_dim) {
            return Err(self.wrong(format!(
                "rotary embeddings turn {turned} of a head's {head_dim} elements, and Llama's all"
            )));
        }
        let embedding = Part::Embedding.gguf_name();
        let embedding = self.info(&embedding)?.shape.dims();
        let end_keys = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
        let ends = end_keys.iter().filter_map(|key| self.number(key));
        let mut eos_token_ids: Vec<u32> = ends.filter_map(|id| id.try_into().ok()).collect();
        eos_token_ids.dedup();
        let config = LlamaConfig {
            vocab_size: embedding.first().copied().unwrap_or_default(),
            hidden_size,
            intermediate_size: needed("llama.feed_forward_length")?,
            num_layers: needed("llama.block_count")?,
            num_heads,
            num_kv_heads: self
                .number("llama.attention.head_count_kv")
                .unwrap_or(num_heads),
            head_dim,
            rms_norm_eps: real("llama.attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            rope_theta: real("llama.rope.freq_base").unwrap_or(10_000.0),
            rope_scaling: None,
            max_positions: needed("llama.context_length")?,
            is_tied: self.info(&Part::Output.gguf_name()).is_err(),
            eos_token_ids,
        };
        checked(config, self.path)
    }

    /// Llama 3's scaling of frequencies. Files keep what it comes to, and not what it was made
    /// from; but for the factor, that is the same in all of Meta's models.
    fn rope_scaling(&mut self, config: &LlamaConfig) -> Result<Option<RopeScaling>, LlamaError> {
        if let Some(kind) = self
            .text("llama.rope.scaling.type")
            .filter(|k| *k != "none")
        {
            return Err(self.wrong(format!(
                "rotary embeddings are scaled by '{kind}', and only Llama 3's way is known"
            )));
        }
        if !self.content.tensor_infos.contains_key(ROPE_FACTORS) {
            return Ok(None);
        }
        let factors = self
            .tensor(ROPE_FACTORS, &[config.head_dim / 2])?
            .to_f32()?;
        let scaling = RopeScaling {
            factor: factors.iter().copied().fold(1.0, f32::max),
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_positions: 8_192,
        };
        let scaled = LlamaConfig {
            rope_scaling: Some(scaling.clone()),
            ..config.clone()
        };
        let is_llama3 = rope_factors(&scaled)
            .iter()
            .zip(&factors)
            .all(|(own, stored)| f64::from(own / stored - 1.0).abs() < FACTOR_TOLERANCE);
        match is_llama3 {
            true => Ok(Some(scaling)),
            false => Err(self.wrong(format!("'{ROPE_FACTORS}' is not Llama 3's scaling"))),
        }
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, LlamaError> {
        let info = self.content.tensor_infos.get(name);
        info.ok_or_else(|| LlamaError::NoTensor {
            path: self.path.into(),
            name: name.into(),
        })
    }

    /// A tensor; floats as floats, and blocks as they are.
    fn tensor(&mut self, name: &str, wanted: &[usize]) -> Result<Matrix, LlamaError> {
        let found = self.info(name)?.shape.dims();
        if found != wanted {
            return Err(LlamaError::Shape {
                path: self.path.into(),
                name: name.into(),
                found: found.into(),
                wanted: wanted.into(),
            });
        }
        let tensor = self.content.tensor(&mut self.reader, name, &Device::Cpu);
        let read = tensor.and_then(|tensor| Ok((tensor.dtype(), tensor.data()?.into_owned())));
        let (kind, bytes) = read.map_err(|e| read_error(self.path, e))?;
        let columns = wanted.last().copied().unwrap_or(1);
        let rows = wanted.iter().product::<usize>() / columns;
        let stored = Matrix {
            rows,
            columns,
            values: Values::Quantised { kind, bytes },
        };
        match kind {
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                Ok(Matrix::from_f32(rows, columns, stored.to_f32()?))
            }
            _ => Ok(stored),
        }
    }
}

/// What the frequencies of rotary embeddings are divided by, shape [head_dim / 2].
pub(super) fn rope_factors(config: &LlamaConfig) -> Vec<f32> {
    let plain = LlamaConfig {
        rope_scaling: None,
        ..config.clone()
    };
    let pairs = plain.rope_frequencies().into_iter();
    pairs
        .zip(config.rope_frequencies())
        .map(|(plain, scaled)| plain / scaled)
        .collect()
}
