//! Builds a dataset: recipe by recipe from SQL to words, then a choice among all examples.
//!
//! Resident are the examples of all recipes that are no duplicates, half again as many as are
//! wanted at most, with their texts, and the rows of one recipe.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use duckdb::types::Value as SqlValue;
use minijinja::Value;
use rayon::prelude::*;

use super::example::question_id;
use super::fact_shingles::fact_shingles;
use super::facts::{self, FactRow};
use super::plan::{self, Candidate, SplitVideo, Track, VideoTimes, Window};
use super::recipe::{self, Recipe, selected};
use super::template::{RenderedChat, Templates};
use super::{
    Dataset, DatasetError, DatasetKind, Example, FORMAT_VERSION, Format, Funnel, Manifest, Preset,
    RECIPE_ORIGIN, RecipeRecord, Split, VideoRecord, Work,
};
use crate::lake::{Lake, LakeError};
use crate::language::chat::Message;
use crate::language::{ChatTokenizer, LanguageError};
use crate::metrics::timing::rate_between_pauses_hz;
use crate::numbers::human_bytes;
use crate::query::{ExternalAccess, Query, QueryError, Session};
use crate::similarity::SimilarityIndex;
use crate::sync::Cancellation;

/// Windows looked at for each example that a recipe is to give: some have no answer, and some
/// answers are nearly equal.
const SPARE: f64 = 1.5;
/// Windows that even the lightest recipe looks at.
const MIN_WINDOWS: u64 = 32;
/// Fewest digits of an example's id.
const MIN_ID_DIGITS: usize = 4;
const MAX_NAME_LENGTH: usize = 100;
/// Most that a build needs beside its examples, and for each of them: measured on a lake of two
/// million frames, 285 MB with 1,000 examples, 491 MB with 20,000, 828 MB with 60,000.
const BASE_BYTES: u64 = 300 << 20;
const BYTES_PER_EXAMPLE: u64 = 11_000;
/// Columns of the table `windows`.
const WINDOW_COLUMNS: &str = "window_id BIGINT, video_id VARCHAR, sport VARCHAR, person SMALLINT, \
     fps DOUBLE, frame_start INTEGER, frame_end INTEGER, step INTEGER, pick UBIGINT";

/// A validated order to build a dataset.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// Letters, digits, - and _, 100 at most.
    pub name: String,
    /// Folder of recipes.
    pub recipes: PathBuf,
    /// Which of the recipes, with which weights; `None` takes all but primitives.
    pub preset: Option<Preset>,
    /// Most questions about one table, from 1.
    pub questions_per_table: u32,
    /// What becomes of the recipes' work.
    pub work: Work,
    /// Wanted share of the valid split, 0 to 1.
    pub valid_fraction: f64,
    /// Wanted share of the test split, 0 to 1.
    pub test_fraction: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Most tokens of a chat, answers included.
    pub max_tokens: u32,
    /// Tasks share them by their recipes' weights.
    pub max_examples: u64,
    /// Jaccard index from which two examples' facts count as the same; above 1 none do.
    pub near_duplicate_threshold: f64,
    /// Shape of the lines in the training files.
    pub format: Format,
    /// Snapshot to read; `None` is the newest in which something of the videos changed.
    pub lake_snapshot: Option<u64>,
    /// Name of the base model.
    pub base: String,
    /// As [`ChatTokenizer::blake3`] gives it; goes into the manifest.
    pub tokenizer_blake3: String,
}

impl BuildConfig {
    /// Refuses a build that may not fit into the memory limit.
    ///
    /// # Errors
    /// [`DatasetError::MemoryLimit`].
    pub fn check_memory(&self, limit_bytes: u64) -> Result<(), DatasetError> {
        let needed_bytes = BASE_BYTES + BYTES_PER_EXAMPLE * self.max_examples;
        if needed_bytes <= limit_bytes {
            return Ok(());
        }
        Err(DatasetError::MemoryLimit {
            examples: self.max_examples,
            needed: human_bytes(needed_bytes),
            limit: human_bytes(limit_bytes),
        })
    }
}

/// Tokens of a chat that ends with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    /// Up to where the answer begins, the mark of the assistant's turn included.
    pub prompt: u32,
    /// The answer with the token that ends it.
    pub answer: u32,
}

