//! The tokenizer of a language model with its chat template: texts and chats into tokens, and
//! which tokens of a chat the model is to learn.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

use super::chat::{Message, Role};
use super::files::{TEMPLATE_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE};
use super::gguf::{self, GgufMetadata};
use super::{ChatTemplate, LanguageError, NextTurn, SpecialTokens};
use crate::files::{why_not_written, write_atomically};

/// Name of the template to take where `tokenizer_config.json` has several.
const DEFAULT_TEMPLATE: &str = "default";

/// Kinds of tokens in GGUF (`llama_token_type` of llama.cpp).
const UNKNOWN_TOKEN: u64 = 2;
pub(super) const CONTROL_TOKEN: u64 = 3;
pub(super) const USER_DEFINED_TOKEN: u64 = 4;

/// A chat as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChat {
    /// Positions in the vocabulary, from the template's first mark to its last.
    pub ids: Vec<u32>,
    /// For each token whether the model is to learn it: what the assistant says, with the token
    /// that ends its turn.
    pub in_loss: Vec<bool>,
}

/// Makes tokens of texts and chats as one language model expects them. Safe to share between
/// threads.
pub struct ChatTokenizer {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    special_tokens: SpecialTokens,
    special_ids: HashSet<u32>,
    blake3: String,
    path: PathBuf,
}

impl ChatTokenizer {
    /// Opens a GGUF file, a `tokenizer.json`, or a folder with one; `tokenizer_config.json` and
    /// `chat_template.jinja` are looked for beside `tokenizer.json`.
    ///
    /// # Errors
    /// When files are missing or wrong, or the tokenizer is of a kind that posedata does not know.
    pub fn open(path: &Path) -> Result<Self, LanguageError> {
        if path.is_dir() {
            let file = path.join(TOKENIZER_FILE);
            if !file.is_file() {
                return Err(LanguageError::NoTokenizerInFolder { path: path.into() });
            }
            return Self::from_tokenizer_json(&file);
        }
        if path.extension().is_some_and(|ending| ending == "json") && !gguf::is_gguf(path) {
            return Self::from_tokenizer_json(path);
        }
        Self::from_gguf(&GgufMetadata::read(path)?)
    }

    fn from_tokenizer_json(path: &Path) -> Result<Self, LanguageError> {
        let mut tokenizer =
            Tokenizer::from_bytes(read(path)?).map_err(|e| bad_tokenizer(path, e))?;
        // Both are a matter of batches, and would change what a text is.
        let _ = tokenizer.with_padding(None);
        let _ = tokenizer
            .with_truncation(None)
            .map_err(|e| bad_tokenizer(path, e))?;
        let config = TokenizerConfig::read(&path.with_file_name(TOKENIZER_CONFIG_FILE))?;
        let template_path = path.with_file_name(TEMPLATE_FILE);
        let source = if template_path.is_file() {
            Some(String::from_utf8(read(&template_path)?).map_err(|e| {
                LanguageError::BadConfig {
                    path: template_path.clone(),
                    what: "the chat template".into(),
                    reason: e.to_string(),
                }
            })?)
        } else {
            config.template(path)?
        };
        Self::new(tokenizer, source.as_deref(), config.special_tokens(), path)
    }

