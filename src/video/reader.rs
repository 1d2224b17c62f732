//! Reads a video's frames in order: upright, with square pixels, each with its presentation time.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender};
use opencv::core::{Mat, MatTraitConst};

use super::container::{Container, Content, sniff};
use super::converter::Converter;
use super::entry::{Entry, entry};
use super::extent::{Extent, extent, lacks_index};
use super::ffmpeg::{
    Colors, Decoder, Demuxer, MAX_DECODER_THREADS, Picture, PictureFacts, TrackTimes,
    load_libraries,
};
use super::on_demand::{Decoded, PixelRooms};
use super::orientation::Orientation;
use super::placement::{Placement, StoredPicture};
use super::timestamps::{FrameClock, FrameGrid, is_coarse};
use super::{FrameTimes, MediaPosition, MediaRange, MediaTime, VideoError, tone, track};
use crate::image::{BgrView, Pixels};
use crate::resources::cores;
use crate::sync::Cancellation;

/// Rate of streams that have no times and state no rate.
const ASSUMED_RATE_HZ: f64 = 30.0;
/// A container's end may be later than that of its last frame by so much before frames are missed.
const TOLERATED_END_SECS: f64 = 0.5;
/// Frames that are so near ahead are reached by decoding on.
const NEAR_FRAMES: u64 = 8;
/// Decoding begins with the last picture before a frame that can be decoded by itself. Containers
/// find it by the order of decoding, in which it may come before the frame and be shown after it:
/// then the search begins that much earlier.
const SEEK_BACK_SECS: [f64; 3] = [0.0, 1.0, 10.0];
/// Pictures above this size (1080p with what codecs add) keep all cores busy now and then, even where
/// something else wants one.
const LARGE_PICTURE_PIXELS: u64 = 1920 * 1088;
/// Times that are nearer to each other than this tell no frames apart.
const SHORTEST_STEP_SECS: f64 = 1e-4;
/// Changes of size that are listed one by one.
const MAX_LISTED_CHANGES: usize = 1000;

/// What is known of a video before it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoInfo {
    /// As displayed: with square pixels, after turning.
    pub width: u32,
    /// As displayed: with square pixels, after turning.
    pub height: u32,
    /// As stored.
    pub coded_width: u32,
    /// As stored.
    pub coded_height: u32,
    /// How far the stored pictures are turned clockwise to be displayed: 0, 90, 180 or 270.
    pub rotation_deg: u16,
    /// The stored pictures are mirrored, left to right, before they are turned.
    pub is_mirrored: bool,
    /// FOURCC or the codec's name.
    pub codec: String,
    /// Of the source, as it is stored.
    pub colors: Colors,
    /// The pictures are of high dynamic range, and are brought down to the ordinary.
    pub is_tone_mapped: bool,
    /// Average rate that the container states, or `None`.
    pub nominal_fps: Option<f64>,
    /// Frames that the container states or suggests; a reader may find a few more or less.
    pub frame_count_hint: Option<u64>,
    /// What users should know of how the file is read.
    pub warnings: Vec<String>,
}

impl VideoInfo {
    /// Colours of the frames, seen as planes of BT.601's coefficients: those of the source, which
    /// is decoded with the same, or what high dynamic range was brought down to.
    pub fn frame_colors(&self) -> Colors {
        if self.is_tone_mapped {
            Colors::BT709
        } else {
            self.colors
        }
    }
}

/// From this frame on the stored pictures have another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SizeChange {
    /// Number of the first frame of that size, from 0.
    pub frame: u64,
    /// As displayed, were it not for the size of the frames before.
    pub width_px: u32,
    /// As displayed, were it not for the size of the frames before.
    pub height_px: u32,
}

/// What is known of a video when it was read to its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadSummary {
    /// In order, the first thousand of them; empty where all pictures have one size.
    pub size_changes: Vec<SizeChange>,
    /// Frames that the decoder called damaged, and pictures that it could not decode at all.
    pub corrupt_frames: u64,
    /// What users should know of what was found on the way.
    pub warnings: Vec<String>,
}

/// When pictures become blue, green, red.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conversion {
    /// As soon as they are decoded: [`Frame::view`] has them.
    #[default]
    Whole,
    /// Where somebody looks, as far as their kind allows it: [`Frame::pixels`] has them.
    OnDemand,
}

