//! Threads that do the stages of a pipeline, as many as there are cores.
//!
//! Were each stage a thread, more of them would want to run than there are cores, and the system's
//! scheduler leaves cores idle for milliseconds while others have two threads to choose from. So each thread
//! of a crew does a step of whatever stage can go on, and sleeps only when none can.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, TryLockError};

use crate::at_work::AtWork;
use crate::sync::lock;

/// What came of a stage's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Worked,
    /// There is nothing to do before something changes.
    Waits,
    /// There will be nothing to do any more. The stage is dropped.
    Done,
}

/// Does what it can without waiting for another stage, some milliseconds at most.
pub type Stage<'s> = Box<dyn FnMut() -> Step + Send + 's>;

/// Stages that are to be done, the first ones first.
pub struct Crew<'s> {
    stages: Vec<Mutex<Option<Stage<'s>>>>,
    left: AtomicUsize,
    at_work: AtWork,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<'s> Crew<'s> {
    /// `at_work` counts those that are being done, and is told of what changes.
    pub fn new(stages: Vec<Stage<'s>>, at_work: AtWork) -> Self {
        Self {
            left: AtomicUsize::new(stages.len()),
            stages: (stages.into_iter().map(Some)).map(Mutex::new).collect(),
            at_work,
            panic: Mutex::default(),
        }
    }

    /// Does stages until all are done.
    pub fn work(&self) {
        self.work_until(|| (self.left.load(Ordering::Acquire) == 0).then_some(()));
    }

    /// Does stages until there is what is looked for.
    pub fn work_until<R>(&self, mut look: impl FnMut() -> Option<R>) -> R {
        loop {
            let seen = self.at_work.changes();
            if let Some(found) = look() {
                return found;
            }
            if !self.step() {
                self.at_work.wait_for_change(seen);
            }
        }
    }

    /// Something has changed that stages may wait for.
    pub fn change(&self) {
        self.at_work.change();
    }

    /// The panic of a stage, if there was one.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panic).take()
    }

    /// Does a step of the first stage that can go on; `false` when none can.
    fn step(&self) -> bool {
        self.stages.iter().any(|stage| {
            let mut stage = match stage.try_lock() {
                Ok(stage) => stage,
                Err(TryLockError::Poisoned(stage)) => stage.into_inner(),
                // Another thread does it, and says when something has changed.
                Err(TryLockError::WouldBlock) => return false,
            };
            let Some(next) = &mut *stage else {
                return false;
            };
            let working = self.at_work.begin();
            let step = catch_unwind(AssertUnwindSafe(next)).unwrap_or_else(|panic| {
                lock(&self.panic).get_or_insert(panic);
                Step::Done
            });
            drop(working);
            match step {
                Step::Waits => return false,
                Step::Worked => {}
                Step::Done => {
                    // Others see the end of what it gave them.
                    *stage = None;
                    self.left.fetch_sub(1, Ordering::AcqRel);
                }
            }
            drop(stage);
            self.at_work.change();
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{TryRecvError, bounded};

    use super::*;

    /// Numbers go from a stage to the next, of which three fit between them, and come out in their order.
    fn numbers_through(threads: usize, count: u32) -> Vec<u32> {
        let (first, doubling) = bounded::<u32>(3);
        let (doubled, last) = bounded::<u32>(3);
        let mut next = 0;
        let counting: Stage<'_> = Box::new(move || {
            if next == count {
                return Step::Done;
            }
            match first.try_send(next) {
                Ok(()) => next += 1,
                Err(_) => return Step::Waits,
            }
            Step::Worked
        });
        let mut waiting = None;
        let doubler: Stage<'_> = Box::new(move || {
            let number = match waiting.take().map_or_else(|| doubling.try_recv(), Ok) {
                Ok(number) => number,
                Err(TryRecvError::Empty) => return Step::Waits,
                Err(TryRecvError::Disconnected) => return Step::Done,
            };
            match doubled.try_send(2 * number) {
                Ok(()) => Step::Worked,
                Err(_) => {
                    waiting = Some(number);
                    Step::Waits
                }
            }
        });
        let crew = Crew::new(vec![counting, doubler], AtWork::of_crew());
        let mut numbers = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| crew.work());
            }
            while let Some(number) = crew.work_until(|| match last.try_recv() {
                Ok(number) => Some(Some(number)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(None),
            }) {
                numbers.push(number);
                crew.change();
            }
            crew.work();
        });
        assert!(crew.into_panic().is_none());
        numbers
    }

    #[test]
    fn stages_hand_on_to_each_other_whoever_does_them() {
        let wanted: Vec<u32> = (0..500).map(|number| 2 * number).collect();
        for threads in [0, 1, 2, 5] {
            assert_eq!(numbers_through(threads, 500), wanted, "{threads} threads");
        }
    }

    #[test]
    fn a_panic_ends_its_stage_alone() {
        let at_work = AtWork::of_crew();
        let (sender, receiver) = bounded::<()>(1);
        let broken: Stage<'_> = Box::new(move || {
            let _sender = &sender;
            panic!("broken");
        });
        let mut is_told = false;
        let is_told_of_end = &mut is_told;
        let other: Stage<'_> = Box::new(move || match receiver.try_recv() {
            Err(TryRecvError::Disconnected) => {
                *is_told_of_end = true;
                Step::Done
            }
            _ => Step::Waits,
        });
        let crew = Crew::new(vec![other, broken], at_work.clone());
        crew.work();
        let panic = crew.into_panic().expect("it panicked");
        assert_eq!(panic.downcast_ref(), Some(&"broken"));
        assert!(is_told && !at_work.is_anybody());
    }
}
