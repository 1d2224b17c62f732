//! C3D: one person's world landmarks as markers, in millimetres, for motion analysis programs.
//!
//! Written after the C3D user guide (Motion Lab Systems, 2021): a header block, a parameter section,
//! and 3D data as little-endian 32-bit floats. Markers and axes are those of TRC; a missing marker has
//! the residual -1. C3D knows one rate for all frames and no times, so that videos whose frames are
//! not evenly spaced are refused rather than shifted.

use std::io::{self, Write};
use std::path::Path;

use super::sink::{ExportError, FrameSink};
use super::trc::{MARKER_NAMES, opensim_axes, rounded_rate};
use crate::files::AtomicFile;
use crate::lake::{PersonRow, VideoRecord};
use crate::media_time::MediaTime;
use crate::metrics::timing::{is_even, mean_rate_hz};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};

/// Bytes of a block; everything begins at one.
const BLOCK: usize = 512;
/// What the first bytes of both header and parameters say: this is C3D.
const KEY: u8 = 0x50;
/// Intel's byte order and IEEE floats.
const PROCESSOR: u8 = 84;
/// The block in which parameters begin, from 1.
const PARAMETER_BLOCK: u8 = 2;
/// The last frame that the header's 16 bits can name.
const MAX_HEADER_FRAME: u64 = 65_535;
const MM_PER_M: f32 = 1_000.0;
/// Scale of data that are floats already; the sign says that they are.
const FLOAT_SCALE: f32 = -1.0;
const MISSING: f32 = -1.0;

pub struct C3dWriter {
    file: AtomicFile,
    frame_count: u64,
}

/// The frames of a file, numbered from 1; a part of a video has the numbers that it has in the whole.
#[derive(Clone, Copy)]
struct Frames {
    first: u64,
    count: u64,
}

impl Frames {
    fn last(self) -> u64 {
        self.first + self.count - 1
    }

    /// First and last as the header has them: where its words cannot hold them it counts from 1, and
    /// the parameters tell.
    fn in_header(self) -> [u16; 2] {
        let words = [self.first, self.last()].map(u16::try_from);
        match words {
            [Ok(first), Ok(last)] => [first, last],
            _ => [1, self.count.min(MAX_HEADER_FRAME) as u16],
        }
    }
}

/// A number in two words, the lower one first.
fn words(number: u64) -> Data<'static> {
    Data::Integers(vec![(number & 0xFFFF) as u16, (number >> 16) as u16])
}

impl C3dWriter {
    /// `times_secs` are the times of all frames that will come.
    pub fn create(
        path: &Path,
        video: &VideoRecord,
        times_secs: &[f64],
    ) -> Result<Self, ExportError> {
        let rate_hz = match times_secs {
            [_] => 1.0,
            _ => mean_rate_hz(times_secs)
                .map(rounded_rate)
                .filter(|rate_hz| is_even(times_secs, *rate_hz))
                .ok_or_else(|| ExportError::UnevenFrames {
                    video: video.file_name.clone(),
                })?,
        };
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        let mut writer = Self {
            file,
            frame_count: times_secs.len() as u64,
        };
        let frames = Frames {
            first: video.first_frame + 1,
            count: writer.frame_count,
        };
        let head = head(frames, rate_hz as f32);
        let written = writer.file.write_all(&head);
        written.map_err(|e| ExportError::write(path, e))?;
        Ok(writer)
    }

