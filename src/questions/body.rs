//! Sides and parts of the body that a question names.

use std::collections::BTreeSet;

use super::tokens::Tokens;

/// Parts of the body as they stand in the names of angles and landmarks.
pub const PARTS: [&str; 17] = [
    "knee", "hip", "ankle", "elbow", "shoulder", "wrist", "heel", "nose", "eye", "ear", "mouth",
    "thumb", "pinky", "index", "foot", "trunk", "forward",
];
/// Other words for parts, or for several of them.
const SYNONYMS: [(&[&str], &[&str]); 7] = [
    (&["hand", "hands"], &["wrist"]),
    (&["feet", "toe", "toes"], &["foot"]),
    (&["head", "face"], &["nose"]),
    (&["finger", "fingers"], &["index"]),
    (&["torso", "upright", "spine"], &["trunk"]),
    (&["arm", "arms"], &["elbow", "shoulder", "wrist"]),
    (&["leg", "legs"], &["knee", "hip", "ankle"]),
];
/// Synonyms that count only where nothing else is named.
const LIMBS: [&str; 4] = ["arm", "arms", "leg", "legs"];
/// Beginnings of words for the trunk's inclination; with a word for forwards, for that.
const LEANING: [&str; 5] = ["lean", "inclin", "tilt", "slouch", "hunch"];
/// Beginnings of words that, with one for forwards, are about the trunk.
const BENDING: [&str; 3] = ["bend", "bent", "trunk"];
const FORWARDS: [&str; 2] = ["forward", "forwards"];
const LEFT: [&str; 5] = ["left", "lt", "l", "lft", "lhs"];
const RIGHT: [&str; 6] = ["right", "rt", "r", "rgt", "rght", "rhs"];
/// Words before which "right" is no side, unless one of `BEFORE_SIDE` stands before it.
const AFTER_RIGHT: [&str; 6] = ["after", "before", "at", "now", "away", "then"];
const BEFORE_SIDE: [&str; 8] = ["the", "or", "and", "vs", "versus", "against", "from", "to"];
/// Words that differ from a side in one letter.
const NOT_SIDES: [&str; 12] = [
    "eight", "light", "night", "might", "sight", "tight", "fight", "bright", "lift", "loft",
    "felt", "weft",
];
/// Words that differ from a part of the body in one letter.
const NOT_PARTS: [&str; 17] = [
    "angle", "waist", "truck", "month", "none", "note", "knew", "indeed", "food", "root", "boot",
    "hook", "year", "hear", "heal", "feel", "ankh",
];
/// Shortest word of a part or side that may be mistyped.
const MIN_TYPO_CHARS: usize = 4;

/// Sides and parts of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    is_left: bool,
    is_right: bool,
    parts: BTreeSet<&'static str>,
    /// Whether the parts are those of an arm or a leg, any of which may be meant.
    is_limb: bool,
    /// Other words, which tell the longer of two names from the shorter.
    tokens: Tokens,
}

impl Body {
    /// What the words of a question name.
    pub fn of(tokens: &Tokens) -> Self {
        let words = &tokens.words;
        let mut body = Self {
            tokens: tokens.clone(),
            ..Self::default()
        };
        for (place, word) in words.iter().enumerate() {
            let next = words.get(place + 1).map_or("", String::as_str);
            body.is_left |= is_side(word, &LEFT);
            let before = place
                .checked_sub(1)
                .map_or("", |place| words[place].as_str());
            let is_meant = !AFTER_RIGHT.contains(&next) || BEFORE_SIDE.contains(&before);
            body.is_right |= is_side(word, &RIGHT) && is_meant;
            body.parts.extend(part_of_word(word));
            if !LIMBS.contains(&word.as_str()) {
                body.parts.extend(synonyms(word));
            }
        }
        let begins = |beginnings: &[&str]| {
            let begins = |word: &String| beginnings.iter().any(|b| word.starts_with(b));
            words.iter().any(begins)
        };
        let is_forward = FORWARDS.iter().any(|word| tokens.has(word));
        // "Forward" alone is a direction of anything.
        body.parts.remove("forward");
        let is_bent = begins(&BENDING) && body.parts.iter().all(|part| *part == "trunk");
        if is_forward && (begins(&LEANING) || is_bent) {
            body.parts.remove("trunk");
            body.parts.insert("forward");
        } else if begins(&LEANING) {
            body.parts.insert("trunk");
        }
        if body.parts.contains("foot") {
            body.parts.remove("index");
        }
        if body.parts.is_empty() {
            body.parts = words.iter().flat_map(|word| synonyms(word)).collect();
            body.is_limb = true;
        }
        body
    }

