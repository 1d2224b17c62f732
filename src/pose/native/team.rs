//! Threads that run a plan together.
//!
//! A task takes some microseconds, less than a thread takes to fall asleep and wake up; so those that work
//! look for work until the run ends, and sleep between runs. Nobody gives work out: each takes the next
//! task that nobody has, in its own lane while it can go on there, and begins it when those are done that it
//! needs. So a helper can join a run at any moment, when a core has become free for it, and leave it when
//! others need the core.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread, yield_now};

use super::memory::Memory;
use super::plan::Plan;
use super::schedule::Counts;
use super::slots::Spaces;
use crate::at_work::Shareable;
use crate::pose::crop::ModelInput;
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
    /// Lent by the run's thread.
    picture: AtomicPtr<ModelInput<'static>>,
    memory: AtomicPtr<f32>,
    lanes: Vec<Lane>,
    /// Of who works along: each has one of them meanwhile.
    seats: Vec<Mutex<Memory>>,
    is_over: AtomicBool,
}

/// Where the threads are in a lane of the plan. Others read it less often than it is written.
#[repr(align(128))]
struct Lane {
    /// The number of the run, and how many of its tasks were taken.
    taken: AtomicU64,
    /// Of each task: the last run in which it was done.
    done: Vec<AtomicU32>,
}

/// What was taken from a lane in some run: `None` when that is over.
fn taken_of(run: u32, taken: u64) -> Option<usize> {
    let count = (taken & ((1 << TASK_BITS) - 1)) as usize;
    ((taken >> TASK_BITS) as u32 == run).then_some(count)
}

