//! Verifies every file of the lake against the catalog, and every video against its rows; mends
//! what can be mended.
//!
//! The catalog is held only while it is copied; everything else is done with the private copy, so
//! that others go on reading and committing. Files that turn out to be lost are taken out of the
//! copy, which makes all the others readable. When something is wrong and the lake has changed
//! meanwhile, the check is done again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use duckdb::Connection;
use serde::Serialize;

use super::catalog::{Access, CATALOG_BLOCK_BYTES, first_line, is_missing_table, quoted};
use super::inventory::{CatalogFile, FileKind, METADATA, catalog_files, recorded_paths, strays};
use super::maintenance::{hash_file, parquet, read_whole, strike_from, table_in, tables_of_videos};
use super::{FORMAT_VERSION, LAKE_NAME, Lake, LakeError, database_message};
use crate::files::why_not_written;
use crate::pose::landmark::LANDMARK_COUNT;

/// Name under which the private copy of the catalog is attached.
const COPY_NAME: &str = "checked";
/// How often to look again at a lake that others change meanwhile.
const MAX_ATTEMPTS: usize = 3;
/// Columns that tell rows of a table of frames apart, as far as a table has them.
const KEY_COLUMNS: [&str; 7] = [
    "video_id",
    "person",
    "frame",
    "landmark_index",
    "model_sha256",
    "output",
    "output_index",
];
/// Tables that are filled at ingest; the rows of all others are computed from them.
const INGESTED_TABLES: [&str; 2] = ["landmarks", "metrics"];
/// Columns that DuckLake adds to files that it has merged.
const INTERNAL_PREFIX: &str = "_ducklake_internal";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Rows are lost or wrong.
    Damage,
    /// A killed process left something behind; it only takes up room.
    Leftover,
    /// Nothing is wrong, but something could be better.
    Note,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The file or video.
    pub subject: String,
    pub cause: String,
    pub remedy: String,
}

/// What `posedata lake check` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub lake: PathBuf,
    pub format_version: i32,
    pub snapshot: u64,
    /// Nothing is lost or wrong.
    pub whole: bool,
    pub videos: u64,
    pub files: u64,
    pub bytes: u64,
    /// Files that living processes work on.
    pub files_in_work: u64,
    pub findings: Vec<Finding>,
    /// What `--repair` did.
    pub repairs: Vec<String>,
}

/// What a repair has to deal with.
#[derive(Default)]
struct Faults {
    lost_files: Vec<CatalogFile>,
    /// Ids of videos whose rows are wrong, and of rows without a video.
    broken_videos: BTreeMap<String, Option<VideoFacts>>,
}

/// What the lake says of a video.
#[derive(Clone)]
struct VideoFacts {
    file_name: String,
    path: String,
    sport: String,
    pose_model: String,
    frame_count: u64,
    pose_frame_count: u64,
    copies: u64,
}

/// What was read while the catalog was held.
struct Census {
    state: LakeState,
    format_version: i32,
    files: Vec<CatalogFile>,
    checksums: HashMap<String, Checksum>,
    recorded: HashSet<String>,
    columns: HashMap<String, Vec<Column>>,
    findings: Vec<Finding>,
    files_in_work: u64,
}

struct Checksum {
    blake3: String,
}

/// Changes whenever somebody commits, expires or compacts.
#[derive(PartialEq, Eq)]
struct LakeState {
    newest_snapshot: u64,
    files: Vec<String>,
}

/// Attached until it goes out of scope.
struct Copy<'a> {
    connection: &'a Connection,
    folder: tempfile::TempDir,
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        // A copy that cannot be detached ends with the session.
        let detach = format!("USE memory; DETACH DATABASE IF EXISTS {COPY_NAME}");
        let _ = self.connection.execute_batch(&detach);
    }
}

impl Copy<'_> {
    fn catalog(&self) -> PathBuf {
        self.folder.path().join("catalog")
    }
}

impl Lake {
    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// When there is no lake or its catalog cannot be read.
    pub fn check(&self) -> Result<CheckReport, LakeError> {
        self.must_exist()?;
        Ok(self.check_until_steady()?.0)
    }

