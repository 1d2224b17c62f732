//! Options of all commands, and how commands end.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::logs;
use super::output::Verbosity;
use super::signals::{Patience, Signals};
use crate::lake::{LOCK_TIMEOUT, Lake, LakeAddress, LakeError, LakePaths};
use crate::models::ModelStore;
use crate::resources::{DatabaseUse, MemoryLimit, Resources, limit_cores};
use crate::sync::Cancellation;

/// What shells tell of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// Wrong usage and everything that keeps a command from doing its work.
pub const FATAL: u8 = 1;

/// How a command ended. The exit codes are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Success,
    SomeVideosFailed,
    /// `posedata lake check` found the lake damaged.
    DamageFound,
    /// `posedata synth` found fewer examples than wanted.
    FewerExamples,
    /// A signal came, and the work was given up.
    Interrupted,
}

impl ExitStatus {
    pub fn code(self, signals: &Signals) -> u8 {
        match self {
            Self::Success => 0,
            Self::SomeVideosFailed | Self::DamageFound | Self::FewerExamples => 2,
            Self::Interrupted => signals.exit_code().unwrap_or(INTERRUPTED),
        }
    }
}

/// What the program ends with after a command.
pub fn exit_code(ended: &anyhow::Result<ExitStatus>, signals: &Signals) -> u8 {
    match ended {
        Ok(status) => status.code(signals),
        Err(_) => signals.exit_code().unwrap_or(FATAL),
    }
}

/// Options of all commands.
#[derive(Clone, Args)]
pub struct GlobalArgs {
    /// Folder of the lake, or postgres://USER@HOST/DATABASE, see `posedata lake --help`
    #[arg(
        long,
        global = true,
        value_name = "DIR|ADDRESS",
        default_value = "lake",
        env = "POSEDATA_LAKE"
    )]
    pub lake: PathBuf,
    /// Folder of installed models [default: posedata in the user's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "POSEDATA_MODELS", value_parser = super::choices::local_path())]
    pub models: Option<PathBuf>,
    /// Memory that the whole process may use: a fraction of the machine's or the cgroup's (0.4), or
    /// a size (800MiB, 4GiB)
    #[arg(long, global = true, value_name = "LIMIT", default_value = "0.4")]
    pub memory_limit: MemoryLimit,
    /// Cores to use at most: every pool of threads, videos at once, threads of models and decoders
    /// [default: all that there are]
    #[arg(long, global = true, value_name = "N", env = "POSEDATA_CORES", value_parser = super::choices::count::<NonZeroUsize>)]
    pub cores: Option<NonZeroUsize>,
    /// How long to wait for other processes that hold the lake's catalog, in seconds
    #[arg(long, global = true, value_name = "SECS", env = "POSEDATA_LOCK_TIMEOUT", default_value_t = LOCK_TIMEOUT.as_secs())]
    pub lock_timeout: u64,
    /// End as at SIGTERM when standard input ends, and at once where that takes more than 2 s: for
    /// whoever starts the program and holds a pipe to it (with /dev/null it ends right away)
    #[arg(long, global = true)]
    pub exit_on_stdin_close: bool,
    /// Print machine-readable JSON to standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and results
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Tell more: where the time goes, what was skipped
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    #[command(flatten)]
    pub logs: logs::LogArgs,
    #[arg(skip)]
    pub signals: Signals,
}

impl GlobalArgs {
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    /// Obeys `--cores`.
    ///
    /// # Errors
    /// When there are not so many.
    ///
    /// # Safety
    /// Changes environment variables, so no other thread may run yet.
    pub unsafe fn limit_cores(&self) -> anyhow::Result<()> {
        let Some(cores) = self.cores else {
            return Ok(());
        };
        // SAFETY: the caller promises that no other thread runs.
        unsafe { limit_cores(cores) }.context("--cores")?;
        #[cfg(feature = "video")]
        crate::video::limit_threads(cores.get())
            .map_err(anyhow::Error::msg)
            .context("--cores")?;
        Ok(())
    }

    /// The token that the first Ctrl-C or SIGTERM cancels from now on, in place of ending the
    /// program; `note` is told then.
    pub fn cancellation(&self, note: impl Into<Option<&'static str>>) -> Cancellation {
        self.signals.cancel(note.into(), Patience::Endless)
    }

    /// The same for work that has nothing to save: after a SIGTERM the program ends within 2 s, however
    /// long a server takes to answer.
    pub fn cancellation_with_grace(&self, note: impl Into<Option<&'static str>>) -> Cancellation {
        self.signals.cancel(note.into(), Patience::Grace)
    }

    pub fn store(&self) -> anyhow::Result<ModelStore> {
        Ok(ModelStore::new(self.models.clone())?)
    }

    /// Where the lake is. Folders are given from the root, so that it does not matter where the
    /// database runs.
    pub fn lake_address(&self) -> anyhow::Result<LakeAddress> {
        Ok(match LakeAddress::of_path(&self.lake)? {
            LakeAddress::Folder(folder) => LakeAddress::Folder(std::path::absolute(folder)?),
            postgres => postgres,
        })
    }

    /// The parts of the lake; a database is asked where the files lie.
    pub fn lake_paths(&self) -> anyhow::Result<LakePaths> {
        let extensions = self.store()?.lake_extensions()?;
        Ok(LakePaths::find(&self.lake_address()?, &extensions)?)
    }

    /// What the whole process may use.
    pub fn memory_limit_bytes(&self) -> u64 {
        self.memory_limit.bytes(&Resources::detect())
    }

    /// A session whose database gets its part of memory and cores.
    pub fn open_lake(&self, database: DatabaseUse) -> anyhow::Result<Lake> {
        self.open_lake_at(self.lake_paths()?, database)
    }

    /// The same for a lake whose parts are known.
    pub fn open_lake_at(&self, paths: LakePaths, database: DatabaseUse) -> anyhow::Result<Lake> {
        Ok(self.lake_opener(paths, database)?()?)
    }

    /// What opens such sessions.
    pub fn lake_opener(
        &self,
        paths: LakePaths,
        database: DatabaseUse,
    ) -> anyhow::Result<impl Fn() -> Result<Lake, LakeError> + Sync + use<>> {
        let extensions = self.store()?.lake_extensions()?;
        let memory = database.memory_bytes(self.memory_limit_bytes());
        let threads = database.threads(Resources::detect().cores);
        let lock_timeout = self.lock_timeout();
        let cancellation = self.signals.cancellation();
        Ok(move || {
            let lake = Lake::new(paths.clone(), &extensions, memory, threads)?;
            let lake = lake.with_lock_timeout(lock_timeout);
            Ok(lake.cancelled_by(&cancellation))
        })
    }

    pub fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }
}
