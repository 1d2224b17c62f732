//! Poses by another model than BlazePose's: one that looks at an upright box around a person and says
//! where its joints are (top-down: RTMPose, ViTPose and others).
//!
//! The person is found by BlazePose's detector. Its region, a circle around the body, becomes the
//! first box; that is rough, so that the model reads twice in the frame of a detection. In later
//! frames the box is the one around the joints that the model saw in the frame before, larger by
//! [`BOX_PER_JOINTS`], as rtmlib 0.0.13 follows people (`PoseTracker`). The places where the head's top
//! and the soles are expected, by the trunk, belong to the box as far as they lie in the picture:
//! legs that were hidden for a while would not be found again outside of it. What the model sees is
//! the box brought to its own proportions, larger by the skeleton's padding, and never turned, as
//! MMPose cuts it (`GetBBoxCenterScale`, `TopdownAffine`).
//!
//! Such a model gives no depth and no metres, and not all of BlazePose's landmarks: those values are
//! NaN here and NULL in the lake. Its scores are neither probabilities nor the same from model to
//! model; [`JointOutput::visibility`] makes visibilities of them.
//!
//! [`JointOutput::visibility`]: super::skeleton::JointOutput::visibility

mod decode;

use std::time::Instant;

pub use decode::{Decoder, JointReading, JointTensors, NotANumber};

use super::backend::{PoseError, PoseTimings};
use super::crop::region_to_tensor;
use super::landmark::{LANDMARK_COUNT, Landmark};
use super::landmarker::{ImagePoint, RawPose};
use super::roi::{ImageSize, Region, Roi};
use super::session::TopDownModel;
use super::skeleton::Skeleton;
use crate::image::Pixels;

/// The person's box in boxes around its joints: the head goes on above the eyes, the foot below the
/// ankle, and people move (`pose_to_bbox` of rtmlib: `expansion`).
const BOX_PER_JOINTS: f64 = 1.25;
/// From the shoulders to the top of the head and from the hips to the soles, in trunk lengths: 0.182 and
/// 0.530 of a height in which the trunk is 0.288 (Drillis and Contini, "Body segment parameters", 1966).
const HEAD_PER_TRUNK: f64 = 0.63;
const LEGS_PER_TRUNK: f64 = 1.84;
/// The alignment points' circle goes around the body, not around its joints.
const CIRCLE_PER_JOINTS: f64 = 1.15;
/// A body across its length, in parts of it: for the first box around someone who lies.
const WIDTH_PER_LENGTH: f64 = 0.5;
/// The detector's region is larger than its circle by this; see [`Roi::from_alignment_points`].
const ROI_PER_CIRCLE: f64 = 1.25;
/// From this visibility on a joint belongs to the body that is seen.
const MIN_VISIBILITY: f64 = 0.5;

/// Reads poses from regions of pictures by a top-down model.
pub struct TopDownStage {
    model: TopDownModel,
    tensor: Vec<f32>,
    min_probability: f64,
}

impl TopDownStage {
    /// A region shows a person when the pose probability is above `min_probability` (0..1).
    pub fn new(model: TopDownModel, min_probability: f64) -> Self {
        let [width, height] = model.input_px();
        Self {
            tensor: vec![0.0; 3 * width * height],
            model,
            min_probability,
        }
    }

    /// The first region of someone whom the detector has found.
    pub fn detected(&self, roi: &Roi) -> Region {
        let [width, height] = detected_box_px(roi);
        let center = [roi.center_x_px, roi.center_y_px];
        self.region(center, [width, height])
    }

    /// The region around someone who was read so in a picture of that size.
    pub fn followed(&self, pose: &RawPose, size: ImageSize) -> Region {
        let [left, top, right, bottom] = followed_box(pose, size);
        let center = [(left + right) / 2.0, (top + bottom) / 2.0];
        self.region(center, [right - left, bottom - top])
    }

