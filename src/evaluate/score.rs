//! Judges a model's answer by the example's own.
//!
//! A model need not use the example's words. A number is right within half a unit of the last digit
//! that the example's answer gives; what the question says already need not be repeated.

use std::collections::{BTreeSet, HashMap};

use crate::dataset::AnswerKind;
use crate::numbers::{Form, Number, numbers};

/// A question with the answer that is known to be right.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub question: &'a str,
    /// The table that the question is about; may be empty.
    pub data: &'a str,
    pub answer: &'a str,
    /// What the recipe says of its answers.
    pub declared: Option<AnswerKind>,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub is_right: bool,
    /// F1 of the numbers, of the rows or of the words, 0 to 1.
    pub f1: f64,
    /// Whether it is the example's answer word by word.
    pub is_identical: bool,
}

impl Score {
    /// Of what is no answer.
    pub const WRONG: Self = Self {
        is_right: false,
        f1: 0.0,
        is_identical: false,
    };
}

/// Words that deny. An answer that finds something is not right where there is nothing to find,
/// whatever numbers it gives.
const DENIALS: [&str; 7] = ["no", "not", "none", "never", "nothing", "cannot", "nowhere"];
const GROWTH: [&str; 6] = ["grows", "grow", "increases", "increased", "rises", "grew"];
const DECLINE: [&str; 6] = [
    "shrinks",
    "shrink",
    "decreases",
    "decreased",
    "falls",
    "shrank",
];

impl Question<'_> {
    /// What an answer is judged by. Without anything that the declared kind could be judged by, it
    /// is the words.
    pub fn kind(&self) -> AnswerKind {
        let has_numbers = || !self.wanted_numbers().is_empty();
        let has_rows =
            || !named_rows(self.data, self.answer).is_empty() || words(self.answer).any(is_denial);
        match self.declared {
            Some(AnswerKind::List) if has_rows() => AnswerKind::List,
            Some(AnswerKind::Number) | None if has_numbers() => AnswerKind::Number,
            _ => AnswerKind::Text,
        }
    }

    /// Judges an answer.
    pub fn score(&self, answer: &str) -> Score {
        let is_identical = words(self.answer).eq(words(answer));
        let (is_right, f1) = match self.kind() {
            AnswerKind::Number => self.score_numbers(answer),
            AnswerKind::List => self.score_rows(answer),
            AnswerKind::Text => (is_identical, self.score_words(answer)),
        };
        Score {
            is_right,
            f1,
            is_identical,
        }
    }

    /// Numbers of the known answer that the question does not give.
    fn wanted_numbers(&self) -> Vec<Number> {
        let given = numbers(self.question);
        let mut wanted = numbers(self.answer);
        wanted.retain(|number| {
            number.form == Form::Digits && !given.iter().any(|given| is_same(number, given))
        });
        wanted
    }

    fn score_numbers(&self, answer: &str) -> (bool, f64) {
        let wanted = self.wanted_numbers();
        let mut said = numbers(answer);
        said.retain(|number| number.value.is_finite());
        let found = wanted.iter().filter(|wanted| {
            let place = said.iter().position(|said| is_same(wanted, said));
            place.map(|place| said.swap_remove(place)).is_some()
        });
        let found = found.count();
        // What else is said must be in the question or in the known answer, or be about something
        // else: otherwise to read out the whole table would always be right.
        let known = [numbers(self.question), numbers(self.answer)].concat();
        said.retain(|said| {
            let competes = |wanted: &Number| match (wanted.unit, said.unit) {
                (Some(wanted), Some(said)) => wanted.quantity == said.quantity,
                _ => true,
            };
            !known.iter().any(|known| is_same(known, said)) && wanted.iter().any(competes)
        });
        let agrees = denies(self.answer) == denies(answer)
            && !self.turns_round(answer)
            && !self.changes_sides(answer);
        let is_right = found == wanted.len() && said.is_empty() && agrees;
        (is_right, f1(found, wanted.len(), found + said.len()))
    }

    /// Whether one answer tells of growth and the other of decline.
    fn turns_round(&self, answer: &str) -> bool {
        let tells = |text: &str, of: [&str; 6]| words(text).any(|word| of.contains(&&*word));
        let opposes = |one: [&str; 6], other: [&str; 6]| {
            tells(self.answer, one)
                && !tells(self.answer, other)
                && tells(answer, other)
                && !tells(answer, one)
        };
        opposes(GROWTH, DECLINE) || opposes(DECLINE, GROWTH)
    }

    /// Whether one answer names the left side more often than the right, and the other the right:
    /// what both say of both sides, they say once; the side that is told apart is named once more.
    fn changes_sides(&self, answer: &str) -> bool {
        let leaning = |text: &str| {
            let count = |side: &str| words(text).filter(|word| word.as_str() == side).count();
            count("left").cmp(&count("right"))
        };
        let (known, said) = (leaning(self.answer), leaning(answer));
        known.is_ne() && said == known.reverse()
    }

    fn score_rows(&self, answer: &str) -> (bool, f64) {
        let none = |text: &str| words(text).next().is_some_and(is_denial);
        if none(self.answer) || none(answer) {
            let is_right = none(self.answer) && none(answer);
            return (is_right, f64::from(u8::from(is_right)));
        }
        let wanted = named_rows(self.data, self.answer);
        let said = named_rows(self.data, answer);
        let found = wanted.intersection(&said).count();
        (wanted == said, f1(found, wanted.len(), said.len()))
    }

    /// F1 of the words, as SQuAD has it (Rajpurkar et al. 2016).
    fn score_words(&self, answer: &str) -> f64 {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in words(self.answer) {
            *counts.entry(word).or_default() += 1;
        }
        let wanted = counts.values().sum();
        let (mut found, mut said) = (0, 0);
        for word in words(answer) {
            said += 1;
            if let Some(left) = counts.get_mut(&word).filter(|left| **left > 0) {
                *left -= 1;
                found += 1;
            }
        }
        f1(found, wanted, said)
    }
}

