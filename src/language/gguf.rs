//! What a GGUF file says about its model: the key-value pairs of its header. Tensors stay where
//! they are.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Content, Value};

use super::LanguageError;

/// The first bytes of every GGUF file.
const MAGIC: &[u8; 4] = b"GGUF";

/// Whether a file starts as GGUF files do; `false` when it cannot be read.
pub(super) fn is_gguf(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *MAGIC
}

/// The key-value pairs of a GGUF file.
pub struct GgufMetadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

impl GgufMetadata {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When the file cannot be read, is none in GGUF, or ends within the header.
    pub fn read(path: &Path) -> Result<Self, LanguageError> {
        let read_error = |e: std::io::Error| LanguageError::Read {
            path: path.into(),
            reason: e.to_string(),
        };
        let mut file = BufReader::new(File::open(path).map_err(read_error)?);
        let mut start = [0; MAGIC.len()];
        if file.read_exact(&mut start).is_err() || start != *MAGIC {
            return Err(LanguageError::NotGguf { path: path.into() });
        }
        file.rewind().map_err(read_error)?;
        let content = Content::read(&mut file).map_err(|e| LanguageError::DamagedGguf {
            path: path.into(),
            reason: e.to_string(),
        })?;
        Ok(Self {
            path: path.into(),
            values: content.metadata,
        })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text under a key; `None` where there is none, or another type.
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative, however many bits it was written with.
    pub fn number(&self, key: &str) -> Option<u64> {
        whole_number(self.values.get(key)?)
    }

    /// A list of strings; `None` when any of it is something else.
    pub fn strings(&self, key: &str) -> Option<Vec<&str>> {
        let Value::Array(values) = self.values.get(key)? else {
            return None;
        };
        let strings = values.iter().map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        });
        strings.collect()
    }

    /// A list of whole numbers that are not negative; `None` when any of it is something else.
    pub fn numbers(&self, key: &str) -> Option<Vec<u64>> {
        let Value::Array(values) = self.values.get(key)? else {
            return None;
        };
        values.iter().map(whole_number).collect()
    }
}

fn whole_number(value: &Value) -> Option<u64> {
    match *value {
        Value::U8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::U32(n) => Some(n.into()),
        Value::U64(n) => Some(n),
        Value::I8(n) => n.try_into().ok(),
        Value::I16(n) => n.try_into().ok(),
        Value::I32(n) => n.try_into().ok(),
        Value::I64(n) => n.try_into().ok(),
        _ => None,
    }
}
