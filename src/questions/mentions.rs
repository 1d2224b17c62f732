//! What a question names: numbers, videos, subjects, people, sides and parts of the body.
//!
//! Calls take their numbers and names from here, and from nowhere else.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::body::{Body, is_body_part, other_side};
use super::tokens::Tokens;
use super::{Call, Inventory, Question};
use crate::numbers::{Form, Quantity, numbers};

/// Suffixes by which a word is the name of a video's file.
const VIDEO_SUFFIXES: [&str; 12] = [
    "mp4", "mov", "mkv", "avi", "webm", "m4v", "mpg", "mpeg", "wmv", "mts", "m2ts", "ts",
];
/// Shortest name of a video, without its suffix, that may be mistyped.
const MIN_STEM_CHARS: usize = 6;
/// Words that open a question which goes on from the one before.
const OPENERS: [&[&str]; 8] = [
    &["and"],
    &["what", "about"],
    &["how", "about"],
    &["same"],
    &["the", "same"],
    &["also"],
    &["or"],
    &["now"],
];
/// Words for what was asked about before.
const PRONOUNS: [&str; 6] = ["it", "its", "that", "this", "one", "there"];
/// Most words of a question that goes on from the one before without such a word.
const MAX_SHORT_WORDS: usize = 5;
/// Words before a number that make it a moment.
const AT: [&str; 10] = [
    "at",
    "@",
    "=",
    "second",
    "time",
    "around",
    "about",
    "near",
    "approximately",
    "moment",
];
/// Words before a number from which on something is looked at.
const FROM: [&str; 3] = ["from", "since", "between"];
/// Words before a number up to which something is looked at.
const TO: [&str; 8] = [
    "until", "till", "to", "before", "first", "within", "initial", "opening",
];
/// Words before a number of seconds that say what no parameter can.
const UNUSABLE: [&str; 6] = ["last", "final", "every", "each", "per", "than"];
/// Words before the name of a video.
const BEFORE_VIDEO: [&str; 9] = [
    "in",
    "of",
    "from",
    "for",
    "on",
    "video",
    "clip",
    "recording",
    "to",
];
/// Words before a number that is the name of a video.
const BEFORE_NUMBERED: [&str; 6] = ["in", "of", "video", "clip", "recording", "file"];
/// Words before a name that may be a word of any other question.
const BEFORE_NAME: [&str; 19] = [
    "in",
    "of",
    "from",
    "for",
    "on",
    "to",
    "video",
    "clip",
    "recording",
    "and",
    "or",
    "vs",
    "versus",
    "than",
    "with",
    "between",
    "compare",
    "by",
    "against",
];
/// Words behind such a name.
const AFTER_NAME: [&str; 21] = [
    "and", "or", "vs", "versus", "than", "with", "against", "to", "at", "between", "from", "in",
    "on", "for", "until", "after", "before", "during", "within", "over", "by",
];
/// Words that people also use as names; a letter is one as well.
const USUAL: [&str; 56] = [
    "an", "the", "all", "any", "it", "its", "he", "she", "his", "her", "me", "my", "we", "you",
    "do", "is", "as", "at", "in", "on", "of", "to", "by", "how", "who", "what", "when", "which",
    "will", "may", "can", "mark", "art", "max", "min", "mean", "average", "range", "peak", "top",
    "most", "least", "first", "last", "speed", "bend", "time", "video", "clip", "person", "runner",
    "athlete", "player", "subject", "run", "walk",
];
/// Words behind a number from which on something is looked at.
const ONWARDS: [&str; 2] = ["onwards", "onward"];
/// Words behind a number that make it a moment.
const INTO: [&str; 1] = ["into"];

static PERSON: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:persons?|people|athlete|player|runner)[\s_]*(?:no\.?|number|nr\.?|#)?[\s_]*(\d+)\b",
    )
});
/// Times of hours, minutes and seconds, longer ones first.
static CLOCK_TIMES: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    [
        r"\b(?P<h>\d{1,2}):(?P<m>\d{2}):(?P<s>\d{2}(?:\.\d+)?)\b",
        r"\b(?P<m>\d{1,3}):(?P<s>\d{2}(?:\.\d+)?)\b",
        r"(?i)\b(?P<m>\d+)\s*(?:m|min\.?|mins|minutes?)\s*(?:and\s+)?(?P<s>\d+(?:\.\d+)?)\s*(?:s|secs?|seconds?)\b",
        r"(?i)\b(?P<m>\d+(?:\.\d+)?)\s*min\b",
        r"(?i)\b(?P<h>\d+(?:\.\d+)?)\s*(?:h|hrs?|hours?)\b",
    ]
    .map(pattern)
});
/// The first of two numbers that share the unit behind the second.
static SHARING: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(\d+(?:\.\d+)?)\s*(?:-|–|to|and|until)\s*$"));
/// Fractions, which no call can say.
static FRACTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d+\s*/\s*\d+|\d*\s*[¼½¾⅓⅔]"));
/// 1,5 as most of Europe writes it, which is no thousand.
static DECIMAL_COMMA: LazyLock<Regex> = LazyLock::new(|| pattern(r"(\d),(\d{1,2})(\D|$)"));
/// 0,125, which is none either.
static ZERO_COMMA: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b0,(\d)"));
static WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\p{L}\p{N}_.#-]+"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

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
    /// Whether it is of the call before: needed where that call's question is asked again, and of no
    /// use elsewhere.
    pub is_carried: bool,
    /// Of a name, where it stands.
    pub at: usize,
    /// Of a time, what the words around it make of it.
    pub role: TimeRole,
    /// Of a subject's videos, the place of the subject: a call uses either.
    pub in_place_of: Option<usize>,
}

