//! Checking, repairing and maintaining the lake, on lakes of scripted poses.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use duckdb::Connection;
use posedata::ingest::VideoOutcome;
use posedata::lake::{
    CheckReport, Execution, FORMAT_VERSION, LakeError, LakePaths, Replace, Retention, Severity,
};

use crate::lake::{CLIP_FRAMES, clip, config, fixture, ingest, lake_of, open_lake, parquet_files};
use crate::support::{posedata, stderr, stdout, store};

const TINTS: [&str; 4] = ["red", "green", "blue", "white"];

/// A lake of four clips.
fn lake_of_four(folder: &Path) -> LakePaths {
    lake_of(folder, &TINTS)
}

fn check(lake: &LakePaths) -> CheckReport {
    let session = open_lake(lake).expect("a session");
    session.check().expect("a check")
}

fn repair(lake: &LakePaths) -> CheckReport {
    let session = open_lake(lake).expect("a session");
    session.repair().expect("a repair")
}

#[track_caller]
fn assert_whole(report: &CheckReport) {
    assert!(report.whole, "{:#?}", report.findings);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

/// The lake as DuckDB's own session sees it, past all of posedata's code.
fn with_lake<R>(lake: &LakePaths, work: impl FnOnce(&Connection) -> R) -> R {
    let config = duckdb::Config::default()
        .allow_unsigned_extensions()
        .expect("a setting");
    let connection = Connection::open_in_memory_with_flags(config).expect("a database");
    let extension = store().ducklake_extension().expect("a path");
    connection
        .execute_batch(&format!(
            "LOAD '{}'; ATTACH 'ducklake:{}' AS lake (DATA_PATH '{}', OVERRIDE_DATA_PATH true); USE lake",
            extension.display(),
            lake.catalog().display(),
            lake.data().display()
        ))
        .expect("a lake");
    work(&connection)
}

fn value<T: duckdb::types::FromSql>(lake: &LakePaths, sql: &str) -> T {
    with_lake(lake, |connection| {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("a value")
    })
}

fn execute(lake: &LakePaths, sql: &str) {
    with_lake(lake, |connection| {
        connection.execute_batch(sql).expect("valid SQL");
    });
}

/// The file of a table that holds a clip's rows.
fn file_of(lake: &LakePaths, table: &str, clip: &str) -> PathBuf {
    let path: String = value(
        lake,
        &format!(
            "SELECT files.path FROM files JOIN videos USING (video_id)
             WHERE table_name = '{table}' AND file_name = '{clip}'"
        ),
    );
    lake.data().join(path)
}

fn flip_a_byte_in_the_middle(path: &Path) {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a file");
    let middle = file.metadata().expect("a size").len() / 2;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle)).expect("a position");
    file.read_exact(&mut byte).expect("a byte");
    file.seek(SeekFrom::Start(middle)).expect("a position");
    file.write_all(&[byte[0] ^ 0x10]).expect("room");
}

#[test]
fn a_fresh_lake_is_whole_and_its_checksums_are_those_of_the_files_on_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let report = check(&lake);
    assert_whole(&report);
    assert_eq!((report.videos, report.files), (4, 8));
    let on_disk = parquet_files(&lake);
    assert_eq!(on_disk.len(), 8);
    for file in on_disk {
        let bytes = fs::read(&file).expect("a file");
        let below = file.strip_prefix(lake.data()).expect("a data file");
        let sql = format!(
            "SELECT blake3 || ' ' || byte_size FROM files WHERE path = '{}'",
            below.display()
        );
        let expected = format!("{} {}", blake3::hash(&bytes), bytes.len());
        assert_eq!(value::<String>(&lake, &sql), expected);
    }
}

