//! Makes faces unrecognizable: coarse squares over the head, of everybody whom the lake has in a frame or shortly
//! before or after it.
//!
//! A person is found a moment after they appear, and lost for single frames now and then, and one frame is
//! enough to recognize somebody. So for a second after the last frame in which they were found, and for a
//! second before the first one, the place where their head was or will be is covered, and the cover grows
//! with the time between. Who walks goes several heads far in that second, so that the place to which they come,
//! or from which they came, by their speed is covered as well. The first and the last poses of somebody may be
//! torn apart: one a moment farther from the gap is looked at, too, and while a pose may be so, because its
//! person was found a moment ago, the head's place shortly afterwards is covered besides. Whom the lake never
//! has is shown as they are.

use std::collections::{BTreeMap, VecDeque};

use crate::lake::PersonRow;
use crate::metrics::geometry::{distance, midpoint};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;
use crate::video::{Canvas, DrawError, Frame};

/// For so long a head is covered after its person was lost, and before they are found.
const REACH_SECS: f64 = 1.0;
/// In each second a head may have moved by so many of its radii, beside its speed.
const GROWTH_PER_SEC: f64 = 2.0;
/// The first and last poses of somebody may be torn apart for so long.
const SETTLED_SECS: f64 = 0.2;
/// A head's speed is that over so long.
const SPEED_SECS: f64 = 0.3;
/// In less time a tremble looks like a speed.
const MIN_SPEED_SECS: f64 = 0.1;
/// What has to be known of the frames after one.
pub const LOOK_AHEAD_SECS: f64 = REACH_SECS + SETTLED_SECS + SPEED_SECS;

/// Who is in a frame and in those after it, by the time of the lake's rows.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// When the frame was taken, real seconds.
    pub time_secs: f64,
    /// Who was found in it.
    pub persons: &'a [PersonRow],
    /// Times and people of the frames after it, for [`LOOK_AHEAD_SECS`] at least where the video goes on
    /// so long; in their order.
    pub later: &'a [(f64, &'a [PersonRow])],
}

/// A head's place that is to be covered.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cover<'a> {
    pose: &'a PersonPose,
    /// How far from the pose's head, in sides of the picture.
    moved: [f64; 2],
    /// How far the head may be from there, in its radii.
    reach: f64,
}

/// Where people were last seen, by number.
#[derive(Default)]
pub(super) struct LostFaces {
    /// Poses of the moments before they were lost, the latest one last.
    last: BTreeMap<u16, VecDeque<(f64, PersonPose)>>,
    /// When those who are seen now were found.
    found_secs: BTreeMap<u16, f64>,
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
        self.find(scene);
        let lost = self.lost(scene).chain(not_found_yet(scene));
        for Cover { pose, moved, reach } in lost.chain(self.settling(scene)) {
            blur_moved(&mut frame.canvas(), pose, moved, reach)?;
        }
        self.remember(scene);
        Ok(())
    }

    /// Notes who was not there in the frame before.
    fn find(&mut self, scene: Scene<'_>) {
        self.found_secs.retain(|person, _| scene.has(*person));
        for row in scene.persons {
            let found_secs = self.found_secs.entry(row.pose.person);
            found_secs.or_insert(scene.time_secs);
        }
    }

    /// Those who are lost.
    fn lost<'s>(&'s self, scene: Scene<'s>) -> impl Iterator<Item = Cover<'s>> {
        let gone = (self.last.iter()).filter(move |(person, _)| !scene.has(**person));
        gone.flat_map(move |(_, poses)| {
            let poses: Vec<Seen<'_>> = poses
                .iter()
                .rev()
                .map(|(secs, pose)| (*secs, pose))
                .collect();
            beyond(scene.time_secs, &poses)
        })
    }

    /// Those who have just been found, where their poses will have settled.
    fn settling<'s>(&self, scene: Scene<'s>) -> impl Iterator<Item = Cover<'s>> {
        self.found_secs
            .iter()
            .flat_map(move |(person, found_secs)| {
                let settles_secs = found_secs + SETTLED_SECS;
                let poses = scene.later_of(*person, settles_secs + SPEED_SECS);
                let place = poses.iter().rposition(|(secs, _)| *secs <= settles_secs);
                let covers = place.map(|place| settled(scene.time_secs, &poses[place..]));
                covers.into_iter().flatten()
            })
    }

    fn remember(&mut self, scene: Scene<'_>) {
        let is_near = |(secs, _): &(f64, PersonPose)| scene.time_secs - secs <= REACH_SECS;
        (self.last).retain(|_, poses| poses.back().is_some_and(is_near));
        for row in scene.persons {
            let poses = self.last.entry(row.pose.person).or_default();
            poses.push_back((scene.time_secs, row.pose.clone()));
            let is_old =
                |(secs, _): &(f64, PersonPose)| scene.time_secs - secs > SETTLED_SECS + SPEED_SECS;
            while poses.front().is_some_and(is_old) {
                poses.pop_front();
            }
        }
    }
}

