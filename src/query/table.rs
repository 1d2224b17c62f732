//! A result as a table for people: whole, or as much of it as a terminal shows.

use std::collections::VecDeque;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::text::{one_line, wrapped};

/// Significant digits of floats on a terminal.
const FLOAT_DIGITS: i32 = 6;
/// Floats from here on, and below, are shown with an exponent.
const LARGE: f64 = 1e15;
const SMALL: f64 = 1e-4;
/// Texts keep at least so many columns of the terminal.
const MIN_TEXT_WIDTH: usize = 12;
/// Lines that are not rows: borders, a header of two lines, its rule, the mark of what is left out,
/// the note, the prompt.
const OTHER_LINES: usize = 9;
/// The note names columns where it needs no more lines for that.
const MAX_NOTE_LINES: usize = 2;
/// A short terminal scrolls rather than showing next to nothing; a high one is not filled.
const ROWS: std::ops::RangeInclusive<usize> = 10..=40;
/// What stands for what is left out.
const ELLIPSIS: &str = "…";
/// Between two columns, and between a column and the border.
const GAP: usize = 2;
const EDGES: usize = 4;

/// How much of a result is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Columns of the terminal.
    pub width: usize,
    /// Most rows.
    pub rows: usize,
}

impl Fit {
    /// What a terminal of so many columns and lines shows at once.
    pub fn of_terminal(columns: usize, lines: usize) -> Self {
        let rows = lines.saturating_sub(OTHER_LINES);
        Self {
            width: columns,
            rows: rows.clamp(*ROWS.start(), *ROWS.end()),
        }
    }
}

/// The whole table, with all digits.
///
/// # Errors
/// When a value has no text.
pub fn whole(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, ArrowError> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(schema.fields().iter().map(|field| one_line(field.name())));
    for (column, field) in table.column_iter_mut().zip(schema.fields()) {
        if is_number(field.data_type()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let options = format_options();
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let mut cells = Vec::with_capacity(formatters.len());
            for (formatter, field) in formatters.iter().zip(schema.fields()) {
                let value = formatter.value(row).try_to_string()?;
                let cell = Cell::new(one_line(&value));
                cells.push(match is_number(field.data_type()) {
                    true => cell.set_alignment(CellAlignment::Right),
                    false => cell,
                });
            }
            table.add_row(cells);
        }
    }
    Ok(table)
}

fn format_options() -> FormatOptions<'static> {
    FormatOptions::default().with_null("NULL")
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// A table of the first and the last rows, and of as many columns as there is room for. It holds
/// no more rows than it shows.
pub struct FittedTable {
    fit: Fit,
    names: Vec<String>,
    numbers: Vec<bool>,
    /// The first rows; all of them while they fit.
    first: Vec<Vec<String>>,
    last: VecDeque<Vec<String>>,
    rows: u64,
}

impl FittedTable {
    pub fn new(schema: &SchemaRef, fit: Fit) -> Self {
        let fields = schema.fields();
        Self {
            fit,
            names: fields
                .iter()
                .map(|f| one_line(f.name()).into_owned())
                .collect(),
            numbers: fields.iter().map(|f| is_number(f.data_type())).collect(),
            first: Vec::new(),
            last: VecDeque::new(),
            rows: 0,
        }
    }

