//! Filters, segment angles and height against scipy, Pose2Sim and Sports2D (`tests/oracle`), flags
//! on real landmarks, and properties of joint angles.

use posedata::metrics::calibration::HeightEstimate;
use posedata::metrics::filter::{FilterConfig, PathFilter};
use posedata::metrics::segments::{Facing, SEGMENT_ANGLES};
use posedata::metrics::{FrameMetrics, MIN_VISIBILITY, Measurer};
use posedata::pose::PersonPose;
use posedata::pose::landmark::{LANDMARK_COUNT, Landmark};
use proptest::prelude::*;
use serde_json::Value;

use crate::metrics_oracle::{FPS, pose};
use crate::npz;

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().expect("a list").iter();
    values.map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn paths_are_filtered_as_scipy_and_pose2sim_filter_them() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../oracle/filter.json")).expect("the oracle");
    let (mut from_pose2sim, mut gaps_filled, mut gaps_open) = (0, 0, 0);
    for case in &cases {
        let rate_hz = case["rate_hz"].as_f64().expect("a rate");
        let config = FilterConfig {
            cutoff_hz: case["cutoff_hz"].as_f64().expect("a cut-off"),
            max_gap_frames: case["max_gap_frames"].as_u64().expect("a gap") as usize,
        };
        let (mut path, expected) = (numbers(&case["input"]), numbers(&case["output"]));
        let times_secs: Vec<f64> = (0..path.len()).map(|i| i as f64 / rate_hz).collect();
        let is_seen: Vec<bool> = path.iter().map(|v| !v.is_nan()).collect();
        let filter = PathFilter::new(config, &times_secs).expect("a filter");
        for piece in filter.pieces(&is_seen, &[]) {
            filter.apply(piece, &is_seen, &mut path);
        }
        for (i, (ours, theirs)) in path.iter().zip(&expected).enumerate() {
            let is_same = (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0)
                || (ours.is_nan() && theirs.is_nan());
            assert!(is_same, "{config:?}, sample {i}: {ours}, theirs {theirs}");
            gaps_filled += usize::from(!is_seen[i] && !theirs.is_nan());
            gaps_open += usize::from(theirs.is_nan());
        }
        from_pose2sim += usize::from(!case["landmark"].is_null());
    }
    assert!(from_pose2sim >= 8 && cases.len() >= from_pose2sim + 5);
    assert!(
        gaps_filled > 0 && gaps_open > 0,
        "the oracle has both kinds of gaps"
    );
}

fn segments_oracle() -> Value {
    serde_json::from_str(include_str!("../oracle/segments.json")).expect("the oracle")
}

/// The pose that a mirrored picture of `pose` would show: same names, other side of the picture.
fn mirrored(mut pose: PersonPose) -> PersonPose {
    for landmark in &mut pose.landmarks {
        landmark.x = 1.0 - landmark.x;
    }
    pose
}

fn image_size() -> [f64; 2] {
    let goldens = npz::load("golden_mediapipe_c1.npz");
    let size = &goldens["image_size"].values;
    [f64::from(size[0]), f64::from(size[1])]
}

pub fn golden_poses() -> Vec<Option<PersonPose>> {
    let goldens = npz::load("golden_mediapipe_c1.npz");
    let (image, world) = (&goldens["on_landmarks"], &goldens["on_world"]);
    (0..image.shape[0])
        .map(|frame| pose(image, world, frame))
        .collect()
}

fn measure_alone(pose: PersonPose, image_size: [f64; 2]) -> FrameMetrics {
    let mut metrics = Measurer::new().measure(&[pose], 0.0, image_size);
    metrics.pop().expect("metrics")
}