/// One decoded picture. Its memory is used again when it is handed back to the reader.
#[derive(Default)]
pub struct Frame {
    /// Counts from 0.
    pub index: u64,
    /// Since the first frame of the video, by the presentation times.
    pub time: MediaTime,
    /// The decoder reports that parts of it are missing or made up.
    pub is_corrupt: bool,
    /// Empty where the picture waits to be converted.
    pub(super) picture: Mat,
    pub(super) waiting: Option<Decoded>,
}

impl Frame {
    /// The pixels, whichever way the frame was read; `rooms` are where they are made if they have to
    /// be, the same for all frames of a video. `None` for a frame that was never read.
    pub fn pixels<'a>(&'a self, rooms: &'a PixelRooms) -> Option<Pixels<'a>> {
        match &self.waiting {
            Some(decoded) => Some(Pixels::partial(rooms.begin(decoded))),
            None => {
                rooms.clear();
                self.view().map(Pixels::from)
            }
        }
    }

    /// Whether it has a picture.
    pub fn was_read(&self) -> bool {
        self.waiting.is_some() || !self.picture.data().is_null()
    }

    /// Gives a picture that waits to be converted back to the decoder, which can use its memory while
    /// it is warm.
    pub fn forget(&mut self) {
        self.waiting = None;
    }

    /// The pixels; `None` for a frame that was never read, or that waits for somebody to look at
    /// parts of it ([`Conversion::OnDemand`]).
    pub fn view(&self) -> Option<BgrView<'_>> {
        let (width, height) = (self.picture.cols(), self.picture.rows());
        let (width, height) = (width as usize, height as usize);
        let stride = self.picture.step1(0).ok()?;
        let bytes = stride * height.checked_sub(1)? + 3 * width;
        let first = self.picture.data();
        if first.is_null() {
            return None;
        }
        // SAFETY: a matrix of so many rows, which is borrowed as long as the view is there.
        let data = unsafe { std::slice::from_raw_parts(first, bytes) };
        BgrView::new(data, width, height, stride)
    }
}

/// An open video.
pub struct VideoReader {
    path: PathBuf,
    cancellation: Cancellation,
    container: Option<Container>,
    track: usize,
    info: VideoInfo,
    /// The first picture as it is stored.
    first: StoredPicture,
    start_time: MediaTime,
    has_no_clock: bool,
    grid: Option<FrameGrid>,
    /// Of the whole video.
    frames_expected: Option<u64>,
    /// The part that is read.
    range: MediaRange,
    /// A core is left to others.
    is_beside_others: bool,
    conversion: Conversion,
    /// Whether a frame of it was read.
    has_begun: bool,
    /// Decoding starts with the first frame that is asked for: a video that waits for its turn
    /// holds no pictures.
    running: Option<Running>,
    is_at_end: bool,
    /// Frames of the video up to here; those that are before the part are among them.
    frames_read: u64,
    /// The picture of the next frame is decoded already.
    is_ahead: bool,
    last_time: MediaTime,
    summary: ReadSummary,
}

/// A video that is being decoded.
struct Running {
    decoder: Decoder,
    /// Where decoding began, until the first picture has come.
    entry: Option<Entry>,
    picture: Picture,
    converter: Converter,
    clock: FrameClock,
    times: TrackTimes,
    /// The last picture as it is stored, and where it went.
    last: StoredPicture,
    placement: Placement,
}

impl VideoReader {
    /// Opens a video file: chooses its track, and looks at the first picture.
    ///
    /// # Errors
    /// When it is not a regular file, cannot be read, or holds no video that can be decoded.
    pub fn open(path: &Path) -> Result<Self, VideoError> {
        Self::open_unless(path, &Cancellation::new())
    }

    /// The same until it is cancelled; then there are no more frames.
    ///
    /// # Errors
    /// As [`Self::open`], and [`VideoError::Stopped`] when it is cancelled.
    pub fn open_unless(path: &Path, cancellation: &Cancellation) -> Result<Self, VideoError> {
        load_libraries()?;
        let opened = Self::open_file(path, cancellation);
        // Whatever went wrong then: the file seemed to end.
        match cancellation.is_cancelled() {
            true => Err(VideoError::Stopped),
            false => opened,
        }
    }

