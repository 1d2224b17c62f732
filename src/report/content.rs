//! What a report says: results of its SQL statements.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use duckdb::types::Value;

use crate::query::{Query, QueryError, Session};

/// Videos that are looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the report calls it.
    pub name: String,
    /// Ids of its videos.
    pub video_ids: Vec<String>,
}

/// Groups that one report can compare.
pub const MAX_GROUPS: usize = 2;

/// A picture of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Which one, as [`Report::key_frames`] names it.
    pub caption: String,
    /// A JPEG file.
    pub jpeg: Vec<u8>,
}

/// A frame of which the report shows a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFrame {
    /// The video's identity.
    pub video_id: String,
    /// Whose movement it is.
    pub person: u16,
    /// From 0.
    pub frame: u64,
    /// What happens there.
    pub caption: String,
}

/// A SQL statement of the report, and what its result is called there.
pub(super) struct Statement {
    pub title: &'static str,
    pub sql: &'static str,
}

pub(super) const RECORDINGS: Statement = Statement {
    title: "Recordings",
    sql: include_str!("sql/recordings.sql"),
};
pub(super) const NUMBERS: Statement = Statement {
    title: "Numbers",
    sql: include_str!("sql/numbers.sql"),
};
pub(super) const SYMMETRY: Statement = Statement {
    title: "Left and right",
    sql: include_str!("sql/symmetry.sql"),
};
pub(super) const CURVES: Statement = Statement {
    title: "Curves",
    sql: include_str!("sql/curves.sql"),
};
pub(super) const QUALITY: Statement = Statement {
    title: "Quality",
    sql: include_str!("sql/quality.sql"),
};
pub(super) const KEY_FRAMES: Statement = Statement {
    title: "Pictures",
    sql: include_str!("sql/key_frames.sql"),
};

/// Whom a report is about unless it is said.
const MAIN_PERSONS: &str =
    "SELECT video_id, coalesce(main_person, 0) AS person FROM videos ORDER BY video_id";

/// Who is in the videos of a report.
const PERSONS: &str = "
    SELECT
        v.file_name,
        string_agg(DISTINCT m.person::VARCHAR, ', ' ORDER BY m.person::VARCHAR) AS persons
    FROM report_videos AS r
    JOIN videos AS v ON v.video_id = r.video_id
    LEFT JOIN metrics AS m ON m.video_id = r.video_id AND m.quality <> 'no_pose'
    GROUP BY v.video_id, v.file_name
    ORDER BY v.file_name, v.video_id";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The lake cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The person whom the report was to be about is not in one of the videos.
    #[error(
        "the video has no person {person} (it has {known}); give another --person, or leave it out: {video}"
    )]
    NoSuchPerson {
        /// The number that was asked for.
        person: u16,
        /// The numbers that there are, in words.
        known: String,
        /// Its name in the lake.
        video: String,
    },
}

/// A value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Number(f64),
    Text(String),
}

/// A result of SQL.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// What a report says; without pictures until they are added.
pub struct Report {
    pub(super) title: String,
    pub(super) groups: Vec<Group>,
    /// Whom the report is about, by video.
    persons: BTreeMap<String, u16>,
    pub(super) recordings: Table,
    pub(super) numbers: Table,
    pub(super) symmetry: Table,
    pub(super) curves: Table,
    pub(super) quality: Table,
    pub(super) key_frames: Table,
}

impl Report {
    /// Asks the lake for all numbers of one person of each video: the number `person`, or else the
    /// video's main person.
    ///
    /// # Errors
    /// When a video has not that person, or the lake cannot be read, or lacks tables because its format
    /// is older.
    pub fn read(
        session: &Session,
        title: String,
        groups: Vec<Group>,
        person: Option<u16>,
    ) -> Result<Self, ReportError> {
        let mut persons = BTreeMap::new();
        let main_persons = read_table(session, MAIN_PERSONS)?;
        for row in 0..main_persons.rows.len() {
            let main_person = main_persons.number(row, "person").unwrap_or_default() as u16;
            let video_id = main_persons.text(row, "video_id");
            persons.insert(video_id, person.unwrap_or(main_person));
        }
        let rows = (1..).zip(&groups).flat_map(|(number, group)| {
            let persons = &persons;
            let of_video = move |id: &String| {
                let person = persons.get(id).copied().unwrap_or_default();
                let name = Value::Text(group.name.clone());
                let id = Value::Text(id.clone());
                vec![id, Value::Int(person.into()), Value::Int(number), name]
            };
            group.video_ids.iter().map(of_video)
        });
        let columns = "video_id VARCHAR, person INTEGER, group_number INTEGER, group_name VARCHAR";
        session.set_temporary_table("report_videos", columns, rows)?;
        if let Some(person) = person {
            check_person(session, person)?;
        }
        let read = |statement: Statement| read_table(session, statement.sql);
        Ok(Self {
            title,
            recordings: read(RECORDINGS)?,
            numbers: read(NUMBERS)?,
            symmetry: read(SYMMETRY)?,
            curves: read(CURVES)?,
            quality: read(QUALITY)?,
            key_frames: read(KEY_FRAMES)?,
            groups,
            persons,
        })
    }

