//! FFmpeg's demuxers and decoders, with what they know of a picture in plain types.
//!
//! Everything here is about one file and one of its tracks. Only `file` may be opened, and no
//! container that names other files: names and contents come from strangers.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use ffmpeg_the_third as ffmpeg;
use ffmpeg_the_third::codec::{Context, decoder::Opened, threading};
use ffmpeg_the_third::packet::{Mut, Ref};
use ffmpeg_the_third::{Dictionary, Error, Packet, ffi, format};

use super::VideoError;
use super::entry::StoredTime;
use super::track::Track;
use crate::sync::Cancellation;

/// FFmpeg decodes a picture per thread, on at most this many.
pub const MAX_DECODER_THREADS: usize = 16;
/// Containers and streams beside those that are recognised here; none of them names other files.
const OTHER_DEMUXERS: &str = "dv,ivf,nut,gif,apng,mjpeg,m4v,mpegvideo,h263,h264,hevc,vc1,obu,av1,\
    dirac,cavsvideo,mpeg,mpegts,mov,matroska,avi,asf,flv,live_flv,kux,ogg,mxf,mxf_opatom,gxf,lxf,\
    rm,wtv,nsv,pva,ty,dhav,swf,viv,yuv4mpegpipe,bink,smk,roq,3dostr,film_cpk";
/// Those of them that read streams without a container.
const BARE_STREAMS: [&str; 11] = [
    "mjpeg",
    "m4v",
    "mpegvideo",
    "h263",
    "h264",
    "hevc",
    "vc1",
    "obu",
    "av1",
    "dirac",
    "cavsvideo",
];
/// A decoder that gives nothing but errors is given up.
const MAX_ERRORS_IN_A_ROW: u32 = 4096;

/// Keeps FFmpeg from writing to the terminal; errors reach users through
/// [`VideoError`](super::VideoError).
fn silence_logs() {
    // SAFETY: sets a number that FFmpeg reads and writes atomically enough for a log level.
    unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
}

/// Loads FFmpeg's libraries where they are not loaded at the program's start.
///
/// # Errors
/// When one of them is missing.
pub fn load_libraries() -> Result<(), VideoError> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    super::libraries::load().map_err(|reason| VideoError::MissingLibrary { reason })?;
    Ok(())
}

/// An open file.
pub struct Demuxer {
    input: format::context::Input,
    packet: Packet,
    /// The input has its address, and goes before it.
    _cancellation: Box<Cancellation>,
}

/// What FFmpeg asks before each reading, so that it ends in the middle of a file too.
extern "C" fn is_cancelled(cancellation: *mut c_void) -> c_int {
    // SAFETY: `Demuxer::open` gives the address of a token that outlives the input.
    let cancellation = unsafe { &*cancellation.cast::<Cancellation>() };
    c_int::from(cancellation.is_cancelled())
}

/// What the container says of a track's times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackTimes {
    pub tick_secs: f64,
    pub start_ticks: Option<i64>,
    /// Rates that the container states or that its first times suggest.
    pub mean_rate_hz: Option<f64>,
    pub base_rate_hz: Option<f64>,
    pub frame_count: Option<u64>,
    /// Of the track.
    pub duration_secs: Option<f64>,
    pub file_duration_secs: Option<f64>,
}