    /// Takes rows.
    ///
    /// # Errors
    /// When a value has no text.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = format_options();
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        let n_rows = batch.num_rows();
        // Of the rows of a batch the last of all can only be among its last ones.
        let room = self.fit.rows.saturating_sub(self.first.len());
        let tail = n_rows.saturating_sub(self.last_rows());
        for row in (0..n_rows).filter(|row| *row < room || *row >= tail) {
            let mut cells = Vec::with_capacity(formatters.len());
            for (column, formatter) in batch.columns().iter().zip(&formatters) {
                let text = match float(column.as_ref(), row) {
                    Some(value) => short_float(value),
                    None => formatter.value(row).try_to_string()?,
                };
                // No cell is ever wider than the terminal, however long its text.
                cells.push(cut(&one_line(&text), self.fit.width));
            }
            if self.first.len() < self.fit.rows {
                self.first.push(cells);
            } else {
                self.last.push_back(cells);
                if self.last.len() > self.last_rows() {
                    self.last.pop_front();
                }
            }
        }
        self.rows += n_rows as u64;
        Ok(())
    }

    fn last_rows(&self) -> usize {
        self.fit.rows / 2
    }

    /// The table, and under it what it leaves out.
    pub fn finish(mut self) -> String {
        let hidden_rows = self.rows.saturating_sub(self.fit.rows as u64);
        let gap_at = if hidden_rows > 0 {
            // The rows in the middle give way to the last ones that came.
            let n_last = self.last_rows();
            let n_first = self.fit.rows - n_last;
            let mut tail = self.first.split_off(n_first);
            tail.extend(self.last.drain(..));
            let skipped = tail.len().saturating_sub(n_last);
            self.first.extend(tail.into_iter().skip(skipped));
            Some(n_first)
        } else {
            None
        };
        let columns = self.columns();
        let shown = shown_columns(&columns, self.fit.width);
        let mut out = render(&columns, &shown, &self.numbers, gap_at);
        let hidden: Vec<&str> = (0..self.names.len())
            .filter(|column| !shown.contains(&Some(*column)))
            .map(|column| self.names[column].as_str())
            .collect();
        let is_cut = columns.iter().any(|column| column.is_cut);
        if let Some(note) = self.note(hidden_rows, &hidden, is_cut) {
            out.push_str(&note);
            out.push('\n');
        }
        out
    }

    fn note(&self, hidden_rows: u64, hidden: &[&str], is_cut: bool) -> Option<String> {
        if hidden_rows == 0 && hidden.is_empty() && !is_cut {
            return None;
        }
        let note = |columns: String| {
            let mut parts = Vec::new();
            match hidden_rows {
                0 => {}
                1 => parts.push("1 more row".to_owned()),
                n => parts.push(format!("{n} more rows")),
            }
            if !columns.is_empty() {
                parts.push(columns);
            }
            if parts.is_empty() {
                parts.push("some texts are longer".into());
            }
            let note = format!("{ELLIPSIS} {}; --all shows everything", parts.join(", "));
            wrapped(&note, self.fit.width)
        };
        let count = match hidden.len() {
            0 => String::new(),
            1 => "1 more column".into(),
            n => format!("{n} more columns"),
        };
        let names = match hidden {
            [] => String::new(),
            names => format!("{count} ({})", names.join(", ")),
        };
        let lines = Some(note(names)).filter(|lines| lines.len() <= MAX_NOTE_LINES);
        Some(lines.unwrap_or_else(|| note(count)).join("\n"))
    }

    fn columns(&self) -> Vec<Column> {
        let widths = |column: usize| self.first.iter().map(move |row| row[column].width());
        let mut columns: Vec<Column> = (0..self.names.len())
            .map(|column| Column {
                header: vec![self.names[column].clone()],
                cells: self.first.iter().map(|row| row[column].clone()).collect(),
                width: widths(column)
                    .max()
                    .unwrap_or(0)
                    .max(self.names[column].width()),
                is_cut: false,
            })
            .collect();
        let total = |columns: &[Column]| {
            let widths: usize = columns.iter().map(|column| column.width).sum();
            widths + columns.len().saturating_sub(1) * GAP + EDGES
        };
        if total(&columns) <= self.fit.width {
            return columns;
        }
        // First long names go on two lines, then long texts are cut.
        for column in &mut columns {
            column.fold_header();
        }
        let is_text = |column: usize| !self.numbers[column];
        while total(&columns) > self.fit.width {
            let excess = total(&columns) - self.fit.width;
            let widest = (0..columns.len())
                .filter(|column| is_text(*column) && columns[*column].width > MIN_TEXT_WIDTH)
                .max_by_key(|column| columns[*column].width);
            let Some(widest) = widest else {
                break;
            };
            let next = (0..columns.len())
                .filter(|column| *column != widest && is_text(*column))
                .map(|column| columns[column].width)
                .max()
                .unwrap_or(0);
            let column = &mut columns[widest];
            let least = next.max(MIN_TEXT_WIDTH).min(column.width - 1);
            column.narrow(column.width.saturating_sub(excess).max(least));
        }
        columns
    }
}

