//! Moments as the lake keeps them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::temporal_conversions::timestamp_us_to_datetime;
use duckdb::ToSql;
use duckdb::types::{TimeUnit, ToSqlOutput, Value};
use serde::{Serialize, Serializer};

/// A moment, in microseconds since 1970-01-01 UTC; serialised as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcTime(i64);

impl UtcTime {
    /// By the system's clock; 1970 where that is set to a time before.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_micros() as i64))
    }

    pub(super) fn micros(self) -> i64 {
        self.0
    }

    /// The moment as chrono's `format` has it.
    pub(super) fn format(self, format: &str) -> String {
        // Only times hundreds of thousands of years away have no date.
        timestamp_us_to_datetime(self.0).map_or_else(String::new, |t| t.format(format).to_string())
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for UtcTime {
    fn to_sql(&self) -> duckdb::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Timestamp(
            TimeUnit::Microsecond,
            self.0,
        )))
    }
}