#[test]
fn a_lost_file_is_found_taken_out_and_its_video_comes_back_with_the_next_ingest() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage, &str); 4] = [
        (
            "deleted",
            |path| fs::remove_file(path).expect("a file"),
            "missing",
        ),
        ("flipped", flip_a_byte_in_the_middle, "the checksum differs"),
        (
            "cut",
            |path| {
                let file = fs::OpenOptions::new().write(true).open(path);
                let file = file.expect("a file");
                let length = file.metadata().expect("a size").len();
                file.set_len(length / 2).expect("a shorter file");
            },
            "the catalog says",
        ),
        (
            "emptied",
            |path| fs::write(path, "").expect("a file"),
            "the file has 0 bytes",
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let order = config(vec![folder.path().into()], &lake);
    for (name, damage, cause) in damages {
        for table in ["landmarks", "metrics"] {
            damage(&file_of(&lake, table, "blue.mp4"));
            let report = check(&lake);
            assert!(!report.whole, "{name} {table}");
            let causes: Vec<&str> = report.findings.iter().map(|f| f.cause.as_str()).collect();
            assert!(causes[0].contains(cause), "{name} {table}: {causes:?}");
            let remedies = report.findings.iter().map(|f| f.remedy.as_str());
            let remedies: Vec<&str> = remedies.collect();
            assert!(
                remedies.iter().any(|r| r.contains("blue.mp4")),
                "{name} {table}: {remedies:?}"
            );
            let repaired = repair(&lake);
            assert_whole(&repaired);
            assert_eq!(repaired.videos, 3, "{name} {table}");
            let summary = ingest(&order).expect("an ingest");
            assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 1);
            assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Skipped)), 3);
            let report = check(&lake);
            assert_whole(&report);
            assert_eq!(report.videos, 4, "{name} {table}");
        }
    }
    let frames: u64 = value(&lake, "SELECT count(*) FROM metrics");
    assert_eq!(frames, 4 * CLIP_FRAMES);
    // What was damaged is kept aside, out of the lake's way: all but the deleted files.
    let aside = walkdir::WalkDir::new(lake.root().join("damaged"));
    let aside = aside.into_iter().flatten();
    assert_eq!(aside.filter(|e| e.file_type().is_file()).count(), 6);
}

#[test]
fn a_video_whose_file_is_lost_can_be_removed_and_ingested_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    fs::remove_file(file_of(&lake, "landmarks", "red.mp4")).expect("a file");
    let mut order = config(vec![folder.path().join("red.mp4")], &lake);
    order.replace = Replace::Always;
    let summary = ingest(&order).expect("a summary");
    let VideoOutcome::Failed { error, .. } = &summary.videos[0].outcome else {
        panic!("{:?}", summary.videos[0].outcome);
    };
    assert!(error.contains("posedata lake check --repair"), "{error}");
    let removed = posedata(folder.path(), &["remove", "red.mp4"]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(check(&lake).whole);
    assert_eq!(check(&lake).videos, 3);
    ingest(&order).expect("an ingest");
    assert_whole(&repair(&lake));
    assert_eq!(check(&lake).videos, 4);
}

#[test]
fn wrong_rows_are_found_however_they_came_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let of =
        |clip: &str| format!("video_id = (SELECT video_id FROM videos WHERE file_name = '{clip}')");
    let cases = [
        (
            format!("DELETE FROM metrics WHERE frame = 7 AND {}", of("red.mp4")),
            "metrics has 29 of its 30 frames",
        ),
        (
            format!(
                "UPDATE metrics SET frame = 30 WHERE frame = 7 AND {}",
                of("red.mp4")
            ),
            "metrics has frames 0 to 30, not 0 to 29",
        ),
        (
            format!(
                "INSERT INTO metrics SELECT * FROM metrics WHERE frame = 7 AND {}",
                of("red.mp4")
            ),
            "metrics has 1 rows twice",
        ),
        (
            format!(
                "DELETE FROM landmarks WHERE frame = 7 AND landmark = 'nose' AND {}",
                of("red.mp4")
            ),
            "1 of its poses do not have each of the 33 landmarks once",
        ),
        (
            format!(
                "UPDATE landmarks SET landmark_index = 1 WHERE frame = 7 AND landmark = 'nose' AND {}",
                of("red.mp4")
            ),
            "1 of its poses do not have each of the 33 landmarks once",
        ),
        (
            format!(
                "DELETE FROM landmarks WHERE frame = 7 AND {}",
                of("red.mp4")
            ),
            "landmarks has 26 of its 27 frames with a pose",
        ),
        (
            "INSERT INTO videos SELECT * FROM videos WHERE file_name = 'red.mp4'".into(),
            "it has 2 rows in videos",
        ),
        (
            "DELETE FROM videos WHERE file_name = 'red.mp4'".into(),
            "which is no video of the lake",
        ),
    ];
    let order = config(vec![folder.path().into()], &lake);
    for (sql, cause) in cases {
        execute(&lake, &sql);
        let report = check(&lake);
        let causes: Vec<&str> = report.findings.iter().map(|f| f.cause.as_str()).collect();
        assert!(
            causes.iter().any(|c| c.contains(cause)),
            "{sql}: {causes:?}"
        );
        assert!(!report.whole, "{sql}");
        let repaired = repair(&lake);
        assert!(repaired.whole, "{sql}: {:#?}", repaired.findings);
        let summary = ingest(&order).expect("an ingest");
        assert_eq!(
            summary.count(|o| matches!(o, VideoOutcome::Ingested)),
            1,
            "{sql}"
        );
        assert!(check(&lake).whole, "{sql}");
    }
}

