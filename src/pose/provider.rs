//! What runs the models: ONNX Runtime's own code, or another one's that it hands them to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An execution provider of ONNX Runtime. All compute in 32-bit floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime's own, on the CPU; always there.
    #[default]
    Cpu,
    /// Intel's OpenVINO on the CPU, with a library of its own (`posedata models add openvino`).
    OpenVino,
    /// NVIDIA's CUDA, with a library of the user's own (`ORT_DYLIB_PATH`).
    Cuda,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::OpenVino, Self::Cuda];

    /// As `--provider` takes it, and the lake has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// What makes it available, in words that go on with "or".
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Cpu => "run `posedata models add onnxruntime`",
            Self::OpenVino => "run `posedata models add openvino`",
            Self::Cuda => "name an ONNX Runtime that was built for your CUDA in ORT_DYLIB_PATH",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| format!("no provider is called '{text}'"))
    }
}
