//! Lakes whose catalog is in a PostgreSQL database: secrets, the lock of the one committer, and what
//! the database is asked beside DuckLake.
//!
//! The lock is an advisory one of the database, held on a connection of its own: DuckLake's
//! transaction has to begin after the lock is there. It ends with its connection however that ends;
//! a holder that stands still for [`IDLE_TIMEOUT_SECS`] is thrown out by the server. If such a holder
//! wakes up, its commit fails, because DuckLake numbers snapshots and tries nothing again here.
//!
//! All connections of one of DuckDB's databases have a name of their own. Where DuckDB gives such a
//! database up it lets go of none of them, the lock's among them: the database's server is asked to end
//! them by that name.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use duckdb::Connection;

use super::address::PostgresAddress;
use super::catalog::{Access, CATALOG_SECRET, Catalog, LAKE_NAME};
use super::connection::SessionConnection;
use super::error::{LakeError, database_message};
use super::sql::quoted_text;
use crate::random::SplitMix64;
use crate::store::S3Settings;
use crate::sync::{Cancellation, lock};

/// The second attachment, as a plain database.
const LOCK_NAME: &str = "posedata_lock";
/// After so many seconds without a sign of life the server takes the lock from its holder.
const IDLE_TIMEOUT_SECS: u64 = 60;
/// How often a holder gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Whoever waits for the lock looks this often whether the work is called off.
const WAIT_SLICE: Duration = Duration::from_secs(1);

/// After so many seconds without a word each side of a connection asks the other whether it is there,
/// so often and so many seconds apart before it takes it for gone.
const KEEPALIVE_IDLE_SECS: u32 = 30;
const KEEPALIVE_INTERVAL_SECS: u32 = 10;
const KEEPALIVE_COUNT: u32 = 3;
/// What was sent and is not acknowledged for so long was sent to nobody.
const UNACKNOWLEDGED_MILLIS: u32 = 60_000;

/// The index that DuckLake does not make itself.
const STATISTICS_INDEX: &str = "posedata_file_column_stats";

/// How often and how soon a connection is tried again that was cut off while it was made.
const CONNECT_ATTEMPTS: u32 = 5;
const CONNECT_PAUSE: Duration = Duration::from_millis(300);

/// All that DuckDB says of a connection that is gone when a transaction is taken back on it.
const LOST_IN_ROLLBACK: &str = "Failed to execute query \"ROLLBACK\"";

/// How the catalog of a session is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attached {
    is_writable: bool,
    version: Option<u64>,
}

/// The catalog of a session in a database. It stays attached, since attaching takes longer than a
/// commit.
#[derive(Clone)]
pub(super) struct RemoteCatalog {
    address: PostgresAddress,
    /// What the database's server knows the connections of this session by, and of no other.
    session_name: String,
    attached: Arc<Mutex<Option<Attached>>>,
    /// Never used together with the session's own connection, which is in DuckLake's transactions.
    connection: Arc<Mutex<SessionConnection>>,
}

impl RemoteCatalog {
    /// Reaches the database; `connection` has DuckDB's extension for it.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses.
    pub fn connect(connection: &Connection, address: &PostgresAddress) -> Result<Self, LakeError> {
        let password = PostgresAddress::password();
        let mut secret = format!(
            "CREATE OR REPLACE SECRET {CATALOG_SECRET} (TYPE postgres, HOST {}, PORT {}, DATABASE {}",
            quoted_text(&address.host),
            address.port,
            quoted_text(&address.database)
        );
        if let Some(user) = &address.user {
            secret += &format!(", USER {}", quoted_text(user));
        }
        if let Some(password) = &password {
            secret += &format!(", PASSWORD {}", quoted_text(password.reveal()));
        }
        secret += ")";
        let session_name = format!("posedata-{:016x}", SplitMix64::of_process().next_u64());
        let lock_settings = format!(
            " -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_SECS}s -c lock_timeout={}s",
            WAIT_SLICE.as_secs()
        );
        let attach = format!(
            "ATTACH IF NOT EXISTS {} AS {LOCK_NAME} (TYPE postgres, SECRET {CATALOG_SECRET})",
            quoted_text(&connection_settings(&session_name, &lock_settings))
        );
        let unreachable = |error: duckdb::Error| {
            let reason = database_message(error);
            let reason = match &password {
                Some(password) => password.redact(&reason),
                None => reason,
            };
            LakeError::Unreachable {
                address: address.to_string(),
                reason: unreachable_reason(&reason),
            }
        };
        connection.execute_batch(&secret).map_err(unreachable)?;
        let mut attempt = 1;
        loop {
            // Attaching alone asks nothing yet.
            let attached = connection.execute_batch(&attach);
            let asked = attached.and_then(|()| ask::<i32>(connection, "SELECT 1::INTEGER"));
            match asked {
                Ok(_) => {
                    return Ok(Self {
                        address: address.clone(),
                        session_name,
                        attached: Arc::default(),
                        connection: Arc::new(Mutex::new(connection.try_clone()?.into())),
                    });
                }
                // A server that goes away just now may be back; one that refuses stays so.
                Err(error) if attempt < CONNECT_ATTEMPTS && is_cut_off(&error.to_string()) => {
                    attempt += 1;
                    let _ =
                        connection.execute_batch(&format!("DETACH DATABASE IF EXISTS {LOCK_NAME}"));
                    std::thread::sleep(CONNECT_PAUSE);
                }
                Err(error) => return Err(unreachable(error)),
            }
        }
    }