impl Demuxer {
    /// Opens a file with the demuxer of this name, or with the one that its content suggests. Once
    /// it is cancelled, nothing is read any more, as if the file ended there.
    pub fn open(
        path: &Path,
        demuxer: Option<&str>,
        cancellation: &Cancellation,
    ) -> Result<Self, Error> {
        silence_logs();
        let options = [
            ("protocol_whitelist", "file"),
            ("format_whitelist", demuxer.unwrap_or(OTHER_DEMUXERS)),
        ];
        let mut options: Dictionary = options.into_iter().collect();
        // Behind the protocol's name, no path is taken for that of another.
        let url = [b"file:", path.as_os_str().as_bytes()].concat();
        let url = CString::new(url).map_err(|_| Error::InvalidData)?;
        let demuxer = demuxer.and_then(|name| CString::new(name).ok());
        let cancellation = Box::new(cancellation.clone());
        // SAFETY: all strings end with zero and outlive the calls, and so does the token. A context
        // that could not be opened is freed by FFmpeg; otherwise it is owned by `Input` from then on.
        let input = unsafe {
            let mut context = ffi::avformat_alloc_context();
            if context.is_null() {
                return Err(Error::Unknown);
            }
            (*context).interrupt_callback = ffi::AVIOInterruptCB {
                callback: Some(is_cancelled),
                opaque: ptr::from_ref(&*cancellation).cast_mut().cast(),
            };
            let format = match &demuxer {
                Some(name) => ffi::av_find_input_format(name.as_ptr()),
                None => ptr::null(),
            };
            let opened =
                ffi::avformat_open_input(&mut context, url.as_ptr(), format, options.as_mut_ptr());
            if opened < 0 {
                return Err(Error::from(opened));
            }
            let input = format::context::Input::wrap(context);
            let found = ffi::avformat_find_stream_info(context, ptr::null_mut());
            if found < 0 {
                return Err(Error::from(found));
            }
            input
        };
        Ok(Self {
            input,
            packet: Packet::empty(),
            _cancellation: cancellation,
        })
    }

    fn stream(&self, index: usize) -> &ffi::AVStream {
        // SAFETY: `index` is that of one of the streams (see `tracks`), which live as long as the
        // input does.
        unsafe { &**(*self.input.as_ptr()).streams.add(index) }
    }

    fn parameters(&self, index: usize) -> &ffi::AVCodecParameters {
        // SAFETY: every stream has parameters, and they live as long as it does.
        unsafe { &*self.stream(index).codecpar }
    }

    /// All tracks of pictures.
    pub fn tracks(&self) -> Vec<Track> {
        const STILLS: i32 = ffi::AV_DISPOSITION_ATTACHED_PIC
            | ffi::AV_DISPOSITION_TIMED_THUMBNAILS
            | ffi::AV_DISPOSITION_STILL_IMAGE;
        let indices = 0..self.input.nb_streams() as usize;
        let pictures =
            indices.filter(|i| self.parameters(*i).codec_type == ffi::AVMediaType::VIDEO);
        pictures
            .map(|index| {
                let (stream, parameters) = (self.stream(index), self.parameters(index));
                // SAFETY: only looks a number up in a table.
                let decoder = unsafe { ffi::avcodec_find_decoder(parameters.codec_id) };
                Track {
                    index,
                    width: u32::try_from(parameters.width).unwrap_or(0),
                    height: u32::try_from(parameters.height).unwrap_or(0),
                    codec: codec_name(parameters.codec_id),
                    is_default: stream.disposition & ffi::AV_DISPOSITION_DEFAULT != 0,
                    is_still: stream.disposition & STILLS != 0,
                    has_one_picture: stream.nb_frames == 1,
                    has_decoder: !decoder.is_null(),
                }
            })
            .collect()
    }

    /// FOURCC of a track, or its codec's name where the container has none.
    pub fn codec_tag(&self, track: usize) -> String {
        let parameters = self.parameters(track);
        let letters: String = (parameters.codec_tag.to_le_bytes().iter())
            .map(|byte| char::from(*byte))
            .filter(char::is_ascii_graphic)
            .collect();
        if letters.is_empty() {
            codec_name(parameters.codec_id)
        } else {
            letters
        }
    }

    /// Pictures follow each other without times: a bare stream.
    pub fn has_no_clock(&self) -> bool {
        // SAFETY: an open input has a demuxer, which is a constant with a constant name.
        let name = unsafe { CStr::from_ptr((*(*self.input.as_ptr()).iformat).name) };
        BARE_STREAMS
            .iter()
            .any(|bare| name.to_bytes() == bare.as_bytes())
    }

