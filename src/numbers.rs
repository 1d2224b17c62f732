//! Numbers as people write them: with signs, decimals, thousands separators, units, as words.
//!
//! This module only reads; whether a number is true is for [`crate::synth::facts`] to say.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A count with the noun for what is counted, which takes an s in the plural.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes as people read them: `1.50 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Lower and upper end of the interval of 95 % of a share of which `right` of `asked` were seen
/// (Wilson 1927, the score interval); without a question everything is possible.
pub fn wilson_interval(right: usize, asked: usize) -> [f64; 2] {
    /// Quantile of the normal distribution for 95 % between its negative and itself.
    const Z: f64 = 1.959_964;
    if asked == 0 {
        return [0.0, 1.0];
    }
    let (n, share) = (asked as f64, right as f64 / asked as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// What a number measures. Values are compared in the base unit that is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// Degrees.
    Angle,
    /// Degrees per second.
    AngularSpeed,
    /// Metres.
    Length,
    /// Metres per second.
    Speed,
    /// Seconds.
    Time,
    /// Pixels.
    Pixels,
    /// Pixels per second.
    PixelSpeed,
    /// Lengths of the torso per second.
    TorsoSpeed,
    /// Hertz, and frames per second.
    Frequency,
    /// 1 = 100 %.
    Ratio,
    /// Numbers of frames, and how many there are.
    Frames,
    /// How many of anything else.
    Count,
}

/// A unit: its quantity, and what to multiply with for the base unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// What is measured; numbers of different quantities are never compared.
    pub quantity: Quantity,
    /// The base unit is the written value times this: 0.01 for centimetres.
    pub factor: f64,
}

impl Unit {
    const fn new(quantity: Quantity, factor: f64) -> Self {
        Self { quantity, factor }
    }
}

/// How a number was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 12, 0.5, 1,180.
    Digits,
    /// twelve.
    Word,
    /// 3rd, third: a place in an order.
    Ordinal,
    /// twice, 1.5 times, half: a ratio of two values.
    Multiple,
    /// cam01, T12: digits within a name.
    Name,
}

/// A number found in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// As written, without its unit.
    pub text: String,
    /// In the unit it was written with.
    pub value: f64,
    /// Digits after the point: how far the writer rounded.
    pub decimals: i32,
    /// What stands behind the number; `None` where that is no unit that is known.
    pub unit: Option<Unit>,
    /// Digits, a word, a place in an order and the like.
    pub form: Form,
    /// Where it stands in the text.
    pub span: Range<usize>,
}

