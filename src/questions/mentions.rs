//! What a question names: numbers, videos, subjects, people, sides and parts of the body.
//!
//! Calls take their numbers and names from here, and from nowhere else.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{Call, Inventory};
use crate::numbers::{Form, Quantity, numbers};

/// Suffixes by which a word is the name of a video's file.
const VIDEO_SUFFIXES: [&str; 12] = [
    "mp4", "mov", "mkv", "avi", "webm", "m4v", "mpg", "mpeg", "wmv", "mts", "m2ts", "ts",
];
/// Parts of the body as they stand in the names of angles and landmarks.
const PARTS: [&str; 14] = [
    "knee", "hip", "ankle", "elbow", "shoulder", "wrist", "heel", "nose", "eye", "ear", "mouth",
    "thumb", "pinky", "index",
];
const LEFT: [&str; 5] = ["left", "lt", "l", "lft", "lhs"];
const RIGHT: [&str; 6] = ["right", "rt", "r", "rgt", "rght", "rhs"];
/// Words that differ from a side in one letter.
const NOT_SIDES: [&str; 12] = [
    "eight", "light", "night", "might", "sight", "tight", "fight", "bright", "lift", "loft",
    "felt", "weft",
];
/// Words that differ from a part of the body in one letter.
const NOT_PARTS: [&str; 7] = ["angle", "waist", "month", "none", "note", "knew", "indeed"];
/// Shortest name of a video, without its suffix, that may be mistyped.
const MIN_STEM_CHARS: usize = 6;
/// Shortest word of a part that may be mistyped.
const MIN_TYPO_CHARS: usize = 4;

static PERSON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:persons?|people|athlete|player|runner)\s*(?:no\.?|number|nr\.?|#)?\s*(\d+)\b",
    )
    .expect("the pattern is a constant")
});
static TIMECODE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(\d{1,3}):(\d{2}(?:\.\d+)?)\b").expect("the pattern is a constant")
});
/// 1,5 as most of Europe writes it, which is no thousand.
static DECIMAL_COMMA: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d),(\d{1,2})(\D|$)").expect("the pattern is a constant"));
static WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_.#-]+").expect("the pattern is a constant"));

/// What a mention can be a value of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MentionKind {
    /// A number, of a quantity or of none that is told.
    Number(Option<Quantity>),
    Video,
    Subject,
    Person,
}

/// Something that a question names, and that a call may use once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mention {
    pub kind: MentionKind,
    /// What calls may write for it; several where it may mean several things.
    pub texts: Vec<String>,
    /// Of a number, in the base unit.
    pub value: f64,
    /// Whether a call that leaves it out is not what was asked.
    pub is_needed: bool,
}

/// Sides and parts of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Body {
    is_left: bool,
    is_right: bool,
    parts: BTreeSet<&'static str>,
}

/// All that a question names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mentions {
    pub(super) all: Vec<Mention>,
    pub(super) body: Body,
    /// Words that look like the file of a video, and are none of the lake.
    pub unknown_videos: Vec<String>,
}

impl Mentions {
    /// Looks through a question, and takes from the call before it what it does not name itself.
    pub fn of(question: &str, previous: Option<&Call>, inventory: &Inventory) -> Self {
        let mut found = Self {
            body: Body::of(question),
            ..Self::default()
        };
        let mut taken = found.add_videos(question, inventory);
        found.add_subjects(question, inventory);
        taken.extend(found.add_people(question));
        found.add_numbers(question, &taken);
        if let Some(previous) = previous {
            found.add_previous(previous);
        }
        found
    }

    /// Videos by file name, by its stem, by a part of it with a digit; gives where they stand.
    fn add_videos(&mut self, question: &str, inventory: &Inventory) -> Vec<Range<usize>> {
        let mut taken = Vec::new();
        for word in WORDS.find_iter(question) {
            let text = word.as_str().trim_end_matches(['.', '-']).to_lowercase();
            let labels = videos_of_word(&text, inventory);
            let is_file = text
                .rsplit_once('.')
                .is_some_and(|(_, suffix)| VIDEO_SUFFIXES.contains(&suffix));
            if labels.is_empty() {
                if is_file {
                    taken.push(word.range());
                    self.unknown_videos
                        .push(word.as_str().trim_end_matches('.').to_owned());
                }
                continue;
            }
            let is_plain_word = text.chars().all(char::is_alphabetic);
            self.all.push(Mention {
                kind: MentionKind::Video,
                texts: labels,
                value: 0.0,
                is_needed: !is_plain_word,
            });
            taken.push(word.range());
        }
        taken
    }

