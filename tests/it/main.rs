//! The one integration test binary: each area of posedata has a module.

mod annotated;
mod bad_input;
mod goldens;
mod ingest;
mod lake;
mod memory;
mod metrics_oracle;
mod npz;
mod poses;
mod query;
mod setup;
mod support;
mod video;