impl TokenCount {
    /// Counts as the tokenizer's model will see the chat.
    ///
    /// # Errors
    /// When its template does not take the chat.
    pub fn of(tokenizer: &ChatTokenizer, messages: &[Message]) -> Result<Self, LanguageError> {
        let chat = tokenizer.encode(messages)?;
        let answer = chat.in_loss.iter().filter(|in_loss| **in_loss).count();
        Ok(Self {
            prompt: (chat.ids.len() - answer) as u32,
            answer: answer as u32,
        })
    }
}

/// What became of a recipe, and how long it took.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RecipeReport {
    /// Name of the recipe.
    pub task: String,
    /// Stretches of frames that were looked at.
    pub windows: u64,
    /// How many rows became examples, and where the others went.
    #[serde(flatten)]
    pub funnel: Funnel,
    /// Time that its SQL took.
    pub sql_secs: f64,
    /// Templates, tokens and duplicates.
    pub words_secs: f64,
}

impl RecipeReport {
    /// Rows per second, from SQL to words.
    pub fn rows_per_sec(&self) -> f64 {
        self.funnel.rows as f64 / (self.sql_secs + self.words_secs).max(f64::MIN_POSITIVE)
    }
}

/// What a build did.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct BuildReport {
    /// Version of the lake that all facts were read from.
    pub lake_snapshot: u64,
    /// In the order of their names.
    pub recipes: Vec<RecipeReport>,
    /// Examples of the train split.
    pub train: u64,
    /// Examples of the valid split; 0 where nothing can be set apart.
    pub valid: u64,
    /// Examples of the test split; 0 where none was wanted.
    pub test: u64,
    /// From the first query to the finished folder.
    pub elapsed_secs: f64,
}

/// What the lake knows of a video, as templates see it.
struct Video {
    video_id: String,
    file_name: String,
    sport: String,
    fps: Option<f64>,
    width_px: u64,
    height_px: u64,
    frames: u64,
    pose_model: String,
    pose_model_sha256: String,
    subject: Option<String>,
}

/// The videos of a snapshot with the people in them.
pub(super) struct Census {
    videos: Vec<Video>,
    /// Positions of the videos by their ids.
    positions: HashMap<String, usize>,
    /// The number of each video's sport, in the order of the videos.
    sports: Vec<u32>,
    pub(super) tracks: Vec<Track>,
}

/// A chat before it has a number.
struct Draft {
    task: usize,
    row: FactRow,
    words: RenderedChat,
    /// Of each question, without what stands before it.
    tokens: Vec<TokenCount>,
    candidate: Candidate,
}

/// Something that counts the tokens of a chat.
pub type CountTokens<'a> = dyn Fn(&[Message]) -> Result<TokenCount, LanguageError> + Sync + 'a;

/// Builds a dataset, writes its folder and registers it in the lake, which `open_lake` opens: once
/// for the recipes, whose session is sealed, and once more for the dataset.
///
/// # Errors
/// As [`build`], or when the folder or the lake cannot be written.
pub fn build_into(
    folder: &Path,
    open_lake: &dyn Fn() -> Result<Lake, LakeError>,
    config: &BuildConfig,
    tokenizer: &ChatTokenizer,
    cancellation: &Cancellation,
    done: impl FnMut(&RecipeReport),
) -> Result<(Dataset, BuildReport), DatasetError> {
    let count_tokens = |messages: &[Message]| TokenCount::of(tokenizer, messages);
    let (dataset, report) = build(&open_lake()?, config, &count_tokens, cancellation, done)?;
    dataset.save(folder)?;
    dataset.register(&open_lake()?, folder)?;
    Ok((dataset, report))
}

/// Builds a dataset; when it is cancelled, it ends with [`DatasetError::Stopped`]. `done` is given
/// each recipe's report as it comes.
///
/// # Errors
/// When a recipe is broken, the lake cannot be read, or no example comes of it.
pub fn build(
    lake: &Lake,
    config: &BuildConfig,
    count_tokens: &CountTokens<'_>,
    cancellation: &Cancellation,
    done: impl FnMut(&RecipeReport),
) -> Result<(Dataset, BuildReport), DatasetError> {
    let built = build_all(lake, config, count_tokens, cancellation, done);
    built.map_err(|error| match cancellation.is_cancelled() {
        // Such as the query that was interrupted.
        true => DatasetError::Stopped,
        false => error,
    })
}

