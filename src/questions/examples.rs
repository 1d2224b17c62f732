//! Training examples out of question files: a question as somebody may type it, and the call that it
//! means.
//!
//! Slots are filled from the lake. Whole videos, whole paraphrases and, by their headers, whole
//! question files are kept from the model that learns: each of the splits has its own. To learn that
//! any name can be a video's, half of the training examples name videos that nobody has.
//! Where two videos or subjects are compared, those of other splits may be named.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::noise::{self, Dice};
use super::question::CANNOT_TELL;
use super::words::{CLOSE, OPEN, SAID};
use super::{
    Call, Grammar, Inventory, KnownVideo, Mentions, Place, Question, QuestionError, QuestionFiles,
};
use crate::dataset::{
    DEFAULT_LANGUAGE, Dataset, DatasetError, DatasetKind, Example, FORMAT_VERSION, Format, Funnel,
    Lineage, Manifest, RECIPE_ORIGIN, RecipeRecord, Split, SplitVideo, TokenCount, VideoRecord,
    Work, pair_files, prompt, splits,
};
use crate::lake::Lake;
use crate::language::ChatTokenizer;
use crate::language::chat::Message;
use crate::query::{ExternalAccess, Parameter, ParameterType, Session};
use crate::random::scramble;
use crate::similarity::hash_text;

/// What the model is told of its part.
pub const CALL_SYSTEM: &str = "Name the query.";
/// Examples of a question that are tests, and that validate.
const TESTS_PER_QUESTION: u64 = 48;
const VALID_PER_QUESTION: u64 = 24;
/// How often a draw may fail for each example that is wanted, before there are enough.
const TRIES_PER_EXAMPLE: u64 = 40;
/// Part of a hundred paraphrases that validate, and that test.
const VALID_PARAPHRASES: u64 = 12;
const TEST_PARAPHRASES: u64 = 15;
/// Of a hundred examples, those that go on from the question before.
const FOLLOW_UPS: u64 = 10;
/// Of a hundred examples of a question about a video, those that name it.
const NAMED_VIDEOS: u64 = 50;
/// Of a hundred names of videos in training examples, those that nobody has.
const MADE_UP: u64 = 60;
const NAMED_PEOPLE: u64 = 8;
/// Of a hundred examples, those that give a value of a list that may be left out.
const OPTIONAL_VALUES: u64 = 40;
const SLIPS: u64 = 12;
const STEMS: [&str; 16] = [
    "IMG",
    "run",
    "clip",
    "cam",
    "walk",
    "squat_",
    "video-",
    "GX01",
    "take",
    "anna_run",
    "jump",
    "MVI_",
    "trial",
    "side_view",
    "treadmill",
    "session-",
];
const SUFFIXES: [&str; 5] = ["mp4", "mov", "MP4", "mkv", "avi"];
const SUBJECTS: [&str; 12] = [
    "anna", "ben", "carla", "Tom", "S01", "P3", "mia", "Jonas", "runner_2", "lee", "subject7",
    "Kim",
];

/// A validated order to build a dataset of calls.
#[derive(Clone, Debug)]
pub struct CallsConfig {
    /// Letters, digits, - and _, 100 at most.
    pub name: String,
    /// Folder of questions.
    pub questions: PathBuf,
    /// Wanted share of the videos of the valid split, and of the test split, 0 to 1.
    pub valid_fraction: f64,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Most examples of the train split; questions share them by their weights.
    pub max_examples: u64,
    /// Most tokens of an example.
    pub max_tokens: u32,
    /// Shape of the lines in the training files.
    pub format: Format,
    /// Snapshot to read; `None` is the newest in which something of the videos changed.
    pub lake_snapshot: Option<u64>,
    /// Name of the base model.
    pub base: String,
    /// As [`ChatTokenizer::blake3`] gives it; goes into the manifest.
    pub tokenizer_blake3: String,
}

