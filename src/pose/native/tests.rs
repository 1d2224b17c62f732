//! Networks whose results are compared with the plainest computation of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::graph::{Layer, Operation, Output, Shape, TensorId};
use super::memory::Memory;
use super::plan::{PackedNetwork, Plan};
use super::schedule::Counts;
use super::slots::Spaces;
use super::*;
use crate::at_work::AtWork;
use crate::pose::crop::{InputScale, ModelInput};
use crate::pose::model_threads::ModelThreads;

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

/// Makes a network layer by layer.
struct Builder {
    numbers: Numbers,
    /// Weights are floats of 16 bits.
    is_half: bool,
    tensors: Vec<Shape>,
    layers: Vec<Layer>,
}

impl Builder {
    fn new(is_half: bool) -> Self {
        Self {
            numbers: Numbers(7),
            is_half,
            tensors: Vec::new(),
            layers: Vec::new(),
        }
    }

    fn weights(&mut self, channels: usize, per_output: usize) -> graph::Weights {
        graph::Weights {
            outputs: channels,
            values: self.numbers.list(channels * per_output, self.is_half),
            bias: self.numbers.list(channels, false),
        }
    }

    fn add(
        &mut self,
        operation: Operation,
        input: Option<TensorId>,
        (side, channels): (usize, usize),
        residual: Option<TensorId>,
    ) -> TensorId {
        let inputs = input.map_or(3, |tensor| self.tensors[tensor].channels);
        let per_output = match operation {
            Operation::Stem => Some(27),
            Operation::Pointwise => Some(inputs),
            Operation::Depthwise { kernel_side, .. } => Some(kernel_side * kernel_side),
            Operation::Whole => Some(4 * inputs),
            _ => None,
        };
        let weights = per_output.map(|per_output| self.weights(channels, per_output));
        self.tensors.push(Shape { side, channels });
        let output = self.tensors.len() - 1;
        self.layers.push(Layer {
            operation,
            weights,
            input,
            residual,
            clip: output.is_multiple_of(2).then_some([-0.3, 0.4]),
            output,
        });
        output
    }

    fn build<const N: usize>(self, outputs: [(&str, Output); N]) -> Network {
        Network {
            picture_side: PICTURE_SIDE,
            layers: self.layers,
            outputs: outputs.map(|(name, output)| (name.into(), output)).into(),
            tensors: self.tensors,
        }
    }
}

fn depthwise(kernel_side: usize, stride: usize, zeros_before: usize) -> Operation {
    Operation::Depthwise {
        kernel_side,
        stride,
        zeros_before,
    }
}

