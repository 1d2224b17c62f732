//! Signals that end the program: Ctrl-C (SIGINT), SIGTERM, and SIGHUP unless whoever started the
//! program had it ignored, as `nohup` does.
//!
//! The first one cancels the work of a command that leaves nothing half-done then; where no work
//! has begun it ends the program. The second one ends it in any case. Where a command has nothing to
//! save, time takes the second one's place after a SIGTERM: whoever sends that wants the end soon, and
//! a server that does not answer is in nobody's hands.
//!
//! The end of standard input can count as a SIGTERM too, for programs that start this one: what they
//! hold the other end of closes however they end. As nobody is there then to send a second signal,
//! time takes its place.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as SignalQueue;
use signal_hook::low_level::exit;

use super::logs;
use crate::sync::{Cancellation, lock};

/// A shell tells of a process that a signal ended by this and the signal's number.
const EXIT_CODE_BASE: i32 = 128;
/// How long work may take to end once standard input has, or after a SIGTERM. Whoever waits counts on
/// two seconds, which are to be enough for the end itself as well.
const GRACE: Duration = Duration::from_millis(1_800);
/// How often standard input is looked at where reading it does not wait.
const STDIN_POLL: Duration = Duration::from_millis(100);

/// What signals do to the command that runs.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cancellation: Cancellation,
    /// Number of the first signal that came; 0: none.
    first: AtomicI32,
    reaction: Mutex<Reaction>,
    last_words: Mutex<Option<LastWords>>,
}

/// What is to be done before a signal ends the program; it is given the exit code.
struct LastWords(Box<dyn Fn(u8) + Send>);

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastWords")
    }
}

/// What the first signal does.
#[derive(Clone, Copy, Debug, Default)]
enum Reaction {
    /// There is nothing to be left whole.
    #[default]
    Exit,
    /// People are told, if there is something to tell.
    Cancel(Option<&'static str>, Patience),
}

/// How long cancelled work may take to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it has: it saves something.
    Endless,
    /// After a SIGTERM as long as [`GRACE`]: what is not done by then is left, whole or not at all.
    Grace,
}

impl Signals {
    /// Waits for signals from now on, on a thread of its own.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(&self) -> io::Result<()> {
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

    /// Takes the end of standard input for a SIGTERM from now on; what is read there is nobody's.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen_to_stdin(&self) -> io::Result<()> {
        // Not through `std::io::stdin`, whose lock this thread would hold for ever.
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let signals = self.clone();
        let listen = move || {
            // Standard input that was never open has ended.
            if let Ok(stdin) = stdin {
                read_to_end(&mut File::from(stdin));
            }
            signals.end_of_stdin();
        };
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(listen)?;
        Ok(())
    }

    /// Calls `last_words` with the exit code before a signal ends the program without its command
    /// coming to its end.
    pub fn before_exit(&self, last_words: impl Fn(u8) + Send + 'static) {
        *lock(&self.0.last_words) = Some(LastWords(Box::new(last_words)));
    }

    /// From now on the first signal cancels, and people are told `note`.
    pub fn cancel(&self, note: Option<&'static str>, patience: Patience) -> Cancellation {
        *lock(&self.0.reaction) = Reaction::Cancel(note, patience);
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
        match *reaction {
            Reaction::Cancel(note, patience) if self.is_first(signal) => {
                self.cancel_work(note);
                if signal == SIGTERM && patience == Patience::Grace {
                    self.end_after_grace(signal);
                }
            }
            Reaction::Cancel(..) => self.end(signal),
            Reaction::Exit => {
                self.is_first(signal);
                self.end(signal);
            }
        }
    }

    /// As the first signal does, where none came before; then as the second one, after a while.
    fn end_of_stdin(&self) {
        {
            let reaction = lock(&self.0.reaction);
            let is_first = self.is_first(SIGTERM);
            match *reaction {
                Reaction::Cancel(note, _) if is_first => self.cancel_work(note),
                // Whoever ends may have sent a signal first.
                Reaction::Cancel(..) => {}
                Reaction::Exit => self.end(SIGTERM),
            }
        }
        std::thread::sleep(GRACE);
        self.end(self.0.first.load(Ordering::Relaxed));
    }

    /// Remembers a signal if it is the first.
    fn is_first(&self, signal: i32) -> bool {
        let first = &self.0.first;
        first
            .compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn cancel_work(&self, note: Option<&'static str>) {
        self.0.cancellation.cancel();
        if let Some(note) = note {
            logs::note(note);
        }
    }

    /// Ends the program unless its work has ended by then.
    fn end_after_grace(&self, signal: i32) {
        let signals = self.clone();
        let end = move || {
            std::thread::sleep(GRACE);
            signals.end(signal);
        };
        // Without a thread there is no grace, as after a second signal.
        if std::thread::Builder::new()
            .name("grace".into())
            .spawn(end)
            .is_err()
        {
            self.end(signal);
        }
    }

    /// Ends the program. Nothing is torn down: other threads are still at work.
    fn end(&self, signal: i32) -> ! {
        let code = EXIT_CODE_BASE + signal;
        if let Some(LastWords(last_words)) = &*lock(&self.0.last_words) {
            last_words(code as u8);
        }
        exit(code)
    }
}

/// Reads until there is no more, or it cannot be read.
fn read_to_end(file: &mut File) {
    let mut bytes = [0; 512];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // Whoever made the pipe may have made it so.
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(STDIN_POLL),
            Err(_) => return,
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
