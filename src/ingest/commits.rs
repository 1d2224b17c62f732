//! Finished videos on their way into the lake: whoever may commit takes along all that wait.
//!
//! So a worker waits for two commits at most, however many others there are, and a lake that many
//! machines share is held less often.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::lake::{CommitOutcome, Lake, LakeError, LakePaths, PreparedVideo};
use crate::sync::lock;

type Outcome = Result<CommitOutcome, LakeError>;

/// The lake's session that all workers share, and the videos that wait for it.
pub(super) struct Commits {
    lake: Mutex<Lake>,
    paths: LakePaths,
    waiting: Mutex<Vec<(PreparedVideo, Sender<Outcome>)>>,
}

impl Commits {
    pub fn of(lake: Lake) -> Self {
        Self {
            paths: lake.paths().clone(),
            lake: Mutex::new(lake),
            waiting: Mutex::default(),
        }
    }

    /// Uses the session for something else.
    pub fn with_lake<R>(&self, work: impl FnOnce(&Lake) -> R) -> R {
        work(&lock(&self.lake))
    }

    /// Makes a video part of the lake; its files are sent to their place before anybody waits.
    ///
    /// # Errors
    /// As [`Lake::commit`].
    pub fn commit(&self, mut video: PreparedVideo) -> Outcome {
        video.staged.send(&self.paths)?;
        let (outcome, ours) = channel();
        lock(&self.waiting).push((video, outcome));
        let lake = lock(&self.lake);
        if let Ok(outcome) = ours.try_recv() {
            // Whoever had the lake before took ours along.
            return outcome;
        }
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let (videos, outcomes): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for (outcome, sender) in lake.commit_all(videos).into_iter().zip(outcomes) {
            // Everybody waits for the lake, and looks then.
            let _ = sender.send(outcome);
        }
        // Nothing comes where whoever took it along has panicked.
        ours.try_recv().unwrap_or_else(|_| {
            Err(LakeError::Commit {
                reason: "it was given up because of an error of another video".into(),
            })
        })
    }
}