    fn open_file(path: &Path, cancellation: &Cancellation) -> Result<Self, VideoError> {
        let container = check_file(path)?;
        let no_video = || match container {
            Some(container) => VideoError::NoVideoStream {
                path: path.into(),
                container: container.name(),
            },
            None => VideoError::NotAVideo { path: path.into() },
        };
        let demuxer = open_demuxer(path, container, cancellation).map_err(|_| {
            let lacks_index = container == Some(Container::IsoMedia) && lacks_index(path);
            if lacks_index {
                VideoError::NoIndex { path: path.into() }
            } else {
                no_video()
            }
        })?;
        let has_no_clock = demuxer.has_no_clock();
        let tracks = demuxer.tracks();
        let chosen = track::choose(&tracks).ok_or_else(no_video)?;
        let track = chosen.index;
        let times = demuxer.times(track);
        let codec = demuxer.codec_tag(track);
        // One thread: whoever waits for memory shall not have taken much.
        let mut decoder = Decoder::start(demuxer, track, 1).map_err(|_| no_video())?;
        let mut picture = Picture::empty();
        if !decoder.next(&mut picture) {
            return Err(VideoError::NoFrames { path: path.into() });
        }
        let facts = decoder.facts(&picture);
        let stream_rate_hz = decoder.stream_rate_hz();
        drop((picture, decoder));
        let start_secs = (facts.ticks.zip(times.start_ticks))
            .filter(|_| !has_no_clock && container != Some(Container::Avi))
            .map_or(0.0, |(first, start)| {
                (first - start) as f64 * times.tick_secs
            });

        let mut warnings: Vec<String> = track::note_on_others(&tracks, track).into_iter().collect();
        let first = stored_picture(&facts);
        if let Some(deg) = facts
            .matrix
            .and_then(|m| Orientation::of_matrix(&m).uneven_angle_deg)
        {
            warnings.push(format!(
                "the display matrix turns the picture by {deg:.1} degrees; {} are used",
                first.orientation.rotation_deg
            ));
        }
        let nominal_fps = if has_no_clock {
            let rate_hz = stream_rate_hz.unwrap_or(ASSUMED_RATE_HZ);
            let shown_hz = (rate_hz * 1000.0).round() / 1000.0;
            let source = match stream_rate_hz {
                Some(_) => "as it states",
                None => "as it states no rate",
            };
            warnings.push(format!(
                "the stream has no times; {shown_hz} frames/s are assumed throughout, {source}"
            ));
            Some(rate_hz)
        } else {
            times.mean_rate_hz
        };
        let grid = if has_no_clock {
            None
        } else {
            grid(path, container, track, &times, cancellation)
        };
        let (width, height) = first.displayed_size();
        let frames_expected = frame_count_hint(path, &times, nominal_fps);
        let info = VideoInfo {
            width,
            height,
            coded_width: facts.width,
            coded_height: facts.height,
            rotation_deg: first.orientation.rotation_deg,
            is_mirrored: first.orientation.mirrored,
            codec,
            colors: facts.colors,
            is_tone_mapped: tone::is_high_dynamic_range(facts.colors),
            nominal_fps,
            frame_count_hint: frames_expected,
            warnings,
        };
        Ok(Self {
            path: path.into(),
            cancellation: cancellation.clone(),
            container,
            track,
            info,
            first,
            start_time: MediaTime::from_secs(start_secs),
            has_no_clock,
            grid,
            frames_expected,
            range: MediaRange::WHOLE,
            is_beside_others: false,
            conversion: Conversion::Whole,
            has_begun: false,
            running: None,
            is_at_end: false,
            frames_read: 0,
            is_ahead: false,
            last_time: MediaTime::default(),
            summary: ReadSummary::default(),
        })
    }

    /// The same, to read only a part of the video. Frames keep the numbers and times that they have in
    /// the whole video.
    pub fn with_range(mut self, range: MediaRange) -> Self {
        self.range = range.simplified();
        let frames = self.frames_expected;
        self.info.frame_count_hint = frames.and_then(|frames| self.frames_in_range(frames));
        self
    }

    /// The same, to convert pictures so; without it, whole ones.
    pub fn with_conversion(mut self, conversion: Conversion) -> Self {
        self.conversion = conversion;
        self
    }

