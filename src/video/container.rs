//! Recognises video containers by their first bytes, and tells whether a file was cut off.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A container that can hold video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// MP4, QuickTime, 3GP.
    IsoMedia,
    /// Matroska, WebM.
    Matroska,
    Avi,
    MpegTransportStream,
    MpegProgramStream,
    Asf,
    FlashVideo,
    Ogg,
    Mxf,
    Yuv4Mpeg,
    /// H.264 or H.265 without a container.
    ElementaryStream,
}

/// Bytes that recognition looks at: three transport stream packets and a little more.
const HEAD_BYTES: u64 = 1024;

impl Container {
    /// The name that users know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsoMedia => "MP4/QuickTime",
            Self::Matroska => "Matroska/WebM",
            Self::Avi => "AVI",
            Self::MpegTransportStream => "MPEG transport stream",
            Self::MpegProgramStream => "MPEG program stream",
            Self::Asf => "ASF/WMV",
            Self::FlashVideo => "Flash video",
            Self::Ogg => "Ogg",
            Self::Mxf => "MXF",
            Self::Yuv4Mpeg => "YUV4MPEG",
            Self::ElementaryStream => "H.264/H.265 stream",
        }
    }

    fn of_head(head: &[u8]) -> Option<Self> {
        let at = |offset: usize, magic: &[u8]| {
            head.get(offset..)
                .is_some_and(|rest| rest.starts_with(magic))
        };
        let iso_boxes: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];
        // A transport stream packet is 188 bytes; camcorders put four bytes of time before each.
        let has_sync_bytes = |start: usize, packet: usize| {
            (0..3).all(|i| head.get(start + i * packet) == Some(&0x47))
        };
        if iso_boxes.iter().any(|name| at(4, name)) {
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
        } else if at(0, &[0, 0, 1, 0xba]) || at(0, &[0, 0, 1, 0xb3]) {
            Some(Self::MpegProgramStream)
        } else if at(0, &[0, 0, 0, 1, 0x67])
            || at(0, &[0, 0, 0, 1, 0x09])
            || at(0, &[0, 0, 0, 1, 0x40])
        {
            Some(Self::ElementaryStream)
        } else if has_sync_bytes(0, 188) || has_sync_bytes(4, 192) {
            Some(Self::MpegTransportStream)
        } else {
            None
        }
    }
}

/// Recognises a regular file's container by its content; `None` when it is none of the known.
///
/// # Errors
/// When the file cannot be read.
pub fn sniff(path: &Path) -> io::Result<Option<Container>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(Container::of_head(&head))
}

/// Whether the container says that it is longer than the file is.
///
/// Only containers that state their length can tell; the others are never called cut off here.
///
/// # Errors
/// When the file cannot be read.
pub fn is_cut_off(path: &Path, container: Container) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let declared_bytes = match container {
        Container::IsoMedia => iso_media_bytes(&mut file, file_bytes)?,
        Container::Matroska => matroska_bytes(&mut file)?,
        Container::Avi => riff_bytes(&mut file, file_bytes)?,
        _ => None,
    };
    Ok(declared_bytes.is_some_and(|declared| declared > file_bytes))
}

fn read_at<const N: usize>(file: &mut File, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at))?;
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Where the last top-level box ends (ISO/IEC 14496-12, 4.2). Trailing bytes that are no box, as
/// some cameras leave them, do not count.
fn iso_media_bytes(file: &mut File, file_bytes: u64) -> io::Result<Option<u64>> {
    let mut at = 0;
    while at < file_bytes {
        let Some(header) = read_at::<8>(file, at)? else {
            break;
        };
        let [a, b, c, d, name @ ..] = header;
        if !name
            .iter()
            .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        {
            break;
        }
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // To the end of the file.
            0 => return Ok(None),
            1 => match read_at::<8>(file, at + 8)? {
                Some(large) => u64::from_be_bytes(large),
                None => return Ok(Some(at + 16)),
            },
            size => u64::from(size),
        };
        if size < 8 {
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(Some(at))
}

/// Where the Matroska segment ends (RFC 8794 and RFC 9559); `None` when it does not say.
fn matroska_bytes(file: &mut File) -> io::Result<Option<u64>> {
    const SEGMENT_ID: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let Some((header_bytes, header_size)) = ebml_size(file, 4)? else {
        return Ok(None);
    };
    let segment_at = 4 + header_bytes + header_size;
    if read_at::<4>(file, segment_at)? != Some(SEGMENT_ID) {
        return Ok(None);
    }
    let size = ebml_size(file, segment_at + 4)?;
    Ok(size.map(|(size_bytes, size)| segment_at + 4 + size_bytes + size))
}

/// An EBML length as (bytes that it takes, value); `None` for "unknown".
fn ebml_size(file: &mut File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let Some([first]) = read_at::<1>(file, at)? else {
        return Ok(None);
    };
    let size_bytes = u64::from(first.leading_zeros()) + 1;
    if size_bytes > 8 {
        return Ok(None);
    }
    let mut value = u64::from(first) & ((1 << (8 - size_bytes)) - 1);
    for i in 1..size_bytes {
        let Some([byte]) = read_at::<1>(file, at + i)? else {
            return Ok(None);
        };
        value = value << 8 | u64::from(byte);
    }
    let unknown = (1 << (7 * size_bytes)) - 1;
    Ok((value != unknown).then_some((size_bytes, value)))
}

/// Where the last RIFF chunk ends; large AVI files are a chain of them.
fn riff_bytes(file: &mut File, file_bytes: u64) -> io::Result<Option<u64>> {
    let mut at = 0;
    while at < file_bytes {
        match read_at::<8>(file, at)? {
            Some([b'R', b'I', b'F', b'F', size @ ..]) => {
                let size = u64::from(u32::from_le_bytes(size));
                // A recorder that died before it filled the size in.
                if size == 0 {
                    return Ok(None);
                }
                at += 8 + size + size % 2;
            }
            _ => break,
        }
    }
    // The padding byte behind an odd chunk may be missing at the end.
    Ok(Some(at.saturating_sub(1)))
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
        let mut stream = vec![0; 600];
        for i in 0..3 {
            stream[i * 188] = 0x47;
        }
        check(&stream, Some(Container::MpegTransportStream));
    }
}