/// A landmark model with layers of all kinds that these have, of channels that fill no register, whose
/// weights are floats of 16 bits or not.
fn landmarker(is_half: bool) -> Network {
    let mut network = Builder::new(is_half);
    let mut add = |operation, input, side, channels, residual| {
        network.add(operation, input, (side, channels), residual)
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
    let heatmaps = network.weights(3, 12);
    network.build([
        ("points", Output::Tensor(points)),
        ("world", Output::Tensor(world)),
        ("pose_probability", Output::Sigmoid(pose_logit)),
        ("heatmaps", Output::Pointwise(features, heatmaps)),
    ])
}

/// The same of a detector: sides that no run of pixels fills, and pixels that become four.
fn detector(is_half: bool) -> Network {
    let mut network = Builder::new(is_half);
    let mut add = |operation, input, side, channels, residual| {
        network.add(operation, input, (side, channels), residual)
    };
    let a = add(Operation::Stem, None, 64, 24, None);
    let b = add(depthwise(3, 2, 0), Some(a), 31, 24, None);
    let c = add(Operation::Pointwise, Some(b), 31, 40, None);
    let d = add(depthwise(5, 2, 1), Some(c), 14, 40, None);
    let e = add(Operation::Pointwise, Some(d), 14, 32, None);
    let f = add(depthwise(5, 2, 2), Some(e), 7, 32, None);
    let g = add(depthwise(3, 1, 1), Some(f), 7, 32, None);
    let h = add(Operation::Pointwise, Some(g), 7, 96, None);
    let i = add(depthwise(3, 2, 0), Some(h), 3, 96, None);
    let j = add(depthwise(3, 1, 1), Some(i), 3, 96, None);
    let up = add(Operation::Upsample, Some(h), 14, 96, None);
    let k = add(Operation::Pointwise, Some(up), 14, 32, Some(e));
    let sum = add(Operation::Identity, Some(k), 14, 32, Some(e));
    let spread = add(Operation::DepthToSpace, Some(h), 14, 24, None);
    let spread_wide = add(Operation::DepthToSpace, Some(sum), 28, 8, None);
    let boxes = [
        add(Operation::Pointwise, Some(spread_wide), 28, 24, None),
        add(Operation::Pointwise, Some(spread), 14, 12, None),
        add(Operation::Pointwise, Some(j), 3, 36, None),
    ];
    let logits = [
        add(Operation::Pointwise, Some(spread_wide), 28, 2, None),
        add(Operation::Pointwise, Some(spread), 14, 1, None),
        add(Operation::Pointwise, Some(j), 3, 3, None),
    ];
    network.build([
        ("boxes", Output::Pixels(boxes.into())),
        ("logits", Output::Pixels(logits.into())),
    ])
}

/// Everything that a model gives, in a list.
fn outputs(model: &mut NativeLandmarker, picture: ModelInput<'_>) -> Vec<f32> {
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

/// The same of a detector.
fn detections(model: &mut NativeDetector, picture: &[f32]) -> Vec<f32> {
    let (boxes, logits) = model.run(picture.into()).expect("outputs");
    [boxes, logits].concat()
}

/// What the network's outputs are, one after the other.
fn expected(network: &Network, picture: &[f32]) -> Vec<f64> {
    let tensors = reference::tensors(network, picture);
    let places = |tensor: TensorId| network.tensors[tensor].side.pow(2);
    let mut all = Vec::new();
    for (_, output) in &network.outputs {
        match output {
            Output::Tensor(tensor) | Output::Sigmoid(tensor) => all.extend(&tensors[*tensor]),
            Output::Pixels(maps) => {
                for tensor in maps {
                    for place in 0..places(*tensor) {
                        all.extend(tensors[*tensor].iter().skip(place).step_by(places(*tensor)));
                    }
                }
            }
            Output::Pointwise(tensor, weights) => {
                let (features, places) = (&tensors[*tensor], places(*tensor));
                let inputs = features.len() / places;
                for (weights, bias) in weights.values.chunks(inputs).zip(&weights.bias) {
                    for place in 0..places {
                        let of_channel = features.iter().skip(place).step_by(places);
                        let products = of_channel.zip(weights).map(|(a, b)| a * f64::from(*b));
                        all.push(products.sum::<f64>() + f64::from(*bias));
                    }
                }
            }
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

/// Compares with the plainest computation, twice: memory that was used before changes nothing.
fn check(network: &Network, name: &str, mut run: impl FnMut(&[f32]) -> Vec<f32>) {
    let mut numbers = Numbers(1);
    for _ in 0..2 {
        let picture = numbers.list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
        let expected = expected(network, &picture);
        let found = run(&picture);
        assert_eq!(found.len(), expected.len());
        for (place, (a, b)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*a) - b).abs();
            assert!(error < 2e-5, "{name}, {place}: {a} for {b}");
        }
    }
}

#[test]
fn all_kinds_of_layers_compute_what_they_are_said_to() {
    for is_half in [true, false] {
        for instructions in instructions() {
            let name = format!("{instructions:?}");
            let network = landmarker(is_half);
            let weights = LandmarkerWeights::new(network.clone(), instructions).expect("a plan");
            let mut model = NativeLandmarker::new(Arc::new(weights), 1.into());
            check(&network, &name, |picture| {
                outputs(&mut model, picture.into())
            });
            let network = detector(is_half);
            let weights = DetectorWeights::new(network.clone(), instructions).expect("a plan");
            let mut model = NativeDetector::new(Arc::new(weights), 1.into());
            check(&network, &name, |picture| detections(&mut model, picture));
        }
    }
}

/// All tasks of a plan, as if so many threads took them, each the next one of any lane, and any of these were
/// the next to be done with its own; all values that the network gives.
fn in_some_order(plan: &Plan, tensors: &[(TensorId, usize)], numbers: &mut Numbers) -> Vec<u32> {
    const THREADS: usize = 6;
    let picture = Numbers(3).list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
    // What nobody has written is no number.
    let [mut shared, mut own] =
        [plan.shared_floats(), plan.own_floats()].map(|floats| Memory::of(&vec![f32::NAN; floats]));
    let spaces = Spaces {
        shared: shared.as_mut_ptr(),
        own: own.as_mut_ptr(),
    };
    let mut any_of = |count: usize| {
        let any = ((numbers.next(false) + 0.5) * count as f32) as usize;
        any.min(count - 1)
    };
    let lanes = plan.lanes();
    let mut untaken = Counts::default();
    let mut is_done: Vec<Vec<bool>> = lanes.iter().map(|lane| vec![false; lane.len()]).collect();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    loop {
        while taken.len() < THREADS {
            let can_be_taken = |lane: &usize| {
                let next = lanes[*lane].get(untaken[*lane]);
                next.is_some_and(|task| task.needs.iter().zip(untaken).all(|(a, b)| *a <= b))
            };
            let next: Vec<usize> = (0..lanes.len()).filter(can_be_taken).collect();
            if next.is_empty() {
                break;
            }
            let lane = next[any_of(next.len())];
            taken.push((lane, untaken[lane]));
            untaken[lane] += 1;
        }
        let mut first_undone = Counts::default();
        for (first, is_done) in first_undone.iter_mut().zip(&is_done) {
            *first = is_done.iter().take_while(|is_done| **is_done).count();
        }
        let can_begin = |(lane, number): &&(usize, usize)| {
            let needs = &lanes[*lane][*number].needs;
            needs.iter().zip(&first_undone).all(|(a, b)| a <= b)
        };
        let ready: Vec<(usize, usize)> = taken.iter().filter(can_begin).copied().collect();
        if ready.is_empty() {
            let is_all = is_done.iter().flatten().all(|is_done| *is_done);
            assert!(is_all, "nobody can go on");
            break;
        }
        let (lane, number) = ready[any_of(ready.len())];
        // SAFETY: the memory is that of the plan, and what the task needs is done.
        unsafe { plan.run(&lanes[lane][number], spaces, picture[..].into()) };
        is_done[lane][number] = true;
        taken.retain(|other| *other != (lane, number));
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
    for network in [landmarker(true), detector(true)] {
        let tensors = 0..network.tensors.len();
        let given = tensors.filter(|tensor| network.gives(*tensor));
        let given = given.map(|tensor| (tensor, network.tensors[tensor].side));
        let given: Vec<(TensorId, usize)> = given.collect();
        for instructions in instructions() {
            let packed = PackedNetwork::new(network.clone(), instructions).expect("a network");
            let mut numbers = Numbers(11);
            let alone = Plan::new(&packed, 1);
            let first = in_some_order(&alone, &given, &mut numbers);
            assert!(first.iter().all(|bits| !f32::from_bits(*bits).is_nan()));
            for threads in [1, 2, 3, 4, 7] {
                let plan = Plan::new(&packed, threads);
                for _ in 0..15 {
                    assert!(
                        in_some_order(&plan, &given, &mut numbers) == first,
                        "{threads}"
                    );
                }
            }
        }
    }
}

/// What a model gives with several numbers of threads, side by side, twenty times each.
fn given_side_by_side<M: Send>(
    new: impl Fn(ModelThreads) -> M,
    run: impl Fn(&mut M) -> Vec<f32> + Sync,
) -> Vec<Vec<f32>> {
    let run = &run;
    std::thread::scope(|scope| {
        let crews = [2, 3].map(|threads| (threads, AtWork::of_crew()));
        let teams = [1, 2, 3, 5].map(|threads| (threads, AtWork::default()));
        let kinds = crews.into_iter().chain(teams);
        let runs = kinds.map(|(threads, others)| {
            let mut model = new(ModelThreads {
                beside_others: 1,
                alone: threads,
                others: others.clone(),
            });
            scope.spawn(move || {
                let is_over = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    // Helpers come and go at any moment.
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            drop(others.begin());
                            others.change();
                            std::thread::yield_now();
                        }
                    });
                    for _ in 0..threads {
                        scope.spawn(|| {
                            loop {
                                let seen = others.changes();
                                if is_over.load(Ordering::SeqCst) {
                                    break;
                                }
                                others.wait_for_change(seen);
                            }
                        });
                    }
                    let runs = [(); 20].map(|()| run(&mut model));
                    is_over.store(true, Ordering::SeqCst);
                    others.change();
                    runs
                })
            })
        });
        let runs: Vec<_> = runs.collect();
        let given = runs.into_iter().map(|run| run.join().expect("outputs"));
        given.flatten().collect()
    })
}

