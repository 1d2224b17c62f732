//! What a camera wrote into a file about the rate at which it took the pictures.
//!
//! Phones tell of slow motion in one of two ways.
//!
//! - Android stores the pictures at a usual rate (30/s), so that every player shows them slowly, and
//!   the true one in the tag `com.android.capture.fps`: among the movie's metadata (`moov/meta`,
//!   handler `mdta`, QuickTime File Format, "Metadata"), as a big-endian 32-bit float (type 23).
//!   FFmpeg writes it as text (type 1) and puts the box into `moov/udta`. Time lapses have the tag as
//!   well, with a rate below the stored one. Some cameras write the tag though they store the
//!   pictures at their true rate, so it has to be compared with that.
//! - Apple's and Samsung's originals keep the true times (120/s, 240/s), and players slow down. Apple's
//!   `com.apple.quicktime.full-frame-rate-playback-intent` only says how to play: it is 0 on iPhones
//!   for slow motion and for other videos alike, so that it tells nothing about times. Copies that an
//!   editor has rendered slowly carry no tag at all.
//!
//! Only boxes' headers and the metadata are read, whatever the file's size.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

const ANDROID_CAPTURE_FPS: &str = "com.android.capture.fps";
const APPLE_PLAYBACK_INTENT: &str = "com.apple.quicktime.full-frame-rate-playback-intent";
/// More boxes in a row are no file of a camera, and more bytes no list of keys.
const MAX_BOXES: usize = 10_000;
const MAX_KEYS_BYTES: u64 = 1 << 20;
const MAX_VALUE_BYTES: u64 = 1 << 10;

/// What the tags of a file say about rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CaptureTags {
    /// Frames per second at which the pictures were taken, finite and above 0.
    pub capture_fps: Option<f64>,
    /// An Apple camera wrote the file, and so the times of its pictures are true.
    pub has_apple_intent: bool,
}

/// The tags of a video file; none where it has none, is of another kind, or cannot be read.
pub fn capture_tags(path: &Path) -> CaptureTags {
    read_tags(path).unwrap_or_default()
}

fn read_tags(path: &Path) -> io::Result<CaptureTags> {
    let mut file = BufReader::new(File::open(path)?);
    let length = file.seek(SeekFrom::End(0))?;
    let mut tags = CaptureTags::default();
    for moov in boxes(&mut file, 0..length, b"moov")? {
        let mut metas = boxes(&mut file, moov.clone(), b"meta")?;
        for udta in boxes(&mut file, moov, b"udta")? {
            metas.extend(boxes(&mut file, udta, b"meta")?);
        }
        for meta in metas {
            read_meta(&mut file, meta, &mut tags)?;
        }
    }
    Ok(tags)
}

/// Contents of all boxes of a kind that lie side by side in `range`.
fn boxes<R: Read + Seek>(
    file: &mut R,
    range: Range<u64>,
    kind: &[u8; 4],
) -> io::Result<Vec<Range<u64>>> {
    let all = all_boxes(file, range)?;
    let wanted = all.into_iter().filter(|(found, _)| found == kind);
    Ok(wanted.map(|(_, content)| content).collect())
}

/// Kinds and contents of all boxes that lie side by side in `range`, as far as they are whole
/// (ISO/IEC 14496-12, 4.2).
fn all_boxes<R: Read + Seek>(
    file: &mut R,
    range: Range<u64>,
) -> io::Result<Vec<([u8; 4], Range<u64>)>> {
    let mut found = Vec::new();
    let mut start = range.start;
    while start + 8 <= range.end && found.len() < MAX_BOXES {
        file.seek(SeekFrom::Start(start))?;
        let size = u64::from(u32::from_be_bytes(read_array(file)?));
        let kind = read_array(file)?;
        let (content, end) = match size {
            0 => (start + 8, range.end),
            1 => {
                let size = u64::from_be_bytes(read_array(file)?);
                (start + 16, start.saturating_add(size))
            }
            _ => (start + 8, start + size),
        };
        if end < content || end > range.end {
            break;
        }
        found.push((kind, content..end));
        start = end;
    }
    Ok(found)
}

fn read_array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_bytes<R: Read + Seek>(file: &mut R, range: Range<u64>) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::new();
    file.take(range.end - range.start).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a `meta` box: in QuickTime a plain box, in ISO files one with version and flags.
fn read_meta<R: Read + Seek>(
    file: &mut R,
    meta: Range<u64>,
    tags: &mut CaptureTags,
) -> io::Result<()> {
    let head = read_bytes(file, meta.start..meta.end.min(meta.start + 8))?;
    let is_plain = head.get(4..8) == Some(b"hdlr");
    let content = if is_plain { meta.start } else { meta.start + 4 };
    if content > meta.end {
        return Ok(());
    }
    let parts = all_boxes(file, content..meta.end)?;
    let part = |kind: &[u8; 4]| parts.iter().find(|(found, _)| found == kind);
    let (Some((_, keys)), Some((_, values))) = (part(b"keys"), part(b"ilst")) else {
        return Ok(());
    };
    let keys = read_bytes(file, keys.start..keys.end.min(keys.start + MAX_KEYS_BYTES))?;
    let keys = key_names(&keys);
    for (number, value) in all_boxes(file, values.clone())? {
        // The kind of an item is the number of its key, from 1.
        let number = (u32::from_be_bytes(number) as usize).checked_sub(1);
        let Some(name) = number.and_then(|number| keys.get(number)) else {
            continue;
        };
        if *name == APPLE_PLAYBACK_INTENT.as_bytes() {
            tags.has_apple_intent = true;
        }
        if *name == ANDROID_CAPTURE_FPS.as_bytes() {
            for data in boxes(file, value, b"data")? {
                let end = data.end.min(data.start + MAX_VALUE_BYTES);
                let fps = number_of(&read_bytes(file, data.start..end)?);
                tags.capture_fps = fps.filter(|fps| fps.is_finite() && *fps > 0.0);
            }
        }
    }
    Ok(())
}

