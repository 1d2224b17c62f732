//! Phrases of a question's header: words that say which question is asked, or which value of a
//! parameter is meant.
//!
//! A header line `-- words : range of motion, rom` belongs to the question, `-- words not : fast*`
//! says that it is not asked, and `-- words which=smallest for knee, hip : most bent, max* flex*`
//! belongs to a value, and counts only where one of these parts of the body is named. In a phrase
//! `bend*` stands for every word that begins so, `most|fully` for either, `#` for a number, and `..`
//! for up to six words of any kind.

use super::body::{Body, PARTS, is_part};
use super::tokens::{NUMBER, Tokens};

const DECLARATION: &str = "-- words";
const FORM: &str = "words are written `-- words : PHRASE, PHRASE`, `-- words not : PHRASE` or `-- words PARAMETER=VALUE for PART, PART : PHRASE, PHRASE`";
/// Most words that a gap stands for.
const MAX_GAP: usize = 6;
/// Shortest word of a phrase that may be mistyped.
const MIN_TYPO_CHARS: usize = 5;
/// Words so long are no other ones with one letter changed.
const DISTINCT_CHARS: usize = 7;

/// A line of a header that says what phrases mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// What the phrases stand for.
    pub target: Target,
    /// Parts of the body of which one has to be named; none are needed where it is empty.
    parts: Vec<&'static str>,
    phrases: Vec<Vec<Piece>>,
}

/// What phrases stand for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// That the question is asked.
    Question,
    /// That it is not.
    NotQuestion,
    /// A parameter and its value.
    Value(String, String),
}

/// A word of a phrase.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// One of these.
    Word(Vec<Pattern>),
    Gap,
}

#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Whole(String),
    /// What a word begins with.
    Stem(String),
    Number,
}

impl Pattern {
    fn fits(&self, word: &str) -> bool {
        match self {
            Self::Whole(own) => own == word || is_mistyped(word, own),
            Self::Stem(stem) => word.starts_with(stem.as_str()),
            Self::Number => word == NUMBER,
        }
    }
}

impl Meaning {
    /// What a header's line declares; `None` where it is no declaration of words.
    ///
    /// # Errors
    /// When it begins as one does, and is none: the reason, in words.
    pub fn of_line(line: &str) -> Option<Result<Self, String>> {
        let rest = line.trim().strip_prefix(DECLARATION)?;
        match rest.chars().next() {
            Some(c) if !c.is_whitespace() && c != ':' => None,
            _ => Some(Self::parse(rest)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (head, phrases) = text.split_once(':').ok_or(FORM)?;
        let head = format!(" {} ", head.trim());
        let (target, parts) = match head.split_once(" for ") {
            Some((target, parts)) => (target.trim(), parts.split(',').map(part).collect()),
            None => (head.trim(), Ok(Vec::new())),
        };
        let target = match (target, target.split_once('=')) {
            ("", _) => Target::Question,
            ("not", _) => Target::NotQuestion,
            (_, Some((name, value))) => Target::Value(name.trim().into(), value.trim().into()),
            (_, None) => return Err(format!("'{target}' is not PARAMETER=VALUE; {FORM}")),
        };
        let phrases: Result<Vec<_>, String> = phrases.split(',').map(phrase).collect();
        Ok(Self {
            target,
            parts: parts?,
            phrases: phrases?,
        })
    }

    /// Whether it counts where these parts of the body are named.
    pub fn counts_for(&self, body: &Body) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| body.names(part))
    }
}

fn part(text: &str) -> Result<&'static str, String> {
    let known = PARTS.iter().find(|part| **part == text.trim());
    known.copied().ok_or_else(|| {
        format!(
            "there is no part of the body '{}'; known are {}",
            text.trim(),
            PARTS.join(", ")
        )
    })
}

fn phrase(text: &str) -> Result<Vec<Piece>, String> {
    let text = text.trim().to_lowercase();
    let pattern = |word: &str| {
        let (stem, is_stem) = match word.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (word, false),
        };
        match (stem, is_stem) {
            (NUMBER, false) => Ok(Pattern::Number),
            _ if Tokens::of(stem).words != [stem] => Err(format!(
                "'{word}' in the phrase '{text}' is no single word; a phrase has words, WORD*, WORD|WORD, # and .. with spaces between them"
            )),
            (_, true) => Ok(Pattern::Stem(stem.into())),
            (_, false) => Ok(Pattern::Whole(stem.into())),
        }
    };
    let piece = |word: &str| match word {
        ".." => Ok(Piece::Gap),
        word => word
            .split('|')
            .map(pattern)
            .collect::<Result<_, _>>()
            .map(Piece::Word),
    };
    let pieces: Vec<Piece> = text
        .split_whitespace()
        .map(piece)
        .collect::<Result<_, _>>()?;
    let is_gap = |piece: Option<&Piece>| piece.is_none_or(|piece| *piece == Piece::Gap);
    if is_gap(pieces.first()) || is_gap(pieces.last()) {
        return Err(format!(
            "the phrase '{text}' is empty, or begins or ends with .."
        ));
    }
    Ok(pieces)
}

