//! The inner loops: a few rows of one layer, a register of channels at a time.
//!
//! Channels are innermost in memory, so that a register holds one pixel's neighbouring channels, and a
//! weight's register belongs to as many outputs. Each output begins with its bias, and products are
//! added one after the other, without rounding between, in the order of the weights: whatever the width
//! of a register and however the work is divided, the bits are the same.

#![allow(unsafe_op_in_unsafe_fn, reason = "pointers throughout, see `Map`")]
#![allow(
    clippy::missing_safety_doc,
    reason = "see `Map`: all have the same conditions"
)]
#![allow(
    clippy::needless_range_loop,
    reason = "indices are constants once the loops are unrolled"
)]

use super::vector::Vector;

/// Channels that are neighbours in memory.
pub const BLOCK: usize = 16;
/// Channels that are copied at once where those of several pixels become one's.
pub const CHANNELS_COPIED: usize = 8;
/// Registers of the narrowest kind that hold them.
const MAX_REGISTERS: usize = 2;

/// Where a map's values are in memory: sixteen channels of a pixel side by side, then the next pixel of
/// the row, then the next row, then the next sixteen channels.
///
/// Whoever makes one promises that all pixels, and the zeros around them that a layer asks for, are
/// within memory that lives as long as the layer runs, and that nobody else writes to what is read or
/// reads what is written meanwhile.
#[derive(Clone, Copy)]
pub struct Map {
    pub first: *mut f32,
    /// Floats from row to row.
    pub row: usize,
    /// Floats from sixteen channels to the next.
    pub block: usize,
    /// Channels, with those of zeros that fill the last block.
    pub channels: usize,
    /// Rows of zeros in memory before the first one of the map.
    pub rows_before: usize,
    /// Of a row's number in memory, where later rows take the places of earlier ones.
    pub mask: usize,
}

impl Map {
    #[inline(always)]
    pub unsafe fn at(self, y: usize, x: usize, channel: usize) -> *mut f32 {
        let block = channel / BLOCK * self.block;
        let row = (y + self.rows_before) & self.mask;
        self.first
            .add(block + row * self.row + x * BLOCK + channel % BLOCK)
    }
}

/// What is done to values before they are stored.
#[derive(Clone, Copy)]
pub struct Ending {
    pub residual: Option<Map>,
    pub clip: Option<[f32; 2]>,
}

impl Ending {
    /// Stores values of one register of channels: of the pixel at a place and of those behind it.
    #[inline(always)]
    unsafe fn store<V: Vector, const PIXELS: usize>(
        self,
        output: Map,
        values: [V; PIXELS],
        place: Place,
        channel: usize,
    ) {
        let at = |map: Map| map.at(place.y, place.x, channel);
        let mut values = values;
        if let Some(residual) = self.residual.map(at) {
            for pixel in 0..PIXELS {
                values[pixel] = values[pixel].add(V::load(residual.add(pixel * BLOCK)));
            }
        }
        if let Some(clip) = &self.clip {
            // Read each time: else both had registers throughout, which sums need.
            let [least, most] = std::ptr::from_ref(clip).read_volatile();
            for pixel in 0..PIXELS {
                values[pixel] = values[pixel].max(V::set(least)).min(V::set(most));
            }
        }
        let to = at(output);
        for pixel in 0..PIXELS {
            values[pixel].store(to.add(pixel * BLOCK));
        }
    }
}

/// What weights are in memory.
pub trait Weight: Copy {
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        V::load(from)
    }
}

/// Bits of a float of 16 bits.
impl Weight for u16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        V::load_half(from)
    }
}

/// A run of pixels in a row: (y, x) is the first.
#[derive(Clone, Copy)]
pub struct Place {
    pub y: usize,
    pub x: usize,
}

/// Where runs of `pixels` begin that make a row of `side`; the last one makes some of them again where they
/// do not end with the row.
#[inline(always)]
pub fn first_pixels(side: usize, pixels: usize) -> impl Iterator<Item = usize> {
    (0..side).step_by(pixels).map(move |x| x.min(side - pixels))
}

/// What the sums of neighbouring pixels begin with.
#[inline(always)]
unsafe fn biases<V: Vector, const PIXELS: usize, const VECTORS: usize>(
    bias: *const f32,
    channel: usize,
) -> [[V; PIXELS]; VECTORS] {
    let mut sums = [[V::zero(); PIXELS]; VECTORS];
    for vector in 0..VECTORS {
        sums[vector] = [V::load(bias.add(channel + vector * V::LANES)); PIXELS];
    }
    sums
}

/// Stores the sums of neighbouring pixels.
#[inline(always)]
unsafe fn finish<V: Vector, const PIXELS: usize, const VECTORS: usize>(
    sums: [[V; PIXELS]; VECTORS],
    (output, ending): (Map, Ending),
    place: Place,
    channel: usize,
) {
    let registers = [sums[0], sums[1 % VECTORS], sums[2 % VECTORS]];
    let channel_of = |vector: usize| channel + vector * V::LANES;
    ending.store(output, registers[0], place, channel_of(0));
    // No loop: a compiler that left it one would keep all sums in memory, not in registers.
    if VECTORS > 1 {
        ending.store(output, registers[1], place, channel_of(1));
    }
    if VECTORS > 2 {
        ending.store(output, registers[2], place, channel_of(2));
    }
}

