//! The lake as a fixture (scripted poses over a short clip) and what commits promise.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use posedata::hashing::hash_file;
use posedata::image::Pixels;
use posedata::ingest::{
    self, AnnotatedVideo, FailureKind, IngestConfig, IngestError, IngestObserver, IngestSummary,
    MemoryPlan, Outputs, PoseJson, RowConfig, VideoOutcome, VideoReport,
};
use posedata::lake::{CommitOutcome, Extensions, Lake, LakeError, LakePaths, Replace};
use posedata::media_time::MediaTime;
use posedata::metrics::filter::FilterConfig;
use posedata::pose::{PersonPose, PoseBackend, PoseError, PoseTimings, Provider, TrackerConfig};
use posedata::recompute::{RecomputeConfig, recompute};
use posedata::sync::Cancellation;

use crate::poses::{made_up_frame, prepare, record, with_catalog};
use crate::support::{
    ScriptedBackend, Shared, copy_folder, ends_within, installed, make_clip, posedata, stderr,
    store,
};

pub const CLIP_FRAMES: u64 = 30;

pub struct Silent;

impl IngestObserver for Silent {
    fn planned(&self, _bytes: u64) {}
    fn video_started(&self, _video: usize, _path: &Path, _bytes: u64, _hint: Option<u64>) {}
    fn frame_done(&self, _video: usize) {}
    fn video_finished(&self, _video: usize, _report: &VideoReport) {}
}

/// A one-second clip of 64x48 pixels; `tint` makes its bytes differ from other clips'.
pub fn clip(folder: &Path, name: &str, tint: &str) -> PathBuf {
    let path = folder.join(name);
    let source = format!("color={tint}:size=64x48:rate=30:duration=1");
    make_clip(&path, &["-f", "lavfi", "-i", &source]);
    path
}

pub fn open_lake(paths: &LakePaths) -> Result<Lake, LakeError> {
    let extensions = store().lake_extensions().expect("the manifest names them");
    Lake::new(paths.clone(), &extensions, 256 << 20, 1)
}

pub fn config(inputs: Vec<PathBuf>, lake: &LakePaths) -> IngestConfig {
    IngestConfig {
        send_outputs_to: None,
        inputs,
        lake: lake.clone(),
        rows: RowConfig::new(
            "testing".into(),
            "scripted".into(),
            "0".repeat(64),
            "0".repeat(64),
            &TrackerConfig::default(),
        ),
        outputs: Outputs {
            folder: lake.root().join("../output"),
            annotated_video: AnnotatedVideo::Off,
            pose_json: PoseJson::Off,
        },
        memory: MemoryPlan::new(4 << 30, 2, 64 << 20).expect("room for two workers"),
        batch_size: NonZeroUsize::MIN,
        cores: 2,
        provider: Provider::Cpu,
        replace: Replace::IfDifferent,
    }
}

/// Ingests with scripted poses.
pub fn ingest(config: &IngestConfig) -> Result<IngestSummary, IngestError> {
    let backends = |_| Ok(Box::new(ScriptedBackend::new()) as Box<dyn PoseBackend>);
    let lake = || open_lake(&config.lake);
    ingest::run(config, &backends, &lake, &Silent, &Cancellation::new())
}

/// A lake of one clip, in `folder`.
pub fn fixture(folder: &Path) -> LakePaths {
    lake_of(folder, &["red"])
}

/// A lake of clips of these tints, and the clips, in `folder`. It was ingested once for all tests
/// that want the same ones.
pub fn lake_of(folder: &Path, tints: &[&str]) -> LakePaths {
    static LAKES: Shared<Vec<String>> = Shared::new();
    let key = tints.iter().map(|tint| (*tint).to_owned()).collect();
    let made = LAKES.once(key, |made| {
        let lake = LakePaths::new(made.join("lake"));
        let clips = tints.iter();
        let clips = clips.map(|tint| clip(made, &format!("{tint}.mp4"), tint));
        let summary = ingest(&config(clips.collect(), &lake)).expect("an ingest");
        let ingested = summary.count(|o| matches!(o, VideoOutcome::Ingested));
        assert_eq!(ingested, tints.len());
        made.into()
    });
    copy_folder(&made, folder);
    let lake = LakePaths::new(folder.join("lake"));
    assert_eq!(move_videos(&lake, folder), tints.len());
    lake
}

