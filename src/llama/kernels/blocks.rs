//! The simple kinds of GGUF's blocks: 32 numbers of few bits with a common scale.

use super::vectorised;

/// Numbers in a block.
pub const SIZE: usize = 32;
/// Bytes of blocks with a scale, with a scale and an offset, and of 8-bit numbers with a scale.
const Q4_0_BYTES: usize = 18;
const Q4_1_BYTES: usize = 20;
const Q8_0_BYTES: usize = 34;

vectorised! {
    /// Rows of blocks times a vector.
    pub fn q4_0_rows(rows: &[u8], x: &[f32], block_sums: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(x.len() / SIZE * Q4_0_BYTES).zip(out) {
            *out = dot_q4_0(row, x, block_sums);
        }
    }

    /// Rows of blocks times a vector.
    pub fn q4_1_rows(rows: &[u8], x: &[f32], block_sums: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(x.len() / SIZE * Q4_1_BYTES).zip(out) {
            *out = dot_q4_1(row, x, block_sums);
        }
    }

    /// Rows of blocks times a vector.
    pub fn q8_0_rows(rows: &[u8], x: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(x.len() / SIZE * Q8_0_BYTES).zip(out) {
            *out = dot_q8_0(row, x);
        }
    }

    /// The numbers of blocks.
    pub fn q4_0_numbers(blocks: &[u8], out: &mut [f32]) {
        for (block, out) in blocks.chunks_exact(Q4_0_BYTES).zip(out.chunks_exact_mut(SIZE)) {
            let scale = from_f16([block[0], block[1]]);
            write_nibbles(&block[2..Q4_0_BYTES], scale, -8.0 * scale, out);
        }
    }

    /// The numbers of blocks.
    pub fn q4_1_numbers(blocks: &[u8], out: &mut [f32]) {
        for (block, out) in blocks.chunks_exact(Q4_1_BYTES).zip(out.chunks_exact_mut(SIZE)) {
            let scale = from_f16([block[0], block[1]]);
            let offset = from_f16([block[2], block[3]]);
            write_nibbles(&block[4..Q4_1_BYTES], scale, offset, out);
        }
    }

    /// The numbers of blocks.
    pub fn q8_0_numbers(blocks: &[u8], out: &mut [f32]) {
        for (block, out) in blocks.chunks_exact(Q8_0_BYTES).zip(out.chunks_exact_mut(SIZE)) {
            let scale = from_f16([block[0], block[1]]);
            for (out, byte) in out.iter_mut().zip(&block[2..Q8_0_BYTES]) {
                *out = scale * f32::from(*byte as i8);
            }
        }
    }
}

/// A half-precision number that is finite.
#[inline(always)]
fn from_f16(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    // The exponent's bias differs by 112; the product also makes subnormal numbers right.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// Sums of a block's 4-bit numbers times `x`: the low halves of its bytes come first.
#[inline(always)]
fn add_nibbles(nibbles: &[u8], x: &[f32], scale: f32, sums: &mut [f32; 16]) {
    let (low, high) = x.split_at(16);
    for lane in 0..16 {
        let byte = nibbles[lane];
        let product = f32::from(byte & 15) * low[lane] + f32::from(byte >> 4) * high[lane];
        sums[lane] += scale * product;
    }
}

/// Blocks of a scale (16 bits) and 32 numbers from -8 to 7 (4 bits each).
#[inline(always)]
fn dot_q4_0(row: &[u8], x: &[f32], block_sums: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let mut offsets = 0.0;
    let blocks = row.chunks_exact(Q4_0_BYTES).zip(x.chunks_exact(SIZE));
    for ((block, x), block_sum) in blocks.zip(block_sums) {
        let scale = from_f16([block[0], block[1]]);
        offsets -= 8.0 * scale * block_sum;
        add_nibbles(&block[2..Q4_0_BYTES], x, scale, &mut sums);
    }
    sums.iter().sum::<f32>() + offsets
}

/// Blocks of a scale, an offset (16 bits each) and 32 numbers from 0 to 15 (4 bits each).
#[inline(always)]
fn dot_q4_1(row: &[u8], x: &[f32], block_sums: &[f32]) -> f32 {
    let mut sums = [0.0; 16];
    let mut offsets = 0.0;
    let blocks = row.chunks_exact(Q4_1_BYTES).zip(x.chunks_exact(SIZE));
    for ((block, x), block_sum) in blocks.zip(block_sums) {
        let scale = from_f16([block[0], block[1]]);
        offsets += from_f16([block[2], block[3]]) * block_sum;
        add_nibbles(&block[4..Q4_1_BYTES], x, scale, &mut sums);
    }
    sums.iter().sum::<f32>() + offsets
}

/// Blocks of a scale (16 bits) and 32 numbers of 8 bits.
#[inline(always)]
fn dot_q8_0(row: &[u8], x: &[f32]) -> f32 {
    let mut sums = [0.0_f32; SIZE];
    for (block, x) in row.chunks_exact(Q8_0_BYTES).zip(x.chunks_exact(SIZE)) {
        let scale = from_f16([block[0], block[1]]);
        let block = &block[2..Q8_0_BYTES];
        for lane in 0..SIZE {
            sums[lane] += scale * (f32::from(block[lane] as i8) * x[lane]);
        }
    }
    sums.iter().sum()
}

#[inline(always)]
fn write_nibbles(nibbles: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    let (low, high) = out.split_at_mut(SIZE / 2);
    for ((nibbles, low), high) in nibbles.iter().zip(low).zip(high) {
        *low = scale * f32::from(nibbles & 15) + offset;
        *high = scale * f32::from(nibbles >> 4) + offset;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn blocks_are_read_as_candle_reads_them() {
        let numbers: Vec<f32> = (0..256_u32)
            .map(|n| (n * 97 % 251) as f32 / 100.0 - 1.1)
            .collect();
        let tensor = Tensor::from_vec(numbers, 256, &Device::Cpu).expect("a tensor");
        let x: Vec<f32> = (0..256).map(|n| (n % 13) as f32 - 6.0).collect();
        let block_sums: Vec<f32> = x.chunks(SIZE).map(|block| block.iter().sum()).collect();
        for kind in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let quantised = QTensor::quantize(&tensor, kind).expect("blocks");
            let dequantised = quantised.dequantize(&Device::Cpu);
            let expected = dequantised.and_then(|tensor| tensor.to_vec1::<f32>());
            let expected = expected.expect("numbers");
            let bytes = quantised.data().expect("bytes");
            let (mut found, mut product) = (vec![0.0; 256], [0.0]);
            match kind {
                GgmlDType::Q4_0 => {
                    q4_0_numbers(&bytes, &mut found);
                    q4_0_rows(&bytes, &x, &block_sums, &mut product);
                }
                GgmlDType::Q4_1 => {
                    q4_1_numbers(&bytes, &mut found);
                    q4_1_rows(&bytes, &x, &block_sums, &mut product);
                }
                _ => {
                    q8_0_numbers(&bytes, &mut found);
                    q8_0_rows(&bytes, &x, &mut product);
                }
            }
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{kind:?}: {found} {expected}"
                );
            }
            let sum: f32 = expected.iter().zip(&x).map(|(a, b)| a * b).sum();
            assert!(
                (product[0] - sum).abs() < 1e-2,
                "{kind:?}: {product:?} {sum}"
            );
        }
    }
}
