//! What finds people in pictures.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::held_back::EarlierPose;
use super::person_pose::PersonPose;
use super::provider::Provider;
use crate::image::{Picture, Pixels};
use crate::media_time::MediaTime;

/// Where the time of pose estimation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoseTimings {
    /// Runs of the detector, with the crops that it is given.
    pub detector: Duration,
    /// Cutting regions out of frames for the landmark model.
    pub crop: Duration,
    /// Runs of the landmark model.
    pub landmark_model: Duration,
    /// Everything between the models: decoding, smoothing, telling people apart.
    pub tracking: Duration,
}

impl PoseTimings {
    pub(super) fn add(&mut self, other: Self) {
        self.detector += other.detector;
        self.crop += other.crop;
        self.landmark_model += other.landmark_model;
        self.tracking += other.tracking;
    }
}

/// Finds people in the frames of one video after the other.
pub trait PoseBackend: Send {
    /// Forgets everything about the video before.
    fn start_video(&mut self);

    /// The people in the video's next frame, ordered by their number. `time` is when the picture was
    /// taken.
    ///
    /// # Errors
    /// When a model cannot be run.
    fn estimate(
        &mut self,
        frame: Pixels<'_>,
        time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError>;

    /// Passes the video's next frame over, in which nobody can be measured.
    fn skip(&mut self) {}

    /// Tells of a frame that is to be estimated after those that were told of before: threads that have
    /// nothing to do may look at it already, which changes nothing but how long it takes. None of these frames
    /// may be passed over ([`Self::skip`]). A picture is let go of when its frame is estimated.
    fn announce(&mut self, _picture: Arc<dyn Picture>, _time: MediaTime) {}

    /// Lets go of the pictures of all frames that were told of and not estimated. The video ends here.
    fn forget_announced(&mut self) {}

    /// So many frames are to be held back ([`HeldBack`]) to learn who else was in them.
    fn lookahead_frames(&self) -> usize {
        0
    }

    /// Who became certain in the frame estimated last, as they were in the frames before it; each is
    /// told once.
    fn take_earlier(&mut self) -> Vec<EarlierPose> {
        Vec::new()
    }

    /// Whether the CPU runs a part of the models that the provider does not take.
    fn is_partly_on_cpu(&self) -> bool {
        false
    }

    /// Time spent since the backend was made.
    fn timings(&self) -> PoseTimings;
}

/// What can go wrong with models and their runtime.
#[derive(Debug, thiserror::Error)]
pub enum PoseError {
    /// The library is missing, cannot be loaded, or is not a version that can be used.
    #[error(
        "cannot load ONNX Runtime ({reason}); run `make setup` or `posedata models add onnxruntime`: {path}"
    )]
    Runtime {
        /// Where it was looked for.
        path: PathBuf,
        /// What the runtime or the system says.
        reason: String,
    },
    /// The file of a model is not there.
    #[error("the model is not installed; run `make setup` or `posedata models add {name}`: {path}")]
    MissingModel {
        /// Its name in `models/models.toml`.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there, but no model that ONNX Runtime takes.
    #[error("cannot load the model ({reason}); run `posedata models add --force {name}`: {path}")]
    Model {
        /// Its name in `models/models.toml`.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What the runtime or the system says.
        reason: String,
    },
    /// A model of the user's is not what its skeleton says.
    #[error("the pose model does not fit: {reason}: {path}")]
    UnfitModel {
        /// Its file.
        path: PathBuf,
        /// What was expected, what was found, and what to do.
        reason: String,
    },
    /// What was asked to run the models is not there, or refuses to.
    #[error(
        "the provider {provider} cannot be used ({reason}); {}, or give --provider cpu",
        .provider.remedy()
    )]
    Provider {
        /// What was asked for.
        provider: Provider,
        /// What the runtime or the system says.
        reason: String,
    },
    /// A loaded model failed, or gave tensors of another shape than BlazePose has.
    #[error("the {model} model failed: {reason}")]
    Inference {
        /// `detector` or `landmark`.
        model: &'static str,
        /// What the runtime or the system says.
        reason: String,
    },
}

pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
