//! The person detector's output: anchors, decoding, and the one detection that is used.

use super::roi::{ImageSize, Roi};
use super::sigmoid;

/// Side of the detector's square input in pixels.
pub const DETECTOR_INPUT_SIDE: usize = 224;
/// Number of anchors, so of candidate boxes per image.
pub const ANCHOR_COUNT: usize = 2254;
/// Values per candidate: x, y, width, height and four key points' x, y.
pub const BOX_VALUES: usize = 12;

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

/// The best detection of an image, or `None` where nothing scores at least `min_score`.
///
/// `boxes` is [2254, 12] in pixels of the detector's input, `logits` [2254]; `image` is the size of
/// the picture that was letterboxed into that input. Overlapping candidates are merged by
/// score-weighted means (MediaPipe's weighted non-maximum suppression).
pub fn best_detection(
    boxes: &[f32],
    logits: &[f32],
    anchors: &[[f64; 2]],
    image: ImageSize,
    min_score: f64,
) -> Option<Detection> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for ((row, logit), anchor) in boxes.chunks_exact(BOX_VALUES).zip(logits).zip(anchors) {
        let score = sigmoid(f64::from(*logit).clamp(-SCORE_CLIP, SCORE_CLIP));
        if score >= min_score {
            candidates.extend(Candidate::decode(row, *anchor, score));
        }
    }
    // The first of equals wins, as it does in a stable sort by score.
    let best = candidates
        .iter()
        .reduce(|best, next| if next.score > best.score { next } else { best })?;
    let mut weight = 0.0;
    let mut sums = [[0.0; 2]; 4];
    for candidate in candidates.iter().filter(|c| c.iou(best) > SUPPRESSION_IOU) {
        weight += candidate.score;
        for (sum, keypoint) in sums.iter_mut().zip(candidate.keypoints) {
            sum[0] += candidate.score * keypoint[0];
            sum[1] += candidate.score * keypoint[1];
        }
    }
    // A best box of zero area overlaps nothing, not even itself.
    let keypoints = if weight > 0.0 {
        sums.map(|[x, y]| [x / weight, y / weight])
    } else {
        best.keypoints
    };
    let letterbox = Roi::letterbox(image);
    Some(Detection {
        score: best.score,
        keypoints_px: keypoints.map(|[x, y]| letterbox.project(x, y)),
    })
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