#[test]
fn leftovers_of_dead_processes_are_told_from_the_work_of_living_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let partition = lake.partition("metrics", "testing");
    let dead = ["dead.parquet.tmp", "dead.parquet", "ducklake-dead.parquet"];
    for name in dead {
        fs::write(partition.join(name), "half a file").expect("a file");
    }
    let alive = ["alive.parquet.tmp", "alive.parquet"].map(|name| partition.join(name));
    let held = alive.each_ref().map(|path| {
        let file = fs::File::create(path).expect("a file");
        file.lock().expect("a lock");
        file
    });
    fs::write(lake.data().join("notes.txt"), "mine").expect("a file");

    let report = check(&lake);
    assert!(report.whole, "leftovers are no damage");
    assert_eq!(report.files_in_work, 2);
    let of = |severity| {
        report
            .findings
            .iter()
            .filter(move |f| f.severity == severity)
    };
    assert_eq!(of(Severity::Leftover).count(), 3);
    assert!(of(Severity::Leftover).all(|f| f.subject.contains("dead")));
    assert_eq!(of(Severity::Note).count(), 1);

    let session = open_lake(&lake).expect("a session");
    let told = session.vacuum(Execution::DryRun).expect("a report");
    assert_eq!((told.abandoned_files, told.abandoned_bytes), (3, 33));
    assert!(dead.iter().all(|name| partition.join(name).exists()));
    let done = session.vacuum(Execution::Real).expect("a report");
    assert_eq!((done.abandoned_files, done.files_in_work), (3, 2));
    assert!(dead.iter().all(|name| !partition.join(name).exists()));
    assert!(alive.iter().all(|path| path.exists()));
    assert!(lake.data().join("notes.txt").exists());
    drop(held);
    assert_eq!(
        session
            .vacuum(Execution::Real)
            .expect("a report")
            .abandoned_files,
        2
    );
    assert!(alive.iter().all(|path| !path.exists()));
    fs::remove_file(lake.data().join("notes.txt")).expect("a file");
    assert_whole(&check(&lake));
}

