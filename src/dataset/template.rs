//! Templates of recipes: from a row of facts to the words of a chat.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{
    Captured, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter,
};

use super::DatasetError;
use super::example::prompt;
use super::recipe::Recipe;
use super::work::{ANSWER_MARK, has_mark, with_work};
use crate::language::chat::{Message, Role};
use crate::random::scramble;

/// A template without anything.
const EMPTY_TEMPLATE: &str = "<empty>";
/// Stands before a template, on its first line, so that line numbers stay as they are.
const EXTENDS_NOTHING: &str = "{% extends \"<empty>\" %}";
/// What a table shows where a value is missing.
const MISSING: &str = "-";
/// Most decimals that a table shows.
const MAX_DECIMALS: usize = 6;
/// Names that are there beside a row's columns.
const KNOWN_NAMES: [&str; 9] = [
    "video",
    "params",
    "table",
    "self",
    "loop",
    "range",
    "dict",
    "namespace",
    "caller",
];

/// The words of a chat: questions about one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedChat {
    pub system: String,
    pub data: String,
    /// At least one.
    pub questions: Vec<RenderedQuestion>,
}

/// A question, and what the assistant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedQuestion {
    pub question: String,
    /// The steps that lead to the answer; may be empty.
    pub work: String,
    pub answer: String,
}

impl RenderedQuestion {
    /// All that the assistant says.
    pub fn text(&self) -> String {
        with_work(&self.work, &self.answer)
    }
}

impl RenderedChat {
    /// The words of the first questions.
    pub fn messages(&self, questions: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        for (turn, question) in self.questions.iter().take(questions).enumerate() {
            match turn {
                0 => messages = prompt(&self.system, &question.question, &self.data),
                _ => messages.push(Message::new(Role::User, &question.question)),
            }
            messages.push(Message::new(Role::Assistant, question.text()));
        }
        messages
    }
}

/// The blocks of a recipe's template.
#[derive(Debug)]
struct Blocks {
    template: String,
    has_system: bool,
    has_data: bool,
    has_work: bool,
    /// Names of the blocks that ask, and of those that answer; none of them is empty.
    questions: Vec<String>,
    answers: Vec<String>,
}

/// The compiled templates of a folder of recipes.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    blocks: BTreeMap<String, Blocks>,
}

