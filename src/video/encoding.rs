//! Encoding pictures and laying them out in a track, while the next ones are made.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use opencv::core::{Mat, MatTraitConstManual};
use openh264::encoder::{Encoder, FrameType};
use openh264::formats::YUVSlices;

use super::mp4::{Mp4Track, ParameterSets, PictureKind};
use crate::crew::Step;
use crate::files::why_not_written;
use crate::media_time::MediaTime;

/// Pictures that are encoded or wait for it, where nobody asks for more. With the one that is being made they
/// are all that there are.
pub const MIN_PICTURES: usize = 2;
/// More of them smooth nothing out.
pub const MAX_PICTURES: usize = 12;
/// Kinds of NAL units (ITU-T H.264, table 7-1).
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// Why an annotated video could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The folder cannot be made or written to, or the disk is full.
    #[error("cannot write the video ({reason}): {path}")]
    Write {
        /// The annotated video or clip.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The encoder refuses a picture or its settings.
    #[error("encoding failed ({reason}); leave annotated videos out with --no-video: {path}")]
    Encode {
        /// The annotated video or clip.
        path: PathBuf,
        /// What the encoder says.
        reason: String,
    },
    /// The work was called off.
    #[error("stopped")]
    Stopped,
}

/// What is left when all pictures are encoded.
type Track = (Mp4Track, ParameterSets);

/// Pictures on their way to be encoded, by whoever has taken the [`EncodingWork`], or by a thread, which ends
/// with this.
pub struct Pictures {
    path: PathBuf,
    /// `None` when no picture comes any more.
    to_encode: Option<Sender<Picture>>,
    used: Receiver<Mat>,
    /// Those that came back last are last: they are taken first, while they are warm.
    unused: Vec<Mat>,
    track: Receiver<Result<Track, EncodeError>>,
    /// Until somebody does it.
    work: Option<EncodingWork>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be encoded.
struct Picture {
    planes: Mat,
    time: MediaTime,
}

impl Pictures {
    /// Starts with an empty track for pictures of that width and height, both even. `path` is the file in
    /// errors.
    pub fn new(path: &Path, encoder: Encoder, size: (i32, i32), track: Mp4Track) -> Self {
        let (picture_sender, pictures) = bounded(MAX_PICTURES);
        let (used_sender, used) = bounded(MAX_PICTURES + 1);
        let (track_sender, finished) = bounded(1);
        let encoding = Encoding {
            path: path.into(),
            encoder,
            width: size.0 as usize,
            height: size.1 as usize,
            track,
            parameters: ParameterSets::default(),
            units: Vec::new(),
        };
        Self {
            path: path.into(),
            to_encode: Some(picture_sender),
            used,
            unused: (0..=MIN_PICTURES).map(|_| Mat::default()).collect(),
            track: finished,
            work: Some(EncodingWork {
                encoding: Some(encoding),
                pictures,
                used: used_sender,
                track: track_sender,
            }),
            thread: None,
        }
    }

    /// What encodes, for who does it in steps; without, a thread does from the first picture on. `None` when
    /// somebody has it.
    pub fn take_work(&mut self) -> Option<EncodingWork> {
        self.work.take()
    }

    /// Lets so many pictures be encoded or wait for it, from [`MIN_PICTURES`] to [`MAX_PICTURES`]. To be called
    /// before the first one is made.
    pub fn let_wait(&mut self, pictures: usize) {
        let pictures = pictures.clamp(MIN_PICTURES, MAX_PICTURES);
        self.unused.resize_with(pictures + 1, Mat::default);
    }

    /// Whether [`Self::room`] does not wait.
    pub fn has_room(&mut self) -> bool {
        if self.unused.is_empty() {
            match self.used.try_recv() {
                Ok(planes) => self.unused.push(planes),
                Err(TryRecvError::Empty) => return false,
                // Who asks for room is told why nobody encodes any more.
                Err(TryRecvError::Disconnected) => {}
            }
        }
        true
    }

    /// Where the next picture's planes are put: those of 4:2:0, one behind the other. Waits while too many
    /// are still to be encoded.
    ///
    /// # Errors
    /// When one of them could not be encoded or written.
    pub fn room(&mut self) -> Result<Mat, EncodeError> {
        if let Some(work) = self.work.take() {
            self.start(work)?;
        }
        self.unused.extend(self.used.try_iter());
        match self.unused.pop() {
            Some(planes) => Ok(planes),
            None => self.used.recv().map_err(|_| self.failure()),
        }
    }

    fn start(&mut self, mut work: EncodingWork) -> Result<(), EncodeError> {
        let builder = std::thread::Builder::new().name("encoder".into());
        let thread = builder.spawn(move || work.finish());
        self.thread = Some(thread.map_err(|e| EncodeError::Encode {
            path: self.path.clone(),
            reason: format!("a thread could not be started: {e}"),
        })?);
        Ok(())
    }

