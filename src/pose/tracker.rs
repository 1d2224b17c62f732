//! Follows a person through a video: detector, region, landmark model, smoothing, next region.

use std::num::NonZeroU16;
use std::time::Instant;

use super::detector::Detection;
use super::filter_clock::FilterClock;
use super::landmarker::RawPose;
use super::roi::{ImageSize, Region, Roi};
use super::session::PoseModels;
use super::smoothing::{Smoother, Smoothing};
use super::stages::{DetectorStage, LandmarkStage};
use super::{ImageLandmark, PersonPose, PoseBackend, PoseError, PoseTimings};
use crate::image::Pixels;
use crate::media_time::MediaTime;

/// Whether a frame's region may come from the frame before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Follow the person; detect only when nobody is followed.
    Video,
    /// Treat each frame as an unrelated picture.
    Static,
}

/// Who comes first where several people are in the picture.
///
/// Someone who is followed alone is chosen by it whenever nobody is followed; of several people who
/// are followed together it makes one the main person, once the video has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// Alone: the detection with the best score, as in MediaPipe. Of several: the first to appear.
    #[default]
    First,
    /// The largest in the picture.
    Largest,
    /// The nearest to the picture's middle.
    Central,
    /// Of several: the one seen in most frames. Nobody can be chosen by it in advance.
    Longest,
}

/// Thresholds and switches, with MediaPipe's meaning, and how many people to follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerConfig {
    /// A detection counts from this score on, 0..1.
    pub min_detection_confidence: f64,
    /// A person is followed while the pose probability is above this, 0..1.
    pub min_tracking_confidence: f64,
    /// Does not touch the regions: where people are looked for next is always smoothed.
    pub smoothing: Smoothing,
    /// What smoothing goes by.
    pub filter_clock: FilterClock,
    /// A video, or pictures that have nothing to do with one another.
    pub tracking: Tracking,
    /// People that are followed at once at most.
    pub max_persons: NonZeroU16,
    /// Who is followed where there is a choice, or is the main person of several.
    pub pick: Pick,
    /// While someone, but not `max_persons`, are followed, the detector looks for more in every so
    /// many frames. Nobody is looked for that way when one person is followed alone.
    pub detect_every: NonZeroU16,
}

/// See [`TrackerConfig::detect_every`]. A detector run takes about as long as a landmark run of the
/// full model, and a search one or (in an oblong picture) two of them: with this many frames,
/// looking for more people costs about a seventh of what following one person does.
pub const DEFAULT_DETECT_EVERY: NonZeroU16 = NonZeroU16::new(15).expect("not zero");

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            min_detection_confidence: 0.5,
            min_tracking_confidence: 0.5,
            smoothing: Smoothing::On,
            filter_clock: FilterClock::MediaPipe,
            tracking: Tracking::Video,
            max_persons: NonZeroU16::MIN,
            pick: Pick::First,
            detect_every: DEFAULT_DETECT_EVERY,
        }
    }
}

/// One person on ONNX Runtime; with BlazePose's landmark model as MediaPipe runs it: [`Pick::First`].
///
/// ```
/// use posedata::models::ModelStore;
/// use posedata::pose::landmark::Landmark;
/// use posedata::pose::{PoseBackend, PoseModels, PoseTracker, TrackerConfig};
/// use posedata::video::{Frame, VideoReader};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // What `posedata models add base demo` has installed.
/// let store = ModelStore::new(None)?;
/// let models = PoseModels::load(&store.pose_files("full")?, 2)?;
/// let mut tracker = PoseTracker::new(models, TrackerConfig::default());
///
/// let mut video = VideoReader::open(&store.path("demo")?)?;
/// let mut frame = Frame::default();
/// let mut people = Vec::new();
/// while people.is_empty() && video.read(&mut frame)? {
///     let picture = frame.view().expect("a frame that was read");
///     people = tracker.estimate(picture.into(), frame.time)?;
/// }
/// let left_hip = people[0].landmarks[Landmark::LeftHip as usize];
/// assert!((0.0..1.0).contains(&left_hip.x) && left_hip.visibility > 0.9);
/// # Ok(())
/// # }
/// ```
pub struct PoseTracker {
    detector: DetectorStage,
    landmarker: LandmarkStage,
    config: TrackerConfig,
    smoother: Smoother,
    next_region: Option<Region>,
    is_partly_on_cpu: bool,
    frame_count: u64,
    timings: PoseTimings,
}

