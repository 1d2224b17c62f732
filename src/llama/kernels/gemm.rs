//! Products of matrices for training: a frozen or small matrix from the left, activations from the
//! right. As activations are panels of tokens, weights are read as they are, whether `W x` or
//! `Wᵀ y` is wanted.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::panels::{LANES, Panels};

/// Rows that the kernel computes at once: with two vectors of 16 lanes each, 24 sums in registers.
pub(super) const TILE_ROWS: usize = 12;
/// Depth of a block: that of a group of panels stays in the second-level cache.
pub(super) const BLOCK_DEPTH: usize = 576;
/// Most panels that use a tile of the left matrix while it is in the first-level cache.
const GROUP_PANELS: usize = 8;
/// Tasks for each thread, so that none waits long for another.
const TASKS_PER_THREAD: usize = 16;
/// A product that is this many times deeper than it has rows, and deep enough for as many parts, is
/// computed in parts of its depth: the gradient of what goes into the vocabulary's projection is.
const DEEP: usize = 8;
/// How many parts: not a matter of threads, for sums in other orders are not the same to the bit.
const DEPTH_PARTS: usize = 16;

/// A matrix from the left, shape [rows, depth], somewhere in a slice.
#[derive(Clone, Copy)]
pub struct Left<'a, T = f32> {
    values: &'a [T],
    rows: usize,
    depth: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl<'a, T> Left<'a, T> {
    /// A row-major matrix as it is.
    pub fn plain(values: &'a [T], rows: usize, depth: usize) -> Self {
        Self::strided(values, rows, depth, depth, 1)
    }

    /// The transpose of a row-major matrix of shape [depth, rows].
    pub fn transposed(values: &'a [T], rows: usize, depth: usize) -> Self {
        Self::strided(values, rows, depth, 1, rows)
    }

    pub fn strided(
        values: &'a [T],
        rows: usize,
        depth: usize,
        row_stride: usize,
        depth_stride: usize,
    ) -> Self {
        assert!(
            rows == 0
                || depth == 0
                || (rows - 1) * row_stride + (depth - 1) * depth_stride < values.len(),
            "a matrix ends outside of its slice"
        );
        Self {
            values,
            rows,
            depth,
            row_stride,
            depth_stride,
        }
    }
}

impl Left<'_> {
    /// Panics unless all that a tile reads and writes is inside of its slices.
    #[inline]
    fn check(&self, right: &[f32], out: &[f32]) {
        assert!(
            self.rows * LANES == out.len()
                && self.depth * LANES == right.len()
                && (self.depth == 0
                    || (self.rows - 1) * self.row_stride + (self.depth - 1) * self.depth_stride
                        < self.values.len())
        );
    }
}

impl<'a> Left<'a> {
    /// The same numbers, at most [`TILE_ROWS`] by [`BLOCK_DEPTH`], side by side: [depth][row].
    fn gathered(self, place: &'a mut [f32; TILE_ROWS * BLOCK_DEPTH]) -> Self {
        for (depth, place) in (0..self.depth).zip(place.chunks_exact_mut(TILE_ROWS)) {
            let values = &self.values[depth * self.depth_stride..];
            match values.first_chunk::<TILE_ROWS>() {
                Some(values) if self.row_stride == 1 && self.rows == TILE_ROWS => {
                    place.copy_from_slice(values);
                }
                _ => {
                    let values = values.iter().step_by(self.row_stride.max(1));
                    for (place, value) in place.iter_mut().zip(values.take(self.rows)) {
                        *place = *value;
                    }
                }
            }
        }
        Self {
            values: place,
            row_stride: 1,
            depth_stride: TILE_ROWS,
            ..self
        }
    }
}

impl<'a, T> Left<'a, T> {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn depth(&self) -> usize {
        self.depth
    }

    /// From row to row, and from one place of the depth to the next.
    pub fn strides(&self) -> (usize, usize) {
        (self.row_stride, self.depth_stride)
    }

    pub fn values(&self) -> &'a [T] {
        self.values
    }
}

/// Whether a product replaces what is in its place or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Replace,
    Add,
}

/// A place that several threads write to, each in its own part.
#[derive(Clone, Copy)]
pub(super) struct SharedOutput(*mut f32);

