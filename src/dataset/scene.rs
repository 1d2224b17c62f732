//! A table of the lake for a question that no recipe asked: the recipe whose questions come nearest
//! lays the table out, as it does for examples.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::DatasetError;
use super::build::{Census, fact_rows, rows_of};
use super::plan::{Window, scramble};
use super::recipe::{self, Recipe, WindowKind};
use super::template::Words;
use crate::lake::Lake;
use crate::query::{ExternalAccess, Session};

/// Ways in which each recipe is tried: which joint or side it asks about is up to a number, and the
/// rarest choice comes up in one of fifty.
const TRIES: u64 = 256;

/// Some time of a video, in which one person is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    pub video_id: String,
    pub person: u16,
    /// `None`: from when the person is first seen.
    pub from_secs: Option<f64>,
    /// `None`: until the person is last seen.
    pub to_secs: Option<f64>,
}

/// What a model is shown of a scene.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SceneTable {
    /// The recipe that laid it out.
    pub recipe: String,
    /// The recipe's own question that is nearest.
    pub nearest_question: String,
    pub system: String,
    pub data: String,
    pub frame_start: u64,
    /// Last frame, included.
    pub frame_end: u64,
}

/// Lays out what `question` needs of a scene, as the recipe `task` does, or the one whose questions
/// are nearest.
///
/// # Errors
/// When the person is not seen then, there is no such recipe, or none finds anything to show.
pub fn scene_table(
    lake: &Lake,
    recipes: &Path,
    scene: &Scene,
    question: &str,
    task: Option<&str>,
) -> Result<SceneTable, DatasetError> {
    let (mut recipes, templates) = recipe::load(recipes)?;
    if let Some(task) = task {
        let names = recipes.iter().map(|recipe| recipe.task.as_str());
        let known = names.collect::<Vec<_>>().join(", ");
        recipes.retain(|recipe| recipe.task == task);
        if recipes.is_empty() {
            return Err(DatasetError::NoSuchRecipe {
                name: task.into(),
                known,
            });
        }
    }
    let session = Session::open(lake.try_clone()?, None, ExternalAccess::Denied)?;
    let census = Census::of(&session)?;
    let mut tracks = census.tracks.iter();
    let track = tracks
        .position(|track| track.video_id == scene.video_id && track.person == scene.person)
        .ok_or(DatasetError::NotSeen {
            person: scene.person,
        })?;
    let (frame_start, frame_end) = scene.frames(&session)?;
    let mut candidates = Vec::new();
    for recipe in &recipes {
        let windows = windows(recipe, track as u32, frame_start, frame_end);
        let rows = fact_rows(&session, recipe, &census, &windows, |columns| {
            templates.check_columns(recipe, columns)
        })?;
        let params = recipe.params();
        for row in rows {
            let Some(video) = census.for_templates(&row.video_id) else {
                continue;
            };
            for ticket in 0..templates.questions(recipe) {
                let context = row.context(&params, &video);
                let words = templates.render(recipe, context, ticket)?;
                candidates.push((recipe, row.frame_start, row.frame_end, words));
            }
        }
    }
    // Of equally near questions the one with the smallest table is taken.
    candidates.sort_by_key(|(.., words)| words.data.len());
    let choices = candidates.iter().map(|(.., words)| Candidate {
        question: &words.question,
        data: &words.data,
    });
    let Some(nearest) = nearest(question, &choices.collect::<Vec<_>>()) else {
        return Err(DatasetError::NothingToShow {
            frame_start,
            frame_end,
        });
    };
    let (recipe, frame_start, frame_end, words) = candidates.swap_remove(nearest);
    let Words {
        system,
        question: nearest_question,
        data,
        ..
    } = words;
    Ok(SceneTable {
        recipe: recipe.task.clone(),
        nearest_question,
        system,
        data,
        frame_start,
        frame_end,
    })
}

impl Scene {
    /// The first and the last frame of the scene: those nearest to its times.
    fn frames(&self, session: &Session) -> Result<(u64, u64), DatasetError> {
        let secs = |secs: Option<f64>, otherwise: &str| match secs {
            Some(secs) => secs.to_string(),
            None => otherwise.to_owned(),
        };
        // Ids are of hexadecimal digits; nothing else comes here from the lake.
        let sql = format!(
            "WITH seen AS (
                 SELECT frame, time_secs FROM metrics
                 WHERE video_id = '{}' AND person = {} AND quality <> 'no_pose'
             )
             SELECT count(*), min(time_secs)::DOUBLE, max(time_secs)::DOUBLE,
                 arg_min(frame, abs(time_secs - {})), arg_min(frame, abs(time_secs - {}))
             FROM seen",
            self.video_id.replace('\'', ""),
            self.person,
            secs(self.from_secs, "(SELECT min(time_secs) FROM seen)"),
            secs(self.to_secs, "(SELECT max(time_secs) FROM seen)"),
        );
        let rows = rows_of(session, &sql)?;
        let numbers: Vec<Option<f64>> = rows.iter().flatten().cloned().map(number).collect();
        let [
            Some(_),
            Some(first_secs),
            Some(last_secs),
            Some(start),
            Some(end),
        ] = numbers[..]
        else {
            return Err(DatasetError::NotSeen {
                person: self.person,
            });
        };
        let (from, to) = (
            self.from_secs.unwrap_or(first_secs),
            self.to_secs.unwrap_or(last_secs),
        );
        // The last frame of a clip of 2.5 s begins before 2.5 s.
        match from > last_secs || to < first_secs || to < from {
            true => Err(DatasetError::OutsideTheVideo {
                person: self.person,
                first_secs,
                last_secs,
                from_secs: from,
                to_secs: to,
            }),
            false => Ok((start as u64, end as u64)),
        }
    }
}