/// Which parameters a time can be for, by the words around it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum TimeRole {
    /// "2 s"
    #[default]
    Any,
    /// "at 2 s"
    Moment,
    /// "after 2 s", which may be either
    MomentOrFrom,
    /// "from 2 s on"
    From,
    /// "until 2 s"
    To,
}

/// All that a question names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mentions {
    pub(super) all: Vec<Mention>,
    /// Sides and parts, also those of the call before that the question leaves out.
    pub(super) body: Body,
    /// Whether the question itself names a part of the body.
    pub(super) names_part: bool,
    /// Its words, without names of videos and subjects.
    pub(super) tokens: Tokens,
    /// The call before, where the question can go on from it.
    pub(super) continued: Option<Call>,
    /// Whether it begins with "and" or the like.
    pub(super) is_opened: bool,
    /// Words that look like the file of a video, and are none of the lake.
    pub unknown_videos: Vec<String>,
}

impl Mentions {
    /// Looks through a question, and takes from the call before it what it does not name itself.
    pub fn of(question: &str, previous: Option<&Call>, inventory: &Inventory) -> Self {
        let mut found = Self::default();
        let mut taken = found.add_spaced_videos(question, inventory);
        taken.extend(found.add_videos(question, inventory, &taken));
        taken.extend(found.add_subjects(question, inventory, &taken));
        let mut names = taken.clone();
        taken.extend(found.add_people(question, &taken));
        let numbers = found.add_numbers(question, &taken);
        names.sort_by_key(|span| span.start);
        found.tokens = Tokens::without(question, &names, &numbers);
        found.body = Body::of(&found.tokens);
        found.names_part = found.body.names_any();
        if let Some(previous) = previous {
            let names_video = found.all.iter().any(|m| m.kind == MentionKind::Video);
            let is_short = found.tokens.words.len() <= MAX_SHORT_WORDS;
            found.is_opened = is_opened(&found.tokens);
            if found.is_opened || is_short && !(found.names_part && names_video) {
                found.continued = Some(previous.clone());
                found.add_previous(previous, names_video);
            } else if !found.names_part && PRONOUNS.iter().any(|word| found.tokens.has(word)) {
                found.add_previous_body(previous);
            }
        }
        found
    }

    /// The call on the other side, where a call has a side that nobody named: one is as good as the
    /// other.
    pub fn other_side(&self, question: &Question, call: &Call) -> Option<Call> {
        if self.body.names_side() {
            return None;
        }
        let other = |(name, value): &(String, String)| {
            let parameter = question.parameters.iter().find(|p| p.name == *name)?;
            let other = other_side(value)?;
            let is_known = parameter.kind.choices().contains(&other.as_str());
            is_known.then_some(other)
        };
        let slots = call.slots.iter().map(|slot| {
            let value = other(slot).unwrap_or_else(|| slot.1.clone());
            (slot.0.clone(), value)
        });
        let changed = Call {
            question: call.question.clone(),
            slots: slots.collect(),
        };
        (changed != *call).then_some(changed)
    }

    /// Videos whose names have white space or signs in them, as they stand in calls and in the
    /// files' names; gives where they stand.
    fn add_spaced_videos(&mut self, question: &str, inventory: &Inventory) -> Vec<Range<usize>> {
        let lower = in_lower_case(question);
        let mut taken: Vec<Range<usize>> = Vec::new();
        let mut videos: Vec<&str> = inventory.videos.iter().map(|v| v.label.as_str()).collect();
        videos.sort_by_key(|label| std::cmp::Reverse(label.len()));
        for label in videos {
            let own = in_lower_case(label);
            let spaced = own.replace('_', " ");
            let is_one_word = WORDS.find(&own).is_some_and(|word| word.len() == own.len());
            let names = [
                Some(spaced).filter(|s| *s != own),
                Some(own).filter(|_| !is_one_word),
            ];
            for name in names.into_iter().flatten() {
                let spans: Vec<Range<usize>> = whole_words(&lower, &name)
                    .filter(|span| is_free(span, &taken))
                    .collect();
                if let Some(first) = spans.first() {
                    self.all.push(Mention {
                        is_needed: true,
                        at: first.start,
                        ..Mention::name(MentionKind::Video, vec![label.to_owned()])
                    });
                    taken.extend(spans);
                }
            }
        }
        taken
    }