/// Units after a number, longer ones before those that they begin with. Names in full and symbols.
const UNITS: &[(&str, Unit)] = &[
    (
        r"(?:°|deg(?:ree)?s?)\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::AngularSpeed, 1.0),
    ),
    (r"°(?:\s*C\b)?", Unit::new(Quantity::Angle, 1.0)),
    (r"deg(?:ree)?s?\b", Unit::new(Quantity::Angle, 1.0)),
    (r"%", Unit::new(Quantity::Ratio, 0.01)),
    (
        r"(?:percent(?:age\s+points?)?|per\s+cent)\b",
        Unit::new(Quantity::Ratio, 0.01),
    ),
    (
        r"(?:px|pixels?)\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::PixelSpeed, 1.0),
    ),
    (r"(?:px|pixels?)\b", Unit::new(Quantity::Pixels, 1.0)),
    (
        r"torsos?(?:[\s-]+lengths?)?\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::TorsoSpeed, 1.0),
    ),
    (
        r"(?:km/h|km\s+per\s+hour|kilomet(?:er|re)s\s+per\s+hour)\b",
        Unit::new(Quantity::Speed, 1.0 / 3.6),
    ),
    (
        r"(?:mm|millimet(?:er|re)s?)\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::Speed, 1e-3),
    ),
    (
        r"(?:cm|centimet(?:er|re)s?)\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::Speed, 1e-2),
    ),
    (
        r"(?:m|met(?:er|re)s?)\s*(?:/\s*s(?:ec)?\b|per\s+sec(?:ond)?\b)",
        Unit::new(Quantity::Speed, 1.0),
    ),
    (
        r"(?:fps|frames?\s*(?:/\s*s(?:ec)?|per\s+sec(?:ond)?)|Hz|hertz)\b",
        Unit::new(Quantity::Frequency, 1.0),
    ),
    (r"frames?\b", Unit::new(Quantity::Frames, 1.0)),
    (r"(?:ms|milliseconds?)\b", Unit::new(Quantity::Time, 1e-3)),
    (r"(?:s|secs?|seconds?)\b", Unit::new(Quantity::Time, 1.0)),
    (r"min(?:ute)?s\b", Unit::new(Quantity::Time, 60.0)),
    (r"minute\b", Unit::new(Quantity::Time, 60.0)),
    (
        r"(?:mm|millimet(?:er|re)s?)\b",
        Unit::new(Quantity::Length, 1e-3),
    ),
    (
        r"(?:cm|centimet(?:er|re)s?)\b",
        Unit::new(Quantity::Length, 1e-2),
    ),
    (r"(?:m|met(?:er|re)s?)\b", Unit::new(Quantity::Length, 1.0)),
    (
        r"(?:rows?|samples?|values?|readings?|measurements?|points?|landmarks?|people|persons?|videos?|clips?|steps?|repetitions?|reps|jumps?|turns?|peaks?|stops?|joints?|angles?|sides?|columns?)\b",
        Unit::new(Quantity::Count, 1.0),
    ),
];

/// Ends of column names with their units, longer ones first. A column is named after its unit
/// throughout the lake's schema.
const COLUMN_ENDS: &[(&str, Unit)] = &[
    ("deg_per_sec", Unit::new(Quantity::AngularSpeed, 1.0)),
    ("deg_per_s", Unit::new(Quantity::AngularSpeed, 1.0)),
    ("px_per_sec", Unit::new(Quantity::PixelSpeed, 1.0)),
    ("px_per_s", Unit::new(Quantity::PixelSpeed, 1.0)),
    ("torso_per_sec", Unit::new(Quantity::TorsoSpeed, 1.0)),
    ("m_per_sec", Unit::new(Quantity::Speed, 1.0)),
    ("m_per_s", Unit::new(Quantity::Speed, 1.0)),
    ("deg", Unit::new(Quantity::Angle, 1.0)),
    ("degrees", Unit::new(Quantity::Angle, 1.0)),
    ("px", Unit::new(Quantity::Pixels, 1.0)),
    ("mm", Unit::new(Quantity::Length, 1e-3)),
    ("cm", Unit::new(Quantity::Length, 1e-2)),
    ("m", Unit::new(Quantity::Length, 1.0)),
    ("ms", Unit::new(Quantity::Time, 1e-3)),
    ("secs", Unit::new(Quantity::Time, 1.0)),
    ("sec", Unit::new(Quantity::Time, 1.0)),
    ("s", Unit::new(Quantity::Time, 1.0)),
    ("hz", Unit::new(Quantity::Frequency, 1.0)),
    ("fps", Unit::new(Quantity::Frequency, 1.0)),
    ("percent", Unit::new(Quantity::Ratio, 0.01)),
    ("pct", Unit::new(Quantity::Ratio, 0.01)),
    ("%", Unit::new(Quantity::Ratio, 0.01)),
    ("ratio", Unit::new(Quantity::Ratio, 1.0)),
    ("share", Unit::new(Quantity::Ratio, 1.0)),
    ("fraction", Unit::new(Quantity::Ratio, 1.0)),
    ("visibility", Unit::new(Quantity::Ratio, 1.0)),
    ("presence", Unit::new(Quantity::Ratio, 1.0)),
    ("probability", Unit::new(Quantity::Ratio, 1.0)),
    ("confidence", Unit::new(Quantity::Ratio, 1.0)),
    ("symmetry", Unit::new(Quantity::Ratio, 1.0)),
    ("frame", Unit::new(Quantity::Frames, 1.0)),
    ("frames", Unit::new(Quantity::Frames, 1.0)),
    ("frame_count", Unit::new(Quantity::Frames, 1.0)),
    ("count", Unit::new(Quantity::Count, 1.0)),
    ("person", Unit::new(Quantity::Count, 1.0)),
];

