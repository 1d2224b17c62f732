//! OpenSim's MOT: one person's angles over time, in degrees.
//!
//! Laid out as Sports2D writes it. The columns are the angles of the lake's `metrics` table under
//! their names there, with their zero positions and signs (see `schemas/metrics.sql`). An angle
//! that cannot be told is `nan`. Pictures that repeat a time are left out: OpenSim refuses times that
//! do not ascend.

use std::io::{self, Write};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type};

use super::sink::{AscendingTimes, ExportError, FrameSink};
use crate::files::AtomicFile;
use crate::lake::{PersonRow, metrics_of_frames};
use crate::media_time::MediaTime;

pub struct MotWriter {
    file: AtomicFile,
    /// Positions of the angles among the metrics.
    angles: Vec<usize>,
    ascending: AscendingTimes,
}

impl MotWriter {
    /// `times_secs` are the times of all frames that will come.
    pub fn create(path: &Path, times_secs: &[f64]) -> Result<Self, ExportError> {
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        let metrics = metrics_of_frames([])?.schema();
        let is_angle =
            |name: &str, kind: &DataType| name.ends_with("_deg") && *kind == DataType::Float32;
        let (angles, names): (Vec<usize>, Vec<&str>) = (metrics.fields().iter().enumerate())
            .filter(|(_, field)| is_angle(field.name(), field.data_type()))
            .map(|(i, field)| (i, field.name().as_str()))
            .unzip();
        let mut writer = Self {
            file,
            angles,
            ascending: AscendingTimes::default(),
        };
        let header = writer.write_header(AscendingTimes::count(times_secs), &names);
        header.map_err(|e| ExportError::write(path, e))?;
        Ok(writer)
    }

    fn write_header(&mut self, row_count: u64, names: &[&str]) -> io::Result<()> {
        let out = &mut self.file;
        // OpenSim counts the time among the columns.
        writeln!(
            out,
            "Coordinates\nversion=1\nnRows={row_count}\nnColumns={}\ninDegrees=yes\n",
            names.len() + 1
        )?;
        writeln!(
            out,
            "Angles in degrees, as columns of the same names in the metrics table of posedata's lake.\n"
        )?;
        writeln!(out, "endheader\ntime\t{}", names.join("\t"))
    }

    fn write_row(&mut self, time: MediaTime, metrics: &RecordBatch) -> io::Result<()> {
        let out = &mut self.file;
        write!(out, "{}", time.as_secs())?;
        for angle in &self.angles {
            let column = metrics.column(*angle).as_primitive::<Float32Type>();
            match column.is_valid(0) {
                true => write!(out, "\t{}", column.value(0))?,
                false => write!(out, "\tnan")?,
            }
        }
        writeln!(out)
    }
}

impl FrameSink for MotWriter {
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        if !self.ascending.takes(time.as_secs()) {
            return Ok(());
        }
        let metrics = metrics_of_frames([(frame, time, persons)])?;
        let written = self.write_row(time, &metrics);
        written.map_err(|e| ExportError::write(self.file.path(), e))
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        let path = self.file.path().to_path_buf();
        let finished = self.file.finish();
        finished.map_err(|e| ExportError::write(&path, e))
    }
}