    pub fn times(&self, track: usize) -> TrackTimes {
        let stream = self.stream(track);
        let rate = |rate: ffi::AVRational| {
            let hz = f64::from(rate.num) / f64::from(rate.den);
            (rate.num > 0 && rate.den > 0).then_some(hz)
        };
        // SAFETY: both belong to each other and are alive; nothing is kept.
        let guessed = unsafe {
            ffi::av_guess_frame_rate(
                self.input.as_ptr().cast_mut(),
                ptr::from_ref(stream).cast_mut(),
                ptr::null_mut(),
            )
        };
        let tick_secs = f64::from(stream.time_base.num) / f64::from(stream.time_base.den);
        let known = |ticks: i64| (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks);
        let stream_secs = known(stream.duration).map(|ticks| ticks as f64 * tick_secs);
        let file_secs =
            known(self.input.duration()).map(|ticks| ticks as f64 / f64::from(ffi::AV_TIME_BASE));
        TrackTimes {
            tick_secs,
            start_ticks: known(stream.start_time),
            mean_rate_hz: rate(guessed),
            base_rate_hz: rate(stream.r_frame_rate),
            frame_count: u64::try_from(stream.nb_frames).ok().filter(|n| *n > 0),
            duration_secs: stream_secs
                .or_else(|| self.tagged_secs(track))
                .or(file_secs.filter(|_| self.input.nb_streams() == 1)),
            file_duration_secs: file_secs,
        }
    }

    /// Matroska's statistics: hours, minutes, seconds.
    fn tagged_secs(&self, track: usize) -> Option<f64> {
        // SAFETY: the stream's dictionary and its entry live as long as the stream.
        let text = unsafe {
            let entry = ffi::av_dict_get(
                self.stream(track).metadata,
                c"DURATION".as_ptr(),
                ptr::null(),
                0,
            );
            CStr::from_ptr(entry.as_ref()?.value).to_str().ok()?
        };
        let mut parts = text.split(':').map(|part| part.parse::<f64>().ok());
        let mut part = || parts.next().flatten();
        let (hours, minutes, secs) = (part()?, part()?, part()?);
        Some(hours * 3600.0 + minutes * 60.0 + secs)
    }

    /// The display matrix of a track, if the container has one.
    fn matrix(&self, track: usize) -> Option<[i32; 9]> {
        let mut size = 0;
        // SAFETY: FFmpeg fills `size` in; the data belong to the stream.
        unsafe {
            let data = ffi::av_stream_get_side_data(
                self.stream(track),
                ffi::AVPacketSideDataType::DISPLAYMATRIX,
                &mut size,
            );
            read_matrix(data, size)
        }
    }

    /// Where the last picture of the index ends, and how many it has; nothing for containers
    /// without an index. Complete when the file was read to its end.
    pub fn indexed(&mut self, track: usize) -> (Option<u64>, u64) {
        let (mut end, mut pictures) = (None, 0);
        // SAFETY: the stream is one of the input's. Entries are read one by one, and an index that
        // does not exist gives none.
        unsafe {
            let stream = *(*self.input.as_mut_ptr()).streams.add(track);
            for i in 0..ffi::avformat_index_get_entries_count(stream) {
                let Some(entry) = ffi::avformat_index_get_entry(stream, i).as_ref() else {
                    continue;
                };
                if entry.flags() & ffi::AVINDEX_DISCARD_FRAME == 0 {
                    pictures += 1;
                }
                let entry_end = entry.pos.saturating_add(i64::from(entry.size()));
                end = end.max(u64::try_from(entry_end).ok());
            }
        }
        (end, pictures)
    }

    /// Why the system did not let the file be read any further, where that ended it.
    pub fn read_error(&self) -> Option<io::Error> {
        // SAFETY: an input that is read from a file has a reader, which lives as long as it does.
        let error = unsafe { (*self.input.as_ptr()).pb.as_ref()?.error };
        // FFmpeg's codes of the system's errors are those, below 0.
        (error < 0).then(|| io::Error::from_raw_os_error(error.saturating_neg()))
    }

