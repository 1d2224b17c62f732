//! An example: one question about some frames of a video, with its answer and where it comes from.

use serde::{Deserialize, Serialize};

use super::work::Written;
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
    /// Number of the chat within the dataset, padded with zeros; from its second question on with
    /// the question's number: `0042-2`.
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
    /// What the model is to say, word for word: its work, if the recipe has some, and the answer.
    pub answer: String,
    /// Tokens before the answer, as the base model's chat template lays them out; of a further
    /// question those since the answer before.
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

    /// What is said, without the work before it.
    pub fn reply(&self) -> &str {
        Written::of(&self.answer).answer
    }

    /// Whether the answer is to begin with work.
    pub fn has_work(&self) -> bool {
        Written::of(&self.answer).work.is_some()
    }

    /// Number of the chat that the question is part of.
    pub fn chat_id(&self) -> &str {
        let number = self.id.split_once(TURN_MARK);
        number.map_or(&self.id, |(number, _)| number)
    }

    /// Tokens that the example adds to its chat.
    pub fn tokens(&self) -> u32 {
        self.prompt_tokens + self.answer_tokens
    }

    /// What the user says: the question, an empty line, the data.
    pub fn user(&self) -> String {
        user_turn(&self.question, &self.data)
    }

    /// The question by itself as a chat; without a system message where there is nothing to say.
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

/// Stands between the number of a chat and that of a further question.
const TURN_MARK: char = '-';

/// The id of a question of a chat, from 0.
pub fn question_id(chat_id: &str, turn: usize) -> String {
    match turn {
        0 => chat_id.into(),
        _ => format!("{chat_id}{TURN_MARK}{}", turn + 1),
    }
}

/// Numbers of the chat and of the question, from 1, of an id whose leading zeros may be missing.
pub fn id_numbers(id: &str) -> Option<(u64, u64)> {
    let (chat, turn) = id.trim().split_once(TURN_MARK).unwrap_or((id.trim(), "1"));
    Some((chat.parse().ok()?, turn.parse().ok()?))
}

/// Questions about one table with their answers, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat<'a> {
    /// At least one.
    questions: Vec<&'a Example>,
}

impl<'a> Chat<'a> {
    /// The chats of some examples; those of one chat stand behind each other.
    pub fn of_all(examples: impl IntoIterator<Item = &'a Example>) -> Vec<Self> {
        let mut chats: Vec<Self> = Vec::new();
        for example in examples {
            match chats.last_mut() {
                Some(chat) if chat.id() == example.chat_id() => chat.questions.push(example),
                _ => chats.push(Self::alone(example)),
            }
        }
        chats
    }

    /// A question by itself, with its data.
    pub fn alone(example: &'a Example) -> Self {
        Self {
            questions: vec![example],
        }
    }

    /// Number of the chat.
    pub fn id(&self) -> &'a str {
        self.questions[0].chat_id()
    }

    /// The question that everything begins with.
    pub fn first(&self) -> &'a Example {
        self.questions[0]
    }

    /// In the order in which they are asked.
    pub fn questions(&self) -> &[&'a Example] {
        &self.questions
    }

    /// All turns; the data comes with the first question.
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = self.first().messages();
        for further in &self.questions[1..] {
            messages.push(Message::new(Role::User, &further.question));
            messages.push(Message::new(Role::Assistant, &further.answer));
        }
        messages
    }

    /// Tokens of the whole chat.
    pub fn tokens(&self) -> u32 {
        self.questions.iter().map(|example| example.tokens()).sum()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::format::tests::examples;

    #[test]
    fn ids_tell_chat_and_question() {
        let ids = [0, 1, 11].map(|turn| question_id("0042", turn));
        assert_eq!(ids, ["0042", "0042-2", "0042-12"]);
        assert_eq!(id_numbers("0042-2"), Some((42, 2)));
        assert_eq!(id_numbers("42"), id_numbers("0042-1"));
        for wrong in ["", "a", "42-", "-2", "42-2-3"] {
            assert_eq!(id_numbers(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn questions_with_the_same_number_are_one_chat() {
        let mut examples = examples(4);
        for (example, id) in examples.iter_mut().zip(["7", "7-2", "8", "9"]) {
            example.id = id.into();
        }
        let chats = Chat::of_all(&examples);
        let counts: Vec<usize> = chats.iter().map(|chat| chat.questions().len()).collect();
        assert_eq!(counts, [2, 1, 1]);
        let roles = chats[0].messages().into_iter().map(|m| m.role);
        let roles: Vec<Role> = roles.filter(|role| *role != Role::System).collect();
        assert_eq!(
            roles,
            [Role::User, Role::Assistant, Role::User, Role::Assistant]
        );
        // The data comes with the first question alone.
        assert_eq!(
            chats[0].messages().last().map(|m| &m.content),
            Some(&examples[1].answer)
        );
        assert_eq!(
            chats[0].tokens(),
            examples[0].tokens() + examples[1].tokens()
        );
    }
}
