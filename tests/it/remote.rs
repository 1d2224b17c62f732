//! Lakes whose catalog is in PostgreSQL and whose files are on S3, with real servers.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use safetensors::Dtype;

use crate::analysis::{ANY, linear_model};
use crate::dataset::shipped_recipes;
use crate::servers::{BUCKET, ObjectStore, PG_PASSWORD, Postgres, S3_SECRET, command_with};
use crate::support::{make_person_clip, stderr, stdout};
use crate::tiny_llama::TinyLlama;
use crate::train::{arguments as train_arguments, write_data};

/// What DuckDB says once it refuses all further work in its own database.
const GIVEN_UP: &str = "database has been invalidated";
/// Frames of each short clip.
const FRAMES: u64 = 8;
/// Rows only, of a fast model run.
const ROWS_ONLY: [&str; 2] = ["--no-video", "--no-pose-json"];

/// A database and, where it is wanted, a store; and a folder with clips.
struct Site {
    postgres: Postgres,
    store: Option<ObjectStore>,
    folder: tempfile::TempDir,
}

impl Site {
    fn with_store() -> Self {
        let site = Self::new(Some(ObjectStore::start()));
        let made = site.run(&["lake", "create", &site.lake(), "--data-path", &site.data()]);
        assert!(made.status.success(), "{}", stderr(&made));
        site
    }

    fn with_folder() -> Self {
        let site = Self::new(None);
        let made = site.run(&["lake", "create", &site.lake(), "--data-path", &site.data()]);
        assert!(made.status.success(), "{}", stderr(&made));
        site
    }

    fn new(store: Option<ObjectStore>) -> Self {
        Self {
            postgres: Postgres::start(),
            store,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn lake(&self) -> String {
        self.postgres.lake()
    }

    fn data(&self) -> String {
        match &self.store {
            Some(_) => format!("s3://{BUCKET}/data/"),
            None => format!("{}/shared/", self.folder.path().display()),
        }
    }

    fn command(&self) -> Command {
        command_with(self.folder.path(), &self.postgres, self.store.as_ref())
    }

    /// Runs the program; nothing it prints may hold a password.
    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command().args(arguments).output().expect("it starts");
        assert_no_secret(&stdout(&output));
        assert_no_secret(&stderr(&output));
        output
    }

    fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = format!("{arguments:?}: {}{}", stdout(&output), stderr(&output));
        assert!(output.status.success(), "{told}");
        stdout(&output)
    }

    /// Starts the program; what it says is appended to the file `said`.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut said = fs::OpenOptions::new();
        let said = said.create(true).append(true).open(self.said());
        self.command()
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(said.expect("a file"))
            .spawn()
            .expect("it starts")
    }

    fn said(&self) -> std::path::PathBuf {
        self.folder.path().join("said")
    }

    /// Short clips of different content, by their names.
    fn clips(&self, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|i| format!("clip{i}.mp4")).collect();
        for (index, name) in names.iter().enumerate() {
            let start_secs = index as f64 * 0.05;
            let path = self.folder.path().join(name);
            make_person_clip(&path, "single_cam01", start_secs, FRAMES);
        }
        names
    }

    fn query(&self, sql: &str) -> String {
        self.run_well(&["query", "--format", "csv", "-e", sql])
    }

    /// Asserts that the lake is whole, with each video once and all its frames; gives their names.
    fn whole_videos(&self) -> BTreeSet<String> {
        let check = self.run(&["lake", "check"]);
        assert!(
            check.status.success(),
            "{}{}",
            stdout(&check),
            stderr(&check)
        );
        let rows = self.query(
            "SELECT file_name, count(*) OVER (PARTITION BY video_id) AS times, frame_count,
                 (SELECT count(DISTINCT frame) FROM metrics AS m WHERE m.video_id = v.video_id)
             FROM videos AS v ORDER BY file_name",
        );
        let mut names = BTreeSet::new();
        for row in rows.lines().skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(
                cells[1..],
                ["1", &FRAMES.to_string(), &FRAMES.to_string()],
                "{row}"
            );
            assert!(names.insert(cells[0].to_owned()), "twice: {row}");
        }
        names
    }
}

fn assert_no_secret(text: &str) {
    for secret in [PG_PASSWORD, S3_SECRET] {
        assert!(!text.contains(secret), "a password is shown: {text}");
    }
}

fn ingest<'a>(inputs: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["ingest"];
    arguments.extend(inputs);
    arguments.extend(ROWS_ONLY);
    arguments
}

