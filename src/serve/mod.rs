//! `posedata serve`: base, adapters and the questions of `posedata ask` behind the HTTP interface that
//! OpenAI's clients speak: `/v1/models` and `/v1/chat/completions`, as one answer or streamed.
//!
//! The model `ask` chooses queries. A request without tools gets the answer that the lake computes;
//! one with tools (`GET /v1/tools` lists them) gets the call as `tool_calls`, and runs it itself.
//!
//! One text is generated at a time: each takes all cores. The server listens on the loopback
//! interface alone, and takes no request that was meant for another host.

mod api;
mod engine;
mod routes;

pub use engine::{Served, ServedModel};
pub use routes::{ServeError, ServeOptions, serve};
