//! The commands of instruction datasets and language models.

mod ask;
#[cfg(feature = "video")]
mod clip;
mod dataset;
mod eval;
mod language_choices;
mod language_model;
mod serve;
mod synth;
mod train;

use clap::Subcommand;

#[cfg(feature = "video")]
pub use dataset::FolderArgs;

use super::{ExitStatus, GlobalArgs};

#[derive(Subcommand)]
pub enum Command {
    Dataset(dataset::DatasetArgs),
    Synth(synth::SynthArgs),
    Train(train::TrainArgs),
    Eval(eval::EvalArgs),
    Ask(ask::AskArgs),
    Serve(serve::ServeArgs),
}

impl Command {
    pub fn run(self, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
        match self {
            Self::Dataset(args) => dataset::run(args, global),
            Self::Synth(args) => synth::run(args, global),
            Self::Train(args) => train::run(args, global),
            Self::Eval(args) => eval::run(args, global),
            Self::Ask(args) => ask::run(args, global),
            Self::Serve(args) => serve::run(args, global),
        }
    }
}
