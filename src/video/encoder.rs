//! Encodes pictures as H.264 in MP4: what browsers and phones play.
//!
//! Constrained Baseline, 4:2:0, no reordering of pictures, so that a picture's time is the frame's
//! own. The encoder keeps a handful of pictures; nothing grows with the video but the index.
//!
//! Others encode (`encoding`), while the next picture is drawn and converted: a thread, or who takes the work.

use std::path::{Path, PathBuf};

use opencv::core::{self, Mat, MatTraitConst, Scalar, Size};
use opencv::imgproc;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, Encoder, EncoderConfig, FrameRate, IntraFramePeriod,
    MatrixCoefficients, QpRange, RateControlMode, TransferCharacteristics, UsageType, VuiConfig,
};
use tempfile::NamedTempFile;

use super::encoding::{EncodeError, EncodingWork, Pictures};
use super::ffmpeg::Colors;
use super::mp4::Mp4Track;
use super::{Frame, MediaTime};
use crate::files::{self, why_not_written};
use crate::sync::Cancellation;

/// Quantiser of all pictures: at 24 a 1080p clip of a walking person keeps 44 dB and takes
/// 3 Mbit/s at 60 frames/s.
const QUANTISER: u8 = 24;
/// Rate that is assumed where a video states none.
const DEFAULT_FPS: f64 = 30.0;
/// The largest picture that the encoder takes, lying or standing.
const MAX_LONG_SIDE_PX: f64 = 3_840.0;
const MAX_SHORT_SIDE_PX: f64 = 2_160.0;
/// The smallest side that it takes.
const MIN_SIDE_PX: i32 = 16;

/// What a video is encoded for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoding {
    /// A player can jump to a picture at least this often, in seconds.
    pub key_picture_secs: f64,
    /// Larger pictures are made smaller until their longer side has so many pixels.
    pub max_side_px: u32,
}

impl Encoding {
    /// To be watched from the start: small files.
    pub const WATCHING: Self = Self {
        key_picture_secs: 2.0,
        max_side_px: MAX_LONG_SIDE_PX as u32,
    };
    /// To go to and fro in, frame by frame: larger files.
    pub const STEPPING: Self = Self {
        key_picture_secs: 0.25,
        max_side_px: 1_920,
    };
}

/// A video file in the making; it gets its name when it is whole.
pub struct VideoEncoder {
    path: PathBuf,
    file: NamedTempFile,
    pictures: Pictures,
    /// Of the encoded picture; both even.
    size: Size,
    /// The picture before conversion, used again for each frame.
    fitted: Mat,
    last_time: MediaTime,
    last_step_secs: f64,
}

