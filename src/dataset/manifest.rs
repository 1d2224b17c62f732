//! What a dataset was built from, and how: enough to build it again.

use serde::{Deserialize, Serialize};

use super::recipe::DEFAULT_LANGUAGE;
use super::{Format, Preset, Split, Work};

/// Version of a dataset's folder, docs/dataset-format.md; grows with every change of its files. The
/// first had its card in dataset_card.md and did not tell its version.
/// The third may have a split `test`, and a kind. In the fourth a chat may have several questions,
/// and answers may begin with work.
pub const FORMAT_VERSION: u32 = 4;

/// What the examples of a dataset are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// Questions about tables, with answers in words.
    #[default]
    Answers,
    /// Questions, with the calls of `posedata ask` that they mean.
    Calls,
}

/// The file `dataset.json` of a dataset's folder. It holds no times, so that the same lake, seed
/// and recipes give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// That of the folder.
    pub name: String,
    /// Version of the program that built it.
    pub posedata_version: String,
    /// Version of the folder's layout, see [`FORMAT_VERSION`].
    #[serde(default = "first_version")]
    pub format_version: u32,
    /// What the examples are.
    #[serde(default)]
    pub kind: DatasetKind,
    /// Shape of the lines in the training files.
    pub format: Format,
    /// The lake's snapshot that the facts were read from.
    pub lake_snapshot: u64,
    /// What everything that is left to chance was decided by.
    pub seed: u64,
    /// Wanted share of the valid split, 0 to 1.
    pub valid_fraction: f64,
    /// Wanted share of the test split, 0 to 1.
    #[serde(default)]
    pub test_fraction: f64,
    /// Which of the recipes were taken; `None` is all but primitives.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// Most questions about one table.
    #[serde(default = "one_question")]
    pub questions_per_table: u32,
    /// What became of the recipes' work; recipes of older datasets had none.
    #[serde(default)]
    pub work: Work,
    /// The base model whose tokenizer counted tokens.
    pub base: String,
    /// BLAKE3 of that tokenizer's vocabulary and chat template.
    pub tokenizer_blake3: String,
    /// Most tokens of a chat, answers included.
    pub max_tokens: u32,
    /// Most examples that were asked for.
    pub max_examples: u64,
    /// Share of equal facts (Jaccard index) from which two examples count as the same.
    pub near_duplicate_threshold: f64,
    /// In the order of their names.
    pub recipes: Vec<RecipeRecord>,
    /// Those that examples come from, by their ids.
    pub videos: Vec<VideoRecord>,
    /// Rounds of `posedata synth` that added examples, in their order.
    #[serde(default)]
    pub synth: Vec<SynthRecord>,
}

/// A recipe as it was used; its files are copied into the dataset's folder `recipes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipeRecord {
    /// Name of both files without their endings.
    pub task: String,
    /// The first line of the SQL file's comment.
    pub about: String,
    /// Its part of the examples is this over the sum of all recipes' weights.
    pub weight: f64,
    /// Language of what it writes, as an ISO 639 code.
    #[serde(default = "default_language")]
    pub language: String,
    /// Whether its examples are learned first, and only learned.
    #[serde(default)]
    pub is_primitive: bool,
    /// Of the file's bytes, in hexadecimal digits.
    pub sql_blake3: String,
    /// Of the file's bytes, in hexadecimal digits.
    pub template_blake3: String,
    /// How many rows became examples, and where the others went.
    pub funnel: Funnel,
}

fn first_version() -> u32 {
    1
}

fn one_question() -> u32 {
    1
}

/// Datasets from before recipes told their language were written by English ones.
fn default_language() -> String {
    DEFAULT_LANGUAGE.into()
}

/// What became of a recipe's rows, stage by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// Rows that the SQL gave.
    pub rows: u64,
    /// Longer than [`Manifest::max_tokens`].
    pub over_token_budget: u64,
    /// Equal to an earlier example, word for word.
    pub duplicates: u64,
    /// Nearly the facts of an earlier example, see [`Manifest::near_duplicate_threshold`].
    pub near_duplicates: u64,
    /// Left over when the task had its share, or of a primitive and not to train on.
    pub not_sampled: u64,
    /// In the dataset, as chats.
    pub kept: u64,
    /// Questions of these chats.
    #[serde(default)]
    pub examples: u64,
}

/// A video that examples come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoRecord {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// Without its folder, which is nobody else's business.
    pub file_name: String,
    /// Sport or activity, from its ingest.
    pub sport: String,
    /// Tag of the person filmed; videos with the same one stay in the same split.
    pub subject: Option<String>,
    /// Where all of its examples are.
    pub split: Split,
    /// Name of the landmark model whose poses the facts are from.
    pub pose_model: String,
    /// Of that model's file, in hexadecimal digits.
    pub pose_model_sha256: String,
}

/// What a round of `posedata synth` added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynthRecord {
    /// `openai:MODEL` or `anthropic:MODEL`.
    pub origin: String,
    /// Examples that passed all checks.
    pub accepted: u64,
    /// Reasons for which answers were rejected, with their numbers.
    pub rejected: std::collections::BTreeMap<String, u64>,
}