/// A pose and its time.
type Seen<'a> = (f64, &'a PersonPose);

impl<'a> Scene<'a> {
    fn has(&self, person: u16) -> bool {
        self.persons.iter().any(|row| row.pose.person == person)
    }

    /// Poses of a person in the frames after this one, up to a time.
    fn later_of(&self, person: u16, until_secs: f64) -> Vec<Seen<'a>> {
        let later = (self.later.iter()).take_while(|(secs, _)| *secs <= until_secs);
        let poses = later.filter_map(|(secs, persons)| {
            let row = persons.iter().find(|row| row.pose.person == person)?;
            Some((*secs, &row.pose))
        });
        poses.collect()
    }
}

/// How far a head may be from where it is at a time so far away, in its radii.
fn reach(secs: f64) -> f64 {
    1.0 + GROWTH_PER_SEC * secs.abs()
}

/// Places of a head at a time at which it is not seen. `poses` lead away from that time: the nearest one is first.
fn beyond<'a>(time_secs: f64, poses: &[Seen<'a>]) -> Vec<Cover<'a>> {
    let Some((nearest_secs, nearest)) = poses.first().copied() else {
        return Vec::new();
    };
    if (nearest_secs - time_secs).abs() > REACH_SECS {
        return Vec::new();
    }
    let is_torn = |(secs, _): &Seen<'a>| (secs - nearest_secs).abs() <= SETTLED_SECS;
    let settles = poses.iter().take_while(|seen| is_torn(seen)).count() - 1;
    let mut covers = vec![Cover {
        pose: nearest,
        moved: [0.0; 2],
        reach: reach(nearest_secs - time_secs),
    }];
    let is_another = |cover: &Cover<'_>| settles > 0 || cover.moved != [0.0; 2];
    covers.extend(
        settled(time_secs, &poses[settles..])
            .into_iter()
            .filter(is_another),
    );
    covers
}

/// The same by a pose that is settled, the first one, and by its head's speed.
fn settled<'a>(time_secs: f64, poses: &[Seen<'a>]) -> Vec<Cover<'a>> {
    let Some((secs, pose)) = poses.first().copied() else {
        return Vec::new();
    };
    let still = Cover {
        pose,
        moved: [0.0; 2],
        reach: reach(secs - time_secs),
    };
    let near = |(other, _): &&Seen<'a>| (other - secs).abs() <= SPEED_SECS;
    let farthest = poses.iter().take_while(near).last();
    let speed = farthest.and_then(|(other_secs, other)| {
        let between_secs = other_secs - secs;
        let (from, to) = (head_place(pose), head_place(other));
        (between_secs.abs() >= MIN_SPEED_SECS)
            .then(|| [0, 1].map(|axis| (to[axis] - from[axis]) / between_secs))
    });
    let moved = speed.map(|speed| speed.map(|speed| speed * (time_secs - secs)));
    let moved = moved.filter(|moved| *moved != [0.0; 2] && moved.iter().all(|way| way.is_finite()));
    let moved = moved.map(|moved| Cover { moved, ..still });
    [Some(still), moved].into_iter().flatten().collect()
}

