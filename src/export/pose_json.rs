//! The pose model as JSON: a list with one object per frame and person.
//!
//! `schemas/pose_model.schema.json` describes it. Metrics are the columns of the lake's `metrics`
//! table, whatever these are.

use std::io::{self, Write};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Int8Type};
use serde::Serialize;

use super::sink::{ExportError, FrameSink};
use crate::files::AtomicFile;
use crate::lake::{PersonRow, metrics_of_frames};
use crate::media_time::MediaTime;

/// The JSON Schema of the files.
pub const POSE_MODEL_SCHEMA: &str = include_str!("../../schemas/pose_model.schema.json");

/// Writes a pose model file, frame by frame, in memory that does not grow.
pub struct PoseJsonWriter {
    file: AtomicFile,
    absent_person: u16,
    is_empty: bool,
}

#[derive(Serialize)]
struct Point {
    x: f32,
    y: f32,
    z: f32,
    visibility: f32,
}

impl PoseJsonWriter {
    /// Starts a file; it has its name only when it is finished.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(path: &Path) -> Result<Self, ExportError> {
        let mut file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        file.write_all(b"[")
            .map_err(|e| ExportError::write(path, e))?;
        Ok(Self {
            file,
            absent_person: 0,
            is_empty: true,
        })
    }

    /// Writes frames without a pose for this person instead of person 0.
    pub(super) fn with_absent_person(mut self, person: u16) -> Self {
        self.absent_person = person;
        self
    }

    /// Adds a frame: an object for each person, or one that is not valid.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        let metrics = metrics_of_frames([(frame, time, persons)])?;
        let written = (0..metrics.num_rows())
            .try_for_each(|row| self.write_object(frame, time, persons.get(row), &metrics, row));
        written.map_err(|e| ExportError::write(self.file.path(), e))
    }

    /// Ends the list and gives the file its name.
    ///
    /// # Errors
    /// When the disk takes no more; an older file of that name is still there then.
    pub fn finish(mut self) -> Result<(), ExportError> {
        let path = self.file.path().to_path_buf();
        let end = self.file.write_all(b"\n]\n");
        end.and_then(|()| self.file.finish())
            .map_err(|e| ExportError::write(&path, e))
    }

    fn write_object(
        &mut self,
        frame: u64,
        time: MediaTime,
        person: Option<&PersonRow>,
        metrics: &RecordBatch,
        row: usize,
    ) -> io::Result<()> {
        let out = &mut self.file;
        let number = person.map_or(self.absent_person, |row| row.pose.person);
        out.write_all(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        write!(out, "{{\"frame_index\":{frame},\"timestamp\":")?;
        serde_json::to_writer(&mut *out, &time.as_secs())?;
        write!(out, ",\"person\":{number},\"points\":")?;
        let points: Vec<Point> = (person.iter())
            .flat_map(|row| &row.pose.landmarks)
            .map(|landmark| Point {
                x: landmark.x,
                y: landmark.y,
                z: landmark.z,
                visibility: landmark.visibility,
            })
            .collect();
        serde_json::to_writer(&mut *out, &points)?;
        out.write_all(b",\"metrics\":{")?;
        for (i, field) in metrics.schema().fields().iter().enumerate() {
            write!(out, "{}\"{}\":", if i > 0 { "," } else { "" }, field.name())?;
            write_cell(out, metrics.column(i).as_ref(), row)?;
        }
        write!(out, "}},\"valid\":{}}}", person.is_some())
    }
}

/// Writes a cell of the `metrics` table as JSON.
fn write_cell(out: &mut impl Write, column: &dyn Array, row: usize) -> io::Result<()> {
    if column.is_null(row) {
        return out.write_all(b"null");
    }
    match column.data_type() {
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            Ok(serde_json::to_writer(out, &value)?)
        }
        DataType::Boolean => write!(out, "{}", column.as_boolean().value(row)),
        DataType::Dictionary(_, _) => {
            let names = column.as_dictionary::<Int8Type>();
            let key = names.keys().value(row) as usize;
            Ok(serde_json::to_writer(
                out,
                names.values().as_string::<i32>().value(key),
            )?)
        }
        // The writer of the table decides about its types; a new one must be added here.
        other => Err(io::Error::other(format!(
            "{other} cannot be written as JSON"
        ))),
    }
}

impl FrameSink for PoseJsonWriter {
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        self.push(frame, time, persons)
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        (*self).finish()
    }
}