impl VideoEncoder {
    /// Starts a video of `width` x `height` pictures at `path`, to be watched.
    ///
    /// Odd sides grow by one pixel; pictures larger than 3840x2160 (or 2160x3840) are made smaller.
    /// `colors` are told to players.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn create(
        path: &Path,
        width: u32,
        height: u32,
        nominal_fps: Option<f64>,
        colors: Colors,
    ) -> Result<Self, EncodeError> {
        Self::create_for(
            Encoding::WATCHING,
            path,
            (width, height),
            nominal_fps,
            colors,
        )
    }

    /// As [`Self::create`], for another use.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn create_for(
        encoding: Encoding,
        path: &Path,
        (width, height): (u32, u32),
        nominal_fps: Option<f64>,
        colors: Colors,
    ) -> Result<Self, EncodeError> {
        let write_error = |e: std::io::Error| EncodeError::Write {
            path: path.into(),
            reason: why_not_written(&e),
        };
        let size = encoded_size(width, height, encoding.max_side_px);
        let fps = nominal_fps.unwrap_or(DEFAULT_FPS);
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .rate_control_mode(RateControlMode::Off)
            .qp(QpRange::new(QUANTISER, QUANTISER))
            // Not used without rate control, but the encoder wants to know them.
            .bitrate(BitRate::from_bps(8_000_000))
            .max_frame_rate(FrameRate::from_hz(fps.clamp(1.0, 60.0) as f32))
            .intra_frame_period(IntraFramePeriod::from_num_frames(
                (fps * encoding.key_picture_secs).round().max(1.0) as u32,
            ))
            .skip_frames(false)
            .scene_change_detect(false)
            .num_threads(1);
        let colors = encoded_colors(colors);
        let config = match colors {
            Some(colors) => config.vui(description(colors)),
            None => config,
        };
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config);
        let encoder = encoder.map_err(|e| EncodeError::Encode {
            path: path.into(),
            reason: e.to_string(),
        })?;
        let file = files::temporary_beside(path).map_err(write_error)?;
        let track = Mp4Track::new(
            &files::folder_of(path),
            size.width as u16,
            size.height as u16,
            colors,
        )
        .map_err(write_error)?;
        Ok(Self {
            path: path.into(),
            file,
            pictures: Pictures::new(path, encoder, (size.width, size.height), track),
            size,
            fitted: Mat::default(),
            last_time: MediaTime::default(),
            last_step_secs: 1.0 / fps,
        })
    }

    /// What encodes the pictures, for who does it in steps until there are none any more; without, a thread
    /// does. `None` when somebody has it.
    pub fn take_work(&mut self) -> Option<EncodingWork> {
        self.pictures.take_work()
    }

    /// Lets so many pictures wait to be encoded, as far as that helps; without it as few as can be.
    #[must_use]
    pub fn with_waiting(mut self, pictures: usize) -> Self {
        self.pictures.let_wait(pictures);
        self
    }

    /// Whether the next frame can be added at once.
    pub fn has_room(&mut self) -> bool {
        self.pictures.has_room()
    }

    /// Says that no frame comes any more.
    pub fn close(&mut self) {
        self.pictures.close();
    }

    /// Adds the next frame, when there is room for it.
    ///
    /// # Errors
    /// When it, or one of those before it, cannot be encoded, or the disk takes no more.
    pub fn push(&mut self, frame: &Frame) -> Result<(), EncodeError> {
        let mut planes = self.pictures.room()?;
        let converted = self.convert(&frame.picture, &mut planes);
        converted.map_err(|e| EncodeError::Encode {
            path: self.path.clone(),
            reason: e.message,
        })?;
        if frame.index > 0 {
            self.last_step_secs = frame.time.as_secs() - self.last_time.as_secs();
        }
        self.last_time = frame.time;
        self.pictures.push(planes, frame.time)
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When the disk takes no more; nothing is left behind then.
    pub fn finish(self) -> Result<PathBuf, EncodeError> {
        self.finish_unless(&Cancellation::new())
    }

    /// The same unless it is cancelled before.
    ///
    /// # Errors
    /// As [`Self::finish`], and [`EncodeError::Stopped`] when it is cancelled.
    pub fn finish_unless(mut self, cancellation: &Cancellation) -> Result<PathBuf, EncodeError> {
        let (track, parameters) = self.pictures.finish()?;
        let written = track.write(
            &parameters,
            self.last_step_secs,
            self.file.as_file_mut(),
            cancellation,
        );
        if cancellation.is_cancelled() {
            return Err(EncodeError::Stopped);
        }
        let written = written
            .and_then(|()| self.file.as_file().sync_all())
            .and_then(|()| files::persist(self.file, &self.path));
        match written {
            Ok(()) => Ok(self.path),
            Err(e) => Err(EncodeError::Write {
                path: self.path,
                reason: why_not_written(&e),
            }),
        }
    }

    /// Brings a picture to the encoded size and to planes of brightness and colour.
    ///
    /// Decoding went from those planes to BGR with the coefficients of BT.601, whatever the
    /// source's were; the way back with the same ones restores the source's planes, so that
    /// players show its colours when they are told what the source's colours are.
    fn convert(&mut self, picture: &Mat, planes: &mut Mat) -> opencv::Result<()> {
        let size = picture.size()?;
        let fitted = if size == self.size {
            picture
        } else if size.width <= self.size.width && size.height <= self.size.height {
            core::copy_make_border(
                picture,
                &mut self.fitted,
                0,
                self.size.height - size.height,
                0,
                self.size.width - size.width,
                core::BORDER_REPLICATE,
                Scalar::default(),
            )?;
            &self.fitted
        } else {
            imgproc::resize(
                picture,
                &mut self.fitted,
                self.size,
                0.0,
                0.0,
                imgproc::INTER_AREA,
            )?;
            &self.fitted
        };
        imgproc::cvt_color_def(fitted, planes, imgproc::COLOR_BGR2YUV_I420)
    }
}