    /// Settings of libpq's for further connections of this session.
    pub fn connection_settings(&self) -> String {
        connection_settings(&self.session_name, "")
    }

    /// Has the server end all connections of a session that DuckDB has given up, whatever they hold:
    /// nothing can be asked for on them any more, not even that a lock be let go of.
    pub fn end_connections_of(&self, given_up: &Self) {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE application_name = '{}' AND datname = current_database()",
            given_up.session_name
        );
        for _ in 0..CONNECT_ATTEMPTS {
            match ask::<i64>(&lock(&self.connection), &sql) {
                Ok(ended) => {
                    tracing::debug!(target: "posedata::lake", ended, "connections that were left");
                    return;
                }
                // What is left then ends with the server's patience.
                Err(_) => std::thread::sleep(CONNECT_PAUSE),
            }
        }
    }

    /// Where the lake's files lie; `None` where the database has no lake in its schema.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn data_path(&self) -> Result<Option<String>, LakeError> {
        let schema = &self.address.schema;
        let is_there = format!("SELECT to_regclass('{schema}.ducklake_metadata') IS NOT NULL");
        let connection = lock(&self.connection);
        if !ask::<bool>(&connection, &is_there)? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT max(value) FROM {schema}.ducklake_metadata WHERE key = 'data_path' AND scope IS NULL"
        );
        Ok(ask(&connection, &sql)?)
    }

    /// As [`Self::data_path`] of a new session, which `connection` is for; again where the way to the
    /// database is lost meanwhile.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`Self::data_path`].
    pub fn data_path_at(
        connection: &Connection,
        address: &PostgresAddress,
    ) -> Result<Option<String>, LakeError> {
        let mut attempt = 1;
        loop {
            match Self::connect(connection, address)?.data_path() {
                Err(LakeError::Database(message))
                    if attempt < CONNECT_ATTEMPTS && is_passing(&message) =>
                {
                    attempt += 1;
                    std::thread::sleep(CONNECT_PAUSE);
                }
                found => return found,
            }
        }
    }

    /// Names of the catalog's tables.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn tables(&self) -> Result<Vec<String>, LakeError> {
        let sql = format!(
            "SELECT coalesce(string_agg(table_name, ','), '') FROM information_schema.tables
             WHERE table_schema = '{}' AND table_name LIKE 'ducklake%'",
            self.address.schema
        );
        let tables: String = ask(&lock(&self.connection), &sql)?;
        Ok(tables.split(',').map(str::to_owned).collect())
    }

    /// Bytes of the catalog's tables and their indexes.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn byte_size(&self) -> Result<u64, LakeError> {
        let sql = format!(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname = '{}' AND c.relkind = 'r' AND c.relname LIKE 'ducklake%'",
            self.address.schema
        );
        Ok(ask(&lock(&self.connection), &sql)?)
    }

    /// Makes the index by which the statistics of one column are found, unless it is there. For each
    /// column in a condition DuckLake asks for those of all files, and the table has a row for each
    /// file and column: without the index it is read as a whole.
    ///
    /// # Errors
    /// What the database says.
    pub fn add_index(&self, session: &Connection) -> duckdb::Result<()> {
        let schema = &self.address.schema;
        let is_there = format!("SELECT to_regclass('{schema}.{STATISTICS_INDEX}') IS NOT NULL");
        if ask::<bool>(&lock(&self.connection), &is_there)? {
            return Ok(());
        }
        let create = format!(
            "CREATE INDEX IF NOT EXISTS {STATISTICS_INDEX}
             ON {schema}.ducklake_file_column_stats (table_id, column_id)"
        );
        // The lock's own transaction is always taken back.
        session.execute_batch(&format!(
            "CALL postgres_execute('{LOCK_NAME}', {})",
            quoted_text(&create)
        ))
    }

    /// Attaches the catalog as it is wanted, unless it is attached so; gives whether it was not.
    ///
    /// # Errors
    /// What the database says.
    pub fn attach(
        &self,
        connection: &Connection,
        catalog: &Catalog,
        access: Access,
        version: Option<u64>,
    ) -> duckdb::Result<bool> {
        let is_writable = access == Access::ReadWrite;
        let mut attached = lock(&self.attached);
        let is_enough = |attached: &Attached| {
            attached.version == version && (attached.is_writable || !is_writable)
        };
        if attached.as_ref().is_some_and(is_enough) {
            connection.execute_batch(&format!("USE {LAKE_NAME}"))?;
            return Ok(false);
        }
        *attached = None;
        connection.execute_batch(&Catalog::detach(LAKE_NAME))?;
        connection.execute_batch(&catalog.attach(LAKE_NAME, access, version))?;
        *attached = Some(Attached {
            is_writable,
            version,
        });
        Ok(true)
    }

    /// Keeps the catalog attached and out of the way: while it is in use, each query, whatever it is
    /// about, first asks the catalog for the functions that it names.
    pub fn rest(&self, connection: &Connection) {
        // Whoever is next says what is to be used.
        let _ = connection.execute_batch("USE memory");
    }

    /// Lets go of the catalog: whatever is wrong with its connections goes with them.
    pub fn detach(&self, connection: &Connection) {
        *lock(&self.attached) = None;
        // What cannot be let go of is found and told of by the next attachment.
        let _ = connection.execute_batch(&Catalog::detach(LAKE_NAME));
    }

    /// Takes the lake's lock out of the session, before it is handed to those who only read.
    ///
    /// # Errors
    /// What the database says.
    pub fn leave(self, connection: &Connection) -> duckdb::Result<()> {
        drop(self.connection);
        connection.execute_batch(&format!("DETACH DATABASE IF EXISTS {LOCK_NAME}"))
    }

    /// Waits until nobody else may commit.
    ///
    /// # Errors
    /// When others hold the lock for longer than `timeout`, the work is called off, or the database
    /// cannot be reached.
    pub fn lock(
        &self,
        timeout: Duration,
        cancellation: &Cancellation,
    ) -> Result<LakeLock, LakeError> {
        let started = Instant::now();
        let sql = format!(
            "SELECT pg_advisory_xact_lock({})::text",
            self.address.lock_key()
        );
        loop {
            let taken = {
                let connection = lock(&self.connection);
                let begun = begin(&connection);
                begun.and_then(|()| ask::<String>(&connection, &sql))
            };
            let error = match taken {
                Ok(_) => return Ok(LakeLock::new(Arc::clone(&self.connection))),
                Err(error) => database_message(error),
            };
            roll_back(&lock(&self.connection));
            if cancellation.is_cancelled() {
                return Err(LakeError::Cancelled);
            }
            if !error.contains("lock timeout") {
                return Err(LakeError::Database(error));
            }
            if started.elapsed() > timeout {
                return Err(LakeError::Locked {
                    path: self.address.to_string().into(),
                    waited_secs: started.elapsed().as_secs(),
                });
            }
        }
    }

    /// A new connection to the database for the lock, in place of one that is gone.
    pub fn reconnect(&self, session: &Connection) {
        let mut connection = lock(&self.connection);
        roll_back(&connection);
        if let Ok(new) = session.try_clone() {
            *connection = new.into();
        }
    }
}

