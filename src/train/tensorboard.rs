//! Event files for TensorBoard: records of TensorFlow's TFRecord format
//! (tensorflow/core/lib/io/record_writer.h) that hold `Event` messages
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};

/// Event files' names begin so; TensorBoard looks for nothing else.
const FILE_PREFIX: &str = "events.out.tfevents.";
const FILE_VERSION: &str = "brain.Event:2";
/// Added to checksums, so that a record that holds records is not taken for them
/// (tensorflow/core/lib/hash/crc32c.h).
const MASK_DELTA: u32 = 0xa282_ead8;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970-01-01 UTC.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(enumeration = "SessionStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum SessionStatus {
    Unspecified = 0,
    Start = 1,
}

/// An event file that is being written.
pub struct EventFile {
    file: File,
}

impl EventFile {
    /// Begins a file in `folder`, with a name that none there has. Of files that are there already,
    /// TensorBoard forgets what is of `first_step` or later.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn create(folder: &Path, first_step: u64) -> io::Result<Self> {
        let mut events = Self {
            file: new_file(folder)?,
        };
        events.write(0, What::FileVersion(FILE_VERSION.into()))?;
        let status = SessionStatus::Start.into();
        events.write(first_step, What::SessionLog(SessionLog { status }))?;
        Ok(events)
    }

    /// Adds the values of a step, by their tags.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> io::Result<()> {
        let value = values.iter().map(|(tag, value)| SummaryValue {
            tag: (*tag).into(),
            simple_value: Some(*value as f32),
        });
        let value = value.collect();
        self.write(step, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: u64, what: What) -> io::Result<()> {
        let event = Event {
            wall_time: since_1970().as_secs_f64(),
            step: step.cast_signed(),
            what: Some(what),
        };
        self.file.write_all(&record(&event.encode_to_vec()))
    }
}

fn since_1970() -> std::time::Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// TensorBoard reads files in the order of their names.
fn new_file(folder: &Path) -> io::Result<File> {
    let mut secs = since_1970().as_secs();
    if let Some(last) = event_files(folder)?.last() {
        let name = last.file_name().unwrap_or_default().to_string_lossy();
        let time = name.trim_start_matches(FILE_PREFIX).split('.').next();
        let last_secs: Option<u64> = time.and_then(|time| time.parse().ok());
        secs = secs.max(last_secs.map_or(0, |last| last + 1));
    }
    let process = std::process::id();
    let path = folder.join(format!("{FILE_PREFIX}{secs:010}.posedata.{process}.0"));
    File::options().write(true).create_new(true).open(path)
}

/// The event files of a folder, in the order in which they were begun.
///
/// # Errors
/// When the folder cannot be read.
pub fn event_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(FILE_PREFIX) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A record: the data's length with its checksum, the data with its checksum; numbers are
/// little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data of the records in a file.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(12);
            let length = u64::from_le_bytes(head[..8].try_into().expect("8 bytes"));
            let (data, rest) = rest.split_at(length as usize);
            assert_eq!(record(data)[..12], *head);
            assert_eq!(record(data)[12 + data.len()..], rest[..4]);
            records.push(data.to_vec());
            bytes = &rest[4..];
        }
        records
    }

    #[test]
    fn the_first_record_is_byte_for_byte_what_tensorflow_writes() {
        // The head of every event file of TensorFlow: length 24, its checksum, the version without
        // its time, and the tag that carries it.
        let event = Event {
            wall_time: 1.0,
            step: 0,
            what: Some(What::FileVersion(FILE_VERSION.into())),
        };
        let bytes = record(&event.encode_to_vec());
        let head = [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09];
        assert_eq!(bytes[..13], head);
        assert_eq!(bytes[21..36], *b"\x1a\x0dbrain.Event:2");
    }

    #[test]
    fn values_are_written_in_order_and_a_second_file_follows_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = EventFile::create(folder.path(), 1).expect("a file");
        first
            .scalars(3, &[("train/loss", 0.5), ("train/learning_rate", 0.25)])
            .expect("a record");
        EventFile::create(folder.path(), 3).expect("a second file");
        let files = event_files(folder.path()).expect("the folder");
        assert_eq!(files.len(), 2);
        let events: Vec<Vec<Event>> = files
            .iter()
            .map(|file| {
                let records = records(&std::fs::read(file).expect("a file"));
                let events = records.iter();
                let events = events.map(|data| Event::decode(&data[..]).expect("an event"));
                events.collect()
            })
            .collect();
        let summary = &events[0][2];
        assert_eq!(summary.step, 3);
        let Some(What::Summary(summary)) = &summary.what else {
            panic!("no summary: {summary:?}");
        };
        let values = summary.value.iter();
        let values: Vec<_> = values.map(|v| (v.tag.as_str(), v.simple_value)).collect();
        assert_eq!(
            values,
            [
                ("train/loss", Some(0.5)),
                ("train/learning_rate", Some(0.25))
            ]
        );
        // What the first file holds of steps from 3 on is void.
        assert_eq!(events[1][1].step, 3);
        let start = What::SessionLog(SessionLog { status: 1 });
        assert_eq!(events[1][1].what, Some(start));
    }
}