    /// The tokenizer that a GGUF file describes: byte-level BPE, in the varieties that are known.
    fn from_gguf(metadata: &GgufMetadata) -> Result<Self, LanguageError> {
        let path = metadata.path();
        let missing = |key: &str| LanguageError::NoTokenizerInGguf {
            path: path.into(),
            missing: key.into(),
        };
        let unknown_kind = |kind: String| LanguageError::UnknownTokenizerKind {
            path: path.into(),
            kind,
        };
        let model_key = "tokenizer.ggml.model";
        let model = metadata
            .string(model_key)
            .ok_or_else(|| missing(model_key))?;
        if model != "gpt2" {
            return Err(unknown_kind(format!("{model_key} = {model}")));
        }
        let pre_key = "tokenizer.ggml.pre";
        let pre_tokenizer = match metadata.string(pre_key).ok_or_else(|| missing(pre_key))? {
            "smollm" => digits_apart(),
            "gpt-2" => byte_level().into(),
            other => return Err(unknown_kind(format!("{pre_key} = {other}"))),
        };
        let tokens_key = "tokenizer.ggml.tokens";
        let tokens = metadata
            .strings(tokens_key)
            .ok_or_else(|| missing(tokens_key))?;
        let merges_key = "tokenizer.ggml.merges";
        let merges = metadata
            .strings(merges_key)
            .ok_or_else(|| missing(merges_key))?;
        let kinds = metadata.numbers("tokenizer.ggml.token_type");
        let kinds = kinds.unwrap_or_default();

        let merges: Option<Merges> = merges
            .iter()
            .map(|merge| merge.split_once(' ').map(|(a, b)| (a.into(), b.into())))
            .collect();
        let merges = merges.ok_or_else(|| missing("a space within each merge"))?;
        let vocabulary: Vocab = (0..)
            .zip(&tokens)
            .map(|(id, token)| ((*token).to_owned(), id))
            .collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .build()
            .map_err(|e| bad_tokenizer(path, e))?;
        let mut tokenizer = Tokenizer::new(model);
        let _ = tokenizer.with_pre_tokenizer(Some(pre_tokenizer));
        let _ = tokenizer.with_decoder(Some(ByteLevel::default()));
        let added = tokens.iter().zip(&kinds).filter_map(|(token, kind)| {
            let is_special = match *kind {
                CONTROL_TOKEN | UNKNOWN_TOKEN => true,
                USER_DEFINED_TOKEN => false,
                _ => return None,
            };
            Some(AddedToken::from(*token, is_special).normalized(false))
        });
        tokenizer
            .add_tokens(added)
            .map_err(|e| bad_tokenizer(path, e))?;

        let text_of = |key: &str| {
            let id = usize::try_from(metadata.number(key)?).ok()?;
            tokens.get(id).map(|token| (*token).to_owned())
        };
        let special_tokens = SpecialTokens {
            bos_token: text_of("tokenizer.ggml.bos_token_id"),
            eos_token: text_of("tokenizer.ggml.eos_token_id"),
            unk_token: text_of("tokenizer.ggml.unknown_token_id"),
            pad_token: text_of("tokenizer.ggml.padding_token_id"),
        };
        let template = metadata.string("tokenizer.chat_template");
        Self::new(tokenizer, template, special_tokens, path)
    }

