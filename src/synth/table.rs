//! Tables in an example: those of its facts (JSON), and those of its data as the model sees them.
//!
//! The data may be laid out in any way that a recipe's template likes: with bars, tabs, commas or
//! spaces between cells. What is no table is prose, whose numbers stand for themselves.

use serde_json::Value;

/// Columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// All with a cell for each row.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// As the head of the table has it, unit included.
    pub name: String,
    /// From the first row to the last.
    pub cells: Vec<Cell>,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// As it is written there, rounding included.
    Number(f64),
    /// Everything that is no number.
    Text(String),
    /// Nothing, or a sign for nothing.
    Empty,
}

impl Table {
    /// Without the head.
    pub fn row_count(&self) -> usize {
        self.columns.first().map_or(0, |column| column.cells.len())
    }
}

impl Column {
    /// Of the cells that are numbers, in their order.
    pub fn numbers(&self) -> Vec<f64> {
        let number = |cell: &Cell| match cell {
            Cell::Number(value) => Some(*value),
            _ => None,
        };
        self.cells.iter().filter_map(number).collect()
    }
}

impl Cell {
    fn of_text(text: &str) -> Self {
        let text = text.trim();
        let plain = text.replace('−', "-");
        match plain.parse::<f64>() {
            Ok(value) if value.is_finite() => Self::Number(value),
            _ if ["", "-", "–", "null", "nan", "n/a"].contains(&plain.to_lowercase().as_str()) => {
                Self::Empty
            }
            _ => Self::Text(text.to_owned()),
        }
    }

    fn of_json(value: &Value) -> Self {
        match value {
            Value::Number(number) => number.as_f64().map_or(Self::Empty, Self::Number),
            Value::String(text) => Self::of_text(text),
            Value::Bool(flag) => Self::Text(flag.to_string()),
            _ => Self::Empty,
        }
    }
}

/// Tables and prose of an example's data.
pub fn of_text(data: &str) -> (Vec<Table>, String) {
    let lines: Vec<&str> = data.lines().map(str::trim).collect();
    let mut tables = Vec::new();
    let mut prose = String::new();
    let mut i = 0;
    while i < lines.len() {
        match table_at(&lines[i..]) {
            Some((table, used)) => {
                tables.push(table);
                i += used;
            }
            None => {
                prose.push_str(lines[i]);
                prose.push('\n');
                i += 1;
            }
        }
    }
    (tables, prose)
}

/// A header of words over at least one line of as many cells, one of them a number.
fn table_at(lines: &[&str]) -> Option<(Table, usize)> {
    for separator in [
        Separator::Bar,
        Separator::Tab,
        Separator::Comma,
        Separator::Semicolon,
        Separator::Spaces,
    ] {
        let header = separator.split(lines.first()?);
        let names_columns = header.len() >= 2
            && header
                .iter()
                .all(|cell| !cell.is_empty() && matches!(Cell::of_text(cell), Cell::Text(_)));
        if !names_columns {
            continue;
        }
        let mut used = 1;
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for line in &lines[1..] {
            let is_rule = !line.is_empty() && line.chars().all(|c| "|-:+= ".contains(c));
            if is_rule {
                used += 1;
                continue;
            }
            let cells = separator.split(line);
            let row: Vec<Cell> = cells.iter().map(|cell| Cell::of_text(cell)).collect();
            let is_row = !line.is_empty() && row.len() == header.len() && goes_on(&rows, &row);
            if !is_row {
                break;
            }
            rows.push(row);
            used += 1;
        }
        let has_number = rows
            .iter()
            .flatten()
            .any(|cell| matches!(cell, Cell::Number(_)));
        if has_number {
            return Some((
                of_rows(header.into_iter().map(str::to_owned).collect(), rows),
                used,
            ));
        }
    }
    None
}

