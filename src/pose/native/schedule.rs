//! In which order the work of a network is done, and what has to be done before what.
//!
//! A map of many pixels does not stay in a core's cache until the next layer takes it. So layers that only
//! make something for each other are gone through together, some rows at a time: of the maps between
//! them a few rows are kept. Layers that need no other rows than they make are one task; those
//! that do, as depthwise convolutions, begin a new one ([`Stage`]).
//!
//! Tasks stand in an order in which they can be done one after the other. Several threads take them in this
//! order, and wait with each until all tasks before a certain one are done ([`Task::needs`]).

use std::ops::Range;

use super::graph::{Layer, Network, Operation, TensorId};
use super::kernels::BLOCK;
use super::slots::Slot;

/// Maps with smaller sides stay in a core's cache.
const LEAST_SIDE: usize = 32;
/// Rows that are made at once are about so many bytes, that of all layers of a task fit in the cache.
const STRIP_BYTES: usize = 96 << 10;
/// Strips that are made before they are needed, so that threads need not wait for each other.
const STRIPS_AHEAD: usize = 1;
/// Parts that a layer's work is divided into where it is alone, if each has enough to do.
const PARTS: usize = 16;
/// What a part has to do at least, in products: what takes some microseconds.
const LEAST_PRODUCTS: usize = 250_000;
const FLOAT_BYTES: usize = 4;

/// Layers of which each takes the rows that the one before made.
#[derive(Debug)]
pub struct Stage {
    /// Of the network, by number.
    pub layers: Vec<usize>,
    /// Rows that a task makes.
    strip_rows: usize,
}

/// Stages of which each takes rows of the one before, and nobody else does.
#[derive(Debug)]
pub struct Group {
    pub stages: Vec<Stage>,
}

/// A part of the work that one thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Layers of the network, by their places in the order of all groups' layers.
    pub steps: Range<usize>,
    pub rows: Range<usize>,
    /// Of the layers' registers of channels; all where there are several layers.
    pub panels: Range<usize>,
    /// All tasks before this one have to be done.
    pub needs: usize,
}

/// The layers of a network, those together that are gone through together, in an order in which they can
/// be done.
pub fn groups(network: &Network) -> Vec<Group> {
    let mut is_taken = vec![false; network.layers.len()];
    let mut groups: Vec<(usize, Group)> = Vec::new();
    for first in 0..network.layers.len() {
        if is_taken[first] {
            continue;
        }
        let mut stages = vec![vec![first]];
        let mut last = first;
        let is_large = side_of(network, first) >= LEAST_SIDE && goes_row_by_row(network, first);
        while let Some(next) = is_large.then(|| follower(network, last)).flatten() {
            match network.layers[next].operation {
                Operation::Depthwise { .. } => stages.push(vec![next]),
                _ => stages.last_mut().expect("a stage").push(next),
            }
            last = next;
        }
        for layer in stages.iter().flatten() {
            is_taken[*layer] = true;
        }
        let stages = stages.into_iter().map(|layers| Stage {
            strip_rows: strip_rows(network, &layers),
            layers,
        });
        let stages = stages.collect();
        groups.push((last, Group { stages }));
    }
    // What a group takes from others is made before its last layer.
    groups.sort_by_key(|(last, _)| *last);
    groups.into_iter().map(|(_, group)| group).collect()
}

fn side_of(network: &Network, layer: usize) -> usize {
    network.tensors[network.layers[layer].output].side
}

fn goes_row_by_row(network: &Network, layer: usize) -> bool {
    matches!(
        network.layers[layer].operation,
        Operation::Stem | Operation::Pointwise | Operation::Depthwise { .. }
    )
}

/// The layer that alone takes what `layer` makes, row by row.
fn follower(network: &Network, layer: usize) -> Option<usize> {
    let tensor = network.layers[layer].output;
    if network.gives(tensor) {
        return None;
    }
    let takes = |layer: &Layer| layer.input == Some(tensor) || layer.residual == Some(tensor);
    let numbered = network.layers.iter().enumerate();
    let mut takers = numbered.filter(|(_, layer)| takes(layer));
    let (next, taker) = takers.next()?;
    let is_only_input = taker.residual != Some(tensor) && takers.next().is_none();
    let is_taken_by_rows = is_only_input && goes_row_by_row(network, next);
    (is_taken_by_rows && side_of(network, next) >= LEAST_SIDE / 2).then_some(next)
}

