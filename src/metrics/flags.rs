//! Flags of frames that are not to be trusted: left and right exchanged, bones that jump in length,
//! people who are somewhere else all of a sudden.
//!
//! All look at earlier frames only and keep a fixed amount of state, so that they work while a
//! video is read. Their thresholds were set on MediaPipe's own landmarks of a clip of walking,
//! running and jumping (`tests/goldens`): right frames lie well below them.

use super::geometry::{distance, midpoint};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;

/// Left and right of what is exchanged together; arms and legs are exchanged apart from another.
const SWAP_GROUPS: [&[[Landmark; 2]]; 2] = {
    use Landmark::*;
    [
        &[
            [LeftKnee, RightKnee],
            [LeftAnkle, RightAnkle],
            [LeftHeel, RightHeel],
            [LeftFootIndex, RightFootIndex],
        ],
        &[
            [LeftElbow, RightElbow],
            [LeftWrist, RightWrist],
            [LeftIndex, RightIndex],
        ],
    ]
};

/// Exchanged landmarks must lie this many times nearer to where they were expected. In right
/// frames of the test clip the factor is below 2 for legs and below 1 for arms, in wrong ones
/// between 2.4 and 14.
const SWAP_FACTOR: f64 = 2.0;
/// And nearer by this much, in torso lengths per landmark: limbs that lie upon each other can be
/// told apart by nobody.
const SWAP_MIN_GAIN_TORSO: f64 = 0.1;

/// A person's landmarks in pixels, whatever their visibility: a swap is often one between a
/// visible limb and the hidden one behind it. NaN where the pose model does not give a landmark.
pub(super) type Pixels = [[f64; 2]; crate::pose::landmark::LANDMARK_COUNT];

/// Whether legs or arms of `now` fit `expected` far better with left and right exchanged; `None` where
/// the pose model gives neither. `torso_px` is the length of the trunk in `now`, > 0.
pub(super) fn is_swapped(expected: &Pixels, now: &Pixels, torso_px: f64) -> Option<bool> {
    let groups = SWAP_GROUPS.iter().filter_map(|pairs| {
        let (mut same_px, mut exchanged_px, mut known) = (0.0, 0.0, 0);
        for &[left, right] in *pairs {
            let way = |a: Landmark, b: Landmark| distance(now[a.index()], expected[b.index()]);
            let same = way(left, left) + way(right, right);
            let exchanged = way(left, right) + way(right, left);
            if same.is_nan() || exchanged.is_nan() {
                // The pose model does not give this pair.
                continue;
            }
            same_px += same;
            exchanged_px += exchanged;
            known += 1;
        }
        let gain_torso = (same_px - exchanged_px) / f64::from(2 * known) / torso_px;
        let is_swapped = same_px > SWAP_FACTOR * exchanged_px && gain_torso > SWAP_MIN_GAIN_TORSO;
        (known > 0).then_some(is_swapped)
    });
    groups.reduce(|one, other| one || other)
}

/// Where the landmarks are expected if they go on as in the frame before.
pub(super) fn extrapolated(earlier: &Pixels, before: &Pixels, steps: f64) -> Pixels {
    std::array::from_fn(|i| {
        std::array::from_fn(|k| before[i][k] + (before[i][k] - earlier[i][k]) * steps)
    })
}

/// Nobody moves that fast across the picture: 20 m/s, as a torso is about half a metre long. In the
/// test clip the fastest true motion is 16 torso lengths per second.
const MAX_SPEED_TORSO_PER_SEC: f64 = 40.0;
/// And that is what cannot be a tremble of the landmarks at a high frame rate.
const MIN_JUMP_TORSO: f64 = 1.0;

/// Whether `now` is somebody else than `before`, or the same person found again elsewhere: the
/// middle of the trunk moved by more than a torso length, faster than anybody moves. Also hidden
/// landmarks are used. Paths of landmarks do not go on over a jump.
pub fn is_jump(
    before: &PersonPose,
    now: &PersonPose,
    elapsed_secs: f64,
    image_size_px: [f64; 2],
) -> bool {
    use Landmark::*;
    let [width, height] = image_size_px;
    let trunk = |pose: &PersonPose| {
        let point = |landmark: Landmark| {
            let landmark = &pose.landmarks[landmark.index()];
            [
                f64::from(landmark.x) * width,
                f64::from(landmark.y) * height,
            ]
        };
        let neck = midpoint(point(LeftShoulder), point(RightShoulder));
        let hips = midpoint(point(LeftHip), point(RightHip));
        (midpoint(neck, hips), distance(neck, hips))
    };
    let ((from, length_before), (to, length_now)) = (trunk(before), trunk(now));
    let moved_px = distance(from, to);
    let torso_px = length_before.max(length_now);
    moved_px > MIN_JUMP_TORSO * torso_px
        && moved_px > MAX_SPEED_TORSO_PER_SEC * torso_px * elapsed_secs
}

/// Number of bones whose length is watched.
const BONE_COUNT: usize = 8;