/// Whether a row may follow others: a sentence may have as many commas as the table, but no numbers
/// where the table has some.
fn goes_on(rows: &[Vec<Cell>], row: &[Cell]) -> bool {
    row.iter().enumerate().all(|(column, cell)| {
        let is_measured = rows
            .iter()
            .any(|row| matches!(row[column], Cell::Number(_)));
        !is_measured || !matches!(cell, Cell::Text(_))
    })
}

#[derive(Clone, Copy)]
enum Separator {
    Bar,
    Tab,
    Comma,
    Semicolon,
    Spaces,
}

impl Separator {
    fn split(self, line: &str) -> Vec<&str> {
        let cells: Vec<&str> = match self {
            Self::Bar => line.trim_matches('|').split('|').collect(),
            Self::Tab => line.split('\t').collect(),
            Self::Comma => line.split(',').collect(),
            Self::Semicolon => line.split(';').collect(),
            Self::Spaces => line.split_whitespace().collect(),
        };
        cells.into_iter().map(str::trim).collect()
    }
}

fn of_rows(names: Vec<String>, rows: Vec<Vec<Cell>>) -> Table {
    let mut columns: Vec<Column> = names
        .into_iter()
        .map(|name| Column {
            name,
            cells: Vec::with_capacity(rows.len()),
        })
        .collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.cells.push(cell);
        }
    }
    with_labels_in_names(Table { columns })
}

/// A table with one measurement a row (`joint | min_deg | max_deg`) has columns that are better told
/// apart by the row's label: each cell becomes a column of its own as well.
fn with_labels_in_names(mut table: Table) -> Table {
    let Some(first) = table.columns.first() else {
        return table;
    };
    let labels: Vec<String> = first
        .cells
        .iter()
        .filter_map(|cell| match cell {
            Cell::Text(label) => Some(label.clone()),
            _ => None,
        })
        .collect();
    let is_labelled = labels.len() == first.cells.len() && !labels.is_empty();
    if !is_labelled {
        return table;
    }
    let mut cells_as_columns = Vec::new();
    for column in &table.columns[1..] {
        for (label, cell) in labels.iter().zip(&column.cells) {
            if let Cell::Number(value) = cell {
                // The label goes first, so that the unit stays at the end; where the label itself
                // ends with one (`left_knee_deg | min`), it goes last.
                let label_has_unit = crate::numbers::unit_of_column(label).is_some();
                let name =
                    if label_has_unit && crate::numbers::unit_of_column(&column.name).is_none() {
                        format!("{}_{label}", column.name)
                    } else {
                        format!("{label}_{}", column.name)
                    };
                cells_as_columns.push(Column {
                    name,
                    cells: vec![Cell::Number(*value)],
                });
            }
        }
    }
    // Cells of different measurements must not be summed up by column.
    table.columns.truncate(1);
    let rows = table.row_count();
    for column in &mut cells_as_columns {
        column.cells.resize(rows, Cell::Empty);
    }
    table.columns.append(&mut cells_as_columns);
    table
}

/// Tables and prose of an example's facts: lists become columns, lists of objects become tables,
/// single values become a table of one row.
pub(super) fn of_json(facts: &Value) -> (Vec<Table>, String) {
    let mut gathered = Gathered::default();
    gathered.take("", facts);
    let mut tables = gathered.tables;
    if !gathered.single.columns.is_empty() {
        tables.push(gathered.single);
    }
    if !gathered.lists.columns.is_empty() {
        tables.push(gathered.lists);
    }
    (tables, gathered.prose)
}

#[derive(Default)]
struct Gathered {
    tables: Vec<Table>,
    single: Table,
    lists: Table,
    prose: String,
}

