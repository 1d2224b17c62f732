//! Makes faces unrecognizable: coarse squares over the head, of everybody whom the lake has in a frame or shortly
//! before or after it.
//!
//! A person is found a moment after they appear, and lost for single frames now and then, and one frame is
//! enough to recognize somebody. So for a second after the last frame in which they were found, and for a
//! second before the first one, the place where their head was or will be is covered, and the cover grows
//! with the time between. Whom the lake never has is shown as they are.

use std::collections::BTreeMap;

use crate::lake::PersonRow;
use crate::metrics::geometry::{distance, midpoint};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;
use crate::video::{Canvas, DrawError, Frame};

/// For so long a head is covered after its person was lost, and before they are found.
pub const REACH_SECS: f64 = 1.0;
/// In each second a head may have moved by so many of its radii.
const GROWTH_PER_SEC: f64 = 2.0;
/// The first poses of somebody who has just been found may be torn apart; one so much later is looked at,
/// too.
const SETTLED_SECS: f64 = 0.2;

/// Who is in a frame and in those after it, by the time of the lake's rows.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// When the frame was taken, real seconds.
    pub time_secs: f64,
    /// Who was found in it.
    pub persons: &'a [PersonRow],
    /// Times and people of the frames after it, for [`REACH_SECS`] at least where the video goes on so
    /// long; in their order.
    pub later: &'a [(f64, &'a [PersonRow])],
}

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

    /// Covers the heads of those who are not in this frame, but are shortly before or after it. It is to be
    /// called with each frame, in their order.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn cover(&mut self, frame: &mut Frame, scene: Scene<'_>) -> Result<(), DrawError> {
        for (pose, reach) in self.lost(scene).chain(not_found_yet(scene)) {
            blur(&mut frame.canvas(), pose, reach)?;
        }
        self.remember(scene);
        Ok(())
    }

    /// Poses of those who are lost, and how far their heads may reach by now.
    fn lost<'s>(&'s self, scene: Scene<'s>) -> impl Iterator<Item = (&'s PersonPose, f64)> {
        let gone = (self.last.iter()).filter(move |(person, _)| !scene.has(**person));
        gone.filter_map(move |(_, (seen_secs, pose))| {
            Some((pose, reach(scene.time_secs - seen_secs)?))
        })
    }

    fn remember(&mut self, scene: Scene<'_>) {
        for row in scene.persons {
            let pose = row.pose.clone();
            self.last.insert(row.pose.person, (scene.time_secs, pose));
        }
    }
}

impl Scene<'_> {
    fn has(&self, person: u16) -> bool {
        self.persons.iter().any(|row| row.pose.person == person)
    }
}

/// How far a head may be from where it is at a time so far away, in its radii; `None` where that says nothing
/// any more.
fn reach(secs: f64) -> Option<f64> {
    let secs = secs.max(0.0);
    (secs <= REACH_SECS).then_some(1.0 + GROWTH_PER_SEC * secs)
}

/// When somebody is found first, and poses of theirs with how far from there their heads may be.
type Arrival<'a> = (f64, Vec<(&'a PersonPose, f64)>);

/// Poses of those who are found shortly after the frame, the first one and a settled one of each, and how far
/// from there their heads may be.
fn not_found_yet(scene: Scene<'_>) -> impl Iterator<Item = (&PersonPose, f64)> {
    let mut found: BTreeMap<u16, Arrival<'_>> = BTreeMap::new();
    for (secs, persons) in scene.later {
        let Some(reach) = reach(secs - scene.time_secs) else {
            break;
        };
        let unseen = (persons.iter()).filter(|row| !scene.has(row.pose.person));
        for PersonRow { pose, .. } in unseen {
            let (first_secs, poses) = found.entry(pose.person).or_insert((*secs, Vec::new()));
            if secs - *first_secs <= SETTLED_SECS {
                poses.truncate(1);
                poses.push((pose, reach));
            }
        }
    }
    found.into_values().flat_map(|(_, poses)| poses)
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

    fn scene(time_secs: f64, persons: &[PersonRow]) -> Scene<'_> {
        Scene {
            time_secs,
            persons,
            later: &[],
        }
    }

    #[test]
    fn a_head_stays_covered_for_a_second_after_its_person_was_lost() {
        let mut faces = LostFaces::new();
        let lost = |faces: &LostFaces, persons: &[PersonRow], time_secs: f64| -> Vec<(u16, f64)> {
            let lost = faces.lost(scene(time_secs, persons));
            lost.map(|(pose, reach)| (pose.person, reach)).collect()
        };
        let (zero, both) = ([row(0)], [row(0), row(3)]);
        faces.remember(scene(1.0, &both));
        assert_eq!(lost(&faces, &both, 1.04), []);
        assert_eq!(lost(&faces, &zero, 1.5), [(3, 2.0)]);
        faces.remember(scene(1.5, &zero));
        assert_eq!(lost(&faces, &[], 2.0), [(0, 2.0), (3, 3.0)]);
        assert_eq!(lost(&faces, &[], 2.5), [(0, 3.0)]);
        assert_eq!(lost(&faces, &[], 2.51), []);
    }

    #[test]
    fn a_head_is_covered_for_a_second_before_its_person_is_found() {
        let (zero, both) = ([row(0)], [row(0), row(3)]);
        let later: Vec<(f64, &[PersonRow])> = vec![
            (0.5, &zero),
            (1.0, &both),
            (1.125, &both),
            (1.1875, &zero),
            (1.5, &both),
        ];
        let covered = |time_secs: f64, persons: &[PersonRow]| -> Vec<(u16, f64)> {
            let after = later.partition_point(|(secs, _)| *secs <= time_secs);
            let scene = Scene {
                time_secs,
                persons,
                later: &later[after..],
            };
            let poses = not_found_yet(scene);
            poses.map(|(pose, reach)| (pose.person, reach)).collect()
        };
        // The first pose, and the last one of those that follow it at once.
        assert_eq!(covered(0.5, &zero), [(3, 2.0), (3, 2.25)]);
        assert_eq!(covered(0.0, &zero), [(3, 3.0)]);
        assert_eq!(covered(-0.5, &zero), []);
        assert_eq!(covered(-0.5, &[]), [(0, 3.0)]);
        // Lost between two frames: found again.
        assert_eq!(covered(1.1875, &zero), [(3, 1.625)]);
        assert_eq!(covered(1.0, &both), []);
    }
}
