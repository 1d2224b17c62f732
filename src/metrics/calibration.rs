//! How tall a person is in the picture, so that a known height gives metres per pixel.
//!
//! As Sports2D 0.8.34 does it (`compute_height` in Pose2Sim's `common.py`, with BlazePose's
//! landmarks): in each frame the body's parts are added up, whatever way they point: heel to ankle,
//! shank, thigh, hip to shoulder (the mean of both sides each), and the middle of the shoulders to
//! the nose times 1.5 for the head. Of the frames in which hips and knees are bent by less than 90
//! degrees on average (the 50 straightest, if there are fewer such), the middle half of the sums is
//! averaged, and the result lengthened by 6.3 %, because segments do not lie perfectly in the
//! picture's plane (`CORRECTION_2D_TO_3D`). Unlike there, a side that is not visible leaves the
//! other side to stand for both.
//!
//! One scale holds for the whole video: it is right where the person was at the distance at which
//! it was mostly seen, and for movement across the picture.

use super::geometry::{distance, midpoint, vector_angle_deg};
use crate::pose::landmark::Landmark;

/// Frames in which hips and knees are bent further, on average, are left out: crouching people are
/// measured badly.
const MAX_FLEXION_DEG: f64 = 90.0;
/// So many frames are taken in any case.
const MIN_FRAMES: usize = 50;
/// From the neck to the top of the head, in distances from the neck to the nose.
const HEAD_PER_NOSE: f64 = 1.5;
/// Part of the smallest and of the largest heights that is left out.
const TRIMMED_PART: f64 = 0.25;
/// Segments that do not lie in the picture's plane look shorter than they are.
const OUT_OF_PLANE_FACTOR: f64 = 1.063;

/// Collects a person's frames and gives its height in the picture.
#[derive(Default)]
pub struct HeightEstimate {
    frames: Vec<Upright>,
}

#[derive(Clone, Copy)]
struct Upright {
    /// Mean flexion of hips and knees, degrees, 0 = standing straight.
    flexion_deg: f64,
    height_px: f64,
}

impl HeightEstimate {
    /// Adds a frame; `point` gives a landmark's pixels where it is visible. Frames that do not
    /// show enough of the body are left out.
    pub fn add(&mut self, point: impl Fn(Landmark) -> Option<[f64; 2]>) {
        self.frames.extend(upright(point));
    }

    /// Height in pixels, > 0; `None` when no frame showed the person from head to heel.
    pub fn height_px(&self) -> Option<f64> {
        let mut frames = self.frames.clone();
        frames.sort_by(|a, b| a.flexion_deg.total_cmp(&b.flexion_deg));
        let straight = frames.partition_point(|frame| frame.flexion_deg < MAX_FLEXION_DEG);
        frames.truncate(straight.max(MIN_FRAMES));
        let mut heights: Vec<f64> = frames.iter().map(|frame| frame.height_px).collect();
        heights.sort_by(f64::total_cmp);
        let count = heights.len() as f64;
        let (from, to) = (count * TRIMMED_PART, count * (1.0 - TRIMMED_PART));
        let middle = match &heights[from as usize..to as usize] {
            [] => &heights[..],
            middle => middle,
        };
        let mean = middle.iter().sum::<f64>() / middle.len() as f64;
        (mean > 0.0).then_some(mean * OUT_OF_PLANE_FACTOR)
    }
}

