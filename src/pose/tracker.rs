//! Follows a person through a video: detector, region, landmark model, smoothing, next region.

use std::time::Instant;

use super::crop::{Border, InputScale, crop_to_tensor};
use super::detector::{DETECTOR_INPUT_SIDE, Detection, anchors, best_detection};
use super::landmarker::{LANDMARK_INPUT_SIDE, RawPose};
use super::roi::{ImageSize, Roi};
use super::session::PoseModels;
use super::smoothing::{Smoother, Smoothing};
use super::{ImageLandmark, PersonPose, PoseBackend, PoseError, PoseTimings};
use crate::image::BgrView;

/// Time between two frames as the smoothing filters see it, whatever the video's rate.
///
/// MediaPipe's Python package numbers its frames so; landmarks that are to agree with it must be
/// filtered by the same clock.
const FILTER_STEP_SECS: f64 = 0.033_333;

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

/// Whether a frame's region may come from the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Follow the person; detect only when nobody is followed.
    Video,
    /// Treat each frame as an unrelated picture.
    Static,
}

/// Thresholds and switches, with MediaPipe's meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerConfig {
    /// A detection counts from this score on, 0..1.
    pub min_detection_confidence: f64,
    /// A person is followed while the pose probability is above this, 0..1.
    pub min_tracking_confidence: f64,
    pub smoothing: Smoothing,
    pub tracking: Tracking,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            min_detection_confidence: 0.5,
            min_tracking_confidence: 0.5,
            smoothing: Smoothing::On,
            tracking: Tracking::Video,
        }
    }
}

/// Single-person BlazePose on ONNX Runtime.
pub struct PoseTracker {
    models: PoseModels,
    config: TrackerConfig,
    anchors: Vec<[f64; 2]>,
    detector_tensor: Vec<f32>,
    landmark_tensor: Vec<f32>,
    smoother: Smoother,
    next_roi: Option<Roi>,
    frame_count: u64,
    timings: PoseTimings,
}

impl PoseTracker {
    pub fn new(models: PoseModels, config: TrackerConfig) -> Self {
        Self {
            models,
            config,
            anchors: anchors(),
            detector_tensor: vec![0.0; 3 * DETECTOR_INPUT_SIDE * DETECTOR_INPUT_SIDE],
            landmark_tensor: vec![0.0; 3 * LANDMARK_INPUT_SIDE * LANDMARK_INPUT_SIDE],
            smoother: smoother(&config),
            next_roi: None,
            frame_count: 0,
            timings: PoseTimings::default(),
        }
    }

    /// Runs the detector on a whole picture.
    ///
    /// # Errors
    /// When the model fails.
    pub fn detect(&mut self, frame: BgrView<'_>) -> Result<Option<Detection>, PoseError> {
        let started = Instant::now();
        let size = ImageSize::new(frame.width(), frame.height());
        crop_to_tensor(
            frame,
            &Roi::letterbox(size),
            DETECTOR_INPUT_SIDE,
            Border::Zero,
            DETECTOR_SCALE,
            &mut self.detector_tensor,
        );
        let (anchors, min_score) = (&self.anchors, self.config.min_detection_confidence);
        let detection = self.models.detect(&self.detector_tensor, |boxes, logits| {
            best_detection(boxes, logits, anchors, size, min_score)
        })?;
        self.timings.detector += started.elapsed();
        Ok(detection)
    }

    /// Runs the landmark model on a region; `None` when it does not show a person.
    ///
    /// # Errors
    /// When the model fails.
    pub fn landmarks(
        &mut self,
        frame: BgrView<'_>,
        roi: &Roi,
    ) -> Result<Option<(RawPose, f32)>, PoseError> {
        let started = Instant::now();
        crop_to_tensor(
            frame,
            roi,
            LANDMARK_INPUT_SIDE,
            Border::Replicate,
            LANDMARK_SCALE,
            &mut self.landmark_tensor,
        );
        let cropped = Instant::now();
        self.timings.crop += cropped - started;
        let min_probability = self.config.min_tracking_confidence;
        let mut decoding = None;
        let pose = self.models.landmarks(&self.landmark_tensor, |tensors| {
            decoding = Some(Instant::now());
            let probability = tensors.pose_probability;
            (f64::from(probability) > min_probability)
                .then(|| (RawPose::from_tensors(&tensors, roi), probability))
        })?;
        let decoded = Instant::now();
        let decoding = decoding.unwrap_or(decoded);
        self.timings.landmark_model += decoding - cropped;
        self.timings.tracking += decoded - decoding;
        Ok(pose)
    }

    fn next_pose(&mut self, frame: BgrView<'_>) -> Result<Option<PersonPose>, PoseError> {
        let tracked = match self.config.tracking {
            Tracking::Video => self.next_roi.take(),
            Tracking::Static => None,
        };
        let roi = match tracked {
            Some(roi) => Some(roi),
            None => self.detect(frame)?.map(|detection| detection.roi()),
        };
        let Some(roi) = roi.filter(Roi::is_usable) else {
            return Ok(None);
        };
        let Some((raw, probability)) = self.landmarks(frame, &roi)? else {
            return Ok(None);
        };
        let started = Instant::now();
        let time_secs = self.frame_count as f64 * FILTER_STEP_SECS;
        let pose = self.smoother.apply(&raw, time_secs);
        let [center, scale] = pose.alignment.map(|point| [point.x_px, point.y_px]);
        self.next_roi = Some(Roi::from_alignment_points(center, scale)).filter(Roi::is_usable);
        let size = ImageSize::new(frame.width(), frame.height());
        let person = person_pose(&pose, probability, size);
        self.timings.tracking += started.elapsed();
        Ok(Some(person))
    }
}

impl PoseBackend for PoseTracker {
    fn start_video(&mut self) {
        self.smoother = smoother(&self.config);
        self.next_roi = None;
        self.frame_count = 0;
    }

    fn estimate(&mut self, frame: BgrView<'_>) -> Result<Vec<PersonPose>, PoseError> {
        self.frame_count += 1;
        let pose = self.next_pose(frame)?;
        if pose.is_none() {
            self.next_roi = None;
            self.smoother.lost();
        }
        Ok(pose.into_iter().collect())
    }

    fn timings(&self) -> PoseTimings {
        self.timings
    }
}

/// MediaPipe does not smooth the landmarks of unrelated pictures.
fn smoother(config: &TrackerConfig) -> Smoother {
    Smoother::new(match config.tracking {
        Tracking::Video => config.smoothing,
        Tracking::Static => Smoothing::Off,
    })
}

fn person_pose(pose: &RawPose, probability: f32, size: ImageSize) -> PersonPose {
    PersonPose {
        person: 0,
        probability,
        landmarks: pose.landmarks.map(|landmark| ImageLandmark {
            x: (landmark.x_px / size.width) as f32,
            y: (landmark.y_px / size.height) as f32,
            z: (landmark.z_px / size.width) as f32,
            visibility: landmark.visibility as f32,
            presence: landmark.presence as f32,
        }),
        world_m: pose.world_m.map(|point| point.map(|v| v as f32)),
    }
}