#[test]
fn compacting_keeps_every_row_and_vacuum_deletes_what_was_merged() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let rows = "SELECT md5(string_agg(l::VARCHAR, ';' ORDER BY video_id, frame, landmark_index)) FROM landmarks AS l";
    let metrics =
        "SELECT md5(string_agg(m::VARCHAR, ';' ORDER BY video_id, frame)) FROM metrics AS m";
    let before: (String, String) = (value(&lake, rows), value(&lake, metrics));
    let session = open_lake(&lake).expect("a session");
    let report = session.compact().expect("a report");
    for table in ["landmarks", "metrics"] {
        let table = report.tables.iter().find(|t| t.table == table);
        let table = table.expect("the table");
        assert_eq!((table.files_before, table.files_after), (4, 1));
        assert!(table.bytes_after < table.bytes_before, "{table:?}");
    }
    assert_eq!(report.checksums_recorded, 2);
    assert_eq!((value(&lake, rows), value(&lake, metrics)), before);
    assert_whole(&check(&lake));
    assert_eq!(value::<u64>(&lake, "SELECT count(*) FROM files"), 2);
    let merged: String = value(
        &lake,
        "SELECT path FROM files WHERE table_name = 'landmarks'",
    );
    let unsorted = format!(
        "SELECT count(*) FROM (
             SELECT landmark_index < lag(landmark_index) OVER (ORDER BY file_row_number) AS is_back
             FROM read_parquet('{}/{merged}', file_row_number = true)
         ) WHERE is_back",
        lake.data().display()
    );
    assert_eq!(value::<u64>(&lake, &unsorted), 0, "sorted by landmark");
    let again = session.compact().expect("a report");
    assert!(again.tables.iter().all(|t| t.files_before == t.files_after));

    let vacuumed = session.vacuum(Execution::Real).expect("a report");
    assert_eq!(vacuumed.unneeded_files, 8);
    assert_eq!(parquet_files(&lake).len(), 2);
    assert_eq!((value(&lake, rows), value(&lake, metrics)), before);
    assert_whole(&check(&lake));

    // A video goes out of a merged file and comes back.
    let removed = posedata(folder.path(), &["remove", "green.mp4", "--json"]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(check(&lake).whole, "{:?}", check(&lake).findings);
    assert_eq!(
        value::<u64>(&lake, "SELECT count(*) FROM metrics"),
        3 * CLIP_FRAMES
    );
    session.compact().expect("a report");
    assert_whole(&check(&lake));
    let summary = ingest(&config(vec![folder.path().into()], &lake)).expect("an ingest");
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 1);
    assert_eq!((value(&lake, rows), value(&lake, metrics)), before);
    assert_whole(&check(&lake));
}

#[test]
fn a_lost_merged_file_takes_its_videos_with_it_and_they_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let session = open_lake(&lake).expect("a session");
    session.compact().expect("a report");
    session.vacuum(Execution::Real).expect("a report");
    let merged: String = value(&lake, "SELECT path FROM files WHERE table_name = 'metrics'");
    flip_a_byte_in_the_middle(&lake.data().join(merged));
    let report = check(&lake);
    let damage = report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Damage);
    assert_eq!(damage.count(), 1 + 4, "the file and the videos in it");
    let repaired = repair(&lake);
    assert_whole(&repaired);
    assert_eq!(repaired.videos, 0);
    ingest(&config(vec![folder.path().into()], &lake)).expect("an ingest");
    assert_eq!(check(&lake).videos, 4);
    assert!(check(&lake).whole);
}

#[test]
fn expired_snapshots_are_gone_and_the_newest_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let mut order = config(vec![folder.path().into()], &lake);
    order.replace = Replace::Always;
    ingest(&order).expect("an ingest");
    let session = open_lake(&lake).expect("a session");
    let snapshots = || session.info().expect("a lake").snapshots;
    let n_snapshots = snapshots().len() as u64;
    let newest = snapshots().last().expect("a snapshot").version;
    let young = Retention::YoungerThan(Duration::from_secs(3_600));
    assert_eq!(session.expire(young).expect("a report").expired, [0; 0]);
    assert_eq!(
        parquet_files(&lake).len(),
        4,
        "the replaced files are still needed"
    );
    let keep = Retention::Newest(NonZeroUsize::MIN);
    let report = session.expire(keep).expect("a report");
    assert_eq!(
        (report.expired.len() as u64, report.kept),
        (n_snapshots - 1, 1)
    );
    assert_eq!(report.unneeded_files, 2);
    assert_whole(&check(&lake));
    assert_eq!(
        session
            .vacuum(Execution::Real)
            .expect("a report")
            .unneeded_files,
        2
    );
    assert_eq!(parquet_files(&lake).len(), 2);
    assert_whole(&check(&lake));
    assert_eq!(snapshots().last().expect("a snapshot").version, newest);
    let at = |version: u64| {
        let version = version.to_string();
        let sql = "select count(*) from metrics";
        posedata(folder.path(), &["query", "-e", sql, "--at", &version])
    };
    assert!(at(newest).status.success());
    let gone = at(newest - 1);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        stderr(&gone).contains("does not exist"),
        "{}",
        stderr(&gone)
    );
    let none = Retention::YoungerThan(Duration::ZERO);
    assert_eq!(session.expire(none).expect("a report").kept, 1);
}

