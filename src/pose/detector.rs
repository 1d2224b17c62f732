//! The person detector's output: anchors, decoding, and the people that it makes out.

use super::backend::sigmoid;
use super::roi::{ImageSize, Roi};

/// Side of the detector's square input in pixels.
pub(super) const DETECTOR_INPUT_SIDE: usize = 224;
/// Number of anchors, so of candidate boxes per image.
pub(super) const ANCHOR_COUNT: usize = 2254;
/// Values per candidate: x, y, width, height and four key points' x, y.
pub(super) const BOX_VALUES: usize = 12;

/// Anchor grids as (cells per side, anchors per cell), in the order of the model's rows
/// (MediaPipe `pose_detection_cpu.pbtxt`: strides 8, 16, 32, 32, 32 on a 224 pixel input, two
/// anchors per layer; the three layers of stride 32 share their cells).
const ANCHOR_GRIDS: [(usize, usize); 3] = [(28, 2), (14, 2), (7, 6)];
/// Score logits are clipped to +- this before the sigmoid (`score_clipping_thresh`).
const SCORE_CLIP: f64 = 100.0;
/// Candidates that overlap the best one more than this are averaged with it
/// (`min_suppression_threshold`).
const SUPPRESSION_IOU: f64 = 0.3;

/// A person found in an image. Key points are (x, y) in pixels of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Probability of the best candidate, 0..1.
    pub score: f64,
    /// Between the hips, between "size and rotation of the body", the shoulders, the upper body.
    pub keypoints_px: [[f64; 2]; 4],
}

impl Detection {
    /// The region that the landmark model is to look at.
    pub fn roi(&self) -> Roi {
        Roi::from_alignment_points(self.keypoints_px[0], self.keypoints_px[1])
    }
}

/// Centres of the anchors, in fractions of the detector's input.
pub fn anchors() -> Vec<[f64; 2]> {
    let mut centers = Vec::with_capacity(ANCHOR_COUNT);
    for (cells, per_cell) in ANCHOR_GRIDS {
        for y in 0..cells {
            for x in 0..cells {
                let center = [
                    (x as f64 + 0.5) / cells as f64,
                    (y as f64 + 0.5) / cells as f64,
                ];
                centers.extend(std::iter::repeat_n(center, per_cell));
            }
        }
    }
    centers
}

#[derive(Clone, Copy)]
struct Candidate {
    score: f64,
    /// Left, top, right, bottom in fractions of the detector's input.
    edges: [f64; 4],
    keypoints: [[f64; 2]; 4],
}

impl Candidate {
    fn decode(row: &[f32], anchor: [f64; 2], score: f64) -> Option<Self> {
        let side = DETECTOR_INPUT_SIDE as f64;
        let value = |i: usize| f64::from(row[i]) / side;
        let (x, y) = (value(0) + anchor[0], value(1) + anchor[1]);
        let (width, height) = (value(2), value(3));
        // Written so that a NaN is dropped too.
        if !(width >= 0.0 && height >= 0.0) {
            return None;
        }
        let mut keypoints = [[0.0; 2]; 4];
        for (k, keypoint) in keypoints.iter_mut().enumerate() {
            *keypoint = [value(4 + 2 * k) + anchor[0], value(5 + 2 * k) + anchor[1]];
        }
        let edges = [
            x - width / 2.0,
            y - height / 2.0,
            x + width / 2.0,
            y + height / 2.0,
        ];
        let is_finite = edges
            .iter()
            .chain(keypoints.as_flattened())
            .all(|v| v.is_finite());
        is_finite.then_some(Self {
            score,
            edges,
            keypoints,
        })
    }

    fn area(&self) -> f64 {
        (self.edges[2] - self.edges[0]) * (self.edges[3] - self.edges[1])
    }

    fn iou(&self, other: &Self) -> f64 {
        let width = self.edges[2].min(other.edges[2]) - self.edges[0].max(other.edges[0]);
        let height = self.edges[3].min(other.edges[3]) - self.edges[1].max(other.edges[1]);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let intersection = width * height;
        intersection / (self.area() + other.area() - intersection)
    }
}

/// The people that the detector makes out in a view, best first; nobody where nothing scores at
/// least `min_score`.
///
/// `boxes` is [2254, 12] in pixels of the detector's input, `logits` [2254]; `view` is the square of
/// the picture that is that input. Overlapping candidates are merged by
/// score-weighted means, one cluster after the other (MediaPipe's weighted non-maximum
/// suppression).
pub(super) fn detections(
    boxes: &[f32],
    logits: &[f32],
    anchors: &[[f64; 2]],
    view: Roi,
    min_score: f64,
) -> impl Iterator<Item = Detection> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for ((row, logit), anchor) in boxes.chunks_exact(BOX_VALUES).zip(logits).zip(anchors) {
        let score = sigmoid(f64::from(*logit).clamp(-SCORE_CLIP, SCORE_CLIP));
        if score >= min_score {
            candidates.extend(Candidate::decode(row, *anchor, score));
        }
    }
    std::iter::from_fn(move || {
        let (score, keypoints) = take_cluster(&mut candidates)?;
        Some(Detection {
            score,
            keypoints_px: keypoints.map(|[x, y]| view.project(x, y)),
        })
    })
}

