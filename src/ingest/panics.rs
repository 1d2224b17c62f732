//! Panics as errors of the video in work.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// A defect of the program that came to light in a thread's work.
#[derive(Debug, thiserror::Error)]
#[error("the program failed ({reason}); please report this defect")]
pub struct PanicError {
    reason: String,
}

impl PanicError {
    pub(super) fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self {
            reason: text.unwrap_or_else(|| "it panicked".into()),
        }
    }
}

/// Makes a panic an error, so that it costs what was in work and nobody waits for it. What `work`
/// leaves behind must not be used again but for locks, whose values are never half-changed.
pub(super) fn caught<T, E: From<PanicError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(PanicError::of(&*panic).into()))
}