/// A lake of the demo video, with the real models' poses, in `folder`.
pub fn lake_of_demo(folder: &Path) -> LakePaths {
    static LAKE: Shared<()> = Shared::new();
    let made = LAKE.once((), |made| {
        let demo = made.join("demo.mp4");
        fs::copy(installed("demo"), &demo).expect("a copy");
        let arguments = ["ingest", "demo.mp4", "--no-video", "--no-pose-json"];
        let output = posedata(made, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        // Nothing that is done with its rows needs it.
        fs::remove_file(demo).expect("the copy");
        made.join("lake")
    });
    let lake = LakePaths::new(folder.join("lake"));
    copy_folder(&made, &lake.root());
    lake
}

/// Writes into a lake's catalog that its videos lie in `folder`, and gives their number. It is done
/// past DuckLake, so that the lake is as if they had been ingested there.
fn move_videos(lake: &LakePaths, folder: &Path) -> usize {
    let catalog = duckdb::Connection::open(lake.catalog()).expect("a catalog");
    let rows = "SELECT i.table_id, i.table_name, c.column_id
         FROM ducklake_table JOIN ducklake_inlined_data_tables AS i USING (table_id)
             JOIN ducklake_column AS c USING (table_id)
         WHERE ducklake_table.table_name = 'videos' AND c.column_name = 'path'";
    let (table_id, rows, column_id): (i64, String, i64) = catalog
        .query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("the rows of the table videos");
    let folder = folder.to_str().expect("a path");
    let update = format!("UPDATE {rows} SET path = ? || '/' || file_name");
    let moved = catalog.execute(&update, [folder]).expect("paths");
    // By these DuckLake knows which values need not be looked for.
    let update = format!(
        "UPDATE ducklake_table_column_stats
         SET min_value = (SELECT min(path) FROM {rows}), max_value = (SELECT max(path) FROM {rows})
         WHERE table_id = ? AND column_id = ?"
    );
    let updated = catalog.execute(&update, [table_id, column_id]);
    assert_eq!(updated.expect("statistics"), 1);
    moved
}

/// Makes an empty lake, unless there is one.
pub fn make_lake(paths: &LakePaths) {
    static EMPTY: Shared<()> = Shared::new();
    if paths.exists() {
        return;
    }
    let made = EMPTY.once((), |made| {
        let paths = LakePaths::new(made);
        open_lake(&paths)
            .and_then(|lake| lake.create())
            .expect("a lake");
        made.into()
    });
    copy_folder(&made, &paths.root());
}

pub fn parquet_files(paths: &LakePaths) -> Vec<PathBuf> {
    walkdir::WalkDir::new(paths.data())
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect()
}

fn rows(paths: &LakePaths, table: &str) -> u64 {
    let info = open_lake(paths)
        .and_then(|lake| lake.info())
        .expect("a lake");
    let table = info.tables.into_iter().find(|t| t.table == table);
    table.expect("the table").rows
}

#[test]
fn all_rows_of_a_video_arrive_and_a_second_ingest_has_nothing_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let poses = (0..CLIP_FRAMES as u32)
        .filter_map(ScriptedBackend::pose)
        .count() as u64;
    assert_eq!(rows(&lake, "videos"), 1);
    assert_eq!(rows(&lake, "metrics"), CLIP_FRAMES);
    assert_eq!(rows(&lake, "landmarks"), 33 * poses);
    let files = parquet_files(&lake);

    let again = ingest(&config(vec![folder.path().into()], &lake)).expect("an ingest");
    assert_eq!(again.count(|o| matches!(o, VideoOutcome::Skipped)), 1);
    assert_eq!(
        parquet_files(&lake),
        files,
        "a skipped video leaves no file"
    );
}

