//! Texts that nobody may see: keys and passwords.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// What is shown in place of a secret.
const HIDDEN: &str = "***";
/// Beginnings of a secret that are as long as this are hidden too: servers that mask keys show some.
const TELLING_CHARS: usize = 12;

/// A key or a password. Neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

static MASKED_KEY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bsk-[A-Za-z0-9_*.\-]{3,}").expect("the pattern is a constant"));

impl Secret {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for whoever asks for it: a request's header, a database.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text without the secret, whole or masked: some servers repeat the key that they were
    /// given.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if !self.0.is_empty() {
            text = text.replace(&self.0, HIDDEN);
        }
        if self.0.len() > TELLING_CHARS && self.0.is_ascii() {
            text = text.replace(&self.0[..TELLING_CHARS], HIDDEN);
        }
        MASKED_KEY.replace_all(&text, HIDDEN).into_owned()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_nowhere() {
        let key = Secret::new("sk-ant-api03-verysecretindeed".into());
        assert_eq!(format!("{key} {key:?}"), "*** ***");
        let echo =
            "Incorrect API key provided: sk-ant-api03-verysecretindeed. Also sk-ant-a****deed.";
        assert_eq!(
            key.redact(echo),
            "Incorrect API key provided: ***. Also ***"
        );
        let other = Secret::new("a0b1c2d3e4f5a0b1c2d3".into());
        assert_eq!(other.redact("a0b1c2d3e4f5-f5 is wrong"), "***-f5 is wrong");
    }
}
