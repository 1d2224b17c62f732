//! Who beside the models needs a core: what decodes a video, what draws on it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts a video's stages, other than the models, that have something to do.
#[derive(Debug, Default)]
pub struct AtWork(AtomicUsize);

/// A stage is at work until this is dropped.
#[derive(Debug)]
pub struct Working<'a>(&'a AtWork);

impl AtWork {
    /// A stage has something to do from now on.
    pub fn begin(&self) -> Working<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(self)
    }

    /// Whether there is one.
    pub fn is_anybody(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::AtWork;

    #[test]
    fn somebody_is_at_work_until_the_last_one_stops() {
        let at_work = AtWork::default();
        assert!(!at_work.is_anybody());
        let (first, second) = (at_work.begin(), at_work.begin());
        drop(first);
        assert!(at_work.is_anybody());
        drop(second);
        assert!(!at_work.is_anybody());
    }
}
