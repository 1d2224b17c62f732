//! Products of frozen matrices with one vector, for generation. Weights are read once and in the
//! form that they are kept in, because memory is what takes the time.

use candle_core::quantized::GgmlDType;
use half::bf16;
use rayon::prelude::*;

use super::{blocks, vectorised};
use crate::llama::Matrix;
use crate::llama::matrix::Values;

/// Numbers that are summed side by side.
const WIDTH: usize = 32;

/// `W x`.
///
/// # Errors
/// When candle does not know the matrix's blocks.
pub fn matvec(matrix: &Matrix, x: &[f32]) -> candle_core::Result<Vec<f32>> {
    let mut out = vec![0.0; matrix.rows];
    matvecs(&mut [(matrix, &mut out)], x)?;
    Ok(out)
}

/// `W x` of several matrices with one input, in one go.
///
/// # Errors
/// As [`matvec`].
pub fn matvecs(work: &mut [(&Matrix, &mut Vec<f32>)], x: &[f32]) -> candle_core::Result<()> {
    let rows: usize = work.iter().map(|(matrix, _)| matrix.rows).sum();
    // Sums over blocks serve the kinds whose blocks have an offset.
    let block_sums: Vec<f32> = x
        .chunks(blocks::SIZE)
        .map(|block| block.iter().sum())
        .collect();
    let rows_per_task = rows.div_ceil(2 * rayon::current_num_threads()).max(16);
    let tasks = work.iter_mut().flat_map(|(matrix, out)| {
        let matrix: &Matrix = matrix;
        let parts = out.chunks_mut(rows_per_task).enumerate();
        parts.map(move |(part, out)| (matrix, part * rows_per_task, out))
    });
    let tasks: Vec<(&Matrix, usize, &mut [f32])> = tasks.collect();
    tasks
        .into_par_iter()
        .try_for_each(|(matrix, first, out)| rows_times(matrix, first, x, &block_sums, out))
}

/// Rows from `first` on.
fn rows_times(
    matrix: &Matrix,
    first: usize,
    x: &[f32],
    block_sums: &[f32],
    out: &mut [f32],
) -> candle_core::Result<()> {
    let columns = matrix.columns;
    match &matrix.values {
        Values::F32(values) => f32_rows(&values[first * columns..], x, out),
        Values::Bf16(values) => bf16_rows(&values[first * columns..], x, out),
        Values::Quantised { kind, bytes } => {
            let row_bytes = columns / kind.block_size() * kind.type_size();
            let rows = &bytes[first * row_bytes..];
            match kind {
                GgmlDType::Q4_0 => blocks::q4_0_rows(rows, x, block_sums, out),
                GgmlDType::Q4_1 => blocks::q4_1_rows(rows, x, block_sums, out),
                GgmlDType::Q8_0 => blocks::q8_0_rows(rows, x, out),
                _ => {
                    let mut row = vec![0.0; columns];
                    for (place, out) in out.iter_mut().enumerate() {
                        matrix.read_rows(first + place, &mut row)?;
                        *out = dot(&row, x);
                    }
                }
            }
        }
    }
    Ok(())
}

vectorised! {
    /// The product of two vectors.
    pub fn dot(row: &[f32], x: &[f32]) -> f32 {
        dot_as_f32(row, x, |value| value)
    }

    fn f32_rows(rows: &[f32], x: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(x.len()).zip(out) {
            *out = dot_as_f32(row, x, |value| value);
        }
    }

    fn bf16_rows(rows: &[bf16], x: &[f32], out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(x.len()).zip(out) {
            *out = dot_as_f32(row, x, widened);
        }
    }
}

#[inline(always)]
fn widened(value: bf16) -> f32 {
    f32::from_bits(u32::from(value.to_bits()) << 16)
}

#[inline(always)]
fn dot_as_f32<T: Copy>(row: &[T], x: &[f32], to_f32: impl Fn(T) -> f32) -> f32 {
    let mut sums = [0.0_f32; WIDTH];
    let rows = row.chunks_exact(WIDTH);
    let xs = x.chunks_exact(WIDTH);
    let rest: f32 = rows
        .remainder()
        .iter()
        .zip(xs.remainder())
        .map(|(value, x)| to_f32(*value) * x)
        .sum();
    for (row, x) in rows.zip(xs) {
        for ((sum, value), x) in sums.iter_mut().zip(row).zip(x) {
            *sum += to_f32(*value) * x;
        }
    }
    sums.iter().sum::<f32>() + rest
}
