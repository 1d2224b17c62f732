//! Whether an answer of a model becomes an example.
//!
//! In this order: is it an answer of the schema, of sensible length, in English, with no number that
//! the facts do not support, not about the validation videos, and new.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::facts::{FactSheet, Unsupported};
use super::provider::Reply;
use crate::dataset::{Example, Split, VideoRecord};
use crate::similarity::{SimilarityIndex, jaccard, sorted, word_shingles};

/// Characters of a question and of an answer; shorter ones say nothing, longer ones ramble.
const QUESTION_CHARS: std::ops::RangeInclusive<usize> = 10..=400;
const ANSWER_CHARS: std::ops::RangeInclusive<usize> = 10..=1500;
/// English prose has about 40 % of these words, sentences full of numbers less, other languages hardly any.
const LEAST_STOP_WORDS: f64 = 0.15;
/// Texts of fewer words are too short to judge their language by.
const LEAST_WORDS: usize = 8;
const STOP_WORDS: [&str; 72] = [
    "a", "about", "after", "all", "an", "and", "are", "as", "at", "be", "because", "been",
    "before", "between", "both", "but", "by", "can", "does", "during", "each", "for", "from",
    "has", "have", "how", "in", "is", "it", "its", "less", "more", "most", "no", "not", "of", "on",
    "one", "only", "or", "other", "over", "so", "such", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "to", "was", "were", "what", "when", "where",
    "which", "while", "who", "why", "will", "with", "within", "would", "you", "your", "do", "did",
];
/// Share of equal word triples (Jaccard index) from which two examples say the same.
const NEAR_DUPLICATE: f64 = 0.8;
/// Shortest beginning of a video's id that counts as naming it.
const ID_CHARS: usize = 8;

/// Why an answer is no example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// All attempts failed.
    NotAnswered,
    Refused,
    Truncated,
    Malformed,
    Schema,
    Length,
    TokenBudget,
    Language,
    UnsupportedNumber,
    Contamination,
    Duplicate,
    NearDuplicate,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnswered => "not_answered",
            Self::Refused => "refused",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Schema => "schema",
            Self::Length => "length",
            Self::TokenBudget => "over_token_budget",
            Self::Language => "language",
            Self::UnsupportedNumber => "unsupported_number",
            Self::Contamination => "contamination",
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near_duplicate",
        }
    }
}

/// A rejection, with what is wrong in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    pub reason: Reason,
    pub detail: String,
    /// The numbers in question.
    pub numbers: Vec<Unsupported>,
}

impl Rejection {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            numbers: Vec::new(),
        }
    }
}

/// A new question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub question: String,
    pub answer: String,
}

/// Reads a reply as the schema has it.
///
/// # Errors
/// When it is something else.
pub fn draft_of(reply: &Reply) -> Result<Draft, Rejection> {
    let content = match reply {
        Reply::Answer { content } => content,
        Reply::Refused { reason } => return Err(Rejection::new(Reason::Refused, reason)),
        Reply::Truncated => {
            return Err(Rejection::new(
                Reason::Truncated,
                "the answer was longer than --max-answer-tokens",
            ));
        }
        Reply::Malformed { reason } => return Err(Rejection::new(Reason::Malformed, reason)),
    };
    let wrong = |detail: String| Rejection::new(Reason::Schema, detail);
    let members = content
        .as_object()
        .ok_or_else(|| wrong("the answer is no object".into()))?;
    let text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(_) => Err(wrong(format!("'{name}' is no text"))),
        None => Err(wrong(format!("'{name}' is missing"))),
    };
    let draft = Draft {
        question: text("question")?,
        answer: text("answer")?,
    };
    match members
        .keys()
        .find(|key| !["question", "answer"].contains(&key.as_str()))
    {
        Some(key) => Err(wrong(format!("'{key}' is not asked for"))),
        None => Ok(draft),
    }
}

