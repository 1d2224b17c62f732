//! The commands that decode videos, run models on them, or make rows of what is in the lake.

mod analyze;
mod annotate;
mod command_line;
mod consent;
mod events;
mod filtering;
mod ingest;
mod list;
mod metrics;
mod movement_events;
mod progress;
mod report;
mod tune;
mod view;

use clap::Subcommand;

// For the command that joins both halves.
#[cfg(feature = "language")]
pub use ingest::{RangeArgs, SlowMotionArgs};
pub use tune::TuneCommand;

use super::{ExitStatus, GlobalArgs};

#[derive(Subcommand)]
pub enum Command {
    Ingest(ingest::IngestArgs),
    List(list::ListArgs),
    Annotate(annotate::AnnotateArgs),
    ContactSheet(annotate::ContactSheetArgs),
    View(view::ViewArgs),
    Report(report::ReportArgs),
    Analyze(analyze::AnalyzeArgs),
    Metrics(metrics::MetricsArgs),
    Events(movement_events::MovementEventsArgs),
}

impl Command {
    pub fn run(self, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
        match self {
            Self::Ingest(args) => ingest::run(args, global),
            Self::List(args) => list::run(args, global),
            Self::Annotate(args) => annotate::run(args, global),
            Self::ContactSheet(args) => annotate::run_contact_sheet(args, global),
            Self::View(args) => view::run(args, global),
            Self::Report(args) => report::run(args, global),
            Self::Analyze(args) => analyze::run(args, global),
            Self::Metrics(args) => metrics::run(args, global),
            Self::Events(args) => movement_events::run(args, global),
        }
    }
}
