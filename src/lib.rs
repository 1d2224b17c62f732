//! posedata: folders of video into a queryable lake of human motion.
//!
//! The modules follow the data's way; each imports only from those before it. `ingest` and `training`
//! join those before them into one piece of work; `cli` is the program around it all.
//!
//! The feature `video` holds what FFmpeg, OpenCV and ONNX Runtime are needed for, `language` what
//! candle and tokenizers are needed for; both are on by default. The lake, queries and pictures of
//! them are always there. The program has the commands of the features that it is built with.

pub mod halves;
pub mod hashing;
pub mod image;
pub mod media_time;
pub mod names;
pub mod numbers;
pub mod paths;
pub mod random;
pub mod secret;
pub mod shipped;
pub mod steps;
pub mod sync;
pub mod text;

pub mod at_work;
pub mod crew;
pub mod files;
pub mod resources;
pub mod scratch;
pub mod similarity;
pub mod store;

#[cfg(feature = "video")]
pub mod video;

pub mod pose;

pub mod metrics;

pub mod movement;

pub mod lake;

pub mod export;

pub mod models;

#[cfg(feature = "video")]
pub mod analysis;

#[cfg(feature = "video")]
pub mod ingest;

pub mod recompute;

pub mod query;

pub mod plot;

pub mod report;

#[cfg(feature = "video")]
pub mod view;

#[cfg(feature = "language")]
pub mod language;

#[cfg(feature = "language")]
pub mod dataset;

#[cfg(feature = "language")]
pub mod questions;

#[cfg(feature = "language")]
pub mod synth;

#[cfg(feature = "language")]
pub mod llama;

#[cfg(feature = "language")]
pub mod evaluate;

#[cfg(feature = "language")]
pub mod train;

#[cfg(feature = "language")]
pub mod training;

#[cfg(feature = "language")]
pub mod asking;

#[cfg(feature = "language")]
pub mod serve;

pub mod cli;
