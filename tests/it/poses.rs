//! Finding videos in the lake and reading their frames back.

use std::fs;
use std::path::Path;

use posedata::lake::{
    FrameReader, Lake, LakeError, LakePaths, PersonRow, PictureRecord, PreparedVideo, Replace,
    VideoFrame, VideoRecord, VideoWriter,
};
use posedata::metrics::{FrameMetrics, Measurer, Quality};
use posedata::pose::landmark::LANDMARK_COUNT;
use posedata::pose::{ImageLandmark, PersonPose};
use posedata::video::MediaTime;

use crate::lake::{
    CLIP_FRAMES, clip, config, fixture, ingest, lake_of_demo, make_lake, open_lake, parquet_files,
};
use crate::support::{ScriptedBackend, store};

/// A session of the tests' own, for what posedata itself never does to a lake.
pub fn with_catalog(lake: &LakePaths, sql: &str) {
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let extension = store().ducklake_extension().expect("a path");
    connection
        .execute_batch(&format!(
            "LOAD '{}'; ATTACH 'ducklake:{}' AS lake (DATA_PATH '{}', OVERRIDE_DATA_PATH true);
             USE lake; {sql}; USE memory; DETACH lake",
            extension.display(),
            lake.catalog().display(),
            lake.data_location()
        ))
        .expect("SQL that works");
}

pub fn record(video_id: &str, file_name: &str, frame_count: u64) -> VideoRecord {
    VideoRecord {
        video_id: video_id.into(),
        sport: "testing".into(),
        file_name: file_name.into(),
        path: format!("/videos/{file_name}"),
        file_bytes: 1,
        width_px: 640,
        height_px: 480,
        rotation_deg: 0,
        codec: "h264".into(),
        fps: Some(30.0),
        frame_count,
        first_frame: 0,
        range_from: None,
        range_to: None,
        duration_secs: frame_count as f64 / 30.0,
        pose_frame_count: frame_count,
        pose_model: "made up".into(),
        pose_model_sha256: "0".repeat(64),
        config: "{}".into(),
        config_hash: "0".repeat(32),
        picture: PictureRecord::default(),
        slow_motion_factor: None,
        capture_fps: None,
        source_etag: None,
        provider: None,
    }
}

/// Deterministic values without a pattern, in the steps that the lake stores.
fn value(seed: u64) -> f32 {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
    (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 52) as f32 / 4096.0
}

/// A pose whose 33 x 8 values all differ from each other and from other frames' and persons'.
pub fn made_up_pose(person: u16, frame: u64) -> PersonPose {
    let seed = |i: usize, part: u64| ((frame * 4 + u64::from(person)) * 64 + i as u64) * 8 + part;
    PersonPose {
        person,
        probability: 0.5,
        landmarks: std::array::from_fn(|i| ImageLandmark {
            x: value(seed(i, 0)),
            y: value(seed(i, 1)),
            z: value(seed(i, 2)) - 0.5,
            visibility: value(seed(i, 3)),
            presence: value(seed(i, 4)),
        }),
        world_m: std::array::from_fn(|i| [5, 6, 7].map(|part| value(seed(i, part)) - 0.5)),
    }
}

/// Persons 0 and 2; the second comes and goes, and some frames have nobody.
pub fn made_up_frame(frame: u64) -> VideoFrame {
    let persons: &[u16] = match frame % 7 {
        3 => &[],
        5 => &[2],
        0 | 1 => &[0, 2],
        _ => &[0],
    };
    let time_secs = frame as f64 / 30.0;
    let row = |person: &u16| {
        let pose = made_up_pose(*person, frame);
        let mut metrics =
            Measurer::new().measure(std::slice::from_ref(&pose), time_secs, [640.0, 480.0]);
        PersonRow {
            metrics: metrics.pop().expect("metrics"),
            pose,
        }
    };
    VideoFrame {
        frame,
        time: MediaTime::from_secs(time_secs),
        persons: persons.iter().map(row).collect(),
    }
}

