//! Queries over a fixture lake: the shipped ones, formats, parameters, the seal.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::lake::fixture;
use crate::support::{posedata, stderr, stdout};

/// All shipped queries, embedded so that none is forgotten when one is added.
const QUERIES: [(&str, &str); 14] = [
    (
        "cycle_curves.sql",
        include_str!("../../queries/cycle_curves.sql"),
    ),
    (
        "cycle_fatigue.sql",
        include_str!("../../queries/cycle_fatigue.sql"),
    ),
    (
        "cycle_symmetry.sql",
        include_str!("../../queries/cycle_symmetry.sql"),
    ),
    ("filtering.sql", include_str!("../../queries/filtering.sql")),
    ("gait.sql", include_str!("../../queries/gait.sql")),
    (
        "joint_angles.sql",
        include_str!("../../queries/joint_angles.sql"),
    ),
    ("jumps.sql", include_str!("../../queries/jumps.sql")),
    ("quality.sql", include_str!("../../queries/quality.sql")),
    (
        "range_of_motion.sql",
        include_str!("../../queries/range_of_motion.sql"),
    ),
    (
        "repetitions.sql",
        include_str!("../../queries/repetitions.sql"),
    ),
    (
        "segment_angles.sql",
        include_str!("../../queries/segment_angles.sql"),
    ),
    ("symmetry.sql", include_str!("../../queries/symmetry.sql")),
    ("velocity.sql", include_str!("../../queries/velocity.sql")),
    ("videos.sql", include_str!("../../queries/videos.sql")),
];

/// Those that ask for events and cycles.
const OF_MOVEMENTS: [&str; 6] = [
    "cycle_curves.sql",
    "cycle_fatigue.sql",
    "cycle_symmetry.sql",
    "gait.sql",
    "jumps.sql",
    "repetitions.sql",
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
        // Nobody moves in the fixture; `movement.rs` has people who do.
        let is_of_movement = OF_MOVEMENTS.contains(&name);
        let rows = stdout(&output).lines().count();
        assert_eq!(rows > 0, !is_of_movement, "{name} gives {rows} rows");
    }
}

/// What a shipped query gives of tables made by hand, a text for each row.
fn shipped_over(tables: &str, query: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("queries/{query}.sql"));
    let sql = fs::read_to_string(path).expect("a query");
    let sql = sql.lines().filter(|line| !line.starts_with("--"));
    let mut sql = sql.collect::<Vec<_>>().join("\n");
    for (name, value) in parameters {
        sql = sql.replace(&format!("${name}"), value);
    }
    let database = duckdb::Connection::open_in_memory().expect("a database");
    database.execute_batch(tables).expect("tables");
    let rows = format!(
        "SELECT r::VARCHAR FROM ({}) AS r",
        sql.trim_end_matches(';')
    );
    let mut statement = database.prepare(&rows).expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

#[test]
fn quality_is_of_the_video_s_frames_for_each_person() {
    // Person 0 leaves after frame 4, nobody is there in 5 and 6, person 1 comes in 7.
    let tables = "
        CREATE TABLE videos AS SELECT 'v' AS video_id, 'a.mp4' AS file_name;
        CREATE TABLE metrics AS
            SELECT 'v' AS video_id, if(frame < 7, 0, 1) AS person, frame,
                if(frame IN (5, 6), 'no_pose', 'good') AS quality,
                if(frame IN (5, 6), NULL, 0.9) AS mean_visibility
            FROM range(10) AS f (frame);
        CREATE TABLE landmarks AS
            SELECT 'v' AS video_id, unnest([0, 1]) AS person, 'nose' AS landmark, 0.9 AS visibility;";
    let rows = shipped_over(tables, "quality", &[]);
    let expected = [
        (
            "'person': 0",
            "'good_percent': 50.0",
            "'no_pose_percent': 50.0",
            "'longest_gap_frames': 5",
        ),
        (
            "'person': 1",
            "'good_percent': 30.0",
            "'no_pose_percent': 70.0",
            "'longest_gap_frames': 7",
        ),
    ];
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, (person, good, none, gap)) in rows.iter().zip(expected) {
        for part in [person, "'frames': 10", good, none, gap] {
            assert!(row.contains(part), "{part}: {row}");
        }
    }
}