    /// Subjects by their tags; each of them also stands for the videos that show it.
    fn add_subjects(&mut self, question: &str, inventory: &Inventory) {
        let lower = format!(" {} ", question.to_lowercase());
        let names_video = self.all.iter().any(|m| m.kind == MentionKind::Video);
        for subject in &inventory.subjects {
            if !holds_word(&lower, &subject.to_lowercase()) {
                continue;
            }
            let videos = inventory.videos.iter();
            let videos = videos.filter(|video| video.subject.as_ref() == Some(subject));
            let videos: Vec<String> = videos.map(|video| video.label.clone()).collect();
            self.all.push(Mention {
                kind: MentionKind::Subject,
                texts: vec![Inventory::subject_label(subject)],
                value: 0.0,
                is_needed: false,
            });
            if !names_video {
                self.all.push(Mention {
                    kind: MentionKind::Video,
                    texts: videos,
                    value: 0.0,
                    is_needed: false,
                });
            }
        }
    }

    fn add_people(&mut self, question: &str) -> Vec<Range<usize>> {
        let mut taken = Vec::new();
        for captures in PERSON.captures_iter(question) {
            if let (Some(whole), Some(number)) = (captures.get(0), captures.get(1)) {
                self.all.push(Mention {
                    kind: MentionKind::Person,
                    texts: vec![number.as_str().trim_start_matches('0').to_owned()]
                        .into_iter()
                        .map(|text| if text.is_empty() { "0".into() } else { text })
                        .collect(),
                    value: 0.0,
                    is_needed: true,
                });
                taken.push(whole.range());
            }
        }
        taken
    }

    fn add_numbers(&mut self, question: &str, taken: &[Range<usize>]) {
        let text = DECIMAL_COMMA.replace_all(question, "$1.$2$3");
        let mut taken = taken.to_vec();
        let is_free = |span: &Range<usize>, taken: &[Range<usize>]| {
            taken
                .iter()
                .all(|t| t.end <= span.start || span.end <= t.start)
        };
        for captures in TIMECODE.captures_iter(&text) {
            let parsed = |index: usize| captures.get(index)?.as_str().parse::<f64>().ok();
            if let (Some(whole), Some(minutes), Some(secs)) =
                (captures.get(0), parsed(1), parsed(2))
                && is_free(&whole.range(), &taken)
            {
                self.add_number(Some(Quantity::Time), 60.0 * minutes + secs, true);
                taken.push(whole.range());
            }
        }
        for number in numbers(&text) {
            if !is_free(&number.span, &taken) {
                continue;
            }
            let quantity = number.unit.map(|unit| unit.quantity);
            let value = number.value * number.unit.map_or(1.0, |unit| unit.factor);
            let before = &text[..number.span.start];
            let is_negative = before.strip_suffix('-').is_some_and(|rest| {
                !rest.ends_with(|c: char| c.is_alphanumeric() || c == ' ') || rest.ends_with(' ')
            });
            let value = if is_negative { -value } else { value };
            match (number.form, quantity) {
                (Form::Name | Form::Ordinal, _) | (_, Some(Quantity::Count)) => {}
                (Form::Word, None) => {}
                // Half a second, twice as far: no call says such a thing.
                (Form::Multiple, _) => self.add_number(Some(Quantity::Count), value, true),
                (Form::Digits | Form::Word, quantity) => self.add_number(quantity, value, true),
            }
        }
    }

    fn add_number(&mut self, quantity: Option<Quantity>, value: f64, is_needed: bool) {
        // Twelve digits, so that 0.1 * 60 is 6 again.
        let rounded = format!("{value:.9}").parse::<f64>().unwrap_or(value);
        let text = rounded.to_string();
        let is_same = |m: &&mut Mention| {
            m.kind == MentionKind::Number(quantity) && m.texts.first() == Some(&text)
        };
        if let Some(known) = self.all.iter_mut().find(is_same) {
            known.is_needed |= is_needed;
            return;
        }
        self.all.push(Mention {
            kind: MentionKind::Number(quantity),
            texts: vec![text],
            value: rounded,
            is_needed,
        });
    }

