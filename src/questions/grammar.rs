//! Which calls are possible for what somebody asked: a grammar over pieces of text.
//!
//! A call begins with the name of a question; the values of its parameters follow in the header's
//! order. Values come from the header's lists, from the lake, and from what the question names;
//! whatever it names must be used. So every call that the grammar gives can run.
//!
//! Phrases of the headers leave fewer of them: where the words of the question stand for some of the
//! questions, or for one value of a parameter, others are not possible. Words that contradict one
//! another decide nothing.

use std::collections::BTreeSet;

use super::body::{has_side, is_body_part};
use super::mentions::{Mention, MentionKind, Mentions};
use super::phrases::{self, Meaning, Target};
use super::question::{CANNOT_TELL, NeededWords};
use super::{Call, Question, QuestionFiles};
use crate::numbers::{Quantity, unit_of_column};
use crate::query::{Parameter, ParameterType};

/// The names of the two ends of a stretch of time.
const FROM: &str = "from_secs";
const TO: &str = "to_secs";

/// What is left of the probability that nothing can be told, where the words of a question leave one
/// question file alone. Chosen on validation data.
const REFUSAL_WEIGHT: f64 = 0.1;

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
    /// Where the last name of the question stands that is used.
    at: usize,
}

struct Value {
    text: String,
    /// Which mention it is, where it is one.
    mention: Option<usize>,
    number: f64,
    /// Where a name stands in the question; they are used in this order.
    at: usize,
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
    /// Whether the parts of the body that are named can be what it is about, and its words stand
    /// there where it needs them.
    is_meant: bool,
}

/// The calls that are possible for one question.
pub struct Grammar {
    shapes: Vec<Shape>,
    /// Places of the questions that the phrases leave.
    left: BTreeSet<usize>,
    /// Whether phrases decided which are left.
    is_said: bool,
}

impl Grammar {
    /// The calls of `files` that fit `mentions`, and the words around them.
    pub fn new(files: &QuestionFiles, mentions: &Mentions) -> Self {
        let asked = Asked {
            mentions,
            continued: continued(&files.questions, mentions),
            obey: Obey::Phrases,
        };
        let mut grammar = Self::of_asked(files, &asked);
        let possible: BTreeSet<usize> = (0..grammar.shapes.len())
            .filter(|place| grammar.is_possible(*place))
            .collect();
        let left = questions_left(&files.questions, &asked, &possible);
        grammar.is_said = left.is_some();
        grammar.left = left.unwrap_or(possible);
        grammar
    }

    /// The calls of `files` that fit `mentions`, whatever the words around them say.
    pub fn without_phrases(files: &QuestionFiles, mentions: &Mentions) -> Self {
        let asked = Asked {
            mentions,
            continued: mentions.continued.as_ref(),
            obey: Obey::MentionsAlone,
        };
        Self::of_asked(files, &asked)
    }

    fn of_asked(files: &QuestionFiles, asked: &Asked<'_>) -> Self {
        let questions = files.questions.iter();
        let shapes = questions.map(|question| shape(question, asked));
        Self {
            shapes: shapes.collect(),
            left: (0..files.questions.len()).collect(),
            is_said: false,
        }
    }

    fn is_possible(&self, place: usize) -> bool {
        // Each parameter uses one mention at most.
        if self.shapes[place].needed.count_ones() as usize > self.shapes[place].slots.len() {
            return false;
        }
        let begun = Place {
            question: Some(place),
            ..Place::default()
        };
        self.shapes[place].is_meant && self.can_end(&begun)
    }

    /// The only question that phrases leave, beside that nothing can be told.
    pub fn only_question(&self) -> Option<&str> {
        if !self.is_said {
            return None;
        }
        let left = self.left.iter().filter(|place| self.is_possible(**place));
        let mut names = left.map(|place| self.shapes[*place].name.as_str());
        let first = names.by_ref().find(|name| *name != CANNOT_TELL)?;
        names.all(|name| name == CANNOT_TELL).then_some(first)
    }