#[test]
fn other_settings_replace_the_rows_and_the_same_content_is_one_video() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    fs::copy(
        folder.path().join("red.mp4"),
        folder.path().join("copy.mp4"),
    )
    .expect("a copy");
    let mut other = config(vec![folder.path().into()], &lake);
    other.rows.min_tracking_confidence = 0.7;
    let summary = ingest(&other).expect("an ingest");
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Replaced)), 1);
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Skipped)), 1);
    assert_eq!(rows(&lake, "videos"), 1);
    assert_eq!(rows(&lake, "metrics"), CLIP_FRAMES);
}

/// Fails at a video, by a panic or by an error.
struct Failing(ScriptedBackend);

impl PoseBackend for Failing {
    fn start_video(&mut self) {
        self.0.start_video();
    }

    fn estimate(
        &mut self,
        mut frame: Pixels<'_>,
        time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError> {
        // Only the red clip's pixels have much of it.
        let view = frame.show([[[0.0; 2]; 4]]);
        assert!(view.pixel(0, 0)[2] < 200, "red is too much");
        self.0.estimate(frame, time)
    }

    fn timings(&self) -> PoseTimings {
        self.0.timings()
    }
}

#[test]
fn a_panic_costs_the_video_in_work_and_its_copy_and_no_other() {
    for (annotated_video, cores) in [
        (AnnotatedVideo::Off, 2),
        (AnnotatedVideo::On, 1),
        (AnnotatedVideo::On, 4),
        (AnnotatedVideo::Blurred, 2),
    ] {
        let work = move || only_the_red_clips_fail(annotated_video, cores);
        ends_within(Duration::from_secs(120), work, || ());
    }
}

fn only_the_red_clips_fail(annotated_video: AnnotatedVideo, cores: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    let clips = ["red", "blue"].map(|tint| clip(folder.path(), &format!("{tint}.mp4"), tint));
    let copy = folder.path().join("copy.mp4");
    fs::copy(&clips[0], &copy).expect("a copy");
    let [red, blue] = clips;
    let mut config = config(vec![red, copy, blue], &lake);
    config.outputs.annotated_video = annotated_video;
    config.outputs.folder = folder.path().join("output");
    config.cores = cores;
    let backends = |_| Ok(Box::new(Failing(ScriptedBackend::new())) as Box<dyn PoseBackend>);
    let open = || open_lake(&lake);
    let summary = ingest::run(&config, &backends, &open, &Silent, &Cancellation::default());
    let outcomes: Vec<VideoOutcome> = (summary.expect("a summary").videos.into_iter())
        .map(|video| video.outcome)
        .collect();
    let [
        VideoOutcome::Failed {
            kind: FailureKind::Passing,
            error: first,
        },
        VideoOutcome::Failed {
            kind: FailureKind::Passing,
            error: second,
        },
        VideoOutcome::Ingested,
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    assert!(
        first.contains("red is too much") && first.contains("red.mp4"),
        "{first}"
    );
    assert!(
        second.contains("copy") && second.contains("copy.mp4"),
        "{second}"
    );
    assert_eq!(rows(&lake, "videos"), 1);
    assert_eq!(parquet_files(&lake).len(), 2, "no file is left over");
    let outputs = fs::read_dir(config.outputs.folder).map_or(Vec::new(), |entries| {
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect()
    });
    let annotated: &[&str] = match annotated_video {
        AnnotatedVideo::Off => &[],
        AnnotatedVideo::On | AnnotatedVideo::Blurred => &["annotated_blue.mp4"],
    };
    assert_eq!(outputs, annotated);
}

#[test]
fn copies_of_a_video_that_cannot_be_decoded_all_fail() {
    for workers in [1, 2] {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = LakePaths::new(folder.path().join("lake"));
        let whole = fs::read(clip(folder.path(), "whole.mp4", "red")).expect("a clip");
        let videos = folder.path().join("videos");
        fs::create_dir(&videos).expect("a folder");
        for name in ["a.mp4", "b.mp4", "c.mp4"] {
            // Its beginning says what it is, and all else is missing.
            fs::write(videos.join(name), &whole[..64]).expect("room");
        }
        let mut config = config(vec![videos], &lake);
        config.memory = MemoryPlan::new(4 << 30, workers, 64 << 20).expect("room");
        let summary = ingest(&config).expect("a summary");
        assert_eq!(summary.videos.len(), 3);
        for video in summary.videos {
            let VideoOutcome::Failed { error, .. } = &video.outcome else {
                panic!("{}: {:?}", video.path.display(), video.outcome);
            };
            let name = video.path.file_name().expect("a name").to_string_lossy();
            assert!(error.contains(&*name), "{name}: {error}");
        }
    }
}

#[test]
fn nobody_waits_for_a_lake_whose_opening_panics() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let clips =
        ["blue", "green", "white"].map(|tint| clip(folder.path(), &format!("{tint}.mp4"), tint));
    let config = config(clips.to_vec(), &lake);
    let work = move || {
        let backends = |_| Ok(Box::new(ScriptedBackend::new()) as Box<dyn PoseBackend>);
        let open = || -> Result<Lake, LakeError> { panic!("no database today") };
        let token = Cancellation::new();
        let error = ingest::run(&config, &backends, &open, &Silent, &token);
        error.expect_err("an error")
    };
    let error = ends_within(Duration::from_secs(60), work, || ());
    assert!(error.to_string().contains("no database today"), "{error}");
}

#[test]
fn an_extension_that_is_not_as_its_makers_signed_it_is_refused_at_every_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let installed = store().ducklake_extension().expect("a path");
    let whole = fs::read(&installed).expect("the extension; run `make test`");
    // The last bytes are the signature, all before them is what is signed.
    for (name, place) in [("signature", whole.len() - 1), ("signed", whole.len() / 2)] {
        let mut other = whole.clone();
        other[place] ^= 1;
        // In a file of its own, in case one is loaded: that must not change any more.
        let beside = folder.path().join(name);
        fs::create_dir(&beside).expect("a folder");
        let path = beside.join("ducklake.duckdb_extension");
        fs::write(&path, &other).expect("room");
        let started = Lake::new(lake.clone(), &path, 256 << 20, 1);
        let error = started.map(drop).expect_err("an error");
        assert!(matches!(error, LakeError::Extension { .. }), "{error}");
        assert!(error.to_string().contains("signature"), "{error}");
    }
    open_lake(&lake).expect("a session with the file as it is");
}

