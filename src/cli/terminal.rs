//! The size of the terminal that reads standard output.

use std::io::{self, IsTerminal};

use crate::query::Fit;

/// What is assumed where a terminal does not tell.
const DEFAULT_COLUMNS: usize = 80;
const DEFAULT_LINES: usize = 24;

/// How much of a table the terminal shows; `None` where standard output is none.
pub fn fit() -> Option<Fit> {
    size().map(|(columns, lines)| Fit::of_terminal(columns, lines))
}

/// Columns and lines of the terminal on standard output, if it is one.
pub fn size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(&stdout).ok();
    let columns = told.map_or(0, |size| usize::from(size.ws_col));
    let lines = told.map_or(0, |size| usize::from(size.ws_row));
    Some((
        first_known([columns, variable("COLUMNS"), DEFAULT_COLUMNS]),
        first_known([lines, variable("LINES"), DEFAULT_LINES]),
    ))
}

fn first_known(sizes: [usize; 3]) -> usize {
    sizes.into_iter().find(|size| *size > 0).unwrap_or(1)
}

fn variable(name: &str) -> usize {
    let value = std::env::var(name).ok();
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}