fn build_all(
    lake: &Lake,
    config: &BuildConfig,
    count_tokens: &CountTokens<'_>,
    cancellation: &Cancellation,
    mut done: impl FnMut(&RecipeReport),
) -> Result<(Dataset, BuildReport), DatasetError> {
    let started = Instant::now();
    check_name(&config.name)?;
    let (recipes, texts) = recipe::load(&config.recipes)?;
    let recipes = selected(recipes, config.preset);
    if recipes.is_empty() {
        return Err(DatasetError::NoRecipesOfPreset {
            path: config.recipes.clone(),
            preset: config.preset,
        });
    }
    let templates = Templates::new(texts, &recipes)?;
    let lake_snapshot = match config.lake_snapshot {
        Some(version) => version,
        None => lake.data_snapshot()?,
    };
    let session = Session::open(
        lake.try_clone()?,
        Some(lake_snapshot),
        ExternalAccess::Denied,
    )?
    .interrupted_by(cancellation);
    let census = Census::of(&session)?;
    let splits = plan::three_splits(
        &census
            .videos
            .iter()
            .map(Video::for_split)
            .collect::<Vec<_>>(),
        config.valid_fraction,
        config.test_fraction,
        config.seed,
    );
    let weights: Vec<f64> = recipes.iter().map(|recipe| recipe.weight).collect();
    let mut drafts = Vec::new();
    let mut reports = Vec::new();
    for (task, recipe) in recipes.iter().enumerate() {
        let recipe_run = RecipeRun {
            task,
            recipe,
            templates: &templates,
            census: &census,
            splits: &splits,
            config,
            count_tokens,
            cancellation,
        };
        let wanted = windows_wanted(recipe, &recipes, config.max_examples);
        let (mut of_recipe, report) = recipe_run.run(&session, wanted)?;
        done(&report);
        drafts.append(&mut of_recipe);
        reports.push(report);
    }
    drop(session);
    let candidates: Vec<Candidate> = drafts.iter().map(|draft| draft.candidate).collect();
    let chosen = plan::sample(&candidates, &weights, config.max_examples)?;
    for candidate in &candidates {
        reports[candidate.task as usize].funnel.not_sampled += 1;
    }
    for index in &chosen {
        let candidate = &candidates[*index];
        let funnel = &mut reports[candidate.task as usize].funnel;
        funnel.not_sampled -= 1;
        funnel.kept += 1;
        funnel.examples += u64::from(candidate.questions);
    }
    if chosen.is_empty() {
        let sum = |value: fn(&Funnel) -> u64| reports.iter().map(|r| value(&r.funnel)).sum();
        return Err(DatasetError::Empty {
            rows: sum(|funnel| funnel.rows),
            over_token_budget: sum(|funnel| funnel.over_token_budget),
            max_tokens: config.max_tokens,
        });
    }
    let examples = examples(drafts, &chosen, &recipes, &census);
    let dataset = Dataset {
        manifest: manifest(
            config,
            lake_snapshot,
            &recipes,
            &reports,
            &census,
            &splits,
            &examples,
        ),
        examples,
        recipe_files: recipe_files(config, &recipes)?,
    };
    let count = |split: Split| dataset.of_split(split).len() as u64;
    let report = BuildReport {
        lake_snapshot,
        train: count(Split::Train),
        valid: count(Split::Valid),
        test: count(Split::Test),
        recipes: reports,
        elapsed_secs: started.elapsed().as_secs_f64(),
    };
    Ok((dataset, report))
}

