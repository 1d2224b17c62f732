//! In which order the work of a network is done, and what has to be done before what.
//!
//! A map of many pixels does not stay in a core's cache until the next layer takes it. So layers that only
//! make something for each other are gone through together, some rows at a time: of the maps between
//! them a few rows are kept. Layers that need no other rows than they make are one task; those
//! that do, as depthwise convolutions, begin a new one ([`Stage`]).
//!
//! What one core has made, another takes only slowly, on some machines more slowly than it would make it
//! itself. So maps are divided into bands of rows, of which each belongs to a lane, and a thread goes on in its
//! lane; the few rows beyond a band that layers gone through together need are made in both lanes.
//!
//! Tasks stand in an order in which they can be done one after the other. Each lane's are taken in this order,
//! and a thread waits with each until those of all lanes are done that it needs ([`Task::needs`]).

use std::collections::HashMap;
use std::ops::Range;

use super::graph::{Layer, Network, Operation, TensorId};
use super::kernels::BLOCK;
use super::slots::Slot;

/// Maps with smaller sides stay in a core's cache.
const LEAST_SIDE: usize = 32;
/// Rows that are made at once are about so many bytes, that of all layers of a task fit in the cache.
const STRIP_BYTES: usize = 96 << 10;
/// Strips that are made before they are needed where a lane has several threads, so that they need not wait
/// for each other.
const STRIPS_AHEAD: usize = 1;
/// Maps with smaller sides are divided by channels: there are few rows and many weights.
const LEAST_BANDED_SIDE: usize = 8;
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
    /// Of each lane; of the first one alone where there is one layer, of which all lanes make parts.
    pub lanes: Vec<Vec<Stage>>,
}

/// Into how many lanes work is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    pub count: usize,
    /// Strips that are made before they are needed.
    strips_ahead: usize,
}

impl Lanes {
    /// More would make too many rows twice.
    pub const MOST: usize = 4;

    /// For a run by so many threads at most.
    pub fn of_threads(threads: usize) -> Self {
        let count = threads.clamp(1, Self::MOST);
        Self {
            count,
            strips_ahead: STRIPS_AHEAD * usize::from(threads > count),
        }
    }

    /// Rows, or other things, that a lane makes of so many.
    fn part(self, lane: usize, of: usize) -> Range<usize> {
        lane * of / self.count..(lane + 1) * of / self.count
    }
}

/// For each lane: so many of its first tasks.
pub type Counts = [usize; Lanes::MOST];

/// A part of the work that one thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub lane: usize,
    /// Layers of the network, by their places in the order of all groups' layers.
    pub steps: Range<usize>,
    pub rows: Range<usize>,
    /// Of the layers' registers of channels; all where there are several layers.
    pub panels: Range<usize>,
    /// So many of each lane's tasks have to be done.
    pub needs: Counts,
}

/// The layers of a network, those together that are gone through together, in an order in which they can
/// be done. Lanes that go through several layers have maps between them, and layers that make these, of
/// their own: they are added to the network's, and to `originals`, which says of each layer whose it is.
pub fn groups(network: &mut Network, originals: &mut Vec<usize>, lanes: Lanes) -> Vec<Group> {
    let mut is_taken = vec![false; network.layers.len()];
    let mut groups: Vec<(usize, Vec<Stage>)> = Vec::new();
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
        groups.push((last, stages.collect()));
    }
    // What a group takes from others is made before its last layer.
    groups.sort_by_key(|(last, _)| *last);
    let groups = groups.into_iter().map(|(last, stages)| {
        let others = match stages.len() > 1 || stages[0].layers.len() > 1 {
            true => 1..lanes.count,
            false => 0..0,
        };
        let others: Vec<Vec<Stage>> = others
            .map(|_| of_its_own(network, originals, &stages, last))
            .collect();
        let lanes = std::iter::once(stages).chain(others).collect();
        Group { lanes }
    });
    groups.collect()
}

