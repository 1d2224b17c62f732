//! From a query's rows to the lines of a picture: which column is time, which are measured, which
//! tell the series apart.
//!
//! Resident are the lines that will be shown (see `thin` for their size), the names of the series,
//! and one batch of rows.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::thin::{Line, SameX};
use super::ticks::Scale;
use super::units::{self, Quantity, TIME_COLUMNS};
use super::{MAX_LINES, PlotError, PlotOptions};
use crate::text::one_line;

/// Series are counted up to here; a query with more has not been told what its series are.
const MAX_SERIES: usize = 1000;
/// More measured columns than this make no picture.
const MAX_MEASURED: usize = 64;
const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// What a column can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Calendar,
    Text,
    Other,
}

impl Kind {
    fn of(kind: &DataType) -> Self {
        match kind {
            kind if kind.is_numeric() => Self::Number,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Self::Calendar,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, values) => Self::of(values),
            _ => Self::Other,
        }
    }
}

/// The role of each column, as positions in the result.
#[derive(Debug)]
struct Columns {
    x: usize,
    x_scale: Scale,
    /// Nobody said that x is an axis of time, and its name does not either.
    x_is_guess: bool,
    y: Vec<usize>,
    series: Vec<usize>,
    /// Frame numbers, which tell where a series has gaps.
    frame: Option<usize>,
}

fn names(schema: &Schema) -> String {
    let name = |field: &arrow::datatypes::FieldRef| field.name().clone();
    schema
        .fields()
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn position(schema: &Schema, name: &str) -> Result<usize, PlotError> {
    let exact = schema.index_of(name).ok();
    // SQL does not tell upper and lower case apart either.
    let alike = || {
        schema
            .fields()
            .iter()
            .position(|f| f.name().eq_ignore_ascii_case(name))
    };
    exact.or_else(alike).ok_or_else(|| PlotError::NoColumn {
        name: name.into(),
        columns: names(schema),
    })
}

impl Columns {
    fn choose(schema: &Schema, options: &PlotOptions) -> Result<Self, PlotError> {
        let kinds: Vec<Kind> = schema
            .fields()
            .iter()
            .map(|f| Kind::of(f.data_type()))
            .collect();
        let name = |i: usize| schema.field(i).name().as_str();
        let numbers = || (0..kinds.len()).filter(|i| kinds[*i] == Kind::Number);
        let not_numeric = |i: usize| PlotError::NotNumeric {
            name: name(i).into(),
            kind: schema.field(i).data_type().to_string(),
            columns: names(schema),
        };
        let (x, x_is_guess) = match &options.x {
            Some(wanted) => (position(schema, wanted)?, false),
            None => {
                let by_name = TIME_COLUMNS
                    .iter()
                    .find_map(|time| numbers().find(|i| name(*i).eq_ignore_ascii_case(time)));
                let calendar = || kinds.iter().position(|kind| *kind == Kind::Calendar);
                let measured = || numbers().find(|i| !units::is_key(name(*i)));
                match by_name.or_else(calendar) {
                    Some(x) => (x, false),
                    None => (
                        measured().ok_or_else(|| PlotError::NoTime {
                            columns: names(schema),
                        })?,
                        true,
                    ),
                }
            }
        };
        let x_scale = match kinds[x] {
            Kind::Number => Scale::Decimal,
            Kind::Calendar => Scale::Calendar,
            Kind::Text | Kind::Other => return Err(not_numeric(x)),
        };
        let series: Vec<usize> = match &options.series[..] {
            [] => (0..kinds.len())
                .filter(|i| *i != x)
                .filter(|i| match kinds[*i] {
                    Kind::Text => !units::is_state(name(*i)),
                    Kind::Number => {
                        units::is_key(name(*i)) && !options.y.iter().any(|y| y == name(*i))
                    }
                    Kind::Calendar | Kind::Other => false,
                })
                .collect(),
            given => given
                .iter()
                .map(|name| position(schema, name))
                .collect::<Result<_, _>>()?,
        };
        let y: Vec<usize> = match &options.y[..] {
            [] => {
                let others: Vec<usize> = numbers()
                    .filter(|i| *i != x && !series.contains(i))
                    .filter(|i| !units::is_key(name(*i)) && !units::is_time(name(*i)))
                    .collect();
                let is_count = |i: &usize| units::is_count(name(*i));
                let measured: Vec<usize> =
                    others.iter().copied().filter(|i| !is_count(i)).collect();
                // Counts say what other numbers rest on; alone they are what is asked for.
                if measured.is_empty() {
                    others
                } else {
                    measured
                }
            }
            given => {
                let column = |name: &String| {
                    let i = position(schema, name)?;
                    if kinds[i] == Kind::Number {
                        Ok(i)
                    } else {
                        Err(not_numeric(i))
                    }
                };
                given.iter().map(column).collect::<Result<_, _>>()?
            }
        };
        if y.is_empty() {
            return Err(PlotError::NothingMeasured {
                columns: names(schema),
            });
        }
        if y.len() > MAX_MEASURED {
            return Err(PlotError::TooManyColumns { count: y.len() });
        }
        let is_integer = |i: &usize| schema.field(*i).data_type().is_integer();
        let frame = numbers().find(|i| is_integer(i) && name(*i).eq_ignore_ascii_case("frame"));
        Ok(Self {
            x,
            x_scale,
            x_is_guess,
            y,
            series,
            frame,
        })
    }
}

/// How a line is drawn beside others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    #[default]
    Usual,
    /// No point is marked.
    Plain,
    /// Thin, in a lighter shade of the next line's colour.
    Pale,
    /// Each point is marked.
    Dots,
}

