//! How well a model answers the questions of a dataset, with its adapter and without.
//!
//! Both answer the same examples, greedily, each question by itself with its data; every answer is
//! judged by [`score`], by what follows its work. The loss is that of the known answers' tokens,
//! work and end marks included.

mod card;
mod folder;
mod llama;
mod score;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use crate::dataset::{AnswerKind, Dataset, Example, Split, Written};
use crate::language::{ChatTokenizer, NextTurn};
use crate::llama::generate::{Choice, GenerateError, Limits, NextToken, generate};
use crate::llama::{Batch, LlamaError};
use crate::numbers::wilson_interval;
use crate::sync::Cancellation;
pub use folder::{EVAL_FILE, TRAIN_REPORT_FILE, hash_adapter, read_evaluation, save, write_card};
pub use llama::{Whom, evaluate};
use score::{Question, Score};

/// A model may use this many times the tokens of the known answer, and some more: whoever says more
/// than that does not answer what was asked.
const TOKENS_PER_KNOWN_TOKEN: usize = 2;
const SPARE_TOKENS: usize = 16;
/// What a table shows of a base that was not asked.
const NOT_ASKED: &str = "-";

/// A model under evaluation.
pub trait EvaluatedModel {
    /// Starts to generate a text of at most `max_tokens` tokens, the prompt's included.
    ///
    /// # Errors
    /// When there is no room.
    fn start_text(&mut self, max_tokens: usize) -> Result<Box<dyn NextToken + '_>, LlamaError>;

    /// The negative log-likelihood (nats) of each target.
    ///
    /// # Errors
    /// As [`crate::llama::Trainable::target_nlls`].
    fn target_nlls(&mut self, batch: &Batch) -> Result<Vec<f32>, LlamaError>;
}

/// Asks two models the same questions; this is what they have in common.
pub struct Evaluator<'a> {
    /// Lays prompts out and makes text of answers.
    pub tokenizer: &'a ChatTokenizer,
    /// Most tokens of a prompt and its answer.
    pub max_positions: usize,
    /// Tokens that end an answer.
    pub end_ids: Vec<u32>,
    /// Ends the evaluation, and gives up the question in work.
    pub cancellation: &'a Cancellation,
}

/// Which examples are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Usually valid: what the model has not learned from.
    pub split: Split,
    /// Most examples of a task.
    pub per_task: usize,
    /// Decides which examples of a task, where it has more.
    pub seed: u64,
}

impl Sample {
    /// The examples, in the dataset's order: of each task at most as many as wanted, by chance.
    ///
    /// # Errors
    /// [`EvaluateError::NothingToAsk`] when there are none.
    pub fn of(self, dataset: &Dataset) -> Result<Vec<&Example>, EvaluateError> {
        let mut tasks: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, example) in dataset.examples.iter().enumerate() {
            if example.split == self.split {
                tasks.entry(&example.task).or_default().push(place);
            }
        }
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut chosen: Vec<usize> = Vec::new();
        for places in tasks.values() {
            chosen.extend(places.choose_multiple(&mut random, self.per_task));
        }
        chosen.sort_unstable();
        if chosen.is_empty() {
            let split = self.split.name();
            return Err(EvaluateError::NothingToAsk { split });
        }
        let examples = chosen.into_iter().map(|place| &dataset.examples[place]);
        Ok(examples.collect())
    }
}

/// A model's answer to an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the model wrote, until it ended or was cut off.
    pub text: String,
    /// By the kind of the question: its numbers, its rows, or its words. Where the known answer
    /// has work, a text without the mark that ends it is wrong.
    pub is_right: bool,
    /// F1 of the numbers, rows or words, 0 to 1.
    pub f1: f64,
    /// Word for word the known answer.
    pub is_identical: bool,
    /// Summed negative log-likelihood of the known answer, in nats.
    pub nll: f64,
}