/// The same layers for another lane; they share what the `last` one makes.
fn of_its_own(
    network: &mut Network,
    originals: &mut Vec<usize>,
    stages: &[Stage],
    last: usize,
) -> Vec<Stage> {
    let mut made: HashMap<TensorId, TensorId> = HashMap::new();
    let mut own_layer = |number: &usize| {
        let mut layer = network.layers[*number].clone();
        layer.input = layer
            .input
            .map(|tensor| made.get(&tensor).copied().unwrap_or(tensor));
        if *number != last {
            network.tensors.push(network.tensors[layer.output]);
            made.insert(layer.output, network.tensors.len() - 1);
            layer.output = network.tensors.len() - 1;
        }
        network.layers.push(layer);
        originals.push(originals[*number]);
        network.layers.len() - 1
    };
    let own_stage = |stage: &Stage| Stage {
        layers: stage.layers.iter().map(&mut own_layer).collect(),
        strip_rows: stage.strip_rows,
    };
    stages.iter().map(own_stage).collect()
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
    lanes: Lanes,
    slots: &[Slot],
    panels: &[Vec<Range<usize>>],
) -> Order {
    let mut order = Order {
        tasks: Vec::new(),
        kept_rows: Vec::new(),
    };
    let mut steps = 0;
    for group in groups {
        match &group.lanes[..] {
            [stages] if group.layers().count() == 1 => {
                let layer = stages[0].layers[0];
                let of_layer = (&network.layers[layer], panels[layer].len());
                divide(network, of_layer, lanes, steps, &mut order.tasks);
                steps += 1;
            }
            of_lanes => {
                for (lane, stages) in of_lanes.iter().enumerate() {
                    Interleaving::new(network, stages, slots, steps, (lane, lanes)).go(&mut order);
                    steps += layers_of(stages).count();
                }
            }
        }
    }
    order
}

fn layers_of(stages: &[Stage]) -> impl Iterator<Item = usize> {
    stages.iter().flat_map(|stage| &stage.layers).copied()
}

impl Group {
    /// Numbers of its layers, in their order.
    pub fn layers(&self) -> impl Iterator<Item = usize> {
        self.lanes.iter().flat_map(|stages| layers_of(stages))
    }
}

/// Parts of a layer by itself.
fn divide(
    network: &Network,
    (layer, panels): (&Layer, usize),
    lanes: Lanes,
    step: usize,
    tasks: &mut Vec<Task>,
) {
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
    let of_lane = parts.div_ceil(lanes.count);
    for lane in 0..lanes.count {
        let (rows, of_panels, [by_rows, by_panels]) = match side {
            // Rows of large maps.
            _ if side >= 2 * LEAST_BANDED_SIDE => (lanes.part(lane, side), 0..panels, [of_lane, 1]),
            // Channels as well where there are few rows and many weights.
            LEAST_BANDED_SIDE.. => (lanes.part(lane, side), 0..panels, [1, of_lane]),
            _ if parts > 1 => {
                let of_panels = lanes.part(lane, panels);
                let by_rows = of_lane.div_ceil(of_panels.len().max(1));
                (0..side, of_panels, [by_rows, of_lane])
            }
            _ if lane == 0 => (0..side, 0..panels, [1, 1]),
            _ => continue,
        };
        for panels in cut(of_panels, by_panels) {
            tasks.extend(cut(rows.clone(), by_rows).map(|rows| Task {
                lane,
                steps: step..step + 1,
                rows,
                panels: panels.clone(),
                needs: Counts::default(),
            }));
        }
    }
}

/// A range in so many parts, or as many as it has numbers.
fn cut(range: Range<usize>, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.min(range.len());
    (0..parts).map(move |part| {
        let first = |part: usize| range.start + part * range.len() / parts;
        first(part)..first(part + 1)
    })
}

/// The stages of a group, of which each goes on as soon as the one before has made what it takes.
struct Interleaving<'a> {
    network: &'a Network,
    stages: &'a [Stage],
    slots: &'a [Slot],
    /// Before each stage's steps.
    steps: Vec<usize>,
    lane: usize,
    strips_ahead: usize,
    /// The row up to which each stage has made its rows.
    made: Vec<usize>,
    /// Rows of each stage that the lane needs.
    band: Vec<Range<usize>>,
    /// Rows of what each stage makes that have to be there at a time.
    kept: Vec<usize>,
}

