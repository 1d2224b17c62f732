//! What a pose says about the body: widths, joint and segment angles, trunk lean, speeds, quality;
//! and what a whole series of poses is filtered with.
//!
//! Pure functions: no I/O. Every value is an `Option`; what cannot be computed is `None`, never 0.
//! A value is computed only from landmarks whose visibility is at least [`MIN_VISIBILITY`].

pub mod calibration;
pub mod filter;
mod flags;
pub mod geometry;
mod history;
pub mod segments;
pub mod timing;

use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;
pub use flags::is_jump;
use geometry::{Point3, angle_deg, distance, midpoint, subtract, vector_angle_deg};
pub use history::Measurer;
use segments::{Facing, SEGMENT_ANGLE_COUNT, SEGMENT_ANGLES, SegmentEnd, segment_angle_deg};

/// Landmarks less visible than this (probability, 0..1) are not measured with.
pub const MIN_VISIBILITY: f32 = 0.5;

/// A joint angle's three points: the angle stands at the middle one.
pub struct JointAngle {
    /// Column name in the lake's `metrics` table.
    pub column: &'static str,
    /// The middle one is the joint; the angle is known where all three are visible.
    pub points: [Landmark; 3],
}

/// Number of joint angles per pose.
pub const JOINT_ANGLE_COUNT: usize = 12;

/// All joint angles, in the order of the `metrics` table's columns.
pub const JOINT_ANGLES: [JointAngle; JOINT_ANGLE_COUNT] = {
    use Landmark::*;
    const fn joint(column: &'static str, a: Landmark, at: Landmark, b: Landmark) -> JointAngle {
        JointAngle {
            column,
            points: [a, at, b],
        }
    }
    [
        joint("left_knee_deg", LeftHip, LeftKnee, LeftAnkle),
        joint("right_knee_deg", RightHip, RightKnee, RightAnkle),
        joint("left_hip_deg", LeftShoulder, LeftHip, LeftKnee),
        joint("right_hip_deg", RightShoulder, RightHip, RightKnee),
        joint("left_ankle_deg", LeftKnee, LeftAnkle, LeftFootIndex),
        joint("right_ankle_deg", RightKnee, RightAnkle, RightFootIndex),
        joint("left_elbow_deg", LeftShoulder, LeftElbow, LeftWrist),
        joint("right_elbow_deg", RightShoulder, RightElbow, RightWrist),
        joint("left_shoulder_deg", LeftHip, LeftShoulder, LeftElbow),
        joint("right_shoulder_deg", RightHip, RightShoulder, RightElbow),
        joint("left_wrist_deg", LeftElbow, LeftWrist, LeftIndex),
        joint("right_wrist_deg", RightElbow, RightWrist, RightIndex),
    ]
};

/// How far a frame's numbers can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Trunk and all joints of arms and legs are visible.
    Good,
    /// The trunk is visible, some joint of an arm or leg is not.
    Partial,
    /// Not even shoulders and hips are all visible.
    Poor,
    /// Nobody was found.
    NoPose,
}

impl Quality {
    /// From the best to the worst.
    pub const ALL: [Self; 4] = [Self::Good, Self::Partial, Self::Poor, Self::NoPose];

    /// The value in the lake's `quality` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Partial => "partial",
            Self::Poor => "poor",
            Self::NoPose => "no_pose",
        }
    }

    fn of(pose: &PersonPose) -> Self {
        use Landmark::*;
        let all_visible = |landmarks: &[Landmark]| landmarks.iter().all(|l| is_visible(pose, *l));
        if !all_visible(&[LeftShoulder, RightShoulder, LeftHip, RightHip]) {
            Self::Poor
        } else if all_visible(&[
            LeftElbow, RightElbow, LeftWrist, RightWrist, LeftKnee, RightKnee, LeftAnkle,
            RightAnkle,
        ]) {
            Self::Good
        } else {
            Self::Partial
        }
    }
}

