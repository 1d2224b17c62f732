//! OpenAI's chat completions with structured output.

use serde_json::{Value, json};

use super::wire::{
    ANSWER_ABOUT, ANSWER_NAME, Billed, Parameters, Prompt, Provider, ProviderKind, Reply, Usage,
    answer_schema, text_of,
};
use crate::secret::Secret;

pub struct OpenAi;

impl Provider for OpenAi {
    fn kind(&self) -> ProviderKind {
        ProviderKind::OpenAi
    }

    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, String)> {
        let bearer = |key: &Secret| ("authorization", format!("Bearer {}", key.reveal()));
        key.map(bearer).into_iter().collect()
    }

    fn body(&self, parameters: &Parameters, prompt: &Prompt) -> Value {
        let mut body = json!({
            "model": parameters.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": ANSWER_NAME,
                    "description": ANSWER_ABOUT,
                    "strict": true,
                    "schema": answer_schema(),
                },
            },
            "max_completion_tokens": parameters.max_answer_tokens,
            // The provider is not to keep what is in the lake.
            "store": false,
        });
        if let Some(temperature) = parameters.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(effort) = parameters.effort {
            body["reasoning_effort"] = json!(effort.name());
        }
        body
    }

    fn reply(&self, body: &Value) -> Result<Billed, String> {
        let choice = body["choices"].get(0).ok_or("the answer has no choices")?;
        let tokens = |name: &str| body["usage"][name].as_u64().unwrap_or(0);
        let usage = Usage {
            input_tokens: tokens("prompt_tokens"),
            output_tokens: tokens("completion_tokens"),
        };
        let message = &choice["message"];
        let reply = if let Some(reason) = message["refusal"].as_str() {
            Reply::Refused {
                reason: reason.to_owned(),
            }
        } else {
            match (
                choice["finish_reason"].as_str(),
                message["content"].as_str(),
            ) {
                (Some("length"), _) => Reply::Truncated,
                (Some("content_filter"), _) => Reply::Refused {
                    reason: "the provider's filter took the answer back".into(),
                },
                (_, Some(content)) => match serde_json::from_str(content) {
                    Ok(content) => Reply::Answer { content },
                    Err(e) => Reply::Malformed {
                        reason: format!("the answer is no JSON: {e}"),
                    },
                },
                (_, None) => Reply::Malformed {
                    reason: "the answer is empty".into(),
                },
            }
        };
        Ok(Billed { reply, usage })
    }

    fn error(&self, body: &Value) -> (String, String) {
        let error = &body["error"];
        let code = text_of(error, "code");
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
    use crate::synth::provider::Effort;

    fn reply(message: Value, finish_reason: &str) -> Reply {
        let body = json!({
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        });
        let billed = OpenAi.reply(&body).expect("a reply");
        assert_eq!(
            billed.usage,
            Usage {
                input_tokens: 11,
                output_tokens: 7
            }
        );
        billed.reply
    }

    #[test]
    fn requests_ask_for_the_schema_and_name_only_what_is_set() {
        let mut parameters = Parameters {
            model: "gpt-6-luna".into(),
            max_answer_tokens: 900,
            temperature: None,
            effort: None,
        };
        let prompt = Prompt {
            system: "s".into(),
            user: "u".into(),
        };
        let body = OpenAi.body(&parameters, &prompt);
        assert_eq!(body["response_format"]["json_schema"]["strict"], true);
        assert_eq!(body["max_completion_tokens"], 900);
        assert_eq!(body["store"], false);
        assert!(body.get("temperature").is_none() && body.get("reasoning_effort").is_none());
        parameters.temperature = Some(0.5);
        parameters.effort = Some(Effort::Low);
        let body = OpenAi.body(&parameters, &prompt);
        assert_eq!(
            (&body["temperature"], &body["reasoning_effort"]),
            (&json!(0.5), &json!("low"))
        );
    }

    #[test]
    fn every_end_of_an_answer_is_told_apart() {
        let content = |text: &str| json!({"role": "assistant", "content": text, "refusal": null});
        assert_eq!(
            reply(content(r#"{"question": "q", "answer": "a"}"#), "stop"),
            Reply::Answer {
                content: json!({"question": "q", "answer": "a"})
            }
        );
        assert_eq!(
            reply(content(r#"{"question": "q"#), "length"),
            Reply::Truncated
        );
        assert!(matches!(
            reply(content("no JSON"), "stop"),
            Reply::Malformed { .. }
        ));
        assert!(matches!(
            reply(content(""), "content_filter"),
            Reply::Refused { .. }
        ));
        let refusal = json!({"role": "assistant", "content": null, "refusal": "I cannot help."});
        assert_eq!(
            reply(refusal, "stop"),
            Reply::Refused {
                reason: "I cannot help.".into()
            }
        );
        assert!(OpenAi.reply(&json!({"choices": []})).is_err());
    }
}
