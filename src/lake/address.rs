//! What `--lake` names: a folder, or a schema of a PostgreSQL database.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::error::LakeError;
use crate::secret::Secret;
use crate::store::has_scheme;

const DEFAULT_PORT: u16 = 5432;
/// Schema of the catalog's tables unless another one is named.
const DEFAULT_SCHEMA: &str = "public";
/// The variable that may hold the password; PGPASSWORD and `.pgpass` are read by the database's own
/// library.
const PASSWORD_VARIABLE: &str = "POSEDATA_PG_PASSWORD";

/// Where a lake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeAddress {
    /// A folder that has the catalog and the files.
    Folder(PathBuf),
    /// A database that has the catalog, and says where the files are.
    Postgres(PostgresAddress),
}

/// A schema of a PostgreSQL database, never with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresAddress {
    /// A name, an IP address, or the folder of a Unix socket.
    pub(super) host: String,
    /// 5432 where the address names none.
    pub(super) port: u16,
    /// `None`: as PGUSER or the system says.
    pub(super) user: Option<String>,
    /// Its name as it is, not percent-encoded.
    pub(super) database: String,
    /// `public` where the address names none; small letters, digits and `_`, which need no quotes.
    pub(super) schema: String,
}

impl LakeAddress {
    /// The address that a text is: `postgres://USER@HOST:PORT/DATABASE?schema=NAME`, or a folder.
    ///
    /// # Errors
    /// When it begins as a database's address and is none, or holds a password, which is not shown.
    pub fn parse(text: &str) -> Result<Self, LakeError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("postgres" | "postgresql") => {
                PostgresAddress::parse(text).map(LakeAddress::Postgres)
            }
            Some("s3" | "http" | "https") => Err(LakeError::WrongAddress {
                reason: "a lake's files may lie on S3, but its catalog lies in a folder or in PostgreSQL; give --lake postgres://USER@HOST/DATABASE".into(),
            }),
            Some(other) if has_scheme(text) => Err(LakeError::WrongAddress {
                reason: format!(
                    "a lake is a folder or in PostgreSQL, and not behind {other}://; give --lake a path, or postgres://USER@HOST/DATABASE"
                ),
            }),
            _ => Ok(Self::Folder(text.into())),
        }
    }

    /// As [`Self::parse`] of an option's value.
    ///
    /// # Errors
    /// As [`Self::parse`], or when it is no UTF-8.
    pub fn of_path(path: &Path) -> Result<Self, LakeError> {
        match path.to_str() {
            Some(text) => Self::parse(text),
            None => Err(LakeError::WrongAddress {
                reason: format!(
                    "the lake's folder needs a name in UTF-8, as its catalog holds no other: {}",
                    path.display()
                ),
            }),
        }
    }
}

impl fmt::Display for LakeAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(formatter),
            Self::Postgres(address) => address.fmt(formatter),
        }
    }
}

impl PostgresAddress {
    /// The address of a lake in a database.
    ///
    /// # Errors
    /// As [`LakeAddress::parse`].
    pub fn parse(text: &str) -> Result<Self, LakeError> {
        let wrong = |reason: &str| LakeError::WrongAddress {
            reason: format!("{reason}; expected postgres://USER@HOST:PORT/DATABASE?schema=NAME"),
        };
        // libpq takes an address without a host, where the query names a socket's folder.
        let text = match text.split_once("@/") {
            Some((before, after)) if !before.contains('?') => format!("{before}@localhost/{after}"),
            _ => text.to_owned(),
        };
        let url = Url::parse(&text).map_err(|e| wrong(&e.to_string()))?;
        if url.password().is_some() {
            return Err(LakeError::WrongAddress {
                reason: format!(
                    "an address must not hold a password, which messages and the lake's history would show; set PGPASSWORD or {PASSWORD_VARIABLE}, or write it into ~/.pgpass"
                ),
            });
        }
        let decoded = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| wrong("it is no UTF-8"))
        };
        let database = decoded(url.path().trim_start_matches('/'))?;
        if database.is_empty() || database.contains('/') {
            return Err(wrong("it names no database"));
        }
        let user = match url.username() {
            "" => None,
            user => Some(decoded(user)?),
        };
        let mut address = Self {
            host: decoded(url.host_str().unwrap_or_default())?,
            port: url.port().unwrap_or(DEFAULT_PORT),
            user,
            database,
            schema: DEFAULT_SCHEMA.into(),
        };
        for (name, value) in url.query_pairs() {
            match &*name {
                "schema" if is_schema_name(&value) => address.schema = value.into_owned(),
                "schema" => return Err(wrong("a schema's name has small letters, digits and _")),
                // How libpq is told of a Unix socket's folder.
                "host" => address.host = value.into_owned(),
                other => {
                    return Err(wrong(&format!(
                        "{other} is not known (sslmode and others are read from PGSSLMODE and the like)"
                    )));
                }
            }
        }
        if address.host.is_empty() {
            address.host = "localhost".into();
        }
        Ok(address)
    }

    /// The password that is set for posedata alone.
    pub(super) fn password() -> Option<Secret> {
        let password = std::env::var(PASSWORD_VARIABLE).ok();
        password
            .filter(|password| !password.is_empty())
            .map(Secret::new)
    }

    /// The number of the lock that the one committer of this lake holds, in its database.
    pub fn lock_key(&self) -> i64 {
        let name = format!("posedata lake {}", self.schema);
        crate::hashing::first_u64(&blake3::hash(name.as_bytes())).cast_signed()
    }
}

