//! The models with what stands around them: a picture in, detections or a pose out.

use std::time::Instant;

use super::crop::{Border, InputScale, ModelInput, crop_to_levels, crop_to_tensor};
use super::detector::{DETECTOR_INPUT_SIDE, Detection, anchors, detections};
use super::landmarker::{LANDMARK_INPUT_SIDE, RawPose};
use super::roi::{ImageSize, Region, Roi};
use super::session::{DetectorModel, LandmarkModel, Landmarker};
use super::top_down::TopDownStage;
use super::{PoseError, PoseTimings};
use crate::image::Pixels;

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
        frame: &mut Pixels<'_>,
        view: &Roi,
        timings: &mut PoseTimings,
        retouch: impl FnOnce(&mut [f32]),
        choose: impl FnOnce(&mut dyn Iterator<Item = Detection>) -> R,
    ) -> Result<R, PoseError> {
        let started = Instant::now();
        crop_to_tensor(
            frame.show([Region::from(*view).corners()]),
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
pub enum LandmarkStage {
    BlazePose(BlazePoseStage),
    TopDown(TopDownStage),
}

/// A region's pose with its probability; `None` where it shows nobody.
pub type Reading = Option<(RawPose, f32)>;

/// From which pose probability on a reading counts for how much, where several people are told
/// apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certainty {
    /// Hardly anything but people reaches it.
    pub clear: f32,
    /// People who are not well seen have less.
    pub sure: f32,
}

/// Most people in the clips that posedata installs begin with more than the first; shapes that pass
/// for people reach 0.998.
const BLAZEPOSE_CERTAINTY: Certainty = Certainty {
    clear: 0.999,
    sure: 0.9,
};
/// The probability is a mean visibility here, where 0.5 is the least score that counts: set well
/// above it, and below what scores of a body that is well seen come to, which rarely are near 1.
const TOP_DOWN_CERTAINTY: Certainty = Certainty {
    clear: 0.7,
    sure: 0.6,
};

impl LandmarkStage {
    /// A region shows a person when the pose probability is above `min_probability` (0..1).
    pub fn new(model: Landmarker, min_probability: f64) -> Self {
        match model {
            Landmarker::BlazePose(model) => {
                Self::BlazePose(BlazePoseStage::new(model, min_probability))
            }
            Landmarker::TopDown(model) => Self::TopDown(TopDownStage::new(model, min_probability)),
        }
    }

    /// What probabilities mean.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::BlazePose(_) => BLAZEPOSE_CERTAINTY,
            Self::TopDown(_) => TOP_DOWN_CERTAINTY,
        }
    }

    /// Where to look first at someone whom the detector has found.
    pub fn detected(&self, roi: &Roi) -> Region {
        match self {
            Self::BlazePose(_) => (*roi).into(),
            Self::TopDown(stage) => stage.detected(roi),
        }
    }

    /// Where to look for someone who was just read as `raw`, which smoothing has made `pose`, in pictures
    /// of that size.
    pub fn followed(&self, raw: &RawPose, pose: &RawPose, size: ImageSize) -> Region {
        match self {
            Self::BlazePose(_) => {
                let [center, scale] = pose.alignment.map(|point| [point.x_px, point.y_px]);
                Roi::from_alignment_points(center, scale).into()
            }
            Self::TopDown(stage) => stage.followed(raw, size),
        }
    }

    /// The pose of someone whom the detector has found.
    ///
    /// # Errors
    /// When the model fails.
    pub fn read_detected(
        &mut self,
        frame: &mut Pixels<'_>,
        roi: &Roi,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        let region = self.detected(roi);
        if !region.is_usable() {
            return Ok(None);
        }
        let first = self.run(frame, &region, timings)?;
        let Some((raw, _)) = &first else {
            return Ok(None);
        };
        let region = match self {
            Self::BlazePose(_) => return Ok(first),
            // Its first box was rough.
            Self::TopDown(stage) => {
                stage.followed(raw, ImageSize::new(frame.width(), frame.height()))
            }
        };
        match region.is_usable() {
            true => self.run(frame, &region, timings),
            false => Ok(None),
        }
    }

    /// The pose in a region and its probability; `None` when the region does not show a person.
    ///
    /// # Errors
    /// When the model fails.
    pub fn run(
        &mut self,
        frame: &mut Pixels<'_>,
        region: &Region,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        match self {
            Self::BlazePose(stage) => stage.run(frame, region, timings),
            Self::TopDown(stage) => stage.run(frame, region, timings),
        }
    }
}

/// Reads poses from regions by BlazePose's landmark model.
pub struct BlazePoseStage {
    model: LandmarkModel,
    levels: Vec<u8>,
    min_probability: f64,
}

impl BlazePoseStage {
    /// A region shows a person when the pose probability is above `min_probability` (0..1).
    fn new(model: LandmarkModel, min_probability: f64) -> Self {
        Self {
            model,
            levels: vec![0; 3 * LANDMARK_INPUT_SIDE * LANDMARK_INPUT_SIDE],
            min_probability,
        }
    }

    fn run(
        &mut self,
        frame: &mut Pixels<'_>,
        region: &Region,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        let started = Instant::now();
        let roi = &region.square();
        crop_to_levels(
            frame.show([Region::from(*roi).corners()]),
            roi,
            LANDMARK_INPUT_SIDE,
            Border::Replicate,
            &mut self.levels,
        );
        let cropped = Instant::now();
        timings.crop += cropped - started;
        let min_probability = self.min_probability;
        let mut decoding = None;
        let picture = ModelInput::Levels(&self.levels, LANDMARK_SCALE);
        let pose = self.model.run(picture, |tensors| {
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
