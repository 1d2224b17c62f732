//! An example: one question about some frames of a video, with its answer and where it comes from.

use serde::{Deserialize, Serialize};

use crate::language::chat::{Message, Role};

/// What [`Example::origin`] says of examples that a recipe made.
pub const RECIPE_ORIGIN: &str = "recipe";

/// What the task of an example is called whose words a model wrote about a recipe's facts.
pub const SYNTHETIC_TASK_PREFIX: &str = "synth_";

/// Which part of a dataset an example belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The model learns from it.
    Train,
    /// The model is examined with it; its video and subject are in no other split.
    Valid,
    /// The model is judged by it, once, when all settings are chosen.
    Test,
}

impl Split {
    /// In the order of the files.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// As the files and columns have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// The frames behind an example.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lineage {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// Sport or activity of the video, from its ingest.
    pub sport: String,
    /// Number of the person within the video.
    pub person: u16,
    /// First frame, from 0.
    pub frame_start: u64,
    /// Last frame, included.
    pub frame_end: u64,
}

/// A question with the data that its answer needs, the answer, and where both come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Number within the dataset, padded with zeros.
    pub id: String,
    /// Name of the recipe that chose the facts.
    pub task: String,
    /// All examples of a video are in the same one.
    pub split: Split,
    /// `recipe`, or provider and model that wrote the words: `openai:MODEL`.
    pub origin: String,
    /// BLAKE3 of what a provider was asked; `None` for examples of recipes.
    pub prompt_hash: Option<String>,
    /// Stays the same when a provider writes the words anew.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// The row of the recipe's SQL: an object of column names and values, without the lineage.
    pub facts: serde_json::Value,
    /// What the model is told of its part; may be empty.
    pub system: String,
    /// The question, without data.
    pub question: String,
    /// The facts as the model sees them, as a compact table; may be empty.
    pub data: String,
    /// What the model is to say, word for word.
    pub answer: String,
    /// Tokens before the answer, as the base model's chat template lays them out.
    pub prompt_tokens: u32,
    /// Tokens of the answer with its end mark: those that the loss sees.
    pub answer_tokens: u32,
}

impl Example {
    /// The recipe that found the facts, whoever wrote the words.
    pub fn recipe(&self) -> &str {
        self.task
            .strip_prefix(SYNTHETIC_TASK_PREFIX)
            .unwrap_or(&self.task)
    }

    /// Tokens of the whole example.
    pub fn tokens(&self) -> u32 {
        self.prompt_tokens + self.answer_tokens
    }

    /// What the user says: the question, an empty line, the data.
    pub fn user(&self) -> String {
        user_turn(&self.question, &self.data)
    }

    /// The example as a chat; without a system message where there is nothing to say.
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = self.prompt();
        messages.push(Message::new(Role::Assistant, &self.answer));
        messages
    }

    /// The chat up to the answer.
    pub fn prompt(&self) -> Vec<Message> {
        prompt(&self.system, &self.question, &self.data)
    }
}

fn user_turn(question: &str, data: &str) -> String {
    match data.is_empty() {
        true => question.into(),
        false => format!("{question}\n\n{data}"),
    }
}

/// A chat up to its answer; without a system message where there is nothing to say.
pub fn prompt(system: &str, question: &str, data: &str) -> Vec<Message> {
    let user = Message::new(Role::User, user_turn(question, data));
    match system.is_empty() {
        true => vec![user],
        false => vec![Message::new(Role::System, system), user],
    }
}