    /// Numbers, people and subjects of the call before, and its parts of the body where the
    /// question names none.
    fn add_previous(&mut self, previous: &Call) {
        for (name, text) in &previous.slots {
            if let Ok(value) = text.parse::<f64>() {
                if name == "person" {
                    self.all.push(Mention {
                        kind: MentionKind::Person,
                        texts: vec![text.clone()],
                        value: 0.0,
                        is_needed: false,
                    });
                } else {
                    let unit = crate::numbers::unit_of_column(name);
                    self.add_number(unit.map(|(unit, _)| unit.quantity), value, false);
                }
            } else if name.ends_with("subject") {
                self.all.push(Mention {
                    kind: MentionKind::Subject,
                    texts: vec![text.clone()],
                    value: 0.0,
                    is_needed: false,
                });
            }
            if self.body.parts.is_empty() {
                self.body.parts.extend(parts_of(text));
            }
        }
    }
}

impl Body {
    fn of(question: &str) -> Self {
        let lower = question.to_lowercase();
        let mut body = Self::default();
        for word in lower.split(|c: char| !c.is_alphanumeric()) {
            body.is_left |= is_side(word, &LEFT);
            body.is_right |= is_side(word, &RIGHT);
            body.parts.extend(part_of_word(word));
        }
        body
    }

    /// Whether a value can be meant: it has no side that was not named where one was, and no part of
    /// the body where others were.
    pub fn allows(&self, value: &str) -> bool {
        let other_side = match (self.is_left, self.is_right) {
            (true, false) => Some("right"),
            (false, true) => Some("left"),
            _ => None,
        };
        let mut words = value.split('_');
        if other_side.is_some_and(|side| words.any(|word| word == side)) {
            return false;
        }
        self.parts.is_empty() || parts_of(value).any(|part| self.parts.contains(part))
    }
}

/// Whether values of this kind are parts of the body.
pub(super) fn is_body_part(value: &str) -> bool {
    parts_of(value).next().is_some()
}

fn parts_of(value: &str) -> impl Iterator<Item = &'static str> {
    PARTS
        .into_iter()
        .filter(move |part| value.split('_').any(|word| word == *part))
}

fn is_side(word: &str, side: &[&str]) -> bool {
    let is_mistyped = || {
        word.len() >= MIN_TYPO_CHARS
            && !NOT_SIDES.contains(&word)
            && word.chars().next() == side[0].chars().next()
            && strsim::osa_distance(word, side[0]) == 1
    };
    side.contains(&word) || is_mistyped()
}

fn part_of_word(word: &str) -> Option<&'static str> {
    let is_meant = |part: &&&str| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        let is_mistyped = || {
            part.len() >= MIN_TYPO_CHARS
                && !NOT_PARTS.contains(&singular)
                && word.len() >= MIN_TYPO_CHARS - 1
                && word.chars().next() == part.chars().next()
                && strsim::osa_distance(singular, part) <= 1
        };
        word == **part || singular == **part || is_mistyped()
    };
    PARTS.iter().find(is_meant).copied()
}