// SAFETY: whoever takes a part promises that no other thread has it.
unsafe impl Send for SharedOutput {}
// SAFETY: as above.
unsafe impl Sync for SharedOutput {}

impl SharedOutput {
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// Of values that are still to be made.
    pub fn of_spare(values: &mut [MaybeUninit<f32>]) -> Self {
        Self(values.as_mut_ptr().cast())
    }

    /// Some rows of a panel; zeros, unless what is there is added to.
    ///
    /// # Safety
    /// The rows lie in the slice, which is still borrowed, and nobody else uses them meanwhile.
    /// What is added to is there.
    #[expect(clippy::mut_from_ref)]
    pub unsafe fn rows(
        &self,
        features: usize,
        panel: usize,
        first: usize,
        rows: usize,
        adds: bool,
    ) -> &mut [f32] {
        // SAFETY: as the caller says.
        unsafe {
            let start = self.0.add((panel * features + first) * LANES);
            if !adds {
                start.write_bytes(0, rows * LANES);
            }
            std::slice::from_raw_parts_mut(start, rows * LANES)
        }
    }
}

/// A part of a product that one task computes: some rows (of whole tiles) of some panels, and what
/// some of the depth adds to them.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub rows: Range<usize>,
    pub panels: Range<usize>,
    pub depths: Range<usize>,
}

/// Has `compute` compute all of a product of `rows` rows in parts, on all threads.
fn in_parts(rows: usize, depth: usize, panels: usize, compute: impl Fn(Part) + Sync) {
    let tiles = rows.div_ceil(TILE_ROWS);
    let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
    let panels_per_task = (panels * tiles / wanted).clamp(1, GROUP_PANELS);
    let groups = panels.div_ceil(panels_per_task);
    let rows_per_task = tiles.div_ceil(wanted.div_ceil(groups.max(1))).max(1) * TILE_ROWS;
    let row_tasks = rows.div_ceil(rows_per_task);
    (0..groups * row_tasks).into_par_iter().for_each(|part| {
        let (group, row_task) = (part / row_tasks, part % row_tasks);
        let first_row = row_task * rows_per_task;
        let first_panel = group * panels_per_task;
        compute(Part {
            rows: first_row..rows.min(first_row + rows_per_task),
            panels: first_panel..panels.min(first_panel + panels_per_task),
            depths: 0..depth,
        });
    });
}

/// A product of `rows` rows whose parts `compute` computes, given where and how to write them.
pub(super) fn product_of_parts(
    rows: usize,
    depth: usize,
    tokens: usize,
    compute: impl Fn(Part, SharedOutput, Output) + Sync,
) -> Panels {
    let panels = tokens.div_ceil(LANES);
    if depth < DEEP * rows || depth < DEPTH_PARTS * BLOCK_DEPTH {
        return made(rows, tokens, |place| {
            in_parts(rows, depth, panels, |part| {
                compute(part, place, Output::Replace);
            });
        });
    }
    // Tasks for some rows each would all read the whole matrix, a little of each line of memory.
    let depth_per_part = depth.div_ceil(DEPTH_PARTS).next_multiple_of(BLOCK_DEPTH);
    let starts: Vec<usize> = (0..depth).step_by(depth_per_part).collect();
    let sums: Vec<Panels> = starts
        .into_par_iter()
        .map(|start| {
            made(rows, tokens, |place| {
                for first in (0..panels).step_by(GROUP_PANELS) {
                    let part = Part {
                        rows: 0..rows,
                        panels: first..panels.min(first + GROUP_PANELS),
                        depths: start..depth.min(start + depth_per_part),
                    };
                    compute(part, place, Output::Replace);
                }
            })
        })
        .collect();
    Panels::from_fn(rows, tokens, |panel, out| {
        for sum in &sums {
            for (out, sum) in out.iter_mut().zip(sum.panel(panel)) {
                *out += sum;
            }
        }
    })
}

/// Adds a product whose parts `compute` computes.
pub(super) fn add_product_of_parts(
    out: &mut Panels,
    depth: usize,
    compute: impl Fn(Part, SharedOutput, Output) + Sync,
) {
    let place = SharedOutput::new(&mut out.values);
    let panels = out.tokens.div_ceil(LANES);
    in_parts(out.features, depth, panels, |part| {
        compute(part, place, Output::Add);
    });
}