#[test]
fn every_command_works_on_a_lake_in_a_database_with_files_on_s3() {
    let site = Site::with_store();
    let clips = site.clips(2);
    site.run_well(&["ingest", &clips[0], &clips[1], "--no-pose-json"]);
    assert_eq!(site.whole_videos().len(), 2);
    let again = site.run(&ingest(&[&clips[0], &clips[1]]));
    assert!(
        stderr(&again).contains("2 in the lake already"),
        "{}",
        stderr(&again)
    );

    // The rows are the same bits as those of a lake in a folder.
    let sum = "SELECT bit_xor(hash(m)) FROM (SELECT * EXCLUDE (video_id) FROM metrics) AS m";
    let remote = site.query(sum);
    let mut local = ingest(&[&clips[0], &clips[1]]);
    local.extend(["--lake", "here"]);
    site.run_well(&local);
    let here = site.run_well(&["query", "--format", "csv", "-e", sum, "--lake", "here"]);
    assert_eq!(remote, here);

    site.run_well(&["metrics", "recompute"]);
    site.run_well(&[
        "annotate",
        &clips[0],
        "--output",
        &format!("s3://{BUCKET}/drawn/"),
    ]);
    site.run_well(&["export", "csv", &clips[1], "--output", "exported"]);
    let target = format!("s3://{BUCKET}/results/all.parquet");
    site.run_well(&["query", "-e", "FROM videos", "--output", &target]);
    site.run_well(&["tag", &clips[0], "--subject", "anna"]);
    site.run_well(&["lake", "info"]);
    site.run_well(&["lake", "compact"]);
    site.run_well(&["lake", "expire", "--keep", "1"]);
    site.run_well(&["lake", "vacuum"]);
    site.run_well(&["lake", "check", "--repair"]);
    site.run_well(&["lake", "upgrade"]);
    site.run_well(&["remove", &clips[1]]);
    assert_eq!(site.whole_videos(), BTreeSet::from([clips[0].clone()]));
    let runs = site.query("SELECT command_line, config, errors FROM runs");
    assert_no_secret(&runs);
    assert!(
        runs.contains("posedata ingest") || runs.contains("ingest"),
        "{runs}"
    );
}

