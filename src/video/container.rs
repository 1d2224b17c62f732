//! Recognises video containers by their first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A container that can hold video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// MP4, QuickTime, 3GP.
    IsoMedia,
    /// Matroska, WebM.
    Matroska,
    /// RIFF with pictures and sound interleaved (Microsoft).
    Avi,
    /// ISO/IEC 13818-1, packets of 188 bytes or of 192 with a time before each: broadcasts, AVCHD.
    MpegTransportStream,
    /// ISO/IEC 13818-1: DVDs, camcorders that write to discs.
    MpegProgramStream,
    /// MPEG-1 or MPEG-2 video without a container.
    MpegVideo,
    /// Advanced Systems Format: WMV.
    Asf,
    /// FLV and F4V's older kind, of Adobe.
    FlashVideo,
    /// RFC 3533: Theora, and streams of other codecs in Ogg pages.
    Ogg,
    /// Material Exchange Format (SMPTE 377-1): broadcast cameras.
    Mxf,
    /// Pictures without compression, as pipes between tools have them.
    Yuv4Mpeg,
    /// H.264 without a container.
    H264,
    /// H.265 without a container.
    H265,
}

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One of the kinds that are read; whether its codec can be decoded is not known yet.
    Video(Container),
    /// A text that names other files: the name of its kind.
    Playlist(&'static str),
    /// None of the signatures fits; it may be a video all the same, of a kind that only FFmpeg
    /// knows.
    Unknown,
}

/// Bytes that recognition looks at. An encoder's description of itself may stand before the first
/// parameter set of a stream, and takes hundreds of bytes.
const HEAD_BYTES: u64 = 4096;

impl Container {
    /// The name that users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsoMedia => "MP4/QuickTime",
            Self::Matroska => "Matroska/WebM",
            Self::Avi => "AVI",
            Self::MpegTransportStream => "MPEG transport stream",
            Self::MpegProgramStream => "MPEG program stream",
            Self::MpegVideo => "MPEG video stream",
            Self::Asf => "ASF/WMV",
            Self::FlashVideo => "Flash video",
            Self::Ogg => "Ogg",
            Self::Mxf => "MXF",
            Self::Yuv4Mpeg => "YUV4MPEG",
            Self::H264 => "H.264 stream",
            Self::H265 => "H.265 stream",
        }
    }

    /// FFmpeg's name for what reads it.
    pub(super) fn demuxer(self) -> &'static str {
        match self {
            Self::IsoMedia => "mov",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::MpegTransportStream => "mpegts",
            Self::MpegProgramStream => "mpeg",
            Self::MpegVideo => "mpegvideo",
            Self::Asf => "asf",
            Self::FlashVideo => "flv",
            Self::Ogg => "ogg",
            Self::Mxf => "mxf",
            Self::Yuv4Mpeg => "yuv4mpegpipe",
            Self::H264 => "h264",
            Self::H265 => "hevc",
        }
    }

    /// Such streams are cut and joined anywhere, and their clocks may start anew.
    pub(super) fn may_restart(self) -> bool {
        matches!(self, Self::MpegTransportStream | Self::MpegProgramStream)
    }

    fn of_head(head: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| {
            head.get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        if is_iso_media(head) {
            Some(Self::IsoMedia)
        } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
            Some(Self::Matroska)
        } else if at(0, b"RIFF") && at(8, b"AVI ") {
            Some(Self::Avi)
        } else if at(0, &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11]) {
            Some(Self::Asf)
        } else if at(0, b"FLV\x01") {
            Some(Self::FlashVideo)
        } else if at(0, b"OggS") {
            Some(Self::Ogg)
        } else if at(0, &[0x06, 0x0e, 0x2b, 0x34]) {
            Some(Self::Mxf)
        } else if at(0, b"YUV4MPEG2 ") {
            Some(Self::Yuv4Mpeg)
        } else if at(0, &[0, 0, 1, 0xba]) {
            Some(Self::MpegProgramStream)
        } else if at(0, &[0, 0, 1, 0xb3]) {
            Some(Self::MpegVideo)
        } else if is_transport_stream(head) {
            Some(Self::MpegTransportStream)
        } else {
            of_units(head)
        }
    }
}

/// A file of boxes begins with one of these; each has its length before its name.
fn is_iso_media(head: &[u8]) -> bool {
    const BOXES: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];
    /// Only pictures and sound take more. Four letters, as in "the free", are a longer length.
    const MOST_BYTES: u32 = 1 << 29;
    let Some((length, rest)) = head.split_first_chunk::<4>() else {
        return false;
    };
    let is_plausible = u32::from_be_bytes(*length) <= MOST_BYTES;
    BOXES
        .iter()
        .any(|name| rest.starts_with(name) && (is_plausible || *name == b"mdat"))
}