    /// Whether a part is named.
    pub fn names(&self, part: &str) -> bool {
        self.parts.contains(part)
    }

    /// Whether any part is named.
    pub fn names_any(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether one side is named, and the other is not.
    pub fn is_one_sided(&self) -> bool {
        self.is_left != self.is_right
    }

    /// Whether any part or side is named.
    pub fn names_anything(&self) -> bool {
        self.names_any() || self.names_side()
    }

    /// Whether a side is named.
    pub fn names_side(&self) -> bool {
        self.is_left || self.is_right
    }

    /// Whether both sides are named.
    pub fn is_two_sided(&self) -> bool {
        self.is_left && self.is_right
    }

    /// Whether several parts are named that are among these values, such as knee and hip.
    pub fn names_several(&self, values: &[&str]) -> bool {
        let allowed = values.iter().filter(|value| self.allows(value));
        let parts = allowed.flat_map(|value| parts_of(value));
        let named: BTreeSet<&str> = parts.filter(|part| self.parts.contains(part)).collect();
        !self.is_limb && named.len() > 1
    }

    /// Takes from the value of a call before what a question leaves out: its part, or its side.
    pub fn add(&mut self, value: &str) {
        if self.parts.is_empty() {
            self.parts.extend(parts_of(value));
        }
        if !self.is_left && !self.is_right {
            self.is_left = value.split('_').any(|word| word == LEFT[0]);
            self.is_right = value.split('_').any(|word| word == RIGHT[0]);
        }
    }

    /// The values that can be meant: of the sides and parts that are named; none where no part is.
    pub fn allowed<'a>(&self, values: &[&'a str]) -> Vec<&'a str> {
        let fitting: Vec<&str> = values.iter().copied().filter(|v| self.allows(v)).collect();
        // The left eye rather than its inner corner, unless that is named.
        let strange = |value: &str| {
            value
                .split('_')
                .filter(|word| self.is_strange(word))
                .count()
        };
        let likeness = |value: &&str| {
            let words = value.split('_').count();
            (std::cmp::Reverse(strange(value)), words - strange(value))
        };
        let best = fitting.iter().map(likeness).max();
        let mut fitting = fitting;
        fitting.retain(|value| Some(likeness(value)) == best);
        fitting
    }

    fn allows(&self, value: &str) -> bool {
        let other_side = match (self.is_left, self.is_right) {
            (true, false) => Some(RIGHT[0]),
            (false, true) => Some(LEFT[0]),
            _ => None,
        };
        let mut words = value.split('_');
        let is_other_side = other_side.is_some_and(|side| words.any(|word| word == side));
        let is_foot = value.split('_').any(|word| word == "foot");
        !is_other_side
            && parts_of(value)
                .any(|part| self.parts.contains(part) && (part != "index" || !is_foot))
    }

    /// Whether a word of a value's name is neither a side, a part that is named, nor in the question.
    fn is_strange(&self, word: &str) -> bool {
        word != LEFT[0] && word != RIGHT[0] && !self.parts.contains(word) && !self.tokens.has(word)
    }
}

/// Whether a word is a part of the body, be it mistyped.
pub fn is_part(word: &str) -> bool {
    part_of_word(word).is_some()
}

/// Whether values of this kind are parts of the body.
pub fn is_body_part(value: &str) -> bool {
    parts_of(value).next().is_some()
}

/// Whether values of this kind have a side.
pub fn has_side(value: &str) -> bool {
    value
        .split('_')
        .any(|word| word == LEFT[0] || word == RIGHT[0])
}