    /// What the model sees of a box.
    fn region(&self, [center_x_px, center_y_px]: [f64; 2], [width, height]: [f64; 2]) -> Region {
        let [columns, rows] = self.model.input_px().map(|side| side as f64);
        let aspect = columns / rows;
        let height_px = self.model.skeleton().input.padding * height.max(width / aspect);
        Region {
            center_x_px,
            center_y_px,
            width_px: height_px * aspect,
            height_px,
            rotation_rad: 0.0,
        }
    }

    /// The pose in a region and its probability; `None` when the region does not show a person.
    ///
    /// # Errors
    /// When the model fails, or gives what is no number.
    pub fn run(
        &mut self,
        frame: &mut Pixels<'_>,
        region: &Region,
        timings: &mut PoseTimings,
    ) -> Result<Option<(RawPose, f32)>, PoseError> {
        let started = Instant::now();
        let (size, grid) = (self.model.input_px(), self.model.decoder().grid);
        let input = &self.model.skeleton().input;
        let frame = frame.show([region.corners()]);
        region_to_tensor(frame, region, size, grid, input, &mut self.tensor);
        let cropped = Instant::now();
        timings.crop += cropped - started;
        let joints = self.model.run(&self.tensor)?;
        let read = Instant::now();
        timings.landmark_model += read - cropped;
        let (pose, probability) = pose_of(&joints, self.model.skeleton(), region);
        timings.tracking += read.elapsed();
        Ok((probability > self.min_probability).then_some((pose, probability as f32)))
    }
}

/// Width and height of the upright box around the body in a detector's region.
fn detected_box_px(roi: &Roi) -> [f64; 2] {
    let length = roi.side_px / ROI_PER_CIRCLE;
    let (sin, cos) = roi.rotation_rad.sin_cos();
    let (along, across) = (length, WIDTH_PER_LENGTH * length);
    [
        along * sin.abs() + across * cos.abs(),
        along * cos.abs() + across * sin.abs(),
    ]
}

/// The pose that joints make up, and how sure it is that there is a person: the mean visibility of
/// the half of the joints that are seen best, so that half a body counts.
fn pose_of(joints: &[JointReading], skeleton: &Skeleton, region: &Region) -> (RawPose, f64) {
    const UNKNOWN: ImagePoint = ImagePoint {
        x_px: f64::NAN,
        y_px: f64::NAN,
        z_px: f64::NAN,
        visibility: f64::NAN,
        presence: f64::NAN,
    };
    let mut landmarks = [UNKNOWN; LANDMARK_COUNT];
    for (joint, landmark) in joints.iter().zip(&skeleton.joints) {
        let Some(landmark) = landmark else { continue };
        let [x_px, y_px] = region.project(joint.x, joint.y);
        landmarks[landmark.index()] = ImagePoint {
            x_px,
            y_px,
            visibility: skeleton.output.visibility(joint.score),
            ..UNKNOWN
        };
    }
    let known = landmarks.iter().map(|landmark| landmark.visibility);
    let mut seen: Vec<f64> = known.filter(|visibility| !visibility.is_nan()).collect();
    seen.sort_by(|a, b| b.total_cmp(a));
    seen.truncate(seen.len().div_ceil(2));
    let probability = seen.iter().sum::<f64>() / seen.len() as f64;
    let pose = RawPose {
        alignment: alignment(&landmarks),
        landmarks,
        world_m: [[f64::NAN; 3]; LANDMARK_COUNT],
    };
    (pose, probability)
}

/// The landmarks that show how large the body is: those that are seen, and the trunk.
fn body(landmarks: &[ImagePoint; LANDMARK_COUNT]) -> impl Iterator<Item = [f64; 2]> {
    use Landmark::*;
    let trunk = [LeftShoulder, RightShoulder, LeftHip, RightHip].map(Landmark::index);
    let is_of_body = move |(i, landmark): &(usize, &ImagePoint)| {
        trunk.contains(i) || landmark.visibility >= MIN_VISIBILITY
    };
    let of_body = landmarks.iter().enumerate().filter(is_of_body);
    of_body.map(|(_, landmark)| [landmark.x_px, landmark.y_px])
}