/// The first of [`detections`] in a whole picture of that size.
pub fn best_detection(
    boxes: &[f32],
    logits: &[f32],
    anchors: &[[f64; 2]],
    image: ImageSize,
    min_score: f64,
) -> Option<Detection> {
    let view = Roi::letterbox(image);
    detections(boxes, logits, anchors, view, min_score).next()
}

/// Takes the best candidate and all that overlap it out of `candidates`; gives its score and the
/// mean key points of them all, in fractions of the detector's input.
fn take_cluster(candidates: &mut Vec<Candidate>) -> Option<(f64, [[f64; 2]; 4])> {
    // The first of equals wins, as it does in a stable sort by score.
    let best_index = (0..candidates.len()).reduce(|best, next| {
        if candidates[next].score > candidates[best].score {
            next
        } else {
            best
        }
    })?;
    let best = candidates[best_index];
    let mut weight = 0.0;
    let mut sums = [[0.0; 2]; 4];
    let mut index = 0;
    candidates.retain(|candidate| {
        // A best box of zero area overlaps nothing, not even itself, but has had its turn.
        let is_best = index == best_index;
        index += 1;
        let is_merged = candidate.iou(&best) > SUPPRESSION_IOU;
        if is_merged {
            weight += candidate.score;
            for (sum, keypoint) in sums.iter_mut().zip(candidate.keypoints) {
                sum[0] += candidate.score * keypoint[0];
                sum[1] += candidate.score * keypoint[1];
            }
        }
        !is_merged && !is_best
    });
    let keypoints = if weight > 0.0 {
        sums.map(|[x, y]| [x / weight, y / weight])
    } else {
        best.keypoints
    };
    Some((best.score, keypoints))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_fill_the_model_output() {
        let anchors = anchors();
        assert_eq!(anchors.len(), ANCHOR_COUNT);
        assert_eq!(anchors[0], anchors[1]);
        assert_eq!(anchors[ANCHOR_COUNT - 1], [6.5 / 7.0, 6.5 / 7.0]);
    }

    #[test]
    fn nothing_above_the_threshold_is_no_detection() {
        let boxes = vec![10.0; ANCHOR_COUNT * BOX_VALUES];
        let logits = vec![-3.0; ANCHOR_COUNT];
        let size = ImageSize::new(100, 50);
        assert_eq!(best_detection(&boxes, &logits, &anchors(), size, 0.5), None);
    }

    /// The detector's output with square boxes at the given anchors: (anchor, side in pixels of
    /// the input, score logit).
    fn output(boxes: &[(usize, f32, f32)]) -> (Vec<f32>, Vec<f32>) {
        let mut values = vec![0.0; ANCHOR_COUNT * BOX_VALUES];
        let mut logits = vec![-9.0; ANCHOR_COUNT];
        for (anchor, side, logit) in boxes {
            values[anchor * BOX_VALUES + 2..][..2].fill(*side);
            logits[*anchor] = *logit;
        }
        (values, logits)
    }

    #[test]
    fn each_cluster_is_a_person_the_best_first_with_the_mean_of_its_key_points() {
        // Cells of the first grid are 8 px wide and have two anchors each. Boxes of 40 px in
        // neighbouring cells overlap by 32 / 48, in cells ten apart not at all.
        let neighbours = [(0, 40.0, 1.0), (2, 40.0, 2.0)];
        let alone = (20, 40.0, 3.0);
        let (boxes, logits) = output(&[neighbours[0], neighbours[1], alone]);
        let size = ImageSize::new(DETECTOR_INPUT_SIDE, DETECTOR_INPUT_SIDE);
        let view = Roi::letterbox(size);
        let found: Vec<Detection> = detections(&boxes, &logits, &anchors(), view, 0.5).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].score, sigmoid(3.0));
        assert_eq!(found[1].score, sigmoid(2.0));
        let [x, y] = found[0].keypoints_px[0];
        assert!((x - 84.0).abs() < 1e-9 && (y - 4.0).abs() < 1e-9);
        let (near, far) = (sigmoid(1.0), sigmoid(2.0));
        let [x, _] = found[1].keypoints_px[3];
        assert!((x - (4.0 * near + 12.0 * far) / (near + far)).abs() < 1e-9);
        let best = best_detection(&boxes, &logits, &anchors(), size, 0.5);
        assert_eq!(best, Some(found[0]));
    }

    #[test]
    fn boxes_without_an_area_are_people_of_their_own() {
        let (boxes, logits) = output(&[(0, 0.0, 1.0), (2, 0.0, 2.0)]);
        let size = ImageSize::new(100, 100);
        let anchors = anchors();
        let view = Roi::letterbox(size);
        let found = detections(&boxes, &logits, &anchors, view, 0.5);
        assert_eq!(found.count(), 2);
    }

    #[test]
    fn not_a_number_is_never_a_person() {
        let mut boxes = vec![10.0; ANCHOR_COUNT * BOX_VALUES];
        boxes[5] = f32::NAN;
        let mut logits = vec![-3.0; ANCHOR_COUNT];
        logits[0] = 9.0;
        let size = ImageSize::new(100, 50);
        assert_eq!(best_detection(&boxes, &logits, &anchors(), size, 0.5), None);
    }
}
