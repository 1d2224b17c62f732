//! `posedata lake`: what is in the lake.

use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Ending, GlobalArgs, human_bytes, print_result};
use crate::lake::LakeInfo;

/// A look at the catalog needs little.
const MEMORY_SHARE: f64 = 0.25;

/// Look after the lake
#[derive(Args)]
#[command(after_help = "Example:\n  posedata lake info --lake ~/lake")]
pub struct LakeArgs {
    #[command(subcommand)]
    command: LakeCommand,
}

#[derive(Subcommand)]
enum LakeCommand {
    /// Show tables, rows, files, bytes and snapshots
    Info,
}

pub fn run(args: LakeArgs, global: &GlobalArgs) -> anyhow::Result<Ending> {
    match args.command {
        LakeCommand::Info => {
            let info = global.open_lake(MEMORY_SHARE, 1)?.info()?;
            if global.json {
                print_result(serde_json::to_string_pretty(&info)?)?;
            } else {
                print_info(&info)?;
            }
            Ok(Ending::AllGood)
        }
    }
}

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
    let mut snapshots = table(&["snapshot", "time (UTC)", "changes"]);
    for snapshot in &info.snapshots {
        let version = snapshot.version.to_string();
        snapshots.add_row([&version, &snapshot.time, &snapshot.changes]);
    }
    print_result(snapshots)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
