//! What all providers have in common: prompts, replies, errors, and what a wire format is.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names;
use crate::secret::Secret;

/// Name of the schema, and of the tool, that an answer comes in.
pub const ANSWER_NAME: &str = "record_example";
/// What the schema is for, as the model reads it.
pub const ANSWER_ABOUT: &str = "Records one question about the data with its answer.";

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI, or a server that speaks its chat completions (OPENAI_BASE_URL)
    OpenAi,
    /// Anthropic (ANTHROPIC_BASE_URL)
    Anthropic,
}

impl FromStr for ProviderKind {
    type Err = String;

    /// By its name, or by that of its models.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "claude" => Ok(Self::Anthropic),
            _ => names::find(&Self::ALL, Self::name, text),
        }
    }
}

impl ProviderKind {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// As in [`crate::dataset::Example::origin`].
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The cheap model of current ones: it copies numbers and puts words around them.
    pub fn default_model(self) -> &'static str {
        match self {
            Self::OpenAi => "gpt-6-luna",
            Self::Anthropic => "claude-haiku-5-5",
        }
    }

    pub(crate) fn key_variable(self) -> &'static str {
        match self {
            Self::OpenAi => "OPENAI_API_KEY",
            Self::Anthropic => "ANTHROPIC_API_KEY",
        }
    }

    pub(crate) fn base_url_variable(self) -> &'static str {
        match self {
            Self::OpenAi => "OPENAI_BASE_URL",
            Self::Anthropic => "ANTHROPIC_BASE_URL",
        }
    }

    /// With the version for OpenAI and without for Anthropic, as their own libraries have it.
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
        }
    }
}

/// How much a model thinks before it answers; models that do not think refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// No thinking at all: `none` on the command line.
    #[serde(rename = "none")]
    Off,
    /// As little as the model can.
    Minimal,
    /// A little.
    Low,
    /// What most models do if nothing is said.
    Medium,
    /// As much as helps.
    High,
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

impl Effort {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
    ];

    /// The name on the command line, and in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Parameters of every request of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// As the provider calls it.
    pub model: String,
    /// Thinking included.
    pub max_answer_tokens: u32,
    /// Left to the provider if `None`: current models accept no other.
    pub temperature: Option<f64>,
    /// Left to the provider if `None`: models that do not think refuse any other.
    pub effort: Option<Effort>,
}

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What the model is told of its part; the same for all prompts.
    pub system: String,
    /// An example, its data, and what is wanted.
    pub user: String,
}

/// Tokens that a provider bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Sent, whether they were cached or not.
    pub input_tokens: u64,
    /// Written, thinking included.
    pub output_tokens: u64,
}

/// What a provider sent for a request that it billed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reply {
    /// Should be an object of the schema; whether it is, is checked later.
    Answer { content: Value },
    /// The model does not want to.
    Refused { reason: String },
    /// The answer was longer than allowed.
    Truncated,
    /// An answer that is no JSON, or none at all.
    Malformed { reason: String },
}

/// A reply with what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Billed {
    pub reply: Reply,
    pub usage: Usage,
}

/// Whether to ask again what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Later, perhaps.
    Retry,
    /// This request is wrong; others may not be.
    GiveUp,
    /// Whatever is asked will fail: the key, the account, the model.
    StopAsking,
}

/// An answer with an error status.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderError {
    pub status: u16,
    /// `type` or `code` of the error's body.
    pub kind: String,
    pub message: String,
    pub remedy: Remedy,
    /// When to come back, as the provider says.
    pub retry_after: Option<Duration>,
}

/// A provider's wire format.
pub trait Provider: Send + Sync {
    fn kind(&self) -> ProviderKind;

    /// Where to post a request, below the base address.
    fn path(&self) -> &'static str;

    /// Headers of every request; the first holds the key, if there is one.
    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, String)>;

    /// The request's body.
    fn body(&self, parameters: &Parameters, prompt: &Prompt) -> Value;

    /// Reads the body of an answer with status 200.
    ///
    /// # Errors
    /// When it is not an answer at all, so that asking again makes sense.
    fn reply(&self, body: &Value) -> Result<Billed, String>;

    /// Kind and message of an error's body.
    fn error(&self, body: &Value) -> (String, String);
}

/// The schema of answers: what `schemas/synth_answer.schema.json` holds.
pub fn answer_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "question": {
                "type": "string",
                "description": "A question that the data answers."
            },
            "answer": {
                "type": "string",
                "description": "The answer: one to five sentences; every number is from the data or computed from it."
            }
        },
        "required": ["question", "answer"],
        "additionalProperties": false
    })
}

/// Codes of errors for money that ran out: they come as 429, but waiting does not help.
const OUT_OF_MONEY: [&str; 6] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "enforced_spend_limit_reached",
];

/// Turns an answer with an error status into an error.
pub fn error_of(
    provider: &dyn Provider,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> ProviderError {
    let (kind, message) = match serde_json::from_slice::<Value>(body) {
        Ok(body) => provider.error(&body),
        // Proxies on the way answer in HTML; the first of it is enough.
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            (String::new(), text)
        }
    };
    let is_out_of_money = OUT_OF_MONEY.contains(&kind.as_str());
    let remedy = match status {
        401..=404 => Remedy::StopAsking,
        429 if is_out_of_money => Remedy::StopAsking,
        // 409 is a lock that somebody else holds; both libraries of the providers retry it.
        408 | 409 | 429 | 500.. => Remedy::Retry,
        _ => Remedy::GiveUp,
    };
    ProviderError {
        status,
        kind,
        message,
        remedy,
        retry_after,
    }
}

impl std::fmt::Display for ProviderError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "status {}", self.status)?;
        if !self.kind.is_empty() {
            write!(formatter, ", {}", self.kind)?;
        }
        if !self.message.is_empty() {
            write!(formatter, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// A text member of an object, or nothing.
pub(super) fn text_of(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_one_that_is_published() {
        let published = include_str!("../../../schemas/synth_answer.schema.json");
        let mut published: Value = serde_json::from_str(published).expect("JSON");
        let members = published.as_object_mut().expect("an object");
        for member in ["$schema", "title", "description"] {
            members.remove(member);
        }
        assert_eq!(published, answer_schema());
    }

    #[test]
    fn statuses_say_what_to_do() {
        let error = |status, body: &str| {
            error_of(
                ProviderKind::OpenAi.provider().as_ref(),
                status,
                None,
                body.as_bytes(),
            )
        };
        for status in [408, 409, 429, 500, 502, 503, 529] {
            assert_eq!(error(status, "{}").remedy, Remedy::Retry, "{status}");
        }
        for status in [401, 402, 403, 404] {
            assert_eq!(error(status, "{}").remedy, Remedy::StopAsking, "{status}");
        }
        for status in [400, 413, 422] {
            assert_eq!(error(status, "{}").remedy, Remedy::GiveUp, "{status}");
        }
        let broke = r#"{"error": {"message": "no credits", "type": "insufficient_quota", "code": "credit_balance_exhausted", "param": null}}"#;
        assert_eq!(error(429, broke).remedy, Remedy::StopAsking);
        let page = error(502, "<html>bad gateway</html>");
        assert_eq!(page.to_string(), "status 502: <html>bad gateway</html>");
    }
}
