//! What the machine, or the cgroup around this process, gives: cores and memory; and a budget that
//! the stages of a run share.

use std::fs;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;

use serde::Serialize;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::sync::lock;

/// Cores that this process shall use, where it shall not use all; set once, by [`limit_cores`].
static CORE_LIMIT: OnceLock<NonZeroUsize> = OnceLock::new();

/// Where libraries look that make pools of threads by themselves: rayon (our own loops, tokenizers),
/// candle, Polars. Each reads its variable when it makes its pool.
const POOL_VARIABLES: [&str; 3] = [
    "RAYON_NUM_THREADS",
    "CANDLE_NUM_THREADS",
    "POLARS_MAX_THREADS",
];
/// What the Hugging Face hub's client looks at; its threads wait for the network, and it cannot do
/// with less than two.
const NETWORK_VARIABLE: &str = "TOKIO_WORKER_THREADS";
const MIN_NETWORK_THREADS: usize = 2;

/// More cores than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} cores are more than this process may use; give at most {available}")]
pub struct TooManyCores {
    asked: usize,
    available: usize,
}

/// Cores that this process may use: all that the system grants it, or fewer after [`limit_cores`].
pub fn cores() -> usize {
    CORE_LIMIT.get().map_or_else(granted_cores, |n| n.get())
}

/// What the system grants: the cores of the process's affinity, or its cgroup's quota.
fn granted_cores() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Lets every pool of threads have at most `limit` threads: those that ask [`cores`] and those that
/// libraries make by themselves. To be called once, before there is a pool.
///
/// Threads are counted, not tied to cores: two processes of one core each are to run on two.
///
/// # Errors
/// [`TooManyCores`] when the system does not grant as many.
///
/// # Safety
/// Changes environment variables, so no other thread may run yet.
pub unsafe fn limit_cores(limit: NonZeroUsize) -> Result<(), TooManyCores> {
    check_core_limit(limit, granted_cores())?;
    let network_threads = limit.get().max(MIN_NETWORK_THREADS);
    let variables = POOL_VARIABLES.map(|name| (name, limit.get()));
    for (name, threads) in variables
        .into_iter()
        .chain([(NETWORK_VARIABLE, network_threads)])
    {
        // SAFETY: the caller promises that no other thread runs.
        unsafe { std::env::set_var(name, threads.to_string()) };
    }
    // A second call would come too late for the pools, so that the first one stays in force.
    let _ = CORE_LIMIT.set(limit);
    Ok(())
}

fn check_core_limit(limit: NonZeroUsize, available: usize) -> Result<(), TooManyCores> {
    match limit.get() {
        asked if asked > available => Err(TooManyCores { asked, available }),
        _ => Ok(()),
    }
}

/// Cores and memory that this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Threads that can run at once; at least 1.
    pub cores: usize,
    /// Of the machine, or of the cgroup around this process where that is less.
    pub memory_bytes: u64,
}

impl Resources {
    /// Asks the system; a cgroup's limits count where they are lower, and that of [`limit_cores`].
    pub fn detect() -> Self {
        let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(memory);
        let machine_bytes = system.total_memory();
        let cgroup_bytes = system.cgroup_limits().map(|limits| limits.total_memory);
        let limit = cgroup_bytes.filter(|bytes| *bytes > 0);
        Self {
            cores: cores(),
            memory_bytes: limit.map_or(machine_bytes, |bytes| bytes.min(machine_bytes)),
        }
    }

    /// A fraction of the memory, for a part of the program that keeps its own budget.
    pub fn memory_share_bytes(&self, fraction: f64) -> u64 {
        (self.memory_bytes as f64 * fraction) as u64
    }
}

/// How much memory the whole process may use: a part of what there is, or bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// Of the machine's memory, or the cgroup's where that is less; above 0, at most 1.
    Fraction(f64),
    /// However much the machine has; above 0.
    Bytes(u64),
}