/// The unit that a column's name ends with, and the name without it.
pub fn unit_of_column(name: &str) -> Option<(Unit, String)> {
    let lower = name.trim().to_lowercase();
    // Headers such as "time (s)" and "knee [deg]" become names like any other.
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '%'))
        .filter(|word| !word.is_empty())
        .collect();
    let joined = words.join("_");
    for (end, unit) in COLUMN_ENDS {
        let stem = joined.strip_suffix(end);
        if let Some(stem) = stem.filter(|stem| stem.is_empty() || stem.ends_with('_')) {
            return Some((*unit, stem.trim_end_matches('_').to_owned()));
        }
    }
    // frame_start, frame_end, secs_at_max: the unit is not the last word.
    let by_word = |word: &&str| match *word {
        "frame" | "frames" => Some(Unit::new(Quantity::Frames, 1.0)),
        "time" | "secs" | "seconds" | "duration" => Some(Unit::new(Quantity::Time, 1.0)),
        "deg" | "angle" => Some(Unit::new(Quantity::Angle, 1.0)),
        "visibility" => Some(Unit::new(Quantity::Ratio, 1.0)),
        _ => None,
    };
    words.iter().find_map(by_word).map(|unit| (unit, joined))
}

static DIGITS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?:\d{1,3}(?:[,\u{202f}\u{a0}]\d{3})+(?:\.\d+)?|\d+\.\d+|\d+|\.\d+)(?:[eE][-+]?\d+\b)?",
    )
    .expect("the pattern is a constant")
});
static UNIT: LazyLock<Vec<(Regex, Unit)>> = LazyLock::new(|| {
    let compile = |(pattern, unit): &(&str, Unit)| {
        let whole = format!(r"^[\s\u{{202f}}\u{{a0}}]*-?(?i:{pattern})");
        (
            Regex::new(&whole).expect("the pattern is a constant"),
            *unit,
        )
    };
    UNITS.iter().map(compile).collect()
});
static TIMES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:times\b|×|x\b|-?fold\b)").expect("the pattern is a constant")
});
static ORDINAL_END: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:st|nd|rd|th)\b").expect("the pattern is a constant"));
static FRAME_BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bframes?(?:\s+(?:number|no\.?|nr\.?|index))?\s*[#:=(]?\s*$")
        .expect("the pattern is a constant")
});
static BETWEEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^\s*(?:,|/|\bto\b|\band\b|\bor\b|,\s*and\b|,\s*or\b|\bthrough\b|\buntil\b|-|–|—|→|\bversus\b|\bvs\.?)\s*$")
        .expect("the pattern is a constant")
});
static WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z]+").expect("the pattern is a constant"));

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];
const ORDINALS: [&str; 10] = [
    "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
];
const MULTIPLES: [(&str, f64); 11] = [
    ("twice", 2.0),
    ("double", 2.0),
    ("doubled", 2.0),
    ("doubles", 2.0),
    ("doubling", 2.0),
    ("thrice", 3.0),
    ("triple", 3.0),
    ("tripled", 3.0),
    ("triples", 3.0),
    ("half", 0.5),
    ("halved", 0.5),
];
/// "The first half of the clip" is a place, not a ratio.
const BEFORE_A_PLACE: [&str; 6] = ["first", "second", "other", "latter", "each", "upper"];

/// All numbers of a text, in their order.
pub fn numbers(text: &str) -> Vec<Number> {
    let mut found: Vec<Number> = DIGITS
        .find_iter(text)
        .filter_map(|digits| from_digits(text, digits.range()))
        .collect();
    found.extend(from_words(text));
    found.sort_by_key(|number| number.span.start);
    // One name such as 3a7f00 holds several runs of digits.
    found.dedup_by(|later, earlier| later.span.start < earlier.span.end);
    share_units(text, &mut found);
    found
}