#[test]
fn segment_angles_are_what_sports2d_computes() {
    let poses = golden_poses();
    let oracle = segments_oracle();
    let frames = oracle["frames"].as_array().expect("frames");
    let size = image_size();
    let mut compared = 0;
    for expected in frames {
        let frame = expected["frame"].as_u64().expect("a frame") as usize;
        let mut pose = poses[frame].clone().expect("a pose");
        if expected["mirrored"] == true {
            pose = mirrored(pose);
        }
        let ours = measure_alone(pose, size);
        // Sports2D cannot tell the facing when a foot is hidden.
        let Some(facing) = expected["facing"].as_str() else {
            continue;
        };
        assert_eq!(ours.facing.map(Facing::name), Some(facing), "frame {frame}");
        for (angle, ours) in SEGMENT_ANGLES.iter().zip(ours.segment_angles_deg) {
            let theirs = expected["angles"][angle.pose2sim_name].as_f64();
            match (ours, theirs) {
                (Some(ours), Some(theirs)) => {
                    assert!(
                        (ours - theirs).abs() < 1e-3,
                        "frame {frame}, {}: {ours}, Sports2D {theirs}",
                        angle.column
                    );
                    compared += 1;
                }
                (ours, theirs) => {
                    assert_eq!(ours, theirs, "frame {frame}, {}", angle.column);
                }
            }
        }
    }
    assert!(compared > 300, "only {compared} angles were compared");
}

#[test]
fn the_height_in_pixels_is_what_pose2sim_computes() {
    let oracle = &segments_oracle()["height"];
    let frames = oracle["frames"].as_array().expect("frames");
    let poses = golden_poses();
    let [width, height] = image_size();
    let mut estimate = HeightEstimate::default();
    for frame in frames {
        let frame = frame.as_u64().expect("a number") as usize;
        let pose = poses[frame].as_ref().expect("a pose");
        estimate.add(|landmark| {
            let point = &pose.landmarks[landmark.index()];
            (point.visibility >= MIN_VISIBILITY)
                .then(|| [f64::from(point.x) * width, f64::from(point.y) * height])
        });
    }
    let ours = estimate.height_px().expect("a height");
    let theirs = oracle["height_px"].as_f64().expect("a height");
    assert!((ours - theirs).abs() < 1e-3, "{ours}, Pose2Sim {theirs}");
}

/// Left and right of everything exchanged.
fn swapped(pose: &PersonPose) -> PersonPose {
    let mut swapped = pose.clone();
    for landmark in Landmark::ALL {
        if let Some(other) = landmark.name().strip_prefix("left_") {
            let is_other = |l: &Landmark| l.name().strip_prefix("right_") == Some(other);
            let other = Landmark::ALL.into_iter().find(is_other).expect("a partner");
            swapped.landmarks.swap(landmark.index(), other.index());
            swapped.world_m.swap(landmark.index(), other.index());
        }
    }
    swapped
}

/// What is measured of each frame.
fn flags<T>(
    poses: &[Option<PersonPose>],
    flag: impl Fn(&FrameMetrics) -> Option<T>,
) -> Vec<Option<T>> {
    let size = image_size();
    let mut measurer = Measurer::new();
    let frames = poses.iter().enumerate();
    frames
        .map(|(frame, pose)| {
            let poses: Vec<PersonPose> = pose.iter().cloned().collect();
            let metrics = measurer.measure(&poses, frame as f64 / FPS, size);
            metrics.first().and_then(&flag)
        })
        .collect()
}

fn swap_flags(poses: &[Option<PersonPose>]) -> Vec<Option<bool>> {
    flags(poses, |metrics| metrics.left_right_swap)
}

