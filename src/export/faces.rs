//! Makes faces unrecognizable: coarse squares over the head, of everybody whom the lake has in a frame.
//!
//! A person is lost for single frames now and then, and one frame is enough to recognize somebody: for
//! half a second after the last frame in which they were found, the place where their head was stays
//! covered, and the cover grows. Who was not found yet is shown as they are.

use std::collections::BTreeMap;

use crate::lake::PersonRow;
use crate::metrics::geometry::{distance, midpoint};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;
use crate::video::{Canvas, DrawError, Frame};

/// For so long a head stays covered after its person was lost.
const LOST_SECS: f64 = 0.5;
/// In each second a head may have moved by so many of its radii.
const LOST_GROWTH_PER_SEC: f64 = 2.0;

/// Where people were last seen, by number.
#[derive(Default)]
pub(super) struct LostFaces {
    last: BTreeMap<u16, (f64, PersonPose)>,
}

impl LostFaces {
    /// Nobody has been seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Covers the heads of those who are not in this frame, but were shortly before. It is to be called with
    /// each frame, in their order.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn cover(&mut self, frame: &mut Frame, persons: &[PersonRow]) -> Result<(), DrawError> {
        let time_secs = frame.time.as_secs();
        for (pose, reach) in self.lost(persons, time_secs) {
            blur(&mut frame.canvas(), pose, reach)?;
        }
        self.remember(persons, time_secs);
        Ok(())
    }

    /// Poses of those who are lost, and how far their heads may reach by now.
    fn lost(
        &self,
        persons: &[PersonRow],
        time_secs: f64,
    ) -> impl Iterator<Item = (&PersonPose, f64)> {
        let is_here = |person: u16| persons.iter().any(|row| row.pose.person == person);
        let gone = self
            .last
            .iter()
            .filter(move |(person, _)| !is_here(**person));
        gone.filter_map(move |(_, (seen_secs, pose))| {
            let secs = (time_secs - seen_secs).max(0.0);
            (secs <= LOST_SECS).then_some((pose, 1.0 + LOST_GROWTH_PER_SEC * secs))
        })
    }

    fn remember(&mut self, persons: &[PersonRow], time_secs: f64) {
        for row in persons {
            let pose = row.pose.clone();
            self.last.insert(row.pose.person, (time_secs, pose));
        }
    }
}

/// Squares across a blurred face: too few for anybody to be recognized.
const SQUARES_ACROSS_FACE: f64 = 6.0;
/// A head reaches so much farther than its landmarks, which lie around eyes, ears and mouth.
const HEAD_PER_LANDMARKS: f64 = 2.5;
/// The head's radius by the way from the middle of the shoulders to the nose, at least: in side view
/// and from behind the landmarks of the head lie close together.
const HEAD_PER_NECK: f64 = 0.9;
/// And by the trunk's length, where the head is bent towards the shoulders.
const HEAD_PER_TRUNK: f64 = 0.3;
/// The middle of a head above the shoulders, in trunk lengths, where nothing of it is known.
const HEAD_ABOVE_SHOULDERS: f64 = 0.35;

/// Covers the head of a person; `reach` of 1 is its own size.
///
/// # Errors
/// When OpenCV fails.
pub(super) fn blur(
    canvas: &mut Canvas<'_>,
    pose: &PersonPose,
    reach: f64,
) -> Result<(), DrawError> {
    use Landmark::*;
    let (width, height) = (canvas.width_px(), canvas.height_px());
    let at = |landmark: Landmark| {
        let point = &pose.landmarks[landmark.index()];
        [f64::from(point.x) * width, f64::from(point.y) * height]
    };
    let head = [
        Nose,
        LeftEye,
        RightEye,
        LeftEyeOuter,
        RightEyeOuter,
        LeftEar,
        RightEar,
        MouthLeft,
        MouthRight,
    ];
    let shoulders = midpoint(at(LeftShoulder), at(RightShoulder));
    let hips = midpoint(at(LeftHip), at(RightHip));
    let trunk = distance(shoulders, hips);
    let head = head.map(at);
    let known: Vec<[f64; 2]> = (head.into_iter().filter(|place| !place[0].is_nan())).collect();
    let count = known.len() as f64;
    // A pose model that gives nothing of the head gives the trunk, on which it sits.
    let center = match known.as_slice() {
        [] => [0, 1]
            .map(|axis| shoulders[axis] + HEAD_ABOVE_SHOULDERS * (shoulders[axis] - hips[axis])),
        known => [0, 1].map(|axis| known.iter().map(|place| place[axis]).sum::<f64>() / count),
    };
    let landmarks_reach = known
        .iter()
        .map(|place| distance(*place, center))
        .fold(0.0, f64::max);
    let neck = distance(
        shoulders,
        if head[0][0].is_nan() { center } else { head[0] },
    );
    let radius = (HEAD_PER_LANDMARKS * landmarks_reach)
        .max(HEAD_PER_NECK * neck)
        .max(HEAD_PER_TRUNK * trunk)
        * reach;
    let square = (2.0 * radius / SQUARES_ACROSS_FACE).ceil().max(2.0);
    canvas.pixelate(center, radius, square as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::FrameMetrics;
    use crate::pose::ImageLandmark;
    use crate::pose::landmark::LANDMARK_COUNT;

    fn row(person: u16) -> PersonRow {
        PersonRow {
            pose: PersonPose {
                person,
                probability: 1.0,
                landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
                world_m: [[0.0; 3]; LANDMARK_COUNT],
            },
            metrics: FrameMetrics::NO_POSE,
        }
    }

    #[test]
    fn a_head_stays_covered_for_half_a_second_after_its_person_was_lost() {
        let mut faces = LostFaces::new();
        let lost = |faces: &LostFaces, persons: &[PersonRow], time_secs: f64| -> Vec<(u16, f64)> {
            let lost = faces.lost(persons, time_secs);
            lost.map(|(pose, reach)| (pose.person, reach)).collect()
        };
        faces.remember(&[row(0), row(3)], 1.0);
        assert_eq!(lost(&faces, &[row(0), row(3)], 1.04), []);
        assert_eq!(lost(&faces, &[row(0)], 1.25), [(3, 1.5)]);
        faces.remember(&[row(0)], 1.25);
        assert_eq!(lost(&faces, &[], 1.5), [(0, 1.5), (3, 2.0)]);
        assert_eq!(lost(&faces, &[], 1.75), [(0, 2.0)]);
        assert_eq!(lost(&faces, &[], 1.76), []);
    }
}