/// An example with what both models make of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// As in the dataset.
    pub id: String,
    /// Recipe of the example, or `synth_` and the recipe.
    pub task: String,
    /// By what the answers are judged.
    pub kind: AnswerKind,
    /// Without its data.
    pub question: String,
    /// What the dataset would have the model say, without the work.
    pub known_answer: String,
    /// Tokens of the known answer, with its work and its end mark.
    pub known_tokens: usize,
    /// Of the model without the adapter, if it was asked.
    pub base: Option<Answer>,
    /// Of the model with it.
    pub adapter: Answer,
}

/// One model's results over some examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Answers that are right.
    pub right: usize,
    /// Lower and upper end of the 95 % interval of the share of right answers (Wilson 1927).
    #[serde(default = "unknown_share")]
    pub right_interval: [f64; 2],
    /// Answers that are the known ones word by word.
    pub identical: usize,
    /// Over all answers, 0 to 1.
    pub mean_f1: f64,
    /// Nats for each token of the known answers.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
}

impl Scores {
    fn of<'a>(answers: impl Iterator<Item = (&'a Answer, usize)> + Clone) -> Self {
        let count = answers.clone().count().max(1) as f64;
        let tokens: usize = answers.clone().map(|(_, tokens)| tokens).sum();
        let nll: f64 = answers.clone().map(|(answer, _)| answer.nll).sum();
        let loss = nll / tokens.max(1) as f64;
        let f1: f64 = answers.clone().map(|(answer, _)| answer.f1).sum();
        let number = |is: fn(&Answer) -> bool| answers.clone().filter(|(a, _)| is(a)).count();
        let right = number(|answer| answer.is_right);
        Self {
            right,
            right_interval: wilson_interval(right, answers.clone().count()),
            identical: number(|answer| answer.is_identical),
            mean_f1: f1 / count,
            loss,
            perplexity: loss.exp(),
        }
    }
}

/// A share of which nothing is known.
fn unknown_share() -> [f64; 2] {
    [0.0, 1.0]
}

/// Both models' results over some examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Questions, which both models were asked.
    pub asked: usize,
    /// Of the model without the adapter, if it was asked.
    pub base: Option<Scores>,
    /// Of the model with it.
    pub adapter: Scores,
}

impl Comparison {
    fn of<'a>(answered: impl Iterator<Item = &'a Answered> + Clone) -> Self {
        let of_base = answered.clone();
        let of_base = of_base.filter_map(|a| Some((a.base.as_ref()?, a.known_tokens)));
        Self {
            asked: answered.clone().count(),
            base: of_base.clone().next().map(|_| Scores::of(of_base)),
            adapter: Scores::of(answered.map(|a| (&a.adapter, a.known_tokens))),
        }
    }

    /// How many times as often the adapter is right; `None` when the base never is, or was not
    /// asked.
    pub fn ratio(&self) -> Option<f64> {
        let base = self.base.filter(|base| base.right > 0)?;
        Some(self.adapter.right as f64 / base.right as f64)
    }

    /// The 95 % interval of the share that the adapter answers rightly, as tables show it.
    pub fn interval_in_percent(&self) -> String {
        let [low, high] = wilson_interval(self.adapter.right, self.asked);
        format!("{:.0}-{:.0} %", 100.0 * low, 100.0 * high)
    }

    /// The comparison in a few words.
    pub fn in_words(&self) -> String {
        let Self {
            asked,
            base,
            adapter,
        } = self;
        let without = match base {
            Some(base) => format!(", {} of {asked} without", base.right),
            None => String::new(),
        };
        let times = match self.ratio() {
            Some(ratio) => format!(", {ratio:.1} times as many"),
            None => String::new(),
        };
        format!(
            "{} of {asked} right with the adapter{without}{times}",
            adapter.right
        )
    }
}