/// Commits a video of [`made_up_frame`]s without any video file.
pub fn commit_made_up(paths: &LakePaths, record: &VideoRecord) -> Lake {
    commit_frames(paths, record, (0..record.frame_count).map(made_up_frame))
}

/// Commits frames without any video file.
pub fn commit_frames(
    paths: &LakePaths,
    record: &VideoRecord,
    frames: impl IntoIterator<Item = VideoFrame>,
) -> Lake {
    make_lake(paths);
    let lake = open_lake(paths).expect("a session");
    let prepared = prepare(paths, record, frames, Replace::Always);
    lake.commit(prepared).expect("a commit");
    lake
}

/// Writes the files of a video without any video file.
pub fn prepare(
    paths: &LakePaths,
    record: &VideoRecord,
    frames: impl IntoIterator<Item = VideoFrame>,
    replace: Replace,
) -> PreparedVideo {
    let mut writer = VideoWriter::create(paths, &record.sport, &record.video_id).expect("files");
    for frame in frames {
        writer
            .push(frame.frame, frame.time, frame.persons)
            .expect("space on the disk");
    }
    PreparedVideo {
        record: record.clone(),
        persons: Vec::new(),
        staged: writer.finish().expect("space on the disk"),
        replace,
    }
}

/// Metrics as the lake holds them: angles are multiples of 1/128 degree, all else has 13
/// significant bits.
pub fn stored(metrics: &FrameMetrics) -> FrameMetrics {
    let narrow = |value: Option<f64>| {
        value.map(|v| {
            let v = f64::from(v as f32);
            let step = 2f64.powf(v.abs().log2().floor() - 12.0);
            if v == 0.0 {
                v
            } else {
                (v / step).round_ties_even() * step
            }
        })
    };
    let angle = |value: Option<f64>| {
        let steps = value.map(|v| (v as f32 * 128.0).round_ties_even());
        steps.map(|steps| f64::from(steps / 128.0))
    };
    FrameMetrics {
        shoulder_width_m: narrow(metrics.shoulder_width_m),
        hip_width_m: narrow(metrics.hip_width_m),
        shoulder_hip_ratio: narrow(metrics.shoulder_hip_ratio),
        torso_length_px: narrow(metrics.torso_length_px),
        shoulder_width_torso: narrow(metrics.shoulder_width_torso),
        hip_width_torso: narrow(metrics.hip_width_torso),
        shoulder_hip_ratio_image: narrow(metrics.shoulder_hip_ratio_image),
        joint_angles_deg: metrics.joint_angles_deg.map(angle),
        segment_angles_deg: metrics.segment_angles_deg.map(angle),
        trunk_lean_deg: angle(metrics.trunk_lean_deg),
        center_speed_px_per_sec: narrow(metrics.center_speed_px_per_sec),
        center_speed_torso_per_sec: narrow(metrics.center_speed_torso_per_sec),
        peak_landmark_speed_px_per_sec: narrow(metrics.peak_landmark_speed_px_per_sec),
        peak_landmark_speed_torso_per_sec: narrow(metrics.peak_landmark_speed_torso_per_sec),
        mean_visibility: narrow(metrics.mean_visibility),
        ..metrics.clone()
    }
}

fn only_video(lake: &Lake) -> VideoRecord {
    let videos = lake.find_videos(&[]).expect("a lake");
    assert_eq!(videos.len(), 1);
    videos.into_iter().next().expect("a video")
}

fn assert_same(read: &VideoFrame, expected: &VideoFrame) {
    let frame = expected.frame;
    assert_eq!(read.frame, frame);
    assert_eq!(read.time, expected.time, "frame {frame}");
    assert_eq!(read.persons.len(), expected.persons.len(), "frame {frame}");
    for (read, expected) in read.persons.iter().zip(&expected.persons) {
        assert_eq!(read.pose, expected.pose, "frame {frame}");
        assert_eq!(read.metrics, stored(&expected.metrics), "frame {frame}");
    }
}