/// The calling thread and its helpers, with memory for one run. Where there is a crew
/// ([`AtWork::share`](crate::at_work::AtWork::share)), its threads are the helpers.
pub struct Team {
    shared: Arc<Shared>,
    has_crew: bool,
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
        let own = || Memory::zeros(plan.own_floats());
        let has_crew = threads.others.has_crew();
        let seats = if has_crew {
            threads.alone.saturating_sub(1)
        } else {
            0
        };
        let shared = Arc::new(Shared {
            threads,
            picture: AtomicPtr::default(),
            memory: AtomicPtr::default(),
            lanes: plan
                .lanes()
                .iter()
                .map(|tasks| Lane::new(tasks.len()))
                .collect(),
            seats: (0..seats).map(|_| Mutex::new(own())).collect(),
            is_over: AtomicBool::new(false),
            plan: Arc::clone(&plan),
        });
        if seats > 0 {
            let shareable = Arc::downgrade(&shared);
            shared.threads.others.share(shareable);
        }
        Self {
            has_crew,
            shared,
            own: own(),
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
    pub unsafe fn run(&mut self, picture: ModelInput<'_>) -> std::io::Result<()> {
        let helpers = match self.has_crew {
            true => 0,
            false => self.shared.threads.now().saturating_sub(1),
        };
        while self.helpers.len() < helpers {
            self.start_helper()?;
        }
        let shared = &*self.shared;
        let lent = std::ptr::from_ref(&picture).cast_mut().cast();
        shared.picture.store(lent, Ordering::Relaxed);
        shared
            .memory
            .store(self.memory.as_mut_ptr(), Ordering::Relaxed);
        // Numbers come again after so many runs that nobody knows the first any more.
        let run = shared.run().wrapping_add(1);
        let none_taken = u64::from(run) << TASK_BITS;
        // The first lane, by which helpers know of the run, comes last.
        for lane in shared.lanes.iter().rev() {
            lane.taken.store(none_taken, Ordering::Release);
        }
        for (thread, _) in &self.helpers[..helpers] {
            thread.unpark();
        }
        if self.has_crew {
            shared.threads.others.change();
        }
        let mut done = shared.work(run, 0, self.own.as_mut_ptr(), || true);
        let mut all = Counts::default();
        for (count, lane) in all.iter_mut().zip(&shared.lanes) {
            *count = lane.done.len();
        }
        shared.wait(run, &mut done, &all);
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

impl Lane {
    fn new(tasks: usize) -> Self {
        Self {
            taken: AtomicU64::new(0),
            done: (0..tasks).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl Shared {
    /// The number of the current run, or the last one.
    fn run(&self) -> u32 {
        (self.lanes[0].taken.load(Ordering::Acquire) >> TASK_BITS) as u32
    }

    /// The lane in which a helper begins.
    fn lane_of(&self, helper: usize) -> usize {
        (helper + 1) % self.lanes.len()
    }

    /// Works in all runs while there is a core for this helper.
    fn help(&self, number: usize) {
        let has_core = || number + 1 < self.threads.now();
        let lane = self.lane_of(number);
        let mut own = Memory::zeros(self.plan.own_floats());
        let mut last = 0;
        while !self.is_over.load(Ordering::Acquire) {
            let run = self.run();
            if run == last || !has_core() {
                std::thread::park();
                continue;
            }
            last = run;
            self.work(run, lane, own.as_mut_ptr(), has_core);
        }
    }

    /// Whether there are tasks that nobody has taken.
    fn is_any_left(&self, run: u32) -> bool {
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| {
            let taken = taken_of(run, lane.taken.load(Ordering::Acquire));
            taken.is_some_and(|taken| taken < lane.done.len())
        })
    }

    /// Does tasks, of this lane if there are any, until all are taken, or there is no core any more. So many
    /// are known to be done then.
    fn work(&self, run: u32, lane: usize, own: *mut f32, has_core: impl Fn() -> bool) -> Counts {
        let mut done = Counts::default();
        while let Some((lane, number)) = has_core().then(|| self.take(run, lane)).flatten() {
            let task = &self.plan.lanes()[lane][number];
            self.wait(run, &mut done, &task.needs);
            let spaces = Spaces {
                shared: self.memory.load(Ordering::Relaxed),
                own,
            };
            let picture = self.picture.load(Ordering::Relaxed);
            // SAFETY: the run's thread lends memory and picture until all tasks are done, and this one is
            // not. Those that it needs are done, and nobody else has it.
            unsafe { self.plan.run(task, spaces, *picture) };
            self.lanes[lane].done[number].store(run, Ordering::Release);
        }
        done
    }

    /// The next task that nobody has taken, if possible of this lane: its lane and number. Somebody has taken
    /// all those that it needs. `None` when all are taken, also where the run is over.
    fn take(&self, run: u32, own: usize) -> Option<(usize, usize)> {
        loop {
            let mut is_left = false;
            for lane in (0..self.lanes.len()).map(|i| (own + i) % self.lanes.len()) {
                let taken = &self.lanes[lane].taken;
                let seen = taken.load(Ordering::Acquire);
                let number = taken_of(run, seen)?;
                let Some(task) = self.plan.lanes()[lane].get(number) else {
                    continue;
                };
                is_left = true;
                if !self.are_taken(run, &task.needs) {
                    continue;
                }
                let order = Ordering::AcqRel;
                if taken
                    .compare_exchange(seen, seen + 1, order, Ordering::Acquire)
                    .is_ok()
                {
                    return Some((lane, number));
                }
                // Somebody else was faster.
                break;
            }
            if !is_left {
                return None;
            }
        }
    }

    /// Whether so many tasks of each lane were taken. The first one of all that are not can always be.
    fn are_taken(&self, run: u32, needs: &Counts) -> bool {
        let mut lanes = self.lanes.iter().zip(needs);
        lanes.all(|(lane, needed)| {
            *needed == 0
                || taken_of(run, lane.taken.load(Ordering::Acquire))
                    .is_none_or(|taken| taken >= *needed)
        })
    }

    /// Waits until so many of each lane's tasks are done, of which `done` are known to be.
    fn wait(&self, run: u32, done: &mut Counts, needs: &Counts) {
        let mut looks = 0;
        for ((lane, done), needed) in self.lanes.iter().zip(done).zip(needs) {
            while *done < *needed {
                if lane.done[*done].load(Ordering::Acquire) == run {
                    *done += 1;
                    continue;
                }
                looks += 1;
                match looks < LOOKS {
                    true => spin_loop(),
                    false => yield_now(),
                }
            }
        }
    }
}

impl Shareable for Shared {
    fn share(&self, is_free: &dyn Fn() -> bool) -> bool {
        let run = self.run();
        // Before the first one there is nothing to work in.
        if run == 0 || !self.is_any_left(run) {
            return false;
        }
        let seats = self.seats.iter().enumerate();
        let mut free = seats.filter_map(|(number, seat)| Some((number, seat.try_lock().ok()?)));
        let Some((number, mut own)) = free.next() else {
            return false;
        };
        self.work(run, self.lane_of(number), own.as_mut_ptr(), is_free);
        true
    }
}