    /// Mends what can be mended and looks again.
    ///
    /// What killed processes left is deleted, missing checksums are recorded, an older format is
    /// upgraded. Lost files are taken out of the catalog (and moved to the folder `damaged`), and
    /// videos whose rows are not all there are removed, each in one transaction.
    ///
    /// # Errors
    /// When there is no lake, or it cannot be read or written.
    pub fn repair(&self) -> Result<CheckReport, LakeError> {
        self.must_exist()?;
        let mut repairs = Vec::new();
        let (before, faults) = self.check_until_steady()?;
        if before.format_version < FORMAT_VERSION {
            self.upgrade()?;
            repairs.push(format!(
                "upgraded the lake from format {} to {FORMAT_VERSION}",
                before.format_version
            ));
        }
        if !faults.lost_files.is_empty() {
            self.strike(&faults.lost_files)?;
            for file in &faults.lost_files {
                repairs.push(format!("took out of the catalog: {}", file.path));
            }
        }
        let ids: Vec<String> = faults.broken_videos.keys().cloned().collect();
        if !ids.is_empty() {
            self.remove_videos(&ids)?;
            for (id, facts) in &faults.broken_videos {
                repairs.push(match facts {
                    Some(facts) => format!(
                        "removed {} ({}); `{}` brings it back",
                        facts.file_name,
                        short(id),
                        facts.ingest_command()
                    ),
                    None => format!(
                        "deleted the rows of {}, which is no video of the lake",
                        short(id)
                    ),
                });
            }
        }
        let swept = self.vacuum_abandoned()?;
        if swept.0 > 0 {
            let (files, bytes) = swept;
            repairs.push(format!(
                "deleted {files} files ({bytes} bytes) that killed processes had left behind"
            ));
        }
        let recorded = self.record_checksums()?;
        if recorded > 0 {
            repairs.push(format!("recorded the checksums of {recorded} files"));
        }
        let (mut report, _) = self.check_until_steady()?;
        report.repairs = repairs;
        Ok(report)
    }

    fn vacuum_abandoned(&self) -> Result<(u64, u64), LakeError> {
        self.attached(Access::ReadWrite, |connection| {
            let mut swept = (0, 0);
            for stray in strays(connection, self.paths())?.abandoned {
                let (path, bytes) = (stray.path.clone(), stray.byte_size);
                stray.delete().map_err(|e| LakeError::Write {
                    path,
                    reason: why_not_written(&e),
                })?;
                swept = (swept.0 + 1, swept.1 + bytes);
            }
            Ok(swept)
        })
    }

    fn check_until_steady(&self) -> Result<(CheckReport, Faults), LakeError> {
        let mut attempt = 1;
        loop {
            let (census, copy) = self.census()?;
            let (report, faults) = self.check_copy(&census, &copy)?;
            drop(copy);
            // Somebody may have replaced a video and deleted its old files while they were read.
            if report.whole || attempt == MAX_ATTEMPTS || self.state()? == census.state {
                return Ok((report, faults));
            }
            attempt += 1;
        }
    }