/// The rows that an example's recipe gives today, at the snapshot that it was built from, for the
/// windows around its frames; the example's own facts are among them if nothing has changed.
///
/// # Errors
/// When the snapshot is gone, or the recipe is broken.
pub fn facts_at(
    lake: &Lake,
    manifest: &Manifest,
    recipes: &Path,
    example: &Example,
) -> Result<Vec<serde_json::Value>, DatasetError> {
    let (recipes, _) = recipe::load(recipes)?;
    let recipes = selected(recipes, manifest.preset);
    let Some(recipe) = recipes
        .iter()
        .find(|recipe| recipe.task == example.recipe())
    else {
        return Ok(Vec::new());
    };
    let version = Some(manifest.lake_snapshot);
    let session = Session::open(lake.try_clone()?, version, ExternalAccess::Denied)?;
    let census = Census::of(&session)?;
    let wanted = windows_wanted(recipe, &recipes, manifest.max_examples);
    let mut windows = plan::windows(recipe, &census.tracks, manifest.seed, wanted)?;
    windows.retain(|window| {
        let track = &census.tracks[window.track as usize];
        track.video_id == example.lineage.video_id
            && track.person == example.lineage.person
            && window.frame_start <= example.lineage.frame_start
            && window.frame_end >= example.lineage.frame_end
    });
    let rows = fact_rows(&session, recipe, &census, &windows, |_| Ok(()))?;
    Ok(rows.iter().map(FactRow::json).collect())
}

/// How many windows a recipe looks at, beside the other recipes.
fn windows_wanted(recipe: &Recipe, all: &[Recipe], max_examples: u64) -> u64 {
    let weights: f64 = all.iter().map(|recipe| recipe.weight).sum();
    let share = recipe.weight / weights.max(f64::MIN_POSITIVE);
    (max_examples as f64 * share * SPARE) as u64 + MIN_WINDOWS
}

/// Whether a name can be that of a dataset's folder, or of an adapter's.
///
/// # Errors
/// When it has other characters than letters, digits, - and _.
pub fn check_name(name: &str) -> Result<(), DatasetError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // Folders and files are named after it, with more behind it.
    let is_short = name.len() <= MAX_NAME_LENGTH;
    match !name.is_empty() && is_short && name.chars().all(is_good) {
        true => Ok(()),
        false => Err(DatasetError::BadName { name: name.into() }),
    }
}

impl Video {
    fn for_split(&self) -> SplitVideo {
        SplitVideo {
            video_id: self.video_id.clone(),
            subject: self.subject.clone(),
            frames: self.frames,
        }
    }

    fn for_templates(&self) -> Value {
        minijinja::context! {
            file_name => self.file_name.clone(),
            sport => self.sport.clone(),
            fps => self.fps,
            width_px => self.width_px,
            height_px => self.height_px,
        }
    }
}

impl Census {
    /// What templates see of a video.
    pub(super) fn for_templates(&self, video_id: &str) -> Option<Value> {
        let position = *self.positions.get(video_id)?;
        Some(self.videos[position].for_templates())
    }

    pub(super) fn of(session: &Session) -> Result<Self, DatasetError> {
        // Lakes had no subjects at first, and snapshots of then still have none.
        // To list the tables takes longer than to ask for one.
        let has_subjects = match rows_of(session, "SELECT 1 FROM subjects LIMIT 0") {
            Ok(_) => true,
            Err(DatasetError::Query(error)) if error.is_missing_table() => false,
            Err(error) => return Err(error),
        };
        let subjects = match has_subjects {
            true => "LEFT JOIN subjects USING (video_id)",
            false => "LEFT JOIN (SELECT NULL AS video_id, NULL AS subject) AS s USING (video_id)",
        };
        let videos = rows_of(
            session,
            &format!(
                "SELECT video_id, file_name, sport, fps, width_px, height_px, pose_frame_count,
                     pose_model, pose_model_sha256, subject
                 FROM videos {subjects} ORDER BY video_id"
            ),
        )?;
        let times = times_of_videos(session)?;
        let times_of = |video_id: &str| times.get(video_id).cloned().unwrap_or_default();
        let mut videos: Vec<Video> = videos
            .into_iter()
            .map(|row| Video {
                video_id: row[0].to_string(),
                file_name: row[1].to_string(),
                sport: row[2].to_string(),
                fps: f64::try_from(row[3].clone()).ok(),
                width_px: integer(&row[4]),
                height_px: integer(&row[5]),
                frames: integer(&row[6]),
                pose_model: row[7].to_string(),
                pose_model_sha256: row[8].to_string(),
                subject: row[9].as_str().map(str::to_owned),
            })
            .collect();
        // Older posedata counted the pauses of a recording in.
        for video in &mut videos {
            video.fps = times_of(&video.video_id)
                .rate_between_pauses_hz
                .or(video.fps);
        }
        let numbers = plan::numbered(videos.iter().map(|video| video.sport.as_str()));
        let sports: Vec<u32> = (videos.iter())
            .map(|video| numbers[video.sport.as_str()])
            .collect();
        let positions: HashMap<String, usize> = videos
            .iter()
            .enumerate()
            .map(|(position, video)| (video.video_id.clone(), position))
            .collect();
        let tracks = rows_of(
            session,
            "SELECT video_id, person, min(frame), max(frame) FROM metrics
             WHERE quality <> 'no_pose' GROUP BY ALL ORDER BY ALL",
        )?;
        let tracks = tracks.into_iter().filter_map(|row| {
            let video_id = row[0].to_string();
            let position = *positions.get(&video_id)?;
            Some(Track {
                video: position as u32,
                sport: sports[position],
                times: times_of(&video_id).times,
                video_id,
                person: integer(&row[1]) as u16,
                first_frame: integer(&row[2]),
                last_frame: integer(&row[3]),
            })
        });
        let tracks = tracks.collect();
        Ok(Self {
            videos,
            positions,
            sports,
            tracks,
        })
    }
}