/// What the encoded planes are, as far as the source says what its own are.
fn encoded_colors(source: Colors) -> Option<Colors> {
    /// H.273 code points: pixels that were stored as red, green and blue, and BT.601.
    const RGB: u32 = 0;
    const BT601: u32 = 6;
    let matrix = match source.matrix {
        RGB => BT601,
        matrix => matrix,
    };
    let colors = Colors { matrix, ..source };
    (colors != Colors::default()).then_some(colors)
}

/// What the stream says of its colours; the range is always the limited one.
fn description(colors: Colors) -> VuiConfig {
    use ColorPrimaries as Primaries;
    use MatrixCoefficients as Matrix;
    use TransferCharacteristics as Transfer;
    let primaries = [
        Primaries::Bt709,
        Primaries::Bt470M,
        Primaries::Bt470BG,
        Primaries::Smpte170M,
        Primaries::Smpte240M,
        Primaries::Film,
        Primaries::Bt2020,
    ];
    let transfers = [
        Transfer::Bt709,
        Transfer::Bt470M,
        Transfer::Bt470Bg,
        Transfer::Smpte170M,
        Transfer::Smpte240M,
        Transfer::Linear,
        Transfer::Srgb,
        Transfer::Bt2020_10,
        Transfer::Bt2020_12,
    ];
    let matrices = [
        Matrix::Bt709,
        Matrix::Fcc,
        Matrix::Bt470Bg,
        Matrix::Smpte170M,
        Matrix::Smpte240M,
        Matrix::Ycgco,
        Matrix::Bt2020Ncl,
        Matrix::Bt2020Cl,
    ];
    let primaries = primaries
        .into_iter()
        .find(|p| u32::from(p.as_u8()) == colors.primaries);
    let transfer = transfers
        .into_iter()
        .find(|t| u32::from(t.as_u8()) == colors.transfer);
    let matrix = matrices
        .into_iter()
        .find(|m| u32::from(m.as_u8()) == colors.matrix);
    VuiConfig::bt709()
        .color_primaries(primaries.unwrap_or(Primaries::Unspecified))
        .transfer_characteristics(transfer.unwrap_or(Transfer::Unspecified))
        .matrix_coefficients(matrix.unwrap_or(Matrix::Unspecified))
}

/// Even sides, and none longer than the encoder takes.
fn encoded_size(width: u32, height: u32, max_side_px: u32) -> Size {
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let max_long_side_px = MAX_LONG_SIDE_PX.min(f64::from(max_side_px));
    let scale = (max_long_side_px / width.max(height))
        .min(MAX_SHORT_SIDE_PX / width.min(height))
        .min(1.0);
    let even = |side: f64| {
        let side = (side * scale).floor() as i32;
        (side + side % 2).max(MIN_SIDE_PX)
    };
    Size::new(even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_become_even_and_huge_pictures_smaller() {
        let size = |width, height| encoded_size(width, height, Encoding::WATCHING.max_side_px);
        assert_eq!(size(321, 241), Size::new(322, 242));
        assert_eq!(size(3840, 2160), Size::new(3840, 2160));
        assert_eq!(size(2160, 3840), Size::new(2160, 3840));
        assert_eq!(size(7680, 4320), Size::new(3840, 2160));
        assert_eq!(size(4000, 3000), Size::new(2880, 2160));
        assert_eq!(size(3000, 4000), Size::new(2160, 2880));
        assert_eq!(size(1, 2), Size::new(16, 16));
        assert_eq!(encoded_size(3840, 2160, 1920), Size::new(1920, 1080));
        assert_eq!(encoded_size(1280, 720, 1920), Size::new(1280, 720));
    }
}
