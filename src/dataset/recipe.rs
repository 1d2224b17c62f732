//! Recipes: SQL that finds facts, and beside it a template that makes a chat of each row.
//!
//! The SQL's leading comment says what the task is and holds the settings, a line each:
//! `-- recipe weight = 2`, `-- recipe window = 0.5 s, 1 s` (or `frame`, or `clip`),
//! `-- recipe rows = 16`, `-- recipe answer = text` (or `number`, or `list`), `-- recipe ask = no`
//! (or `yes`), `-- recipe language = en`, `-- recipe numbers = 2` (weight in the preset `numbers`),
//! `-- recipe primitive = yes`, and parameters as all queries have them
//! (`-- param NAME TYPE = DEFAULT`).
//! The template's blocks are `system`, `data`, `user_1`, `user_2` ..., `work` and `assistant` (or
//! `assistant_1`, `assistant_2` ...).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DatasetError, Preset};
use crate::query::{declaration, parameters};
use crate::shipped;
use crate::text::read_text;

/// Share of the examples, relative to other recipes, unless the recipe says otherwise.
const DEFAULT_WEIGHT: f64 = 1.0;
/// Rows of a window's table, unless the recipe says otherwise.
const DEFAULT_ROWS: u32 = 16;
/// Language of what a recipe writes, unless it says otherwise.
pub const DEFAULT_LANGUAGE: &str = "en";
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
    /// In the order of evaluations' tables.
    pub const ALL: [Self; 3] = [Self::Number, Self::List, Self::Text];

    /// As recipes, datasets and evaluations write it.
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
    /// Language of what it writes, as an ISO 639 code.
    pub language: String,
    /// Share of the examples of the preset `numbers`; 0 where the recipe has no part in it.
    pub numbers_weight: f64,
    /// Whether it teaches a step that other recipes are made of: its examples are learned first,
    /// and only learned.
    pub is_primitive: bool,
}

/// The files of a folder of recipes: on the disk, or, where there is no such folder, those that are
/// part of the program.
struct RecipeFiles {
    folder: PathBuf,
    /// Names and texts of the SQL files and templates, in the order of the names.
    texts: BTreeMap<String, String>,
}