const BONES: [[Landmark; 2]; BONE_COUNT] = {
    use Landmark::*;
    [
        [LeftShoulder, LeftElbow],
        [RightShoulder, RightElbow],
        [LeftElbow, LeftWrist],
        [RightElbow, RightWrist],
        [LeftHip, LeftKnee],
        [RightHip, RightKnee],
        [LeftKnee, LeftAnkle],
        [RightKnee, RightAnkle],
    ]
};

/// A bone that is this many times longer or shorter than usual jumps. In the test clip 4 % of the
/// frames have such a bone, half of the frames one that is off by a fifth.
const BONE_JUMP_FACTOR: f64 = 1.5;
/// Lengths that make up what is usual: about a second.
const BONE_HISTORY: usize = 31;
/// With fewer, nothing is usual yet.
const BONE_MIN_HISTORY: usize = 5;

/// What is known about the lengths of a person's bones.
pub(super) struct BoneLengths {
    bones: [RunningMedian; BONE_COUNT],
}

impl BoneLengths {
    pub(super) fn new() -> Self {
        Self {
            bones: [RunningMedian::NEW; BONE_COUNT],
        }
    }

    /// Whether a visible bone's world length is out of what was usual until now; then adds the
    /// frame. `None` when no visible bone has enough history.
    pub(super) fn jump(
        &mut self,
        pose: &PersonPose,
        is_visible: impl Fn(Landmark) -> bool,
    ) -> Option<bool> {
        let mut jump = None;
        for ([a, b], usual) in BONES.into_iter().zip(&mut self.bones) {
            if !is_visible(a) || !is_visible(b) {
                continue;
            }
            let world = |landmark: Landmark| Some(pose.world(landmark)?.map(f64::from));
            let (Some(a), Some(b)) = (world(a), world(b)) else {
                continue;
            };
            let length_m = distance(a, b);
            if let Some(median_m) = usual.median() {
                let jumps = length_m > BONE_JUMP_FACTOR * median_m
                    || median_m > BONE_JUMP_FACTOR * length_m;
                jump = Some(jump.unwrap_or(false) || jumps);
            }
            usual.push(length_m);
        }
        jump
    }
}

/// The median of the last [`BONE_HISTORY`] values.
#[derive(Clone, Copy)]
struct RunningMedian {
    values: [f64; BONE_HISTORY],
    count: usize,
}

impl RunningMedian {
    const NEW: Self = Self {
        values: [0.0; BONE_HISTORY],
        count: 0,
    };

    fn push(&mut self, value: f64) {
        self.values[self.count % BONE_HISTORY] = value;
        self.count += 1;
    }

    /// `None` for fewer than [`BONE_MIN_HISTORY`] values; the upper one of two middle values.
    fn median(&self) -> Option<f64> {
        if self.count < BONE_MIN_HISTORY {
            return None;
        }
        let mut values = self.values;
        let values = &mut values[..self.count.min(BONE_HISTORY)];
        let middle = values.len() / 2;
        Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trunk of 100 px whose middle is at `x_px`.
    fn standing_at(x_px: f32) -> PersonPose {
        use crate::pose::ImageLandmark;
        let mut landmarks = [ImageLandmark::default(); crate::pose::landmark::LANDMARK_COUNT];
        use Landmark::*;
        for (landmark, y_px) in [
            (LeftShoulder, 50.0),
            (RightShoulder, 50.0),
            (LeftHip, 150.0),
            (RightHip, 150.0),
        ] {
            let landmark = &mut landmarks[landmark.index()];
            (landmark.x, landmark.y) = (x_px / 1000.0, y_px / 500.0);
        }
        PersonPose {
            person: 0,
            probability: 1.0,
            landmarks,
            world_m: [[0.0; 3]; crate::pose::landmark::LANDMARK_COUNT],
        }
    }

    #[test]
    fn a_jump_is_far_and_faster_than_people_are() {
        let jumps = |moved_px: f32, secs| {
            let (before, now) = (standing_at(200.0), standing_at(200.0 + moved_px));
            is_jump(&before, &now, secs, [1000.0, 500.0])
        };
        assert!(jumps(300.0, 1.0 / 30.0));
        assert!(jumps(-300.0, 2.0 / 30.0));
        // 3 torso lengths in a tenth of a second are 15 m/s.
        assert!(!jumps(300.0, 0.1));
        // Fast only because the frames are close together.
        assert!(!jumps(90.0, 1e-3));
        assert!(!jumps(0.0, 0.0));
    }

    #[test]
    fn the_median_is_that_of_the_last_values() {
        let mut median = RunningMedian::NEW;
        for value in 0..4 {
            median.push(f64::from(value));
        }
        assert_eq!(median.median(), None);
        median.push(4.0);
        assert_eq!(median.median(), Some(2.0));
        for value in 5..100 {
            median.push(f64::from(value));
        }
        // 69..=99
        assert_eq!(median.median(), Some(84.0));
    }
}
