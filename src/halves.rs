//! The two halves of the program, each of which can be built without the other.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

/// A half of the program, which a cargo feature of the same name switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// Decodes and encodes video, and finds people in it.
    Video,
    /// Instruction datasets and language models.
    Language,
}

impl Half {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Video, Self::Language];

    /// As the cargo feature is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Language => "language",
        }
    }

    /// Whether this program has it.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Video => cfg!(feature = "video"),
            Self::Language => cfg!(feature = "language"),
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version, and the cargo features that this program is built with: `0.1.0 (video, language)`.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let halves = Half::ALL.map(|half| (half.name(), half.is_built_in()));
    let others = [
        ("bundled", cfg!(feature = "bundled")),
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ];
    let features = halves.into_iter().chain(others);
    let names: Vec<&str> = features
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect();
    format!("{} ({})", env!("CARGO_PKG_VERSION"), names.join(", "))
});