impl PoseTracker {
    /// A tracker that has seen nothing; each video begins with [`PoseBackend::start_video`].
    pub fn new(models: PoseModels, config: TrackerConfig) -> Self {
        Self {
            is_partly_on_cpu: models.is_partly_on_cpu(),
            detector: DetectorStage::new(models.detector, config.min_detection_confidence),
            landmarker: LandmarkStage::new(models.landmarker, config.min_tracking_confidence),
            config,
            smoother: smoother(&config),
            next_region: None,
            frame_count: 0,
            timings: PoseTimings::default(),
        }
    }

    fn detect(&mut self, frame: &mut Pixels<'_>) -> Result<Option<Detection>, PoseError> {
        let whole = Roi::letterbox(ImageSize::new(frame.width(), frame.height()));
        let timings = &mut self.timings;
        self.detector.run(
            frame,
            &whole,
            timings,
            |_| {},
            |detections| detections.next(),
        )
    }

    fn next_pose(
        &mut self,
        frame: &mut Pixels<'_>,
        time: MediaTime,
    ) -> Result<Option<PersonPose>, PoseError> {
        let tracked = match self.config.tracking {
            Tracking::Video => self.next_region.take(),
            Tracking::Static => None,
        };
        let reading = match tracked {
            Some(region) => self.landmarker.run(frame, &region, &mut self.timings)?,
            None => match self.detect(frame)? {
                Some(detection) => {
                    let (roi, timings) = (detection.roi(), &mut self.timings);
                    self.landmarker.read_detected(frame, &roi, timings)?
                }
                None => None,
            },
        };
        let Some((raw, probability)) = reading else {
            return Ok(None);
        };
        let started = Instant::now();
        let time_secs = self.config.filter_clock.secs(self.frame_count, time);
        let pose = self.smoother.apply(&raw, time_secs);
        let size = ImageSize::new(frame.width(), frame.height());
        let next = self.landmarker.followed(&raw, &pose, size);
        self.next_region = Some(next).filter(Region::is_usable);
        let person = person_pose(0, &pose, probability, size);
        self.timings.tracking += started.elapsed();
        Ok(Some(person))
    }
}

impl PoseBackend for PoseTracker {
    fn start_video(&mut self) {
        self.smoother = smoother(&self.config);
        self.next_region = None;
        self.frame_count = 0;
    }

    fn estimate(
        &mut self,
        mut frame: Pixels<'_>,
        time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError> {
        self.frame_count += 1;
        let pose = self.next_pose(&mut frame, time)?;
        if pose.is_none() {
            self.next_region = None;
            self.smoother.lost();
        }
        Ok(pose.into_iter().collect())
    }

    fn is_partly_on_cpu(&self) -> bool {
        self.is_partly_on_cpu
    }

    fn timings(&self) -> PoseTimings {
        self.timings
    }
}

/// MediaPipe does not smooth the landmarks of unrelated pictures.
pub(super) fn smoother(config: &TrackerConfig) -> Smoother {
    let smoothing = match config.tracking {
        Tracking::Video => config.smoothing,
        Tracking::Static => Smoothing::Off,
    };
    Smoother::new(smoothing, config.filter_clock)
}

pub(super) fn person_pose(
    person: u16,
    pose: &RawPose,
    probability: f32,
    size: ImageSize,
) -> PersonPose {
    PersonPose {
        person,
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
