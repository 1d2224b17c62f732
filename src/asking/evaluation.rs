//! How often a model chooses the right call, how often the numbers are right, and how often it is
//! sure and wrong.
//!
//! The threshold below which it asks back is chosen on the valid split; the test split is looked at
//! once, with that threshold.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::AskError;
use super::asker::choose;
use super::record::AskRecord;
use crate::dataset::{Dataset, Example, Split};
use crate::llama::LoadedModel;
use crate::numbers::wilson_interval;
use crate::query::Session;
use crate::questions::{
    Answer, Context, Grammar, Inventory, KnownVideo, Mentions, Paraphrases, QuestionFiles, answer,
};
use crate::sync::Cancellation;

/// The share of confident wrong answers that a threshold may leave on the valid split.
const MOST_CONFIDENT_WRONG: f64 = 0.02;
/// Lowest threshold: below, another reading is nearly as likely, however few of the examples are so.
const LOWEST_THRESHOLD: f64 = 0.6;
/// Highest threshold: above, hardly anything is answered.
const HIGHEST_THRESHOLD: f64 = 0.95;

/// A question with what the model made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallAnswer {
    /// As in the dataset.
    pub id: String,
    /// The question that is right.
    pub task: String,
    /// As it was typed; behind the call before, where there is one.
    pub question: String,
    /// The call that is right.
    pub expected: String,
    /// The call that was chosen.
    pub chosen: String,
    /// Its probability.
    pub probability: f64,
    /// Whether all slots are right.
    pub is_call_right: bool,
    /// Whether the values are those of the right call, or both refuse.
    pub is_number_right: bool,
    /// Whether nothing is answered: it asks back, or the chosen call refuses.
    pub is_refused: bool,
}

/// Sums over some questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CallScores {
    /// Questions.
    pub asked: usize,
    /// All slots right, whatever the threshold.
    pub calls_right: usize,
    /// The right values were answered, or rightly none.
    pub numbers_right: usize,
    /// Asked back, or refused what could be answered.
    pub refused: usize,
    /// Answered with other values, without asking back.
    pub confidently_wrong: usize,
    /// Lower and upper end of the 95 % interval of `calls_right / asked` (Wilson 1927).
    pub calls_interval: [f64; 2],
    /// The same of `numbers_right / asked`.
    pub numbers_interval: [f64; 2],
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEvaluation {
    /// Name of the dataset.
    pub dataset: String,
    /// Of its content.
    pub dataset_blake3: String,
    /// Chosen on the valid split.
    pub threshold: f64,
    /// Which examples were asked.
    pub split: Split,
    /// Names of the videos that the split asks about.
    pub videos: Vec<String>,
    /// Questions that no training example is made of.
    pub untrained: Vec<String>,
    /// The questions that training examples are made of.
    pub trained: CallScores,
    /// By question.
    pub tasks: BTreeMap<String, CallScores>,
    /// For everything, without loading.
    pub elapsed_secs: f64,
    /// In the order of the dataset.
    pub answers: Vec<CallAnswer>,
}

impl CallScores {
    fn of<'a>(answers: impl Iterator<Item = &'a CallAnswer>, threshold: f64) -> Self {
        let mut scores = Self::default();
        for answer in answers {
            let asks_back = answer.probability < threshold;
            scores.asked += 1;
            scores.calls_right += usize::from(answer.is_call_right);
            scores.numbers_right += usize::from(answer.is_number_right && !asks_back);
            let is_wrong = !answer.is_number_right;
            scores.refused += usize::from(asks_back || is_wrong && answer.is_refused);
            scores.confidently_wrong += usize::from(!asks_back && is_wrong && !answer.is_refused);
        }
        scores.calls_interval = wilson_interval(scores.calls_right, scores.asked);
        scores.numbers_interval = wilson_interval(scores.numbers_right, scores.asked);
        scores
    }
}

/// Asks an adapter the examples of a split of a dataset of calls, at most `per_task` of each question.
/// The valid split chooses the adapter's threshold as well. `done` is told how many have been answered; `None` when it was cancelled.
///
/// # Errors
/// When the dataset's questions are broken, the adapter does not fit, or the computation fails.
#[allow(
    clippy::too_many_arguments,
    reason = "each is a part of what is judged"
)]
pub fn evaluate_calls(
    model: &LoadedModel,
    adapter_folder: &Path,
    dataset: &Dataset,
    questions: &Path,
    session: &Session,
    split: Split,
    per_task: usize,
    cancellation: &Cancellation,
    mut done: impl FnMut(usize),
) -> Result<Option<CallEvaluation>, AskError> {
    let started = Instant::now();
    let mut record = AskRecord::of_adapter(adapter_folder)?;
    let files = QuestionFiles::load(questions)?;
    let judge = Judge {
        model,
        adapter: model.adapter(adapter_folder)?,
        paraphrases: Paraphrases::of(&files)?,
        questions: record.questions.clone(),
        files,
        known: known_videos(dataset),
        lake: Inventory::of(session)?,
        session,
        cancellation,
    };
    let mut count = 0;
    let mut ask = |split| -> Result<Option<Vec<CallAnswer>>, AskError> {
        let mut answers = Vec::new();
        for example in sample(dataset, split, per_task) {
            if cancellation.is_cancelled() {
                return Ok(None);
            }
            answers.push(judge.ask(example)?);
            count += 1;
            done(count);
        }
        Ok(Some(answers))
    };
    let Some(answers) = ask(split)? else {
        return Ok(None);
    };
    if split == Split::Valid && !answers.is_empty() {
        record.threshold = threshold(&answers);
        record.is_threshold_chosen = true;
        record.save(adapter_folder)?;
    }
    let is_trained = |task: &str| judge.files.find(task).is_none_or(|q| q.is_trained);
    let trained = answers.iter().filter(|a| is_trained(&a.task));
    let mut tasks: BTreeMap<String, CallScores> = BTreeMap::new();
    for answer in &answers {
        let of_task = answers.iter().filter(|a| a.task == answer.task);
        tasks
            .entry(answer.task.clone())
            .or_insert_with(|| CallScores::of(of_task, record.threshold));
    }
    let videos = dataset.manifest.videos.iter();
    let untrained = judge.files.questions.iter().filter(|q| !q.is_trained);
    Ok(Some(CallEvaluation {
        dataset: dataset.manifest.name.clone(),
        dataset_blake3: dataset.content_blake3(),
        threshold: record.threshold,
        split,
        videos: videos
            .filter(|video| video.split == split)
            .map(|video| video.file_name.clone())
            .collect(),
        untrained: untrained.map(|q| q.name.clone()).collect(),
        trained: CallScores::of(trained, record.threshold),
        tasks,
        elapsed_secs: started.elapsed().as_secs_f64(),
        answers,
    }))
}

