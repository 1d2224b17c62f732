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

/// Why a model's tokenizer, template or files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// The file is not there, or the system refuses to read it.
    #[error("cannot read ({reason}); check that it exists and is yours to read: {path}")]
    Read {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The file does not begin as GGUF files do.
    #[error("this is not a GGUF file; give a GGUF file, a tokenizer.json or their folder: {path}")]
    NotGguf {
        /// The model's file or folder.
        path: PathBuf,
    },
    /// The file ends before its header does, or says something impossible.
    #[error("the GGUF file is truncated or damaged ({reason}); fetch it again: {path}")]
    DamagedGguf {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The GGUF file has weights without vocabulary.
    #[error(
        "the GGUF file holds no tokenizer ({missing} is missing); give the folder of the model's tokenizer.json instead: {path}"
    )]
    NoTokenizerInGguf {
        /// The model's file or folder.
        path: PathBuf,
        /// The key that is not there.
        missing: String,
    },
    /// The GGUF file names a splitter or vocabulary that is not built here.
    #[error(
        "the GGUF file has a tokenizer of a kind that posedata does not build ({kind}); give the folder of the model's tokenizer.json instead: {path}"
    )]
    UnknownTokenizerKind {
        /// The model's file or folder.
        path: PathBuf,
        /// As the file names it.
        kind: String,
    },
    /// The folder is that of no model, or of one whose tokenizer is in another format.
    #[error(
        "the folder holds no tokenizer.json; give the folder of a model from the Hugging Face hub, or a GGUF file: {path}"
    )]
    NoTokenizerInFolder {
        /// The model's file or folder.
        path: PathBuf,
    },
    /// `tokenizer.json` is there and is not what the crate `tokenizers` takes.
    #[error("the tokenizer is wrong: {reason}: {path}")]
    BadTokenizer {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// One of the files beside `tokenizer.json` is broken.
    #[error("{what} is wrong: {reason}: {path}")]
    BadConfig {
        /// The model's file or folder.
        path: PathBuf,
        /// Which one, with its article.
        what: String,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// Chats are needed, and nothing says how the model wants them laid out.
    #[error(
        "the model has no chat template; use an instruct or chat model, or put its chat_template.jinja beside the tokenizer: {path}"
    )]
    NoTemplate {
        /// The model's file or folder.
        path: PathBuf,
    },
    /// The template refuses an order of roles, or is itself wrong.
    #[error("the model's chat template does not take this chat: {reason}")]
    Template {
        /// What minijinja or the template says.
        reason: String,
    },
    /// The tokenizer refuses a text.
    #[error("the text cannot be made into tokens: {reason}")]
    Tokens {
        /// What the crate `tokenizers` says.
        reason: String,
    },
    /// Answers of earlier turns cannot be found in the whole chat.
    #[error(
        "the chat template lays turn {turn} (from 1) out differently when more turns follow, so what the model is to learn cannot be told apart; use chats with one answer, or another template"
    )]
    TurnsDisagree {
        /// Position of the message, from 1.
        turn: usize,
    },
    /// The chat has no words of the assistant.
    #[error(
        "the chat has no answer that the model could learn from; each chat needs a message of the assistant that is not empty"
    )]
    NothingToLearn,
    /// The tokenizer has parts that the keys of GGUF have no place for.
    #[error(
        "the tokenizer cannot be kept in a GGUF file ({reason}); use the merged safetensors model: {path}"
    )]
    NotForGguf {
        /// The model's file or folder.
        path: PathBuf,
        /// What the system or the reader of the format says.
        reason: String,
    },
    /// The folder cannot be written to.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file that was to be made.
        path: PathBuf,
        /// What the system says, and a remedy.
        reason: String,
    },
    /// A model of a known name that `posedata models add` has not fetched yet.
    #[error("{name} is not installed; run `posedata models add {asset}` (installed: {installed})")]
    NotInstalled {
        /// As it was given.
        name: String,
        /// What to install it by.
        asset: String,
        /// Names of the models that are there, in words.
        installed: String,
    },
    /// The name is neither known, nor a file or folder, nor that of a repository.
    #[error(
        "there is no model called '{name}', and no such file or folder; give a name ({known}), a GGUF file, a model's folder or a repository of the Hugging Face hub as OWNER/NAME (installed: {installed})"
    )]
    UnknownBase {
        /// As it was given.
        name: String,
        /// The names that are known, in words.
        known: String,
        /// Names of the models that are there, in words.
        installed: String,
    },
    /// The hub cannot be reached, or has no such repository, and the cache neither.
    #[error(
        "{repository} is not in the Hugging Face cache and cannot be fetched ({reason}); give a model that is there (installed: {installed})"
    )]
    Hub {
        /// OWNER/NAME.
        repository: String,
        /// What the system or the reader of the format says.
        reason: String,
        /// Names of the models that are there, in words.
        installed: String,
    },
    /// The folder of models cannot be found.
    #[error(transparent)]
    Models(#[from] ModelsError),
}
