//! A question file: SQL with a header of typed parameters.
//!
//! The SQL's leading comment says what the question is; beside parameters (`-- param`, as all queries
//! have them) it may hold settings, a line each: `-- question weight = 2` (share of the training
//! examples, relative to other questions), `-- question train = no` (no example is made of it but for
//! tests), `-- question nothing = REASON` (what to say where it finds nothing), `-- question words =
//! needed` (it is asked only where one of its phrases stands, or with `needed, PARAMETER` one of that
//! parameter's values). `-- words` says which
//! phrases mean the question, or a value of a parameter (see [`Meaning`]).

use std::path::{Path, PathBuf};

use super::QuestionError;
use super::phrases::{Meaning, Target};
use crate::query::{Parameter, ParameterType, declaration};

/// The question that stands for everything that no other fits.
pub const CANNOT_TELL: &str = "cannot_tell";
const SETTING: &str = "-- question ";
/// Share of the examples, relative to other questions, unless the file says otherwise.
const DEFAULT_WEIGHT: f64 = 1.0;

/// Which phrases a question needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum NeededWords {
    #[default]
    Nothing,
    /// One of its own.
    Own,
    /// One of its own, or of the values of this parameter.
    OwnOr(String),
}

impl NeededWords {
    /// Whether these words are among those that are needed.
    pub fn has(&self, meaning: &Meaning) -> bool {
        match (self, &meaning.target) {
            (Self::Nothing, _) | (_, Target::NotQuestion) => false,
            (_, Target::Question) => true,
            (Self::Own, Target::Value(..)) => false,
            (Self::OwnOr(parameter), Target::Value(name, _)) => name == parameter,
        }
    }
}

/// A question, read and checked as far as that is possible without a lake.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Name of both files without their endings.
    pub name: String,
    /// First line of the SQL's comment.
    pub about: String,
    /// The whole file.
    pub sql: String,
    /// The SQL file.
    pub sql_path: PathBuf,
    /// The template beside it.
    pub template_path: PathBuf,
    /// In the header's order; slots of a call.
    pub parameters: Vec<Parameter>,
    /// Share of the training examples, relative to other questions.
    pub weight: f64,
    /// Whether training examples are made of it.
    pub is_trained: bool,
    /// What to say where it finds nothing.
    pub nothing: Option<String>,
    /// Whether it is asked only where one of its phrases stands.
    pub(super) needed_words: NeededWords,
    /// Values that are possible only where one of their phrases stands.
    pub(super) said_values: Vec<String>,
    /// Phrases that say that it is asked, or with which values.
    pub(super) meanings: Vec<Meaning>,
}

impl Question {
    /// Whether the header declares a parameter of that name.
    pub fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|p| p.name == name)
    }

    /// Whether a parameter's values are names that people gave: of videos, or of subjects.
    pub(super) fn is_name(&self, name: &str) -> bool {
        let is_name =
            |kind: &ParameterType| matches!(kind, ParameterType::Video | ParameterType::Subject);
        let mut parameters = self.parameters.iter();
        parameters.any(|p| p.name == name && is_name(&p.kind))
    }

    pub(super) fn sql_error(&self, message: &str) -> QuestionError {
        let line = message.split("LINE ").nth(1);
        let line = line.and_then(|rest| rest.split(':').next()?.trim().parse().ok());
        QuestionError::Broken {
            path: self.sql_path.clone(),
            line: line.unwrap_or(1),
            reason: message.into(),
        }
    }
}

/// Reads a question's SQL, and checks it as far as that is possible without a lake.
///
/// # Errors
/// When the header is wrong: the error names the line.
pub(super) fn question(folder: &Path, name: &str, sql: &str) -> Result<Question, QuestionError> {
    let sql_path = folder.join(format!("{name}.sql"));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let broken = |index: usize, reason: String| QuestionError::Broken {
        path: sql_path.clone(),
        line: index + 1,
        reason,
    };
    if !name.chars().all(is_word) {
        return Err(broken(
            0,
            format!("a question's name has letters, digits and _, not '{name}'"),
        ));
    }
    let about = sql.lines().find_map(|line| line.strip_prefix("--"));
    let mut question = Question {
        name: name.into(),
        about: about.unwrap_or_default().trim().into(),
        sql: sql.into(),
        template_path: folder.join(format!("{name}.jinja")),
        sql_path: sql_path.clone(),
        parameters: Vec::new(),
        weight: DEFAULT_WEIGHT,
        is_trained: true,
        nothing: None,
        needed_words: NeededWords::Nothing,
        said_values: Vec::new(),
        meanings: Vec::new(),
    };
    if question.about.is_empty() {
        let reason = "the first line is a comment that says what the question is";
        return Err(broken(0, reason.into()));
    }
    let mut worded_lines = Vec::new();
    for (index, line) in sql.lines().enumerate() {
        if let Some(meaning) = Meaning::of_line(line) {
            let meaning = meaning.map_err(|reason| broken(index, reason))?;
            worded_lines.push(index);
            question.meanings.push(meaning);
        } else if let Some(declared) = declaration(line) {
            let parameter = declared.and_then(|parameter| checked(parameter, sql));
            let parameter = parameter.map_err(|reason| broken(index, reason))?;
            if question.has(&parameter.name) {
                return Err(broken(
                    index,
                    format!("{} is declared twice", parameter.name),
                ));
            }
            question.parameters.push(parameter);
        } else if let Some(setting) = line.trim().strip_prefix(SETTING) {
            set(&mut question, setting).map_err(|reason| broken(index, reason))?;
        } else if let Some(form) = misspelt(line) {
            let reason = format!("a line of the header is written `{form}`");
            return Err(broken(index, reason));
        }
    }
    if let NeededWords::OwnOr(name) = &question.needed_words
        && !question.has(name)
    {
        let reason = format!("words are needed of {name}, which is no parameter");
        return Err(broken(0, reason));
    }
    for (index, meaning) in worded_lines.into_iter().zip(&question.meanings) {
        check_value(&question, meaning).map_err(|reason| broken(index, reason))?;
    }
    for said in &question.said_values {
        let says =
            |meaning: &Meaning| matches!(&meaning.target, Target::Value(_, value) if value == said);
        if !question.meanings.iter().any(says) {
            let reason = format!("'{said}' has to be said, and the header has no words for it");
            return Err(broken(0, reason));
        }
    }
    let is_needed = |meaning: &Meaning| question.needed_words.has(meaning);
    if question.needed_words != NeededWords::Nothing && !question.meanings.iter().any(is_needed) {
        let reason = "words are needed, and the header has none: `-- words : PHRASE, PHRASE`";
        return Err(broken(0, reason.into()));
    }
    if question.has("person") && !question.has("video") {
        return Err(broken(
            0,
            "a parameter person needs a parameter video".into(),
        ));
    }
    Ok(question)
}

