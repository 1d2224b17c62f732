//! What the machine, or the cgroup around this process, gives: cores and memory.

use std::fs;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Cores and memory that this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    pub cores: usize,
    pub memory_bytes: u64,
}

impl Resources {
    /// Asks the system; a cgroup's limits count where they are lower.
    pub fn detect() -> Self {
        let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(memory);
        let machine_bytes = system.total_memory();
        let cgroup_bytes = system.cgroup_limits().map(|limits| limits.total_memory);
        let limit = cgroup_bytes.filter(|bytes| *bytes > 0);
        Self {
            cores: available_parallelism().map_or(1, NonZeroUsize::get),
            memory_bytes: limit.map_or(machine_bytes, |bytes| bytes.min(machine_bytes)),
        }
    }

    /// A fraction of the memory, for a part of the program that keeps its own budget.
    pub fn memory_share_bytes(&self, fraction: f64) -> u64 {
        (self.memory_bytes as f64 * fraction) as u64
    }
}

/// The most memory that this process has had resident so far; `None` where the system does not
/// tell.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
