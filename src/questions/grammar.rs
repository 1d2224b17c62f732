//! Which calls are possible for what somebody asked: a grammar over pieces of text.
//!
//! A call begins with the name of a question; the values of its parameters follow in the header's
//! order. Values come from the header's lists, from the lake, and from what the question names;
//! whatever it names must be used. So every call that the grammar gives can run.

use super::mentions::{Mention, MentionKind, Mentions, is_body_part};
use super::question::CANNOT_TELL;
use super::{Question, QuestionFiles};
use crate::numbers::{Quantity, unit_of_column};
use crate::query::{Parameter, ParameterType};

/// The names of the two ends of a stretch of time.
const FROM: &str = "from_secs";
const TO: &str = "to_secs";

/// How far a call has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    question: Option<usize>,
    slot: usize,
    /// Which mentions are used, a bit each.
    used: u64,
    from_secs: Option<f64>,
    /// Names that are used, of which none comes twice.
    names: Vec<String>,
}

struct Value {
    text: String,
    /// Which mention it is, where it is one.
    mention: Option<usize>,
    number: f64,
}

struct Slot {
    name: String,
    values: Vec<Value>,
    is_optional: bool,
    is_name: bool,
}

struct Shape {
    name: String,
    slots: Vec<Slot>,
    /// Mentions that it has to use.
    needed: u64,
}

/// The calls that are possible for one question.
pub struct Grammar {
    shapes: Vec<Shape>,
}

impl Grammar {
    /// The calls of `files` that fit `mentions`.
    pub fn new(files: &QuestionFiles, mentions: &Mentions) -> Self {
        let shapes = files
            .questions
            .iter()
            .map(|question| shape(question, mentions));
        Self {
            shapes: shapes.collect(),
        }
    }

    /// The calls of one question alone, where there is any; otherwise all as they are.
    #[must_use]
    pub fn of_question(mut self, name: &str) -> Self {
        let is_possible = |place: usize| {
            let begun = Place {
                question: Some(place),
                ..Place::default()
            };
            self.can_end(&begun)
        };
        let named = self.shapes.iter().position(|shape| shape.name == name);
        if let Some(place) = named.filter(|place| is_possible(*place)) {
            self.shapes = vec![self.shapes.swap_remove(place)];
        }
        self
    }

    /// Where every call begins.
    pub fn start(&self) -> Place {
        Place::default()
    }

    /// What may follow: texts, each with the place behind it.
    pub fn next(&self, place: &Place) -> Vec<(String, Place)> {
        let Some(question) = place.question else {
            let begun = (0..self.shapes.len()).map(|question| Place {
                question: Some(question),
                ..Place::default()
            });
            let begun = begun.filter(|place| self.can_end(place));
            return begun
                .filter_map(|place| Some((self.shapes[place.question?].name.clone(), place)))
                .collect();
        };
        let mut next = Vec::new();
        for (index, slot) in self.shapes[question]
            .slots
            .iter()
            .enumerate()
            .skip(place.slot)
        {
            for value in &slot.values {
                if let Some(after) = filled(place, index, slot, value)
                    && self.can_end(&after)
                {
                    next.push((format!(" {}={}", slot.name, value.text), after));
                }
            }
            if !slot.is_optional {
                break;
            }
        }
        next
    }

    /// Whether the call may end here.
    pub fn may_end(&self, place: &Place) -> bool {
        place.question.is_some_and(|question| {
            let shape = &self.shapes[question];
            let rest = &shape.slots[place.slot..];
            place.used & shape.needed == shape.needed && rest.iter().all(|slot| slot.is_optional)
        })
    }