    /// How likely the name of a question is before a model is asked, as against the others: words that
    /// leave one question alone speak against that nothing can be told.
    pub fn weight(&self, place: &Place) -> f64 {
        let is_name = place.slot == 0;
        let question = place.question.filter(|_| is_name);
        let name = question.map(|question| self.shapes[question].name.as_str());
        match name == Some(CANNOT_TELL) && self.only_question().is_some() {
            true => REFUSAL_WEIGHT,
            false => 1.0,
        }
    }

    /// Whether phrases say that nothing can be told.
    pub fn is_refused(&self) -> bool {
        let mut left = self.left.iter().map(|place| &self.shapes[*place].name);
        self.is_said && left.all(|name| name == CANNOT_TELL)
    }

    /// The calls of one question alone, where there is any; otherwise all as they are.
    #[must_use]
    pub fn of_question(mut self, name: &str) -> Self {
        let named = self.shapes.iter().position(|shape| shape.name == name);
        if let Some(place) = named.filter(|place| self.is_possible(*place)) {
            self.left = BTreeSet::from([place]);
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
            let possible = self.left.iter().filter(|place| self.is_possible(**place));
            let begun = possible.map(|place| {
                let after = Place {
                    question: Some(*place),
                    ..Place::default()
                };
                (self.shapes[*place].name.clone(), after)
            });
            return begun.collect();
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
        if place.names.contains(&value.text) || value.at < place.at {
            return None;
        }
        after.at = value.at;
        after.names.push(value.text.clone());
    }
    match slot.name.as_str() {
        FROM => after.from_secs = Some(value.number),
        TO if place.from_secs.is_some_and(|from| value.number <= from) => return None,
        _ => {}
    }
    Some(after)
}

/// What of a question's words decides.
#[derive(Clone, Copy, PartialEq)]
enum Obey {
    /// All of them.
    Phrases,
    /// What it names, and nothing around that.
    MentionsAlone,
}

/// A question as it was asked.
struct Asked<'a> {
    mentions: &'a Mentions,
    /// The call before, where the question goes on from it.
    continued: Option<&'a Call>,
    obey: Obey,
}

impl Asked<'_> {
    /// Whether a question may be the one before, asked again.
    fn is_again(&self, question: &Question) -> bool {
        self.continued
            .is_some_and(|previous| previous.question == question.name)
    }
}

/// The call that a question goes on from: not where it is a whole one, with a part of the body and
/// words of its own.
fn continued<'a>(questions: &[Question], mentions: &'a Mentions) -> Option<&'a Call> {
    let has_words = || {
        let meanings = questions.iter().flat_map(|question| &question.meanings);
        let meanings = meanings.filter(|m| m.target != Target::NotQuestion);
        let meanings: Vec<((), &Meaning)> = meanings.map(|meaning| ((), meaning)).collect();
        !phrases::found(&mentions.tokens, &meanings).is_empty()
    };
    let previous = mentions.continued.as_ref();
    previous.filter(|_| mentions.is_opened || !mentions.names_part || !has_words())
}

/// The questions that the words leave of those that are possible: the ones that all phrases stand
/// for. `None` where they decide nothing: there are none, or no question is what all of them stand for.
fn questions_left(
    questions: &[Question],
    asked: &Asked<'_>,
    possible: &BTreeSet<usize>,
) -> Option<BTreeSet<usize>> {
    let mentions = asked.mentions;
    let mut meanings = Vec::new();
    let mut refusing = Vec::new();
    for (place, question) in questions.iter().enumerate() {
        for meaning in &question.meanings {
            // What stands for one of its values stands for it.
            if question.name == CANNOT_TELL {
                refusing.push((place, meaning));
            } else if meaning.target != Target::NotQuestion && meaning.counts_for(&mentions.body) {
                meanings.push((place, meaning));
            }
        }
    }
    let refused = phrases::found(&mentions.tokens, &refusing);
    if let Some(place) = refused.concat().first() {
        return Some(BTreeSet::from([*place]));
    }
    let cannot_tell = questions.iter().position(|q| q.name == CANNOT_TELL);
    let mut claims = phrases::found(&mentions.tokens, &meanings);
    claims
        .iter_mut()
        .for_each(|claim| claim.retain(|place| possible.contains(place)));
    claims.retain(|claim| !claim.is_empty());
    let mut left = possible.clone();
    for claim in &claims {
        left.retain(|place| claim.contains(place));
    }
    // The question before is asked again wherever it can be.
    let again = questions
        .iter()
        .position(|question| asked.is_again(question))
        .filter(|place| left.contains(place));
    if let Some(place) = again {
        left = BTreeSet::from([place]);
    }
    let decides = !left.is_empty() && (!claims.is_empty() || again.is_some());
    left.extend(cannot_tell);
    decides.then_some(left)
}