/// How a line is written that looks like a declaration, but for a space or capitals.
fn misspelt(line: &str) -> Option<&'static str> {
    let text = line.trim().strip_prefix("--")?.trim_start();
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    let is_parameter = || rest.split_whitespace().nth(1).is_some_and(is_type);
    match () {
        () if is("param") && is_parameter() => Some("-- param NAME TYPE = DEFAULT : MEANING"),
        () if is("question") && rest.contains('=') => Some("-- question KEY = VALUE"),
        () if (is("words") || is("word")) && rest.contains(':') => {
            Some("-- words : PHRASE, PHRASE")
        }
        () => None,
    }
}

fn is_type(word: &str) -> bool {
    declaration(&format!("-- param x {word}")).is_some_and(|declared| declared.is_ok())
        || word.starts_with("choice(")
}

/// A parameter that a question may have: one whose values are known before anybody asks, or are
/// numbers of what is asked.
fn checked(parameter: Parameter, sql: &str) -> Result<Parameter, String> {
    let name = &parameter.name;
    if matches!(parameter.kind, ParameterType::Text | ParameterType::Boolean) {
        return Err(format!(
            "{name} is text or boolean, which no question can fill; list the values: choice(A, B)"
        ));
    }
    let mut code = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let placeholder = format!("${name}");
    let is_used = |line: &str| {
        line.match_indices(&placeholder).any(|(at, _)| {
            let after = line[at + placeholder.len()..].chars().next();
            !after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    if !code.any(is_used) {
        return Err(format!("the SQL does not use ${name}"));
    }
    if parameter.default.as_deref().is_some_and(|d| d != "null") {
        return Err(format!(
            "{name} has the default '{}'; a question's parameter is necessary, or has the default null",
            parameter.default.as_deref().unwrap_or_default()
        ));
    }
    let is_person = parameter.kind == ParameterType::Person;
    if is_person != (name == "person") {
        return Err("the parameter of type person is called person".into());
    }
    Ok(parameter)
}

/// Whether the value that words stand for is one of a parameter.
fn check_value(question: &Question, meaning: &Meaning) -> Result<(), String> {
    let Target::Value(name, value) = &meaning.target else {
        return Ok(());
    };
    let parameter = question.parameters.iter().find(|p| p.name == *name);
    let Some(parameter) = parameter else {
        return Err(format!("words for {name}, which is no parameter"));
    };
    let choices = parameter.kind.choices();
    match choices.contains(&value.as_str()) {
        true => Ok(()),
        false if choices.is_empty() => Err(format!(
            "words for {name}, whose type has no list of values"
        )),
        false => Err(format!(
            "words for {name}={value}; {name} is one of {}",
            choices.join(", ")
        )),
    }
}

fn set(question: &mut Question, setting: &str) -> Result<(), String> {
    let (key, value) = setting
        .split_once('=')
        .ok_or("a setting is written `-- question KEY = VALUE`")?;
    let (key, value) = (key.trim(), value.trim());
    match key {
        "weight" => {
            question.weight = (value.parse().ok())
                .filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
                .ok_or_else(|| format!("weight is a number from 0, not '{value}'"))?;
        }
        "train" => {
            question.is_trained = match value {
                "yes" => true,
                "no" => false,
                _ => return Err(format!("train is `yes` or `no`, not '{value}'")),
            };
        }
        "nothing" if value.is_empty() => {
            return Err(
                "nothing is what to say where there is no answer, such as `no video is tagged`"
                    .into(),
            );
        }
        "nothing" => question.nothing = Some(value.into()),
        "words" => {
            let (needed, parameter) = match value.split_once(',') {
                Some((needed, parameter)) => (needed.trim(), Some(parameter.trim())),
                None => (value, None),
            };
            if needed != "needed" {
                return Err(format!(
                    "words is `needed` or `needed, PARAMETER`, not '{value}'"
                ));
            }
            let parameter = parameter.map(|name| NeededWords::OwnOr(name.into()));
            question.needed_words = parameter.unwrap_or(NeededWords::Own);
        }
        "said" => question.said_values = value.split(',').map(|v| v.trim().into()).collect(),
        _ => {
            return Err(format!(
                "unknown setting '{key}'; known are weight, train, nothing, words, said"
            ));
        }
    }
    Ok(())
}
