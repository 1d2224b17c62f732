//! Choices among the recipes of a folder, and what they bring along.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names;

/// Questions about one table, unless a preset or the user says otherwise.
const QUESTIONS_PER_TABLE: u32 = 1;
/// With the preset `numbers`: the table's tokens are paid for once, and three answers are learned.
const NUMERIC_QUESTIONS_PER_TABLE: u32 = 3;
/// Examples of a build, unless a preset or the user says otherwise.
const EXAMPLES: u64 = 10_000;
/// With the preset `numbers`: more than a quarter of an hour of training on two cores gets through,
/// and enough to test with.
const NUMERIC_EXAMPLES: u64 = 4_000;

/// A choice among the recipes of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Recipes that are answered by numbers, with the primitives that they are made of
    Numbers,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

impl Preset {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 1] = [Self::Numbers];

    /// The name on the command line, and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Numbers => "numbers",
        }
    }

    /// Questions about one table.
    pub fn questions_per_table(preset: Option<Self>) -> u32 {
        match preset {
            None => QUESTIONS_PER_TABLE,
            Some(Self::Numbers) => NUMERIC_QUESTIONS_PER_TABLE,
        }
    }

    /// Most examples.
    pub fn examples(preset: Option<Self>) -> u64 {
        match preset {
            None => EXAMPLES,
            Some(Self::Numbers) => NUMERIC_EXAMPLES,
        }
    }
}
