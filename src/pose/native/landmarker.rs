//! The landmark models: a crop in, landmarks and what is needed of heatmaps out.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::graph::{Network, Output, Shape, TensorId};
use super::kernels::{BLOCK, Map, Place};
use super::plan::{Instructions, PackedNetwork, Plan, dots};
use super::team::{Helpers, Team};
use crate::pose::crop::ModelInput;
use crate::pose::model_threads::ModelThreads;

/// A landmark model with its weights, which several runs at once can share.
pub struct LandmarkerWeights {
    network: PackedNetwork,
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

impl LandmarkerWeights {
    /// Reads a converted model.
    ///
    /// # Errors
    /// What is not as it is in landmark models, or that the processor has not the instructions.
    pub fn from_onnx(bytes: Vec<u8>) -> Result<Self, String> {
        let (network, instructions) = super::read(bytes)?;
        Self::new(network, instructions)
    }

    pub(super) fn new(network: Network, instructions: Instructions) -> Result<Self, String> {
        let Output::Pointwise(features, of_heatmaps) = network.output("heatmaps")? else {
            return Err("its heatmaps are no convolution".into());
        };
        let features = *features;
        let Shape { side, channels } = network.tensors[features];
        let mut heatmaps = Vec::new();
        for weights in of_heatmaps.values.chunks_exact(channels) {
            heatmaps.extend_from_slice(weights);
            heatmaps.resize(heatmaps.len().next_multiple_of(BLOCK), 0.0);
        }
        let values = |output: &Output| match output {
            Output::Tensor(tensor) | Output::Sigmoid(tensor) => match network.tensors[*tensor] {
                Shape { side: 1, channels } => Ok(Values {
                    tensor: *tensor,
                    count: channels,
                }),
                shape => Err(format!("an output is {shape:?}")),
            },
            _ => Err("an output is no list of values".into()),
        };
        let pose = network.output("pose_probability")?;
        if !matches!(pose, Output::Sigmoid(_)) {
            return Err("its pose_probability is no sigmoid".into());
        }
        Ok(Self {
            picture_values: 3 * network.picture_side * network.picture_side,
            points: values(network.output("points")?)?,
            pose: values(pose)?,
            world: values(network.output("world")?)?,
            features,
            features_side: side,
            heatmap_bias: of_heatmaps.bias.clone(),
            heatmaps,
            network: PackedNetwork::new(network, instructions)?,
        })
    }
}

/// Runs a landmark model.
pub struct NativeLandmarker {
    weights: Arc<LandmarkerWeights>,
    plan: Arc<Plan>,
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
    weights: &'m LandmarkerWeights,
    features: Map,
}

impl NativeLandmarker {
    /// Takes memory for one run at a time, which may use so many threads.
    pub fn new(weights: Arc<LandmarkerWeights>, threads: ModelThreads) -> Self {
        let plan = Arc::new(Plan::new(&weights.network, threads.alone));
        Self {
            team: Team::new(Arc::clone(&plan), threads, Helpers::JoinAnyTime),
            plan,
            weights,
        }
    }

    /// Runs on a [3, 256, 256] tensor in 0..1.
    ///
    /// # Errors
    /// When the tensor has another size, or threads cannot be started.
    pub fn run(&mut self, picture: ModelInput<'_>) -> Result<NativeOutputs<'_>, String> {
        if picture.count() != self.weights.picture_values {
            return Err(format!("a picture of {} values", picture.count()));
        }
        // SAFETY: the picture has the size that the plan was made for.
        unsafe { self.team.run(picture) }.map_err(|e| e.to_string())?;
        let memory = self.team.memory();
        // SAFETY: the team's memory is that of the plan, and is borrowed as long as the outputs are there.
        let plan = &self.plan;
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
        let instructions = weights.network.instructions();
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