/// When a video's frames were taken.
#[derive(Clone, Default)]
struct TimesOfVideo {
    times: Arc<VideoTimes>,
    /// Only for a recording that was paused.
    rate_between_pauses_hz: Option<f64>,
}

impl TimesOfVideo {
    fn new(times_secs: Vec<f64>) -> Self {
        let rate_hz = rate_between_pauses_hz(&times_secs);
        let times = VideoTimes::new(times_secs);
        Self {
            rate_between_pauses_hz: rate_hz.filter(|_| times.has_pauses()),
            times: Arc::new(times),
        }
    }
}

/// The times of all videos' frames, by the videos' ids. The times of one video are in memory as
/// they are, and afterwards only of those whose frames are unevenly spaced.
fn times_of_videos(session: &Session) -> Result<HashMap<String, TimesOfVideo>, DatasetError> {
    let sql = "SELECT video_id::VARCHAR AS video_id, frame::INTEGER AS frame,
             any_value(time_secs)::DOUBLE AS time_secs
         FROM metrics GROUP BY ALL ORDER BY ALL";
    session.read(&Query::new(sql.into(), Vec::new()), |_, batches| {
        let mut videos = HashMap::new();
        let mut current: Option<(String, Vec<f64>)> = None;
        for batch in batches {
            let ids = batch.column(0).as_string::<i32>();
            let times = batch.column(2).as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                match &mut current {
                    Some((video_id, secs)) if video_id == ids.value(row) => {
                        secs.push(times.value(row));
                    }
                    _ => {
                        let next = (ids.value(row).to_owned(), vec![times.value(row)]);
                        let done = current.replace(next);
                        videos.extend(done.map(|(id, secs)| (id, TimesOfVideo::new(secs))));
                    }
                }
            }
        }
        videos.extend(current.map(|(id, secs)| (id, TimesOfVideo::new(secs))));
        Ok(videos)
    })
}

/// Whole numbers of the lake are never negative here.
fn integer(value: &Value) -> u64 {
    u64::try_from(value.clone()).unwrap_or(0)
}

pub(super) fn rows_of(session: &Session, sql: &str) -> Result<Vec<Vec<Value>>, DatasetError> {
    session.read(&Query::new(sql.into(), Vec::new()), |_, batches| {
        let rows = batches.flat_map(|batch| {
            let rows = 0..batch.num_rows();
            rows.map(|row| facts::values(&batch, row))
                .collect::<Vec<_>>()
        });
        Ok(rows.collect())
    })
}