    fn state(&self) -> Result<LakeState, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let files = catalog_files(connection, METADATA, self.paths())?;
            lake_state(connection, &files)
        })
    }

    /// Copies the catalog and looks through the lake's folder, while nobody can commit.
    fn census(&self) -> Result<(Census, Copy<'_>), LakeError> {
        let connection = self.connection();
        let folder = tempfile::tempdir_in(self.scratch()).map_err(|e| LakeError::Write {
            path: self.scratch().into(),
            reason: why_not_written(&e),
        })?;
        let copy = Copy { connection, folder };
        let census = self.attached(Access::ReadOnly, |connection| {
            connection.execute_batch(&format!(
                "ATTACH {} AS {COPY_NAME} (BLOCK_SIZE {CATALOG_BLOCK_BYTES});
                 COPY FROM DATABASE {METADATA} TO {COPY_NAME}",
                quoted(&copy.catalog())
            ))?;
            let files = catalog_files(connection, METADATA, self.paths())?;
            let strays = strays(connection, self.paths())?;
            let mut findings = Vec::new();
            for stray in &strays.abandoned {
                findings.push(Finding {
                    severity: Severity::Leftover,
                    subject: self.below_root(&stray.path),
                    cause: format!(
                        "a killed process left it behind ({} bytes)",
                        stray.byte_size
                    ),
                    remedy: "posedata lake vacuum".into(),
                });
            }
            for path in &strays.foreign {
                findings.push(Finding {
                    severity: Severity::Note,
                    subject: self.below_root(path),
                    cause: "it is no file of a lake".into(),
                    remedy: "move it elsewhere".into(),
                });
            }
            Ok(Census {
                state: lake_state(connection, &files)?,
                format_version: self.check_format()?,
                checksums: checksums(connection)?,
                recorded: recorded_paths(connection)?,
                columns: columns(connection)?,
                files_in_work: strays.in_work,
                files,
                findings,
            })
        })?;
        Ok((census, copy))
    }

    fn check_copy(
        &self,
        census: &Census,
        copy: &Copy<'_>,
    ) -> Result<(CheckReport, Faults), LakeError> {
        let mut findings = census.findings.clone();
        let mut faults = Faults::default();
        if census.format_version < FORMAT_VERSION {
            findings.push(Finding {
                severity: Severity::Note,
                subject: "catalog.ducklake".into(),
                cause: format!(
                    "the lake has format {}, the newest is {FORMAT_VERSION}",
                    census.format_version
                ),
                remedy: "posedata lake upgrade".into(),
            });
        }
        let mut bytes = 0;
        let mut unrecorded = 0;
        for file in &census.files {
            bytes += file.byte_size;
            match self.check_file(copy.connection, file, census) {
                Ok(()) => {
                    unrecorded += u64::from(
                        file.is_current
                            && file.kind == FileKind::Rows
                            && !census.recorded.contains(&file.path),
                    );
                }
                Err(cause) => {
                    findings.push(self.lost_file_finding(file, cause));
                    faults.lost_files.push(file.clone());
                }
            }
        }
        if unrecorded > 0 {
            findings.push(Finding {
                severity: Severity::Note,
                subject: format!("{unrecorded} files"),
                cause: "their checksums are not recorded".into(),
                remedy: "posedata lake check --repair".into(),
            });
        }
        // Without the list of its deleted rows a file is of no use.
        let lost_deletions: HashSet<i64> = faults
            .lost_files
            .iter()
            .filter(|file| file.kind == FileKind::Deletions)
            .map(|file| file.data_file_id)
            .collect();
        let of_lost_deletions = census.files.iter().filter(|file| {
            file.kind == FileKind::Rows && lost_deletions.contains(&file.data_file_id)
        });
        for file in of_lost_deletions {
            if !faults.lost_files.contains(file) {
                faults.lost_files.push(file.clone());
            }
        }
        strike_from(copy.connection, COPY_NAME, &faults.lost_files)?;
        self.attach_copy_as_lake(copy)?;
        let videos = self.check_rows(copy.connection, census, &mut findings, &mut faults)?;
        findings.sort_by_key(|finding| finding.severity);
        let report = CheckReport {
            lake: self.paths().root().into(),
            format_version: census.format_version,
            snapshot: census.state.newest_snapshot,
            whole: findings.iter().all(|f| f.severity != Severity::Damage),
            videos,
            files: census.files.len() as u64,
            bytes,
            files_in_work: census.files_in_work,
            findings,
            repairs: Vec::new(),
        };
        Ok((report, faults))
    }

    /// Makes the copied catalog a lake over the real files.
    fn attach_copy_as_lake(&self, copy: &Copy<'_>) -> Result<(), LakeError> {
        let source = quoted(Path::new(&format!("ducklake:{}", copy.catalog().display())));
        Ok(copy.connection.execute_batch(&format!(
            "USE memory; DETACH DATABASE IF EXISTS {COPY_NAME};
             ATTACH {source} AS {COPY_NAME} (DATA_PATH {}, OVERRIDE_DATA_PATH true, READ_ONLY);
             USE {COPY_NAME}",
            quoted(&self.paths().data())
        ))?)
    }

    /// What is wrong with a file.
    fn check_file(
        &self,
        connection: &Connection,
        file: &CatalogFile,
        census: &Census,
    ) -> Result<(), String> {
        let path = self.data_file(file);
        let metadata = fs::metadata(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
            _ => format!("the file cannot be read: {e}"),
        })?;
        if metadata.len() != file.byte_size {
            return Err(format!(
                "the file has {} bytes, the catalog says {}",
                metadata.len(),
                file.byte_size
            ));
        }
        if let Some(checksum) = census.checksums.get(&file.path) {
            let (blake3, _) =
                hash_file(&path).map_err(|e| format!("the file cannot be read: {e}"))?;
            if blake3 != checksum.blake3 {
                return Err("its bytes have changed: the checksum differs".into());
            }
        }
        let unreadable = |e: &dyn std::fmt::Display| {
            let reason = e.to_string();
            format!(
                "it is no readable Parquet file: {}",
                reason.lines().next().unwrap_or_default()
            )
        };
        let footer = format!(
            "SELECT sum(num_rows)::UBIGINT FROM parquet_file_metadata({})",
            quoted(&path)
        );
        let in_footer: u64 = connection
            .query_row(&footer, [], |row| row.get(0))
            .map_err(|e| unreadable(&first_line(e)))?;
        // Only the newest snapshot's rows are worth the time that reading them takes.
        let read = match file.is_current {
            true => read_whole(connection, &path).map_err(|e| unreadable(&e))?,
            false => in_footer,
        };
        if in_footer != file.row_count || read != file.row_count {
            return Err(format!(
                "the catalog says {} rows, the file's footer {in_footer}, reading gives {read}",
                file.row_count
            ));
        }
        if file.kind == FileKind::Rows && file.is_current {
            let table = census
                .columns
                .get(&file.table)
                .map_or(&[][..], Vec::as_slice);
            check_columns(connection, &path, table)?;
        }
        Ok(())
    }

    fn lost_file_finding(&self, file: &CatalogFile, cause: String) -> Finding {
        let is_ingested = INGESTED_TABLES.contains(&file.table.as_str());
        Finding {
            severity: Severity::Damage,
            subject: format!("data/{}", file.path),
            cause: match file.is_current {
                true => cause,
                false => format!("{cause} (only older snapshots need it)"),
            },
            remedy: match (file.is_current, is_ingested) {
                (true, true) => {
                    "posedata lake check --repair takes it out; then ingest its videos again"
                }
                (true, false) => {
                    "posedata lake check --repair takes it out; then compute its rows again"
                }
                (false, _) => "posedata lake check --repair takes it out",
            }
            .into(),
        }
    }

    fn below_root(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.paths().root()).unwrap_or(path);
        below.display().to_string()
    }

    /// Compares each video with its rows; gives the number of videos.
    fn check_rows(
        &self,
        connection: &Connection,
        census: &Census,
        findings: &mut Vec<Finding>,
        faults: &mut Faults,
    ) -> Result<u64, LakeError> {
        let videos = videos(connection)?;
        let metrics = metrics_facts(connection)?;
        let landmarks = landmark_facts(connection)?;
        for (id, video) in &videos {
            let none = MetricsFacts::default();
            let mut causes = metrics.get(id).unwrap_or(&none).faults(video);
            let none = LandmarkFacts::default();
            causes.extend(landmarks.get(id).unwrap_or(&none).faults(video));
            if video.copies > 1 {
                causes.push(format!("it has {} rows in videos", video.copies));
            }
            if causes.is_empty() {
                continue;
            }
            findings.push(Finding {
                severity: Severity::Damage,
                subject: format!("{} ({})", video.file_name, short(id)),
                cause: causes.join("; "),
                remedy: format!(
                    "posedata lake check --repair removes it; then {}",
                    video.ingest_command()
                ),
            });
            faults.broken_videos.insert(id.clone(), Some(video.clone()));
        }
        for table in tables_of_videos(connection, COPY_NAME)? {
            for id in videos_of(connection, &table)? {
                if videos.contains_key(&id) {
                    continue;
                }
                findings.push(Finding {
                    severity: Severity::Damage,
                    subject: format!("table {table}"),
                    cause: format!(
                        "it has rows of {}, which is no video of the lake",
                        short(&id)
                    ),
                    remedy: "posedata lake check --repair deletes them".into(),
                });
                faults.broken_videos.insert(id, None);
            }
            // The tables filled at ingest were looked at more closely already.
            if INGESTED_TABLES.contains(&table.as_str()) {
                continue;
            }
            let columns = census.columns.get(&table).map_or(&[][..], Vec::as_slice);
            for id in duplicated(connection, &table, columns)? {
                let video = videos.get(&id);
                findings.push(Finding {
                    severity: Severity::Damage,
                    subject: video
                        .map_or(short(&id), |v| format!("{} ({})", v.file_name, short(&id))),
                    cause: format!("it has the same rows twice in {table}"),
                    remedy: "posedata lake check --repair removes it; then ingest it again".into(),
                });
                faults.broken_videos.insert(id, video.cloned());
            }
        }
        Ok(videos.len() as u64)
    }
}