fn assert_made_up(frames: FrameReader) {
    let count = frames.video().frame_count;
    let mut next = 0;
    for frame in frames {
        let frame = frame.expect("a frame");
        assert_same(&frame, &made_up_frame(next));
        next += 1;
    }
    assert_eq!(next, count);
}

#[test]
fn what_ingest_wrote_is_read_back_bit_by_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = open_lake(&fixture(folder.path())).expect("a lake");
    let video = only_video(&lake);
    assert_eq!(video.file_name, "red.mp4");
    assert_eq!((video.width_px, video.height_px), (64, 48));
    assert_eq!(video.frame_count, CLIP_FRAMES);
    let mut measurer = Measurer::new();
    let mut frames = 0;
    for frame in lake.frames(&video).expect("frames") {
        let frame = frame.expect("a frame");
        assert_eq!(frame.frame, frames);
        let time_secs = frame.time.as_secs();
        assert!((time_secs - frames as f64 / 30.0).abs() < 1e-6);
        let poses: Vec<PersonPose> = ScriptedBackend::pose(frames as u32).into_iter().collect();
        let metrics = measurer.measure(&poses, time_secs, [64.0, 48.0]);
        let persons = poses.into_iter().zip(metrics);
        let persons = persons.map(|(pose, metrics)| PersonRow { pose, metrics });
        let expected = VideoFrame {
            frame: frames,
            time: frame.time,
            persons: persons.collect(),
        };
        assert_same(&frame, &expected);
        frames += 1;
    }
    assert_eq!(frames, CLIP_FRAMES);
}

#[test]
fn the_demo_video_is_read_back_as_its_parquet_files_hold_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = lake_of_demo(folder.path());
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let sql = format!(
        "SELECT frame, landmark_index, time_secs, x, y, z, visibility, presence, world_x_m, world_y_m, world_z_m
         FROM read_parquet('{}/*.parquet') ORDER BY frame, landmark_index",
        paths.partition("landmarks", "general").display()
    );
    let mut statement = connection.prepare(&sql).expect("files of Parquet");
    let mut rows = statement.query([]).expect("rows");
    let lake = open_lake(&paths).expect("a lake");
    let (mut poses, mut count) = (0, 0);
    for frame in lake.frames(&only_video(&lake)).expect("frames") {
        let frame = frame.expect("a frame");
        count += 1;
        for row in &frame.persons {
            poses += 1;
            for i in 0..LANDMARK_COUNT {
                let stored = rows.next().expect("a row").expect("a row");
                assert_eq!(stored.get::<_, u64>(0).expect("frame"), frame.frame);
                assert_eq!(stored.get::<_, usize>(1).expect("index"), i);
                assert_eq!(stored.get::<_, f64>(2).expect("time"), frame.time.as_secs());
                let landmark = row.pose.landmarks[i];
                let world = row.pose.world_m[i];
                let read = [
                    landmark.x,
                    landmark.y,
                    landmark.z,
                    landmark.visibility,
                    landmark.presence,
                    world[0],
                    world[1],
                    world[2],
                ];
                for (j, value) in read.into_iter().enumerate() {
                    let stored: f32 = stored.get(3 + j).expect("a value");
                    assert_eq!(stored.to_bits(), value.to_bits(), "frame {}", frame.frame);
                }
            }
            assert_ne!(row.metrics.quality, Quality::NoPose);
        }
    }
    assert_eq!((count, poses), (230, 222));
    assert!(rows.next().expect("the end").is_none());
}

#[test]
fn long_videos_of_several_people_are_whole_across_all_chunks() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    let record = record(&"a".repeat(32), "long.mp4", 17_000);
    let lake = commit_made_up(&paths, &record);
    assert_eq!(only_video(&lake), record);
    assert_made_up(lake.frames(&record).expect("frames"));
}

