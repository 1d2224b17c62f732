//! What goes to the terminal, and how much of it.

use std::io::{IsTerminal, Write};

use anyhow::Context;

use crate::text::lines;

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// `error:`, in red where colours are welcome.
pub fn styled_error_label() -> &'static str {
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wants_colour && std::io::stderr().is_terminal() {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    }
}

/// Prints a result and a line's end to standard output. Whoever closed it has seen enough.
pub fn print_result(result: impl std::fmt::Display) -> anyhow::Result<()> {
    // Names in it are other people's.
    print_styled(&lines(&result.to_string()))
}

/// The same for text with colours of its own.
pub fn print_styled(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
