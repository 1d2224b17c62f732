//! What an assistant writes where its answer needs steps: the work, then a line that begins with
//! [`ANSWER_MARK`] and holds the answer. Only what follows the mark is judged and shown.

use serde::{Deserialize, Serialize};

/// Begins the line that ends the work. Neither the work nor an answer has a line that begins with
/// it, so that a text has one reading.
pub const ANSWER_MARK: &str = "Answer:";

/// What becomes of the steps that recipes put before their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Answers begin with them.
    #[default]
    Written,
    /// Answers are the answers alone.
    LeftOut,
}

/// A text of an assistant, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<'a> {
    /// What stands before the line with the mark; `None` where there is no such line.
    pub work: Option<&'a str>,
    /// What follows the mark, or else the whole text.
    pub answer: &'a str,
}

impl<'a> Written<'a> {
    /// Divides a text at the first line that begins with the mark. Whatever stands behind a second
    /// mark is part of the answer.
    pub fn of(text: &'a str) -> Self {
        match mark_position(text) {
            Some(mark) => Self {
                work: Some(text[..mark].trim_end()),
                answer: text[mark + ANSWER_MARK.len()..].trim(),
            },
            None => Self {
                work: None,
                answer: text,
            },
        }
    }
}

/// Where the line with the mark begins.
fn mark_position(text: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(ANSWER_MARK) {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Whether a text has a line that ends the work, and so cannot be a part of one.
pub fn has_mark(text: &str) -> bool {
    mark_position(text).is_some()
}

/// The text of an assistant: its work, if there is some, and the answer.
pub fn with_work(work: &str, answer: &str) -> String {
    match work.is_empty() {
        true => answer.into(),
        false => format!("{work}\n{ANSWER_MARK} {answer}"),
    }
}

/// Lets through what an assistant writes piece by piece, as soon as the line with the mark has come.
#[derive(Debug, Default)]
pub struct AnswerStream {
    text: String,
    /// Bytes of `text` that were let through.
    shown: usize,
}

impl AnswerStream {
    /// Takes the next piece, and gives what of the answer can be shown now.
    pub fn push(&mut self, piece: &str) -> &str {
        self.text.push_str(piece);
        if self.shown == 0 {
            let Some(mark) = mark_position(&self.text) else {
                return "";
            };
            let answer = &self.text[mark + ANSWER_MARK.len()..];
            let start = self.text.len() - answer.trim_start().len();
            if start == self.text.len() {
                return "";
            }
            self.shown = start;
        }
        let new = &self.text[self.shown..];
        self.shown = self.text.len();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_answer_come_back_as_they_were() {
        for (work, answer) in [("0.50,98|98", "It is 98 deg."), ("1\n2", "a\nb"), ("", "c")] {
            let text = with_work(work, answer);
            let written = Written::of(&text);
            assert_eq!(written.answer, answer);
            assert_eq!(written.work.unwrap_or_default(), work);
            assert_eq!(written.work.is_some(), !work.is_empty());
        }
    }

    #[test]
    fn only_the_first_line_that_begins_with_the_mark_counts() {
        let parts = |text| {
            let Written { work, answer } = Written::of(text);
            (work, answer)
        };
        assert_eq!(
            parts("1\nAnswer: 2\nAnswer: 3"),
            (Some("1"), "2\nAnswer: 3")
        );
        assert_eq!(parts("Answer: 2"), (Some(""), "2"));
        assert_eq!(parts("1\nAnswer:2"), (Some("1"), "2"));
        // Within a line, in another spelling, or cut off it is none.
        for text in [
            "The Answer: 2",
            "1\n Answer: 2",
            "1\nanswer: 2",
            "1\nAnswer",
            "",
        ] {
            assert_eq!(parts(text), (None, text));
        }
    }

    #[test]
    fn a_stream_shows_the_answer_and_nothing_before_it() {
        let text = "0.50,98|98\nAnswer: It is\n98 deg.";
        for size in 1..=text.len() {
            let mut stream = AnswerStream::default();
            let pieces: Vec<String> = (text.as_bytes().chunks(size))
                .map(|piece| String::from_utf8_lossy(piece).into_owned())
                .collect();
            let shown: String = (pieces.iter())
                .map(|piece| stream.push(piece).to_owned())
                .collect();
            assert_eq!(shown, "It is\n98 deg.", "{size}");
        }
        assert_eq!(AnswerStream::default().push("no mark"), "");
    }
}
