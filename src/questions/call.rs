//! A call: a question with the values of its parameters, as a line of text.

use std::fmt;

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
