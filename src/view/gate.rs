//! The one way to the lake, which many requests share.
//!
//! A catalog in a file is attached at most once in this process at a time (see `lake/catalog.rs`), and
//! nobody can commit while it is. So requests that come together share one sealed session, each with
//! a connection of its own; it is let go of a moment after the last of them, so that an ingest that
//! runs beside waits no longer than for one of them. What needs more than the sealed session gives
//! waits for its turn.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::problem::Problem;
use crate::lake::{Lake, LakeError};
use crate::query::{ExternalAccess, QueryError, Session};
use crate::sync::{Cancellation, lock};

/// A session is kept so long after the last request, for the next one: opening takes its time too.
const LINGER: Duration = Duration::from_millis(150);
/// The first session waits longer: a browser has to start.
const FIRST_LINGER: Duration = Duration::from_millis(1_500);
/// After that time nobody joins a session that is not in use any more.
const JOIN_FOR: Duration = Duration::from_secs(1);
/// After that time nobody joins a session at all, so that it ends, however many requests come. As
/// long as a query holds it, others cost nobody anything.
const JOIN_FOR_AT_MOST: Duration = Duration::from_secs(20);
/// After a long session others get so long to commit: they look every 20 ms.
const PAUSE: Duration = Duration::from_millis(100);
const LONG_SESSION: Duration = Duration::from_millis(500);
/// How often who waits looks whether it still has to.
const POLL: Duration = Duration::from_millis(50);
/// How often it is looked whether the gate is still there, while nothing happens.
const REST: Duration = Duration::from_secs(1);

type Opener = Box<dyn Fn() -> Result<Lake, LakeError> + Send + Sync>;

/// Hands out sessions over the lake.
pub struct Gate {
    open: Opener,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Of the open session: what further connections are made of.
    template: Option<Session>,
    idle: Vec<Session>,
    leased: usize,
    opened: Option<Instant>,
    last_used: Option<Instant>,
    /// Nobody opens the lake before.
    closed_until: Option<Instant>,
}

impl State {
    fn may_be_joined(&self) -> bool {
        let limit = match self.leased {
            0 => JOIN_FOR,
            _ => JOIN_FOR_AT_MOST,
        };
        self.opened.is_some_and(|opened| opened.elapsed() < limit)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    /// Somebody opens or closes the session, or has the lake alone.
    Busy,
    Open,
}

/// A sealed session for one request.
pub struct Lease<'g> {
    gate: &'g Gate,
    session: Option<Session>,
}

impl std::ops::Deref for Lease<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
            .as_ref()
            .expect("the session is there until the lease is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.idle.extend(self.session.take());
        state.leased -= 1;
        state.last_used = Some(Instant::now());
        drop(state);
        self.gate.changed.notify_all();
    }
}

impl Gate {
    /// The way to the lake that `open` opens. `first` is a session over it, for the page's first
    /// requests.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(open: Opener, first: Session) -> std::io::Result<Arc<Self>> {
        let now = Instant::now();
        let state = State {
            phase: Phase::Open,
            template: Some(first),
            opened: Some(now + FIRST_LINGER),
            last_used: Some(now + FIRST_LINGER),
            ..State::default()
        };
        let gate = Arc::new(Self {
            open,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&gate);
        let close = move || {
            while let Some(gate) = weak.upgrade() {
                gate.close_when_idle();
            }
        };
        thread::Builder::new()
            .name("view-lake".into())
            .spawn(close)?;
        Ok(gate)
    }

    /// A session over the newest state of the lake, whose queries end with `cancellation`.
    ///
    /// # Errors
    /// When the lake cannot be read, or it is cancelled.
    pub fn lease(&self, cancellation: &Cancellation) -> Result<Lease<'_>, Problem> {
        let mut state = self.lock();
        loop {
            if cancellation.is_cancelled() {
                return Err(Problem::cancelled());
            }
            let now = Instant::now();
            match state.phase {
                Phase::Closed if state.closed_until.is_none_or(|until| until <= now) => {
                    state.phase = Phase::Busy;
                    drop(state);
                    return self.open();
                }
                Phase::Open if state.may_be_joined() => {
                    let session = match (state.idle.pop(), &state.template) {
                        (Some(session), _) => session,
                        (None, Some(template)) => template.try_clone()?,
                        (None, None) => return Err(Problem::cancelled()),
                    };
                    state.leased += 1;
                    return Ok(Lease {
                        gate: self,
                        session: Some(session),
                    });
                }
                Phase::Closed | Phase::Busy | Phase::Open => state = self.wait(state),
            }
        }
    }

    /// Runs `work` with a lake that nobody else of this process has attached meanwhile.
    ///
    /// # Errors
    /// When the lake cannot be opened, `work` fails, or it is cancelled.
    pub fn alone<R>(
        &self,
        cancellation: &Cancellation,
        work: impl FnOnce(&Lake) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let mut state = self.lock();
        while state.phase != Phase::Closed {
            if cancellation.is_cancelled() {
                return Err(Problem::cancelled());
            }
            state = self.wait(state);
        }
        state.phase = Phase::Busy;
        drop(state);
        let _turn = Turn { gate: self };
        let lake = (self.open)()?.cancelled_by(cancellation);
        work(&lake)
    }

    fn open(&self) -> Result<Lease<'_>, Problem> {
        let turn = Turn { gate: self };
        let opened = (self.open)()
            .map_err(QueryError::from)
            .and_then(|lake| Session::open(lake, None, ExternalAccess::Denied))
            .and_then(|session| Ok((session.try_clone()?, session)));
        let (session, template) = opened?;
        std::mem::forget(turn);
        let mut state = self.lock();
        state.phase = Phase::Open;
        state.template = Some(template);
        state.leased = 1;
        state.opened = Some(Instant::now());
        drop(state);
        self.changed.notify_all();
        Ok(Lease {
            gate: self,
            session: Some(session),
        })
    }

    /// Waits a while, and lets go of a session that nobody uses.
    fn close_when_idle(&self) {
        let mut state = self.lock();
        let is_over = state.leased == 0
            && state.phase == Phase::Open
            && (!state.may_be_joined()
                || state.last_used.is_some_and(|used| used.elapsed() >= LINGER));
        if !is_over {
            let is_unused = state.phase == Phase::Open && state.leased == 0;
            drop(self.wait_for(state, if is_unused { POLL } else { REST }));
            return;
        }
        state.phase = Phase::Busy;
        let sessions = (state.template.take(), std::mem::take(&mut state.idle));
        let was_long = (state.opened.take()).is_some_and(|opened| opened.elapsed() >= LONG_SESSION);
        drop(state);
        drop(sessions);
        let mut state = self.lock();
        state.phase = Phase::Closed;
        state.closed_until = was_long.then(|| Instant::now() + PAUSE);
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.wait_for(state, POLL)
    }

    fn wait_for<'s>(&self, state: MutexGuard<'s, State>, wait: Duration) -> MutexGuard<'s, State> {
        let waited = self.changed.wait_timeout(state, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Gives the lake back, whatever happens.
struct Turn<'g> {
    gate: &'g Gate,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.gate.lock().phase = Phase::Closed;
        self.gate.changed.notify_all();
    }
}