/// A line with its place in the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotLine {
    /// What tells the series from others; empty when there is only one.
    pub series: String,
    pub column: Quantity,
    /// Runs of points without a gap.
    pub pieces: Vec<Vec<(f64, f64)>>,
    pub look: Look,
}

impl PlotLine {
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.pieces.iter().flatten().copied()
    }
}

/// The columns of one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub columns: Vec<Quantity>,
    pub lines: Vec<PlotLine>,
    /// Lines that are not shown because there are too many.
    pub hidden_lines: usize,
}

impl Panel {
    /// Keeps as many whole series as can be told apart, or as many lines of a single one; gives the
    /// number of lines that go.
    fn leave_out_lines(&mut self) -> usize {
        let count = self.lines.len();
        let columns = |lines: &[PlotLine]| {
            let mut seen: Vec<&Quantity> = Vec::new();
            for line in lines {
                if !seen.contains(&&line.column) {
                    seen.push(&line.column);
                }
            }
            seen.len()
        };
        let series_that_fit = (MAX_LINES / columns(&self.lines).max(1)).max(1);
        let mut series: Vec<String> = Vec::new();
        self.lines.retain(|line| {
            if !series.contains(&line.series) {
                series.push(line.series.clone());
            }
            series.len() <= series_that_fit
        });
        self.lines.truncate(MAX_LINES);
        count - self.lines.len()
    }
}

/// All that is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotData {
    pub x_column: String,
    pub x_scale: Scale,
    pub panels: Vec<Panel>,
    /// What all rows have in common, such as the video and the landmark.
    pub subject: String,
    pub rows: u64,
    /// Rows that cannot be placed because their x is NULL.
    pub rows_without_x: u64,
    /// Some rows of one series have the same x.
    pub same_x: bool,
}

/// Reads a result.
pub struct Collector {
    schema: Schema,
    columns: Columns,
    width_px: u32,
    series: HashMap<Vec<String>, usize>,
    /// The series' values of the series columns, in the order of appearance.
    keys: Vec<Vec<String>>,
    /// The lines of the first series, one for each measured column.
    lines: Vec<Vec<Line>>,
    /// Rows of the series that has most of them.
    rows_of_series: Vec<u64>,
    rows: u64,
    rows_without_x: u64,
}