    /// Adds the next picture.
    ///
    /// # Errors
    /// When one before it could not be encoded or written.
    pub fn push(&mut self, planes: Mat, time: MediaTime) -> Result<(), EncodeError> {
        let picture = Picture { planes, time };
        let sent = (self.to_encode.as_ref()).is_some_and(|to| to.send(picture).is_ok());
        match sent {
            true => Ok(()),
            false => Err(self.failure()),
        }
    }

    /// Says that no picture comes any more.
    pub fn close(&mut self) {
        self.to_encode = None;
    }

    /// The track, when all pictures are encoded.
    ///
    /// # Errors
    /// When one of them could not be encoded or written.
    pub fn finish(&mut self) -> Result<Track, EncodeError> {
        self.close();
        if let Some(mut work) = self.work.take() {
            work.finish();
        }
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        // It tells its failure once.
        self.track.recv().unwrap_or(Err(EncodeError::Stopped))
    }

    /// Why it takes no more pictures.
    fn failure(&mut self) -> EncodeError {
        self.finish().err().unwrap_or(EncodeError::Stopped)
    }
}

impl Drop for Pictures {
    /// The track's file is gone when this is.
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // Nobody wants the track, or what went wrong with it.
            let _ = thread.join();
        }
    }
}

/// Encodes pictures as they come.
pub struct EncodingWork {
    /// `None` when its track was handed on, or it has failed.
    encoding: Option<Encoding>,
    pictures: Receiver<Picture>,
    used: Sender<Mat>,
    track: Sender<Result<Track, EncodeError>>,
}

impl EncodingWork {
    /// Encodes the next picture if it is there.
    pub fn step(&mut self) -> Step {
        match self.pictures.try_recv() {
            Ok(picture) => self.encode(picture),
            Err(TryRecvError::Empty) => Step::Waits,
            Err(TryRecvError::Disconnected) => self.end(),
        }
    }

    /// Encodes all pictures that still come.
    fn finish(&mut self) {
        while let Ok(picture) = self.pictures.recv() {
            if self.encode(picture) == Step::Done {
                return;
            }
        }
        self.end();
    }

    fn encode(&mut self, Picture { planes, time }: Picture) -> Step {
        let Some(encoding) = &mut self.encoding else {
            return Step::Done;
        };
        if let Err(error) = encoding.push(&planes, time) {
            self.encoding = None;
            self.hand_on(Err(error));
            return Step::Done;
        }
        // Who makes pictures may have given up.
        let _ = self.used.send(planes);
        Step::Worked
    }

    fn end(&mut self) -> Step {
        if let Some(encoding) = self.encoding.take() {
            self.hand_on(Ok((encoding.track, encoding.parameters)));
        }
        Step::Done
    }

    fn hand_on(&self, track: Result<Track, EncodeError>) {
        // Who gave up wants none.
        let _ = self.track.try_send(track);
    }
}

struct Encoding {
    path: PathBuf,
    encoder: Encoder,
    width: usize,
    height: usize,
    track: Mp4Track,
    parameters: ParameterSets,
    units: Vec<u8>,
}

impl Encoding {
    fn push(&mut self, planes: &Mat, time: MediaTime) -> Result<(), EncodeError> {
        let failed = |reason: String| EncodeError::Encode {
            path: self.path.clone(),
            reason,
        };
        let bytes = planes.data_bytes().map_err(|e| failed(e.message))?;
        let (width, height) = (self.width, self.height);
        let (y, chroma) = bytes.split_at(width * height);
        let (u, v) = chroma.split_at(width * height / 4);
        let source = YUVSlices::new((y, u, v), (width, height), (width, width / 2, width / 2));
        self.units.clear();
        let encoded = self.encoder.encode(&source);
        let encoded = encoded.map_err(|e| failed(e.to_string()))?;
        let kind = match encoded.frame_type() {
            FrameType::IDR => PictureKind::Key,
            _ => PictureKind::Predicted,
        };
        for layer in (0..encoded.num_layers()).filter_map(|i| encoded.layer(i)) {
            for unit in (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)) {
                let unit = without_start_code(unit);
                match unit.first().map(|byte| byte & 0x1f) {
                    None => {}
                    Some(NAL_SPS) => self.parameters.sps = unit.to_vec(),
                    Some(NAL_PPS) => self.parameters.pps = unit.to_vec(),
                    Some(_) => {
                        self.units.extend((unit.len() as u32).to_be_bytes());
                        self.units.extend(unit);
                    }
                }
            }
        }
        self.track
            .push(time, kind, &self.units)
            .map_err(|e| EncodeError::Write {
                path: self.path.clone(),
                reason: why_not_written(&e),
            })
    }
}

/// The encoder gives each unit behind its start code, 00 00 01 or 00 00 00 01.
fn without_start_code(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().take_while(|byte| **byte == 0).count();
    unit.get(zeros + 1..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_go() {
        assert_eq!(without_start_code(&[0, 0, 1, 0x67, 5]), [0x67, 5]);
        assert_eq!(without_start_code(&[0, 0, 0, 1, 0x68]), [0x68]);
        assert_eq!(without_start_code(&[]), [0u8; 0]);
    }
}