    /// Lets the demuxer skip what is not of this track.
    fn read_only(&mut self, track: usize) {
        // SAFETY: the indices are those of the input's streams, and nobody else looks at them.
        unsafe {
            for i in 0..self.input.nb_streams() as usize {
                let stream = *(*self.input.as_mut_ptr()).streams.add(i);
                if i != track {
                    (*stream).discard = ffi::AVDiscard::ALL;
                }
            }
        }
    }

    /// The track's next packet; `None` at the end of what can be read.
    fn next_packet(&mut self, track: usize) -> Option<&Packet> {
        loop {
            // SAFETY: gives the data of the last packet back, which nobody looks at any more.
            unsafe { ffi::av_packet_unref(self.packet.as_mut_ptr()) };
            match self.packet.read(&mut self.input) {
                Ok(()) if self.packet.stream() == track => return Some(&self.packet),
                Ok(()) => {}
                Err(error) if is_again(error) => {}
                Err(_) => return None,
            }
        }
    }

    /// The pictures of a track as they lie in the file; nothing is decoded.
    pub fn stored_times(mut self, track: usize) -> impl Iterator<Item = StoredTime> {
        self.read_only(track);
        std::iter::from_fn(move || {
            let packet = self.next_packet(track)?;
            // SAFETY: reads a number of a packet that is alive.
            let flags = unsafe { (*packet.as_ptr()).flags };
            Some(StoredTime {
                ticks: packet.pts(),
                decoding_ticks: packet.dts(),
                is_key: flags & ffi::AV_PKT_FLAG_KEY != 0,
                is_hidden: flags & ffi::AV_PKT_FLAG_DISCARD != 0,
            })
        })
    }

    /// Goes to the last picture before `ticks` of a track with which decoding can begin, as far as
    /// the container knows.
    pub fn seek(&mut self, track: usize, ticks: i64) -> Result<(), Error> {
        let track = c_int::try_from(track).map_err(|_| Error::InvalidData)?;
        // SAFETY: the input is open, and the track is one of its.
        let sought = unsafe {
            ffi::av_seek_frame(
                self.input.as_mut_ptr(),
                track,
                ticks,
                ffi::AVSEEK_FLAG_BACKWARD,
            )
        };
        match sought {
            0.. => Ok(()),
            error => Err(Error::from(error)),
        }
    }

    /// Presentation times of all pictures of a track, in ascending order; nothing is decoded. The
    /// file is at its end then.
    pub fn all_times(mut self, track: usize) -> Vec<i64> {
        self.read_only(track);
        let mut ticks = Vec::new();
        while let Some(packet) = self.next_packet(track) {
            // SAFETY: reads a number of a packet that is alive.
            let flags = unsafe { (*packet.as_ptr()).flags };
            if flags & ffi::AV_PKT_FLAG_DISCARD == 0 {
                ticks.extend(packet.pts().or(packet.dts()));
            }
        }
        ticks.sort_unstable();
        ticks
    }
}

/// The decoder wants packets, or wants to be rid of pictures.
fn is_again(error: Error) -> bool {
    let Error::Other { errno } = error else {
        return false;
    };
    io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::WouldBlock
}

fn codec_name(id: ffi::AVCodecID) -> String {
    // SAFETY: gives a constant string, whatever the number is.
    let name = unsafe { CStr::from_ptr(ffi::avcodec_get_name(id)) };
    name.to_string_lossy().into_owned()
}

/// # Safety
/// `data` is null or points to `size` bytes.
unsafe fn read_matrix(data: *const u8, size: usize) -> Option<[i32; 9]> {
    if data.is_null() || size < size_of::<[i32; 9]>() {
        return None;
    }
    // SAFETY: there are as many bytes, as was just checked.
    Some(unsafe { data.cast::<[i32; 9]>().read_unaligned() })
}