    /// Videos by file name, by its stem, by a part of it with a digit; gives where they stand.
    fn add_videos(
        &mut self,
        question: &str,
        inventory: &Inventory,
        found: &[Range<usize>],
    ) -> Vec<Range<usize>> {
        let mut taken = Vec::new();
        for word in WORDS.find_iter(question) {
            if !is_free(&word.range(), found) {
                continue;
            }
            let text = word.as_str().trim_end_matches(['.', '-']).to_lowercase();
            let (before, after) = (&question[..word.start()], &question[word.end()..]);
            let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
            let labels = match is_number && !is_named(before, after, &BEFORE_NUMBERED) {
                true => Vec::new(),
                false => videos_of_word(&text, inventory),
            };
            let is_file = text
                .rsplit_once('.')
                .is_some_and(|(_, suffix)| VIDEO_SUFFIXES.contains(&suffix));
            if labels.is_empty() {
                if is_file || is_unknown_name(&text, before, inventory) {
                    taken.push(word.range());
                    self.unknown_videos
                        .push(word.as_str().trim_end_matches('.').to_owned());
                }
                continue;
            }
            // "demo" may be any word; "in demo" is the video.
            let is_plain_word = text.chars().all(char::is_alphabetic);
            let is_put_as_name =
                is_plain_word && is_usual(&text) && is_named(before, after, &BEFORE_NAME);
            if is_plain_word
                && (Body::of(&Tokens::of(&text)).names_anything()
                    || is_usual(&text) && !is_put_as_name)
            {
                continue;
            }
            taken.push(word.range());
            let is_known = |m: &Mention| m.kind == MentionKind::Video && m.texts == labels;
            if self.all.iter().any(is_known) {
                continue;
            }
            self.all.push(Mention {
                is_needed: !is_plain_word || is_put_as_name || is_after(before, &BEFORE_VIDEO),
                at: word.start(),
                ..Mention::name(MentionKind::Video, labels)
            });
        }
        taken
    }

    /// Subjects by their tags; one alone also stands for the videos that show it. Gives where they
    /// stand.
    fn add_subjects(
        &mut self,
        question: &str,
        inventory: &Inventory,
        videos: &[Range<usize>],
    ) -> Vec<Range<usize>> {
        let mut subjects: Vec<&String> = inventory.subjects.iter().collect();
        subjects.sort_by_key(|subject| std::cmp::Reverse(subject.len()));
        let mut taken: Vec<Range<usize>> = Vec::new();
        let mut named: Vec<(&String, usize)> = Vec::new();
        for subject in subjects {
            let mut spans = places_of_subject(question, subject);
            spans.retain(|span| is_free(span, videos) && is_free(span, &taken));
            if let Some(first) = spans.iter().map(|span| span.start).min() {
                named.push((subject, first));
                taken.extend(spans);
            }
        }
        // Several are to be compared; one may stand for its videos.
        let is_alone = named.len() == 1;
        for (subject, at) in named {
            let place = self.all.len();
            let is_needed = videos.is_empty() || is_alone && self.is_of_others(subject, inventory);
            self.all.push(Mention {
                is_needed,
                at,
                ..Mention::name(
                    MentionKind::Subject,
                    vec![Inventory::subject_label(subject)],
                )
            });
            if videos.is_empty() && is_alone {
                let of_subject = inventory.videos.iter();
                let of_subject = of_subject.filter(|v| v.subject.as_ref() == Some(subject));
                let labels = of_subject.map(|video| video.label.clone()).collect();
                self.all.push(Mention {
                    in_place_of: Some(place),
                    at,
                    ..Mention::name(MentionKind::Video, labels)
                });
            }
        }
        taken
    }

    /// Whether all videos that are named show somebody else.
    fn is_of_others(&self, subject: &str, inventory: &Inventory) -> bool {
        let named = self.all.iter().filter(|m| m.kind == MentionKind::Video);
        let mut labels = named.flat_map(|mention| &mention.texts).peekable();
        let shows_other = |label: &String| {
            let shown = inventory.video(label).and_then(|v| v.subject.as_ref());
            shown.is_some_and(|shown| shown.as_str() != subject)
        };
        labels.peek().is_some() && labels.all(shows_other)
    }

    /// Whether it names a number or people that no question has a parameter for.
    pub fn names_what_no_question_takes(&self) -> bool {
        let people = self.all.iter().filter(|m| m.kind == MentionKind::Person);
        let is_strange = |mention: &Mention| match mention.kind {
            MentionKind::Number(Some(quantity)) => {
                !matches!(quantity, Quantity::Time | Quantity::Angle)
            }
            _ => false,
        };
        people.count() > 1 || self.all.iter().any(is_strange)
    }

    /// The videos that a call's video may as well be, where the words that name it name them all.
    pub fn namesakes(&self, call: &Call) -> Option<&[String]> {
        let videos = || {
            let all = self.all.iter();
            all.filter(|mention| mention.kind == MentionKind::Video)
        };
        let is_certain = |label: &String| videos().any(|m| m.texts == [label.as_str()]);
        let is_meant = |mention: &Mention| {
            let used = call.slots.iter().filter(|(name, label)| {
                name.ends_with("video") && mention.texts.contains(label) && !is_certain(label)
            });
            mention.texts.len() > 1 && used.count() == 1
        };
        let several = videos().find(|mention| is_meant(mention))?;
        Some(&several.texts)
    }