/// Whether a text holds a word, or several, with nothing of a word around; `'s` may follow.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The videos that a word in lower case may name: by the whole name, by its stem, nearly so, or by a
/// part of it with a digit.
fn videos_of_word(word: &str, inventory: &Inventory) -> Vec<String> {
    let stem = |name: &str| match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    };
    let has_digit = word.contains(|c: char| c.is_ascii_digit());
    let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_named = |is_meant: &dyn Fn(&str) -> bool| -> Vec<String> {
        let videos = inventory.videos.iter();
        let named = videos.filter(|video| is_meant(&video.label.to_lowercase()));
        named.map(|video| video.label.clone()).collect()
    };
    if word.is_empty() {
        return Vec::new();
    }
    let exact = is_named(&|name| name == word);
    if !exact.is_empty() {
        return exact;
    }
    let without_id = is_named(&|name| name.split('#').next() == Some(word));
    if !without_id.is_empty() {
        return without_id;
    }
    let by_stem = is_named(&|name| stem(name) == word || stem(name) == stem(word));
    if !by_stem.is_empty() || is_number {
        return by_stem;
    }
    if has_digit {
        let is_part = |name: &str| stem(name).split(['_', '-', ' ']).any(|part| part == word);
        let parts = is_named(&is_part);
        if !parts.is_empty() {
            return parts;
        }
    }
    if word.contains(['.', '_']) && stem(word).chars().count() >= MIN_STEM_CHARS {
        // A digit that differs is another video, not a slip.
        let digits = |text: &str| {
            text.chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        };
        return is_named(&|name| {
            strsim::osa_distance(name, word) <= 1 && digits(name) == digits(word)
        });
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::KnownVideo;

    fn inventory() -> Inventory {
        let names = [
            "demo.mp4",
            "single_cam01.mp4",
            "multi_cam01.mp4",
            "IMG_20.MOV",
        ];
        let videos = names.into_iter().map(|name| KnownVideo {
            video_id: name.into(),
            label: name.into(),
            sport: String::new(),
            subject: (name == "demo.mp4").then(|| "Ben".to_owned()),
            duration_secs: 10.0,
            main_person: Some(0),
            pose_frames: 1,
        });
        Inventory::new(videos.collect())
    }

    fn of(question: &str) -> Mentions {
        Mentions::of(question, None, &inventory())
    }

    fn videos(question: &str) -> Vec<Vec<String>> {
        let all = of(question).all.into_iter();
        let videos = all.filter(|mention| mention.kind == MentionKind::Video);
        videos.map(|mention| mention.texts).collect()
    }

    #[test]
    fn videos_are_named_by_their_files_or_parts_of_them() {
        for (question, expected) in [
            ("in demo.mp4?", vec![vec!["demo.mp4"]]),
            ("in DEMO", vec![vec!["demo.mp4"]]),
            (
                "img_20.mov vs single_cam01",
                vec![vec!["IMG_20.MOV"], vec!["single_cam01.mp4"]],
            ),
            (
                "the knee in cam01.",
                vec![vec!["single_cam01.mp4", "multi_cam01.mp4"]],
            ),
            ("in singel_cam01.mp4", vec![vec!["single_cam01.mp4"]]),
            ("Does Ben's knee bend", vec![vec!["demo.mp4"]]),
            ("the knee at 20 s", vec![]),
        ] {
            assert_eq!(videos(question), expected, "{question}");
        }
        // Another digit is another video.
        let other = of("in single_cam02.mp4");
        assert_eq!(other.unknown_videos, ["single_cam02.mp4"]);
        assert!(other.all.is_empty());
    }

    fn numbers_of(question: &str) -> Vec<(String, Option<Quantity>, bool)> {
        let all = of(question).all.into_iter();
        let numbers = all.filter_map(|mention| match mention.kind {
            MentionKind::Number(quantity) => {
                Some((mention.texts[0].clone(), quantity, mention.is_needed))
            }
            _ => None,
        });
        numbers.collect()
    }

    #[test]
    fn numbers_have_their_units_however_they_are_typed() {
        let time = |text: &str| (text.to_owned(), Some(Quantity::Time), true);
        let angle = |text: &str| (text.to_owned(), Some(Quantity::Angle), true);
        for (question, expected) in [
            ("at 1.5s in single_cam01.mp4", vec![time("1.5")]),
            ("at 1,5 s", vec![time("1.5")]),
            ("between 1 and 2.5 s", vec![time("1"), time("2.5")]),
            ("from 1-2 seconds", vec![time("1"), time("2")]),
            ("after 1500 ms", vec![time("1.5")]),
            ("at 1:02.5", vec![time("62.5")]),
            ("below 90°", vec![angle("90")]),
            (
                "at two seconds over ninety degrees",
                vec![time("2"), angle("90")],
            ),
            ("above -5 deg", vec![angle("-5")]),
            ("the left one", vec![]),
            ("of person 1", vec![]),
            ("knee 90", vec![("90".to_owned(), None, true)]),
        ] {
            assert_eq!(numbers_of(question), expected, "{question}");
        }
    }

    #[test]
    fn sides_and_parts_rule_others_out() {
        for (question, allowed, ruled_out) in [
            ("rt knee", "right_knee", "left_knee"),
            ("l. elbow", "left_elbow", "left_knee"),
            ("rigth shoulder", "right_shoulder", "left_shoulder"),
            ("the kne angle on the left", "left_knee", "left_ankle"),
            ("when does he lean most", "trunk_lean", "-"),
            ("the angle of the hip", "right_hip", "right_ankle"),
        ] {
            let body = Body::of(question);
            assert!(body.allows(allowed), "{question}");
            assert!(ruled_out == "-" || !body.allows(ruled_out), "{question}");
        }
        let both = Body::of("left or right knee");
        assert!(both.allows("left_knee") && both.allows("right_knee"));
        // No side was named.
        assert!(!Body::of("eight light nights").is_right);
    }
}