/// All metrics of one person in one frame. Units stand in the names.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameMetrics {
    /// Distance between the shoulders, world landmarks, > 0.
    pub shoulder_width_m: Option<f64>,
    /// Distance between the hips, world landmarks, > 0.
    pub hip_width_m: Option<f64>,
    /// Shoulder width / hip width, world landmarks, > 0.
    pub shoulder_hip_ratio: Option<f64>,
    /// Length of the trunk in the image: middle of the shoulders to middle of the hips, > 0.
    pub torso_length_px: Option<f64>,
    /// Shoulder width in the image in torso lengths, >= 0; small in side view.
    pub shoulder_width_torso: Option<f64>,
    /// Hip width in the image in torso lengths, >= 0; small in side view.
    pub hip_width_torso: Option<f64>,
    /// Shoulder width / hip width, both in the image, >= 0.
    pub shoulder_hip_ratio_image: Option<f64>,
    /// In the order of [`JOINT_ANGLES`]; world landmarks, 0..180, 180 = straight.
    pub joint_angles_deg: [Option<f64>; JOINT_ANGLE_COUNT],
    /// Angle between the line from the middle of the hips to the middle of the shoulders and the
    /// image's vertical, world landmarks, 0..180; 0 = upright, 90 = lying, 180 = upside down.
    pub trunk_lean_deg: Option<f64>,
    /// Speed of the middle of the hips in the image since the frame before, >= 0.
    pub center_speed_px_per_sec: Option<f64>,
    /// The same in this frame's torso lengths, >= 0.
    pub center_speed_torso_per_sec: Option<f64>,
    /// Speed of the fastest visible landmark in the image since the frame before, >= 0.
    pub peak_landmark_speed_px_per_sec: Option<f64>,
    /// The same in this frame's torso lengths, >= 0.
    pub peak_landmark_speed_torso_per_sec: Option<f64>,
    /// Which landmark that was.
    pub peak_landmark: Option<Landmark>,
    /// Which way the person faces: where the visible feet point, or pointed last.
    pub facing: Option<Facing>,
    /// In the order of [`SEGMENT_ANGLES`]; in the image, in each angle's own range.
    pub segment_angles_deg: [Option<f64>; SEGMENT_ANGLE_COUNT],
    /// The motion since the frame before is explained far better by arms or legs whose left and
    /// right were exchanged.
    pub left_right_swap: Option<bool>,
    /// A visible bone is far longer or shorter than it was in the frames before.
    pub bone_length_jump: Option<bool>,
    /// Mean visibility of the landmarks that the pose model gives, 0..1.
    pub mean_visibility: Option<f64>,
    /// How many of the landmarks that matter could be measured with.
    pub quality: Quality,
}

/// A pose with what is needed to measure it in pixels and in time.
#[derive(Clone, Copy)]
struct TimedPose<'a> {
    pose: &'a PersonPose,
    /// Presentation time of its frame.
    time_secs: f64,
    image_width_px: f64,
    image_height_px: f64,
}

impl FrameMetrics {
    /// A frame in which nobody was found.
    pub const NO_POSE: Self = Self {
        shoulder_width_m: None,
        hip_width_m: None,
        shoulder_hip_ratio: None,
        torso_length_px: None,
        shoulder_width_torso: None,
        hip_width_torso: None,
        shoulder_hip_ratio_image: None,
        joint_angles_deg: [None; JOINT_ANGLE_COUNT],
        trunk_lean_deg: None,
        center_speed_px_per_sec: None,
        center_speed_torso_per_sec: None,
        peak_landmark_speed_px_per_sec: None,
        peak_landmark_speed_torso_per_sec: None,
        peak_landmark: None,
        facing: None,
        segment_angles_deg: [None; SEGMENT_ANGLE_COUNT],
        left_right_swap: None,
        bone_length_jump: None,
        mean_visibility: None,
        quality: Quality::NoPose,
    };

