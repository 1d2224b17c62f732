//! OpenPose's BODY_25 model: a folder with a JSON file per frame, as `openpose --write_json` writes it
//! and Pose2Sim and others read it.
//!
//! Positions are pixels of the picture as displayed; the third number is the landmark's visibility. A
//! point that BlazePose does not have (the small toes), or another pose model does not give, is 0, 0, 0:
//! OpenPose's way to say that it is missing. The neck is the middle of the shoulders, MidHip that of the hips, as OpenPose defines them,
//! as sure as the worse one of both.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::sink::{ExportError, FrameSink};
use crate::files::{persist_folder, temporary_folder_beside};
use crate::lake::PersonRow;
use crate::media_time::MediaTime;
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark::{self, *};

/// Version of the format that OpenPose 1.7 writes.
const VERSION: f64 = 1.3;

/// How OpenPose writes that a point is missing.
const MISSING: [f64; 3] = [0.0; 3];

/// A point of BODY_25.
#[derive(Clone, Copy)]
enum Point {
    At(Landmark),
    Middle(Landmark, Landmark),
    Missing,
}

/// In the order of OpenPose's `POSE_BODY_25_BODY_PARTS`.
const POINTS: [Point; 25] = [
    Point::At(Nose),
    Point::Middle(RightShoulder, LeftShoulder),
    Point::At(RightShoulder),
    Point::At(RightElbow),
    Point::At(RightWrist),
    Point::At(LeftShoulder),
    Point::At(LeftElbow),
    Point::At(LeftWrist),
    Point::Middle(RightHip, LeftHip),
    Point::At(RightHip),
    Point::At(RightKnee),
    Point::At(RightAnkle),
    Point::At(LeftHip),
    Point::At(LeftKnee),
    Point::At(LeftAnkle),
    Point::At(RightEye),
    Point::At(LeftEye),
    Point::At(RightEar),
    Point::At(LeftEar),
    Point::At(LeftFootIndex),
    Point::Missing,
    Point::At(LeftHeel),
    Point::At(RightFootIndex),
    Point::Missing,
    Point::At(RightHeel),
];

pub struct Body25Writer {
    folder: TempDir,
    path: PathBuf,
    stem: String,
    image_size_px: [f64; 2],
}

impl Body25Writer {
    /// `path` is the folder to be; `stem` begins its files' names.
    pub fn create(path: &Path, stem: &str, image_size_px: [f64; 2]) -> Result<Self, ExportError> {
        Ok(Self {
            folder: temporary_folder_beside(path).map_err(|e| ExportError::write(path, e))?,
            path: path.into(),
            stem: stem.into(),
            image_size_px,
        })
    }

    fn keypoints(&self, pose: &PersonPose) -> Vec<f64> {
        let at = |landmark: Landmark| {
            let point = &pose.landmarks[landmark.index()];
            let [width, height] = self.image_size_px;
            if !point.is_known() {
                return MISSING;
            }
            [
                f64::from(point.x) * width,
                f64::from(point.y) * height,
                f64::from(point.visibility),
            ]
        };
        let values = POINTS.into_iter().flat_map(|point| match point {
            Point::At(landmark) => at(landmark),
            Point::Middle(a, b) => {
                let (a, b) = (at(a), at(b));
                if [a, b].contains(&MISSING) {
                    return MISSING;
                }
                [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0, a[2].min(b[2])]
            }
            Point::Missing => MISSING,
        });
        values.collect()
    }
}

impl FrameSink for Body25Writer {
    fn push(
        &mut self,
        frame: u64,
        _time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        let people = persons.iter().map(|row| {
            json!({
                "person_id": [row.pose.person],
                "pose_keypoints_2d": self.keypoints(&row.pose),
                "face_keypoints_2d": [],
                "hand_left_keypoints_2d": [],
                "hand_right_keypoints_2d": [],
                "pose_keypoints_3d": [],
                "face_keypoints_3d": [],
                "hand_left_keypoints_3d": [],
                "hand_right_keypoints_3d": [],
            })
        });
        let people: Vec<_> = people.collect();
        let text = json!({ "version": VERSION, "people": people }).to_string();
        let name = format!("{}_{frame:012}_keypoints.json", self.stem);
        fs::write(self.folder.path().join(name), text)
            .map_err(|e| ExportError::write(&self.path, e))
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        let Self { folder, path, .. } = *self;
        persist_folder(folder, &path).map_err(|e| ExportError::write(&path, e))
    }
}
