//! Exported files, read back independently and compared with the lake.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use posedata::export::{ExportFormat, export_video};
use posedata::lake::{Lake, LakePaths, VideoFrame};
use posedata::media_time::MediaTime;
use posedata::pose::PersonPose;
use posedata::pose::landmark::Landmark;
use posedata::sync::Cancellation;
use proptest::prelude::*;
use serde_json::Value;

use crate::lake::{clip, fixture, lake_of_demo, open_lake};
use crate::poses::{commit_frames, commit_made_up, made_up_frame, record};
use crate::support::{posedata, stderr, stdout};

/// Columns of the `metrics` table that say what a row is about.
const KEYS: [&str; 5] = ["video_id", "person", "frame", "time_secs", "sport"];

/// Runs an export that is to work, and gives the written files' names, sorted.
fn export(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let output = posedata(folder, &[&["export"], arguments].concat());
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    let entries = fs::read_dir(folder.join("output")).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into()
        })
        .collect();
    names.sort();
    names
}

/// A lake in `folder` with one video of made-up frames; persons 0 and 2.
fn made_up(folder: &Path, frame_count: u64) -> Lake {
    let paths = LakePaths::new(folder.join("lake"));
    commit_made_up(&paths, &record(&"a".repeat(32), "a.mp4", frame_count))
}

/// Rows of the metrics table as `posedata query` gives them, by frame and person: what the exports
/// are compared with.
fn queried_metrics(folder: &Path) -> HashMap<(u64, u64), serde_json::Map<String, Value>> {
    let output = posedata(folder, &["query", "-e", "from metrics", "--format", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<serde_json::Map<String, Value>> =
        serde_json::from_str(&stdout(&output)).expect("JSON");
    let number =
        |row: &serde_json::Map<String, Value>, key: &str| row[key].as_u64().expect("a number");
    rows.into_iter()
        .map(|row| ((number(&row, "frame"), number(&row, "person")), row))
        .collect()
}

/// The same number, whether it is written as a 32-bit or as a 64-bit float.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a as f32).to_bits() == (b as f32).to_bits(),
        _ => a == b,
    }
}

fn assert_metrics(
    exported: &serde_json::Map<String, Value>,
    stored: &serde_json::Map<String, Value>,
) {
    let mut columns = 0;
    for (column, value) in stored
        .iter()
        .filter(|(key, _)| !KEYS.contains(&key.as_str()))
    {
        assert!(
            same(&exported[column], value),
            "{column}: {} is {value}",
            exported[column]
        );
        columns += 1;
    }
    assert_eq!(
        exported.len(),
        columns,
        "no more and no fewer metrics than in the lake"
    );
}

fn validator() -> jsonschema::Validator {
    let schema = serde_json::from_str(posedata::export::POSE_MODEL_SCHEMA).expect("JSON");
    jsonschema::meta::validate(&schema).expect("a valid schema");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn read_json(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a file");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    if let Err(error) = validator().validate(&value) {
        panic!("{error} at {}", error.instance_path());
    }
    serde_json::from_value(value).expect("a list")
}

#[test]
fn the_pose_model_schema_describes_all_columns_of_the_metrics_table_in_their_words() {
    let sql = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/metrics.sql"))
        .expect("a schema");
    let comments: HashMap<&str, String> = sql
        .lines()
        .filter_map(|line| line.strip_prefix("COMMENT ON COLUMN metrics."))
        .map(|line| {
            let (column, comment) = line.split_once(" IS '").expect("a comment");
            let comment = comment.strip_suffix("';").expect("an end");
            (column, comment.replace("''", "'"))
        })
        .collect();
    let mut expected = serde_json::Map::new();
    for line in sql.lines().filter_map(|line| line.strip_prefix("    ")) {
        let words: Vec<&str> = line.trim_end_matches(',').split(' ').collect();
        if KEYS.contains(&words[0]) {
            continue;
        }
        let kind = match words[1] {
            "FLOAT" => "number",
            "BOOLEAN" => "boolean",
            "VARCHAR" => "string",
            other => panic!("no JSON type is known for {other}"),
        };
        let kind = match words.get(2) {
            Some(&"NOT") => serde_json::json!(kind),
            _ => serde_json::json!([kind, "null"]),
        };
        let property = serde_json::json!({"type": kind, "description": comments[words[0]]});
        expected.insert(words[0].into(), property);
    }
    let schema: Value = serde_json::from_str(posedata::export::POSE_MODEL_SCHEMA).expect("JSON");
    let metrics = &schema["$defs"]["metrics"];
    let described = metrics["properties"].as_object().expect("properties");
    for (column, property) in &expected {
        assert_eq!(described.get(column), Some(property), "{column}");
    }
    assert_eq!(described.len(), expected.len());
    let mut required: Vec<&str> = (metrics["required"].as_array().expect("a list").iter())
        .filter_map(Value::as_str)
        .collect();
    required.sort_unstable();
    assert_eq!(
        required,
        expected.keys().map(String::as_str).collect::<Vec<_>>()
    );
}

