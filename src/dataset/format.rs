//! The shapes in which training tools expect examples.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How an example is laid out for training tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A list of messages with role and content (OpenAI, TRL)
    #[default]
    Messages,
    /// Instruction, input, output (Stanford Alpaca)
    Alpaca,
    /// A list of conversations with from and value (ShareGPT)
    Sharegpt,
    /// Prompt and completion, each a list of messages (TRL)
    PromptCompletion,
}
