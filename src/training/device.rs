//! Where a model computes.

use std::str::FromStr;

use candle_core::Device;

use super::error::TrainingError;
use crate::names;

/// A kind of processor; GPUs need the cargo feature of their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The engine of its own kernels; the others run candle's operations.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
}

impl DeviceKind {
    /// Whether they are built in or not.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Metal];

    /// As options and settings name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        }
    }

    fn is_built_in(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Metal => cfg!(feature = "metal"),
        }
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

pub(super) fn open_device(kind: DeviceKind) -> Result<Device, TrainingError> {
    if !kind.is_built_in() {
        return Err(TrainingError::NoFeature {
            feature: kind.name(),
        });
    }
    let opened = match kind {
        DeviceKind::Cpu => Ok(Device::Cpu),
        DeviceKind::Cuda => Device::new_cuda(0),
        DeviceKind::Metal => Device::new_metal(0),
    };
    opened.map_err(TrainingError::Gpu)
}