impl Collector {
    /// # Errors
    /// When the columns do not fit the options, or none can be plotted.
    pub fn new(schema: &Schema, options: &PlotOptions) -> Result<Self, PlotError> {
        Ok(Self {
            columns: Columns::choose(schema, options)?,
            schema: schema.clone(),
            width_px: options.width_px,
            series: HashMap::new(),
            keys: Vec::new(),
            lines: Vec::new(),
            rows_of_series: Vec::new(),
            rows: 0,
            rows_without_x: 0,
        })
    }

    /// Takes the next rows.
    ///
    /// # Errors
    /// When values cannot be read, or there are far too many series.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), PlotError> {
        let values = |e: arrow::error::ArrowError| PlotError::Values(e.to_string());
        let x = numbers(batch.column(self.columns.x)).map_err(values)?;
        let y = self.columns.y.iter().map(|i| numbers(batch.column(*i)));
        let y: Vec<Float64Array> = y.collect::<Result<_, _>>().map_err(values)?;
        let frame = self
            .columns
            .frame
            .map(|i| cast(batch.column(i), &DataType::Int64));
        let frame = frame.transpose().map_err(values)?;
        let frame = frame
            .as_ref()
            .map(|frame| frame.as_primitive::<Int64Type>());
        let options = FormatOptions::default().with_null("NULL");
        let names = self.columns.series.iter();
        let names = names.map(|i| ArrayFormatter::try_new(batch.column(*i), &options));
        let names: Vec<ArrayFormatter<'_>> = names.collect::<Result<_, _>>().map_err(values)?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            if x.is_null(row) || !x.value(row).is_finite() {
                self.rows_without_x += 1;
                continue;
            }
            let key: Vec<String> = names
                .iter()
                .map(|name| name.value(row).to_string())
                .collect();
            let series = self.series(key)?;
            self.rows_of_series[series] += 1;
            let Some(lines) = self.lines.get_mut(series) else {
                continue;
            };
            let frame = frame.filter(|f| f.is_valid(row)).map(|f| f.value(row));
            for (line, y) in lines.iter_mut().zip(&y) {
                line.push(x.value(row), y.is_valid(row).then(|| y.value(row)), frame);
            }
        }
        Ok(())
    }

    fn series(&mut self, key: Vec<String>) -> Result<usize, PlotError> {
        if let Some(known) = self.series.get(&key) {
            return Ok(*known);
        }
        let new = self.keys.len();
        if new == MAX_SERIES {
            return Err(PlotError::TooManySeries {
                limit: MAX_SERIES,
                columns: self.names_of(&self.columns.series),
            });
        }
        // No panel shows more, whatever it shows.
        if new < MAX_LINES {
            let line = || Line::new(self.width_px);
            self.lines
                .push(self.columns.y.iter().map(|_| line()).collect());
        }
        self.rows_of_series.push(0);
        self.keys.push(key.clone());
        self.series.insert(key, new);
        Ok(new)
    }

    fn names_of(&self, columns: &[usize]) -> String {
        let name = |i: &usize| self.schema.field(*i).name().clone();
        columns.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Puts lines into panels.
    ///
    /// # Errors
    /// When there is nothing to show.
    pub fn finish(mut self) -> Result<PlotData, PlotError> {
        if self.rows == 0 {
            return Err(PlotError::Empty);
        }
        if self.columns.x_is_guess && self.rows_of_series.iter().all(|rows| *rows <= 1) {
            return Err(PlotError::NoTime {
                columns: names(&self.schema),
            });
        }
        let (labels, subject) = self.labels();
        let mut same_x = false;
        let mut panels: Vec<Panel> = Vec::new();
        let mut panel_of_column = Vec::new();
        for i in &self.columns.y {
            let quantity = Quantity::of(self.schema.field(*i).name());
            let fitting = panels
                .iter()
                .position(|p| p.columns[0].shares_axis_with(&quantity));
            let panel = fitting.unwrap_or_else(|| {
                panels.push(Panel {
                    columns: Vec::new(),
                    lines: Vec::new(),
                    hidden_lines: 0,
                });
                panels.len() - 1
            });
            panels[panel].columns.push(quantity.clone());
            panel_of_column.push((panel, quantity));
        }
        for (label, lines) in labels.iter().zip(std::mem::take(&mut self.lines)) {
            for (line, (panel, quantity)) in lines.into_iter().zip(&panel_of_column) {
                let (pieces, found) = line.finish();
                same_x |= found == SameX::Found;
                // What is NULL throughout has nothing to show beside others.
                if !pieces.is_empty() {
                    panels[*panel].lines.push(PlotLine {
                        series: label.clone(),
                        column: quantity.clone(),
                        pieces,
                        look: Look::Usual,
                    });
                }
            }
        }
        for panel in &mut panels {
            let unread = panel.columns.len() * (self.keys.len() - labels.len());
            panel.hidden_lines = unread + panel.leave_out_lines();
        }
        panels.retain(|panel| !panel.lines.is_empty());
        if panels.is_empty() {
            return Err(PlotError::AllNull {
                columns: self.names_of(&self.columns.y),
            });
        }
        Ok(PlotData {
            x_column: self.schema.field(self.columns.x).name().clone(),
            x_scale: self.columns.x_scale,
            panels,
            subject,
            rows: self.rows,
            rows_without_x: self.rows_without_x,
            same_x,
        })
    }

    /// A name for each series from the fewest columns that tell them apart, and what all series
    /// have in common.
    fn labels(&self) -> (Vec<String>, String) {
        let name = |c: usize| {
            self.schema
                .field(self.columns.series[c])
                .name()
                .to_ascii_lowercase()
        };
        let is_readable = |c: &usize| {
            let name = name(*c);
            !name.ends_with("_id")
                && !name.ends_with("sha256")
                && !name.ends_with("hash")
                && name != "path"
        };
        let count = self.columns.series.len();
        // What people cannot read comes last: it only tells apart what has the same name.
        let (readable, others): (Vec<usize>, Vec<usize>) = (0..count).partition(is_readable);
        let distinct = |columns: &[usize]| {
            let parts = self
                .keys
                .iter()
                .map(|key| columns.iter().map(|c| &key[*c]).collect::<Vec<_>>());
            parts.collect::<HashSet<_>>().len()
        };
        let mut used: Vec<usize> = Vec::new();
        for column in readable.iter().chain(&others) {
            let with: Vec<usize> = used.iter().copied().chain([*column]).collect();
            if distinct(&with) > distinct(&used).max(1) {
                used = with;
            }
        }
        let text = |key: &[String], column: usize| match name(column).as_str() {
            // A bare number says nothing.
            "person" | "track" | "index" => format!("{} {}", name(column), key[column]),
            other if other.ends_with("_index") => {
                format!("{} {}", other.replace('_', " "), key[column])
            }
            _ => one_line(&key[column]).into_owned(),
        };
        let label = |key: &Vec<String>| {
            let parts = used.iter().map(|column| text(key, *column));
            parts.collect::<Vec<_>>().join(", ")
        };
        let labels = self.keys.iter().take(MAX_LINES).map(label).collect();
        let common = readable.iter().filter(|c| {
            distinct(&[**c]) == 1 && name(**c) != "sport" && !units::is_key(&name(**c))
        });
        let subject = common.filter_map(|c| self.keys.first().map(|key| text(key, *c)));
        (labels, subject.collect::<Vec<_>>().join(", "))
    }
}