/// The lowest threshold that leaves few confident wrong answers; the lower, the more is answered.
fn threshold(valid: &[CallAnswer]) -> f64 {
    let is_wrong = |answer: &&CallAnswer| !answer.is_number_right && !answer.is_refused;
    let mut wrong: Vec<f64> = valid
        .iter()
        .filter(is_wrong)
        .map(|a| a.probability)
        .collect();
    wrong.sort_by(|a, b| b.total_cmp(a));
    let allowed = (MOST_CONFIDENT_WRONG * valid.len() as f64) as usize;
    // The first that must not be answered; a little above it is enough.
    let bound = wrong.get(allowed).copied().unwrap_or(0.0);
    (bound + 0.01).clamp(LOWEST_THRESHOLD, HIGHEST_THRESHOLD)
}

/// The first examples of each task; they are in no order.
fn sample(dataset: &Dataset, split: Split, per_task: usize) -> Vec<&Example> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = dataset.of_split(split);
    chosen.retain(|example| {
        let count = counts.entry(&example.task).or_default();
        *count += 1;
        *count <= per_task
    });
    chosen
}

/// The videos that the dataset knows, as if they were all in the lake.
fn known_videos(dataset: &Dataset) -> Inventory {
    let videos = dataset.manifest.videos.iter().map(|video| KnownVideo {
        video_id: video.video_id.clone(),
        label: video.file_name.clone(),
        name: video.file_name.clone(),
        sport: video.sport.clone(),
        subject: video.subject.clone(),
        ..KnownVideo::default()
    });
    Inventory::new(videos.collect())
}

struct Judge<'a> {
    model: &'a LoadedModel,
    adapter: crate::llama::Adapter,
    files: QuestionFiles,
    paraphrases: Paraphrases,
    /// Those that the adapter has seen.
    questions: Vec<String>,
    known: Inventory,
    lake: Inventory,
    session: &'a Session,
    cancellation: &'a Cancellation,
}

impl Judge<'_> {
    fn ask(&self, example: &Example) -> Result<CallAnswer, AskError> {
        let (previous, question) = match example.question.split_once('\n') {
            Some((previous, question)) => (Some(self.files.call(previous)?), question),
            None => (None, example.question.as_str()),
        };
        let mentions = Mentions::of(question, previous.as_ref(), &self.known);
        let grammar = Grammar::new(&self.files, &mentions);
        let grammar = self
            .paraphrases
            .with_unseen(grammar, question, &self.questions);
        let readings = choose(
            self.model,
            &self.adapter,
            &grammar,
            question,
            previous.as_ref(),
            self.cancellation,
        )?;
        let best = readings.first();
        let chosen = best.map_or("", |reading| reading.text.as_str());
        let video = self.lake.video_of_id(&example.lineage.video_id);
        let context = Context {
            video: video.map(|video| video.label.clone()),
            person: None,
        };
        let expected = self.run(&example.answer, &context)?;
        let found = self.run(chosen, &context)?;
        let is_number_right = match (expected.refused, found.refused) {
            (true, true) => true,
            (false, false) => expected.values == found.values,
            _ => false,
        };
        Ok(CallAnswer {
            id: example.id.clone(),
            task: example.task.clone(),
            question: example.question.clone(),
            expected: example.answer.clone(),
            chosen: chosen.into(),
            probability: best.map_or(0.0, |reading| reading.probability),
            is_call_right: chosen == example.answer,
            is_number_right,
            is_refused: found.refused,
        })
    }

    fn run(&self, call: &str, context: &Context) -> Result<Answer, AskError> {
        let call = self.files.call(call)?;
        Ok(answer(
            &self.files,
            self.session,
            &self.lake,
            &call,
            context,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_leaves_few_confident_wrong_answers() {
        let answer = |probability: f64, is_number_right: bool| CallAnswer {
            id: String::new(),
            task: String::new(),
            question: String::new(),
            expected: String::new(),
            chosen: String::new(),
            probability,
            is_call_right: is_number_right,
            is_number_right,
            is_refused: false,
        };
        let mut answers: Vec<CallAnswer> = (0..98).map(|_| answer(0.9, true)).collect();
        answers.extend([answer(0.8, false), answer(0.7, false)]);
        // Two of a hundred are allowed.
        assert!((threshold(&answers) - LOWEST_THRESHOLD).abs() < 1e-9);
        answers.push(answer(0.6, false));
        assert!((threshold(&answers) - 0.61).abs() < 1e-9);
    }
}