fn from_digits(text: &str, digits: Range<usize>) -> Option<Number> {
    let before = &text[..digits.start];
    let after = &text[digits.end..];
    let is_in_name = |c: char| c.is_alphanumeric() || c == '_';
    let starts_in_name = before.chars().next_back().is_some_and(is_in_name);
    let unit = unit_after(after);
    let is_times = TIMES.is_match(after);
    let is_ordinal = ORDINAL_END.is_match(after);
    let ends_in_name =
        after.chars().next().is_some_and(is_in_name) && unit.is_none() && !is_times && !is_ordinal;
    if starts_in_name || ends_in_name {
        let start = before.rfind(|c| !is_in_name(c)).map_or(0, |i| {
            i + before[i..].chars().next().map_or(1, char::len_utf8)
        });
        let end = after.find(|c| !is_in_name(c)).unwrap_or(after.len());
        let span = start..digits.end + end;
        let name = &text[span.clone()];
        // The two words of this field that hold a digit but no number.
        if ["2d", "3d"].contains(&name.to_lowercase().as_str()) {
            return None;
        }
        return Some(Number {
            text: name.to_owned(),
            value: f64::NAN,
            decimals: 0,
            unit: None,
            form: Form::Name,
            span,
        });
    }
    let written = &text[digits.clone()];
    let plain: String = written
        .chars()
        .filter(|c| !matches!(c, ',' | '\u{202f}' | '\u{a0}'))
        .collect();
    let mut value: f64 = plain.parse().ok()?;
    let mut start = digits.start;
    if let Some(sign) = before
        .chars()
        .next_back()
        .filter(|c| matches!(c, '-' | '−' | '–'))
    {
        let before_sign = &before[..before.len() - sign.len_utf8()];
        let previous = before_sign.chars().next_back();
        // Between two numbers, and after a word, it is a dash.
        let is_dash = previous.is_some_and(|c| c.is_alphanumeric() || "°%).".contains(c));
        if !is_dash {
            value = -value;
            start -= sign.len_utf8();
        }
    }
    let form = if is_ordinal {
        Form::Ordinal
    } else if is_times {
        Form::Multiple
    } else {
        Form::Digits
    };
    let unit = unit
        .filter(|_| form == Form::Digits)
        .or_else(|| frame_before(&text[..start]));
    Some(Number {
        text: text[start..digits.end].to_owned(),
        value,
        decimals: decimals(&plain),
        unit,
        form,
        span: start..digits.end,
    })
}

fn decimals(plain: &str) -> i32 {
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
    let digits = mantissa.split_once('.').map_or(0, |(_, d)| d.len() as i32);
    digits - exponent.parse::<i32>().unwrap_or(0)
}

fn unit_after(after: &str) -> Option<Unit> {
    let mut units = UNIT.iter();
    units
        .find(|(pattern, _)| pattern.is_match(after))
        .map(|(_, unit)| *unit)
}

fn frame_before(before: &str) -> Option<Unit> {
    FRAME_BEFORE
        .is_match(before)
        .then_some(Unit::new(Quantity::Frames, 1.0))
}

/// In "from 10 to 20 degrees" and "frames 3, 5 and 8" the unit is written once.
fn share_units(text: &str, found: &mut [Number]) {
    let are_joined = |a: &Number, b: &Number| {
        let joint = text.get(a.span.end..b.span.start);
        joint.is_some_and(|joint| BETWEEN.is_match(joint))
    };
    for i in (1..found.len()).rev() {
        if found[i - 1].unit.is_none() && are_joined(&found[i - 1], &found[i]) {
            found[i - 1].unit = found[i].unit;
        }
    }
    for i in 1..found.len() {
        let frames = found[i - 1].unit.filter(|u| u.quantity == Quantity::Frames);
        if found[i].unit.is_none() && frames.is_some() && are_joined(&found[i - 1], &found[i]) {
            found[i].unit = frames;
        }
    }
}

