//! BlazePose's landmark models by kernels of our own, for processors with AVX2 or AVX-512.
//!
//! `graph` reads the converted model as a few kinds of layers, `schedule` divides their work into tasks,
//! `plan` lays out memory and weights, `kernels` compute, on `vector`'s registers, `team` divides the tasks
//! among threads. Results are the
//! same bits on every such processor and for any number of threads.

mod graph;
mod kernels;
mod memory;
mod plan;
#[cfg(test)]
mod reference;
mod schedule;
mod slots;
mod step;
mod team;
mod vector;

use std::ops::RangeInclusive;
use std::sync::Arc;

use prost::Message;

use self::graph::{Network, Shape, TensorId};
use self::kernels::{BLOCK, Map, Place};
use self::plan::{Instructions, Plan, dots};
use self::team::Team;
use super::model_threads::ModelThreads;
use super::tflite::onnx::ModelProto;

/// Whether this processor can run the kernels.
pub fn is_supported() -> bool {
    Instructions::detect().is_some()
}

/// A landmark model with its weights, which several runs at once can share.
pub struct Weights {
    plan: Arc<Plan>,
    picture_values: usize,
    points: Values,
    pose: Values,
    world: Values,
    features: TensorId,
    features_side: usize,
    /// Of each heatmap: of as many features as a pixel has in memory.
    heatmaps: Vec<f32>,
    heatmap_bias: Vec<f32>,
}

/// A tensor of one place, and its channels.
#[derive(Clone, Copy)]
struct Values {
    tensor: TensorId,
    count: usize,
}

impl Weights {
    /// Reads a converted model.
    ///
    /// # Errors
    /// What is not as it is in landmark models, or that the processor has not the instructions.
    pub fn from_onnx(bytes: Vec<u8>) -> Result<Self, String> {
        let instructions = Instructions::detect();
        let instructions = instructions.ok_or("this processor has neither AVX2 nor AVX-512")?;
        let model = ModelProto::decode(&bytes[..]).map_err(|e| e.to_string())?;
        // Each is as large as the file.
        drop(bytes);
        let network = Network::from_onnx(&model)?;
        drop(model);
        Self::new(network, instructions)
    }

    fn new(network: Network, instructions: Instructions) -> Result<Self, String> {
        let features = network.tensors[network.features];
        let mut heatmaps = Vec::new();
        for weights in network.heatmaps.values.chunks_exact(features.channels) {
            heatmaps.extend_from_slice(weights);
            heatmaps.resize(heatmaps.len().next_multiple_of(BLOCK), 0.0);
        }
        let values = |tensor: TensorId| match network.tensors[tensor] {
            Shape { side: 1, channels } => Ok(Values {
                tensor,
                count: channels,
            }),
            shape => Err(format!("an output is {shape:?}")),
        };
        Ok(Self {
            picture_values: 3 * network.picture_side * network.picture_side,
            points: values(network.points)?,
            pose: values(network.pose_logit)?,
            world: values(network.world)?,
            features: network.features,
            features_side: features.side,
            heatmaps,
            heatmap_bias: network.heatmaps.bias.clone(),
            plan: Arc::new(Plan::new(network, instructions)?),
        })
    }
}

/// Runs a landmark model.
pub struct NativeModel {
    weights: Arc<Weights>,
    team: Team,
}

/// What a run gives.
pub struct NativeOutputs<'m> {
    /// [39, 5]
    pub points: &'m [f32],
    /// A logit.
    pub pose: f32,
    /// [39, 3]
    pub world: &'m [f32],
    /// [39, 64, 64] logits.
    pub heatmaps: NativeHeatmaps<'m>,
}

/// Heatmaps of which only those places are computed that are asked for.
#[derive(Clone, Copy)]
pub struct NativeHeatmaps<'m> {
    weights: &'m Weights,
    features: Map,
}

impl NativeModel {
    /// Takes memory for one run at a time, which may use so many threads.
    pub fn new(weights: Arc<Weights>, threads: ModelThreads) -> Self {
        Self {
            team: Team::new(Arc::clone(&weights.plan), threads),
            weights,
        }
    }

