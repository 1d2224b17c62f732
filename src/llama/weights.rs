//! The frozen weights of a base model, from its files.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use half::bf16;

use super::matrix::Values;
use super::{LlamaConfig, LlamaError, Matrix, Projection};

/// How frozen weights are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    /// As the GGUF file has them.
    Quantised,
}

/// The weights of a decoder layer.
#[derive(Clone, Debug)]
pub struct LayerWeights {
    /// Shape [hidden].
    pub input_norm: Vec<f32>,
    /// Shape [hidden].
    pub post_attention_norm: Vec<f32>,
    /// In the order of [`Projection::ALL`]; rows of q and k as on the hub: for rotary embeddings
    /// that turn halves of heads.
    pub projections: [Matrix; 7],
}

impl LayerWeights {
    pub fn projection(&self, projection: Projection) -> &Matrix {
        &self.projections[projection as usize]
    }
}

/// A base model's weights.
#[derive(Clone, Debug)]
pub struct Weights {
    pub config: LlamaConfig,
    /// Shape [vocabulary, hidden].
    pub embedding: Matrix,
    /// Shape [vocabulary, hidden]; `None`: the embedding serves.
    pub output: Option<Matrix>,
    /// Shape [hidden].
    pub final_norm: Vec<f32>,
    pub layers: Vec<LayerWeights>,
}

impl Weights {
    /// The projection to the vocabulary.
    pub fn output(&self) -> &Matrix {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    /// Bytes that all weights take.
    pub fn bytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|layer| &layer.projections);
        let matrices = layers.chain([&self.embedding]).chain(&self.output);
        matrices.map(Matrix::bytes).sum()
    }

    /// Reads a GGUF file.
    ///
    /// # Errors
    /// When the file is damaged, is of another architecture, or lacks tensors.
    pub fn from_gguf(path: &Path, precision: Precision) -> Result<Self, LlamaError> {
        let mut file = GgufFile::open(path)?;
        let config = file.config()?;
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let mut layers = Vec::with_capacity(config.num_layers);
        for layer in 0..config.num_layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            let mut matrix = |projection: Projection| -> Result<Matrix, LlamaError> {
                let (rows, columns) = projection.shape(&config);
                let stored = file.matrix(&name(gguf_name(projection)), rows, columns)?;
                let stored = match projection {
                    Projection::Q => rows_in_halves(stored, config.num_heads),
                    Projection::K => rows_in_halves(stored, config.num_kv_heads),
                    _ => stored,
                };
                in_precision(stored, precision)
            };
            let [q, k, v, o, gate, up, down] = Projection::ALL;
            let projections = [
                matrix(q)?,
                matrix(k)?,
                matrix(v)?,
                matrix(o)?,
                matrix(gate)?,
                matrix(up)?,
                matrix(down)?,
            ];
            layers.push(LayerWeights {
                input_norm: file.vector(&name("attn_norm"), hidden)?,
                post_attention_norm: file.vector(&name("ffn_norm"), hidden)?,
                projections,
            });
        }
        let output = match config.is_tied {
            true => None,
            false => Some(in_precision(
                file.matrix(GGUF_OUTPUT, vocab, hidden)?,
                precision,
            )?),
        };
        let embedding = file.matrix("token_embd.weight", vocab, hidden)?;
        Ok(Self {
            embedding: in_precision(embedding, precision)?,
            output,
            final_norm: file.vector("output_norm.weight", hidden)?,
            layers,
            config,
        })
    }
}

const GGUF_OUTPUT: &str = "output.weight";

/// What GGUF files call a projection.
fn gguf_name(projection: Projection) -> &'static str {
    match projection {
        Projection::Q => "attn_q",
        Projection::K => "attn_k",
        Projection::V => "attn_v",
        Projection::O => "attn_output",
        Projection::Gate => "ffn_gate",
        Projection::Up => "ffn_up",
        Projection::Down => "ffn_down",
    }
}

/// Puts the rows of q or k of a GGUF file, made for rotary embeddings that turn neighbours, into
/// the hub's order, made for those that turn halves.
fn rows_in_halves(matrix: Matrix, heads: usize) -> Matrix {
    let head_dim = matrix.rows / heads;
    let stored_row = |row: usize| {
        let (head, place) = (row / head_dim, row % head_dim);
        let (half, pair) = (place / (head_dim / 2), place % (head_dim / 2));
        head * head_dim + 2 * pair + half
    };
    fn gather<T: Copy>(values: &[T], rows: usize, stored_row: impl Fn(usize) -> usize) -> Vec<T> {
        let width = values.len() / rows;
        let rows = 0..rows;
        rows.flat_map(|row| {
            let start = stored_row(row) * width;
            values[start..start + width].iter().copied()
        })
        .collect()
    }
    let rows = matrix.rows;
    let values = match &matrix.values {
        Values::F32(values) => Values::F32(gather(values, rows, stored_row)),
        Values::Bf16(values) => Values::Bf16(gather(values, rows, stored_row)),
        Values::Quantised { kind, bytes } => Values::Quantised {
            kind: *kind,
            bytes: gather(bytes, rows, stored_row),
        },
    };
    Matrix { values, ..matrix }
}

