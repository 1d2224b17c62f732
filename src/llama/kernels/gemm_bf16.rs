//! Products with frozen matrices of 16-bit elements, on processors that multiply pairs of these
//! (AVX512-BF16). Activations are rounded to 16 bits on their way in; sums have 32 bits.

use half::bf16;

use super::gemm::{Left, Output};
use super::panels::Panels;

/// `out = left right` or `out += left right`. Gives `false`, and does nothing, where the processor
/// lacks the instructions or the depth is odd.
pub fn multiply(left: Left<'_, bf16>, right: &Panels, out: &mut Panels, output: Output) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bf16")
        && left.depth().is_multiple_of(2)
    {
        x86::multiply(left, right, out, output);
        return true;
    }
    let _ = (left, right, out, output);
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_ps,
    };

    use half::bf16;
    use rayon::prelude::*;

    use super::super::gemm::avx512::store;
    use super::super::gemm::{BLOCK_DEPTH, Left, Output, SharedOutput, TILE_ROWS, for_each_part};
    use super::super::panels::{LANES, Panels};
    use super::super::vectorised;

    /// Pairs of a block of the depth.
    const BLOCK_PAIRS: usize = BLOCK_DEPTH / 2;

    pub fn multiply(left: Left<'_, bf16>, right: &Panels, out: &mut Panels, output: Output) {
        assert!(
            left.depth() == right.features
                && left.rows() == out.features
                && right.tokens == out.tokens,
            "shapes of a product differ"
        );
        let pairs = left.depth() / 2;
        let mut paired = vec![0_u32; right.count() * pairs * LANES];
        paired
            .par_chunks_mut((pairs * LANES).max(1))
            .enumerate()
            .for_each(|(panel, paired)| pair_rows(right.panel(panel), paired));
        let out_features = out.features;
        let place = SharedOutput::new(&mut out.values);
        for_each_part(left.rows(), right.count(), |rows, panels| {
            let mut packed = [0_u32; TILE_ROWS * BLOCK_PAIRS];
            for start in (0..pairs).step_by(BLOCK_PAIRS) {
                let depth = BLOCK_PAIRS.min(pairs - start);
                let adds = output == Output::Add || start > 0;
                for row in rows.clone().step_by(TILE_ROWS) {
                    let tile_rows = TILE_ROWS.min(rows.end - row);
                    let packed = &mut packed[..depth * TILE_ROWS];
                    let pairs_left = pairs_of(left, row, tile_rows, 2 * start, packed);
                    for panel in panels.clone() {
                        let paired = &paired[(panel * pairs + start) * LANES..][..depth * LANES];
                        // SAFETY: `out` has these rows of this panel, and they are this task's.
                        let out = unsafe {
                            place.part((panel * out_features + row) * LANES, tile_rows * LANES)
                        };
                        // SAFETY: the caller saw that the processor has the instructions; the
                        // pairs are as many as the tile needs.
                        unsafe {
                            match tile_rows {
                                TILE_ROWS => tile::<TILE_ROWS>(pairs_left, paired, out, adds),
                                _ => {
                                    for (row, out) in out.chunks_exact_mut(LANES).enumerate() {
                                        tile::<1>(pairs_left.beginning_at(row), paired, out, adds);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    /// Pairs of the left matrix: neighbours of the depth.
    #[derive(Clone, Copy)]
    struct Pairs {
        first: *const u16,
        /// Strides in 16-bit elements.
        row_stride: usize,
        pair_stride: usize,
    }

    impl Pairs {
        fn beginning_at(self, row: usize) -> Self {
            Self {
                first: self.first.wrapping_add(row * self.row_stride),
                ..self
            }
        }
    }

    vectorised! {
        /// Rounds two rows at a time to 16 bits and puts them together: [pair][lane].
        fn pair_rows(panel: &[f32], paired: &mut [u32]) {
            let rows = panel.chunks_exact(2 * LANES);
            for (rows, out) in rows.zip(paired.chunks_exact_mut(LANES)) {
                let (first, second) = rows.split_at(LANES);
                for ((out, first), second) in out.iter_mut().zip(first).zip(second) {
                    *out = rounded(*first) >> 16 | rounded(*second) & 0xffff_0000;
                }
            }
        }
    }

    /// Bits of a finite number whose upper half is the nearest of 16 bits, even in doubt.
    #[inline(always)]
    fn rounded(value: f32) -> u32 {
        let bits = value.to_bits();
        bits.wrapping_add(0x7fff + (bits >> 16 & 1))
    }

    /// Pairs of some rows of the left matrix from place `start` of its depth on: where they are, if
    /// they stand side by side, or else packed.
    fn pairs_of(
        left: Left<'_, bf16>,
        row: usize,
        rows: usize,
        start: usize,
        packed: &mut [u32],
    ) -> Pairs {
        let (row_stride, depth_stride) = left.strides();
        let values = &left.values()[row * row_stride + start * depth_stride..];
        let depth = 2 * packed.len() / TILE_ROWS;
        assert!((rows - 1) * row_stride + (depth - 1) * depth_stride < values.len());
        if depth_stride == 1 {
            return Pairs {
                first: values.as_ptr().cast(),
                row_stride,
                pair_stride: 2,
            };
        }
        pack_columns(values, row_stride, depth_stride, rows, packed);
        Pairs {
            first: packed.as_ptr().cast(),
            row_stride: 2,
            pair_stride: 2 * TILE_ROWS,
        }
    }

    #[inline(always)]
    fn joined(first: bf16, second: bf16) -> u32 {
        u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16
    }

    vectorised! {
        fn pack_columns(
            values: &[bf16],
            row_stride: usize,
            depth_stride: usize,
            rows: usize,
            packed: &mut [u32],
        ) {
            for (pair, packed) in packed.chunks_exact_mut(TILE_ROWS).enumerate() {
                let first = &values[2 * pair * depth_stride..];
                let second = &values[(2 * pair + 1) * depth_stride..];
                if row_stride == 1 && rows == TILE_ROWS {
                    // Of constant length, the loop becomes a few vector instructions.
                    let whole = first.first_chunk::<TILE_ROWS>();
                    if let Some((first, second)) = whole.zip(second.first_chunk::<TILE_ROWS>()) {
                        for row in 0..TILE_ROWS {
                            packed[row] = joined(first[row], second[row]);
                        }
                        continue;
                    }
                }
                let pairs = first.iter().step_by(row_stride);
                let pairs = pairs.zip(second.iter().step_by(row_stride)).take(rows);
                for (packed, (first, second)) in packed.iter_mut().zip(pairs) {
                    *packed = joined(*first, *second);
                }
            }
        }
    }

    /// # Safety
    /// The processor has AVX-512 with BF16; `out` has `ROWS` rows, and `left` as many, of as many
    /// pairs as `paired`.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn tile<const ROWS: usize>(left: Pairs, paired: &[u32], out: &mut [f32], adds: bool) {
        let depth = paired.len() / LANES;
        let mut sums: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
        let mut first = left.first;
        let mut right = paired.as_ptr();
        for _ in 0..depth {
            // SAFETY: the caller says that the slices are long enough; the vectors are of one size.
            unsafe {
                let low: __m512bh = as_pairs(_mm512_loadu_si512(right.cast()));
                let high: __m512bh = as_pairs(_mm512_loadu_si512(right.add(16).cast()));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let pair = first.add(row * left.row_stride).cast::<i32>();
                    let pair = as_pairs(_mm512_set1_epi32(pair.read_unaligned()));
                    sums[0] = _mm512_dpbf16_ps(sums[0], pair, low);
                    sums[1] = _mm512_dpbf16_ps(sums[1], pair, high);
                }
            }
            first = first.wrapping_add(left.pair_stride);
            right = right.wrapping_add(LANES);
        }
        // SAFETY: `out` has these rows.
        unsafe { store(&sums, out, adds) };
    }

    #[inline(always)]
    fn as_pairs(bits: __m512i) -> __m512bh {
        // SAFETY: both are 512 bits that may have any value.
        unsafe { std::mem::transmute(bits) }
    }
}