/// The names in a `keys` box: version and flags, their number, then each behind its size and
/// namespace.
fn key_names(keys: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    let mut rest = keys.get(8..).unwrap_or_default();
    while let Some((size, _)) = rest.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        let Some(name) = rest.get(8..size) else {
            break;
        };
        names.push(name);
        rest = &rest[size..];
    }
    names
}

/// The number in a `data` box: type, locale, then the value ("Well-known types" of the QuickTime
/// File Format).
fn number_of(data: &[u8]) -> Option<f64> {
    let (kind, rest) = data.split_first_chunk::<4>()?;
    let value = rest.get(4..)?;
    match u32::from_be_bytes(*kind) {
        1 => std::str::from_utf8(value).ok()?.trim().parse().ok(),
        23 => Some(f64::from(f32::from_be_bytes(value.try_into().ok()?))),
        24 => Some(f64::from_be_bytes(value.try_into().ok()?)),
        // Whole numbers of one to eight bytes; a rate has no sign.
        21 | 22 | 65..=67 | 74..=78 if (1..=8).contains(&value.len()) => Some(
            value
                .iter()
                .fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte)),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = 8 + content.len() as u32;
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    /// The metadata as phones write it: a plain `meta` box with the handler, keys and values.
    fn meta(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let handler = make_box(b"hdlr", &[&[0; 8][..], b"mdta", &[0; 12]].concat());
        let mut keys = [0_u32.to_be_bytes(), (entries.len() as u32).to_be_bytes()].concat();
        let mut values = Vec::new();
        for ((name, kind, value), number) in entries.iter().zip(1_u32..) {
            keys.extend(make_box(b"mdta", name.as_bytes()));
            let data = [&kind.to_be_bytes()[..], &[0; 4], value].concat();
            values.extend(make_box(&number.to_be_bytes(), &make_box(b"data", &data)));
        }
        [
            handler,
            make_box(b"keys", &keys),
            make_box(b"ilst", &values),
        ]
        .concat()
    }

    fn tags_of(moov: &[u8]) -> CaptureTags {
        let file = [
            make_box(b"ftyp", b"mp42\0\0\0\0"),
            make_box(b"mdat", &[7; 100]),
            make_box(b"moov", moov),
        ];
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), file.concat()).expect("written");
        capture_tags(path.path())
    }

    #[test]
    fn a_phones_tag_is_read_in_each_of_its_types() {
        let other: (&str, u32, &[u8]) = ("com.android.version", 1, b"14");
        let values: [(u32, Vec<u8>); 5] = [
            (23, 240.0_f32.to_be_bytes().to_vec()),
            (24, 240.0_f64.to_be_bytes().to_vec()),
            (1, b"240.000000".to_vec()),
            (67, 240_u32.to_be_bytes().to_vec()),
            (22, vec![240]),
        ];
        for (kind, value) in values {
            let meta = meta(&[other, (ANDROID_CAPTURE_FPS, kind, &value)]);
            let plain = tags_of(&make_box(b"meta", &meta));
            assert_eq!(plain.capture_fps, Some(240.0), "type {kind}");
            assert!(!plain.has_apple_intent);
            let full = make_box(b"meta", &[&[0; 4][..], &meta].concat());
            let in_udta = tags_of(&make_box(b"udta", &full));
            assert_eq!(in_udta.capture_fps, Some(240.0), "type {kind}");
        }
    }

    #[test]
    fn apples_tag_tells_of_the_camera_and_of_no_rate() {
        let tags = tags_of(&make_box(
            b"meta",
            &meta(&[(APPLE_PLAYBACK_INTENT, 22, &[0])]),
        ));
        let expected = CaptureTags {
            capture_fps: None,
            has_apple_intent: true,
        };
        assert_eq!(tags, expected);
    }

    #[test]
    fn what_is_no_rate_or_cut_off_is_no_tag() {
        for (kind, value) in [
            (1, &b"fast"[..]),
            (1, b"-30"),
            (1, b"inf"),
            (23, &f32::NAN.to_be_bytes()),
            (23, &[0, 0]),
            (99, &[1, 2, 3, 4]),
        ] {
            let meta = meta(&[(ANDROID_CAPTURE_FPS, kind, value)]);
            assert_eq!(tags_of(&make_box(b"meta", &meta)).capture_fps, None);
        }
        let whole = make_box(b"meta", &meta(&[(ANDROID_CAPTURE_FPS, 1, b"120")]));
        for length in 0..whole.len() {
            // Whatever is missing, nothing is invented.
            let fps = tags_of(&whole[..length]).capture_fps;
            assert_eq!(fps, None, "{length} bytes");
        }
        assert_eq!(capture_tags(Path::new("/nowhere")), CaptureTags::default());
    }
}
