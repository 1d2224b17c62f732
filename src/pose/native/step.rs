//! One layer made ready for this processor: its weights in the order in which they are taken, and how its
//! rows are computed.

use std::ops::Range;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::graph::{Layer, Operation, TensorId, Weights};
use super::kernels::{
    BLOCK, Ending, Map, Place, STEM_ROW, STEM_ROWS, Weight, depth_to_space, depthwise,
    first_pixels, identity, max_pool, pointwise, stem, upsample, whole,
};
use super::memory::Memory;
use super::slots::{Slot, Spaces};
use super::vector::Vector;
use crate::pose::crop::{InputScale, ModelInput};

/// Neighbouring pixels that one pass makes: their sums are all registers but a few.
pub const MAX_PIXELS: usize = 8;

/// The same of layers of which each channel is computed by itself.
const DEPTHWISE_PIXELS: usize = 4;

/// What a layer computes, with its weights in the order in which they are taken.
pub struct Packed {
    operation: Operation,
    clip: Option<[f32; 2]>,
    /// For all registers of the output's channels, and zeros behind them.
    bias: Memory,
    /// Of each panel after the other.
    weights: Memory,
    /// They are floats of 16 bits.
    is_half: bool,
    panels: Vec<Panel>,
}

/// A layer, and where in memory it takes and leaves maps.
pub struct Step {
    packed: Arc<Packed>,
    input: Option<Slot>,
    residual: Option<Slot>,
    output: Slot,
}

/// Some registers of channels of a layer's output.
#[derive(Clone, Copy)]
struct Panel {
    channel: usize,
    vectors: usize,
    /// Floats before its weights.
    weights: usize,
}

/// A part of a layer's work.
pub struct Part {
    pub rows: Range<usize>,
    /// Or as many as there are of these.
    pub panels: Range<usize>,
}

/// The channels of each panel of a layer that makes so many, in registers of so many lanes.
pub fn panel_channels(operation: Operation, channels: usize, lanes: usize) -> Vec<Range<usize>> {
    let registers = channels / lanes;
    let vectors = match operation {
        Operation::Depthwise { .. } => vec![1; registers],
        Operation::Upsample
        | Operation::Identity
        | Operation::MaxPool
        | Operation::DepthToSpace => vec![registers],
        _ => passes(registers, lanes),
    };
    let mut end = 0;
    let vectors = vectors.into_iter();
    let of_panel = vectors.map(|vectors| {
        end += vectors * lanes;
        end - vectors * lanes..end
    });
    of_panel.collect()
}

impl Packed {
    /// Of a layer that takes and makes so many channels, for registers of so many lanes.
    pub fn new(layer: &Layer, [inputs, outputs]: [usize; 2], lanes: usize) -> Self {
        let operation = layer.operation;
        let registers = outputs.next_multiple_of(BLOCK);
        let mut panels = Vec::new();
        let mut packed = Vec::new();
        for channels in panel_channels(operation, registers, lanes) {
            panels.push(Panel {
                channel: channels.start,
                vectors: channels.len() / lanes,
                weights: packed.len(),
            });
            if let Some(weights) = &layer.weights {
                pack(weights, operation, inputs, channels, &mut packed);
            }
        }
        let bias = layer.weights.as_ref();
        let mut bias = bias.map_or(Vec::new(), |weights| weights.bias.clone());
        bias.resize(registers, 0.0);
        let halves = (operation == Operation::Pointwise).then(|| exact_halves(&packed));
        let halves = halves.flatten();
        Self {
            operation,
            clip: layer.clip,
            bias: Memory::of(&bias),
            weights: match &halves {
                Some(halves) => Memory::of_halves(halves),
                None => Memory::of(&packed),
            },
            is_half: halves.is_some(),
            panels,
        }
    }
}

impl Step {
    pub fn new(packed: Arc<Packed>, layer: &Layer, slots: &[Slot]) -> Self {
        let slot = |tensor: TensorId| slots[tensor];
        Self {
            packed,
            input: layer.input.map(slot),
            residual: layer.residual.map(slot),
            output: slots[layer.output],
        }
    }

    fn panels(&self, part: &Part) -> &[Panel] {
        let panels = &self.packed.panels;
        &panels[part.panels.start..part.panels.end.min(panels.len())]
    }
}