    fn new(
        tokenizer: Tokenizer,
        template: Option<&str>,
        special_tokens: SpecialTokens,
        path: &Path,
    ) -> Result<Self, LanguageError> {
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special);
        let mut special_ids: HashSet<u32> = special.map(|(id, _)| *id).collect();
        let end = special_tokens.eos_token.as_deref();
        special_ids.extend(end.and_then(|token| tokenizer.token_to_id(token)));
        let template = template
            .map(|source| ChatTemplate::new(source, special_tokens.clone()))
            .transpose()?;
        let blake3 = hash(&tokenizer, template.as_ref()).map_err(|e| bad_tokenizer(path, e))?;
        Ok(Self {
            tokenizer,
            template,
            special_tokens,
            special_ids,
            blake3,
            path: path.into(),
        })
    }

    /// The chat template, where the model has one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The texts of tokens that have a meaning of their own.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    pub(super) fn inner(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the tokenizer as the hub's tools read it: `tokenizer.json`,
    /// `tokenizer_config.json`, and `chat_template.jinja` where there is a template.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn save(&self, folder: &Path) -> Result<(), LanguageError> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            write_atomically(&path, text.as_bytes()).map_err(|e| LanguageError::Write {
                path,
                reason: why_not_written(&e),
            })
        };
        let tokenizer = self.tokenizer.to_string(true).map_err(token_error)?;
        write(TOKENIZER_FILE, tokenizer)?;
        let mut config = serde_json::json!({
            "clean_up_tokenization_spaces": false,
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        for (name, token) in self.special_tokens.named() {
            if let Some(token) = token {
                config[name] = token.into();
            }
        }
        write(TOKENIZER_CONFIG_FILE, format!("{config:#}\n"))?;
        match &self.template {
            Some(template) => write(TEMPLATE_FILE, template.source().into()),
            None => Ok(()),
        }
    }

    /// The text of a chat as the model's template lays it out.
    ///
    /// # Errors
    /// When the model has no template, or it refuses the chat.
    pub fn render(&self, messages: &[Message], next: NextTurn) -> Result<String, LanguageError> {
        let template = self.template.as_ref();
        let template = template.ok_or_else(|| LanguageError::NoTemplate {
            path: self.path.clone(),
        })?;
        template.render(messages, next)
    }

    /// The tokens of a whole chat, and which of them the model is to learn.
    ///
    /// Whether a token is to be learned depends on where it stands, never on which token it is. One
    /// that begins before the answer and ends within it (an answer that begins with white space) is
    /// not: the model is never asked to begin there.
    ///
    /// # Errors
    /// When the template refuses the chat, when it lays a turn out differently as soon as others
    /// follow, or when no answer has a token to learn.
    pub fn encode(&self, messages: &[Message]) -> Result<EncodedChat, LanguageError> {
        let text = self.render(messages, NextTurn::None)?;
        let answers = self.answers(messages, &text)?;
        let encoding = self
            .tokenizer
            .encode(text.as_str(), false)
            .map_err(token_error)?;
        let (ids, offsets) = (encoding.get_ids(), encoding.get_offsets());
        let mut in_loss = vec![false; ids.len()];
        for answer in answers {
            // Tokens stand in the order of the text.
            let first = offsets.partition_point(|(start, _)| *start < answer.start);
            let last = offsets.partition_point(|(_, end)| *end <= answer.end);
            let last = last.max(first);
            // White space after the token that ends a turn belongs to the layout.
            let end_mark = (first..last).rfind(|i| self.special_ids.contains(&ids[*i]));
            let last = match end_mark {
                Some(mark) if text[offsets[mark].1..answer.end].trim().is_empty() => mark + 1,
                _ => last,
            };
            in_loss[first..last].fill(true);
        }
        if !in_loss.contains(&true) {
            return Err(LanguageError::NothingToLearn);
        }
        Ok(EncodedChat {
            ids: ids.to_vec(),
            in_loss,
        })
    }

    /// Where in the text of a chat the assistant speaks: from the end of what the model is given
    /// to go on from, to the end of the turn. In bytes.
    fn answers(
        &self,
        messages: &[Message],
        text: &str,
    ) -> Result<Vec<Range<usize>>, LanguageError> {
        let mut answers = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let prompt = self.render(&messages[..index], NextTurn::Assistant)?;
            let is_last = index + 1 == messages.len();
            let end = if is_last {
                text.len()
            } else {
                let so_far = self.render(&messages[..=index], NextTurn::None)?;
                if !text.starts_with(&so_far) {
                    return Err(LanguageError::TurnsDisagree { turn: index + 1 });
                }
                so_far.len()
            };
            if !text[..end].starts_with(&prompt) {
                return Err(LanguageError::TurnsDisagree { turn: index + 1 });
            }
            answers.push(prompt.len()..end);
        }
        Ok(answers)
    }

    /// Tokens of a text; special tokens within it are matched, none are added.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, LanguageError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(token_error)?.get_ids().to_vec())
    }

    /// Number of tokens of a text that is not a chat.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn count(&self, text: &str) -> Result<usize, LanguageError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(token_error)?.len())
    }

    /// Tokens that end an answer: the one that ends a text, and the one with which the chat
    /// template ends the assistant's turn.
    ///
    /// # Errors
    /// When the model has no template, or it refuses a plain chat.
    pub fn end_ids(&self) -> Result<Vec<u32>, LanguageError> {
        let chat = [
            Message::new(Role::User, "?"),
            Message::new(Role::Assistant, "!"),
        ];
        let encoded = self.encode(&chat)?;
        let last = encoded.in_loss.iter().rposition(|in_loss| *in_loss);
        let mark = last.map(|place| encoded.ids[place]);
        let template = self.template.as_ref();
        let end = template.and_then(|template| template.special_tokens().eos_token.as_deref());
        let end = end.and_then(|token| self.tokenizer.token_to_id(token));
        let marks = mark.filter(|id| self.special_ids.contains(id)).into_iter();
        let mut ids: Vec<u32> = marks.chain(end).collect();
        ids.dedup();
        Ok(ids)
    }

    /// The text of tokens, special ones included.
    ///
    /// # Errors
    /// When the tokens do not decode.
    pub fn decode(&self, ids: &[u32]) -> Result<String, LanguageError> {
        self.tokenizer.decode(ids, false).map_err(token_error)
    }

    /// BLAKE3 in hex of all that decides about tokens: vocabulary, rules, special tokens and chat
    /// template.
    pub fn blake3(&self) -> String {
        self.blake3.clone()
    }
}

