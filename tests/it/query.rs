//! Queries over a fixture lake: the shipped ones, formats, parameters, the seal.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::lake::fixture;
use crate::support::{posedata, stderr, stdout};

/// All shipped queries, embedded so that none is forgotten when one is added.
const QUERIES: [(&str, &str); 8] = [
    ("filtering.sql", include_str!("../../queries/filtering.sql")),
    (
        "joint_angles.sql",
        include_str!("../../queries/joint_angles.sql"),
    ),
    ("quality.sql", include_str!("../../queries/quality.sql")),
    (
        "range_of_motion.sql",
        include_str!("../../queries/range_of_motion.sql"),
    ),
    (
        "segment_angles.sql",
        include_str!("../../queries/segment_angles.sql"),
    ),
    ("symmetry.sql", include_str!("../../queries/symmetry.sql")),
    ("velocity.sql", include_str!("../../queries/velocity.sql")),
    ("videos.sql", include_str!("../../queries/videos.sql")),
];

fn query(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["query"].iter().chain(arguments).copied().collect();
    posedata(folder, &arguments)
}

fn csv(folder: &Path, sql: &str) -> String {
    let output = query(folder, &["-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn every_shipped_query_runs_with_its_defaults_and_gives_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let recompute = posedata(folder.path(), &["metrics", "recompute"]);
    assert!(recompute.status.success(), "{}", stderr(&recompute));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    // The folder beside them holds recipes of datasets, which their own tests run.
    let files = fs::read_dir(&shipped).expect("queries");
    let files = files.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file()));
    let count = files.count();
    assert_eq!(count, QUERIES.len(), "a query is missing in this test");
    for (name, sql) in QUERIES {
        assert!(sql.starts_with("-- "), "{name} says what it answers");
        let path = shipped.join(name);
        let path = path.to_str().expect("a name");
        let output = query(folder.path(), &[path, "--format", "jsonl"]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert!(stdout(&output).lines().count() > 0, "{name} gives no rows");
    }
}

#[test]
fn velocity_is_the_scripted_wrist_speed_and_null_after_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/velocity.sql");
    let path = path.to_str().expect("a name");
    let arguments = [path, "--param", "landmark=left_wrist", "--format", "csv"];
    let output = query(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<Vec<String>> = stdout(&output)
        .lines()
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect();
    let column = lines[0]
        .iter()
        .position(|name| name == "speed_px_per_sec")
        .expect("a column");
    // 1/1024 of 64 px per frame, 30 frames a second: 1.875, printed with one digit.
    assert_eq!(lines[1][column], "", "the first frame has no speed");
    assert_eq!(lines[2][column], "1.9");
    let after_gap = lines.iter().find(|line| line[2] == "10").expect("frame 10");
    assert_eq!(after_gap[column], "", "frame 9 has no pose");
}

#[test]
fn the_table_is_for_people_and_null_is_told_from_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select frame, quality, mean_visibility from metrics where frame between 8 and 9 order by frame";
    let output = query(folder.path(), &["-e", sql]);
    insta::assert_snapshot!(stdout(&output), @r"
    ┌───────────────────────────────────┐
    │ frame   quality   mean_visibility │
    ╞═══════════════════════════════════╡
    │     8   good                  1.0 │
    │     9   no_pose              NULL │
    └───────────────────────────────────┘
    ");
}

#[test]
fn formats_agree_on_the_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select frame, landmark, x from landmarks where frame < 2 and landmark_index < 2 order by all";
    assert_eq!(csv(folder.path(), sql).lines().count(), 1 + 4);
    let json = stdout(&query(folder.path(), &["-e", sql, "--format", "json"]));
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(4));
    assert_eq!(rows[0]["landmark"], "left_eye_inner");
    let output = query(
        folder.path(),
        &["-e", sql, "--format", "parquet", "--out", "rows.parquet"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let file = folder.path().join("rows.parquet");
    let count: i64 = connection
        .query_row(
            &format!("SELECT count(*) FROM '{}'", file.display()),
            [],
            |row| row.get(0),
        )
        .expect("a file of Parquet");
    assert_eq!(count, 4);
    let empty = csv(folder.path(), "select frame from metrics where frame < 0");
    assert_eq!(empty, "frame\n");
}

#[test]
fn parameters_are_bound_and_never_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select count(*) as n from landmarks where landmark = $name";
    let with = |value: &str| {
        let param = format!("name={value}");
        let output = query(
            folder.path(),
            &["-e", sql, "--param", &param, "--format", "csv"],
        );
        (output.status.code(), stdout(&output), stderr(&output))
    };
    assert_eq!(with("nose").1, "n\n27\n");
    assert_eq!(with("nose' or '1'='1").1, "n\n0\n");
    let missing = query(folder.path(), &["-e", sql]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        stderr(&missing).contains("--param name=VALUE"),
        "{}",
        stderr(&missing)
    );
    let integers = "select count(*) as n from metrics where frame < $limit";
    let output = query(
        folder.path(),
        &["-e", integers, "--param", "limit=5", "--format", "csv"],
    );
    assert_eq!(stdout(&output), "n\n5\n", "{}", stderr(&output));
}

