//! A network made ready for this processor: where tensors are in memory, weights in the order in which
//! they are taken, and the work in parts.

use std::ops::Range;
use std::sync::Arc;

use super::graph::{Layer, Network, Operation, Shape, TensorId};
use super::kernels::{self, Map, Place, STEM_ROW};
use super::schedule::{self, Group, Lanes, Task};
use super::slots::{Slot, Spaces};
use super::step::{self, MAX_PIXELS, Packed, Part, Step, check_sides, panel_channels};
use super::vector::{Avx2, Avx512, Vector};
use crate::pose::crop::ModelInput;

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

/// A network with its weights packed for this processor, which all its plans share.
pub struct PackedNetwork {
    instructions: Instructions,
    /// Without weights.
    network: Network,
    /// Of each layer.
    packed: Vec<Arc<Packed>>,
}

impl PackedNetwork {
    /// # Errors
    /// When a map has a side that the kernels cannot go through.
    pub fn new(mut network: Network, instructions: Instructions) -> Result<Self, String> {
        if network.picture_side + 2 > STEM_ROW {
            return Err(format!("its pictures have {} rows", network.picture_side));
        }
        let slots = shapes(&network);
        for layer in &network.layers {
            check_sides(layer, &slots)?;
        }
        let channels = |tensor: TensorId| network.tensors[tensor].channels;
        let packed = network.layers.iter().map(|layer| {
            let inputs = layer.input.map_or(3, channels);
            let channels = [inputs, channels(layer.output)];
            Arc::new(Packed::new(layer, channels, instructions.lanes()))
        });
        let packed = packed.collect();
        for layer in &mut network.layers {
            layer.weights = None;
        }
        Ok(Self {
            instructions,
            network,
            packed,
        })
    }

    pub fn instructions(&self) -> Instructions {
        self.instructions
    }
}

/// How a network is run.
pub struct Plan {
    instructions: Instructions,
    picture_side: usize,
    steps: Vec<Step>,
    /// Of each lane, in the order in which they are begun.
    lanes: Vec<Vec<Task>>,
    slots: Vec<Slot>,
    /// Floats of the memory of all threads, and of each.
    floats: [usize; 2],
}

impl Plan {
    /// For so many threads at most.
    pub fn new(network: &PackedNetwork, threads: usize) -> Self {
        let PackedNetwork {
            instructions,
            network,
            packed,
        } = network;
        let mut network = network.clone();
        let mut originals: Vec<usize> = (0..network.layers.len()).collect();
        let lanes = Lanes::of_threads(threads);
        let groups = schedule::groups(&mut network, &mut originals, lanes);
        let mut slots = shapes(&network);
        let panels = |layer: &Layer| {
            let channels = slots[layer.output].channels();
            panel_channels(layer.operation, channels, instructions.lanes())
        };
        let panels: Vec<Vec<Range<usize>>> = network.layers.iter().map(panels).collect();
        let order = schedule::order(&network, &groups, lanes, &slots, &panels);
        for (tensor, rows) in order.kept_rows {
            slots[tensor].keep(rows);
        }
        let floats = place(&network, &groups, &mut slots);
        let numbers: Vec<usize> = groups.iter().flat_map(Group::layers).collect();
        let layers = numbers.iter().map(|number| &network.layers[*number]);
        let layers: Vec<&Layer> = layers.collect();
        let of_steps = numbers.iter().map(|number| panels[*number].as_slice());
        let mut tasks = order.tasks;
        schedule::find_needs(&mut tasks, &layers, &slots, &of_steps.collect::<Vec<_>>());
        let steps = numbers.iter().zip(&layers).map(|(number, layer)| {
            let packed = Arc::clone(&packed[originals[*number]]);
            Step::new(packed, layer, &slots)
        });
        let mut of_lanes = vec![Vec::new(); lanes.count];
        for task in tasks {
            of_lanes[task.lane].push(task);
        }
        Self {
            instructions: *instructions,
            picture_side: network.picture_side,
            steps: steps.collect(),
            lanes: of_lanes,
            slots,
            floats,
        }
    }

    /// Floats of the memory that a run needs.
    pub fn shared_floats(&self) -> usize {
        self.floats[0]
    }

    /// Floats of the memory that each thread of a run needs for itself.
    pub fn own_floats(&self) -> usize {
        self.floats[1]
    }

    /// Of each lane: the tasks, to be begun in their order.
    pub fn lanes(&self) -> &[Vec<Task>] {
        &self.lanes
    }

    /// A tensor that the network gives: its first pixel, and floats from pixel to pixel and from row to row.
    ///
    /// # Safety
    /// `shared` holds [`Self::shared_floats`].
    pub unsafe fn map(&self, shared: *mut f32, tensor: TensorId) -> Map {
        let spaces = Spaces {
            shared,
            own: shared,
        };
        // SAFETY: the caller's promise; what the network gives is there for all threads.
        unsafe { self.slots[tensor].map(spaces, 0) }
    }