#[test]
fn what_is_made_of_rows_works_on_a_lake_in_a_database_as_well() {
    let site = Site::with_store();
    let folder = site.folder.path();
    make_person_clip(&folder.join("a.mp4"), "single_cam01", 0.0, 60);
    site.run_well(&ingest(&["a.mp4"]));
    site.run_well(&["lake", "upgrade"]);
    site.run_well(&["metrics", "recompute"]);
    site.run_well(&["contact-sheet", "a.mp4", "--output", "sheet.png"]);
    let velocity = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/velocity.sql");
    site.run_well(&["plot", velocity, "--output", "velocity.svg"]);
    assert!(folder.join("sheet.png").is_file() && folder.join("velocity.svg").is_file());
    // The same in the bucket, under names that have to be encoded on their way.
    let store = site.store.as_ref().expect("a store");
    let made = |name: &str| format!("s3://{BUCKET}/made of it/{name}");
    site.run_well(&["contact-sheet", "a.mp4", "--output", &made("bögen.png")]);
    site.run_well(&["plot", velocity, "--output", &made("v.svg")]);
    site.run_well(&["report", "a.mp4", "--output", &made("r.html")]);
    site.run_well(&["export", "csv", "a.mp4", "--output", &made("")]);
    // A format of many files: a folder, which takes the place of an earlier one.
    store.put(
        "made%20of%20it/a_json/left.json",
        &folder.join("velocity.svg"),
    );
    let written = site.run_well(&[
        "export",
        "openpose",
        "a.mp4",
        "--output",
        &made(""),
        "--json",
    ]);
    assert!(written.contains(&made("a_json")), "{written}");
    let first = store.get("made%20of%20it/a_json/a_000000000000_keypoints.json");
    assert!(String::from_utf8_lossy(&first).contains("pose_keypoints_2d"));
    assert!(!store.has("made%20of%20it/a_json/left.json"));
    let sheet = store.get("made%20of%20it/b%C3%B6gen.png");
    assert!(sheet.starts_with(b"\x89PNG"), "a picture");
    for (name, beginning) in [
        ("v.svg", "<svg"),
        ("r.html", "<!DOCTYPE html"),
        ("a.csv", "frame"),
    ] {
        let bytes = store.get(&format!("made%20of%20it/{name}"));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let begins = text.to_lowercase().contains(&beginning.to_lowercase());
        assert!(begins, "{name}: {}", &text[..text.len().min(200)]);
    }

    linear_model(&folder.join("model.onnx"), ANY);
    site.run_well(&["analyze", "--model", "model.onnx"]);
    let recipes = shipped_recipes();
    let mut build = vec!["dataset", "build", "--name", "gait", "--examples", "5"];
    build.extend(["--valid", "0", "--recipes", &recipes]);
    site.run_well(&build);
    // The video's own file lies elsewhere as well.
    store.put("clips/a.mp4", &folder.join("a.mp4"));
    fs::remove_file(folder.join("a.mp4")).expect("a file");
    let address = format!("s3://{BUCKET}/clips/a.mp4");
    let mut again = ingest(&[&address]);
    again.push("--force");
    site.run_well(&again);
    site.run_well(&["metrics", "recompute"]);
    site.run_well(&["analyze", "--model", "model.onnx"]);
    let clip = made("clip.mp4");
    site.run_well(&["dataset", "trace", "gait", "1", "--clip", &clip]);
    assert_eq!(&store.get("made%20of%20it/clip.mp4")[4..8], b"ftyp");
    TinyLlama::new().write(&folder.join("base"), Dtype::F32);
    write_data(&folder.join("data.jsonl"), "after");
    site.run_well(&train_arguments(&["--epochs", "1"]));
    let counts = site.query(
        "SELECT (SELECT count(DISTINCT frame) FROM analysis),
             (SELECT count(DISTINCT frame) FROM metrics_filtered),
             (SELECT count(*) FROM examples WHERE dataset = 'gait'),
             (SELECT string_agg(outcome) FROM training_runs)",
    );
    assert_eq!(counts.lines().nth(1), Some("60,60,5,finished"));
    // By this index DuckLake finds a column's statistics.
    let index = "SELECT count(*) FROM pg_indexes WHERE indexname = 'posedata_file_column_stats'";
    assert_eq!(site.postgres.sql("lake", index), "1");
    assert!(site.run_well(&["lake", "check"]).contains("whole"));
    // Nothing took an address for a folder's name.
    let names: Vec<_> = (fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    let is_scheme = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(':');
    assert!(!names.iter().any(is_scheme), "{names:?}");
}

#[test]
fn a_sealed_session_reaches_nothing_but_the_lake() {
    let site = Site::with_store();
    let scan = format!("host=127.0.0.1 port={} dbname=lake", site.postgres.port);
    site.postgres.sql(
        "lake",
        "CREATE TABLE public.private AS SELECT 42 AS secret;
         CREATE SCHEMA other; CREATE TABLE other.ducklake_snapshot AS SELECT 42 AS secret;
         GRANT ALL ON SCHEMA other TO PUBLIC; GRANT ALL ON other.ducklake_snapshot TO PUBLIC",
    );
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = elsewhere.local_addr().expect("an address");
    let settings = format!("s3_endpoint={host}&s3_use_ssl=false&s3_url_style=path");
    for sql in [
        format!("FROM read_text('{}a.txt?{settings}')", site.data()),
        format!("FROM '{}a.csv?{settings}'", site.data()),
        "FROM __ducklake_metadata_lake.other.ducklake_snapshot".into(),
        "FROM postgres_query('posedata_lock', 'SELECT 1')".to_owned(),
        "FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')".into(),
        format!("FROM postgres_scan('{scan}', 'public', 'private')"),
        "FROM __ducklake_metadata_lake.public.private".into(),
        "FROM posedata_lock.public.private".into(),
        "FROM read_parquet('s3://other/a.parquet')".into(),
        format!("FROM read_parquet('s3://{BUCKET}/elsewhere/a.parquet')"),
        "FROM read_csv('https://127.0.0.1/a.csv')".into(),
        "FROM duckdb_secrets()".into(),
        "FROM read_text('/etc/hostname')".into(),
    ] {
        let output = site.run(&["query", "-e", &sql]);
        assert_eq!(output.status.code(), Some(1), "{sql}: {}", stdout(&output));
    }
    elsewhere.set_nonblocking(true).expect("a socket");
    assert!(elsewhere.accept().is_err(), "another host was asked");
    let tables =
        site.query("SELECT count(*) > 0 FROM __ducklake_metadata_lake.public.ducklake_table");
    assert!(tables.contains("true"), "{tables}");
}

#[test]
fn a_sealed_session_goes_by_no_address_out_of_the_lake_s_place() {
    let site = Site::with_store();
    let store = site.store.as_ref().expect("a store");
    let file = site.folder.path().join("a.csv");
    fs::write(&file, "told\n4242\n").expect("a file");
    for key in ["elsewhere/a.csv", "data/own/a.csv", "data-beside/a.csv"] {
        store.put(key, &file);
    }
    let data = format!("s3://{BUCKET}/data");
    let mut refused: Vec<String> = Vec::new();
    for address in [
        format!("{data}/../elsewhere/a.csv"),
        format!("{data}/./../elsewhere/a.csv"),
        format!("{data}//../elsewhere/a.csv"),
        format!("{data}/own/../../elsewhere/a.csv"),
        format!("{data}/own/../own/a.csv"),
        format!("{data}/%2e%2e/elsewhere/a.csv"),
        format!("{data}/%252E%252e/elsewhere/a.csv"),
        format!("{data}/..%2felsewhere/a.csv"),
        format!("{data}/..\\elsewhere/a.csv"),
        format!("{data}/../../other/a.csv"),
        format!("{data}/../elsewhere/*.csv"),
        format!("{data}-beside/a.csv"),
        format!("s3://{BUCKET}/elsewhere/a.csv"),
        "s3://other/a.csv".into(),
        format!("s3a://{BUCKET}/elsewhere/a.csv"),
        format!("{}/{BUCKET}/elsewhere/a.csv", store.endpoint()),
    ] {
        refused.push(format!("FROM read_text('{address}')"));
        refused.push(format!("FROM '{address}'"));
    }
    for sql in [
        "FROM \"s3://lakes/data/.\".\"/elsewhere/a.csv\"",
        "SUMMARIZE 's3://lakes/data/../elsewhere/a.csv'",
        "FROM read_csv(['s3://lakes/data/own/a.csv', 's3://lakes/data/../elsewhere/a.csv'])",
        "FROM read_csv('s3://lakes/data/' || '../elsewhere/a.csv')",
        "FROM read_text(('s3://lakes/data/\\x2E\\x2E/elsewhere/a.csv'::BLOB)::VARCHAR)",
        "FROM read_text(['s3://lakes/data/x', concat('s3://lakes/data/', '../elsewhere/a.csv')])",
        "FROM read_text((SELECT 's3://lakes/data/../elsewhere/a.csv'))",
        "FROM glob('s3://lakes/data/../elsewhere/*')",
        "EXPLAIN ANALYZE FROM read_blob('s3://lakes/data/../elsewhere/a.csv')",
        "SELECT (SELECT content FROM read_text('s3://lakes/data/../elsewhere/a.csv')) FROM videos",
    ] {
        refused.push(sql.into());
    }
    for sql in refused {
        let output = site.run(&["query", "-e", &sql]);
        let told = format!("{sql}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            !told.contains("4242") && !told.contains("Signature"),
            "{told}"
        );
    }
    // What is the lake's own can be read.
    for sql in [
        format!("SELECT told FROM read_csv('{data}/own/a.csv', header = true)"),
        format!("SELECT told FROM read_csv(['{data}/own/a.csv'], delim => ',')"),
        format!("SELECT told FROM '{data}/own/a.csv'"),
    ] {
        assert!(site.query(&sql).contains("4242"), "{sql}");
    }
}

#[test]
fn a_lake_is_made_once_and_its_place_is_its_own() {
    let site = Site::new(Some(ObjectStore::start()));
    let missing = site.run(&["query", "-e", "SELECT 1"]);
    assert!(
        stderr(&missing).contains("lake create"),
        "{}",
        stderr(&missing)
    );
    let create = ["lake", "create", &site.lake(), "--data-path", &site.data()];
    let mut makers: Vec<Child> = (0..4).map(|_| site.start(&create)).collect();
    for maker in &mut makers {
        let status = maker.wait().expect("it ends");
        let said = fs::read_to_string(site.said()).expect("a file");
        assert!(status.success(), "{said}");
    }
    let elsewhere = format!("s3://{BUCKET}/other/");
    let other_place = site.run(&["lake", "create", &site.lake(), "--data-path", &elsewhere]);
    assert!(
        stderr(&other_place).contains("already"),
        "{}",
        stderr(&other_place)
    );
    let second = format!("{}?schema=second", site.lake());
    let inside = format!("{}inner/", site.data());
    let inner_place = site.run(&["lake", "create", &second, "--data-path", &inside]);
    assert!(
        stderr(&inner_place).contains("inside"),
        "{}",
        stderr(&inner_place)
    );
    let same_place = site.run(&["lake", "create", &second, "--data-path", &site.data()]);
    assert_eq!(same_place.status.code(), Some(1), "{}", stderr(&same_place));
    site.run_well(&["lake", "create", &second, "--data-path", &elsewhere]);
    site.run_well(&["lake", "check"]);
    site.run_well(&["lake", "check", "--lake", &second]);
}

#[test]
fn a_machine_that_does_not_see_the_lake_s_files_neither_writes_nor_repairs() {
    let site = Site::with_folder();
    let clips = site.clips(1);
    site.run_well(&ingest(&[&clips[0]]));
    let (shared, away) = (
        site.folder.path().join("shared"),
        site.folder.path().join("away"),
    );
    fs::rename(&shared, &away).expect("a folder");
    for arguments in [
        &[&ingest(&[&clips[0]])[..], &["--force"]].concat()[..],
        &["lake", "check", "--repair"],
        &["query", "-e", "SELECT count(*) FROM metrics"],
    ] {
        let output = site.run(arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("mounted"), "{arguments:?}: {told}");
    }
    assert!(!shared.exists(), "nothing was made in its place");
    fs::rename(&away, &shared).expect("a folder");
    assert_eq!(site.whole_videos().len(), 1);
}

#[test]
fn four_writers_with_replaces_kills_and_lost_connections_lose_and_double_nothing() {
    let site = Site::with_folder();
    let clips = site.clips(8);
    let names: Vec<&str> = clips.iter().map(String::as_str).collect();
    let writer = |sport: &str, force: bool| {
        let mut arguments = ingest(&names);
        arguments.extend([
            "--sport-type",
            sport,
            "--workers",
            "1",
            "--pose-model",
            "full",
        ]);
        if force {
            arguments.push("--force");
        }
        site.start(&arguments)
    };
    // All take the same videos, two of them with other settings, and one again and again.
    let mut writers = vec![
        writer("one", false),
        writer("one", false),
        writer("two", false),
        writer("one", true),
    ];
    let began = Instant::now();
    let mut kills = 0;
    while writers
        .iter_mut()
        .any(|w| w.try_wait().expect("a child").is_none())
    {
        assert!(
            began.elapsed() < Duration::from_secs(240),
            "they do not end"
        );
        thread::sleep(Duration::from_millis(700));
        site.postgres.sql(
            "postgres",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = 'lake' AND pid <> pg_backend_pid() AND random() < 0.3",
        );
        if kills < 2 && began.elapsed() > Duration::from_secs(2 + 2 * kills) {
            kills += 1;
            let _ = writers[1].kill();
            let _ = writers[1].wait();
            writers[1] = writer("one", false);
        }
    }
    for mut child in writers {
        let status = child.wait().expect("it ends");
        let said = fs::read_to_string(site.said()).expect("a file");
        assert_no_secret(&said);
        assert!(status.success(), "{status}: {said}");
    }
    assert_eq!(site.whole_videos(), clips.iter().cloned().collect());
    let in_work = site.run_well(&["lake", "vacuum", "--dry-run"]);
    assert!(in_work.contains("would delete 0 files"), "{in_work}");
    let absolute = "SELECT count(*) FROM ducklake_data_file WHERE NOT path_is_relative";
    assert_eq!(site.postgres.sql("lake", absolute), "0");
    site.run_well(&["lake", "compact"]);
    assert_eq!(site.whole_videos(), clips.iter().cloned().collect());
}

#[test]
fn a_writer_goes_on_however_often_connections_end_in_the_middle_of_commits() {
    let site = Site::with_folder();
    let clips = site.clips(6);
    let mut arguments = ingest(&clips.iter().map(String::as_str).collect::<Vec<_>>());
    arguments.extend(["--force", "--workers", "1"]);
    for _ in 0..2 {
        let mut writer = site.start(&arguments);
        let mut hit = 0;
        let status = loop {
            if let Some(status) = writer.try_wait().expect("a child") {
                break status;
            }
            // Those in the middle of a transaction: the first that is seen, then one in ten.
            let share = if hit == 0 { 1.0 } else { 0.1 };
            let ended = site.postgres.sql(
                "postgres",
                &format!(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = 'lake' AND xact_start IS NOT NULL AND random() < {share}"
                ),
            );
            hit += ended.parse::<usize>().expect("a number");
            // A transaction lasts less long than this pause, so that most of them succeed, also on a
            // machine with much other work; the first is looked for without one.
            if hit > 0 {
                thread::sleep(Duration::from_millis(250));
            }
        };
        assert!(hit > 0, "no connection was ended");
        let said = fs::read_to_string(site.said()).expect("a file");
        assert!(status.success(), "{status}: {said}");
        assert!(!said.contains(GIVEN_UP), "{said}");
    }
    site.run_well(&arguments);
    assert_eq!(site.whole_videos(), clips.iter().cloned().collect());
}

#[test]
fn a_writer_never_waits_for_a_lock_that_it_has_left_itself() {
    let site = Site::with_folder();
    let clips = site.clips(1);
    site.run_well(&ingest(&[&clips[0]]));
    let id = site.postgres.sql(
        "lake",
        "SELECT table_id FROM ducklake_table WHERE table_name = 'videos'",
    );
    let table = format!("ducklake_inlined_data_{id}_1");
    // The second time that a writer reads the videos it holds the lock, and fails once. DuckDB gives its
    // database up for that, and takes nothing back.
    site.postgres.sql(
        "lake",
        &format!(
            "CREATE SEQUENCE looks; GRANT ALL ON SEQUENCE looks TO posedata;
             CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$
             BEGIN
                 IF current_setting('transaction_read_only') = 'off' AND nextval('looks') = 2 THEN
                     RAISE EXCEPTION 'once';
                 END IF;
                 RETURN true;
             END $$;
             ALTER TABLE {table} RENAME TO hidden;
             CREATE VIEW {table} AS SELECT * FROM hidden WHERE (SELECT look());
             ALTER VIEW {table} OWNER TO posedata"
        ),
    );
    let mut arguments = ingest(&[&clips[0]]);
    arguments.extend(["--force", "--lock-timeout", "20", "--log-level", "info"]);
    let output = site.run(&arguments);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("gave its database up"), "{told}");
    assert!(told.contains("1 replaced"), "{told}");
}

