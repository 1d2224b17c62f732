//! Products with frozen matrices of 16-bit elements, on processors that multiply pairs of these
//! (AVX512-BF16). Activations are rounded to 16 bits on their way in; sums have 32 bits.

use half::bf16;

use super::gemm::{Left, Output, Part, SharedOutput, add_product_of_parts, product_of_parts};
use super::panels::{LANES, Panels, filled_in_parts};
use super::vectorised;

/// Whether there are such products: the processor has the instructions, and the depth is even.
pub fn multiplies(left: Left<'_, bf16>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16") {
        return left.depth() > 0 && left.depth().is_multiple_of(2);
    }
    let _ = left;
    false
}

/// `left right`, where [`multiplies`] says so.
pub fn product(left: Left<'_, bf16>, right: &Panels) -> Panels {
    let right = Paired::new(left, right);
    product_of_parts(
        left.rows(),
        left.depth(),
        right.tokens,
        |part, place, output| {
            right.multiply(left, part, place, output);
        },
    )
}

/// `out += left right`, where [`multiplies`] says so.
pub fn add_product(left: Left<'_, bf16>, right: &Panels, out: &mut Panels) {
    assert!(
        left.rows() == out.features && right.tokens == out.tokens,
        "shapes of a product and of its sum differ"
    );
    let right = Paired::new(left, right);
    add_product_of_parts(out, left.depth(), |part, place, output| {
        right.multiply(left, part, place, output);
    });
}

/// Activations in 16 bits, two of neighbouring features together: [panel][pair][lane].
struct Paired {
    tokens: usize,
    values: Vec<u32>,
}

impl Paired {
    /// Of what `left` is to be multiplied with.
    fn new(left: Left<'_, bf16>, right: &Panels) -> Self {
        assert!(multiplies(left), "this processor has no 16-bit products");
        assert_eq!(left.depth(), right.features, "shapes of a product differ");
        let size = right.panel_size() / 2;
        let values = filled_in_parts(right.count(), size, |panel, paired: &mut [u32]| {
            pair_rows(right.panel(panel), paired);
        });
        Self {
            tokens: right.tokens,
            values,
        }
    }

    fn multiply(&self, left: Left<'_, bf16>, part: Part, place: SharedOutput, output: Output) {
        #[cfg(target_arch = "x86_64")]
        x86::multiply(left, &self.values, part, place, output);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (left, part, place, output, &self.values);
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
        _mm512_setzero_ps,
    };

    use super::super::gemm::avx512::store;
    use super::super::gemm::{BLOCK_DEPTH, Left, Output, Part, SharedOutput, TILE_ROWS};
    use super::super::panels::LANES;
    use super::super::vectorised;
    use half::bf16;

    /// Pairs of a block of the depth.
    const BLOCK_PAIRS: usize = BLOCK_DEPTH / 2;

    /// Computes a part of a product with `paired`, [panel][pair][lane].
    pub fn multiply(
        left: Left<'_, bf16>,
        paired: &[u32],
        part: Part,
        place: SharedOutput,
        output: Output,
    ) {
        let pairs = left.depth() / 2;
        let mut packed = [0_u32; TILE_ROWS * BLOCK_PAIRS];
        let depths = part.depths.start / 2..part.depths.end / 2;
        for start in depths.clone().step_by(BLOCK_PAIRS) {
            let depth = BLOCK_PAIRS.min(depths.end - start);
            let adds = output == Output::Add || start > depths.start;
            for row in part.rows.clone().step_by(TILE_ROWS) {
                let tile_rows = TILE_ROWS.min(part.rows.end - row);
                let packed = &mut packed[..depth * TILE_ROWS];
                let pairs_left = pairs_of(left, row, tile_rows, 2 * start, packed);
                for panel in part.panels.clone() {
                    let paired = &paired[(panel * pairs + start) * LANES..][..depth * LANES];
                    // SAFETY: the place has these rows of this panel, and they are this task's. The
                    // processor has the instructions, or there would be no pairs; these are as many
                    // as the tile needs.
                    unsafe {
                        let out = place.rows(left.rows(), panel, row, tile_rows, adds);
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