#[test]
fn an_extension_that_is_known_needs_no_signature_and_opens_nothing_to_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let installed = store().ducklake_extension().expect("a path");
    let mut bytes = fs::read(&installed).expect("the extension; run `make test`");
    *bytes.last_mut().expect("a signature") ^= 1;
    let path = folder.path().join("ducklake.duckdb_extension");
    fs::write(&path, &bytes).expect("room");
    let other = folder.path().join("other.duckdb_extension");
    fs::copy(&path, &other).expect("room");
    let (hash, _) = hash_file(&path).expect("a file");

    let known = Extensions::at(&path).with_known("ducklake", hash.to_hex().as_str());
    let session = Lake::new(lake.clone(), &known, 256 << 20, 1).expect("a session");
    let connection = &session.into_reader(None).expect("a lake").connection;
    let load = format!("LOAD '{}'", other.display());
    let error = connection.execute_batch(&load).expect_err("an error");
    assert!(error.to_string().contains("signature"), "{error}");
    let open = connection.execute_batch("SET allow_unsigned_extensions = true");
    assert!(open.is_err());

    let others = Extensions::at(&path).with_known("ducklake", &"0".repeat(64));
    let error = Lake::new(lake, &others, 256 << 20, 1).map(drop);
    let error = error.expect_err("an error").to_string();
    assert!(error.contains("signature"), "{error}");
}

#[test]
fn a_lake_can_be_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let elsewhere = LakePaths::new(folder.path().join("it's elsewhere"));
    fs::rename(lake.root(), elsewhere.root()).expect("a move");
    assert_eq!(rows(&elsewhere, "metrics"), CLIP_FRAMES);
    let clip = clip(folder.path(), "blue.mp4", "blue");
    ingest(&config(vec![clip], &elsewhere)).expect("an ingest into the moved lake");
    assert_eq!(rows(&elsewhere, "metrics"), 2 * CLIP_FRAMES);
}