#[test]
fn the_schema_refuses_what_is_no_pose_model() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 4);
    export(folder.path(), &["pose-json"]);
    let good = read_json(&folder.path().join("output/a_pose.json"));
    let validator = validator();
    let is_valid = |change: &dyn Fn(&mut Value)| {
        let mut list = Value::from(good.clone());
        change(&mut list);
        validator.is_valid(&list)
    };
    assert!(is_valid(&|_| {}));
    assert!(!is_valid(
        &|list| list[0]["points"] = Value::Array(Vec::new())
    ));
    assert!(!is_valid(&|list| list[0]["valid"] = false.into()));
    assert!(!is_valid(&|list| list[0]["points"][3]["x"] = "0.5".into()));
    assert!(!is_valid(
        &|list| list[0]["metrics"]["quality"] = Value::Null
    ));
    assert!(!is_valid(&|list| {
        list[0]
            .as_object_mut()
            .expect("an object")
            .remove("timestamp");
    }));
}

#[test]
fn the_pose_model_of_the_demo_video_is_what_the_lake_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    lake_of_demo(folder.path());
    assert_eq!(
        export(folder.path(), &["pose-json", "demo.mp4"]),
        ["demo_pose.json"]
    );
    let objects = read_json(&folder.path().join("output/demo_pose.json"));
    let metrics = queried_metrics(folder.path());
    let lake = open_lake(&LakePaths::new(folder.path().join("lake"))).expect("a lake");
    let video = &lake.find_videos(&[]).expect("videos")[0];
    assert_eq!(objects.len(), 230);
    for (object, frame) in objects.iter().zip(lake.frames(video).expect("frames")) {
        let frame = frame.expect("a frame");
        assert_eq!(object["frame_index"], frame.frame);
        assert_eq!(object["timestamp"], frame.time.as_secs());
        assert_eq!(object["person"], 0);
        assert_eq!(object["valid"], !frame.persons.is_empty());
        let exported = object["metrics"].as_object().expect("metrics");
        assert_metrics(exported, &metrics[&(frame.frame, 0)]);
        assert_points(object, frame.persons.first().map(|row| &row.pose));
    }
    assert_eq!(
        objects
            .iter()
            .filter(|object| object["valid"] == true)
            .count(),
        222
    );
}

fn assert_points(object: &Value, pose: Option<&PersonPose>) {
    let points = object["points"].as_array().expect("points");
    let landmarks = pose.map_or(&[][..], |pose| &pose.landmarks);
    assert_eq!(points.len(), landmarks.len());
    for (point, landmark) in points.iter().zip(landmarks) {
        let expected = [
            ("x", landmark.x),
            ("y", landmark.y),
            ("z", landmark.z),
            ("visibility", landmark.visibility),
        ];
        for (key, value) in expected {
            let exported = point[key].as_f64().expect("a number") as f32;
            assert_eq!(exported.to_bits(), value.to_bits(), "{key}");
        }
    }
}