#[test]
fn registers_threads_and_models_beside_each_other_do_not_change_bits() {
    let picture = Numbers(3).list(3 * PICTURE_SIDE * PICTURE_SIDE, false);
    let [mut landmarks, mut people] = [Vec::new(), Vec::new()];
    for instructions in instructions() {
        let weights = LandmarkerWeights::new(landmarker(true), instructions).expect("a plan");
        let weights = Arc::new(weights);
        landmarks.extend(given_side_by_side(
            |threads| NativeLandmarker::new(Arc::clone(&weights), threads),
            |model| outputs(model, picture[..].into()),
        ));
        let weights = DetectorWeights::new(detector(true), instructions).expect("a plan");
        let weights = Arc::new(weights);
        people.extend(given_side_by_side(
            |threads| NativeDetector::new(Arc::clone(&weights), threads),
            |model| detections(model, &picture),
        ));
    }
    for all in [landmarks, people] {
        assert!(all.iter().all(|outputs| *outputs == all[0]));
    }
}

#[test]
fn maps_that_the_kernels_would_leave_are_refused() {
    let Some(instructions) = Instructions::detect() else {
        return;
    };
    let mut small = landmarker(true);
    small.tensors[2].side = 1;
    let refused = PackedNetwork::new(small, instructions)
        .err()
        .expect("an error");
    assert!(refused.contains("side of 1"), "{refused}");
    let mut narrow = landmarker(true);
    // The map of 2x2.
    narrow.layers[15].operation = Operation::Depthwise {
        kernel_side: 5,
        stride: 2,
        zeros_before: 1,
    };
    let refused = PackedNetwork::new(narrow, instructions)
        .err()
        .expect("an error");
    assert!(refused.contains("side of 2"), "{refused}");
    let mut beyond = landmarker(true);
    beyond.layers[4].operation = Operation::Depthwise {
        kernel_side: 5,
        stride: 2,
        zeros_before: 3,
    };
    let refused = PackedNetwork::new(beyond, instructions)
        .err()
        .expect("an error");
    assert!(refused.contains("zeros_before: 3"), "{refused}");
}

