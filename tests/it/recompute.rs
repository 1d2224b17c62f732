//! `posedata metrics recompute`: filtered landmarks and their metrics, from the lake alone.

use std::fs;
use std::path::Path;

use posedata::lake::{LakePaths, PersonRow, VideoFrame};
use posedata::metrics::filter::{FilterConfig, PathFilter};
use posedata::metrics::{MIN_VISIBILITY, Measurer, is_jump};
use posedata::pose::landmark::Landmark;
use posedata::video::MediaTime;
use serde_json::Value;

use crate::lake::{fixture, lake_of_demo, open_lake, parquet_files};
use crate::poses::{commit_frames, commit_made_up, made_up_frame, record, with_catalog};
use crate::support::{posedata, stderr, stdout};

fn rows(folder: &Path, sql: &str) -> Vec<Value> {
    let output = posedata(folder, &["query", "-e", sql, "--format", "json"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn value(folder: &Path, sql: &str) -> Value {
    rows(folder, sql)[0]["v"].clone()
}

fn recompute(folder: &Path, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["metrics", "recompute", "--json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let output = posedata(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

/// All rows of a table in a fixed order, as text.
fn table(folder: &Path, name: &str, order: &str) -> String {
    let sql = format!("select * from {name} order by {order}");
    let output = posedata(folder, &["query", "-e", &sql, "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

const METRICS_ORDER: &str = "video_id, frame, person";
const LANDMARKS_ORDER: &str = "video_id, landmark_index, frame, person";

#[test]
fn filtered_rows_of_a_scripted_video_are_its_closed_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fixture(folder);
    // Nothing here decodes video.
    fs::remove_file(folder.join("red.mp4")).expect("the clip");
    let report = recompute(folder, &["red.mp4"]);
    let video = &report["videos"][0];
    assert_eq!(video["frame_count"], 30);
    // Frames 9, 19 and 29 have no pose; the first two are bridged, the last is an end.
    assert_eq!(video["landmark_count"], 29 * 33);
    assert_eq!(video["interpolated_count"], 2 * 33);
    assert_eq!(video["unfiltered_count"], 0);
    assert_eq!(video["left_out_count"], 0);

    let sql = "select count(*) as v from landmarks_filtered where interpolated = (frame in (9, 19)) and cutoff_hz = 6";
    assert_eq!(value(folder, sql), 29 * 33);
    // All but the left wrist stand still, and a constant stays what it is.
    let sql = "select count(*) as v from landmarks_filtered f left join landmarks l using (video_id, person, frame, landmark)
               where landmark <> 'left_wrist' and not interpolated
               and (f.x, f.y, f.z, f.world_x_m, f.world_y_m, f.world_z_m) is distinct from (l.x, l.y, l.z, l.world_x_m, l.world_y_m, l.world_z_m)";
    assert_eq!(value(folder, sql), 0);
    // The wrist moves evenly by 1/1024 a frame; far from the ends, a low-pass leaves that alone,
    // also in the filled frame.
    let sql = "select max(abs(x - (0.25 + 15 / 128.0 + frame / 1024.0))) < 2e-5 as v
               from landmarks_filtered where landmark = 'left_wrist' and frame between 8 and 20";
    assert_eq!(value(folder, sql), true);

    // Speeds go through the gap now: 64 / 1024 px a frame, 30 frames a second.
    let sql = "select min(peak_landmark_speed_px_per_sec) > 1.86 and max(peak_landmark_speed_px_per_sec) < 1.89 and count(*) = 12 as v
               from metrics_filtered where peak_landmark = 'left_wrist' and frame between 9 and 20";
    assert_eq!(value(folder, sql), true);
    let sql = "select string_agg(frame || ' ' || quality || ' ' || interpolated, ', ' order by frame) as v
               from metrics_filtered where frame in (8, 9, 28, 29)";
    let expected = "8 good false, 9 good true, 28 good false, 29 no_pose false";
    assert_eq!(value(folder, sql), expected);
    let sql = "select count(*) = 30 and count(distinct frame) = 30 and count(meters_per_px) = 0 as v from metrics_filtered";
    assert_eq!(value(folder, sql), true);
    let sql = "select bool_and(pose_probability is null and mean_visibility is null and left_right_swap is null) as v
               from metrics_filtered where frame in (9, 19)";
    assert_eq!(value(folder, sql), true);
}

#[test]
fn a_gap_that_is_too_long_stays_open_and_short_pieces_stay_raw() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fixture(folder);
    let report = recompute(folder, &["--max-gap", "0"]);
    // Three pieces of 9 frames: too short for the filter's padding.
    assert_eq!(report["videos"][0]["landmark_count"], 27 * 33);
    assert_eq!(report["videos"][0]["unfiltered_count"], 27 * 33);
    let sql = "select count(*) as v from landmarks_filtered f join landmarks l using (video_id, person, frame, landmark)
               where f.x = l.x and f.y = l.y and f.cutoff_hz is null and not f.interpolated";
    assert_eq!(value(folder, sql), 27 * 33);
    let sql = "select count(*) as v from metrics_filtered where quality = 'no_pose'";
    assert_eq!(value(folder, sql), 3);
}

#[test]
fn the_demo_video_is_filtered_as_pose2sim_filters_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    lake_of_demo(folder);
    let raw = [
        table(folder, "landmarks", LANDMARKS_ORDER),
        table(folder, "metrics", METRICS_ORDER),
    ];
    let report = recompute(folder, &["demo.mp4", "--height-m", "1.75"]);
    let video = &report["videos"][0];
    assert_eq!(video["metrics_renewed"], false);
    // Twice the man is lost and found again across the picture; no line leads from here to there.
    assert_eq!(video["jump_count"], 2);
    let sql = "select string_agg(distinct frame, ' ') as v from landmarks_filtered where landmark = 'nose' and interpolated";
    assert_eq!(value(folder, sql), Value::Null);

    // The same filter, written as the difference equation of scipy.signal.butter(2, 6 / 15)
    // (b = 0.2066, 0.4131, 0.2066; a = 1, -0.3695, 0.1958), as a recursion in SQL over the frames
    // in which the nose is seen without a gap.
    let nose = "select frame, x::double as x from landmarks where landmark = 'nose' and frame between 3 and 103 order by frame";
    let path: Vec<f64> = rows(folder, nose)
        .iter()
        .map(|row| row["x"].as_f64().expect("a number"))
        .collect();
    assert_eq!(path.len(), 101);
    let filtered = "select x::double as x, interpolated, cutoff_hz from landmarks_filtered where landmark = 'nose' and frame between 3 and 103 order by frame";
    let (b, a) = (
        [
            0.206_572_083_826_147_9,
            0.413_144_167_652_295_8,
            0.206_572_083_826_147_9,
        ],
        [-0.369_527_377_351_241_4, 0.195_815_712_655_833_2],
    );
    let expected = forward_and_backward(&path, b, a);
    for (i, (row, expected)) in rows(folder, filtered).iter().zip(expected).enumerate() {
        let ours = row["x"].as_f64().expect("a number");
        // Half a step of the lake; the path goes on behind frame 103, which the last frames feel.
        if i < 80 {
            assert!(
                (ours - expected).abs() < 3e-6,
                "frame {}: {ours} {expected}",
                i + 3
            );
        }
    }

    // Metrics of the filtered landmarks, computed once more in SQL.
    let sql = "with p as (
                 select frame, time_secs,
                   max(world_x_m) filter (landmark = 'left_hip') hx, max(world_y_m) filter (landmark = 'left_hip') hy, max(world_z_m) filter (landmark = 'left_hip') hz,
                   max(world_x_m) filter (landmark = 'left_knee') kx, max(world_y_m) filter (landmark = 'left_knee') ky, max(world_z_m) filter (landmark = 'left_knee') kz,
                   max(world_x_m) filter (landmark = 'left_ankle') ax, max(world_y_m) filter (landmark = 'left_ankle') ay, max(world_z_m) filter (landmark = 'left_ankle') az,
                   max(x) filter (landmark = 'left_knee') * 1768 kpx, max(y) filter (landmark = 'left_knee') * 994 kpy,
                   max(x) filter (landmark = 'left_ankle') * 1768 apx, max(y) filter (landmark = 'left_ankle') * 994 apy,
                   (max(x) filter (landmark = 'left_hip') + max(x) filter (landmark = 'right_hip')) / 2 * 1768 cx,
                   (max(y) filter (landmark = 'left_hip') + max(y) filter (landmark = 'right_hip')) / 2 * 994 cy
                 from landmarks_filtered group by all)
               select count(*) as n,
                 max(abs(m.left_knee_deg - angle_deg(hx, hy, hz, kx, ky, kz, ax, ay, az))) as knee,
                 max(abs(m.left_shank_segment_deg - degrees(atan2(kpy - apy, if(facing = 'left', kpx - apx, apx - kpx))))) as shank,
                 max(abs(m.center_x_m - cx * meters_per_px)) as center_x,
                 max(abs(m.center_y_m - (994 - cy) * meters_per_px)) as center_y,
                 count(center_speed_m_per_sec) as speeds,
                 max(abs(center_speed_m_per_sec / (center_speed_px_per_sec * meters_per_px) - 1)) as speed
               from p join metrics_filtered m using (frame) where m.left_knee_deg is not null";
    let row = &rows(folder, sql)[0];
    let number = |name: &str| row[name].as_f64().expect("a number");
    assert!(number("n") > 150.0 && number("speeds") > 150.0, "{row}");
    assert!(number("knee") < 0.005 && number("shank") < 0.005, "{row}");
    // 13 significant bits of at most 8 m.
    assert!(
        number("center_x") < 1e-3 && number("center_y") < 1e-3,
        "{row}"
    );
    assert!(number("speed") < 4e-4, "{row}");

    // CheckpointKind upright, ears are at 0.93 of the height (Drillis and Contini); the estimate takes
    // segments that lie aslant for longer than they look.
    let height_px = video["height_px"].as_f64().expect("a height");
    let sql = "select max(y) filter (landmark = 'left_heel') * 994 - max(y) filter (landmark = 'left_ear') * 994 as v
               from landmarks_filtered where frame = 40";
    let ear_to_heel = value(folder, sql).as_f64().expect("a number");
    let ratio = ear_to_heel / height_px;
    assert!(
        (0.8..0.93).contains(&ratio),
        "{ear_to_heel} px of {height_px} px"
    );

    // Less noise: frame to frame the filtered wrist's acceleration is a fraction of the raw one's.
    let roughness = |table: &str| {
        let sql = format!(
            "select sum(abs(d)) as v from (select x - 2 * lag(x) over w + lag(x, 2) over w as d
             from {table} where landmark = 'right_knee' and frame between 20 and 100 window w as (order by frame))"
        );
        value(folder, &sql).as_f64().expect("a number")
    };
    let (filtered, measured) = (roughness("landmarks_filtered"), roughness("landmarks"));
    assert!(filtered < 0.7 * measured, "{filtered} {measured}");

    // Again: the same rows, and measured landmarks and metrics untouched.
    let tables = || {
        [
            table(folder, "landmarks_filtered", LANDMARKS_ORDER),
            table(folder, "metrics_filtered", METRICS_ORDER),
        ]
    };
    let first = tables();
    recompute(folder, &["--height-m", "1.75"]);
    assert_eq!(tables(), first);
    let raw_now = [
        table(folder, "landmarks", LANDMARKS_ORDER),
        table(folder, "metrics", METRICS_ORDER),
    ];
    assert_eq!(raw_now, raw);
    recompute(folder, &["--cutoff", "3"]);
    assert_ne!(tables()[0], first[0]);
    let sql = "select count(distinct cutoff_hz) = 1 and min(cutoff_hz) = 3 and count(height_m) = 0 as v from metrics_filtered";
    assert_eq!(value(folder, sql), true);
}

/// scipy.signal.filtfilt, step by step: 9 samples mirrored through the end points, and each pass
/// started in the state that a constant input of its first sample would have led to, here by
/// running that input in for a long time.
fn forward_and_backward(path: &[f64], b: [f64; 3], a: [f64; 2]) -> Vec<f64> {
    let last = path.len() - 1;
    let mut padded: Vec<f64> = (1..=9).rev().map(|i| 2.0 * path[0] - path[i]).collect();
    padded.extend(path);
    padded.extend((1..=9).map(|i| 2.0 * path[last] - path[last - i]));
    for _ in 0..2 {
        let (mut x, mut y) = ([padded[0]; 2], [padded[0]; 2]);
        for sample in &mut padded {
            let out = b[0] * *sample + b[1] * x[0] + b[2] * x[1] - a[0] * y[0] - a[1] * y[1];
            x = [*sample, x[0]];
            y = [out, y[0]];
            *sample = out;
        }
        padded.reverse();
    }
    padded[9..9 + path.len()].to_vec()
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_the_lake_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let lake = fixture(folder);
    recompute(folder, &[]);
    let files = parquet_files(&lake);
    let fails = |arguments: &[&str], code: i32, words: &[&str]| {
        let arguments: Vec<&str> = ["metrics", "recompute"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let output = posedata(folder, &arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{arguments:?}: {told}");
        }
        assert_eq!(parquet_files(&lake), files, "{arguments:?}");
    };
    fails(&["blue.mp4"], 1, &["blue.mp4", "red.mp4"]);
    fails(
        &["--cutoff", "15"],
        2,
        &["red.mp4", "30.00 / 2 = 15.00 Hz", "--cutoff"],
    );
    fails(&["--cutoff", "0"], 1, &["--cutoff", "above 0"]);
    fails(&["--height-m", "175"], 1, &["--height-m", "such as 1.75"]);
    fails(&["--person", "1"], 1, &["--height-m"]);
    fails(
        &["--height-m", "1.75", "--person", "3"],
        2,
        &["no person 3", "it has 0"],
    );
    fs::remove_dir_all(lake.root()).expect("the lake");
    let output = posedata(folder, &["metrics", "recompute"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("posedata ingest"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn derived_rows_go_with_the_rows_that_they_were_computed_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths: LakePaths = fixture(folder.path());
    recompute(folder.path(), &[]);
    let counts = "select (select count(*) from landmarks_filtered) || ' ' || (select count(*) from metrics_filtered) as v";
    assert_eq!(value(folder.path(), counts), "957 30");
    let lake = open_lake(&paths).expect("a lake");
    let video = lake.find_videos(&[]).expect("videos").remove(0);

    // Other settings: other landmarks, so the filtered ones are wrong.
    let mut other = crate::lake::config(vec![folder.path().into()], &paths);
    other.rows.min_tracking_confidence = 0.7;
    crate::lake::ingest(&other).expect("an ingest");
    assert_eq!(value(folder.path(), counts), "0 0");

    // Whoever read the earlier rows comes too late, and the file goes.
    let files = parquet_files(&paths);
    let staged = posedata::lake::DerivedWriter {
        paths: &paths,
        video: &video,
    }
    .metrics_filtered(std::iter::empty(), 6.0)
    .expect("no rows");
    assert!(staged.is_none(), "no rows, no file");
    let error = lake
        .commit_derived(
            &video.video_id,
            &video.config_hash,
            vec![("metrics_filtered", staged)],
        )
        .expect_err("an error");
    assert!(error.to_string().contains("again"), "{error}");
    assert_eq!(parquet_files(&paths), files);
}

/// What a lake of the first version holds after its tables have got the new columns.
#[test]
fn metrics_of_an_older_version_are_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let as_ingested = table(folder.path(), "metrics", METRICS_ORDER);
    with_catalog(
        &lake,
        "UPDATE lake.metrics SET facing = NULL, left_right_swap = NULL, bone_length_jump = NULL,
             left_shank_segment_deg = NULL, trunk_segment_deg = NULL",
    );
    assert_ne!(table(folder.path(), "metrics", METRICS_ORDER), as_ingested);
    let report = recompute(folder.path(), &[]);
    assert_eq!(report["videos"][0]["metrics_renewed"], true);
    assert_eq!(table(folder.path(), "metrics", METRICS_ORDER), as_ingested);
    let report = recompute(folder.path(), &[]);
    assert_eq!(report["videos"][0]["metrics_renewed"], false);
}

/// Positions without a pattern of two people who come and go, half of them hidden.
#[test]
fn each_person_has_a_path_of_its_own_and_every_frame_a_row() {
    const FRAMES: u64 = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    commit_made_up(&paths, &record(&"ab".repeat(16), "made.mp4", FRAMES));
    let report = recompute(
        folder.path(),
        &["made.mp4", "--max-gap", "5", "--cutoff", "9"],
    );
    assert_eq!(report["videos"][0]["person_count"], 2);

    let config = FilterConfig {
        cutoff_hz: 9.0,
        max_gap_frames: 5,
    };
    let frames: Vec<_> = (0..FRAMES).map(made_up_frame).collect();
    let times: Vec<f64> = frames.iter().map(|frame| frame.time.as_secs()).collect();
    let filter = PathFilter::new(config, &times).expect("a filter");
    let mut expected = Vec::new();
    let mut jump_count = 0;
    for person in [0u16, 2] {
        let poses: Vec<_> = frames
            .iter()
            .flat_map(|frame| {
                frame
                    .persons
                    .iter()
                    .map(|row| (frame.frame as usize, &row.pose))
            })
            .filter(|(_, pose)| pose.person == person)
            .collect();
        let jumps: Vec<usize> = poses
            .windows(2)
            .filter(|pair| {
                let [(before, from), (now, to)] = [pair[0], pair[1]];
                is_jump(from, to, times[now] - times[before], [640.0, 480.0])
            })
            .map(|pair| pair[1].0)
            .collect();
        jump_count += jumps.len();
        for landmark in Landmark::ALL {
            let seen = |frame: usize| {
                let mut persons = frames[frame].persons.iter().map(|row| &row.pose);
                let pose = persons.find(|pose| pose.person == person)?;
                let point = pose.landmarks[landmark.index()];
                (point.visibility >= MIN_VISIBILITY).then_some(f64::from(point.y))
            };
            let path: Vec<Option<f64>> = (0..frames.len()).map(seen).collect();
            let is_seen: Vec<bool> = path.iter().map(Option::is_some).collect();
            let mut values: Vec<f64> = path.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
            for piece in filter.pieces(&is_seen, &jumps) {
                filter.apply(piece.clone(), &is_seen, &mut values);
                expected.extend(piece.map(|i| (person, landmark, i, !is_seen[i], values[i])));
            }
        }
    }
    assert!(jump_count > 5, "only {jump_count} jumps");
    assert_eq!(report["videos"][0]["jump_count"], jump_count);
    let sql = "select person, landmark, frame, interpolated, y::double as y from landmarks_filtered
               order by person, landmark_index, frame";
    let found = rows(folder.path(), sql);
    assert_eq!(found.len(), expected.len());
    for (row, (person, landmark, frame, is_filled, y)) in found.iter().zip(expected) {
        let at = format!("person {person}, {}, frame {frame}", landmark.name());
        assert_eq!(row["person"], person, "{at}");
        assert_eq!(row["landmark"], landmark.name(), "{at}");
        assert_eq!(row["frame"], frame, "{at}");
        assert_eq!(row["interpolated"], is_filled, "{at}");
        let stored = row["y"].as_f64().expect("a number");
        // Half a step of the lake.
        assert!((stored - y).abs() < 2e-6, "{at}: {stored} {y}");
    }

    let sql = "select count(distinct frame) as v from metrics_filtered";
    assert_eq!(value(folder.path(), sql), FRAMES);
    let sql = "select count(*) - count(distinct (person, frame)) as v from metrics_filtered";
    assert_eq!(value(folder.path(), sql), 0);
    // Who has a filtered landmark has a row, and the other way round.
    let sql = "select count(*) as v from metrics_filtered m
               full join (select distinct person, frame from landmarks_filtered) l using (person, frame)
               where (quality = 'no_pose') <> (l.person is null) or m.person is null";
    assert_eq!(value(folder.path(), sql), 0);
    let sql = "select count(*) as v from metrics_filtered f join metrics m using (person, frame)
               where f.quality <> 'no_pose' and m.quality <> 'no_pose' and
               (f.mean_visibility, f.pose_probability, f.left_right_swap, f.bone_length_jump, f.interpolated)
               is distinct from (m.mean_visibility, m.pose_probability, m.left_right_swap, m.bone_length_jump, false)";
    assert_eq!(value(folder.path(), sql), 0);
}

/// MediaPipe's landmarks of the demo video as two people: person 2, and person 0 half as tall.
#[test]
fn the_height_is_the_main_persons_unless_another_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    let poses = crate::biomechanics::golden_poses();
    let mut measurer = Measurer::new();
    let frames = poses.iter().enumerate().map(|(frame, pose)| {
        let mut people = Vec::new();
        if let Some(pose) = pose {
            let (mut small, mut tall) = (pose.clone(), pose.clone());
            tall.person = 2;
            for landmark in &mut small.landmarks {
                (landmark.x, landmark.y) = (landmark.x / 2.0, landmark.y / 2.0);
            }
            people = vec![small, tall];
        }
        let time_secs = frame as f64 / 30.0;
        let metrics = measurer.measure(&people, time_secs, [640.0, 480.0]);
        let rows = people.into_iter().zip(metrics);
        VideoFrame {
            frame: frame as u64,
            time: MediaTime::from_secs(time_secs),
            persons: rows
                .map(|(pose, metrics)| PersonRow { pose, metrics })
                .collect(),
        }
    });
    let record = record(&"cd".repeat(16), "two.mp4", poses.len() as u64);
    commit_frames(&paths, &record, frames);
    with_catalog(&paths, "UPDATE lake.videos SET main_person = 2");
    let height_px = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["--height-m", "1.75"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let report = recompute(folder.path(), &arguments);
        let report = &report["videos"][0];
        let number = |name: &str| report[name].as_f64().expect("a number");
        assert!((number("meters_per_px") * number("height_px") - 1.75).abs() < 1e-9);
        number("height_px")
    };
    let (main, tall, small) = (
        height_px(&[]),
        height_px(&["--person", "2"]),
        height_px(&["--person", "0"]),
    );
    assert_eq!(main, tall);
    assert!((tall / small - 2.0).abs() < 1e-3, "{tall} {small}");
    // Nobody else has metres by the height of one.
    let sql = "select count(center_speed_m_per_sec) filter (person = 0) > 0
                 and count(center_speed_m_per_sec) filter (person = 2) = 0 as v
               from metrics_filtered";
    assert_eq!(value(folder.path(), sql), true);
    // Who looks half as tall and is as tall in fact is as fast.
    recompute(folder.path(), &["--height-m", "0=1.75,2=1.75"]);
    let sql = "select median(b.center_speed_m_per_sec / a.center_speed_m_per_sec) as v
               from metrics_filtered a join metrics_filtered b using (frame)
               where a.person = 0 and b.person = 2 and a.center_speed_m_per_sec > 0.1";
    let ratio = value(folder.path(), sql).as_f64().expect("a number");
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}