/// Whether a folder holds questions, and no recipes.
///
/// # Errors
/// When the folder cannot be read.
pub fn is_question_folder(folder: &Path) -> Result<bool, DatasetError> {
    let texts = pair_files(folder)?;
    Ok(texts.contains_key(&format!("{CANNOT_TELL}.sql")))
}

/// The chat of a question, up to the call that answers it; `previous` is the call of the question
/// before.
pub fn prompt_of(previous: Option<&Call>, question: &str) -> Vec<Message> {
    prompt(CALL_SYSTEM, &asked(previous, question), "")
}

fn asked(previous: Option<&Call>, question: &str) -> String {
    match previous {
        Some(previous) => format!("{previous}\n{question}"),
        None => question.into(),
    }
}

/// Builds a dataset of calls from the questions' files and what the lake has.
///
/// # Errors
/// When a question is broken, the lake cannot be read, or no example comes of it.
pub fn build_calls(
    lake: &Lake,
    config: &CallsConfig,
    tokenizer: &ChatTokenizer,
) -> Result<Dataset, QuestionError> {
    crate::dataset::check_name(&config.name)?;
    let files = QuestionFiles::load(&config.questions)?;
    let lake_snapshot = match config.lake_snapshot {
        Some(version) => version,
        None => lake.data_snapshot()?,
    };
    let session = Session::open(
        lake.try_clone()?,
        Some(lake_snapshot),
        ExternalAccess::Denied,
    )?;
    let inventory = Inventory::of(&session)?;
    let video_splits = three_splits(&inventory, config);
    let mut examples = Vec::new();
    let mut seen = HashSet::new();
    let mut funnels: BTreeMap<&str, Funnel> = BTreeMap::new();
    for split in Split::ALL {
        let videos = inventory.videos.iter().zip(&video_splits);
        let videos = videos
            .filter(|(_, of)| **of == split)
            .map(|(video, _)| video.clone());
        let videos: Vec<KnownVideo> = videos.collect();
        if videos.is_empty() {
            continue;
        }
        for question in &files.questions {
            let names_others = question.has("other_video") || question.has("other_subject");
            let maker = Maker {
                files: &files,
                question,
                split,
                // The video that is compared with may be any.
                others: match names_others && split != Split::Train {
                    true => inventory.clone(),
                    false => Inventory::new(videos.clone()),
                },
                inventory: Inventory::new(videos.clone()),
                config,
                tokenizer,
            };
            let funnel = funnels.entry(&question.name).or_default();
            examples.extend(maker.examples(&mut seen, funnel)?);
        }
    }
    if examples.is_empty() {
        return Err(QuestionError::Dataset(DatasetError::Empty {
            rows: 0,
            over_token_budget: funnels.values().map(|f| f.over_token_budget).sum(),
            max_tokens: config.max_tokens,
        }));
    }
    // Training files are read in their order by some tools.
    examples.sort_by_key(|example| (example.split, hash_text(&example.question)));
    let digits = examples.len().to_string().len().max(4);
    for (number, example) in examples.iter_mut().enumerate() {
        example.id = format!("{:0digits$}", number + 1);
    }
    let manifest = manifest(
        config,
        lake_snapshot,
        &files,
        &funnels,
        &inventory,
        &video_splits,
    );
    Ok(Dataset {
        manifest,
        examples,
        recipe_files: files.texts.clone(),
    })
}

/// Whole subjects, or videos, validate; others test.
fn three_splits(inventory: &Inventory, config: &CallsConfig) -> Vec<Split> {
    let of_video = |video: &KnownVideo| SplitVideo {
        video_id: video.video_id.clone(),
        subject: video.subject.clone(),
        frames: video.pose_frames,
    };
    let all: Vec<SplitVideo> = inventory.videos.iter().map(of_video).collect();
    let mut found = splits(&all, config.valid_fraction, config.seed);
    let rest: Vec<usize> = (0..all.len())
        .filter(|i| found[*i] == Split::Train)
        .collect();
    let others: Vec<SplitVideo> = rest.iter().map(|i| all[*i].clone()).collect();
    let tests = splits(&others, config.valid_fraction, config.seed.wrapping_add(1));
    for (place, split) in rest.into_iter().zip(tests) {
        if split == Split::Valid {
            found[place] = Split::Test;
        }
    }
    found
}