fn f1(found: usize, wanted: usize, said: usize) -> f64 {
    match wanted + said {
        0 => 1.0,
        both => 2.0 * found as f64 / both as f64,
    }
}

/// Whether a number says what is `wanted`, as exactly as that was written.
fn is_same(wanted: &Number, said: &Number) -> bool {
    let tolerance = 0.5 * 10_f64.powi(-wanted.decimals) * (1.0 + 1e-9);
    let (wanted_factor, said_factor) = match (wanted.unit, said.unit) {
        (Some(wanted), Some(said)) if wanted.quantity != said.quantity => return false,
        (Some(wanted), Some(said)) => (wanted.factor, said.factor),
        _ => (1.0, 1.0),
    };
    let difference = wanted.value * wanted_factor - said.value * said_factor;
    difference.abs() <= tolerance * wanted_factor
}

/// Rows of a table of comma-separated cells, told by their first cell, that a text names.
fn named_rows(data: &str, text: &str) -> BTreeSet<usize> {
    let spoken = numbers(text);
    let keys = data
        .lines()
        .map(|line| line.split(',').next().unwrap_or_default());
    let mut keys: Vec<(usize, &str)> = keys.enumerate().skip(1).collect();
    // A long name is looked for before a shorter one that it begins with.
    keys.sort_by_key(|(_, key)| std::cmp::Reverse(key.len()));
    let mut left = format!(" {} ", words(text).collect::<Vec<_>>().join(" "));
    let named = keys.into_iter().filter_map(|(row, key)| {
        let is_named = match numbers(key).as_slice() {
            [number] if number.text == key => spoken.iter().any(|said| is_same(number, said)),
            _ => {
                let name = format!(" {} ", words(key).collect::<Vec<_>>().join(" "));
                let is_there = name.trim() != "" && left.contains(&name);
                left = left.replace(&name, " | ");
                is_there
            }
        };
        is_named.then_some(row)
    });
    named.collect()
}

fn denies(text: &str) -> bool {
    words(text).any(is_denial)
}

fn is_denial(word: impl AsRef<str>) -> bool {
    DENIALS.contains(&word.as_ref())
}

