//! Legs whose left and right a model exchanged.
//!
//! A leg goes on as it went: its knee, ankle and foot are near where the two frames before lead to.
//! Of all ways to exchange the legs or leave them, the one with the smallest sum of such deviations is
//! taken (a Viterbi search over pairs of frames). Places alone would not do: where legs pass each
//! other, only their velocities tell them apart.
//!
//! Models exchange legs for moments, and are right for the longer part: the longer an exchange would last,
//! the more it has to save. Else feet that stick for a moment while they pass each other, as they do where
//! one hides the other, would exchange the legs from there on.

use crate::metrics::geometry::distance;

/// Knee, ankle, heel and toes.
pub const POINTS_PER_LEG: usize = 4;
/// Deviation that an exchange must save, in leg lengths for each point: far more than the tremble of
/// landmarks, far less than a step.
const EXCHANGE_COST: f64 = 0.3;
/// What each second of an exchange must save besides.
const EXCHANGED_COST_PER_SEC: f64 = 0.3;

/// The points of both legs in a frame, left and right as the model has them; pixels.
pub type Legs = [[Option<[f64; 2]>; POINTS_PER_LEG]; 2];

/// Frames in which left and right are exchanged, of a path with one frame every `frame_secs`.
pub fn exchanged(frames: &[Legs], leg_length_px: f64, frame_secs: f64) -> Vec<bool> {
    if frames.len() < 3 || leg_length_px <= 0.0 {
        return vec![false; frames.len()];
    }
    // A state is (exchanged in the frame before, exchanged in this frame), as two bits.
    let change = |from: usize, to: usize| if from == to { 0.0 } else { EXCHANGE_COST };
    let lasts = |now: usize| now as f64 * EXCHANGED_COST_PER_SEC * frame_secs;
    let begin = |before: usize, now: usize| lasts(before) + change(before, now) + lasts(now);
    let mut costs: [f64; 4] = std::array::from_fn(|state| begin(state >> 1, state & 1));
    let mut ways: Vec<[u8; 4]> = Vec::with_capacity(frames.len());
    for window in frames.windows(3) {
        let mut next = [f64::INFINITY; 4];
        let mut way = [0; 4];
        for (state, cost) in costs.iter().enumerate() {
            for now in 0..2 {
                let (older, before) = (state >> 1, state & 1);
                let sides = [older, before, now];
                let exchange = change(before, now) + lasts(now);
                let total = cost + exchange + deviation(window, sides) / leg_length_px;
                let target = (before << 1) | now;
                if total < next[target] {
                    next[target] = total;
                    way[target] = state as u8;
                }
            }
        }
        costs = next;
        ways.push(way);
    }
    let mut state = (0..4)
        .min_by(|a, b| costs[*a].total_cmp(&costs[*b]))
        .unwrap_or(0);
    let mut found = vec![false; frames.len()];
    for (i, way) in ways.iter().enumerate().rev() {
        found[i + 2] = state & 1 == 1;
        state = usize::from(way[state]);
    }
    (found[1], found[0]) = (state & 1 == 1, state >> 1 == 1);
    found
}

/// How far the last of three frames lies from where the two before lead to: the mean of the points
/// that are known in all of them.
fn deviation(window: &[Legs], exchanged: [usize; 3]) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for leg in 0..2 {
        let of_frame = |frame: usize| window[frame][leg ^ exchanged[frame]];
        let points = of_frame(0).into_iter().zip(of_frame(1)).zip(of_frame(2));
        for ((older, before), now) in points {
            if let (Some(older), Some(before), Some(now)) = (older, before, now) {
                let expected = [2.0 * before[0] - older[0], 2.0 * before[1] - older[1]];
                sum += distance(now, expected);
                count += 1;
            }
        }
    }
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}