/// A track that is being decoded.
pub struct Decoder {
    demuxer: Demuxer,
    opened: Opened,
    track: usize,
    matrix: Option<[i32; 9]>,
    container_colors: Colors,
    /// The codec's decoder tells of damage itself, picture by picture.
    reports_damage: bool,
    /// Times of packets that may be damaged, for the decoders that do not tell.
    damaged_ticks: Vec<i64>,
    follows_damage: bool,
    /// How the sequence before looked, where the decoder forgets a picture when it changes.
    sequence: Option<[u8; 4]>,
    has_sequences: bool,
    /// The packet with the next sequence waits until the decoder has given the pictures before.
    is_draining: bool,
    is_at_end: bool,
    has_given_pictures: bool,
    /// Pictures that could not be decoded at all, since the first that could.
    pub lost_pictures: u64,
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Chromaticities of red, green, blue and white (table 2).
    pub primaries: u32,
    /// From light to stored values (table 3): 16 is PQ, 18 is HLG.
    pub transfer: u32,
    /// From red, green, blue to luma and chroma (table 4).
    pub matrix: u32,
}

/// In all three, for what is not known.
pub const UNSPECIFIED: u32 = 2;

impl Default for Colors {
    fn default() -> Self {
        Self {
            primaries: UNSPECIFIED,
            transfer: UNSPECIFIED,
            matrix: UNSPECIFIED,
        }
    }
}

impl Colors {
    /// Recommendation ITU-R BT.709, in all three: what ordinary HD video has.
    pub const BT709: Self = Self {
        primaries: 1,
        transfer: 1,
        matrix: 1,
    };

    /// What is not specified here is taken from `other`.
    fn or(self, other: Self) -> Self {
        let either = |a: u32, b: u32| if a == UNSPECIFIED { b } else { a };
        Self {
            primaries: either(self.primaries, other.primaries),
            transfer: either(self.transfer, other.transfer),
            matrix: either(self.matrix, other.matrix),
        }
    }

    /// FFmpeg's name of the transfer characteristics.
    pub fn transfer_name(self) -> Option<String> {
        if self.transfer == UNSPECIFIED {
            return None;
        }
        let value = ffi::AVColorTransferCharacteristic(self.transfer);
        // SAFETY: gives a constant string, or null for a number without a name.
        let name = unsafe { ffi::av_color_transfer_name(value) };
        // SAFETY: as above.
        (!name.is_null()).then(|| {
            unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned()
        })
    }
}

/// Where streams were joined, demuxers call whole packets damaged, so the decoder's word counts
/// more; not all decoders give it.
fn reports_damage(codec: ffi::AVCodecID) -> bool {
    use ffi::AVCodecID as Id;
    [
        Id::H264,
        Id::MPEG1VIDEO,
        Id::MPEG2VIDEO,
        Id::MPEG4,
        Id::H263,
        Id::VC1,
        Id::WMV3,
    ]
    .contains(&codec)
}

/// Width, height and shape of pixels of the sequence that begins in a packet of MPEG-1 or MPEG-2
/// (ITU-T H.262, 6.2.2.1). Where they change, FFmpeg's decoder forgets the picture that it still
/// holds back.
fn sequence_look(packet: &[u8]) -> Option<[u8; 4]> {
    const SEQUENCE: [u8; 4] = [0, 0, 1, 0xb3];
    const PICTURE: [u8; 4] = [0, 0, 1, 0];
    let code = packet
        .windows(4)
        .position(|four| four == SEQUENCE || four == PICTURE)?;
    let header = packet[code..].strip_prefix(&SEQUENCE)?;
    let [a, b, c, shape_and_rate] = *header.first_chunk()?;
    Some([a, b, c, shape_and_rate & 0xf0])
}

/// A decoded picture; its memory is the decoder's.
pub struct Picture {
    pub(super) frame: ffmpeg::Frame,
}

/// What is known of a picture beside its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureFacts {
    pub width: u32,
    pub height: u32,
    pub pixel_aspect: (i32, i32),
    pub matrix: Option<[i32; 9]>,
    pub colors: Colors,
    pub ticks: Option<i64>,
    pub is_damaged: bool,
    /// Size of the decoder's own pictures, which end with whole blocks.
    pub coded: (u32, u32),
}