    /// The same, to leave a core to others while it decodes. Threads of a decoder wait for each other,
    /// which costs more than it gains where another core has no time for them anyway.
    pub fn beside_others(mut self) -> Self {
        self.is_beside_others = true;
        self
    }

    fn frames_in_range(&self, frames: u64) -> Option<u64> {
        let number = |position: MediaPosition| match position {
            MediaPosition::Frame(frame) => Some(frame),
            MediaPosition::Secs(secs) => Some((secs * self.info.nominal_fps?).round() as u64),
        };
        let from = self.range.from.map_or(Some(0), number)?;
        let to = self.range.to.map_or(Some(frames), number)?;
        Some(to.min(frames).saturating_sub(from))
    }

    /// What the container and the first picture say; what reading finds out is in the summary.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// The time of the first picture that can be decoded: 0, or more where pictures before it
    /// cannot.
    pub fn start_time(&self) -> MediaTime {
        self.start_time
    }

    /// The number of the frame that is read next.
    pub fn next_frame(&self) -> u64 {
        self.frames_read
    }

    /// What was found on the way; complete when the last frame was read.
    pub fn summary(&self) -> &ReadSummary {
        &self.summary
    }

    /// Reads all frames for another thread, into those that come back as `used` where there are any,
    /// until nobody takes them any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn send_all(
        mut self,
        frames: &Sender<Frame>,
        used: &Receiver<Frame>,
    ) -> Result<(), VideoError> {
        loop {
            let mut frame = used.try_recv().unwrap_or_default();
            if !self.read(&mut frame)? || frames.send(frame).is_err() {
                return Ok(());
            }
        }
    }

    /// Reads the next frame into `frame`; `false` at the end of the video.
    ///
    /// # Errors
    /// When the video ends before it should, a picture cannot be converted, or it is cancelled.
    pub fn read(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        if self.is_at_end {
            return Ok(false);
        }
        let read = self.read_next(frame);
        // Whatever was read then: the file seems to have ended.
        match self.cancellation.is_cancelled() {
            true => Err(VideoError::Stopped),
            false => read,
        }
    }

    fn read_next(&mut self, frame: &mut Frame) -> Result<bool, VideoError> {
        while let Some(facts) = self.decode_next()? {
            let (index, time) = (self.frames_read - 1, self.last_time);
            let is_in_part = |from: MediaPosition| from.is_reached(index, time);
            if !self.has_begun && !self.range.from.is_none_or(is_in_part) {
                continue;
            }
            if self.range.to.is_some_and(|to| to.is_reached(index, time)) {
                // The frame belongs to what comes behind the part.
                self.frames_read = index;
                self.finish_part()?;
                return Ok(false);
            }
            self.has_begun = true;
            self.convert(&facts, frame)?;
            frame.index = index;
            frame.time = time;
            frame.is_corrupt = facts.is_damaged;
            self.summary.corrupt_frames += u64::from(facts.is_damaged);
            return Ok(true);
        }
        Ok(false)
    }

    /// Decodes the next picture, and tells its number and time; `None` at the end of the video or of
    /// the part.
    fn decode_next(&mut self) -> Result<Option<PictureFacts>, VideoError> {
        if let Some(MediaPosition::Frame(to)) = self.range.to
            && self.frames_read >= to
        {
            self.finish_part()?;
            return Ok(None);
        }
        if self.running.is_none() {
            let entry = self.range.from.and_then(|from| self.entry(from));
            self.running = Some(self.start(entry)?);
        }
        let Some(running) = &mut self.running else {
            return Ok(None);
        };
        let is_ahead = std::mem::take(&mut self.is_ahead);
        if !is_ahead && !running.decoder.next(&mut running.picture) {
            self.is_at_end = true;
            self.finish()?;
            return Ok(None);
        }
        let facts = running.decoder.facts(&running.picture);
        if let Some(entry) = running.entry.take() {
            match facts.ticks.and_then(|ticks| entry.first_number(ticks)) {
                Some(number) => self.frames_read = number,
                // The decoder gives something else than the container promises.
                None => {
                    self.running = Some(self.start(None)?);
                    return self.decode_next();
                }
            }
        }
        let stored = stored_picture(&facts);
        if stored != running.last {
            running.last = stored;
            running.placement = Placement::new(&stored, (self.info.width, self.info.height));
            let (width_px, height_px) = stored.displayed_size();
            let changes = &mut self.summary.size_changes;
            if changes.len() < MAX_LISTED_CHANGES {
                changes.push(SizeChange {
                    frame: self.frames_read,
                    width_px,
                    height_px,
                });
            }
        }
        let secs = running.clock.time_secs(self.frames_read, facts.ticks);
        self.last_time = MediaTime::from_secs(secs);
        self.frames_read += 1;
        Ok(Some(facts))
    }

    /// Goes to a frame, so that it is read next. `known` are the times of all frames, or of a part in
    /// which the frame is, as reading the video gives them.
    ///
    /// Where the container can tell, decoding begins near the frame, and the frame is known by its
    /// time, or, near the beginning of a part, by the container's count; otherwise everything before
    /// it is decoded. `false` where the video ends before.
    ///
    /// # Errors
    /// When the video cannot be read as far as that, or it is cancelled.
    pub fn go_to(&mut self, frame: u64, known: &FrameTimes) -> Result<bool, VideoError> {
        let is_near = (self.frames_read..=self.frames_read + NEAR_FRAMES).contains(&frame);
        if !is_near || self.is_at_end {
            let clearance_secs = self.clearance_secs(&known.times);
            let found = clearance_secs.is_some_and(|clearance_secs| {
                SEEK_BACK_SECS.iter().any(|back_secs| {
                    self.enter(frame, known, *back_secs, clearance_secs)
                        .is_some()
                })
            });
            if !found {
                self.enter_by_count(frame, known)?;
            }
        }
        while self.frames_read < frame {
            let decoded = self.decode_next();
            // Whatever was decoded then: the file seems to have ended.
            if self.cancellation.is_cancelled() {
                return Err(VideoError::Stopped);
            }
            if decoded?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins to decode before a frame, at a picture that the container has counted, or at the first
    /// one; goes on where it is, if that is nearer.
    fn enter_by_count(&mut self, frame: u64, known: &FrameTimes) -> Result<(), VideoError> {
        let is_part = known.first_frame > 0;
        let entry = is_part.then(|| self.entry(MediaPosition::Frame(frame)));
        let entry = entry.flatten();
        let is_behind = self.is_at_end || frame < self.frames_read;
        let is_nearer = |entry: &Entry| entry.number() > self.frames_read;
        if is_behind || entry.as_ref().is_some_and(is_nearer) {
            self.running = Some(self.start(entry)?);
            self.begin_at(0, false);
        }
        Ok(())
    }

    fn begin_at(&mut self, frame: u64, is_ahead: bool) {
        self.is_ahead = is_ahead;
        self.is_at_end = false;
        self.frames_read = frame;
        self.last_time = MediaTime::default();
        self.summary = ReadSummary::default();
    }

    /// Half the shortest step between frames, within which a time tells its frame; `None` where
    /// times do not tell frames, or the container's places of pictures cannot be trusted.
    fn clearance_secs(&self, times: &[MediaTime]) -> Option<f64> {
        if !self.has_index() || self.has_no_clock {
            return None;
        }
        let steps = times
            .windows(2)
            .map(|pair| pair[1].as_secs() - pair[0].as_secs());
        let shortest_secs = steps.fold(f64::INFINITY, f64::min);
        (shortest_secs > 2.0 * SHORTEST_STEP_SECS).then_some(shortest_secs / 2.0)
    }

    fn has_index(&self) -> bool {
        matches!(
            self.container,
            Some(Container::IsoMedia | Container::Matroska)
        )
    }

    /// Begins to decode somewhat before a frame; `None` where the first picture that comes is
    /// behind it, or is none of the frames.
    fn enter(
        &mut self,
        frame: u64,
        known: &FrameTimes,
        back_secs: f64,
        clearance_secs: f64,
    ) -> Option<()> {
        let times = &known.times;
        let place = frame.checked_sub(known.first_frame)?;
        let wanted = times.get(usize::try_from(place).ok()?)?;
        let wanted_secs = (wanted.as_secs() - back_secs).max(0.0);
        let mut running = self.start(None).ok()?;
        let tick_secs = running.times.tick_secs;
        // A clock that rounds to its ticks must not round a time to that of another frame.
        let start_ticks = running.times.start_ticks;
        let start_ticks = start_ticks.filter(|_| clearance_secs > tick_secs)?;
        let ticks = start_ticks + (wanted_secs / tick_secs).round() as i64;
        if !running.decoder.demuxer().seek(self.track, ticks)
            || !running.decoder.next(&mut running.picture)
        {
            return None;
        }
        let facts = running.decoder.facts(&running.picture);
        let secs = (facts.ticks? - start_ticks) as f64 * tick_secs;
        let first = times.partition_point(|time| time.as_secs() < secs - clearance_secs);
        // How near the picture before a part is to the part's first one is not known.
        let is_told = first > 0 || known.first_frame == 0;
        let is_that = (times.get(first)?.as_secs() - secs).abs() < clearance_secs;
        let first = known.first_frame + first as u64;
        if !is_told || !is_that || first > frame || facts.is_damaged {
            return None;
        }
        self.running = Some(running);
        self.begin_at(first, true);
        Some(())
    }

    fn convert(&mut self, facts: &PictureFacts, frame: &mut Frame) -> Result<(), VideoError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let Running {
            converter,
            picture,
            placement,
            ..
        } = running;
        if self.conversion == Conversion::OnDemand
            && let Some(stored) = converter.stored_if_partial(picture, facts, placement)
        {
            let decoded = std::mem::replace(picture, Picture::empty());
            frame.waiting = Some(Decoded::new(decoded, stored, placement.frame));
            if !frame.picture.empty() {
                frame.picture = Mat::default();
            }
            return Ok(());
        }
        frame.waiting = None;
        let converted = converter.convert(picture, facts, placement, &mut frame.picture);
        converted.map_err(|reason| VideoError::Decode {
            path: self.path.clone(),
            reason,
        })
    }

    /// Where decoding may begin, if not with the first picture. Only containers with an index and a
    /// time for every picture are entered.
    fn entry(&self, from: MediaPosition) -> Option<Entry> {
        if !self.has_index() || self.has_no_clock {
            return None;
        }
        let demuxer = open_demuxer(&self.path, self.container, &self.cancellation).ok()?;
        let times = demuxer.times(self.track);
        let pictures = demuxer.stored_times(self.track);
        entry(pictures, from, times.start_ticks?, times.tick_secs)
    }

    fn decoder_threads(&self) -> usize {
        let pixels = u64::from(self.info.coded_width) * u64::from(self.info.coded_height);
        let spared = usize::from(self.is_beside_others && pixels <= LARGE_PICTURE_PIXELS);
        (cores() - spared.min(cores() - 1)).min(MAX_DECODER_THREADS)
    }

    fn start(&self, entry: Option<Entry>) -> Result<Running, VideoError> {
        let failed = |e: ffmpeg_the_third::Error| VideoError::Decode {
            path: self.path.clone(),
            reason: e.to_string(),
        };
        let threads = self.decoder_threads();
        let open = || open_demuxer(&self.path, self.container, &self.cancellation);
        let mut demuxer = open().map_err(failed)?;
        let times = demuxer.times(self.track);
        let entry = match entry {
            Some(entry) if demuxer.seek(self.track, entry.decoding_ticks) => Some(entry),
            Some(_) => {
                // Whatever was tried, it begins with the first picture.
                demuxer = open().map_err(failed)?;
                None
            }
            None => None,
        };
        let decoder = Decoder::start(demuxer, self.track, threads).map_err(failed)?;
        // Without times, frames follow each other at the stream's rate.
        let clock = match self.info.nominal_fps.filter(|_| self.has_no_clock) {
            Some(rate_hz) => FrameClock::without_times(rate_hz),
            None => FrameClock::new(
                times.tick_secs,
                // AVI has no times of presentation; those that are guessed begin with the delay of
                // the decoder.
                times
                    .start_ticks
                    .filter(|_| self.container != Some(Container::Avi)),
                self.container.is_some_and(Container::may_restart),
                self.info.nominal_fps,
                self.grid,
            ),
        };
        Ok(Running {
            decoder,
            entry,
            picture: Picture::empty(),
            converter: Converter::new(threads),
            clock,
            times,
            last: self.first,
            placement: Placement::new(&self.first, (self.info.width, self.info.height)),
        })
    }

    /// Looks whether the video is whole, and what is to be told.
    fn finish(&mut self) -> Result<(), VideoError> {
        // A file that cannot be read to its end is not cut off.
        let demuxer = self
            .running
            .as_mut()
            .map(|running| running.decoder.demuxer());
        if let Some(error) = demuxer.and_then(|demuxer| demuxer.read_error()) {
            return Err(VideoError::unreadable(&self.path, &error));
        }
        if self.frames_read == 0 {
            return Err(VideoError::NoFrames {
                path: self.path.clone(),
            });
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let lost = running.decoder.lost_pictures;
        let (last_picture_end, indexed) = running.decoder.demuxer().indexed(self.track);
        let extent = match self.container {
            Some(container) => extent(&self.path, container, last_picture_end)
                .map_err(|e| VideoError::unreadable(&self.path, &e))?,
            None => Extent::Whole,
        };
        let last_secs = self.last_time.as_secs();
        let times = &running.times;
        // Matroska's lengths count from the start of its clock, not from the first picture.
        let start_secs = times
            .start_ticks
            .map_or(0.0, |ticks| ticks as f64 * times.tick_secs);
        let since_start = |end_secs: Option<f64>| end_secs.map(|end| end - start_secs);
        let missing_secs = |end_secs: Option<f64>| end_secs.map_or(0.0, |end| end - last_secs);
        let is_cut_off = match extent {
            Extent::Whole => false,
            Extent::CutOff => true,
            Extent::EndMissing => {
                let end_secs = since_start(times.duration_secs.or(times.file_duration_secs));
                missing_secs(end_secs) > TOLERATED_END_SECS
            }
        };
        if is_cut_off {
            return Err(VideoError::Truncated {
                path: self.path.clone(),
                frames_read: self.frames_read,
                frames_expected: self.frames_expected.unwrap_or(self.frames_read),
                last_secs,
            });
        }
        // Other containers have an index that says it better, or a length that may be nonsense.
        let unread_from = since_start(times.duration_secs).filter(|end_secs| {
            self.container == Some(Container::Matroska)
                && missing_secs(Some(*end_secs)) > TOLERATED_END_SECS
        });
        if let Some(from) = self.range.from.filter(|_| !self.has_begun) {
            return Err(VideoError::StartsBehindEnd {
                path: self.path.clone(),
                from,
                last_frame: self.frames_read - 1,
                last_secs,
            });
        }
        if extent == Extent::EndMissing {
            let warning = "the file's end is missing, but no frame is";
            self.summary.warnings.push(warning.into());
        }
        // The last frame is shown for a while, too.
        let shown_secs = self.info.nominal_fps.map_or(0.0, |fps| 1.5 / fps);
        let is_missed = |to: &MediaPosition| {
            !to.is_reached(
                self.frames_read,
                MediaTime::from_secs(last_secs + shown_secs),
            )
        };
        if let Some(to) = self.range.to.filter(is_missed) {
            self.summary.warnings.push(format!(
                "the video ends before --to {to}: the last frame is {}f, at {last_secs:.3} s",
                self.frames_read - 1
            ));
        }
        self.tell_of_damage();
        self.summary.corrupt_frames += lost;
        let warnings = &mut self.summary.warnings;
        if let Some(end_secs) = unread_from {
            warnings.push(format!(
                "the last frame that can be read is at {last_secs:.2} s, but the video is said to end at {end_secs:.2} s"
            ));
        }
        let has_index = self.container == Some(Container::IsoMedia);
        let undecoded = match has_index {
            true => lost.max(indexed.saturating_sub(self.frames_read)),
            false => lost,
        };
        if undecoded > 0 {
            warnings.push(format!("{undecoded} pictures could not be decoded"));
        }
        self.tell_of_sizes();
        Ok(())
    }

    /// Ends before the video does.
    fn finish_part(&mut self) -> Result<(), VideoError> {
        self.is_at_end = true;
        if let Some(to) = self.range.to.filter(|_| !self.has_begun) {
            return Err(VideoError::EmptyPart {
                path: self.path.clone(),
                from: self.range.from,
                to,
            });
        }
        self.tell_of_damage();
        let lost = (self.running.as_ref()).map_or(0, |running| running.decoder.lost_pictures);
        self.summary.corrupt_frames += lost;
        self.tell_of_sizes();
        Ok(())
    }

    fn tell_of_damage(&mut self) {
        let damaged = self.summary.corrupt_frames;
        if damaged > 0 {
            self.summary.warnings.push(format!(
                "the decoder reports {damaged} damaged frames; they get no pose"
            ));
        }
    }

    fn tell_of_sizes(&mut self) {
        if let [first, more @ ..] = &self.summary.size_changes[..] {
            let more = match more.len() {
                0 => String::new(),
                n => format!(" (and {n} more changes)"),
            };
            self.summary.warnings.push(format!(
                "from frame {} on the picture is {}x{}{more}; it is scaled to {}x{}",
                first.frame, first.width_px, first.height_px, self.info.width, self.info.height,
            ));
        }
    }
}

fn open_demuxer(
    path: &Path,
    container: Option<Container>,
    cancellation: &Cancellation,
) -> Result<Demuxer, ffmpeg_the_third::Error> {
    Demuxer::open(path, container.map(Container::demuxer), cancellation)
}

fn stored_picture(facts: &PictureFacts) -> StoredPicture {
    let stored = StoredPicture {
        size: (facts.width, facts.height),
        pixel_aspect: facts.pixel_aspect,
        orientation: facts.matrix.map_or_else(Orientation::default, |matrix| {
            Orientation::of_matrix(&matrix).orientation
        }),
    };
    if stored.square_size() == stored.size {
        // Pixels that are square by default and those that are said to be are the same.
        const SQUARE: (i32, i32) = (1, 1);
        return StoredPicture {
            pixel_aspect: SQUARE,
            ..stored
        };
    }
    stored
}

/// The even grid behind a clock that is too coarse for the video's rate. Reads the whole file.
fn grid(
    path: &Path,
    container: Option<Container>,
    track: usize,
    times: &TrackTimes,
    cancellation: &Cancellation,
) -> Option<FrameGrid> {
    let rates_hz: Vec<f64> = [times.mean_rate_hz, times.base_rate_hz]
        .into_iter()
        .flatten()
        .collect();
    let fastest_hz = rates_hz.iter().copied().reduce(f64::max)?;
    if !is_coarse(times.tick_secs, fastest_hz) {
        return None;
    }
    let demuxer = open_demuxer(path, container, cancellation).ok()?;
    let ticks = demuxer.all_times(track);
    FrameGrid::behind(&ticks, times.tick_secs, &rates_hz)
}

/// How many frames a file states or suggests that it has, without decoding any; `None` where it does not
/// say, or is no video.
pub fn stated_frames(path: &Path) -> Option<u64> {
    load_libraries().ok()?;
    let container = check_file(path).ok()?;
    let demuxer = open_demuxer(path, container, &Cancellation::new()).ok()?;
    let track = track::choose(&demuxer.tracks())?.index;
    let times = demuxer.times(track);
    frame_count_hint(path, &times, times.mean_rate_hz)
}

/// A recorder that died, or wrote to a pipe, leaves nonsense where the number of frames belongs.
fn frame_count_hint(path: &Path, times: &TrackTimes, rate_hz: Option<f64>) -> Option<u64> {
    let by_duration = || {
        let frames = times.duration_secs.or(times.file_duration_secs)? * rate_hz?;
        (frames >= 0.5).then_some(frames.round() as u64)
    };
    // No codec makes a frame of less than a byte.
    let most = fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len());
    let is_sensible = |frames: &u64| *frames > 0 && *frames <= most;
    (times.frame_count.filter(is_sensible)).or_else(|| by_duration().filter(is_sensible))
}

/// Refuses what must not be opened as a video, and recognises the rest. A FIFO or a device would
/// block, so nothing is opened before its type is known.
///
/// # Errors
/// When it is not a regular file, is empty, or cannot be read.
pub fn check_file(path: &Path) -> Result<Option<Container>, VideoError> {
    let unreadable = |e: std::io::Error| VideoError::unreadable(path, &e);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a named pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        };
        return Err(VideoError::NotAFile {
            path: path.into(),
            what,
        });
    }
    if metadata.len() == 0 {
        return Err(VideoError::Empty { path: path.into() });
    }
    match sniff(path).map_err(unreadable)? {
        Content::Video(container) => Ok(Some(container)),
        Content::Unknown => Ok(None),
        Content::Playlist(kind) => Err(VideoError::Playlist {
            path: path.into(),
            kind,
        }),
    }
}
