//! The lake: Hive-partitioned Parquet files and their DuckLake catalog in an embedded database.
//!
//! Nothing else knows DuckLake. The catalog is attached for the milliseconds that a look or a
//! commit takes, so that any number of processes can work on one lake; whoever finds it locked
//! waits and tries again.

mod analysis;
mod audit;
mod catalog;
mod checksums;
mod commit;
mod datasets;
mod derived;
mod describe;
mod error;
mod frames;
mod info;
mod inventory;
mod location;
mod lost_files;
mod maintenance;
mod records;
mod removal;
mod resolution;
mod runs;
mod schema;
mod selection;
mod session;
mod sql;
mod staged;
mod table_file;
mod time;
mod training;
mod writer;

pub use analysis::{AnalysisKey, AnalysisRow, AnalysisWriter};
pub use audit::{CheckReport, Finding, Severity};
pub use catalog::LAKE_NAME;
pub use commit::{CommitOutcome, Replace};
pub use datasets::{DatasetRecord, EXAMPLE_COLUMNS, ExampleRow, example_batch};
pub use derived::{CalibratedFrame, DerivedWriter, FilteredFrame, FilteredLandmark, MeasuredFrame};
pub use describe::{ColumnDescription, TableDescription, describe_tables};
pub use error::{LakeError, database_message};
pub use frames::{FrameReader, VideoFrame};
pub use info::{LakeInfo, SnapshotInfo, TableInfo};
pub use location::LakePaths;
pub use maintenance::{
    CompactReport, CompactedTable, Execution, ExpireReport, Retention, VacuumReport,
};
pub use records::{IngestedVideo, PersonRecord, PictureRecord, VideoRecord};
pub use removal::{RemoveReport, RemovedRows};
pub use resolution::to_lake_resolution;
pub use runs::{RunError, RunOutcome, RunRecord, run_id};
pub use schema::{FORMAT_VERSION, ROWS_VERSION};
pub use session::{LOCK_TIMEOUT, Lake, LakeReader};
pub use staged::StagedFile;
pub use table_file::{Storage, TableFile, storage_by_type};
pub use time::UtcTime;
pub use training::{TrainingRecord, TrainingResult};
pub use writer::{MAX_BUFFERED_BYTES, PersonRow, StagedVideo, VideoWriter, metrics_of_frames};