    /// Does a task.
    ///
    /// # Safety
    /// `spaces` hold [`Self::shared_floats`] and [`Self::own_floats`], and `picture` [3, side, side] values;
    /// the tasks that it needs are done; nobody else does this one, or has the same own memory.
    pub unsafe fn run(&self, task: &Task, spaces: Spaces, picture: ModelInput<'_>) {
        let picture = (picture, self.picture_side);
        for step in &self.steps[task.steps.clone()] {
            let part = Part {
                rows: task.rows.clone(),
                panels: task.panels.clone(),
            };
            // SAFETY: the caller's promise; `detect` has found the instructions.
            unsafe {
                match self.instructions {
                    Instructions::Avx512 => run_avx512(step, part, spaces, picture),
                    Instructions::Avx2 => run_avx2(step, part, spaces, picture),
                }
            }
        }
    }
}

/// Tensors with the zeros that layers ask for around them, nowhere in memory yet.
fn shapes(network: &Network) -> Vec<Slot> {
    let tensors = network.tensors.iter();
    let slot = |shape: &Shape| Slot {
        side: shape.side,
        channels: shape.channels,
        margin: 0,
        kept_rows: None,
        is_own: false,
        offset: 0,
    };
    let mut slots: Vec<Slot> = tensors.map(slot).collect();
    for layer in &network.layers {
        if let (Some(input), Operation::Depthwise { kernel_side, .. }) =
            (layer.input, layer.operation)
        {
            slots[input].margin = slots[input].margin.max(kernel_side / 2);
        }
    }
    slots
}

/// Says where tensors are; gives the floats in all of what threads share, and of what each has. Memory of
/// tensors that nobody needs any more is used again.
fn place(network: &Network, groups: &[Group], slots: &mut [Slot]) -> [usize; 2] {
    let takes = |group: &Group, tensor: TensorId| {
        let mut layers = group.layers().map(|number| &network.layers[number]);
        layers.any(|layer| [layer.input, layer.residual].contains(&Some(tensor)))
    };
    let last_use = |tensor: TensorId| match network.gives(tensor) {
        true => groups.len(),
        false => {
            let last = groups.iter().rposition(|group| takes(group, tensor));
            last.unwrap_or(groups.len())
        }
    };
    // (tensor, last use) of those that are in memory.
    let mut living: Vec<(TensorId, usize)> = Vec::new();
    let [mut shared_floats, mut own_floats] = [0, 0];
    for (position, group) in groups.iter().enumerate() {
        living.retain(|(_, last)| *last >= position);
        for stage in group.lanes.iter().flatten() {
            let mut own = 0;
            let outputs = stage
                .layers
                .iter()
                .map(|layer| network.layers[*layer].output);
            let outputs: Vec<TensorId> = outputs.collect();
            let (last, within) = outputs.split_last().expect("a layer");
            for tensor in within {
                let slot = &mut slots[*tensor];
                (slot.is_own, slot.offset) = (true, own);
                own += slot.floats();
            }
            own_floats = own_floats.max(own);
            // Lanes have what the group makes in common.
            if living.iter().any(|(tensor, _)| tensor == last) {
                continue;
            }
            let floats = slots[*last].floats();
            let offset = free_offset(&living, slots, floats);
            slots[*last].offset = offset;
            shared_floats = shared_floats.max(offset + floats);
            living.push((*last, last_use(*last)));
        }
    }
    [shared_floats, own_floats]
}

/// The first place with so many floats between living tensors.
fn free_offset(living: &[(TensorId, usize)], slots: &[Slot], floats: usize) -> usize {
    let range = |(tensor, _): &(TensorId, usize)| slots[*tensor].range();
    let mut taken: Vec<Range<usize>> = living.iter().map(range).collect();
    taken.sort_by_key(|range| range.start);
    let mut offset = 0;
    for range in taken {
        if range.start >= offset + floats {
            break;
        }
        offset = offset.max(range.end);
    }
    offset
}

#[target_feature(enable = "avx512f")]
unsafe fn run_avx512(step: &Step, part: Part, spaces: Spaces, picture: (ModelInput<'_>, usize)) {
    // SAFETY: as the caller promises.
    unsafe { step::run::<Avx512, MAX_PIXELS>(step, part, spaces, picture) }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2(step: &Step, part: Part, spaces: Spaces, picture: (ModelInput<'_>, usize)) {
    // SAFETY: as the caller promises.
    unsafe { step::run::<Avx2, 4>(step, part, spaces, picture) }
}

/// Of pixels beside each other, from the place on, the products of their channels with weights, added up.
///
/// # Safety
/// The pixels are in the map, there are as many weights as channels with those that fill the last block,
/// and the processor has the instructions.
pub unsafe fn dots(
    instructions: Instructions,
    map: Map,
    place: Place,
    weights: *const f32,
    sums: &mut [f32],
) {
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512(map: Map, place: Place, weights: *const f32, sums: &mut [f32]) {
        // SAFETY: as the caller promises.
        unsafe { kernels::dots::<Avx512>(map, place, weights, sums) }
    }
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2(map: Map, place: Place, weights: *const f32, sums: &mut [f32]) {
        // SAFETY: as the caller promises.
        unsafe { kernels::dots::<Avx2>(map, place, weights, sums) }
    }
    // SAFETY: as the caller promises.
    unsafe {
        match instructions {
            Instructions::Avx512 => avx512(map, place, weights, sums),
            Instructions::Avx2 => avx2(map, place, weights, sums),
        }
    }
}