#[test]
fn each_person_of_a_frame_has_an_object_and_one_can_be_chosen() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 14);
    export(folder.path(), &["pose-json"]);
    let all = read_json(&folder.path().join("output/a_pose.json"));
    let about = |objects: &[Value]| -> Vec<(u64, u64, bool)> {
        let number = |object: &Value, key: &str| object[key].as_u64().expect("a number");
        objects
            .iter()
            .map(|o| {
                (
                    number(o, "frame_index"),
                    number(o, "person"),
                    o["valid"] == true,
                )
            })
            .collect()
    };
    let expected: Vec<(u64, u64, bool)> = (0..14)
        .flat_map(|frame| {
            let persons = made_up_frame(frame).persons;
            let nobody = persons.is_empty().then_some((frame, 0, false));
            let rows = persons
                .iter()
                .map(|row| (frame, row.pose.person.into(), true));
            rows.chain(nobody).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(about(&all), expected);

    let names = export(folder.path(), &["pose-json", "--person", "2"]);
    assert_eq!(names, ["a_person2_pose.json", "a_pose.json"]);
    let second = read_json(&folder.path().join("output/a_person2_pose.json"));
    let expected: Vec<(u64, u64, bool)> = (0..14)
        .map(|frame| {
            let is_there = made_up_frame(frame)
                .persons
                .iter()
                .any(|row| row.pose.person == 2);
            (frame, 2, is_there)
        })
        .collect();
    assert_eq!(about(&second), expected);
}

/// A CSV file without quotes, as a list of rows by column name.
fn read_csv(path: &Path) -> Vec<HashMap<String, String>> {
    let text = fs::read_to_string(path).expect("a file");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), header.len(), "{line}");
            let cells = cells.into_iter().map(str::to_owned);
            header
                .iter()
                .map(|name| (*name).to_owned())
                .zip(cells)
                .collect()
        })
        .collect()
}

/// The columns of a landmark, with their values.
fn landmark_columns(pose: &PersonPose, landmark: Landmark) -> [(String, f32); 8] {
    let (image, world) = (
        pose.landmarks[landmark.index()],
        pose.world_m[landmark.index()],
    );
    [
        ("x", image.x),
        ("y", image.y),
        ("z", image.z),
        ("visibility", image.visibility),
        ("presence", image.presence),
        ("world_x_m", world[0]),
        ("world_y_m", world[1]),
        ("world_z_m", world[2]),
    ]
    .map(|(name, value)| (format!("{}_{name}", landmark.name()), value))
}

