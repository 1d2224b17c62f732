//! How well a model answers.

pub mod score;
