//! Waiting for servers without being deaf to who calls the work off.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::error::StoreError;
use crate::sync::Cancellation;

/// How often somebody who waits for a server looks whether the work is called off.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A connection on which nothing comes for so long has broken down. How long a whole transfer takes
/// is the file's size and the network's speed, and says nothing.
pub(super) const STALLED: Duration = Duration::from_secs(60);

/// What futures are run with, on the thread that waits for them.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Does the work, or leaves it where it is as soon as it is called off.
pub(super) async fn unless_cancelled<R>(
    cancellation: &Cancellation,
    work: impl Future<Output = Result<R, StoreError>>,
) -> Result<R, StoreError> {
    let mut work = pin!(work);
    loop {
        if cancellation.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        if let Ok(done) = tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_is_left_when_the_work_is_called_off() {
        let runtime = runtime().expect("a runtime");
        let cancellation = Cancellation::new();
        let done = runtime.block_on(unless_cancelled(&cancellation, async { Ok(1) }));
        assert!(matches!(done, Ok(1)));
        let silent = std::future::pending::<Result<(), StoreError>>();
        let canceller = cancellation.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            canceller.cancel();
        });
        let left = runtime.block_on(unless_cancelled(&cancellation, silent));
        thread.join().expect("no panic");
        assert!(matches!(left, Err(StoreError::Cancelled)));
    }
}
