//! What answers requests: base, adapters, and the questions of the lake.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::api::{
    ApiError, ChatMessage, ChatRequest, StopFilter, ToolChoice, finish_reason, tool, tool_call,
};
use crate::asking::{AskError, Asker, Turn};
use crate::llama::generate::{End, GenerateError};
use crate::llama::{Adapter, LlamaError, LoadedModel};
use crate::sync::Cancellation;

/// The model that chooses queries.
const ASK: &str = "ask";
/// Questions of a chat that a new one may go on from.
const MAX_TURNS: usize = 4;

/// A base with an adapter, or alone, under a name.
pub struct ServedModel {
    /// As requests name it.
    pub name: String,
    /// `None` for the base alone.
    pub adapter: Option<Adapter>,
}

/// All that is served.
pub struct Served {
    /// The base of `models`.
    pub model: LoadedModel,
    /// Base and adapters that answer by themselves.
    pub models: Vec<ServedModel>,
    /// What chooses queries, where there is an adapter for it.
    pub asker: Option<Asker>,
    /// Ends texts that are being written.
    pub cancellation: Cancellation,
}

/// What a request came to.
pub(super) struct Completion {
    /// The message of the assistant.
    pub message: Value,
    pub finish_reason: &'static str,
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
}

impl Served {
    /// Names of all models.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.models.iter().map(|model| model.name.clone());
        let ask = self.asker.iter().map(|_| ASK.to_owned());
        names.chain(ask).collect()
    }

    /// The questions as tools.
    pub(super) fn tools(&self) -> Vec<Value> {
        let questions = self.asker.iter().flat_map(|asker| &asker.files().questions);
        questions.map(tool).collect()
    }

    /// Answers a request; `on_text` is given the words piece by piece.
    pub(super) fn complete(
        &self,
        request: &ChatRequest,
        id: &str,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ApiError> {
        request.check()?;
        if let Some(model) = self.models.iter().find(|m| m.name == request.model) {
            return self.generate(model, request, on_text);
        }
        match self.asker.as_ref().filter(|_| request.model == ASK) {
            Some(asker) => ask(asker, request, id, on_text),
            None => Err(ApiError::no_model(&request.model, &self.names())),
        }
    }

    fn generate(
        &self,
        model: &ServedModel,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ApiError> {
        if !matches!(
            request.choice_of_tools()?,
            ToolChoice::Words | ToolChoice::Any(_)
        ) {
            return Err(ApiError::bad_request(format!(
                "the model '{}' calls no tools; '{ASK}' does, where there is an adapter for it",
                model.name
            )));
        }
        let mut filter = StopFilter::new(&request.stops());
        let generated = self.model.answer(
            model.adapter.as_ref(),
            &request.chat()?,
            request.choice(),
            request.max_tokens() as usize,
            &self.cancellation,
            &mut |piece| {
                let told = filter.push(piece);
                let is_heard = told.is_empty() || on_text(&told).is_continue();
                match is_heard && !filter.is_over() {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            },
        );
        let generated = generated.map_err(|error| match error {
            GenerateError::Llama(LlamaError::TooLong { .. }) | GenerateError::Language(_) => {
                ApiError::bad_request(error.to_string())
            }
            GenerateError::Llama(_) => server_error(&error),
        })?;
        let rest = filter.finish();
        if !rest.is_empty() {
            let _ = on_text(&rest);
        }
        Ok(Completion {
            message: json!({"role": "assistant", "content": filter.text}),
            finish_reason: match filter.is_over() {
                true => finish_reason(End::Stop),
                false => finish_reason(generated.end),
            },
            prompt_tokens: generated.prompt_tokens,
            completion_tokens: generated.ids.len(),
        })
    }
}

/// The answer that the lake computes, or the call for the client to run.
fn ask(
    asker: &Asker,
    request: &ChatRequest,
    id: &str,
    on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Completion, ApiError> {
    let last = request.messages.last();
    if last.is_some_and(|message| message.role == "tool") {
        // The client has run the call; its result is the answer.
        let text = last.map(ChatMessage::text).unwrap_or_default();
        let _ = on_text(&text);
        return Ok(completion(
            json!({"role": "assistant", "content": text}),
            "stop",
        ));
    }
    let questions = request.messages.iter().filter(|m| m.role == "user");
    let questions: Vec<String> = questions.map(ChatMessage::text).collect();
    let Some((question, before)) = questions.split_last() else {
        return Err(ApiError::bad_request(
            "there is no message of the role 'user'",
        ));
    };
    let mut turn = Turn::default();
    for earlier in &before[before.len().saturating_sub(MAX_TURNS)..] {
        // What could not be answered then changes nothing now.
        let _ = asker.ask(earlier, &mut turn);
    }
    if let Some(message) = tool_message(asker, request, question, &turn, id)? {
        return Ok(completion(message, "tool_calls"));
    }
    let reply = asker
        .ask(question, &mut turn)
        .map_err(|error| of_question(&error))?;
    let _ = on_text(&reply.answer.answer);
    let message = json!({
        "role": "assistant",
        "content": reply.answer.answer,
        "posedata": reply.answer,
    });
    Ok(completion(message, "stop"))
}

/// The message that calls a tool, where one may be called and is meant.
fn tool_message(
    asker: &Asker,
    request: &ChatRequest,
    question: &str,
    turn: &Turn,
    id: &str,
) -> Result<Option<Value>, ApiError> {
    let (names, only) = match request.choice_of_tools()? {
        ToolChoice::Words => return Ok(None),
        ToolChoice::Any(names) | ToolChoice::Required(names) => (names, None),
        ToolChoice::Only(name) => (vec![name], Some(name)),
    };
    let call = asker.call(question, turn, only);
    let call = call.map_err(|error| of_question(&error))?;
    let call = call.filter(|call| names.contains(&call.question.as_str()));
    let question = call
        .as_ref()
        .and_then(|call| asker.files().find(&call.question));
    match (&call, question) {
        (Some(call), Some(question)) => Ok(Some(json!({
            "role": "assistant",
            "content": null,
            "tool_calls": [tool_call(id, call, question)],
        }))),
        _ if matches!(request.choice_of_tools()?, ToolChoice::Any(_)) => Ok(None),
        _ => Err(ApiError::bad_request(format!(
            "none of the tools {} surely is what is asked for; say it in other words, or with tool_choice auto",
            names.join(", ")
        ))),
    }
}

/// A completion that no model wrote word by word.
fn completion(message: Value, finish_reason: &'static str) -> Completion {
    Completion {
        message,
        finish_reason,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

fn of_question(error: &AskError) -> ApiError {
    match error {
        AskError::NoVideo { .. } | AskError::Empty | AskError::TooLong { .. } => {
            ApiError::bad_request(error.to_string())
        }
        error => server_error(error),
    }
}

fn server_error(error: &dyn std::error::Error) -> ApiError {
    ApiError {
        status: axum::http::StatusCode::INTERNAL_SERVER_ERROR,
        message: error.to_string(),
        code: None,
    }
}
