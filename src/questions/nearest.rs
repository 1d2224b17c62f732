//! Which question's paraphrases are nearest to what somebody asked: for questions that the adapter
//! has never seen, such as files that were added since it was trained.

use std::collections::{BTreeSet, HashMap};

use super::call::Call;
use super::error::QuestionError;
use super::file::QuestionFiles;
use super::grammar::Grammar;
use super::question::Question;
use super::words::{CLOSE, OPEN};

/// Least likeness of an unseen question's paraphrase that counts, 0 to 1.
const MIN_LIKENESS: f64 = 0.6;

/// The words of all paraphrases.
pub struct Paraphrases {
    /// Place of the question, words of the line.
    lines: Vec<(usize, BTreeSet<String>)>,
    /// How few of the lines have a word (inverse document frequency).
    weights: HashMap<String, f64>,
    names: Vec<String>,
}

impl Paraphrases {
    /// Renders the paraphrases of all questions.
    ///
    /// # Errors
    /// When a template fails.
    pub fn of(files: &QuestionFiles) -> Result<Self, QuestionError> {
        let mut lines = Vec::new();
        for (place, question) in files.questions.iter().enumerate() {
            for line in files.words.paraphrases(question, &any_call(question))? {
                let words = words(&without_marks(&line));
                if !words.is_empty() {
                    lines.push((place, words));
                }
            }
        }
        let mut counts: HashMap<String, f64> = HashMap::new();
        for word in lines.iter().flat_map(|(_, words)| words) {
            *counts.entry(word.clone()).or_default() += 1.0;
        }
        let total = lines.len() as f64;
        let weights = counts.into_iter();
        let weights = weights.map(|(word, count)| (word, (1.0 + total / count).ln()));
        Ok(Self {
            weights: weights.collect(),
            names: files.questions.iter().map(|q| q.name.clone()).collect(),
            lines,
        })
    }

    /// A grammar with the calls of a question that the adapter has never seen alone, where that is
    /// what is asked: by its own phrases, or because a paraphrase of it is the nearest.
    #[must_use]
    pub fn with_unseen(&self, grammar: Grammar, asked: &str, trained: &[String]) -> Grammar {
        let only = grammar.only_question().map(str::to_owned);
        match only.filter(|name| !trained.contains(name)) {
            Some(name) => grammar.of_question(&name),
            None => match self.unseen(asked, trained) {
                Some(name) => grammar.of_question(name),
                None => grammar,
            },
        }
    }

    /// The question that is meant, where a paraphrase of one that is not in `trained` is near, and
    /// nearer than those of all others.
    fn unseen(&self, asked: &str, trained: &[String]) -> Option<&str> {
        let asked = words(asked);
        let weight = |word: &String| self.weights.get(word).copied().unwrap_or(1.0);
        let likeness = |line: &BTreeSet<String>| {
            let both: f64 = asked.intersection(line).map(weight).sum();
            let either: f64 = asked.union(line).map(weight).sum();
            both / either.max(f64::MIN_POSITIVE)
        };
        let best = |is_meant: &dyn Fn(usize) -> bool| {
            let lines = self.lines.iter().filter(|(place, _)| is_meant(*place));
            let scored = lines.map(|(place, line)| (likeness(line), *place));
            scored.max_by(|a, b| a.0.total_cmp(&b.0))
        };
        let is_trained = |place: usize| trained.contains(&self.names[place]);
        let (unseen, place) = best(&|place| !is_trained(place))?;
        let seen = best(&is_trained).map_or(0.0, |(likeness, _)| likeness);
        (unseen >= MIN_LIKENESS && unseen > seen).then(|| self.names[place].as_str())
    }
}

/// A call with the first of all values.
fn any_call(question: &Question) -> Call {
    let slots = question.parameters.iter().filter_map(|parameter| {
        let value = parameter.kind.choices().first().map(|v| (*v).to_owned())?;
        Some((parameter.name.clone(), value))
    });
    Call {
        question: question.name.clone(),
        slots: slots.collect(),
    }
}

fn without_marks(line: &str) -> String {
    let parts = line.split(OPEN).enumerate();
    let parts = parts.map(|(index, part)| match part.split_once(CLOSE) {
        Some((_, rest)) if index > 0 => format!(" {rest}"),
        _ => part.to_owned(),
    });
    parts.collect()
}

/// Words in lower case, without numbers and names of files, singular where that is a matter of an s.
fn words(text: &str) -> BTreeSet<String> {
    let plain = text.split_whitespace().filter(|word| {
        let word = word.trim_end_matches(['.', '?', '!', ',', ':']);
        !word.contains(|c: char| c.is_ascii_digit() || c == '_' || c == '.')
    });
    let words = plain.flat_map(|word| word.split(|c: char| !c.is_alphabetic()));
    let words = words.filter(|word| word.len() > 1).map(str::to_lowercase);
    words
        .map(|word| word.strip_suffix('s').map_or(word.clone(), str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_question_that_was_never_trained_is_found_by_its_paraphrases() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let paraphrases = Paraphrases::of(&files).expect("paraphrases");
        let trained = files.questions.iter().filter(|q| q.is_trained);
        let trained: Vec<String> = trained.map(|q| q.name.clone()).collect();
        for (asked, expected) in [
            ("How many people are in demo.mp4?", Some("people")),
            ("which landmark moves fastest in run_2.mov", Some("fastest")),
            ("How many videos are there?", None),
            ("How fast does the left wrist move in demo.mp4?", None),
            ("When is the left knee most bent?", None),
            ("Tell me a joke", None),
        ] {
            assert_eq!(paraphrases.unseen(asked, &trained), expected, "{asked}");
        }
        let all: Vec<String> = files.questions.iter().map(|q| q.name.clone()).collect();
        assert_eq!(paraphrases.unseen("How many people are in it?", &all), None);
    }
}