    /// Whether some call goes on from here to its end.
    fn can_end(&self, place: &Place) -> bool {
        if self.may_end(place) {
            return true;
        }
        let Some(question) = place.question else {
            return true;
        };
        let slots = self.shapes[question].slots.iter().enumerate();
        for (index, slot) in slots.skip(place.slot) {
            // Values that are used up by nothing else are alike in what may follow.
            let mut tried_plain = false;
            for value in &slot.values {
                if value.mention.is_none() {
                    if tried_plain && !slot.is_name {
                        continue;
                    }
                    tried_plain = true;
                }
                if filled(place, index, slot, value).is_some_and(|after| self.can_end(&after)) {
                    return true;
                }
            }
            if !slot.is_optional {
                return false;
            }
        }
        false
    }
}

/// The place after a slot got a value; `None` where it cannot have it.
fn filled(place: &Place, index: usize, slot: &Slot, value: &Value) -> Option<Place> {
    let mut after = place.clone();
    after.slot = index + 1;
    if let Some(mention) = value.mention {
        let bit = 1 << mention;
        if place.used & bit != 0 && !slot.is_name {
            return None;
        }
        after.used |= bit;
    }
    if slot.is_name {
        if place.names.contains(&value.text) {
            return None;
        }
        after.names.push(value.text.clone());
    }
    match slot.name.as_str() {
        FROM => after.from_secs = Some(value.number),
        TO if place.from_secs.is_some_and(|from| value.number <= from) => return None,
        _ => {}
    }
    Some(after)
}

fn shape(question: &Question, mentions: &Mentions) -> Shape {
    let slots = question.parameters.iter();
    let slots: Vec<Slot> = slots.map(|p| slot(p, mentions)).collect();
    // Bits are enough for any question that a person writes; what is beyond cannot be used.
    let bits = mentions.all.iter().enumerate().take(u64::BITS as usize);
    let needed = bits.filter(|(_, mention)| mention.is_needed && question.name != CANNOT_TELL);
    Shape {
        name: question.name.clone(),
        slots,
        needed: needed.fold(0, |needed, (index, _)| needed | 1 << index),
    }
}

fn slot(parameter: &Parameter, mentions: &Mentions) -> Slot {
    let named = |is_meant: &dyn Fn(&Mention) -> bool| -> Vec<Value> {
        let bits = mentions.all.iter().enumerate().take(u64::BITS as usize);
        let meant = bits.filter(|(_, mention)| is_meant(mention));
        let values = meant.flat_map(|(index, mention)| {
            mention.texts.iter().map(move |text| Value {
                text: text.clone(),
                mention: Some(index),
                number: mention.value,
            })
        });
        values.collect()
    };
    let is_number = |wanted: Option<Quantity>| {
        move |mention: &Mention| match mention.kind {
            MentionKind::Number(None) => true,
            MentionKind::Number(quantity) => quantity == wanted,
            _ => false,
        }
    };
    let values = match &parameter.kind {
        ParameterType::Time => named(&is_number(Some(Quantity::Time))),
        ParameterType::Number => {
            let unit = unit_of_column(&parameter.name);
            named(&is_number(unit.map(|(unit, _)| unit.quantity)))
        }
        ParameterType::Integer => {
            named(&|m| m.kind == MentionKind::Number(None) && m.value.fract() == 0.0)
        }
        ParameterType::Video => named(&|mention| mention.kind == MentionKind::Video),
        ParameterType::Subject => named(&|mention| mention.kind == MentionKind::Subject),
        ParameterType::Person => named(&|mention| mention.kind == MentionKind::Person),
        kind => listed(&kind.choices(), mentions),
    };
    let is_name = matches!(
        parameter.kind,
        ParameterType::Video | ParameterType::Subject
    );
    Slot {
        name: parameter.name.clone(),
        // Which video, where the question names none, is known from elsewhere.
        is_optional: parameter.default.is_some() || parameter.name == "video",
        values,
        is_name,
    }
}