impl MemoryLimit {
    /// The limit on a machine, or in a cgroup, of this size.
    pub fn bytes(self, resources: &Resources) -> u64 {
        match self {
            Self::Fraction(fraction) => resources.memory_share_bytes(fraction),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What the lake's database is opened for, which decides about its part of the memory limit and of
/// the cores. The rest of the memory is for the work itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseUse {
    /// Commits of an ingest.
    Commit,
    /// Frames that come in chunks, for an export or a model of the user's own.
    Stream,
    /// Beside a language model, a provider's answers or a filter over landmarks.
    Beside,
    /// A look at the catalog, or a small change of it.
    Catalog,
    /// All rows of a video, beside its frames.
    Replay,
    /// Rows and SQL for a page, beside pictures that are decoded and encoded.
    View,
    /// Facts for a dataset, beside its examples.
    Facts,
    /// Tables that are written anew.
    Maintenance,
    /// SQL of the user's; the rest is for results on their way out.
    Query,
}

impl DatabaseUse {
    /// Part of the memory limit, 0 to 1.
    fn memory_share(self) -> f64 {
        match self {
            Self::Commit | Self::Stream => 0.1,
            Self::Beside => 0.2,
            Self::Catalog => 0.25,
            Self::Replay => 0.3,
            Self::Facts | Self::View => 0.5,
            Self::Maintenance => 0.8,
            Self::Query => 0.9,
        }
    }

    /// Bytes that the database may use.
    pub fn memory_bytes(self, limit_bytes: u64) -> u64 {
        (limit_bytes as f64 * self.memory_share()) as u64
    }

    /// Threads that the database may use.
    pub fn threads(self, cores: usize) -> usize {
        match self {
            Self::Commit | Self::Stream | Self::Catalog | Self::Replay => 1,
            Self::Beside | Self::View | Self::Facts | Self::Maintenance | Self::Query => cores,
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNITS: [(&str, f64); 3] =
            [("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0), ("B", 1.0)];
        let expected = "expected a fraction such as 0.4, or a size such as 800MiB or 4GiB";
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| expected.to_owned());
        for (unit, bytes) in UNITS {
            if let Some(count) = text.strip_suffix(unit) {
                let count = number(count)?;
                return if count > 0.0 && count.is_finite() {
                    Ok(Self::Bytes((count * bytes) as u64))
                } else {
                    Err(expected.into())
                };
            }
        }
        let fraction = number(text)?;
        if fraction > 0.0 && fraction <= 1.0 {
            Ok(Self::Fraction(fraction))
        } else {
            Err(
                "a fraction is above 0 and at most 1; for a size give its unit, as in 800MiB"
                    .into(),
            )
        }
    }
}

/// Bytes that stages take before they use them, and give back.
#[derive(Debug)]
pub struct MemoryBudget {
    total_bytes: u64,
    /// Below 0 while it is overdrawn.
    free_bytes: Mutex<i128>,
    freed: Condvar,
}

/// A part of a budget; dropped, it goes back.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    /// A budget of which nothing is taken yet.
    pub fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            free_bytes: Mutex::new(total_bytes.into()),
            freed: Condvar::new(),
        }
    }

    /// What it began with; more than that can never be acquired.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// What is left at this moment; 0 while the budget is overdrawn.
    pub fn free_bytes(&self) -> u64 {
        u64::try_from(*self.lock()).unwrap_or(0)
    }

    /// Waits until `bytes` are free; `None` when the whole budget is smaller.
    pub fn acquire(self: &Arc<Self>, bytes: u64) -> Option<Permit> {
        if bytes > self.total_bytes {
            return None;
        }
        let mut free = self
            .freed
            .wait_while(self.lock(), |free| *free < i128::from(bytes))
            .unwrap_or_else(PoisonError::into_inner);
        *free -= i128::from(bytes);
        Some(self.permit(bytes))
    }

    /// Takes `bytes` if they are free now.
    pub fn try_acquire(self: &Arc<Self>, bytes: u64) -> Option<Permit> {
        let mut free = self.lock();
        if *free < i128::from(bytes) {
            return None;
        }
        *free -= i128::from(bytes);
        Some(self.permit(bytes))
    }

    /// Takes `bytes` at once, for what is needed already and cannot wait; who comes later waits for
    /// so much longer.
    pub fn overdraw(self: &Arc<Self>, bytes: u64) -> Permit {
        *self.lock() -= i128::from(bytes);
        self.permit(bytes)
    }

    fn permit(self: &Arc<Self>, bytes: u64) -> Permit {
        Permit {
            budget: Arc::clone(self),
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, i128> {
        lock(&self.free_bytes)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.budget.lock() += i128::from(self.bytes);
        self.budget.freed.notify_all();
    }
}

/// What a measurement has to say about the machine that it was made on. It names no person and no
/// machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFacts {
    /// Operating system and version.
    pub os: String,
    /// Name of the processor.
    pub cpu: String,
    /// Of the machine, or those that this process may use where they are fewer.
    pub cores: usize,
    /// Of the machine, or of the cgroup around this process.
    pub memory_bytes: u64,
}

impl HostFacts {
    /// Asks the system; a processor without a name is told by its architecture.
    pub fn detect() -> Self {
        let Resources {
            cores,
            memory_bytes,
        } = Resources::detect();
        let cpu = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(cpu);
        let brand = system.cpus().first().map(|cpu| cpu.brand().trim());
        let known = brand.filter(|brand| !brand.is_empty());
        Self {
            os: System::long_os_version().unwrap_or_else(|| std::env::consts::OS.into()),
            cpu: known.unwrap_or(std::env::consts::ARCH).into(),
            cores,
            memory_bytes,
        }
    }
}

/// The most memory that this process has had resident so far, or since
/// [`reset_peak_resident`]; `None` where the system does not tell.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Lets [`peak_resident_bytes`] count from now on, where the system can do that.
pub fn reset_peak_resident() {
    const PEAK: &str = "5";
    // What is told then is the peak of the whole process, which is true as well.
    let _ = fs::write("/proc/self/clear_refs", PEAK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_fractions_or_sizes() {
        assert_eq!("0.4".parse(), Ok(MemoryLimit::Fraction(0.4)));
        assert_eq!("800MiB".parse(), Ok(MemoryLimit::Bytes(800 << 20)));
        assert_eq!("1.5GiB".parse(), Ok(MemoryLimit::Bytes(3 << 29)));
        for wrong in ["0", "-1", "40", "nan", "1e400GiB", "much", ""] {
            assert!(wrong.parse::<MemoryLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_are_limited_to_some_of_those_there_are() {
        let limit = |n| NonZeroUsize::new(n).expect("above 0");
        assert_eq!(check_core_limit(limit(1), 2), Ok(()));
        assert_eq!(check_core_limit(limit(2), 2), Ok(()));
        let error = check_core_limit(limit(3), 2).expect_err("more than there are");
        assert!(error.to_string().contains("at most 2"), "{error}");
    }

    /// Limits this process, which is one that the test below has started.
    fn limit_this_process() {
        // SAFETY: of the test's threads one runs, and the other waits for it.
        let limited = unsafe { limit_cores(NonZeroUsize::MIN) };
        assert_eq!(limited, Ok(()));
        assert_eq!((cores(), Resources::detect().cores), (1, 1));
        assert_eq!(rayon::current_num_threads(), 1);
        #[cfg(feature = "language")]
        {
            assert_eq!(candle_core::utils::get_num_threads(), 1);
            use polars::prelude::{NamedFrom, Series, SortOptions};
            // Polars does not tell how large its pool is; it makes it for the first thing to sort.
            let threads = || fs::read_dir("/proc/self/task").expect("threads").count();
            let before = threads();
            let numbers = Series::new("numbers".into(), [3, 1, 2]);
            let order = numbers.arg_sort(SortOptions::default());
            assert_eq!((order.len(), threads() - before), (3, 1));
        }
    }

    #[test]
    fn pools_of_libraries_have_as_many_threads_as_there_shall_be_cores() {
        const IS_LIMITED: &str = "POSEDATA_TEST_LIMITED";
        if std::env::var_os(IS_LIMITED).is_some() {
            return limit_this_process();
        }
        let name = "pools_of_libraries_have_as_many_threads_as_there_shall_be_cores";
        let program = std::env::current_exe().expect("the tests' program");
        let output = std::process::Command::new(program)
            .args([name, "--test-threads=1"])
            .env(IS_LIMITED, "1")
            .output()
            .expect("the tests' program starts");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("1 passed"), "{told}");
    }

    #[test]
    fn what_is_taken_comes_back_and_wakes_who_waits() {
        let budget = Arc::new(MemoryBudget::new(10));
        assert!(budget.acquire(11).is_none());
        let all = budget.acquire(10).expect("the whole budget");
        assert!(budget.try_acquire(1).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.acquire(4).map(|permit| permit.bytes));
            drop(all);
            assert_eq!(waiting.join().expect("no panic"), Some(4));
        });
        assert_eq!(budget.free_bytes(), 10);
    }
}