/// What the phrases in a text stand for: for each phrase that is found, the longest of those that
/// begin at its word, all that have it. `meanings` are what may be found, each with what it stands for.
pub fn found<T: Clone>(tokens: &Tokens, meanings: &[(T, &Meaning)]) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    let mut from = 0;
    while from < tokens.words.len() {
        let rest = &tokens.words[from..];
        let mut longest = 0;
        let mut here: Vec<T> = Vec::new();
        for (target, meaning) in meanings {
            let lengths = meaning.phrases.iter().filter_map(|p| matched(p, rest));
            let Some(length) = lengths.max().filter(|length| *length >= longest) else {
                continue;
            };
            if length > longest {
                longest = length;
                here.clear();
            }
            here.push(target.clone());
        }
        if !here.is_empty() {
            all.push(here);
        }
        from += longest.max(1);
    }
    all
}

/// How many words a phrase takes at the beginning of others; `None` where it does not stand there.
fn matched(phrase: &[Piece], words: &[String]) -> Option<usize> {
    let Some((piece, rest)) = phrase.split_first() else {
        return Some(0);
    };
    let Piece::Word(patterns) = piece else {
        return (0..=MAX_GAP.min(words.len())).find_map(|gap| {
            let length = matched(rest, &words[gap..])?;
            Some(gap + length)
        });
    };
    let (word, more) = words.split_first()?;
    let fits = patterns.iter().any(|pattern| pattern.fits(word));
    fits.then(|| matched(rest, more)).flatten().map(|n| n + 1)
}

/// Whether a word is another with one slip of the fingers: a letter more or less, or two exchanged. The
/// first letter is seldom wrong, a plural is no slip, another letter makes another word (shows, shoes)
/// of those that are not long, and a part of the body is one (shouldr, should).
fn is_mistyped(word: &str, own: &str) -> bool {
    let is_long = |word: &str, letters: usize| word.chars().count() >= letters;
    is_long(word, MIN_TYPO_CHARS - 1)
        && is_long(own, MIN_TYPO_CHARS)
        && word.chars().next() == own.chars().next()
        && word.trim_end_matches('s') != own.trim_end_matches('s')
        && strsim::osa_distance(word, own) == 1
        && !is_part(word)
        && (word.chars().count() != own.chars().count()
            || has_same_letters(word, own)
            || is_long(own, DISTINCT_CHARS))
}

fn has_same_letters(a: &str, b: &str) -> bool {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(lines: &[&str]) -> Vec<Meaning> {
        let meaning = |line: &&str| Meaning::of_line(line).expect("words").expect("a meaning");
        lines.iter().map(meaning).collect()
    }

    fn values(question: &str, lines: &[&str]) -> Vec<Vec<String>> {
        let meanings = meanings(lines);
        let named = meanings.iter().map(|meaning| {
            let Target::Value(_, value) = meaning.target.clone() else {
                panic!("no value");
            };
            (value, meaning)
        });
        found(&Tokens::of(question), &named.collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_phrase_is_found() {
        let lines = [
            "-- words which=smallest : bent, most bent, max* .. flex*",
            "-- words which=largest : least|not bent, max*, at #",
        ];
        for (question, expected) in [
            ("When is it most bent?", &["smallest"][..]),
            ("the least bent", &["largest"]),
            ("MAXIMUM of it", &["largest"]),
            ("maximal knee flexion, please", &["smallest"]),
            ("at 2.5", &["largest"]),
            ("max, then bent", &["largest", "smallest"]),
            ("how far?", &[]),
        ] {
            let found = values(question, &lines).concat();
            assert_eq!(found, expected, "{question}");
        }
    }

    #[test]
    fn a_phrase_may_be_mistyped_and_stand_for_several() {
        let lines = ["-- words a=x : average, spread", "-- words a=y : average"];
        assert_eq!(values("the avreage", &lines), [["x", "y"]]);
        assert_eq!(values("the averige", &lines), [["x", "y"]]);
        for question in ["bread", "the shouldr", "sprawd"] {
            assert_eq!(values(question, &lines), Vec::<Vec<String>>::new());
        }
    }

    #[test]
    fn parts_of_the_body_decide_whether_words_count() {
        let meanings = meanings(&["-- words which=smallest for knee, trunk : bent"]);
        for (question, counts) in [
            ("the left knee", true),
            ("most upright", true),
            ("the wrist", false),
        ] {
            let body = Body::of(&Tokens::of(question));
            assert_eq!(meanings[0].counts_for(&body), counts, "{question}");
        }
    }

    #[test]
    fn what_is_wrong_with_words_is_told() {
        assert_eq!(Meaning::of_line("-- wordsmith"), None);
        assert_eq!(Meaning::of_line("-- param which choice(a)"), None);
        for (line, reason) in [
            ("-- words", "words are written"),
            ("-- words which : bent", "'which' is not PARAMETER=VALUE"),
            (
                "-- words which=a for nail : bent",
                "no part of the body 'nail'",
            ),
            ("-- words : bent,", "is empty"),
            ("-- words : how ..", "begins or ends with .."),
            ("-- words : left/right", "no single word"),
        ] {
            let error = Meaning::of_line(line).expect("words").expect_err(line);
            assert!(error.contains(reason), "{error}");
        }
    }
}
