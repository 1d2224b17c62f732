//! Lays H.264 pictures out as an MP4 file: ISO/IEC 14496-12 and 14496-15.
//!
//! The index stands in front of the pictures, so that a player can start before it has read the
//! whole file. Pictures therefore wait in a nameless temporary file until the index is complete;
//! sixteen bytes a picture are resident.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use mp4_atom::{
    Avc1, Avcc, Co64, Colr, Dinf, Dref, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd,
    Mdia, Minf, Moov, Mvhd, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry,
    Tkhd, Trak, Url, Visual, Vmhd,
};

use super::MediaTime;
use super::ffmpeg::Colors;
use crate::sync::Cancellation;

/// Ticks per second: a multiple of most frame rates, and the usual clock of video.
const TICKS_PER_SEC: u32 = 90_000;
/// Size and kind of a box whose size does not fit into 32 bits.
const LARGE_BOX_HEADER_BYTES: u64 = 16;
const TRACK_ID: u32 = 1;
/// Bytes that are copied without a look at whether they are still wanted.
const COPIED_BYTES: u64 = 32 << 20;

/// What H.264 pictures need to be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    /// Sequence parameter set without its start code.
    pub sps: Vec<u8>,
    /// Picture parameter set without its start code.
    pub pps: Vec<u8>,
}

/// Whether a picture can be decoded without those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    Key,
    Predicted,
}

struct Sample {
    ticks: u64,
    bytes: u32,
}

/// A video track in the making.
pub struct Mp4Track {
    width_px: u16,
    height_px: u16,
    colors: Option<Colors>,
    pictures: BufWriter<File>,
    samples: Vec<Sample>,
    /// Numbers of key pictures, from 1.
    keys: Vec<u32>,
}