    fn add_people(&mut self, question: &str, names: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut taken = Vec::new();
        for captures in PERSON.captures_iter(question) {
            if let (Some(whole), Some(number)) = (captures.get(0), captures.get(1))
                && is_free(&whole.range(), names)
            {
                let digits = number.as_str().trim_start_matches('0');
                let digits = if digits.is_empty() { "0" } else { digits };
                self.all.push(Mention {
                    is_needed: true,
                    ..Mention::name(MentionKind::Person, vec![digits.to_owned()])
                });
                taken.push(whole.range());
            }
        }
        taken
    }

    /// Gives where numbers stand.
    fn add_numbers(&mut self, question: &str, taken: &[Range<usize>]) -> Vec<Range<usize>> {
        let text = ZERO_COMMA.replace_all(question, "0.$1");
        let text = DECIMAL_COMMA.replace_all(&text, "$1.$2$3");
        let mut taken = taken.to_vec();
        let mut spans = self.add_clock_times(&text, &mut taken);
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
                (Form::Name | Form::Ordinal, _) | (_, Some(Quantity::Count)) => continue,
                (Form::Word, None) if TimeRole::of(&text, &number.span) == TimeRole::Any => {
                    continue;
                }
                // Half a second, twice as far: no call says such a thing.
                (Form::Multiple, _) => {
                    self.add_number(Some(Quantity::Count), value, TimeRole::Any);
                }
                // Nor the last two seconds.
                (_, Some(Quantity::Time)) if is_after(before, &UNUSABLE) => {
                    self.add_number(Some(Quantity::Count), value, TimeRole::Any);
                }
                (Form::Digits | Form::Word, quantity) => {
                    let role = TimeRole::of(&text, &number.span);
                    let is_moment = role == TimeRole::Moment && quantity.is_none();
                    let quantity = quantity.or(is_moment.then_some(Quantity::Time));
                    self.add_number(quantity, value, role);
                }
            }
            spans.push(number.span.clone());
        }
        self.forget_roles_of_several();
        // Where a comma became a point nothing moved.
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// Fractions, and times of hours, minutes and seconds; gives where they stand.
    fn add_clock_times(&mut self, text: &str, taken: &mut Vec<Range<usize>>) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        for fraction in FRACTION.find_iter(text) {
            if is_free(&fraction.range(), taken) {
                self.add_number(Some(Quantity::Count), f64::NAN, TimeRole::Any);
                spans.push(fraction.range());
                taken.push(fraction.range());
            }
        }
        for captures in CLOCK_TIMES
            .iter()
            .flat_map(|times| times.captures_iter(text))
        {
            let Some(whole) = captures.get(0).map(|whole| whole.range()) else {
                continue;
            };
            if !is_free(&whole, taken) {
                continue;
            }
            let part = |name: &str| captures.name(name)?.as_str().parse::<f64>().ok();
            let secs = part("s").unwrap_or_default();
            let minutes = part("m").unwrap_or_default();
            let hours = part("h").unwrap_or_default();
            // There is no minute 75 of an hour, and nobody asks for the last two minutes but of what
            // no call can say.
            let is_time = secs < 60.0
                && (minutes < 60.0 || captures.name("h").is_none())
                && !is_after(&text[..whole.start], &UNUSABLE);
            let quantity = match is_time {
                true => Quantity::Time,
                false => Quantity::Count,
            };
            let role = TimeRole::of(text, &whole);
            let value = 3600.0 * hours + 60.0 * minutes + secs;
            // "Between 1 and 2 min".
            let is_minutes = captures.name("s").is_none() && captures.name("h").is_none();
            let sharing = SHARING
                .captures(&text[..whole.start])
                .and_then(|c| c.get(1));
            if let Some(first) =
                sharing.filter(|first| is_minutes && is_free(&first.range(), taken))
                && let Ok(number) = first.as_str().parse::<f64>()
            {
                let role = TimeRole::of(text, &first.range());
                self.add_number(Some(quantity), 60.0 * number, role);
                spans.push(first.range());
                taken.push(first.range());
            }
            self.add_number(Some(quantity), value, role);
            spans.push(whole.clone());
            taken.push(whole);
        }
        spans
    }

    /// The words around two times say what each is for only together.
    fn forget_roles_of_several(&mut self) {
        let is_time = |mention: &Mention| match mention.kind {
            MentionKind::Number(Some(Quantity::Time)) => true,
            // The first of "from 1 to 2 s".
            MentionKind::Number(None) => mention.role != TimeRole::Any,
            _ => false,
        };
        if self.all.iter().filter(|mention| is_time(mention)).count() > 1 {
            for mention in &mut self.all {
                mention.role = TimeRole::Any;
            }
        }
    }

    fn add_number(&mut self, quantity: Option<Quantity>, value: f64, role: TimeRole) {
        // Nine decimals, so that 0.1 * 60 is 6 again.
        let rounded = format!("{value:.9}").parse::<f64>().unwrap_or(value);
        let text = rounded.to_string();
        let is_same =
            |m: &Mention| m.kind == MentionKind::Number(quantity) && m.texts.first() == Some(&text);
        if self.all.iter().any(is_same) {
            return;
        }
        self.all.push(Mention {
            value: rounded,
            is_needed: true,
            role,
            ..Mention::name(MentionKind::Number(quantity), vec![text])
        });
    }

    /// Numbers, people and subjects of the call that the question goes on from, but for kinds that
    /// it names itself, and its part or side where the question leaves that out. The number of a
    /// person is of no use in another video.
    fn add_previous(&mut self, previous: &Call, names_video: bool) {
        let own = self.all.clone();
        let names = |kind: MentionKind| own.iter().any(|mention| mention.kind == kind);
        for (name, text) in &previous.slots {
            if names_video && name == "person" {
                continue;
            }
            if let Ok(value) = text.parse::<f64>() {
                let kind = match name.as_str() {
                    "person" => MentionKind::Person,
                    name => {
                        let unit = crate::numbers::unit_of_column(name);
                        MentionKind::Number(unit.map(|(unit, _)| unit.quantity))
                    }
                };
                let is_number = matches!(kind, MentionKind::Number(_));
                if !(names(kind) || is_number && names(MentionKind::Number(None))) {
                    self.all.push(Mention {
                        value,
                        is_carried: true,
                        ..Mention::name(kind, vec![text.clone()])
                    });
                }
            } else if name.ends_with("subject") && !names(MentionKind::Subject) {
                self.all.push(Mention {
                    is_carried: true,
                    ..Mention::name(MentionKind::Subject, vec![text.clone()])
                });
            }
        }
        self.add_previous_body(previous);
    }

    /// The part and side of the call before, where the question leaves them out.
    fn add_previous_body(&mut self, previous: &Call) {
        for (name, value) in &previous.slots {
            let is_name = name.ends_with("video") || name.ends_with("subject");
            if !is_name && is_body_part(value) {
                self.body.add(value);
            }
        }
    }
}