    /// Measures a pose; [`Measurer`] adds the flags. `before` is the same person in the frame
    /// directly before, if there was one; speeds are backward differences over the true time
    /// between the two frames.
    fn new(now: TimedPose<'_>, before: Option<TimedPose<'_>>, facing: Option<Facing>) -> Self {
        use Landmark::*;
        let (shoulder_width_m, hip_width_m) = (
            world_distance(now.pose, LeftShoulder, RightShoulder),
            world_distance(now.pose, LeftHip, RightHip),
        );
        let (shoulder_width_px, hip_width_px) = (
            image_distance(now, LeftShoulder, RightShoulder),
            image_distance(now, LeftHip, RightHip),
        );
        let torso_length_px = torso_length_px(now);
        let center_speed_px_per_sec = before.and_then(|before| {
            let elapsed_secs = elapsed_secs(before, now)?;
            Some(distance(hip_center_px(before)?, hip_center_px(now)?) / elapsed_secs)
        });
        let peak = before.and_then(|before| peak_landmark_speed(before, now));
        let peak_px_per_sec = peak.map(|(_, speed)| speed);
        Self {
            shoulder_width_m,
            hip_width_m,
            shoulder_hip_ratio: ratio(shoulder_width_m, hip_width_m),
            torso_length_px,
            shoulder_width_torso: ratio(shoulder_width_px, torso_length_px),
            hip_width_torso: ratio(hip_width_px, torso_length_px),
            shoulder_hip_ratio_image: ratio(shoulder_width_px, hip_width_px),
            joint_angles_deg: JOINT_ANGLES.map(|joint| joint_angle_deg(now.pose, joint.points)),
            trunk_lean_deg: trunk_lean_deg(now.pose),
            center_speed_px_per_sec,
            center_speed_torso_per_sec: ratio(center_speed_px_per_sec, torso_length_px),
            peak_landmark_speed_px_per_sec: peak_px_per_sec,
            peak_landmark_speed_torso_per_sec: ratio(peak_px_per_sec, torso_length_px),
            peak_landmark: peak.map(|(landmark, _)| landmark),
            facing,
            segment_angles_deg: segment_angles_deg(now, facing),
            left_right_swap: None,
            bone_length_jump: None,
            mean_visibility: Some(now.pose.mean_visibility()),
            quality: Quality::of(now.pose),
        }
    }
}

fn is_visible(pose: &PersonPose, landmark: Landmark) -> bool {
    pose.landmarks[landmark.index()].visibility >= MIN_VISIBILITY
}

fn world(pose: &PersonPose, landmark: Landmark) -> Option<Point3> {
    let point = pose
        .world(landmark)
        .filter(|_| is_visible(pose, landmark))?;
    Some(point.map(f64::from))
}

fn image_px(timed: TimedPose<'_>, landmark: Landmark) -> Option<[f64; 2]> {
    let point = &timed.pose.landmarks[landmark.index()];
    is_visible(timed.pose, landmark).then(|| {
        [
            f64::from(point.x) * timed.image_width_px,
            f64::from(point.y) * timed.image_height_px,
        ]
    })
}

fn world_distance(pose: &PersonPose, a: Landmark, b: Landmark) -> Option<f64> {
    Some(distance(world(pose, a)?, world(pose, b)?))
}

fn image_distance(timed: TimedPose<'_>, a: Landmark, b: Landmark) -> Option<f64> {
    Some(distance(image_px(timed, a)?, image_px(timed, b)?))
}

fn hip_center_px(timed: TimedPose<'_>) -> Option<[f64; 2]> {
    let [left, right] = [Landmark::LeftHip, Landmark::RightHip];
    Some(midpoint(image_px(timed, left)?, image_px(timed, right)?))
}

fn torso_length_px(timed: TimedPose<'_>) -> Option<f64> {
    let [left, right] = [Landmark::LeftShoulder, Landmark::RightShoulder];
    let shoulders = midpoint(image_px(timed, left)?, image_px(timed, right)?);
    Some(distance(shoulders, hip_center_px(timed)?))
}

fn segment_angles_deg(
    timed: TimedPose<'_>,
    facing: Option<Facing>,
) -> [Option<f64>; SEGMENT_ANGLE_COUNT] {
    let Some(facing) = facing else {
        return [None; SEGMENT_ANGLE_COUNT];
    };
    let end = |end| match end {
        SegmentEnd::At(landmark) => image_px(timed, landmark),
        SegmentEnd::Middle(a, b) => Some(midpoint(image_px(timed, a)?, image_px(timed, b)?)),
    };
    SEGMENT_ANGLES
        .map(|angle| segment_angle_deg(end(angle.from)?, end(angle.to)?, facing, angle.range))
}

fn joint_angle_deg(pose: &PersonPose, [a, vertex, b]: [Landmark; 3]) -> Option<f64> {
    angle_deg(world(pose, a)?, world(pose, vertex)?, world(pose, b)?)
}