/// Packets of a transport stream begin with a sync byte (ISO/IEC 13818-1, 2.4.3.2). They have 188
/// bytes; camcorders put four bytes of time before each (192), broadcasters 16 of parity behind
/// (204). A recording may have been cut within a packet; more packets have to agree then.
fn is_transport_stream(head: &[u8]) -> bool {
    const SYNC_BYTE: u8 = 0x47;
    const FEWEST_PACKETS: usize = 3;
    const FEWEST_OF_A_CUT: usize = 8;
    let has_sync_bytes = |start: usize, packet_bytes: usize, fewest: usize| {
        let packets = head.get(start..).unwrap_or_default().chunks(packet_bytes);
        let mut looked_at = packets.take(FEWEST_OF_A_CUT);
        looked_at.len() >= fewest && looked_at.all(|packet| packet[0] == SYNC_BYTE)
    };
    let is_whole = [(0, 188), (4, 192), (0, 204)]
        .into_iter()
        .any(|(start, packet_bytes)| has_sync_bytes(start, packet_bytes, FEWEST_PACKETS));
    is_whole
        || [188, 192, 204].into_iter().any(|packet_bytes| {
            (0..packet_bytes).any(|start| has_sync_bytes(start, packet_bytes, FEWEST_OF_A_CUT))
        })
}

/// Recognises bare H.264 and H.265 by their NAL units: what may come before the first parameter
/// set, then that set (ITU-T H.264, 7.3.1 and table 7-1; H.265, 7.3.1.2 and table 7-1).
fn of_units(head: &[u8]) -> Option<Container> {
    let begins_with_unit = head.starts_with(&[0, 0, 1]) || head.starts_with(&[0, 0, 0, 1]);
    if !begins_with_unit {
        return None;
    }
    let is_h264 = || {
        for unit in units(head) {
            let [header, payload @ ..] = unit else {
                return false;
            };
            let (forbidden, reference, kind) = (header >> 7, header >> 5 & 3, header & 0x1f);
            match (forbidden, kind, reference) {
                // A sequence parameter set is always for reference, and begins with its profile.
                (0, 7, 1..) => return payload.first().is_some_and(|p| H264_PROFILES.contains(p)),
                // Descriptions (SEI), access unit delimiters and filler are never for reference.
                (0, 6 | 9 | 12, 0) => {}
                _ => return false,
            }
        }
        false
    };
    let is_h265 = || {
        for unit in units(head) {
            let [first, second, ..] = unit else {
                return false;
            };
            let (forbidden, kind) = (first >> 7, first >> 1 & 0x3f);
            // Parameter sets belong to the first layer, and to its lowest sublayer (plus 1).
            let is_base = first & 1 == 0 && *second == 1;
            match (forbidden, kind, is_base) {
                // Video and sequence parameter sets.
                (0, 32 | 33, true) => return true,
                // Access unit delimiters, filler, descriptions (SEI).
                (0, 35 | 38 | 39, _) => {}
                _ => return false,
            }
        }
        false
    };
    if is_h264() {
        Some(Container::H264)
    } else if is_h265() {
        Some(Container::H265)
    } else {
        None
    }
}

/// Values of profile_idc that exist (ITU-T H.264, annexes A, F, G, H, I).
const H264_PROFILES: [u8; 17] = [
    44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244,
];

/// The bytes between start codes; the last one is cut off where `stream` ends.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start_after = |from: usize| {
        let rest = stream.get(from..)?;
        let code = rest.windows(3).position(|three| three == [0, 0, 1])?;
        Some(from + code + 3)
    };
    let mut next = start_after(0);
    std::iter::from_fn(move || {
        let start = next?;
        next = start_after(start);
        // Whatever zeros stand before the next start code do not matter to who looks at the front.
        let end = next.map_or(stream.len(), |next| next - 3);
        stream.get(start..end)
    })
}

impl Content {
    fn of_head(head: &[u8]) -> Self {
        if let Some(container) = Container::of_head(head) {
            return Self::Video(container);
        }
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        let text = text.trim_ascii_start();
        let contains = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if text.starts_with(b"#EXTM3U") {
            Self::Playlist("an HLS playlist (M3U)")
        } else if text.starts_with(b"<MPD") || (text.starts_with(b"<?xml") && contains(b"<MPD")) {
            Self::Playlist("a DASH manifest (MPD)")
        } else {
            Self::Unknown
        }
    }
}

