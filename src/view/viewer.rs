//! What all requests share, and how a request is worked for.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::Access;
use super::columns::{self, Column, Columns, Selection};
use super::detail::detail;
use super::files::{FileState, Files};
use super::gate::Gate;
use super::params::is_id;
use super::pictures::Pictures;
use super::problem::{Kind, Problem};
use super::proxies::{MAX_PROXY_BYTES, Proxies};
use super::videos::{Video, Videos};
use crate::ingest::{LocalFile, Source};
use crate::lake::{Lake, LakeError};
use crate::media_time::{FrameTimes, MediaTime};
use crate::query::Session;
use crate::sync::{Cancellation, lock};
use crate::video::proxy_times;

/// Requests that are worked for at one time; as many again wait.
pub const WORKERS: usize = 6;
/// Requests that wait for a worker.
const WAITING: usize = 32;
/// Requests that decode pictures at one time.
const DECODING: usize = 2;
/// Requests that read or write files as a whole at one time.
const LONG_WORKERS: usize = 2;
/// Part of the memory limit for columns that are kept: a sixteenth.
const KEPT_SHARE: u64 = 16;
/// More columns than this are of no use.
const MOST_KEPT_BYTES: u64 = 256 << 20;
/// Videos whose times are kept.
const KEPT_TIMES: usize = 8;

/// What a viewer is started with.
pub struct ViewConfig {
    /// Opens a session over the lake.
    pub open_lake: Box<dyn Fn() -> Result<Lake, LakeError> + Send + Sync>,
    /// A sealed session that is open already.
    pub session: Session,
    /// The lake's address, for people.
    pub lake: String,
    /// Looked through for videos that are not where they were.
    pub folders: Vec<PathBuf>,
    /// Name or number of the address to listen at.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    /// Of the whole process.
    pub memory_limit_bytes: u64,
    /// Time for SQL of the user's.
    pub query_timeout: Duration,
    /// Where proxies are kept.
    pub cache_folder: PathBuf,
    /// Ends everything.
    pub cancellation: Cancellation,
}

/// What all requests share.
pub struct Viewer {
    /// Who may ask.
    pub access: Access,
    /// The lake's address, for people.
    pub lake: String,
    /// Of the whole process.
    pub memory_limit_bytes: u64,
    /// Time for SQL of the user's.
    pub query_timeout: Duration,
    /// The way to the lake.
    pub gate: Arc<Gate>,
    /// What the lake has.
    pub videos: Videos,
    /// Where the videos' files are.
    pub files: Files,
    columns: Columns,
    times: Mutex<VecDeque<(String, Times)>>,
    /// Single frames.
    pub pictures: Pictures,
    /// Stand-ins of files that browsers cannot play.
    pub proxies: Arc<Proxies>,
    /// Requests that are worked for or wait.
    admitted: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    long_workers: Arc<Semaphore>,
    cancellation: Cancellation,
}

/// Times of all frames that have rows.
pub type Times = Arc<FrameTimes>;

/// What a request needs beside a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Rows, files' names.
    Rows,
    /// A picture is decoded.
    Picture,
    /// A file is read as a whole, or a clip is made.
    WholeFile,
}

/// How a video's file is known to be the one that was ingested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By its size: enough for a thumbnail, of which a list has many.
    BySize,
    /// By its content: rows of one video on pictures of another would be worse than nothing.
    ByContent,
}

/// Calls work off that nobody waits for.
struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A file with a video's frames, and when they are in it.
pub struct Footage {
    /// The file.
    pub path: PathBuf,
    /// Of all frames that have rows, in that file.
    pub times: Times,
}

impl Footage {
    /// The number in this file of a frame of the video: a proxy of a part has the part alone.
    pub fn number(&self, video: &Video, frame: u64) -> u64 {
        frame - video.frames().start + self.times.first_frame
    }
}

