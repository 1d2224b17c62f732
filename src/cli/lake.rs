//! `posedata lake`: what is in the lake, whether it is whole, and its maintenance.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{ExitStatus, GlobalArgs, logs, print_result};
use crate::lake::{
    CheckReport, CompactReport, Execution, ExpireReport, Lake, LakeAddress, LakeInfo, LakePaths,
    Retention, Severity, VacuumReport,
};
use crate::numbers::human_bytes;
use crate::resources::DatabaseUse;

/// The newest snapshots that people are shown; a lake has one for each commit.
const SHOWN_SNAPSHOTS: usize = 50;

/// Look after the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata lake info --lake ~/lake
  posedata lake check
  posedata lake compact && posedata lake expire --keep 1 && posedata lake vacuum

All of these can be killed at any moment and run beside ingests of other processes.

A lake is a folder, and needs no server. For a lake that many machines work on, its catalog lies in
PostgreSQL and its files on S3 or in a folder that all machines share:
  posedata models add remote
  posedata lake create postgres://posedata@db/lake --data-path s3://clips-lake/data/
  posedata ingest clips --lake postgres://posedata@db/lake
An address is postgres://USER@HOST:PORT/DATABASE?schema=NAME and never holds a password: that comes
from PGPASSWORD, POSEDATA_PG_PASSWORD or ~/.pgpass, and keys for S3 from AWS's variables (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_PROFILE) and files.")]
pub struct LakeArgs {
    #[command(subcommand)]
    command: LakeCommand,
}

#[derive(Subcommand)]
enum LakeCommand {
    /// Make an empty lake; ingest makes one in a folder by itself
    Create {
        /// The lake: postgres://USER@HOST/DATABASE, or a folder
        #[arg(value_name = "ADDRESS|DIR")]
        lake: PathBuf,
        /// Where the files of a lake in a database lie: an s3:// prefix, or a folder, given from the
        /// root, that all machines share; a place of its own
        #[arg(long, value_name = "s3://BUCKET/PREFIX/|DIR")]
        data_path: Option<String>,
    },
    /// Show tables, rows, files, bytes and snapshots
    Info,
    /// Verify every file against the catalog and every video against its rows
    #[command(
        after_help = "Every file of every snapshot: is it there, does it have its size and its checksum, is it
readable Parquet with the rows and columns that the catalog says. Every video: are all
frames there, once, with all 33 landmarks for each person.

A finding is damage (rows are lost or wrong), a leftover of a killed process (it takes up
room), or a note.

Exit codes:
  0  whole: no damage
  1  the check could not be done
  2  damage was found, and with --repair: is still there"
    )]
    Check {
        /// Mend what can be mended: delete leftovers, record missing checksums, take lost files
        /// out of the catalog, remove videos whose rows are not all there (they can be ingested
        /// again), upgrade the format
        #[arg(long)]
        repair: bool,
    },
    /// Merge small files, and rewrite files with many deleted rows
    Compact,
    /// Forget old snapshots; `query --at` cannot go back to them any more
    #[command(group = ArgGroup::new("retention").required(true).args(["keep", "older_than"]))]
    Expire {
        /// Keep the newest N snapshots
        #[arg(long, value_name = "N", value_parser = super::choices::count::<NonZeroUsize>)]
        keep: Option<NonZeroUsize>,
        /// Forget snapshots older than this: 90m, 12h, 30d; the newest stays
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Option<Duration>,
    },
    /// Delete files that no snapshot needs, leftovers of killed processes, and empty folders
    Vacuum {
        /// Tell what would be deleted, and delete nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a lake of an older format all tables and columns of the newest; ingest does it too
    Upgrade,
}

/// A number and m, h or d.
fn age(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number and m, h or d, such as 30d".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let unit_secs = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    let secs = number.checked_mul(unit_secs).ok_or_else(expected)?;
    Ok(Duration::from_secs(secs))
}

pub fn run(args: LakeArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let look = || global.open_lake(DatabaseUse::Catalog);
    let work = || global.open_lake(DatabaseUse::Maintenance);
    match args.command {
        LakeCommand::Create { lake, data_path } => {
            let global = GlobalArgs {
                lake,
                ..global.clone()
            };
            let (lake, is_new) = create(&global, data_path.as_deref())?;
            if !is_new {
                logs::note(format_args!("the lake was there already"));
            }
            print(&global, &lake.info()?, print_info)?;
        }
        LakeCommand::Info => print(global, &look()?.info()?, print_info)?,
        LakeCommand::Check { repair } => {
            let lake = work()?;
            let report = match repair {
                true => lake.repair()?,
                false => lake.check()?,
            };
            print(global, &report, print_check)?;
            return Ok(match report.whole {
                true => ExitStatus::Success,
                false => ExitStatus::DamageFound,
            });
        }
        LakeCommand::Compact => print(global, &work()?.compact()?, print_compact)?,
        LakeCommand::Expire { keep, older_than } => {
            let retention = keep
                .map(Retention::Newest)
                .or(older_than.map(Retention::YoungerThan))
                .context("give --keep or --older-than")?;
            print(global, &look()?.expire(retention)?, print_expire)?;
        }
        LakeCommand::Vacuum { dry_run } => {
            let execution = match dry_run {
                true => Execution::DryRun,
                false => Execution::Real,
            };
            let report = look()?.vacuum(execution)?;
            print(global, &report, |report| print_vacuum(report, execution))?;
        }
        LakeCommand::Upgrade => {
            look()?.upgrade()?;
            print(global, &look()?.info()?, print_info)?;
        }
    }
    Ok(ExitStatus::Success)
}