impl Mp4Track {
    /// Starts a track whose pictures wait in `folder`.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(
        folder: &Path,
        width_px: u16,
        height_px: u16,
        colors: Option<Colors>,
    ) -> io::Result<Self> {
        Ok(Self {
            width_px,
            height_px,
            colors,
            pictures: BufWriter::new(tempfile::tempfile_in(folder)?),
            samples: Vec::new(),
            keys: Vec::new(),
        })
    }

    /// Adds a picture: NAL units, each behind its length in four bytes, shown from `time` on.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(&mut self, time: MediaTime, kind: PictureKind, units: &[u8]) -> io::Result<()> {
        self.pictures.write_all(units)?;
        let before = self.samples.last().map(|sample| sample.ticks);
        self.samples.push(Sample {
            ticks: ticks_of(time, before),
            bytes: u32::try_from(units.len()).map_err(io::Error::other)?,
        });
        if kind == PictureKind::Key {
            self.keys
                .push(u32::try_from(self.samples.len()).map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// Writes the whole file, or, once it is cancelled, less; the last picture is shown for
    /// `last_duration_secs`.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write(
        self,
        parameters: &ParameterSets,
        last_duration_secs: f64,
        file: &mut File,
        cancellation: &Cancellation,
    ) -> io::Result<()> {
        let moov = |payload_start: u64| {
            let mut bytes = Vec::new();
            self.moov(parameters, last_duration_secs, payload_start)?
                .encode(&mut bytes)
                .map_err(io::Error::other)?;
            Ok::<_, io::Error>(bytes)
        };
        let mut head = Vec::new();
        let brand = |name: &[u8; 4]| FourCC::from(name);
        Ftyp {
            major_brand: brand(b"isom"),
            minor_version: 512,
            compatible_brands: [b"isom", b"iso2", b"avc1", b"mp41"].map(brand).to_vec(),
        }
        .encode(&mut head)
        .map_err(io::Error::other)?;
        // The index has the same size wherever the pictures start.
        let index_bytes = moov(0)?.len() as u64;
        let payload_start = head.len() as u64 + index_bytes + LARGE_BOX_HEADER_BYTES;
        head.extend(moov(payload_start)?);
        let mut pictures = self.pictures.into_inner().map_err(|e| e.into_error())?;
        let payload_bytes = pictures.stream_position()?;
        // A size of 1 announces the 64-bit size behind the kind.
        head.extend(1u32.to_be_bytes());
        head.extend(b"mdat");
        head.extend((payload_bytes + LARGE_BOX_HEADER_BYTES).to_be_bytes());
        file.write_all(&head)?;
        pictures.seek(SeekFrom::Start(0))?;
        while !cancellation.is_cancelled() {
            if io::copy(&mut (&mut pictures).take(COPIED_BYTES), file)? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn moov(
        &self,
        parameters: &ParameterSets,
        last_duration_secs: f64,
        payload_start: u64,
    ) -> io::Result<Moov> {
        let first_ticks = self.samples.first().map_or(0, |sample| sample.ticks);
        let last_ticks = (last_duration_secs * f64::from(TICKS_PER_SEC))
            .round()
            .max(1.0) as u64;
        let end_ticks = self.samples.last().map_or(0, |sample| sample.ticks) + last_ticks;
        let media_ticks = end_ticks - first_ticks;
        // A video whose first picture comes late starts with nothing.
        let edts = (first_ticks > 0).then(|| Edts {
            elst: Some(Elst {
                entries: vec![edit(first_ticks, None), edit(media_ticks, Some(0))],
            }),
        });
        let avcc = Avcc::new(&parameters.sps, &parameters.pps).map_err(io::Error::other)?;
        let stbl = Stbl {
            stsd: Stsd {
                codecs: vec![
                    Avc1 {
                        visual: Visual {
                            data_reference_index: 1,
                            width: self.width_px,
                            height: self.height_px,
                            compressor: "posedata".into(),
                            ..Default::default()
                        },
                        avcc,
                        btrt: None,
                        colr: self.colors.map(color_box),
                        pasp: None,
                        taic: None,
                        fiel: None,
                        spatial: None,
                    }
                    .into(),
                ],
            },
            stts: self.durations(end_ticks)?,
            stss: Some(Stss {
                entries: self.keys.clone(),
            }),
            // All pictures lie in one piece.
            stsc: Stsc {
                entries: vec![StscEntry {
                    first_chunk: 1,
                    samples_per_chunk: u32::try_from(self.samples.len())
                        .map_err(io::Error::other)?,
                    sample_description_index: 1,
                }],
            },
            stsz: Stsz {
                samples: StszSamples::Different {
                    sizes: self.samples.iter().map(|sample| sample.bytes).collect(),
                },
            },
            co64: Some(Co64 {
                entries: vec![payload_start],
            }),
            ..Default::default()
        };
        Ok(Moov {
            mvhd: Mvhd {
                creation_time: 0,
                modification_time: 0,
                timescale: TICKS_PER_SEC,
                duration: end_ticks,
                rate: 1.into(),
                volume: 1.into(),
                matrix: Default::default(),
                next_track_id: TRACK_ID + 1,
            },
            trak: vec![Trak {
                tkhd: Tkhd {
                    track_id: TRACK_ID,
                    duration: end_ticks,
                    enabled: true,
                    in_movie: true,
                    width: self.width_px.into(),
                    height: self.height_px.into(),
                    ..Default::default()
                },
                edts,
                mdia: Mdia {
                    mdhd: Mdhd {
                        creation_time: 0,
                        modification_time: 0,
                        timescale: TICKS_PER_SEC,
                        duration: media_ticks,
                        language: "und".into(),
                    },
                    hdlr: Hdlr {
                        handler: FourCC::from(b"vide"),
                        name: "VideoHandler".into(),
                    },
                    minf: Minf {
                        vmhd: Some(Vmhd::default()),
                        dinf: Dinf {
                            dref: Dref {
                                entries: vec![Url::default().into()],
                            },
                        },
                        stbl,
                        ..Default::default()
                    },
                },
                ..Default::default()
            }],
            ..Default::default()
        })
    }

    /// Times between pictures, runs of the same together.
    fn durations(&self, end_ticks: u64) -> io::Result<Stts> {
        let starts = self.samples.iter().map(|sample| sample.ticks);
        let ends = starts.clone().skip(1).chain([end_ticks]);
        let mut entries: Vec<SttsEntry> = Vec::new();
        for (start, end) in starts.zip(ends) {
            let sample_delta = u32::try_from(end - start).map_err(io::Error::other)?;
            match entries.last_mut() {
                Some(entry) if entry.sample_delta == sample_delta => entry.sample_count += 1,
                _ => entries.push(SttsEntry {
                    sample_count: 1,
                    sample_delta,
                }),
            }
        }
        Ok(Stts { entries })
    }
}

/// The tick from which on a picture is shown, after one that is shown from tick `before` on: two
/// pictures that share a tick would make a player drop one.
fn ticks_of(time: MediaTime, before: Option<u64>) -> u64 {
    let ticks = (time.as_secs() * f64::from(TICKS_PER_SEC)).round().max(0.0) as u64;
    ticks.max(before.map_or(0, |before| before + 1))
}

/// The times that pictures have in a file, where they are to be shown at `times`.
pub fn stored_times(times: impl Iterator<Item = MediaTime>) -> Vec<MediaTime> {
    let mut before = None;
    let stored = times.map(|time| {
        let ticks = ticks_of(time, before);
        before = Some(ticks);
        MediaTime::from_secs(ticks as f64 / f64::from(TICKS_PER_SEC))
    });
    stored.collect()
}

/// Colours in the limited range.
fn color_box(colors: Colors) -> Colr {
    Colr::Nclx {
        colour_primaries: colors.primaries as u16,
        transfer_characteristics: colors.transfer as u16,
        matrix_coefficients: colors.matrix as u16,
        full_range_flag: false,
    }
}

fn edit(segment_duration: u64, media_time: Option<u64>) -> ElstEntry {
    ElstEntry {
        segment_duration,
        media_time,
        media_rate: 1.into(),
    }
}