fn manifest(
    config: &CallsConfig,
    lake_snapshot: u64,
    files: &QuestionFiles,
    funnels: &BTreeMap<&str, Funnel>,
    inventory: &Inventory,
    video_splits: &[Split],
) -> Manifest {
    let blake3 = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    let recipes = files.questions.iter().map(|question| RecipeRecord {
        task: question.name.clone(),
        about: question.about.clone(),
        weight: question.weight,
        language: DEFAULT_LANGUAGE.into(),
        is_primitive: false,
        sql_blake3: blake3(&question.sql),
        template_blake3: blake3(&files.texts[&format!("{}.jinja", question.name)]),
        funnel: funnels
            .get(question.name.as_str())
            .cloned()
            .unwrap_or_default(),
    });
    let videos = inventory.videos.iter().zip(video_splits);
    let videos = videos.map(|(video, split)| VideoRecord {
        video_id: video.video_id.clone(),
        file_name: video.label.clone(),
        sport: video.sport.clone(),
        subject: video.subject.clone(),
        split: *split,
        pose_model: String::new(),
        pose_model_sha256: String::new(),
    });
    Manifest {
        name: config.name.clone(),
        posedata_version: env!("CARGO_PKG_VERSION").into(),
        format_version: FORMAT_VERSION,
        kind: DatasetKind::Calls,
        format: config.format,
        lake_snapshot,
        seed: config.seed,
        valid_fraction: config.valid_fraction,
        test_fraction: config.valid_fraction,
        preset: None,
        questions_per_table: 1,
        work: Work::Written,
        base: config.base.clone(),
        tokenizer_blake3: config.tokenizer_blake3.clone(),
        max_tokens: config.max_tokens,
        max_examples: config.max_examples,
        near_duplicate_threshold: f64::from(u8::MAX),
        recipes: recipes.collect(),
        videos: videos.collect(),
        synth: Vec::new(),
    }
}

/// Makes the examples of a question for a split.
struct Maker<'a> {
    files: &'a QuestionFiles,
    question: &'a Question,
    split: Split,
    /// The videos of the split.
    inventory: Inventory,
    /// The videos that questions may name.
    others: Inventory,
    config: &'a CallsConfig,
    tokenizer: &'a ChatTokenizer,
}