impl Gathered {
    fn take(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let name = if name.is_empty() {
                        key.clone()
                    } else {
                        format!("{name}_{key}")
                    };
                    self.take(&name, value);
                }
            }
            Value::Array(items) if items.iter().all(Value::is_object) && !items.is_empty() => {
                self.take_rows(items);
            }
            Value::Array(items) => {
                let cells: Vec<Cell> = items.iter().map(Cell::of_json).collect();
                self.lists.columns.push(Column {
                    name: name.to_owned(),
                    cells,
                });
            }
            Value::Number(_) => self.single.columns.push(Column {
                name: name.to_owned(),
                cells: vec![Cell::of_json(value)],
            }),
            Value::String(text) => {
                // Some recipes hand a whole table over as text.
                let (tables, prose) = of_text(text);
                self.tables.extend(tables);
                self.prose.push_str(&prose);
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn take_rows(&mut self, items: &[Value]) {
        let mut names: Vec<&String> = Vec::new();
        for item in items.iter().filter_map(Value::as_object) {
            for key in item.keys() {
                if !names.contains(&key) {
                    names.push(key);
                }
            }
        }
        let columns = names.iter().map(|name| Column {
            name: (*name).clone(),
            cells: items
                .iter()
                .map(|item| item.get(name.as_str()).map_or(Cell::Empty, Cell::of_json))
                .collect(),
        });
        self.tables.push(with_labels_in_names(Table {
            columns: columns.collect(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &Table) -> Vec<&str> {
        table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect()
    }

    #[test]
    fn tables_are_read_however_they_are_laid_out() {
        let layouts = [
            "frame,left_knee_deg\n3,75.6\n4,80.1",
            "| frame | left_knee_deg |\n| --- | ---: |\n| 3 | 75.6 |\n| 4 | 80.1 |",
            "frame\tleft_knee_deg\n3\t75.6\n4\t80.1",
            "frame  left_knee_deg\n3      75.6\n4      80.1",
        ];
        for layout in layouts {
            let (tables, prose) = of_text(layout);
            assert_eq!((tables.len(), prose.as_str()), (1, ""), "{layout}");
            assert_eq!(names(&tables[0]), ["frame", "left_knee_deg"], "{layout}");
            assert_eq!(tables[0].columns[1].numbers(), [75.6, 80.1], "{layout}");
        }
    }

    #[test]
    fn prose_around_a_table_stays_prose() {
        let limits = "value,p5\nleft_knee_deg,75\nlimits: knee 80, lean 20";
        let (tables, prose) = of_text(limits);
        assert_eq!(
            (tables[0].row_count(), prose.trim()),
            (1, "limits: knee 80, lean 20")
        );
        let data = "fps: 30\n\nframe,left_knee_deg\n3,75.6\n4,\n\nThe clip has 2 frames.";
        let (tables, prose) = of_text(data);
        assert_eq!(tables.len(), 1);
        assert_eq!(
            tables[0].columns[1].cells,
            [Cell::Number(75.6), Cell::Empty]
        );
        assert_eq!(prose.trim(), "fps: 30\n\n\nThe clip has 2 frames.");
    }

    #[test]
    fn a_row_that_is_labelled_names_its_values() {
        let (tables, _) =
            of_text("joint | min_deg | max_deg\nleft_knee | 75.6 | 177.7\nleft_hip | 80 | 170");
        assert_eq!(
            names(&tables[0]),
            [
                "joint",
                "left_knee_min_deg",
                "left_hip_min_deg",
                "left_knee_max_deg",
                "left_hip_max_deg"
            ]
        );
        assert_eq!(tables[0].columns[3].numbers(), [177.7]);
    }

    #[test]
    fn facts_give_lists_rows_and_single_values() {
        let facts = serde_json::json!({
            "fps": 30.0,
            "left_knee_deg": [75.6, null, 80.1],
            "events": [{"frame": 3, "time_secs": 0.1}, {"frame": 9, "time_secs": 0.3}],
            "note": "seen from the side",
        });
        let (tables, prose) = of_json(&facts);
        assert_eq!(prose.trim(), "seen from the side");
        let all: Vec<Vec<&str>> = tables.iter().map(names).collect();
        assert_eq!(
            all,
            [
                vec!["frame", "time_secs"],
                vec!["fps"],
                vec!["left_knee_deg"]
            ]
        );
        assert_eq!(tables[2].columns[0].numbers(), [75.6, 80.1]);
    }
}
