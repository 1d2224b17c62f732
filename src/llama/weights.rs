//! The frozen weights of a base model, from its files.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::bf16;

use super::matrix::Values;
use super::parts::Part;
use super::{LlamaConfig, LlamaError, Matrix, Projection};

/// How frozen weights are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 4 bytes a number.
    F32,
    /// 2 bytes a number; what other formats have is rounded to it.
    Bf16,
    /// As a GGUF file has them; floats become blocks of 8 bits (`Q8_0`).
    Quantised,
}

impl Precision {
    /// As options and settings name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Quantised => "quantised",
        }
    }
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
    /// The frozen matrix that an adapter's pair stands beside.
    pub fn projection(&self, projection: Projection) -> &Matrix {
        &self.projections[projection as usize]
    }
}

/// A base model's weights.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The shape that all tensors have been checked against.
    pub config: LlamaConfig,
    /// Shape [vocabulary, hidden].
    pub embedding: Matrix,
    /// Shape [vocabulary, hidden]; `None`: the embedding serves.
    pub output: Option<Matrix>,
    /// Shape [hidden].
    pub final_norm: Vec<f32>,
    /// In the order in which they are computed.
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

    /// Puts a model together of the tensors that `read` gives.
    pub(super) fn from_parts(
        config: LlamaConfig,
        precision: Precision,
        mut read: impl FnMut(Part) -> Result<Matrix, LlamaError>,
    ) -> Result<Self, LlamaError> {
        let keep = |stored| in_precision(stored, precision);
        let embedding = keep(read(Part::Embedding)?)?;
        let output = match config.is_tied {
            true => None,
            false => Some(keep(read(Part::Output)?)?),
        };
        let mut layers = Vec::new();
        for layer in 0..config.num_layers {
            let mut matrix = |projection| keep(read(Part::Projection(layer, projection))?);
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
                input_norm: read(Part::InputNorm(layer))?.to_f32()?,
                post_attention_norm: read(Part::PostAttentionNorm(layer))?.to_f32()?,
                projections,
            });
        }
        Ok(Self {
            final_norm: read(Part::FinalNorm)?.to_f32()?,
            config,
            embedding,
            output,
            layers,
        })
    }
}

/// Bytes of a model's weights. Those of quantised ones are as many as their file has.
pub fn weights_bytes(model: &LlamaConfig, precision: Precision, file_bytes: u64) -> u64 {
    let in_layers: usize = Projection::ALL
        .into_iter()
        .map(|projection| {
            let (output, input) = projection.shape(model);
            output * input * model.num_layers
        })
        .sum();
    let vocabularies = if model.is_tied { 1 } else { 2 };
    let floats = in_layers + vocabularies * model.vocab_size * model.hidden_size;
    match precision {
        Precision::F32 => floats as u64 * 4,
        Precision::Bf16 => floats as u64 * 2,
        Precision::Quantised => file_bytes,
    }
}

/// A matrix as it is to be kept.
fn in_precision(matrix: Matrix, precision: Precision) -> Result<Matrix, LlamaError> {
    let values = match (precision, matrix.values) {
        (Precision::F32, values @ Values::F32(_))
        | (Precision::Quantised, values @ Values::Quantised { .. }) => values,
        (_, values) => {
            let (rows, columns) = (matrix.rows, matrix.columns);
            let floats = Matrix { values, ..matrix }.to_f32()?;
            match precision {
                Precision::F32 => Values::F32(floats),
                Precision::Bf16 => Values::Bf16(floats.into_iter().map(bf16::from_f32).collect()),
                Precision::Quantised => quantised(rows, columns, floats)?,
            }
        }
    };
    Ok(Matrix { values, ..matrix })
}

/// Blocks of 8 bits.
fn quantised(rows: usize, columns: usize, floats: Vec<f32>) -> Result<Values, LlamaError> {
    let kind = GgmlDType::Q8_0;
    if !columns.is_multiple_of(kind.block_size()) {
        return Err(LlamaError::Blocks {
            columns,
            block: kind.block_size(),
        });
    }
    let tensor = Tensor::from_vec(floats, (rows, columns), &Device::Cpu)?;
    let bytes = QTensor::quantize(&tensor, kind)?.data()?.into_owned();
    Ok(Values::Quantised { kind, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_counted_as_they_are() {
        // SmolLM2-135M's shape.
        let model = LlamaConfig {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1_536,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 100_000.0,
            rope_scaling: None,
            max_positions: 8_192,
            is_tied: true,
            eos_token_ids: vec![2],
        };
        // 134,515,008 parameters, of which 61 norms of 576 are not in matrices.
        let floats = 134_515_008 - 61 * 576;
        assert_eq!(weights_bytes(&model, Precision::F32, 1), 4 * floats);
        assert_eq!(weights_bytes(&model, Precision::Bf16, 1), 2 * floats);
        assert_eq!(weights_bytes(&model, Precision::Quantised, 98), 98);
    }
}
