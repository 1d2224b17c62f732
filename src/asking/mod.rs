//! Answers questions: a language model chooses the call under the questions' grammar, and the lake
//! computes the numbers.
//!
//! An adapter that was trained to write calls has a file [`RECORD_FILE`] beside its weights, which
//! says so, and below which probability a reading is not taken for what was asked.

mod asker;
mod error;
mod evaluation;
mod record;

pub use asker::{Asker, Reply, Turn};
pub use error::AskError;
pub use evaluation::{CallAnswer, CallEvaluation, CallScores, evaluate_calls};
pub use record::{AskRecord, RECORD_FILE, newest_adapter};
