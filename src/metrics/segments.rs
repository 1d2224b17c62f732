//! Segment angles from the horizontal, in the picture, as Sports2D and Pose2Sim define them.
//!
//! A segment is an arrow between two points of the body. Its angle is measured in pixels (so the
//! picture's proportions count) from the horizontal that points where the person faces, positive
//! anticlockwise for a person who faces right. Who faces left is mirrored first, so that the same
//! movement has the same angles in both directions. Names, end points, signs and ranges are those
//! of Pose2Sim 0.10.49 (`angle_dict`, `fixed_angles` in `common.py`) and the facing is that of
//! Sports2D 0.8.34 (`compute_angles_for_person` in `process.py`), with these differences, which
//! BlazePose or a stream of frames ask for:
//!
//! - BlazePose has no top of the head; the middle of the ears stands for it.
//! - Where no foot is visible, the person faces where it did last; Sports2D would say left.
//! - Feet that point towards the camera or away from it change nothing either; in Sports2D, who
//!   walks towards the camera turns around with every tremble of the feet.
//! - Angles are wrapped into their range and stay there; Sports2D unwraps whole series afterwards
//!   in steps of half a turn, so that one wrong frame shifts all angles behind it.
//! - The picture's horizontal is taken for the horizontal; Sports2D can subtract a floor's angle.

use super::geometry::distance;
use crate::pose::landmark::Landmark;

/// Who faced one way faces the other when the feet point there by this part of their length in the
/// picture.
const MIN_TURNED_PART: f64 = 0.25;

/// Which way of the picture a person faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facing {
    /// Towards the picture's right edge.
    Right,
    /// Towards the picture's left edge.
    Left,
}

impl Facing {
    /// Both; no other is ever stored.
    pub const ALL: [Self; 2] = [Self::Right, Self::Left];

    /// The value in the lake's `facing` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }

    /// Where the feet point; `point` gives a landmark's pixels where it is visible, `before` is
    /// where the person faced last. A foot counts when heel and toes are visible; when neither
    /// does, nothing has changed.
    pub fn of_feet(
        point: impl Fn(Landmark) -> Option<[f64; 2]>,
        before: Option<Self>,
    ) -> Option<Self> {
        use Landmark::*;
        let feet = [[LeftHeel, LeftFootIndex], [RightHeel, RightFootIndex]];
        let (mut right_px, mut length_px, mut is_seen) = (0.0, 0.0, false);
        for [heel, toes] in feet {
            if let (Some(heel), Some(toes)) = (point(heel), point(toes)) {
                right_px += toes[0] - heel[0];
                length_px += distance(heel, toes);
                is_seen = true;
            }
        }
        let now = if right_px >= 0.0 {
            Self::Right
        } else {
            Self::Left
        };
        let is_clear = right_px.abs() >= MIN_TURNED_PART * length_px;
        if is_seen && (before.is_none() || is_clear) {
            Some(now)
        } else {
            before
        }
    }
}

/// One end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnd {
    /// At one landmark.
    At(Landmark),
    /// Halfway between two.
    Middle(Landmark, Landmark),
}

/// How far an angle goes before it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AngleRange {
    /// An arrow: -180 to below 180 degrees.
    FullTurn,
    /// A line without an arrow, for what goes across the body: -90 to below 90 degrees.
    HalfTurn,
}

/// A segment angle: from the horizontal to the arrow `from` - `to`.
pub struct SegmentAngle {
    /// Column name in the lake's `metrics` table.
    pub column: &'static str,
    /// Name in Pose2Sim's `angle_dict`.
    pub pose2sim_name: &'static str,
    /// Where the arrow begins.
    pub from: SegmentEnd,
    /// Its tip.
    pub to: SegmentEnd,
    /// [`AngleRange::HalfTurn`] for what goes across the body, such as the shoulders.
    pub range: AngleRange,
}

/// Number of segment angles per pose.
pub const SEGMENT_ANGLE_COUNT: usize = 14;

