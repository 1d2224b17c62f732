//! What a video's frames say about each person as a whole, and who the main person is.
//!
//! Resident: one small record per person, however long the video is.

use std::collections::BTreeMap;

use crate::lake::PersonRecord;
use crate::pose::landmark::Landmark;
use crate::pose::{PersonPose, Pick};

/// Sums over the frames in which a person is seen.
#[derive(Default)]
struct Sums {
    first: (u64, f64),
    last: (u64, f64),
    frame_count: u64,
    probability: f64,
    visibility: f64,
    /// Fractions of the picture.
    center: [f64; 2],
    extent: [f64; 2],
    /// Diagonal of the box around the landmarks.
    size_px: f64,
    /// How much nearer to the picture's middle than its corners are.
    nearness_px: f64,
}

/// Everybody seen so far.
#[derive(Default)]
pub struct PersonStatistics {
    persons: BTreeMap<u16, Sums>,
}

impl PersonStatistics {
    /// Adds a frame in which these people are seen; `image_size_px` is the picture's width and
    /// height.
    pub fn add(
        &mut self,
        frame: u64,
        time_secs: f64,
        poses: &[PersonPose],
        image_size_px: [f64; 2],
    ) {
        for pose in poses {
            let sums = self.persons.entry(pose.person).or_insert_with(|| Sums {
                first: (frame, time_secs),
                ..Sums::default()
            });
            sums.last = (frame, time_secs);
            sums.frame_count += 1;
            sums.probability += f64::from(pose.probability);
            sums.visibility += pose.mean_visibility();
            let at = |landmark: Landmark| {
                let landmark = &pose.landmarks[landmark.index()];
                [f64::from(landmark.x), f64::from(landmark.y)]
            };
            let (left, right) = (at(Landmark::LeftHip), at(Landmark::RightHip));
            let center: [f64; 2] = std::array::from_fn(|axis| (left[axis] + right[axis]) / 2.0);
            let known = pose.landmarks.iter().filter(|l| l.is_known());
            let places = known.map(|l| [f64::from(l.x), f64::from(l.y)]);
            let [low, high] = places.fold([[f64::MAX; 2], [f64::MIN; 2]], |[low, high], place| {
                [
                    std::array::from_fn(|axis| low[axis].min(place[axis])),
                    std::array::from_fn(|axis| high[axis].max(place[axis])),
                ]
            });
            let extent: [f64; 2] = std::array::from_fn(|axis| high[axis] - low[axis]);
            let length_px = |v: [f64; 2]| (v[0] * image_size_px[0]).hypot(v[1] * image_size_px[1]);
            sums.size_px += length_px(extent);
            sums.nearness_px += length_px([0.5, 0.5]) - length_px(center.map(|v| v - 0.5));
            for axis in 0..2 {
                sums.center[axis] += center[axis];
                sums.extent[axis] += extent[axis];
            }
        }
    }

    /// Everybody by number; the main person is the one that `pick` says.
    ///
    /// Sizes and distances count as means over the whole video, where a frame in which someone is
    /// not seen counts as nothing: who passes close to the camera for a moment is not the main
    /// person.
    pub fn finish(&self, pick: Pick) -> Vec<PersonRecord> {
        let rank = |sums: &Sums| match pick {
            // Numbers are given in the order of appearance.
            Pick::First => 0.0,
            Pick::Largest => sums.size_px,
            Pick::Central => sums.nearness_px,
            Pick::Longest => sums.frame_count as f64,
        };
        // The lowest number of equals.
        let main = self
            .persons
            .iter()
            .reduce(|best, next| {
                if rank(next.1) > rank(best.1) {
                    next
                } else {
                    best
                }
            })
            .map(|(person, _)| *person);
        let record = |(person, sums): (&u16, &Sums)| {
            let frames = sums.frame_count as f64;
            PersonRecord {
                person: *person,
                is_main: Some(*person) == main,
                first_frame: sums.first.0,
                last_frame: sums.last.0,
                frame_count: sums.frame_count,
                first_time_secs: sums.first.1,
                last_time_secs: sums.last.1,
                mean_probability: sums.probability / frames,
                mean_visibility: sums.visibility / frames,
                mean_center: sums.center.map(|v| v / frames),
                mean_extent: sums.extent.map(|v| v / frames),
            }
        };
        self.persons.iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::ImageLandmark;
    use crate::pose::landmark::LANDMARK_COUNT;

    /// Someone whose landmarks fill a square of `side` around (x, y), fractions of the picture.
    fn pose(person: u16, x: f32, y: f32, side: f32) -> PersonPose {
        let mut landmarks = [ImageLandmark {
            x,
            y,
            visibility: 0.5,
            ..ImageLandmark::default()
        }; LANDMARK_COUNT];
        for (landmark, sign) in [(Landmark::Nose, -0.5), (Landmark::LeftAnkle, 0.5)] {
            landmarks[landmark.index()].x += sign * side;
            landmarks[landmark.index()].y += sign * side;
        }
        PersonPose {
            person,
            probability: 0.75,
            landmarks,
            world_m: [[0.0; 3]; LANDMARK_COUNT],
        }
    }

    /// Left: always there, small. Middle: a third of the time. Right: large, for two frames.
    fn three_people() -> PersonStatistics {
        let mut statistics = PersonStatistics::default();
        for frame in 0..30 {
            let mut poses = vec![pose(0, 0.125, 0.5, 0.125)];
            if frame >= 20 {
                poses.push(pose(1, 0.5, 0.5, 0.5));
            }
            if frame < 2 {
                poses.push(pose(2, 0.875, 0.5, 0.75));
            }
            statistics.add(frame, frame as f64 / 32.0, &poses, [200.0, 100.0]);
        }
        statistics
    }

    fn main(statistics: &PersonStatistics, pick: Pick) -> Option<u16> {
        let persons = statistics.finish(pick);
        let mut mains = persons.iter().filter(|person| person.is_main);
        let main = mains.next().map(|person| person.person);
        assert!(mains.next().is_none(), "one main person");
        main
    }

    #[test]
    fn the_main_person_is_the_one_that_was_asked_for() {
        let people = three_people();
        assert_eq!(main(&people, Pick::First), Some(0));
        assert_eq!(main(&people, Pick::Longest), Some(0));
        // 10 frames of 0.5 against 30 of 0.125 and 2 of 0.75.
        assert_eq!(main(&people, Pick::Largest), Some(1));
        // 30 frames 75 px off the middle, of 111.8 to a corner, against 10 frames in the middle.
        assert_eq!(main(&people, Pick::Central), Some(1));
        assert_eq!(main(&PersonStatistics::default(), Pick::First), None);
    }

    #[test]
    fn means_are_over_the_frames_in_which_someone_is_seen() {
        let persons = three_people().finish(Pick::First);
        let middle = &persons[1];
        assert_eq!((middle.first_frame, middle.last_frame), (20, 29));
        assert_eq!(middle.frame_count, 10);
        assert_eq!(middle.first_time_secs, 20.0 / 32.0);
        assert_eq!(middle.last_time_secs, 29.0 / 32.0);
        assert_eq!(middle.mean_probability, 0.75);
        assert_eq!(middle.mean_visibility, 0.5);
        assert_eq!(middle.mean_center, [0.5, 0.5]);
        assert_eq!(middle.mean_extent, [0.5, 0.5]);
    }
}
