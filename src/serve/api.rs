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
/// Most texts at which an answer ends, as OpenAI has it.
const MAX_STOPS: usize = 4;

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
    stop: Option<Stop>,
    pub tools: Option<Vec<Tool>>,
    tool_choice: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// Texts at which an answer ends, without them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

/// Which tools a request lets be called.
#[derive(Debug, PartialEq)]
pub enum ToolChoice<'a> {
    /// None: words are wanted.
    Words,
    /// One of these, or words.
    Any(Vec<&'a str>),
    /// One of these.
    Required(Vec<&'a str>),
    /// This one.
    Only(&'a str),
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

    /// A model that is not served.
    pub fn no_model(name: &str, known: &[String]) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("there is no model '{name}'; there are {}", known.join(", ")),
            code: Some("model_not_found"),
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

    /// Whether something of it is no text, such as a picture.
    fn has_other_parts(&self) -> bool {
        match &self.content {
            Some(Content::Parts(parts)) => parts.iter().any(|part| part.text.is_none()),
            _ => false,
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
        let stops = self.stops();
        if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.is_empty()) {
            return Err(ApiError::bad_request(
                "stop is a text or up to four, none of them empty",
            ));
        }
        if self.messages.iter().any(ChatMessage::has_other_parts) {
            return Err(ApiError::bad_request(
                "a message has a part that is no text; the models here take text alone",
            ));
        }
        self.choice_of_tools().map(|_| ())
    }

    /// Texts at which the answer ends.
    pub fn stops(&self) -> Vec<&str> {
        match &self.stop {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops.iter().map(String::as_str).collect(),
        }
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

    /// Which tools may, or must, be called.
    pub fn choice_of_tools(&self) -> Result<ToolChoice<'_>, ApiError> {
        let tools = self.tools.iter().flatten();
        let names: Vec<&str> = tools.map(|tool| tool.function.name.as_str()).collect();
        let Some(choice) = self.tool_choice.as_ref().filter(|choice| !choice.is_null()) else {
            return Ok(match names.is_empty() {
                true => ToolChoice::Words,
                false => ToolChoice::Any(names),
            });
        };
        let only = choice["function"]["name"].as_str();
        match (choice.as_str(), only) {
            (Some("none"), _) => Ok(ToolChoice::Words),
            (Some("auto"), _) if names.is_empty() => Ok(ToolChoice::Words),
            (Some("auto"), _) => Ok(ToolChoice::Any(names)),
            (Some("required"), _) if !names.is_empty() => Ok(ToolChoice::Required(names)),
            (None, Some(only)) if names.contains(&only) => Ok(ToolChoice::Only(only)),
            _ => Err(ApiError::bad_request(
                "tool_choice is none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": NAME}}, with that function among the request's tools",
            )),
        }
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

/// Cuts a text at the first of some others, though it comes in pieces.
pub struct StopFilter {
    stops: Vec<String>,
    /// What may be the beginning of a stop.
    held: String,
    /// What was let through.
    pub text: String,
    is_over: bool,
}

impl StopFilter {
    pub fn new(stops: &[&str]) -> Self {
        Self {
            stops: stops.iter().map(|stop| (*stop).to_owned()).collect(),
            held: String::new(),
            text: String::new(),
            is_over: false,
        }
    }

    /// Whether a stop was found.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// What of the text so far can be told after another piece of it.
    pub fn push(&mut self, piece: &str) -> String {
        if self.is_over {
            return String::new();
        }
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop));
        let end = match found.min() {
            Some(at) => {
                self.is_over = true;
                at
            }
            None => self.held.len() - self.pending(),
        };
        self.tell(end)
    }

    /// What was held back, once no more comes.
    pub fn finish(&mut self) -> String {
        match self.is_over {
            true => String::new(),
            false => self.tell(self.held.len()),
        }
    }

    fn tell(&mut self, end: usize) -> String {
        let rest = self.held.split_off(end);
        let told = std::mem::replace(&mut self.held, rest);
        self.text.push_str(&told);
        told
    }

    /// Bytes at the end of what is held that a stop may begin with.
    fn pending(&self) -> usize {
        let begins = |from: usize| {
            let end = &self.held[from..];
            self.stops.iter().any(|stop| stop.starts_with(end))
        };
        let mut places = self.held.char_indices().map(|(at, _)| at);
        places
            .find(|at| begins(*at))
            .map_or(0, |at| self.held.len() - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(more: Value) -> ChatRequest {
        let mut request = json!({"model": "ask", "messages": [{"role": "user", "content": "hi"}]});
        for (name, value) in more.as_object().expect("fields") {
            request[name.as_str()] = value.clone();
        }
        serde_json::from_value(request).expect("a request")
    }

    #[test]
    fn a_text_ends_before_the_first_stop_however_it_comes() {
        for (stops, pieces, expected) in [
            (&["."][..], &["One. Two."][..], "One"),
            (
                &["END", "no"],
                &["we k", "n", "ow E", "N", "D and more"],
                "we k",
            ),
            (&["END"], &["an EN", "TRY", " E"], "an ENTRY E"),
            (&["ü"], &["gr", "ün"], "gr"),
            (&[], &["as ", "it is"], "as it is"),
        ] {
            let mut filter = StopFilter::new(stops);
            let mut told: String = pieces.iter().map(|piece| filter.push(piece)).collect();
            told.push_str(&filter.finish());
            assert_eq!((told.as_str(), filter.text.as_str()), (expected, expected));
        }
    }

    #[test]
    fn the_choice_of_tools_is_obeyed_or_wrong() {
        let tools = json!([{"type": "function", "function": {"name": "videos"}}]);
        let only = json!({"type": "function", "function": {"name": "videos"}});
        for (choice, expected) in [
            (Value::Null, ToolChoice::Any(vec!["videos"])),
            (json!("auto"), ToolChoice::Any(vec!["videos"])),
            (json!("none"), ToolChoice::Words),
            (json!("required"), ToolChoice::Required(vec!["videos"])),
            (only.clone(), ToolChoice::Only("videos")),
        ] {
            let request = request(json!({"tools": tools, "tool_choice": choice}));
            assert_eq!(request.choice_of_tools().expect("a choice"), expected);
        }
        let other = json!({"type": "function", "function": {"name": "other"}});
        for wrong in [
            json!({"tools": tools, "tool_choice": "banana"}),
            json!({"tools": tools, "tool_choice": other}),
            json!({"tools": tools, "tool_choice": 3}),
            json!({"tool_choice": "required"}),
            json!({"tool_choice": only}),
        ] {
            assert!(request(wrong.clone()).check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_no_model_here_takes_is_refused() {
        let picture =
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]);
        for wrong in [
            json!({"messages": picture}),
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            json!({"stop": ""}),
            json!({"max_tokens": 0}),
            json!({"n": 2}),
        ] {
            assert!(request(wrong.clone()).check().is_err(), "{wrong}");
        }
        assert_eq!(request(json!({"stop": "x"})).stops(), ["x"]);
        assert!(request(json!({"stop": ["x", "y"]})).check().is_ok());
    }
}
