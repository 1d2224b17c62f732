//! Instruction datasets: recipes (SQL and templates) over the lake, made into chat examples.
//!
//! DuckDB runs the SQL, Polars decides what is looked at and taken, minijinja finds the words. The
//! module never calls a network and never decodes video.

mod build;
mod card;
mod error;
mod example;
mod fact_shingles;
mod facts;
mod folder;
mod format;
mod manifest;
mod plan;
mod preset;
mod read;
mod recipe;
mod scene;
mod stats;
mod template;
mod trace;
mod work;

pub use build::{
    BuildConfig, BuildReport, RecipeReport, TokenCount, build, build_into, check_name,
};
pub use error::DatasetError;
pub use example::{Chat, Example, Lineage, RECIPE_ORIGIN, SYNTHETIC_TASK_PREFIX, Split, prompt};
pub use facts::values as row_values;
pub use folder::{DATASET_FILE, Dataset};
pub use format::{Format, Record};
pub use manifest::{
    DatasetKind, FORMAT_VERSION, Funnel, Manifest, RecipeRecord, SynthRecord, VideoRecord,
};
pub use plan::{SplitVideo, splits};
pub use preset::Preset;
pub use read::{ChatRecord, read_jsonl};
pub use recipe::{AnswerKind, DEFAULT_LANGUAGE, pair_files};
pub use scene::{Scene, SceneTable, Span};
use stats::Stats;
pub use template::{fixed, print_known};
pub use trace::{RecipeFacts, Trace, VideoFacts, trace};
pub use work::{ANSWER_MARK, AnswerStream, Work, Written};
