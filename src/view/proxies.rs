//! Proxies of videos that browsers cannot play: made once, kept in a folder of limited size.
//!
//! One is made at a time, on a thread of its own, as long as somebody asks how far it is.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::problem::{Kind, Problem};
use super::videos::Video;
use crate::sync::{Cancellation, lock};
use crate::video::make_proxy;

/// Bytes of all proxies together; those that were used least recently go.
pub const MAX_PROXY_BYTES: u64 = 4 << 30;
/// A proxy that nobody has asked for since is given up.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// How often who waits looks whether it is its turn.
const POLL: Duration = Duration::from_millis(100);
const END_POLL: Duration = Duration::from_millis(5);
/// What is no proxy after that time was left by a viewer that was killed.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Changes with what a proxy is, so that older ones are made again.
const VERSION: u32 = 1;
const ENDING: &str = "mp4";

/// How far a proxy is.
struct Job {
    frame_count: u64,
    done_frames: AtomicU64,
    last_asked: Mutex<Instant>,
    phase: Mutex<Phase>,
    cancellation: Cancellation,
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting,
    Making,
    Failed(Problem),
}

impl Job {
    fn status(&self) -> Value {
        let (state, problem) = match &*lock(&self.phase) {
            Phase::Waiting => ("waiting", None),
            Phase::Making => ("making", None),
            Phase::Failed(problem) => ("failed", Some(problem.clone())),
        };
        let done_frames = self.done_frames.load(Ordering::Relaxed);
        status(state, done_frames, self.frame_count, problem.as_ref())
    }

    fn has_failed(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Failed(_))
    }

    fn is_asked_for(&self) -> bool {
        lock(&self.last_asked).elapsed() < ASKED_WITHIN
    }
}

fn status(state: &str, done_frames: u64, frame_count: u64, problem: Option<&Problem>) -> Value {
    json!({
        "state": state,
        "done_frames": done_frames,
        "frame_count": frame_count,
        "message": problem.map(|problem| &problem.message),
        "remedy": problem.and_then(|problem| problem.remedy.as_ref()),
    })
}

/// Makes and keeps proxies.
pub struct Proxies {
    folder: PathBuf,
    max_bytes: u64,
    /// By where the proxy will be: rows of another part need another one.
    jobs: Mutex<HashMap<PathBuf, Arc<Job>>>,
    /// Held by the one that makes a proxy.
    turn: Mutex<()>,
    cancellation: Cancellation,
}

impl Proxies {
    /// Proxies in `folder`, which take at most `max_bytes`; none is made after a cancellation.
    pub fn new(folder: PathBuf, max_bytes: u64, cancellation: &Cancellation) -> Self {
        Self {
            folder,
            max_bytes,
            jobs: Mutex::default(),
            turn: Mutex::default(),
            cancellation: cancellation.clone(),
        }
    }

    fn path(&self, video: &Video) -> PathBuf {
        let (id, frames) = (&video.video_id, video.frames());
        let count = frames.end - frames.start;
        // That of the whole video has the name that it always had.
        let part = match video.is_part() {
            true => format!("from{}-", frames.start),
            false => String::new(),
        };
        self.folder
            .join(format!("{id}-{part}{count}-v{VERSION}.{ENDING}"))
    }

    /// The proxy, if it is made.
    pub fn ready(&self, video: &Video) -> Option<PathBuf> {
        let path = self.path(video);
        let file = File::open(&path).ok()?;
        // The order of use decides which proxies go; where it cannot be written, that of making.
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// The proxy of a video.
    ///
    /// # Errors
    /// When it has to be made first.
    pub fn get(&self, video: &Video) -> Result<PathBuf, Problem> {
        self.ready(video).ok_or_else(|| {
            let message = "the video's proxy is not made yet";
            Problem::new(Kind::ProxyNotReady, message)
                .with_remedy("open the video on the page, which has it made")
        })
    }

    /// How far the proxy is.
    pub fn status(&self, video: &Video) -> Value {
        let frame_count = video.n_frames() as u64;
        if self.ready(video).is_some() {
            return status("ready", frame_count, frame_count, None);
        }
        match lock(&self.jobs).get(&self.path(video)) {
            Some(job) => {
                *lock(&job.last_asked) = Instant::now();
                job.status()
            }
            None => status("none", 0, frame_count, None),
        }
    }

    /// Begins to make a proxy, unless it is there or being made, and tells how far it is. `locate`
    /// gives the file to be read, and what keeps it there.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<F: AsRef<Path>>(
        self: &Arc<Self>,
        video: &Arc<Video>,
        locate: impl FnOnce(&Cancellation) -> Result<F, Problem> + Send + 'static,
    ) -> Result<Value, Problem> {
        let path = self.path(video);
        let mut jobs = lock(&self.jobs);
        let is_going_on = jobs.get(&path).is_some_and(|job| !job.has_failed());
        if is_going_on || self.ready(video).is_some() {
            drop(jobs);
            return Ok(self.status(video));
        }
        let job = Arc::new(Job {
            frame_count: video.n_frames() as u64,
            done_frames: AtomicU64::new(0),
            last_asked: Mutex::new(Instant::now()),
            phase: Mutex::new(Phase::Waiting),
            cancellation: self.cancellation.child(),
        });
        jobs.insert(path.clone(), Arc::clone(&job));
        drop(jobs);
        let told = job.status();
        let (proxies, video) = (Arc::clone(self), Arc::clone(video));
        let own_path = path.clone();
        let work = move || {
            let made = proxies.make(&job, &video, locate);
            let mut jobs = lock(&proxies.jobs);
            match made {
                // Nobody asked any more.
                Err(problem) if problem.kind == Kind::Cancelled => drop(jobs.remove(&own_path)),
                Err(problem) => *lock(&job.phase) = Phase::Failed(problem),
                Ok(()) => drop(jobs.remove(&own_path)),
            }
        };
        let started = thread::Builder::new().name("view-proxy".into()).spawn(work);
        match started {
            Ok(_) => Ok(told),
            Err(e) => {
                lock(&self.jobs).remove(&path);
                Err(Problem::new(
                    Kind::Failed,
                    format!("no thread can be started ({e})"),
                ))
            }
        }
    }

