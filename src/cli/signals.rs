//! Signals that end the program: Ctrl-C (SIGINT), SIGTERM, and SIGHUP unless whoever started the
//! program had it ignored, as `nohup` does.
//!
//! The first one cancels the work of a command that leaves nothing half-done then; where no work
//! has begun it ends the program. The second one ends it in any case.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as SignalQueue;
use signal_hook::low_level::exit;

use super::logs;
use crate::sync::{Cancellation, lock};

/// A shell tells of a process that a signal ended by this and the signal's number.
const EXIT_CODE_BASE: i32 = 128;

/// What signals do to the command that runs.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cancellation: Cancellation,
    /// Number of the first signal that came; 0: none.
    first: AtomicI32,
    reaction: Mutex<Reaction>,
}

/// What the first signal does.
#[derive(Clone, Copy, Debug, Default)]
enum Reaction {
    /// There is nothing to be left whole.
    #[default]
    Exit,
    /// People are told, if there is something to tell.
    Cancel(Option<&'static str>),
}

impl Signals {
    /// Waits for signals from now on, on a thread of its own.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(&self) -> std::io::Result<()> {
        let mut wanted = vec![SIGINT, SIGTERM];
        if !hangups_are_ignored() {
            wanted.push(SIGHUP);
        }
        let mut queue = SignalQueue::new(wanted)?;
        let signals = self.clone();
        let listen = move || queue.forever().for_each(|signal| signals.react(signal));
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(listen)?;
        Ok(())
    }

    /// From now on the first signal cancels, and people are told `note`.
    pub fn cancel(&self, note: Option<&'static str>) -> Cancellation {
        *lock(&self.0.reaction) = Reaction::Cancel(note);
        self.0.cancellation.clone()
    }

    /// The token that a signal cancels, if it does not end the program.
    pub fn cancellation(&self) -> Cancellation {
        self.0.cancellation.clone()
    }

    /// From now on the first signal ends the program. `false` if one came already.
    pub fn exit(&self) -> bool {
        *lock(&self.0.reaction) = Reaction::Exit;
        self.exit_code().is_none()
    }

    /// The exit code that tells of the first signal; `None` where none came.
    pub fn exit_code(&self) -> Option<u8> {
        let signal = self.0.first.load(Ordering::Relaxed);
        (signal != 0).then(|| (EXIT_CODE_BASE + signal) as u8)
    }

    fn react(&self, signal: i32) {
        let reaction = lock(&self.0.reaction);
        let first = &self.0.first;
        let is_first = first.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
        match *reaction {
            Reaction::Cancel(note) if is_first.is_ok() => {
                self.0.cancellation.cancel();
                if let Some(note) = note {
                    logs::note(note);
                }
            }
            // Nothing is torn down: other threads are still at work.
            Reaction::Cancel(_) | Reaction::Exit => exit(EXIT_CODE_BASE + signal),
        }
    }
}

fn hangups_are_ignored() -> bool {
    // SAFETY: all zeros are a value of the type, and the call only writes to it.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        match libc::sigaction(SIGHUP, std::ptr::null(), &raw mut action) {
            0 => action,
            _ => return false,
        }
    };
    action.sa_sigaction == libc::SIG_IGN
}
