//! The commands of a half that this program was built without: they are not in its help, and whoever
//! asks for one is told how to come by it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::halves::Half;

/// What a half is needed for; a command that needs both stands in both lists.
fn commands_of(half: Half) -> &'static [&'static str] {
    match half {
        Half::Video => &[
            "ingest",
            "list",
            "annotate",
            "contact-sheet",
            "view",
            "report",
            "analyze",
            "metrics",
            "events",
            "run",
            "models tune",
        ],
        Half::Language => &["dataset", "synth", "train", "eval", "ask", "serve", "run"],
    }
}

/// What is wrong with a command line that asks for a command of a half that is not `built_in`;
/// `None` where something else is wrong.
pub fn reason(error: &clap::Error, built_in: impl Fn(Half) -> bool) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let is_asked_for = |command: &&str| command.rsplit(' ').next() == Some(name.as_str());
    let mut missing = Half::ALL.into_iter().filter(|half| !built_in(*half));
    missing.find_map(|half| {
        let command = commands_of(half).iter().copied().find(is_asked_for)?;
        Some(format!(
            "`posedata {command}` needs {half}, which this program was built without; take a program with both halves, or build with `--features {half}`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use clap::{Command, Subcommand};

    use super::*;

    fn refused(words: &str, built_in: impl Fn(Half) -> bool) -> Option<String> {
        let lake = Command::new("lake").subcommand(Command::new("info"));
        let models = Command::new("models").subcommand(Command::new("list"));
        let program = Command::new("posedata").subcommands([lake, models]);
        let error = program.try_get_matches_from(words.split(' '));
        reason(&error.expect_err("no such command"), built_in)
    }

    #[test]
    fn commands_of_a_missing_half_are_told_with_the_remedy() {
        for command in [
            "ingest a.mp4",
            "ingest --help",
            "help ingest",
            "models tune",
        ] {
            let reason = refused(&format!("posedata {command}"), |half| half != Half::Video);
            let reason = reason.unwrap_or_default();
            assert!(
                reason.contains("built without; take"),
                "{command}: {reason}"
            );
            assert!(reason.contains("--features video"), "{command}: {reason}");
        }
        let train = refused("posedata train", |half| half != Half::Language);
        assert!(train.is_some_and(|reason| reason.contains("`posedata train` needs language")));
        for half in Half::ALL {
            let run = refused("posedata run a.mp4", |own| own != half);
            assert!(run.is_some_and(|reason| reason.contains(half.name())));
        }
    }

    #[test]
    fn what_no_half_has_is_wrong_usage() {
        for command in ["engest", "lake view-all", "lake"] {
            let words = format!("posedata {command} --x");
            assert_eq!(refused(&words, |_| false), None, "{command}");
        }
        // Its half is there, so it is wrong where it stands.
        assert_eq!(refused("posedata ingest", |_| true), None);
    }

    /// The names of a half's commands, without those that are not its own alone.
    #[cfg(any(feature = "video", feature = "language"))]
    fn check<C: Subcommand>(half: Half) {
        let program = C::augment_subcommands(Command::new("posedata"));
        let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
        let is_own = |name: &&&str| !name.contains(' ') && **name != "run";
        let listed: Vec<&str> = commands_of(half).iter().filter(is_own).copied().collect();
        assert_eq!(listed, names);
    }

    #[cfg(feature = "video")]
    #[test]
    fn all_commands_of_videos_are_listed() {
        check::<crate::cli::video::Command>(Half::Video);
    }

    #[cfg(feature = "language")]
    #[test]
    fn all_commands_of_language_models_are_listed() {
        check::<crate::cli::language::Command>(Half::Language);
    }
}