/// The same part on the other side; `None` where a value has no side.
pub fn other_side(value: &str) -> Option<String> {
    let word = |word: &str| match word {
        side if side == LEFT[0] => RIGHT[0].to_owned(),
        side if side == RIGHT[0] => LEFT[0].to_owned(),
        other => other.to_owned(),
    };
    let words: Vec<String> = value.split('_').map(word).collect();
    has_side(value).then(|| words.join("_"))
}

fn parts_of(value: &str) -> impl Iterator<Item = &'static str> {
    PARTS
        .into_iter()
        .filter(move |part| value.split('_').any(|word| word == *part))
}

fn synonyms(word: &str) -> impl Iterator<Item = &'static str> {
    let known = SYNONYMS
        .iter()
        .filter(move |(words, _)| words.contains(&word));
    known.flat_map(|(_, parts)| parts.iter().copied())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::landmark::Landmark;
    use crate::query::ANGLES;

    fn allowed(question: &str, values: &[&'static str]) -> Vec<&'static str> {
        Body::of(&Tokens::of(question)).allowed(values)
    }

    #[test]
    fn sides_and_parts_rule_others_out() {
        for (question, expected) in [
            ("rt knee", &["right_knee"][..]),
            ("l. elbow", &["left_elbow"]),
            ("rigth shoulder", &["right_shoulder"]),
            ("the kne angle on the left", &["left_knee"]),
            ("the angle of the hip", &["left_hip", "right_hip"]),
            ("left or right knee", &["left_knee", "right_knee"]),
            ("right after 2 s the left knee", &["left_knee"]),
            ("the knee on the right after 2 s", &["right_knee"]),
            ("eight light nights", &[]),
            ("how fast is light?", &[]),
            ("when does he lean most", &["trunk_lean"]),
            ("most upright", &["trunk_lean"]),
            ("who leans forward most", &["forward_lean"]),
            ("trunk forward lean", &["forward_lean"]),
            (
                "how bent is the left leg",
                &["left_knee", "left_hip", "left_ankle"],
            ),
            ("is the arm straight at the right elbow", &["right_elbow"]),
        ] {
            let mut found = allowed(question, &ANGLES);
            let mut expected = expected.to_vec();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{question}");
        }
    }

    #[test]
    fn values_have_another_side_or_none() {
        for (value, expected) in [
            ("left_knee", Some("right_knee")),
            ("mouth_right", Some("mouth_left")),
            ("nose", None),
        ] {
            assert_eq!(other_side(value).as_deref(), expected);
        }
    }

    #[test]
    fn landmarks_are_the_shortest_that_fit() {
        let landmarks = Landmark::ALL.map(Landmark::name);
        for (question, expected) in [
            ("left eye", "left_eye"),
            ("inner corner of the left eye", "left_eye_inner"),
            ("left foot index", "left_foot_index"),
            ("right toes", "right_foot_index"),
            ("left index finger", "left_index"),
            ("left hand", "left_wrist"),
            ("head", "nose"),
        ] {
            assert_eq!(allowed(question, &landmarks), [expected], "{question}");
        }
    }

    #[test]
    fn a_question_goes_on_with_part_and_side() {
        for (question, before, expected) in [
            ("and the left one?", "right_knee", "left_knee"),
            ("and the elbow?", "right_knee", "right_elbow"),
            ("and at 2 s?", "right_knee", "right_knee"),
        ] {
            let mut body = Body::of(&Tokens::of(question));
            body.add(before);
            assert_eq!(body.allowed(&ANGLES), [expected], "{question}");
        }
    }

    #[test]
    fn several_parts_are_told_from_one_with_several_words() {
        let landmarks = Landmark::ALL.map(Landmark::name);
        for (question, of_angles, of_landmarks) in [
            ("left knee and left hip", true, true),
            ("left knee or hip", true, true),
            ("left knee", false, false),
            ("the left knee at foot strike", false, true),
            ("left foot index", false, false),
            ("left index finger", false, false),
            ("inner corner of the left eye", false, false),
            ("the left leg", false, false),
            ("the arm at the right elbow", false, false),
            ("forward lean of the trunk", false, false),
        ] {
            let body = Body::of(&Tokens::of(question));
            let found = (body.names_several(&ANGLES), body.names_several(&landmarks));
            assert_eq!(found, (of_angles, of_landmarks), "{question}");
        }
    }
}
