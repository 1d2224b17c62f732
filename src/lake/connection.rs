//! Connections to DuckDB's databases of a session that can be let go of at any moment.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use duckdb::Connection;

/// What DuckDB says where there is nothing to take back.
const NOTHING_OPEN: &str = "no transaction is active";
/// The first try to take a transaction back may fail because the server is gone; it is over then, which
/// the second one tells.
const ROLLBACK_ATTEMPTS: usize = 2;

/// A connection whose transaction is taken back when it goes out of scope.
///
/// DuckDB does that as well, in a destructor, and ends the process where it fails: so it is done before,
/// and a connection with a transaction that cannot be taken back is never destroyed. That is one of a
/// database that DuckDB has given up, which refuses every statement; what such a connection holds goes
/// with the process.
pub struct SessionConnection(ManuallyDrop<Connection>);

impl From<Connection> for SessionConnection {
    fn from(connection: Connection) -> Self {
        Self(ManuallyDrop::new(connection))
    }
}

impl Deref for SessionConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl fmt::Debug for SessionConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl SessionConnection {
    /// Takes back what is open; whether nothing is open then.
    fn is_closed(&self) -> bool {
        (0..ROLLBACK_ATTEMPTS).any(|_| match self.execute_batch("ROLLBACK") {
            Ok(()) => true,
            Err(error) => error.to_string().contains(NOTHING_OPEN),
        })
    }
}

impl Drop for SessionConnection {
    fn drop(&mut self) {
        if self.is_closed() {
            // SAFETY: it is not used any more, for the value around it is being dropped.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        } else {
            tracing::info!(
                target: "posedata::lake",
                "a connection of a database that DuckDB gave up is left as it is"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_taken_back_and_nothing_open_is_well() {
        let observer = Connection::open_in_memory().expect("a database");
        observer
            .execute_batch("CREATE TABLE t (a INTEGER)")
            .expect("a table");
        let connect = || SessionConnection::from(observer.try_clone().expect("a connection"));
        let open = connect();
        open.execute_batch("BEGIN; INSERT INTO t VALUES (1)")
            .expect("a row");
        assert!(open.is_closed());
        assert!(open.is_closed(), "a second time as well");
        let failed = connect();
        let error = failed.execute_batch("BEGIN; INSERT INTO t VALUES (1); SELECT error('no')");
        assert!(error.is_err());
        drop(failed);
        let left = connect();
        left.execute_batch("BEGIN; INSERT INTO t VALUES (1)")
            .expect("a row");
        drop(left);
        let rows: i64 = observer
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .expect("a number");
        assert_eq!(rows, 0);
    }
}