impl Templates {
    /// Compiles the templates of `recipes`; they may import any of `files`, which are texts by their
    /// files' names.
    ///
    /// # Errors
    /// When a template is wrong or lacks a block.
    pub fn new(files: BTreeMap<String, String>, recipes: &[Recipe]) -> Result<Self, DatasetError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Errors name the variable and whoever imported the template.
        environment.set_debug(true);
        // Lines that hold nothing but a block's tag leave nothing behind.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the usual delimiters");
        environment.set_syntax(syntax);
        environment.set_loader(move |name| Ok(files.get(name).cloned()));
        environment
            .add_template(EMPTY_TEMPLATE, "")
            .expect("an empty template");
        environment.add_function("table", table);
        environment.add_filter("fixed", fixed);
        environment.set_formatter(print_known);
        let mut blocks = BTreeMap::new();
        for recipe in recipes {
            let name = file_name(&recipe.template_path);
            // Blocks of a template that extends another are not rendered until they are asked for.
            let source = match recipe.template.contains("{% extends") {
                true => recipe.template.clone(),
                false => format!("{EXTENDS_NOTHING}{}", recipe.template),
            };
            environment
                .add_template_owned(name, source)
                .map_err(|e| template_error(recipe, &e))?;
            blocks.insert(recipe.task.clone(), Blocks::find(recipe)?);
        }
        Ok(Self {
            environment,
            blocks,
        })
    }

    /// Checks that the template uses only `columns` that the recipe's SQL returns.
    ///
    /// # Errors
    /// When it uses another one: the error names the template's line and the column.
    pub fn check_columns(&self, recipe: &Recipe, columns: &[String]) -> Result<(), DatasetError> {
        let template = self.template(recipe)?;
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let is_known =
            |name: &String| columns.contains(name) || KNOWN_NAMES.contains(&name.as_str());
        match used.into_iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(DatasetError::Recipe {
                path: recipe.template_path.clone(),
                line: line_of_word(&recipe.template, &name),
                reason: format!(
                    "the SQL returns no column '{name}'; it returns {}",
                    columns.join(", ")
                ),
            }),
        }
    }

    /// Makes the words of one row: of its own question, with the first of `contexts`, and of those
    /// that follow. `sample_key` chooses among paraphrases.
    ///
    /// # Errors
    /// When the template fails on this row.
    pub fn render(
        &self,
        recipe: &Recipe,
        contexts: &[Value],
        sample_key: u64,
    ) -> Result<RenderedChat, DatasetError> {
        let blocks = &self.blocks[&recipe.task];
        let mut chat = RenderedChat {
            system: String::new(),
            data: String::new(),
            questions: Vec::with_capacity(contexts.len()),
        };
        for (turn, context) in (0_u64..).zip(contexts) {
            let mut row = self.filled(recipe, context)?;
            if turn == 0 {
                (chat.system, chat.data) = row.system_and_data(blocks)?;
            }
            // Paraphrases of further questions are drawn anew.
            let sample_key = match turn {
                0 => sample_key,
                _ => scramble(sample_key.wrapping_add(turn)),
            };
            chat.questions.push(row.question(blocks, sample_key)?);
        }
        Ok(chat)
    }

    /// The words of one row with each paraphrase of its own question, in their order.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_paraphrases(
        &self,
        recipe: &Recipe,
        context: &Value,
    ) -> Result<RenderedChat, DatasetError> {
        let blocks = &self.blocks[&recipe.task];
        let mut row = self.filled(recipe, context)?;
        let (system, data) = row.system_and_data(blocks)?;
        // Below that number the keys choose each of them once.
        let sample_keys = 0..blocks.questions.len() as u64;
        let questions = sample_keys.map(|sample_key| row.question(blocks, sample_key));
        Ok(RenderedChat {
            system,
            data,
            questions: questions.collect::<Result<_, _>>()?,
        })
    }

    fn filled<'a>(
        &'a self,
        recipe: &'a Recipe,
        context: &Value,
    ) -> Result<RenderedRow<'a>, DatasetError> {
        let captured = self.template(recipe)?.render_captured(context.clone());
        Ok(RenderedRow {
            recipe,
            captured: captured.map_err(|e| template_error(recipe, &e))?,
        })
    }

    fn template(&self, recipe: &Recipe) -> Result<minijinja::Template<'_, '_>, DatasetError> {
        let name = &self.blocks[&recipe.task].template;
        let template = self.environment.get_template(name);
        template.map_err(|e| template_error(recipe, &e))
    }
}

/// A template in the course of being filled from a row.
struct RenderedRow<'a> {
    recipe: &'a Recipe,
    captured: Captured<'a>,
}