/// All segment angles, in the order of the `metrics` table's columns.
pub const SEGMENT_ANGLES: [SegmentAngle; SEGMENT_ANGLE_COUNT] = {
    use Landmark::*;
    use SegmentEnd::{At, Middle};
    const fn arrow(
        column: &'static str,
        pose2sim_name: &'static str,
        from: SegmentEnd,
        to: SegmentEnd,
    ) -> SegmentAngle {
        SegmentAngle {
            column,
            pose2sim_name,
            from,
            to,
            range: AngleRange::FullTurn,
        }
    }
    const fn line(
        column: &'static str,
        pose2sim_name: &'static str,
        from: Landmark,
        to: Landmark,
    ) -> SegmentAngle {
        SegmentAngle {
            column,
            pose2sim_name,
            from: At(from),
            to: At(to),
            range: AngleRange::HalfTurn,
        }
    }
    const HIPS: SegmentEnd = Middle(LeftHip, RightHip);
    const NECK: SegmentEnd = Middle(LeftShoulder, RightShoulder);
    const HEAD: SegmentEnd = Middle(LeftEar, RightEar);
    [
        arrow(
            "left_foot_segment_deg",
            "left foot",
            At(LeftHeel),
            At(LeftFootIndex),
        ),
        arrow(
            "right_foot_segment_deg",
            "right foot",
            At(RightHeel),
            At(RightFootIndex),
        ),
        arrow(
            "left_shank_segment_deg",
            "left shank",
            At(LeftKnee),
            At(LeftAnkle),
        ),
        arrow(
            "right_shank_segment_deg",
            "right shank",
            At(RightKnee),
            At(RightAnkle),
        ),
        arrow(
            "left_thigh_segment_deg",
            "left thigh",
            At(LeftHip),
            At(LeftKnee),
        ),
        arrow(
            "right_thigh_segment_deg",
            "right thigh",
            At(RightHip),
            At(RightKnee),
        ),
        line("pelvis_segment_deg", "pelvis", RightHip, LeftHip),
        arrow("trunk_segment_deg", "trunk", HIPS, NECK),
        line(
            "shoulders_segment_deg",
            "shoulders",
            RightShoulder,
            LeftShoulder,
        ),
        arrow("head_segment_deg", "head", NECK, HEAD),
        arrow(
            "left_arm_segment_deg",
            "left arm",
            At(LeftShoulder),
            At(LeftElbow),
        ),
        arrow(
            "right_arm_segment_deg",
            "right arm",
            At(RightShoulder),
            At(RightElbow),
        ),
        arrow(
            "left_forearm_segment_deg",
            "left forearm",
            At(LeftElbow),
            At(LeftWrist),
        ),
        arrow(
            "right_forearm_segment_deg",
            "right forearm",
            At(RightElbow),
            At(RightWrist),
        ),
    ]
};

/// Angle of the arrow `from` - `to` in degrees, in `range`; x to the right and y down in pixels.
/// `None` when the two coincide.
pub fn segment_angle_deg(
    from: [f64; 2],
    to: [f64; 2],
    facing: Facing,
    range: AngleRange,
) -> Option<f64> {
    let right = to[0] - from[0];
    let forward = match facing {
        Facing::Right => right,
        Facing::Left => -right,
    };
    let up = from[1] - to[1];
    (forward != 0.0 || up != 0.0).then(|| wrap_deg(up.atan2(forward).to_degrees(), range))
}

