//! Text that comes from outside: files in the encodings that editors write, names that hold
//! characters which mean something to a terminal or a file format.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Byte order marks; that of UTF-8 says nothing, the others say that a text is not UTF-8.
const UTF8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF16_MARKS: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];
const UTF32_MARKS: [&[u8]; 2] = [&[0xFF, 0xFE, 0, 0], &[0, 0, 0xFE, 0xFF]];

/// Reads a text file: UTF-8, with or without a byte order mark.
///
/// # Errors
/// When the file cannot be read, or its text is in another encoding.
pub fn read_text(path: &Path) -> io::Result<String> {
    decode(fs::read(path)?)
}

/// UTF-8 as a text, without the byte order mark that some editors put in front.
///
/// # Errors
/// When the bytes are a text in another encoding, or none.
pub fn decode(mut bytes: Vec<u8>) -> io::Result<String> {
    let begins_with = |marks: &[&[u8]]| marks.iter().any(|mark| bytes.starts_with(mark));
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    // The mark of UTF-32 begins as that of UTF-16 does.
    if begins_with(&UTF32_MARKS) {
        return Err(wrong("it is UTF-32; save it as UTF-8"));
    }
    if begins_with(&UTF16_MARKS) {
        return Err(wrong("it is UTF-16; save it as UTF-8"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        return Err(wrong(&format!(
            "line {line} has bytes of zero, as UTF-16 has; save it as UTF-8"
        )));
    }
    if bytes.starts_with(UTF8_MARK) {
        bytes.drain(..UTF8_MARK.len());
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        wrong(&format!("line {line} is not UTF-8; save it as UTF-8"))
    })
}

/// Whether a character steers a terminal, or the order in which it shows others, instead of being
/// shown itself.
pub fn is_control(c: char) -> bool {
    // Unicode's explicit directional formatting characters (UAX 9, section 2).
    let turns_text = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    // Line and paragraph separator end a line as a newline does.
    c.is_control() || turns_text || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The text on one line, its control characters as JSON's escapes: `\n`, `\u001b`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same, but lines stay lines and tabs stay tabs. JSON that is laid out in lines means the same
/// afterwards.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |c: char| is_control(c) && !is_kept(c);
    if !text.contains(is_escaped) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if !is_escaped(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    escaped.into()
}

/// A path as messages show it: on one line, without what a terminal would obey.
pub fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy()).into_owned()
}

/// A text as a shell takes it for one word, for commands in messages that people copy.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+~".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.into(),
        false => format!("'{}'", text.replace('\'', r"'\''")).into(),
    }
}

/// The name with `_` in place of control characters, for headers and names of files.
pub fn without_controls(name: &str) -> Cow<'_, str> {
    if !name.contains(is_control) {
        return name.into();
    }
    let replaced = name.chars().map(|c| if is_control(c) { '_' } else { c });
    replaced.collect::<String>().into()
}

/// The longest beginning of a text that has at most so many bytes and ends where a character, as
/// readers see it, ends: no letter loses its accent, no family a child.
pub fn beginning(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let mut end = 0;
    for (start, grapheme) in text.grapheme_indices(true) {
        if start + grapheme.len() > max_bytes {
            break;
        }
        end = start + grapheme.len();
    }
    if end == 0 {
        // One character alone is longer than that; a part of it is better than nothing.
        end = (0..=max_bytes)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
    }
    &text[..end]
}

/// The text on lines of at most so many of a terminal's columns, broken between words; a longer
/// word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_word_for_one() {
        for word in [
            "clip.mp4",
            "it's \"one\" 100%$x.mp4",
            "",
            "a b",
            "postgres://a@b/c?schema=d",
            "*",
        ] {
            let script = format!("printf %s {}", shell_word(word));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output();
            let printed = output.expect("a shell").stdout;
            assert_eq!(String::from_utf8_lossy(&printed), word);
        }
        assert_eq!(shell_word("übung/clip-1.mp4"), "übung/clip-1.mp4");
    }

    #[test]
    fn a_byte_order_mark_changes_nothing_and_other_encodings_are_named() {
        let decoded = |bytes: &[u8]| decode(bytes.to_vec()).map_err(|e| e.to_string());
        assert_eq!(decoded(b"\xEF\xBB\xBFselect 1").as_deref(), Ok("select 1"));
        assert_eq!(decoded(b"select 1").as_deref(), Ok("select 1"));
        assert_eq!(decoded(b"").as_deref(), Ok(""));
        // A mark in the middle is a character of the text.
        assert_eq!(decoded("a\u{FEFF}".as_bytes()).as_deref(), Ok("a\u{FEFF}"));
        for (bytes, word) in [
            (&b"\xFF\xFEs\0"[..], "UTF-16"),
            (b"\xFE\xFF\0s", "UTF-16"),
            (b"s\0e\0\n\0l\0", "line 1 has bytes of zero, as UTF-16"),
            (b"\xFF\xFE\0\0s\0\0\0", "UTF-32"),
            (b"\0\0\xFE\xFF\0\0\0s", "UTF-32"),
            (b"a\nb\xE9", "line 2"),
        ] {
            let error = decoded(bytes).expect_err("another encoding");
            assert!(error.contains(word), "{error}");
            assert!(error.contains("save it as UTF-8"), "{error}");
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_shown_as_it_is() {
        let name = "a\nb\tc\u{1b}[31m\u{9b}2J\u{7f}\u{202e}é";
        let line = one_line(name);
        assert!(!line.contains(is_control), "{line}");
        assert_eq!(line, r"a\nb\tc\u001b[31m\u009b2J\u007f\u202eé");
        assert_eq!(lines("a\nb\u{1b}"), "a\nb\\u001b");
        let json = serde_json::to_string_pretty(&[name]).expect("JSON");
        let parsed: Vec<String> = serde_json::from_str(&lines(&json)).expect("JSON");
        assert_eq!(parsed, [name]);
        assert_eq!(shown(Path::new("x\ny/é")), r"x\ny/é");
        assert_eq!(without_controls("a\nb\u{1b}c"), "a_b_c");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(beginning("walk", 9), "walk");
        assert_eq!(beginning("walk", 2), "wa");
        // U+7DF4 takes three bytes.
        assert_eq!(beginning("練練練", 8), "練練");
        // An e with a combining accent is one character of three bytes.
        assert_eq!(beginning("ae\u{301}", 3), "a");
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(beginning(&format!("x{family}"), family.len()), "x");
        // A first character that does not fit is cut, but never within a code point.
        assert_eq!(beginning(family, 5), "👨");
    }
}