/// What has been seen, to tell new from old.
pub struct Checker {
    fact_sheets: BTreeMap<String, FactSheet>,
    /// Questions with the data that they are about, in their plainest form.
    questions: HashMap<(String, String), Split>,
    texts: HashMap<String, Split>,
    train: SimilarityIndex,
    /// Few, and none may be missed: each is compared, where the index might overlook one.
    valid: Vec<Vec<u64>>,
    /// Names and ids by which validation videos are known, in small letters.
    valid_names: Vec<String>,
}

impl Checker {
    /// Knows the examples of a dataset and the videos that are kept for validation.
    pub fn new(examples: &[Example], videos: &[VideoRecord]) -> Self {
        let mut checker = Self {
            fact_sheets: BTreeMap::new(),
            questions: HashMap::new(),
            texts: HashMap::new(),
            train: SimilarityIndex::new(NEAR_DUPLICATE),
            valid: Vec::new(),
            valid_names: Vec::new(),
        };
        for video in videos.iter().filter(|video| video.split != Split::Train) {
            checker.know_video(&video.video_id, &video.file_name);
        }
        for example in examples {
            if example.split != Split::Train {
                checker.know_video(&example.lineage.video_id, "");
            }
            checker.know(example, &example.question, example.reply());
        }
        checker.valid_names.sort();
        checker.valid_names.dedup();
        checker
    }

    fn know_video(&mut self, video_id: &str, file_name: &str) {
        if video_id.len() >= ID_CHARS && video_id.is_ascii() {
            self.valid_names.push(video_id[..ID_CHARS].to_lowercase());
        }
        if file_name.is_empty() {
            return;
        }
        let name = file_name.to_lowercase();
        let stem = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem);
        // A video may be called walk.mp4; that must not forbid the word.
        if stem
            .chars()
            .any(|c| c.is_ascii_digit() || c == '_' || c == '-')
        {
            self.valid_names.push(stem.to_owned());
        }
        self.valid_names.push(name);
    }

    fn know(&mut self, example: &Example, question: &str, answer: &str) {
        let plain_question = (plain(question), example.data.clone());
        self.questions.insert(plain_question, example.split);
        let plain_text = plain(&format!("{question} {answer}"));
        self.texts.insert(plain_text, example.split);
        let shingles = word_shingles(&format!("{question} {answer}"));
        match example.split {
            Split::Train => self.train.insert(&shingles),
            Split::Valid | Split::Test => self.valid.push(sorted(&shingles)),
        }
    }

    /// Whether a draft about `source` becomes an example; if so, it counts as seen from now on.
    ///
    /// # Errors
    /// When it does not, with the first reason.
    pub fn check(&mut self, source: &Example, draft: &Draft) -> Result<(), Rejection> {
        if source.split != Split::Train {
            let detail = format!("example {} is kept for validation", source.id);
            return Err(Rejection::new(Reason::Contamination, detail));
        }
        check_length(draft)?;
        check_language(draft)?;
        self.check_numbers(source, draft)?;
        self.check_names(draft)?;
        let text = format!("{} {}", draft.question, draft.answer);
        let question = (plain(&draft.question), source.data.clone());
        let same_question = self.questions.get(&question);
        if let Some(split) = same_question.or_else(|| self.texts.get(&plain(&text))) {
            return Err(match split {
                Split::Train => Rejection::new(Reason::Duplicate, "the dataset has this already"),
                Split::Valid | Split::Test => {
                    Rejection::new(Reason::Contamination, "this is kept for validation")
                }
            });
        }
        let shingles = sorted(&word_shingles(&text));
        if self
            .valid
            .iter()
            .any(|other| jaccard(other, &shingles) >= NEAR_DUPLICATE)
        {
            let detail = "nearly the same is kept for validation";
            return Err(Rejection::new(Reason::Contamination, detail));
        }
        if self.train.find(&shingles).is_some() {
            let detail = "the dataset has nearly the same";
            return Err(Rejection::new(Reason::NearDuplicate, detail));
        }
        self.know(source, &draft.question, &draft.answer);
        Ok(())
    }

    fn check_numbers(&mut self, source: &Example, draft: &Draft) -> Result<(), Rejection> {
        let sheet = self
            .fact_sheets
            .entry(source.id.clone())
            .or_insert_with(|| FactSheet::of(source));
        let mut numbers = sheet.unsupported(&draft.question);
        numbers.extend(sheet.unsupported(&draft.answer));
        let Some(first) = numbers.first() else {
            return Ok(());
        };
        let detail = format!("{}: {} ({})", first.number, first.why, first.sentence);
        Err(Rejection {
            reason: Reason::UnsupportedNumber,
            detail,
            numbers,
        })
    }

    fn check_names(&self, draft: &Draft) -> Result<(), Rejection> {
        let text = format!("{} {}", draft.question, draft.answer).to_lowercase();
        match self.valid_names.iter().find(|name| has_name(&text, name)) {
            Some(name) => {
                let detail = format!("it names a video that is kept for validation: {name}");
                Err(Rejection::new(Reason::Contamination, detail))
            }
            None => Ok(()),
        }
    }
}