/// A column as it is shown.
struct Column {
    /// One line or two.
    header: Vec<String>,
    cells: Vec<String>,
    width: usize,
    is_cut: bool,
}

impl Column {
    /// Puts a name that is wider than what is below it on two lines, broken at a `_` or a space.
    fn fold_header(&mut self) {
        let name = self.header.concat();
        let cells = self.cells_width();
        let breaks = name.match_indices(['_', ' ']).map(|(at, _)| at);
        let folded = breaks
            .filter(|at| *at > 0)
            .map(|at| {
                let (first, second) = name.split_at(at);
                [first.to_owned(), second.trim_start().to_owned()]
            })
            .min_by_key(|[first, second]| first.width().max(second.width()));
        if let Some(lines) = folded.filter(|_| name.width() > cells) {
            self.header = lines.into();
            self.width = self.header_width().max(cells);
        }
    }

    fn narrow(&mut self, width: usize) {
        for text in self.header.iter_mut().chain(&mut self.cells) {
            if text.width() > width {
                *text = cut(text, width);
                self.is_cut = true;
            }
        }
        self.width = width;
    }

    fn header_width(&self) -> usize {
        self.header
            .iter()
            .map(|line| line.width())
            .max()
            .unwrap_or(0)
    }

    fn cells_width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| cell.width())
            .max()
            .unwrap_or(0)
    }
}

/// The columns that fit beside one another, from both ends inwards; `None` is the mark of those
/// that are left out between them. The first is always there.
fn shown_columns(columns: &[Column], width: usize) -> Vec<Option<usize>> {
    let all: usize = columns.iter().map(|column| column.width + GAP).sum();
    if all + EDGES <= width + GAP {
        return (0..columns.len()).map(Some).collect();
    }
    let mut left = 0;
    let mut right = columns.len();
    let mut used = EDGES + ELLIPSIS.width();
    while left < right {
        // The left end is one ahead.
        let is_left = left <= columns.len() - right;
        let next = if is_left { left } else { right - 1 };
        let needed = columns[next].width + GAP;
        if used + needed > width && left > 0 {
            break;
        }
        used += needed;
        if is_left {
            left += 1;
        } else {
            right -= 1;
        }
    }
    let before = (0..left).map(Some);
    let after = (right..columns.len()).map(Some);
    let mark = (left < right).then_some(None);
    before.chain(mark).chain(after).collect()
}

