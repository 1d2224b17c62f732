//! Who is who: whether two poses are of one body, and whether someone who appears is someone who
//! was lost. Pure functions of geometry and appearance.

use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::pose::landmarker::RawPose;
use crate::pose::roi::Roi;

/// What poses are compared by: the joints, and the nose for the head.
const COMPARED: [Landmark; 13] = {
    use Landmark::*;
    [
        Nose,
        LeftShoulder,
        RightShoulder,
        LeftElbow,
        RightElbow,
        LeftWrist,
        RightWrist,
        LeftHip,
        RightHip,
        LeftKnee,
        RightKnee,
        LeftAnkle,
        RightAnkle,
    ]
};

/// Shoulders and hips.
const TRUNK: [Landmark; 4] = {
    use Landmark::*;
    [LeftShoulder, RightShoulder, LeftHip, RightHip]
};

/// Closer than this, as a mean over all compared landmarks in region sides, two poses are one
/// body's. A region's side is about 1.35 body heights.
const SAME_POSE_DISTANCE: f64 = 0.05;
/// The same for the trunk alone: where two people hide parts of each other, a track that goes
/// astray takes the trunk first and keeps its own person's feet. In Pose2Sim's multi-person clips
/// trunks of one body lie within 0.025, those of two people beyond 0.1.
const SAME_TRUNK_DISTANCE: f64 = 0.035;

/// A detection whose hips are closer than this to those of a body that is followed, in region
/// sides, is that body: what its cover left visible.
const SAME_HIPS_DISTANCE: f64 = 0.08;
/// ...when the regions overlap at least so much.
const SAME_HIPS_IOU: f64 = 0.5;

/// Where a body is in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The region around it.
    pub roi: Roi,
    /// NaN where the model does not give a landmark.
    pub landmarks_px: [[f64; 2]; LANDMARK_COUNT],
}

impl Body {
    pub fn new(pose: &RawPose) -> Self {
        let [center, scale] = pose.alignment.map(|point| [point.x_px, point.y_px]);
        Self {
            roi: Roi::from_alignment_points(center, scale),
            landmarks_px: pose
                .landmarks
                .map(|landmark| [landmark.x_px, landmark.y_px]),
        }
    }

    pub fn landmark_px(&self, landmark: Landmark) -> [f64; 2] {
        self.landmarks_px[landmark.index()]
    }

    /// The middle of the hips.
    pub fn center_px(&self) -> [f64; 2] {
        [self.roi.center_x_px, self.roi.center_y_px]
    }

    /// Left, top, right and bottom of the landmarks.
    fn edges_px(&self) -> [f64; 4] {
        let start = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        self.landmarks_px
            .iter()
            .fold(start, |[left, top, right, bottom], [x, y]| {
                [left.min(*x), top.min(*y), right.max(*x), bottom.max(*y)]
            })
    }
}

pub fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Whether two poses are of one body. Left and right may be taken for each other, as the model does
/// with bodies seen from the side.
pub fn is_same_body(a: &Body, b: &Body) -> bool {
    let side_px = (a.roi.side_px + b.roi.side_px) / 2.0;
    let is_within = |limit: f64, landmarks: &[Landmark]| {
        let mean = |partner: fn(Landmark) -> Landmark| {
            let distances = landmarks.iter().map(|landmark| {
                distance(a.landmark_px(*landmark), b.landmark_px(partner(*landmark)))
            });
            // Shoulders and hips are always known.
            let known: Vec<f64> = distances.filter(|distance| !distance.is_nan()).collect();
            known.iter().sum::<f64>() / known.len() as f64
        };
        mean(|landmark| landmark).min(mean(Landmark::partner)) < limit * side_px
    };
    is_within(SAME_POSE_DISTANCE, &COMPARED) || is_within(SAME_TRUNK_DISTANCE, &TRUNK)
}

/// Intersection over union of the boxes around the landmarks, 0..1.
pub fn box_iou(a: &Body, b: &Body) -> f64 {
    iou(a.edges_px(), b.edges_px())
}

fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let area = |e: [f64; 4]| (e[2] - e[0]) * (e[3] - e[1]);
    let intersection = width * height;
    intersection / (area(a) + area(b) - intersection)
}

