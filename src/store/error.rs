//! What can go wrong with files that lie elsewhere. No message holds a key.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::why_not_written;
use crate::text::one_line;

/// Why something that lies elsewhere cannot be had, or not be put there.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A text begins as an address and is none.
    #[error("expected a path, s3://BUCKET/KEY or https://HOST/PATH: {text}")]
    Address {
        /// As it was given, without user and password.
        text: String,
    },
    /// An address with a password in it, which is not shown.
    #[error(
        "an address must not hold a user or password, which messages and the lake's history would show; give keys in the environment or AWS's files: {host}"
    )]
    SecretInAddress {
        /// All of the address that is shown.
        host: String,
    },
    /// Content, and keys, would go over the network for all to read.
    #[error(
        "plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https: {address}"
    )]
    PlainHttp {
        /// As it was given, without user and password.
        address: String,
    },
    /// A file of AWS's settings is there and cannot be read.
    #[error("cannot read AWS's settings ({reason}): {path}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// `AWS_PROFILE` or `AWS_DEFAULT_PROFILE` names a profile that no file has.
    #[error("there is no profile {profile} in AWS's files; set AWS_PROFILE to one that is there")]
    NoProfile {
        /// The name, as the variable holds it.
        profile: String,
    },
    /// Requests cannot be signed with one of the two keys.
    #[error("{variable} is set but {missing} is not; set both or none")]
    HalfKeys {
        /// Name of the environment variable that is there.
        variable: &'static str,
        /// Name of the one that is not.
        missing: &'static str,
    },
    /// The object has a key by which nothing can be asked for here.
    #[error(
        "an object cannot be used here whose key has an empty part, a part . or .., a slash at its beginning or end, or a control character; give it another key: {address}"
    )]
    UnusableKey {
        /// The object, its control characters as escapes.
        address: String,
    },
    /// The store answers that it has no such object, or none below the prefix.
    #[error("nothing is there: {address}")]
    Missing {
        /// What was asked for.
        address: String,
    },
    /// The store answers that it has no such bucket.
    #[error("there is no such bucket; make it, or check its name and AWS_ENDPOINT_URL: {address}")]
    NoBucket {
        /// The bucket.
        address: String,
    },
    /// The store does not know the keys, or they may not do this.
    #[error(
        "access is refused ({reason}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and what the keys may do: {address}"
    )]
    Refused {
        /// What was asked for.
        address: String,
        /// The store's own words, without keys.
        reason: String,
    },
    /// A file that must be new would take the place of another.
    #[error("something is there already: {address}")]
    Exists {
        /// Where it was to be put.
        address: String,
    },
    /// The store's mark of the content is not the one that it had before.
    #[error("it has changed while it was read; run the command again: {address}")]
    Changed {
        /// What was being read.
        address: String,
    },
    /// The connection ended early, or the content is not as long as the store had said.
    #[error("only {found} of {expected} bytes came; run the command again: {address}")]
    Short {
        /// What was being read.
        address: String,
        /// Bytes, as the store had said.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The store cannot be reached, or answers with an error that is none of the others.
    #[error("the store cannot be used ({reason}): {address}")]
    Failed {
        /// What was asked for, or the bucket.
        address: String,
        /// What the client or the store says, without keys.
        reason: String,
    },
    /// A file on this machine that is sent, or fetched into, cannot be read or written.
    #[error("cannot use the file ({reason}): {path}")]
    Local {
        /// The file, or the folder that it was to be in.
        path: PathBuf,
        /// What the system says, with what to do about it.
        reason: String,
    },
    /// The work was called off in the middle of a file.
    #[error("cancelled")]
    Cancelled,
}

impl StoreError {
    /// Of a file on this machine.
    pub(crate) fn local(path: &Path, error: &io::Error) -> Self {
        Self::Local {
            path: path.into(),
            reason: why_not_written(error),
        }
    }

    /// Of an object whose key nothing can be asked for by.
    pub(super) fn unusable_key(address: &str) -> Self {
        Self::UnusableKey {
            address: one_line(address).into_owned(),
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