/// Rows of a table, by column, against made-up frames; `metrics` is what the lake holds.
fn assert_table(rows: &[HashMap<String, String>], frames: &[VideoFrame], folder: &Path) {
    let metrics = queried_metrics(folder);
    let mut rows = rows.iter();
    for frame in frames {
        let persons = frame.persons.iter().map(|row| Some(&row.pose));
        let nobody = frame.persons.is_empty().then_some(None);
        for pose in persons.chain(nobody) {
            let row = rows.next().expect("a row");
            let person = pose.map_or(0, |pose| pose.person);
            assert_eq!(row["frame"], frame.frame.to_string());
            assert_eq!(row["time_secs"].parse(), Ok(frame.time.as_secs()));
            assert_eq!(row["person"], person.to_string());
            let stored = &metrics[&(frame.frame, person.into())];
            for (column, value) in stored
                .iter()
                .filter(|(key, _)| !KEYS.contains(&key.as_str()))
            {
                let cell = row[column].as_str();
                match value {
                    Value::Null => assert_eq!(cell, "", "{column}"),
                    Value::Number(number) => {
                        let stored = number.as_f64().expect("a float") as f32;
                        assert_eq!(cell.parse(), Ok(stored), "{column}");
                    }
                    Value::Bool(value) => assert_eq!(cell, value.to_string(), "{column}"),
                    other => assert_eq!(other, cell, "{column}"),
                }
            }
            let landmarks = Landmark::ALL.into_iter().flat_map(|landmark| {
                let nobody = made_up_frame(0).persons.remove(0).pose;
                landmark_columns(pose.unwrap_or(&nobody), landmark)
            });
            for (column, value) in landmarks {
                match pose {
                    None => assert_eq!(row[&column], "", "{column}"),
                    Some(_) => {
                        let cell: f32 = row[&column].parse().expect("a number");
                        assert_eq!(cell.to_bits(), value.to_bits(), "{column}");
                    }
                }
            }
            assert_eq!(row.len(), 3 + stored.len() - KEYS.len() + 33 * 8);
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn a_csv_file_is_the_lake_in_other_words() {
    let folder = tempfile::tempdir().expect("a folder");
    // More frames than are written together.
    made_up(folder.path(), 600);
    assert_eq!(export(folder.path(), &["csv"]), ["a.csv"]);
    let frames: Vec<VideoFrame> = (0..600).map(made_up_frame).collect();
    assert_table(
        &read_csv(&folder.path().join("output/a.csv")),
        &frames,
        folder.path(),
    );
}

#[test]
fn a_parquet_file_is_the_lake_in_other_words() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 300);
    assert_eq!(export(folder.path(), &["parquet"]), ["a.parquet"]);
    let path = folder.path().join("output/a.parquet");
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let csv = folder.path().join("a.csv");
    connection
        .execute_batch(&format!(
            "COPY (FROM read_parquet('{}')) TO '{}' (HEADER)",
            path.display(),
            csv.display()
        ))
        .expect("a file of Parquet");
    let frames: Vec<VideoFrame> = (0..300).map(made_up_frame).collect();
    assert_table(&read_csv(&csv), &frames, folder.path());
    let about: String = connection
        .query_row(
            &format!(
                "SELECT value::VARCHAR FROM parquet_kv_metadata('{}') WHERE key = 'posedata.file_name'",
                path.display()
            ),
            [],
            |row| row.get(0),
        )
        .expect("metadata");
    assert_eq!(about, "a.mp4");
}

/// A minimal reading of TRC: header cells by name, marker names, rows of (frame, time, values).
struct Trc {
    header: HashMap<String, String>,
    markers: Vec<String>,
    rows: Vec<(u64, f64, Vec<f64>)>,
}

fn read_trc(path: &Path) -> Trc {
    let text = fs::read_to_string(path).expect("a file");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("PathFileType\t4\t(X/Y/Z)\t"),
        "{}",
        lines[0]
    );
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let markers: Vec<String> = cells(lines[3])[2..]
        .iter()
        .step_by(3)
        .filter(|m| !m.is_empty())
        .cloned()
        .collect();
    let axes: Vec<String> = (1..=markers.len())
        .flat_map(|n| ["X", "Y", "Z"].map(|axis| format!("{axis}{n}")))
        .collect();
    assert_eq!(cells(lines[4])[2..], axes);
    let rows = lines[5..].iter().map(|line| {
        let cells = cells(line);
        let values = cells[2..]
            .iter()
            .map(|cell| cell.parse().expect("a number"));
        (
            cells[0].parse().expect("a frame"),
            cells[1].parse().expect("a time"),
            values.collect(),
        )
    });
    Trc {
        header: cells(lines[1]).into_iter().zip(cells(lines[2])).collect(),
        markers,
        rows: rows.collect(),
    }
}

#[test]
fn a_trc_file_holds_one_persons_world_landmarks_in_opensims_axes() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 40);
    let names = export(folder.path(), &["trc"]);
    assert_eq!(names, ["a_person0.trc", "a_person2.trc"]);
    for person in [0, 2] {
        let trc = read_trc(&folder.path().join(format!("output/a_person{person}.trc")));
        let expected = [
            ("DataRate", "30"),
            ("CameraRate", "30"),
            ("NumFrames", "40"),
            ("NumMarkers", "33"),
            ("Units", "m"),
            ("OrigDataRate", "30"),
            ("OrigDataStartFrame", "0"),
            ("OrigNumFrames", "40"),
        ];
        for (key, value) in expected {
            assert_eq!(trc.header[key], value, "{key}");
        }
        // Names that OpenSim set-ups of Pose2Sim know, at the indices of the landmarks.
        for (index, name) in [
            (0, "Nose"),
            (12, "RShoulder"),
            (23, "LHip"),
            (31, "LBigToe"),
        ] {
            assert_eq!(trc.markers[index], name);
        }
        assert_eq!(trc.rows.len(), 40);
        for (n, (number, time, values)) in (0..).zip(&trc.rows) {
            assert_eq!(*number, n);
            let frame = made_up_frame(n);
            assert_eq!(*time, frame.time.as_secs());
            let row = frame.persons.iter().find(|row| row.pose.person == person);
            let Some(row) = row else {
                assert!(values.iter().all(|value| value.is_nan()));
                assert_eq!(values.len(), 33 * 3);
                continue;
            };
            let expected = row.pose.world_m.iter().flat_map(|[x, y, z]| [*x, -y, -z]);
            assert!(
                values.iter().map(|value| *value as f32).eq(expected),
                "frame {n}"
            );
        }
    }
}

