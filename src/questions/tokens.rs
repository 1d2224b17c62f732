//! The words of what somebody asked.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// Stands for a number, however it is written.
pub const NUMBER: &str = "#";
/// Stands for the name of a video.
const NAME: &str = "\u{1}";

static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9]+(?:[.,:][0-9]+)*|[\p{L}\p{M}]+|[<>%/@=\x01]")
        .expect("the pattern is a constant")
});

/// Words in lower case, with a sign in place of each number and of what is no word of the language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    /// In their order.
    pub words: Vec<String>,
}

impl Tokens {
    /// The words of a text.
    pub fn of(text: &str) -> Self {
        Self::without(text, &[], &[])
    }

    /// The words of a text in which names and numbers stand at these places.
    pub fn without(text: &str, names: &[Range<usize>], numbers: &[Range<usize>]) -> Self {
        let mut masked = String::new();
        let mut marks: Vec<(&Range<usize>, &str)> = names.iter().map(|span| (span, NAME)).collect();
        // A sign of its own, so that digits stay digits.
        marks.extend(numbers.iter().map(|span| (span, "0")));
        marks.sort_by_key(|(span, _)| span.start);
        let mut at = 0;
        for (span, mark) in marks {
            if let Some(before) = text.get(at..span.start) {
                masked.push_str(before);
                masked.push(' ');
                masked.push_str(mark);
                masked.push(' ');
                at = span.end;
            }
        }
        masked.push_str(text.get(at..).unwrap_or_default());
        let words = WORDS.find_iter(&masked).map(|word| {
            let word = word.as_str();
            match word.starts_with(|c: char| c.is_ascii_digit()) {
                true => NUMBER.to_owned(),
                false => word.to_lowercase(),
            }
        });
        Self {
            words: words.collect(),
        }
    }

    /// Whether a word is among them.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_signs() {
        let text = "Left knee's ROM in right_side.mp4 at 1.5s, km/h";
        let name = text.find("right_side.mp4").expect("a name");
        let tokens = Tokens::without(text, std::slice::from_ref(&(name..name + 14)), &[]);
        let expected = "left knee s rom in \u{1} at # s km / h";
        assert_eq!(tokens.words.join(" "), expected);
        assert!(tokens.has("rom") && !tokens.has("right"));
    }
}