/// Numbers written as words. "one" counts only before a unit: elsewhere it is a pronoun. "first"
/// and "second" are not numbers: a first always exists, and a second is mostly a unit.
fn from_words(text: &str) -> Vec<Number> {
    let words: Vec<(Range<usize>, String)> = WORDS
        .find_iter(text)
        .map(|word| (word.range(), word.as_str().to_lowercase()))
        .collect();
    let mut found = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let (range, word) = &words[i];
        let is_in_name = |c: Option<char>| c.is_some_and(|c| c == '_' || c.is_ascii_digit());
        let before = text[..range.start].chars().next_back();
        let after = text[range.end..].chars().next();
        if is_in_name(before) || is_in_name(after) {
            i += 1;
            continue;
        }
        let number = |value, form, span: Range<usize>, unit| Number {
            text: text[span.clone()].to_owned(),
            value,
            decimals: 0,
            unit,
            form,
            span,
        };
        if let Some((_, ratio)) = MULTIPLES.iter().find(|(name, _)| name == word) {
            let previous = i.checked_sub(1).map_or("", |p| words[p].1.as_str());
            if !BEFORE_A_PLACE.contains(&previous) {
                found.push(number(*ratio, Form::Multiple, range.clone(), None));
            }
            i += 1;
        } else if let Some(place) = ORDINALS.iter().position(|name| name == word) {
            found.push(number(
                place as f64 + 3.0,
                Form::Ordinal,
                range.clone(),
                None,
            ));
            i += 1;
        } else if let Some((value, used)) = words_value(text, &words[i..]) {
            let span = range.start..words[i + used - 1].0.end;
            let unit = unit_after(&text[span.end..]);
            let is_pronoun = value == 1.0 && unit.is_none_or(|u| u.quantity == Quantity::Count);
            if !is_pronoun {
                found.push(number(value, Form::Word, span, unit));
            }
            i += used;
        } else {
            i += 1;
        }
    }
    found
}