/// Runs a recipe's SQL over its windows; `check` is given the names of the columns first. The rows
/// come in an order that does not depend on the database's threads.
pub(super) fn fact_rows(
    session: &Session,
    recipe: &Recipe,
    census: &Census,
    windows: &[Window],
    check: impl FnOnce(&[String]) -> Result<(), DatasetError>,
) -> Result<Vec<FactRow>, DatasetError> {
    let rows = windows.iter().zip(0_i64..).map(|(window, id)| {
        let track = &census.tracks[window.track as usize];
        let video = &census.videos[track.video as usize];
        vec![
            SqlValue::BigInt(id),
            SqlValue::Text(video.video_id.clone()),
            SqlValue::Text(video.sport.clone()),
            SqlValue::SmallInt(track.person as i16),
            video.fps.map_or(SqlValue::Null, SqlValue::Double),
            SqlValue::Int(window.frame_start as i32),
            SqlValue::Int(window.frame_end as i32),
            SqlValue::Int(window.step as i32),
            SqlValue::UBigInt(window.sample_key),
        ]
    });
    session.set_temporary_table("windows", WINDOW_COLUMNS, rows)?;
    let query = Query::new(recipe.sql.clone(), Vec::new());
    let read = session.read(&query, |schema, batches| {
        check(&facts::columns(recipe, schema)?)?;
        let mut rows = Vec::new();
        for batch in batches {
            rows.append(&mut facts::rows(recipe, &batch)?);
        }
        Ok(rows)
    });
    let mut rows = read.map_err(|error| match error {
        DatasetError::Query(QueryError::Sql(message)) => recipe.sql_error(&message),
        DatasetError::Query(
            error @ (QueryError::Forbidden(_) | QueryError::MissingParameter { .. }),
        ) => recipe.sql_error(&error.to_string()),
        error => error,
    })?;
    rows.sort_by(|a, b| {
        let by_frames = a.key().cmp(&b.key());
        by_frames.then_with(|| a.json().to_string().cmp(&b.json().to_string()))
    });
    Ok(rows)
}

/// What becomes of a row.
enum Drafted {
    Chat(Box<Draft>),
    /// Its first question is longer than the budget.
    TooLong,
    /// Of a primitive, and of a video that does not train.
    NotTrained,
}

/// All that one recipe needs to be cooked.
struct RecipeRun<'a> {
    task: usize,
    recipe: &'a Recipe,
    templates: &'a Templates,
    census: &'a Census,
    splits: &'a [Split],
    config: &'a BuildConfig,
    count_tokens: &'a CountTokens<'a>,
    cancellation: &'a Cancellation,
}

