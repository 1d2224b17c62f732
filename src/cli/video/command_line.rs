//! The command line as it may be written down: quoted for a shell, without secrets.

use std::ffi::OsString;

use crate::store;
use crate::text::shell_word;

/// Parts of names whose values are secrets.
const SECRET_WORDS: [&str; 9] = [
    "auth",
    "apikey",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "secret",
    "token",
];
const HIDDEN: &str = "***";

/// The arguments joined as a shell would take them. Values of options and parameters that are named
/// like secrets, and passwords and signatures within addresses, are hidden.
pub fn without_secrets(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut hides_next = false;
    let mut shown: Vec<String> = Vec::new();
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let is_option = argument.starts_with('-') && argument.len() > 1;
        if hides_next && !is_option {
            hides_next = false;
            shown.push(HIDDEN.into());
            continue;
        }
        hides_next = false;
        match argument.split_once('=') {
            Some((name, _)) if is_secret(name) => shown.push(format!("{name}={HIDDEN}")),
            Some(_) => shown.push(shell_word(&without_password(&argument)).into_owned()),
            None => {
                hides_next = is_option && is_secret(&argument);
                shown.push(shell_word(&without_password(&argument)).into_owned());
            }
        }
    }
    shown.join(" ")
}

fn is_secret(name: &str) -> bool {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .into_iter()
        .any(|word| SECRET_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

/// `scheme://user:password@host` without the password.
fn without_password(text: &str) -> String {
    let text = &store::without_secrets(text);
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let (login, host) = rest.split_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:{HIDDEN}@{host}"))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[&str]) -> String {
        without_secrets(arguments.iter().map(OsString::from))
    }

    #[test]
    fn what_a_shell_would_split_is_quoted() {
        let arguments = [
            "posedata",
            "ingest",
            "it's a clip.mp4",
            "--sport-type",
            "run",
        ];
        assert_eq!(
            shown(&arguments),
            r"posedata ingest 'it'\''s a clip.mp4' --sport-type run"
        );
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        for arguments in [
            &["x", "--api-key", "s3cret"][..],
            &["x", "--api-key=s3cret"],
            &["x", "--param", "access_token=s3cret"],
            &["x", "--lake", "postgres://ada:s3cret@db/lake"],
            &["x", "--openai-token", "s3cret", "--json"],
            &[
                "x",
                "https://example.org/a.mp4?X-Amz-Signature=s3cret",
                "***",
            ],
            &["x", "https://ada:s3cret@example.org/a.mp4", "***"],
        ] {
            let shown = shown(arguments);
            assert!(
                !shown.contains("s3cret") && shown.contains("***"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_is_shown() {
        let arguments = [
            "x",
            "--keyframes",
            "5",
            "monkey.mp4",
            "--param",
            "landmark=nose",
        ];
        assert_eq!(shown(&arguments), arguments.join(" "));
    }
}