/// A matrix as it is to be kept.
fn in_precision(matrix: Matrix, precision: Precision) -> Result<Matrix, LlamaError> {
    let values = match precision {
        Precision::Quantised => return Ok(matrix),
        Precision::F32 => Values::F32(matrix.to_f32()?),
        Precision::Bf16 => Values::Bf16(matrix.to_f32()?.into_iter().map(bf16::from_f32).collect()),
    };
    Ok(Matrix { values, ..matrix })
}

struct GgufFile<'a> {
    path: &'a Path,
    content: Content,
    reader: BufReader<File>,
}

impl<'a> GgufFile<'a> {
    fn open(path: &'a Path) -> Result<Self, LlamaError> {
        let error = |reason: String| LlamaError::Read {
            path: path.into(),
            reason,
        };
        let mut reader = BufReader::new(File::open(path).map_err(|e| error(e.to_string()))?);
        let content = Content::read(&mut reader).map_err(|e| error(e.to_string()))?;
        Ok(Self {
            path,
            content,
            reader,
        })
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    fn number(&self, key: &str) -> Option<usize> {
        let value = self.value(key)?;
        let number = value.to_u64().ok();
        number
            .or_else(|| value.to_i64().ok().and_then(|n| n.try_into().ok()))
            .and_then(|number| number.try_into().ok())
    }

    fn config(&self) -> Result<LlamaConfig, LlamaError> {
        let architecture = self.value("general.architecture");
        let architecture = architecture.and_then(|value| value.to_string().ok().cloned());
        match architecture.as_deref() {
            Some("llama") => {}
            other => {
                return Err(LlamaError::Architecture {
                    path: self.path.into(),
                    found: other.unwrap_or("not given").into(),
                });
            }
        }
        let needed = |key: &str| {
            self.number(key).ok_or_else(|| LlamaError::Config {
                path: self.path.into(),
                reason: format!("'{key}' is missing or is not a number"),
            })
        };
        let real = |key: &str| self.value(key).and_then(|value| value.to_f32().ok());
        let num_heads = needed("llama.attention.head_count")?;
        let hidden_size = needed("llama.embedding_length")?;
        let embedding = self.content.tensor_infos.get("token_embd.weight");
        let vocab_size = embedding.map(|info| info.shape.dims()[0]);
        Ok(LlamaConfig {
            vocab_size: vocab_size.ok_or_else(|| self.no_tensor("token_embd.weight"))?,
            hidden_size,
            intermediate_size: needed("llama.feed_forward_length")?,
            num_layers: needed("llama.block_count")?,
            num_heads,
            num_kv_heads: self
                .number("llama.attention.head_count_kv")
                .unwrap_or(num_heads),
            head_dim: self
                .number("llama.rope.dimension_count")
                .unwrap_or(hidden_size / num_heads),
            rms_norm_eps: real("llama.attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            rope_theta: real("llama.rope.freq_base").unwrap_or(10_000.0),
            rope_scaling: None,
            max_positions: needed("llama.context_length")?,
            is_tied: !self.content.tensor_infos.contains_key(GGUF_OUTPUT),
            eos_token_ids: self
                .number("tokenizer.ggml.eos_token_id")
                .and_then(|id| id.try_into().ok())
                .into_iter()
                .collect(),
        })
    }

    fn no_tensor(&self, name: &str) -> LlamaError {
        LlamaError::NoTensor {
            path: self.path.into(),
            name: name.into(),
        }
    }

    fn tensor(&mut self, name: &str, wanted: &[usize]) -> Result<Matrix, LlamaError> {
        let info = self.content.tensor_infos.get(name);
        let info = info.ok_or_else(|| self.no_tensor(name))?;
        let found = info.shape.dims();
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
        let (kind, bytes) = read.map_err(|e| LlamaError::Read {
            path: self.path.into(),
            reason: e.to_string(),
        })?;
        let columns = wanted.last().copied().unwrap_or(1);
        let rows = wanted.iter().product::<usize>() / columns;
        Ok(Matrix {
            rows,
            columns,
            values: Values::Quantised { kind, bytes },
        })
    }

    /// A matrix; floats as floats, and blocks as they are.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, LlamaError> {
        let matrix = self.tensor(name, &[rows, columns])?;
        match &matrix.values {
            Values::Quantised {
                kind: GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16,
                ..
            } => in_precision(matrix, Precision::F32),
            _ => Ok(matrix),
        }
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>, LlamaError> {
        Ok(self.tensor(name, &[length])?.to_f32()?)
    }
}
