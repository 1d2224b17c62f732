//! The lake: Hive-partitioned Parquet files and their DuckLake catalog in an embedded database.
//!
//! Nothing else knows DuckLake. The catalog is attached for the milliseconds that a look or a
//! commit takes, so that any number of processes can work on one lake; whoever finds it locked
//! waits and tries again.

mod address;
mod analysis;
mod audit;
mod catalog;
mod checksums;
mod columns;
mod commit;
mod connection;
mod data_files;
mod database;
mod datasets;
mod derived;
mod describe;
mod error;
mod extension;
mod frames;
mod info;
mod inventory;
mod location;
mod lost_files;
mod maintenance;
mod movement;
mod records;
mod remote;
mod removal;
mod resolution;
mod rows;
mod runs;
mod schema;
mod selection;
mod session;
mod sources;
mod sql;
mod staged;
mod table_file;
mod time;
mod training;
mod writer;

pub use address::{LakeAddress, PostgresAddress};
pub use analysis::{AnalysisKey, AnalysisRow, AnalysisWriter};
pub use audit::{CheckReport, Finding, Severity};
pub use catalog::LAKE_NAME;
pub use commit::{CommitOutcome, PreparedVideo, Replace};
pub use connection::SessionConnection;
pub use datasets::{DatasetRecord, ExampleRow, example_batch};
pub use derived::{CalibratedFrame, DerivedWriter, FilteredFrame, FilteredLandmark, MeasuredFrame};
pub use describe::{ColumnDescription, TableDescription, describe_tables};
pub use error::{LakeError, database_message};
pub use extension::Extensions;
pub use frames::{FrameReader, VideoFrame};
pub use info::{LakeInfo, PoseModelInfo, SnapshotInfo, TableInfo};
pub use location::LakePaths;
pub use maintenance::{
    CompactReport, CompactedTable, Execution, ExpireReport, Retention, VacuumReport,
};
pub use movement::PersonMovement;
pub use records::{IngestedVideo, PersonRecord, PictureRecord, VideoRecord};
pub use removal::{RemoveReport, RemovedRows};
pub use resolution::to_lake_resolution;
pub use rows::PersonRow;
pub use runs::{RunError, RunOutcome, RunRecord, run_id};
pub use schema::{FORMAT_VERSION, ROWS_VERSION, table_macros};
pub use session::{LOCK_TIMEOUT, Lake, LakeReader, Snapshot};
pub use sources::VideoSource;
pub use staged::StagedFile;
pub use time::UtcTime;
pub use training::{TrainingRecord, TrainingResult};
pub use writer::{MAX_BUFFERED_BYTES, StagedVideo, VideoWriter, metrics_of_frames};

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, SchemaRef};

    use super::columns::Layout;
    use super::describe_tables;

    /// Type and whether NULL is taken, as the schemas say it.
    fn columns_of(schema: &SchemaRef) -> Vec<(String, &'static str, bool)> {
        let columns = schema.fields().iter().map(|field| {
            let data_type = match field.data_type() {
                DataType::Utf8 | DataType::Dictionary(..) => "VARCHAR",
                DataType::Boolean => "BOOLEAN",
                DataType::Int8 => "TINYINT",
                DataType::Int16 => "SMALLINT",
                DataType::Int32 => "INTEGER",
                DataType::Float32 => "FLOAT",
                DataType::Float64 => "DOUBLE",
                other => panic!("{other}"),
            };
            (field.name().clone(), data_type, field.is_nullable())
        });
        columns.collect()
    }

    #[test]
    fn columns_of_files_are_those_of_the_schemas() {
        let key = super::AnalysisKey {
            model_sha256: String::new(),
            window_frames: 1,
        };
        let metrics = Layout::of(&super::rows::metrics_columns(""));
        let filtering = Layout::of(&super::derived::filtering_columns(6.0));
        let layouts = [
            ("landmarks", Layout::of(&super::rows::landmarks_columns(""))),
            ("metrics", metrics.clone()),
            (
                "landmarks_filtered",
                Layout::of(&super::derived::filtered_landmarks_columns("")),
            ),
            ("metrics_filtered", metrics.followed_by(&filtering)),
            ("events", Layout::of(&super::movement::event_columns(""))),
            ("cycles", Layout::of(&super::movement::cycle_columns(""))),
            ("analysis", Layout::of(&super::analysis::columns("", &key))),
            ("examples", Layout::of(&super::datasets::example_columns())),
        ];
        let tables = describe_tables().expect("schemas");
        for (name, layout) in layouts {
            let table = tables.iter().find(|table| table.name == name);
            let table = table.expect("a table");
            let described = table.columns.iter();
            let described: Vec<_> = described
                .filter(|column| Some(&column.name) != table.partition.as_ref())
                .map(|c| (c.name.clone(), c.data_type.as_str(), c.is_nullable))
                .collect();
            assert_eq!(columns_of(&layout.schema), described, "{name}");
        }
    }
}