/// `PIXELS` neighbouring pixels, `VECTORS` registers of channels from `channel` on: a matrix product.
/// `weights` are [inputs, VECTORS * LANES].
#[inline(always)]
pub unsafe fn pointwise<V: Vector, W: Weight, const PIXELS: usize, const VECTORS: usize>(
    input: Map,
    inputs: usize,
    (weights, bias): (*const W, *const f32),
    to: (Map, Ending),
    place: Place,
    channel: usize,
) {
    let mut sums = biases::<V, PIXELS, VECTORS>(bias, channel);
    let mut weights = weights;
    for block in (0..inputs).step_by(BLOCK) {
        let first = input.at(place.y, place.x, block);
        for i in 0..BLOCK.min(inputs - block) {
            let mut factors = [V::zero(); VECTORS];
            for vector in 0..VECTORS {
                factors[vector] = W::load(weights.add(vector * V::LANES));
            }
            weights = weights.add(VECTORS * V::LANES);
            for pixel in 0..PIXELS {
                let value = V::splat(first.add(pixel * BLOCK + i));
                for vector in 0..VECTORS {
                    sums[vector][pixel] = sums[vector][pixel].mul_add(value, factors[vector]);
                }
            }
        }
    }
    finish(sums, to, place, channel);
}

/// Rows of the picture that one row of the first convolution takes, of all colours, with zeros around.
pub const STEM_ROW: usize = 264;
pub const STEM_ROWS: usize = 9;

/// `PIXELS` neighbouring pixels of the first convolution, from the rows that it takes.
/// `weights` are [colour, row, column, VECTORS * LANES].
#[inline(always)]
pub unsafe fn stem<V: Vector, const PIXELS: usize, const VECTORS: usize>(
    rows: &[f32; STEM_ROWS * STEM_ROW],
    (weights, bias): (*const f32, *const f32),
    to: (Map, Ending),
    place: Place,
    channel: usize,
) {
    let mut sums = biases::<V, PIXELS, VECTORS>(bias, channel);
    let mut weights = weights;
    for row in 0..STEM_ROWS {
        for column in 0..3 {
            let first = rows.as_ptr().add(row * STEM_ROW + 2 * place.x + column);
            for vector in 0..VECTORS {
                let factor = V::load(weights.add(vector * V::LANES));
                for pixel in 0..PIXELS {
                    let value = V::splat(first.add(2 * pixel));
                    sums[vector][pixel] = sums[vector][pixel].mul_add(value, factor);
                }
            }
            weights = weights.add(VECTORS * V::LANES);
        }
    }
    finish(sums, to, place, channel);
}

/// A register of channels of some rows, each channel by itself. `input` begins with the zeros before
/// the map; `weights` are [KERNEL, KERNEL, LANES] of these channels.
#[inline(always)]
pub unsafe fn depthwise<
    V: Vector,
    const KERNEL: usize,
    const STRIDE: usize,
    const PIXELS: usize,
>(
    input: Map,
    (weights, bias): (*const f32, *const f32),
    (output, ending): (Map, Ending),
    rows: std::ops::Range<usize>,
    side: usize,
    channel: usize,
) {
    let mut factors = [[V::zero(); KERNEL]; KERNEL];
    for ky in 0..KERNEL {
        for kx in 0..KERNEL {
            factors[ky][kx] = V::load(weights.add((ky * KERNEL + kx) * V::LANES));
        }
    }
    let bias = V::load(bias.add(channel));
    for y in rows {
        let mut lines = [input.first; KERNEL];
        for ky in 0..KERNEL {
            lines[ky] = input.at(y * STRIDE + ky, 0, channel);
        }
        for x in first_pixels(side, PIXELS) {
            let mut sums = [bias; PIXELS];
            for ky in 0..KERNEL {
                let first = lines[ky].add(x * STRIDE * BLOCK);
                for column in 0..(PIXELS - 1) * STRIDE + KERNEL {
                    let value = V::load(first.add(column * BLOCK));
                    for pixel in 0..PIXELS {
                        let kx = column.wrapping_sub(pixel * STRIDE);
                        if kx < KERNEL {
                            sums[pixel] = sums[pixel].mul_add(value, factors[ky][kx]);
                        }
                    }
                }
            }
            ending.store(output, sums, Place { y, x }, channel);
        }
    }
}

