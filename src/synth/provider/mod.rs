//! How providers are asked and what they answer: pure functions between a prompt and JSON.
//!
//! Nothing here touches the network, so that a scripted answer can be read as well as a real one.

mod anthropic;
mod openai;
mod wire;

use anthropic::Anthropic;
use openai::OpenAi;
pub(super) use wire::{Billed, Provider, ProviderError, Remedy, Reply, error_of};
pub use wire::{Effort, Parameters, Prompt, ProviderKind, Usage};

impl ProviderKind {
    /// Its wire format.
    pub(super) fn provider(self) -> Box<dyn Provider> {
        match self {
            Self::OpenAi => Box::new(OpenAi),
            Self::Anthropic => Box::new(Anthropic),
        }
    }
}