    fn write_frame(&mut self, person: Option<&PersonRow>) -> io::Result<()> {
        for landmark in Landmark::ALL {
            let values = match person.and_then(|row| row.pose.world(landmark)) {
                Some(place) => {
                    let [x, y, z] = opensim_axes(place);
                    [x * MM_PER_M, y * MM_PER_M, z * MM_PER_M, 0.0]
                }
                None => [0.0, 0.0, 0.0, MISSING],
            };
            for value in values {
                self.file.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    }
}

/// Header and parameters.
fn head(frames: Frames, rate_hz: f32) -> Vec<u8> {
    // How long the parameters are does not depend on where the data begin.
    let length = parameters(frames, rate_hz, 0).len();
    let data_block = usize::from(PARAMETER_BLOCK) + length / BLOCK;
    let parameters = parameters(frames, rate_hz, data_block as i16);
    let mut header = vec![PARAMETER_BLOCK, KEY];
    let mut word = |value: u16| header.extend(value.to_le_bytes());
    word(LANDMARK_COUNT as u16);
    word(0);
    frames.in_header().into_iter().for_each(&mut word);
    word(0);
    header.extend(FLOAT_SCALE.to_le_bytes());
    header.extend((data_block as u16).to_le_bytes());
    header.extend(0_u16.to_le_bytes());
    header.extend(rate_hz.to_le_bytes());
    header.resize(BLOCK, 0);
    header.extend(parameters);
    header
}

/// What a parameter holds.
enum Data<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
    Integers(Vec<u16>),
    Float(f32),
}

fn parameters(frames: Frames, rate_hz: f32, data_block: i16) -> Vec<u8> {
    let header_frames = frames.count.min(MAX_HEADER_FRAME) as u16;
    let groups: [(&str, Vec<(&str, Data<'_>)>); 4] = [
        (
            "POINT",
            vec![
                ("USED", Data::Integers(vec![LANDMARK_COUNT as u16])),
                ("SCALE", Data::Float(FLOAT_SCALE)),
                ("RATE", Data::Float(rate_hz)),
                ("DATA_START", Data::Integers(vec![data_block as u16])),
                ("FRAMES", Data::Integers(vec![header_frames])),
                ("LABELS", Data::Texts(&MARKER_NAMES)),
                ("DESCRIPTIONS", Data::Texts(&MARKER_NAMES)),
                ("UNITS", Data::Text("mm")),
                ("X_SCREEN", Data::Text("+X")),
                ("Y_SCREEN", Data::Text("+Y")),
            ],
        ),
        (
            "ANALOG",
            vec![
                ("USED", Data::Integers(vec![0])),
                ("GEN_SCALE", Data::Float(1.0)),
                ("RATE", Data::Float(rate_hz)),
            ],
        ),
        ("FORCE_PLATFORM", vec![("USED", Data::Integers(vec![0]))]),
        (
            "TRIAL",
            vec![
                ("ACTUAL_START_FIELD", words(frames.first)),
                ("ACTUAL_END_FIELD", words(frames.last())),
            ],
        ),
    ];
    let mut bytes = vec![1, KEY, 0, PROCESSOR];
    for (id, (group, parameters)) in (1_i8..).zip(groups) {
        record(&mut bytes, group, -id, &[]);
        for (name, data) in parameters {
            record(&mut bytes, name, id, &encoded(&data));
        }
    }
    // A name without letters ends the section.
    bytes.extend([0, 0]);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes[2] = (bytes.len() / BLOCK) as u8;
    bytes
}

/// A group or a parameter, with an empty description.
fn record(bytes: &mut Vec<u8>, name: &str, id: i8, data: &[u8]) {
    bytes.push(name.len() as u8);
    bytes.push(id.to_le_bytes()[0]);
    bytes.extend(name.as_bytes());
    // From this number on to the next record.
    let next = 2 + data.len() + 1;
    bytes.extend((next as u16).to_le_bytes());
    bytes.extend(data);
    bytes.push(0);
}

/// Type, dimensions and values.
fn encoded(data: &Data<'_>) -> Vec<u8> {
    const TEXT: u8 = (-1_i8).to_le_bytes()[0];
    match data {
        Data::Text(text) => [&[TEXT, 1, text.len() as u8][..], text.as_bytes()].concat(),
        Data::Texts(texts) => {
            let width = texts
                .iter()
                .map(|text| text.len())
                .max()
                .unwrap_or_default();
            let mut bytes = vec![TEXT, 2, width as u8, texts.len() as u8];
            for text in *texts {
                bytes.extend(format!("{text:width$}").into_bytes());
            }
            bytes
        }
        Data::Integers(values) => {
            // A single number has no dimensions.
            let mut bytes = match values.len() {
                1 => vec![2, 0],
                count => vec![2, 1, count as u8],
            };
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            bytes
        }
        Data::Float(value) => [&[4, 0][..], &value.to_le_bytes()].concat(),
    }
}

impl FrameSink for C3dWriter {
    fn push(
        &mut self,
        _frame: u64,
        _time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        let written = self.write_frame(persons.first());
        written.map_err(|e| ExportError::write(self.file.path(), e))
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        let path = self.file.path().to_path_buf();
        let bytes = self.frame_count as usize * LANDMARK_COUNT * 4 * size_of::<f32>();
        let rest = bytes.next_multiple_of(BLOCK) - bytes;
        let ended = (self.file.write_all(&vec![0; rest])).and_then(|()| self.file.finish());
        ended.map_err(|e| ExportError::write(&path, e))
    }
}
