//! The part of a frame in which a person is, so that they are large enough to be looked at.

use crate::lake::PersonRow;
use crate::metrics::MIN_VISIBILITY;
use crate::pose::PersonPose;
use crate::video::{Frame, FramePart};

/// The picture's sides by those of the box around the visible landmarks: the head goes on above the eyes,
/// and a movement is seen against what is around it.
const PICTURE_PER_BODY: f64 = 1.4;

/// A part of a frame, and everybody's poses as they stand in it.
pub struct CloseUp {
    pub part: FramePart,
    pub persons: Vec<PersonRow>,
}

impl CloseUp {
    /// The part around `person`, of the proportions of `size_px`; the middle of the frame where they are not
    /// seen.
    pub fn of(frame: &Frame, persons: &[PersonRow], person: u16, size_px: [u32; 2]) -> Self {
        let view = frame.view();
        let frame_px = view.map_or([1.0; 2], |view| [view.width() as f64, view.height() as f64]);
        let row = persons.iter().find(|row| row.pose.person == person);
        let body = row.and_then(|row| body_box(&row.pose, frame_px));
        let part = part_around(body, frame_px, size_px.map(f64::from));
        let moved = persons.iter().map(|row| PersonRow {
            pose: within(row.pose.clone(), frame_px, part),
            metrics: row.metrics.clone(),
        });
        Self {
            part,
            persons: moved.collect(),
        }
    }
}

/// Left, top, right and bottom of the visible landmarks in pixels; `None` where none is visible.
fn body_box(pose: &PersonPose, [width, height]: [f64; 2]) -> Option<[f64; 4]> {
    let seen = pose.landmarks.iter();
    let seen = seen.filter(|landmark| landmark.visibility >= MIN_VISIBILITY);
    seen.fold(None, |edges, landmark| {
        let [x, y] = [
            f64::from(landmark.x) * width,
            f64::from(landmark.y) * height,
        ];
        let [left, top, right, bottom] = edges.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    })
}

/// The part around a box, as large as the frame lets it be.
fn part_around(body: Option<[f64; 4]>, frame_px: [f64; 2], size_px: [f64; 2]) -> FramePart {
    let aspect = size_px[0] / size_px[1];
    let largest = frame_px[1].min(frame_px[0] / aspect);
    let [left, top, right, bottom] = body.unwrap_or([0.0, 0.0, frame_px[0], frame_px[1]]);
    let wanted = PICTURE_PER_BODY * (bottom - top).max((right - left) / aspect);
    let height = wanted.clamp(1.0, largest.max(1.0));
    let sides = [(height * aspect).floor().max(1.0), height.floor()];
    let middle = [(left + right) / 2.0, (top + bottom) / 2.0];
    let corner: [f64; 2] = std::array::from_fn(|axis| {
        let last = (frame_px[axis] - sides[axis]).max(0.0);
        (middle[axis] - sides[axis] / 2.0).floor().clamp(0.0, last)
    });
    FramePart {
        left: corner[0] as u32,
        top: corner[1] as u32,
        width: sides[0] as u32,
        height: sides[1] as u32,
    }
}

/// A pose whose places are fractions of the part instead of the frame.
fn within(mut pose: PersonPose, frame_px: [f64; 2], part: FramePart) -> PersonPose {
    for landmark in &mut pose.landmarks {
        let x_px = f64::from(landmark.x) * frame_px[0] - f64::from(part.left);
        let y_px = f64::from(landmark.y) * frame_px[1] - f64::from(part.top);
        landmark.x = (x_px / f64::from(part.width)) as f32;
        landmark.y = (y_px / f64::from(part.height)) as f32;
    }
    pose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_keeps_its_proportions_and_lies_in_the_frame() {
        let part = |body| part_around(Some(body), [1000.0, 500.0], [360.0, 480.0]);
        // 100 px high in the middle: 140 px, and 105 px wide.
        let middle = part([480.0, 200.0, 520.0, 300.0]);
        let expected = FramePart {
            left: 447,
            top: 180,
            width: 105,
            height: 140,
        };
        assert_eq!(middle, expected);
        // At the corner it is moved, and who fills the picture gets all of its height.
        let corner = part([0.0, 0.0, 40.0, 100.0]);
        assert_eq!((corner.left, corner.top, corner.height), (0, 0, 140));
        let large = part([300.0, -50.0, 700.0, 600.0]);
        assert_eq!((large.top, large.width, large.height), (0, 375, 500));
        let nobody = part_around(None, [300.0, 900.0], [360.0, 480.0]);
        assert_eq!((nobody.left, nobody.width, nobody.height), (0, 300, 400));
    }
}