impl Maker<'_> {
    fn wanted(&self) -> u64 {
        match self.split {
            Split::Train if !self.question.is_trained => 0,
            Split::Valid if !self.question.is_trained => 0,
            Split::Valid => VALID_PER_QUESTION,
            Split::Test => TESTS_PER_QUESTION,
            Split::Train => {
                let trained = self.files.questions.iter().filter(|q| q.is_trained);
                let weights: f64 = trained.map(|q| q.weight).sum();
                let share = self.question.weight / weights.max(f64::MIN_POSITIVE);
                (self.config.max_examples as f64 * share) as u64
            }
        }
    }

    fn examples(
        &self,
        seen: &mut HashSet<String>,
        funnel: &mut Funnel,
    ) -> Result<Vec<Example>, QuestionError> {
        let wanted = self.wanted();
        let key = format!("{} {}", self.question.name, self.split.name());
        let seed = scramble(self.config.seed ^ hash_text(&key));
        let mut examples = Vec::new();
        for number in 0..wanted * TRIES_PER_EXAMPLE {
            if examples.len() as u64 >= wanted {
                break;
            }
            let mut dice = Dice::new(scramble(seed.wrapping_add(number)));
            let Some((question, call, video)) = self.draw(&mut dice)? else {
                continue;
            };
            funnel.rows += 1;
            if !seen.insert(question.clone()) {
                funnel.duplicates += 1;
                continue;
            }
            let example = self.example(question, &call, &video);
            let tokens = TokenCount::of(self.tokenizer, &example.messages());
            let tokens = tokens.map_err(DatasetError::Language)?;
            if tokens.prompt + tokens.answer > self.config.max_tokens {
                funnel.over_token_budget += 1;
                continue;
            }
            funnel.kept += 1;
            examples.push(Example {
                prompt_tokens: tokens.prompt,
                answer_tokens: tokens.answer,
                ..example
            });
        }
        Ok(examples)
    }

    fn example(&self, question: String, call: &Call, video: &KnownVideo) -> Example {
        Example {
            id: String::new(),
            task: self.question.name.clone(),
            split: self.split,
            origin: RECIPE_ORIGIN.into(),
            prompt_hash: None,
            lineage: Lineage {
                video_id: video.video_id.clone(),
                sport: video.sport.clone(),
                person: 0,
                frame_start: 0,
                frame_end: 0,
            },
            facts: serde_json::json!({ "call": call.to_string() }),
            system: CALL_SYSTEM.into(),
            question,
            data: String::new(),
            answer: call.to_string(),
            prompt_tokens: 0,
            answer_tokens: 0,
        }
    }

    /// A question and its call, with the video whose length its times are of; `None` where a draw
    /// gives nothing that the grammar knows.
    fn draw(&self, dice: &mut Dice) -> Result<Option<(String, Call, KnownVideo)>, QuestionError> {
        let video = dice.pick(&self.inventory.videos).clone();
        let mut inventory = self.others.clone();
        if self.split == Split::Train {
            add_made_up(&mut inventory, dice);
        }
        let Some(call) = draw_call(self.question, &inventory, &video, dice) else {
            return Ok(None);
        };
        let is_follow_up = self.question.name != CANNOT_TELL && dice.is_lucky(FOLLOW_UPS);
        let (previous, call, text) = match is_follow_up {
            true => match follow_up(self.question, &call, &inventory, &video, dice) {
                Some((next, text)) => (Some(call), next, text),
                None => return Ok(None),
            },
            false => match self.words(&call, &inventory, dice)? {
                Some(text) => (None, call, text),
                None => return Ok(None),
            },
        };
        let text = noise::typed(&text, dice);
        // What no call can say is not asked; what the phrases wrongly rule out is, and counts as wrong.
        let mentions = Mentions::of(&text, previous.as_ref(), &inventory);
        let grammar = Grammar::without_phrases(self.files, &mentions);
        let is_known = mentions.unknown_videos.is_empty() && gives(&grammar, &call.to_string());
        Ok(is_known.then(|| (asked(previous.as_ref(), &text), call, video)))
    }

    /// One of the split's paraphrases, with the call's values in it.
    fn words(
        &self,
        call: &Call,
        inventory: &Inventory,
        dice: &mut Dice,
    ) -> Result<Option<String>, QuestionError> {
        let lines = self.files.words.paraphrases(self.question, call)?;
        let own = lines.iter().enumerate().filter(|(index, line)| {
            !line.is_empty() && self.is_own(*index) && fits(self.question, call, line)
        });
        let own: Vec<&String> = own.map(|(_, line)| line).collect();
        if own.is_empty() {
            return Ok(None);
        }
        let line = dice.pick(&own);
        let line = match dice.is_lucky(SLIPS) {
            true => noise::slip_in(line, (OPEN, CLOSE), dice),
            false => (*line).clone(),
        };
        let text = filled(self.question, call, &line, dice);
        // A video that is named makes no answer.
        let names_video = self.question.name == CANNOT_TELL && dice.is_lucky(NAMED_VIDEOS);
        Ok(Some(match names_video {
            true => {
                let video = &dice.pick(&inventory.videos).label;
                let video = noise::video(video, dice);
                format!("{} in {video}", text.trim_end_matches(['?', '.']))
            }
            false => text,
        }))
    }

    /// Whether a paraphrase belongs to the split; that of a question which is never trained always.
    fn is_own(&self, line: usize) -> bool {
        if !self.question.is_trained {
            return true;
        }
        let key = format!("paraphrase {} {line}", self.question.name);
        let place = scramble(hash_text(&key) ^ self.config.seed) % 100;
        let of = if place < TEST_PARAPHRASES {
            Split::Test
        } else if place < TEST_PARAPHRASES + VALID_PARAPHRASES {
            Split::Valid
        } else {
            Split::Train
        };
        of == self.split
    }
}

