//! How many threads a run of a model may use.

use crate::at_work::AtWork;

/// Threads that one run of a model may use; they do not change results.
#[derive(Clone, Debug)]
pub struct ModelThreads {
    /// While others need cores as well.
    pub beside_others: usize,
    /// While nobody does. A run is shortened by less than what the others would have done with the
    /// core.
    pub alone: usize,
    /// The others.
    pub others: AtWork,
}

impl ModelThreads {
    /// As many as a run may use at this moment.
    pub fn now(&self) -> usize {
        match self.others.is_anybody() {
            true => self.beside_others,
            false => self.alone,
        }
    }
}

impl From<usize> for ModelThreads {
    fn from(threads: usize) -> Self {
        Self {
            beside_others: threads,
            alone: threads,
            others: AtWork::default(),
        }
    }
}