impl RecipeFiles {
    fn read(folder: &Path) -> Result<Self, DatasetError> {
        let unreadable = |path: &Path, e: &std::io::Error| DatasetError::Unreadable {
            path: path.into(),
            reason: e.to_string(),
        };
        let mut texts = BTreeMap::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(|e| unreadable(folder, &e))?.path();
                    let is_of_recipe = ["sql", "jinja"].map(OsStr::new);
                    if path.extension().is_some_and(|e| is_of_recipe.contains(&e)) {
                        let text = read_text(&path).map_err(|e| unreadable(&path, &e))?;
                        // How an editor ends lines must not get into examples.
                        let text = text.replace("\r\n", "\n");
                        let name = path.file_name().unwrap_or_default();
                        texts.insert(name.to_string_lossy().into_owned(), text);
                    }
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let shipped = shipped::folder(folder).into_iter();
                texts.extend(shipped.map(|file| (file.name().to_owned(), file.text.to_owned())));
            }
            Err(e) => return Err(unreadable(folder, &e)),
        }
        Ok(Self {
            folder: folder.into(),
            texts,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The recipe whose SQL is in the file `TASK.sql`.
    fn recipe(&self, task: &str, sql: &str) -> Result<Recipe, DatasetError> {
        let sql_path = self.path(&format!("{task}.sql"));
        let template_name = format!("{task}.jinja");
        let template_path = self.path(&template_name);
        let Some(template) = self.texts.get(&template_name) else {
            return Err(DatasetError::NoTemplate {
                path: template_path,
            });
        };
        let mut recipe = Recipe {
            task: task.into(),
            about: about(sql),
            sql_path,
            template_path,
            template: template.clone(),
            weight: DEFAULT_WEIGHT,
            window: WindowKind::Frame,
            max_rows: DEFAULT_ROWS,
            answer: None,
            may_serve_questions: true,
            language: DEFAULT_LANGUAGE.into(),
            numbers_weight: 0.0,
            is_primitive: false,
            sql: String::new(),
        };
        for (index, setting) in settings(sql) {
            set(&mut recipe, setting).map_err(|reason| DatasetError::Recipe {
                path: recipe.sql_path.clone(),
                line: index + 1,
                reason,
            })?;
        }
        if let Some((index, reason)) = broken_declaration(sql) {
            return Err(DatasetError::Recipe {
                path: recipe.sql_path,
                line: index + 1,
                reason,
            });
        }
        recipe.sql = sql.into();
        Ok(recipe)
    }
}

/// Names and texts of the SQL files and templates of a folder, in the order of the names: on the
/// disk, or, where there is no such folder, those that are part of the program.
///
/// # Errors
/// When the folder cannot be read.
pub fn pair_files(folder: &Path) -> Result<BTreeMap<String, String>, DatasetError> {
    Ok(RecipeFiles::read(folder)?.texts)
}

/// The recipes of a folder, in the order of their names, and the texts of all its files by name. Where there
/// is no such folder, but one of that name is part of the program, its recipes.
///
/// # Errors
/// When the folder holds no recipe, or one of them is broken: the error names file and line.
pub fn load(folder: &Path) -> Result<(Vec<Recipe>, BTreeMap<String, String>), DatasetError> {
    let files = RecipeFiles::read(folder)?;
    let mut recipes = Vec::new();
    for (name, text) in &files.texts {
        if let Some(task) = name.strip_suffix(".sql") {
            recipes.push(files.recipe(task, text)?);
        }
    }
    let mut templates = files.texts.keys();
    let lonely_template = templates.find(|name| {
        let task = name.strip_suffix(".jinja").filter(|t| !t.starts_with('_'));
        task.is_some_and(|task| !files.texts.contains_key(&format!("{task}.sql")))
    });
    if let Some(name) = lonely_template {
        let path = files.path(name);
        return Err(DatasetError::NoSql { path });
    }
    if recipes.is_empty() {
        return Err(DatasetError::NoRecipes {
            path: folder.into(),
        });
    }
    Ok((recipes, files.texts))
}

/// The recipes that a build takes, each with its weight there. Primitives teach what the recipes of
/// a preset are made of, and are no recipes otherwise.
pub fn selected(recipes: Vec<Recipe>, preset: Option<Preset>) -> Vec<Recipe> {
    let selected = recipes.into_iter().filter_map(|mut recipe| {
        match preset {
            None if recipe.is_primitive => return None,
            None => {}
            Some(Preset::Numbers) if recipe.numbers_weight == 0.0 => return None,
            Some(Preset::Numbers) => recipe.weight = recipe.numbers_weight,
        }
        Some(recipe)
    });
    selected.collect()
}

/// Templates of a folder that recipes import: those whose names begin with an underscore.
///
/// # Errors
/// When the folder cannot be read.
pub fn shared_templates(folder: &Path) -> Result<BTreeMap<String, String>, DatasetError> {
    let mut templates = RecipeFiles::read(folder)?.texts;
    templates.retain(|name, _| name.starts_with('_') && name.ends_with(".jinja"));
    Ok(templates)
}

/// The settings of a recipe's SQL, with the positions of their lines.
fn settings(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = sql.lines().enumerate();
    lines.filter_map(|(index, line)| Some((index, line.trim().strip_prefix(SETTING)?)))
}

/// The first line that begins as the declaration of a parameter and is none, and what is wrong with it.
fn broken_declaration(sql: &str) -> Option<(usize, String)> {
    let mut lines = sql.lines().enumerate();
    lines.find_map(|(index, line)| Some((index, declaration(line)?.err()?)))
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
        "weight" => recipe.weight = weight(key, value)?,
        "numbers" => recipe.numbers_weight = weight(key, value)?,
        "primitive" => recipe.is_primitive = yes_or_no(key, value)?,
        "rows" => {
            recipe.max_rows = (value.parse().ok())
                .filter(|rows| *rows >= 2)
                .ok_or_else(|| format!("rows is a whole number from 2, not '{value}'"))?;
        }
        "window" => recipe.window = window(value)?,
        "answer" => recipe.answer = Some(answer(value)?),
        "ask" => recipe.may_serve_questions = yes_or_no(key, value)?,
        "language" => {
            let is_code = (2..=3).contains(&value.len())
                && value.bytes().all(|byte| byte.is_ascii_lowercase());
            if !is_code {
                return Err(format!(
                    "language is an ISO 639 code like `en`, not '{value}'"
                ));
            }
            recipe.language = value.into();
        }
        _ => {
            return Err(format!(
                "unknown setting '{key}'; known are weight, window, rows, answer, ask, language, numbers, primitive"
            ));
        }
    }
    Ok(())
}