/// A call of a question with values of the inventory, and times of a video.
fn draw_call(
    question: &Question,
    inventory: &Inventory,
    video: &KnownVideo,
    dice: &mut Dice,
) -> Option<Call> {
    let mut slots: Vec<(String, String)> = Vec::new();
    let has_window = question.has("from_secs") && question.has("to_secs");
    let mut ends = [dice.number(video.first_secs, video.end_secs(), 2), 0.0];
    ends[1] = dice.number(ends[0], video.end_secs(), 2);
    let window = dice.below(20);
    for parameter in &question.parameters {
        let name = parameter.name.as_str();
        let is_necessary = parameter.default.is_none();
        let value = match &parameter.kind {
            ParameterType::Time if has_window && ["from_secs", "to_secs"].contains(&name) => {
                let place = usize::from(name == "to_secs");
                let is_given = is_necessary
                    || match window {
                        0..=11 => false,
                        12..=16 => true,
                        17 => place == 0,
                        _ => place == 1,
                    };
                is_given.then(|| ends[place].to_string())
            }
            ParameterType::Time => Some(
                dice.number(video.first_secs, video.end_secs(), 2)
                    .to_string(),
            ),
            ParameterType::Number => Some(dice.number(20.0, 175.0, 1).to_string()),
            ParameterType::Integer => Some(dice.below(10).to_string()),
            ParameterType::Video => {
                let is_named =
                    name != "video" || question.has("other_video") || dice.is_lucky(NAMED_VIDEOS);
                is_named.then(|| dice.pick(&inventory.videos).label.clone())
            }
            ParameterType::Person => dice
                .is_lucky(NAMED_PEOPLE)
                .then(|| dice.below(4).to_string()),
            ParameterType::Subject => {
                let subjects = &inventory.subjects;
                let subject = subjects.get(dice.below(subjects.len().max(1)))?;
                Some(Inventory::subject_label(subject))
            }
            kind => {
                let choices = kind.choices();
                let is_given = is_necessary || dice.is_lucky(OPTIONAL_VALUES);
                is_given.then(|| (*dice.pick(&choices)).to_owned())
            }
        };
        slots.extend(value.map(|value| (name.to_owned(), value)));
    }
    Some(Call {
        question: question.name.clone(),
        slots,
    })
}

/// Videos and subjects that nobody has.
fn add_made_up(inventory: &mut Inventory, dice: &mut Dice) {
    if !dice.is_lucky(MADE_UP) {
        return;
    }
    let made_up = (0..3).map(|_| {
        let label = format!(
            "{}{}.{}",
            dice.pick(&STEMS),
            dice.below(1000),
            dice.pick(&SUFFIXES)
        );
        KnownVideo {
            video_id: label.clone(),
            name: label.clone(),
            label,
            subject: Some((*dice.pick(&SUBJECTS)).to_owned()),
            duration_secs: 60.0,
            main_person: Some(0),
            ..KnownVideo::default()
        }
    });
    *inventory = Inventory::new(made_up.collect());
}

/// Whether a paraphrase says what the call does: every value that is not in the words themselves.
fn fits(question: &Question, call: &Call, line: &str) -> bool {
    let has = |name: &str| line.contains(&format!("{OPEN}{name}{CLOSE}"));
    let says = |name: &str| has(name) || line.contains(&format!("{OPEN}{name}{SAID}{CLOSE}"));
    question.parameters.iter().all(|parameter| {
        let name = parameter.name.as_str();
        let is_said = says(name)
            || match name {
                "from_secs" | "to_secs" => has("during") || has("span"),
                "video" | "person" => has("where") || has("where_first"),
                _ => matches!(parameter.kind, ParameterType::Choice(_)),
            };
        match call.value(name) {
            Some(_) => is_said,
            None => !says(name),
        }
    })
}

