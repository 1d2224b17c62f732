//! A table of the lake for a question that no recipe asked: the recipe whose questions come nearest
//! lays the table out, as it does for examples.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::DatasetError;
use super::build::{Census, fact_rows, rows_of};
use super::plan::Window;
use super::recipe::{self, Recipe, WindowKind};
use super::template::Templates;
use crate::lake::Lake;
use crate::query::{ExternalAccess, Session};
use crate::random::scramble;

/// Ways in which each recipe is tried: which joint or side it asks about is up to a number, and the
/// rarest choice comes up in one of fifty.
const TRIES: u64 = 256;

/// How long a table goes on after the one time that a question names, or before it at the end of a
/// video.
const NEAR_SECS: f64 = 1.0;
/// Rows that a table keeps when it is made to end with the scene's last frame.
const FEWEST_ROWS: u64 = 4;

/// Some time of a video, in which one person is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// For people.
    pub file_name: String,
    /// Number of the person within the video.
    pub person: u16,
    /// May be narrowed down by what is asked.
    pub span: Span,
}

/// The time of a [`Scene`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// That of the times that the question names, or all that the person is seen.
    AsAsked,
    /// A time that was chosen, in seconds of the video.
    Secs {
        /// `None`: from when the person is first seen.
        from: Option<f64>,
        /// `None`: until the person is last seen.
        to: Option<f64>,
    },
}

/// What a model is shown of a scene.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SceneTable {
    /// The recipe that laid it out.
    pub recipe: String,
    /// The recipe's own question that is nearest.
    pub nearest_question: String,
    /// Whether the recipe's answers begin with work, which ends with [`super::ANSWER_MARK`].
    pub has_work: bool,
    /// What the model is told of its part, as the recipe's template says it.
    pub system: String,
    /// The table itself, as text.
    pub data: String,
    /// First frame of the table, from 0.
    pub frame_start: u64,
    /// Last frame, included.
    pub frame_end: u64,
}

impl Scene {
    /// A time of the video that `video` selects (an id, a path, a file name, or the beginning of
    /// one), with the person of a number, or else the video's main person.
    ///
    /// # Errors
    /// When the lake has no such video, or the person is not in it.
    pub fn find(
        lake: &Lake,
        video: &str,
        person: Option<u16>,
        span: Span,
    ) -> Result<Self, DatasetError> {
        let mut videos = lake.find_videos(&[video.to_owned()])?;
        let video = videos.pop().ok_or(DatasetError::NoSuchVideo)?;
        let persons = lake.persons(&video)?;
        let main = lake.main_person(&video)?;
        let person = person.or(main).or(persons.first().copied());
        let file_name = || video.file_name.clone();
        let person = person.ok_or_else(|| DatasetError::NobodySeen {
            file_name: file_name(),
        })?;
        if !persons.contains(&person) {
            let known: Vec<String> = persons.iter().map(u16::to_string).collect();
            return Err(DatasetError::NoSuchPerson {
                person,
                file_name: file_name(),
                known: known.join(", "),
            });
        }
        Ok(Self {
            file_name: file_name(),
            video_id: video.video_id,
            person,
            span,
        })
    }

    /// Lays out what `question` needs of the scene, as the recipe `task` does, or the one whose
    /// questions are nearest.
    ///
    /// # Errors
    /// When the person is not seen then, there is no such recipe, or none finds anything to show.
    pub fn table(
        &self,
        lake: &Lake,
        recipes: &Path,
        question: &str,
        task: Option<&str>,
    ) -> Result<SceneTable, DatasetError> {
        let table = scene_table(lake, recipes, self, question, task);
        table.map_err(|source| DatasetError::NoTable {
            file_name: self.file_name.clone(),
            source: Box::new(source),
        })
    }
}

fn scene_table(
    lake: &Lake,
    recipes: &Path,
    scene: &Scene,
    question: &str,
    task: Option<&str>,
) -> Result<SceneTable, DatasetError> {
    let (mut recipes, texts) = recipe::load(recipes)?;
    let templates = Templates::new(texts, &recipes)?;
    match task {
        None => recipes.retain(|recipe| recipe.may_serve_questions && !recipe.is_primitive),
        Some(task) => {
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
    }
    let session = Session::open(lake.try_clone()?, None, ExternalAccess::Denied)?;
    let census = Census::of(&session)?;
    let mut tracks = census.tracks.iter();
    let track = tracks
        .position(|track| track.video_id == scene.video_id && track.person == scene.person)
        .ok_or(DatasetError::NotSeen {
            person: scene.person,
        })?;
    let (frame_start, frame_end) = scene.frames(&session, question)?;
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
            // Which of its questions a row begins with is up to its window's number.
            for context in row.contexts(recipe, &params, &video, 1)? {
                let chat = templates.render_paraphrases(recipe, &context)?;
                let questions = chat.questions.into_iter();
                candidates.extend(questions.map(|question| Laid {
                    recipe,
                    frame_start: row.frame_start,
                    frame_end: row.frame_end,
                    system: chat.system.clone(),
                    data: chat.data.clone(),
                    has_work: !question.work.is_empty(),
                    question: question.question,
                }));
            }
        }
    }
    // Of equally near questions the one with the smallest table is taken.
    candidates.sort_by_key(|laid| laid.data.len());
    let choices = candidates.iter().map(|laid| Candidate {
        question: &laid.question,
        data: &laid.data,
    });
    let Some(nearest) = nearest(question, &choices.collect::<Vec<_>>()) else {
        return Err(DatasetError::NothingToShow {
            frame_start,
            frame_end,
        });
    };
    let laid = candidates.swap_remove(nearest);
    Ok(SceneTable {
        recipe: laid.recipe.task.clone(),
        nearest_question: laid.question,
        has_work: laid.has_work,
        system: laid.system,
        data: laid.data,
        frame_start: laid.frame_start,
        frame_end: laid.frame_end,
    })
}