fn render(
    columns: &[Column],
    shown: &[Option<usize>],
    numbers: &[bool],
    gap_at: Option<usize>,
) -> String {
    let width_of = |column: &Option<usize>| column.map_or(ELLIPSIS.width(), |c| columns[c].width);
    let inner: usize =
        shown.iter().map(width_of).sum::<usize>() + shown.len().saturating_sub(1) * GAP + EDGES - 2;
    let line = |text: &dyn Fn(usize) -> String, mark: &str| {
        let cells = shown.iter().map(|column| match column {
            None => mark.to_owned(),
            Some(column) => aligned(&text(*column), columns[*column].width, numbers[*column]),
        });
        let cells: Vec<String> = cells.collect();
        format!("│ {} │\n", cells.join(&" ".repeat(GAP)))
    };
    let mut out = format!("┌{}┐\n", "─".repeat(inner));
    let header_lines = shown
        .iter()
        .flatten()
        .map(|column| columns[*column].header.len())
        .max()
        .unwrap_or(1);
    for i in 0..header_lines {
        // Names of one line stand at the bottom.
        let name = |column: usize| {
            let header = &columns[column].header;
            let skipped = header_lines - header.len();
            let of_line = i.checked_sub(skipped).and_then(|i| header.get(i));
            of_line.cloned().unwrap_or_default()
        };
        let mark = if i + 1 == header_lines { ELLIPSIS } else { " " };
        out.push_str(&line(&name, mark));
    }
    out.push_str(&format!("╞{}╡\n", "═".repeat(inner)));
    let n_rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..n_rows {
        if gap_at == Some(row) {
            out.push_str(&line(&|_| ELLIPSIS.into(), ELLIPSIS));
        }
        out.push_str(&line(
            &|column| columns[column].cells[row].clone(),
            ELLIPSIS,
        ));
    }
    out.push_str(&format!("└{}┘\n", "─".repeat(inner)));
    out
}

fn aligned(text: &str, width: usize, is_right: bool) -> String {
    let padding = " ".repeat(width.saturating_sub(text.width()));
    match is_right {
        true => format!("{padding}{text}"),
        false => format!("{text}{padding}"),
    }
}

/// The beginning of a text, in a terminal's columns, with a mark where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let room = width.saturating_sub(ELLIPSIS.width());
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        if used + grapheme.width() > room {
            break;
        }
        used += grapheme.width();
        kept.push_str(grapheme);
    }
    kept + ELLIPSIS
}

fn float(column: &dyn Array, row: usize) -> Option<f64> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Float16 => Some(column.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => {
            // The shortest decimal of 32 bits, not the long one of the same number in 64.
            let value = column.as_primitive::<Float32Type>().value(row);
            value.to_string().parse().ok()
        }
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().value(row)),
        _ => None,
    }
}

/// A float with at most six significant digits behind its whole part: enough to read, few enough
/// to compare.
fn short_float(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size >= LARGE || (size > 0.0 && size < SMALL) {
        let text = format!("{value:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", without_zeros(digits));
    }
    // A fraction's leading zeros are no significant digits.
    let magnitude = if size > 0.0 {
        size.log10().floor() as i32
    } else {
        0
    };
    let decimals = (FLOAT_DIGITS - 1 - magnitude).max(0) as usize;
    without_zeros(&format!("{value:.decimals$}"))
}