/// A paraphrase with the call's values.
fn filled(question: &Question, call: &Call, line: &str, dice: &mut Dice) -> String {
    let mut text = String::new();
    for (index, part) in line.split(OPEN).enumerate() {
        match part.split_once(CLOSE) {
            Some((name, rest)) if index > 0 => {
                text.push_str(&spoken(question, call, name, dice));
                text.push_str(rest);
            }
            _ => text.push_str(part),
        }
    }
    text
}

/// A value, or a group of them, in words.
fn spoken(question: &Question, call: &Call, name: &str, dice: &mut Dice) -> String {
    let ends = (call.value("from_secs"), call.value("to_secs"));
    let with_space = |text: String| match text.is_empty() {
        true => text,
        false => format!(" {text}"),
    };
    match name {
        "during" => return with_space(noise::during(ends.0, ends.1, dice)),
        "span" => return noise::during(ends.0, ends.1, dice),
        "where" => return with_space(place(call, dice)),
        "where_first" => {
            let place = place(call, dice);
            return match place.is_empty() {
                true => place,
                false => format!("{place}, "),
            };
        }
        _ => {}
    }
    let parameter = question.parameters.iter().find(|p| p.name == name);
    match (parameter, call.value(name)) {
        (Some(parameter), Some(value)) => value_in_words(parameter, value, dice),
        // What the words around it say already.
        _ => String::new(),
    }
}

fn value_in_words(parameter: &Parameter, value: &str, dice: &mut Dice) -> String {
    match parameter.kind {
        ParameterType::Time => noise::at(value, dice),
        ParameterType::Number => noise::degrees(value, dice),
        ParameterType::Angle | ParameterType::Landmark => noise::body_part(value, dice),
        ParameterType::Video => noise::video(value, dice),
        _ => value.replace('_', " "),
    }
}

/// Where it is to be: the person and the video.
fn place(call: &Call, dice: &mut Dice) -> String {
    let video = call.value("video").map(|label| noise::video(label, dice));
    let person = call.value("person");
    match (video, person) {
        (None, None) => String::new(),
        (None, Some(person)) => format!("of person {person}"),
        (Some(video), Some(person)) => format!("of person {person} in {video}"),
        (Some(video), None) => match dice.below(6) {
            0 => format!("of {video}"),
            1 => format!("in the video {video}"),
            2 => format!("({video})"),
            3 => format!("for {video}"),
            _ => format!("in {video}"),
        },
    }
}

/// A question that goes on from the call before: one value changes, the others stay; a video that is
/// not named again stays without being said.
fn follow_up(
    question: &Question,
    previous: &Call,
    inventory: &Inventory,
    video: &KnownVideo,
    dice: &mut Dice,
) -> Option<(Call, String)> {
    if question.parameters.is_empty() {
        return None;
    }
    let parameter = dice.pick(&question.parameters);
    let old = previous.value(&parameter.name);
    let words;
    let new = match &parameter.kind {
        ParameterType::Angle | ParameterType::Landmark => {
            let old = old?;
            let other_side = match old.split_once('_') {
                Some(("left", part)) => Some(("right", format!("right_{part}"))),
                Some(("right", part)) => Some(("left", format!("left_{part}"))),
                _ => None,
            };
            match other_side {
                Some((side, other)) if dice.is_lucky(60) => {
                    words =
                        (*dice.pick(&["the {} one", "the {}", "{}", "on the {}", "the {} side"]))
                            .replace("{}", side);
                    other
                }
                _ => {
                    let choices = parameter.kind.choices();
                    let other = (*dice.pick(&choices)).to_owned();
                    words = format!("the {}", noise::body_part(&other, dice));
                    other
                }
            }
        }
        ParameterType::Choice(choices) => {
            let other = dice.pick(choices).clone();
            // "Largest" may be the one with the most of it as well.
            let word = match other.as_str() {
                "smallest" => "minimum".into(),
                "largest" => "maximum".into(),
                other => other.replace('_', " "),
            };
            words = format!("the {word}");
            other
        }
        ParameterType::Video if parameter.name == "video" && !question.has("other_video") => {
            let other = dice.pick(&inventory.videos).label.clone();
            words = format!(
                "{}{}",
                dice.pick(&["in ", "", "for "]),
                noise::video(&other, dice)
            );
            other
        }
        ParameterType::Time if parameter.name == "at_secs" => {
            let other = dice
                .number(video.first_secs, video.end_secs(), 2)
                .to_string();
            words = noise::at(&other, dice);
            other
        }
        _ => return None,
    };
    if old == Some(new.as_str()) {
        return None;
    }
    let changed = question.parameters.iter().filter_map(|p| {
        let value = match p.name == parameter.name {
            true => Some(new.as_str()),
            // The circumstances of the question before stay as they were.
            false if p.name == "video" && !question.has("other_video") => None,
            false => previous.value(&p.name),
        };
        Some((p.name.clone(), value?.to_owned()))
    });
    let call = Call {
        question: question.name.clone(),
        slots: changed.collect(),
    };
    let frame = dice.pick(&[
        "and {}?",
        "And {}?",
        "what about {}?",
        "same for {}",
        "how about {}?",
        "{}?",
    ]);
    Some((call, frame.replace("{}", &words)))
}