impl Mention {
    fn name(kind: MentionKind, texts: Vec<String>) -> Self {
        Self {
            kind,
            texts,
            value: 0.0,
            is_needed: false,
            is_carried: false,
            at: 0,
            role: TimeRole::Any,
            in_place_of: None,
        }
    }
}

impl TimeRole {
    /// What the words around a number make of it.
    fn of(text: &str, span: &Range<usize>) -> Self {
        let before = &text[..span.start];
        let after = text[span.end..].to_ascii_lowercase();
        let after = after.trim_start_matches(|c: char| !c.is_alphabetic());
        let mut following = after.split(|c: char| !c.is_alphanumeric());
        let mut next = following.next().unwrap_or_default();
        // The number's unit may stand behind it.
        if ["s", "sec", "secs", "second", "seconds"].contains(&next) {
            next = following.find(|word| !word.is_empty()).unwrap_or_default();
        }
        let is_from_first = before
            .trim_end()
            .to_ascii_lowercase()
            .ends_with("after the first");
        if is_from_first || is_after(before, &FROM) || ONWARDS.contains(&next) {
            Self::From
        } else if is_after(before, &["after"]) {
            Self::MomentOrFrom
        } else if is_after(before, &AT) || INTO.contains(&next) {
            Self::Moment
        } else if is_after(before, &TO) {
            Self::To
        } else {
            Self::Any
        }
    }

    /// Whether a time can be the value of a parameter.
    pub fn fits(self, parameter: &str) -> bool {
        match parameter {
            "from_secs" => !matches!(self, Self::Moment | Self::To),
            "to_secs" => matches!(self, Self::Any | Self::To),
            _ => matches!(self, Self::Any | Self::Moment | Self::MomentOrFrom),
        }
    }
}

/// Whether the last word of a text is one of these.
fn is_after(text: &str, words: &[&str]) -> bool {
    let lower = text.trim_end().to_ascii_lowercase();
    words.iter().any(|word| {
        let before = lower.strip_suffix(word);
        let is_sign = !word.starts_with(|c: char| c.is_alphanumeric());
        before.is_some_and(|rest| is_sign || !rest.ends_with(|c: char| c.is_alphanumeric()))
    })
}

/// Whether a word that may be any other stands where a name does, and nothing that belongs to it follows.
fn is_named(before: &str, after: &str, words_before: &[&str]) -> bool {
    let next: String = after
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric())
        .collect();
    let is_end = match next.is_empty() {
        true => !after.trim_start().starts_with(['°', '%']),
        false => AFTER_NAME.contains(&next.to_lowercase().as_str()),
    };
    is_after(before, words_before) && is_end
}

/// Whether a word in lower case is usual in questions, so that it seldom is a name.
fn is_usual(word: &str) -> bool {
    word.chars().count() == 1 || USUAL.contains(&word)
}

