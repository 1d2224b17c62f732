//! Paints over people in the detector's input.
//!
//! The detector is made for one person: of two who stand close, it often reports the larger alone,
//! or something between them. With everybody who is known painted over it finds the next person
//! about as well as someone who is alone.

use super::matching::{Body, distance};
use crate::pose::detector::DETECTOR_INPUT_SIDE;
use crate::pose::landmark::Landmark;
use crate::pose::roi::Roi;

/// The middle of the input's range -1..1.
const GREY: f32 = 0.0;
/// Half the width of a painted limb, and the radius of a painted head, in trunk lengths.
const LIMB_REACH: f64 = 0.2;
const HEAD_REACH: f64 = 0.4;
/// A trunk that is seen from its end is taken to be this long, in region sides.
const MIN_TRUNK: f64 = 0.15;

/// Trunk (with its diagonals), arms, legs and feet as lines.
const LINES: [(Landmark, Landmark); 20] = {
    use Landmark::*;
    [
        (LeftShoulder, RightShoulder),
        (LeftHip, RightHip),
        (LeftShoulder, LeftHip),
        (RightShoulder, RightHip),
        (LeftShoulder, RightHip),
        (RightShoulder, LeftHip),
        (LeftShoulder, LeftElbow),
        (LeftElbow, LeftWrist),
        (LeftWrist, LeftIndex),
        (RightShoulder, RightElbow),
        (RightElbow, RightWrist),
        (RightWrist, RightIndex),
        (LeftHip, LeftKnee),
        (LeftKnee, LeftAnkle),
        (LeftAnkle, LeftFootIndex),
        (LeftAnkle, LeftHeel),
        (RightHip, RightKnee),
        (RightKnee, RightAnkle),
        (RightAnkle, RightFootIndex),
        (RightAnkle, RightHeel),
    ]
};

/// Covers a body in the detector's input, [3, 224, 224], which is the square `view` of the picture.
pub fn cover(tensor: &mut [f32], body: &Body, view: &Roi) {
    use Landmark::*;
    let scale = DETECTOR_INPUT_SIDE as f64 / view.side_px;
    let to_input = |[x, y]: [f64; 2]| {
        let half = view.side_px / 2.0;
        [
            (x - view.center_x_px + half) * scale,
            (y - view.center_y_px + half) * scale,
        ]
    };
    let middle = |a: [f64; 2], b: [f64; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    let at = |landmark| to_input(body.landmark_px(landmark));
    let shoulders = middle(at(LeftShoulder), at(RightShoulder));
    let hips = middle(at(LeftHip), at(RightHip));
    let trunk = distance(shoulders, hips).max(MIN_TRUNK * body.roi.side_px * scale);
    for (a, b) in LINES {
        paint(tensor, at(a), at(b), LIMB_REACH * trunk);
    }
    let head = middle(at(LeftEar), at(RightEar));
    paint(tensor, shoulders, head, LIMB_REACH * trunk);
    paint(tensor, head, head, HEAD_REACH * trunk);
}

/// Paints everything within `reach` of the line from `a` to `b`, in pixels of the input.
fn paint(tensor: &mut [f32], a: [f64; 2], b: [f64; 2], reach: f64) {
    if [a, b].as_flattened().iter().any(|place| place.is_nan()) {
        // The model does not give one of the landmarks.
        return;
    }
    let side = DETECTOR_INPUT_SIDE;
    let span = |axis: usize| {
        let first = (a[axis].min(b[axis]) - reach).ceil().max(0.0);
        let last = (a[axis].max(b[axis]) + reach)
            .floor()
            .min(side as f64 - 1.0);
        // An empty span where the line lies outside; NaN becomes 0.
        first as usize..(last + 1.0).max(0.0) as usize
    };
    let along = [b[0] - a[0], b[1] - a[1]];
    let length_squared = along[0] * along[0] + along[1] * along[1];
    for y in span(1) {
        for x in span(0) {
            let from_a = [x as f64 - a[0], y as f64 - a[1]];
            let position = (from_a[0] * along[0] + from_a[1] * along[1]) / length_squared;
            // A line without length is a point.
            let position = if position.is_nan() {
                0.0
            } else {
                position.clamp(0.0, 1.0)
            };
            let nearest = [a[0] + position * along[0], a[1] + position * along[1]];
            if distance([x as f64, y as f64], nearest) <= reach {
                for plane in tensor.chunks_exact_mut(side * side) {
                    plane[y * side + x] = GREY;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::body_at;
    use super::*;
    use crate::pose::roi::ImageSize;

    #[test]
    fn a_body_is_covered_and_what_is_beside_it_is_not() {
        let side = DETECTOR_INPUT_SIDE;
        let view = Roi::letterbox(ImageSize::new(2 * side, 4 * side));
        let mut tensor = vec![1.0; 3 * side * side];
        let body = body_at(200.0, 400.0);
        cover(&mut tensor, &body, &view);
        // The picture is twice as high as wide and four times the input's size: x moves by a
        // quarter of the side.
        let at = |[x, y]: [f64; 2]| {
            let (column, row) = (side / 4 + (x / 4.0) as usize, (y / 4.0) as usize);
            [0, 1, 2].map(|plane| tensor[(plane * side + row) * side + column])
        };
        for landmark in Landmark::ALL {
            assert_eq!(
                at(body.landmark_px(landmark)),
                [GREY; 3],
                "{}",
                landmark.name()
            );
        }
        for beside in [
            [60.0, 400.0],
            [340.0, 400.0],
            [200.0, 200.0],
            [200.0, 620.0],
        ] {
            assert_eq!(at(beside), [1.0; 3], "{beside:?}");
        }
    }

    #[test]
    fn a_body_outside_the_picture_or_without_a_place_changes_nothing() {
        let mut tensor = vec![1.0; 3 * DETECTOR_INPUT_SIDE * DETECTOR_INPUT_SIDE];
        let view = Roi::letterbox(ImageSize::new(100, 100));
        cover(&mut tensor, &body_at(-900.0, 50.0), &view);
        cover(&mut tensor, &body_at(f64::NAN, 50.0), &view);
        assert!(tensor.iter().all(|value| *value == 1.0));
    }
}
