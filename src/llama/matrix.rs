//! Frozen matrices, as exactly as they are kept: 32 or 16 bits an element, or GGUF's blocks.

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use half::bf16;

use super::kernels::blocks;

/// How the elements of a [`Matrix`] are kept.
#[derive(Clone, Debug)]
pub enum Values {
    /// As they are computed with.
    F32(Vec<f32>),
    /// Half the memory; widened as they are read, or multiplied as they are.
    Bf16(Vec<bf16>),
    /// Blocks of GGUF; a row is a whole number of them.
    Quantised {
        /// The layout of a block.
        kind: GgmlDType,
        /// Row after row, without gaps.
        bytes: Vec<u8>,
    },
}

/// A frozen matrix in row-major order, shape [rows, columns]; as a linear layer: [out, in].
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Outputs of a linear layer.
    pub rows: usize,
    /// Inputs of a linear layer.
    pub columns: usize,
    /// Row-major; `rows` times `columns` elements.
    pub values: Values,
}

impl Matrix {
    /// `values` are row-major, and as many as the shape says.
    pub fn from_f32(rows: usize, columns: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), rows * columns);
        Self {
            rows,
            columns,
            values: Values::F32(values),
        }
    }

    /// Bytes that the elements take.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::F32(values) => size_of_val(values.as_slice()),
            Values::Bf16(values) => size_of_val(values.as_slice()),
            Values::Quantised { bytes, .. } => bytes.len(),
        }
    }

    /// Writes rows from `first` on into `out`, as many as it has room for.
    ///
    /// # Errors
    /// When candle does not know the blocks.
    pub fn read_rows(&self, first: usize, out: &mut [f32]) -> candle_core::Result<()> {
        let start = first * self.columns;
        match &self.values {
            Values::F32(values) => out.copy_from_slice(&values[start..start + out.len()]),
            Values::Bf16(values) => {
                let values = &values[start..start + out.len()];
                for (out, value) in out.iter_mut().zip(values) {
                    *out = value.to_f32();
                }
            }
            Values::Quantised { kind, bytes } => {
                let bytes_per_block = kind.type_size();
                let first_block = start / kind.block_size();
                let blocks = out.len() / kind.block_size();
                let bytes =
                    &bytes[first_block * bytes_per_block..(first_block + blocks) * bytes_per_block];
                match kind {
                    GgmlDType::Q4_0 => blocks::q4_0_numbers(bytes, out),
                    GgmlDType::Q4_1 => blocks::q4_1_numbers(bytes, out),
                    GgmlDType::Q8_0 => blocks::q8_0_numbers(bytes, out),
                    _ => {
                        let storage = QStorage::from_data(bytes.into(), &Device::Cpu, *kind)?;
                        let tensor = QTensor::new(storage, out.len())?;
                        let tensor = tensor.dequantize(&Device::Cpu)?;
                        out.copy_from_slice(&tensor.to_vec1::<f32>()?);
                    }
                }
            }
        }
        Ok(())
    }

    /// All elements in 32 bits.
    ///
    /// # Errors
    /// As [`Self::read_rows`].
    pub fn to_f32(&self) -> candle_core::Result<Vec<f32>> {
        let mut values = vec![0.0; self.rows * self.columns];
        self.read_rows(0, &mut values)?;
        Ok(values)
    }

    /// A tensor of 32-bit elements, shape [rows, columns].
    ///
    /// # Errors
    /// As [`Self::read_rows`], or when the device has no room.
    pub fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_vec(self.to_f32()?, (self.rows, self.columns), device)
    }
}