/// Whether a word in lower case is put as the name of a video would be: with a digit or _ in it, and
/// neither a part of the body, a subject nor a person.
fn is_unknown_name(word: &str, before: &str, inventory: &Inventory) -> bool {
    let is_like_a_name = word.starts_with(char::is_alphabetic)
        && word.contains(|c: char| c.is_ascii_digit() || c == '_')
        && !word.contains('.');
    let is_subject = |subject: &String| {
        let tag = subject.to_lowercase();
        tag == word || Inventory::subject_label(&tag) == word || tag.split(' ').any(|w| w == word)
    };
    is_like_a_name
        && is_after(before, &BEFORE_VIDEO)
        && !Body::of(&Tokens::of(word)).names_any()
        && !PERSON.is_match(word)
        && !inventory.subjects.iter().any(is_subject)
}

/// Where a question names a subject: by the tag, whatever its capitals, or as calls write it. A tag that
/// is a usual word is a name only where it is put as one, or with its own capitals within a sentence.
fn places_of_subject(question: &str, subject: &str) -> Vec<Range<usize>> {
    let lower = in_lower_case(question);
    let tag = in_lower_case(subject);
    let label = Inventory::subject_label(&tag);
    let spaced = label.replace('_', " ");
    let is_word = is_usual(&tag) || Body::of(&Tokens::of(&tag)).names_anything();
    let mut places: Vec<Range<usize>> = Vec::new();
    for name in [&tag, &label, &spaced] {
        for span in whole_words(&lower, name) {
            let (before, after) = (&question[..span.start], &question[span.end..]);
            let has_capitals = question[span.clone()] == *subject
                && tag != subject
                && tag.chars().count() > 1
                && !before.trim().is_empty();
            let is_owner = after.starts_with("'s") || after.starts_with("’s");
            let is_name =
                !is_word || is_owner || has_capitals || is_named(before, after, &BEFORE_NAME);
            if is_name && is_free(&span, &places) {
                places.push(span);
            }
        }
    }
    places
}

/// In lower case, letter by letter, so that every place stays where it was.
fn in_lower_case(text: &str) -> String {
    let lower = |c: char| {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(one), None) if one.len_utf8() == c.len_utf8() => one,
            _ => c,
        }
    };
    text.chars().map(lower).collect()
}

/// Whether a question begins as one that goes on from the one before.
fn is_opened(tokens: &Tokens) -> bool {
    let begins = |opener: &&[&str]| {
        let words = tokens.words.iter().map(String::as_str);
        words.take(opener.len()).eq(opener.iter().copied())
    };
    OPENERS.iter().any(begins)
}

fn is_free(span: &Range<usize>, taken: &[Range<usize>]) -> bool {
    let mut taken = taken.iter();
    taken.all(|t| t.end <= span.start || span.end <= t.start)
}