/// Rows of each row group of a table's only file, in their order.
fn row_groups(paths: &LakePaths, table: &str) -> Vec<u64> {
    let files = parquet_files(paths);
    let mut of_table = files
        .iter()
        .filter(|path| path.starts_with(paths.partition(table, "testing")));
    let file = of_table.next().expect("a file");
    let sql = format!(
        "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata('{}') ORDER BY ALL",
        file.display()
    );
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    let mut statement = connection.prepare(&sql).expect("valid SQL");
    let rows = statement.query_map([], |row| row.get(1)).expect("rows");
    rows.collect::<Result<_, _>>().expect("numbers")
}

#[test]
fn row_groups_hold_as_many_rows_however_many_people_there_are() {
    for (n_persons, n_frames) in [(1, 20_000), (16, 1_250)] {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = LakePaths::new(folder.path().join("lake"));
        let record = record(&"a".repeat(32), "a.mp4", n_frames);
        let frames = (0..n_frames).map(|frame| {
            let row = |person| PersonRow {
                pose: made_up_pose(person, frame),
                metrics: FrameMetrics::NO_POSE,
            };
            VideoFrame {
                frame,
                time: MediaTime::from_secs(frame as f64 / 30.0),
                persons: (0..n_persons).map(row).collect(),
            }
        });
        commit_frames(&paths, &record, frames);
        assert_eq!(
            row_groups(&paths, "metrics"),
            [16_384, 3_616],
            "{n_persons}"
        );
        // The second stretch has few rows of a landmark: three of them share a row group.
        let expected = [vec![16_384; 33], vec![3 * 3_616; 11]].concat();
        assert_eq!(row_groups(&paths, "landmarks"), expected, "{n_persons}");
    }
}

#[test]
fn videos_that_share_a_file_after_compaction_stay_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    let records = [("aaaaaaaa", 100), ("bbbbbbbb", 50), ("cccccccc", 1)]
        .map(|(id, frames)| record(&id.repeat(4), &format!("{id}.mp4"), frames));
    for record in &records {
        commit_made_up(&paths, record);
    }
    let files = parquet_files(&paths).len();
    with_catalog(
        &paths,
        "CALL ducklake_merge_adjacent_files('lake'); CALL ducklake_expire_snapshots('lake', older_than => now()); CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    );
    assert!(parquet_files(&paths).len() < files);
    let lake = open_lake(&paths).expect("a lake");
    for record in &records {
        assert_made_up(lake.frames(record).expect("frames"));
    }
}

#[test]
fn a_reading_stays_with_the_rows_that_it_began_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    let before = record(&"a".repeat(32), "a.mp4", 5_000);
    let lake = commit_made_up(&paths, &before);
    let mut frames = lake.frames(&before).expect("frames");
    frames.next().expect("a frame").expect("a frame");
    let mut after = record(&"a".repeat(32), "a.mp4", 10);
    after.config_hash = "1".repeat(32);
    commit_made_up(&paths, &after);
    let rest: Result<Vec<VideoFrame>, LakeError> = frames.collect();
    let rest = rest.expect("the frames of the first ingest");
    assert_eq!(rest.len(), 4_999);
    assert_same(&rest[4_998], &made_up_frame(4_999));

    // Who begins anew with what is no longer there is told.
    let error = lake.frames(&before).err().expect("an error");
    assert!(matches!(error, LakeError::VideoChanged { .. }), "{error}");
    assert_made_up(lake.frames(&after).expect("frames"));
}

#[test]
fn rows_that_vanish_while_they_are_read_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    let before = record(&"a".repeat(32), "a.mp4", 5_000);
    let lake = commit_made_up(&paths, &before);
    let mut frames = lake.frames(&before).expect("frames");
    frames.next().expect("a frame").expect("a frame");
    let mut after = record(&"a".repeat(32), "a.mp4", 10);
    after.config_hash = "1".repeat(32);
    commit_made_up(&paths, &after);
    with_catalog(
        &paths,
        "CALL ducklake_expire_snapshots('lake', older_than => now()); CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
    );
    let mut rest = frames.skip_while(Result::is_ok);
    let error = rest.next().expect("an end").expect_err("an error");
    assert!(matches!(error, LakeError::VideoChanged { .. }), "{error}");
    assert!(rest.next().is_none());
}

