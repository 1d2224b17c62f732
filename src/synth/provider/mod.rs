//! How providers are asked and what they answer: pure functions between a prompt and JSON.
//!
//! Nothing here touches the network, so that a scripted answer can be read as well as a real one.

mod anthropic;
mod openai;
mod wire;

pub use anthropic::Anthropic;
pub use openai::OpenAi;
pub use wire::{
    ANSWER_ABOUT, ANSWER_NAME, Billed, Effort, Parameters, Prompt, Provider, ProviderError,
    ProviderKind, Remedy, Reply, Usage, answer_schema, error_of,
};

impl ProviderKind {
    /// Its wire format.
    pub fn provider(self) -> Box<dyn Provider> {
        match self {
            Self::OpenAi => Box::new(OpenAi),
            Self::Anthropic => Box::new(Anthropic),
        }
    }
}
