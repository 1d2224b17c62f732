//! Recordings that were paused, and slow motion: times, speeds and rates are those of what happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use posedata::lake::{LakePaths, PersonRow, VideoFrame};
use posedata::metrics::Measurer;
use posedata::metrics::filter::{FilterConfig, PathFilter};
use posedata::pose::landmark::Landmark;
use posedata::video::{MediaTime, capture_tags};
use serde_json::Value;

use crate::poses::{commit_frames, made_up_pose, record};
use crate::support::{installed, make_clip, posedata, stderr, stdout};

fn rows(folder: &Path, sql: &str) -> Vec<Value> {
    let output = posedata(folder, &["query", "-e", sql, "--format", "json"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn value(folder: &Path, sql: &str) -> Value {
    rows(folder, sql)[0]["v"].clone()
}

fn number(folder: &Path, sql: &str) -> f64 {
    value(folder, sql).as_f64().expect("a number")
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = posedata(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    (stdout(&output), stderr(&output))
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("a list").iter();
    values.map(|v| v.as_f64().expect("a number")).collect()
}

fn scipy_cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../oracle/pauses.json")).expect("the oracle")
}

/// Commits a video with these frame times, in which the nose goes along x as in `path`.
fn commit_path(folder: &Path, times_secs: &[f64], path: &[f64]) {
    let mut measurer = Measurer::new();
    let frames = times_secs.iter().zip(path).zip(0..);
    let frames: Vec<VideoFrame> = frames
        .map(|((time_secs, x), frame)| {
            let mut pose = made_up_pose(0, 0);
            for landmark in &mut pose.landmarks {
                landmark.visibility = 1.0;
            }
            pose.landmarks[Landmark::Nose.index()].x = *x as f32;
            let metrics = measurer.measure(std::slice::from_ref(&pose), *time_secs, [640.0, 480.0]);
            let persons = metrics.into_iter().map(|metrics| PersonRow {
                pose: pose.clone(),
                metrics,
            });
            VideoFrame {
                frame,
                time: MediaTime::from_secs(*time_secs),
                persons: persons.collect(),
            }
        })
        .collect();
    let lake = LakePaths::new(folder.join("lake"));
    let record = record(&"a".repeat(32), "a.mp4", frames.len() as u64);
    commit_frames(&lake, &record, frames);
}

#[test]
fn each_stretch_between_pauses_is_filtered_as_scipy_filters_it() {
    for case in scipy_cases() {
        let name = case["name"].as_str().expect("a name");
        let [times_secs, input, expected] =
            ["times_secs", "input", "output"].map(|key| numbers(&case[key]));
        let config = FilterConfig {
            cutoff_hz: case["cutoff_hz"].as_f64().expect("a cut-off"),
            max_gap_frames: 10,
        };
        let filter = PathFilter::new(config, &times_secs).expect("a filter");
        let mut values = input.clone();
        let is_seen = vec![true; values.len()];
        for piece in filter.pieces(&is_seen, &[]) {
            filter.apply(piece, &is_seen, &mut values);
        }
        for (frame, (ours, theirs)) in values.iter().zip(&expected).enumerate() {
            let error = (ours - theirs).abs();
            assert!(
                error < 1e-9,
                "{name}, frame {frame}: {ours}, scipy {theirs}"
            );
        }

        // The same from the lake, whose positions are rounded to some 1e-5.
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        commit_path(folder, &times_secs, &input);
        let (report, _) = run(folder, &["metrics", "recompute", "--json"]);
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let found = report["videos"][0]["stretches"]
            .as_array()
            .expect("stretches");
        let stretches = case["stretches"].as_array().expect("stretches");
        assert_eq!(found.len(), stretches.len(), "{name}");
        for (found, expected) in found.iter().zip(stretches) {
            for key in ["first_frame", "is_filtered"] {
                assert_eq!(found[key], expected[key], "{name}: {found}");
            }
            let rates = [found, expected].map(|s| s["rate_hz"].as_f64().expect("a rate"));
            assert!((rates[0] - rates[1]).abs() < 1e-6, "{name}: {rates:?}");
        }
        let sql = "select x::double as x, cutoff_hz is not null as is_filtered
                   from landmarks_filtered where landmark = 'nose' order by frame";
        let stored = rows(folder, sql);
        assert_eq!(stored.len(), expected.len(), "{name}");
        for (frame, (row, theirs)) in stored.iter().zip(&expected).enumerate() {
            let ours = row["x"].as_f64().expect("a position");
            assert!(
                (ours - theirs).abs() < 2e-4,
                "{name}, frame {frame}: {ours}, scipy {theirs}"
            );
            let stretch = stretches
                .iter()
                .rfind(|s| s["first_frame"].as_u64() <= Some(frame as u64));
            assert_eq!(
                row["is_filtered"],
                stretch.expect("a stretch")["is_filtered"],
                "{name}"
            );
        }
        let unfiltered = stretches.iter().any(|s| s["is_filtered"] == false);
        let (_, told) = run(folder, &["metrics", "recompute"]);
        let pauses = stretches.len() - 1;
        assert!(told.contains(&format!("{pauses} pause")), "{told}");
        assert_eq!(told.contains("too short or too slow"), unfiltered, "{told}");
    }
}

#[test]
fn no_speed_reaches_over_a_pause_and_exports_say_the_rate_between_pauses() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let case = &scipy_cases()[0];
    let [mut times_secs, mut path] = ["times_secs", "input"].map(|key| numbers(&case[key]));
    // A picture too many with the time of the one before.
    times_secs.insert(50, times_secs[49]);
    path.insert(50, path[49] + 0.25);
    commit_path(folder, &times_secs, &path);
    let speeds = "select string_agg(frame, ' ' order by frame) as v from metrics where peak_landmark_speed_px_per_sec is null";
    assert_eq!(value(folder, speeds), "0 30 50");
    run(folder, &["metrics", "recompute"]);
    let filtered = speeds.replace("from metrics", "from metrics_filtered");
    assert_eq!(value(folder, &filtered), "0 30 50");
    let over = |span: u32| {
        let sql = format!(
            "select string_agg(frame, ' ' order by frame) as v
             from landmark_speed('nose', span := {span}) where speed_px_per_sec is null"
        );
        value(folder, &sql)
    };
    assert_eq!(over(1), "0 30 50");
    assert_eq!(over(3), "0 1 2 30 31 32");
    // The nose's way in pixels over the time that passed.
    let expected = (path[31] - path[30]).abs() * 640.0 * 30.0;
    let sql = "select speed_px_per_sec as v from landmark_speed('nose') where frame = 31";
    let speed = number(folder, sql);
    assert!(
        (speed - expected).abs() < 1e-2 * expected,
        "{speed} {expected}"
    );

    run(folder, &["export", "trc"]);
    run(folder, &["export", "mot"]);
    let trc = fs::read_to_string(folder.join("output/a.trc")).expect("a file");
    let header: Vec<&str> = trc.lines().nth(2).expect("a header").split('\t').collect();
    assert_eq!(header[..3], ["30", "30", "60"], "rate, rate, frames");
    let times_of = |text: &str, column: usize| -> Vec<f64> {
        let lines = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let rows = lines.filter(|cells| cells.len() > 20 && cells[column].parse::<f64>().is_ok());
        rows.map(|cells| cells[column].parse().expect("a time"))
            .collect()
    };
    let mot = fs::read_to_string(folder.join("output/a.mot")).expect("a file");
    assert!(mot.contains("nRows=60\n"), "{mot}");
    for times in [times_of(&trc, 1), times_of(&mot, 0)] {
        assert_eq!(times.len(), 60);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        assert!(times[30] - times[29] > 19.0);
    }
}

#[test]
fn a_picture_a_tick_after_another_has_no_speed() {
    const TICK_SECS: f64 = 1.0 / 90_000.0;
    const EXTRA: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // An MP4 writer moves a time that comes twice on by a tick.
    let times_secs: Vec<f64> = (0..60)
        .map(|n| match n {
            ..EXTRA => n as f64 / 30.0,
            EXTRA => (n - 1) as f64 / 30.0 + TICK_SECS,
            _ => (n - 1) as f64 / 30.0,
        })
        .collect();
    let path: Vec<f64> = (0..60).map(|n| 0.2 + 0.01 * f64::from(n)).collect();
    commit_path(folder, &times_secs, &path);
    run(folder, &["metrics", "recompute"]);
    for (column, table) in [
        ("peak_landmark_speed_px_per_sec", "metrics"),
        ("peak_landmark_speed_px_per_sec", "metrics_filtered"),
        ("speed_px_per_sec", "landmark_speed('nose')"),
    ] {
        let unknown = format!(
            "select string_agg(frame, ' ' order by frame) as v from {table} where {column} is null"
        );
        assert_eq!(value(folder, &unknown), format!("0 {EXTRA}"), "{table}");
        let fastest = number(folder, &format!("select max({column}) as v from {table}"));
        // 6.4 pixels from picture to picture.
        assert!(fastest < 2.0 * 6.4 * 30.0, "{table}: {fastest}");
    }
    run(folder, &["export", "trc"]);
    let trc = fs::read_to_string(folder.join("output/a.trc")).expect("a file");
    let header: Vec<&str> = trc.lines().nth(2).expect("a header").split('\t').collect();
    assert_eq!(header[2], "59");
    let rate: f64 = header[0].parse().expect("a rate");
    assert!((rate - 30.0).abs() < 0.05, "{rate}");
}

#[test]
fn windows_of_a_second_are_a_second_of_one_stretch() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let case = &scipy_cases()[1];
    let [times_secs, path] = ["times_secs", "input"].map(|key| numbers(&case[key]));
    commit_path(folder, &times_secs, &path);
    let recipes = folder.join("recipes");
    fs::create_dir(&recipes).expect("a folder");
    let sql = "-- Times of a window.
-- recipe window = 0.5 s
-- recipe answer = number
SELECT w.video_id, w.person, w.frame_start, w.frame_end, a.time_secs AS t0, b.time_secs AS t1, w.fps AS fps
FROM windows AS w
JOIN metrics AS a ON a.video_id = w.video_id AND a.person = w.person AND a.frame = w.frame_start
JOIN metrics AS b ON b.video_id = w.video_id AND b.person = w.person AND b.frame = w.frame_end";
    let template = "{% block data %}from,to
{{ t0 }},{{ t1 }}{% endblock %}
{% block user_1 %}How long is it?{% endblock %}
{% block assistant %}{{ t1 - t0 }} s.{% endblock %}";
    fs::write(recipes.join("secs.sql"), sql).expect("a file");
    fs::write(recipes.join("secs.jinja"), template).expect("a file");
    let arguments = [
        "dataset",
        "build",
        "--name",
        "secs",
        "--recipes",
        "recipes",
        "--format",
        "alpaca",
        "--valid",
        "0",
        "--near-duplicates",
        "2",
    ];
    run(folder, &arguments);
    let train = folder.join("llm_training_data/secs/train.jsonl");
    let train = fs::read_to_string(train).expect("a file");
    let mut stretches = [0; 3];
    for line in train.lines() {
        let example: Value = serde_json::from_str(line).expect("JSON");
        let times = example["input"].as_str().expect("a text").lines().last();
        let times: Vec<f64> = times
            .expect("a line")
            .split(',')
            .map(|t| t.parse().expect("a time"))
            .collect();
        let secs = times[1] - times[0];
        assert!((secs - 0.5).abs() < 1e-6, "{secs} s from {} s", times[0]);
        // 40 frames at 30 Hz, 0.5 s, 60 frames at 60 Hz, 1 s, 25 frames at 24 Hz.
        let stretch = match times[0] {
            ..1.5 => 0,
            ..3.0 => 1,
            _ => 2,
        };
        stretches[stretch] += 1;
    }
    assert!(stretches.iter().all(|count| *count > 1), "{stretches:?}");
}

/// Sixty frames of a clip of one person, at 30 frames/s, made with more arguments.
fn person_clip(folder: &Path, name: &str, setpts: &str, more: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let source = installed("single_cam01");
    let filter = format!("fps=30,scale=360:-2,setpts={setpts}");
    let arguments = [
        &[
            "-stream_loop",
            "-1",
            "-i",
            source.to_str().expect("a path"),
            "-an",
            "-vf",
            &filter,
        ][..],
        &[
            "-frames:v",
            "60",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-crf",
            "20",
        ],
        more,
    ];
    make_clip(&path, &arguments.concat());
    path
}

#[test]
fn a_video_with_a_pause_is_ingested_and_filtered_at_its_own_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    person_clip(folder, "pause.mp4", "(N+600*gte(N\\,30))/30/TB", &[]);
    run(
        folder,
        &["ingest", "pause.mp4", "--no-video", "--no-pose-json"],
    );
    let times =
        "select max(time_secs) as v from metrics where frame in (29, 30) group by frame order by v";
    let times: Vec<f64> = rows(folder, times)
        .iter()
        .map(|row| row["v"].as_f64().expect("a time"))
        .collect();
    assert!(
        (times[1] - times[0] - 20.0 - 1.0 / 30.0).abs() < 1e-3,
        "{times:?}"
    );
    let fps = number(folder, "select fps as v from videos");
    assert!((fps - 30.0).abs() < 1e-3, "{fps}");
    let duration = number(folder, "select duration_secs as v from videos");
    assert!((duration - 22.0).abs() < 1e-2, "{duration}");
    let over = "select count(*) as v from metrics where frame = 30 and center_speed_px_per_sec is not null";
    assert_eq!(value(folder, over), 0);
    let (report, _) = run(folder, &["metrics", "recompute", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let stretches = report["videos"][0]["stretches"]
        .as_array()
        .expect("stretches");
    assert_eq!(stretches.len(), 2, "{report}");
    for stretch in stretches {
        let rate = stretch["rate_hz"].as_f64().expect("a rate");
        assert!(
            (rate - 30.0).abs() < 1e-2 && stretch["is_filtered"] == true,
            "{stretch}"
        );
    }
    let filtered =
        "select count(*) as v from landmarks_filtered where landmark = 'nose' and cutoff_hz = 6";
    assert!(number(folder, filtered) > 50.0);
}

/// Android's way: taken at 120/s, stored at 30/s.
fn slow_clip(folder: &Path, name: &str) -> PathBuf {
    let tag = [
        "-metadata",
        "com.android.capture.fps=120",
        "-movflags",
        "use_metadata_tags",
    ];
    person_clip(folder, name, "N/30/TB", &tag)
}

/// What ffprobe says of the times of a video's pictures.
fn probed_times(path: &Path) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v",
            "-show_entries",
            "frame=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .expect("ffprobe; run `make test`");
    let text = stdout(&output);
    let times = text.split([',', '\n', ' ']).filter(|word| !word.is_empty());
    times.map(|time| time.parse().expect("a time")).collect()
}

#[test]
fn slow_motion_is_told_and_in_real_seconds_when_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let clip = slow_clip(folder, "slow.mp4");
    assert_eq!(capture_tags(&clip).capture_fps, Some(120.0));
    let ingest = |more: &[&str]| {
        let (_, told) = run(
            folder,
            &[&["ingest", "slow.mp4", "--no-pose-json"], more].concat(),
        );
        told
    };
    let table = || {
        rows(
            folder,
            "select frame, time_secs, left_knee_deg, center_speed_px_per_sec as center,
                 peak_landmark_speed_px_per_sec as peak from metrics order by frame",
        )
    };
    let config = || value(folder, "select config as v from videos");
    let hash = || value(folder, "select config_hash as v from videos");

    let told = ingest(&[]);
    assert!(
        told.contains("recorded at 120 frames/s, stored at 30"),
        "{told}"
    );
    assert!(told.contains("--slow-motion auto"), "{told}");
    let as_stored = table();
    let untouched = (config(), hash());
    assert!(!untouched.0.to_string().contains("slow"), "{}", untouched.0);
    let video = "select slow_motion_factor as factor, capture_fps, fps, duration_secs from videos";
    let stored_video = &rows(folder, video)[0];
    assert_eq!(stored_video["factor"], Value::Null);
    assert_eq!(stored_video["capture_fps"], 120.0);

    let told = ingest(&["--slow-motion", "auto"]);
    assert!(
        told.contains("1 replaced") && told.contains("4 times slower"),
        "{told}"
    );
    let real = table();
    let close = |a: f64, b: f64, by: f64| (a - b).abs() <= by * b.abs();
    assert_eq!(real.len(), as_stored.len());
    let mut speeds = 0;
    for (real, stored) in real.iter().zip(&as_stored) {
        let pair = |key: &str| Some((real[key].as_f64()?, stored[key].as_f64()?));
        let (real_secs, stored_secs) = pair("time_secs").expect("times");
        assert!((real_secs - stored_secs / 4.0).abs() < 1e-12);
        assert_eq!(
            real["left_knee_deg"], stored["left_knee_deg"],
            "poses are the same"
        );
        for key in ["center", "peak"] {
            assert_eq!(real[key].is_null(), stored[key].is_null());
            if let Some((real, stored)) = pair(key) {
                // Speeds have 13 significant bits.
                assert!(close(real, 4.0 * stored, 3e-4), "{real} {stored}");
                speeds += 1;
            }
        }
    }
    assert!(speeds > 60, "{speeds}");
    let real_video = &rows(folder, video)[0];
    assert_eq!(
        (&real_video["factor"], &real_video["capture_fps"]),
        (&4.0.into(), &120.0.into())
    );
    for (key, times) in [("fps", 4.0), ("duration_secs", 0.25)] {
        let [real, stored] = [real_video, stored_video].map(|v| v[key].as_f64().expect("a number"));
        assert!(close(real, times * stored, 1e-9), "{key}: {real} {stored}");
    }

    // The cut-off is in real hertz: 40 Hz are below half of 120, not of 30.
    let (_, told) = run(folder, &["metrics", "recompute", "--cutoff", "40"]);
    assert!(told.contains("filtered at 40 Hz"), "{told}");

    // The annotated video plays as the file does, also when it is drawn again.
    let annotated = folder.join("output/annotated_slow.mp4");
    let source = probed_times(&clip);
    for again in [false, true] {
        if again {
            fs::remove_file(&annotated).expect("the annotated video");
            run(folder, &["annotate", "slow.mp4"]);
        }
        let times = probed_times(&annotated);
        assert_eq!(times.len(), source.len());
        for (annotated, source) in times.iter().zip(&source) {
            assert!((annotated - source).abs() < 1e-3, "{annotated} {source}");
        }
    }

    // The same by what the user says, as ingests of their own.
    for more in [["--slow-motion", "4"], ["--capture-fps", "120"]] {
        assert!(ingest(&more).contains("1 replaced"), "{more:?}");
        assert_eq!(table(), real, "{more:?}");
        assert!(ingest(&more).contains("nothing to do"), "{more:?}");
        assert_ne!(hash(), untouched.1);
    }
    assert!(ingest(&[]).contains("1 replaced"));
    assert_eq!((config(), hash()), untouched);
    assert!(ingest(&["--slow-motion", "1"]).contains("nothing to do"));
}

