//! What can go wrong with a lake, and what its database says.

use std::path::PathBuf;

use crate::store::StoreError;

/// What the system says where nothing may be written.
pub(super) const WRITE_REFUSALS: [&str; 4] = [
    "Permission denied",
    "Read-only file system",
    "No space left on device",
    "File too large",
];

/// What can go wrong with a lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error(
        "the DuckLake extension cannot be loaded ({reason}); run `make setup` or `posedata models add ducklake`: {path}"
    )]
    Extension { path: PathBuf, reason: String },
    #[error("there is no lake yet; run `posedata ingest` first, or give --lake: {path}")]
    Missing { path: PathBuf },
    #[error(
        "there is no lake in this database; run `posedata lake create {address} --data-path s3://BUCKET/PREFIX/` (or a folder that all machines share)"
    )]
    MissingInDatabase { address: String },
    #[error(
        "DuckDB's extension {name} cannot be loaded ({reason}); a lake in a database needs it, run `posedata models add remote`: {path}"
    )]
    RemoteExtension {
        name: &'static str,
        path: PathBuf,
        reason: String,
    },
    /// What `--lake` or `--data-path` say.
    #[error("{reason}")]
    WrongAddress { reason: String },
    #[error(
        "the lake's database cannot be reached ({reason}); check the address, PGPASSWORD and the server: {address}"
    )]
    Unreachable { address: String, reason: String },
    #[error("a lake cannot be made here ({reason}): {place}")]
    NotCreated { place: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work was called off while the lake was waited for.
    #[error("cancelled")]
    Cancelled,
    #[error("not a lake ({reason}); give another folder with --lake: {path}")]
    NotALake { path: PathBuf, reason: String },
    #[error(
        "the lake has format {found}, this posedata knows {known}; install the newer posedata: {path}"
    )]
    Newer {
        path: PathBuf,
        found: i32,
        known: i32,
    },
    #[error(
        "the lake is in use by another process for {waited_secs} s now; wait for it to end and try again: {path}"
    )]
    Locked { path: PathBuf, waited_secs: u64 },
    /// A thread asked for the catalog while it had it.
    #[error("the lake's catalog was asked for in the middle of its use; please report this defect")]
    Nested,
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("the video has more frames than the lake can number; split it: {path}")]
    TooLong { path: PathBuf },
    #[error("the video was ingested again or removed meanwhile; run the command again: {video_id}")]
    VideoChanged { video_id: String },
    #[error("the lake's database failed: {0}")]
    Database(String),
    #[error("a file of the lake is damaged ({reason}); run `posedata lake check --repair`: {path}")]
    DamagedFile { path: PathBuf, reason: String },
    #[error("the commit failed ({reason}); run the command again")]
    Commit { reason: String },
    #[error("snapshot {version} does not exist; `posedata lake info` lists them: {path}")]
    NoSnapshot { path: PathBuf, version: u64 },
    #[error(
        "no video in the lake is {selector}{suggestion}; give an id, a file name, a beginning of it or a path of: {known}"
    )]
    UnknownVideo {
        selector: String,
        /// The video that may have been meant, in words; empty where none is near.
        suggestion: String,
        known: String,
    },
    #[error("{selector} may be any of several videos; give more of a name, or an id: {candidates}")]
    AmbiguousVideo {
        selector: String,
        candidates: String,
    },
    #[error(
        "the lake's rows of the video are damaged ({reason}); run `posedata lake check`, or ingest it again with --force: {video}"
    )]
    Damaged { video: String, reason: String },
}

impl LakeError {
    /// Whether the same again may go well: what is wrong is neither the request nor the lake.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::Unreachable { .. }
            | Self::Write { .. }
            | Self::Commit { .. }
            | Self::VideoChanged { .. }
            | Self::Database(_) => true,
            Self::Store(error) => error.is_passing(),
            _ => false,
        }
    }
}

impl From<duckdb::Error> for LakeError {
    fn from(error: duckdb::Error) -> Self {
        let message = database_message(error);
        match damaged_file(&message).filter(|_| !is_out_of_reach(&message)) {
            Some(path) => Self::DamagedFile {
                path,
                reason: message.lines().next().unwrap_or_default().into(),
            },
            None => Self::Database(message),
        }
    }
}

/// Whether a message of the files' store says nothing of the file itself: the store cannot be reached
/// or refuses, but does not say that the file is missing.
pub(super) fn is_out_of_reach(message: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "HTTP Error",
        "HTTP GET error",
        "HTTP HEAD error",
        "Could not establish connection",
        "Connection refused",
        "the store cannot be used",
        "access is refused",
        "timed out",
    ];
    let says_missing = message.contains("404") || message.contains("NoSuchKey");
    !says_missing && SIGNS.iter().any(|sign| message.contains(sign))
}

/// The Parquet file that DuckDB names when it cannot read it.
fn damaged_file(message: &str) -> Option<PathBuf> {
    let is_of_reading = message.starts_with("IO Error")
        || message.starts_with("Invalid Input Error")
        || message.starts_with("HTTP Error")
        || message.starts_with("TProtocolException");
    let quoted = message.split(['"', '\'']);
    let mut files = quoted.filter(|part| part.ends_with(".parquet"));
    let is_of_writing = WRITE_REFUSALS.iter().any(|text| message.contains(text));
    let file = files.next().filter(|_| is_of_reading && !is_of_writing)?;
    // Of a file in a bucket the message has the address as it was asked for.
    let decoded = percent_encoding::percent_decode_str(file).decode_utf8();
    let is_address = file.contains("://");
    Some(decoded.ok().filter(|_| is_address).map_or_else(
        || PathBuf::from(file),
        |address| PathBuf::from(address.into_owned()),
    ))
}

/// What DuckDB says, without the codes that the crate adds.
pub fn database_message(error: duckdb::Error) -> String {
    match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.trim().to_owned(),
        other => other.to_string(),
    }
}

/// DuckDB appends stack traces and help texts to some messages.
pub(super) fn first_line(error: duckdb::Error) -> String {
    let message = database_message(error);
    message.lines().next().unwrap_or_default().to_owned()
}
