//! A network made ready for this processor: where tensors are in memory, weights in the order in which
//! they are taken, and the work of each layer in parts.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::graph::{Layer, Network, Operation, Weights};
use super::kernels::{
    self, BLOCK, Ending, Map, Place, STEM_ROW, STEM_ROWS, Weight, depthwise, identity, max_pool,
    pointwise, stem, upsample, whole,
};
use super::memory::Memory;
use super::vector::{Avx2, Avx512, Vector};

/// Registers of channels that one pass makes.
const MAX_VECTORS: usize = 3;
/// Neighbouring pixels that one pass makes: their sums are all registers but a few.
const MAX_PIXELS: usize = 8;
/// Parts that a layer's work is divided into, if each has enough to do.
const PARTS: usize = 8;
/// What a part has to do at least, in products: what takes some microseconds.
const LEAST_PRODUCTS: usize = 100_000;

/// What a processor computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// With FMA and F16C, which all such processors have.
    Avx2,
    Avx512,
}

impl Instructions {
    /// The best that this processor has; `None` where it has neither.
    pub fn detect() -> Option<Self> {
        let has_avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        match (is_x86_feature_detected!("avx512f"), has_avx2) {
            (true, true) => Some(Self::Avx512),
            (false, true) => Some(Self::Avx2),
            _ => None,
        }
    }

    fn lanes(self) -> usize {
        match self {
            Self::Avx2 => Avx2::LANES,
            Self::Avx512 => Avx512::LANES,
        }
    }
}

/// A tensor's place in memory.
#[derive(Clone, Copy)]
struct Slot {
    side: usize,
    channels: usize,
    /// Zeros around the map.
    margin: usize,
    /// Floats before it.
    offset: usize,
}

impl Slot {
    /// With those of zeros that fill the last block.
    fn channels(self) -> usize {
        self.channels.next_multiple_of(BLOCK)
    }

    fn row(self) -> usize {
        (self.side + 2 * self.margin) * BLOCK
    }

    fn block(self) -> usize {
        (self.side + 2 * self.margin) * self.row()
    }

    fn floats(self) -> usize {
        self.channels() / BLOCK * self.block()
    }

    /// The map, with so many of the zeros before it.
    ///
    /// # Safety
    /// `memory` holds all tensors of the plan.
    unsafe fn map(self, memory: *mut f32, zeros_before: usize) -> Map {
        let skip = self.margin - zeros_before;
        Map {
            // SAFETY: the caller's promise; the tensor's memory begins with its margin.
            first: unsafe { memory.add(self.offset + skip * (self.row() + BLOCK)) },
            row: self.row(),
            block: self.block(),
            channels: self.channels(),
        }
    }
}

/// A layer, with its weights in the order in which they are taken.
struct Step {
    operation: Operation,
    clip: Option<[f32; 2]>,
    input: Option<Slot>,
    residual: Option<Slot>,
    output: Slot,
    /// For all registers of the output's channels, and zeros behind them.
    bias: Memory,
    /// Of each panel after the other.
    weights: Memory,
    /// They are floats of 16 bits.
    is_half: bool,
    panels: Vec<Panel>,
    rows_per_part: usize,
    panels_per_part: usize,
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
struct Part {
    rows: Range<usize>,
    panels: Range<usize>,
}

impl Step {
    fn parts_of_rows(&self) -> usize {
        self.output.side.div_ceil(self.rows_per_part)
    }

    fn parts(&self) -> usize {
        self.parts_of_rows() * self.panels.len().div_ceil(self.panels_per_part)
    }

    fn part(&self, number: usize) -> Part {
        let [row, panel] = [
            number % self.parts_of_rows() * self.rows_per_part,
            number / self.parts_of_rows() * self.panels_per_part,
        ];
        Part {
            rows: row..(row + self.rows_per_part).min(self.output.side),
            panels: panel..(panel + self.panels_per_part).min(self.panels.len()),
        }
    }
}

/// A network that can be run.
pub struct Plan {
    instructions: Instructions,
    picture_side: usize,
    steps: Vec<Step>,
    slots: Vec<Slot>,
    memory_floats: usize,
}

impl Plan {
    /// # Errors
    /// When a map has a side that the kernels cannot go through.
    pub fn new(network: Network, instructions: Instructions) -> Result<Self, String> {
        if network.picture_side + 2 > STEM_ROW {
            return Err(format!("its pictures have {} rows", network.picture_side));
        }
        let (slots, memory_floats) = slots(&network);
        let layers = network.layers.into_iter();
        let steps = layers.map(|layer| step(&layer, &slots, instructions.lanes()));
        Ok(Self {
            instructions,
            picture_side: network.picture_side,
            steps: steps.collect::<Result<_, _>>()?,
            slots,
            memory_floats,
        })
    }

    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Floats of the memory that a run needs.
    pub fn memory_floats(&self) -> usize {
        self.memory_floats
    }