#[test]
fn a_commit_waits_for_a_database_that_comes_back() {
    let site = Site::with_folder();
    let clips = site.clips(3);
    let names: Vec<&str> = clips.iter().map(String::as_str).collect();
    let mut writer = site.start(&ingest(&names));
    thread::sleep(Duration::from_millis(1500));
    site.postgres.stop_at_once();
    thread::sleep(Duration::from_millis(1500));
    site.postgres.start_again();
    let status = writer.wait().expect("it ends");
    let again = site.run(&ingest(&names));
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(
        site.whole_videos(),
        clips.iter().cloned().collect(),
        "{status}"
    );
}

#[test]
fn a_writer_that_waits_for_the_lock_can_be_called_off() {
    let site = Site::with_folder();
    let clips = site.clips(1);
    // What a commit of another machine holds.
    let mut holder = Command::new("psql")
        .args(["-h", "127.0.0.1", "-p", &site.postgres.port.to_string()])
        .args(["-U", "postgres", "-d", "lake", "-c"])
        .arg(format!(
            "BEGIN; SELECT pg_advisory_xact_lock({}); SELECT pg_sleep(60)",
            posedata::lake::PostgresAddress::parse(&site.lake())
                .expect("an address")
                .lock_key()
        ))
        .env("PGPASSWORD", "superuser")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql; run `make test`");
    thread::sleep(Duration::from_millis(500));
    let mut arguments = ingest(&[&clips[0]]);
    arguments.extend(["--lock-timeout", "2"]);
    let late = site.run(&arguments);
    assert_ne!(late.status.code(), Some(0), "{}", stderr(&late));
    assert!(stderr(&late).contains("in use"), "{}", stderr(&late));
    let mut writer = site.start(&ingest(&[&clips[0]]));
    thread::sleep(Duration::from_secs(3));
    let signalled = Instant::now();
    let pid = writer.id().to_string();
    let killed = Command::new("kill").arg(&pid).status().expect("kill");
    assert!(killed.success());
    assert_eq!(writer.wait().expect("it ends").code(), Some(143));
    assert!(signalled.elapsed() < Duration::from_secs(5));
    let _ = holder.kill();
    let _ = holder.wait();
    let pids = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    site.postgres.sql("lake", pids);
    site.run_well(&ingest(&[&clips[0]]));
    assert_eq!(site.whole_videos().len(), 1);
}

