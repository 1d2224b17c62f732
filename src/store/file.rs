//! A file that lies elsewhere, and what it is fetched into.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::address::Address;
use super::error::StoreError;
use crate::hashing::add_part;

/// Parts of a signed address that tell who may read, and until when, and nothing of the file: AWS's,
/// Google's, CloudFront's and Azure's.
const SIGNATURES: [&str; 18] = [
    "AWSAccessKeyId",
    "Expires",
    "GoogleAccessId",
    "Key-Pair-Id",
    "Policy",
    "Signature",
    "se",
    "sig",
    "ske",
    "skoid",
    "sks",
    "skt",
    "sktid",
    "skv",
    "sp",
    "spr",
    "sr",
    "sv",
];
const SIGNATURE_PREFIXES: [&str; 2] = ["x-amz-", "x-goog-"];
/// Hex digits by which files of one path are told apart.
const QUERY_DIGITS: usize = 16;

/// What is known of a file at an address before it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Where it lies.
    pub address: Address,
    /// `None` where the server does not say.
    pub byte_size: Option<u64>,
    /// The server's mark of this content, which changes with it; `None` where it gives none.
    pub etag: Option<String>,
}

impl RemoteFile {
    /// A mark of this content at this address as it is shown: the server's, and, where the address has
    /// parts that are not shown and tell files apart, a hash of those. `None` where the server gives
    /// none.
    pub fn content_mark(&self) -> Option<String> {
        let etag = self.etag.clone()?;
        let Address::Web(url) = &self.address else {
            return Some(etag);
        };
        let is_of_file = |name: &str| {
            let lower = name.to_ascii_lowercase();
            !SIGNATURES.contains(&name) && !SIGNATURE_PREFIXES.iter().any(|p| lower.starts_with(p))
        };
        let mut hasher = blake3::Hasher::new();
        for (name, value) in url.query_pairs().filter(|(name, _)| is_of_file(name)) {
            add_part(&mut hasher, &name);
            add_part(&mut hasher, &value);
        }
        if hasher.count() == 0 {
            return Some(etag);
        }
        let hash = hasher.finalize().to_hex();
        Some(format!("{etag} {}", &hash[..QUERY_DIGITS]))
    }
}

/// A file that is written and hashed.
pub(super) struct Sink<'a> {
    file: File,
    path: &'a Path,
    of: &'a RemoteFile,
    /// How long it is to be; `None` where nobody says.
    expected: Option<u64>,
    hasher: blake3::Hasher,
}

impl<'a> Sink<'a> {
    pub fn create(path: &'a Path, of: &'a RemoteFile) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| StoreError::local(path, &e))?;
        Ok(Self {
            file,
            path,
            of,
            expected: of.byte_size,
            hasher: blake3::Hasher::new(),
        })
    }

    /// What is sent now has this length, whatever was told before.
    pub fn expect(&mut self, byte_size: u64) {
        self.expected = Some(byte_size);
    }

    pub fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|e| StoreError::local(self.path, &e))
    }

    pub fn finish(self) -> Result<blake3::Hash, StoreError> {
        let found = self.hasher.count();
        match self.expected {
            Some(expected) if expected != found => Err(StoreError::Short {
                address: self.of.address.to_string(),
                expected,
                found,
            }),
            _ => Ok(self.hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(address: &str) -> Option<String> {
        let file = RemoteFile {
            address: Address::parse(address)
                .expect("an address")
                .expect("none of a path"),
            byte_size: None,
            etag: Some("\"e1\"".into()),
        };
        file.content_mark()
    }

    #[test]
    fn files_of_one_path_have_marks_of_their_own_and_signatures_make_none() {
        let plain = mark("https://example.org/get");
        assert_eq!(plain.as_deref(), Some("\"e1\""));
        let signed = "https://example.org/get?X-Amz-Signature=abc&x-amz-date=1&Expires=2&sig=x";
        assert_eq!(mark(signed), plain);
        let (one, two) = (
            mark("https://example.org/get?id=1"),
            mark("https://example.org/get?id=2"),
        );
        assert_ne!(one, two);
        assert_ne!(one, plain);
        assert_eq!(mark("https://example.org/get?id=1&Signature=s"), one);
        assert!(!one.expect("a mark").contains("id"));
        assert_eq!(mark("s3://clips/a?id=1"), plain);
    }
}
