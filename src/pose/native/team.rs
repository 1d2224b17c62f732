//! Threads that run a plan together.
//!
//! A task takes some microseconds, less than a thread takes to fall asleep and wake up; so those that work
//! look for work until the run ends, and sleep between runs. Nobody gives work out: each takes the next
//! task that nobody has, and begins it when those are done that it needs. So a helper can join a run at any
//! moment, when a core has become free for it, and leave it when others need the core.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread, yield_now};

use super::memory::Memory;
use super::plan::Plan;
use super::slots::Spaces;
use crate::pose::model_threads::ModelThreads;

/// Looks before a thread lets others have its core; some 20 µs.
const LOOKS: u32 = 1_000;
/// Bits of the count of taken tasks; above them is the number of the run.
const TASK_BITS: u32 = 32;

/// When threads that have become free help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helpers {
    /// At any moment of a run: they are woken whenever a core becomes free.
    JoinAnyTime,
    /// At the beginning of a run, if there is a core then.
    JoinAtBeginning,
}

/// What all threads have in common.
struct Shared {
    plan: Arc<Plan>,
    threads: ModelThreads,
    picture: AtomicPtr<f32>,
    memory: AtomicPtr<f32>,
    /// The number of the run, and how many of its tasks were taken.
    taken: AtomicU64,
    /// Of each task: the last run in which it was done.
    done: Vec<AtomicU32>,
    is_over: AtomicBool,
}

/// The calling thread and its helpers, with memory for one run.
pub struct Team {
    shared: Arc<Shared>,
    memory: Memory,
    /// Of the calling thread.
    own: Memory,
    joining: Helpers,
    helpers: Vec<(Thread, JoinHandle<()>)>,
}

impl Team {
    /// As many helpers as are needed are started with the first run that may have them.
    pub fn new(plan: Arc<Plan>, threads: ModelThreads, joining: Helpers) -> Self {
        let memory = Memory::zeros(plan.shared_floats());
        let own = Memory::zeros(plan.own_floats());
        Self {
            shared: Arc::new(Shared {
                threads,
                picture: AtomicPtr::default(),
                memory: AtomicPtr::default(),
                taken: AtomicU64::new(0),
                done: (0..plan.tasks()).map(|_| AtomicU32::new(0)).collect(),
                is_over: AtomicBool::new(false),
                plan,
            }),
            own,
            joining,
            memory,
            helpers: Vec::new(),
        }
    }

    /// The tensors of the last run.
    pub fn memory(&mut self) -> *mut f32 {
        self.memory.as_mut_ptr()
    }

    /// Runs the plan on a picture; the tensors are in memory then.
    ///
    /// # Safety
    /// `picture` has as many values as the plan asks for.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub unsafe fn run(&mut self, picture: &[f32]) -> std::io::Result<()> {
        let helpers = self.shared.threads.now().saturating_sub(1);
        while self.helpers.len() < helpers {
            self.start_helper()?;
        }
        let shared = &*self.shared;
        shared
            .picture
            .store(picture.as_ptr().cast_mut(), Ordering::Relaxed);
        shared
            .memory
            .store(self.memory.as_mut_ptr(), Ordering::Relaxed);
        // Numbers come again after so many runs that nobody knows the first any more.
        let run = ((shared.taken.load(Ordering::Relaxed) >> TASK_BITS) as u32).wrapping_add(1);
        let none_taken = u64::from(run) << TASK_BITS;
        shared.taken.store(none_taken, Ordering::Release);
        for (thread, _) in &self.helpers[..helpers] {
            thread.unpark();
        }
        let done = shared.work(run, self.own.as_mut_ptr(), || true);
        shared.wait(run, done, shared.plan.tasks());
        Ok(())
    }

    fn start_helper(&mut self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let number = self.helpers.len();
        let builder = std::thread::Builder::new().name(format!("landmarks-{number}"));
        let handle = builder.spawn(move || shared.help(number))?;
        let thread = handle.thread();
        if self.joining == Helpers::JoinAnyTime {
            self.shared.threads.others.wake(thread.clone());
        }
        self.helpers.push((thread.clone(), handle));
        Ok(())
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        for (thread, handle) in self.helpers.drain(..) {
            thread.unpark();
            // Helpers do not panic; if one did, its run has not ended.
            let _ = handle.join();
        }
    }
}

impl Shared {
    /// Works in all runs while there is a core for this helper.
    fn help(&self, number: usize) {
        let has_core = || number + 1 < self.threads.now();
        let mut own = Memory::zeros(self.plan.own_floats());
        let mut last = 0;
        while !self.is_over.load(Ordering::Acquire) {
            let run = (self.taken.load(Ordering::Acquire) >> TASK_BITS) as u32;
            if run == last || !has_core() {
                std::thread::park();
                continue;
            }
            last = run;
            self.work(run, own.as_mut_ptr(), has_core);
        }
    }

    /// Does tasks until all are taken, or there is no core any more. So many tasks are known to be done then.
    fn work(&self, run: u32, own: *mut f32, has_core: impl Fn() -> bool) -> usize {
        let mut done = 0;
        while let Some(task) = has_core().then(|| self.take(run)).flatten() {
            done = self.wait(run, done, self.plan.needs(task));
            let spaces = Spaces {
                shared: self.memory.load(Ordering::Relaxed),
                own,
            };
            let picture = self.picture.load(Ordering::Relaxed);
            // SAFETY: the run's thread lends memory and picture until all tasks are done, and this one is
            // not. Those that it needs are done, and nobody else has it.
            unsafe { self.plan.run(task, spaces, picture) };
            self.done[task].store(run, Ordering::Release);
        }
        done
    }

    /// The next task that nobody has taken; `None` also where the run is over.
    fn take(&self, run: u32) -> Option<usize> {
        let mut seen = self.taken.load(Ordering::Acquire);
        loop {
            let task = (seen & ((1 << TASK_BITS) - 1)) as usize;
            if (seen >> TASK_BITS) as u32 != run || task >= self.plan.tasks() {
                return None;
            }
            let next = seen + 1;
            match (self.taken).compare_exchange_weak(
                seen,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(task),
                Err(now) => seen = now,
            }
        }
    }

    /// Waits until all tasks before `task` are done, of which `done` are known to be; gives what is known
    /// then.
    fn wait(&self, run: u32, mut done: usize, task: usize) -> usize {
        let mut looks = 0;
        while done < task {
            if self.done[done].load(Ordering::Acquire) == run {
                done += 1;
                continue;
            }
            looks += 1;
            match looks < LOOKS {
                true => spin_loop(),
                false => yield_now(),
            }
        }
        done
    }
}
