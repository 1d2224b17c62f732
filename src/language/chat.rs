//! Messages of a chat.

use serde::{Deserialize, Serialize};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the model is told of its part, before anything else.
    System,
    /// Who asks.
    User,
    /// The model; what it says is what is learned.
    Assistant,
}

impl Role {
    /// As chat templates and JSON files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Templates of models allow some orders of roles only.
    pub role: Role,
    /// Plain text, without the template's marks.
    pub content: String,
}

impl Message {
    /// A turn of `role`, in which `content` is said.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }
}