/// The result of an evaluation: what `eval.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// As the user named it.
    pub base: String,
    /// The adapter's folder, as the user named it.
    pub adapter: String,
    /// Of the adapter's weights.
    pub adapter_blake3: String,
    /// Its name.
    pub dataset: String,
    /// Of the dataset's content, so that another one of that name is told apart.
    pub dataset_blake3: String,
    /// Version of the lake that the dataset was built from.
    pub lake_snapshot: u64,
    /// Which examples were asked.
    #[serde(flatten)]
    pub sample: Sample,
    /// Names of the videos that the questions are about.
    #[serde(default)]
    pub videos: Vec<String>,
    /// How the base's weights were kept.
    pub precision: String,
    /// All questions.
    pub all: Comparison,
    /// Questions whose answers are judged by their numbers.
    pub numeric: Comparison,
    /// By recipe.
    pub tasks: BTreeMap<String, Comparison>,
    /// For both models, without loading.
    pub elapsed_secs: f64,
    /// Version of the program that asked.
    pub posedata_version: String,
    /// In the order of the dataset.
    pub answers: Vec<Answered>,
}

/// What was evaluated, for the record.
#[derive(Clone, Debug)]
pub struct EvaluationSetup {
    /// As the user named it.
    pub base: String,
    /// The adapter's folder, as the user named it.
    pub adapter: String,
    /// Of the adapter's weights.
    pub adapter_blake3: String,
    /// How the base's weights are kept.
    pub precision: String,
    /// Which examples are asked.
    pub sample: Sample,
    /// Names of the videos that they are about.
    pub videos: Vec<String>,
}

impl Evaluation {
    /// Sums answers up.
    pub fn new(
        setup: EvaluationSetup,
        dataset: &str,
        dataset_blake3: &str,
        lake_snapshot: u64,
        answers: Vec<Answered>,
        elapsed_secs: f64,
    ) -> Self {
        let mut tasks: BTreeMap<String, Comparison> = BTreeMap::new();
        for answered in &answers {
            let of_task = answers.iter().filter(|a| a.task == answered.task);
            tasks
                .entry(answered.task.clone())
                .or_insert_with(|| Comparison::of(of_task));
        }
        let numeric = answers.iter().filter(|a| a.kind == AnswerKind::Number);
        Self {
            base: setup.base,
            adapter: setup.adapter,
            adapter_blake3: setup.adapter_blake3,
            dataset: dataset.into(),
            dataset_blake3: dataset_blake3.into(),
            lake_snapshot,
            sample: setup.sample,
            videos: setup.videos,
            precision: setup.precision,
            all: Comparison::of(answers.iter()),
            numeric: Comparison::of(numeric),
            tasks,
            elapsed_secs,
            posedata_version: env!("CARGO_PKG_VERSION").into(),
            answers,
        }
    }

    /// Names of the table's columns, for [`Self::rows`].
    pub const COLUMNS: [&str; 9] = [
        "task",
        "asked",
        "right, base",
        "right, adapter",
        "95 % interval",
        "F1, base",
        "F1, adapter",
        "perplexity, base",
        "perplexity, adapter",
    ];

    /// The results as a table: a row for each task, then the sums.
    pub fn rows(&self) -> Vec<[String; 9]> {
        let sums = [("all", &self.all), ("numeric questions", &self.numeric)];
        let tasks = self
            .tasks
            .iter()
            .map(|(task, scores)| (task.as_str(), scores));
        let rows = tasks.chain(sums).map(|(name, scores)| {
            let of_base = |text: fn(&Scores) -> String| {
                let text = scores.base.as_ref().map(text);
                text.unwrap_or_else(|| NOT_ASKED.into())
            };
            [
                name.to_owned(),
                scores.asked.to_string(),
                of_base(|base| base.right.to_string()),
                scores.adapter.right.to_string(),
                scores.interval_in_percent(),
                of_base(|base| format!("{:.2}", base.mean_f1)),
                format!("{:.2}", scores.adapter.mean_f1),
                of_base(|base| format!("{:.2}", base.perplexity)),
                format!("{:.2}", scores.adapter.perplexity),
            ]
        });
        rows.collect()
    }
}