#[test]
fn snapshots_show_the_lake_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select count(*) as n from videos";
    let at = |version: &str| {
        query(
            folder.path(),
            &["-e", sql, "--format", "csv", "--at", version],
        )
    };
    assert_eq!(csv(folder.path(), sql), "n\n1\n");
    assert_eq!(stdout(&at("1")), "n\n0\n", "{}", stderr(&at("1")));
    let unknown = at("999");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("999"), "{}", stderr(&unknown));
}

#[test]
fn a_sealed_session_reaches_nothing_but_the_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let files = || crate::lake::parquet_files(&lake).len();
    let before = files();
    fs::write(folder.path().join("secret.csv"), "a,b\n1,2\n").expect("a file");
    let secret = folder.path().join("secret.csv").display().to_string();
    let inside = lake.data().join("evil").display().to_string();
    for sql in [
        format!("select * from read_csv('{secret}')"),
        format!("select * from '{secret}'"),
        format!("select * from read_text('{secret}')"),
        format!("select * from glob('{}/*')", folder.path().display()),
        format!("select * from query('select * from read_csv(''{secret}'')')"),
        format!("copy (select 1) to '{inside}.parquet'"),
        format!("attach '{inside}.db' as evil"),
        format!("export database '{inside}'"),
        "select 1; drop table videos".into(),
        "drop table videos".into(),
        "delete from videos".into(),
        "insert into videos select * from videos".into(),
        "create table memory.t as select 1".into(),
        "install httpfs".into(),
        "load httpfs".into(),
        "set threads = 1".into(),
        "reset memory_limit".into(),
        "pragma enable_profiling".into(),
        "call ducklake_expire_snapshots('lake', versions => [1])".into(),
        "select * from ducklake_cleanup_old_files('lake', cleanup_all => true)".into(),
        "select * from ducklake_delete_orphaned_files('lake', cleanup_all => true)".into(),
    ] {
        let output = query(folder.path(), &["-e", &sql]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{sql} ran: {}",
            stdout(&output)
        );
        assert!(
            stderr(&output).starts_with("error: "),
            "{sql}: {}",
            stderr(&output)
        );
    }
    assert_eq!(files(), before, "a query wrote into the lake");
    let sql = format!("select a from read_csv('{secret}')");
    let allowed = query(
        folder.path(),
        &["-e", &sql, "--format", "csv", "--allow-external"],
    );
    assert_eq!(stdout(&allowed), "a\n1\n", "{}", stderr(&allowed));
}

#[test]
fn reading_statements_of_all_kinds_run_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    for sql in [
        "from videos",
        "describe metrics",
        "summarize metrics",
        "show tables",
        "explain select * from landmarks",
        "with a as (select 1 as b) select * from a;",
        "select * from frames limit 1",
        "select * from ducklake_snapshots('lake')",
        "select angle_deg(1, 0, 0, 0, 0, 0, 0, 1, 0)",
        "pivot metrics on quality in ('good', 'no_pose') using count(*)",
        "select comment from duckdb_columns() where table_name = 'metrics' and comment is not null",
    ] {
        let output = query(folder.path(), &["-e", sql]);
        assert!(output.status.success(), "{sql}: {}", stderr(&output));
    }
    assert_eq!(
        csv(
            folder.path(),
            "select angle_deg(1, 0, 0, 0, 0, 0, 0, 1, 0) as d"
        ),
        "d\n90.0\n"
    );
}

#[test]
fn every_column_says_what_it_means() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select table_name || '.' || column_name as c from duckdb_columns() where database_name = 'lake' \
               and table_name in ('videos', 'landmarks', 'metrics', 'landmarks_filtered', 'metrics_filtered', 'analysis', 'lake_format', 'runs') and comment is null";
    assert_eq!(csv(folder.path(), sql), "c\n");
}

#[test]
fn wrong_sql_and_a_missing_lake_are_told_plainly() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = query(folder.path(), &["-e", "select 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("posedata ingest"),
        "{}",
        stderr(&output)
    );
    fixture(folder.path());
    let output = query(folder.path(), &["-e", "select speeed from metrics"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("speeed"), "{}", stderr(&output));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    for arguments in [
        &["lake", "info"][..],
        &["models"],
        &["query", "-e", "from landmarks", "--format", "csv"],
    ] {
        let mut child = crate::support::command(folder.path())
            .args(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
}