#[test]
fn missing_rows_are_an_error_and_no_gap() {
    let damages = [
        ("DELETE FROM metrics WHERE frame = 3", "frame 3 is missing"),
        (
            "DELETE FROM landmarks WHERE frame = 6 AND landmark = 'nose'",
            "frame 6 lacks landmarks",
        ),
        (
            "INSERT INTO landmarks SELECT * FROM landmarks WHERE frame = 7",
            "frame 7 has landmark",
        ),
        (
            "INSERT INTO metrics SELECT * FROM metrics WHERE frame = 8",
            "frame 8 has person 0 twice",
        ),
    ];
    for (sql, expected) in damages {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = LakePaths::new(folder.path().join("lake"));
        let lake = commit_made_up(&paths, &record(&"a".repeat(32), "a.mp4", 20));
        with_catalog(&paths, sql);
        let mut frames = lake.frames(&only_video(&lake)).expect("frames");
        let error = frames.find_map(Result::err).expect("an error");
        let LakeError::Damaged { reason, .. } = &error else {
            panic!("{error}");
        };
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn videos_are_found_by_id_path_and_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    for side in ["left", "right"] {
        fs::create_dir(folder.path().join(side)).expect("a folder");
    }
    let red = clip(folder.path(), "red.mp4", "red");
    let clips = vec![
        red.clone(),
        clip(&folder.path().join("left"), "same.mp4", "green"),
        clip(&folder.path().join("right"), "same.mp4", "blue"),
    ];
    ingest(&config(clips.clone(), &paths)).expect("an ingest");
    let lake = open_lake(&paths).expect("a lake");
    let find = |selectors: &[&str]| {
        let selectors: Vec<String> = selectors.iter().map(|s| (*s).to_owned()).collect();
        lake.find_videos(&selectors)
    };
    let path = |video: &VideoRecord| video.path.clone();
    let canonical = |path: &Path| {
        let path = fs::canonicalize(path).expect("a file");
        path.display().to_string()
    };

    let all = find(&[]).expect("videos");
    let names: Vec<&str> = all.iter().map(|video| video.file_name.as_str()).collect();
    assert_eq!(names, ["red.mp4", "same.mp4", "same.mp4"]);

    let id = &all[0].video_id;
    for selector in [id.as_str(), &id[..6], &id.to_uppercase(), "red.mp4"] {
        let found = find(&[selector]).expect("a video");
        assert_eq!(found, all[..1], "{selector}");
    }
    let right = clips[2].to_str().expect("a path");
    let roundabout = folder.path().join("left/../right/./same.mp4");
    for selector in [right, roundabout.to_str().expect("a path")] {
        let found = find(&[selector]).expect("a video");
        assert_eq!(
            found.iter().map(path).collect::<Vec<_>>(),
            [canonical(&clips[2])]
        );
    }
    // In the order of the selectors, and each once.
    let found = find(&[right, "red.mp4", id]).expect("videos");
    assert_eq!(
        found.iter().map(path).collect::<Vec<_>>(),
        [canonical(&clips[2]), canonical(&red)]
    );

    let error = find(&["same.mp4"]).expect_err("an error").to_string();
    assert!(
        error.contains("any of several") && error.contains("right/same.mp4"),
        "{error}"
    );
    let error = find(&["redd.mp4"]).expect_err("an error").to_string();
    assert!(
        error.contains("no video in the lake is redd.mp4"),
        "{error}"
    );
    assert!(error.ends_with("red.mp4, same.mp4, same.mp4"), "{error}");
    // Too short for an id.
    let error = find(&[&id[..5]]).expect_err("an error");
    assert!(matches!(error, LakeError::UnknownVideo { .. }), "{error}");
}

#[test]
fn without_a_lake_there_are_no_videos_to_find() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = open_lake(&LakePaths::new(folder.path().join("lake"))).expect("a session");
    let error = lake.find_videos(&[]).expect_err("an error");
    assert!(matches!(error, LakeError::Missing { .. }), "{error}");
}