fn upright(point: impl Fn(Landmark) -> Option<[f64; 2]>) -> Option<Upright> {
    use Landmark::*;
    let length = |[a, b]: [Landmark; 2]| Some(distance(point(a)?, point(b)?));
    let parts = [
        [[LeftHeel, LeftAnkle], [RightHeel, RightAnkle]],
        [[LeftAnkle, LeftKnee], [RightAnkle, RightKnee]],
        [[LeftKnee, LeftHip], [RightKnee, RightHip]],
        [[LeftHip, LeftShoulder], [RightHip, RightShoulder]],
    ];
    let mut height_px = 0.0;
    for sides in parts {
        height_px += mean(sides.into_iter().filter_map(length))?;
    }
    let middle = |a: Landmark, b: Landmark| Some(midpoint(point(a)?, point(b)?));
    let neck = middle(LeftShoulder, RightShoulder)?;
    height_px += HEAD_PER_NOSE * distance(neck, point(Nose)?);

    let arrow = |from: [f64; 2], to: [f64; 2]| [to[0] - from[0], to[1] - from[1], 0.0];
    let trunk = arrow(middle(LeftHip, RightHip)?, neck);
    let legs = [
        [LeftHip, LeftKnee, LeftAnkle],
        [RightHip, RightKnee, RightAnkle],
    ];
    let flexions = legs.into_iter().flat_map(|[hip, knee, ankle]| {
        let thigh = || Some(arrow(point(knee)?, point(hip)?));
        let shank = || Some(arrow(point(ankle)?, point(knee)?));
        [
            thigh().and_then(|thigh| vector_angle_deg(thigh, trunk)),
            thigh().and_then(|thigh| vector_angle_deg(shank()?, thigh)),
        ]
    });
    Some(Upright {
        flexion_deg: mean(flexions.flatten())?,
        height_px,
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A front view 860 px tall: 20 + 200 + 200 + 240 to the shoulders, 200 from there.
    fn standing(landmark: Landmark, hip_height_px: f64) -> Option<[f64; 2]> {
        use Landmark::*;
        let height_px = match landmark {
            LeftHeel | RightHeel => 0.0,
            LeftAnkle | RightAnkle => 20.0,
            LeftKnee | RightKnee => 220.0,
            LeftHip | RightHip => hip_height_px,
            LeftShoulder | RightShoulder => hip_height_px + 240.0,
            Nose => hip_height_px + 240.0 + 200.0 / HEAD_PER_NOSE,
            _ => return None,
        };
        let is_left = landmark.name().starts_with("left");
        let across_px = match landmark {
            Nose => 0.0,
            _ if is_left => 50.0,
            _ => -50.0,
        };
        Some([across_px, -height_px])
    }

    #[test]
    fn the_parts_of_a_standing_body_add_up() {
        let mut estimate = HeightEstimate::default();
        for _ in 0..10 {
            estimate.add(|landmark| standing(landmark, 420.0));
        }
        let height_px = estimate.height_px().expect("a height");
        assert!((height_px - 860.0 * OUT_OF_PLANE_FACTOR).abs() < 1e-9);
    }

    #[test]
    fn one_visible_side_is_enough_and_half_a_body_is_not() {
        let mut estimate = HeightEstimate::default();
        estimate.add(|landmark| match landmark {
            Landmark::LeftAnkle | Landmark::LeftKnee | Landmark::LeftHeel => None,
            _ => standing(landmark, 420.0),
        });
        let height_px = estimate.height_px().expect("a height");
        assert!((height_px - 860.0 * OUT_OF_PLANE_FACTOR).abs() < 1e-9);
        let mut estimate = HeightEstimate::default();
        estimate.add(|landmark| match landmark {
            Landmark::Nose => None,
            _ => standing(landmark, 420.0),
        });
        assert_eq!(estimate.height_px(), None);
    }

    #[test]
    fn crouching_frames_and_outliers_do_not_count() {
        let mut estimate = HeightEstimate::default();
        for i in 0..60 {
            estimate.add(|landmark| standing(landmark, 420.0));
            // Hips 300 px below the knees are bent by 180 degrees, like the knees.
            estimate.add(|landmark| standing(landmark, if i < 40 { -80.0 } else { 420.0 }));
            if i < 10 {
                estimate.add(|landmark| standing(landmark, 1420.0));
            }
        }
        let height_px = estimate.height_px().expect("a height");
        assert!(
            (height_px - 860.0 * OUT_OF_PLANE_FACTOR).abs() < 1e-9,
            "{height_px}"
        );
    }
}