/// See [`FrameMetrics::trunk_lean_deg`]. World y points down, so up is -y.
fn trunk_lean_deg(pose: &PersonPose) -> Option<f64> {
    use Landmark::*;
    let shoulders = midpoint(world(pose, LeftShoulder)?, world(pose, RightShoulder)?);
    let hips = midpoint(world(pose, LeftHip)?, world(pose, RightHip)?);
    vector_angle_deg(subtract(shoulders, hips), [0.0, -1.0, 0.0])
}

fn elapsed_secs(before: TimedPose<'_>, now: TimedPose<'_>) -> Option<f64> {
    let secs = now.time_secs - before.time_secs;
    (secs > 0.0).then_some(secs)
}

/// The fastest of the landmarks that are visible in both frames, and its speed in px/s.
fn peak_landmark_speed(before: TimedPose<'_>, now: TimedPose<'_>) -> Option<(Landmark, f64)> {
    let elapsed_secs = elapsed_secs(before, now)?;
    Landmark::ALL
        .into_iter()
        .filter_map(|landmark| {
            let moved_px = distance(image_px(before, landmark)?, image_px(now, landmark)?);
            Some((landmark, moved_px / elapsed_secs))
        })
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// a / b where both are known and b is not 0.
fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => Some(a / b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::ImageLandmark;
    use crate::pose::landmark::LANDMARK_COUNT;

    fn pose(visibility: f32) -> PersonPose {
        let landmark = ImageLandmark {
            x: 0.5,
            y: 0.5,
            z: 0.0,
            visibility,
            presence: 1.0,
        };
        PersonPose {
            person: 0,
            probability: 1.0,
            landmarks: [landmark; LANDMARK_COUNT],
            world_m: [[0.0; 3]; LANDMARK_COUNT],
        }
    }

    fn at(pose: &PersonPose, time_secs: f64) -> TimedPose<'_> {
        TimedPose {
            pose,
            time_secs,
            image_width_px: 200.0,
            image_height_px: 100.0,
        }
    }

    #[test]
    fn hidden_landmarks_give_nothing_rather_than_zero() {
        let hidden = pose(0.49);
        let metrics = FrameMetrics::new(at(&hidden, 1.0), Some(at(&hidden, 0.9)), None);
        assert_eq!(metrics.shoulder_width_m, None);
        assert_eq!(metrics.center_speed_px_per_sec, None);
        assert_eq!(metrics.peak_landmark, None);
        assert!(metrics.joint_angles_deg.iter().all(Option::is_none));
        assert_eq!(metrics.quality, Quality::Poor);
        assert!((metrics.mean_visibility.expect("a mean") - 0.49).abs() < 1e-6);
    }

    #[test]
    fn speed_uses_pixels_and_the_true_time_between_frames() {
        let before = pose(1.0);
        let mut now = before.clone();
        for hip in [Landmark::LeftHip, Landmark::RightHip] {
            now.landmarks[hip.index()].x += 0.1;
        }
        let metrics = FrameMetrics::new(at(&now, 0.25), Some(at(&before, 0.0)), None);
        let speed = metrics.center_speed_px_per_sec.expect("a speed");
        assert!((speed - 0.1 * 200.0 / 0.25).abs() < 1e-3, "{speed}");
        assert_eq!(metrics.peak_landmark_speed_px_per_sec, Some(speed));
    }

    #[test]
    fn the_first_frame_and_a_clock_that_stands_still_have_no_speed() {
        let pose = pose(1.0);
        let first = FrameMetrics::new(at(&pose, 0.0), None, None);
        assert_eq!(first.center_speed_px_per_sec, None);
        let same_time = FrameMetrics::new(at(&pose, 0.5), Some(at(&pose, 0.5)), None);
        assert_eq!(same_time.center_speed_px_per_sec, None);
        assert_eq!(same_time.peak_landmark_speed_px_per_sec, None);
    }

    #[test]
    fn upright_is_no_lean_and_lying_is_ninety_degrees() {
        let mut pose = pose(1.0);
        for shoulder in [Landmark::LeftShoulder, Landmark::RightShoulder] {
            pose.world_m[shoulder.index()] = [0.0, -0.5, 0.0];
        }
        assert_eq!(trunk_lean_deg(&pose), Some(0.0));
        for shoulder in [Landmark::LeftShoulder, Landmark::RightShoulder] {
            pose.world_m[shoulder.index()] = [0.5, 0.0, 0.0];
        }
        assert_eq!(trunk_lean_deg(&pose), Some(90.0));
    }
}
