//! A page over the lake, served on this machine: videos with their skeletons, curves, SQL.
//!
//! The server is thin: rows come from a sealed session (`gate`, `rows`), pictures from the reader of
//! videos (`pictures`, `proxies`, `clip`). `docs/view-api.md` is the interface to the page.
//!
//! One thread waits for all connections, others work for requests: a few at a time,
//! each with a deadline and a token that is cancelled when the client goes away. Resident are, beside
//! the database's part, a sixteenth of the memory limit in columns, one decoded frame for each
//! open video, and the answers under way.

mod access;
mod answer;
mod assets;
mod clip;
mod columns;
mod connection;
mod curve;
mod detail;
mod examples;
mod files;
mod gate;
mod pages;
mod params;
mod pictures;
mod problem;
mod proxies;
mod ranges;
mod routes;
mod rows;
mod sql;
mod videos;
mod viewer;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::oneshot;

use access::{Access, Hosts};
pub use viewer::ViewConfig;
use viewer::{Viewer, WORKERS};

/// How long the end may take: work that was called off ends sooner.
const GRACE: Duration = Duration::from_secs(1);
const THREAD: &str = "view-server";

/// Why a viewer cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Nobody may listen at that address, or somebody does.
    #[error(
        "cannot listen at {host}:{port} ({reason}); give another --port, or 0 for any free one"
    )]
    Listen {
        /// As given.
        host: String,
        /// As given.
        port: u16,
        /// What the system says.
        reason: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread ({0})")]
    Thread(io::Error),
    /// The system gives no random numbers for the secrets.
    #[error("the system gives no random numbers ({0})")]
    Random(getrandom::Error),
}

/// A server that answers until it is stopped.
pub struct Server {
    address: SocketAddr,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to answer.
    ///
    /// # Errors
    /// When nobody may listen there.
    pub fn start(config: ViewConfig) -> Result<Self, ViewError> {
        let (host, port) = (config.host.clone(), config.port);
        let failed = |reason| ViewError::Listen {
            host: host.clone(),
            port,
            reason,
        };
        let listener = listen(&host, port).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let is_number = host.parse::<IpAddr>().is_ok();
        let hosts = Hosts {
            given: (!is_number).then(|| host.clone()),
            ip: address.ip(),
            port: address.port(),
        };
        let access = Access::new(hosts).map_err(ViewError::Random)?;
        let shown = match address.ip() {
            // Nobody can be reached at "any address".
            ip if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
            _ if !is_number => format!("{host}:{}", address.port()),
            _ => address.to_string(),
        };
        let url = format!("http://{shown}/?token={}", access.token());
        let viewer = Viewer::new(config, access).map_err(ViewError::Thread)?;
        look_ahead(&viewer).map_err(ViewError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || run(listener, viewer, stopped);
        let thread = thread::Builder::new().name(THREAD.into()).spawn(run);
        Ok(Self {
            address,
            url,
            stop: Some(stop),
            thread: Some(thread.map_err(ViewError::Thread)?),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a browser is to open; it lets one in.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it: connections are closed, and work that was called off gets a moment to end.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has told of itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads what the page will ask for first, while the browser starts.
fn look_ahead(viewer: &Arc<Viewer>) -> io::Result<()> {
    let viewer = Arc::clone(viewer);
    let look = move || {
        // Whatever fails here fails again when it is asked for, and is told then.
        let _ = viewer.look_ahead();
    };
    thread::Builder::new()
        .name("view-ahead".into())
        .spawn(look)?;
    Ok(())
}

fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no such address");
    for address in (host, port).to_socket_addrs()? {
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

fn run(listener: TcpListener, viewer: Arc<Viewer>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One more reads the next piece of a file for each answer under way.
        .max_blocking_threads(WORKERS + connection::MAX_CONNECTIONS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(target: "posedata::view", %error, "the server cannot be started");
            return;
        }
    };
    let router = routes::router(Arc::clone(&viewer));
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(target: "posedata::view", %error, "the server cannot be started");
                return;
            }
        };
        let serve = std::pin::pin!(connection::serve(listener, router));
        drop(select(serve, stopped).await);
    });
    viewer.stop();
    runtime.shutdown_timeout(GRACE);
    viewer.proxies.wait_for_end(GRACE);
}