struct Column {
    name: String,
    data_type: String,
    is_nullable: bool,
}

impl VideoFacts {
    fn ingest_command(&self) -> String {
        let path = self.path.replace('\'', "'\\''");
        let mut command = format!("posedata ingest '{path}'");
        if self.sport != "general" {
            command += &format!(" --sport-type {}", self.sport);
        }
        if self.pose_model != "full" {
            command += &format!(" --pose-model {}", self.pose_model);
        }
        command
    }
}

fn short(video_id: &str) -> String {
    video_id.chars().take(8).collect()
}

fn lake_state(connection: &Connection, files: &[CatalogFile]) -> Result<LakeState, LakeError> {
    let sql = "SELECT coalesce(max(snapshot_id), 0)::UBIGINT FROM ducklake_snapshots('lake')";
    Ok(LakeState {
        newest_snapshot: connection.query_row(sql, [], |row| row.get(0))?,
        files: files.iter().map(|file| file.path.clone()).collect(),
    })
}

/// The columns of each table.
fn columns(connection: &Connection) -> Result<HashMap<String, Vec<Column>>, LakeError> {
    let sql = format!(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
         WHERE database_name = '{LAKE_NAME}' ORDER BY table_name, column_index"
    );
    let mut tables: HashMap<String, Vec<Column>> = HashMap::new();
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let column = Column {
            name: row.get(1)?,
            data_type: row.get(2)?,
            is_nullable: row.get(3)?,
        };
        Ok((row.get::<_, String>(0)?, column))
    })?;
    for row in rows {
        let (table, column) = row?;
        tables.entry(table).or_default().push(column);
    }
    Ok(tables)
}