/// Those who are found shortly after the frame.
fn not_found_yet(scene: Scene<'_>) -> impl Iterator<Item = Cover<'_>> {
    let mut first_secs: BTreeMap<u16, f64> = BTreeMap::new();
    for (secs, persons) in scene.later {
        if secs - scene.time_secs > REACH_SECS {
            break;
        }
        let unseen = (persons.iter()).filter(|row| !scene.has(row.pose.person));
        for row in unseen {
            first_secs.entry(row.pose.person).or_insert(*secs);
        }
    }
    first_secs
        .into_iter()
        .flat_map(move |(person, first_secs)| {
            let until_secs = first_secs + SETTLED_SECS + SPEED_SECS;
            beyond(scene.time_secs, &scene.later_of(person, until_secs))
        })
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

/// Landmarks of the head, the nose first.
const HEAD: [Landmark; 9] = {
    use Landmark::*;
    [
        Nose,
        LeftEye,
        RightEye,
        LeftEyeOuter,
        RightEyeOuter,
        LeftEar,
        RightEar,
        MouthLeft,
        MouthRight,
    ]
};

/// A landmark's place in a picture of these sides.
fn place(pose: &PersonPose, landmark: Landmark, [width, height]: [f64; 2]) -> [f64; 2] {
    let point = &pose.landmarks[landmark.index()];
    [f64::from(point.x) * width, f64::from(point.y) * height]
}

/// The middles of shoulders and hips.
fn trunk_ends(pose: &PersonPose, size: [f64; 2]) -> [[f64; 2]; 2] {
    use Landmark::*;
    [[LeftShoulder, RightShoulder], [LeftHip, RightHip]]
        .map(|[left, right]| midpoint(place(pose, left, size), place(pose, right, size)))
}

/// Where the head's known landmarks are.
fn known_places(pose: &PersonPose, size: [f64; 2]) -> Vec<[f64; 2]> {
    let places = HEAD.into_iter().map(|landmark| place(pose, landmark, size));
    places.filter(|place| !place[0].is_nan()).collect()
}

/// The middle of the head. A pose model that gives nothing of it gives the trunk, on which it sits.
fn head_center(pose: &PersonPose, size: [f64; 2]) -> [f64; 2] {
    let known = known_places(pose, size);
    match known.as_slice() {
        [] => {
            let [shoulders, hips] = trunk_ends(pose, size);
            [0, 1]
                .map(|axis| shoulders[axis] + HEAD_ABOVE_SHOULDERS * (shoulders[axis] - hips[axis]))
        }
        known => {
            let count = known.len() as f64;
            [0, 1].map(|axis| known.iter().map(|place| place[axis]).sum::<f64>() / count)
        }
    }
}

/// The same in sides of the picture.
fn head_place(pose: &PersonPose) -> [f64; 2] {
    head_center(pose, [1.0; 2])
}

/// Covers the head of a person; `reach` of 1 is its own size.
///
/// # Errors
/// When OpenCV fails.
pub(super) fn blur(
    canvas: &mut Canvas<'_>,
    pose: &PersonPose,
    reach: f64,
) -> Result<(), DrawError> {
    blur_moved(canvas, pose, [0.0; 2], reach)
}

/// The same for a head that is elsewhere by so many of the picture's sides.
fn blur_moved(
    canvas: &mut Canvas<'_>,
    pose: &PersonPose,
    moved: [f64; 2],
    reach: f64,
) -> Result<(), DrawError> {
    let size = [canvas.width_px(), canvas.height_px()];
    let [shoulders, hips] = trunk_ends(pose, size);
    let trunk = distance(shoulders, hips);
    let center = head_center(pose, size);
    let landmarks_reach = (known_places(pose, size).iter())
        .map(|place| distance(*place, center))
        .fold(0.0, f64::max);
    let nose = place(pose, HEAD[0], size);
    let neck = distance(shoulders, if nose[0].is_nan() { center } else { nose });
    let radius = (HEAD_PER_LANDMARKS * landmarks_reach)
        .max(HEAD_PER_NECK * neck)
        .max(HEAD_PER_TRUNK * trunk)
        * reach;
    let square = (2.0 * radius / SQUARES_ACROSS_FACE).ceil().max(2.0);
    let center = [0, 1].map(|axis| center[axis] + moved[axis] * size[axis]);
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

    fn told<'a>(covers: impl Iterator<Item = Cover<'a>>) -> Vec<(u16, f64)> {
        covers
            .map(|cover| (cover.pose.person, cover.reach))
            .collect()
    }

    /// Somebody whose head goes to the right by half of the picture's width a second.
    fn walker(person: u16, time_secs: f64) -> PersonRow {
        let mut row = row(person);
        for landmark in &mut row.pose.landmarks {
            landmark.x = (0.25 + 0.5 * time_secs) as f32;
        }
        row
    }

    #[test]
    fn who_walks_is_covered_where_they_come_from_and_where_they_go() {
        // Seen from 1 s to 2 s.
        let frames: Vec<(f64, Vec<PersonRow>)> = (0..60)
            .map(|frame| f64::from(frame) / 20.0)
            .map(|secs| {
                (
                    secs,
                    (1.0..=2.0)
                        .contains(&secs)
                        .then(|| walker(0, secs))
                        .into_iter()
                        .collect(),
                )
            })
            .collect();
        let later: Vec<(f64, &[PersonRow])> = (frames.iter())
            .map(|(secs, persons)| (*secs, persons.as_slice()))
            .collect();
        let mut faces = LostFaces::new();
        let mut unseen = 0;
        for (at, (time_secs, persons)) in later.iter().enumerate() {
            let scene = Scene {
                time_secs: *time_secs,
                persons,
                later: &later[at + 1..],
            };
            faces.find(scene);
            let covers: Vec<Cover<'_>> = faces.lost(scene).chain(not_found_yet(scene)).collect();
            let there = 0.25 + 0.5 * time_secs;
            let places = covers
                .iter()
                .map(|cover| head_place(cover.pose)[0] + cover.moved[0]);
            let nearest = places
                .map(|place| (place - there).abs())
                .fold(1.0, f64::min);
            if persons.is_empty() && (0.05..=2.95).contains(time_secs) {
                unseen += 1;
                assert!(nearest < 1e-5, "{time_secs}: {nearest}");
            }
            faces.remember(scene);
        }
        assert_eq!(unseen, 38);
    }

    #[test]
    fn a_head_stays_covered_for_a_second_after_its_person_was_lost() {
        let mut faces = LostFaces::new();
        let lost = |faces: &LostFaces, persons: &[PersonRow], time_secs: f64| -> Vec<(u16, f64)> {
            told(faces.lost(scene(time_secs, persons)))
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
    fn a_pose_that_may_be_torn_apart_is_covered_where_it_settles_too() {
        let both = [row(0), row(3)];
        let zero = [row(0)];
        let times = [0.0, 0.125, 0.1875, 0.25, 1.0, 1.125, 1.25];
        let later: Vec<(f64, &[PersonRow])> = (times.into_iter())
            .map(|secs| (secs, if secs < 1.0 { &zero[..] } else { &both[..] }))
            .collect();
        let mut faces = LostFaces::new();
        let mut settling = |at: usize| -> Vec<(u16, f64)> {
            let (time_secs, persons) = later[at];
            let scene = Scene {
                time_secs,
                persons,
                later: &later[at + 1..],
            };
            faces.find(scene);
            told(faces.settling(scene))
        };
        assert_eq!(settling(0), [(0, 1.375)]);
        assert_eq!(settling(1), [(0, 1.125)]);
        assert_eq!(settling(2), []);
        assert_eq!(settling(3), []);
        // Who is found later settles later.
        assert_eq!(settling(4), [(3, 1.25)]);
        assert_eq!(settling(5), []);
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
            told(not_found_yet(scene))
        };
        // The first pose, and the last one of those that follow it at once.
        assert_eq!(covered(0.5, &zero), [(3, 2.0), (3, 2.25)]);
        assert_eq!(covered(0.0, &zero), [(3, 3.0), (3, 3.25)]);
        assert_eq!(covered(-0.5, &zero), []);
        assert_eq!(covered(-0.5, &[]), [(0, 3.0)]);
        // Lost between two frames: found again.
        assert_eq!(covered(1.1875, &zero), [(3, 1.625)]);
        assert_eq!(covered(1.0, &both), []);
    }
}
