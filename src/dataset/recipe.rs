//! Recipes: SQL that finds facts, and beside it a template that makes a chat of each row.
//!
//! The SQL's leading comment says what the task is and holds the settings, a line each:
//! `-- recipe weight = 2`, `-- recipe window = 0.5 s, 1 s` (or `frame`, or `clip`),
//! `-- recipe rows = 16`, `-- recipe answer = text` (or `number`, or `list`), `-- recipe ask = no`
//! (or `yes`), and parameters as all queries have them (`-- param NAME TYPE = DEFAULT`).
//! The template's blocks are `system`, `data`, `user_1`, `user_2` ... and `assistant` (or
//! `assistant_1`, `assistant_2` ...).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::DatasetError;
use super::template::Templates;
use crate::query::parameters;

/// Share of the examples, relative to other recipes, unless the recipe says otherwise.
const DEFAULT_WEIGHT: f64 = 1.0;
/// Rows of a window's table, unless the recipe says otherwise.
const DEFAULT_ROWS: u32 = 16;
const SETTING: &str = "-- recipe ";

/// What the rows of the table `windows` are.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowKind {
    /// Single frames.
    Frame,
    /// Stretches of these lengths in seconds.
    Secs(Vec<f64>),
    /// All that a person is seen.
    Clip,
}

/// What an answer is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerKind {
    /// The numbers that it gives.
    Number,
    /// Which rows of the table it names.
    List,
    /// Its words.
    Text,
}

impl AnswerKind {
    pub const ALL: [Self; 3] = [Self::Number, Self::List, Self::Text];

    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::List => "list",
            Self::Text => "text",
        }
    }
}

/// A recipe, read and checked as far as that is possible without a lake.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Name of both files without their endings.
    pub task: String,
    /// First line of the SQL's comment.
    pub about: String,
    pub sql: String,
    pub sql_path: PathBuf,
    pub template_path: PathBuf,
    pub template: String,
    pub weight: f64,
    pub window: WindowKind,
    /// Most rows of a window that a prompt shows.
    pub max_rows: u32,
    /// What its answers are judged by; `None` leaves it to the answer.
    pub answer: Option<AnswerKind>,
    /// Whether a question that somebody asks may get its table: not if that lacks, on purpose, what
    /// the recipe's questions are about.
    pub may_serve_questions: bool,
}

/// The recipes of a folder, in the order of their names, with the templates they share.
///
/// # Errors
/// When the folder holds no recipe, or one of them is broken: the error names file and line.
pub fn load(folder: &Path) -> Result<(Vec<Recipe>, Templates), DatasetError> {
    let mut recipes = Vec::new();
    let mut lonely_templates = Vec::new();
    for path in files_of(folder)? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        match path.extension().and_then(|e| e.to_str()) {
            Some("sql") => recipes.push(read(&path, &stem)?),
            Some("jinja") if !stem.starts_with('_') && !path.with_extension("sql").exists() => {
                lonely_templates.push(path.clone());
            }
            _ => {}
        }
    }
    if let Some(path) = lonely_templates.into_iter().next() {
        return Err(DatasetError::NoSql { path });
    }
    if recipes.is_empty() {
        return Err(DatasetError::NoRecipes {
            path: folder.into(),
        });
    }
    let templates = Templates::new(folder, &recipes)?;
    Ok((recipes, templates))
}

/// Templates of a folder that recipes import: those whose names begin with an underscore.
///
/// # Errors
/// When the folder cannot be read.
pub fn shared_templates(folder: &Path) -> Result<BTreeMap<String, String>, DatasetError> {
    let mut templates = BTreeMap::new();
    for path in files_of(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('_') && name.ends_with(".jinja") {
            templates.insert(name.clone().into_owned(), read_text(&path)?);
        }
    }
    Ok(templates)
}

