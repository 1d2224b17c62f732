//! The pose backends of an ingest's workers.

use std::num::NonZeroU16;

use crate::pose::{
    ModelFiles, MultiPersonTracker, Pick, PoseBackend, PoseError, PoseModels, PoseTracker,
    TrackerConfig,
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
    /// Sessions of the landmark model that a worker has: several people are read side by side, each
    /// by a session of its own.
    pub fn sessions(&self, cores: usize) -> usize {
        match usize::from(self.tracker.max_persons.get()) {
            1 => 1,
            persons => 1 + persons.min(cores),
        }
    }

    /// Loads the models for one worker that may use so many threads.
    ///
    /// # Errors
    /// When they are missing or damaged.
    pub fn load(&self, threads: usize) -> Result<Box<dyn PoseBackend>, PoseError> {
        let Self { files, tracker } = self;
        if tracker.max_persons > NonZeroU16::MIN || tracker.pick != Pick::First {
            let people = MultiPersonTracker::load(files, threads, *tracker)?;
            return Ok(Box::new(people));
        }
        let models = PoseModels::load(files, threads)?;
        Ok(Box::new(PoseTracker::new(models, *tracker)))
    }
}