impl RecipeRun<'_> {
    /// From windows to examples of which no two are alike.
    fn run(
        &self,
        session: &Session,
        wanted: u64,
    ) -> Result<(Vec<Draft>, RecipeReport), DatasetError> {
        if self.cancellation.is_cancelled() {
            return Err(DatasetError::Stopped);
        }
        let started = Instant::now();
        let windows = match self.recipe.weight > 0.0 {
            true => plan::windows(self.recipe, &self.census.tracks, self.config.seed, wanted)?,
            false => Vec::new(),
        };
        let rows = fact_rows(session, self.recipe, self.census, &windows, |columns| {
            self.templates.check_columns(self.recipe, columns)
        })?;
        let sql_secs = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let mut funnel = Funnel {
            rows: rows.len() as u64,
            ..Funnel::default()
        };
        let drafts = self.drafts(rows, &mut funnel)?;
        let drafts = self.without_duplicates(drafts, &mut funnel)?;
        let report = RecipeReport {
            task: self.recipe.task.clone(),
            windows: windows.len() as u64,
            funnel,
            sql_secs,
            words_secs: started.elapsed().as_secs_f64(),
        };
        Ok((drafts, report))
    }

    /// Finds the words of each row on all cores; rows above the token budget are left out.
    fn drafts(&self, rows: Vec<FactRow>, funnel: &mut Funnel) -> Result<Vec<Draft>, DatasetError> {
        let params = self.recipe.params();
        let videos: Vec<Value> = self
            .census
            .videos
            .iter()
            .map(Video::for_templates)
            .collect();
        let draft = |row: FactRow| -> Result<Drafted, DatasetError> {
            if self.cancellation.is_cancelled() {
                return Err(DatasetError::Stopped);
            }
            let position = *self.census.positions.get(&row.video_id).ok_or_else(|| {
                self.recipe.sql_error(&format!(
                    "column 'video_id' holds '{}', which is no video of the lake",
                    row.video_id
                ))
            })?;
            let split = self.splits[position];
            // Primitives are a part of what is judged, and judge nothing.
            if self.recipe.is_primitive && split != Split::Train {
                return Ok(Drafted::NotTrained);
            }
            let sample_key = self.sample_key(&row);
            let most = self.config.questions_per_table as usize;
            let contexts = row.contexts(self.recipe, &params, &videos[position], most)?;
            let mut words = self.templates.render(self.recipe, &contexts, sample_key)?;
            if self.config.work == Work::LeftOut {
                for question in &mut words.questions {
                    question.work.clear();
                }
            }
            let tokens = self.count(&words)?;
            if tokens.is_empty() {
                return Ok(Drafted::TooLong);
            }
            // Further questions go until the chat is short enough.
            words.questions.truncate(tokens.len());
            let candidate = Candidate {
                task: self.task as u32,
                video: position as u32,
                sport: self.census.sports[position],
                frame_start: row.frame_start,
                sample_key: crate::random::scramble(sample_key),
                content: content(&words),
                split,
                questions: tokens.len() as u32,
            };
            Ok(Drafted::Chat(Box::new(Draft {
                task: self.task,
                row,
                words,
                tokens,
                candidate,
            })))
        };
        let drafted: Result<Vec<Drafted>, DatasetError> = rows.into_par_iter().map(draft).collect();
        let mut drafts = Vec::new();
        for drafted in drafted? {
            match drafted {
                Drafted::Chat(draft) => drafts.push(*draft),
                Drafted::TooLong => funnel.over_token_budget += 1,
                Drafted::NotTrained => funnel.not_sampled += 1,
            }
        }
        Ok(drafts)
    }

    /// Tokens of as many questions as are within the budget.
    fn count(&self, words: &RenderedChat) -> Result<Vec<TokenCount>, DatasetError> {
        let mut counts = Vec::new();
        let (mut prompt, mut answer) = (0, 0);
        for questions in 1..=words.questions.len() {
            let all = (self.count_tokens)(&words.messages(questions))?;
            if all.prompt + all.answer > self.config.max_tokens {
                break;
            }
            counts.push(TokenCount {
                prompt: all.prompt - prompt,
                answer: all.answer - answer,
            });
            (prompt, answer) = (all.prompt, all.answer);
        }
        Ok(counts)
    }

    fn sample_key(&self, row: &FactRow) -> u64 {
        let numbers = [u64::from(row.person), row.frame_start, row.frame_end];
        let numbers = numbers.map(|number| number.to_string());
        let [person, start, end] = &numbers;
        let name = [
            "example",
            &self.recipe.task,
            &row.video_id,
            person,
            start,
            end,
        ];
        plan::sample_key(self.config.seed, &name)
    }

    fn without_duplicates(
        &self,
        drafts: Vec<Draft>,
        funnel: &mut Funnel,
    ) -> Result<Vec<Draft>, DatasetError> {
        let candidates: Vec<Candidate> = drafts.iter().map(|draft| draft.candidate).collect();
        let distinct = plan::distinct(&candidates)?;
        funnel.duplicates = (drafts.len() - distinct.len()) as u64;
        let shingles: Vec<Vec<u64>> = distinct
            .par_iter()
            .map(|index| fact_shingles(&drafts[*index].row.json()))
            .collect();
        let mut known = SimilarityIndex::new(self.config.near_duplicate_threshold);
        let mut keep = vec![false; drafts.len()];
        for (index, shingles) in distinct.iter().zip(&shingles) {
            keep[*index] = known.insert_unless_similar(shingles).is_none();
        }
        let kept = drafts.into_iter().zip(keep).filter(|(_, keep)| *keep);
        let kept: Vec<Draft> = kept.map(|(draft, _)| draft).collect();
        funnel.near_duplicates = (distinct.len() - kept.len()) as u64;
        Ok(kept)
    }
}

/// Hash of what a chat says.
fn content(words: &RenderedChat) -> u64 {
    let mut parts = vec![words.system.as_str(), &words.data];
    let texts: Vec<String> = words.questions.iter().map(|q| q.text()).collect();
    for (question, text) in words.questions.iter().zip(&texts) {
        parts.extend([&*question.question, text]);
    }
    plan::sample_key(0, &parts)
}

