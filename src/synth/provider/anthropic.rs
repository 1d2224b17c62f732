//! Anthropic's Messages with structured output through a tool.

use serde_json::{Value, json};

use super::wire::{
    ANSWER_ABOUT, ANSWER_NAME, Billed, Parameters, Prompt, Provider, ProviderKind, Reply, Usage,
    answer_schema, text_of,
};
use crate::secret::Secret;

/// The version of the interface that requests are written for.
const VERSION: &str = "2023-06-01";
/// Families of models that can be made to use a tool. Those that came later think before they answer
/// and refuse a forced choice with status 400 ("What's new" of Claude Opus 5.5 and Sonnet 5.5,
/// platform.claude.com, October 2026); they are told to use the tool instead.
const FORCED_TOOL_FAMILIES: [&str; 4] = [
    "claude-3",
    "claude-haiku-4",
    "claude-sonnet-4",
    "claude-opus-4",
];

pub struct Anthropic;

impl Provider for Anthropic {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Anthropic
    }

    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, String)> {
        let key = key.map(|key| ("x-api-key", key.reveal().to_owned()));
        key.into_iter()
            .chain([("anthropic-version", VERSION.to_owned())])
            .collect()
    }

    fn body(&self, parameters: &Parameters, prompt: &Prompt) -> Value {
        let mut families = FORCED_TOOL_FAMILIES.iter();
        let tool_choice = if families.any(|family| parameters.model.starts_with(family)) {
            json!({"type": "tool", "name": ANSWER_NAME})
        } else {
            json!({"type": "auto"})
        };
        let mut body = json!({
            "model": parameters.model,
            "max_tokens": parameters.max_answer_tokens,
            "system": format!("{}\n\nAnswer by calling the tool {ANSWER_NAME}, and by nothing else.", prompt.system),
            "messages": [{"role": "user", "content": prompt.user}],
            "tools": [{
                "name": ANSWER_NAME,
                "description": ANSWER_ABOUT,
                "input_schema": answer_schema(),
            }],
            "tool_choice": tool_choice,
        });
        if let Some(temperature) = parameters.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(effort) = parameters.effort {
            body["output_config"] = json!({"effort": effort.name()});
        }
        body
    }

    fn reply(&self, body: &Value) -> Result<Billed, String> {
        let blocks = body["content"]
            .as_array()
            .ok_or("the answer has no content")?;
        let tokens = |name: &str| body["usage"][name].as_u64().unwrap_or(0);
        let usage = Usage {
            input_tokens: tokens("input_tokens")
                + tokens("cache_creation_input_tokens")
                + tokens("cache_read_input_tokens"),
            output_tokens: tokens("output_tokens"),
        };
        let of_type = |wanted: &'static str| {
            let mut blocks = blocks.iter();
            blocks.find(move |block| block["type"] == wanted)
        };
        let reply = match body["stop_reason"].as_str() {
            Some("max_tokens" | "model_context_window_exceeded") => Reply::Truncated,
            Some("refusal") => Reply::Refused {
                reason: match of_type("text") {
                    Some(block) => text_of(block, "text"),
                    None => "the model gave no reason".into(),
                },
            },
            _ => match (of_type("tool_use"), of_type("text")) {
                (Some(block), _) => Reply::Answer {
                    content: block["input"].clone(),
                },
                // A model that was not forced may write the object instead of handing it over.
                (None, Some(block)) => match serde_json::from_str(&text_of(block, "text")) {
                    Ok(content) => Reply::Answer { content },
                    Err(_) => Reply::Malformed {
                        reason: "the model wrote text instead of using the tool".into(),
                    },
                },
                (None, None) => Reply::Malformed {
                    reason: "the answer is empty".into(),
                },
            },
        };
        Ok(Billed { reply, usage })
    }

    fn error(&self, body: &Value) -> (String, String) {
        let error = &body["error"];
        let code = text_of(&error["details"], "error_code");
        let kind = if code.is_empty() {
            text_of(error, "type")
        } else {
            code
        };
        (kind, text_of(error, "message"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: Value, stop_reason: &str) -> Reply {
        let body = json!({
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": stop_reason,
            "usage": {"input_tokens": 11, "cache_read_input_tokens": 2, "output_tokens": 7},
        });
        let billed = Anthropic.reply(&body).expect("a reply");
        assert_eq!(
            billed.usage,
            Usage {
                input_tokens: 13,
                output_tokens: 7
            }
        );
        billed.reply
    }

    #[test]
    fn a_tool_is_forced_only_on_models_that_accept_it() {
        let prompt = Prompt {
            system: "s".into(),
            user: "u".into(),
        };
        for (model, forced) in [
            ("claude-haiku-4-5", true),
            ("claude-opus-4-8", true),
            ("claude-haiku-5-5", false),
            ("claude-sonnet-5-5", false),
            ("a-model-of-next-year", false),
        ] {
            let parameters = Parameters {
                model: model.into(),
                max_answer_tokens: 900,
                temperature: None,
                effort: None,
            };
            let body = Anthropic.body(&parameters, &prompt);
            let expected = if forced { "tool" } else { "auto" };
            assert_eq!(body["tool_choice"]["type"], expected, "{model}");
            assert_eq!(body["max_tokens"], 900);
            assert!(body.get("temperature").is_none());
        }
    }

    #[test]
    fn every_end_of_an_answer_is_told_apart() {
        let object = json!({"question": "q", "answer": "a"});
        let tool =
            json!({"type": "tool_use", "id": "toolu_1", "name": ANSWER_NAME, "input": object});
        let thinking = json!({"type": "thinking", "thinking": "", "signature": "x"});
        let text = |text: &str| json!({"type": "text", "text": text});
        assert_eq!(
            reply(json!([thinking, tool]), "tool_use"),
            Reply::Answer {
                content: object.clone()
            }
        );
        assert_eq!(
            reply(json!([text(&object.to_string())]), "end_turn"),
            Reply::Answer { content: object }
        );
        assert!(matches!(
            reply(json!([text("Well.")]), "end_turn"),
            Reply::Malformed { .. }
        ));
        assert_eq!(reply(json!([tool]), "max_tokens"), Reply::Truncated);
        assert!(matches!(reply(json!([]), "refusal"), Reply::Refused { .. }));
        assert!(Anthropic.reply(&json!({"type": "message"})).is_err());
    }
}
