//! What can go wrong with a lake, and what its database says.

use std::path::PathBuf;

use crate::store::StoreError;
use crate::text::shell_word;

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
    /// DuckDB refuses the file of the extension, or there is none.
    #[error(
        "the DuckLake extension cannot be loaded ({reason}); run `make setup` or `posedata models add ducklake`: {path}"
    )]
    Extension {
        /// Where the extension was looked for.
        path: PathBuf,
        /// The first line of DuckDB's message.
        reason: String,
    },
    /// A folder without a catalog, and a command that makes none.
    #[error("there is no lake yet; run `posedata ingest` first, or give --lake: {path}")]
    Missing {
        /// The lake's folder, or the address of its database.
        path: PathBuf,
    },
    /// The database answers, but its schema has no catalog.
    #[error(
        "there is no lake in this database; run `posedata lake create {} --data-path s3://BUCKET/PREFIX/` (or a folder that all machines share)",
        shell_word(address)
    )]
    MissingInDatabase {
        /// As `--lake` takes it.
        address: String,
    },
    /// An extension for PostgreSQL or S3 is neither beside DuckLake's nor installed.
    #[error(
        "DuckDB's extension {name} cannot be loaded ({reason}); a lake in a database needs it, run `posedata models add remote`: {path}"
    )]
    RemoteExtension {
        /// As `LOAD` takes it.
        name: &'static str,
        /// Where the file was looked for first.
        path: PathBuf,
        /// The first line of DuckDB's message.
        reason: String,
    },
    /// What `--lake` or `--data-path` say.
    #[error("{reason}")]
    WrongAddress {
        /// The whole message, with what was expected.
        reason: String,
    },
    /// The server, or the bucket with the files, does not answer or lets nobody in.
    #[error(
        "the lake's database cannot be reached ({reason}); check the address, PGPASSWORD and the server: {address}"
    )]
    Unreachable {
        /// The database's, or that of a file of the lake.
        address: String,
        /// What the client says, without the password.
        reason: String,
    },
    /// The place holds something already, or belongs to another lake.
    #[error("a lake cannot be made here ({reason}): {place}")]
    NotCreated {
        /// The address of the database, or where the files were to lie.
        place: String,
        /// What is there.
        reason: String,
    },
    /// The catalog says where the files lie, but no lake has ever taken that place.
    #[error(
        "the lake's files are not to be seen from here; is the shared folder mounted on this machine, or is this another store? there is no {missing}"
    )]
    FilesElsewhere {
        /// What the lake's maker has left there.
        missing: PathBuf,
    },
    /// The bucket with the lake's files cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work was called off while the lake was waited for.
    #[error("cancelled")]
    Cancelled,
    /// The folder holds other things, or its catalog is not DuckLake's.
    #[error("not a lake ({reason}); give another folder with --lake: {path}")]
    NotALake {
        /// The lake's folder, or the address of its database.
        path: PathBuf,
        /// What is there, or what DuckDB says of it.
        reason: String,
    },
    /// A newer posedata has made or upgraded the lake.
    #[error(
        "the lake has format {found}, this posedata knows {known}; install the newer posedata: {path}"
    )]
    Newer {
        /// The lake's folder, or the address of its database.
        path: PathBuf,
        /// Version of its format.
        found: i32,
        /// The newest that this program reads.
        known: i32,
    },
    /// Another process has kept the catalog for longer than the session waits.
    #[error(
        "the lake is in use by another process for {waited_secs} s now; wait for it to end and try again: {path}"
    )]
    Locked {
        /// The catalog's file, or the address of its database.
        path: PathBuf,
        /// How long this session has waited, rounded down.
        waited_secs: u64,
    },
    /// A thread asked for the catalog while it had it.
    #[error("the lake's catalog was asked for in the middle of its use; please report this defect")]
    Nested,
    /// The system does not let a file or folder be written: rights, or no room.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system says, with what to do about it.
        reason: String,
    },
    /// A frame's number, or a place in a model's output, has no room in 32 bits.
    #[error("the video has more frames than the lake can number; split it: {path}")]
    TooLong {
        /// The lake's file that was being written, or the frame in words.
        path: PathBuf,
    },
    /// Rows were computed from, or read with, an ingest that is not the current one any more.
    #[error("the video was ingested again or removed meanwhile; run the command again: {video_id}")]
    VideoChanged {
        /// As in the table `videos`.
        video_id: String,
    },
    /// DuckDB's, or PostgreSQL's, own words for what has no variant here.
    #[error("the lake's database failed: {0}")]
    Database(String),
    /// A Parquet file that the catalog names is gone or cannot be read.
    #[error("a file of the lake is damaged ({reason}); run `posedata lake check --repair`: {path}")]
    DamagedFile {
        /// The file, or its address in the bucket.
        path: PathBuf,
        /// The first line of the database's message.
        reason: String,
    },
    /// Nothing of the transaction is in the lake, or its end is not known.
    #[error("the commit failed ({reason}); run the command again")]
    Commit {
        /// What the database says.
        reason: String,
    },
    /// It was never there, or has been expired.
    #[error("snapshot {version} does not exist; `posedata lake info` lists them: {path}")]
    NoSnapshot {
        /// The lake's folder, or the address of its database.
        path: PathBuf,
        /// The one that was asked for.
        version: u64,
    },
    /// DuckLake makes one before the lake gets its tables.
    #[error(
        "snapshot {version} is from before the lake had its tables; give a later one, `posedata lake info` lists them: {path}"
    )]
    EmptySnapshot {
        /// The lake's folder, or the address of its database.
        path: PathBuf,
        /// The one that was asked for.
        version: u64,
    },
    /// No id, path or name fits.
    #[error(
        "no video in the lake is {selector}{suggestion}; give an id, a file name, a beginning of it or a path of: {known}"
    )]
    UnknownVideo {
        /// As it was given.
        selector: String,
        /// The video that may have been meant, in words; empty where none is near.
        suggestion: String,
        /// Names of the first videos of the lake, in words.
        known: String,
    },
    /// An id or name fits several videos equally well.
    #[error("{selector} may be any of several videos; give more of a name, or an id: {candidates}")]
    AmbiguousVideo {
        /// As it was given.
        selector: String,
        /// Names, ids and paths of those videos, in words.
        candidates: String,
    },
    /// What the tables say of the video does not go together.
    #[error(
        "the lake's rows of the video are damaged ({reason}); run `posedata lake check`, or ingest it again with --force: {video}"
    )]
    Damaged {
        /// Name of the file that was ingested.
        video: String,
        /// Which rows are missing or wrong.
        reason: String,
    },
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
