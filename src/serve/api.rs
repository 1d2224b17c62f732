//! Requests and answers as OpenAI's chat completions have them.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::language::chat::{Message, Role};
use crate::llama::generate::{Choice, End};
use crate::query::ParameterType;
use crate::questions::{Call, Question};

/// Most tokens of an answer, unless the request says otherwise.
const DEFAULT_MAX_TOKENS: u32 = 256;
/// Temperature where a request names none: the likeliest words.
const GREEDY: f64 = 0.0;
const MAX_TEMPERATURE: f64 = 2.0;

/// What a client asks for. Fields that are not known are left alone, as providers do.
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<ChatMessage>,
    #[serde(default)]
    pub stream: bool,
    stream_options: Option<StreamOptions>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    seed: Option<u64>,
    n: Option<u32>,
    pub tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// A message of the chat so far.
#[derive(Debug, Deserialize)]
pub struct ChatMessage {
    pub role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

/// A tool that the client can run.
#[derive(Debug, Deserialize)]
pub struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
}

/// What is answered in place of a result.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    pub code: Option<&'static str>,
}

impl ApiError {
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            code: None,
        }
    }

    /// The error in OpenAI's words.
    pub fn json(&self) -> Value {
        let kind = match self.status {
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {
            "message": self.message,
            "type": kind,
            "param": null,
            "code": self.code,
        }})
    }
}

impl ChatMessage {
    /// What is said, as one text.
    pub fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts = parts.iter().filter_map(|part| part.text.as_deref());
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl ChatRequest {
    /// Checks what no model here can do otherwise.
    pub fn check(&self) -> Result<(), ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::bad_request("messages is empty"));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::bad_request("n can only be 1"));
        }
        let temperature = self.temperature.unwrap_or(GREEDY);
        if !(0.0..=MAX_TEMPERATURE).contains(&temperature) {
            return Err(ApiError::bad_request("temperature is from 0 to 2"));
        }
        if self.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return Err(ApiError::bad_request("top_p is above 0, at most 1"));
        }
        if self.max_tokens() == 0 {
            return Err(ApiError::bad_request("max_tokens is at least 1"));
        }
        Ok(())
    }

    pub fn max_tokens(&self) -> u32 {
        let wanted = self.max_completion_tokens.or(self.max_tokens);
        wanted.unwrap_or(DEFAULT_MAX_TOKENS)
    }

    pub fn choice(&self) -> Choice {
        match self.temperature {
            Some(temperature) if temperature > GREEDY => Choice::Chance {
                temperature,
                top_p: self.top_p.unwrap_or(1.0),
                seed: self.seed.unwrap_or_default(),
            },
            _ => Choice::Greedy,
        }
    }

    pub fn wants_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|o| o.include_usage)
    }

    /// Names of the tools that may be called; `None` where none are offered.
    pub fn tool_names(&self) -> Option<Vec<&str>> {
        let tools = self.tools.as_ref().filter(|tools| !tools.is_empty())?;
        if self
            .tool_choice
            .as_ref()
            .is_some_and(|choice| choice == "none")
        {
            return None;
        }
        Some(
            tools
                .iter()
                .map(|tool| tool.function.name.as_str())
                .collect(),
        )
    }

    /// The chat for a language model.
    pub fn chat(&self) -> Result<Vec<Message>, ApiError> {
        let message = |message: &ChatMessage| {
            let role = match message.role.as_str() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                other => {
                    return Err(ApiError::bad_request(format!(
                        "this model takes no messages of the role '{other}'"
                    )));
                }
            };
            Ok(Message::new(role, message.text()))
        };
        self.messages.iter().map(message).collect()
    }
}

/// A question as a tool, with its parameters as JSON Schema.
pub fn tool(question: &Question) -> Value {
    let property = |kind: &ParameterType| {
        let choices = kind.choices();
        match kind {
            ParameterType::Time | ParameterType::Number => json!({"type": "number"}),
            ParameterType::Integer | ParameterType::Person => json!({"type": "integer"}),
            _ if !choices.is_empty() => json!({"type": "string", "enum": choices}),
            _ => json!({"type": "string"}),
        }
    };
    let properties = question.parameters.iter().map(|parameter| {
        let mut property = property(&parameter.kind);
        property["description"] = parameter.meaning.as_str().into();
        (parameter.name.clone(), property)
    });
    let required = question.parameters.iter();
    let required = required.filter(|p| p.default.is_none() && p.name != "video");
    json!({"type": "function", "function": {
        "name": question.name,
        "description": question.about,
        "parameters": {
            "type": "object",
            "properties": properties.collect::<serde_json::Map<_, _>>(),
            "required": required.map(|p| p.name.as_str()).collect::<Vec<_>>(),
            "additionalProperties": false,
        },
    }})
}

/// A call as the client's tool is to be run.
pub fn tool_call(id: &str, call: &Call, question: &Question) -> Value {
    let arguments = call.slots.iter().map(|(name, value)| {
        let kind = question
            .parameters
            .iter()
            .find(|p| p.name == *name)
            .map(|p| &p.kind);
        let is_number = matches!(
            kind,
            Some(
                ParameterType::Time
                    | ParameterType::Number
                    | ParameterType::Integer
                    | ParameterType::Person
            )
        );
        let number = value
            .parse::<serde_json::Number>()
            .ok()
            .filter(|_| is_number);
        let value = number.map_or_else(|| Value::from(value.as_str()), Value::Number);
        (name.clone(), value)
    });
    let arguments = Value::Object(arguments.collect());
    json!({
        "id": format!("call_{id}"),
        "type": "function",
        "function": {"name": call.question, "arguments": arguments.to_string()},
    })
}

/// OpenAI's word for why a text ended.
pub fn finish_reason(end: End) -> &'static str {
    match end {
        End::Stop | End::Interrupted => "stop",
        End::MaxTokens | End::ContextFull => "length",
    }
}