/// Held by the one committer.
pub(super) struct LakeLock {
    connection: Arc<Mutex<SessionConnection>>,
    is_done: Cancellation,
    signs_of_life: Option<JoinHandle<()>>,
}

impl LakeLock {
    fn new(connection: Arc<Mutex<SessionConnection>>) -> Self {
        let is_done = Cancellation::new();
        let signs_of_life = std::thread::Builder::new()
            .name("lake lock".into())
            .spawn({
                let (connection, is_done) = (Arc::clone(&connection), is_done.clone());
                move || {
                    while is_done.sleep(SIGN_OF_LIFE) {
                        // A holder that was thrown out learns it when it commits.
                        let _ = ask::<i32>(&lock(&connection), "SELECT 1::INTEGER");
                    }
                }
            })
            .ok();
        Self {
            connection,
            is_done,
            signs_of_life,
        }
    }
}

impl Drop for LakeLock {
    fn drop(&mut self) {
        self.is_done.cancel();
        if let Some(thread) = self.signs_of_life.take() {
            let _ = thread.join();
        }
        roll_back(&lock(&self.connection));
    }
}

/// What libpq is told of a connection: under which name it is known, and that neither side waits for
/// ever for another that is gone. `server_settings` are given to the server beside those.
fn connection_settings(session_name: &str, server_settings: &str) -> String {
    format!(
        "application_name={session_name} keepalives=1 keepalives_idle={KEEPALIVE_IDLE_SECS} \
         keepalives_interval={KEEPALIVE_INTERVAL_SECS} keepalives_count={KEEPALIVE_COUNT} \
         tcp_user_timeout={UNACKNOWLEDGED_MILLIS} \
         options='-c tcp_keepalives_idle={KEEPALIVE_IDLE_SECS} \
         -c tcp_keepalives_interval={KEEPALIVE_INTERVAL_SECS} \
         -c tcp_keepalives_count={KEEPALIVE_COUNT}{server_settings}'"
    )
}