#[test]
fn a_mean_over_the_end_of_an_angle_s_range_is_none() {
    let segments = [
        "trunk",
        "head",
        "left_thigh",
        "right_thigh",
        "left_shank",
        "right_shank",
        "right_foot",
        "shoulders",
    ];
    let steady = segments
        .map(|name| format!("80 + 2 * frame AS {name}_segment_deg"))
        .join(", ");
    let tables = format!(
        "CREATE TABLE videos AS SELECT 'v' AS video_id, 'a.mp4' AS file_name;
         CREATE TABLE metrics AS
             SELECT 'v' AS video_id, 0 AS person, frame / 30 AS time_secs, 'right' AS facing, {steady},
                 if(frame % 2 = 0, 179, -179) AS left_foot_segment_deg,
                 if(frame % 2 = 0, 89, -89) AS pelvis_segment_deg
             FROM range(2) AS f (frame);"
    );
    let rows = shipped_over(
        &tables,
        "segment_angles",
        &[("window_secs", "0.5"), ("video", "'%'")],
    );
    assert_eq!(rows.len(), 1, "{rows:?}");
    for part in [
        "'trunk_deg': 81.0",
        "'left_foot_deg': NULL",
        "'pelvis_deg': NULL",
        "'shoulders_deg': 81.0",
    ] {
        assert!(rows[0].contains(part), "{part}: {}", rows[0]);
    }
}

#[test]
fn whoever_lies_leans_backwards_on_both_sides_of_the_range_s_end() {
    let tables = "
        CREATE TABLE metrics AS
            SELECT 'v' AS video_id, 0 AS person, frame, frame / 30 AS time_secs,
                if(frame % 2 = 0, 179, -179) AS trunk_segment_deg
            FROM range(4) AS f (frame);";
    let parameters = [
        ("joint", "'forward_lean'"),
        ("from_secs", "NULL"),
        ("to_secs", "NULL"),
        ("video", "'v'"),
        ("person", "0"),
    ];
    let rows = shipped_over(tables, "ask/mean", &parameters);
    assert!(rows[0].contains("'mean_deg': -90.0"), "{rows:?}");
    let rows = shipped_over(tables, "ask/range", &parameters);
    assert!(rows[0].contains("'range_deg': 2.0"), "{rows:?}");
}

#[test]
fn a_frame_at_the_beginning_of_a_window_is_in_it() {
    let angles = [
        "left_knee",
        "right_knee",
        "left_hip",
        "right_hip",
        "left_ankle",
        "right_ankle",
        "left_elbow",
        "right_elbow",
        "left_shoulder",
        "right_shoulder",
        "trunk_lean",
    ];
    let angles = angles.map(|name| format!("90 AS {name}_deg")).join(", ");
    // 9 / 30 / 0.1 is less than 3.
    let tables = format!(
        "CREATE TABLE videos AS SELECT 'v' AS video_id, 'a.mp4' AS file_name;
         CREATE TABLE metrics AS
             SELECT 'v' AS video_id, 0 AS person, frame / 30 AS time_secs, 0.9 AS mean_visibility, {angles}
             FROM range(12) AS f (frame);"
    );
    let parameters = [("window_secs", "0.1::DOUBLE"), ("video", "'%'")];
    let rows = shipped_over(&tables, "joint_angles", &parameters);
    assert_eq!(rows.len(), 4, "{rows:?}");
    for (row, from) in rows.iter().zip(["0.0", "0.1", "0.2", "0.3"]) {
        assert!(row.contains(&format!("'from_secs': {from},")), "{row}");
        assert!(row.contains("'pose_frames': 3,"), "{row}");
    }
}

#[test]
fn a_curve_has_no_points_where_an_angle_s_range_ends() {
    // A foot that turns over between 0.1 and 0.15 s.
    let tables = "
        CREATE TABLE videos AS SELECT 'v' AS video_id, 'a.mp4' AS file_name;
        CREATE TABLE metrics AS
            SELECT 'v' AS video_id, 0 AS person, time_secs, deg AS left_foot_segment_deg
            FROM (VALUES (0.0, 160), (0.05, 165), (0.1, 170), (0.15, -170), (0.2, -165)) AS t (time_secs, deg);
        CREATE TABLE metrics_filtered AS SELECT * FROM metrics LIMIT 0;
        CREATE TABLE cycles AS
            SELECT 'v' AS video_id, 0 AS person, 'walk' AS kind, 0 AS cycle, 'left' AS side,
                0.0 AS start_secs, 0.2 AS end_secs, NULL::DOUBLE AS flight_secs;";
    let parameters = [("metric", "'left_foot_segment'"), ("video", "'%'")];
    let rows = shipped_over(tables, "cycle_curves", &parameters);
    let mean = |row: &String| -> f64 {
        let rest = row.split("'mean': ").nth(1).expect("a mean");
        rest.split(',')
            .next()
            .expect("a number")
            .parse()
            .expect("a number")
    };
    // Of 101 points those from 51 to 74 % lie between the two sides of the range's end.
    assert_eq!(rows.len(), 77, "{rows:?}");
    assert!(rows.iter().all(|row| mean(row).abs() >= 160.0), "{rows:?}");
}