fn shape(question: &Question, asked: &Asked<'_>) -> Shape {
    let mentions = asked.mentions;
    let slots = question.parameters.iter();
    let slots: Vec<Slot> = slots.map(|p| slot(question, p, asked)).collect();
    // Bits are enough for any question that a person writes; what is beyond cannot be used.
    let bits = mentions.all.iter().enumerate().take(u64::BITS as usize);
    let is_again = asked.is_again(question);
    let is_needed = |mention: &Mention| mention.is_needed || mention.is_carried && is_again;
    let needed = bits.filter(|(_, mention)| is_needed(mention) && question.name != CANNOT_TELL);
    Shape {
        name: question.name.clone(),
        slots,
        needed: needed.fold(0, |needed, (index, _)| needed | 1 << index),
        is_meant: asked.obey == Obey::MentionsAlone
            || fits_body(question, mentions) && (is_again || has_words(question, mentions)),
    }
}

/// Whether one of the phrases that a question needs stands there, if it needs any, and none that says
/// that it is not asked.
fn has_words(question: &Question, mentions: &Mentions) -> bool {
    let stands = |is_meant: &dyn Fn(&Meaning) -> bool| {
        let meant = question.meanings.iter();
        let meant = meant.filter(|m| is_meant(m) && m.counts_for(&mentions.body));
        let meant: Vec<((), &Meaning)> = meant.map(|meaning| ((), meaning)).collect();
        !phrases::found(&mentions.tokens, &meant).is_empty()
    };
    let needed = &question.needed_words;
    (*needed == NeededWords::Nothing || stands(&|meaning| needed.has(meaning)))
        && !stands(&|meaning| meaning.target == Target::NotQuestion)
}

/// Whether a question can be about the parts and sides that are named: one that compares the sides is
/// not about one of them, and one about a joint is not about both, nor about two joints.
fn fits_body(question: &Question, mentions: &Mentions) -> bool {
    let choices: Vec<Vec<&str>> = question
        .parameters
        .iter()
        .map(|p| p.kind.choices())
        .collect();
    let bodies: Vec<&Vec<&str>> = choices
        .iter()
        .filter(|choices| choices.iter().any(|choice| is_body_part(choice)))
        .collect();
    if question.name == CANNOT_TELL || !mentions.names_part {
        return true;
    }
    if bodies.is_empty() {
        return false;
    }
    let is_sided = bodies
        .iter()
        .any(|choices| choices.iter().any(|choice| has_side(choice)));
    if let [only] = bodies[..]
        && mentions.body.names_several(only)
    {
        return false;
    }
    match is_sided {
        true => bodies.len() > 1 || !mentions.body.is_two_sided(),
        false => !mentions.body.is_one_sided(),
    }
}

