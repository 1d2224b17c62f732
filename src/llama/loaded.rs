//! A base model that is ready to answer: its tokenizer, its weights, and the tokens that end an
//! answer.
//!
//! The base `smollm2`, as `posedata models add smollm2` has installed it, answers with an adapter; a
//! new one changes nothing yet:
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use posedata::dataset::prompt;
//! use posedata::llama::generate::Choice;
//! use posedata::llama::{Adapter, LoadedModel, LoraConfig, Precision, Projection};
//! use posedata::models::ModelStore;
//! use posedata::sync::Cancellation;
//!
//! let memory_limit_bytes = 2 << 30;
//! let store = ModelStore::new(None)?;
//! let model = LoadedModel::load(&store, "smollm2", Precision::Quantised, memory_limit_bytes)?;
//!
//! let config = LoraConfig {
//!     rank: 8,
//!     alpha: 16.0,
//!     dropout: 0.0,
//!     projections: Projection::ATTENTION.into(),
//!     uses_rslora: false,
//! };
//! let folder = tempfile::tempdir()?;
//! Adapter::new(config, &model.weights.config, 7).save(folder.path(), "smollm2")?;
//! let adapter = model.adapter(folder.path())?;
//!
//! let question = prompt("", "What bends in the middle of a leg?", "");
//! let max_tokens = 4;
//! let answer = model.answer(
//!     Some(&adapter),
//!     &question,
//!     Choice::Greedy,
//!     max_tokens,
//!     &Cancellation::new(),
//!     &mut |_piece| ControlFlow::Continue(()),
//! )?;
//! assert!(!answer.text.is_empty() && answer.ids.len() <= max_tokens);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::files::base_of_adapter;
use super::generate::{Choice, GenerateError, Generated, Limits, generate};
use super::{Adapter, Decoder, LlamaError, Precision, Weights, weights_bytes};
use crate::language::bases::{self, Base};
use crate::language::chat::Message;
use crate::language::{ChatTokenizer, Needs, NextTurn};
use crate::models::ModelStore;
use crate::numbers::human_bytes;
use crate::sync::Cancellation;

/// A base model in memory.
pub struct LoadedModel {
    /// Where the files are.
    pub base: Base,
    /// The base's own; it must lay the chats out.
    pub tokenizer: ChatTokenizer,
    /// Shared with whoever trains or asks.
    pub weights: Arc<Weights>,
    /// How the weights are kept.
    pub precision: Precision,
    /// Tokens that end an answer.
    pub end_ids: Vec<u32>,
}

impl LoadedModel {
    /// Loads the base model of a name, a file, a folder or a repository on the Hugging Face hub.
    ///
    /// # Errors
    /// When there is no such model, its files are wrong, or its weights are larger than
    /// `memory_limit_bytes`.
    pub fn load(
        store: &ModelStore,
        base: &str,
        precision: Precision,
        memory_limit_bytes: u64,
    ) -> Result<Self, LlamaError> {
        let base = bases::find(store, base, Needs::Weights)?;
        let tokenizer = base.tokenizer()?;
        check_memory(&base, precision, memory_limit_bytes)?;
        let weights = Weights::open(&base, precision)?;
        let mut end_ids = tokenizer.end_ids()?;
        end_ids.extend(&weights.config.eos_token_ids);
        Ok(Self {
            base,
            tokenizer,
            weights: Arc::new(weights),
            precision,
            end_ids,
        })
    }

    /// The same model once more; the weights are shared.
    ///
    /// # Errors
    /// When its tokenizer can no longer be read.
    pub fn shared(&self) -> Result<Self, LlamaError> {
        Ok(Self {
            base: self.base.clone(),
            tokenizer: self.base.tokenizer()?,
            weights: Arc::clone(&self.weights),
            precision: self.precision,
            end_ids: self.end_ids.clone(),
        })
    }

    /// Loads an adapter of this model from its folder, as PEFT writes it.
    ///
    /// # Errors
    /// When there is none, or its matrices do not have the model's shape.
    pub fn adapter(&self, folder: &Path) -> Result<Adapter, LlamaError> {
        Adapter::load(folder, &self.weights.config).map_err(|source| LlamaError::OtherShape {
            base: self.base.name.clone(),
            source: Box::new(source),
        })
    }

    /// The base model that an adapter says it was made for, where that is not this one by its name.
    /// Models of one shape take each other's adapters, and talk nonsense; but a model may have
    /// several names, so this is for people to judge.
    pub fn other_base_of(&self, adapter: &Path, store: &ModelStore) -> Option<String> {
        let made_for = base_of_adapter(adapter)?;
        let name = &self.base.name;
        let own = [Some(name.clone()), bases::repository(store, name)];
        let is_own = |own: &String| Path::new(own).file_name() == Path::new(&made_for).file_name();
        (!own.iter().flatten().any(is_own)).then_some(made_for)
    }

    /// Answers a chat that ends with a question; `on_text` is given the answer piece by piece, and
    /// may end it, as `cancellation` does.
    ///
    /// # Errors
    /// When the chat is longer than the model takes, or the computation fails.
    pub fn answer(
        &self,
        adapter: Option<&Adapter>,
        messages: &[Message],
        choice: Choice,
        max_tokens: usize,
        cancellation: &Cancellation,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let text = self.tokenizer.render(messages, NextTurn::Assistant)?;
        let ids = self.tokenizer.tokens(&text)?;
        let limits = Limits {
            choice,
            max_tokens,
            max_positions: self.weights.config.max_positions,
            end_ids: self.end_ids.clone(),
        };
        let most = limits.max_positions.min(ids.len() + limits.max_tokens);
        let decoder = Decoder::new(Arc::clone(&self.weights), adapter, most)?;
        let mut decoder = decoder.cancelled_by(cancellation);
        generate(&mut decoder, &self.tokenizer, &ids, &limits, on_text)
    }
}

/// Weights that are kept as the file has them are as small as can be.
fn check_memory(base: &Base, precision: Precision, limit_bytes: u64) -> Result<(), LlamaError> {
    let needed_bytes = weights_bytes(&Weights::config(base)?, precision, 0);
    if needed_bytes <= limit_bytes {
        return Ok(());
    }
    Err(LlamaError::MemoryLimit {
        base: base.name.clone(),
        precision: precision.name(),
        needed: human_bytes(needed_bytes),
        limit: human_bytes(limit_bytes),
    })
}
