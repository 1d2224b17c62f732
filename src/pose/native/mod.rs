//! BlazePose's models by kernels of our own, for processors with AVX2 or AVX-512.
//!
//! `graph` reads the converted model as a few kinds of layers, `schedule` divides their work into tasks,
//! `plan` lays out memory and weights, `kernels` compute, on `vector`'s registers, `team` divides the tasks
//! among threads; `detector` and `landmarker` say what goes in and comes out. Results are the same bits on
//! every such processor and for any number of threads.

mod detector;
mod graph;
mod kernels;
mod landmarker;
mod memory;
mod plan;
#[cfg(test)]
mod reference;
mod schedule;
mod slots;
mod step;
mod team;
#[cfg(test)]
mod tests;
mod vector;

use prost::Message;

pub use self::detector::{DetectorWeights, NativeDetector};
use self::graph::Network;
pub use self::landmarker::{LandmarkerWeights, NativeHeatmaps, NativeLandmarker};
use self::plan::Instructions;
use super::tflite::onnx::ModelProto;

/// Whether this processor can run the kernels.
pub fn is_supported() -> bool {
    Instructions::detect().is_some()
}

/// Reads a converted model.
fn read(bytes: Vec<u8>) -> Result<(Network, Instructions), String> {
    let instructions = Instructions::detect();
    let instructions = instructions.ok_or("this processor has neither AVX2 nor AVX-512")?;
    let model = ModelProto::decode(&bytes[..]).map_err(|e| e.to_string())?;
    // Each is as large as the file.
    drop(bytes);
    Ok((Network::from_onnx(&model)?, instructions))
}
