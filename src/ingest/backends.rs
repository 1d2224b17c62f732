//! The pose backends of an ingest's workers.

use std::num::NonZeroU16;

use crate::pose::{
    ModelFiles, ModelThreads, MultiPersonTracker, Pick, PoseBackend, PoseError, PoseModels,
    PoseTracker, Provider, TrackerConfig,
};

/// What loads them.
#[derive(Clone, Debug)]
pub struct Backends {
    /// Detector, landmark model and the runtime for both.
    pub files: ModelFiles,
    /// With several people, each worker gets a tracker of several.
    pub tracker: TrackerConfig,
}

impl Backends {
    /// Sessions of the landmark model that a worker has at most: on several cores one for runs beside
    /// other stages and one for those that have all cores, which posedata's own code can do with one, and
    /// one for each of several people who are read side by side.
    pub fn sessions(&self, cores: usize) -> usize {
        let lone = match self.files.provider {
            Provider::Native => 1,
            _ => cores.min(2),
        };
        match usize::from(self.tracker.max_persons.get()) {
            1 => lone,
            persons => lone + persons.min(cores),
        }
    }

    /// Loads the models for one worker.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn load(&self, threads: ModelThreads) -> Result<Box<dyn PoseBackend>, PoseError> {
        let Self { files, tracker } = self;
        if tracker.max_persons > NonZeroU16::MIN || tracker.pick != Pick::First {
            let people = MultiPersonTracker::load(files, threads, *tracker)?;
            return Ok(Box::new(people));
        }
        let models = PoseModels::load(files, threads)?;
        Ok(Box::new(PoseTracker::new(models, *tracker)))
    }
}