/// Rows that a task makes: a power of two, or all where they are not so many.
fn strip_rows(network: &Network, layers: &[usize]) -> usize {
    let row_bytes = |tensor: TensorId| {
        let shape = network.tensors[tensor];
        shape.side * shape.channels.next_multiple_of(BLOCK) * FLOAT_BYTES
    };
    let of_layer = |layer: &usize| {
        let layer = &network.layers[*layer];
        let read = match (layer.operation, layer.input) {
            (Operation::Depthwise { stride, .. }, Some(input)) => stride * row_bytes(input),
            _ => 0,
        };
        row_bytes(layer.output).max(read)
    };
    let bytes = layers.iter().map(of_layer).max().unwrap_or(1);
    let rows = (STRIP_BYTES / bytes).max(1);
    1 << rows.ilog2()
}

/// The rows of a layer's input that it takes for `rows` of its output, counted from the first one of zeros.
fn rows_read(operation: Operation, rows: &Range<usize>, input: &Slot) -> Range<usize> {
    let margin = input.margin;
    let of_map = match operation {
        Operation::Depthwise {
            kernel_side,
            stride,
            zeros_before,
        } => {
            let before = margin - zeros_before;
            let end = (rows.end - 1) * stride + kernel_side;
            return rows.start * stride + before..end + before;
        }
        Operation::Stem | Operation::Pointwise | Operation::Identity => rows.clone(),
        Operation::Whole => 0..input.side,
        Operation::MaxPool => 2 * rows.start..2 * rows.end,
        Operation::DepthToSpace => rows.start / 2..rows.end.div_ceil(2),
        Operation::Upsample => {
            let first = (rows.start / 2).saturating_sub(1);
            first..((rows.end - 1) / 2 + 2).min(input.side)
        }
    };
    of_map.start + margin..of_map.end + margin
}

/// The rows that a layer writes for `rows` of its output, with those of zeros beside them, counted from
/// the first one of zeros.
fn rows_written(rows: &Range<usize>, output: &Slot) -> Range<usize> {
    let first = match rows.start {
        0 => 0,
        row => row + output.margin,
    };
    let behind = match rows.end == output.side {
        true => 2 * output.margin,
        false => output.margin,
    };
    first..rows.end + behind
}

/// The tasks of all groups, without what they need, and of maps between stages the rows that have to be
/// kept.
pub struct Order {
    pub tasks: Vec<Task>,
    pub kept_rows: Vec<(TensorId, usize)>,
}

/// `slots` have the shapes of all tensors, and their margins.
///
/// `panels` are the channels of the parts that each layer's can be divided into.
pub fn order(
    network: &Network,
    groups: &[Group],
    slots: &[Slot],
    panels: &[Vec<Range<usize>>],
) -> Order {
    let mut order = Order {
        tasks: Vec::new(),
        kept_rows: Vec::new(),
    };
    let mut steps = 0;
    for group in groups {
        match &group.stages[..] {
            [stage] if stage.layers.len() == 1 => {
                let layer = stage.layers[0];
                let of_layer = (&network.layers[layer], panels[layer].len());
                divide(network, of_layer, steps, &mut order.tasks);
            }
            stages => Interleaving::new(network, stages, slots, steps).go(&mut order),
        }
        steps += group.layers().count();
    }
    order
}

impl Group {
    /// Numbers of its layers, in their order.
    pub fn layers(&self) -> impl Iterator<Item = usize> {
        self.stages.iter().flat_map(|stage| &stage.layers).copied()
    }
}

