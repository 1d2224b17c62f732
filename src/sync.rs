//! Locks and waits that threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a wait looks whether it was cancelled.
const TICK: Duration = Duration::from_millis(50);

/// Locks, also where a thread has panicked with the lock: for values that are never half-changed.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps until `wait` is over; `false` if it was cancelled before.
pub fn sleep_unless(wait: Duration, is_cancelled: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_cancelled() {
        let left = wait.saturating_sub(began.elapsed());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(TICK));
    }
    false
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_lock_outlives_a_panic() {
        let mutex = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let work = || {
                let _guard = mutex.lock();
                panic!("with the lock");
            };
            scope.spawn(work).join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 1);
    }

    #[test]
    fn a_sleep_ends_when_it_is_cancelled() {
        assert!(sleep_unless(Duration::ZERO, || false));
        assert!(!sleep_unless(Duration::ZERO, || true));
        let looks = Cell::new(0);
        let is_cancelled = || {
            looks.set(looks.get() + 1);
            looks.get() > 2
        };
        assert!(!sleep_unless(Duration::MAX, is_cancelled));
    }
}