#[test]
fn a_mot_file_holds_the_angles_of_the_metrics_table() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    assert_eq!(export(folder.path(), &["mot"]), ["red.mot"]);
    let metrics = queried_metrics(folder.path());
    let text = fs::read_to_string(folder.path().join("output/red.mot")).expect("a file");
    let (header, table) = text
        .split_once("\nendheader\n")
        .expect("an end of the header");
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().expect("names").split('\t').collect();
    let header: Vec<&str> = header.lines().collect();
    assert_eq!(header[..2], ["Coordinates", "version=1"]);
    assert!(header.contains(&"inDegrees=yes") && header.contains(&"nRows=30"));
    assert!(header.contains(&format!("nColumns={}", columns.len()).as_str()));
    assert_eq!(columns[0], "time");
    let angles = metrics[&(0, 0)].keys().filter(|key| key.ends_with("_deg"));
    let mut angles: Vec<&str> = angles.map(String::as_str).collect();
    let mut in_file = columns[1..].to_vec();
    in_file.sort_unstable();
    angles.sort_unstable();
    assert_eq!(in_file, angles);
    let mut told = 0;
    for (frame, line) in (0..).zip(lines.by_ref()) {
        let cells: Vec<f64> = line
            .split('\t')
            .map(|cell| cell.parse().expect("a number"))
            .collect();
        let stored = &metrics[&(frame, 0)];
        assert_eq!(Some(cells[0]), stored["time_secs"].as_f64());
        for (column, cell) in columns.iter().zip(cells).skip(1) {
            match stored[*column].as_f64() {
                None => assert!(cell.is_nan(), "{column}"),
                Some(value) => {
                    assert_eq!(cell as f32, value as f32, "{column}");
                    told += 1;
                }
            }
        }
    }
    assert!(told > 27 * 12, "{told} angles of 27 frames with a pose");
}

#[test]
fn names_of_files_tell_videos_apart_and_exports_replace_older_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    commit_made_up(&paths, &record(&"a".repeat(32), "walk.mp4", 3));
    commit_made_up(&paths, &record(&"b".repeat(32), "walk.mov", 4));
    commit_made_up(&paths, &record(&"c".repeat(32), "run.mp4", 5));
    let names = ["run.csv", "walk-aaaaaaaa.csv", "walk-bbbbbbbb.csv"];
    assert_eq!(export(folder.path(), &["csv"]), names);
    let path = folder.path().join("output/walk-bbbbbbbb.csv");
    let before = fs::read_to_string(&path).expect("a file");
    fs::write(&path, "older").expect("a file");
    // The name is the same when the video is exported alone.
    assert_eq!(export(folder.path(), &["csv", "bbbbbb"]), names);
    assert_eq!(fs::read_to_string(&path).expect("a file"), before);
}