/// One value that the database itself computes.
fn ask<T: duckdb::types::FromSql>(connection: &Connection, sql: &str) -> duckdb::Result<T> {
    let query = format!("FROM postgres_query('{LOCK_NAME}', {})", quoted_text(sql));
    connection.query_row(&query, [], |row| row.get(0))
}

fn begin(connection: &Connection) -> duckdb::Result<()> {
    connection.execute_batch("BEGIN")
}

fn roll_back(connection: &Connection) {
    // Without a transaction there is nothing to take back.
    let _ = connection.execute_batch("ROLLBACK");
}

/// Lets the session reach the bucket of a lake's files; `connection` has DuckDB's extension for it.
///
/// # Errors
/// When the database refuses the settings.
pub(super) fn reach_bucket(
    connection: &Connection,
    bucket: &str,
    settings: &S3Settings,
) -> Result<(), LakeError> {
    // Otherwise DuckDB takes what stands behind a question mark for settings, other servers among
    // them, whatever folders a sealed session may read.
    connection.execute_batch("SET s3_url_compatibility_mode = true")?;
    if settings.is_anonymous {
        return Ok(());
    }
    let mut secret = format!(
        "CREATE OR REPLACE SECRET posedata_files (TYPE s3, SCOPE {}, REGION {}, URL_COMPATIBILITY_MODE true",
        quoted_text(&format!("s3://{bucket}")),
        quoted_text(&settings.region)
    );
    match &settings.keys {
        Some(keys) => {
            secret += &format!(
                ", KEY_ID {}, SECRET {}",
                quoted_text(keys.id.reveal()),
                quoted_text(keys.secret.reveal())
            );
            if let Some(token) = &keys.token {
                secret += &format!(", SESSION_TOKEN {}", quoted_text(token.reveal()));
            }
        }
        None => secret += ", PROVIDER credential_chain",
    }
    if let Some(endpoint) = &settings.endpoint {
        let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
        secret += &format!(
            ", ENDPOINT {}, URL_STYLE 'path', USE_SSL {}",
            quoted_text(host),
            scheme != "http"
        );
    }
    secret += ")";
    connection
        .execute_batch(&secret)
        .map_err(|e| LakeError::Database(settings.redact(&database_message(e))))
}

/// Whether the same again may go well: the database was not there, or somebody else was faster.
pub(super) fn is_passing(message: &str) -> bool {
    const SIGNS: [&str; 15] = [
        "Transaction conflict",
        "could not serialize access",
        "deadlock detected",
        "server closed the connection",
        "terminating connection",
        "connection to server",
        "Unable to connect",
        "could not connect",
        "could not receive data",
        "could not send data",
        "no connection to the server",
        "connection has been closed",
        "the database system is",
        "Could not establish connection",
        LOST_IN_ROLLBACK,
    ];
    SIGNS.iter().any(|sign| message.contains(sign)) || is_given_up(message)
}

/// Whether DuckDB refuses all further work in its own database, after an error of another one.
pub(super) fn is_given_up(message: &str) -> bool {
    message.contains("database has been invalidated")
}

/// Whether the server was there, and then was not.
fn is_cut_off(message: &str) -> bool {
    [
        "server closed the connection",
        "terminating connection",
        "the database system is",
        LOST_IN_ROLLBACK,
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// What libpq says, without the settings that DuckDB puts before it.
fn unreachable_reason(message: &str) -> String {
    const SERVER: &str = "connection to server";
    let reason = match message.split_once("Unable to connect to Postgres at \"") {
        Some((_, rest)) => rest
            .split_once("\": ")
            .map_or(message, |(_, reason)| reason),
        None => message,
    };
    let reason = reason.find(SERVER).map_or(reason, |at| &reason[at..]);
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_server_that_cannot_be_reached_only_the_reason_is_told() {
        let settings = connection_settings("posedata-1", " -c lock_timeout=1s");
        for (reason, expected) in [
            (
                "could not translate host name \"nowhere\" to address: Name or service not known",
                "could not translate host name \"nowhere\" to address: Name or service not known",
            ),
            (
                "connection to server at \"127.0.0.1\", port 9 failed: Connection refused\n\tIs it running?",
                "connection to server at \"127.0.0.1\", port 9 failed: Connection refused Is it running?",
            ),
        ] {
            let message =
                format!("IO Error: Unable to connect to Postgres at \"{settings}\": {reason}");
            assert_eq!(unreachable_reason(&message), expected);
            assert_eq!(unreachable_reason(reason), expected);
        }
    }
}