/// Parts of a layer by itself.
fn divide(network: &Network, (layer, panels): (&Layer, usize), step: usize, tasks: &mut Vec<Task>) {
    let output = network.tensors[layer.output];
    let inputs = layer
        .input
        .map_or(3, |tensor| network.tensors[tensor].channels);
    let side = output.side;
    let products_of_pixel = match layer.operation {
        Operation::Stem => 27 * output.channels,
        Operation::Pointwise => inputs * output.channels,
        Operation::Whole => 4 * inputs * output.channels,
        // These are as slow as more products.
        Operation::Depthwise { kernel_side, .. } => 3 * kernel_side * kernel_side * output.channels,
        Operation::Upsample => 16 * output.channels,
        Operation::Identity | Operation::MaxPool | Operation::DepthToSpace => 8 * output.channels,
    };
    let parts = (products_of_pixel * side * side / LEAST_PRODUCTS).clamp(1, PARTS);
    // Rows of large maps; channels where there are few rows and many weights, and rows as well where there are
    // not so many channels.
    let of_panels = match side >= 16 {
        true => 1,
        false => parts.min(panels),
    };
    let of_rows = parts.div_ceil(of_panels).min(side);
    for part in 0..of_panels {
        for rows in 0..of_rows {
            tasks.push(Task {
                steps: step..step + 1,
                rows: rows * side / of_rows..(rows + 1) * side / of_rows,
                panels: part * panels / of_panels..(part + 1) * panels / of_panels,
                needs: 0,
            });
        }
    }
}

/// The stages of a group, of which each goes on as soon as the one before has made what it takes.
struct Interleaving<'a> {
    network: &'a Network,
    stages: &'a [Stage],
    slots: &'a [Slot],
    /// Before each stage's steps.
    steps: Vec<usize>,
    /// Rows that each stage has made.
    made: Vec<usize>,
    /// Rows of what each stage makes that have to be there at a time.
    kept: Vec<usize>,
}

impl<'a> Interleaving<'a> {
    fn new(network: &'a Network, stages: &'a [Stage], slots: &'a [Slot], steps: usize) -> Self {
        let mut next = steps;
        let of_stage = |stage: &Stage| {
            next += stage.layers.len();
            next - stage.layers.len()
        };
        Self {
            network,
            stages,
            slots,
            steps: stages.iter().map(of_stage).collect(),
            made: vec![0; stages.len()],
            kept: vec![0; stages.len()],
        }
    }

    fn go(mut self, order: &mut Order) {
        let last = self.stages.len() - 1;
        let rows = self.output(last).side;
        self.make(last, rows, &mut order.tasks);
        for (stage, kept) in self.stages.iter().zip(&self.kept).take(last) {
            let tensor = self.network.layers[stage.layers[stage.layers.len() - 1]].output;
            order.kept_rows.push((tensor, kept.next_power_of_two()));
        }
        for stage in self.stages {
            // Each of these is taken by the next one.
            for layer in &stage.layers[..stage.layers.len() - 1] {
                let tensor = self.network.layers[*layer].output;
                let rows = stage.strip_rows.min(self.slots[tensor].side);
                order.kept_rows.push((tensor, rows.next_power_of_two()));
            }
        }
    }

    fn output(&self, stage: usize) -> &'a Slot {
        let layers = &self.stages[stage].layers;
        &self.slots[self.network.layers[layers[layers.len() - 1]].output]
    }

    /// What a stage takes of the one before for `rows` of its own, counted from the first one of zeros.
    fn taken(&self, stage: usize, rows: &Range<usize>) -> Range<usize> {
        let first = &self.network.layers[self.stages[stage].layers[0]];
        rows_read(first.operation, rows, self.output(stage - 1))
    }

    /// Makes a stage's rows up to this one, or more, and before them what they take.
    fn make(&mut self, stage: usize, rows: usize, tasks: &mut Vec<Task>) {
        let strip_rows = self.stages[stage].strip_rows;
        let output = self.output(stage);
        while self.made[stage] < rows.min(output.side) {
            let first = self.made[stage];
            let strip = first..(first + strip_rows).min(output.side);
            if stage > 0 {
                let before = self.output(stage - 1);
                let ahead = STRIPS_AHEAD * self.stages[stage - 1].strip_rows;
                let end = self.taken(stage, &strip).end.saturating_sub(before.margin);
                self.make(stage - 1, end + ahead, tasks);
            }
            if stage + 1 < self.stages.len() {
                // The rows that the next stage may still read, with those of its last task, which another
                // thread may be at.
                let next = self.made[stage + 1];
                let next_rows = self.stages[stage + 1].strip_rows;
                let earliest = next.saturating_sub(next_rows);
                let earliest = self.taken(stage + 1, &(earliest..earliest + 1)).start;
                let end = rows_written(&strip, output).end;
                self.kept[stage] = self.kept[stage].max(end - earliest);
            }
            let steps = self.steps[stage];
            tasks.push(Task {
                steps: steps..steps + self.stages[stage].layers.len(),
                rows: strip.clone(),
                panels: 0..usize::MAX,
                needs: 0,
            });
            self.made[stage] = strip.end;
        }
    }
}