#[test]
fn removed_videos_are_in_no_table_but_in_older_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_of_four(folder.path());
    let before: u64 = value(
        &lake,
        "SELECT max(snapshot_id) FROM ducklake_snapshots('lake')",
    );
    let id: String = value(
        &lake,
        "SELECT video_id FROM videos WHERE file_name = 'red.mp4'",
    );
    let unknown = posedata(folder.path(), &["remove", "red.mp4", "nothing.mp4"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("nothing.mp4"),
        "{}",
        stderr(&unknown)
    );
    assert_eq!(check(&lake).videos, 4, "all or none");
    let path = folder.path().join("white.mp4");
    let removed = posedata(
        folder.path(),
        &[
            "remove",
            "green.mp4",
            &id[..8],
            path.to_str().expect("a path"),
        ],
    );
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(
        stdout(&removed).contains("lake expire"),
        "{}",
        stdout(&removed)
    );
    assert_whole(&check(&lake));
    let left: String = value(&lake, "SELECT string_agg(file_name) FROM videos");
    assert_eq!(left, "blue.mp4");
    for table in ["metrics", "landmarks", "files"] {
        let sql = format!("SELECT count(DISTINCT video_id) FROM {table}");
        assert_eq!(value::<u64>(&lake, &sql), 1, "{table}");
    }
    let sql = "select count(distinct video_id) from metrics";
    let old = posedata(
        folder.path(),
        &[
            "query",
            "-e",
            sql,
            "--format",
            "csv",
            "--at",
            &before.to_string(),
        ],
    );
    assert!(stdout(&old).ends_with("\n4\n"), "{}", stdout(&old));
}

/// A lake of format 1 with rows, made with that format's own schemas.
pub fn format_1_lake(folder: &Path) -> LakePaths {
    let lake = LakePaths::new(folder.join("lake"));
    fs::create_dir_all(lake.data()).expect("a folder");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format1");
    for name in [
        "lake_format",
        "videos",
        "landmarks",
        "metrics",
        "frames",
        "macros",
    ] {
        let sql = fs::read_to_string(fixtures.join(name).with_extension("sql"));
        execute(&lake, &sql.expect("a schema"));
    }
    execute(
        &lake,
        "INSERT INTO lake_format VALUES (1, '0.1.0');
         INSERT INTO videos VALUES (
             'v1', 'run', 'old.mp4', '/videos/old.mp4', 1000, 64, 48, 0, 'h264', 30.0, 20, 0.667, 20,
             'full', 'aa', '{}', 'bb', '0.1.0', TIMESTAMP '2026-01-02 03:04:05'
         );
         INSERT INTO metrics (video_id, person, frame, time_secs, quality, left_knee_deg, sport)
             SELECT 'v1', 0, i, i / 30, 'good', 90 + i, 'run' FROM range(20) AS r (i);
         INSERT INTO landmarks
             SELECT 'v1', 0, i, i / 30, 'landmark ' || l, l, i / 64, l / 64, 0, 1, 1, 0, 0, 0, 'run'
             FROM range(20) AS r (i), range(33) AS s (l)",
    );
    lake
}