/// Panels that `work` makes, given their place: all rows of all panels.
fn made(features: usize, tokens: usize, work: impl FnOnce(SharedOutput)) -> Panels {
    let length = tokens.div_ceil(LANES) * features * LANES;
    let mut values = Vec::with_capacity(length);
    let place = SharedOutput::of_spare(&mut values.spare_capacity_mut()[..length]);
    work(place);
    // SAFETY: all of it was written.
    unsafe { values.set_len(length) };
    Panels {
        features,
        tokens,
        values,
    }
}

/// `left right`.
pub fn product(left: Left<'_>, right: &Panels) -> Panels {
    assert_eq!(left.depth, right.features, "shapes of a product differ");
    product_of_parts(
        left.rows,
        left.depth,
        right.tokens,
        |part, place, output| {
            multiply(left, right, part, place, output);
        },
    )
}

/// `out += left right`.
pub fn add_product(left: Left<'_>, right: &Panels, out: &mut Panels) {
    assert!(
        left.depth == right.features && left.rows == out.features && right.tokens == out.tokens,
        "shapes of a product and of its sum differ"
    );
    add_product_of_parts(out, left.depth, |part, place, output| {
        multiply(left, right, part, place, output);
    });
}

fn multiply(left: Left<'_>, right: &Panels, part: Part, place: SharedOutput, output: Output) {
    // Each place of a transposed matrix's depth lies in another line of memory, mostly in another page:
    // a tile is gathered once for all panels.
    let is_gathered = left.depth_stride != 1 && part.panels.len() > 1;
    let mut gathered = [0.0; TILE_ROWS * BLOCK_DEPTH];
    let mut depth_start = part.depths.start;
    loop {
        let depth = BLOCK_DEPTH.min(part.depths.end - depth_start);
        let adds = output == Output::Add || depth_start > part.depths.start;
        for row in part.rows.clone().step_by(TILE_ROWS) {
            let tile_rows = TILE_ROWS.min(part.rows.end - row);
            let start = row * left.row_stride + depth_start * left.depth_stride;
            let mut tile_left = Left {
                values: &left.values[start.min(left.values.len())..],
                rows: tile_rows,
                depth,
                ..left
            };
            if is_gathered {
                tile_left = tile_left.gathered(&mut gathered);
            }
            for panel in part.panels.clone() {
                let right = &right.panel(panel)[depth_start * LANES..][..depth * LANES];
                // SAFETY: the place has these rows of this panel, and they are this task's.
                let out = unsafe { place.rows(left.rows, panel, row, tile_rows, adds) };
                tile(tile_left, right, out, adds);
            }
        }
        depth_start += depth;
        if depth_start >= part.depths.end {
            break;
        }
    }
}

/// A product with one panel, [depth][lane], on the calling thread: `out` is [row][lane].
pub fn multiply_panel(left: Left<'_>, right: &[f32], out: &mut [f32], output: Output) {
    assert!(right.len() == left.depth * LANES && out.len() == left.rows * LANES);
    let mut row = 0;
    while row < left.rows {
        let rows = TILE_ROWS.min(left.rows - row);
        let part = Left {
            values: &left.values[row * left.row_stride..],
            rows,
            ..left
        };
        let out = &mut out[row * LANES..][..rows * LANES];
        tile(part, right, out, output == Output::Add);
        row += rows;
    }
}

/// A few rows of a product with a panel.
#[inline]
fn tile(left: Left<'_>, right: &[f32], out: &mut [f32], adds: bool) {
    left.check(right, out);
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512, and what is read and written was checked.
            unsafe {
                match left.rows {
                    12 => avx512::tile::<12, 2>(left, right, out, adds),
                    8.. => avx512::rows::<8>(left, right, out, adds),
                    4.. => avx512::rows::<4>(left, right, out, adds),
                    _ => avx512::rows::<1>(left, right, out, adds),
                }
            }
            return;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2 and FMA, and what is read and written was checked.
            unsafe { avx2::rows::<2>(left, right, out, adds) };
            return;
        }
    }
    portable(left, right, out, adds);
}