/// Whether a detected region is that of a body which is followed already.
pub fn is_region_of(detected: &Roi, body: &Body) -> bool {
    // Rotation does not count: it is of the body, not of its place.
    let edges = |roi: &Roi| {
        let (x, y, reach) = (roi.center_x_px, roi.center_y_px, roi.side_px / 2.0);
        [x - reach, y - reach, x + reach, y + reach]
    };
    let center = [detected.center_x_px, detected.center_y_px];
    distance(center, body.center_px()) < SAME_HIPS_DISTANCE * body.roi.side_px
        && iou(edges(detected), edges(&body.roi)) > SAME_HIPS_IOU
}

/// Frames after which nobody is recognised any more.
pub const MAX_ABSENCE_FRAMES: u64 = 300;
/// A lost person is expected to go on as before for so many frames, then to stay.
const MAX_EXTRAPOLATION_FRAMES: u64 = 15;
/// How far from the expected place, in region sides, someone may reappear: at once, for each frame
/// of absence, and at most.
const PLACE_GATE: Gate = Gate {
    at_once: 0.15,
    per_frame: 0.02,
    at_most: 1.5,
};
/// How much larger or smaller, as the logarithm of the ratio.
const SIZE_GATE: Gate = Gate {
    at_once: 0.25,
    per_frame: 0.01,
    at_most: 0.7,
};
/// How different in colours. In the clips that posedata installs, people are within 0.26 of what they
/// looked like before (95 of 100 frames, nobody in front of them), and 0.4 to 0.8 from others, but
/// for two who are dressed alike, and against the light.
const APPEARANCE_LIMIT: f64 = 0.35;
/// Shares of place, size and appearance in the cost of a match.
const COST_SHARES: [f64; 3] = [0.35, 0.15, 0.5];
/// A match has to be better by this than every other that it excludes.
const CLEAR_MARGIN: f64 = 0.15;

struct Gate {
    at_once: f64,
    per_frame: f64,
    at_most: f64,
}

impl Gate {
    fn after(&self, frames: u64) -> f64 {
        (self.at_once + self.per_frame * frames as f64).min(self.at_most)
    }
}

/// Where and how someone was seen moving.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub frame: u64,
    pub roi: Roi,
    pub velocity_px_per_frame: [f64; 2],
}

/// How badly someone who appears in the region `roi` at `frame` fits someone who was last seen at
/// `last` and looks different by `unlike` (see [`Appearance::distance`]): 0 (perfectly) to 1, or
/// `None` where place, size, looks or time speak against it.
///
/// [`Appearance::distance`]: super::appearance::Appearance::distance
pub fn recovery_cost(last: &Place, roi: &Roi, unlike: f64, frame: u64) -> Option<f64> {
    let absence = frame.saturating_sub(last.frame);
    if absence > MAX_ABSENCE_FRAMES {
        return None;
    }
    let ahead = absence.min(MAX_EXTRAPOLATION_FRAMES) as f64;
    let then = [last.roi.center_x_px, last.roi.center_y_px];
    let expected: [f64; 2] =
        std::array::from_fn(|axis| then[axis] + ahead * last.velocity_px_per_frame[axis]);
    let here = [roi.center_x_px, roi.center_y_px];
    // People also stop, or turn round.
    let off_px = distance(here, expected).min(distance(here, then));
    let parts = [
        off_px / last.roi.side_px / PLACE_GATE.after(absence),
        (roi.side_px / last.roi.side_px).ln().abs() / SIZE_GATE.after(absence),
        unlike / APPEARANCE_LIMIT,
    ];
    // Written so that a NaN fits nobody.
    parts.iter().all(|part| *part <= 1.0).then(|| {
        let weighted = parts.iter().zip(COST_SHARES);
        weighted.map(|(part, share)| part * share).sum()
    })
}