#[test]
fn bad_exports_say_why_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 10);
    let fails = |arguments: &[&str], code: i32, expected: &str| {
        let output = posedata(folder.path(), &[&["export"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    };
    fails(
        &["csv", "b.mp4"],
        1,
        "no video in the lake is b.mp4; give an id, a file name, a beginning of it or a path of: a.mp4",
    );
    fails(
        &["csv", "--person", "1"],
        2,
        "there is no person 1 in the video; it has 0, 2: a.mp4",
    );
    fails(&["csv", "--schema"], 1, "belongs to pose-json");
    fs::write(folder.path().join("file"), "text").expect("a file");
    fails(
        &["csv", "--output", "file"],
        1,
        "cannot make the output folder",
    );
    fs::create_dir_all(folder.path().join("taken/a.csv")).expect("a folder");
    fails(&["csv", "--output", "taken"], 2, "cannot write");
    let left: Vec<PathBuf> = fs::read_dir(folder.path().join("taken"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(left, [folder.path().join("taken/a.csv")]);
    fails(&["csv", "--lake", "elsewhere"], 1, "there is no lake yet");
}

#[test]
fn a_video_without_any_pose_has_rows_that_say_so_and_no_markers() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    let output = posedata(
        folder.path(),
        &["ingest", "wall.mp4", "--no-video", "--no-pose-json"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    for format in ["pose-json", "csv", "parquet"] {
        export(folder.path(), &[format]);
    }
    let objects = read_json(&folder.path().join("output/wall_pose.json"));
    assert_eq!(objects.len(), 30);
    assert!(objects.iter().all(|object| object["valid"] == false));
    let rows = read_csv(&folder.path().join("output/wall.csv"));
    assert_eq!(rows.len(), 30);
    assert!(
        rows.iter()
            .all(|row| row["quality"] == "no_pose" && row["nose_x"].is_empty())
    );
    for format in ["trc", "mot"] {
        let output = posedata(folder.path(), &["export", format]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("nobody was found in the video"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(
        fs::read_dir(folder.path().join("output"))
            .expect("a folder")
            .count(),
        3
    );
}

#[test]
fn what_was_written_is_told_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 5);
    let output = posedata(folder.path(), &["export", "mot", "--json"]);
    let files: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(files[1]["path"], "output/a_person2.mot");
    assert_eq!(files[1]["person"], 2);
    assert_eq!(files[1]["frame_count"], 5);
    let output = posedata(folder.path(), &["export", "pose-json", "--schema"]);
    let schema: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(schema["title"], "Pose model of a video");
}

/// So many frames are one case: a lake costs much more than its frames.
const ANY_FRAMES: usize = 24;
/// x, y, z in the picture, and x, y, z in the world, of 33 landmarks.
const ANY_VALUES: usize = 33 * 6;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]

    /// Any finite coordinates, however large or small, survive JSON, CSV and TRC bit by bit.
    #[test]
    fn any_finite_coordinates_come_back_from_all_text_formats(
        values in proptest::collection::vec(
            prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO,
            ANY_FRAMES * ANY_VALUES,
        )
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = LakePaths::new(folder.path().join("lake"));
        let frames: Vec<VideoFrame> = values
            .chunks(ANY_VALUES)
            .enumerate()
            .map(|(index, values)| frame_with(index as u64, values))
            .collect();
        let poses: Vec<PersonPose> = frames.iter().map(|f| f.persons[0].pose.clone()).collect();
        let record = record(&"a".repeat(32), "a.mp4", ANY_FRAMES as u64);
        let lake = commit_frames(&paths, &record, frames);
        let output = folder.path().join("output");
        fs::create_dir(&output).expect("a folder");
        for format in [ExportFormat::PoseJson, ExportFormat::Csv, ExportFormat::Trc] {
            export_video(&lake, &record, format.into(), &output, "a", &Cancellation::new())
                .expect("a file");
        }
        let objects = read_json(&folder.path().join("output/a_pose.json"));
        let rows = read_csv(&folder.path().join("output/a.csv"));
        let trc = read_trc(&folder.path().join("output/a.trc"));
        prop_assert_eq!([objects.len(), rows.len(), trc.rows.len()], [ANY_FRAMES; 3]);
        for (index, pose) in poses.iter().enumerate() {
            assert_points(&objects[index], Some(pose));
            for landmark in Landmark::ALL {
                for (column, value) in landmark_columns(pose, landmark) {
                    let cell: f32 = rows[index][&column].parse().expect("a number");
                    prop_assert_eq!(cell.to_bits(), value.to_bits(), "{}", column);
                }
            }
            let expected = pose.world_m.iter().flat_map(|[x, y, z]| [*x, -y, -z]);
            prop_assert!(trc.rows[index].2.iter().map(|value| *value as f32).eq(expected));
        }
    }
}

/// A frame with one person whose landmarks lie where `values` say.
fn frame_with(index: u64, values: &[f32]) -> VideoFrame {
    let mut frame = made_up_frame(2);
    frame.frame = index;
    frame.time = MediaTime::from_secs(index as f64 / 30.0);
    let pose = &mut frame.persons[0].pose;
    for (i, value) in values.chunks(6).enumerate() {
        let landmark = &mut pose.landmarks[i];
        (landmark.x, landmark.y, landmark.z) = (value[0], value[1], value[2]);
        pose.world_m[i] = [value[3], value[4], value[5]];
    }
    frame
}