#[test]
fn a_lake_of_format_1_is_read_as_it_is_and_upgraded_by_whoever_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = format_1_lake(folder.path());
    let rows = |sql: &str| {
        let output = posedata(folder.path(), &["query", "-e", sql, "--format", "csv"]);
        assert!(output.status.success(), "{sql}: {}", stderr(&output));
        stdout(&output)
    };
    let old_columns = [
        "select * from videos",
        "select frame, time_secs, quality, left_knee_deg, sport from metrics order by frame",
        "select * from landmarks order by frame, landmark_index",
        "select frame, landmark, x, left_knee_deg from frames order by all",
    ];
    let before = old_columns.map(rows);
    let report = check(&lake);
    assert_eq!(report.format_version, 1);
    assert!(report.whole, "{:#?}", report.findings);
    let notes: Vec<&str> = report.findings.iter().map(|f| f.remedy.as_str()).collect();
    assert!(notes.contains(&"posedata lake upgrade"), "{notes:?}");

    let ask = [
        "ask", "How far?", "--video", "old.mp4", "--recipe", "nearest",
    ];
    let asked = posedata(folder.path(), &[&ask[..], &["--base", "nowhere"]].concat());
    let told = stderr(&asked);
    assert!(told.contains("`posedata lake upgrade` gives it"), "{told}");

    // Reading has changed nothing; a new video does.
    assert_eq!(
        value::<i32>(&lake, "SELECT format_version FROM lake_format"),
        1
    );
    let clip = clip(folder.path(), "red.mp4", "red");
    let summary = ingest(&config(vec![clip], &lake)).expect("an ingest");
    assert_eq!(
        summary.count(|o| matches!(o, VideoOutcome::Ingested)),
        1,
        "{:?}",
        summary.videos
    );
    assert_eq!(
        value::<i32>(&lake, "SELECT max(format_version) FROM lake_format"),
        FORMAT_VERSION
    );
    execute(&lake, "DELETE FROM videos WHERE file_name = 'red.mp4'");
    let repaired = repair(&lake);
    assert_whole(&repaired);
    assert_eq!(rows(old_columns[1]), before[1]);
    assert_eq!(rows(old_columns[2]), before[2]);
    assert_eq!(rows(old_columns[3]), before[3]);
    let of_videos = "select video_id, file_name, path, codec, ingested_at from videos";
    assert_eq!(
        rows(of_videos).lines().nth(1),
        Some("v1,old.mp4,/videos/old.mp4,h264,2026-01-02T03:04:05"),
    );
    // The upgraded lake has everything that a new one has, comments included.
    let fresh = fixture(&{
        let other = folder.path().join("other");
        fs::create_dir(&other).expect("a folder");
        other
    });
    for sql in [
        "SELECT string_agg(table_name || '.' || column_name || ' ' || data_type || if(is_nullable, '', ' NOT NULL')
             || coalesce(comment, ''), '\n' ORDER BY table_name, column_name) FROM duckdb_columns() WHERE database_name = 'lake'",
        "SELECT string_agg(table_name || coalesce(comment, ''), '\n' ORDER BY table_name)
             FROM duckdb_tables() WHERE database_name = 'lake'",
        "SELECT string_agg(view_name || sql || coalesce(comment, ''), '\n' ORDER BY view_name)
             FROM duckdb_views() WHERE database_name = 'lake'",
        "SELECT string_agg(function_name || parameters::VARCHAR || macro_definition, '\n' ORDER BY function_name)
             FROM duckdb_functions() WHERE database_name = 'lake'",
    ] {
        assert_eq!(value::<String>(&lake, sql), value::<String>(&fresh, sql));
    }
}

