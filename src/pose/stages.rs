//! The two models with what stands around them: a picture in, detections or a pose out.

use std::time::Instant;

use super::crop::{Border, InputScale, crop_to_tensor};
use super::detector::{DETECTOR_INPUT_SIDE, Detection, anchors, detections};
use super::landmarker::{LANDMARK_INPUT_SIDE, RawPose};
use super::roi::Roi;
use super::session::{DetectorModel, LandmarkModel};
use super::{PoseError, PoseTimings};
use crate::image::BgrView;

/// The detector takes colours in -1..1.
const DETECTOR_SCALE: InputScale = InputScale {
    divisor: 127.5,
    offset: -1.0,
};
/// The landmark model takes colours in 0..1.
const LANDMARK_SCALE: InputScale = InputScale {
    divisor: 255.0,
    offset: 0.0,
};

/// Finds people in pictures.
pub struct DetectorStage {
    model: DetectorModel,
    anchors: Vec<[f64; 2]>,
    tensor: Vec<f32>,
    min_score: f64,
}

impl DetectorStage {
    /// Detections below `min_score` (0..1) do not count.
    pub fn new(model: DetectorModel, min_score: f64) -> Self {
        Self {
            model,
            anchors: anchors(),
            tensor: vec![0.0; 3 * DETECTOR_INPUT_SIDE * DETECTOR_INPUT_SIDE],
            min_score,
        }
    }

    /// Looks at a square of the picture, after `retouch` has had its way with the model's input
    /// ([3, 224, 224] in -1..1), and hands the detections to `choose`, best first.
    ///
    /// # Errors
    /// When the model fails.
    pub fn run<R>(
        &mut self,
        frame: BgrView<'_>,
        view: &Roi,
        timings: &mut PoseTimings,
        retouch: impl FnOnce(&mut [f32]),
        choose: impl FnOnce(&mut dyn Iterator<Item = Detection>) -> R,
    ) -> Result<R, PoseError> {
        let started = Instant::now();
        crop_to_tensor(
            frame,
            view,
            DETECTOR_INPUT_SIDE,
            Border::Zero,
            DETECTOR_SCALE,
            &mut self.tensor,
        );
        retouch(&mut self.tensor);
        let chosen = self.model.run(&self.tensor, |boxes, logits| {
            choose(&mut detections(
                boxes,
                logits,
                &self.anchors,
                *view,
                self.min_score,
            ))
        })?;
        timings.detector += started.elapsed();
        Ok(chosen)
    }
}

/// Reads poses from regions of pictures.
pub struct LandmarkStage {
    model: LandmarkModel,
    tensor: Vec<f32>,
    min_probability: f64,
}

impl LandmarkStage {
    /// A region shows a person when the pose probability is above `min_probability` (0..1).
    pub fn new(model: LandmarkModel, min_probability: f64) -> Self {
        Self {
            model,
            tensor: vec![0.0; 3 * LANDMARK_INPUT_SIDE * LANDMARK_INPUT_SIDE],
            min_probability,
        }
    }

    /// The pose in a region and its probability; `None` when the region does not show a person.
    ///
    /// # Errors
    /// When the model fails.
    pub fn run(
        &mut self,
        frame: BgrView<'_>,
        roi: &Roi,
        timings: &mut PoseTimings,
    ) -> Result<Option<(RawPose, f32)>, PoseError> {
        let started = Instant::now();
        crop_to_tensor(
            frame,
            roi,
            LANDMARK_INPUT_SIDE,
            Border::Replicate,
            LANDMARK_SCALE,
            &mut self.tensor,
        );
        let cropped = Instant::now();
        timings.crop += cropped - started;
        let min_probability = self.min_probability;
        let mut decoding = None;
        let pose = self.model.run(&self.tensor, |tensors| {
            decoding = Some(Instant::now());
            let probability = tensors.pose_probability;
            (f64::from(probability) > min_probability)
                .then(|| (RawPose::from_tensors(&tensors, roi), probability))
        })?;
        let decoded = Instant::now();
        let decoding = decoding.unwrap_or(decoded);
        timings.landmark_model += decoding - cropped;
        timings.tracking += decoded - decoding;
        Ok(pose)
    }
}
