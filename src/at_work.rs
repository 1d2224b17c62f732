//! Who beside a video's models needs a core, and who has one to spare for them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::Thread;

use crate::sync::lock;

/// What threads that have nothing else to do work along in.
pub trait Shareable: Send + Sync {
    /// Does parts of it while `is_free`, until there are none; whether there were any.
    fn share(&self, is_free: &dyn Fn() -> bool) -> bool;
}

/// Counts stages, other than the models, that have something to do. Clones count together.
#[derive(Clone, Default)]
pub struct AtWork(Arc<Stages>);

#[derive(Default)]
struct Stages {
    working: AtomicUsize,
    /// Who takes the cores that become free.
    waiting: Mutex<Vec<Thread>>,
    /// Whether threads of a crew do what is shared when they have nothing else to do.
    has_crew: bool,
    shared: Mutex<Vec<Weak<dyn Shareable>>>,
    /// Goes up with everything that somebody may wait for.
    changes: AtomicU64,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    is_changed: Condvar,
}

/// A stage is at work until this is dropped.
#[derive(Debug)]
pub struct Working(AtWork);

/// Something changes when this is dropped.
pub struct ChangesAtEnd<'a>(&'a AtWork);

impl AtWork {
    /// Stages that a [`Crew`](crate::crew::Crew) does.
    pub fn of_crew() -> Self {
        Self(Arc::new(Stages {
            has_crew: true,
            ..Stages::default()
        }))
    }

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

    /// Whether threads of a crew work along in what is shared with them.
    pub fn has_crew(&self) -> bool {
        self.0.has_crew
    }

    /// Has the crew's threads work along. [`Self::change`] tells them when there is something to do.
    pub fn share(&self, shareable: Weak<dyn Shareable>) {
        let mut shared = lock(&self.0.shared);
        shared.retain(|shareable| shareable.strong_count() > 0);
        shared.push(shareable);
    }

    /// The number of changes so far.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    /// Something has happened that somebody may wait for.
    pub fn change(&self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
        // Who falls asleep says so before it looks for changes the last time.
        if self.0.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.0.sleep));
            self.0.is_changed.notify_all();
        }
    }

    /// The same when what this gives is dropped, also by a panic.
    pub fn change_at_end(&self) -> ChangesAtEnd<'_> {
        ChangesAtEnd(self)
    }

    /// Waits until there were more changes than `seen`, and works along meanwhile in what is shared.
    pub fn wait_for_change(&self, seen: u64) {
        let is_free = || self.changes() == seen;
        while is_free() {
            if !self.work_along(&is_free) {
                self.sleep(seen);
            }
        }
    }

    /// Whether there was something to do.
    fn work_along(&self, is_free: &dyn Fn() -> bool) -> bool {
        let shared: Vec<_> = lock(&self.0.shared)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let done = shared.iter().map(|shareable| shareable.share(is_free));
        // Each of them, also after one.
        done.fold(false, |any, done| any | done)
    }

    fn sleep(&self, seen: u64) {
        let mut asleep = lock(&self.0.sleep);
        self.0.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.changes() == seen {
            let woken = self.0.is_changed.wait(asleep);
            asleep = woken.unwrap_or_else(PoisonError::into_inner);
        }
        self.0.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for AtWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let working = self.0.working.load(Ordering::Relaxed);
        f.debug_struct("AtWork")
            .field("working", &working)
            .finish_non_exhaustive()
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

impl Drop for ChangesAtEnd<'_> {
    fn drop(&mut self) {
        self.0.change();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{AtWork, Shareable};

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

    /// Is done as soon as somebody comes.
    #[derive(Default)]
    struct Small(AtomicBool);

    impl Shareable for Small {
        fn share(&self, is_free: &dyn Fn() -> bool) -> bool {
            is_free() && !self.0.swap(true, Ordering::AcqRel)
        }
    }

    #[test]
    fn who_waits_for_a_change_works_along_meanwhile() {
        let small = Arc::new(Small::default());
        let weak = Arc::downgrade(&small);
        assert!(!AtWork::default().has_crew());
        let at_work = AtWork::of_crew();
        assert!(at_work.has_crew());
        at_work.share(weak);
        let seen = at_work.changes();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| at_work.wait_for_change(seen));
            while !small.0.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            assert!(!waiting.is_finished());
            drop(at_work.change_at_end());
        });
        at_work.wait_for_change(seen);
    }
}