/// A table that a recipe laid out, with one of its questions.
struct Laid<'a> {
    recipe: &'a Recipe,
    frame_start: u64,
    frame_end: u64,
    system: String,
    data: String,
    question: String,
    has_work: bool,
}

impl Scene {
    /// The first and the last frame of the scene: those nearest to its times.
    fn frames(&self, session: &Session, question: &str) -> Result<(u64, u64), DatasetError> {
        let unseen = || DatasetError::NotSeen {
            person: self.person,
        };
        // Ids are of hexadecimal digits; nothing else comes here from the lake.
        let seen = format!(
            "FROM metrics WHERE video_id = '{}' AND person = {} AND quality <> 'no_pose'",
            self.video_id.replace('\'', ""),
            self.person,
        );
        let numbers = |columns: &str| -> Result<Vec<f64>, DatasetError> {
            let rows = rows_of(session, &format!("SELECT {columns} {seen}"))?;
            let numbers = rows.iter().flatten().cloned().map(number);
            numbers.collect::<Option<_>>().ok_or_else(unseen)
        };
        let limits = numbers("min(time_secs)::DOUBLE, max(time_secs)::DOUBLE")?;
        let [first_secs, last_secs] = limits[..] else {
            return Err(unseen());
        };
        let (from, to) = match self.span {
            Span::AsAsked => span_of(question, first_secs, last_secs),
            Span::Secs { from, to } => (from.unwrap_or(first_secs), to.unwrap_or(last_secs)),
        };
        // The last frame of a clip of 2.5 s begins before 2.5 s.
        if from > last_secs || to < first_secs || to < from {
            return Err(DatasetError::OutsideTheVideo {
                person: self.person,
                first_secs,
                last_secs,
                from_secs: from,
                to_secs: to,
            });
        }
        let frames = numbers(&format!(
            "arg_min(frame, abs(time_secs - {from})), arg_min(frame, abs(time_secs - {to}))"
        ))?;
        match frames[..] {
            [start, end] => Ok((start as u64, end as u64)),
            _ => Err(unseen()),
        }
    }
}

/// From when to when a table must reach for a question: over the times that it names, as far as the
/// person is seen then, or over all of the video.
fn span_of(question: &str, first_secs: f64, last_secs: f64) -> (f64, f64) {
    let mut times = times_secs(question);
    times.retain(|secs| (first_secs..=last_secs).contains(secs));
    times.sort_by(f64::total_cmp);
    match times[..] {
        [] => (first_secs, last_secs),
        [from, .., to] if from < to => (from, to),
        [secs, ..] if secs + NEAR_SECS <= last_secs => (secs, secs + NEAR_SECS),
        [secs, ..] => ((secs - NEAR_SECS).max(first_secs), secs),
    }
}

/// The times that a text names: numbers before a unit of seconds.
fn times_secs(text: &str) -> Vec<f64> {
    const UNITS: [&str; 5] = ["s", "sec", "secs", "second", "seconds"];
    let mut times = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        let unit = after.trim_start();
        let end = unit
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(unit.len());
        if UNITS.contains(&&unit[..end]) {
            times.extend(digits.trim_end_matches('.').parse::<f64>());
        }
    }
    times
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
    let step = length.div_ceil(u64::from(recipe.max_rows) - 1).max(1);
    // A question may be about the last frame: with these steps there is a row of it.
    let mut reaching = (step..).take_while(|step| length / step + 1 >= FEWEST_ROWS);
    let step = reaching
        .find(|step| length.is_multiple_of(*step))
        .unwrap_or(step);
    let window = |sample_key: u64| Window {
        track,
        frame_start,
        frame_end,
        step,
        sample_key: scramble(sample_key),
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
    fn times_are_numbers_of_seconds() {
        let cases: [(&str, &[f64]); 7] = [
            ("What is it at 1.50 s?", &[1.5]),
            ("between 1 s and 2.25 seconds", &[1.0, 2.25]),
            ("At 3s.", &[3.0]),
            ("after 0.5 sec. it is 98 deg", &[0.5]),
            ("below 90 deg for 3 steps", &[]),
            ("the top 3 sides", &[]),
            ("1.2.3 s, 7", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(times_secs(text), expected, "{text}");
        }
    }

    #[test]
    fn a_table_reaches_over_the_times_that_are_asked_for() {
        let span = |question| span_of(question, 0.5, 8.0);
        assert_eq!(span("How far does it move?"), (0.5, 8.0));
        assert_eq!(span("from 4 s to 2 s"), (2.0, 4.0));
        assert_eq!(span("at 2.5 s"), (2.5, 3.5));
        assert_eq!(span("at 7.5 s"), (6.5, 7.5));
        // What is not seen is left out.
        assert_eq!(span("at 0.2 s or at 3 s"), (3.0, 4.0));
        assert_eq!(span("at 12 s"), (0.5, 8.0));
        assert_eq!(span_of("at 0.9 s", 0.5, 1.0), (0.5, 0.9));
    }

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
