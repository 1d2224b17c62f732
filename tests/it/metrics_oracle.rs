//! Metrics against numpy's, from the same landmarks (`tests/oracle/metrics.py`).

use posedata::metrics::{JOINT_ANGLES, Measurer};
use posedata::pose::landmark::{LANDMARK_COUNT, Landmark};
use posedata::pose::{ImageLandmark, PersonPose};
use serde_json::Value;

use crate::npz::{self, Array};

pub const FPS: f64 = 30.0;

pub fn pose(image: &Array, world: &Array, frame: usize) -> Option<PersonPose> {
    let (image, world) = (image.row(frame), world.row(frame));
    (!image[0].is_nan()).then(|| PersonPose {
        person: 0,
        probability: 1.0,
        landmarks: std::array::from_fn(|i| ImageLandmark {
            x: image[4 * i],
            y: image[4 * i + 1],
            z: image[4 * i + 2],
            visibility: image[4 * i + 3],
            presence: 1.0,
        }),
        world_m: std::array::from_fn::<_, LANDMARK_COUNT, _>(|i| {
            std::array::from_fn(|k| world[4 * i + k])
        }),
    })
}

fn check(expected: &Value, column: &str, ours: Option<f64>) {
    let frame = &expected["frame"];
    match (expected[column].as_f64(), ours) {
        (Some(theirs), Some(ours)) => {
            let tolerance = 1e-4 * theirs.abs().max(1.0);
            assert!(
                (ours - theirs).abs() < tolerance,
                "frame {frame}, {column}: {ours}, numpy {theirs}"
            );
        }
        (theirs, ours) => assert_eq!(ours, theirs, "frame {frame}, {column}"),
    }
}

#[test]
fn every_metric_is_what_numpy_computes() {
    let goldens = npz::load("golden_mediapipe_c1.npz");
    let (image, world) = (&goldens["on_landmarks"], &goldens["on_world"]);
    let size = &goldens["image_size"].values;
    let expected: Vec<Value> =
        serde_json::from_str(include_str!("../oracle/metrics.json")).expect("the oracle");
    assert!(
        expected.len() >= 8,
        "the oracle covers {} frames",
        expected.len()
    );
    for expected in &expected {
        let frame = expected["frame"].as_u64().expect("a frame") as usize;
        let mut measurer = Measurer::new();
        let mut ours = Vec::new();
        for frame in frame.saturating_sub(1)..=frame {
            let poses: Vec<PersonPose> = pose(image, world, frame).into_iter().collect();
            let size = [f64::from(size[0]), f64::from(size[1])];
            ours = measurer.measure(&poses, frame as f64 / FPS, size);
        }
        let ours = ours.pop().expect("a pose");
        check(expected, "shoulder_width_m", ours.shoulder_width_m);
        check(expected, "hip_width_m", ours.hip_width_m);
        check(expected, "shoulder_hip_ratio", ours.shoulder_hip_ratio);
        check(expected, "torso_length_px", ours.torso_length_px);
        check(expected, "shoulder_width_torso", ours.shoulder_width_torso);
        check(expected, "hip_width_torso", ours.hip_width_torso);
        check(
            expected,
            "shoulder_hip_ratio_image",
            ours.shoulder_hip_ratio_image,
        );
        for (joint, angle) in JOINT_ANGLES.iter().zip(ours.joint_angles_deg) {
            check(expected, joint.column, angle);
        }
        check(expected, "trunk_lean_deg", ours.trunk_lean_deg);
        check(
            expected,
            "center_speed_px_per_sec",
            ours.center_speed_px_per_sec,
        );
        check(
            expected,
            "center_speed_torso_per_sec",
            ours.center_speed_torso_per_sec,
        );
        check(
            expected,
            "peak_landmark_speed_px_per_sec",
            ours.peak_landmark_speed_px_per_sec,
        );
        check(
            expected,
            "peak_landmark_speed_torso_per_sec",
            ours.peak_landmark_speed_torso_per_sec,
        );
        check(expected, "mean_visibility", ours.mean_visibility);
        let peak = ours.peak_landmark.map(Landmark::name);
        assert_eq!(peak, expected["peak_landmark"].as_str(), "frame {frame}");
    }
}
