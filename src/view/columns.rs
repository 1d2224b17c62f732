//! Columns of a video's rows: what there is, and their values frame by frame.
//!
//! Whole columns are kept in memory, so that a curve is zoomed without the lake; together they take
//! at most [`Columns::new`]'s number of bytes. Landmarks are read as they are asked for.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use serde_json::{Value, json};

use super::problem::{Kind, Problem};
use super::rows::{column, query};
use super::videos::Video;
use crate::export::annotation::BONES;
use crate::lake::describe_tables;
use crate::metrics::JOINT_ANGLES;
use crate::plot::Quantity;
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::query::{Query, Session};
use crate::sync::lock;

/// Values of a landmark: x, y, visibility.
const LANDMARK_VALUES: usize = 3;
/// Columns that say which row it is, or when.
const KEYS: [&str; 4] = ["person", "frame", "landmark_index", "time_secs"];
/// Ends the names of tables of filtered rows.
const FILTERED: &str = "_filtered";

/// A table with a row per frame and person, or per landmark of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// As ingest measured.
    Metrics,
    /// After a filter.
    MetricsFiltered,
    /// As ingest found them.
    Landmarks,
    /// After a filter.
    LandmarksFiltered,
}

impl Table {
    /// In the order in which the page offers them.
    pub const ALL: [Self; 4] = [
        Self::Metrics,
        Self::MetricsFiltered,
        Self::Landmarks,
        Self::LandmarksFiltered,
    ];

    /// The table of a name.
    ///
    /// # Errors
    /// When there is no such table here.
    pub fn find(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|table| table.name() == name);
        let known: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
        found.ok_or_else(|| Problem::missing(format!("the tables are {}", known.join(", "))))
    }

    /// As SQL calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::MetricsFiltered => "metrics_filtered",
            Self::Landmarks => "landmarks",
            Self::LandmarksFiltered => "landmarks_filtered",
        }
    }

    /// Whether `posedata metrics recompute` makes it.
    pub fn is_filtered(self) -> bool {
        self.name().ends_with(FILTERED)
    }

    /// Whether a frame has a row for each landmark.
    pub fn is_of_landmarks(self) -> bool {
        matches!(self, Self::Landmarks | Self::LandmarksFiltered)
    }

    /// What can be a curve.
    pub fn columns(self) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().filter(move |column| column.table == self)
    }

    /// The column of a name.
    ///
    /// # Errors
    /// When there is none that can be a curve.
    pub fn column(self, name: &str) -> Result<&'static Column, Problem> {
        let found = self.columns().find(|column| column.name == name);
        found.ok_or_else(|| {
            let table = self.name();
            Problem::missing(format!("{table} has no column of numbers of that name"))
        })
    }
}

/// A column that can be a curve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    table: Table,
    /// As SQL calls it; a name of ours, which is put into SQL as it is.
    pub name: String,
    is_flag: bool,
    description: String,
}

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let tables = describe_tables().expect("the schemas are part of the program and tested");
    let columns = tables.into_iter().flat_map(|described| {
        let table = Table::ALL
            .into_iter()
            .find(|table| table.name() == described.name);
        let columns = table.map(|table| {
            described.columns.into_iter().filter_map(move |column| {
                let is_flag = column.data_type == "BOOLEAN";
                let is_number = matches!(
                    column.data_type.as_str(),
                    "FLOAT" | "DOUBLE" | "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT"
                );
                let is_key = KEYS.contains(&column.name.as_str());
                ((is_number || is_flag) && !is_key).then_some(Column {
                    table,
                    name: column.name,
                    is_flag,
                    description: column.comment,
                })
            })
        });
        columns.into_iter().flatten()
    });
    columns.collect()
});