/// Recognises a regular file by its content.
///
/// # Errors
/// When the file cannot be read.
pub fn sniff(path: &Path) -> io::Result<Content> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(Content::of_head(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        let check = |head: &[u8], expected| assert_eq!(Container::of_head(head), expected);
        check(b"\0\0\0\x20ftypisom", Some(Container::IsoMedia));
        check(b"\x1a\x45\xdf\xa3....", Some(Container::Matroska));
        check(b"RIFF....AVI LIST", Some(Container::Avi));
        check(b"RIFF....WAVEfmt ", None);
        check(b"#!/bin/sh\n", None);
        check(b"", None);
    }

    #[test]
    fn transport_streams_have_a_sync_byte_in_every_packet() {
        let stream = |packet: usize, sync: usize, cut: usize| {
            let mut stream = vec![0; HEAD_BYTES as usize + cut];
            stream[sync..]
                .iter_mut()
                .step_by(packet)
                .for_each(|byte| *byte = 0x47);
            stream.split_off(cut)
        };
        let is_known =
            |head: &[u8]| Container::of_head(head) == Some(Container::MpegTransportStream);
        for (packet, sync) in [(188, 0), (192, 4), (204, 0)] {
            assert!(is_known(&stream(packet, sync, 0)), "{packet}");
            assert!(is_known(&stream(packet, sync, 100)), "{packet}, cut");
        }
        assert!(!is_known(&stream(190, 0, 0)));
        let mut damaged = stream(188, 0, 0);
        damaged[188 * 2] = 0;
        assert!(!is_known(&damaged));
        // A picture, and a program, that begin with the sync byte.
        assert!(!is_known(b"GIF89a"));
        assert!(!is_known("Gait = 1;\n".repeat(400).as_bytes()));
    }

    #[test]
    fn texts_are_no_boxes() {
        let check = |head: &[u8], expected| assert_eq!(Container::of_head(head), expected);
        check(b"the free encyclopedia", None);
        check(b"Let skip = 1", None);
        check(b"\0\0\0\x08wide\0\0\0\0mdat", Some(Container::IsoMedia));
        check(b"\x7f\0\0\0mdat", Some(Container::IsoMedia));
    }

    #[test]
    fn bare_streams_are_known_by_their_units() {
        const LONG: [u8; 4] = [0, 0, 0, 1];
        const SHORT: [u8; 3] = [0, 0, 1];
        let check = |parts: &[&[u8]], expected| {
            assert_eq!(Container::of_head(&parts.concat()), expected, "{parts:x?}");
        };
        for code in [&LONG[..], &SHORT] {
            let h264 = Some(Container::H264);
            // All three ways to say that a set is for reference.
            for header in [0x27, 0x47, 0x67] {
                check(&[code, &[header, 100, 0, 31, 0xac]], h264);
            }
            check(&[code, &[9, 0xf0], code, &[0x67, 66, 0xc0, 30]], h264);
            let long_description = [6; 900];
            check(&[code, &long_description, code, &[0x27, 77, 0, 30]], h264);
            let h265 = Some(Container::H265);
            check(&[code, &[0x40, 1, 12]], h265);
            check(&[code, &[0x42, 1, 1]], h265);
            check(&[code, &[0x46, 1, 0x50], code, &[0x40, 1, 12]], h265);
            check(&[code, &[0x4e, 1, 5, 7], code, &[0x40, 1, 12]], h265);
            // No such profile; a slice alone; the parameter set never comes.
            check(&[code, &[0x67, 1, 0, 0]], None);
            check(&[code, &[0x65, 0x88, 0x84]], None);
            check(&[code, &[9, 0xf0]], None);
        }
        // An icon with one picture, MPEG-4 video, a program stream.
        check(&[&[0, 0, 1, 0, 1, 0, 16, 16]], None);
        check(&[&[0, 0, 1, 0xb0, 1]], None);
        check(
            &[&[0, 0, 1, 0xba, 0x44]],
            Some(Container::MpegProgramStream),
        );
    }

    #[test]
    fn playlists_are_known_by_their_first_line() {
        let check = |text: &str, expected| assert_eq!(Content::of_head(text.as_bytes()), expected);
        let hls = Content::Playlist("an HLS playlist (M3U)");
        check("#EXTM3U\n#EXT-X-VERSION:3\n", hls);
        check("\u{feff}\r\n #EXTM3U8\n", hls);
        let dash = Content::Playlist("a DASH manifest (MPD)");
        check(
            "<?xml version=\"1.0\"?>\n<!-- x -->\n<MPD xmlns=\"urn\">",
            dash,
        );
        check("<?xml version=\"1.0\"?><svg/>", Content::Unknown);
        check("EXTM3U", Content::Unknown);
    }
}