fn weight(key: &str, value: &str) -> Result<f64, String> {
    let number = value.parse().ok();
    let number = number.filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
    number.ok_or_else(|| format!("{key} is a number from 0, not '{value}'"))
}

fn yes_or_no(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{key} is `yes` or `no`, not '{value}'")),
    }
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
    fn a_preset_takes_its_own_recipes_with_its_own_weights() {
        let folder = tempfile::tempdir().expect("a folder");
        let recipes = [
            ("prose", "-- recipe weight = 3"),
            ("reads", "-- recipe weight = 3\n-- recipe numbers = 5"),
            ("copies", "-- recipe numbers = 1\n-- recipe primitive = yes"),
        ];
        for (name, settings) in recipes {
            let write = |ending: &str, text: String| {
                let path = folder.path().join(format!("{name}.{ending}"));
                std::fs::write(path, text).expect("a file");
            };
            write("sql", format!("-- Does it.\n{settings}\nSELECT 1"));
            write(
                "jinja",
                "{% block user %}?{% endblock %}{% block assistant %}!{% endblock %}".into(),
            );
        }
        let taken = |preset| -> Vec<(String, f64)> {
            let (recipes, _) = load(folder.path()).expect("recipes");
            let taken = selected(recipes, preset).into_iter();
            taken.map(|recipe| (recipe.task, recipe.weight)).collect()
        };
        assert_eq!(taken(None), [("prose".into(), 3.0), ("reads".into(), 3.0)]);
        let numbers = taken(Some(Preset::Numbers));
        assert_eq!(numbers, [("copies".into(), 1.0), ("reads".into(), 5.0)]);
    }

    #[test]
    fn byte_order_marks_and_line_ends_change_no_recipe() {
        let sql = "-- Reads a value.\n-- recipe weight = 2\n-- param least number = 3 : of what\nSELECT 1\n";
        let template = TEMPLATE.replace("How?", "How?\nSay.\n");
        let plain = folder(&[("a.sql", sql), ("a.jinja", &template)]);
        let (plain, _) = load(plain.path()).expect("a recipe");
        for (mark, end) in [("\u{feff}", "\n"), ("", "\r\n"), ("\u{feff}", "\r\n")] {
            let as_edited = |text: &str| format!("{mark}{}", text.replace('\n', end));
            let edited = folder(&[
                ("a.sql", &as_edited(sql)),
                ("a.jinja", &as_edited(&template)),
            ]);
            let (edited, _) = load(edited.path()).expect("a recipe");
            let parts = |recipes: &[Recipe]| {
                let recipe = &recipes[0];
                let texts = [&recipe.about, &recipe.sql, &recipe.template].map(String::clone);
                (texts, recipe.weight.to_string())
            };
            assert_eq!(parts(&edited), parts(&plain), "{mark:?} {end:?}");
        }
        let utf16: Vec<u8> = [0xFEFF]
            .into_iter()
            .chain(sql.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let other = folder(&[("a.jinja", TEMPLATE)]);
        fs::write(other.path().join("a.sql"), utf16).expect("a file");
        let error = load(other.path())
            .map(|_| ())
            .expect_err("another encoding")
            .to_string();
        assert!(
            error.contains("UTF-16") && error.contains("a.sql"),
            "{error}"
        );
    }

    #[test]
    fn settings_come_from_the_comment() {
        let sql = "-- Reads a value.\n-- recipe weight = 2.5\n-- recipe window = 0.5 s, 2 s\n-- recipe rows = 8\n-- recipe answer = list\n-- recipe ask = no\n-- recipe language = de\nSELECT 1";
        assert_eq!(answer_kind(sql), Some(AnswerKind::List));
        assert_eq!(answer_kind("-- x\nSELECT 1"), None);
        let folder = folder(&[("a.sql", sql), ("a.jinja", TEMPLATE)]);
        let (recipes, _) = load(folder.path()).expect("a recipe");
        let recipe = &recipes[0];
        assert_eq!(recipe.about, "Reads a value.");
        assert_eq!((recipe.weight, recipe.max_rows), (2.5, 8));
        assert_eq!(recipe.answer, Some(AnswerKind::List));
        assert!(!recipe.may_serve_questions);
        assert_eq!(recipe.language, "de");
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
            (
                "-- x\n-- recipe language = German",
                "language is an ISO 639",
            ),
            ("-- x\n-- recipe colour = red", "unknown setting 'colour'"),
            ("-- x\n-- param a integer = soon", "the default 'soon'"),
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
