//! What runs the models: posedata's own code, ONNX Runtime's, or another one's that it hands them to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// posedata itself, or an execution provider of ONNX Runtime. All compute in 32-bit floats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// posedata's own code for BlazePose's models, on processors with AVX2 or AVX-512.
    Native,
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
    pub const ALL: [Self; 4] = [Self::Native, Self::Cpu, Self::OpenVino, Self::Cuda];

    /// What runs BlazePose's models where nobody has measured what is faster: posedata's own code where
    /// the processor has what it needs, and the compiler has optimised it.
    pub fn usual() -> Self {
        match Self::has_native() && !cfg!(unoptimised) {
            true => Self::Native,
            false => Self::Cpu,
        }
    }

    /// Whether this processor can run posedata's own code.
    pub fn has_native() -> bool {
        #[cfg(all(feature = "video", target_arch = "x86_64"))]
        let is_supported = super::native::is_supported();
        #[cfg(not(all(feature = "video", target_arch = "x86_64")))]
        let is_supported = false;
        is_supported
    }

    /// What ONNX Runtime runs the models by that are left to it.
    pub fn of_runtime(self) -> Self {
        match self {
            Self::Native => Self::Cpu,
            other => other,
        }
    }

    /// As `--provider` takes it, and the lake has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// What makes it available, in words that go on with "or".
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Native => "use a processor with AVX2 and one of BlazePose's models",
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