/// For each row of `costs` the column that it clearly belongs to, if any; each column at most once.
///
/// A pair is clear when it is better by a margin than everything else in its row and column.
/// Clear pairs are taken out, the best first, until none is left; so what is ambiguous stays
/// without a match, which an optimal assignment would not notice.
pub fn clear_pairs(costs: &[Vec<Option<f64>>]) -> Vec<Option<usize>> {
    let columns = costs.iter().map(Vec::len).max().unwrap_or(0);
    let mut matches = vec![None; costs.len()];
    let mut is_taken = vec![false; columns];
    loop {
        let mut best: Option<(f64, usize, usize)> = None;
        let open = |matches: &[Option<usize>], is_taken: &[bool], row: usize, column: usize| {
            let is_open = matches[row].is_none() && !is_taken[column];
            costs[row]
                .get(column)
                .copied()
                .flatten()
                .filter(|_| is_open)
        };
        for row in 0..costs.len() {
            for column in 0..columns {
                let Some(cost) = open(&matches, &is_taken, row, column) else {
                    continue;
                };
                let rivals = (0..costs.len())
                    .filter(|other| *other != row)
                    .filter_map(|other| open(&matches, &is_taken, other, column))
                    .chain(
                        (0..columns)
                            .filter(|other| *other != column)
                            .filter_map(|other| open(&matches, &is_taken, row, other)),
                    );
                let is_clear = rivals.fold(f64::MAX, f64::min) >= cost + CLEAR_MARGIN;
                if is_clear && best.is_none_or(|(least, ..)| cost < least) {
                    best = Some((cost, row, column));
                }
            }
        }
        let Some((_, row, column)) = best else {
            return matches;
        };
        matches[row] = Some(column);
        is_taken[column] = true;
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Someone upright with the hips there, 300 px high, in a region of 400 px.
    pub fn body_at(x_px: f64, y_px: f64) -> Body {
        let mut landmarks_px = [[x_px, y_px]; LANDMARK_COUNT];
        let mut put = |landmark: Landmark, dx: f64, dy: f64| {
            landmarks_px[landmark.index()] = [x_px + dx, y_px + dy];
        };
        use Landmark::*;
        for landmark in &Landmark::ALL[..LeftShoulder.index()] {
            put(*landmark, 0.0, -140.0);
        }
        for hand in &Landmark::ALL[LeftPinky.index()..LeftHip.index()] {
            put(*hand, 0.0, 10.0);
        }
        for foot in &Landmark::ALL[LeftHeel.index()..] {
            put(*foot, 0.0, 160.0);
        }
        for (side, sign) in [
            (
                [
                    LeftShoulder,
                    LeftElbow,
                    LeftWrist,
                    LeftHip,
                    LeftKnee,
                    LeftAnkle,
                ],
                1.0,
            ),
            (
                [
                    RightShoulder,
                    RightElbow,
                    RightWrist,
                    RightHip,
                    RightKnee,
                    RightAnkle,
                ],
                -1.0,
            ),
        ] {
            let places = [
                (40.0, -90.0),
                (60.0, -40.0),
                (60.0, 10.0),
                (25.0, 0.0),
                (25.0, 80.0),
                (25.0, 160.0),
            ];
            for (landmark, (dx, dy)) in side.into_iter().zip(places) {
                put(landmark, sign * dx, dy);
            }
        }
        Body {
            roi: Roi {
                center_x_px: x_px,
                center_y_px: y_px,
                side_px: 400.0,
                rotation_rad: 0.0,
            },
            landmarks_px,
        }
    }

    fn mirrored(body: &Body) -> Body {
        let landmarks_px = Landmark::ALL.map(|landmark| body.landmark_px(landmark.partner()));
        Body {
            landmarks_px,
            ..body.clone()
        }
    }

    #[test]
    fn a_body_is_itself_a_little_off_and_with_its_sides_mistaken_but_not_its_neighbour() {
        let body = body_at(500.0, 400.0);
        // 10 px of 400 are 0.025 sides, 30 px are 0.075.
        assert!(is_same_body(&body, &body_at(510.0, 400.0)));
        assert!(is_same_body(&body, &mirrored(&body_at(500.0, 410.0))));
        assert!(!is_same_body(&body, &body_at(530.0, 400.0)));
    }

    #[test]
    fn a_track_that_went_astray_is_known_by_its_trunk() {
        let body = body_at(500.0, 400.0);
        let mut astray = body_at(505.0, 400.0);
        for landmark in [
            Landmark::LeftAnkle,
            Landmark::RightAnkle,
            Landmark::LeftKnee,
            Landmark::RightKnee,
        ] {
            astray.landmarks_px[landmark.index()][0] += 200.0;
        }
        assert!(is_same_body(&body, &astray));
    }

    #[test]
    fn boxes_overlap_by_the_share_that_they_have_in_common() {
        let body = body_at(500.0, 400.0);
        assert_eq!(box_iou(&body, &body), 1.0);
        // The box is 120 px wide: half of it is common, of one and a half together.
        let iou = box_iou(&body, &body_at(560.0, 400.0));
        assert!((iou - 1.0 / 3.0).abs() < 1e-12, "{iou}");
        assert_eq!(box_iou(&body, &body_at(700.0, 400.0)), 0.0);
    }

    #[test]
    fn a_detection_on_a_covered_body_is_that_body() {
        let body = body_at(500.0, 400.0);
        let near = body_at(520.0, 410.0).roi;
        assert!(is_region_of(&near, &body));
        assert!(!is_region_of(&body_at(540.0, 400.0).roi, &body));
        let far_smaller = Roi {
            side_px: 200.0,
            ..near
        };
        assert!(!is_region_of(&far_smaller, &body), "someone behind");
    }

    fn last_seen(velocity_px_per_frame: [f64; 2]) -> Place {
        Place {
            frame: 100,
            roi: body_at(500.0, 400.0).roi,
            velocity_px_per_frame,
        }
    }

    fn cost(x_px: f64, unlike: f64, frame: u64) -> Option<f64> {
        recovery_cost(
            &last_seen([0.0; 2]),
            &body_at(x_px, 400.0).roi,
            unlike,
            frame,
        )
    }

    #[test]
    fn who_comes_back_at_once_has_to_be_near_and_later_may_be_farther() {
        assert_eq!(cost(500.0, 0.0, 101), Some(0.0));
        // 100 px are 0.25 sides; the gate is 0.15 + 0.02 a frame.
        assert_eq!(cost(600.0, 0.0, 104), None);
        assert!(cost(600.0, 0.0, 106).is_some());
        assert_eq!(cost(500.0, 0.0, 100 + MAX_ABSENCE_FRAMES + 1), None);
        assert!(cost(500.0, 0.0, 100 + MAX_ABSENCE_FRAMES).is_some());
    }

    #[test]
    fn who_looks_otherwise_or_has_another_size_is_someone_else() {
        assert_eq!(cost(500.0, 0.36, 101), None);
        assert!(cost(500.0, 0.34, 101).is_some());
        let larger = Roi {
            side_px: 600.0,
            ..body_at(500.0, 400.0).roi
        };
        assert_eq!(recovery_cost(&last_seen([0.0; 2]), &larger, 0.0, 101), None);
        let nan = Roi {
            side_px: f64::NAN,
            ..larger
        };
        assert_eq!(recovery_cost(&last_seen([0.0; 2]), &nan, 0.0, 101), None);
    }

    #[test]
    fn who_walks_is_expected_farther_on_and_may_have_stopped() {
        let walking = last_seen([20.0, 0.0]);
        let cost_at = |x_px| recovery_cost(&walking, &body_at(x_px, 400.0).roi, 0.0, 110);
        assert_eq!(cost_at(700.0), Some(0.0));
        assert_eq!(cost_at(500.0), Some(0.0));
        assert!(cost_at(600.0).is_some_and(|cost| cost > 0.1));
        assert_eq!(cost_at(900.0), None);
    }

    #[test]
    fn clear_pairs_are_found_and_ambiguous_ones_left_alone() {
        let some = |rows: &[&[f64]]| -> Vec<Vec<Option<f64>>> {
            let row = |row: &&[f64]| row.iter().map(|c| (*c < 1.0).then_some(*c)).collect();
            rows.iter().map(row).collect()
        };
        assert_eq!(
            clear_pairs(&some(&[&[0.1, 0.8], &[0.9, 0.2]])),
            [Some(0), Some(1)]
        );
        assert_eq!(
            clear_pairs(&some(&[&[0.8, 0.1], &[0.2, 0.9]])),
            [Some(1), Some(0)]
        );
        // Either of two newcomers could be the one who was lost.
        assert_eq!(clear_pairs(&some(&[&[0.3], &[0.35]])), [None, None]);
        // One newcomer could be either of two.
        assert_eq!(clear_pairs(&some(&[&[0.3, 0.35]])), [None]);
        // Ambiguous until the clear pair is taken out.
        assert_eq!(
            clear_pairs(&some(&[&[0.05, 0.4], &[0.35, 0.4]])),
            [Some(0), Some(1)]
        );
        // Nobody fits.
        assert_eq!(clear_pairs(&some(&[&[1.0, 1.0]])), [None]);
        assert_eq!(clear_pairs(&[vec![], vec![]]), [None, None]);
        assert_eq!(clear_pairs(&[]), []);
    }
}