/// The same direction within the range, whose upper end is left out.
fn wrap_deg(angle_deg: f64, range: AngleRange) -> f64 {
    let half_range = match range {
        AngleRange::FullTurn => 180.0,
        AngleRange::HalfTurn => 90.0,
    };
    let wrapped = (angle_deg + half_range).rem_euclid(2.0 * half_range) - half_range;
    // A hair below the lower end comes out as the upper end after rounding.
    if wrapped < half_range {
        wrapped
    } else {
        -half_range
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = [f64; 2]> {
        [-2000.0..2000.0f64, -2000.0..2000.0f64]
    }

    fn facing() -> impl Strategy<Value = Facing> {
        prop_oneof![Just(Facing::Right), Just(Facing::Left)]
    }

    fn range() -> impl Strategy<Value = AngleRange> {
        prop_oneof![Just(AngleRange::FullTurn), Just(AngleRange::HalfTurn)]
    }

    fn period_deg(range: AngleRange) -> f64 {
        match range {
            AngleRange::FullTurn => 360.0,
            AngleRange::HalfTurn => 180.0,
        }
    }

    /// Distance of two angles around the circle.
    fn apart_deg(a: f64, b: f64, range: AngleRange) -> f64 {
        let period = period_deg(range);
        let apart = (a - b).rem_euclid(period);
        apart.min(period - apart)
    }

    /// Turns anticlockwise as seen in the picture, whose y points down.
    fn turned([x, y]: [f64; 2], by_deg: f64) -> [f64; 2] {
        let (sin, cos) = by_deg.to_radians().sin_cos();
        [x * cos + y * sin, y * cos - x * sin]
    }

    fn is_long(from: [f64; 2], to: [f64; 2]) -> bool {
        (from[0] - to[0]).hypot(from[1] - to[1]) > 1.0
    }

    #[test]
    fn directions_have_the_documented_angles() {
        let from = [100.0, 100.0];
        let check = |to: [f64; 2], facing, expected: f64| {
            let angle = segment_angle_deg(from, to, facing, AngleRange::FullTurn);
            let angle = angle.expect("an angle");
            assert!((angle - expected).abs() < 1e-12, "{to:?}: {angle}");
        };
        check([150.0, 100.0], Facing::Right, 0.0);
        check([150.0, 100.0], Facing::Left, -180.0);
        check([50.0, 100.0], Facing::Left, 0.0);
        check([100.0, 50.0], Facing::Right, 90.0);
        check([100.0, 50.0], Facing::Left, 90.0);
        check([100.0, 150.0], Facing::Right, -90.0);
        check([150.0, 50.0], Facing::Right, 45.0);
        check([50.0, 50.0], Facing::Left, 45.0);
        check([50.0, 150.0], Facing::Right, -135.0);
        let none = segment_angle_deg(from, from, Facing::Right, AngleRange::FullTurn);
        assert_eq!(none, None);
    }

    /// Both feet are 100 px long and point by these pixels to the right.
    fn feet(left_px: f64, right_px: f64) -> impl Fn(Landmark) -> Option<[f64; 2]> {
        use Landmark::*;
        let toes = |right_px: f64| Some([right_px, (1e4 - right_px * right_px).sqrt()]);
        move |landmark| match landmark {
            LeftFootIndex => toes(left_px),
            RightFootIndex => toes(right_px),
            LeftHeel | RightHeel => Some([0.0, 0.0]),
            _ => None,
        }
    }

    #[test]
    fn the_feet_say_which_way_a_person_faces() {
        let first_sight = |feet: [f64; 2]| {
            let [left, right] = feet;
            Facing::of_feet(self::feet(left, right), None)
        };
        assert_eq!(first_sight([10.0, 12.0]), Some(Facing::Right));
        assert_eq!(first_sight([-10.0, -12.0]), Some(Facing::Left));
        assert_eq!(first_sight([-90.0, 95.0]), Some(Facing::Right));
        let one_foot = |landmark| match landmark {
            Landmark::LeftFootIndex | Landmark::LeftHeel => feet(-5.0, 0.0)(landmark),
            _ => None,
        };
        assert_eq!(Facing::of_feet(one_foot, None), Some(Facing::Left));
        assert_eq!(Facing::of_feet(|_| None, None), None);
    }

    #[test]
    fn only_feet_that_clearly_point_the_other_way_turn_a_person_around() {
        let before = Some(Facing::Left);
        assert_eq!(Facing::of_feet(feet(24.0, 24.0), before), before);
        assert_eq!(
            Facing::of_feet(feet(26.0, 26.0), before),
            Some(Facing::Right)
        );
        assert_eq!(Facing::of_feet(feet(-90.0, 95.0), before), before);
        assert_eq!(Facing::of_feet(|_| None, before), before);
    }

    proptest! {
        #[test]
        fn angles_stay_in_their_range(
            from in point(), to in point(), facing in facing(), range in range()
        ) {
            if let Some(angle) = segment_angle_deg(from, to, facing, range) {
                let half = period_deg(range) / 2.0;
                prop_assert!((-half..half).contains(&angle), "{angle}");
            }
        }

        #[test]
        fn translation_and_scale_change_nothing(
            from in point(), to in point(), by in point(), scale in 0.01..100.0f64,
            facing in facing(), range in range()
        ) {
            prop_assume!(is_long(from, to));
            let moved = |p: [f64; 2]| [p[0] * scale + by[0], p[1] * scale + by[1]];
            let before = segment_angle_deg(from, to, facing, range).expect("a long segment");
            let after = segment_angle_deg(moved(from), moved(to), facing, range);
            let after = after.expect("a long segment");
            prop_assert!(apart_deg(before, after, range) < 1e-6, "{before} {after}");
        }

        #[test]
        fn a_turn_of_the_picture_turns_the_angle_by_as_much(
            from in point(), to in point(), by_deg in -360.0..360.0f64,
            facing in facing(), range in range()
        ) {
            prop_assume!(is_long(from, to));
            let before = segment_angle_deg(from, to, facing, range).expect("a long segment");
            let (from, to) = (turned(from, by_deg), turned(to, by_deg));
            let after = segment_angle_deg(from, to, facing, range).expect("a long segment");
            let expected = match facing {
                Facing::Right => before + by_deg,
                Facing::Left => before - by_deg,
            };
            prop_assert!(apart_deg(after, expected, range) < 1e-9, "{before} {after}");
        }

        #[test]
        fn a_mirrored_person_has_the_same_angles(
            from in point(), to in point(), range in range()
        ) {
            prop_assume!(is_long(from, to));
            let mirrored = |p: [f64; 2]| [1920.0 - p[0], p[1]];
            let right = segment_angle_deg(from, to, Facing::Right, range);
            let left = segment_angle_deg(mirrored(from), mirrored(to), Facing::Left, range);
            let (right, left) = (right.expect("an angle"), left.expect("an angle"));
            prop_assert!(apart_deg(right, left, range) < 1e-9, "{right} {left}");
        }
    }
}