/// As [`tile`], where nobody needs more than the first half of the lanes.
#[inline]
fn half_tile(left: Left<'_>, right: &[f32], out: &mut [f32], adds: bool) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        if left.rows == TILE_ROWS {
            left.check(right, out);
            // SAFETY: the processor has AVX-512, and what is read and written was checked.
            unsafe { avx512::tile::<TILE_ROWS, 1>(left, right, out, adds) };
            return;
        }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        left.check(right, out);
        // SAFETY: the processor has AVX2 and FMA, and what is read and written was checked.
        unsafe { avx2::rows::<1>(left, right, out, adds) };
        return;
    }
    tile(left, right, out, adds);
}

/// Rows and lanes that the portable kernel keeps in registers.
const PORTABLE_ROWS: usize = 6;
const PORTABLE_LANES: usize = 16;

fn portable(left: Left<'_>, right: &[f32], out: &mut [f32], adds: bool) {
    for row in (0..left.rows).step_by(PORTABLE_ROWS) {
        let rows = PORTABLE_ROWS.min(left.rows - row);
        for lane in (0..LANES).step_by(PORTABLE_LANES) {
            let mut sums = [[0.0_f32; PORTABLE_LANES]; PORTABLE_ROWS];
            for (depth, right) in right.chunks_exact(LANES).enumerate() {
                let right = &right[lane..lane + PORTABLE_LANES];
                for (r, sums) in sums.iter_mut().enumerate() {
                    // Rows beyond the last repeat it; they are not written.
                    let r = row + r.min(rows - 1);
                    let left = left.values[r * left.row_stride + depth * left.depth_stride];
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum += left * right;
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate().take(rows) {
                let start = (row + r) * LANES + lane;
                for (out, sum) in out[start..start + PORTABLE_LANES].iter_mut().zip(sums) {
                    *out = if adds { *out + sum } else { *sum };
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_setzero_ps, _mm256_storeu_ps,
    };

    use super::{LANES, Left};

    /// Rows at once: with two vectors of 8 lanes each, 12 sums in the 16 registers.
    const ROWS: usize = 6;
    /// Lanes of a vector.
    const WIDTH: usize = 8;
    /// Lanes that are computed at once.
    const HALF: usize = 2 * WIDTH;

    /// `HALVES` of the lanes are computed.
    ///
    /// # Safety
    /// The processor has AVX2 and FMA; `left.check` has found nothing wrong.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn rows<const HALVES: usize>(
        left: Left<'_>,
        right: &[f32],
        out: &mut [f32],
        adds: bool,
    ) {
        const { assert!(HALVES * HALF <= LANES) };
        for first in (0..left.rows).step_by(ROWS) {
            let part = Left {
                values: &left.values[(first * left.row_stride).min(left.values.len())..],
                rows: ROWS.min(left.rows - first),
                ..left
            };
            for half in 0..HALVES {
                let out = &mut out[first * LANES + half * HALF..];
                // SAFETY: these rows are among those of `left`, and these lanes among those of
                // `right` and `out`.
                unsafe {
                    let right = right.as_ptr().wrapping_add(half * HALF);
                    match part.rows {
                        6 => tile::<6>(part, right, out.as_mut_ptr(), adds),
                        5 => tile::<5>(part, right, out.as_mut_ptr(), adds),
                        4 => tile::<4>(part, right, out.as_mut_ptr(), adds),
                        3 => tile::<3>(part, right, out.as_mut_ptr(), adds),
                        2 => tile::<2>(part, right, out.as_mut_ptr(), adds),
                        _ => tile::<1>(part, right, out.as_mut_ptr(), adds),
                    }
                }
            }
        }
    }

    /// [`HALF`] lanes of `COUNT` rows.
    ///
    /// # Safety
    /// As [`rows`]; `left` and `out` have `COUNT` rows, `right` is as deep as `left`.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn tile<const COUNT: usize>(
        left: Left<'_>,
        mut right: *const f32,
        out: *mut f32,
        adds: bool,
    ) {
        let mut sums: [[__m256; 2]; COUNT] = [[_mm256_setzero_ps(); 2]; COUNT];
        let mut values = left.values.as_ptr();
        for _ in 0..left.depth {
            // SAFETY: the caller says that these rows and this depth are inside the slices.
            unsafe {
                let rights = [_mm256_loadu_ps(right), _mm256_loadu_ps(right.add(WIDTH))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let left = _mm256_broadcast_ss(&*values.add(row * left.row_stride));
                    for (sum, right) in sums.iter_mut().zip(rights) {
                        *sum = _mm256_fmadd_ps(left, right, *sum);
                    }
                }
            }
            values = values.wrapping_add(left.depth_stride);
            right = right.wrapping_add(LANES);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vector, sum) in sums.iter().enumerate() {
                // SAFETY: `out` has these rows.
                unsafe {
                    let out = out.add(row * LANES + vector * WIDTH);
                    let sum = match adds {
                        true => _mm256_add_ps(*sum, _mm256_loadu_ps(out)),
                        false => *sum,
                    };
                    _mm256_storeu_ps(out, sum);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    use super::{LANES, Left};

    /// Rows in groups of `ROWS` and, at last, one by one.
    ///
    /// # Safety
    /// The processor has AVX-512, and what `left` names lies inside its slice.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn rows<const ROWS: usize>(
        left: Left<'_>,
        right: &[f32],
        out: &mut [f32],
        adds: bool,
    ) {
        let mut row = 0;
        while row < left.rows {
            let part = Left {
                values: &left.values[row * left.row_stride..],
                ..left
            };
            let out = &mut out[row * LANES..];
            // SAFETY: these rows are among those of `left`.
            unsafe {
                if row + ROWS <= left.rows {
                    tile::<ROWS, 2>(part, right, out, adds);
                    row += ROWS;
                } else {
                    tile::<1, 2>(part, right, out, adds);
                    row += 1;
                }
            }
        }
    }

    /// `HALVES` of the lanes are computed.
    ///
    /// # Safety
    /// As [`rows`]; `left` and `out` have `ROWS` rows.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn tile<const ROWS: usize, const HALVES: usize>(
        left: Left<'_>,
        right: &[f32],
        out: &mut [f32],
        adds: bool,
    ) {
        let mut sums: [[__m512; HALVES]; ROWS] = [[_mm512_setzero_ps(); HALVES]; ROWS];
        let mut values = left.values.as_ptr();
        let mut right = right.as_ptr();
        for _ in 0..left.depth {
            // SAFETY: the caller says that these rows and this depth are inside the slices.
            unsafe {
                let mut rights = [_mm512_setzero_ps(); HALVES];
                for (half, value) in rights.iter_mut().enumerate() {
                    *value = _mm512_loadu_ps(right.add(16 * half));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let left = _mm512_set1_ps(*values.add(row * left.row_stride));
                    for (sum, right) in sums.iter_mut().zip(rights) {
                        *sum = _mm512_fmadd_ps(left, right, *sum);
                    }
                }
                values = values.wrapping_add(left.depth_stride);
                right = right.add(LANES);
            }
        }
        // SAFETY: `out` has these rows.
        unsafe { store(&sums, out, adds) };
    }

    /// Writes or adds the sums of a tile.
    ///
    /// # Safety
    /// The processor has AVX-512, and `out` has `ROWS` rows.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub unsafe fn store<const ROWS: usize, const HALVES: usize>(
        sums: &[[__m512; HALVES]; ROWS],
        out: &mut [f32],
        adds: bool,
    ) {
        let out = out.as_mut_ptr();
        for (row, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.iter().enumerate() {
                // SAFETY: `out` has these rows.
                unsafe {
                    let out = out.add(row * LANES + 16 * half);
                    let sum = match adds {
                        true => _mm512_add_ps(*sum, _mm512_loadu_ps(out)),
                        false => *sum,
                    };
                    _mm512_storeu_ps(out, sum);
                }
            }
        }
    }
}

/// Calls `add(row, column, sum)` with the sums over tokens of `left[row] right[column]`: what the
/// gradient of a small matrix is made of. `right` has few features; sums come by rows.
fn for_each_outer_sum(
    left: &Panels,
    right: &Panels,
    rows: Range<usize>,
    mut add: impl FnMut(usize, usize, f32),
) {
    let mut sums = [0.0_f32; TILE_ROWS * LANES];
    for first in rows.clone().step_by(TILE_ROWS) {
        let tile_rows = TILE_ROWS.min(rows.end - first);
        // `right` is transposed: its rows are tokens, its lanes features.
        for columns in 0..right.count() {
            let sums = &mut sums[..tile_rows * LANES];
            let width = LANES.min(right.tokens - columns * LANES);
            for tokens in 0..left.count() {
                let values = &left.panel(tokens)[first * LANES..];
                let part = Left::strided(values, tile_rows, LANES, LANES, 1);
                let right = &right.panel(columns)[tokens * LANES * LANES..][..LANES * LANES];
                match width <= LANES / 2 {
                    true => half_tile(part, right, sums, tokens > 0),
                    false => tile(part, right, sums, tokens > 0),
                }
            }
            for (row, sums) in sums.chunks_exact(LANES).enumerate() {
                for (lane, sum) in sums.iter().enumerate().take(width) {
                    add(first + row, columns * LANES + lane, *sum);
                }
            }
        }
    }
}

/// `out += scale left rightᵀ`, summed over tokens; `out` is row-major, shape [features of left,
/// features of right]. Of both, `right` is to be the one with fewer features.
pub fn add_outer(left: &Panels, right: &Panels, scale: f32, out: &mut [f32]) {
    let columns = right.features;
    assert!(left.tokens == right.tokens && out.len() == left.features * columns);
    let right = right.transposed();
    let rows_per_task = outer_rows_per_task(left.features);
    let tasks = out.par_chunks_mut(rows_per_task * columns).enumerate();
    tasks.for_each(|(task, out)| {
        let first = task * rows_per_task;
        let rows = first..first + out.len() / columns;
        for_each_outer_sum(left, &right, rows, |row, column, sum| {
            out[(row - first) * columns + column] += scale * sum;
        });
    });
}

/// As [`add_outer`], for `out` of shape [features of right, features of left].
pub fn add_outer_transposed(left: &Panels, right: &Panels, scale: f32, out: &mut [f32]) {
    let columns = right.features;
    let mut transposed = vec![0.0; out.len()];
    add_outer(left, right, scale, &mut transposed);
    let rows = out.par_chunks_exact_mut(left.features).enumerate();
    rows.for_each(|(column, out)| {
        let sums = transposed[column..].iter().step_by(columns);
        for (out, sum) in out.iter_mut().zip(sums) {
            *out += sum;
        }
    });
}

fn outer_rows_per_task(rows: usize) -> usize {
    let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
    rows.div_ceil(tasks).next_multiple_of(TILE_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Kernel = fn(Left<'_>, &[f32], &mut [f32], bool);

    /// The kernels that this processor can run, beside the portable one.
    fn kernels() -> Vec<(&'static str, Kernel)> {
        #[allow(unused_mut)]
        let mut kernels: Vec<(&'static str, Kernel)> = vec![("the one that is used", tile)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(("AVX2", |left, right, out, adds| {
                left.check(right, out);
                // SAFETY: the processor has AVX2 and FMA, and the slices were checked.
                unsafe { avx2::rows::<2>(left, right, out, adds) };
            }));
        }
        kernels
    }

    #[test]
    fn kernels_for_all_processors_agree() {
        for (rows, depth) in [
            (1, 1),
            (5, 40),
            (7, 3),
            (8, 9),
            (10, 7),
            (11, 100),
            (12, 33),
        ] {
            let values: Vec<f32> = (0..rows * depth).map(|n| (n % 17) as f32 - 8.0).collect();
            let right: Vec<f32> = (0..depth * LANES).map(|n| (n % 23) as f32 - 11.0).collect();
            let sides = [
                Left::plain(&values, rows, depth),
                Left::transposed(&values, rows, depth),
            ];
            for (left, adds) in sides.into_iter().flat_map(|l| [(l, false), (l, true)]) {
                let before = vec![1.0; rows * LANES];
                let mut plain = before.clone();
                portable(left, &right, &mut plain, adds);
                for (name, kernel) in kernels() {
                    let mut fast = before.clone();
                    kernel(left, &right, &mut fast, adds);
                    // Whole numbers: exact in any order.
                    assert_eq!(fast, plain, "{name}: {rows} {depth} {adds}");
                }
                let mut half = before;
                half_tile(left, &right, &mut half, adds);
                for (half, plain) in half.chunks(LANES).zip(plain.chunks(LANES)) {
                    assert_eq!(
                        half[..LANES / 2],
                        plain[..LANES / 2],
                        "{rows} {depth} {adds}"
                    );
                }
            }
        }
    }
}