#[test]
fn commands_that_only_read_leave_a_lake_of_an_older_format_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = format_1_lake(folder.path());
    let before = fs::read(lake.catalog()).expect("a catalog");
    let commands: [&[&str]; 6] = [
        &["lake", "info"],
        &["lake", "check"],
        &["lake", "vacuum", "--dry-run"],
        &["query", "-e", "select count(*) from metrics"],
        &[
            "plot",
            "-e",
            "select time_secs, left_knee_deg from metrics",
            "--output",
            "knee.svg",
        ],
        &[
            "ask",
            "How far does the left knee move?",
            "--recipe",
            "nearest",
            "--video",
            "old.mp4",
            "--base",
            "./none",
        ],
    ];
    for command in commands {
        let output = posedata(folder.path(), command);
        // Recipes need columns that the lake lacks.
        let is_told =
            stderr(&output).contains("format 1") && stderr(&output).contains("lake upgrade");
        // What has to be known of the video was found before the model is missed.
        let is_model_missed = stderr(&output).contains("./none");
        let is_done =
            output.status.success() || is_model_missed || (command[0] == "ask" && is_told);
        assert!(is_done, "{command:?}: {}", stderr(&output));
        let after = fs::read(lake.catalog()).expect("a catalog");
        assert!(after == before, "{command:?} wrote to the catalog");
    }
    let session = open_lake(&lake).expect("a session");
    let video = session.find_videos(&[]).expect("videos").remove(0);
    assert_eq!(session.main_person(&video).expect("an answer"), None);
    assert!(fs::read(lake.catalog()).expect("a catalog") == before);

    let output = posedata(
        folder.path(),
        &["query", "-e", "select main_person from videos"],
    );
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("posedata lake upgrade"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_upgrade_command_needs_a_lake_and_does_nothing_to_a_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = posedata(folder.path(), &["lake", "upgrade"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("there is no lake yet"));
    assert!(!folder.path().join("lake").exists());
    let lake = format_1_lake(folder.path());
    for _ in 0..2 {
        let upgraded = posedata(folder.path(), &["lake", "upgrade"]);
        assert!(upgraded.status.success(), "{}", stderr(&upgraded));
        assert!(stdout(&upgraded).contains(&format!("(format {FORMAT_VERSION})")));
    }
    let snapshots = "SELECT count(*) FROM ducklake_snapshots('lake')";
    let n_snapshots: u64 = value(&lake, snapshots);
    open_lake(&lake)
        .and_then(|lake| lake.upgrade())
        .expect("nothing to do");
    assert_eq!(value::<u64>(&lake, snapshots), n_snapshots);
}

#[test]
fn what_a_killed_process_left_of_a_catalog_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    fs::create_dir_all(lake.data()).expect("a folder");
    fs::write(lake.catalog(), "").expect("an empty file");
    let half_made = lake.root().join("catalog.ducklake.new-killed");
    fs::create_dir(&half_made).expect("a folder");
    fs::write(half_made.join("lock"), "").expect("a file");
    fs::write(half_made.join("catalog"), "half a catalog").expect("a file");
    let clip = clip(folder.path(), "red.mp4", "red");
    let summary = ingest(&config(vec![clip], &lake)).expect("an ingest");
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 1);
    let report = check(&lake);
    assert!(report.whole);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert_whole(&repair(&lake));
    assert!(!half_made.exists());
}

#[test]
fn a_write_ahead_log_that_a_killed_process_left_is_read_and_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    // A committed row that is in the log only, as after a kill between commit and checkpoint.
    let copy = LakePaths::new(folder.path().join("copy"));
    with_lake(&lake, |connection| {
        connection
            .execute_batch("UPDATE videos SET path = '/elsewhere/red.mp4'")
            .expect("valid SQL");
        let log = fs::metadata(lake.root().join("catalog.ducklake.wal"));
        assert!(log.expect("a log").len() > 0);
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .args([lake.root(), copy.root()])
            .status();
        assert!(copied.expect("cp").success());
    });
    let session = open_lake(&copy).expect("a session");
    let path = |session: &posedata::lake::Lake| {
        let videos = session.find_videos(&[]).expect("videos");
        videos[0].path.clone()
    };
    assert_eq!(path(&session), "/elsewhere/red.mp4");
    assert_whole(&session.check().expect("a check"));
    session.vacuum(Execution::Real).expect("a report");
    assert_eq!(path(&session), "/elsewhere/red.mp4");
}

#[test]
fn a_lake_that_is_not_there_is_not_made_by_looking_at_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    let session = open_lake(&lake).expect("a session");
    let keep = Retention::Newest(NonZeroUsize::MIN);
    let errors = [
        session.check().err(),
        session.repair().err(),
        session.compact().err(),
        session.expire(keep).err(),
        session.vacuum(Execution::Real).err(),
        session.remove_videos(&["x".into()]).err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(LakeError::Missing { .. })),
            "{error:?}"
        );
    }
    assert!(!lake.root().exists());
}