/// BlazePose's alignment points: the middle of the hips, and a point of the circle around the body in
/// the direction of the shoulders. Smoothing and the comparison of people go by them.
fn alignment(landmarks: &[ImagePoint; LANDMARK_COUNT]) -> [ImagePoint; 2] {
    let [hips, shoulders] = trunk_ends(landmarks);
    let from_hips = |[x, y]: [f64; 2]| (x - hips[0]).hypot(y - hips[1]);
    let reach = body(landmarks).map(from_hips).fold(0.0, f64::max);
    let trunk = from_hips(shoulders);
    // Who is seen from above has no direction, and is taken to be upright.
    let up = match trunk > 0.0 {
        true => [
            (shoulders[0] - hips[0]) / trunk,
            (shoulders[1] - hips[1]) / trunk,
        ],
        false => [0.0, -1.0],
    };
    let point = |[x_px, y_px]: [f64; 2]| ImagePoint {
        x_px,
        y_px,
        ..ImagePoint::default()
    };
    let radius = CIRCLE_PER_JOINTS * reach;
    [
        point(hips),
        point([hips[0] + radius * up[0], hips[1] + radius * up[1]]),
    ]
}

/// Left, top, right and bottom of where someone is expected who was read so.
fn followed_box(pose: &RawPose, size: ImageSize) -> [f64; 4] {
    let start = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
    let around = |[left, top, right, bottom]: [f64; 4], [x, y]: [f64; 2]| {
        [left.min(x), top.min(y), right.max(x), bottom.max(y)]
    };
    let [left, top, right, bottom] = body(&pose.landmarks).fold(start, around);
    let [more_x, more_y] =
        [right - left, bottom - top].map(|side| (BOX_PER_JOINTS - 1.0) / 2.0 * side);
    let seen = [left - more_x, top - more_y, right + more_x, bottom + more_y];
    let [hips, shoulders] = trunk_ends(&pose.landmarks);
    let beyond = |from: [f64; 2], to: [f64; 2], trunks: f64| {
        [0, 1].map(|axis| to[axis] + trunks * (to[axis] - from[axis]))
    };
    let ends = [
        beyond(hips, shoulders, HEAD_PER_TRUNK),
        beyond(shoulders, hips, LEGS_PER_TRUNK),
    ];
    let in_picture = ends.map(|[x, y]| [x.clamp(0.0, size.width), y.clamp(0.0, size.height)]);
    in_picture.into_iter().fold(seen, around)
}