    /// How many layers there are; each can be run when all parts of those before it are done.
    pub fn layers(&self) -> usize {
        self.steps.len()
    }

    /// Parts that a layer's work is divided into; they can be done in any order, or at once.
    pub fn parts(&self, layer: usize) -> usize {
        self.steps[layer].parts()
    }

    /// A tensor of the network: its first pixel, and floats from pixel to pixel and from row to row.
    ///
    /// # Safety
    /// `memory` holds [`Self::memory_floats`].
    pub unsafe fn map(&self, memory: *mut f32, tensor: usize) -> Map {
        // SAFETY: the caller's promise.
        unsafe { self.slots[tensor].map(memory, 0) }
    }

    /// Does a part of a layer's work.
    ///
    /// # Safety
    /// `memory` holds [`Self::memory_floats`], and `picture` [3, side, side] values; the layers before
    /// are done; nobody else does this part.
    pub unsafe fn run(&self, layer: usize, part: usize, memory: *mut f32, picture: *const f32) {
        let step = &self.steps[layer];
        let part = step.part(part);
        let picture = (picture, self.picture_side);
        // SAFETY: the caller's promise; `detect` has found the instructions.
        unsafe {
            match self.instructions {
                Instructions::Avx512 => run_avx512(step, part, memory, picture),
                Instructions::Avx2 => run_avx2(step, part, memory, picture),
            }
        }
    }
}

/// Where tensors are, and floats in all. Memory of those that nobody needs any more is used again.
fn slots(network: &Network) -> (Vec<Slot>, usize) {
    let mut slots: Vec<Slot> = network
        .tensors
        .iter()
        .map(|shape| Slot {
            side: shape.side,
            channels: shape.channels,
            margin: 0,
            offset: 0,
        })
        .collect();
    for layer in &network.layers {
        if let (Some(input), Operation::Depthwise { kernel_side, .. }) =
            (layer.input, layer.operation)
        {
            slots[input].margin = slots[input].margin.max(kernel_side / 2);
        }
    }
    let outputs = [
        network.points,
        network.pose_logit,
        network.world,
        network.features,
    ];
    let last_use = |tensor: usize| {
        let takes = |layer: &Layer| layer.input == Some(tensor) || layer.residual == Some(tensor);
        match outputs.contains(&tensor) {
            true => network.layers.len(),
            false => network
                .layers
                .iter()
                .rposition(takes)
                .unwrap_or(network.layers.len()),
        }
    };
    // (tensor, last use) of those that are in memory.
    let mut living: Vec<(usize, usize)> = Vec::new();
    let mut total = 0;
    for (position, layer) in network.layers.iter().enumerate() {
        living.retain(|(_, last)| *last >= position);
        let floats = slots[layer.output].floats();
        let mut taken: Vec<Range<usize>> = living
            .iter()
            .map(|(tensor, _)| {
                slots[*tensor].offset..slots[*tensor].offset + slots[*tensor].floats()
            })
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut offset = 0;
        for range in taken {
            if range.start >= offset + floats {
                break;
            }
            offset = offset.max(range.end);
        }
        slots[layer.output].offset = offset;
        total = total.max(offset + floats);
        living.push((layer.output, last_use(layer.output)));
    }
    (slots, total)
}

fn step(layer: &Layer, slots: &[Slot], lanes: usize) -> Result<Step, String> {
    let operation = layer.operation;
    let input = layer.input.map(|tensor| slots[tensor]);
    let output = slots[layer.output];
    check_sides(operation, input, output)?;
    let inputs = input.map_or(3, |slot| slot.channels);
    let registers = output.channels() / lanes;
    let panel_vectors = match operation {
        Operation::Depthwise { .. } => vec![1; registers],
        Operation::Upsample | Operation::Identity | Operation::MaxPool => vec![registers],
        _ => panel_vectors(registers),
    };
    let mut panels = Vec::new();
    let mut packed = Vec::new();
    let mut channel = 0;
    for vectors in panel_vectors {
        panels.push(Panel {
            channel,
            vectors,
            weights: packed.len(),
        });
        let channels = channel..channel + vectors * lanes;
        channel = channels.end;
        if let Some(weights) = &layer.weights {
            pack(weights, operation, inputs, channels, &mut packed);
        }
    }
    let bias = layer.weights.as_ref();
    let mut bias = bias.map_or(Vec::new(), |weights| weights.bias.clone());
    bias.resize(output.channels(), 0.0);
    let halves = (operation == Operation::Pointwise).then(|| exact_halves(&packed));
    let halves = halves.flatten();
    let side = output.side;
    let products_of_pixel = match operation {
        Operation::Stem => 27 * output.channels,
        Operation::Pointwise => inputs * output.channels,
        Operation::Whole => 4 * inputs * output.channels,
        // These are as slow as more products.
        Operation::Depthwise { kernel_side, .. } => 3 * kernel_side * kernel_side * output.channels,
        Operation::Upsample => 16 * output.channels,
        Operation::Identity | Operation::MaxPool => 8 * output.channels,
    };
    let parts = (products_of_pixel * side * side / LEAST_PRODUCTS).clamp(1, PARTS);
    // Rows of large maps; channels where there are few rows and many weights.
    let (rows_per_part, panels_per_part) = if side >= 16 || panels.len() == 1 {
        (side.div_ceil(parts), panels.len())
    } else {
        (side, panels.len().div_ceil(parts))
    };
    Ok(Step {
        operation,
        clip: layer.clip,
        input,
        residual: layer.residual.map(|tensor| slots[tensor]),
        output,
        bias: Memory::of(&bias),
        weights: match &halves {
            Some(halves) => Memory::of_halves(halves),
            None => Memory::of(&packed),
        },
        is_half: halves.is_some(),
        panels,
        rows_per_part,
        panels_per_part,
    })
}

/// Whether the kernels go through the maps without leaving them and their margins.
fn check_sides(operation: Operation, input: Option<Slot>, output: Slot) -> Result<(), String> {
    let side = output.side;
    let is_divisible = match operation {
        Operation::Whole => side == 1,
        Operation::Upsample | Operation::Identity | Operation::MaxPool => true,
        Operation::Stem => side > 0 && side.is_multiple_of(MAX_PIXELS),
        Operation::Depthwise { kernel_side: 5, .. } => {
            side == 4 || side > 0 && side.is_multiple_of(MAX_PIXELS)
        }
        _ => matches!(side, 2 | 4) || side > 0 && side.is_multiple_of(MAX_PIXELS),
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
    match is_divisible && is_within {
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

/// So many registers, at most three at a time, and no single one if that can be.
fn panel_vectors(registers: usize) -> Vec<usize> {
    let mut left = registers;
    let mut panels = Vec::new();
    while left > 0 {
        let vectors = match left {
            4 => 2,
            _ => left.min(MAX_VECTORS),
        };
        panels.push(vectors);
        left -= vectors;
    }
    panels
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

#[target_feature(enable = "avx512f")]
unsafe fn run_avx512(step: &Step, part: Part, memory: *mut f32, picture: (*const f32, usize)) {
    // SAFETY: as the caller promises.
    unsafe { run::<Avx512, MAX_PIXELS>(step, part, memory, picture) }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2(step: &Step, part: Part, memory: *mut f32, picture: (*const f32, usize)) {
    // SAFETY: as the caller promises.
    unsafe { run::<Avx2, 4>(step, part, memory, picture) }
}

/// Does a part, `PIXELS` at a time where the map is wide enough.
///
/// # Safety
/// As [`Plan::run`].
#[inline(always)]
unsafe fn run<V: Vector, const PIXELS: usize>(
    step: &Step,
    part: Part,
    memory: *mut f32,
    (picture, picture_side): (*const f32, usize),
) {
    let side = step.output.side;
    // SAFETY: the caller promises that memory holds all tensors, with the margins that layers ask for.
    unsafe {
        let output = step.output.map(memory, 0);
        let ending = Ending {
            residual: step.residual.map(|slot| slot.map(memory, 0)),
            clip: step.clip,
        };
        clear_margin::<V>(step, &part, memory);
        let to = (output, ending);
        let bias = step.bias.as_ptr();
        match (step.operation, step.input) {
            (Operation::Upsample, Some(input)) => {
                upsample::<V>(input.map(memory, 0), to, part.rows, side);
            }
            (Operation::Identity, Some(input)) => {
                identity::<V>(input.map(memory, 0), to, part.rows, side);
            }
            (Operation::MaxPool, Some(input)) => {
                max_pool::<V>(input.map(memory, 0), to, part.rows, side);
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
                let input = input.map(memory, zeros_before);
                for panel in &step.panels[part.panels] {
                    let from = (step.weights.as_ptr().add(panel.weights), bias);
                    let (rows, channel) = (part.rows.clone(), panel.channel);
                    match (kernel_side, stride, side) {
                        (3, 1, 2) => depthwise::<V, 3, 1, 2>(input, from, to, rows, side, channel),
                        (3, 2, 2) => depthwise::<V, 3, 2, 2>(input, from, to, rows, side, channel),
                        (3, 1, _) => depthwise::<V, 3, 1, 4>(input, from, to, rows, side, channel),
                        (3, _, _) => depthwise::<V, 3, 2, 4>(input, from, to, rows, side, channel),
                        (_, 1, _) => depthwise::<V, 5, 1, 4>(input, from, to, rows, side, channel),
                        (_, _, _) => depthwise::<V, 5, 2, 4>(input, from, to, rows, side, channel),
                    }
                }
            }
            (Operation::Pointwise, Some(input)) => {
                let from = (input.map(memory, 0), input.channels);
                match step.is_half {
                    true => pointwise_part::<V, u16, PIXELS>(step, part, from, to),
                    false => pointwise_part::<V, f32, PIXELS>(step, part, from, to),
                }
            }
            (Operation::Whole, Some(input)) => {
                let inputs = input.channels;
                let input = input.map(memory, 0);
                for panel in &step.panels[part.panels] {
                    let from = (step.weights.as_ptr().add(panel.weights), bias);
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
                    stem_rows(picture, picture_side, y, &mut rows);
                    for panel in &step.panels {
                        let from = (step.weights.as_ptr().add(panel.weights), bias);
                        let channel = panel.channel;
                        for x in (0..side).step_by(PIXELS) {
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
/// As [`Plan::run`].
#[inline(always)]
unsafe fn pointwise_part<V: Vector, W: Weight, const PIXELS: usize>(
    step: &Step,
    part: Part,
    (input, n): (Map, usize),
    to: (Map, Ending),
) {
    let side = step.output.side;
    let pixels = PIXELS.min(side);
    for panel in &step.panels[part.panels] {
        // SAFETY: the step's weights are of this kind, and there are as many as the panel says.
        unsafe {
            let weights = step.weights.as_ptr().cast::<W>().add(panel.weights);
            let from = (weights, step.bias.as_ptr());
            let channel = panel.channel;
            for y in part.rows.clone() {
                for x in (0..side).step_by(pixels) {
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
/// `picture` holds [3, side, side] values.
#[inline(always)]
unsafe fn stem_rows(
    picture: *const f32,
    side: usize,
    y: usize,
    rows: &mut [f32; STEM_ROWS * STEM_ROW],
) {
    for (i, row) in rows.chunks_exact_mut(STEM_ROW).enumerate() {
        let (color, of_kernel) = (i / 3, i % 3);
        let to = &mut row[1..=side];
        match (2 * y + of_kernel).checked_sub(1).filter(|y| *y < side) {
            // SAFETY: a row of the picture.
            Some(y) => to.copy_from_slice(unsafe {
                std::slice::from_raw_parts(picture.add((color * side + y) * side), side)
            }),
            None => to.fill(0.0),
        }
    }
}

/// Writes the zeros around the rows of a part; other tensors were there before.
///
/// # Safety
/// As [`Plan::run`].
#[inline(always)]
unsafe fn clear_margin<V: Vector>(step: &Step, part: &Part, memory: *mut f32) {
    let Slot { side, margin, .. } = step.output;
    if margin == 0 || part.panels.start > 0 {
        return;
    }
    // SAFETY: all within the tensor, which begins with its margin.
    unsafe {
        let whole = step.output.map(memory, margin);
        let clear = |y: usize, x: usize, pixels: usize| {
            for channel in (0..whole.channels).step_by(BLOCK) {
                let first = whole.at(y, x, channel);
                for i in (0..pixels * BLOCK).step_by(V::LANES) {
                    V::zero().store(first.add(i));
                }
            }
        };
        for y in part.rows.clone() {
            clear(y + margin, 0, margin);
            clear(y + margin, margin + side, margin);
        }
        for y in 0..margin {
            if part.rows.start == 0 {
                clear(y, 0, side + 2 * margin);
            }
            if part.rows.end == side {
                clear(side + margin + y, 0, side + 2 * margin);
            }
        }
    }
}

/// The products of a pixel's channels with weights, added up.
///
/// # Safety
/// The place is in the map, there are as many weights as channels with those that fill the last block,
/// and the processor has the instructions.
pub unsafe fn dot(instructions: Instructions, map: Map, place: Place, weights: *const f32) -> f32 {
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512(map: Map, place: Place, weights: *const f32) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { kernels::dot::<Avx512>(map, place, weights) }
    }
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2(map: Map, place: Place, weights: *const f32) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { kernels::dot::<Avx2>(map, place, weights) }
    }
    // SAFETY: as the caller promises.
    unsafe {
        match instructions {
            Instructions::Avx512 => avx512(map, place, weights),
            Instructions::Avx2 => avx2(map, place, weights),
        }
    }
}