/// Those of a list of values that do not contradict the question.
fn listed(choices: &[&str], mentions: &Mentions) -> Vec<Value> {
    let value = |text: &&str| Value {
        text: (*text).to_owned(),
        mention: None,
        number: 0.0,
    };
    if !choices.iter().any(|choice| is_body_part(choice)) {
        return choices.iter().map(value).collect();
    }
    let allowed: Vec<&str> = (choices.iter().copied())
        .filter(|choice| mentions.body.allows(choice))
        .collect();
    match allowed.is_empty() {
        true => choices.iter().map(value).collect(),
        false => allowed.iter().map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::questions::{Call, Inventory, KnownVideo};

    fn inventory() -> Inventory {
        let videos = ["demo.mp4", "run2.mp4"].map(|name| KnownVideo {
            video_id: name.into(),
            label: name.into(),
            sport: String::new(),
            subject: None,
            duration_secs: 10.0,
            main_person: Some(0),
            pose_frames: 1,
        });
        Inventory::new(videos.into())
    }

    /// All calls that are possible, or the first many of them.
    fn calls(question: &str, previous: Option<&Call>) -> Vec<String> {
        fn walk(grammar: &Grammar, place: &Place, text: String, calls: &mut Vec<String>) {
            if grammar.may_end(place) {
                calls.push(text.clone());
            }
            for (piece, next) in grammar.next(place) {
                walk(grammar, &next, format!("{text}{piece}"), calls);
            }
        }
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let mentions = Mentions::of(question, previous, &inventory());
        let grammar = Grammar::new(&files, &mentions);
        let mut calls = Vec::new();
        walk(&grammar, &grammar.start(), String::new(), &mut calls);
        for call in &calls {
            files.call(call).expect("a call");
        }
        calls
    }

    #[test]
    fn calls_use_all_that_the_question_names() {
        let calls = calls("left knee below 90 deg from 1 to 2 s in demo.mp4", None);
        for expected in [
            "crossings joint=left_knee direction=below limit_deg=90 from_secs=1 to_secs=2 video=demo.mp4",
            "time_beyond joint=left_knee direction=above limit_deg=90 from_secs=1 to_secs=2 video=demo.mp4",
            "cannot_tell topic=other",
        ] {
            assert!(calls.iter().any(|call| call == expected), "{expected}");
        }
        for call in calls.iter().filter(|call| !call.starts_with("cannot_tell")) {
            let uses = [
                "=left_knee",
                "limit_deg=90",
                "_secs=1",
                "to_secs=2",
                "video=demo.mp4",
            ];
            assert!(uses.iter().all(|used| call.contains(used)), "{call}");
        }
    }

    #[test]
    fn times_are_in_order_and_videos_differ() {
        let calls = calls("left knee, 2 s and 1 s", None);
        assert!(
            calls
                .iter()
                .any(|call| call == "change joint=left_knee from_secs=1 to_secs=2")
        );
        assert!(
            !calls
                .iter()
                .any(|call| call.contains("from_secs=2 to_secs=1"))
        );
        let calls = self::calls("left knee of demo.mp4 and run2.mp4", None);
        let is_compared = |call: &String| {
            call.starts_with("cannot_tell")
                || call.contains("video=demo.mp4 other_video=run2.mp4")
                || call.contains("video=run2.mp4 other_video=demo.mp4")
        };
        assert!(
            calls.len() > 9 && calls.iter().all(is_compared),
            "{calls:?}"
        );
    }

    #[test]
    fn a_question_goes_on_from_the_one_before() {
        let previous = Call {
            question: "extreme".into(),
            slots: [
                ("joint", "right_knee"),
                ("which", "smallest"),
                ("from_secs", "1.5"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let calls = calls("and the left one?", Some(&previous));
        let expected = "extreme joint=left_knee which=smallest from_secs=1.5";
        assert!(calls.iter().any(|call| call == expected));
        assert!(calls.iter().all(|call| !call.contains("right_")));
    }

    #[test]
    fn what_no_question_can_use_leaves_nothing_to_tell() {
        for question in [
            "the left knee in frame 30",
            "left knee twice as fast",
            "12 % of demo.mp4",
        ] {
            let calls = calls(question, None);
            assert!(!calls.is_empty(), "{question}");
            assert!(
                calls.iter().all(|call| call.starts_with("cannot_tell")),
                "{question}"
            );
        }
    }
}