    /// Waits until what was called off has ended, so that nothing is left half-done.
    pub fn wait_for_end(&self, at_most: Duration) {
        let began = Instant::now();
        let is_at_work = || lock(&self.jobs).values().any(|job| !job.has_failed());
        while is_at_work() && began.elapsed() < at_most {
            thread::sleep(END_POLL);
        }
    }

    fn make<F: AsRef<Path>>(
        &self,
        job: &Job,
        video: &Video,
        locate: impl FnOnce(&Cancellation) -> Result<F, Problem>,
    ) -> Result<(), Problem> {
        let _turn = loop {
            if let Ok(turn) = self.turn.try_lock() {
                break turn;
            }
            if !job.is_asked_for() || !job.cancellation.sleep(POLL) {
                return Err(Problem::cancelled());
            }
        };
        *lock(&job.phase) = Phase::Making;
        let source = locate(&job.cancellation)?;
        fs::create_dir_all(&self.folder).map_err(|e| self.unwritable(&e))?;
        let path = self.path(video);
        make_proxy(
            source.as_ref(),
            &path,
            video.range(),
            job.frame_count,
            &job.cancellation,
            || {
                job.done_frames.fetch_add(1, Ordering::Relaxed);
                if !job.is_asked_for() {
                    job.cancellation.cancel();
                }
            },
        )?;
        make_room(&self.folder, self.max_bytes, &path).map_err(|e| self.unwritable(&e))
    }

    fn unwritable(&self, error: &io::Error) -> Problem {
        let folder = self.folder.display();
        Problem::new(
            Kind::Failed,
            format!("proxies cannot be kept ({error}): {folder}"),
        )
        .with_remedy("give another folder: set XDG_CACHE_HOME")
    }
}

/// Deletes proxies that were not used for the longest time, until all together take at most
/// `max_bytes`; never `kept`. What a killed viewer left goes too.
fn make_room(folder: &Path, max_bytes: u64, kept: &Path) -> io::Result<()> {
    let mut proxies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Others may delete beside us.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let modified = metadata.modified()?;
        if path.extension().is_some_and(|ending| ending == ENDING) {
            proxies.push((modified, metadata.len(), path));
        } else if modified.elapsed().is_ok_and(|age| age > LEFT_AFTER) {
            remove(&path)?;
        }
    }
    proxies.sort();
    let mut bytes: u64 = proxies.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, proxy_bytes, path) in proxies.iter().filter(|(_, _, path)| path != kept) {
        if bytes <= max_bytes {
            break;
        }
        remove(path)?;
        bytes -= proxy_bytes;
    }
    Ok(())
}

/// Deletes a file that others may delete too.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (age_secs, name) in [
            (30, "old.mp4"),
            (20, "middle.mp4"),
            (40, "new.mp4"),
            (50, "other"),
        ] {
            fs::write(path(name), [0; 100]).expect("room");
            let file = File::options()
                .write(true)
                .open(path(name))
                .expect("a file");
            let then = SystemTime::now() - Duration::from_secs(age_secs);
            file.set_modified(then).expect("a time");
        }
        make_room(folder.path(), 250, &path("new.mp4")).expect("room");
        assert!(!path("old.mp4").exists());
        for kept in ["middle.mp4", "new.mp4", "other"] {
            assert!(path(kept).exists(), "{kept}");
        }
        make_room(folder.path(), 0, &path("new.mp4")).expect("room");
        assert!(!path("middle.mp4").exists() && path("new.mp4").exists());
    }
}