impl Draft {
    /// An example for each question.
    fn examples(&self, chat_id: &str, task: &str, sport: &str) -> Vec<Example> {
        let questions = self.words.questions.iter().zip(&self.tokens).enumerate();
        let examples = questions.map(|(turn, (question, tokens))| Example {
            id: question_id(chat_id, turn),
            task: task.into(),
            split: self.candidate.split,
            origin: RECIPE_ORIGIN.into(),
            prompt_hash: None,
            lineage: self.row.lineage(sport),
            facts: self.row.json(),
            system: self.words.system.clone(),
            question: question.question.clone(),
            data: self.words.data.clone(),
            answer: question.text(),
            prompt_tokens: tokens.prompt,
            answer_tokens: tokens.answer,
        });
        examples.collect()
    }
}

/// Numbers the chats, those of primitives first.
fn examples(
    drafts: Vec<Draft>,
    chosen: &[usize],
    recipes: &[Recipe],
    census: &Census,
) -> Vec<Example> {
    let digits = chosen.len().to_string().len().max(MIN_ID_DIGITS);
    let mut chosen = chosen.to_vec();
    chosen.sort_by_key(|index| !recipes[drafts[*index].task].is_primitive);
    let numbered = chosen
        .par_iter()
        .enumerate()
        .flat_map_iter(|(number, index)| {
            let draft = &drafts[*index];
            let sport = &census.videos[draft.candidate.video as usize].sport;
            let id = format!("{:0digits$}", number + 1);
            draft.examples(&id, &recipes[draft.task].task, sport)
        });
    numbered.collect()
}

fn manifest(
    config: &BuildConfig,
    lake_snapshot: u64,
    recipes: &[Recipe],
    reports: &[RecipeReport],
    census: &Census,
    splits: &[Split],
    examples: &[Example],
) -> Manifest {
    let blake3 = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    let records = recipes
        .iter()
        .zip(reports)
        .map(|(recipe, report)| RecipeRecord {
            task: recipe.task.clone(),
            about: recipe.about.clone(),
            weight: recipe.weight,
            language: recipe.language.clone(),
            is_primitive: recipe.is_primitive,
            sql_blake3: blake3(&recipe.sql),
            template_blake3: blake3(&recipe.template),
            funnel: report.funnel.clone(),
        });
    let used: std::collections::HashSet<&str> = examples
        .iter()
        .map(|example| example.lineage.video_id.as_str())
        .collect();
    let videos = census.videos.iter().zip(splits);
    let videos = videos.filter(|(video, _)| used.contains(video.video_id.as_str()));
    let videos = videos.map(|(video, split)| VideoRecord {
        video_id: video.video_id.clone(),
        file_name: video.file_name.clone(),
        sport: video.sport.clone(),
        subject: video.subject.clone(),
        split: *split,
        pose_model: video.pose_model.clone(),
        pose_model_sha256: video.pose_model_sha256.clone(),
    });
    Manifest {
        name: config.name.clone(),
        posedata_version: env!("CARGO_PKG_VERSION").into(),
        format_version: FORMAT_VERSION,
        kind: DatasetKind::Answers,
        format: config.format,
        lake_snapshot,
        seed: config.seed,
        valid_fraction: config.valid_fraction,
        test_fraction: config.test_fraction,
        preset: config.preset,
        questions_per_table: config.questions_per_table,
        work: config.work,
        base: config.base.clone(),
        tokenizer_blake3: config.tokenizer_blake3.clone(),
        max_tokens: config.max_tokens,
        max_examples: config.max_examples,
        near_duplicate_threshold: config.near_duplicate_threshold,
        recipes: records.collect(),
        videos: videos.collect(),
        synth: Vec::new(),
    }
}

/// The recipes' files, and the templates that they may have imported.
fn recipe_files(
    config: &BuildConfig,
    recipes: &[Recipe],
) -> Result<BTreeMap<String, String>, DatasetError> {
    let mut files = recipe::shared_templates(&config.recipes)?;
    for recipe in recipes {
        files.insert(format!("{}.sql", recipe.task), recipe.sql.clone());
        files.insert(format!("{}.jinja", recipe.task), recipe.template.clone());
    }
    Ok(files)
}
