//! What can go wrong with a dataset.

use std::path::PathBuf;

use crate::lake::LakeError;
use crate::language::LanguageError;
use crate::query::QueryError;

/// What can go wrong with a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Language(#[from] LanguageError),
    #[error("cannot read ({reason}): {path}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("the recipe is broken at line {line}: {reason}: {path}")]
    Recipe {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("a recipe is a pair of files, NAME.sql and NAME.jinja; there is no template: {path}")]
    NoTemplate { path: PathBuf },
    #[error("a recipe is a pair of files, NAME.sql and NAME.jinja; there is no SQL beside: {path}")]
    NoSql { path: PathBuf },
    #[error(
        "there are no recipes (NAME.sql and NAME.jinja); give another folder with --recipes: {path}"
    )]
    NoRecipes { path: PathBuf },
    #[error("a dataset's name has letters, digits, - and _ only, 100 at most, not '{name}'")]
    BadName { name: String },
    #[error(
        "there is no dataset; build it with `posedata dataset build`, or give --llm-data: {path}"
    )]
    NoDataset { path: PathBuf },
    #[error(
        "the dataset is damaged ({reason}); build it again with `posedata dataset build`: {path}"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the dataset has format {found}, this posedata knows {known}; install the newer posedata: {path}"
    )]
    Newer {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    #[error("the file holds no JSON Lines and no JSON array of chats ({reason}): {path}")]
    Array { path: PathBuf, reason: String },
    #[error("line {line} is no chat: {reason}: {path}")]
    Line {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("the folder holds something else than a dataset; give another name or folder: {path}")]
    NotADataset { path: PathBuf },
    #[error(
        "no recipe found anything in the lake: {rows} rows came from SQL, {over_token_budget} examples were above {max_tokens} tokens; ingest videos that show people, or raise --max-tokens"
    )]
    Empty {
        rows: u64,
        over_token_budget: u64,
        max_tokens: u32,
    },
    #[error("there is no recipe {name}; there are {known}")]
    NoSuchRecipe { name: String, known: String },
    #[error("person {person} is never seen in the video")]
    NotSeen { person: u16 },
    #[error(
        "the time from {from_secs:.2} s to {to_secs:.2} s is not in the video, where person {person} is seen from {first_secs:.2} s to {last_secs:.2} s; change --from and --to"
    )]
    OutsideTheVideo {
        person: u16,
        first_secs: f64,
        last_secs: f64,
        from_secs: f64,
        to_secs: f64,
    },
    #[error(
        "no recipe finds anything to show in frames {frame_start} to {frame_end}; widen --from and --to, or choose another --recipe"
    )]
    NothingToShow { frame_start: u64, frame_end: u64 },
    #[error("the lake holds no such video")]
    NoSuchVideo,
    #[error("nobody is seen in {file_name}")]
    NobodySeen { file_name: String },
    #[error("person {person} is not in {file_name}; there are {known}")]
    NoSuchPerson {
        person: u16,
        file_name: String,
        known: String,
    },
    #[error("there is no table of {file_name}")]
    NoTable {
        file_name: String,
        source: Box<DatasetError>,
    },
    #[error("the dataset has no example {id}; the last one is {last}")]
    NoSuchExample { id: String, last: String },
    #[error("the dataset has no task {task}; it has {known}")]
    NoSuchTask { task: String, known: String },
    #[error(
        "{examples} examples can need {needed}, the memory limit is {limit}; lower --examples, or raise --memory-limit"
    )]
    MemoryLimit {
        examples: u64,
        needed: String,
        limit: String,
    },
    #[error("interrupted")]
    Stopped,
    #[error("choosing examples failed: {0}")]
    Polars(#[from] polars::error::PolarsError),
}
