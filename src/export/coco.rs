//! COCO keypoints: one JSON file with the annotations of all frames, as COCO's `person_keypoints`
//! files are laid out and pycocotools reads them.
//!
//! Positions are pixels of the picture as displayed. The third number of a keypoint is COCO's flag: 2
//! = visible (at least 0.5), 1 = placed but not visible, 0 = not given by the pose model. An image's name is the video's with the
//! frame's number, such as `ffmpeg -i VIDEO -start_number 0 NAME_%06d.jpg` gives it; `frame` and
//! `time_secs` are posedata's own additions. The box encloses the visible landmarks, and what the model
//! said of the region is the `score`.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::sink::{ExportError, FrameSink};
use crate::files::AtomicFile;
use crate::lake::{PersonRow, VideoRecord};
use crate::media_time::MediaTime;
use crate::metrics::MIN_VISIBILITY;
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark::{self, *};

/// COCO's keypoints and their names, in its order.
const KEYPOINTS: [(&str, Landmark); 17] = [
    ("nose", Nose),
    ("left_eye", LeftEye),
    ("right_eye", RightEye),
    ("left_ear", LeftEar),
    ("right_ear", RightEar),
    ("left_shoulder", LeftShoulder),
    ("right_shoulder", RightShoulder),
    ("left_elbow", LeftElbow),
    ("right_elbow", RightElbow),
    ("left_wrist", LeftWrist),
    ("right_wrist", RightWrist),
    ("left_hip", LeftHip),
    ("right_hip", RightHip),
    ("left_knee", LeftKnee),
    ("right_knee", RightKnee),
    ("left_ankle", LeftAnkle),
    ("right_ankle", RightAnkle),
];

/// Bones, as numbers of keypoints from 1: those of COCO's own files.
const SKELETON: [[u8; 2]; 19] = [
    [16, 14],
    [14, 12],
    [17, 15],
    [15, 13],
    [12, 13],
    [6, 12],
    [7, 13],
    [6, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [9, 11],
    [2, 3],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [5, 7],
];

pub struct CocoWriter {
    file: AtomicFile,
    image_size_px: [f64; 2],
    annotation_count: u64,
}

impl CocoWriter {
    /// `times_secs` are the times of all frames that will come.
    pub fn create(
        path: &Path,
        stem: &str,
        video: &VideoRecord,
        times_secs: &[f64],
    ) -> Result<Self, ExportError> {
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        let mut writer = Self {
            file,
            image_size_px: [f64::from(video.width_px), f64::from(video.height_px)],
            annotation_count: 0,
        };
        let written = writer.write_head(stem, video, times_secs);
        written.map_err(|e| ExportError::write(path, e))?;
        Ok(writer)
    }

    fn write_head(
        &mut self,
        stem: &str,
        video: &VideoRecord,
        times_secs: &[f64],
    ) -> io::Result<()> {
        let out = &mut self.file;
        let info = json!({
            "description": format!("{}, poses by {}", video.file_name, video.pose_model),
            "version": env!("CARGO_PKG_VERSION"),
            "video_id": video.video_id,
        });
        let names: Vec<&str> = KEYPOINTS.iter().map(|(name, _)| *name).collect();
        let category = json!({
            "id": 1,
            "name": "person",
            "supercategory": "person",
            "keypoints": names,
            "skeleton": SKELETON,
        });
        write!(
            out,
            "{{\"info\":{info},\"licenses\":[],\"categories\":[{category}],\"images\":["
        )?;
        for (frame, time_secs) in (video.first_frame..).zip(times_secs) {
            let image = json!({
                "id": frame,
                "file_name": format!("{stem}_{frame:06}.jpg"),
                "width": video.width_px,
                "height": video.height_px,
                "frame": frame,
                "time_secs": time_secs,
            });
            write!(out, "{}{image}", separator(frame == video.first_frame))?;
        }
        write!(out, "],\"annotations\":[")
    }

    fn write_annotation(&mut self, frame: u64, pose: &PersonPose) -> io::Result<()> {
        let [width, height] = self.image_size_px;
        let mut keypoints = Vec::new();
        let mut keypoint_count = 0;
        for (_, landmark) in KEYPOINTS {
            let point = &pose.landmarks[landmark.index()];
            if !point.is_known() {
                keypoints.extend([json!(0), json!(0), json!(0)]);
                continue;
            }
            keypoint_count += 1;
            keypoints.push(json!(f64::from(point.x) * width));
            keypoints.push(json!(f64::from(point.y) * height));
            keypoints.push(json!(if point.visibility >= MIN_VISIBILITY {
                2
            } else {
                1
            }));
        }
        let [left, top, right, bottom] = enclosing_box(pose, self.image_size_px);
        let annotation = json!({
            "id": self.annotation_count + 1,
            "image_id": frame,
            "category_id": 1,
            "person": pose.person,
            "keypoints": keypoints,
            "num_keypoints": keypoint_count,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": 0,
            "score": pose.probability,
        });
        let separator = separator(self.annotation_count == 0);
        self.annotation_count += 1;
        write!(self.file, "{separator}{annotation}")
    }
}

fn separator(is_first: bool) -> &'static str {
    if is_first { "\n" } else { ",\n" }
}

/// Left, top, right, bottom of the visible landmarks, of all where none is visible; pixels.
fn enclosing_box(pose: &PersonPose, [width, height]: [f64; 2]) -> [f64; 4] {
    let is_seen = |visibility: f32| visibility >= MIN_VISIBILITY;
    let any = pose.landmarks.iter().any(|point| is_seen(point.visibility));
    let points = (pose.landmarks.iter())
        .filter(|point| point.is_known() && (!any || is_seen(point.visibility)))
        .map(|point| [f64::from(point.x) * width, f64::from(point.y) * height]);
    let nothing = [
        f64::INFINITY,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NEG_INFINITY,
    ];
    points.fold(nothing, |[left, top, right, bottom], [x, y]| {
        [left.min(x), top.min(y), right.max(x), bottom.max(y)]
    })
}

impl FrameSink for CocoWriter {
    fn push(
        &mut self,
        frame: u64,
        _time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        for row in persons {
            let written = self.write_annotation(frame, &row.pose);
            written.map_err(|e| ExportError::write(self.file.path(), e))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        let path = self.file.path().to_path_buf();
        let ended = writeln!(self.file, "\n]}}").and_then(|()| self.file.finish());
        ended.map_err(|e| ExportError::write(&path, e))
    }
}