/// What can go wrong with an evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The dataset has no example to ask.
    #[error(
        "the dataset has no examples in its {split} split; build it with more videos, or look at another split"
    )]
    NothingToAsk {
        /// Its name.
        split: &'static str,
    },
    /// A model cannot be asked one of the questions.
    #[error("example {id}: {source}")]
    Example {
        /// Of the example.
        id: String,
        /// What went wrong.
        source: Box<GenerateError>,
    },
    /// The adapter's weights, or an earlier evaluation, cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// `eval.json` is there, and is not what posedata writes.
    #[error("the file is damaged: {path}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The results cannot be kept; they are lost.
    #[error("cannot write {what}: {path}")]
    Write {
        /// Which file it is, with its article.
        what: &'static str,
        /// The file that was to be made.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The adapter does not fit the base, or the computation fails.
    #[error(transparent)]
    Llama(#[from] LlamaError),
}

impl Evaluator<'_> {
    /// Asks both models, or the adapter alone, all examples; `done` is told how many have been
    /// answered. `None` when it was cancelled.
    ///
    /// # Errors
    /// When a prompt is longer than the model takes, or the computation fails.
    pub fn ask(
        &self,
        dataset: &Dataset,
        examples: &[&Example],
        mut base: Option<&mut dyn EvaluatedModel>,
        adapter: &mut dyn EvaluatedModel,
        done: &mut dyn FnMut(usize),
    ) -> Result<Option<Vec<Answered>>, EvaluateError> {
        let mut answered = Vec::with_capacity(examples.len());
        for example in examples {
            let base = base.as_deref_mut();
            let base = base.map(|base| base as &mut dyn EvaluatedModel);
            let of_example = self.ask_both(dataset, example, base, adapter);
            // An answer that was cut off counts as little as one that failed for that reason.
            if self.cancellation.is_cancelled() {
                return Ok(None);
            }
            answered.push(of_example.map_err(|source| EvaluateError::Example {
                id: example.id.clone(),
                source: Box::new(source),
            })?);
            done(answered.len());
        }
        Ok(Some(answered))
    }

    fn ask_both(
        &self,
        dataset: &Dataset,
        example: &Example,
        base: Option<&mut dyn EvaluatedModel>,
        adapter: &mut dyn EvaluatedModel,
    ) -> Result<Answered, GenerateError> {
        let question = Question {
            question: &example.question,
            data: &example.data,
            answer: example.reply(),
            declared: dataset.answer_kind(example),
        };
        let batch = Batch::of_chats([&self.tokenizer.encode(&example.messages())?]);
        let prompt = self
            .tokenizer
            .render(&example.prompt(), NextTurn::Assistant)?;
        let prompt = self.tokenizer.tokens(&prompt)?;
        let limits = Limits {
            choice: Choice::Greedy,
            max_tokens: TOKENS_PER_KNOWN_TOKEN * batch.targets.len() + SPARE_TOKENS,
            max_positions: self.max_positions,
            end_ids: self.end_ids.clone(),
        };
        let ask = |model: &mut dyn EvaluatedModel| -> Result<Answer, GenerateError> {
            let nlls = model.target_nlls(&batch)?;
            let mut text = model.start_text(prompt.len() + limits.max_tokens)?;
            let on_text = &mut |_: &str| match self.cancellation.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let generated = generate(&mut *text, self.tokenizer, &prompt, &limits, on_text)?;
            let written = Written::of(&generated.text);
            // Without the mark a number among the steps could be right by accident.
            let score = match example.has_work() && written.work.is_none() {
                true => Score::WRONG,
                false => question.score(written.answer),
            };
            Ok(Answer {
                text: generated.text,
                is_right: score.is_right,
                f1: score.f1,
                is_identical: score.is_identical,
                nll: nlls.iter().map(|nll| f64::from(*nll)).sum(),
            })
        };
        Ok(Answered {
            id: example.id.clone(),
            task: example.task.clone(),
            kind: question.kind(),
            question: example.question.clone(),
            known_answer: example.reply().into(),
            known_tokens: batch.targets.len(),
            base: base.map(&ask).transpose()?,
            adapter: ask(adapter)?,
        })
    }
}