/// `VECTORS` registers of channels of a convolution that covers its map of 2x2.
/// `weights` are [4, inputs, VECTORS * LANES].
#[inline(always)]
pub unsafe fn whole<V: Vector, const VECTORS: usize>(
    input: Map,
    inputs: usize,
    (weights, bias): (*const f32, *const f32),
    (output, ending): (Map, Ending),
    channel: usize,
) {
    let mut sums = [V::zero(); VECTORS];
    for vector in 0..VECTORS {
        sums[vector] = V::load(bias.add(channel + vector * V::LANES));
    }
    let mut weights = weights;
    for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for i in 0..inputs {
            let value = V::splat(input.at(y, x, i));
            for vector in 0..VECTORS {
                let factor = V::load(weights.add(vector * V::LANES));
                sums[vector] = sums[vector].mul_add(value, factor);
            }
            weights = weights.add(VECTORS * V::LANES);
        }
    }
    for vector in 0..VECTORS {
        let channel = channel + vector * V::LANES;
        ending.store(output, [sums[vector]], Place { y: 0, x: 0 }, channel);
    }
}

/// Some rows of a map of `side` squared, of which `value` makes each register from its row, column and first
/// channel.
#[inline(always)]
unsafe fn each<V: Vector>(
    (output, ending): (Map, Ending),
    rows: std::ops::Range<usize>,
    side: usize,
    value: impl Fn(usize, usize, usize) -> V,
) {
    for y in rows {
        for x in 0..side {
            for channel in (0..output.channels).step_by(V::LANES) {
                let value = value(y, x, channel);
                ending.store(output, [value], Place { y, x }, channel);
            }
        }
    }
}

/// Some rows of a map of `side` squared, twice as large as `input`. A pixel's middle lies a quarter
/// from that of the nearest pixel of `input`; at the edges there is only this one.
#[inline(always)]
pub unsafe fn upsample<V: Vector>(
    input: Map,
    to: (Map, Ending),
    rows: std::ops::Range<usize>,
    side: usize,
) {
    let last = side / 2 - 1;
    let neighbour = |at: usize| match at % 2 {
        0 => (at / 2).saturating_sub(1),
        _ => (at / 2 + 1).min(last),
    };
    let (near, far) = (V::set(0.75), V::set(0.25));
    each(to, rows, side, |y, x, channel| {
        let of_row = |row: usize| {
            let [a, b] = [x / 2, neighbour(x)].map(|x| V::load(input.at(row, x, channel)));
            far.mul(b).mul_add(near, a)
        };
        far.mul(of_row(neighbour(y))).mul_add(near, of_row(y / 2))
    });
}

/// Some rows of a map of `side` squared, as `input` has them.
#[inline(always)]
pub unsafe fn identity<V: Vector>(
    input: Map,
    to: (Map, Ending),
    rows: std::ops::Range<usize>,
    side: usize,
) {
    each(to, rows, side, |y, x, channel| {
        V::load(input.at(y, x, channel))
    });
}

/// Some rows of a map of `side` squared, half as large as `input`: the largest of four. Channels that
/// `input` does not have are zeros.
#[inline(always)]
pub unsafe fn max_pool<V: Vector>(
    input: Map,
    to: (Map, Ending),
    rows: std::ops::Range<usize>,
    side: usize,
) {
    each(to, rows, side, |y, x, channel| {
        let of = |dy, dx| V::load(input.at(2 * y + dy, 2 * x + dx, channel));
        match channel < input.channels {
            true => of(0, 0).max(of(0, 1)).max(of(1, 0).max(of(1, 1))),
            false => V::zero(),
        }
    });
}

/// Some rows of a map of `side` squared with so many channels, twice as large as `input`, of whose pixels each
/// becomes four.
#[inline(always)]
pub unsafe fn depth_to_space<V: Vector>(
    input: Map,
    to: (Map, Ending),
    rows: std::ops::Range<usize>,
    (side, channels): (usize, usize),
) {
    let (output, _) = to;
    for y in rows.clone() {
        for x in 0..side {
            let quarter = channels * (2 * (y % 2) + x % 2);
            for channel in (0..channels).step_by(CHANNELS_COPIED) {
                let from = input.at(y / 2, x / 2, quarter + channel);
                from.copy_to_nonoverlapping(output.at(y, x, channel), CHANNELS_COPIED);
            }
            for channel in (channels..output.channels).step_by(CHANNELS_COPIED) {
                output.at(y, x, channel).write_bytes(0, CHANNELS_COPIED);
            }
        }
    }
    identity::<V>(output, to, rows, side);
}

/// Of pixels beside each other, from the place on, the products of their channels with weights, added up:
/// sixteen sums side by side, which are added in pairs at the end.
#[inline(always)]
pub unsafe fn dots<V: Vector>(input: Map, place: Place, weights: *const f32, sums: &mut [f32]) {
    let registers = BLOCK / V::LANES;
    for (i, sum) in sums.iter_mut().enumerate() {
        let first = input.at(place.y, place.x + i, 0);
        let mut sixteen = [V::zero(); MAX_REGISTERS];
        for block in 0..input.channels / BLOCK {
            for register in 0..registers {
                let lane = register * V::LANES;
                let value = V::load(first.add(block * input.block + lane));
                let weight = V::load(weights.add(block * BLOCK + lane));
                sixteen[register] = sixteen[register].mul_add(value, weight);
            }
        }
        *sum = V::add_up(&sixteen[..registers]);
    }
}
