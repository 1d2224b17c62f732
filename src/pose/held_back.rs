//! Holds frames' poses back until it is known who else was in them.

use std::collections::VecDeque;

use super::PersonPose;

/// Someone who became certain later, as they were in an earlier frame.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierPose {
    /// How many frames before the frame that was estimated last; at least 1.
    pub frames_ago: usize,
    /// Its number is the one that the person has now.
    pub pose: PersonPose,
}

/// The poses of the latest frames, each with what the caller wants to know of its frame.
///
/// Resident: at most so many frames as it is made for, with about 1.1 KB for each person in them.
pub struct HeldBack<T> {
    length: usize,
    frames: VecDeque<(T, Vec<PersonPose>)>,
}

impl<T> HeldBack<T> {
    /// Holds `length` frames back; none with 0.
    pub fn new(length: usize) -> Self {
        Self {
            length,
            frames: VecDeque::new(),
        }
    }

    /// Adds a frame and who is in it, and to the frames before who is known to have been in them
    /// now. The frame that nobody can be added to any more, if there is one, is given back.
    pub fn push(
        &mut self,
        frame: T,
        poses: Vec<PersonPose>,
        earlier: Vec<EarlierPose>,
    ) -> Option<(T, Vec<PersonPose>)> {
        self.frames.push_back((frame, poses));
        for EarlierPose { frames_ago, pose } in earlier {
            let position = self.frames.len().checked_sub(1 + frames_ago);
            let Some((_, poses)) = position.and_then(|i| self.frames.get_mut(i)) else {
                continue;
            };
            // Someone who was lost and is recognised may have been followed twice for a while.
            if let Err(place) = poses.binary_search_by_key(&pose.person, |known| known.person) {
                poses.insert(place, pose);
            }
        }
        (self.frames.len() > self.length)
            .then(|| self.frames.pop_front())
            .flatten()
    }

    /// The first of the frames that are left when the video has ended.
    pub fn pop(&mut self) -> Option<(T, Vec<PersonPose>)> {
        self.frames.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::ImageLandmark;
    use crate::pose::landmark::LANDMARK_COUNT;

    fn pose(person: u16) -> PersonPose {
        PersonPose {
            person,
            probability: 1.0,
            landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
            world_m: [[0.0; 3]; LANDMARK_COUNT],
        }
    }

    fn earlier(frames_ago: usize, person: u16) -> EarlierPose {
        EarlierPose {
            frames_ago,
            pose: pose(person),
        }
    }

    fn people(frame: Option<(u32, Vec<PersonPose>)>) -> Option<(u32, Vec<u16>)> {
        frame.map(|(frame, poses)| (frame, poses.iter().map(|pose| pose.person).collect()))
    }

    #[test]
    fn who_becomes_certain_is_added_to_the_frames_that_are_held() {
        let mut held = HeldBack::new(2);
        assert_eq!(people(held.push(0, vec![pose(1)], vec![])), None);
        assert_eq!(people(held.push(1, vec![pose(1)], vec![])), None);
        let told = vec![earlier(1, 0), earlier(2, 0), earlier(2, 1), earlier(3, 0)];
        let first = held.push(2, vec![pose(0), pose(1)], told);
        assert_eq!(
            people(first),
            Some((0, vec![0, 1])),
            "nobody twice, by number"
        );
        assert_eq!(people(held.pop()), Some((1, vec![0, 1])));
        assert_eq!(people(held.pop()), Some((2, vec![0, 1])));
        assert_eq!(people(held.pop()), None);
    }

    #[test]
    fn nothing_is_held_by_one_of_length_zero() {
        let mut held = HeldBack::new(0);
        let first = held.push(0, vec![pose(0)], vec![earlier(1, 1)]);
        assert_eq!(people(first), Some((0, vec![0])));
        assert_eq!(people(held.pop()), None);
    }
}
