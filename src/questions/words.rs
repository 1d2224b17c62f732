//! Templates of questions: paraphrases on the way in, the answer's words on the way out.
//!
//! A template has two blocks. `questions` holds a paraphrase a line; each parameter is there by its
//! name, and so are `during` and `span` (both times), `where` and `where_first` (video and person),
//! the call's own values as `call`, and what kind of angle `joint` is (`is_limb`, `is_hinge`,
//! `is_shoulder`, `is_trunk`). `answer` is filled from the first row of the result, with all of them
//! as `rows`.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, UndefinedBehavior};

use super::{Call, Question, QuestionError};
use crate::dataset::{fixed, print_known};
use crate::query::ParameterType;

/// Marks around what is put in the place of a parameter.
pub const OPEN: char = '\u{E000}';
/// The mark that ends it.
pub const CLOSE: char = '\u{E001}';
/// Behind the name of a parameter that the words around it say already.
pub const SAID: char = '!';
const EMPTY: &str = "<empty>";
const EXTENDS_NOTHING: &str = "{% extends \"<empty>\" %}";
const QUESTIONS: &str = "questions";
const ANSWER: &str = "answer";
/// Parts of a question that stand for several parameters.
const GROUPS: [&str; 4] = ["during", "span", "where", "where_first"];

/// The compiled templates of a folder of questions.
pub struct Words {
    environment: Environment<'static>,
}