#[test]
fn levels_are_scaled_to_the_last_bit() {
    let levels: Vec<u8> = (0..3 * PICTURE_SIDE * PICTURE_SIDE)
        .map(|i| (i * 7 + i / 256) as u8)
        .collect();
    for instructions in instructions() {
        let weights = LandmarkerWeights::new(landmarker(true), instructions).expect("a plan");
        let mut model = NativeLandmarker::new(Arc::new(weights), 1.into());
        for (divisor, offset) in [(255.0, 0.0), (127.5, -1.0), (3.0, 0.5), (0.7, 0.0)] {
            let scale = InputScale { divisor, offset };
            let values: Vec<f32> = (levels.iter())
                .map(|level| f32::from(*level) / divisor + offset)
                .collect();
            let expected = outputs(&mut model, values[..].into());
            let found = outputs(&mut model, ModelInput::Levels(&levels, scale));
            assert_eq!(found, expected, "{instructions:?}, {divisor}");
        }
    }
}

#[test]
fn a_picture_of_another_size_is_an_error() {
    let Some(instructions) = Instructions::detect() else {
        return;
    };
    let weights = LandmarkerWeights::new(landmarker(true), instructions).expect("a plan");
    let mut model = NativeLandmarker::new(Arc::new(weights), 1.into());
    let refused = model.run([0.0; 5][..].into()).err().expect("an error");
    assert!(refused.contains("5 values"), "{refused}");
}