impl RenderedRow<'_> {
    fn block(&mut self, name: &str) -> Result<String, DatasetError> {
        let text = (self.captured).with_state_mut(|state| state.render_block(name));
        let text = text.map_err(|e| template_error(self.recipe, &e))?;
        Ok(text.trim().to_owned())
    }

    fn system_and_data(&mut self, blocks: &Blocks) -> Result<(String, String), DatasetError> {
        let mut block = |name: &str, is_there: bool| match is_there {
            true => self.block(name),
            false => Ok(String::new()),
        };
        Ok((
            block("system", blocks.has_system)?,
            block("data", blocks.has_data)?,
        ))
    }

    fn question(
        &mut self,
        blocks: &Blocks,
        sample_key: u64,
    ) -> Result<RenderedQuestion, DatasetError> {
        let chosen = |names: &[String], sample_key: u64| {
            let index = sample_key % names.len() as u64;
            names[index as usize].clone()
        };
        let question = self.block(&chosen(&blocks.questions, sample_key))?;
        let answer = sample_key / blocks.questions.len() as u64;
        let answer = self.block(&chosen(&blocks.answers, answer))?;
        let work = match blocks.has_work {
            true => self.block("work")?,
            false => String::new(),
        };
        let wrong = |reason: String| DatasetError::Recipe {
            path: self.recipe.template_path.clone(),
            line: 1,
            reason,
        };
        if question.is_empty() || answer.is_empty() {
            return Err(wrong(
                "the question or the answer is empty for a row".into(),
            ));
        }
        if has_mark(&work) || has_mark(&answer) {
            return Err(wrong(format!(
                "the work or the answer has a line that begins with `{ANSWER_MARK}` for a row; that line is what ends the work"
            )));
        }
        Ok(RenderedQuestion {
            question,
            work,
            answer,
        })
    }
}

impl Blocks {
    fn find(recipe: &Recipe) -> Result<Self, DatasetError> {
        let names = block_names(&recipe.template);
        let numbered = |kind: &str| -> Vec<String> {
            let is_of_kind = |name: &&str| {
                name.strip_prefix(kind).is_some_and(|rest| {
                    rest.is_empty()
                        || rest
                            .strip_prefix('_')
                            .is_some_and(|number| number.parse::<u32>().is_ok())
                })
            };
            names
                .iter()
                .copied()
                .filter(is_of_kind)
                .map(str::to_owned)
                .collect()
        };
        let blocks = Self {
            template: file_name(&recipe.template_path),
            has_system: names.contains(&"system"),
            has_data: names.contains(&"data"),
            has_work: names.contains(&"work"),
            questions: numbered("user"),
            answers: numbered("assistant"),
        };
        let missing = match (&blocks.questions[..], &blocks.answers[..]) {
            ([], _) => "user_1",
            (_, []) => "assistant",
            _ => return Ok(blocks),
        };
        Err(DatasetError::Recipe {
            path: recipe.template_path.clone(),
            line: 1,
            reason: format!("the template has no block {missing}"),
        })
    }
}

/// Names of the blocks of a template, in their order.
fn block_names(template: &str) -> Vec<&str> {
    let tags = template.split("{%").skip(1);
    let tags = tags.map(|tag| tag.split("%}").next().unwrap_or_default());
    let names = tags.filter_map(|tag| {
        let mut words = tag.trim_matches(['-', '+']).split_whitespace();
        (words.next() == Some("block"))
            .then(|| words.next())
            .flatten()
    });
    names.collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The line, from 1, in which a word stands first.
fn line_of_word(text: &str, word: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has_word = |line: &str| line.split(|c| !is_part(c)).any(|part| part == word);
    text.lines().position(has_word).map_or(1, |index| index + 1)
}

fn template_error(recipe: &Recipe, error: &Error) -> DatasetError {
    // The template may have imported the one that is wrong.
    let path = match error.name() {
        Some(name) => recipe.template_path.with_file_name(name),
        None => recipe.template_path.clone(),
    };
    let mut reason = error.kind().to_string();
    if let Some(detail) = error.detail() {
        reason = format!("{reason}: {detail}");
    }
    DatasetError::Recipe {
        path,
        line: error.line().unwrap_or(1),
        reason,
    }
}

/// Prints a value, and no word in place of one that is not known: nobody would see the `None` in one
/// of thousands of answers.
///
/// # Errors
/// When it is NULL, or no finite number.
pub fn print_known(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() || number(value).is_some_and(|number| !number.is_finite()) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "{value} would be printed, as the value is not known; leave such rows out in the SQL, or ask with {{% if … is not none %}}"
            ),
        ));
    }
    escape_formatter(out, state, value)
}