/// 1.50 as 1.5, and 2.00 as 2.0: a float is told from an integer where it has a fraction to show.
fn without_zeros(digits: &str) -> String {
    if !digits.contains('.') {
        return digits.into();
    }
    let short = digits.trim_end_matches('0');
    match short.ends_with('.') {
        true => format!("{short}0"),
        false => short.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;

    fn table(columns: Vec<(&str, ArrayRef)>, width: usize, rows: usize) -> String {
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let mut table = FittedTable::new(&batch.schema(), Fit { width, rows });
        // In pieces, as results come.
        for start in (0..batch.num_rows()).step_by(3) {
            let length = 3.min(batch.num_rows() - start);
            table.push(&batch.slice(start, length)).expect("texts");
        }
        table.finish()
    }

    fn counting(n: i64) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(0..n))
    }

    #[test]
    fn what_fits_is_shown_whole_and_without_a_note() {
        let names = Arc::new(StringArray::from(vec![Some("練習.mp4"), None]));
        let shown = table(vec![("n", counting(2)), ("file", names)], 80, 10);
        insta::assert_snapshot!(shown, @r"
        ┌─────────────┐
        │ n  file     │
        ╞═════════════╡
        │ 0  練習.mp4 │
        │ 1  NULL     │
        └─────────────┘
        ");
    }

    #[test]
    fn first_and_last_rows_stand_for_many() {
        let shown = table(vec![("n", counting(100))], 80, 5);
        insta::assert_snapshot!(shown, @r"
        ┌────┐
        │  n │
        ╞════╡
        │  0 │
        │  1 │
        │  2 │
        │  … │
        │ 98 │
        │ 99 │
        └────┘
        … 95 more rows; --all shows everything
        ");
        for n in 0..30 {
            let shown = table(vec![("n", counting(n))], 80, 5);
            let rows: Vec<&str> = shown
                .lines()
                .filter(|line| line.starts_with('│'))
                .skip(1)
                .map(|line| line.trim_matches(['│', ' ']))
                .collect();
            let expected: Vec<String> = if n <= 5 {
                (0..n).map(|i| i.to_string()).collect()
            } else {
                [
                    "0",
                    "1",
                    "2",
                    "…",
                    &(n - 2).to_string(),
                    &(n - 1).to_string(),
                ]
                .map(str::to_owned)
                .into()
            };
            assert_eq!(rows, expected, "{n} rows");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_left_out_silently() {
        let long = "a very long text with 練習 in it ".repeat(5);
        let column = |i: usize| -> ArrayRef {
            match i % 3 {
                0 => Arc::new(StringArray::from(vec![long.as_str()])),
                1 => Arc::new(Float64Array::from(vec![1.0 / 3.0])),
                _ => counting(1),
            }
        };
        for n in 1..20 {
            let names: Vec<String> = (0..n).map(|i| format!("column_number_{i}")).collect();
            for width in [20, 40, 80, 100, 200] {
                let columns = names.iter().enumerate();
                let columns = columns.map(|(i, name)| (name.as_str(), column(i)));
                let shown = table(columns.collect(), width, 10);
                for line in shown.lines() {
                    assert!(line.width() <= width, "{n} columns, {width}: {line}");
                }
                // What the note counts is what the table does not show.
                let count = shown.replace('\n', " ");
                let count = count.split(" more column").next().unwrap_or_default();
                let hidden = match shown.contains(" more column") {
                    true => count.rsplit(' ').next().and_then(|n| n.parse().ok()),
                    false => Some(0),
                };
                let hidden: usize = hidden.expect("a count");
                let header: Vec<&str> = shown.lines().skip(1).take(2).collect();
                let header = header.join(" ");
                let is_there = |name: &&String| {
                    let last = name.rsplit('_').next().unwrap_or_default();
                    // Folded names end on the second line.
                    header
                        .split(' ')
                        .any(|word| word.ends_with(&format!("_{last}")))
                };
                // A name that is cut stands for its column as well; a lone `…` stands for those left out.
                let is_cut = |word: &&str| word.len() > '…'.len_utf8() && word.ends_with('…');
                let cut_count = header.split(' ').filter(is_cut).count();
                let shown_count = names.iter().filter(is_there).count() + cut_count;
                assert_eq!(shown_count + hidden, n, "{width} columns\n{shown}");
            }
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let names = Arc::new(StringArray::from(vec!["a\nb\u{1b}[31m"]));
        let shown = table(vec![("na\tme", names)], 80, 10);
        assert_eq!(shown.lines().count(), 5, "{shown}");
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.contains(r"na\tme"), "{shown}");
    }

    #[test]
    fn floats_have_digits_that_people_read() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.5, "-0.5"),
            (1.0 / 3.0, "0.333333"),
            (2.0 / 3.0 * 100.0, "66.6667"),
            (664.5, "664.5"),
            (123_456.789, "123457"),
            (12_345_678.9, "12345679"),
            (0.000_123_456_789, "0.000123457"),
            (0.000_012_345_678_9, "1.23457e-5"),
            (1e15, "1.0e15"),
            (9.999_999_9, "10.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short_float(value), text, "{value:?}");
        }
        let single = arrow::array::Float32Array::from(vec![0.1]);
        assert_eq!(float(&single, 0), Some(0.1));
    }
}