/// Whether a name stands in a text and not within a longer word; ids may go on.
fn has_name(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let is_id = name.len() == ID_CHARS && name.chars().all(|c| c.is_ascii_hexdigit());
        !before.is_some_and(is_part) && (is_id || !after.is_some_and(is_part))
    })
}

fn check_length(draft: &Draft) -> Result<(), Rejection> {
    for (name, text, limits) in [
        ("question", &draft.question, QUESTION_CHARS),
        ("answer", &draft.answer, ANSWER_CHARS),
    ] {
        let chars = text.chars().count();
        if !limits.contains(&chars) {
            let detail = format!(
                "the {name} has {chars} characters, not {} to {}",
                limits.start(),
                limits.end()
            );
            return Err(Rejection::new(Reason::Length, detail));
        }
    }
    Ok(())
}

fn check_language(draft: &Draft) -> Result<(), Rejection> {
    for text in [&draft.question, &draft.answer] {
        let words: Vec<String> = words(text)
            .into_iter()
            .filter(|word| word.chars().any(char::is_alphabetic))
            .collect();
        if words.len() < LEAST_WORDS {
            continue;
        }
        let stop_words = words
            .iter()
            .filter(|word| STOP_WORDS.contains(&word.as_str()));
        let share = stop_words.count() as f64 / words.len() as f64;
        if share < LEAST_STOP_WORDS {
            let detail = format!("it does not read like English: {text}");
            return Err(Rejection::new(Reason::Language, detail));
        }
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '.'))
        .map(|word| word.trim_matches('.').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// A text without case, punctuation and spacing.
fn plain(text: &str) -> String {
    words(text).join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::{Lineage, RECIPE_ORIGIN};

    fn example(id: &str, split: Split, video_id: &str) -> Example {
        Example {
            id: id.into(),
            task: "value".into(),
            split,
            origin: RECIPE_ORIGIN.into(),
            prompt_hash: None,
            lineage: Lineage {
                video_id: video_id.into(),
                sport: "run".into(),
                person: 0,
                frame_start: 0,
                frame_end: 9,
            },
            facts: json!({}),
            system: String::new(),
            question: "How far does the left knee bend?".into(),
            data: "frame,left_knee_deg\n0,75.6\n9,80.1\n".into(),
            answer: "The left knee is at 75.6 degrees in frame 0, and that is the smallest angle."
                .into(),
            prompt_tokens: 0,
            answer_tokens: 0,
        }
    }

    fn checker() -> Checker {
        let mut valid = example("0002", Split::Valid, "beef00112233");
        valid.question =
            "Is the left knee straighter in the last frame than in the first one?".into();
        valid.answer =
            "Yes, it opens from 75.6 degrees to 80.1 degrees between the two frames.".into();
        let video = VideoRecord {
            video_id: "beef00112233".into(),
            file_name: "Trial_07.mp4".into(),
            sport: "run".into(),
            subject: None,
            split: Split::Valid,
            pose_model: "full".into(),
            pose_model_sha256: String::new(),
        };
        Checker::new(
            &[example("0001", Split::Train, "cafe00112233"), valid],
            &[video],
        )
    }

    fn verdict(question: &str, answer: &str) -> Result<(), Reason> {
        let source = example("0001", Split::Train, "cafe00112233");
        let draft = Draft {
            question: question.into(),
            answer: answer.into(),
        };
        checker()
            .check(&source, &draft)
            .map_err(|rejection| rejection.reason)
    }

    const GOOD_QUESTION: &str = "At what angle is the left knee in frame 9?";
    const GOOD_ANSWER: &str = "In frame 9 the left knee is at 80.1 degrees.";

    #[test]
    fn a_good_answer_passes_once() {
        let source = example("0001", Split::Train, "cafe00112233");
        let mut checker = checker();
        let draft = Draft {
            question: GOOD_QUESTION.into(),
            answer: GOOD_ANSWER.into(),
        };
        assert_eq!(checker.check(&source, &draft), Ok(()));
        let again = checker.check(&source, &draft).expect_err("a duplicate");
        assert_eq!(again.reason, Reason::Duplicate);
        let source = example("0002", Split::Valid, "beef00112233");
        let about_valid = checker.check(&source, &draft).expect_err("contamination");
        assert_eq!(about_valid.reason, Reason::Contamination);
    }

    #[test]
    fn each_fault_has_its_reason() {
        for (question, answer, reason) in [
            ("Why?", GOOD_ANSWER, Reason::Length),
            (GOOD_QUESTION, "80.1°", Reason::Length),
            (
                "Wie stark ist das linke Knie im letzten Bild gebeugt?",
                "Das linke Knie ist im letzten Bild um 80.1 Grad gebeugt.",
                Reason::Language,
            ),
            (
                GOOD_QUESTION,
                "In frame 9 the left knee is at 81.0 degrees.",
                Reason::UnsupportedNumber,
            ),
            (
                GOOD_QUESTION,
                "In frame 9 of Trial_07 the left knee is at 80.1 degrees.",
                Reason::UnsupportedNumber,
            ),
            (
                "how far does the LEFT knee bend",
                GOOD_ANSWER,
                Reason::Duplicate,
            ),
            (
                "Is the left knee straighter in the last frame than in the first one?",
                "Yes, it opens from 75.6 degrees to 80.1 degrees between the two frames, clearly.",
                Reason::Contamination,
            ),
            (
                "Is then the left knee straighter in the last frame than in the first one?",
                "Yes, it opens from 75.6 degrees to 80.1 degrees between the two frames.",
                Reason::Contamination,
            ),
            (
                "So how far does the left knee bend?",
                "The left knee is at 75.6 degrees in frame 0, and that is the smallest angle.",
                Reason::NearDuplicate,
            ),
        ] {
            assert_eq!(
                verdict(question, answer),
                Err(reason),
                "{question} {answer}"
            );
        }
        assert_eq!(verdict(GOOD_QUESTION, GOOD_ANSWER), Ok(()));
    }

    #[test]
    fn validation_videos_are_not_named() {
        let checker = checker();
        let names = |text: &str| {
            let draft = Draft {
                question: text.into(),
                answer: String::new(),
            };
            checker.check_names(&draft).is_err()
        };
        assert!(names("as in trial_07.mp4") && names("as in Trial_07"));
        assert!(names("video beef0011 and"), "the beginning of an id");
        assert!(names("video beef00112233 and"));
        assert!(!names("the trial of the knee") && !names("cafe0011"));
    }

    #[test]
    fn replies_are_read_as_the_schema_has_them() {
        let reason = |content: Value| {
            draft_of(&Reply::Answer { content })
                .expect_err("a fault")
                .reason
        };
        for content in [
            json!([]),
            json!({"question": "q"}),
            json!({"question": "q", "answer": 3}),
            json!({"question": "q", "answer": "a", "confidence": 1}),
        ] {
            assert_eq!(reason(content.clone()), Reason::Schema, "{content}");
        }
        assert_eq!(
            draft_of(&Reply::Truncated).expect_err("a fault").reason,
            Reason::Truncated
        );
    }
}