impl Column {
    /// `left`, `right` or neither.
    pub fn side(&self) -> Option<&'static str> {
        ["left", "right"].into_iter().find(|side| {
            let rest = self.name.strip_prefix(side);
            // `left_right_swap` is of both.
            rest.is_some_and(|rest| rest.starts_with('_')) && !self.is_flag
        })
    }

    /// What the page offers.
    pub fn to_json(&self) -> Value {
        let quantity = Quantity::of(&self.name);
        let angle = JOINT_ANGLES.iter().find(|angle| angle.column == self.name);
        json!({
            "table": self.table.name(),
            "column": self.name,
            "name": quantity.name,
            "unit": quantity.unit,
            "kind": quantity.kind,
            "side": self.side(),
            "is_flag": self.is_flag,
            "description": self.description,
            "angle": angle.map(|angle| angle.points.map(Landmark::name)),
        })
    }
}

/// Names of the landmarks by index.
pub fn landmark_names() -> [&'static str; LANDMARK_COUNT] {
    Landmark::ALL.map(Landmark::name)
}

/// Bones as pairs of indexes.
pub fn connections() -> Vec<[usize; 2]> {
    BONES.iter().map(|bone| bone.map(Landmark::index)).collect()
}

/// Whose values, of which landmark.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The table that they are in.
    pub table: Table,
    /// Number within the video.
    pub person: u16,
    /// Of tables of landmarks.
    pub landmark: Option<Landmark>,
}

impl Selection {
    /// The rows that are meant.
    ///
    /// # Errors
    /// When a landmark is missing, not known, or there is none in the table.
    pub fn new(table: Table, person: u16, landmark: Option<&str>) -> Result<Self, Problem> {
        let landmark = match (table.is_of_landmarks(), landmark) {
            (true, Some(name)) => {
                let found = Landmark::ALL.into_iter().find(|l| l.name() == name);
                Some(found.ok_or_else(|| Problem::missing("there is no landmark of that name"))?)
            }
            (true, None) => {
                return Err(Problem::bad("a table of landmarks needs landmark=NAME"));
            }
            (false, Some(_)) => {
                return Err(Problem::bad("landmark=NAME belongs to tables of landmarks"));
            }
            (false, None) => None,
        };
        Ok(Self {
            table,
            person,
            landmark,
        })
    }

    fn query(&self, video: &Video, columns: &[&'static Column]) -> Query {
        let names = columns.iter().map(|column| {
            // Booleans become 0 and 1.
            format!("CAST({} AS FLOAT)", column.name)
        });
        let names: Vec<String> = names.collect();
        let mut params = row_params(video, self.person);
        let of_landmark = match self.landmark {
            Some(landmark) => {
                params.push(("landmark", landmark.name().to_owned()));
                " AND landmark = $landmark"
            }
            None => "",
        };
        let sql = format!(
            "{ROW_HEADER}-- param landmark text
SELECT CAST(frame AS BIGINT), {} FROM {}
WHERE video_id = $id AND sport = $sport AND person = $person{of_landmark}",
            names.join(", "),
            self.table.name(),
        );
        let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
        query(&sql, &params)
    }
}

const ROW_HEADER: &str = "-- param id text
-- param sport text
-- param person integer
";

fn row_params(video: &Video, person: u16) -> Vec<(&'static str, String)> {
    vec![
        ("id", video.video_id.clone()),
        ("sport", video.sport.clone()),
        ("person", person.to_string()),
    ]
}

/// A stretch of frames, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first frame.
    pub from: u64,
    /// The last frame.
    pub to: u64,
}

impl Stretch {
    /// Frames of it.
    pub fn len(self) -> usize {
        usize::try_from(self.to - self.from + 1).unwrap_or(usize::MAX)
    }
}

/// Values of all frames of a video that have rows; NaN where there is none.
#[derive(Clone, Debug)]
pub struct Values {
    first_frame: u64,
    values: Arc<Vec<f32>>,
}

impl Values {
    /// A value for each frame from `first_frame` on.
    pub fn new(first_frame: u64, values: Vec<f32>) -> Self {
        Self {
            first_frame,
            values: Arc::new(values),
        }
    }

