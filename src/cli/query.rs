//! `posedata query`: SQL over the lake.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::{ArgGroup, Args};

use super::target::Target;
use super::{ExitStatus, GlobalArgs, Verbosity, choices, logs, terminal};
use crate::query::{Destination, Extent, ExternalAccess, Format, Query, Session};
use crate::resources::DatabaseUse;
use crate::sync::Cancellation;
use crate::text::{decode, shown};

/// What to run, and on which state of the lake.
#[derive(Args)]
#[command(group = ArgGroup::new("source").required(true).args(["file", "sql"]))]
pub struct SourceArgs {
    /// File with one SELECT statement; - is standard input
    #[arg(value_name = "FILE.sql")]
    file: Option<PathBuf>,
    /// The statement itself
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    sql: Option<String>,
    /// Value of a parameter of the query, $NAME
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_and_value)]
    params: Vec<(String, String)>,
    /// The lake as it was at this snapshot, see `posedata lake info`
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
    /// Let the SQL do anything: read and write files, run several statements
    #[arg(long)]
    allow_external: bool,
}

impl SourceArgs {
    /// What files made from the query are named after.
    pub fn name(&self) -> String {
        let stem = self.file.as_deref().and_then(Path::file_stem);
        let stem = stem.filter(|stem| *stem != "-");
        stem.map_or_else(
            || "query".into(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    }

    /// The query, from wherever it comes.
    pub fn query(&self, global: &GlobalArgs) -> anyhow::Result<Query> {
        let params = self.params.clone();
        Ok(match (&self.sql, &self.file) {
            (Some(sql), _) => Query::new(sql.clone(), params),
            (None, Some(path)) if path.as_os_str() == "-" => {
                anyhow::ensure!(
                    !global.exit_on_stdin_close,
                    "with --exit-on-stdin-close nothing else is read from standard input; give a file or -e SQL"
                );
                let mut bytes = Vec::new();
                let read = std::io::stdin().read_to_end(&mut bytes);
                let sql = read.and_then(|_| decode(bytes));
                Query::new(sql.context("cannot read standard input")?, params)
            }
            (None, Some(path)) => Query::from_file(path, params)?,
            (None, None) => anyhow::bail!("give a file or -e SQL"),
        })
    }

    /// A session over the lake, whose queries end when they are cancelled.
    pub fn open(
        &self,
        cancellation: &Cancellation,
        global: &GlobalArgs,
    ) -> anyhow::Result<Session> {
        let access = if self.allow_external {
            ExternalAccess::Allowed
        } else {
            ExternalAccess::Denied
        };
        let lake = global.open_lake(DatabaseUse::Query)?;
        let session = Session::open(lake, self.at, access)?;
        Ok(session.interrupted_by(cancellation))
    }
}

/// Run SQL over the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata query queries/velocity.sql
  posedata query queries/velocity.sql --param landmark=left_wrist --format csv > v.csv
  posedata query -e \"select sport, count(*) from videos group by all\"
  posedata query -e \"select count(*) from landmarks\" --at 3

Tables: videos, landmarks, metrics, runs, and, after `posedata metrics recompute`,
landmarks_filtered and metrics_filtered; after `posedata events detect`, events and cycles; view: frames. `posedata query -e \"describe metrics\"`
lists columns; schemas/*.sql say what they mean.

On a terminal a table shows the first and last rows, the columns that fit, and floats with six
digits; --all, a file or a pipe gets everything, with all digits. Values of types that a format
does not know (intervals, bits, times with an offset) are DuckDB's text there; Parquet refuses them
and says which cast helps.

The session is read-only and sealed: SQL cannot reach other files, load extensions or change
settings, unless --allow-external is given.")]
pub struct QueryArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// How to print the result [default: as the suffix of --output says, otherwise table]
    #[arg(long, value_parser = choices::query_format())]
    format: Option<Format>,
    /// Show all rows and columns of a table, where a terminal gets the first and last ones
    #[arg(long)]
    all: bool,
    /// Write the result to a file
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim_start_matches('$').into(), value.into()))
}

pub fn run(args: QueryArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let query = args.source.query(global)?;
    let by_suffix = args.output.as_deref().and_then(Format::of_suffix);
    let format = if global.json {
        Format::Json
    } else {
        args.format.or(by_suffix).unwrap_or(Format::Table)
    };
    let target = args.output.as_deref().map(Target::file).transpose()?;
    let started = Instant::now();
    let cancellation = global.cancellation_with_grace(None);
    let session = args.source.open(&cancellation, global)?;
    let destination = match &target {
        Some(target) => Destination::File(target.path().into()),
        None if args.all => Destination::Stdout(Extent::All),
        None => Destination::Stdout(terminal::fit().map_or(Extent::All, Extent::Fit)),
    };
    let result = session.run(&query, format, &destination);
    if cancellation.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    let rows = result?;
    if let Some(target) = target {
        target.finish()?;
    }
    let secs = started.elapsed().as_secs_f64();
    tracing::info!(target: "posedata::query", rows, secs, "query finished");
    if let Some(path) = args.output
        && global.verbosity() > Verbosity::Quiet
    {
        logs::note(format_args!("{rows} rows: {}", shown(&path)));
    }
    Ok(ExitStatus::Success)
}