#[test]
fn videos_on_s3_are_fetched_once() {
    let site = Site::with_store();
    let clips = site.clips(2);
    let store = site.store.as_ref().expect("a store");
    for name in &clips {
        store.put(
            &format!("clips/2026/{name}"),
            &site.folder.path().join(name),
        );
        if name == &clips[1] {
            store.put(
                "clips/2026/%C3%BC%20%2B100%25%20%231%3F.mp4",
                &site.folder.path().join(name),
            );
        }
        fs::remove_file(site.folder.path().join(name)).expect("a file");
    }
    let prefix = format!("s3://{BUCKET}/clips/2026/");
    // What consoles make for a folder is no video, whatever it is called.
    store.make_folder("clips/2026/old.mp4/");
    let listed = site.run_well(&["list", &prefix, "--json"]);
    assert_eq!(listed.matches("\"path\"").count(), 3, "{listed}");
    site.run_well(&ingest(&[&prefix]));
    assert_eq!(site.whole_videos().len(), 2);
    // The copy, whichever of the two was taken, is known by its own address.
    let copies = site.query(
        "SELECT count(*) FROM (SELECT path, source_etag FROM videos UNION SELECT path, source_etag FROM sources)
         WHERE source_etag IS NOT NULL",
    );
    assert_eq!(copies.lines().nth(1), Some("3"), "{copies}");
    let paths = site.query("SELECT path FROM videos WHERE source_etag IS NOT NULL ORDER BY path");
    assert!(paths.contains(&format!("{prefix}clip0.mp4")), "{paths}");
    // Nothing is downloaded the second time: what is there now could not be read as a video.
    let again = site.run(&ingest(&[&prefix]));
    assert!(
        stderr(&again).contains("3 in the lake already"),
        "{}",
        stderr(&again)
    );
    let garbage = site.folder.path().join("garbage");
    fs::write(&garbage, "no video").expect("a file");
    store.put("clips/2026/clip0.mp4", &garbage);
    // Before anything is estimated.
    let nowhere = ["--output", "s3://not-made-yet/x/", "--force"];
    let refused = site.run(&[ingest(&[&prefix]), nowhere.to_vec()].concat());
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("no such bucket")
            && stderr(&refused).contains("s3://not-made-yet/"),
        "{}",
        stderr(&refused)
    );
    let annotated = format!("s3://{BUCKET}/annotated/");
    let events = ["annotate", "--events", "json", "--output", &annotated];
    let told = site.run(&events);
    assert_eq!(told.status.code(), Some(2), "{}", stderr(&told));
    assert!(
        stdout(&told).contains(&format!("{annotated}annotated_clip1.mp4")),
        "{}",
        stdout(&told)
    );
    let sent = site.run_well(&["list", &annotated]);
    assert!(sent.contains("annotated_clip1.mp4"), "{sent}");
    let changed = site.run(&ingest(&[&prefix]));
    assert_eq!(changed.status.code(), Some(2), "{}", stderr(&changed));
    assert!(
        stderr(&changed).contains("clips/2026/clip0.mp4"),
        "{}",
        stderr(&changed)
    );
    assert!(!stderr(&changed).contains("/tmp"), "{}", stderr(&changed));
}

