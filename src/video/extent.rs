//! Tells whether a file ends before its pictures do.
//!
//! What counts is where the pictures lie, never how long the file says that it is: recorders leave
//! lengths unset (0, 0xFFFFFFFF), and put their own data behind the last box.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::container::Container;

/// What the container's structure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Nothing is known to be missing.
    Whole,
    /// The file ends within pictures.
    CutOff,
    /// Something at the end is missing, pictures or only what stands behind them.
    EndMissing,
}

/// Looks how far the pictures go. `last_picture_end` is where the last one of the container's
/// index ends, in bytes from the start of the file.
///
/// # Errors
/// When the file cannot be read.
pub fn extent(
    path: &Path,
    container: Container,
    last_picture_end: Option<u64>,
) -> io::Result<Extent> {
    let mut file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    match container {
        Container::IsoMedia => {
            if last_picture_end.is_some_and(|end| end > file_bytes) {
                return Ok(Extent::CutOff);
            }
            iso_fragments(&mut file, file_bytes)
        }
        Container::Matroska => matroska(&mut file, file_bytes),
        Container::Avi => avi(&mut file, file_bytes),
        _ => Ok(Extent::Whole),
    }
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

/// A fragmented file (ISO/IEC 14496-12, 8.8) has no index of the whole; it is cut off when its last
/// fragment is. Others are judged by their index.
fn iso_fragments(file: &mut File, file_bytes: u64) -> io::Result<Extent> {
    let mut is_fragmented = false;
    let mut at = 0_u64;
    while at < file_bytes {
        let Some([a, b, c, d, name @ ..]) = read_at::<8>(file, at)? else {
            break;
        };
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // To the end of the file.
            0 => break,
            1 => match read_at::<8>(file, at + 8)? {
                Some(large) => u64::from_be_bytes(large),
                None => break,
            },
            size => u64::from(size),
        };
        is_fragmented |= &name == b"moof";
        let holds_pictures = matches!(&name, b"moof" | b"mdat");
        if size < 8 {
            break;
        }
        let Some(end) = at.checked_add(size) else {
            break;
        };
        if is_fragmented && holds_pictures && end > file_bytes {
            return Ok(Extent::CutOff);
        }
        at = end;
    }
    Ok(Extent::Whole)
}

/// Whether an ISO file has no index: recorders write it last, and a recording that was not finished,
/// or a copy that was cut off, lacks it.
pub fn lacks_index(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    let mut at = 0_u64;
    while let Ok(Some([a, b, c, d, name @ ..])) = read_at::<8>(&mut file, at) {
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 => match read_at::<8>(&mut file, at + 8) {
                Ok(Some(large)) => u64::from_be_bytes(large),
                _ => return true,
            },
            size => u64::from(size),
        };
        if matches!(&name, b"moov" | b"moof") {
            return false;
        }
        match at.checked_add(size) {
            Some(next) if size >= 8 => at = next,
            // To the end of the file, or beyond.
            _ => return true,
        }
    }
    true
}

/// Walks over the clusters of a Matroska segment (RFC 8794 and RFC 9559). Live recordings leave
/// lengths unset, and are taken as they are.
fn matroska(file: &mut File, file_bytes: u64) -> io::Result<Extent> {
    const SEGMENT_ID: u32 = 0x1853_8067;
    const CLUSTER_ID: u32 = 0x1f43_b675;
    let Some((_, header_end)) = ebml_element(file, 0)? else {
        return Ok(Extent::Whole);
    };
    let Some((id, segment)) = header_end
        .end
        .map_or(Ok(None), |end| ebml_element(file, end))?
    else {
        return Ok(Extent::Whole);
    };
    let Some(segment_end) = segment.end.filter(|_| id == SEGMENT_ID) else {
        return Ok(Extent::Whole);
    };
    if segment_end <= file_bytes {
        return Ok(Extent::Whole);
    }
    let mut at = segment.start;
    while at < file_bytes {
        let Some((id, element)) = ebml_element(file, at)? else {
            return Ok(Extent::EndMissing);
        };
        let Some(end) = element.end else {
            return Ok(Extent::EndMissing);
        };
        if id == CLUSTER_ID && end > file_bytes {
            return Ok(Extent::CutOff);
        }
        at = end;
    }
    Ok(Extent::EndMissing)
}

/// Where the content of an element lies; its end is `None` when the element does not say.
struct Element {
    start: u64,
    end: Option<u64>,
}

/// The element at a place; `None` where none can be read.
fn ebml_element(file: &mut File, at: u64) -> io::Result<Option<(u32, Element)>> {
    let Some([first]) = read_at::<1>(file, at)? else {
        return Ok(None);
    };
    let id_bytes = u64::from(first.leading_zeros()) + 1;
    if id_bytes > 4 {
        return Ok(None);
    }
    let mut id = 0;
    for i in 0..id_bytes {
        let Some([byte]) = read_at::<1>(file, at + i)? else {
            return Ok(None);
        };
        id = id << 8 | u32::from(byte);
    }
    let Some([first]) = read_at::<1>(file, at + id_bytes)? else {
        return Ok(None);
    };
    let size_bytes = u64::from(first.leading_zeros()) + 1;
    if size_bytes > 8 {
        return Ok(None);
    }
    let mut size = u64::from(first) & ((1 << (8 - size_bytes)) - 1);
    for i in 1..size_bytes {
        let Some([byte]) = read_at::<1>(file, at + id_bytes + i)? else {
            return Ok(None);
        };
        size = size << 8 | u64::from(byte);
    }
    let unknown = (1 << (7 * size_bytes)) - 1;
    let start = at + id_bytes + size_bytes;
    let end = (size != unknown).then(|| start.checked_add(size)).flatten();
    Ok(Some((id, Element { start, end })))
}