impl Picture {
    pub fn empty() -> Self {
        // SAFETY: makes a picture without pixels, which is what the decoder wants.
        Self {
            frame: unsafe { ffmpeg::Frame::empty() },
        }
    }

    pub(super) fn raw(&self) -> &ffi::AVFrame {
        // SAFETY: the pointer is that of a picture that lives as long as `self`.
        unsafe { &*self.frame.as_ptr() }
    }
}

impl Decoder {
    /// Starts to decode a track on `threads` threads.
    pub fn start(mut demuxer: Demuxer, track: usize, threads: usize) -> Result<Self, Error> {
        demuxer.read_only(track);
        let matrix = demuxer.matrix(track);
        let parameters = demuxer.parameters(track);
        let container_colors = Colors {
            primaries: parameters.color_primaries.0,
            transfer: parameters.color_trc.0,
            matrix: parameters.color_space.0,
        };
        let time_base = demuxer.stream(track).time_base;
        let mut context = Context::new();
        // SAFETY: copies the parameters into a context that is not yet open.
        let copied =
            unsafe { ffi::avcodec_parameters_to_context(context.as_mut_ptr(), parameters) };
        if copied < 0 {
            return Err(Error::from(copied));
        }
        context.set_threading(threading::Config {
            // Whole pictures or parts of them, as the codec can.
            count: threads.clamp(1, MAX_DECODER_THREADS),
            ..threading::Config::kind(threading::Type::Frame)
        });
        // SAFETY: sets plain numbers of a context that is not yet open.
        unsafe {
            (*context.as_mut_ptr()).pkt_timebase = time_base;
            (*context.as_mut_ptr()).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
        }
        let codec_id = parameters.codec_id;
        // SAFETY: the decoder is one of FFmpeg's own, or null, which is an error.
        let opened = unsafe {
            let codec = ffi::avcodec_find_decoder(codec_id);
            if codec.is_null() {
                return Err(Error::DecoderNotFound);
            }
            let opened = ffi::avcodec_open2(context.as_mut_ptr(), codec, ptr::null_mut());
            if opened < 0 {
                return Err(Error::from(opened));
            }
            Opened(context.decoder())
        };
        Ok(Self {
            demuxer,
            opened,
            track,
            matrix,
            container_colors,
            reports_damage: reports_damage(codec_id),
            damaged_ticks: Vec::new(),
            follows_damage: false,
            sequence: None,
            has_sequences: [ffi::AVCodecID::MPEG1VIDEO, ffi::AVCodecID::MPEG2VIDEO]
                .contains(&codec_id),
            is_draining: false,
            is_at_end: false,
            has_given_pictures: false,
            lost_pictures: 0,
        })
    }

    pub fn demuxer(&mut self) -> &mut Demuxer {
        &mut self.demuxer
    }

    /// The rate that the stream itself states, where it does.
    pub fn stream_rate_hz(&self) -> Option<f64> {
        let rate = self.opened.frame_rate().map(f64::from);
        rate.filter(|hz| hz.is_finite() && *hz > 0.0)
    }

    /// Decodes the next picture in order of presentation; `false` at the end.
    pub fn next(&mut self, picture: &mut Picture) -> bool {
        let mut errors_in_a_row = 0;
        while errors_in_a_row < MAX_ERRORS_IN_A_ROW {
            match self.opened.receive_frame(&mut picture.frame) {
                Ok(()) => {
                    self.has_given_pictures = true;
                    return true;
                }
                Err(Error::Eof) if self.is_draining => {
                    self.is_draining = false;
                    self.opened.flush();
                    if !self.send() {
                        errors_in_a_row += 1;
                    }
                }
                Err(Error::Eof) => return false,
                Err(error) if is_again(error) => {
                    errors_in_a_row = if self.feed() { 0 } else { errors_in_a_row + 1 };
                }
                Err(_) => {
                    self.count_lost();
                    errors_in_a_row += 1;
                }
            }
        }
        false
    }

