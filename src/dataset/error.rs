//! What can go wrong with a dataset.

use std::path::PathBuf;

use super::Preset;
use crate::lake::LakeError;
use crate::language::LanguageError;
use crate::query::QueryError;

/// What can go wrong with a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The lake cannot be opened or read, or the dataset not be registered in it.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A recipe's SQL is refused or fails.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The base's tokenizer is missing or wrong, or does not take a chat.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// A file is not there, or the system refuses to read it.
    #[error("cannot read ({reason}): {path}")]
    Unreadable {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The folder cannot be written to, or the disk is full.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// A recipe's SQL or template does not say what recipes have to say, or fails on a row.
    #[error("the recipe is broken at line {line}: {reason}: {path}")]
    Recipe {
        /// The file or folder in question.
        path: PathBuf,
        /// In that file, from 1.
        line: usize,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// There is the SQL of a recipe alone.
    #[error("a recipe is a pair of files, NAME.sql and NAME.jinja; there is no template: {path}")]
    NoTemplate {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// There is the template of a recipe alone.
    #[error("a recipe is a pair of files, NAME.sql and NAME.jinja; there is no SQL beside: {path}")]
    NoSql {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// The folder of recipes is empty, or is none.
    #[error(
        "there are no recipes (NAME.sql and NAME.jinja); give another folder with --recipes: {path}"
    )]
    NoRecipes {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// The folder has recipes, but none that the build takes.
    #[error("{}: {path}", no_recipes_of(.preset))]
    NoRecipesOfPreset {
        /// The folder.
        path: PathBuf,
        /// What was wanted.
        preset: Option<Preset>,
    },
    /// The name would make a folder elsewhere, or one that other tools trip over.
    #[error("a dataset's name has letters, digits, - and _ only, 100 at most, not '{name}'")]
    BadName {
        /// As it was given.
        name: String,
    },
    /// The folder is not there, or has no `dataset.json`.
    #[error(
        "there is no dataset; build it with `posedata dataset build`, or give --llm-data: {path}"
    )]
    NoDataset {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// Files of the dataset do not belong together, or are not what they should be.
    #[error(
        "the dataset is damaged ({reason}); build it again with `posedata dataset build`: {path}"
    )]
    Damaged {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// A newer posedata has written the folder.
    #[error(
        "the dataset has format {found}, this posedata knows {known}; install the newer posedata: {path}"
    )]
    Newer {
        /// The file or folder in question.
        path: PathBuf,
        /// The version of its layout.
        found: u64,
        /// The newest version that is known here.
        known: u32,
    },
    /// A JSON file is neither one object a line nor one array.
    #[error("the file holds no JSON Lines and no JSON array of chats ({reason}): {path}")]
    Array {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// A line of a file of chats is in none of the four formats.
    #[error("line {line} is no chat: {reason}: {path}")]
    Line {
        /// The file or folder in question.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The folder that would be replaced has files of somebody else.
    #[error("the folder holds something else than a dataset; give another name or folder: {path}")]
    NotADataset {
        /// The file or folder in question.
        path: PathBuf,
    },
    /// There would not be one example.
    #[error(
        "no recipe found anything in the lake: {rows} rows came from SQL, {over_token_budget} examples were above {max_tokens} tokens; ingest videos that show people, or raise --max-tokens"
    )]
    Empty {
        /// Rows of all recipes together.
        rows: u64,
        /// Examples that were longer than the limit.
        over_token_budget: u64,
        /// The limit, in tokens.
        max_tokens: u32,
    },
    /// A recipe was named that is not in the folder.
    #[error("there is no recipe {name}; there are {known}")]
    NoSuchRecipe {
        /// As it was given.
        name: String,
        /// Those that there are, in words.
        known: String,
    },
    /// The video knows the person, but has no frame with a pose.
    #[error("person {person} is never seen in the video")]
    NotSeen {
        /// Number of the person within the video.
        person: u16,
    },
    /// The time that was asked for lies before or after everything that is known of the person.
    #[error(
        "the time from {from_secs:.2} s to {to_secs:.2} s is not in the video, where person {person} is seen from {first_secs:.2} s to {last_secs:.2} s; change --from and --to"
    )]
    OutsideTheVideo {
        /// Number of the person within the video.
        person: u16,
        /// When the person is first seen.
        first_secs: f64,
        /// When the person is last seen.
        last_secs: f64,
        /// Begin of the time that was asked for.
        from_secs: f64,
        /// End of the time that was asked for.
        to_secs: f64,
    },
    /// All recipes' SQL gives no rows for the time that was asked for.
    #[error(
        "no recipe finds anything to show in frames {frame_start} to {frame_end}; widen --from and --to, or choose another --recipe"
    )]
    NothingToShow {
        /// First frame of that time, from 0.
        frame_start: u64,
        /// Last frame, included.
        frame_end: u64,
    },
    /// Nothing in the lake is called so.
    #[error("the lake holds no such video")]
    NoSuchVideo,
    /// The video has no person at all.
    #[error("nobody is seen in {file_name}")]
    NobodySeen {
        /// The video's name.
        file_name: String,
    },
    /// A person was asked for whom the video does not have.
    #[error("person {person} is not in {file_name}; there are {known}")]
    NoSuchPerson {
        /// Number of the person within the video.
        person: u16,
        /// The video's name.
        file_name: String,
        /// Those that there are, in words.
        known: String,
    },
    /// A question about a video cannot be given a table.
    #[error("there is no table of {file_name}")]
    NoTable {
        /// The video's name.
        file_name: String,
        /// Why not.
        source: Box<DatasetError>,
    },
    /// The dataset has fewer examples, or the id is none.
    #[error("the dataset has no example {id}; the last one is {last}")]
    NoSuchExample {
        /// As it was given.
        id: String,
        /// The highest id that there is.
        last: String,
    },
    /// No example of the dataset is of that recipe.
    #[error("the dataset has no task {task}; it has {known}")]
    NoSuchTask {
        /// As it was given.
        task: String,
        /// Those that there are, in words.
        known: String,
    },
    /// The build might need more memory than it may use; nothing has been done.
    #[error(
        "{examples} examples can need {needed}, the memory limit is {limit}; lower --examples, or raise --memory-limit"
    )]
    MemoryLimit {
        /// So many at most were asked for.
        examples: u64,
        /// With its unit.
        needed: String,
        /// With its unit.
        limit: String,
    },
    /// It was cancelled; the dataset that was there before is as it was.
    #[error("interrupted")]
    Stopped,
    /// The engine that chooses examples fails; its own words.
    #[error("choosing examples failed: {0}")]
    Polars(#[from] polars::error::PolarsError),
}

fn no_recipes_of(preset: &Option<Preset>) -> String {
    match preset {
        Some(preset) => format!(
            "no recipe has a part in the preset {preset}: one with a line `-- recipe {preset} = WEIGHT` has; leave --preset out, or give another folder with --recipes",
            preset = preset.name()
        ),
        None => "there are only primitives, which are learned with a --preset; give it, or another folder with --recipes".into(),
    }
}