impl Words {
    /// Compiles the templates of `questions`; they may import any of `texts`.
    ///
    /// # Errors
    /// When a template is wrong or lacks a block.
    pub fn new(
        texts: BTreeMap<String, String>,
        questions: &[Question],
    ) -> Result<Self, QuestionError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(true);
        let syntax = SyntaxConfig::builder()
            .build()
            .expect("the usual delimiters");
        environment.set_syntax(syntax);
        let sources = texts.clone();
        environment.set_loader(move |name| Ok(sources.get(name).cloned()));
        environment
            .add_template(EMPTY, "")
            .expect("an empty template");
        environment.add_filter("fixed", fixed);
        environment.set_formatter(print_known);
        for question in questions {
            let name = template_name(question);
            let source = texts.get(&name).cloned().unwrap_or_default();
            let source = match source.contains("{% extends") {
                true => source,
                false => format!("{EXTENDS_NOTHING}{source}"),
            };
            for block in [QUESTIONS, ANSWER] {
                let opens = |tag: &str| {
                    let mut words = tag.trim_matches(['-', '+']).split_whitespace();
                    words.next() == Some("block") && words.next() == Some(block)
                };
                let mut tags = source.split("{%").skip(1);
                if !tags.any(|tag| opens(tag.split("%}").next().unwrap_or_default())) {
                    return Err(QuestionError::Broken {
                        path: question.template_path.clone(),
                        line: 1,
                        reason: format!("the template has no block {block}"),
                    });
                }
            }
            environment
                .add_template_owned(name, source)
                .map_err(|e| template_error(question, &e))?;
        }
        Ok(Self { environment })
    }

    /// The paraphrases of a question for a call, with marks in place of the parameters' words. An
    /// empty line is one that does not fit the call; a paraphrase keeps its place for all calls.
    ///
    /// # Errors
    /// When the template fails.
    pub fn paraphrases(
        &self,
        question: &Question,
        call: &Call,
    ) -> Result<Vec<String>, QuestionError> {
        let marked = |name: &str| Value::from(format!("{OPEN}{name}{CLOSE}"));
        let mut context: BTreeMap<String, Value> = BTreeMap::new();
        for name in GROUPS {
            context.insert(name.into(), marked(name));
        }
        for parameter in &question.parameters {
            context.insert(parameter.name.clone(), marked(&parameter.name));
            let said = format!("{OPEN}{}{SAID}{CLOSE}", parameter.name);
            context.insert(format!("{}_said", parameter.name), Value::from(said));
        }
        let joint = call.value("joint").unwrap_or_default();
        let is_trunk = ["trunk_lean", "forward_lean"].contains(&joint);
        let is_shoulder = joint.ends_with("shoulder");
        context.insert("is_trunk".into(), is_trunk.into());
        context.insert("is_shoulder".into(), is_shoulder.into());
        context.insert("is_limb".into(), (!is_trunk).into());
        context.insert("is_hinge".into(), (!is_trunk && !is_shoulder).into());
        context.insert("call".into(), call_value(question, call));
        let text = self.render(question, QUESTIONS, Value::from(context))?;
        Ok(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// The words of an answer.
    ///
    /// # Errors
    /// When the template fails on this row.
    pub fn answer(
        &self,
        question: &Question,
        call: &Call,
        more: Vec<(String, Value)>,
    ) -> Result<String, QuestionError> {
        let mut context: BTreeMap<String, Value> = BTreeMap::new();
        for parameter in &question.parameters {
            let value = call.value(&parameter.name);
            let value = match (&parameter.kind, value) {
                (_, None) => Value::from(()),
                (ParameterType::Video | ParameterType::Subject, Some(name)) => name.into(),
                (_, Some(text)) => match text.parse::<f64>() {
                    Ok(number) => number.into(),
                    Err(_) => text.replace('_', " ").into(),
                },
            };
            context.insert(parameter.name.clone(), value);
        }
        context.insert("call".into(), call_value(question, call));
        context.extend(more);
        let text = self.render(question, ANSWER, Value::from(context))?;
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn render(
        &self,
        question: &Question,
        block: &str,
        context: Value,
    ) -> Result<String, QuestionError> {
        let failed = |e: Error| template_error(question, &e);
        let template = self.environment.get_template(&template_name(question));
        let template = template.map_err(failed)?;
        let mut rendered = template.render_captured(context).map_err(failed)?;
        rendered
            .with_state_mut(|state| state.render_block(block))
            .map_err(failed)
    }
}

/// The call's values as they stand in it; what is not given is none.
fn call_value(question: &Question, call: &Call) -> Value {
    let slots = question.parameters.iter().map(|parameter| {
        let value = call.value(&parameter.name);
        (
            parameter.name.clone(),
            value.map_or(Value::from(()), Value::from),
        )
    });
    Value::from_pairs(slots)
}

fn template_name(question: &Question) -> String {
    format!("{}.jinja", question.name)
}

fn template_error(question: &Question, error: &Error) -> QuestionError {
    let path = match error.name() {
        Some(name) => question.template_path.with_file_name(name),
        None => question.template_path.clone(),
    };
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    QuestionError::Broken {
        path,
        line: error.line().unwrap_or(1),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::questions::QuestionFiles;

    #[test]
    fn what_was_not_measured_breaks_no_answer() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let hidden = Value::from(());
        let number = Value::from(12.0);
        for (text, missing, expected) in [
            (
                "speed landmark=left_wrist statistic=peak video=a.mp4",
                "speed_torso_per_sec",
                "moves at 12 px/s at its fastest",
            ),
            (
                "quality landmark=left_heel video=a.mp4",
                "landmark_visibility",
                "The visibility of the left heel was not measured. In a.mp4",
            ),
            (
                "quality video=a.mp4",
                "mean_visibility",
                "not found in 12.0 %. Unreliable",
            ),
        ] {
            let call = files.call(text).expect("a call");
            let question = files.find(&call.question).expect("a question");
            let columns = question.sql.match_indices(" AS ").filter_map(|(at, _)| {
                let name =
                    question.sql[at + 4..].split(|c: char| !(c.is_alphanumeric() || c == '_'));
                name.into_iter().next()
            });
            let mut row: Vec<(String, Value)> = columns
                .map(|name| (name.to_owned(), number.clone()))
                .collect();
            row.push((missing.into(), hidden.clone()));
            row.push(("person".into(), Value::from(0)));
            let answer = files.words.answer(question, &call, row).expect(text);
            assert!(answer.contains(expected), "{answer}");
        }
    }
}