/// Makes a lake, unless it is there; gives whether it was made.
fn create(global: &GlobalArgs, data_path: Option<&str>) -> anyhow::Result<(Lake, bool)> {
    let paths = match (global.lake_address()?, data_path) {
        (LakeAddress::Folder(root), None) => LakePaths::new(root),
        (LakeAddress::Folder(_), Some(_)) => bail!(
            "a lake in a folder has its files in the same folder; leave --data-path out, or give postgres://USER@HOST/DATABASE"
        ),
        (LakeAddress::Postgres(address), Some(data_path)) => {
            LakePaths::of_database(address, data_path)?
        }
        (LakeAddress::Postgres(_), None) => bail!(
            "where are the files of the lake to lie? give --data-path s3://BUCKET/PREFIX/, or a folder that all machines share"
        ),
    };
    let lake = global.open_lake_at(paths, DatabaseUse::Catalog)?;
    let is_new = lake.create()?;
    Ok((lake, is_new))
}

fn print<R: Serialize>(
    global: &GlobalArgs,
    report: &R,
    for_people: impl FnOnce(&R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match global.json {
        true => print_result(serde_json::to_string_pretty(report)?),
        false => for_people(report),
    }
}

fn print_check(report: &CheckReport) -> anyhow::Result<()> {
    for repair in &report.repairs {
        print_result(format_args!("repaired: {repair}"))?;
    }
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Damage => "damage",
            Severity::Leftover => "leftover",
            Severity::Note => "note",
        };
        print_result(format_args!("{severity}: {}", finding.subject))?;
        print_result(format_args!("  cause:  {}", finding.cause))?;
        print_result(format_args!("  remedy: {}", finding.remedy))?;
    }
    let damage = report.findings.iter();
    let damage = damage.filter(|f| f.severity == Severity::Damage).count();
    let verdict = match damage {
        0 => "whole".to_owned(),
        n => format!("damaged ({n} findings)"),
    };
    print_result(format_args!(
        "{}: {verdict}; {}, {} files, {}, snapshot {}, format {}",
        report.lake.display(),
        match report.videos {
            1 => "1 video".to_owned(),
            n => format!("{n} videos"),
        },
        report.files,
        human_bytes(report.bytes),
        report.snapshot,
        report.format_version,
    ))
}

fn print_compact(report: &CompactReport) -> anyhow::Result<()> {
    let mut tables = table(&["table", "files before", "after", "size before", "after"]);
    for t in report.tables.iter().filter(|t| t.files_before > 0) {
        tables.add_row([
            t.table.clone(),
            t.files_before.to_string(),
            t.files_after.to_string(),
            human_bytes(t.bytes_before),
            human_bytes(t.bytes_after),
        ]);
    }
    for column in tables.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_result(tables)?;
    print_result("the files before stay on the disk until `posedata lake vacuum`")
}

fn print_expire(report: &ExpireReport) -> anyhow::Result<()> {
    print_result(format_args!(
        "{} snapshots forgotten, {} kept; {} files ({}) are not needed any more, `posedata lake vacuum` deletes them",
        report.expired.len(),
        report.kept,
        report.unneeded_files,
        human_bytes(report.unneeded_bytes),
    ))
}

fn print_vacuum(report: &VacuumReport, execution: Execution) -> anyhow::Result<()> {
    let what = match execution {
        Execution::Real => "deleted",
        Execution::DryRun => "would delete",
    };
    print_result(format_args!(
        "{what} {} files that no snapshot needs ({}), {} left by killed processes ({}), {} empty folders",
        report.unneeded_files,
        human_bytes(report.unneeded_bytes),
        report.abandoned_files,
        human_bytes(report.abandoned_bytes),
        report.empty_folders,
    ))?;
    if report.files_in_work > 0 {
        print_result(format_args!(
            "{} files stay: running processes work on them, or they are those of a lake in a database and not a day old",
            report.files_in_work
        ))?;
    }
    Ok(())
}

/// Digits of a hash that people compare.
const SHOWN_HASH_DIGITS: usize = 12;

fn print_info(info: &LakeInfo) -> anyhow::Result<()> {
    print_result(format_args!(
        "{} (format {})",
        info.path.display(),
        info.format_version
    ))?;
    print_result(format_args!("catalog: {}", human_bytes(info.catalog_bytes)))?;
    let mut tables = table(&["table", "rows", "files", "size"]);
    for table in &info.tables {
        let numbers = [table.rows, table.files].map(|n| n.to_string());
        let [rows, files] = numbers;
        tables.add_row([table.table.clone(), rows, files, human_bytes(table.bytes)]);
    }
    for column in tables.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_result(tables)?;
    if !info.pose_models.is_empty() {
        let mut models = table(&["pose model", "skeleton", "sha256", "videos"]);
        for model in &info.pose_models {
            let skeleton = model.skeleton.as_deref().unwrap_or("BlazePose");
            let sha256 = model
                .sha256
                .get(..SHOWN_HASH_DIGITS)
                .unwrap_or(&model.sha256);
            let videos = model.videos.to_string();
            models.add_row([model.pose_model.as_str(), skeleton, sha256, &videos]);
        }
        for column in models.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        print_result(models)?;
    }
    let mut snapshots = table(&["snapshot", "time (UTC)", "changes"]);
    let older = info.snapshots.len().saturating_sub(SHOWN_SNAPSHOTS);
    for snapshot in &info.snapshots[older..] {
        let version = snapshot.version.to_string();
        snapshots.add_row([&version, &snapshot.time, &snapshot.changes]);
    }
    print_result(snapshots)?;
    if older > 0 {
        print_result(format_args!("and {older} older ones, which --json lists"))?;
    }
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