#[test]
fn a_frame_with_left_and_right_exchanged_is_flagged_into_it_and_out_of_it() {
    let poses = golden_poses();
    let before = swap_flags(&poses);
    let flagged: Vec<usize> = (0..poses.len())
        .filter(|frame| before[*frame] == Some(true))
        .collect();
    // MediaPipe itself exchanges the legs or arms in these frames and their neighbours, which can
    // be seen in the video.
    for frame in [68, 72, 118, 192] {
        assert!(flagged.contains(&frame), "{frame} is not in {flagged:?}");
    }
    assert!(flagged.len() <= 10, "too many flags: {flagged:?}");
    assert_eq!(before[3], None, "nothing to compare the first pose with");

    let (mut found, mut tried) = (0, 0);
    for frame in (13..60).chain(75..100) {
        let mut exchanged = poses.clone();
        exchanged[frame] = poses[frame].as_ref().map(swapped);
        let flags = swap_flags(&exchanged);
        tried += 1;
        found += usize::from(flags[frame] == Some(true) && flags[frame + 1] == Some(true));
        for other in (0..poses.len()).filter(|f| !(frame..=frame + 2).contains(f)) {
            assert_eq!(
                flags[other], before[other],
                "swap at {frame}, flag at {other}"
            );
        }
    }
    assert!(found >= tried - 2, "{found} of {tried} swaps were found");
}

#[test]
fn a_bone_that_jumps_in_length_is_flagged_in_that_frame() {
    let mut poses = golden_poses();
    let flags = |poses: &[Option<PersonPose>]| flags(poses, |metrics| metrics.bone_length_jump);
    let before = flags(&poses);
    let count = before.iter().filter(|flag| **flag == Some(true)).count();
    assert!((1..=15).contains(&count), "{count} frames are flagged");
    assert_eq!(before[3], None, "nothing is usual in the first frame");
    assert_eq!(before[90], Some(false));
    // The knee is put at 1.7 times its distance from the hip.
    let pose = poses[90].as_mut().expect("a pose");
    let hip = pose.world_m[Landmark::LeftHip.index()];
    let knee = &mut pose.world_m[Landmark::LeftKnee.index()];
    *knee = std::array::from_fn(|k| hip[k] + 1.7 * (knee[k] - hip[k]));
    let after = flags(&poses);
    assert_eq!(after[90], Some(true));
    for frame in (0..before.len()).filter(|frame| *frame != 90) {
        assert_eq!(after[frame], before[frame], "frame {frame}");
    }
}

/// Turns about x by `turn[0]`, then y, then z, in radians.
fn rotated(point: [f64; 3], turn: [f64; 3]) -> [f64; 3] {
    let mut point = point;
    for (axis, angle) in turn.into_iter().enumerate() {
        let (sin, cos) = angle.sin_cos();
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        (point[a], point[b]) = (
            point[a] * cos - point[b] * sin,
            point[a] * sin + point[b] * cos,
        );
    }
    point
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn joint_angles_stay_when_the_body_turns_moves_or_grows(
        points in prop::collection::vec([-1.0..1.0f64, -1.0..1.0f64, -1.0..1.0f64], LANDMARK_COUNT),
        turn in [-3.2..3.2f64, -3.2..3.2f64, -3.2..3.2f64],
        by in [-2.0..2.0f64, -2.0..2.0f64, -2.0..2.0f64],
        scale in 0.2..4.0f64,
    ) {
        let pose_of = |points: &dyn Fn(usize) -> [f64; 3]| PersonPose {
            person: 0,
            probability: 1.0,
            landmarks: std::array::from_fn(|_| posedata::pose::ImageLandmark {
                visibility: 1.0,
                ..Default::default()
            }),
            world_m: std::array::from_fn(|i| points(i).map(|c| c as f32)),
        };
        let before = measure_alone(pose_of(&|i| points[i]), [1920.0, 1080.0]);
        let after = measure_alone(pose_of(&|i| {
            let turned = rotated(points[i], turn);
            std::array::from_fn(|k| turned[k] * scale + by[k])
        }), [1920.0, 1080.0]);
        for (a, b) in before.joint_angles_deg.iter().zip(after.joint_angles_deg) {
            let (a, b) = (a.expect("an angle"), b.expect("an angle"));
            // World landmarks are 32-bit floats, and short bones have rough angles.
            prop_assert!((a - b).abs() < 0.1, "{a} {b}");
        }
    }
}