/// BLAKE3 in hex of a tokenizer's rules and its chat template.
fn hash(tokenizer: &Tokenizer, template: Option<&ChatTemplate>) -> tokenizers::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &str| crate::hashing::add_part(&mut hasher, part);
    add(&tokenizer.to_string(false)?);
    if let Some(template) = template {
        let tokens = template.special_tokens();
        add(template.source());
        for (_, token) in tokens.named() {
            add(token.unwrap_or_default());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Spaces and the rest as GPT-2 splits them, over bytes.
fn byte_level() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// As GPT-2, but each digit is a token of its own.
fn digits_apart() -> PreTokenizerWrapper {
    Sequence::new(vec![Digits::new(true).into(), byte_level().into()]).into()
}

fn read(path: &Path) -> Result<Vec<u8>, LanguageError> {
    fs::read(path).map_err(|e| LanguageError::Read {
        path: path.into(),
        reason: e.to_string(),
    })
}

fn bad_tokenizer(path: &Path, error: impl ToString) -> LanguageError {
    LanguageError::BadTokenizer {
        path: path.into(),
        reason: error.to_string(),
    }
}

fn token_error(error: tokenizers::Error) -> LanguageError {
    LanguageError::Tokens {
        reason: error.to_string(),
    }
}

/// What counts of `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    chat_template: Option<ConfigTemplate>,
    bos_token: Option<ConfigToken>,
    eos_token: Option<ConfigToken>,
    unk_token: Option<ConfigToken>,
    pad_token: Option<ConfigToken>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ConfigTemplate {
    One(String),
    Several(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ConfigToken {
    Text(String),
    Object { content: String },
}

impl TokenizerConfig {
    /// Reads the file; without one, nothing is configured.
    fn read(path: &Path) -> Result<Self, LanguageError> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&read(path)?).map_err(|e| LanguageError::BadConfig {
            path: path.into(),
            what: "the tokenizer's configuration".into(),
            reason: e.to_string(),
        })
    }

    fn template(&self, path: &Path) -> Result<Option<String>, LanguageError> {
        let several = match &self.chat_template {
            None => return Ok(None),
            Some(ConfigTemplate::One(source)) => return Ok(Some(source.clone())),
            Some(ConfigTemplate::Several(several)) => several,
        };
        let default = several.iter().find(|named| named.name == DEFAULT_TEMPLATE);
        let default = default.ok_or_else(|| LanguageError::BadConfig {
            path: path.with_file_name(TOKENIZER_CONFIG_FILE),
            what: "the tokenizer's configuration".into(),
            reason: format!("none of its chat templates is called '{DEFAULT_TEMPLATE}'"),
        })?;
        Ok(Some(default.template.clone()))
    }

    fn special_tokens(self) -> SpecialTokens {
        let text = |token: Option<ConfigToken>| match token? {
            ConfigToken::Text(content) | ConfigToken::Object { content } => Some(content),
        };
        SpecialTokens {
            bos_token: text(self.bos_token),
            eos_token: text(self.eos_token),
            unk_token: text(self.unk_token),
            pad_token: text(self.pad_token),
        }
    }
}