    /// Gives the decoder its next packet; `false` when it does not like it.
    fn feed(&mut self) -> bool {
        if self.is_at_end {
            return false;
        }
        let Some(packet) = self.demuxer.next_packet(self.track) else {
            self.is_at_end = true;
            return self.opened.send_eof().is_ok();
        };
        if !self.reports_damage {
            // What transport streams lack is missed only when the next packet has begun.
            let is_damaged = packet.is_corrupt();
            if is_damaged || self.follows_damage {
                self.damaged_ticks.extend(packet.pts().or(packet.dts()));
            }
            self.follows_damage = is_damaged;
        }
        let sequence = packet.data().filter(|_| self.has_sequences);
        if let Some(sequence) = sequence.and_then(sequence_look) {
            let before = self.sequence.replace(sequence);
            if before.is_some_and(|before| before != sequence) {
                self.is_draining = true;
                return self.opened.send_eof().is_ok();
            }
        }
        self.send()
    }

    /// Gives the decoder the packet that was read last.
    fn send(&mut self) -> bool {
        match self.opened.send_packet(&self.demuxer.packet) {
            Ok(()) => true,
            Err(error) if is_again(error) => false,
            Err(_) => {
                self.count_lost();
                false
            }
        }
    }

    /// A stream that was cut out of a longer one may begin with what cannot be decoded.
    fn count_lost(&mut self) {
        self.lost_pictures += u64::from(self.has_given_pictures);
    }

    /// What is known of a picture that this decoder gave.
    pub fn facts(&mut self, picture: &Picture) -> PictureFacts {
        let frame = picture.raw();
        let side = |value: i32| u32::try_from(value).unwrap_or(0);
        // SAFETY: all three belong to each other and are alive; nothing is kept.
        let aspect = unsafe {
            ffi::av_guess_sample_aspect_ratio(
                self.demuxer.input.as_mut_ptr(),
                *(*self.demuxer.input.as_mut_ptr()).streams.add(self.track),
                picture.frame.as_ptr().cast_mut(),
            )
        };
        // SAFETY: the side data belong to the picture, and are as long as they say.
        let own_matrix = unsafe {
            let data = ffi::av_frame_get_side_data(frame, ffi::AVFrameSideDataType::DISPLAYMATRIX);
            data.as_ref()
                .and_then(|data| read_matrix(data.data, data.size))
        };
        // It holds for the pictures that follow too.
        self.matrix = own_matrix.or(self.matrix);
        let known = |ticks: i64| (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks);
        let ticks = known(frame.best_effort_timestamp);
        let in_damaged_packet = [known(frame.pts), known(frame.pkt_dts)]
            .into_iter()
            .flatten()
            .find_map(|ticks| self.damaged_ticks.iter().position(|known| *known == ticks));
        if let Some(position) = in_damaged_packet {
            self.damaged_ticks.swap_remove(position);
        }
        // SAFETY: reads plain numbers of an open decoder.
        let (width, height, coded) = unsafe {
            let context = &*self.opened.as_ptr();
            (
                context.width,
                context.height,
                (context.coded_width, context.coded_height),
            )
        };
        let size = (side(frame.width), side(frame.height));
        // Where the size changes, the decoder is ahead of the picture.
        let coded = if (frame.width, frame.height) == (width, height) {
            (side(coded.0).max(size.0), side(coded.1).max(size.1))
        } else {
            size
        };
        let colors = Colors {
            primaries: frame.color_primaries.0,
            transfer: frame.color_trc.0,
            matrix: frame.colorspace.0,
        };
        PictureFacts {
            width: size.0,
            height: size.1,
            pixel_aspect: (aspect.num, aspect.den),
            matrix: self.matrix,
            colors: colors.or(self.container_colors),
            ticks,
            is_damaged: frame.flags & ffi::AV_FRAME_FLAG_CORRUPT != 0
                || frame.decode_error_flags != 0
                || in_damaged_packet.is_some(),
            coded,
        }
    }
}
