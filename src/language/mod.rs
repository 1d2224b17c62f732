//! Language models as far as texts are concerned: where their files are, chat templates, tokens.
//! Weights are fetched here, and read by others.

pub mod bases;
pub mod chat;
pub mod files;
pub mod gguf;
mod gguf_tokenizer;
mod hub;
mod template;
mod tokenizer;

use std::path::PathBuf;

use crate::models::ModelsError;
pub use hub::{Hub, Needs, Network};
pub use template::{ChatTemplate, NextTurn, SpecialTokens};
pub use tokenizer::{ChatTokenizer, EncodedChat};

#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    #[error("cannot read ({reason}); check that it exists and is yours to read: {path}")]
    Read { path: PathBuf, reason: String },
    #[error("this is not a GGUF file; give a GGUF file, a tokenizer.json or their folder: {path}")]
    NotGguf { path: PathBuf },
    #[error("the GGUF file is truncated or damaged ({reason}); fetch it again: {path}")]
    DamagedGguf { path: PathBuf, reason: String },
    #[error(
        "the GGUF file holds no tokenizer ({missing} is missing); give the folder of the model's tokenizer.json instead: {path}"
    )]
    NoTokenizerInGguf { path: PathBuf, missing: String },
    #[error(
        "the GGUF file has a tokenizer of a kind that posedata does not build ({kind}); give the folder of the model's tokenizer.json instead: {path}"
    )]
    UnknownTokenizerKind { path: PathBuf, kind: String },
    #[error(
        "the folder holds no tokenizer.json; give the folder of a model from the Hugging Face hub, or a GGUF file: {path}"
    )]
    NoTokenizerInFolder { path: PathBuf },
    #[error("the tokenizer is wrong: {reason}: {path}")]
    BadTokenizer { path: PathBuf, reason: String },
    #[error("{what} is wrong: {reason}: {path}")]
    BadConfig {
        path: PathBuf,
        what: String,
        reason: String,
    },
    #[error(
        "the model has no chat template; use an instruct or chat model, or put its chat_template.jinja beside the tokenizer: {path}"
    )]
    NoTemplate { path: PathBuf },
    #[error("the model's chat template does not take this chat: {reason}")]
    Template { reason: String },
    #[error("the text cannot be made into tokens: {reason}")]
    Tokens { reason: String },
    #[error(
        "the chat template lays turn {turn} (from 1) out differently when more turns follow, so what the model is to learn cannot be told apart; use chats with one answer, or another template"
    )]
    TurnsDisagree { turn: usize },
    #[error(
        "the chat has no answer that the model could learn from; each chat needs a message of the assistant that is not empty"
    )]
    NothingToLearn,
    #[error(
        "the tokenizer cannot be kept in a GGUF file ({reason}); use the merged safetensors model: {path}"
    )]
    NotForGguf { path: PathBuf, reason: String },
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("{name} is not installed; run `posedata models add {asset}` (installed: {installed})")]
    NotInstalled {
        name: String,
        asset: String,
        installed: String,
    },
    #[error(
        "there is no model called '{name}', and no such file or folder; give a name ({known}), a GGUF file, a model's folder or a repository of the Hugging Face hub as OWNER/NAME (installed: {installed})"
    )]
    UnknownBase {
        name: String,
        known: String,
        installed: String,
    },
    #[error(
        "{repository} is not in the Hugging Face cache and cannot be fetched ({reason}); give a model that is there (installed: {installed})"
    )]
    Hub {
        repository: String,
        reason: String,
        installed: String,
    },
    #[error(transparent)]
    Models(#[from] ModelsError),
}