/// A column as numbers; times as seconds since 1970-01-01.
fn numbers(column: &ArrayRef) -> Result<Float64Array, arrow::error::ArrowError> {
    if Kind::of(column.data_type()) != Kind::Calendar {
        return Ok(cast(column, &DataType::Float64)?
            .as_primitive::<Float64Type>()
            .clone());
    }
    let micros = cast(&cast(column, &MICROSECONDS)?, &DataType::Int64)?;
    let secs = micros
        .as_primitive::<Int64Type>()
        .iter()
        .map(|us| us.map(|us| us as f64 / 1e6));
    Ok(secs.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    /// A result with the given columns, all text columns alike over `rows` rows.
    fn batch(columns: &[(&str, &[f64])], texts: &[(&str, &[&str])]) -> RecordBatch {
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (name, values) in texts {
            fields.push(Field::new(*name, DataType::Utf8, true));
            arrays.push(Arc::new(StringArray::from(values.to_vec())));
        }
        for (name, values) in columns {
            let is_integer = matches!(*name, "frame" | "person");
            if is_integer {
                fields.push(Field::new(*name, DataType::Int32, true));
                arrays.push(Arc::new(
                    values
                        .iter()
                        .map(|v| Some(*v as i32))
                        .collect::<Int32Array>(),
                ));
            } else {
                fields.push(Field::new(*name, DataType::Float64, true));
                arrays.push(Arc::new(Float64Array::from(values.to_vec())));
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
    }

    fn collect(batch: &RecordBatch, options: &PlotOptions) -> Result<PlotData, PlotError> {
        let mut collector = Collector::new(&batch.schema(), options)?;
        collector.push(batch)?;
        collector.finish()
    }

    #[test]
    fn time_measurements_and_series_are_found_by_themselves() {
        let batch = batch(
            &[
                ("person", &[0.0; 4]),
                ("frame", &[0.0, 1.0, 0.0, 1.0]),
                ("time_secs", &[0.0, 0.1, 0.0, 0.1]),
                ("x_px", &[1.0, 2.0, 3.0, 4.0]),
                ("speed_px_per_sec", &[1.0, 2.0, 3.0, 4.0]),
                ("y_px", &[5.0, 6.0, 7.0, 8.0]),
            ],
            &[
                ("file_name", &["a.mp4"; 4]),
                ("landmark", &["nose", "nose", "left_hip", "left_hip"]),
            ],
        );
        let data = collect(&batch, &PlotOptions::default()).expect("lines");
        assert_eq!(data.x_column, "time_secs");
        assert_eq!(data.subject, "a.mp4");
        let panels: Vec<(usize, usize)> = data
            .panels
            .iter()
            .map(|p| (p.columns.len(), p.lines.len()))
            .collect();
        assert_eq!(
            panels,
            [(2, 4), (1, 2)],
            "x and y share a panel, speed has its own"
        );
        let labels: Vec<&str> = data.panels[1]
            .lines
            .iter()
            .map(|l| l.series.as_str())
            .collect();
        assert_eq!(labels, ["nose", "left_hip"]);
        assert_eq!(
            data.panels[1].lines[1].pieces,
            [vec![(0.0, 3.0), (0.1, 4.0)]]
        );
        assert!(!data.same_x);
    }

    #[test]
    fn one_row_for_each_series_is_no_time_series() {
        let batch = batch(&[("mean_deg", &[1.0, 2.0])], &[("joint", &["knee", "hip"])]);
        let error = collect(&batch, &PlotOptions::default()).expect_err("an error");
        assert!(
            matches!(
                error,
                PlotError::NothingMeasured { .. } | PlotError::NoTime { .. }
            ),
            "{error}"
        );
    }

    #[test]
    fn wrong_columns_are_told_with_their_types_and_the_others() {
        let batch = batch(
            &[("time_secs", &[0.0]), ("x_px", &[1.0])],
            &[("landmark", &["nose"])],
        );
        let with = |y: &str| {
            let options = PlotOptions {
                y: vec![y.into()],
                ..PlotOptions::default()
            };
            collect(&batch, &options).expect_err("an error").to_string()
        };
        let told = with("landmark");
        assert!(
            told.contains("landmark is Utf8") && told.contains("landmark, time_secs, x_px"),
            "{told}"
        );
        assert!(with("speed").contains("no column speed"));
    }

    #[test]
    fn more_lines_than_fit_are_counted() {
        let names: Vec<String> = (0..20).map(|i| format!("joint {i}")).collect();
        let names: Vec<&str> = names.iter().flat_map(|n| [n.as_str(); 2]).collect();
        let times: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        let batch = batch(
            &[("time_secs", &times), ("angle_deg", &[1.0; 40])],
            &[("joint", &names)],
        );
        let data = collect(&batch, &PlotOptions::default()).expect("lines");
        assert_eq!(data.panels[0].lines.len(), MAX_LINES);
        assert_eq!(data.panels[0].hidden_lines, 20 - MAX_LINES);
    }
}