fn slot(question: &Question, parameter: &Parameter, asked: &Asked<'_>) -> Slot {
    let mentions = asked.mentions;
    let is_again = asked.is_again(question);
    let named = |is_meant: &dyn Fn(&Mention) -> bool| -> Vec<Value> {
        let bits = mentions.all.iter().enumerate().take(u64::BITS as usize);
        let usable = bits.filter(|(_, mention)| is_again || !mention.is_carried);
        let meant = usable.filter(|(_, mention)| is_meant(mention));
        let values = meant.flat_map(|(index, mention)| {
            mention.texts.iter().map(move |text| Value {
                text: text.clone(),
                mention: Some(mention.in_place_of.unwrap_or(index)),
                number: mention.value,
                at: mention.at,
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
        ParameterType::Time => {
            let is_time = is_number(Some(Quantity::Time));
            let fits = |mention: &Mention| {
                asked.obey == Obey::MentionsAlone || mention.role.fits(&parameter.name)
            };
            named(&|mention| is_time(mention) && fits(mention))
        }
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
        kind => {
            let choices = kind.choices();
            match asked.obey {
                Obey::Phrases => {
                    let chosen = said(question, parameter, asked);
                    let choices = sayable(&choices, question, parameter, asked);
                    listed(&choices, chosen.as_deref(), mentions)
                }
                Obey::MentionsAlone => listed(&choices, None, mentions),
            }
        }
    };
    let is_name = matches!(
        parameter.kind,
        ParameterType::Video | ParameterType::Subject
    );
    // A part that is named is what it is about.
    let is_named = mentions.names_part && is_body(parameter) && !values.is_empty();
    Slot {
        name: parameter.name.clone(),
        // Which video, where the question names none, is known from elsewhere; not which of two.
        is_optional: parameter.default.is_some() && !is_named
            || parameter.name == "video" && !question.has("other_video"),
        values,
        is_name,
    }
}

/// The value that the words stand for; where they stand for none, that of the call before, if the
/// question goes on from it.
fn said(question: &Question, parameter: &Parameter, asked: &Asked<'_>) -> Option<String> {
    let mentions = asked.mentions;
    let found = values_said(question, parameter, mentions);
    let previous = asked.continued.filter(|_| asked.is_again(question));
    match (found.len(), found.first()) {
        (1, Some(value)) => Some((*value).to_owned()),
        (0, _) if !is_body(parameter) && !names_choice(parameter, mentions) => {
            previous?.value(&parameter.name).map(str::to_owned)
        }
        _ => None,
    }
}

/// The values of a parameter that phrases stand for.
fn values_said<'q>(
    question: &'q Question,
    parameter: &Parameter,
    mentions: &Mentions,
) -> BTreeSet<&'q str> {
    let meanings = question.meanings.iter().filter_map(|meaning| {
        let Target::Value(name, value) = &meaning.target else {
            return None;
        };
        let counts = *name == parameter.name && meaning.counts_for(&mentions.body);
        counts.then_some((value.as_str(), meaning))
    });
    let found = phrases::found(&mentions.tokens, &meanings.collect::<Vec<_>>());
    found.into_iter().flatten().collect()
}

/// The values of a list without those that would have to be said, and are not: neither by a phrase,
/// nor as they are called, nor by the call before.
fn sayable<'c>(
    choices: &[&'c str],
    question: &Question,
    parameter: &Parameter,
    asked: &Asked<'_>,
) -> Vec<&'c str> {
    let found = values_said(question, parameter, asked.mentions);
    let previous = asked.continued.filter(|_| asked.is_again(question));
    let previous = previous.and_then(|call| call.value(&parameter.name));
    let is_open = |choice: &&&str| {
        !question.said_values.iter().any(|said| said == **choice)
            || found.contains(**choice)
            || previous == Some(**choice)
            || asked.mentions.tokens.has(choice)
    };
    choices.iter().filter(is_open).copied().collect()
}

/// Whether a value of a parameter stands in the question as it is called.
fn names_choice(parameter: &Parameter, mentions: &Mentions) -> bool {
    let choices = parameter.kind.choices();
    choices.iter().any(|choice| mentions.tokens.has(choice))
}

fn is_body(parameter: &Parameter) -> bool {
    let choices = parameter.kind.choices();
    choices.iter().any(|choice| is_body_part(choice))
}

/// Those of a list of values that the question can mean: of parts of the body, those that it names,
/// and nothing else.
fn listed(choices: &[&str], said: Option<&str>, mentions: &Mentions) -> Vec<Value> {
    let value = |text: &&str| Value {
        text: (*text).to_owned(),
        mention: None,
        number: 0.0,
        at: 0,
    };
    let is_body = choices.iter().any(|choice| is_body_part(choice));
    let meant = match is_body {
        true => mentions.body.allowed(choices),
        false => choices.to_vec(),
    };
    let is_said = |choice: &&&str| said.is_none_or(|said| said == **choice);
    match meant.iter().any(|choice| is_said(&choice)) {
        true => meant.iter().filter(is_said).map(value).collect(),
        false => meant.iter().map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::questions::{Inventory, KnownVideo};

    fn inventory() -> Inventory {
        let videos = ["demo.mp4", "run2.mp4"].map(|name| KnownVideo {
            video_id: name.into(),
            label: name.into(),
            name: name.into(),
            duration_secs: 10.0,
            main_person: Some(0),
            pose_frames: 1,
            ..KnownVideo::default()
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
            "time_beyond joint=left_knee direction=below limit_deg=90 from_secs=1 to_secs=2 video=demo.mp4",
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
        let calls = self::calls("maximum of the left knee, demo.mp4", None);
        assert!(!calls.iter().any(|call| call.starts_with("compare")));
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
        // A whole question has nothing of the one before.
        for question in [
            "rom right knee demo.mp4",
            "total range of the right knee, please, in demo.mp4",
        ] {
            let calls = self::calls(question, Some(&previous));
            assert!(calls.contains(&"range joint=right_knee video=demo.mp4".to_owned()));
            assert!(
                calls.iter().all(|call| !call.contains("from_secs")),
                "{calls:?}"
            );
        }
        // What is not said again stays as it was.
        assert!(calls.iter().all(|call| !call.contains("largest")));
    }

    #[test]
    fn a_person_s_number_is_another_s_in_another_video() {
        let slots = [("joint", "right_knee"), ("person", "1")];
        let previous = Call {
            question: "mean".into(),
            slots: slots
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        for (question, expected) in [
            ("and the left one?", "mean joint=left_knee person=1"),
            ("and in run2.mp4?", "mean joint=right_knee video=run2.mp4"),
        ] {
            let calls = calls(question, Some(&previous));
            let others = calls.iter().filter(|call| !call.starts_with("cannot_tell"));
            assert!(others.eq([expected]), "{question}: {calls:?}");
        }
    }

    #[test]
    fn words_decide_where_they_do_not_contradict_one_another() {
        for (question, expected) in [
            (
                "When is the right knee most bent in demo.mp4?",
                &["extreme joint=right_knee which=smallest video=demo.mp4"][..],
            ),
            (
                "total range of the right elbow in demo.mp4",
                &["range joint=right_elbow video=demo.mp4"],
            ),
            ("how many videos are there", &["videos"]),
            (
                "left knee flexion angle at peak in demo.mp4",
                &["extreme joint=left_knee which=smallest video=demo.mp4"],
            ),
            (
                "how long until the left knee goes below 120 deg in demo.mp4",
                &["crossings joint=left_knee direction=below limit_deg=120 video=demo.mp4"],
            ),
            (
                "total range of the right elbow from the start to 2 s in demo.mp4",
                &["range joint=right_elbow to_secs=2 video=demo.mp4"],
            ),
            (
                "total range of the right elbow from 2 s to the end of demo.mp4",
                &["range joint=right_elbow from_secs=2 video=demo.mp4"],
            ),
            (
                "total range of the right elbow until 1 min 5 s in demo.mp4",
                &["range joint=right_elbow to_secs=65 video=demo.mp4"],
            ),
            (
                "least bent left knee, demo.mp4",
                &["extreme joint=left_knee which=largest video=demo.mp4"],
            ),
            (
                "is the left knee range or its mean larger?",
                &["range joint=left_knee", "mean joint=left_knee"],
            ),
        ] {
            let calls = calls(question, None);
            for call in expected {
                assert!(calls.iter().any(|c| c == call), "{question}: {calls:?}");
            }
            let others = calls.iter().filter(|call| !call.starts_with("cannot_tell"));
            let is_free = expected.len() > 1;
            assert!(is_free || others.eq(expected), "{question}: {calls:?}");
        }
        let refused = calls("How fast is the left wrist in km/h?", None);
        assert!(refused.iter().all(|call| call.starts_with("cannot_tell")));
    }

    #[test]
    fn an_extreme_is_compared_where_it_is_said() {
        for (question, expected) in [
            (
                "left knee of demo.mp4 versus run2.mp4",
                vec!["mean", "range"],
            ),
            (
                "smallest left knee of demo.mp4 versus run2.mp4",
                vec!["smallest"],
            ),
            (
                "minimun left knee of demo.mp4 versus run2.mp4",
                vec!["smallest"],
            ),
            (
                "compare the left knee of demo.mp4 and run2.mp4",
                vec!["mean", "range"],
            ),
        ] {
            let calls = calls(question, None);
            let compared = calls
                .iter()
                .filter(|call| call.starts_with("compare_videos"));
            let statistics: BTreeSet<&str> = compared
                .filter_map(|call| call.split("statistic=").nth(1)?.split(' ').next())
                .collect();
            let expected: BTreeSet<&str> = expected.into_iter().collect();
            assert_eq!(statistics, expected, "{question}");
        }
    }

    #[test]
    fn words_for_one_question_speak_against_a_refusal() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        for (question, is_said) in [
            ("total excursion of the left knee in demo.mp4", true),
            ("what about the left knee in demo.mp4", false),
            ("how many cm does the left knee move in demo.mp4", false),
        ] {
            let mentions = Mentions::of(question, None, &inventory());
            let grammar = Grammar::new(&files, &mentions);
            let begun = grammar.next(&grammar.start());
            let refusal = begun.iter().find(|(name, _)| name == CANNOT_TELL);
            let (_, refusal) = refusal.expect("a refusal");
            assert_eq!(grammar.weight(refusal) < 1.0, is_said, "{question}");
            let others = begun.iter().filter(|(name, _)| name != CANNOT_TELL);
            assert!(
                others
                    .into_iter()
                    .all(|(_, place)| grammar.weight(place) == 1.0)
            );
        }
    }

    #[test]
    fn no_part_of_the_body_is_guessed() {
        for question in [
            "what is the speed of light",
            "largest angle in demo.mp4",
            "angle at 2 s",
        ] {
            let calls = calls(question, None);
            let has_part = |call: &String| call.contains("joint=") || call.contains("landmark=");
            assert!(!calls.iter().any(has_part), "{question}: {calls:?}");
        }
    }

    #[test]
    fn what_no_question_can_use_leaves_nothing_to_tell() {
        for question in [
            "the left knee in frame 30",
            "left knee twice as fast",
            "12 % of demo.mp4",
            "mean left knee in the first 1/2 s of demo.mp4",
            "left knee at 1:75 in demo.mp4",
            "left knee of person 0 and person 1 in demo.mp4",
            // Parts of a clip and people that nobody has numbered.
            "mean left knee near the start of demo.mp4",
            "largest left knee angle in the second half of demo.mp4",
            "left knee angle at the end of demo.mp4",
            "left knee 2 s before the end of demo.mp4",
            "left knee 2 s later in demo.mp4",
            "left knee at 2 s of the second person in demo.mp4",
            "mean left knee of the other runner in demo.mp4",
            "mean left knee of the person on the right in demo.mp4",
            "mean left knee of both people in demo.mp4",
            "how long is the left knee below 1.5 rad in demo.mp4",
            "mean left knee angle in radians in demo.mp4",
            "mean of left knee and left hip in demo.mp4",
            "which of left knee and left hip moves more in demo.mp4",
            "minimum speed of the left wrist in demo.mp4",
            "time the left knee is not below 120 in demo.mp4",
            "when does the left knee last go below 120 deg in demo.mp4",
            "how far below 90 deg does the left knee go in demo.mp4",
            "mean left knee from 1 s for 2 s in demo.mp4",
            "does the left knee move more than 10 deg in demo.mp4",
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
