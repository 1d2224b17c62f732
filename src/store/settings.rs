//! How S3 is reached: AWS's environment variables and AWS's own files, as its own tools read them.
//!
//! Settings come from nowhere else: no option and no address holds a key.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::error::StoreError;
use super::ini;
use crate::secret::Secret;
use crate::text::read_text;

/// Region that is asked where none is named.
const DEFAULT_REGION: &str = "us-east-1";

/// Keys that sign requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// What `AWS_ACCESS_KEY_ID`, or AWS's file, holds.
    pub id: Secret,
    /// What `AWS_SECRET_ACCESS_KEY`, or AWS's file, holds.
    pub secret: Secret,
    /// For keys that are valid for a while.
    pub token: Option<Secret>,
}

/// How S3 is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// `None`: the machine's role, or what else AWS's chain of providers finds.
    pub keys: Option<S3Keys>,
    /// `us-east-1` where none is named.
    pub region: String,
    /// A server that is not AWS's, with its scheme.
    pub endpoint: Option<String>,
    /// Requests are not signed: for buckets that everybody may read.
    pub is_anonymous: bool,
}

impl S3Settings {
    /// The settings of this process.
    ///
    /// # Errors
    /// When AWS's files cannot be read, or name no such profile, or half of the keys are set.
    pub fn detect() -> Result<Self, StoreError> {
        Self::of_environment(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The settings of an environment.
    fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let profile = Profile::read(variable)?;
        let keys = match environment_keys(variable)? {
            Some(keys) => Some(keys),
            None => profile.keys(),
        };
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let endpoint = variable("AWS_ENDPOINT_URL_S3")
            .or_else(|| variable("AWS_ENDPOINT_URL"))
            .or_else(|| variable("AWS_ENDPOINT"))
            .or_else(|| profile.value("endpoint_url"));
        let anonymous = variable("AWS_SKIP_SIGNATURE");
        Ok(Self {
            keys,
            region: region
                .or_else(|| profile.value("region"))
                .unwrap_or_else(|| DEFAULT_REGION.into()),
            endpoint: endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            is_anonymous: anonymous.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }

    /// A text without any of the keys.
    pub fn redact(&self, text: &str) -> String {
        let Some(keys) = &self.keys else {
            return text.into();
        };
        let secrets = [Some(&keys.secret), keys.token.as_ref()];
        let secrets = secrets.into_iter().flatten();
        secrets.fold(text.to_owned(), |text, secret| secret.redact(&text))
    }
}

fn environment_keys(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<S3Keys>, StoreError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let half = |variable, missing| Err(StoreError::HalfKeys { variable, missing });
    match (variable(ID), variable(SECRET)) {
        (Some(id), Some(secret)) => Ok(Some(S3Keys {
            id: Secret::new(id),
            secret: Secret::new(secret),
            token: variable("AWS_SESSION_TOKEN").map(Secret::new),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => half(ID, SECRET),
        (None, Some(_)) => half(SECRET, ID),
    }
}

/// What AWS's two files say of a profile.
#[derive(Default)]
struct Profile {
    credentials: HashMap<String, String>,
    config: HashMap<String, String>,
}

impl Profile {
    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let wanted = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let name = wanted.clone().unwrap_or_else(|| "default".into());
        let file = |override_name: &str, usual: &str| {
            let home = || Some(PathBuf::from(variable("HOME")?).join(".aws").join(usual));
            variable(override_name).map(PathBuf::from).or_else(home)
        };
        let section = |path: Option<PathBuf>, header: &str| {
            let Some(path) = path else { return Ok(None) };
            match read_text(&path) {
                Ok(text) => Ok(ini::section(&text, header)),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                Err(e) => {
                    let reason = e.to_string();
                    Err(StoreError::Settings { path, reason })
                }
            }
        };
        let in_config = match name.as_str() {
            "default" => name.clone(),
            other => format!("profile {other}"),
        };
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let credentials = section(credentials, &name)?;
        let config = section(file("AWS_CONFIG_FILE", "config"), &in_config)?;
        match wanted {
            Some(profile) if credentials.is_none() && config.is_none() => {
                Err(StoreError::NoProfile { profile })
            }
            _ => Ok(Self {
                credentials: credentials.unwrap_or_default(),
                config: config.unwrap_or_default(),
            }),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let value = self.credentials.get(name).or_else(|| self.config.get(name));
        value.cloned()
    }

    fn keys(&self) -> Option<S3Keys> {
        Some(S3Keys {
            id: Secret::new(self.value("aws_access_key_id")?),
            secret: Secret::new(self.value("aws_secret_access_key")?),
            token: self.value("aws_session_token").map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<S3Settings, StoreError> {
        S3Settings::of_environment(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_wins_over_the_files() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(
            folder.join("credentials"),
            "[default]\naws_access_key_id = A\naws_secret_access_key = B\n[lab]\naws_access_key_id = L\naws_secret_access_key = M\naws_session_token = T\n",
        )
        .expect("a file");
        std::fs::write(
            folder.join("config"),
            "[default]\nregion = eu-central-1\n[profile lab]\nendpoint_url = http://localhost:9/\n",
        )
        .expect("a file");
        let home = home.path().to_str().expect("a plain name");
        let id = |settings: &S3Settings| {
            let keys = settings.keys.as_ref().expect("keys");
            keys.id.reveal().to_owned()
        };
        let plain = settings(&[("HOME", home)]).expect("settings");
        assert_eq!((id(&plain), &*plain.region), ("A".into(), "eu-central-1"));
        let lab = settings(&[("HOME", home), ("AWS_PROFILE", "lab")]).expect("settings");
        assert_eq!((id(&lab), &*lab.region), ("L".into(), DEFAULT_REGION));
        assert_eq!(lab.endpoint.as_deref(), Some("http://localhost:9"));
        let own = settings(&[
            ("HOME", home),
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "F"),
            ("AWS_REGION", "x"),
        ])
        .expect("settings");
        assert_eq!((id(&own), &*own.region), ("E".into(), "x"));
        assert!(settings(&[("HOME", home), ("AWS_PROFILE", "no")]).is_err());
    }

    #[test]
    fn half_of_the_keys_is_an_error_and_none_is_a_role() {
        assert!(settings(&[("AWS_ACCESS_KEY_ID", "A")]).is_err());
        assert_eq!(settings(&[]).expect("settings").keys, None);
    }

    #[test]
    fn keys_are_not_shown() {
        let settings = settings(&[
            ("AWS_ACCESS_KEY_ID", "ident"),
            ("AWS_SECRET_ACCESS_KEY", "geheim"),
        ])
        .expect("settings");
        let shown = format!("{settings:?} {}", settings.redact("bad key geheim"));
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