impl<'a> Interleaving<'a> {
    fn new(
        network: &'a Network,
        stages: &'a [Stage],
        slots: &'a [Slot],
        steps: usize,
        (lane, lanes): (usize, Lanes),
    ) -> Self {
        let mut next = steps;
        let of_stage = |stage: &Stage| {
            next += stage.layers.len();
            next - stage.layers.len()
        };
        let mut interleaving = Self {
            network,
            stages,
            slots,
            steps: stages.iter().map(of_stage).collect(),
            lane,
            strips_ahead: lanes.strips_ahead,
            made: Vec::new(),
            band: vec![0..0; stages.len()],
            kept: vec![0; stages.len()],
        };
        let last = stages.len() - 1;
        interleaving.band[last] = lanes.part(lane, interleaving.output(last).side);
        for stage in (0..last).rev() {
            let Slot { side, margin, .. } = *interleaving.output(stage);
            let taken = interleaving.taken(stage + 1, &interleaving.band[stage + 1]);
            let of_map = |row: usize| row.saturating_sub(margin).min(side);
            interleaving.band[stage] = of_map(taken.start)..of_map(taken.end);
        }
        interleaving.made = interleaving.band.iter().map(|band| band.start).collect();
        interleaving
    }

    fn go(mut self, order: &mut Order) {
        let last = self.stages.len() - 1;
        self.make(last, self.band[last].end, &mut order.tasks);
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
        let end = rows.min(self.band[stage].end);
        while self.made[stage] < end {
            let first = self.made[stage];
            let strip = first..(first + strip_rows).min(self.band[stage].end);
            if stage > 0 {
                let before = self.output(stage - 1);
                let ahead = self.strips_ahead * self.stages[stage - 1].strip_rows;
                let end = self.taken(stage, &strip).end.saturating_sub(before.margin);
                self.make(stage - 1, end + ahead, tasks);
            }
            if stage + 1 < self.stages.len() {
                // The rows that the next stage may still read, with those of its last task, which another
                // thread may be at.
                let next = self.made[stage + 1];
                let next_rows = self.stages[stage + 1].strip_rows;
                let earliest = next.saturating_sub(next_rows);
                let earliest = earliest.max(self.band[stage + 1].start);
                let earliest = self.taken(stage + 1, &(earliest..earliest + 1)).start;
                let end = rows_written(&strip, output).end;
                self.kept[stage] = self.kept[stage].max(end - earliest);
            }
            let steps = self.steps[stage];
            tasks.push(Task {
                lane: self.lane,
                steps: steps..steps + self.stages[stage].layers.len(),
                rows: strip.clone(),
                panels: 0..usize::MAX,
                needs: Counts::default(),
            });
            self.made[stage] = strip.end;
        }
    }
}

/// When a tensor was used: of each lane, the number of a task, counted from one.
struct Uses {
    /// Of each row in memory and each block of channels: who wrote it, and the row of the map.
    written: Vec<Option<Writer>>,
    read: Vec<Counts>,
    last: Counts,
}

#[derive(Clone, Copy)]
struct Writer {
    lane: usize,
    number: usize,
    row: usize,
}

/// Adds that a task has to be done.
fn include(counts: &mut Counts, lane: usize, number: usize) {
    counts[lane] = counts[lane].max(number);
}

/// The same of several.
fn include_all(counts: &mut Counts, others: &Counts) {
    for (lane, number) in others.iter().enumerate() {
        include(counts, lane, *number);
    }
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
            written: vec![None; places],
            read: vec![Counts::default(); places],
            last: Counts::default(),
        }
    };
    let mut uses: Vec<Uses> = slots.iter().map(unused).collect();
    let mut numbers = Counts::default();
    for task in tasks {
        let lane = task.lane;
        numbers[lane] += 1;
        let number = numbers[lane];
        let needs = &mut task.needs;
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
                    let writer = uses.written[place].filter(|writer| writer.row == row);
                    let writer = writer.expect("as many rows as are read are kept");
                    include(needs, writer.lane, writer.number);
                    include(&mut uses.read[place], lane, number);
                }
                include(&mut uses.last, lane, number);
            }
            let slot = &slots[layer.output];
            if slot.is_own {
                continue;
            }
            // What was in the same memory.
            for (tensor, (other, uses)) in slots.iter().zip(&uses).enumerate() {
                if tensor != layer.output && other.overlaps(slot) {
                    include_all(needs, &uses.last);
                }
            }
            let uses = &mut uses[layer.output];
            for (place, row) in places(slot, rows_written(&task.rows, slot), &channels) {
                // Of one row, tasks write different channels.
                if let Some(writer) = uses.written[place].filter(|writer| writer.row != row) {
                    include(needs, writer.lane, writer.number);
                }
                include_all(needs, &uses.read[place]);
                uses.written[place] = Some(Writer { lane, number, row });
            }
            include(&mut uses.last, lane, number);
        }
        // What it has made itself it does not wait for.
        needs[lane] = needs[lane].min(number - 1);
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
