//! Threads that run a plan together.
//!
//! A layer takes some 20 µs, less than a thread takes to fall asleep and wake up; so those that work look
//! for work until the run ends, and sleep between runs. Nobody gives work out: each takes the next part
//! of a layer that nobody has, and goes on to the next layer when all parts are done. So a helper can join a
//! run at any moment, when a core has become free for it, and leave it when others need the core.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::thread::{JoinHandle, Thread, yield_now};

use super::memory::Memory;
use super::plan::Plan;
use crate::pose::model_threads::ModelThreads;

/// Looks before a thread lets others have its core; some 20 µs.
const LOOKS: u32 = 1_000;
/// Bits of a layer's count of taken parts; above them is the number of the run.
const PART_BITS: u32 = 8;
/// So many runs later numbers come again; by then nobody waits for the first.
const RUNS: u32 = 1 << (32 - PART_BITS);

/// What all threads have in common.
struct Shared {
    plan: Arc<Plan>,
    threads: ModelThreads,
    /// Number of the run.
    run: AtomicU32,
    picture: AtomicPtr<f32>,
    memory: AtomicPtr<f32>,
    /// Of each layer: the run, and how many parts were taken in it.
    taken: Vec<AtomicU32>,
    /// Of each layer: parts done.
    done: Vec<AtomicU32>,
    is_over: AtomicBool,
}

/// The calling thread and its helpers, with memory for one run.
pub struct Team {
    shared: Arc<Shared>,
    memory: Memory,
    helpers: Vec<(Thread, JoinHandle<()>)>,
}

impl Team {
    /// As many helpers as are needed are started with the first run that may have them.
    pub fn new(plan: Arc<Plan>, threads: ModelThreads) -> Self {
        let counters = |_| AtomicU32::new(0);
        let layers = 0..plan.layers();
        let memory = Memory::zeros(plan.memory_floats());
        Self {
            shared: Arc::new(Shared {
                run: AtomicU32::new(0),
                threads,
                picture: AtomicPtr::default(),
                memory: AtomicPtr::default(),
                taken: layers.clone().map(counters).collect(),
                done: layers.map(counters).collect(),
                is_over: AtomicBool::new(false),
                plan,
            }),
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
        for done in &shared.done {
            done.store(0, Ordering::Relaxed);
        }
        let run = (shared.run.load(Ordering::Relaxed) + 1) % RUNS;
        for taken in &shared.taken {
            taken.store(run << PART_BITS, Ordering::Relaxed);
        }
        shared
            .picture
            .store(picture.as_ptr().cast_mut(), Ordering::Relaxed);
        shared
            .memory
            .store(self.memory.as_mut_ptr(), Ordering::Relaxed);
        shared.run.store(run, Ordering::Release);
        for (thread, _) in &self.helpers[..helpers] {
            thread.unpark();
        }
        shared.work(run, || true);
        Ok(())
    }

    fn start_helper(&mut self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let number = self.helpers.len();
        let builder = std::thread::Builder::new().name(format!("landmarks-{number}"));
        let handle = builder.spawn(move || shared.help(number))?;
        let thread = handle.thread();
        self.shared.threads.others.wake(thread.clone());
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
        let mut last = 0;
        while !self.is_over.load(Ordering::Acquire) {
            let run = self.run.load(Ordering::Acquire);
            if run == last || !has_core() {
                std::thread::park();
                continue;
            }
            last = run;
            self.work(run, has_core);
        }
    }

    /// Does parts of all layers until the run is over, and all are done, or there is no core any more.
    fn work(&self, run: u32, has_core: impl Fn() -> bool) {
        for layer in 0..self.plan.layers() {
            let parts = self.plan.parts(layer) as u32;
            while let Some(part) = self.take(run, layer, parts) {
                let memory = self.memory.load(Ordering::Relaxed);
                let picture = self.picture.load(Ordering::Relaxed);
                // SAFETY: the run's thread lends both until all parts are done, and this one is not.
                // The layers before are done, and nobody else has this part.
                unsafe { self.plan.run(layer, part, memory, picture) };
                self.done[layer].fetch_add(1, Ordering::Release);
                if !has_core() {
                    return;
                }
            }
            let mut looks = 0;
            while self.done[layer].load(Ordering::Acquire) < parts {
                if self.run.load(Ordering::Relaxed) != run || !has_core() {
                    return;
                }
                looks += 1;
                match looks < LOOKS {
                    true => spin_loop(),
                    false => yield_now(),
                }
            }
        }
    }

    /// The next part that nobody has taken; `None` also where the run is over.
    fn take(&self, run: u32, layer: usize, parts: u32) -> Option<usize> {
        let taken = &self.taken[layer];
        let mut seen = taken.load(Ordering::Acquire);
        loop {
            let part = seen & ((1 << PART_BITS) - 1);
            if seen >> PART_BITS != run || part >= parts {
                return None;
            }
            match taken.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(part as usize),
                Err(now) => seen = now,
            }
        }
    }
}