/// Words and numbers in lower case, without what stands between them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '°' | '%' | '-');
    let words = text.split(move |c: char| !is_part(c));
    let words = words.map(|word| word.trim_matches(['.', '-']).to_lowercase());
    words.filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Question<'_> = Question {
        question: "What is the left knee angle at 0.52 s?",
        data: "time_secs,left_knee_deg,right_knee_deg\n0.40,150.1,98.0\n0.52,142.7,99.3",
        answer: "At 0.52 s the left knee angle is 142.7 deg.",
        declared: None,
    };
    const CHANGE: Question<'_> = Question {
        question: "By how much does the trunk lean change from 0.10 s to 0.90 s?",
        data: "time_secs,trunk_lean_deg\n0.10,12\n0.50,15\n0.90,20",
        answer: "The trunk lean grows from 12 deg at 0.10 s to 20 deg at 0.90 s: by 8 deg.",
        declared: Some(AnswerKind::Number),
    };
    const UNRELIABLE: Question<'_> = Question {
        question: "Which landmarks have a visibility below 0.50?",
        data: "landmark,visibility\nleft_eye,0.31\nleft_eye_inner,0.42\nnose,0.99\nleft_wrist,0.10",
        answer: "Unreliable: left_eye_inner (0.42) and left_wrist (0.10).",
        declared: Some(AnswerKind::List),
    };
    const MISSING: Question<'_> = Question {
        question: "When could the left knee not be measured?",
        data: "time_secs,left_knee_deg\n0.40,-\n0.80,98\n1.20,-",
        answer: "The left knee angle is missing at 0.40 s and 1.20 s.",
        declared: Some(AnswerKind::List),
    };

    fn is_right(question: Question<'_>, answer: &str) -> bool {
        question.score(answer).is_right
    }

    #[test]
    fn the_known_answer_is_right() {
        for question in [READ, CHANGE, UNRELIABLE, MISSING] {
            let score = question.score(question.answer);
            assert!(score.is_right && score.is_identical, "{question:?}");
            assert!((score.f1 - 1.0).abs() < 1e-12, "{question:?}");
            assert!(!question.score("").is_right);
        }
    }

    #[test]
    fn a_number_is_right_in_other_words_and_within_its_last_digit() {
        assert_eq!(READ.kind(), AnswerKind::Number);
        for answer in [
            "142.7",
            "It is 142.7°.",
            "The angle is 142.74 degrees at 0.52 seconds.",
            "In row 2 (0.52 s): 142.70 deg",
        ] {
            // A bare number could be anything but the row's.
            assert_eq!(is_right(READ, answer), !answer.contains("row"), "{answer}");
        }
        for answer in ["142.8 deg", "142 deg", "142.7 s", "-142.7", "not 142.7 deg"] {
            assert!(!is_right(READ, answer), "{answer}");
        }
    }

    #[test]
    fn the_other_side_is_wrong_whatever_its_numbers() {
        let sides = Question {
            question: "At 2.90 s, on which side is the hip angle larger, and by how much?",
            data: "time_secs,left_hip_deg,right_hip_deg\n2.90,160,152",
            answer: "At 2.90 s the left hip is at 160 deg and the right at 152 deg. The difference is 8 deg: the left is the straighter one.",
            declared: Some(AnswerKind::Number),
        };
        let both = "The left is at 160 deg and the right at 152 deg, a difference of 8 deg";
        for (answer, expected) in [
            (both.to_owned(), true),
            (format!("{both}: the left one."), true),
            (format!("{both}: the right one."), false),
        ] {
            assert_eq!(is_right(sides, &answer), expected, "{answer}");
        }
        assert!(!is_right(
            READ,
            "At 0.52 s the right knee angle is 142.7 deg."
        ));
    }

    #[test]
    fn to_read_out_the_table_is_not_to_answer() {
        let score = READ.score("The left knee angles are 150.1 deg and 142.7 deg.");
        assert!(!score.is_right);
        assert!((score.f1 - 2.0 / 3.0).abs() < 1e-12);
        // What is not asked for may be said.
        assert!(is_right(READ, "142.7 deg, 0.12 s after the first row"));
    }

    #[test]
    fn all_numbers_and_the_direction_count() {
        assert!(is_right(
            CHANGE,
            "It increases by 8 degrees, from 12 to 20."
        ));
        assert!(!is_right(CHANGE, "It increases by 8 degrees."));
        assert!(!is_right(
            CHANGE,
            "It decreases by 8 degrees, from 20 to 12."
        ));
        let score = CHANGE.score("by 8 deg");
        assert!((score.f1 - 0.5).abs() < 1e-12, "{score:?}");
    }

    #[test]
    fn lists_are_sets_of_rows() {
        assert_eq!(UNRELIABLE.kind(), AnswerKind::List);
        assert!(is_right(
            UNRELIABLE,
            "The left wrist and the left eye inner."
        ));
        let score = UNRELIABLE.score("left_eye, left_wrist");
        assert!(!score.is_right);
        assert!((score.f1 - 0.5).abs() < 1e-12, "{score:?}");
        assert!(is_right(MISSING, "1.2 s, 0.4 s"));
        assert!((MISSING.score("At 0.4 s.").f1 - 2.0 / 3.0).abs() < 1e-12);
        let none = Question {
            answer: "None is unreliable: the least visible is the nose with 0.99.",
            ..UNRELIABLE
        };
        assert!(is_right(none, "No landmark is unreliable."));
        assert!(!is_right(none, "The nose."));
        assert!(!is_right(UNRELIABLE, "None is unreliable."));
        let all = Question {
            answer: "The left knee angle is missing in every row.",
            ..MISSING
        };
        assert_eq!(all.kind(), AnswerKind::Text);
        assert!(!is_right(all, "No value is missing."));
    }

    #[test]
    fn texts_are_compared_word_by_word() {
        let outside = Question {
            question: "How tired is the person?",
            data: READ.data,
            answer: "That cannot be told from this data.",
            declared: Some(AnswerKind::Text),
        };
        assert!(is_right(outside, "that cannot be told  from this data"));
        let score = outside.score("That cannot be told.");
        assert!(!score.is_right);
        assert!((score.f1 - 8.0 / 11.0).abs() < 1e-12, "{score:?}");
        // Without a number in the answer there is none to judge by.
        let numberless = Question {
            declared: None,
            ..outside
        };
        assert_eq!(numberless.kind(), AnswerKind::Text);
    }

    #[test]
    fn finding_something_where_nothing_is_is_wrong() {
        let never = Question {
            question: "When is the left knee angle first below 60 deg?",
            data: READ.data,
            answer: "The left knee angle is never below 60 deg: its smallest value is 142.7 deg.",
            declared: None,
        };
        assert!(is_right(never, "Never, the smallest value is 142.7 deg."));
        assert!(!is_right(never, "It is first below 60 deg with 142.7 deg."));
    }
}