    /// The number of the person of a video whom the report is about.
    pub(super) fn person_of(&self, video_id: &str) -> u16 {
        self.persons.get(video_id).copied().unwrap_or_default()
    }

    /// Frames whose pictures say most, in the order of the groups.
    pub fn key_frames(&self) -> Vec<KeyFrame> {
        let rows = 0..self.key_frames.rows.len();
        rows.map(|row| KeyFrame {
            person: self.person_of(&self.key_frames.text(row, "video_id")),
            video_id: self.key_frames.text(row, "video_id"),
            frame: self.key_frames.number(row, "frame").unwrap_or_default() as u64,
            caption: format!(
                "{} ({} s)",
                self.key_frames.text(row, "event"),
                self.key_frames.text(row, "time_secs")
            ),
        })
        .collect()
    }
}

impl Table {
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    pub(super) fn cell(&self, row: usize, name: &str) -> &Cell {
        let cell = self
            .column(name)
            .and_then(|column| self.rows.get(row)?.get(column));
        cell.unwrap_or(&Cell::Null)
    }

    pub(super) fn number(&self, row: usize, name: &str) -> Option<f64> {
        match self.cell(row, name) {
            Cell::Number(value) => Some(*value),
            Cell::Null | Cell::Text(_) => None,
        }
    }

    /// A cell as people read it; nothing for NULL.
    pub(super) fn text(&self, row: usize, name: &str) -> String {
        match self.cell(row, name) {
            Cell::Null => String::new(),
            Cell::Number(value) => number_text(*value),
            Cell::Text(text) => text.clone(),
        }
    }
}

/// A number with so many decimals, so that a column's numbers are as fine as each other.
pub(super) fn decimal_text(value: f64, decimals: usize) -> String {
    format!("{:.decimals$}", value + 0.0)
}

/// A number as people read it: what was rounded to 0 from below has no sign.
pub(super) fn number_text(value: f64) -> String {
    (value + 0.0).to_string()
}

/// Fails where a video of the report has not that person.
fn check_person(session: &Session, person: u16) -> Result<(), ReportError> {
    let table = read_table(session, PERSONS)?;
    for row in 0..table.rows.len() {
        let known = table.text(row, "persons");
        if !known.split(", ").any(|one| one == person.to_string()) {
            return Err(ReportError::NoSuchPerson {
                person,
                known: match known.is_empty() {
                    true => "nobody".into(),
                    false => known,
                },
                video: table.text(row, "file_name"),
            });
        }
    }
    Ok(())
}

fn read_table(session: &Session, sql: &str) -> Result<Table, QueryError> {
    let query = Query::new(sql.to_owned(), Vec::new());
    session.read(&query, |schema: &Schema, batches| {
        let columns = schema.fields().iter().map(|field| field.name().clone());
        let mut table = Table {
            columns: columns.collect(),
            rows: Vec::new(),
        };
        for batch in batches {
            table.rows.extend(rows(&batch)?);
        }
        Ok(table)
    })
}

fn rows(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, QueryError> {
    let mut rows = vec![Vec::new(); batch.num_rows()];
    for column in batch.columns() {
        let is_number = column.data_type().is_numeric();
        let wanted = if is_number {
            DataType::Float64
        } else {
            DataType::Utf8
        };
        let values = cast(column, &wanted).map_err(|e| QueryError::Sql(e.to_string()))?;
        for (i, row) in rows.iter_mut().enumerate() {
            row.push(match values.is_valid(i) {
                false => Cell::Null,
                true if is_number => Cell::Number(values.as_primitive::<Float64Type>().value(i)),
                true => Cell::Text(values.as_string::<i32>().value(i).to_owned()),
            });
        }
    }
    Ok(rows)
}