#[test]
fn many_ingests_at_once_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    let tints = ["red", "green", "blue", "white", "black", "gray"];
    let clips: Vec<PathBuf> = tints
        .iter()
        .map(|tint| clip(folder.path(), &format!("{tint}.mp4"), tint))
        .collect();
    // Every clip is given to two ingests.
    std::thread::scope(|scope| {
        for half in [&clips[..4], &clips[2..]] {
            scope.spawn(|| {
                let summary = ingest(&config(half.to_vec(), &lake)).expect("an ingest");
                let failed = summary.count(|o| matches!(o, VideoOutcome::Failed { .. }));
                assert_eq!(failed, 0, "{:?}", summary.videos);
            });
        }
    });
    assert_eq!(rows(&lake, "videos"), tints.len() as u64);
    assert_eq!(rows(&lake, "metrics"), CLIP_FRAMES * tints.len() as u64);
    assert_eq!(
        parquet_files(&lake).len(),
        2 * tints.len(),
        "no file is left over"
    );
}

#[test]
fn folders_that_are_no_lake_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let error_for = |root: PathBuf| {
        let lake = LakePaths::new(root);
        let clip = clip(folder.path(), "red.mp4", "red");
        ingest(&config(vec![clip], &lake))
            .expect_err("an error")
            .to_string()
    };
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("a file");
    assert!(error_for(file).contains("not a lake (it is a file)"));

    let full = folder.path().join("full");
    fs::create_dir(&full).expect("a folder");
    fs::write(full.join("thesis.docx"), "text").expect("a file");
    assert!(error_for(full.clone()).contains("it holds other files"));
    assert_eq!(fs::read_dir(&full).expect("a folder").count(), 1);

    let broken = folder.path().join("broken");
    fs::create_dir(&broken).expect("a folder");
    fs::write(broken.join("catalog.ducklake"), "no database").expect("a file");
    assert!(error_for(broken).contains("not a lake"));
}

#[test]
fn a_lake_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    with_catalog(&lake, "UPDATE lake.lake_format SET format_version = 99");
    let error = ingest(&config(vec![folder.path().into()], &lake)).expect_err("an error");
    let IngestError::Lake(LakeError::Newer { found: 99, .. }) = error else {
        panic!("{error}");
    };
}

#[test]
fn a_lake_that_another_program_made_with_other_blocks_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    fs::create_dir_all(lake.data()).expect("a folder");
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let extension = store().ducklake_extension().expect("a path");
    connection
        .execute_batch(&format!(
            "LOAD '{}'; ATTACH 'ducklake:{}' AS lake (DATA_PATH '{}'); DETACH lake",
            extension.display(),
            lake.catalog().display(),
            lake.data().display()
        ))
        .expect("an empty catalog, as a killed process leaves it");
    let clip = clip(folder.path(), "red.mp4", "red");
    ingest(&config(vec![clip], &lake)).expect("an ingest");
    assert_eq!(rows(&lake, "metrics"), CLIP_FRAMES);
}

#[test]
fn a_cancelled_ingest_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = LakePaths::new(folder.path().join("lake"));
    let config = config(vec![clip(folder.path(), "red.mp4", "red")], &lake);
    let backends = |_| Ok(Box::new(ScriptedBackend::new()) as Box<dyn PoseBackend>);
    let open = || open_lake(&lake);
    let cancelled = Cancellation::new();
    cancelled.cancel();
    let summary = ingest::run(&config, &backends, &open, &Silent, &cancelled).expect("a summary");
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Cancelled)), 1);
    // Perhaps not even a lake.
    if lake.exists() {
        assert_eq!(rows(&lake, "videos"), 0);
    }
    assert_eq!(parquet_files(&lake), Vec::<PathBuf>::new());
}