/// Looks for the lists of pictures ('movi') in an AVI file's RIFF chunks; large files are a chain
/// of those. A length of 0 or 0xFFFFFFFF was never filled in.
fn avi(file: &mut File, file_bytes: u64) -> io::Result<Extent> {
    const NEVER_FILLED_IN: [u32; 2] = [0, u32::MAX];
    let chunk = |file: &mut File, at: u64| -> io::Result<Option<([u8; 4], u32)>> {
        let header = read_at::<8>(file, at)?;
        Ok(header.map(|[a, b, c, d, size @ ..]| ([a, b, c, d], u32::from_le_bytes(size))))
    };
    let padded = |size: u32| u64::from(size) + u64::from(size % 2);
    let mut riff_at = 0;
    while let Some((name, riff_size)) = chunk(file, riff_at)? {
        if &name != b"RIFF" {
            break;
        }
        let riff_end = match NEVER_FILLED_IN.contains(&riff_size) {
            true => u64::MAX,
            false => riff_at + 8 + padded(riff_size),
        };
        // Behind the name of what the chunk holds.
        let mut at = riff_at + 12;
        while at < riff_end.min(file_bytes) {
            let Some((name, size)) = chunk(file, at)? else {
                break;
            };
            let kind = read_at::<4>(file, at + 8)?;
            let is_pictures = &name == b"LIST" && kind.as_ref() == Some(b"movi");
            if is_pictures {
                if NEVER_FILLED_IN.contains(&size) {
                    return Ok(Extent::Whole);
                }
                // The padding byte behind an odd chunk may be missing.
                if at + 8 + u64::from(size) > file_bytes {
                    return Ok(Extent::CutOff);
                }
            }
            at += 8 + padded(size);
        }
        if riff_end > file_bytes {
            break;
        }
        riff_at = riff_end;
    }
    Ok(Extent::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(container: Container, bytes: &[u8], last_picture_end: Option<u64>, expected: Extent) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let found = extent(file.path(), container, last_picture_end).expect("an extent");
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(bytes));
    }

    fn iso_box(name: &[u8; 4], size: u32, present: usize) -> Vec<u8> {
        [&size.to_be_bytes()[..], name, &vec![0; present]].concat()
    }

    #[test]
    fn an_mp4_is_as_long_as_its_last_picture() {
        let whole = [iso_box(b"moov", 16, 8), iso_box(b"mdat", 28, 20)].concat();
        let check = |bytes: &[u8], end, expected| check(Container::IsoMedia, bytes, end, expected);
        check(&whole, Some(44), Extent::Whole);
        check(&whole, Some(45), Extent::CutOff);
        // Text behind the last box reads as the name of an enormous one.
        let text = [&whole[..], b"$GPRMC,123519,A,4807"].concat();
        check(&text, Some(44), Extent::Whole);
        // Only the box that holds the pictures is longer than the file.
        let long = [iso_box(b"moov", 16, 8), iso_box(b"mdat", 5000, 20)].concat();
        check(&long, Some(44), Extent::Whole);
        let fragment = iso_box(b"moof", 16, 8);
        let fragmented = [iso_box(b"moov", 16, 8), fragment.clone()].concat();
        check(
            &[&fragmented[..], &iso_box(b"mdat", 28, 20)].concat(),
            None,
            Extent::Whole,
        );
        check(
            &[&fragmented[..], &iso_box(b"mdat", 29, 20)].concat(),
            None,
            Extent::CutOff,
        );
        check(
            &[&fragmented[..], &iso_box(b"mdat", 0, 20), &fragment[..9]].concat(),
            None,
            Extent::Whole,
        );
    }

    #[test]
    fn an_avi_is_as_long_as_its_list_of_pictures() {
        let avi = |riff: u32, movi: u32, present: usize| {
            let parts: [&[u8]; 8] = [
                b"RIFF",
                &riff.to_le_bytes(),
                b"AVI ",
                b"JUNK\x03\0\0\0abc\0",
                b"LIST",
                &movi.to_le_bytes(),
                b"movi",
                &vec![0; present],
            ];
            parts.concat()
        };
        let check = |bytes: &[u8], expected| check(Container::Avi, bytes, None, expected);
        check(&avi(60, 36, 32), Extent::Whole);
        check(&avi(60, 36, 31), Extent::CutOff);
        // The index behind the pictures is missing.
        check(&avi(90, 36, 32), Extent::Whole);
        // Written to a pipe.
        check(&avi(u32::MAX, u32::MAX, 32), Extent::Whole);
        check(&avi(0, 0, 32), Extent::Whole);
        check(&avi(u32::MAX, 36, 31), Extent::CutOff);
    }

    #[test]
    fn a_matroska_file_is_as_long_as_its_clusters() {
        let matroska = |segment: u8, cluster: u8, present: usize| {
            let parts: [&[u8]; 4] = [
                b"\x1a\x45\xdf\xa3\x82ab",
                &[0x18, 0x53, 0x80, 0x67, segment],
                &[0x1f, 0x43, 0xb6, 0x75, cluster],
                &vec![0; present],
            ];
            parts.concat()
        };
        let check = |bytes: &[u8], expected| check(Container::Matroska, bytes, None, expected);
        check(&matroska(0x80 | 15, 0x80 | 10, 10), Extent::Whole);
        check(&matroska(0x80 | 15, 0x80 | 10, 9), Extent::CutOff);
        check(&matroska(0x80 | 40, 0x80 | 10, 10), Extent::EndMissing);
        // Live recordings do not know.
        check(&matroska(0xff, 0xff, 10), Extent::Whole);
        check(&matroska(0xff, 0x80 | 10, 9), Extent::Whole);
    }
}
