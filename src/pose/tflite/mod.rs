//! Converts Google's TFLite pose models to ONNX, once, when a model is installed.
//!
//! `flatbuffer` reads bytes with bounds checks, `model` names TFLite's tables, `convert` rewrites
//! the graph (NHWC to NCHW, constants folded, unused outputs pruned), `onnx` is the target format.
//! Only the operators that occur in these models are known; any other is an error that names it.

mod convert;
mod flatbuffer;
mod model;
pub mod onnx;

pub use convert::{ConvertError, Output, tflite_to_onnx};