/// When a tensor was used: numbers of tasks, counted from one.
struct Uses {
    /// Of each row in memory and each block of channels, with the row of the map that was written.
    written: Vec<(usize, usize)>,
    read: Vec<usize>,
    last: usize,
}

/// Says for each task which ones have to be done before. `layers` are those of the steps, and `panels` the
/// channels of their panels.
pub fn find_needs(
    tasks: &mut [Task],
    layers: &[&Layer],
    slots: &[Slot],
    panels: &[&[Range<usize>]],
) {
    let unused = |slot: &Slot| {
        let places = slot.rows() * slot.channels() / BLOCK;
        Uses {
            written: vec![(0, 0); places],
            read: vec![0; places],
            last: 0,
        }
    };
    let mut uses: Vec<Uses> = slots.iter().map(unused).collect();
    for (task, number) in tasks.iter_mut().zip(1..) {
        let mut before: Vec<usize> = Vec::new();
        for step in task.steps.clone() {
            let layer = layers[step];
            let of_step = &panels[step][task.panels.start..task.panels.end.min(panels[step].len())];
            let channels = of_step[0].start..of_step[of_step.len() - 1].end;
            let input = layer.input.map(|tensor| match layer.operation {
                Operation::Depthwise { .. } => (tensor, layer.operation, channels.clone()),
                _ => (tensor, layer.operation, 0..slots[tensor].channels()),
            });
            let residual = layer.residual;
            let residual = residual.map(|tensor| (tensor, Operation::Identity, channels.clone()));
            for (tensor, operation, channels) in input.into_iter().chain(residual) {
                let (slot, uses) = (&slots[tensor], &mut uses[tensor]);
                if slot.is_own {
                    continue;
                }
                for (place, row) in places(slot, rows_read(operation, &task.rows, slot), &channels)
                {
                    let (writer, of_row) = uses.written[place];
                    assert!(writer > 0 && of_row == row, "too few rows are kept");
                    before.push(writer);
                    uses.read[place] = number;
                }
                uses.last = number;
            }
            let slot = &slots[layer.output];
            if slot.is_own {
                continue;
            }
            // What was in the same memory.
            let others = slots.iter().zip(&uses).enumerate();
            let others = others
                .filter(|(tensor, (other, _))| *tensor != layer.output && other.overlaps(slot));
            before.extend(others.map(|(_, (_, uses))| uses.last));
            let uses = &mut uses[layer.output];
            for (place, row) in places(slot, rows_written(&task.rows, slot), &channels) {
                let (writer, of_row) = uses.written[place];
                // Of one row, tasks write different channels.
                if of_row != row {
                    before.push(writer);
                }
                before.push(uses.read[place]);
                uses.written[place] = (number, row);
            }
            uses.last = number;
        }
        // What it has made itself it does not wait for.
        let before = before.into_iter().filter(|one| *one < number);
        task.needs = before.max().unwrap_or(0);
    }
}

/// The places in memory of blocks of channels in some rows, with their rows.
fn places(
    slot: &Slot,
    rows: Range<usize>,
    channels: &Range<usize>,
) -> impl Iterator<Item = (usize, usize)> {
    let all_blocks = slot.channels() / BLOCK;
    let blocks = channels.start / BLOCK..channels.end.div_ceil(BLOCK).min(all_blocks);
    rows.flat_map(move |row| {
        let first = slot.place_of(row) * all_blocks;
        blocks.clone().map(move |block| (first + block, row))
    })
}