/// Where a word, or several, stand with nothing of a word around; `'s` may follow.
fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let found = text.match_indices(word).filter(move |(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    });
    found.map(move |(at, _)| at..at + word.len())
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
    let named = |is_meant: &dyn Fn(&str) -> bool| -> Vec<String> {
        let videos = inventory.videos.iter();
        let named = videos.filter(|video| is_meant(&video.label.to_lowercase()));
        named.map(|video| video.label.clone()).collect()
    };
    if word.is_empty() {
        return Vec::new();
    }
    let exact = named(&|name| name == word);
    if !exact.is_empty() {
        return exact;
    }
    let without_id = named(&|name| name.split('#').next() == Some(word));
    if !without_id.is_empty() {
        return without_id;
    }
    let by_stem = named(&|name| stem(name) == word || !is_number && stem(name) == stem(word));
    if !by_stem.is_empty() || is_number {
        return by_stem;
    }
    if has_digit {
        let is_part = |name: &str| stem(name).split(['_', '-', ' ']).any(|part| part == word);
        let parts = named(&is_part);
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
        return named(&|name| {
            strsim::osa_distance(name, word) <= 1 && digits(name) == digits(word)
        });
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::questions::{KnownVideo, QuestionFiles};

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
            name: name.into(),
            subject: (name == "demo.mp4").then(|| "Ben".to_owned()),
            duration_secs: 10.0,
            main_person: Some(0),
            pose_frames: 1,
            ..KnownVideo::default()
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
            ("the left knee of demo", vec![vec!["demo.mp4"]]),
            ("demo.mp4: the knee in demo.mp4", vec![vec!["demo.mp4"]]),
            ("the knee at 20 s", vec![]),
        ] {
            assert_eq!(videos(question), expected, "{question}");
        }
        assert!(of("the left knee of demo").all[0].is_needed);
        assert!(!of("a demo of the left knee").all[0].is_needed);
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
        // Such as no question takes.
        let strange = |text: &str| (text.to_owned(), Some(Quantity::Count), true);
        for (question, expected) in [
            ("at 1.5s in single_cam01.mp4", vec![time("1.5")]),
            ("at 1,5 s", vec![time("1.5")]),
            ("between 1 and 2.5 s", vec![time("1"), time("2.5")]),
            ("from 1-2 seconds", vec![time("1"), time("2")]),
            ("after 1500 ms", vec![time("1.5")]),
            ("at 1:02.5", vec![time("62.5")]),
            ("at 1:02:03", vec![time("3723")]),
            ("until 1 min 5 s", vec![time("65")]),
            ("until 1 minute and 5.5 seconds", vec![time("65.5")]),
            ("at 1m05s", vec![time("65")]),
            ("at 1 min", vec![time("60")]),
            ("between 1 and 2 min", vec![time("60"), time("120")]),
            ("between 1 and 2 minutes", vec![time("60"), time("120")]),
            ("from 1:00 to 1:30", vec![time("60"), time("90")]),
            ("after 1 h", vec![time("3600")]),
            ("at 0,125 s", vec![time("0.125")]),
            ("until two", vec![("2".to_owned(), None, true)]),
            ("at 1:75", vec![strange("135")]),
            ("in the last 1:05", vec![strange("65")]),
            ("in the first 1/2 s", vec![strange("NaN")]),
            ("until ½ s", vec![strange("NaN")]),
            ("min 90 deg", vec![angle("90")]),
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
    fn words_around_a_time_say_what_it_is_for() {
        for (question, fits) in [
            ("at 2 s", [true, false, false]),
            ("@2s", [true, false, false]),
            ("at t=2", [true, false, false]),
            ("2 seconds into it", [true, false, false]),
            ("after 2 s", [true, true, false]),
            ("after the first 2 s", [false, true, false]),
            ("from 2 s on", [false, true, false]),
            ("since 2 s", [false, true, false]),
            ("2 s onwards", [false, true, false]),
            ("at 2 s on the left", [true, false, false]),
            ("in the first 2 s", [false, false, true]),
            ("until 2 s", [false, false, true]),
            ("knee 2 s", [true, true, true]),
        ] {
            let mentions = of(question);
            let role = mentions.all[0].role;
            let found = ["at_secs", "from_secs", "to_secs"].map(|name| role.fits(name));
            assert_eq!(found, fits, "{question}");
        }
        // No parameter says it.
        let kind = of("in the last 2 s").all[0].kind;
        assert_eq!(kind, MentionKind::Number(Some(Quantity::Count)));
    }

    #[test]
    fn a_side_that_nobody_named_may_be_the_other() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let question = files.find("value").expect("a question");
        let call = files.call("value joint=left_knee at_secs=2 video=left_run.mp4");
        let call = call.expect("a call");
        let other = of("knee at 2 s").other_side(question, &call);
        assert_eq!(
            other.expect("another").to_string(),
            "value joint=right_knee at_secs=2 video=left_run.mp4"
        );
        assert_eq!(of("left knee at 2 s").other_side(question, &call), None);
    }

    #[test]
    fn names_with_spaces_are_found_and_name_no_side() {
        let mut inventory = inventory();
        for label in ["my_left_knee.mp4", "clip_(1).mp4", "knee.mp4"] {
            let video = KnownVideo {
                label: label.into(),
                ..inventory.videos[0].clone()
            };
            inventory.videos.push(video);
        }
        for (question, label) in [
            ("the right hip in my left knee.mp4", "my_left_knee.mp4"),
            ("the right hip in my_left_knee.mp4", "my_left_knee.mp4"),
            ("the right hip in Clip (1).mp4?", "clip_(1).mp4"),
            ("the right hip in knee.mp4", "knee.mp4"),
        ] {
            let mentions = Mentions::of(question, None, &inventory);
            assert!(mentions.unknown_videos.is_empty(), "{question}");
            assert_eq!(mentions.all.len(), 1, "{question}");
            assert_eq!(mentions.all[0].texts, [label], "{question}");
            assert!(mentions.body.is_one_sided() && !mentions.body.names("knee"));
        }
        let mentions = Mentions::of("the left knee", None, &inventory);
        assert!(mentions.all.is_empty() && mentions.body.names("knee"));
    }

    /// What a question names of an inventory with these files and subjects.
    fn named(
        question: &str,
        files: &[(&str, Option<&str>)],
    ) -> Vec<(MentionKind, Vec<String>, bool)> {
        let videos = files.iter().map(|(file, subject)| KnownVideo {
            video_id: (*file).into(),
            label: file.replace(' ', "_"),
            name: (*file).into(),
            subject: subject.map(str::to_owned),
            ..KnownVideo::default()
        });
        let mentions = Mentions::of(question, None, &Inventory::new(videos.collect()));
        assert!(mentions.unknown_videos.is_empty(), "{question}");
        let all = mentions.all.into_iter();
        all.map(|m| (m.kind, m.texts, m.is_needed)).collect()
    }

    #[test]
    fn numbers_in_names_are_no_people_and_no_times() {
        let files = [
            ("runner2.mp4", Some("athlete 1")),
            ("player 10.mp4", Some("S01")),
            ("1.mp4", None),
        ];
        for (question, expected) in [
            ("mean left knee in runner2.mp4", &["runner2.mp4"][..]),
            ("mean left knee in runner2", &["runner2.mp4"]),
            ("mean left knee in player 10.mp4", &["player_10.mp4"]),
            ("mean left knee of athlete 1", &["athlete_1", "runner2.mp4"]),
            ("mean left knee in 1.mp4", &["1.mp4"]),
            ("mean left knee in 1", &["1.mp4"]),
        ] {
            let found = named(question, &files).into_iter();
            let is_name = |kind| matches!(kind, MentionKind::Video | MentionKind::Subject);
            let texts = found.map(|(kind, texts, _)| {
                assert!(is_name(kind), "{question}: {texts:?}");
                texts.concat()
            });
            assert_eq!(texts.collect::<Vec<_>>(), expected, "{question}");
        }
        for question in [
            "left knee at 1 s",
            "left knee from 1 to 1.5 s",
            "left knee in 1 s",
        ] {
            let found = named(question, &files);
            let is_number = |kind| matches!(kind, MentionKind::Number(_));
            assert!(found.iter().all(|(kind, ..)| is_number(*kind)), "{found:?}");
        }
        let found = named("left knee of person 2 in runner2.mp4", &files);
        let person = (MentionKind::Person, vec!["2".to_owned()], true);
        assert!(found.contains(&person) && found.len() == 2, "{found:?}");
    }

    #[test]
    fn usual_words_are_names_only_where_they_stand_as_names() {
        let files = [
            ("a.mp4", Some("Max")),
            ("b.mp4", Some("Anna")),
            ("run.mp4", Some("Jörg Öz")),
        ];
        for (question, expected) in [
            ("mean left knee of a person in b.mp4", &["b.mp4"][..]),
            ("mean left knee in a", &["a.mp4"]),
            ("compare the left knee in a and b", &["a.mp4", "b.mp4"]),
            ("max left knee of Anna", &["Anna", "b.mp4"]),
            ("Max left knee in b.mp4", &["b.mp4"]),
            ("the max left knee in b.mp4", &["b.mp4"]),
            ("mean left knee of max", &["Max", "a.mp4"]),
            ("does Max bend the left knee", &["Max", "a.mp4"]),
            ("max's left knee", &["Max", "a.mp4"]),
            ("compare max and anna", &["Anna", "Max"]),
            ("mean left knee of JÖRG ÖZ", &["Jörg_Öz", "run.mp4"]),
            ("mean left knee of jörg_öz", &["Jörg_Öz", "run.mp4"]),
            ("how far does he run in b.mp4", &["b.mp4"]),
            ("mean left knee in run", &["run.mp4"]),
        ] {
            let found = named(question, &files).into_iter();
            let texts: Vec<String> = found.map(|(_, texts, _)| texts.concat()).collect();
            assert_eq!(texts, expected, "{question}");
        }
        let found = named(
            "mean left knee in JÖRG LÄUFT.MP4",
            &[("Jörg Läuft.mp4", None)],
        );
        let video = (MentionKind::Video, vec!["Jörg_Läuft.mp4".to_owned()], true);
        assert_eq!(found, [video]);
    }

    #[test]
    fn what_looks_like_a_name_is_one_that_the_lake_lacks() {
        for (question, unknown) in [
            ("mean left knee in clip7", Some("clip7")),
            ("mean left knee of my_run", Some("my_run")),
            (
                "mean left knee of single_cam09, please",
                Some("single_cam09"),
            ),
            ("mean left knee of left_knee_deg", None),
            ("mean left knee of person_1", None),
            ("mean left knee in 2s", None),
            ("mean of knee2", None),
            ("is the left knee of h7 bent", Some("h7")),
        ] {
            let found = of(question).unknown_videos;
            assert_eq!(found.first().map(String::as_str), unknown, "{question}");
        }
    }

    #[test]
    fn a_subject_stands_for_its_videos_and_for_no_others() {
        let files = [
            ("one.mp4", Some("anna")),
            ("two.mp4", Some("anna")),
            ("three.mp4", Some("ben")),
        ];
        let videos = files.map(|(file, subject)| KnownVideo {
            label: file.into(),
            name: file.into(),
            subject: subject.map(str::to_owned),
            ..KnownVideo::default()
        });
        let inventory = Inventory::new(videos.into());
        let questions = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let of = |question: &str| Mentions::of(question, None, &inventory);
        let call = |text: &str| questions.call(text).expect("a call");
        let labels = ["one.mp4".to_owned(), "two.mp4".to_owned()];
        let mentions = of("mean left knee of anna");
        let ambiguous = call("mean joint=left_knee video=one.mp4");
        assert_eq!(mentions.namesakes(&ambiguous), Some(&labels[..]));
        assert_eq!(of("mean left knee of ben").namesakes(&ambiguous), None);
        let named = of("mean left knee of anna in one.mp4");
        assert_eq!(named.namesakes(&ambiguous), None);
        let compared =
            call("compare_videos joint=left_knee statistic=mean video=one.mp4 other_video=two.mp4");
        assert_eq!(mentions.namesakes(&compared), None);
        // Ben is not in the video that is named.
        let wrong = of("mean left knee of ben in one.mp4");
        assert!(
            wrong
                .all
                .iter()
                .any(|m| m.kind == MentionKind::Subject && m.is_needed)
        );
        let right = of("mean left knee of ben in three.mp4");
        assert!(
            !right
                .all
                .iter()
                .any(|m| m.kind == MentionKind::Subject && m.is_needed)
        );
    }
}