/// `x|fixed(1)`: a number with that many decimals.
///
/// # Errors
/// When it is no number.
pub fn fixed(value: &Value, decimals: usize) -> Result<String, Error> {
    let number = number(value).ok_or_else(|| {
        let message = format!("fixed needs a number, not {value:?}");
        Error::new(ErrorKind::InvalidOperation, message)
    })?;
    Ok(without_minus_zero(format!("{number:.decimals$}")))
}

fn number(value: &Value) -> Option<f64> {
    (value.kind() == ValueKind::Number).then(|| f64::try_from(value.clone()).ok())?
}

/// Rounding makes -0.0 of small negative numbers, which reads like a mistake.
fn without_minus_zero(text: String) -> String {
    let is_zero = text
        .trim_start_matches('-')
        .chars()
        .all(|c| c == '0' || c == '.');
    match is_zero {
        true => text.trim_start_matches('-').to_owned(),
        false => text,
    }
}

/// `table(rows)`: a list of objects as lines of comma-separated cells below their names. All
/// numbers of a column have as many decimals as the one that needs most.
fn table(rows: &Value) -> Result<String, Error> {
    let wrong = |message: &str| Error::new(ErrorKind::InvalidOperation, message.to_owned());
    let rows: Vec<Value> = rows.try_iter()?.collect();
    let Some(first) = rows.first() else {
        return Err(wrong("table needs at least one row"));
    };
    if first.kind() != ValueKind::Map {
        return Err(wrong("table needs a list of structs"));
    }
    let names: Vec<Value> = first.try_iter()?.collect();
    let mut columns = Vec::new();
    for name in &names {
        let cells = rows.iter().map(|row| row.get_item(name));
        columns.push(column(&cells.collect::<Result<Vec<_>, _>>()?));
    }
    let mut lines = vec![
        names
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(","),
    ];
    for row in 0..rows.len() {
        let cells: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        lines.push(cells.join(","));
    }
    Ok(lines.join("\n"))
}

fn column(cells: &[Value]) -> Vec<String> {
    let decimals = cells.iter().map(|cell| match number(cell) {
        Some(number) if !cell.is_integer() => decimals(number),
        _ => 0,
    });
    let are_integers = cells
        .iter()
        .all(|cell| cell.is_integer() || number(cell).is_none());
    let decimals = decimals.max().unwrap_or(0);
    let text = |cell: &Value| match number(cell) {
        _ if cell.is_none() || cell.is_undefined() => MISSING.to_owned(),
        Some(_) if are_integers => cell.to_string(),
        Some(number) => without_minus_zero(format!("{number:.decimals$}")),
        None => cell.to_string(),
    };
    cells.iter().map(text).collect()
}

