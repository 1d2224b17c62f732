//! Reads a base model's weights from whatever files it has.

use std::path::Path;

use super::files::{config_of_folder, config_of_gguf, weights_of_folder, weights_of_gguf};
use super::{LlamaConfig, LlamaError, Precision, Weights};
use crate::language::bases::{Base, BaseFiles};

impl Weights {
    /// Reads a base model.
    ///
    /// # Errors
    /// When files are missing or damaged, are pickles, or do not hold a Llama model.
    pub fn open(base: &Base, precision: Precision) -> Result<Self, LlamaError> {
        match &base.files {
            BaseFiles::Gguf(path) => weights_of_gguf(path, precision),
            BaseFiles::Folder(path) => weights_of_folder(path, precision),
            BaseFiles::TokenizerJson(path) => Err(LlamaError::NoWeights { path: path.into() }),
        }
    }

    /// The shape of a base model, without its weights.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn config(base: &Base) -> Result<LlamaConfig, LlamaError> {
        match &base.files {
            BaseFiles::Gguf(path) => config_of_gguf(path),
            BaseFiles::Folder(path) => config_of_folder(path),
            BaseFiles::TokenizerJson(path) => Err(LlamaError::NoWeights { path: path.into() }),
        }
    }

    /// Reads a GGUF file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_gguf(path: &Path, precision: Precision) -> Result<Self, LlamaError> {
        weights_of_gguf(path, precision)
    }
}
