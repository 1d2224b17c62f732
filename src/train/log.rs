//! What is told of a run while it goes on: `metrics.jsonl`, TensorBoard's event files, `loss.svg`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use super::tensorboard::EventFile;
use crate::files::{why_not_written, write_atomically};
use crate::plot::{Losses, losses_svg};

pub const METRICS_FILE: &str = "metrics.jsonl";
pub const LOSS_PICTURE: &str = "loss.svg";

/// A line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Measurement {
    Step(Step),
    Evaluation(Evaluation),
}

/// What a step was like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub step: u64,
    /// Epochs done after the step, with the part of the one that goes on.
    pub epoch: f64,
    /// Mean over the step's targets before the update, in nats.
    pub loss: f64,
    /// Of this step's update.
    pub learning_rate: f64,
    /// L2 over all gradients, before they were clipped.
    pub gradient_norm: f64,
    /// Tokens of the step's texts.
    pub tokens: u64,
    /// Tokens of them that are in the loss.
    pub targets: u64,
    /// Of the step's tokens, over its time without evaluations.
    pub tokens_per_sec: f64,
    /// Since the run began, the parts before it was resumed included.
    pub elapsed_secs: f64,
}

/// What an evaluation on the valid split gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done; 0 before the first.
    pub step: u64,
    /// Mean over all targets, in nats.
    pub loss: f64,
    /// e to the loss.
    pub perplexity: f64,
    /// Tokens of the valid split that were predicted.
    pub targets: u64,
    /// Time that the evaluation took.
    pub secs: f64,
    /// Since the run began, the parts before it was resumed included.
    pub elapsed_secs: f64,
}

impl Measurement {
    fn step(&self) -> u64 {
        match self {
            Self::Step(step) => step.step,
            Self::Evaluation(evaluation) => evaluation.step,
        }
    }
}

/// The files of a run that are written while it goes on.
pub struct Log {
    folder: PathBuf,
    title: String,
    metrics: File,
    events: EventFile,
    losses: Losses,
}

impl Log {
    /// Begins the files, or continues those of a run of which `steps_done` count; `None`: of which
    /// nothing counts. What they hold of later steps goes.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn open(folder: &Path, title: &str, steps_done: Option<u64>) -> Result<Self, TrainError> {
        let log = Self::open_files(folder, title, steps_done);
        log.map_err(|e| TrainError::Write {
            path: folder.into(),
            reason: why_not_written(&e),
        })
    }

    fn open_files(folder: &Path, title: &str, steps_done: Option<u64>) -> io::Result<Self> {
        let path = folder.join(METRICS_FILE);
        let kept = kept_lines(&path, steps_done)?;
        write_atomically(&path, kept.as_bytes())?;
        let mut log = Self {
            folder: folder.into(),
            title: title.into(),
            metrics: File::options().append(true).open(&path)?,
            // Where nothing counts, not even an evaluation before the first step does.
            events: EventFile::create(folder, steps_done.map_or(0, |steps| steps + 1))?,
            losses: Losses::default(),
        };
        for line in kept.lines() {
            log.remember(&serde_json::from_str(line)?);
        }
        Ok(log)
    }

    fn remember(&mut self, measurement: &Measurement) {
        match measurement {
            Measurement::Step(step) => self.losses.train.push((step.step, step.loss)),
            Measurement::Evaluation(e) => self.losses.valid.push((e.step, e.loss)),
        }
    }

    /// Adds a measurement to all files but the picture.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn add(&mut self, measurement: &Measurement) -> Result<(), TrainError> {
        self.remember(measurement);
        let written = self.write(measurement);
        written.map_err(|e| TrainError::Write {
            path: self.folder.clone(),
            reason: why_not_written(&e),
        })
    }

    fn write(&mut self, measurement: &Measurement) -> io::Result<()> {
        let mut line = serde_json::to_vec(measurement)?;
        line.push(b'\n');
        self.metrics.write_all(&line)?;
        match measurement {
            Measurement::Step(step) => self.events.scalars(
                step.step,
                &[
                    ("train/loss", step.loss),
                    ("train/learning_rate", step.learning_rate),
                    ("train/gradient_norm", step.gradient_norm),
                    ("train/tokens_per_s", step.tokens_per_sec),
                ],
            ),
            Measurement::Evaluation(evaluation) => self
                .events
                .scalars(evaluation.step, &[("valid/loss", evaluation.loss)]),
        }
    }

    /// Draws the losses so far.
    ///
    /// # Errors
    /// When the picture cannot be drawn or written.
    pub fn draw(&self) -> Result<(), TrainError> {
        if self.losses == Losses::default() {
            return Ok(());
        }
        let picture = losses_svg(&self.losses, &self.title)?;
        let path = self.folder.join(LOSS_PICTURE);
        write_atomically(&path, &picture).map_err(|e| TrainError::Write {
            path,
            reason: why_not_written(&e),
        })
    }
}

/// The lines of steps that count; one that is cut off, as a killed process leaves it, does not.
fn kept_lines(path: &Path, steps_done: Option<u64>) -> io::Result<String> {
    let Some(steps_done) = steps_done else {
        return Ok(String::new());
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e),
    };
    let counts = |line: &&str| {
        let measurement = serde_json::from_str::<Measurement>(line);
        measurement.is_ok_and(|measurement| measurement.step() <= steps_done)
    };
    let lines = text.split_inclusive('\n').filter(counts);
    Ok(lines.filter(|line| line.ends_with('\n')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Measurement {
        Measurement::Step(Step {
            step,
            epoch: 0.5,
            loss: 1.0 / step as f64,
            learning_rate: 1e-3,
            gradient_norm: 0.1,
            tokens: 10,
            targets: 5,
            tokens_per_sec: 100.0,
            elapsed_secs: 1.0,
        })
    }

    #[test]
    fn lines_after_the_checkpoint_and_torn_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let lines = || fs::read_to_string(folder.join(METRICS_FILE)).expect("a file");
        let mut log = Log::open(folder, "run", None).expect("files");
        for i in 1..=5 {
            log.add(&step(i)).expect("a line");
        }
        let all = lines();
        fs::write(folder.join(METRICS_FILE), format!("{all}{{\"kind\":\"st")).expect("a file");
        let mut log = Log::open(folder, "run", Some(3)).expect("files");
        log.add(&step(4)).expect("a line");
        let kept: Vec<&str> = all.lines().take(4).collect();
        assert_eq!(lines().lines().collect::<Vec<_>>(), kept);
        assert_eq!(log.losses.train.len(), 4);
        log.draw().expect("a picture");
        Log::open(folder, "run", None).expect("files");
        assert_eq!(lines(), "");
    }
}