    /// Runs on a [3, 256, 256] tensor in 0..1.
    ///
    /// # Errors
    /// When the tensor has another size, or threads cannot be started.
    pub fn run(&mut self, picture: &[f32]) -> Result<NativeOutputs<'_>, String> {
        if picture.len() != self.weights.picture_values {
            return Err(format!("a picture of {} values", picture.len()));
        }
        // SAFETY: the picture has the size that the plan was made for.
        unsafe { self.team.run(picture) }.map_err(|e| e.to_string())?;
        let memory = self.team.memory();
        // SAFETY: the team's memory is that of the plan, and is borrowed as long as the outputs are there.
        let plan = &self.weights.plan;
        // A map of one place has its channels side by side.
        let values = |values: Values| unsafe {
            let map = plan.map(memory, values.tensor);
            std::slice::from_raw_parts(map.first, values.count)
        };
        Ok(NativeOutputs {
            points: values(self.weights.points),
            pose: values(self.weights.pose)[0],
            world: values(self.weights.world),
            heatmaps: NativeHeatmaps {
                weights: &self.weights,
                // SAFETY: as above.
                features: unsafe { plan.map(memory, self.weights.features) },
            },
        })
    }
}

impl NativeHeatmaps<'_> {
    /// Row, column and logit of each cell of a part of a point's heatmap, row by row.
    ///
    /// # Panics
    /// When the part is not within the map.
    pub fn read(
        &self,
        point: usize,
        rows: RangeInclusive<usize>,
        columns: RangeInclusive<usize>,
        mut take: impl FnMut(usize, usize, f32),
    ) {
        let weights = self.weights;
        let side = weights.features_side;
        let count = self.features.channels;
        let of_point = &weights.heatmaps[point * count..][..count];
        let bias = weights.heatmap_bias[point];
        assert!(
            *rows.end() < side && *columns.end() < side,
            "within the map"
        );
        let instructions = weights.plan.instructions();
        let mut sums = vec![0.0; columns.clone().count()];
        for y in rows {
            let x = *columns.start();
            // SAFETY: the places are within the map, and each pixel has `count` floats.
            unsafe {
                let place = Place { y, x };
                dots(
                    instructions,
                    self.features,
                    place,
                    of_point.as_ptr(),
                    &mut sums,
                );
            }
            for (x, sum) in columns.clone().zip(&sums) {
                take(y, x, sum + bias);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::graph::{Layer, Operation};
    use super::memory::Memory;
    use super::slots::Spaces;
    use super::*;
    use crate::at_work::AtWork;

    const PICTURE_SIDE: usize = 128;

    /// Numbers that repeat nowhere near and are the same everywhere.
    struct Numbers(u32);

    impl Numbers {
        /// In -0.5..0.5, exactly a float of 16 bits where that is wanted.
        fn next(&mut self, is_half: bool) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5;
            match is_half {
                true => half::f16::from_f32(value).to_f32(),
                false => value,
            }
        }

        fn list(&mut self, count: usize, is_half: bool) -> Vec<f32> {
            (0..count).map(|_| self.next(is_half)).collect()
        }
    }

    /// A network with layers of all kinds, of channels that fill no register, whose weights are floats of
    /// 16 bits or not.
    fn network(is_half: bool) -> Network {
        let mut numbers = Numbers(7);
        let mut tensors: Vec<Shape> = Vec::new();
        let mut layers: Vec<Layer> = Vec::new();
        let mut add = |operation, input: Option<usize>, side, channels, residual: Option<usize>| {
            let inputs = input.map_or(3, |tensor: usize| tensors[tensor].channels);
            let per_output = match operation {
                Operation::Stem => Some(27),
                Operation::Pointwise => Some(inputs),
                Operation::Depthwise { kernel_side, .. } => Some(kernel_side * kernel_side),
                Operation::Whole => Some(4 * inputs),
                _ => None,
            };
            let weights = per_output.map(|per_output| graph::Weights {
                outputs: channels,
                values: numbers.list(channels * per_output, is_half),
                bias: numbers.list(channels, false),
            });
            tensors.push(Shape { side, channels });
            let output = tensors.len() - 1;
            layers.push(Layer {
                operation,
                weights,
                input,
                residual,
                clip: output.is_multiple_of(2).then_some([-0.3, 0.4]),
                output,
            });
            output
        };
        let depthwise = |kernel_side, stride, zeros_before| Operation::Depthwise {
            kernel_side,
            stride,
            zeros_before,
        };
        // Of these maps only some rows are there at a time.
        let a = add(Operation::Stem, None, 64, 20, None);
        let b = add(depthwise(3, 1, 1), Some(a), 64, 20, None);
        let wide = add(Operation::Pointwise, Some(b), 64, 70, None);
        let half = add(depthwise(3, 2, 1), Some(wide), 32, 70, None);
        let c = add(depthwise(5, 2, 2), Some(half), 16, 70, None);
        let d = add(Operation::Pointwise, Some(c), 16, 12, None);
        let e = add(depthwise(5, 1, 2), Some(d), 16, 12, None);
        let f = add(Operation::Pointwise, Some(e), 16, 12, Some(d));
        let g = add(depthwise(3, 2, 0), Some(f), 8, 12, None);
        let h = add(Operation::Pointwise, Some(g), 8, 150, None);
        let i = add(depthwise(3, 2, 1), Some(h), 4, 150, None);
        let j = add(Operation::Pointwise, Some(i), 4, 33, None);
        let pooled = add(Operation::MaxPool, Some(h), 4, 170, None);
        let k = add(Operation::Pointwise, Some(pooled), 4, 33, Some(j));
        let l = add(depthwise(3, 1, 1), Some(k), 4, 33, None);
        let m = add(depthwise(3, 2, 0), Some(l), 2, 33, None);
        let n = add(depthwise(3, 1, 1), Some(m), 2, 33, None);
        let o = add(Operation::Pointwise, Some(n), 2, 33, Some(m));
        let points = add(Operation::Whole, Some(o), 1, 195, None);
        let world = add(Operation::Whole, Some(o), 1, 17, None);
        let pose_logit = add(Operation::Whole, Some(o), 1, 1, None);
        let up = add(Operation::Upsample, Some(g), 16, 12, Some(f));
        let features = add(Operation::Identity, Some(up), 16, 12, Some(e));
        Network {
            picture_side: PICTURE_SIDE,
            layers,
            points,
            pose_logit,
            world,
            features,
            heatmaps: graph::Weights {
                outputs: 3,
                values: numbers.list(3 * tensors[features].channels, is_half),
                bias: numbers.list(3, false),
            },
            tensors,
        }
    }

    /// Everything that a model gives, in a list.
    fn outputs(model: &mut NativeModel, picture: &[f32]) -> Vec<f32> {
        let outputs = model.run(picture).expect("outputs");
        let mut all = outputs.points.to_vec();
        all.extend(outputs.world);
        all.push(outputs.pose);
        for point in 0..3 {
            let take = |_, _, logit| all.push(logit);
            outputs.heatmaps.read(point, 0..=15, 0..=15, take);
        }
        all
    }

    fn expected(network: &Network, picture: &[f32]) -> Vec<f64> {
        let tensors = reference::tensors(network, picture);
        let mut all = tensors[network.points].clone();
        all.extend(&tensors[network.world]);
        all.extend(&tensors[network.pose_logit]);
        let features = &tensors[network.features];
        let places = features.len() / network.tensors[network.features].channels;
        let weights = &network.heatmaps;
        for (weights, bias) in weights.values.chunks(12).zip(&weights.bias) {
            for place in 0..places {
                let of_channel = features.iter().skip(place).step_by(places);
                let products = of_channel.zip(weights).map(|(a, b)| a * f64::from(*b));
                all.push(products.sum::<f64>() + f64::from(*bias));
            }
        }
        all
    }

    /// The kinds of instructions that this processor has.
    fn instructions() -> Vec<Instructions> {
        match Instructions::detect() {
            Some(Instructions::Avx512) => vec![Instructions::Avx512, Instructions::Avx2],
            Some(Instructions::Avx2) => vec![Instructions::Avx2],
            None => Vec::new(),
        }
    }

    #[test]
    fn all_kinds_of_layers_compute_what_they_are_said_to() {
        for is_half in [true, false] {
            let network = network(is_half);
            let mut numbers = Numbers(1);
            let mut models: Vec<NativeModel> = instructions()
                .into_iter()
                .map(|instructions| {
                    let weights = Weights::new(network.clone(), instructions);
                    NativeModel::new(Arc::new(weights.expect("a plan")), 1.into())
                })
                .collect();
            // Memory that was used before changes nothing.
            for _ in 0..2 {
                let picture = numbers.list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
                let expected = expected(&network, &picture);
                for model in &mut models {
                    let found = outputs(model, &picture);
                    assert_eq!(found.len(), expected.len());
                    for (place, (a, b)) in found.iter().zip(&expected).enumerate() {
                        let error = (f64::from(*a) - b).abs();
                        let instructions = model.weights.plan.instructions();
                        assert!(error < 2e-5, "{instructions:?}, {place}: {a} for {b}");
                    }
                }
            }
        }
    }

    /// All tasks of a plan, as if so many threads took them and any of these were the next to be done with
    /// its own; all values that the network gives.
    fn in_some_order(
        plan: &Plan,
        tensors: &[(TensorId, usize)],
        numbers: &mut Numbers,
    ) -> Vec<u32> {
        const THREADS: usize = 6;
        let picture = Numbers(3).list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
        // What nobody has written is no number.
        let [mut shared, mut own] = [plan.shared_floats(), plan.own_floats()]
            .map(|floats| Memory::of(&vec![f32::NAN; floats]));
        let spaces = Spaces {
            shared: shared.as_mut_ptr(),
            own: own.as_mut_ptr(),
        };
        let mut is_done = vec![false; plan.tasks()];
        let mut taken: Vec<usize> = Vec::new();
        let mut untaken = 0..plan.tasks();
        loop {
            taken.extend(untaken.by_ref().take(THREADS - taken.len()));
            let Some(first_undone) = is_done.iter().position(|is_done| !is_done) else {
                break;
            };
            let can_begin = |task: &&usize| plan.needs(**task) <= first_undone;
            let ready: Vec<usize> = taken.iter().filter(can_begin).copied().collect();
            assert!(ready.contains(&first_undone), "the first waits for nobody");
            let next = ((numbers.next(false) + 0.5) * ready.len() as f32) as usize;
            let task = ready[next.min(ready.len() - 1)];
            // SAFETY: the memory is that of the plan, and what the task needs is done.
            unsafe { plan.run(task, spaces, picture.as_ptr()) };
            is_done[task] = true;
            taken.retain(|other| *other != task);
        }
        let mut all = Vec::new();
        for (tensor, side) in tensors {
            // SAFETY: as above.
            let map = unsafe { plan.map(spaces.shared, *tensor) };
            for y in 0..*side {
                for x in 0..*side {
                    // SAFETY: a pixel of the map.
                    all.extend((0..map.channels).map(|c| unsafe { *map.at(y, x, c) }.to_bits()));
                }
            }
        }
        all
    }

    #[test]
    fn tasks_may_be_done_in_any_order_that_their_needs_allow() {
        let network = network(true);
        let tensors = network.outputs().map(|t| (t, network.tensors[t].side));
        for instructions in instructions() {
            let plan = Plan::new(network.clone(), instructions).expect("a plan");
            let mut numbers = Numbers(11);
            let first = in_some_order(&plan, &tensors, &mut numbers);
            assert!(first.iter().all(|bits| !f32::from_bits(*bits).is_nan()));
            for _ in 0..30 {
                assert!(in_some_order(&plan, &tensors, &mut numbers) == first);
            }
        }
    }

    #[test]
    fn registers_threads_and_models_beside_each_other_do_not_change_bits() {
        let network = network(true);
        let picture = Numbers(3).list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
        let mut all = Vec::new();
        for instructions in instructions() {
            let weights = Arc::new(Weights::new(network.clone(), instructions).expect("a plan"));
            std::thread::scope(|scope| {
                let runs = [1, 2, 3, 5].map(|threads| {
                    let others = AtWork::default();
                    let threads = ModelThreads {
                        beside_others: 1,
                        alone: threads,
                        others: others.clone(),
                    };
                    let mut model = NativeModel::new(Arc::clone(&weights), threads);
                    let picture = &picture;
                    scope.spawn(move || {
                        let is_over = AtomicBool::new(false);
                        std::thread::scope(|scope| {
                            // Helpers come and go at any moment.
                            scope.spawn(|| {
                                while !is_over.load(Ordering::Relaxed) {
                                    drop(others.begin());
                                    std::thread::yield_now();
                                }
                            });
                            let runs = [(); 20].map(|()| outputs(&mut model, picture));
                            is_over.store(true, Ordering::Relaxed);
                            runs
                        })
                    })
                });
                for run in runs {
                    all.extend(run.join().expect("outputs"));
                }
            });
        }
        assert!(all.iter().all(|outputs| *outputs == all[0]));
    }

    #[test]
    fn maps_that_the_kernels_would_leave_are_refused() {
        let Some(instructions) = Instructions::detect() else {
            return;
        };
        let mut uneven = network(true);
        uneven.tensors[2].side = 12;
        let refused = Plan::new(uneven, instructions).err().expect("an error");
        assert!(refused.contains("side of 12"), "{refused}");
        let mut narrow = network(true);
        // The map of 2x2.
        narrow.layers[15].operation = Operation::Depthwise {
            kernel_side: 5,
            stride: 2,
            zeros_before: 1,
        };
        let refused = Plan::new(narrow, instructions).err().expect("an error");
        assert!(refused.contains("side of 2"), "{refused}");
        let mut beyond = network(true);
        beyond.layers[4].operation = Operation::Depthwise {
            kernel_side: 5,
            stride: 2,
            zeros_before: 3,
        };
        let refused = Plan::new(beyond, instructions).err().expect("an error");
        assert!(refused.contains("zeros_before: 3"), "{refused}");
    }

    #[test]
    fn a_picture_of_another_size_is_an_error() {
        let Some(instructions) = Instructions::detect() else {
            return;
        };
        let weights = Weights::new(network(true), instructions).expect("a plan");
        let mut model = NativeModel::new(Arc::new(weights), 1.into());
        let refused = model.run(&[0.0; 5]).err().expect("an error");
        assert!(refused.contains("5 values"), "{refused}");
    }
}
