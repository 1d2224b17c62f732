//! The person detector: a picture in, boxes and scores of all anchors out.

use std::sync::Arc;

use super::graph::{Network, Output, TensorId};
use super::kernels::BLOCK;
use super::plan::{Instructions, PackedNetwork, Plan};
use super::team::{Helpers, Team};
use crate::pose::crop::ModelInput;
use crate::pose::model_threads::ModelThreads;

/// The detector with its weights, which several runs at once can share.
pub struct DetectorWeights {
    network: PackedNetwork,
    picture_values: usize,
    boxes: Vec<Pixels>,
    logits: Vec<Pixels>,
}

/// A map, all of which is given.
#[derive(Clone, Copy)]
struct Pixels {
    tensor: TensorId,
    side: usize,
    channels: usize,
}

impl DetectorWeights {
    /// Reads the converted model.
    ///
    /// # Errors
    /// What is not as it is in the detector, or that the processor has not the instructions.
    pub fn from_onnx(bytes: Vec<u8>) -> Result<Self, String> {
        let (network, instructions) = super::read(bytes)?;
        Self::new(network, instructions)
    }

    pub(super) fn new(network: Network, instructions: Instructions) -> Result<Self, String> {
        let pixels = |name: &str| match network.output(name)? {
            Output::Pixels(tensors) => {
                let of_tensor = |tensor: &TensorId| Pixels {
                    tensor: *tensor,
                    side: network.tensors[*tensor].side,
                    channels: network.tensors[*tensor].channels,
                };
                Ok(tensors.iter().map(of_tensor).collect())
            }
            _ => Err(format!("its {name} are no pixels of maps")),
        };
        Ok(Self {
            picture_values: 3 * network.picture_side * network.picture_side,
            boxes: pixels("boxes")?,
            logits: pixels("logits")?,
            network: PackedNetwork::new(network, instructions)?,
        })
    }
}

/// Runs the detector.
pub struct NativeDetector {
    weights: Arc<DetectorWeights>,
    plan: Arc<Plan>,
    team: Team,
    boxes: Vec<f32>,
    logits: Vec<f32>,
}

impl NativeDetector {
    /// Takes memory for one run at a time, which may use so many threads.
    pub fn new(weights: Arc<DetectorWeights>, threads: ModelThreads) -> Self {
        let plan = Arc::new(Plan::new(&weights.network, threads.alone));
        Self {
            // It runs now and then: nobody has to be woken for it at other times.
            team: Team::new(Arc::clone(&plan), threads, Helpers::JoinAtBeginning),
            plan,
            weights,
            boxes: Vec::new(),
            logits: Vec::new(),
        }
    }

    /// Runs on a [3, 224, 224] tensor in -1..1; gives boxes [2254, 12] and score logits [2254].
    ///
    /// # Errors
    /// When the tensor has another size, or threads cannot be started.
    pub fn run(&mut self, picture: ModelInput<'_>) -> Result<(&[f32], &[f32]), String> {
        if picture.count() != self.weights.picture_values {
            return Err(format!("a picture of {} values", picture.count()));
        }
        // SAFETY: the picture has the size that the plan was made for.
        unsafe { self.team.run(picture) }.map_err(|e| e.to_string())?;
        let memory = self.team.memory();
        let plan = &*self.plan;
        let outputs = [
            (&self.weights.boxes, &mut self.boxes),
            (&self.weights.logits, &mut self.logits),
        ];
        for (maps, values) in outputs {
            values.clear();
            for map in maps {
                // SAFETY: the team's memory is that of the plan, and its run has ended.
                unsafe { map.read(plan, memory, values) };
            }
        }
        Ok((&self.boxes, &self.logits))
    }
}

impl Pixels {
    /// Adds the channels of all pixels.
    ///
    /// # Safety
    /// `memory` holds the floats of the plan, and nobody writes to them.
    unsafe fn read(self, plan: &Plan, memory: *mut f32, values: &mut Vec<f32>) {
        // SAFETY: the caller's promise; all channels of a block lie side by side.
        unsafe {
            let map = plan.map(memory, self.tensor);
            for y in 0..self.side {
                for x in 0..self.side {
                    for channel in (0..self.channels).step_by(BLOCK) {
                        let count = BLOCK.min(self.channels - channel);
                        let of_pixel = map.at(y, x, channel);
                        values.extend_from_slice(std::slice::from_raw_parts(of_pixel, count));
                    }
                }
            }
        }
    }
}
