//! A folder of questions: pairs of SQL files and templates.

use std::collections::BTreeMap;
use std::path::Path;

use super::call::Call;
use super::error::QuestionError;
use super::question::{CANNOT_TELL, Question, question};
use super::words::Words;
use crate::dataset::pair_files;

/// The questions of a folder, with their compiled templates.
pub struct QuestionFiles {
    /// In the order of their names.
    pub questions: Vec<Question>,
    /// Names and texts of all files.
    pub texts: BTreeMap<String, String>,
    pub(super) words: Words,
}

impl QuestionFiles {
    /// Reads a folder; where there is no such folder, but one of that name is part of the program,
    /// that one.
    ///
    /// # Errors
    /// When a file is broken: the error names file and line.
    pub fn load(folder: &Path) -> Result<Self, QuestionError> {
        let texts = pair_files(folder)?;
        let mut questions = Vec::new();
        for (file, text) in &texts {
            if let Some(name) = file.strip_suffix(".sql") {
                let template = format!("{name}.jinja");
                if !texts.contains_key(&template) {
                    let missing = folder.join(template);
                    return Err(QuestionError::Incomplete { missing });
                }
                questions.push(question(folder, name, text)?);
            }
        }
        let mut templates = texts.keys().filter_map(|name| name.strip_suffix(".jinja"));
        let is_lonely =
            |name: &&str| !name.starts_with('_') && !texts.contains_key(&format!("{name}.sql"));
        if let Some(name) = templates.find(is_lonely) {
            let missing = folder.join(format!("{name}.sql"));
            return Err(QuestionError::Incomplete { missing });
        }
        let path = folder.to_owned();
        match questions.iter().any(|q| q.name == CANNOT_TELL) {
            _ if questions.is_empty() => return Err(QuestionError::NoQuestions { path }),
            false => return Err(QuestionError::NoCannotTell { path }),
            true => {}
        }
        let words = Words::new(texts.clone(), &questions)?;
        Ok(Self {
            questions,
            texts,
            words,
        })
    }

    /// The question of a name.
    pub fn find(&self, name: &str) -> Option<&Question> {
        self.questions.iter().find(|q| q.name == name)
    }

    /// Reads a call out of a text, and checks that its question has parameters of these names, each
    /// with one value of its type; whether the lake has what is named is for the answer to say.
    ///
    /// # Errors
    /// [`QuestionError::NotACall`].
    pub fn call(&self, text: &str) -> Result<Call, QuestionError> {
        let wrong = |reason: String| QuestionError::NotACall {
            call: text.into(),
            reason,
        };
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some(question) = self.find(name) else {
            return Err(wrong(format!("there is no question '{name}'")));
        };
        let mut slots: Vec<(String, String)> = Vec::new();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                // Names of files have white space; calls have _ there.
                let open = slots.last_mut().filter(|(name, _)| question.is_name(name));
                let (_, value) =
                    open.ok_or_else(|| wrong(format!("'{word}' is not NAME=VALUE")))?;
                *value = format!("{value}_{word}");
                continue;
            };
            let Some(parameter) = question.parameters.iter().find(|p| p.name == name) else {
                return Err(wrong(format!("{} has no parameter {name}", question.name)));
            };
            if slots.iter().any(|(given, _)| given == name) {
                return Err(wrong(format!("{name} is given twice")));
            }
            if parameter.default.as_deref() == Some(value) {
                continue;
            }
            if !parameter.kind.has_value(value) {
                let expected = parameter.kind.expected();
                return Err(wrong(format!("{name}={value} is not {expected}")));
            }
            slots.push((name.to_owned(), value.to_owned()));
        }
        for (_, value) in slots.iter_mut().filter(|(name, _)| question.is_name(name)) {
            *value = value.trim_matches(['"', '\'']).to_owned();
        }
        Ok(Call {
            question: question.name.clone(),
            slots,
        })
    }

    /// What can be asked: the questions' first lines.
    pub fn abouts(&self) -> impl Iterator<Item = &str> {
        let answering = self.questions.iter().filter(|q| q.name != CANNOT_TELL);
        answering.map(|q| q.about.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_calls_may_have_spaces() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        for text in [
            "duration video=my long_run.mp4",
            "duration video=my_long_run.mp4",
            "duration video=\"my long run.mp4\"",
        ] {
            let call = files.call(text).expect("a call");
            assert_eq!(call.value("video"), Some("my_long_run.mp4"), "{text}");
        }
        for text in [
            "duration my_run.mp4",
            "extreme which=smallest knee",
            "run video=a.mp4",
            "mean joint=left_knee joint=right_knee",
            "mean joint=left_kne",
            "mean joint=left_knee person=second",
            "mean joint=left_knee person=1.5",
            "mean joint=left_knee from_secs=inf",
            "crossings joint=left_knee direction=below limit_deg=nan",
        ] {
            assert!(files.call(text).is_err(), "{text}");
        }
    }
}