/// Whether a grammar gives a text.
fn gives(grammar: &Grammar, text: &str) -> bool {
    fn goes_on(grammar: &Grammar, place: &Place, rest: &str) -> bool {
        if rest.is_empty() {
            return grammar.may_end(place);
        }
        let next = grammar.next(place).into_iter();
        let mut fitting = next.filter_map(|(text, place)| {
            let rest = rest.strip_prefix(text.as_str())?;
            (rest.is_empty() || rest.starts_with(' ')).then_some((rest, place))
        });
        fitting.any(|(rest, place)| goes_on(grammar, &place, rest))
    }
    goes_on(grammar, &grammar.start(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that are drawn for each question.
    const DRAWS: u64 = 160;

    fn inventory() -> Inventory {
        let videos = [("demo.mp4", "Ben"), ("run2.mp4", "Kim")];
        let videos = videos.map(|(name, subject)| KnownVideo {
            video_id: name.into(),
            label: name.into(),
            name: name.into(),
            subject: Some(subject.into()),
            duration_secs: 10.0,
            main_person: Some(0),
            pose_frames: 1,
            ..KnownVideo::default()
        });
        Inventory::new(videos.into())
    }

    #[test]
    fn no_words_of_a_header_rule_out_what_a_paraphrase_means() {
        let files = QuestionFiles::load(Path::new("queries/ask")).expect("shipped questions");
        let inventory = inventory();
        let mut ruled_out = Vec::new();
        let mut asked = 0;
        for question in &files.questions {
            for seed in 0..DRAWS {
                let mut dice = Dice::new(scramble(seed));
                let call = draw_call(question, &inventory, &inventory.videos[0], &mut dice);
                let Some(call) = call else { continue };
                let lines = files
                    .words
                    .paraphrases(question, &call)
                    .expect("paraphrases");
                let fitting = lines
                    .iter()
                    .filter(|line| !line.is_empty() && fits(question, &call, line));
                let fitting: Vec<&String> = fitting.collect();
                if fitting.is_empty() {
                    continue;
                }
                let line = *dice.pick(&fitting);
                let text = filled(question, &call, line, &mut dice);
                let mentions = Mentions::of(&text, None, &inventory);
                let call = call.to_string();
                if !gives(&Grammar::without_phrases(&files, &mentions), &call) {
                    continue;
                }
                asked += 1;
                if !gives(&Grammar::new(&files, &mentions), &call) {
                    ruled_out.push(format!("{text}\n    {call}"));
                }
            }
        }
        assert!(asked > 2000, "{asked}");
        assert!(
            ruled_out.is_empty(),
            "{} of {asked}:\n{}",
            ruled_out.len(),
            ruled_out.join("\n")
        );
    }
}