/// Digits after the point of the shortest text that gives the number again; at least one.
fn decimals(number: f64) -> usize {
    let text = number.to_string();
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    digits.clamp(1, MAX_DECIMALS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    #[test]
    fn what_is_not_known_is_an_error_and_no_word() {
        let mut environment = Environment::new();
        environment.set_formatter(print_known);
        let print = |x: Value| environment.render_str("{{ x }} deg", context!(x));
        assert_eq!(print(Value::from(1.5)).expect("a number"), "1.5 deg");
        assert_eq!(print(Value::from("bent")).expect("a text"), "bent deg");
        let numbers = [f64::NAN, f64::INFINITY].map(Value::from);
        for unknown in numbers.into_iter().chain([Value::from(())]) {
            let error = print(unknown).expect_err("it is not known");
            assert!(error.to_string().contains("leave such rows out"), "{error}");
        }
    }

    #[test]
    fn tables_show_names_numbers_and_gaps() {
        let row = |t: f64, knee: Option<f64>, frame: i64| context!(t, knee, frame);
        let rows = Value::from(vec![
            row(0.5, Some(142.0), 3),
            row(0.25, None, 4),
            row(1.0, Some(-0.01), 5),
        ]);
        assert_eq!(
            table(&rows).expect("a table"),
            "t,knee,frame\n0.50,142.00,3\n0.25,-,4\n1.00,-0.01,5"
        );
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(fixed(&Value::from(-0.04), 1).expect("a number"), "0.0");
        assert_eq!(fixed(&Value::from(-0.06), 1).expect("a number"), "-0.1");
    }

    #[test]
    fn blocks_are_found_by_name() {
        let template = "{% block system %}s{% endblock %}{%- block user_1 -%}u{% endblock %}{% block assistant%}a{% endblock %}";
        assert_eq!(block_names(template), ["system", "user_1", "assistant"]);
    }

    const TEMPLATE: &str = "{% block data %}knee\n{{ knee }}{% endblock %}
{% block user_1 %}How large?{% endblock %}
{% block user_2 %}How small?{% endblock %}
{% block work %}{% if steps %}{{ steps }}{% endif %}{% endblock %}
{% block assistant %}{{ knee }} deg.{% endblock %}";

    fn rendered(template: &str, contexts: &[Value]) -> Result<RenderedChat, DatasetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("knee.sql", "-- Reads.\nSELECT 1");
        write("knee.jinja", template);
        let (recipes, texts) = super::super::recipe::load(folder.path())?;
        Templates::new(texts, &recipes)?.render(&recipes[0], contexts, 0)
    }

    #[test]
    fn work_stands_before_the_answer_and_may_be_missing() {
        let steps = rendered(TEMPLATE, &[context!(knee => 98, steps => "90+8=98\n")]);
        let steps = steps.expect("a chat");
        assert_eq!(steps.questions[0].text(), "90+8=98\nAnswer: 98 deg.");
        let none = rendered(TEMPLATE, &[context!(knee => 98, steps => "")]).expect("a chat");
        assert_eq!(none.questions[0].text(), "98 deg.");
        let without = TEMPLATE.replace("block work", "block user_3");
        let without = rendered(&without, &[context!(knee => 98, steps => "1")]).expect("a chat");
        assert_eq!(without.questions[0].work, "");
    }

    #[test]
    fn further_questions_are_turns_about_the_first_ones_table() {
        let contexts = [1, 2, 3].map(|knee| context!(knee, steps => ""));
        let chat = rendered(TEMPLATE, &contexts).expect("a chat");
        let answers: Vec<&str> = chat.questions.iter().map(|q| q.answer.as_str()).collect();
        assert_eq!(answers, ["1 deg.", "2 deg.", "3 deg."]);
        assert_eq!(chat.data, "knee\n1");
        let words = |questions| -> Vec<String> {
            let messages = chat.messages(questions).into_iter();
            messages
                .map(|m| format!("{} {}", m.role.name(), m.content))
                .collect()
        };
        let all = words(3);
        assert_eq!(all.len(), 6);
        assert!(all[0].ends_with("?\n\nknee\n1"), "{}", all[0]);
        assert!(
            all[2].starts_with("user How ") && all[2].ends_with('?'),
            "{}",
            all[2]
        );
        assert_eq!(words(1), all[..2]);
    }

    #[test]
    fn a_boundary_within_the_work_or_the_answer_is_refused() {
        for (knee, steps) in [
            ("98", "1\nAnswer: 2"),
            ("98", "Answer: 2"),
            ("9\nAnswer: 8", "1"),
        ] {
            let error = rendered(TEMPLATE, &[context!(knee, steps)]).expect_err("two boundaries");
            assert!(error.to_string().contains("Answer:"), "{error}");
        }
        rendered(
            TEMPLATE,
            &[context!(knee => "98", steps => "no Answer: here")],
        )
        .expect("a chat");
    }

    #[test]
    fn lines_of_words_are_whole_words() {
        assert_eq!(line_of_word("left_knee\n{{ knee }}", "knee"), 2);
    }
}