/// A name that needs no quotes in any SQL.
fn is_schema_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && name.chars().all(is_plain)
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
                .replace("%5F", "_")
                .replace("%2D", "-")
                .replace("%2E", ".")
        };
        write!(formatter, "postgres://")?;
        if let Some(user) = &self.user {
            write!(formatter, "{}@", encoded(user))?;
        }
        // A socket's folder stands in the query.
        let is_socket = self.host.starts_with('/');
        let host = if is_socket { "localhost" } else { &self.host };
        write!(formatter, "{host}")?;
        if self.port != DEFAULT_PORT {
            write!(formatter, ":{}", self.port)?;
        }
        write!(formatter, "/{}", encoded(&self.database))?;
        let mut parts = Vec::new();
        if is_socket {
            parts.push(format!("host={}", self.host));
        }
        if self.schema != DEFAULT_SCHEMA {
            parts.push(format!("schema={}", self.schema));
        }
        match parts.is_empty() {
            true => Ok(()),
            false => write!(formatter, "?{}", parts.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> PostgresAddress {
        match LakeAddress::parse(text).expect("a right address") {
            LakeAddress::Postgres(address) => address,
            LakeAddress::Folder(folder) => panic!("it is a folder: {}", folder.display()),
        }
    }

    #[test]
    fn an_address_is_read_and_shown_alike() {
        for text in [
            "postgres://posedata@db/lake",
            "postgres://posedata@db:5433/lake?schema=gym_2",
            "postgres://db.example.org/lake",
            "postgres://a%40b@127.0.0.1:1/my%20lake",
            "postgres://me@localhost/lake?host=/var/run/postgresql",
        ] {
            assert_eq!(postgres(text).to_string(), text);
        }
        let socket = postgres("postgres://me@/lake?host=/run/pg");
        assert_eq!(socket.host, "/run/pg");
        let address = postgres("postgresql://me@db/lake");
        assert_eq!(
            (address.user.as_deref(), &*address.host),
            (Some("me"), "db")
        );
        assert_eq!((address.port, &*address.schema), (5432, "public"));
    }

    #[test]
    fn what_is_no_database_s_address_is_a_folder() {
        for text in ["lake", "/data/lake", "postgres", "./postgres:/x"] {
            let folder = LakeAddress::Folder(text.into());
            assert_eq!(LakeAddress::parse(text).expect("a folder"), folder);
        }
    }

    #[test]
    fn wrong_addresses_are_refused_and_passwords_not_shown() {
        for text in [
            "postgres://me:geheim@db/lake",
            "postgres://db",
            "postgres://db/a/b",
            "postgres://db/lake?schema=A-b",
            "postgres://db/lake?password=geheim",
            "s3://bucket/lake",
            "mysql://me:geheim@db/lake",
            "file:///lake",
        ] {
            let error = LakeAddress::parse(text).expect_err(text).to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn lakes_of_one_database_have_locks_of_their_own() {
        let (one, other) = (
            postgres("postgres://db/a"),
            postgres("postgres://db/a?schema=b"),
        );
        assert_ne!(one.lock_key(), other.lock_key());
    }
}