#[test]
fn objects_that_are_renamed_exchanged_and_replaced_stay_one_video_each() {
    let site = Site::with_store();
    let store = site.store.as_ref().expect("a store");
    let clips = site.clips(3);
    let [first, second, third] = [0, 1, 2].map(|i| site.folder.path().join(&clips[i]));
    let prefix = format!("s3://{BUCKET}/clips/");
    let ingest_all = |told: &str| {
        let output = site.run(&ingest(&[&prefix]));
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            stderr(&output).contains(told),
            "{told}: {}",
            stderr(&output)
        );
    };
    // Rows of one content, however it is called.
    let rows = |file: &std::path::Path| {
        let id = posedata::ingest::video_id(file).expect("a file");
        site.query(&format!(
            "SELECT count(DISTINCT v.video_id), count(*), bit_xor(hash(m))
             FROM videos AS v JOIN metrics AS m USING (video_id) WHERE video_id = '{id}'"
        ))
    };
    let n_videos = || site.query("SELECT count(*), count(DISTINCT video_id) FROM videos");
    store.put("clips/a.mp4", &first);
    store.put("clips/b.mp4", &second);
    ingest_all("2 ingested");
    let known = [&first, &second].map(|file| rows(file));

    store.put("clips/a.mp4", &second);
    store.put("clips/b.mp4", &first);
    ingest_all("2 in the lake already");
    store.delete("clips/a.mp4");
    store.put("clips/c.mp4", &second);
    ingest_all("2 in the lake already");
    assert_eq!(n_videos().lines().nth(1), Some("2,2"));
    assert_eq!(known, [&first, &second].map(|file| rows(file)));

    // The same name, other content: another video, and the first one's rows stay as they are.
    store.put("clips/b.mp4", &third);
    ingest_all("1 ingested, 1 in the lake already");
    assert_eq!(n_videos().lines().nth(1), Some("3,3"));
    assert_eq!(known, [&first, &second].map(|file| rows(file)));
    store.put("clips/d.mp4", &first);
    ingest_all("3 in the lake already");
    let noted = site.query("SELECT string_agg(parse_filename(path) ORDER BY path) FROM sources");
    assert!(noted.contains("c.mp4,d.mp4"), "{noted}");
    assert_eq!(n_videos().lines().nth(1), Some("3,3"));
    assert_eq!(known, [&first, &second].map(|file| rows(file)));
    site.run_well(&["lake", "check"]);

    // Pictures are found where they lie now: two videos were known by names that others have.
    let drawn = site.run(&["annotate", "--output", "drawn"]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    let folder = fs::read_dir(site.folder.path().join("drawn")).expect("a folder");
    assert_eq!(folder.count(), 3);
    for name in ["clips/c.mp4", "clips/d.mp4"] {
        store.delete(name);
    }
    let gone = site.run(&["annotate", "--output", "drawn"]);
    assert_eq!(gone.status.code(), Some(2), "{}", stderr(&gone));
    let told = stderr(&gone);
    assert!(told.contains("a.mp4") && told.contains("b.mp4"), "{told}");
}