fn number(value: minijinja::Value) -> Option<f64> {
    f64::try_from(value).ok()
}

/// The scene, as often as a recipe is tried.
fn windows(recipe: &Recipe, track: u32, frame_start: u64, frame_end: u64) -> Vec<Window> {
    let frame_end = match recipe.window {
        WindowKind::Frame => frame_start,
        WindowKind::Secs(_) | WindowKind::Clip => frame_end,
    };
    let length = frame_end - frame_start;
    let window = |ticket: u64| Window {
        track,
        frame_start,
        frame_end,
        step: length.div_ceil(u64::from(recipe.max_rows) - 1).max(1),
        ticket: scramble(ticket),
    };
    (0..TRIES).map(window).collect()
}

/// A question of a recipe, with the table that it is about.
struct Candidate<'a> {
    question: &'a str,
    data: &'a str,
}

/// The candidate that is nearest to `question`: its table or its question has most of the joints,
/// sides and other names that `question` takes from tables, and the questions share most words.
/// That is words in both over words in either, each counted by how few of the candidates have it
/// (inverse document frequency). The first of equals.
fn nearest(question: &str, candidates: &[Candidate<'_>]) -> Option<usize> {
    let texts: Vec<BTreeSet<String>> = candidates.iter().map(|c| words(c.question)).collect();
    let tables: Vec<BTreeSet<String>> = candidates.iter().map(|c| words(c.data)).collect();
    let mut frequencies: HashMap<&str, f64> = HashMap::new();
    for word in texts.iter().flatten() {
        *frequencies.entry(word).or_default() += 1.0;
    }
    let weight = |word: &String| {
        let frequency = frequencies.get(word.as_str()).unwrap_or(&1.0);
        (1.0 + candidates.len() as f64 / frequency).ln()
    };
    let asked = words(question);
    let named = |word: &&String| tables.iter().any(|table| table.contains(*word));
    let names: Vec<&String> = asked.iter().filter(named).collect();
    let score = |(text, table): (&BTreeSet<String>, &BTreeSet<String>)| {
        let is_there = |name: &&&String| text.contains(**name) || table.contains(**name);
        let both: f64 = asked.intersection(text).map(weight).sum();
        let either: f64 = asked.union(text).map(weight).sum();
        (
            names.iter().filter(is_there).count(),
            both / either.max(f64::MIN_POSITIVE),
        )
    };
    let scores = texts.iter().zip(&tables).map(score).enumerate();
    let best = scores.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(index, _)| index)
}

/// Words without numbers, in lower case, singular where that is a matter of an s. Names of columns
/// are several words.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphabetic());
    let words = words.filter(|word| word.len() > 1).map(|word| {
        let word = word.to_lowercase();
        word.strip_suffix('s').map_or(word.clone(), str::to_owned)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_then_rare_words_decide_which_question_is_nearest() {
        let candidate = |question, data| Candidate { question, data };
        let candidates = [
            candidate(
                "What is the left knee angle at 0.52 s?",
                "time_secs,left_knee_deg\n0.52,98",
            ),
            candidate(
                "What is the right knee angle at 0.52 s?",
                "time_secs,right_knee_deg",
            ),
            candidate(
                "What is the range of motion of the left knee?",
                "time_secs,left_knee_deg",
            ),
            candidate(
                "What is the range of motion of the left hip?",
                "time_secs,left_hip_deg",
            ),
            candidate(
                "Find the largest value and its time.",
                "time_secs,left_elbow_deg",
            ),
        ];
        let nearest = |question: &str| nearest(question, &candidates);
        assert_eq!(nearest("How large is my right knee's angle?"), Some(1));
        assert_eq!(nearest("the range of the left knee"), Some(2));
        // A table of the wrong joint is worse than another recipe's of the right one.
        assert_eq!(
            nearest("What is the range of motion of the right knee?"),
            Some(1)
        );
        assert_eq!(
            nearest("What is the left elbow's range of motion?"),
            Some(4)
        );
        // What shares nothing with any of them goes to the first.
        assert_eq!(nearest("Hello"), Some(0));
        assert_eq!(super::nearest("Hello", &[]), None);
    }
}