/// The middles of hips and shoulders.
fn trunk_ends(landmarks: &[ImagePoint; LANDMARK_COUNT]) -> [[f64; 2]; 2] {
    use Landmark::*;
    [[LeftHip, RightHip], [LeftShoulder, RightShoulder]].map(|pair| {
        let [a, b] = pair.map(|landmark| &landmarks[landmark.index()]);
        [(a.x_px + b.x_px) / 2.0, (a.y_px + b.y_px) / 2.0]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::skeleton::tests::trunk_skeleton;

    const REGION: Region = Region {
        center_x_px: 300.0,
        center_y_px: 200.0,
        width_px: 150.0,
        height_px: 200.0,
        rotation_rad: 0.0,
    };

    /// Shoulders and hips of someone upright, and a nose, with these scores.
    fn joints(trunk: f64, nose: f64) -> Vec<JointReading> {
        let at = |x, y, score| JointReading { x, y, score };
        vec![
            at(0.6, 0.3, trunk),
            at(0.4, 0.3, trunk),
            at(0.55, 0.5, trunk),
            at(0.45, 0.5, trunk),
            at(0.5, 0.1, nose),
        ]
    }

    #[test]
    fn joints_become_landmarks_and_everything_else_stays_unknown() {
        let skeleton = trunk_skeleton(&[("nose", Some("nose"))]);
        let (pose, _) = pose_of(&joints(0.65, 0.3), &skeleton, &REGION);
        let nose = &pose.landmarks[Landmark::Nose.index()];
        assert_eq!((nose.x_px, nose.y_px), (300.0, 120.0));
        assert!((nose.visibility - 0.5).abs() < 1e-12);
        let shoulder = &pose.landmarks[Landmark::LeftShoulder.index()];
        assert!((shoulder.x_px - 315.0).abs() < 1e-9 && (shoulder.visibility - 0.75).abs() < 1e-12);
        assert!(nose.z_px.is_nan() && nose.presence.is_nan());
        let knee = &pose.landmarks[Landmark::LeftKnee.index()];
        assert!(knee.x_px.is_nan() && knee.visibility.is_nan());
        assert!(pose.world_m.as_flattened().iter().all(|v| v.is_nan()));
    }

    #[test]
    fn a_person_is_as_sure_as_the_better_half_of_the_joints() {
        let skeleton = trunk_skeleton(&[("nose", Some("nose"))]);
        let probability = |trunk, nose| pose_of(&joints(trunk, nose), &skeleton, &REGION).1;
        assert!((probability(0.3, 0.0) - 0.5).abs() < 1e-12);
        // Three of five count: the nose, and two of the trunk.
        assert!((probability(0.3, 1.0) - (1.0 + 0.5 + 0.5) / 3.0).abs() < 1e-12);
        assert_eq!(probability(0.0, 0.0), 0.0);
    }

    #[test]
    fn the_circle_goes_around_what_is_seen_with_the_hips_in_its_middle() {
        let skeleton = trunk_skeleton(&[("nose", Some("nose"))]);
        let roi = |nose: f64| {
            let (pose, _) = pose_of(&joints(0.9, nose), &skeleton, &REGION);
            let [center, scale] = pose.alignment.map(|point| [point.x_px, point.y_px]);
            Roi::from_alignment_points(center, scale)
        };
        let whole = roi(0.9);
        assert_eq!((whole.center_x_px, whole.center_y_px), (300.0, 200.0));
        assert!(whole.rotation_rad.abs() < 1e-12);
        // The nose is 80 px above the hips.
        assert!((whole.side_px - 2.0 * 1.25 * 1.15 * 80.0).abs() < 1e-9);
        let shoulder_px = 15.0f64.hypot(40.0);
        assert!((roi(0.0).side_px - 2.0 * 1.25 * 1.15 * shoulder_px).abs() < 1e-9);
    }

    #[test]
    fn a_box_is_larger_than_what_is_seen_and_reaches_to_feet_that_are_hidden() {
        let skeleton = trunk_skeleton(&[("nose", Some("nose"))]);
        let (pose, _) = pose_of(&joints(0.9, 0.9), &skeleton, &REGION);
        // The nose at 120, the shoulders from 285 to 315 at 160, the hips at 200 px.
        let soles = 200.0 + LEGS_PER_TRUNK * 40.0;
        let of = |height| {
            let size = ImageSize {
                width: 600.0,
                height,
            };
            followed_box(&pose, size)
        };
        for (found, expected) in of(400.0).into_iter().zip([281.25, 110.0, 318.75, soles]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        // As far as the picture goes, and not less than what is seen.
        assert!((of(230.0)[3] - 230.0).abs() < 1e-9);
        assert!((of(190.0)[3] - 210.0).abs() < 1e-9);
    }

    #[test]
    fn a_first_box_is_as_long_as_the_circle_and_lies_down_with_the_body() {
        let roi = |rotation_rad| Roi {
            center_x_px: 0.0,
            center_y_px: 0.0,
            side_px: 125.0,
            rotation_rad,
        };
        let [width, height] = detected_box_px(&roi(0.0));
        assert!((width - 50.0).abs() < 1e-9 && (height - 100.0).abs() < 1e-9);
        let [width, height] = detected_box_px(&roi(std::f64::consts::FRAC_PI_2));
        assert!((width - 100.0).abs() < 1e-9 && (height - 50.0).abs() < 1e-9);
    }
}
