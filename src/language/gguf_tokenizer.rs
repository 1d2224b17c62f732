//! A tokenizer as GGUF files keep it: the way back of what [`super::ChatTokenizer`] reads there.

use candle_core::quantized::gguf_file::Value as GgufValue;
use serde::Deserialize;
use serde_json::Value;

use super::tokenizer::{CONTROL_TOKEN, USER_DEFINED_TOKEN};
use super::{ChatTokenizer, LanguageError};

/// More kinds of tokens (`llama_token_type` of llama.cpp).
const NORMAL_TOKEN: u64 = 1;
const UNUSED_TOKEN: u64 = 5;

/// What counts of `tokenizer.json`.
#[derive(Deserialize)]
struct TokenizerJson {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    vocab: std::collections::HashMap<String, u64>,
    #[serde(default)]
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

impl ChatTokenizer {
    /// The key-value pairs of a GGUF file that describe this tokenizer for a model with
    /// `vocab_size` tokens.
    ///
    /// # Errors
    /// When it is not a byte-level BPE tokenizer of a variety that llama.cpp has a name for.
    pub fn gguf_metadata(
        &self,
        vocab_size: usize,
    ) -> Result<Vec<(String, GgufValue)>, LanguageError> {
        self.try_gguf_metadata(vocab_size)
            .map_err(|reason| LanguageError::NotForGguf {
                path: self.path().into(),
                reason,
            })
    }

    fn try_gguf_metadata(&self, vocab_size: usize) -> Result<Vec<(String, GgufValue)>, String> {
        let json = self.inner().to_string(false).map_err(|e| e.to_string())?;
        let json: TokenizerJson = serde_json::from_str(&json).map_err(|e| e.to_string())?;
        let kind = json.model.kind.as_deref().unwrap_or("unknown");
        if kind != "BPE" || json.model.byte_fallback {
            return Err(format!(
                "only byte-level BPE can be written, and this is {kind} as SentencePiece makes it"
            ));
        }
        if json.normalizer.is_some() {
            return Err("texts are normalised before they are split".into());
        }
        if json.model.merges.is_empty() {
            return Err("it merges no bytes, and llama.cpp reads no such tokenizer".into());
        }
        let pre = pre_tokenizer_name(json.pre_tokenizer.as_ref())?;

        let mut tokens: Vec<(String, u64)> = (0..vocab_size)
            .map(|id| (format!("[PAD{id}]"), UNUSED_TOKEN))
            .collect();
        let plain = json.model.vocab.into_iter();
        let plain = plain.map(|(content, id)| (id, content, NORMAL_TOKEN));
        let added = json.added_tokens.into_iter().map(|token| {
            let kind = match token.special {
                true => CONTROL_TOKEN,
                false => USER_DEFINED_TOKEN,
            };
            (token.id, token.content, kind)
        });
        for (id, content, kind) in plain.chain(added) {
            let place = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id));
            let place = place.ok_or_else(|| {
                format!("token {id} is beyond the model's vocabulary of {vocab_size}")
            })?;
            if place.1 != UNUSED_TOKEN && place.0 != content {
                return Err(format!("'{}' and '{content}' are both token {id}", place.0));
            }
            *place = (content, kind);
        }
        let merges = json.model.merges.into_iter().map(|merge| match merge {
            Merge::Pair(first, second) => format!("{first} {second}"),
            Merge::Text(text) => text,
        });
        let special = self.special_tokens().named();
        let special = special.into_iter().filter_map(|(name, token)| {
            let key = match name {
                "bos_token" => "bos_token_id",
                "eos_token" => "eos_token_id",
                "unk_token" => "unknown_token_id",
                _ => "padding_token_id",
            };
            Some((key, GgufValue::U32(self.inner().token_to_id(token?)?)))
        });
        let special: Vec<_> = special.collect();
        let text = |text: &str| GgufValue::String(text.into());
        let (tokens, kinds): (Vec<String>, Vec<u64>) = tokens.into_iter().unzip();
        let kinds = kinds.into_iter().map(|kind| GgufValue::I32(kind as i32));
        let mut metadata = vec![
            ("model", text("gpt2")),
            ("pre", text(pre)),
            ("tokens", strings(tokens)),
            ("token_type", GgufValue::Array(kinds.collect())),
            ("merges", strings(merges)),
            // Chat templates write such tokens themselves.
            ("add_bos_token", GgufValue::Bool(false)),
            ("add_eos_token", GgufValue::Bool(false)),
            ("add_space_prefix", GgufValue::Bool(false)),
        ];
        metadata.extend(special);
        let mut metadata: Vec<(String, GgufValue)> = metadata
            .into_iter()
            .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
            .collect();
        if let Some(template) = self.template() {
            metadata.push(("tokenizer.chat_template".into(), text(template.source())));
        }
        Ok(metadata)
    }
}

fn strings(texts: impl IntoIterator<Item = String>) -> GgufValue {
    GgufValue::Array(texts.into_iter().map(GgufValue::String).collect())
}

/// What llama.cpp calls a way to split texts, of those that posedata reads.
fn pre_tokenizer_name(pre_tokenizer: Option<&Value>) -> Result<&'static str, String> {
    let unknown = || {
        let found = pre_tokenizer.map_or("nothing".into(), Value::to_string);
        format!("llama.cpp's name for how texts are split is not known: {found}")
    };
    let steps = match pre_tokenizer {
        None => return Err(unknown()),
        Some(step) => match step["pretokenizers"].as_array() {
            Some(steps) => steps.clone(),
            None => vec![step.clone()],
        },
    };
    let is_byte_level = |step: &Value| {
        step["type"] == "ByteLevel"
            && step["add_prefix_space"] == false
            && step["use_regex"] != false
    };
    match steps.as_slice() {
        [bytes] if is_byte_level(bytes) => Ok("gpt-2"),
        [digits, bytes]
            if digits["type"] == "Digits"
                && digits["individual_digits"] == true
                && is_byte_level(bytes) =>
        {
            Ok("smollm")
        }
        _ => Err(unknown()),
    }
}
