//! What can go wrong with files that lie elsewhere. No message holds a key.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::why_not_written;

/// Why something that lies elsewhere cannot be had, or not be put there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("expected s3://BUCKET/KEY or https://HOST/PATH: {text}")]
    Address { text: String },
    /// An address with a password in it, which is not shown.
    #[error(
        "an address must not hold a user or password, which messages and the lake's history would show; give keys in the environment or AWS's files: {host}"
    )]
    SecretInAddress { host: String },
    #[error(
        "plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https: {address}"
    )]
    PlainHttp { address: String },
    #[error("cannot read AWS's settings ({reason}): {path}")]
    Settings { path: PathBuf, reason: String },
    #[error("there is no profile {profile} in AWS's files; set AWS_PROFILE to one that is there")]
    NoProfile { profile: String },
    #[error("{variable} is set but {missing} is not; set both or none")]
    HalfKeys {
        variable: &'static str,
        missing: &'static str,
    },
    #[error("nothing is there: {address}")]
    Missing { address: String },
    #[error(
        "access is refused ({reason}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and what the keys may do: {address}"
    )]
    Refused { address: String, reason: String },
    #[error("something is there already: {address}")]
    Exists { address: String },
    #[error("it has changed while it was read; run the command again: {address}")]
    Changed { address: String },
    #[error("only {found} of {expected} bytes came; run the command again: {address}")]
    Short {
        address: String,
        expected: u64,
        found: u64,
    },
    #[error("the store cannot be used ({reason}): {address}")]
    Failed { address: String, reason: String },
    #[error("cannot use the file ({reason}): {path}")]
    Local { path: PathBuf, reason: String },
    #[error("cancelled")]
    Cancelled,
}

impl StoreError {
    /// Of a file on this machine.
    pub(super) fn local(path: &Path, error: &io::Error) -> Self {
        Self::Local {
            path: path.into(),
            reason: why_not_written(error),
        }
    }

    /// Whether the same again may go well: what is wrong is not the request itself.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Changed { .. }
                | Self::Short { .. }
                | Self::Failed { .. }
                | Self::Refused { .. }
                | Self::Local { .. }
        )
    }
}

/// Everything that an error says, from the outermost cause to the innermost, without repeats.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    // Some causes are whole documents.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
