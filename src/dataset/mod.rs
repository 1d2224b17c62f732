//! Instruction datasets: recipes (SQL and templates) over the lake, made into chat examples.

mod example;
mod format;
mod manifest;

pub use example::{Example, Lineage, RECIPE_ORIGIN, Split};
pub use format::Format;
pub use manifest::{Funnel, Manifest, RecipeRecord, SynthRecord, VideoRecord};
