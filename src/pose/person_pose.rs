//! One person in one frame.

use super::landmark::{LANDMARK_COUNT, Landmark};

/// A landmark in the image. A value is NaN, in the lake NULL, where the pose model does not give it:
/// BlazePose gives all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageLandmark {
    /// Fraction of the image's width, 0 at the left edge; may lie outside 0..1.
    pub x: f32,
    /// Fraction of the image's height, 0 at the top edge; may lie outside 0..1.
    pub y: f32,
    /// Depth in image widths, negative towards the camera, 0 near the hips.
    pub z: f32,
    /// Probability that the landmark is in the picture and not hidden, 0..1.
    pub visibility: f32,
    /// Probability that the landmark lies inside the picture, 0..1.
    pub presence: f32,
}

impl ImageLandmark {
    /// Whether the pose model gives the landmark at all; it may be hidden then.
    pub fn is_known(&self) -> bool {
        !self.x.is_nan()
    }
}

/// One person in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonPose {
    /// Stable number of the person within the video, from 0.
    pub person: u16,
    /// Probability that the region shows a person, 0..1.
    pub probability: f32,
    /// In BlazePose's order; hidden ones are guessed by the model, see their visibility.
    pub landmarks: [ImageLandmark; LANDMARK_COUNT],
    /// x right, y down, z away from the camera, in metres from the middle of the hips; NaN where the
    /// pose model does not give them.
    pub world_m: [[f32; 3]; LANDMARK_COUNT],
}

impl PersonPose {
    /// A landmark in metres; `None` where the pose model does not give it.
    pub fn world(&self, landmark: Landmark) -> Option<[f32; 3]> {
        let point = self.world_m[landmark.index()];
        point.iter().all(|value| !value.is_nan()).then_some(point)
    }

    /// Mean visibility of the landmarks that the pose model gives, 0..1.
    pub fn mean_visibility(&self) -> f64 {
        let known = self.landmarks.iter().filter(|landmark| landmark.is_known());
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), landmark| {
            (sum + f64::from(landmark.visibility), count + 1.0)
        });
        sum / count
    }
}
