//! Keys of providers: from the environment or a `.env` file, never to be seen again.
//!
//! A key leaves [`Secret`] only into a request's header. Texts that came from a provider or from the
//! network go through [`Secret::redact`] before anybody reads them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::secret::Secret;
use crate::text::read_text;

/// Stands for a dollar sign while a `.env` file is read: a character that no text has (Unicode's
/// private use area).
const DOLLAR: &str = "\u{f8f24}";

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "{variable} is not set; set it in the environment, or write it into a file .env in the working folder"
    )]
    Missing { variable: &'static str },
    #[error(
        "{address_variable} is in {address_source} but {key_variable} is in {key_source}: the key would go to an address that somebody else may have written; set both in the same place, or confirm the address with --base-url {address}"
    )]
    OtherSource {
        key_variable: &'static str,
        key_source: Source,
        address_variable: &'static str,
        address_source: Source,
        address: String,
    },
    #[error("{variable} holds characters that no key has; check it for quotes and line ends")]
    Malformed { variable: &'static str },
    #[error("entry {entry} of the file is no NAME=VALUE; comments begin with #: {path}")]
    DotEnv { path: PathBuf, entry: usize },
    #[error("cannot read the file ({reason}): {path}")]
    Unreadable { path: PathBuf, reason: String },
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Environment,
    DotEnv,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Environment => "the environment",
            Self::DotEnv => "the file .env of the working folder",
        })
    }
}

/// Settings from the environment, and from a `.env` file where that has none. The file is only read:
/// nothing of it gets into the environment, which child processes would inherit.
pub struct Settings {
    dot_env: Vec<(String, String)>,
}

impl Settings {
    /// Reads `.env` in `folder` if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or is no list of NAME=VALUE. The error quotes nothing of it.
    pub fn read(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(".env");
        if !path.exists() {
            return Ok(Self {
                dot_env: Vec::new(),
            });
        }
        let unreadable = |reason: String| KeyError::Unreadable {
            path: path.clone(),
            reason,
        };
        let text = read_text(&path).map_err(|e| unreadable(e.to_string()))?;
        // Variables are not put into values: an address could otherwise hold a key that comes from
        // the environment.
        let text = text.replace("\\$", "$").replace('$', DOLLAR);
        let mut dot_env = Vec::new();
        for (index, line) in dotenvy::from_read_iter(text.as_bytes()).enumerate() {
            match line {
                Ok((name, value)) => dot_env.push((name, value.replace(DOLLAR, "$"))),
                Err(dotenvy::Error::Io(e)) => return Err(unreadable(e.to_string())),
                Err(_) => {
                    return Err(KeyError::DotEnv {
                        path,
                        entry: index + 1,
                    });
                }
            }
        }
        Ok(Self { dot_env })
    }

    /// The value of a variable and where it is from; an empty one counts as not set.
    pub fn get(&self, variable: &str) -> Option<(String, Source)> {
        let environment = std::env::var(variable).ok();
        let file = self.dot_env.iter().find(|(name, _)| name == variable);
        let found = [
            (environment, Source::Environment),
            (file.map(|(_, value)| value.clone()), Source::DotEnv),
        ];
        found
            .into_iter()
            .filter_map(|(value, source)| Some((value?, source)))
            .find(|(value, _)| !value.trim().is_empty())
    }

    /// The key in a variable and where it is from.
    ///
    /// # Errors
    /// When it is not set, or cannot be sent as a header.
    pub fn key(&self, variable: &'static str) -> Result<(Secret, Source), KeyError> {
        let (key, source) = self.get(variable).ok_or(KeyError::Missing { variable })?;
        let key = key.trim().to_owned();
        if key.chars().all(|c| c.is_ascii_graphic()) {
            Ok((Secret::new(key), source))
        } else {
            Err(KeyError::Malformed { variable })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_but_not_put_into_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let variable = "POSEDATA_TEST_KEY_OF_A_FILE";
        let lines = format!("# keys\n{variable}='abc'\n");
        std::fs::write(folder.path().join(".env"), lines).expect("a file");
        let settings = Settings::read(folder.path()).expect("settings");
        assert!(settings.get("POSEDATA_TEST_NOT_THERE").is_none());
        let (key, source) = settings.key(variable).expect("a key");
        assert_eq!((key.reveal(), source), ("abc", Source::DotEnv));
        assert!(std::env::var(variable).is_err());
    }

    #[test]
    fn values_of_the_file_take_nothing_out_of_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let lines =
            "P_PLAIN=https://host/$PATH\nP_QUOTED=\"${PATH} \\$P_PLAIN\"\nP_WHOLE='$PATH'\n";
        std::fs::write(folder.path().join(".env"), lines).expect("a file");
        let settings = Settings::read(folder.path()).expect("settings");
        let value = |name| settings.get(name).map(|(value, _)| value);
        assert_eq!(value("P_PLAIN").as_deref(), Some("https://host/$PATH"));
        assert_eq!(value("P_QUOTED").as_deref(), Some("${PATH} $P_PLAIN"));
        assert_eq!(value("P_WHOLE").as_deref(), Some("$PATH"));
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".env"), "A=1\nthis is s3cret\n").expect("a file");
        let Err(error) = Settings::read(folder.path()) else {
            panic!("the second line is no setting");
        };
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("entry 2") && !text.contains("s3cret"),
            "{text}"
        );
    }
}