/// Whether the kernels go through a layer's maps without leaving them and their margins.
///
/// # Errors
/// When they do not.
pub fn check_sides(layer: &Layer, slots: &[Slot]) -> Result<(), String> {
    let operation = layer.operation;
    let input = layer.input.map(|tensor| slots[tensor]);
    let side = slots[layer.output].side;
    let is_enough = match operation {
        Operation::Whole => side == 1,
        Operation::Upsample
        | Operation::Identity
        | Operation::MaxPool
        | Operation::DepthToSpace => true,
        Operation::Stem => side >= MAX_PIXELS,
        Operation::Depthwise { kernel_side: 5, .. } => side >= DEPTHWISE_PIXELS,
        Operation::Depthwise { .. } | Operation::Pointwise => side >= 2,
    };
    let is_within = match (operation, input) {
        (
            Operation::Depthwise {
                kernel_side,
                stride,
                zeros_before,
            },
            Some(input),
        ) => {
            let end = (side - 1) * stride + kernel_side;
            zeros_before <= input.margin && end <= zeros_before + input.side + input.margin
        }
        _ => true,
    };
    match is_enough && is_within {
        true => Ok(()),
        false => Err(format!("{operation:?} to a map with a side of {side}")),
    }
}

/// The same as floats of 16 bits, where all are exactly that. Models are published with such weights, and
/// half of the memory is nearer.
fn exact_halves(values: &[f32]) -> Option<Vec<u16>> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    let mut again = vec![0.0f32; values.len()];
    halves.convert_to_f32_slice(&mut again);
    let is_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    let is_exact = values.iter().zip(&again).all(is_same);
    is_exact.then(|| halves.iter().map(|half| half.to_bits()).collect())
}

/// Registers of channels that each pass makes of so many. Processors with registers of sixteen lanes have twice
/// as many as others for sums: three at a time there, and no single one if that can be.
fn passes(registers: usize, lanes: usize) -> Vec<usize> {
    let most = match lanes {
        16 => 3,
        _ => 2,
    };
    let mut left = registers;
    let mut passes = Vec::new();
    while left > 0 {
        let vectors = match left {
            4 => 2,
            _ => left.min(most),
        };
        passes.push(vectors);
        left -= vectors;
    }
    passes
}

/// Weights of some channels that come out, in the order in which the kernels take them.
fn pack(
    weights: &Weights,
    operation: Operation,
    inputs: usize,
    channels: Range<usize>,
    packed: &mut Vec<f32>,
) {
    let per_output = weights.values.len() / weights.outputs;
    for i in 0..per_output {
        // Of a convolution that covers its map, places come before channels.
        let place = match operation {
            Operation::Whole => i % inputs * 4 + i / inputs,
            _ => i,
        };
        let value = |channel: usize| match channel < weights.outputs {
            true => weights.values[channel * per_output + place],
            false => 0.0,
        };
        packed.extend(channels.clone().map(value));
    }
}

