//! Locks that threads share, and the token that calls work off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a callback of [`Cancellation::on_cancel`] is called again.
const AGAIN: Duration = Duration::from_millis(50);

/// Locks, also where a thread has panicked with the lock: for values that are never half-changed.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token by which work is called off from outside. Clones are the same token; once cancelled it
/// stays so. Who works asks [`is_cancelled`](Self::is_cancelled) often enough, at least every
/// second, and leaves nothing half-done.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<Token>);

#[derive(Debug, Default)]
struct Token {
    is_cancelled: AtomicBool,
    children: Mutex<Vec<Weak<Token>>>,
    cancelled: Condvar,
}

impl Token {
    fn cancel(&self) {
        // Under the lock, so that nobody misses it between looking and waiting.
        let mut children = lock(&self.children);
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.cancelled.notify_all();
        for child in children.drain(..) {
            if let Some(child) = child.upgrade() {
                child.cancel();
            }
        }
    }
}

impl Cancellation {
    /// A token that nothing has cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token of its own that is cancelled with this one, but not this one with it.
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut children = lock(&self.0.children);
        match self.is_cancelled() {
            true => child.cancel(),
            false => {
                children.retain(|child| child.strong_count() > 0);
                children.push(Arc::downgrade(&child.0));
            }
        }
        child
    }

    /// Calls the work off. Again does nothing more.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the work is called off.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Sleeps until `wait` is over; `false` as soon as the token is cancelled.
    pub fn sleep(&self, wait: Duration) -> bool {
        let began = Instant::now();
        let mut children = lock(&self.0.children);
        while !self.is_cancelled() {
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return true;
            }
            let waited = self.0.cancelled.wait_timeout(children, left);
            children = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Waits until the token is cancelled.
    pub fn wait(&self) {
        while self.sleep(Duration::MAX) {}
    }

    /// Calls `callback` on a thread of its own when the token is cancelled, and again and again
    /// until the guard is dropped: a single interrupt of a database would be lost between two of
    /// its queries.
    pub fn on_cancel(&self, callback: impl Fn() + Send + 'static) -> OnCancel {
        let (cancelled, dropped) = (self.child(), Self::new());
        let guard = (cancelled.clone(), dropped.clone());
        let thread = std::thread::spawn(move || {
            cancelled.wait();
            while !dropped.is_cancelled() {
                callback();
                dropped.sleep(AGAIN);
            }
        });
        OnCancel {
            cancelled: guard.0,
            dropped: guard.1,
            thread: Some(thread),
        }
    }
}

/// Keeps a callback of [`Cancellation::on_cancel`] in force; after it is dropped, none is called.
#[derive(Debug)]
#[must_use = "the callback is in force until this is dropped"]
pub struct OnCancel {
    cancelled: Cancellation,
    dropped: Cancellation,
    thread: Option<JoinHandle<()>>,
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        self.dropped.cancel();
        self.cancelled.cancel();
        if let Some(thread) = self.thread.take() {
            // A callback that panicked has told so itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

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
        let token = Cancellation::new();
        assert!(token.sleep(Duration::ZERO));
        std::thread::scope(|scope| {
            let sleeping = scope.spawn(|| token.sleep(Duration::MAX));
            token.cancel();
            assert!(!sleeping.join().expect("no panic"));
        });
        assert!(!token.sleep(Duration::ZERO));
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_not_the_other_way_round() {
        let parent = Cancellation::new();
        let (first, second) = (parent.child(), parent.child());
        first.cancel();
        assert!(first.is_cancelled() && !second.is_cancelled() && !parent.is_cancelled());
        parent.clone().cancel();
        assert!(second.is_cancelled() && parent.child().is_cancelled());
    }

    #[test]
    fn a_callback_is_called_until_its_guard_is_dropped() {
        let token = Cancellation::new();
        let (calls, called) = mpsc::channel();
        let unused = calls.clone();
        drop(token.on_cancel(move || unused.send("dropped").expect("a receiver")));
        let guard = token.on_cancel(move || calls.send("kept").expect("a receiver"));
        assert!(called.try_recv().is_err());
        token.cancel();
        assert_eq!(called.recv(), Ok("kept"));
        assert_eq!(called.recv(), Ok("kept"));
        drop(guard);
        assert!(called.iter().all(|who| who == "kept"));
    }
}