fn read_text(path: &Path) -> Result<String, DatasetError> {
    fs::read_to_string(path).map_err(|e| DatasetError::Unreadable {
        path: path.into(),
        reason: e.to_string(),
    })
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => DatasetError::NoRecipes {
            path: folder.into(),
        },
        _ => DatasetError::Unreadable {
            path: folder.into(),
            reason: e.to_string(),
        },
    };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn read(sql_path: &Path, task: &str) -> Result<Recipe, DatasetError> {
    let template_path = sql_path.with_extension("jinja");
    if !template_path.exists() {
        return Err(DatasetError::NoTemplate {
            path: template_path,
        });
    }
    let sql = read_text(sql_path)?;
    let template = read_text(&template_path)?;
    let mut recipe = Recipe {
        task: task.into(),
        about: about(&sql),
        sql_path: sql_path.into(),
        template_path,
        template,
        weight: DEFAULT_WEIGHT,
        window: WindowKind::Frame,
        max_rows: DEFAULT_ROWS,
        answer: None,
        may_serve_questions: true,
        sql: String::new(),
    };
    for (index, setting) in settings(&sql) {
        set(&mut recipe, setting).map_err(|reason| DatasetError::Recipe {
            path: sql_path.into(),
            line: index + 1,
            reason,
        })?;
    }
    recipe.sql = sql;
    Ok(recipe)
}

/// The settings of a recipe's SQL, with the positions of their lines.
fn settings(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = sql.lines().enumerate();
    lines.filter_map(|(index, line)| Some((index, line.trim().strip_prefix(SETTING)?)))
}

/// What the answers of a recipe are judged by, as its SQL says.
pub fn answer_kind(sql: &str) -> Option<AnswerKind> {
    settings(sql).find_map(|(_, setting)| match setting.split_once('=')? {
        (key, value) if key.trim() == "answer" => answer(value.trim()).ok(),
        _ => None,
    })
}

/// The first sentence of the leading comment.
fn about(sql: &str) -> String {
    let first = sql.lines().find_map(|line| line.strip_prefix("--"));
    first.unwrap_or_default().trim().into()
}

fn set(recipe: &mut Recipe, setting: &str) -> Result<(), String> {
    let (key, value) = setting
        .split_once('=')
        .ok_or("a setting is written `-- recipe KEY = VALUE`")?;
    let (key, value) = (key.trim(), value.trim());
    match key {
        "weight" => {
            recipe.weight = (value.parse().ok())
                .filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
                .ok_or_else(|| format!("weight is a number from 0, not '{value}'"))?;
        }
        "rows" => {
            recipe.max_rows = (value.parse().ok())
                .filter(|rows| *rows >= 2)
                .ok_or_else(|| format!("rows is a whole number from 2, not '{value}'"))?;
        }
        "window" => recipe.window = window(value)?,
        "answer" => recipe.answer = Some(answer(value)?),
        "ask" => {
            recipe.may_serve_questions = match value {
                "yes" => true,
                "no" => false,
                _ => return Err(format!("ask is `yes` or `no`, not '{value}'")),
            };
        }
        _ => {
            return Err(format!(
                "unknown setting '{key}'; known are weight, window, rows, answer, ask"
            ));
        }
    }
    Ok(())
}

fn answer(value: &str) -> Result<AnswerKind, String> {
    let mut kinds = AnswerKind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.name() == value);
    kind.ok_or_else(|| format!("answer is `number`, `list` or `text`, not '{value}'"))
}

fn window(value: &str) -> Result<WindowKind, String> {
    match value {
        "frame" => return Ok(WindowKind::Frame),
        "clip" => return Ok(WindowKind::Clip),
        _ => {}
    }
    let secs = value.split(',').map(|part| {
        let number = part.trim().strip_suffix('s')?.trim().parse::<f64>().ok()?;
        (number.is_finite() && number > 0.0).then_some(number)
    });
    let secs = secs.collect::<Option<Vec<_>>>();
    secs.map(WindowKind::Secs).ok_or_else(|| {
        format!("window is `frame`, `clip` or lengths like `0.5 s, 1 s`, not '{value}'")
    })
}