#[test]
fn of_equal_extremes_the_first_is_told() {
    let columns = [
        "right_knee",
        "left_hip",
        "right_hip",
        "left_ankle",
        "right_ankle",
        "left_elbow",
        "right_elbow",
        "left_shoulder",
        "right_shoulder",
        "left_wrist",
        "right_wrist",
        "trunk_lean",
    ];
    let none = columns
        .map(|name| format!("NULL::FLOAT AS {name}_deg"))
        .join(", ");
    let tables = format!(
        "CREATE TABLE videos AS SELECT 'v' AS video_id, 'a.mp4' AS file_name;
         CREATE TABLE metrics AS
             SELECT 'v' AS video_id, 0 AS person, time_secs, deg::FLOAT AS left_knee_deg, {none}
             FROM (VALUES (0.4, 150), (0.3, 90), (0.2, 150), (0.1, 90)) AS t (time_secs, deg);"
    );
    let rows = shipped_over(
        &tables,
        "range_of_motion",
        &[("outliers_percent", "0"), ("video", "'%'")],
    );
    assert_eq!(rows.len(), 1, "{rows:?}");
    for part in [
        "'min_at_secs': 0.1",
        "'max_at_secs': 0.2",
        "'range_deg': 60.0",
    ] {
        assert!(rows[0].contains(part), "{part}: {}", rows[0]);
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
fn a_file_holds_what_its_suffix_says_unless_another_format_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select frame from metrics where frame = 1";
    let written = |file_name: &str, more: &[&str]| {
        let arguments = [&["-e", sql, "--output", file_name], more].concat();
        let output = query(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        std::fs::read(folder.path().join(file_name)).expect("a file")
    };
    assert_eq!(written("a.csv", &[]), b"frame\n1\n");
    assert_eq!(written("a.JSONL", &[]), b"{\"frame\":1}\n");
    assert_eq!(written("a.json", &["--format", "csv"]), b"frame\n1\n");
    assert!(written("a.parquet", &[]).starts_with(b"PAR1"));
    assert!(written("a.txt", &[]).starts_with("\u{250c}".as_bytes()));
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
               and table_name in ('videos', 'landmarks', 'metrics', 'landmarks_filtered', 'metrics_filtered', 'events', 'cycles', 'analysis', 'lake_format', 'runs') and comment is null";
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
    for (format, is_refused) in [
        ("json", true),
        ("jsonl", true),
        ("parquet", true),
        ("csv", false),
    ] {
        let sql = "select 1 as a, 2 as b, 3 as a";
        let arguments = ["-e", sql, "--format", format, "--out", "rows"];
        let output = query(folder.path(), &arguments);
        assert_eq!(!output.status.success(), is_refused, "{format}");
        assert_eq!(
            stderr(&output).contains("two columns of the result are called 'a'"),
            is_refused,
            "{format}: {}",
            stderr(&output)
        );
        assert_eq!(folder.path().join("rows").exists(), !is_refused, "{format}");
    }
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

/// A value of each of DuckDB's types, as SQL and the type's name.
const VALUES: [(&str, &str); 44] = [
    ("true", "BOOLEAN"),
    ("(-128)::TINYINT", "TINYINT"),
    ("255::UTINYINT", "UTINYINT"),
    ("(-32768)::SMALLINT", "SMALLINT"),
    ("65535::USMALLINT", "USMALLINT"),
    ("(-2147483648)::INTEGER", "INTEGER"),
    ("4294967295::UINTEGER", "UINTEGER"),
    ("(-9223372036854775808)::BIGINT", "BIGINT"),
    ("9007199254740993::BIGINT", "BIGINT"),
    ("18446744073709551615::UBIGINT", "UBIGINT"),
    ("12345678901234567890123456789012345678::HUGEINT", "HUGEINT"),
    (
        "(select sum(x) from (values (9223372036854775807), (9223372036854775807)) t(x))",
        "HUGEINT",
    ),
    (
        "123456789012345678901234567.8901234567::DECIMAL(38, 10)",
        "DECIMAL(38, 10)",
    ),
    ("(-0.05)::DECIMAL(4, 2)", "DECIMAL(4, 2)"),
    ("0.1::FLOAT", "FLOAT"),
    ("0.1::DOUBLE + 0.2::DOUBLE", "DOUBLE"),
    ("1e300::DOUBLE", "DOUBLE"),
    ("'a,\"b\" é'", "VARCHAR"),
    ("'\\x00\\xFFab'::BLOB", "BLOB"),
    ("'4ac7a9e9-607c-4c8a-84f3-843f0191e3fd'::UUID", "UUID"),
    ("'2024-02-29'::DATE", "DATE"),
    ("'24:00:00'::TIME", "TIME"),
    ("'12:34:56.789012'::TIME", "TIME"),
    ("'2024-02-29 12:34:56.789012'::TIMESTAMP", "TIMESTAMP"),
    ("'2024-02-29 12:34:56'::TIMESTAMP_S", "TIMESTAMP_S"),
    ("'2024-02-29 12:34:56.789'::TIMESTAMP_MS", "TIMESTAMP_MS"),
    (
        "'2024-02-29 12:34:56.789012345'::TIMESTAMP_NS",
        "TIMESTAMP_NS",
    ),
    ("'2024-02-29 12:34:56.789+00'::TIMESTAMPTZ", "TIMESTAMPTZ"),
    ("'b'::ENUM('a', 'b')", "ENUM('a', 'b')"),
    ("[1, NULL, 3]", "INTEGER[]"),
    ("['x', 'y z']", "VARCHAR[]"),
    ("[1.5, 2.5]::DOUBLE[2]", "DOUBLE[2]"),
    ("[12345678901234567890::HUGEINT]", "HUGEINT[]"),
    ("{'a': 1, 'b': 'x'}", "STRUCT(a INTEGER, b VARCHAR)"),
    ("{'a': {'b': [1, 2]}}", "STRUCT(a STRUCT(b INTEGER[]))"),
    ("MAP {'k': 1}", "MAP(VARCHAR, INTEGER)"),
    ("MAP {1: 'a'}", "MAP(INTEGER, VARCHAR)"),
    ("'{\"a\": [1]}'::JSON", "JSON"),
    ("NULL::INTEGER", "INTEGER"),
    ("NULL::HUGEINT", "HUGEINT"),
    ("'2024-02-29'::DATE - 738000", "DATE"),
    ("'nan'::DOUBLE", "DOUBLE"),
    ("''", "VARCHAR"),
    ("'a\tb'", "VARCHAR"),
];
/// Values that Parquet, as Arrow writes it, has no type for; other formats hold them as texts.
const NOT_FOR_PARQUET: [(&str, &str); 11] = [
    (
        "170141183460469231731687303715884105727::HUGEINT",
        "HUGEINT",
    ),
    (
        "(-170141183460469231731687303715884105728)::HUGEINT",
        "HUGEINT",
    ),
    (
        "340282366920938463463374607431768211455::UHUGEINT",
        "UHUGEINT",
    ),
    ("5::UHUGEINT", "UHUGEINT"),
    ("1234567890123456789012345678901234567890::BIGNUM", "BIGNUM"),
    ("'12:34:56+05:30'::TIMETZ", "TIMETZ"),
    ("'10101'::BIT", "BIT"),
    ("INTERVAL '1 year 2 days 3 seconds'", "INTERVAL"),
    ("INTERVAL '3000000 hours'", "INTERVAL"),
    ("[INTERVAL '1 day']", "INTERVAL[]"),
    ("union_value(n := 2)", "UNION(n INTEGER)"),
];

/// A query with each value, and DuckDB's own text of it behind it.
fn with_oracles<'v>(values: impl Iterator<Item = &'v (&'v str, &'v str)>) -> String {
    let columns = values
        .enumerate()
        .map(|(i, (value, _))| format!("{value} AS v{i}, ({value})::VARCHAR AS o{i}"));
    format!("select {}", columns.collect::<Vec<_>>().join(", "))
}

#[test]
fn every_type_comes_out_whole_or_is_refused_in_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let text = |sql: &str| -> Option<String> {
        let found = connection.query_row(sql, [], |row| row.get(0));
        found.unwrap_or_else(|e| panic!("{sql}: {e}"))
    };
    // A value is right if its text is DuckDB's, or means the same value of its type.
    let agrees = |from: &str, i: usize, kind: &str, format: &str| {
        // No text can be cast to a union, so its own text is what is asked for.
        let typed = match kind.starts_with("UNION") {
            true => format!("v{i}"),
            false => format!("try_cast(v{i} as {kind})"),
        };
        let sql = format!(
            "select case when v{i}::VARCHAR is not distinct from o{i} then NULL
                 when {typed}::VARCHAR is not distinct from o{i} then NULL
                 else concat(v{i}::VARCHAR, ' is not ', o{i}) end from {from}"
        );
        assert_eq!(text(&sql), None, "{kind} in {format}");
    };
    let all: Vec<(&str, &str)> = VALUES.iter().chain(&NOT_FOR_PARQUET).copied().collect();
    let written = |sql: &str, format: &str| {
        let name = format!("rows.{format}");
        let output = query(
            folder.path(),
            &["-e", sql, "--format", format, "--output", &name],
        );
        assert!(output.status.success(), "{format}: {}", stderr(&output));
        folder.path().join(name).display().to_string()
    };
    let csv = written(&with_oracles(all.iter()), "csv");
    let csv = format!(
        "read_csv('{csv}', all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '\u{1}')"
    );
    for (i, (_, kind)) in all.iter().enumerate() {
        // CSV has no other text for NULL than none.
        let is_null = text(&format!("select o{i} from {csv}")).is_none_or(|o| o.is_empty());
        if !is_null {
            agrees(&csv, i, kind, "csv");
        }
    }
    for format in ["json", "jsonl"] {
        let path = written(&with_oracles(all.iter()), format);
        let columns = all.iter().enumerate().map(|(i, (_, kind))| {
            // DuckDB's own reader takes arrays and objects apart; numbers stay as they are written.
            let is_nested = kind.ends_with(']')
                || kind.starts_with("STRUCT")
                || kind.starts_with("MAP(VARCHAR");
            let has_texts = kind.starts_with("HUGEINT") || kind.starts_with("INTERVAL");
            let read_as = match is_nested && !has_texts {
                true => kind.replace('\'', "''"),
                false => "VARCHAR".into(),
            };
            format!("v{i}: '{read_as}', o{i}: 'VARCHAR'")
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let from = format!("read_json('{path}', columns = {{{columns}}})");
        for (i, (value, kind)) in all.iter().enumerate() {
            let is_long_number = ["DECIMAL", "HUGEINT", "UHUGEINT"]
                .iter()
                .any(|name| kind.starts_with(name) && !kind.ends_with(']'));
            // DuckDB's own reader takes long numbers for doubles, so the file's text is looked at.
            if is_long_number {
                let number = text(&format!("select ({value})::VARCHAR"));
                let number = number.unwrap_or_else(|| "null".into());
                let json = fs::read_to_string(&path).expect("a file");
                assert!(
                    json.contains(&format!("\"v{i}\":{number},")),
                    "{number}: {json}"
                );
            } else if !value.contains("nan") {
                // JSON has no number that is none.
                agrees(&from, i, kind, format);
            }
        }
    }
    let parquet = written(&with_oracles(VALUES.iter()), "parquet");
    let parquet = format!("read_parquet('{parquet}')");
    for (i, (_, kind)) in VALUES.iter().enumerate() {
        agrees(&parquet, i, kind, "parquet");
    }
    for (value, kind) in NOT_FOR_PARQUET {
        let sql = format!("select {value} as odd");
        let output = query(
            folder.path(),
            &["-e", &sql, "--format", "parquet", "--output", "odd.parquet"],
        );
        assert_eq!(output.status.code(), Some(1), "{kind}");
        let told = stderr(&output);
        assert!(
            told.contains("column odd") && told.contains("odd::VARCHAR"),
            "{kind}: {told}"
        );
        assert!(!folder.path().join("odd.parquet").exists(), "{kind}");
    }
    // The table: DuckDB's own text, but for the T of times and the digits of floats.
    for (value, kind) in &all {
        let sql = format!("select {value} as v, ({value})::VARCHAR as o");
        let output = query(folder.path(), &["-e", &sql]);
        let table = stdout(&output);
        let row = table
            .lines()
            .nth(3)
            .unwrap_or_default()
            .replace(['│', ' '], "");
        let is_time = kind.starts_with("TIMESTAMP");
        let (first, second) = row.split_at(row.len() / 2);
        assert!(
            is_time || first.eq_ignore_ascii_case(second) || *value == "1e300::DOUBLE",
            "{kind}: {table}"
        );
    }
}

#[test]
fn dates_that_a_format_cannot_hold_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    for value in [
        "'infinity'::DATE",
        "'-infinity'::TIMESTAMP",
        "'infinity'::TIMESTAMP_NS",
        "'5000000-01-01'::DATE",
    ] {
        for format in ["csv", "json", "jsonl", "table"] {
            let sql = format!("select 1 as a, {value} as \"my day\"");
            let output = query(
                folder.path(),
                &["-e", &sql, "--format", format, "--out", "day"],
            );
            assert_eq!(output.status.code(), Some(1), "{value} in {format}");
            let told = stderr(&output);
            assert!(told.contains("\"my day\"::VARCHAR"), "{told}");
            assert!(!folder.path().join("day").exists());
        }
    }
}

#[test]
fn texts_that_duckdb_makes_keep_names_order_and_parameters() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select to_seconds(frame::BIGINT) as \"a \"\"b\", frame as x, frame as x from metrics where frame < $n order by frame desc; -- done";
    let arguments = ["--param", "n=3", "--format", "csv"];
    // A comment on the line of the semicolon is more than is looked through.
    let refused = query(folder.path(), &[&["-e", sql], &arguments[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("INTERVAL"),
        "{}",
        stderr(&refused)
    );
    let sql = sql.replace("; -- done", ";\n-- done");
    let output = query(folder.path(), &[&["-e", &sql], &arguments[..]].concat());
    let expected = "\"a \"\"b\",x,x\n00:00:02,2,2\n00:00:01,1,1\n00:00:00,0,0\n";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

/// What the program writes to a terminal of this size, without the terminal's line ends.
fn on_terminal(folder: &Path, columns: u32, lines: u32, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_posedata");
    let command = format!("stty cols {columns} rows {lines}; '{program}' {arguments}");
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder)
        .env("POSEDATA_MODELS", crate::support::store().folder())
        .env_remove("POSEDATA_LAKE")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script, of util-linux");
    stdout(&output).replace('\r', "")
}

#[test]
fn a_terminal_gets_what_it_shows_and_a_pipe_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    fs::write(
        folder.path().join("all.sql"),
        "select *, sqrt(frame) as root from metrics order by frame",
    )
    .expect("a file");
    let shown = on_terminal(folder.path(), 80, 24, "query all.sql");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() <= 24, "{shown}");
    // Box characters are one column each.
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    assert!(
        shown.contains("15 more rows") && shown.contains("more columns;"),
        "{shown}"
    );
    assert!(
        shown.contains("5.38516") && !shown.contains("5.385164"),
        "{shown}"
    );
    let narrow = on_terminal(folder.path(), 40, 24, "query all.sql");
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 40),
        "{narrow}"
    );
    let all = on_terminal(folder.path(), 80, 24, "query all.sql --all");
    assert!(
        all.lines().count() == 30 + 4 && all.contains("5.385164807134504"),
        "{all}"
    );
    let piped = stdout(&query(folder.path(), &["all.sql"]));
    assert_eq!(piped, all);
    let csv = on_terminal(folder.path(), 80, 24, "query all.sql --format csv");
    assert_eq!(csv.lines().count(), 31);
    let models = on_terminal(folder.path(), 80, 24, "models");
    // Where it all is has the length that it has.
    let mut list = models.lines().filter(|line| !line.starts_with("in "));
    assert!(list.all(|line| line.chars().count() <= 80), "{models}");
}

#[test]
fn a_snapshot_that_cannot_be_read_is_told_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = posedata(folder.path(), &["lake", "create", "lake"]);
    assert!(made.status.success(), "{}", stderr(&made));
    for (version, expected) in [
        ("0", "before the lake had its tables"),
        ("99", "does not exist"),
        ("18446744073709551615", "does not exist"),
    ] {
        let read = ["query", "-e", "SELECT 1", "--at", version];
        let output = posedata(folder.path(), &read);
        assert_eq!(output.status.code(), Some(1));
        let told = stderr(&output);
        assert!(
            told.contains(expected) && !told.contains("not a lake"),
            "{told}"
        );
    }
}
