//! Flags of frames that are not to be trusted: left and right exchanged, bones that jump in length.
//!
//! Both look at earlier frames only and keep a fixed amount of state, so that they work while a
//! video is read. Their thresholds were set on MediaPipe's own landmarks of a clip of walking,
//! running and jumping (`tests/goldens`): right frames lie well below them.

use super::geometry::distance;
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
/// visible limb and the hidden one behind it.
pub(super) type Pixels = [[f64; 2]; crate::pose::landmark::LANDMARK_COUNT];

/// Whether legs or arms of `now` fit `expected` far better with left and right exchanged.
/// `torso_px` is the length of the trunk in `now`, > 0.
pub(super) fn is_swapped(expected: &Pixels, now: &Pixels, torso_px: f64) -> bool {
    SWAP_GROUPS.iter().any(|pairs| {
        let (mut same_px, mut exchanged_px) = (0.0, 0.0);
        for &[left, right] in *pairs {
            let way = |a: Landmark, b: Landmark| distance(now[a.index()], expected[b.index()]);
            same_px += way(left, left) + way(right, right);
            exchanged_px += way(left, right) + way(right, left);
        }
        let gain_torso = (same_px - exchanged_px) / (2 * pairs.len()) as f64 / torso_px;
        same_px > SWAP_FACTOR * exchanged_px && gain_torso > SWAP_MIN_GAIN_TORSO
    })
}

/// Where the landmarks are expected if they go on as in the frame before.
pub(super) fn extrapolated(earlier: &Pixels, before: &Pixels, steps: f64) -> Pixels {
    std::array::from_fn(|i| {
        std::array::from_fn(|k| before[i][k] + (before[i][k] - earlier[i][k]) * steps)
    })
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
            let world = |landmark: Landmark| pose.world_m[landmark.index()].map(f64::from);
            let length_m = distance(world(a), world(b));
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
