//! A call: a question with the values of its parameters, as a line of text.

use std::fmt;

use super::{QuestionError, QuestionFiles};

/// A question with the values of those of its parameters that are given:
/// `extreme joint=right_knee which=smallest video=demo.mp4`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Name of the question.
    pub question: String,
    /// Names and values, in the order of the question's header.
    pub slots: Vec<(String, String)>,
}

impl Call {
    /// Reads a call, and checks that its question has parameters of these names.
    ///
    /// # Errors
    /// [`QuestionError::NotACall`].
    pub fn parse(text: &str, files: &QuestionFiles) -> Result<Self, QuestionError> {
        let wrong = |reason: String| QuestionError::NotACall {
            call: text.into(),
            reason,
        };
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some(question) = files.find(name) else {
            return Err(wrong(format!("there is no question '{name}'")));
        };
        let mut slots = Vec::new();
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| wrong(format!("'{word}' is not NAME=VALUE")))?;
            if !question.parameters.iter().any(|p| p.name == name) {
                return Err(wrong(format!("{} has no parameter {name}", question.name)));
            }
            slots.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self {
            question: question.name.clone(),
            slots,
        })
    }

    /// The value of a parameter, where it is given.
    pub fn value(&self, name: &str) -> Option<&str> {
        let slot = self.slots.iter().find(|(known, _)| known == name);
        slot.map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.question)?;
        self.slots
            .iter()
            .try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
