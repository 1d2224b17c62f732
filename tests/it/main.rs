//! The one integration test binary: each area of posedata has a module.

mod analysis;
mod annotated;
mod bad_input;
mod biomechanics;
mod dataset;
mod export;
mod faults;
mod goldens;
mod ingest;
mod lake;
mod language;
mod logs;
mod maintenance;
mod memory;
mod metrics_oracle;
mod npz;
mod people;
mod plot;
mod poses;
mod query;
mod recompute;
mod runs;
mod setup;
mod support;
mod video;
