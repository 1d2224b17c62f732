//! `posedata view`: a page over the lake, in the user's browser.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::ingest::Source;
use crate::lake::FORMAT_VERSION;
use crate::query::{ExternalAccess, Session};
use crate::resources::DatabaseUse;
use crate::scratch::Scratch;
use crate::text::shown;
use crate::view::{Server, ViewConfig};

/// Not a usual port of another server.
const DEFAULT_PORT: u16 = 8765;
/// Default of `--query-timeout`.
const QUERY_TIMEOUT_SECS: u64 = 20;
/// Below the user's folder for caches.
const CACHE: &str = "posedata/proxies";

/// Look at videos, skeletons, curves and SQL in the browser
#[derive(Args)]
#[command(after_help = "Examples:
  posedata view                       # every video of the lake; opens the browser
  posedata view demo.mp4 --no-open --port 0
  posedata view --videos ~/clips      # where the files lie now, if they moved

The page needs no network: all of it is inside the program. It is served on this machine alone, at
an address with a token that lets one browser in; Ctrl-C ends it. A VIDEO is a file, or a video of the lake by
its name, a beginning of it, or its id.

Videos that browsers cannot play (AVI, HEVC, ProRes and others) are converted when they are opened;
the converted ones are kept in $XDG_CACHE_HOME/posedata (or ~/.cache/posedata), 4 GiB of them at
most. An ingest may run at the same time; its videos appear when they are committed.

With --host the page is served to others too, as with 0.0.0.0 to everybody who can reach this
machine. Nothing is encrypted then: use it in networks that you trust, or a tunnel
(ssh -L 8765:localhost:8765 HOST) instead. No browser is opened here then: the one that opens the
address first is let in.")]
pub struct ViewArgs {
    /// Video that is shown first: a file, or a name, beginning of a name, or id of a video in the lake
    #[arg(value_name = "VIDEO")]
    video: Option<String>,
    /// Folder that is looked through for video files that are not where they were; may be repeated
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    videos: Vec<PathBuf>,
    /// Port to listen at; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT)]
    port: u16,
    /// Address to listen at, for others than this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    host: String,
    /// Longest time for a query of the page, in seconds; others cannot commit to a lake in a folder
    /// meanwhile
    #[arg(long, value_name = "SECS", default_value_t = QUERY_TIMEOUT_SECS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    query_timeout: u64,
    /// Print the address and open no browser
    #[arg(long)]
    no_open: bool,
}

pub fn run(args: ViewArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    for folder in &args.videos {
        ensure!(
            folder.is_dir(),
            "--videos is a folder that is there: {}",
            shown(folder)
        );
    }
    let paths = global.lake_paths()?;
    let root = shown(&paths.root());
    let open_lake = global.lake_opener(paths, DatabaseUse::View)?;
    // What is wrong with the lake is told here, before there is a page.
    let lake = open_lake()?;
    let first = match &args.video {
        Some(video) => Source::find(&lake, std::slice::from_ref(video))?.pop(),
        None => None,
    };
    let session = Session::open(lake, None, ExternalAccess::Denied)?;
    ensure!(
        session.format_version() == FORMAT_VERSION,
        "the lake has the older format {}; `posedata lake upgrade` gives it what format {FORMAT_VERSION} has: {root}",
        session.format_version()
    );
    let folder = first.as_ref().map(folder_of_file).transpose()?.flatten();
    // Kept as long as the command runs.
    let temporary = match cache_folder() {
        Some(_) => None,
        None => Some(Scratch::make().context("proxies cannot be kept anywhere")?),
    };
    let in_temporary = || temporary.as_ref().map(|folder| folder.path().into());
    let server = Server::start(ViewConfig {
        lake: root,
        open_lake: Box::new(open_lake),
        session,
        folders: args.videos.into_iter().chain(folder).collect(),
        host: args.host.clone(),
        port: args.port,
        memory_limit_bytes: global.memory_limit_bytes(),
        query_timeout: Duration::from_secs(args.query_timeout),
        cache_folder: (cache_folder().or_else(in_temporary)).context("proxies cannot be kept")?,
        cancellation: global.cancellation(None),
    })?;
    let url = match first {
        Some(first) => format!("{}#video={}", server.url(), first.video.video_id),
        None => server.url().to_owned(),
    };
    if global.json {
        print_result(serde_json::json!({ "url": url, "address": server.address() }))?;
    } else {
        print_result(&url)?;
    }
    tell(&args.host, &server, global);
    // The address lets one browser in, which is to be the other machine's.
    let is_for_here = server.address().ip().is_loopback();
    if !args.no_open && is_for_here && !open_browser(&url) {
        logs::note("no browser could be opened; open the address above yourself");
    }
    global.cancellation(None).wait();
    server.stop();
    Ok(ExitStatus::Interrupted)
}

/// Where a file lies that was given: it need not be where it was ingested.
fn folder_of_file(source: &Source) -> anyhow::Result<Option<PathBuf>> {
    let path = std::path::absolute(&source.path)?;
    let folder = path.parent().filter(|_| path.is_file());
    Ok(folder.map(Path::to_owned))
}

fn tell(host: &str, server: &Server, global: &GlobalArgs) {
    let is_of_this_machine = server.address().ip().is_loopback();
    if !is_of_this_machine {
        // Also where nothing else is told: it is about who gets in.
        let place = match server.address().ip().is_unspecified() {
            true => "; there it has this machine's number (IP address) in place of 127.0.0.1",
            false => "",
        };
        logs::tell_people(format_args!(
            "note: listening at {host} for other machines{place}; whoever gets this address from you sees the lake and its videos, and nothing is encrypted"
        ));
    }
    if global.verbosity() > Verbosity::Quiet {
        logs::note("the address lets one browser in; Ctrl-C ends the page");
    }
}

/// Where users' programs keep what can be made again.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| {
        let value = env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join(CACHE))
}

/// Opens the user's browser; `false` where there is none.
fn open_browser(url: &str) -> bool {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let opener = match env::consts::OS {
        "macos" => "open",
        _ if has_screen => "xdg-open",
        // Without a screen it would open a browser of texts, in this terminal.
        _ => return false,
    };
    let started = Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.is_ok()
}
