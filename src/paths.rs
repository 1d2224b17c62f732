//! Paths in what is written as JSON.
//!
//! A file's name need not be UTF-8, and JSON has nothing else: such bytes are replaced (U+FFFD), as in
//! messages. Serde itself would fail, at the end of the work that the JSON tells of.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Paths that have a text.
pub trait PathTexts {
    /// What is written.
    type Texts: Serialize;

    /// The paths as texts.
    fn texts(&self) -> Self::Texts;
}

impl PathTexts for Path {
    type Texts = String;

    fn texts(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

impl PathTexts for PathBuf {
    type Texts = String;

    fn texts(&self) -> String {
        self.as_path().texts()
    }
}

impl<P: PathTexts + ?Sized> PathTexts for &P {
    type Texts = P::Texts;

    fn texts(&self) -> P::Texts {
        (**self).texts()
    }
}

impl<P: PathTexts> PathTexts for Option<P> {
    type Texts = Option<P::Texts>;

    fn texts(&self) -> Self::Texts {
        self.as_ref().map(P::texts)
    }
}

impl<P: PathTexts> PathTexts for Vec<P> {
    type Texts = Vec<P::Texts>;

    fn texts(&self) -> Self::Texts {
        self.iter().map(P::texts).collect()
    }
}

/// For `serde(serialize_with)`.
///
/// # Errors
/// When the serializer fails.
pub fn as_text<P: PathTexts, S: Serializer>(paths: &P, serializer: S) -> Result<S::Ok, S::Error> {
    paths.texts().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[derive(Serialize)]
    struct Report<'a> {
        #[serde(serialize_with = "as_text")]
        one: &'a Path,
        #[serde(serialize_with = "as_text")]
        none: Option<PathBuf>,
        #[serde(serialize_with = "as_text")]
        many: Vec<PathBuf>,
    }

    #[test]
    fn names_that_are_no_utf_8_can_be_written() {
        let path = Path::new(OsStr::from_bytes(b"caf\xe9.mp4"));
        let report = Report {
            one: path,
            none: None,
            many: vec![path.into(), "a.mp4".into()],
        };
        let json = serde_json::to_value(report).expect("JSON");
        let name = "caf\u{fffd}.mp4";
        let expected = serde_json::json!({ "one": name, "none": null, "many": [name, "a.mp4"] });
        assert_eq!(json, expected);
    }
}
