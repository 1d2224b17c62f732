//! Lakes that benches make with SQL of their own.

use std::path::Path;

use duckdb::{Config, Connection};
use posedata::models::ModelStore;

/// A session that has a lake attached for writing, and in use.
pub fn attach(store: &ModelStore, lake: &Path) -> Connection {
    let config = Config::default()
        .allow_unsigned_extensions()
        .expect("a setting");
    let connection = Connection::open_in_memory_with_flags(config).expect("a database");
    let extension = store.ducklake_extension().expect("the manifest names it");
    execute(
        &connection,
        &format!(
            "LOAD '{}'; ATTACH 'ducklake:{lake}/catalog.ducklake' AS lake
                 (DATA_PATH '{lake}/data/', OVERRIDE_DATA_PATH true); USE lake",
            extension.display(),
            lake = lake.display()
        ),
    );
    connection
}

pub fn execute(connection: &Connection, sql: &str) {
    connection
        .execute_batch(sql)
        .unwrap_or_else(|e| panic!("{e}: {sql}"));
}