/// The number that a run of words says, and how many words it takes.
fn words_value(text: &str, words: &[(Range<usize>, String)]) -> Option<(f64, usize)> {
    let mut total = 0.0;
    let mut used = 0;
    let mut last_end: Option<usize> = None;
    for (index, (range, word)) in words.iter().enumerate() {
        if let Some(end) = last_end {
            let gap = &text[end..range.start];
            if !matches!(gap, " " | "-") {
                break;
            }
        }
        if let Some(value) = SMALL.iter().position(|name| name == word) {
            total += value as f64;
        } else if let Some(tens) = TENS.iter().position(|name| name == word) {
            total += (tens as f64 + 2.0) * 10.0;
        } else if word == "hundred" {
            total = if total == 0.0 { 100.0 } else { total * 100.0 };
        } else if word == "thousand" {
            total = if total == 0.0 { 1000.0 } else { total * 1000.0 };
        } else if word == "dozen" {
            total = if total == 0.0 { 12.0 } else { total * 12.0 };
        } else if word == "and" && total >= 100.0 {
            // "one hundred and eighty"; used only if a number follows.
            last_end = Some(range.end);
            continue;
        } else {
            break;
        }
        last_end = Some(range.end);
        used = index + 1;
    }
    (used > 0).then_some((total, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_the_published_ones() {
        // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        for (right, asked, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0000, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson_interval(right, asked);
            assert!(
                (interval[0] - low).abs() < 1e-4,
                "{right}/{asked} {interval:?}"
            );
            assert!(
                (interval[1] - high).abs() < 1e-4,
                "{right}/{asked} {interval:?}"
            );
        }
        assert_eq!(wilson_interval(0, 0), [0.0, 1.0]);
    }

    fn read(text: &str) -> Vec<(f64, Option<Quantity>)> {
        let numbers = numbers(text);
        numbers
            .iter()
            .map(|n| {
                (
                    n.value * n.unit.map_or(1.0, |u| u.factor),
                    n.unit.map(|u| u.quantity),
                )
            })
            .collect()
    }

    #[test]
    fn numbers_are_read_with_their_units() {
        use Quantity::*;
        for (text, expected) in [
            (
                "bends to 75.6° at 6.8 s",
                vec![(75.6, Some(Angle)), (6.8, Some(Time))],
            ),
            (
                "500 ms later, 42 cm away",
                vec![(0.5, Some(Time)), (0.42, Some(Length))],
            ),
            (
                "85 % or 85 percent",
                vec![(0.85, Some(Ratio)), (0.85, Some(Ratio))],
            ),
            ("moves at 1,180.5 px/s", vec![(1180.5, Some(PixelSpeed))]),
            ("falls by −5.2 degrees", vec![(-5.2, Some(Angle))]),
            (
                "from 75 to 178 degrees",
                vec![(75.0, Some(Angle)), (178.0, Some(Angle))],
            ),
            ("75-178°", vec![(75.0, Some(Angle)), (178.0, Some(Angle))]),
            (
                "in frames 3, 5 and 8",
                vec![
                    (3.0, Some(Frames)),
                    (5.0, Some(Frames)),
                    (8.0, Some(Frames)),
                ],
            ),
            (
                "a 30-frame clip at 25 fps",
                vec![(30.0, Some(Frames)), (25.0, Some(Frequency))],
            ),
            (
                "1.2 m/s and 90 degrees per second",
                vec![(1.2, Some(Speed)), (90.0, Some(AngularSpeed))],
            ),
            (
                "2.5 torso lengths per second",
                vec![(2.5, Some(TorsoSpeed))],
            ),
            ("one hundred and eighty degrees", vec![(180.0, Some(Angle))]),
            ("twenty-five frames", vec![(25.0, Some(Frames))]),
            ("2e-3 m", vec![(0.002, Some(Length))]),
        ] {
            let found = read(text);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found.0 - expected.0).abs() < 1e-9, "{text}: {found:?}");
                assert_eq!(found.1, expected.1, "{text}");
            }
        }
    }

    #[test]
    fn decimals_say_how_far_the_writer_rounded() {
        for (text, decimals) in [("75", 0), ("75.60", 2), ("1,180.5", 1), ("2e-3", 3)] {
            assert_eq!(numbers(text)[0].decimals, decimals, "{text}");
        }
    }

    #[test]
    fn names_pronouns_and_places_are_no_numbers() {
        for text in [
            "the left_knee in 3D",
            "the other one is straighter; no one moves",
            "in the first half, the second frame",
        ] {
            assert_eq!(read(text), [], "{text}");
        }
        let names = numbers("seen by cam01 and left_heel_2");
        let texts: Vec<&str> = names.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(texts, ["cam01", "left_heel_2"]);
        assert!(names.iter().all(|n| n.form == Form::Name));
    }

    #[test]
    fn ratios_and_places_are_told_apart() {
        let found =
            numbers("twice as fast, 1.5 times as far, half of it, the 3rd and fourth frame");
        let forms: Vec<(f64, Form)> = found.iter().map(|n| (n.value, n.form)).collect();
        assert_eq!(
            forms,
            [
                (2.0, Form::Multiple),
                (1.5, Form::Multiple),
                (0.5, Form::Multiple),
                (3.0, Form::Ordinal),
                (4.0, Form::Ordinal)
            ]
        );
    }

    #[test]
    fn columns_are_named_after_their_units() {
        for (name, quantity, stem) in [
            ("left_knee_deg", Quantity::Angle, "left_knee"),
            ("speed_px_per_sec", Quantity::PixelSpeed, "speed"),
            ("time_secs", Quantity::Time, "time"),
            ("frame", Quantity::Frames, ""),
            ("mean_visibility", Quantity::Ratio, "mean"),
            ("time (s)", Quantity::Time, "time"),
            ("frame_start", Quantity::Frames, "frame_start"),
        ] {
            let (unit, found) = unit_of_column(name).expect(name);
            assert_eq!((unit.quantity, found.as_str()), (quantity, stem), "{name}");
        }
        assert_eq!(unit_of_column("landmark"), None);
    }
}
