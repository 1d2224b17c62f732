//! posedata: folders of video into a queryable lake of human motion.
//!
//! The modules follow the data's way; each imports only from those before it. `ingest` and `training`
//! join those before them into one piece of work; `cli` is the program around it all.

pub mod sync;

pub mod files;
pub mod hashing;
pub mod image;
pub mod names;
pub mod numbers;
pub mod random;
pub mod resources;
pub mod shipped;
pub mod similarity;
pub mod text;

pub mod video;

pub mod pose;

pub mod metrics;

pub mod lake;

pub mod export;

pub mod models;

pub mod analysis;

pub mod ingest;

pub mod recompute;

pub mod query;

pub mod plot;

pub mod language;

pub mod dataset;

pub mod synth;

pub mod llama;

pub mod evaluate;

pub mod train;

pub mod training;

pub mod cli;
