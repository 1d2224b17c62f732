//! Addresses of files that lie elsewhere.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::error::StoreError;

/// What stands behind a question mark in these is no key.
const SCHEMES_WITHOUT_KEYS: [&str; 3] = ["s3://", "postgres://", "postgresql://"];

/// Where a file lies that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An object of S3, or all objects below a prefix.
    S3(S3Address),
    /// A file that a web server has.
    Web(Url),
}

/// A bucket, and an object's key in it or the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Address {
    /// Never empty; letters, digits, `.`, `-` and `_`.
    pub bucket: String,
    /// As it is, never percent-encoded; may be empty.
    pub key: String,
}

impl Address {
    /// The address that a text is; `None` where it is the path of a file.
    ///
    /// # Errors
    /// When it begins as an address and is none, or is one of another kind (`gs://`, `file://`).
    pub fn parse(text: &str) -> Result<Option<Self>, StoreError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return S3Address::of_rest(rest)
                .map(|address| Some(Self::S3(address)))
                .ok_or_else(|| StoreError::Address { text: text.into() });
        }
        let shown = || without_secrets(text);
        if !text.starts_with("https://") && !text.starts_with("http://") {
            // Taken for a path, it would become folders of that name.
            return match has_scheme(text) {
                true => Err(StoreError::Address { text: shown() }),
                false => Ok(None),
            };
        }
        let url = Url::parse(text).map_err(|_| StoreError::Address { text: shown() })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(StoreError::SecretInAddress { host });
        }
        if !is_confidential(&url) {
            return Err(StoreError::PlainHttp { address: shown() });
        }
        Ok(Some(Self::Web(url)))
    }

    /// As [`Self::parse`] of a path as commands get it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of_path(path: &Path) -> Result<Option<Self>, StoreError> {
        path.to_str().map_or(Ok(None), Self::parse)
    }

    /// The last part of the address, without what a signed address has behind it: a file's name.
    pub fn file_name(&self) -> Cow<'_, str> {
        let last = |path| str::rsplit(path, '/').next().unwrap_or_default();
        match self {
            Self::S3(address) => last(&address.key).into(),
            Self::Web(url) => {
                let name = percent_decode_str(last(url.path())).decode_utf8_lossy();
                // A slash that was encoded is no folder here.
                name.replace('/', "_").into()
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(address) => address.fmt(formatter),
            // What stands behind the question mark of a signed address is as good as a key.
            Self::Web(url) => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.fmt(formatter)
            }
        }
    }
}

impl S3Address {
    /// `BUCKET/KEY`, as it stands behind `s3://`.
    fn of_rest(rest: &str) -> Option<Self> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!bucket.is_empty() && bucket.chars().all(is_plain)).then(|| Self {
            bucket: bucket.into(),
            key: key.into(),
        })
    }

    /// Whether it says itself that it is no single object's.
    pub fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// The beginning of the keys below it: `a` stands for `a/b`, never for `ab`.
    pub fn as_prefix(&self) -> String {
        match self.is_prefix() {
            true => self.key.clone(),
            false => format!("{}/", self.key),
        }
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Whether nobody on the way can read what is asked and answered.
pub(super) fn is_confidential(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// Whether a text begins as addresses do, of whatever kind (`s3://`, `gs://`, `postgres://`).
pub fn has_scheme(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part)
    })
}

/// A path or an address as far as everybody may see it: without user and password, and without what
/// stands behind its question mark, which in a signed address is as good as a key. Keys of S3 may have all
/// these signs in them and hide nothing; a database's address says there where a lake is.
pub fn without_secrets(text: &str) -> String {
    let is_plain = SCHEMES_WITHOUT_KEYS
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let (Some((scheme, rest)), true, false) = (text.split_once("://"), has_scheme(text), is_plain)
    else {
        return text.into();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        Address::parse(text)
            .expect("a right address")
            .expect("an address")
    }

    #[test]
    fn addresses_are_told_from_paths() {
        for path in ["clip.mp4", "/a/s3:/b", "s3:/x", "c:/https://x", "./s3://x"] {
            assert_eq!(Address::parse(path).expect("a path"), None, "{path}");
        }
        let Address::S3(s3) = parsed("s3://clips/2026/my clip.mp4") else {
            panic!("it is on S3");
        };
        assert_eq!((&*s3.bucket, &*s3.key), ("clips", "2026/my clip.mp4"));
        assert!(matches!(
            parsed("https://example.org/a.mp4"),
            Address::Web(_)
        ));
        for wrong in [
            "s3://",
            "s3:///key",
            "s3://a b/c",
            "https://",
            "S3://clips/a.mp4",
            "gs://clips/a.mp4",
            "file:///clips/a.mp4",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_folder() {
        let Address::S3(s3) = parsed("s3://clips/2026") else {
            panic!("it is on S3");
        };
        assert!(!s3.is_prefix());
        assert_eq!(s3.as_prefix(), "2026/");
        let Address::S3(all) = parsed("s3://clips") else {
            panic!("it is on S3");
        };
        assert_eq!(all.as_prefix(), "");
    }

    #[test]
    fn passwords_and_signatures_are_not_shown() {
        let error = Address::parse("https://anna:geheim@example.org/a.mp4").expect_err("refused");
        assert!(!error.to_string().contains("geheim"), "{error}");
        let error = Address::parse("http://anna:geheim@exa mple/a").expect_err("no address");
        assert!(!error.to_string().contains("geheim"), "{error}");
        let signed = parsed("https://example.org/a.mp4?X-Amz-Signature=abc#x");
        assert_eq!(signed.to_string(), "https://example.org/a.mp4");
        assert_eq!(signed.file_name(), "a.mp4");
        let error = Address::parse("ftp://anna:geheim@example.org/a?key=geheim");
        let told = error.expect_err("another kind").to_string();
        assert!(
            told.contains("ftp://example.org/a") && !told.contains("geheim"),
            "{told}"
        );
        let encoded = parsed("https://example.org/it's%20a%2Fb.mp4");
        assert_eq!(encoded.file_name(), "it's a_b.mp4");
        let text = "https://ada:geheim@example.org/a.mp4?sig=geheim#geheim";
        assert_eq!(without_secrets(text), "https://example.org/a.mp4");
        for path in ["a?b.mp4", "s3://clips/a?b.mp4", "http"] {
            assert_eq!(without_secrets(path), path);
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        assert!(Address::parse("http://example.org/a.mp4").is_err());
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            parsed(&format!("http://{host}:8080/a.mp4"));
        }
    }
}