impl Recipe {
    /// Values of the recipe's parameters, by name, as the template sees them.
    pub fn params(&self) -> minijinja::Value {
        let values = parameters(&self.sql).into_iter().filter_map(|parameter| {
            let text = parameter.default?;
            let number = text.parse::<i64>().map(minijinja::Value::from);
            let number = number.or_else(|_| text.parse::<f64>().map(minijinja::Value::from));
            Some((parameter.name, number.unwrap_or_else(|_| text.into())))
        });
        minijinja::Value::from_pairs(values)
    }

    /// An error of the recipe's SQL, with the line that the database names.
    pub(super) fn sql_error(&self, message: &str) -> DatasetError {
        let line = message.split("LINE ").nth(1);
        let line = line.and_then(|rest| rest.split(':').next()?.trim().parse().ok());
        DatasetError::Recipe {
            path: self.sql_path.clone(),
            line: line.unwrap_or(1),
            reason: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    const TEMPLATE: &str =
        "{% block user_1 %}How?{% endblock %}{% block assistant %}So.{% endblock %}";

    #[test]
    fn settings_come_from_the_comment() {
        let sql = "-- Reads a value.\n-- recipe weight = 2.5\n-- recipe window = 0.5 s, 2 s\n-- recipe rows = 8\n-- recipe answer = list\n-- recipe ask = no\nSELECT 1";
        assert_eq!(answer_kind(sql), Some(AnswerKind::List));
        assert_eq!(answer_kind("-- x\nSELECT 1"), None);
        let folder = folder(&[("a.sql", sql), ("a.jinja", TEMPLATE)]);
        let (recipes, _) = load(folder.path()).expect("a recipe");
        let recipe = &recipes[0];
        assert_eq!(recipe.about, "Reads a value.");
        assert_eq!((recipe.weight, recipe.max_rows), (2.5, 8));
        assert_eq!(recipe.answer, Some(AnswerKind::List));
        assert!(!recipe.may_serve_questions);
        assert_eq!(recipe.window, WindowKind::Secs(vec![0.5, 2.0]));
    }

    #[test]
    fn broken_settings_are_named_with_their_line() {
        let cases = [
            ("-- x\n-- recipe weight = heavy", "weight is a number"),
            ("-- x\n-- recipe window = soon", "window is `frame`"),
            ("-- x\n-- recipe rows = 1", "rows is a whole number"),
            ("-- x\n-- recipe answer = 42", "answer is `number`"),
            ("-- x\n-- recipe ask = me", "ask is `yes` or `no`"),
            ("-- x\n-- recipe colour = red", "unknown setting 'colour'"),
        ];
        for (sql, expected) in cases {
            let folder = folder(&[("a.sql", sql), ("a.jinja", TEMPLATE)]);
            let error = load(folder.path())
                .expect_err("a broken recipe")
                .to_string();
            assert!(error.contains(expected), "{error}");
            assert!(
                error.contains("a.sql") && error.contains("line 2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_recipe_is_a_pair_of_files() {
        let lacks_template = folder(&[("a.sql", "SELECT 1")]);
        let error = load(lacks_template.path()).expect_err("no template");
        assert!(matches!(error, DatasetError::NoTemplate { .. }), "{error}");
        let lacks_sql = folder(&[("a.jinja", TEMPLATE)]);
        let error = load(lacks_sql.path()).expect_err("no SQL");
        assert!(matches!(error, DatasetError::NoSql { .. }), "{error}");
        for nowhere in [folder(&[]).path(), Path::new("no/such/folder")] {
            let error = load(nowhere).expect_err("nothing");
            assert!(matches!(error, DatasetError::NoRecipes { .. }), "{error}");
        }
    }
}