impl Viewer {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(config: ViewConfig, access: Access) -> io::Result<Arc<Self>> {
        // Ends with the command, and with the server.
        let cancellation = config.cancellation.child();
        let kept_bytes = (config.memory_limit_bytes / KEPT_SHARE).min(MOST_KEPT_BYTES);
        Ok(Arc::new(Self {
            access,
            lake: config.lake,
            memory_limit_bytes: config.memory_limit_bytes,
            query_timeout: config.query_timeout,
            gate: Gate::new(config.open_lake, config.session)?,
            videos: Videos::default(),
            files: Files::new(config.folders),
            columns: Columns::new(usize::try_from(kept_bytes).unwrap_or(usize::MAX)),
            times: Mutex::default(),
            pictures: Pictures::default(),
            proxies: Arc::new(Proxies::new(
                config.cache_folder,
                MAX_PROXY_BYTES,
                &cancellation,
            )),
            admitted: Arc::new(Semaphore::new(WORKERS + WAITING)),
            workers: Arc::new(Semaphore::new(WORKERS)),
            decoders: Arc::new(Semaphore::new(DECODING)),
            long_workers: Arc::new(Semaphore::new(LONG_WORKERS)),
            cancellation,
        }))
    }

    /// Works for a request on a thread of its own. The work is called off when its time is over, or
    /// when nobody waits for it any more: hyper drops the future then.
    pub async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        kind: Work,
        limit: Duration,
        work: impl FnOnce(&Arc<Self>, &Cancellation) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| {
            Problem::new(Kind::Busy, "too many requests at once")
                .with_remedy("ask again in a second")
        })?;
        let cancellation = self.cancellation.child();
        let guard = CancelOnDrop(cancellation.clone());
        let working = async {
            let needed = match kind {
                Work::Rows => &self.workers,
                Work::Picture => &self.decoders,
                Work::WholeFile => &self.long_workers,
            };
            let place = Arc::clone(needed).acquire_owned().await;
            let place = place.map_err(|_| Problem::cancelled())?;
            let viewer = Arc::clone(self);
            let run = move || {
                // Places are free when the work has ended, not when nobody waits for it any more.
                let _places = (admitted, place);
                let worked = work(&viewer, &cancellation);
                match cancellation.is_cancelled() {
                    true => Err(Problem::cancelled()),
                    false => worked,
                }
            };
            let ended = tokio::task::spawn_blocking(run).await;
            ended.map_err(|e| {
                // A panic has told of itself on the terminal.
                Problem::new(
                    Kind::Failed,
                    format!("the request failed for a reason of its own ({e})"),
                )
            })?
        };
        let worked = tokio::time::timeout(limit, working).await;
        drop(guard);
        worked.unwrap_or_else(|_| {
            let secs = limit.as_secs();
            let message = format!("this takes longer than {secs} s, and was called off");
            Err(Problem::new(Kind::TooSlow, message).with_remedy("ask for less"))
        })
    }

    /// Works with a session over the lake.
    pub async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        work: impl FnOnce(&Arc<Self>, &Session) -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        self.work(Work::Rows, limit, move |viewer, cancellation| {
            viewer.in_session(cancellation, |session| work(viewer, session))
        })
        .await
    }

    /// Works with a session over the lake, on this thread.
    ///
    /// # Errors
    /// When the lake cannot be read, or `work` fails.
    pub fn in_session<R>(
        &self,
        cancellation: &Cancellation,
        work: impl FnOnce(&Session) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        let session = self.gate.lease(cancellation)?;
        let _interrupt = session.interrupt_on(cancellation);
        work(&session)
    }

    /// A video by its id.
    pub fn video(&self, id: &str, cancellation: &Cancellation) -> Result<Arc<Video>, Problem> {
        if let Some(video) = self.known_video(id)? {
            return Ok(video);
        }
        let listing = self.in_session(cancellation, |session| self.videos.list(session))?;
        listing.get(id).ok_or_else(no_such_video)
    }

    /// Reads the list of videos and what is kept of the first one: its times, the columns that there
    /// are, the kind of its file.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn look_ahead(&self) -> Result<(), Problem> {
        let cancellation = self.cancellation.child();
        let first = self.in_session(&cancellation, |session| {
            let first = self.videos.list(session)?.first();
            if let Some(first) = &first {
                detail(session, &self.files, first)?;
            }
            Ok(first)
        })?;
        match first {
            Some(first) => self.file_times(&first, &cancellation).map(drop),
            None => Ok(()),
        }
    }

    /// The same with a session.
    pub fn video_in(&self, id: &str, session: &Session) -> Result<Arc<Video>, Problem> {
        self.known_video(id)?;
        self.videos.list(session)?.get(id).ok_or_else(no_such_video)
    }

    fn known_video(&self, id: &str) -> Result<Option<Arc<Video>>, Problem> {
        match is_id(id) {
            true => Ok(self.videos.known(id)),
            false => Err(no_such_video()),
        }
    }

    /// Calls everything off.
    pub fn stop(&self) {
        self.cancellation.cancel();
    }

    /// Times of a video's frames in the file's own seconds, from the file's first frame on.
    pub fn file_times(&self, video: &Video, cancellation: &Cancellation) -> Result<Times, Problem> {
        let key = video.rows_key();
        let known = lock(&self.times)
            .iter()
            .find(|(known, _)| *known == key)
            .cloned();
        if let Some((_, times)) = known {
            return Ok(times);
        }
        let read = |session: &Session| columns::times_secs(session, video);
        let times = self.in_session(cancellation, read)?;
        let factor = video.file_secs_per_real_sec();
        let times = times
            .into_iter()
            .map(|secs| MediaTime::from_secs(secs * factor));
        let times: Times = Arc::new(FrameTimes {
            first_frame: video.frames().start,
            times: times.collect(),
        });
        let mut kept = lock(&self.times);
        kept.push_back((key, Arc::clone(&times)));
        if kept.len() > KEPT_TIMES {
            kept.pop_front();
        }
        Ok(times)
    }

    /// What may be shown of a video now.
    pub fn file_state(&self, video: &Video) -> FileState {
        video.file(&self.files)
    }

    /// Whole columns, for which the lake is read only once.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn whole_columns(
        &self,
        video: &Video,
        selection: &Selection,
        columns: &[&'static Column],
        cancellation: &Cancellation,
    ) -> Result<Vec<columns::Values>, Problem> {
        self.columns.get(video, selection, columns, |missing| {
            self.in_session(cancellation, |session| {
                columns::read(session, video, selection, missing)
            })
        })
    }

    /// A file to take pictures from: the video's own, or its proxy where that lies elsewhere.
    ///
    /// # Errors
    /// When the file is gone or has changed, or the proxy is not made.
    pub fn footage(
        &self,
        video: &Video,
        known: Known,
        cancellation: &Cancellation,
    ) -> Result<Footage, Problem> {
        let state = self.file_state(video);
        let times = self.file_times(video, cancellation)?;
        let Some(path) = state.local()? else {
            return Ok(Footage {
                path: self.proxies.get(video)?,
                times: Arc::new(proxy_times(&times)),
            });
        };
        if known == Known::ByContent {
            self.check_content(path, video, cancellation)?;
        }
        Ok(Footage {
            path: path.into(),
            times,
        })
    }

    fn check_content(
        &self,
        path: &Path,
        video: &Video,
        cancellation: &Cancellation,
    ) -> Result<(), Problem> {
        if self.files.is_same(path, &video.video_id, cancellation)? {
            return Ok(());
        }
        let changed = FileState::Changed { path: path.into() };
        changed.local().map(drop)
    }

    /// The file that a proxy is made of; one that lies elsewhere is fetched, and goes with the value.
    pub fn proxy_source(
        &self,
        video: &Video,
        cancellation: &Cancellation,
    ) -> Result<ProxySource, Problem> {
        if let Some(path) = self.file_state(video).local()? {
            self.check_content(path, video, cancellation)?;
            return Ok(ProxySource::OnDisk(path.into()));
        }
        let id = std::slice::from_ref(&video.video_id);
        let source = self.gate.alone(cancellation, |lake| {
            Ok(Source::find(lake, id)?.into_iter().next())
        })?;
        let source = source.ok_or_else(no_such_video)?;
        Ok(ProxySource::Fetched(source.local(cancellation)?))
    }
}

/// The file that a proxy is made of.
pub enum ProxySource {
    /// The video's own.
    OnDisk(PathBuf),
    /// Out of a store.
    Fetched(LocalFile),
}

impl AsRef<Path> for ProxySource {
    fn as_ref(&self) -> &Path {
        match self {
            Self::OnDisk(path) => path,
            Self::Fetched(file) => file.path(),
        }
    }
}

fn no_such_video() -> Problem {
    Problem::missing("the lake has no such video")
}
