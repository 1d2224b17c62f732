//! Who beside a video's models needs a core: what decodes it, what draws on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;

use crate::sync::lock;

/// Counts stages, other than the models, that have something to do. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct AtWork(Arc<Stages>);

#[derive(Debug, Default)]
struct Stages {
    working: AtomicUsize,
    /// Who takes the cores that become free.
    waiting: Mutex<Vec<Thread>>,
}

/// A stage is at work until this is dropped.
#[derive(Debug)]
pub struct Working(AtWork);

impl AtWork {
    /// A stage has something to do from now on.
    pub fn begin(&self) -> Working {
        self.0.working.fetch_add(1, Ordering::Relaxed);
        Working(self.clone())
    }

    /// Whether there is one.
    pub fn is_anybody(&self) -> bool {
        self.0.working.load(Ordering::Relaxed) > 0
    }

    /// Unparks the thread whenever nobody is at work any more, from now on.
    pub fn wake(&self, thread: Thread) {
        lock(&self.0.waiting).push(thread);
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let stages = &*self.0.0;
        if stages.working.fetch_sub(1, Ordering::Relaxed) == 1 {
            for thread in &*lock(&stages.waiting) {
                thread.unpark();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::AtWork;

    #[test]
    fn somebody_is_at_work_until_the_last_one_stops() {
        let at_work = AtWork::default();
        assert!(!at_work.is_anybody());
        let (first, second) = (at_work.begin(), at_work.clone().begin());
        drop(first);
        assert!(at_work.is_anybody());
        drop(second);
        assert!(!at_work.is_anybody());
    }

    #[test]
    fn who_waits_is_woken_when_nobody_is_at_work() {
        let at_work = AtWork::default();
        let (is_waiting, is_woken) = (AtomicBool::new(false), AtomicBool::new(false));
        let working = at_work.begin();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                at_work.wake(std::thread::current());
                is_waiting.store(true, Ordering::Release);
                while at_work.is_anybody() {
                    std::thread::park();
                }
                is_woken.store(true, Ordering::Release);
            });
            while !is_waiting.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            assert!(!is_woken.load(Ordering::Acquire));
            drop(working);
        });
        assert!(is_woken.into_inner());
    }
}