fn checksums(connection: &Connection) -> Result<HashMap<String, Checksum>, LakeError> {
    let mut statement = match connection.prepare("SELECT path, blake3 FROM files") {
        Err(error) if is_missing_table(&error) => return Ok(HashMap::new()),
        prepared => prepared?,
    };
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            Checksum {
                blake3: row.get(1)?,
            },
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn check_columns(connection: &Connection, path: &Path, table: &[Column]) -> Result<(), String> {
    let describe = format!("DESCRIBE SELECT * FROM {}", parquet(path));
    let columns = || -> Result<Vec<(String, String)>, duckdb::Error> {
        let mut statement = connection.prepare(&describe)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let in_file = columns().map_err(database_message)?;
    for (name, data_type) in &in_file {
        if name.starts_with(INTERNAL_PREFIX) {
            continue;
        }
        match table.iter().find(|column| column.name == *name) {
            Some(column) if column.data_type == *data_type => {}
            Some(column) => {
                return Err(format!(
                    "its column {name} is {data_type}, the table's is {}",
                    column.data_type
                ));
            }
            None => return Err(format!("its column {name} is not in the table")),
        }
    }
    // The partition's value is in the path.
    let partition = path.components().map(|c| c.as_os_str().to_string_lossy());
    let partition: Vec<String> = partition
        .filter_map(|folder| folder.split_once('=').map(|(name, _)| name.to_owned()))
        .collect();
    let has = |column: &Column| {
        partition.contains(&column.name) || in_file.iter().any(|(name, _)| *name == column.name)
    };
    match table
        .iter()
        .find(|column| !column.is_nullable && !has(column))
    {
        Some(column) => Err(format!("its column {} is missing", column.name)),
        None => Ok(()),
    }
}

fn videos(connection: &Connection) -> Result<BTreeMap<String, VideoFacts>, LakeError> {
    let mut statement = connection.prepare(
        "SELECT video_id, any_value(file_name), any_value(path), any_value(sport),
             any_value(pose_model), max(frame_count), max(pose_frame_count), count(*)
         FROM videos GROUP BY video_id",
    )?;
    let rows = statement.query_map([], |row| {
        let facts = VideoFacts {
            file_name: row.get(1)?,
            path: row.get(2)?,
            sport: row.get(3)?,
            pose_model: row.get(4)?,
            frame_count: row.get(5)?,
            pose_frame_count: row.get(6)?,
            copies: row.get(7)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What the table `metrics` has of a video.
#[derive(Default)]
struct MetricsFacts {
    frames: u64,
    first_frame: i64,
    last_frame: i64,
    pose_frames: u64,
    /// Rows beyond one per person and frame.
    surplus_rows: u64,
}

fn metrics_facts(connection: &Connection) -> Result<HashMap<String, MetricsFacts>, LakeError> {
    let mut statement = connection.prepare(
        "WITH per_frame AS (
             SELECT video_id, frame, count(*) - count(DISTINCT person) AS surplus,
                 bool_or(quality <> 'no_pose') AS has_pose
             FROM metrics GROUP BY video_id, frame
         )
         SELECT video_id, count(*), min(frame), max(frame), count(*) FILTER (has_pose),
             sum(surplus)::UBIGINT
         FROM per_frame GROUP BY video_id",
    )?;
    let rows = statement.query_map([], |row| {
        let facts = MetricsFacts {
            frames: row.get(1)?,
            first_frame: row.get(2)?,
            last_frame: row.get(3)?,
            pose_frames: row.get(4)?,
            surplus_rows: row.get(5)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl MetricsFacts {
    fn faults(&self, video: &VideoFacts) -> Vec<String> {
        let mut causes = Vec::new();
        if self.frames != video.frame_count {
            causes.push(format!(
                "metrics has {} of its {} frames",
                self.frames, video.frame_count
            ));
        } else if self.frames > 0
            && (self.first_frame, self.last_frame) != (0, self.frames as i64 - 1)
        {
            causes.push(format!(
                "metrics has frames {} to {}, not 0 to {}",
                self.first_frame,
                self.last_frame,
                self.frames - 1
            ));
        }
        if self.pose_frames != video.pose_frame_count && self.frames == video.frame_count {
            causes.push(format!(
                "metrics has {} frames with a pose, videos says {}",
                self.pose_frames, video.pose_frame_count
            ));
        }
        if self.surplus_rows > 0 {
            causes.push(format!("metrics has {} rows twice", self.surplus_rows));
        }
        causes
    }
}

/// What the table `landmarks` has of a video.
#[derive(Default)]
struct LandmarkFacts {
    pose_frames: u64,
    /// Persons in frames that do not have each landmark once.
    incomplete_poses: u64,
}

fn landmark_facts(connection: &Connection) -> Result<HashMap<String, LandmarkFacts>, LakeError> {
    let all_landmarks = (1_u64 << LANDMARK_COUNT) - 1;
    let mut statement = connection.prepare(&format!(
        "WITH per_pose AS (
             SELECT video_id, frame, person, count(*) AS landmarks,
                 bit_or(1::BIGINT << landmark_index::INTEGER) AS which
             FROM landmarks GROUP BY video_id, frame, person
         ),
         per_frame AS (
             SELECT video_id, frame,
                 count(*) FILTER (landmarks <> {LANDMARK_COUNT} OR which <> {all_landmarks}) AS incomplete
             FROM per_pose GROUP BY video_id, frame
         )
         SELECT video_id, count(*), sum(incomplete)::UBIGINT FROM per_frame GROUP BY video_id"
    ))?;
    let rows = statement.query_map([], |row| {
        let facts = LandmarkFacts {
            pose_frames: row.get(1)?,
            incomplete_poses: row.get(2)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl LandmarkFacts {
    fn faults(&self, video: &VideoFacts) -> Vec<String> {
        let mut causes = Vec::new();
        if self.pose_frames != video.pose_frame_count {
            causes.push(format!(
                "landmarks has {} of its {} frames with a pose",
                self.pose_frames, video.pose_frame_count
            ));
        }
        if self.incomplete_poses > 0 {
            causes.push(format!(
                "{} of its poses do not have each of the {LANDMARK_COUNT} landmarks once",
                self.incomplete_poses
            ));
        }
        causes
    }
}

/// Ids of the videos that a table has rows of.
fn videos_of(connection: &Connection, table: &str) -> Result<Vec<String>, LakeError> {
    let sql = format!(
        "SELECT DISTINCT video_id FROM {} WHERE video_id IS NOT NULL ORDER BY ALL",
        table_in(COPY_NAME, table)
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ids of the videos that a table of frames has the same row of more than once.
fn duplicated(
    connection: &Connection,
    table: &str,
    columns: &[Column],
) -> Result<Vec<String>, LakeError> {
    let has = |name: &&str| columns.iter().any(|column| column.name == **name);
    let keys: Vec<&str> = KEY_COLUMNS.into_iter().filter(|name| has(name)).collect();
    if !keys.contains(&"frame") {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT video_id FROM (
             SELECT video_id FROM {} GROUP BY {} HAVING count(*) > 1
         ) ORDER BY ALL",
        table_in(COPY_NAME, table),
        keys.join(", ")
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