#[test]
fn missing_and_damaged_objects_are_told_and_an_unreachable_store_is_not_taken_for_them() {
    let site = Site::with_store();
    let clips = site.clips(2);
    site.run_well(&ingest(&[&clips[0], &clips[1]]));
    let mut wrong = site.command();
    wrong.args(["lake", "check", "--repair"]);
    wrong.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let unreachable = wrong.output().expect("it starts");
    assert_eq!(
        unreachable.status.code(),
        Some(1),
        "{}",
        stdout(&unreachable)
    );
    assert_eq!(site.whole_videos().len(), 2, "nothing was taken out");
    let files =
        site.query("SELECT path FROM files WHERE table_name = 'metrics' ORDER BY path LIMIT 1");
    let name = files.lines().nth(1).expect("a file");
    let store = site.store.as_ref().expect("a store");
    store.delete(&format!("data/{name}"));
    let check = site.run(&["lake", "check"]);
    assert_eq!(check.status.code(), Some(2), "{}", stderr(&check));
    assert!(stdout(&check).contains("missing"), "{}", stdout(&check));
    site.run_well(&["lake", "check", "--repair"]);
    assert_eq!(site.whole_videos().len(), 1);

    // The other one's rows are overwritten, in their full length.
    let file = site.query("SELECT path, byte_size FROM files WHERE table_name = 'metrics'");
    let (name, byte_size) =
        (file.lines().nth(1).and_then(|row| row.split_once(','))).expect("a file and its size");
    let garbage = site.folder.path().join("garbage");
    fs::write(&garbage, vec![b'x'; byte_size.parse().expect("bytes")]).expect("room");
    store.put(&format!("data/{name}").replace('=', "%3D"), &garbage);
    let check = site.run(&["lake", "check"]);
    let told = stdout(&check);
    assert_eq!(check.status.code(), Some(2), "{told}{}", stderr(&check));
    assert!(told.contains(name), "{told}");
    site.run_well(&["lake", "check", "--repair"]);
    assert_eq!(site.whole_videos().len(), 0);
}

#[test]
fn passwords_in_addresses_are_refused_and_not_shown() {
    let site = Site::new(None);
    let address = format!("postgres://posedata:{PG_PASSWORD}@127.0.0.1/lake");
    let output = site.run(&["lake", "info", "--lake", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("PGPASSWORD"),
        "{}",
        stderr(&output)
    );
    let mut wrong = site.command();
    wrong.args(["lake", "info"]).env("PGPASSWORD", S3_SECRET);
    wrong.env("POSEDATA_PG_PASSWORD", PG_PASSWORD.to_uppercase());
    let refused = wrong.output().expect("it starts");
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(told.contains("cannot be reached"), "{told}");
    assert!(!told.contains(&PG_PASSWORD.to_uppercase()), "{told}");
}