#[test]
fn without_a_tag_auto_changes_nothing_and_a_time_lapse_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    person_clip(folder, "plain.mp4", "N/30/TB", &["-t", "0.5"]);
    let ingest = |more: &[&str]| {
        let arguments = ["ingest", "plain.mp4", "--no-video", "--no-pose-json"];
        run(folder, &[&arguments, more].concat()).1
    };
    let told = ingest(&["--slow-motion", "auto"]);
    assert!(told.contains("no tag says"), "{told}");
    assert!(ingest(&[]).contains("nothing to do"));
    let told = ingest(&["--slow-motion", "0.5"]);
    assert!(
        told.contains("2 times faster than things happened (a time lapse)"),
        "{told}"
    );
    let fps = number(folder, "select fps as v from videos");
    assert!((fps - 15.0).abs() < 1e-3, "{fps}");
}

#[test]
fn impossible_factors_and_rates_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, told) in [
        (
            &["--slow-motion", "4", "--capture-fps", "120"][..],
            "cannot be used with",
        ),
        (
            &["--slow-motion", "0"],
            "auto or a factor between 0.001 and 1000",
        ),
        (&["--slow-motion=-4"], "auto or a factor"),
        (&["--slow-motion", "NaN"], "auto or a factor"),
        (&["--slow-motion", "inf"], "auto or a factor"),
        (&["--slow-motion", "fast"], "auto or a factor"),
        (&["--capture-fps", "0"], "above 0"),
        (&["--capture-fps", "inf"], "above 0"),
    ] {
        for command in ["ingest", "run"] {
            let output = posedata(folder.path(), &[&[command, "x.mp4"], arguments].concat());
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert!(
                stderr(&output).contains(told),
                "{arguments:?}: {}",
                stderr(&output)
            );
        }
    }
    person_clip(folder.path(), "plain.mp4", "N/30/TB", &["-t", "0.2"]);
    let arguments = ["ingest", "plain.mp4", "--capture-fps", "90000"];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("factor of 3000") && told.contains("plain.mp4"),
        "{told}"
    );
}