/// Does a part, `PIXELS` at a time where the map is wide enough.
///
/// # Safety
/// `spaces` hold all tensors of the plan, and `picture` [3, side, side] values; what the part reads is
/// there, and nobody else writes what it writes. The processor has the vector's instructions, which the
/// caller is compiled for.
#[inline(always)]
pub unsafe fn run<V: Vector, const PIXELS: usize>(
    step: &Step,
    part: Part,
    spaces: Spaces,
    (picture, picture_side): (ModelInput<'_>, usize),
) {
    let side = step.output.side;
    // SAFETY: the caller promises that memory holds all tensors, with the margins that layers ask for.
    unsafe {
        let output = step.output.map(spaces, 0);
        let ending = Ending {
            residual: step.residual.map(|slot| slot.map(spaces, 0)),
            clip: step.packed.clip,
        };
        clear_margin::<V>(step, &part, spaces);
        let to = (output, ending);
        let bias = step.packed.bias.as_ptr();
        match (step.packed.operation, step.input) {
            (Operation::Upsample, Some(input)) => {
                upsample::<V>(input.map(spaces, 0), to, part.rows, side);
            }
            (Operation::Identity, Some(input)) => {
                identity::<V>(input.map(spaces, 0), to, part.rows, side);
            }
            (Operation::MaxPool, Some(input)) => {
                max_pool::<V>(input.map(spaces, 0), to, part.rows, side);
            }
            (Operation::DepthToSpace, Some(input)) => {
                let shape = (side, step.output.channels);
                depth_to_space::<V>(input.map(spaces, 0), to, part.rows, shape);
            }
            (
                Operation::Depthwise {
                    kernel_side,
                    stride,
                    zeros_before,
                    ..
                },
                Some(input),
            ) => {
                let input = input.map(spaces, zeros_before);
                for panel in step.panels(&part) {
                    let from = (step.packed.weights.as_ptr().add(panel.weights), bias);
                    let (rows, channel) = (part.rows.clone(), panel.channel);
                    match (kernel_side, stride, side.min(DEPTHWISE_PIXELS)) {
                        (3, 1, 2 | 3) => {
                            depthwise::<V, 3, 1, 2>(input, from, to, rows, side, channel)
                        }
                        (3, 2, 2 | 3) => {
                            depthwise::<V, 3, 2, 2>(input, from, to, rows, side, channel)
                        }
                        (3, 1, _) => depthwise::<V, 3, 1, 4>(input, from, to, rows, side, channel),
                        (3, _, _) => depthwise::<V, 3, 2, 4>(input, from, to, rows, side, channel),
                        (_, 1, _) => depthwise::<V, 5, 1, 4>(input, from, to, rows, side, channel),
                        (_, _, _) => depthwise::<V, 5, 2, 4>(input, from, to, rows, side, channel),
                    }
                }
            }
            (Operation::Pointwise, Some(input)) => {
                let from = (input.map(spaces, 0), input.channels);
                match step.packed.is_half {
                    true => pointwise_part::<V, u16, PIXELS>(step, part, from, to),
                    false => pointwise_part::<V, f32, PIXELS>(step, part, from, to),
                }
            }
            (Operation::Whole, Some(input)) => {
                let inputs = input.channels;
                let input = input.map(spaces, 0);
                for panel in step.panels(&part) {
                    let from = (step.packed.weights.as_ptr().add(panel.weights), bias);
                    match panel.vectors {
                        1 => whole::<V, 1>(input, inputs, from, to, panel.channel),
                        2 => whole::<V, 2>(input, inputs, from, to, panel.channel),
                        _ => whole::<V, 3>(input, inputs, from, to, panel.channel),
                    }
                }
            }
            (_, _) => {
                let mut rows = [0.0; STEM_ROWS * STEM_ROW];
                for y in part.rows {
                    stem_rows::<V>(picture, picture_side, y, &mut rows);
                    for panel in &step.packed.panels {
                        let from = (step.packed.weights.as_ptr().add(panel.weights), bias);
                        let channel = panel.channel;
                        for x in first_pixels(side, PIXELS) {
                            let at = Place { y, x };
                            match panel.vectors {
                                1 => stem::<V, PIXELS, 1>(&rows, from, to, at, channel),
                                2 => stem::<V, PIXELS, 2>(&rows, from, to, at, channel),
                                _ => stem::<V, PIXELS, 3>(&rows, from, to, at, channel),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A part of a convolution 1x1.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn pointwise_part<V: Vector, W: Weight, const PIXELS: usize>(
    step: &Step,
    part: Part,
    (input, n): (Map, usize),
    to: (Map, Ending),
) {
    let side = step.output.side;
    let pixels = PIXELS.min(1 << side.ilog2());
    for panel in step.panels(&part) {
        // SAFETY: the step's weights are of this kind, and there are as many as the panel says.
        unsafe {
            let weights = step.packed.weights.as_ptr().cast::<W>().add(panel.weights);
            let from = (weights, step.packed.bias.as_ptr());
            let channel = panel.channel;
            for y in part.rows.clone() {
                for x in first_pixels(side, pixels) {
                    let at = Place { y, x };
                    match (pixels, panel.vectors) {
                        (2, 1) => pointwise::<V, W, 2, 1>(input, n, from, to, at, channel),
                        (2, 2) => pointwise::<V, W, 2, 2>(input, n, from, to, at, channel),
                        (2, _) => pointwise::<V, W, 2, 3>(input, n, from, to, at, channel),
                        (4, 1) => pointwise::<V, W, 4, 1>(input, n, from, to, at, channel),
                        (4, 2) => pointwise::<V, W, 4, 2>(input, n, from, to, at, channel),
                        (4, _) => pointwise::<V, W, 4, 3>(input, n, from, to, at, channel),
                        (_, 1) => pointwise::<V, W, PIXELS, 1>(input, n, from, to, at, channel),
                        (_, 2) => pointwise::<V, W, PIXELS, 2>(input, n, from, to, at, channel),
                        (_, _) => pointwise::<V, W, PIXELS, 3>(input, n, from, to, at, channel),
                    }
                }
            }
        }
    }
}

/// The rows of the picture that row `y` of the first convolution takes, with a zero before each, and
/// zeros where there is no row.
///
/// # Safety
/// `picture` holds [3, side, side]. The processor has the vector's instructions.
#[inline(always)]
unsafe fn stem_rows<V: Vector>(
    picture: ModelInput<'_>,
    side: usize,
    y: usize,
    rows: &mut [f32; STEM_ROWS * STEM_ROW],
) {
    for (i, row) in rows.chunks_exact_mut(STEM_ROW).enumerate() {
        let (color, of_kernel) = (i / 3, i % 3);
        let to = &mut row[1..=side];
        match (2 * y + of_kernel).checked_sub(1).filter(|y| *y < side) {
            Some(y) => {
                let from = (color * side + y) * side;
                match picture {
                    ModelInput::Values(values) => to.copy_from_slice(&values[from..from + side]),
                    // SAFETY: the caller has the instructions.
                    ModelInput::Levels(levels, scale) => unsafe {
                        scale_levels::<V>(scale, &levels[from..from + side], to);
                    },
                }
            }
            None => to.fill(0.0),
        }
    }
}

/// See [`InputScale`]; divides by multiplying, and once more with what is left, which gives the quotient to the
/// last bit (Markstein, IBM Journal of Research and Development 34, 1990).
///
/// # Safety
/// The processor has the vector's instructions.
#[inline(always)]
unsafe fn scale_levels<V: Vector>(scale: InputScale, levels: &[u8], scaled: &mut [f32]) {
    let factor = 1.0 / scale.divisor;
    let chunks = levels.chunks_exact(V::LANES);
    let left = chunks.remainder();
    // SAFETY: as many levels and values are there as are read and written.
    unsafe {
        let (minus, factor, offset) =
            (V::set(-scale.divisor), V::set(factor), V::set(scale.offset));
        for (levels, out) in chunks.zip(scaled.chunks_exact_mut(V::LANES)) {
            let level = V::load_levels(levels.as_ptr());
            let quotient = level.mul(factor);
            let left = level.mul_add(quotient, minus);
            quotient
                .mul_add(left, factor)
                .add(offset)
                .store(out.as_mut_ptr());
        }
    }
    let last = scaled.len() - left.len();
    scale.apply(left, &mut scaled[last..]);
}

/// Writes the zeros around the rows and channels of a part; other tensors were there before.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn clear_margin<V: Vector>(step: &Step, part: &Part, spaces: Spaces) {
    let Slot { side, margin, .. } = step.output;
    let (Some(first), Some(last)) = (step.panels(part).first(), step.panels(part).last()) else {
        return;
    };
    if margin == 0 {
        return;
    }
    let channels = first.channel..last.channel + last.vectors * V::LANES;
    // SAFETY: all within the tensor, which begins with its margin.
    unsafe {
        let whole = step.output.map(spaces, margin);
        let clear = |y: usize, x: usize| {
            for channel in channels.clone().step_by(V::LANES) {
                V::zero().store(whole.at(y, x, channel));
            }
        };
        for y in part.rows.clone() {
            for x in 0..margin {
                clear(y + margin, x);
                clear(y + margin, margin + side + x);
            }
        }
        for y in 0..margin {
            for x in 0..side + 2 * margin {
                if part.rows.start == 0 {
                    clear(y, x);
                }
                if part.rows.end == side {
                    clear(side + margin + y, x);
                }
            }
        }
    }
}