    /// Those of a stretch of frames; none where the video has not all of it.
    pub fn of(&self, stretch: Stretch) -> &[f32] {
        let from = stretch.from.checked_sub(self.first_frame);
        let from = from.and_then(|from| usize::try_from(from).ok());
        let found = from.and_then(|from| self.values.get(from..)?.get(..stretch.len()));
        found.unwrap_or_default()
    }

    /// Runs of frames in which a flag is set, both ends included.
    pub fn runs(&self) -> Vec<[u64; 2]> {
        let mut runs: Vec<[u64; 2]> = Vec::new();
        for (frame, value) in (self.first_frame..).zip(self.values.iter()) {
            if *value != 1.0 {
                continue;
            }
            match runs.last_mut() {
                Some([_, last]) if *last + 1 == frame => *last = frame,
                _ => runs.push([frame, frame]),
            }
        }
        runs
    }

    fn byte_size(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}

type Key = (String, Selection, String);

/// Columns that were read.
pub struct Columns {
    max_bytes: usize,
    /// The oldest first.
    kept: Mutex<VecDeque<(Key, Values)>>,
}

impl Columns {
    /// Room for so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: Mutex::default(),
        }
    }

    /// Whole columns, out of memory where they are there.
    ///
    /// # Errors
    /// When `read`, which gets those that are not there, fails.
    pub fn get(
        &self,
        video: &Video,
        selection: &Selection,
        columns: &[&'static Column],
        read: impl FnOnce(&[&'static Column]) -> Result<Vec<Vec<f32>>, Problem>,
    ) -> Result<Vec<Values>, Problem> {
        let key = |column: &Column| (video.rows_key(), selection.clone(), column.name.clone());
        let known: Vec<Option<Values>> = columns.iter().map(|c| self.find(&key(c))).collect();
        let missing = columns.iter().zip(&known);
        let missing: Vec<&'static Column> = missing
            .filter(|(_, known)| known.is_none())
            .map(|(column, _)| *column)
            .collect();
        if missing.is_empty() {
            return Ok(known.into_iter().flatten().collect());
        }
        let mut read = read(&missing)?
            .into_iter()
            .zip(missing)
            .map(|(values, column)| {
                let values = Values::new(video.frames().start, values);
                self.keep(key(column), values.clone());
                values
            });
        let values = known.into_iter().map(|known| known.or_else(|| read.next()));
        Ok(values.flatten().collect())
    }

    fn find(&self, key: &Key) -> Option<Values> {
        let mut kept = lock(&self.kept);
        let place = kept.iter().position(|(known, _)| known == key)?;
        let entry = kept.remove(place)?;
        let values = entry.1.clone();
        kept.push_back(entry);
        Some(values)
    }

    fn keep(&self, key: Key, values: Values) {
        let mut kept = lock(&self.kept);
        kept.push_back((key, values));
        let bytes = |kept: &VecDeque<(Key, Values)>| {
            kept.iter()
                .map(|(_, values)| values.byte_size())
                .sum::<usize>()
        };
        while kept.len() > 1 && bytes(&kept) > self.max_bytes {
            kept.pop_front();
        }
    }
}

/// Reads whole columns: values of all frames of a video that have rows.
///
/// # Errors
/// When the lake cannot be read, or has other frames.
pub fn read(
    session: &Session,
    video: &Video,
    selection: &Selection,
    columns: &[&'static Column],
) -> Result<Vec<Vec<f32>>, Problem> {
    let mut values = vec![vec![f32::NAN; video.n_frames()]; columns.len()];
    session.read::<_, Problem>(&selection.query(video, columns), |_, batches| {
        for batch in batches {
            let frames = column(&batch, 0)?.as_primitive::<Int64Type>();
            for (index, values) in values.iter_mut().enumerate() {
                let found = column(&batch, index + 1)?.as_primitive::<Float32Type>();
                for (row, frame) in frames.values().iter().enumerate() {
                    let place = video.index_of(*frame);
                    let place = place.and_then(|place| values.get_mut(place));
                    let place = place.ok_or_else(no_such_frame)?;
                    if found.is_valid(row) {
                        *place = found.value(row);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(values)
}

fn no_such_frame() -> Problem {
    Problem::new(
        Kind::Failed,
        "the lake has rows of frames that the video has not",
    )
    .with_remedy("run `posedata lake check`")
}

/// Columns side by side, frame by frame, as bytes of 32-bit floats.
pub fn interleaved(columns: &[Values], stretch: Stretch) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(stretch.len() * columns.len() * size_of::<f32>());
    let columns: Vec<&[f32]> = columns.iter().map(|values| values.of(stretch)).collect();
    for place in 0..stretch.len() {
        for column in &columns {
            let value = column.get(place).copied().unwrap_or(f32::NAN);
            bytes.extend(value.to_le_bytes());
        }
    }
    bytes
}

/// Landmarks of a person in a stretch of frames, as bytes of 32-bit floats: by frame, by landmark,
/// x, y and visibility; NaN where the person is not seen.
///
/// # Errors
/// When the lake cannot be read.
pub fn landmarks(
    session: &Session,
    video: &Video,
    table: Table,
    person: u16,
    stretch: Stretch,
) -> Result<Vec<u8>, Problem> {
    // Filtered landmarks are as visible as the ones that they were made of.
    let (from, visibility) = match table.is_filtered() {
        true => (
            "landmarks_filtered AS l LEFT JOIN landmarks AS raw
ON raw.video_id = l.video_id AND raw.sport = l.sport AND raw.person = l.person
AND raw.frame = l.frame AND raw.landmark_index = l.landmark_index",
            "raw.visibility",
        ),
        false => ("landmarks AS l", "l.visibility"),
    };
    let sql = format!(
        "{ROW_HEADER}-- param first integer
-- param last integer
SELECT CAST(l.frame AS BIGINT), CAST(l.landmark_index AS BIGINT), l.x, l.y, {visibility} FROM {from}
WHERE l.video_id = $id AND l.sport = $sport AND l.person = $person
AND l.frame BETWEEN $first AND $last"
    );
    let mut params = row_params(video, person);
    params.push(("first", stretch.from.to_string()));
    params.push(("last", stretch.to.to_string()));
    let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let frame_values = LANDMARK_COUNT * LANDMARK_VALUES;
    let mut values = vec![f32::NAN; stretch.len() * frame_values];
    session.read::<_, Problem>(&query(&sql, &params), |_, batches| {
        for batch in batches {
            place_landmarks(&batch, stretch.from, &mut values)?;
        }
        Ok(())
    })?;
    Ok(values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect())
}

fn place_landmarks(
    batch: &RecordBatch,
    first_frame: u64,
    values: &mut [f32],
) -> Result<(), Problem> {
    let frames = column(batch, 0)?.as_primitive::<Int64Type>();
    let indexes = column(batch, 1)?.as_primitive::<Int64Type>();
    for value in 0..LANDMARK_VALUES {
        let found = column(batch, value + 2)?.as_primitive::<Float32Type>();
        let rows = frames.values().iter().zip(indexes.values());
        for (row, (frame, landmark)) in rows.enumerate() {
            let place = (|| {
                let frame = usize::try_from(*frame).ok()?;
                let frame = frame.checked_sub(usize::try_from(first_frame).ok()?)?;
                let landmark = usize::try_from(*landmark).ok()?;
                let is_known = landmark < LANDMARK_COUNT;
                is_known.then_some((frame * LANDMARK_COUNT + landmark) * LANDMARK_VALUES + value)
            })();
            let place = place.and_then(|place| values.get_mut(place));
            let place = place.ok_or_else(no_such_frame)?;
            if found.is_valid(row) {
                *place = found.value(row);
            }
        }
    }
    Ok(())
}

/// The times of a video's frames that have rows, in real seconds.
///
/// # Errors
/// When the lake cannot be read, or lacks frames.
pub fn times_secs(session: &Session, video: &Video) -> Result<Vec<f64>, Problem> {
    use arrow::datatypes::Float64Type;
    const SQL: &str = "-- param id text
-- param sport text
SELECT CAST(frame AS BIGINT), any_value(time_secs) FROM metrics
WHERE video_id = $id AND sport = $sport GROUP BY frame ORDER BY frame";
    let params = [("id", video.video_id.as_str()), ("sport", &video.sport)];
    let mut times: Vec<f64> = Vec::new();
    session.read::<_, Problem>(&query(SQL, &params), |_, batches| {
        for batch in batches {
            let frames = column(&batch, 0)?.as_primitive::<Int64Type>();
            let secs = column(&batch, 1)?.as_primitive::<Float64Type>();
            for (frame, secs) in frames.values().iter().zip(secs.values()) {
                if video.index_of(*frame) != Some(times.len()) {
                    return Err(no_such_frame());
                }
                times.push(*secs);
            }
        }
        Ok(())
    })?;
    match times.len() == video.n_frames() {
        true => Ok(times),
        false => Err(no_such_frame()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_row_can_be_a_curve() {
        let names = |table: Table| -> Vec<&str> {
            table.columns().map(|column| column.name.as_str()).collect()
        };
        let metrics = names(Table::Metrics);
        assert!(metrics.contains(&"left_knee_deg") && metrics.contains(&"left_right_swap"));
        assert!(!metrics.contains(&"time_secs") && !metrics.contains(&"facing"));
        assert_eq!(
            names(Table::Landmarks),
            [
                "x",
                "y",
                "z",
                "visibility",
                "presence",
                "world_x_m",
                "world_y_m",
                "world_z_m"
            ]
        );
        for table in Table::ALL {
            assert!(table.columns().count() > 5, "{}", table.name());
            assert_eq!(Table::find(table.name()), Ok(table));
            for column in table.columns() {
                let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                assert!(column.name.chars().all(is_plain), "{}", column.name);
            }
        }
        assert!(Table::find("videos").is_err());
        assert!(Table::Metrics.column("x; DROP").is_err());
    }

    #[test]
    fn sides_and_angles_are_told() {
        let column = |name| Table::Metrics.column(name).expect("a column").to_json();
        let knee = column("left_knee_deg");
        assert_eq!(knee["side"], "left");
        assert_eq!(knee["unit"], "degrees");
        assert_eq!(
            knee["angle"],
            json!(["left_hip", "left_knee", "left_ankle"])
        );
        let swap = column("left_right_swap");
        assert_eq!(
            (&swap["side"], &swap["is_flag"]),
            (&Value::Null, &json!(true))
        );
    }

    #[test]
    fn flags_become_runs() {
        let flags = vec![0.0, 1.0, 1.0, f32::NAN, 1.0, 0.0];
        assert_eq!(Values::new(0, flags.clone()).runs(), [[1, 2], [4, 4]]);
        assert_eq!(Values::new(300, flags).runs(), [[301, 302], [304, 304]]);
        assert!(Values::new(0, Vec::new()).runs().is_empty());
    }

    #[test]
    fn columns_stand_side_by_side() {
        let columns = [
            Values::new(300, vec![1.0, 2.0, 3.0]),
            Values::new(300, vec![4.0, f32::NAN, 6.0]),
        ];
        let stretch = Stretch { from: 301, to: 302 };
        assert_eq!(columns[0].of(stretch), [2.0, 3.0]);
        for outside in [
            Stretch { from: 299, to: 300 },
            Stretch { from: 302, to: 303 },
        ] {
            assert!(columns[0].of(outside).is_empty());
        }
        let bytes = interleaved(&columns, stretch);
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")))
            .collect();
        assert_eq!(values[0], 2.0);
        assert!(values[1].is_nan());
        assert_eq!(values[2..], [3.0, 6.0]);
    }
}