#[test]
fn files_have_the_types_and_the_order_of_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let session = open_lake(&lake).expect("a lake");
    let config = RecomputeConfig {
        filter: FilterConfig {
            cutoff_hz: 6.0,
            max_gap_frames: 10,
        },
        heights: Vec::new(),
        movement: posedata::movement::DetectConfig::default(),
    };
    for video in session.find_videos(&[]).expect("videos") {
        recompute(&session, &video, &config).expect("filtered rows");
    }
    for table in [
        "landmarks",
        "metrics",
        "landmarks_filtered",
        "metrics_filtered",
    ] {
        let file = parquet_files(&lake)
            .into_iter()
            .find(|path| path.starts_with(lake.partition(table, "testing")))
            .expect("a file");
        let describe = format!(
            "DESCRIBE SELECT * FROM read_parquet('{}', hive_partitioning = false)",
            file.display()
        );
        let mut statement = connection.prepare(&describe).expect("a file of Parquet");
        let in_file: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("columns")
            .collect::<Result<_, _>>()
            .expect("columns");
        let sql = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{table}.sql")),
        )
        .expect("a schema");
        let in_schema: Vec<(String, String)> = sql
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .map(|column| {
                let mut words = column.trim_end_matches(',').split(' ');
                let mut word = || words.next().expect("a name and a type").to_owned();
                (word(), word())
            })
            .filter(|(name, _)| name != "sport")
            .collect();
        assert_eq!(in_file, in_schema, "{table}");
    }
}

#[test]
fn videos_that_are_committed_together_fail_and_repeat_each_for_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    paths.prepare().expect("a folder");
    let lake = open_lake(&paths).expect("a session");
    lake.create_or_check().expect("a lake");
    let prepared = |letter: &str| {
        let record = record(&letter.repeat(32), &format!("{letter}.mp4"), 3);
        prepare(
            &paths,
            &record,
            (0..3).map(made_up_frame),
            Replace::IfDifferent,
        )
    };
    let snapshots = || lake.info().expect("a lake").snapshots.len();
    let before = snapshots();
    // More than DuckLake keeps rows of one statement in its catalog.
    let letters: Vec<String> = ('a'..='p').map(String::from).collect();
    let outcomes = lake.commit_all(letters.iter().map(|letter| prepared(letter)).collect());
    assert!(
        outcomes
            .iter()
            .all(|o| matches!(o, Ok(CommitOutcome::Added))),
        "{outcomes:?}"
    );
    assert_eq!(snapshots(), before + 1, "one transaction");

    let lost = prepared("y");
    fs::remove_file(lost.staged.metrics.path()).expect("a file");
    let outcomes = lake.commit_all(vec![
        prepared("a"),
        prepared("x"),
        lost,
        prepared("z"),
        prepared("z"),
    ]);
    assert!(
        matches!(
            outcomes[..],
            [
                Ok(CommitOutcome::AlreadyThere),
                Ok(CommitOutcome::Added),
                Err(_),
                Ok(CommitOutcome::Added),
                Ok(CommitOutcome::AlreadyThere)
            ]
        ),
        "{outcomes:?}"
    );
    let report = lake.check().expect("a lake");
    assert!(report.whole, "{:?}", report.findings);
    assert_eq!(report.videos, 18);
    assert_eq!(parquet_files(&paths).len(), 2 * 18, "no file of others");
}

#[test]
fn installed_extensions_are_those_that_the_manifest_knows() {
    let manifest: serde_json::Value =
        toml::from_str(include_str!("../../models/models.toml")).expect("TOML");
    let assets = manifest["assets"].as_array().expect("assets");
    let mut known = Vec::new();
    for asset in assets.iter().filter(|asset| !asset["blake3"].is_null()) {
        let name = asset["name"].as_str().expect("a name");
        let (hash, _) = hash_file(&installed(name)).expect("a file");
        assert_eq!(asset["blake3"], hash.to_hex().as_str(), "{name}");
        known.push(name);
    }
    // Else DuckDB would look at their signatures, and take longer at every start.
    assert_eq!(known, ["ducklake", "postgres_scanner", "httpfs", "aws"]);
}
