//! The formats of results.

use std::path::Path;
use std::str::FromStr;

use crate::names;

/// How a result is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// RFC 4180, with a line of names.
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    /// Types as DuckDB has them, compressed with zstd.
    Parquet,
    /// A stream of Arrow's IPC format.
    Arrow,
}

impl Format {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 6] = [
        Self::Table,
        Self::Csv,
        Self::Json,
        Self::Jsonl,
        Self::Parquet,
        Self::Arrow,
    ];

    /// What a file of this name is expected to hold; `None` for names that say nothing.
    pub fn of_suffix(path: &Path) -> Option<Self> {
        let suffix = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| format.suffix() == suffix)
    }

    /// The suffix of its files. Arrow's streams have another one than its files, which can be read
    /// in any order.
    fn suffix(self) -> &'static str {
        match self {
            Self::Arrow => "arrows",
            other => other.name(),
        }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// Whether it has numbers and times in Arrow's own types, not as text.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// What messages call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Jsonl => "JSON Lines",
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}
