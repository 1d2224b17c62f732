//! A run: step after step until its end.
//!
//! Where nothing but the number of steps and the evaluations decide about the end, the losses of a
//! run follow from settings and data alone, to the last bit, however often it is interrupted. With a
//! time limit the clock decides too, and no two runs are alike.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::adamw::{self, AdamW};
use super::checkpoint::{Best, Checkpoint, CheckpointKind, Position, best_adapter};
use super::data::{Text, batches, dropout_seed};
use super::log::{Evaluation, Log, Measurement, Step};
use super::{End, Order, TrainConfig, TrainData, TrainError};
use crate::llama::{Adapter, Batch, LlamaError, LoraPair, Trainable};
use crate::sync::Cancellation;

/// Evaluations of a run, but for the one before its first step, if nothing else is said.
const EVALUATIONS: u64 = 10;
/// Added to the norm that gradients are divided by, as PyTorch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;
/// Examples that an error names at most.
const NAMED_EXAMPLES: usize = 20;

/// What is told while a run goes on.
pub trait TrainObserver {
    /// `done` of `total` steps are done already.
    fn started(&self, done: u64, total: u64);
    /// After each update.
    fn step_done(&self, step: &Step);
    /// After each evaluation; `kind` says whether it is the best so far.
    fn evaluated(&self, evaluation: &Evaluation, kind: CheckpointKind);
    /// A checkpoint of that step is safe on the disk.
    fn saved(&self, step: u64);
}

/// What a run works with.
pub struct Run<'a> {
    /// Decides the numbers.
    pub config: &'a TrainConfig,
    /// Tokens of all chats.
    pub data: &'a TrainData,
    /// Where checkpoints and logs go.
    pub folder: &'a Path,
    /// What other tools call the base model.
    pub base: &'a str,
    /// Above the picture of the losses.
    pub title: &'a str,
    /// Told of steps, evaluations and checkpoints.
    pub observer: &'a dyn TrainObserver,
    /// Ends the run, and gives up the step in work.
    pub cancellation: &'a Cancellation,
}

/// Where a run begins.
pub enum Start {
    /// From the first step, with an adapter that changes nothing yet.
    New(Adapter),
    /// From where another process left off.
    Resumed(Box<Checkpoint>),
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// Why it is over.
    pub end: End,
    /// Updates, the parts before it was resumed included.
    pub steps: u64,
    /// Steps of a run that nothing ends early.
    pub total_steps: u64,
    /// Epochs done, with the part of the last one.
    pub epochs: f64,
    /// Chats that were learned from.
    pub train_examples: usize,
    /// Chats of the valid split.
    pub valid_examples: usize,
    /// Numbers of the adapter that were trained.
    pub parameters: usize,
    /// Tokens that were learned from, repeated ones counted again.
    pub tokens: u64,
    /// Means of the first and of the last step, in nats per target.
    pub first_train_loss: Option<f64>,
    /// `None` where no step was done.
    pub last_train_loss: Option<f64>,
    /// Means over the valid split, in nats per target: of the base model, at the end, at best.
    pub first_valid_loss: Option<f64>,
    /// `None` where nothing validates.
    pub last_valid_loss: Option<f64>,
    /// `None` where nothing validates.
    pub best_valid_loss: Option<f64>,
    /// Steps done before the best evaluation.
    pub best_step: Option<u64>,
    /// The parts before it was resumed included.
    pub elapsed_secs: f64,
    /// In steps, without evaluations.
    pub tokens_per_sec: f64,
}

/// Trains an adapter. Gives the best one by its loss on the valid split, or the last one where
/// there is no valid split.
///
/// # Errors
/// When the model fails, a loss or a gradient is NaN or infinite, or the disk does not take what is
/// written; the last checkpoint is there then.
pub fn train(
    model: &mut dyn Trainable,
    run: &Run<'_>,
    start: Start,
) -> Result<(TrainReport, Adapter), TrainError> {
    let mut trainer = Trainer::new(model, run, start)?;
    trainer.work()?;
    let report = trainer.report();
    let best = best_adapter(run.folder, trainer.model.config())?;
    Ok((report, best.unwrap_or(trainer.state.adapter)))
}

/// Whether something was done or given up because the run is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work<T> {
    Done(T),
    Stopped,
}

/// Takes a run from its start, or from where it is resumed, to its end.
struct Trainer<'a> {
    model: &'a mut dyn Trainable,
    run: &'a Run<'a>,
    state: Checkpoint,
    log: Log,
    gradients: Vec<LoraPair>,
    valid: Vec<Batch>,
    /// Epoch of `order`.
    epoch: u64,
    order: Vec<usize>,
    total_steps: u64,
    began: Instant,
    elapsed_before_secs: f64,
    /// The part of the run at its last milestone.
    progress_at_milestone: f64,
}

impl<'a> Trainer<'a> {
    fn new(
        model: &'a mut dyn Trainable,
        run: &'a Run<'a>,
        start: Start,
    ) -> Result<Self, TrainError> {
        let config = run.config;
        let zeros = Adapter::zeros(&config.lora, model.config());
        let (mut state, steps_done) = match start {
            Start::New(adapter) => {
                let state = Checkpoint {
                    position: Position::default(),
                    optimiser: AdamW::new(config.adamw, zeros.clone()),
                    adapter,
                };
                (state, None)
            }
            Start::Resumed(state) => {
                let step = state.position.step;
                (*state, Some(step))
            }
        };
        let ended = state.position.end.take();
        let valid = valid_texts(run);
        let texts = run.data.train.len();
        let mut trainer = Self {
            model,
            run,
            log: Log::open(run.folder, run.title, steps_done)?,
            gradients: zeros,
            valid: batches(&valid, config.batch_tokens),
            epoch: state.position.epoch,
            order: config
                .order
                .of_epoch(&run.data.train, config.seed, state.position.epoch),
            total_steps: config.total_steps(texts),
            began: Instant::now(),
            elapsed_before_secs: state.position.elapsed_secs,
            progress_at_milestone: 0.0,
            state,
        };
        trainer.progress_at_milestone = trainer.progress();
        // What ended at a limit goes on where that limit is larger now.
        if ended.is_some_and(|end| end != End::Interrupted) {
            trainer.state.position.end = trainer.end();
        }
        Ok(trainer)
    }

    fn work(&mut self) -> Result<(), TrainError> {
        let observer = self.run.observer;
        observer.started(self.state.position.step, self.total_steps);
        loop {
            let is_stopped = match self.milestone_is_due() {
                true => self.milestone()? == Work::Stopped,
                false => false,
            };
            if self.state.position.end.is_some() {
                return Ok(());
            }
            if is_stopped || self.step()? == Work::Stopped {
                self.state.position.end = Some(End::Interrupted);
                self.save(CheckpointKind::Latest)?;
                return self.log.draw();
            }
            let step = self.state.position.step;
            let save_every = self.run.config.save_every;
            if save_every.is_some_and(|every| step.is_multiple_of(every)) {
                self.save(CheckpointKind::Latest)?;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.run.cancellation.is_cancelled()
    }

    fn elapsed_secs(&self) -> f64 {
        self.elapsed_before_secs + self.began.elapsed().as_secs_f64()
    }

    /// The part of the run that lies behind, 0 to 1: of its steps, or of its time.
    fn progress(&self) -> f64 {
        let of_steps = self.state.position.step as f64 / self.total_steps.max(1) as f64;
        let Some(limit_secs) = self.run.config.length.time_limit_secs else {
            return of_steps;
        };
        // The last evaluation belongs to the run's time.
        let position = &self.state.position;
        let of_time = (self.elapsed_secs() + position.evaluation_secs) / limit_secs;
        of_steps.max(of_time).min(1.0)
    }

    /// The step whose learning rate is due: the next one, or one further on where time is short.
    fn place_in_schedule(&self) -> f64 {
        let step = self.state.position.step as f64;
        match self.run.config.length.time_limit_secs {
            Some(_) => step.max(self.progress() * self.total_steps as f64),
            None => step,
        }
    }

    /// Why the run is over now, if it is.
    fn end(&self) -> Option<End> {
        let Position {
            step,
            evaluations_since_best,
            ..
        } = self.state.position;
        let patience = self.run.config.patience;
        if step >= self.total_steps {
            Some(End::Finished)
        } else if self.progress() >= 1.0 {
            Some(End::OutOfTime)
        } else if patience.is_some_and(|patience| evaluations_since_best >= patience) {
            Some(End::StoppedEarly)
        } else {
            None
        }
    }

    fn milestone_is_due(&self) -> bool {
        let step = self.state.position.step;
        if self.state.position.milestone == Some(step) {
            return false;
        }
        let is_in_turn = match self.run.config.eval_every {
            Some(every) => step.is_multiple_of(every),
            None => {
                let part = |progress: f64| (progress * EVALUATIONS as f64 + 1e-9).floor();
                part(self.progress()) > part(self.progress_at_milestone)
            }
        };
        step == 0 || is_in_turn || self.end().is_some()
    }

    /// Evaluates, where there is a valid split, and saves.
    fn milestone(&mut self) -> Result<Work<()>, TrainError> {
        let kind = match self.evaluate()? {
            Work::Done(kind) => kind,
            Work::Stopped => return Ok(Work::Stopped),
        };
        self.progress_at_milestone = self.progress();
        self.state.position.milestone = Some(self.state.position.step);
        self.state.position.end = self.end();
        self.save(kind)?;
        self.log.draw()?;
        Ok(Work::Done(()))
    }

    fn evaluate(&mut self) -> Result<Work<CheckpointKind>, TrainError> {
        if self.valid.is_empty() {
            return Ok(Work::Done(CheckpointKind::Latest));
        }
        let began = Instant::now();
        let (mut sum, mut targets) = (0.0, 0);
        for batch in &self.valid {
            if self.is_stopped() {
                return Ok(Work::Stopped);
            }
            let nlls = match self.model.target_nlls(Some(&self.state.adapter), batch) {
                Err(LlamaError::Cancelled) => return Ok(Work::Stopped),
                nlls => nlls?,
            };
            sum += nlls.iter().map(|nll| f64::from(*nll)).sum::<f64>();
            targets += nlls.len() as u64;
        }
        let loss = sum / targets as f64;
        let step = self.state.position.step;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite {
                what: "validation loss",
                step,
                value: loss,
                examples: "of the valid split".into(),
            });
        }
        self.state.position.evaluation_secs = began.elapsed().as_secs_f64();
        let evaluation = Evaluation {
            step,
            loss,
            perplexity: loss.exp(),
            targets,
            secs: self.state.position.evaluation_secs,
            elapsed_secs: self.elapsed_secs(),
        };
        let position = &mut self.state.position;
        position.first_valid_loss.get_or_insert(loss);
        position.last_valid_loss = Some(loss);
        let kind = match position.best {
            Some(best) if loss >= best.loss => {
                position.evaluations_since_best += 1;
                CheckpointKind::Latest
            }
            _ => {
                position.best = Some(Best { step, loss });
                position.evaluations_since_best = 0;
                CheckpointKind::Best
            }
        };
        self.log.add(&Measurement::Evaluation(evaluation))?;
        self.run.observer.evaluated(&evaluation, kind);
        Ok(Work::Done(kind))
    }

    fn save(&mut self, kind: CheckpointKind) -> Result<(), TrainError> {
        self.state.position.elapsed_secs = self.elapsed_secs();
        self.state.save(self.run.folder, self.run.base, kind)?;
        self.run.observer.saved(self.state.position.step);
        Ok(())
    }

    /// The texts of the next step, and where the one after it begins.
    fn next_texts(&mut self) -> (Vec<&'a Text>, Position) {
        let config = self.run.config;
        let mut next = self.state.position.clone();
        let count = self.run.data.train.len();
        if next.epoch != self.epoch {
            self.epoch = next.epoch;
            let texts = &self.run.data.train;
            self.order = config.order.of_epoch(texts, config.seed, self.epoch);
        }
        let end = (next.index + config.step_texts()).min(count);
        let places = &self.order[next.index..end];
        let texts: Vec<&Text> = places
            .iter()
            .map(|place| &self.run.data.train[*place])
            .collect();
        next.step += 1;
        next.index = end;
        if end == count {
            next.epoch += 1;
            next.index = 0;
        }
        (texts, next)
    }

    fn step(&mut self) -> Result<Work<()>, TrainError> {
        let began = Instant::now();
        let config = self.run.config;
        let (texts, mut next) = self.next_texts();
        let targets: usize = texts.iter().map(|text| text.targets()).sum();
        let tokens: usize = texts.iter().map(|text| text.tokens()).sum();
        for pair in &mut self.gradients {
            pair.a.fill(0.0);
            pair.b.fill(0.0);
        }
        let mut sum = 0.0;
        let batches = texts
            .chunks(config.batch_texts)
            .flat_map(|texts| batches(texts, config.batch_tokens));
        for (number, batch) in batches.enumerate() {
            if self.is_stopped() {
                return Ok(Work::Stopped);
            }
            // The mean over all targets of the step, however it is cut.
            let accumulated = self.model.accumulate_gradients(
                &self.state.adapter,
                &batch,
                1.0 / targets as f32,
                dropout_seed(config.seed, next.step, number),
                &mut self.gradients,
            );
            sum += match accumulated {
                // The step is done anew when the run is resumed.
                Err(LlamaError::Cancelled) => return Ok(Work::Stopped),
                sum => sum?,
            };
        }
        let loss = sum / targets as f64;
        let norm = adamw::norm(&self.gradients);
        for (what, value) in [("loss", loss), ("gradients' norm", norm)] {
            if !value.is_finite() {
                return Err(TrainError::NotFinite {
                    what,
                    step: next.step,
                    value,
                    examples: names(&texts),
                });
            }
        }
        if let Some(factor) = config
            .max_gradient_norm
            .and_then(|max| clip_factor(norm, max))
        {
            adamw::scale(&mut self.gradients, factor);
        }
        let learning_rate = config
            .schedule
            .learning_rate(self.place_in_schedule(), self.total_steps);
        let Checkpoint {
            optimiser, adapter, ..
        } = &mut self.state;
        optimiser.update(&mut adapter.pairs, &self.gradients, learning_rate);
        let secs = began.elapsed().as_secs_f64();
        next.tokens += tokens as u64;
        next.step_secs += secs;
        next.first_train_loss.get_or_insert(loss);
        next.last_train_loss = Some(loss);
        self.state.position = next;
        let step = Step {
            step: self.state.position.step,
            epoch: self.epochs(),
            loss,
            learning_rate,
            gradient_norm: norm,
            tokens: tokens as u64,
            targets: targets as u64,
            tokens_per_sec: tokens as f64 / secs,
            elapsed_secs: self.elapsed_secs(),
        };
        self.log.add(&Measurement::Step(step))?;
        self.run.observer.step_done(&step);
        Ok(Work::Done(()))
    }

    fn epochs(&self) -> f64 {
        let position = &self.state.position;
        position.epoch as f64 + position.index as f64 / self.run.data.train.len() as f64
    }

    fn report(&self) -> TrainReport {
        let position = &self.state.position;
        TrainReport {
            end: position.end.unwrap_or(End::Interrupted),
            steps: position.step,
            total_steps: self.total_steps,
            epochs: self.epochs(),
            train_examples: self.run.data.train.len(),
            valid_examples: self.run.data.valid.len(),
            parameters: self.state.adapter.parameters(),
            tokens: position.tokens,
            first_train_loss: position.first_train_loss,
            last_train_loss: position.last_train_loss,
            first_valid_loss: position.first_valid_loss,
            last_valid_loss: position.last_valid_loss,
            best_valid_loss: position.best.map(|best| best.loss),
            best_step: position.best.map(|best| best.step),
            elapsed_secs: position.elapsed_secs,
            tokens_per_sec: position.tokens as f64 / position.step_secs.max(f64::MIN_POSITIVE),
        }
    }
}

/// What evaluations look at: the same texts each time.
fn valid_texts<'a>(run: &Run<'a>) -> Vec<&'a Text> {
    let valid = &run.data.valid;
    let count = run.config.eval_texts.unwrap_or(valid.len());
    let drawn = Order::Shuffled.of_epoch(valid, run.config.seed, 0);
    let drawn = drawn.into_iter().take(count);
    drawn.map(|place| &valid[place]).collect()
}

/// What gradients of this length are multiplied with; `None` where they are short enough.
fn clip_factor(norm: f64, max_norm: f64) -> Option<f32> {
    (norm > max_norm).then(|| (max_norm / (norm + CLIP_EPSILON)) as f32)
}

fn names(texts: &[&Text]) -> String {
    let shown = texts.iter().take(NAMED_EXAMPLES);
    let names: Vec<&str> = shown.map(|text| text.id.as_str()).collect();
    match texts.len().saturating_sub(NAMED_EXAMPLES) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::language::EncodedChat;
    use crate::llama::{LlamaConfig, LlamaError, LoraConfig, Projection};
    use crate::train::data::tests::text_of;
    use crate::train::log::METRICS_FILE;
    use crate::train::{AdamWConfig, Decay, Length, Schedule, Warmup};

    const VOCAB: usize = 12;

    pub fn shape() -> LlamaConfig {
        LlamaConfig {
            vocab_size: VOCAB,
            hidden_size: VOCAB,
            intermediate_size: VOCAB,
            num_layers: 1,
            num_heads: 1,
            num_kv_heads: 1,
            head_dim: VOCAB,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: None,
            max_positions: 64,
            is_tied: true,
            eos_token_ids: vec![0],
        }
    }

    pub fn lora() -> LoraConfig {
        LoraConfig {
            rank: 6,
            alpha: 6.0,
            dropout: 0.1,
            projections: vec![Projection::Q],
            uses_rslora: false,
        }
    }

    /// A model whose scores for the next token are B A e of the token before it, whose gradients
    /// are known in closed form.
    struct Bigrams {
        shape: LlamaConfig,
        /// The call of `accumulate_gradients` that gives no number.
        breaks_at: Option<usize>,
        calls: usize,
    }

    impl Bigrams {
        fn new() -> Self {
            Self {
                shape: shape(),
                breaks_at: None,
                calls: 0,
            }
        }

        /// What A gives for a token, and the next token's probabilities.
        fn forward(adapter: &Adapter, token: u32) -> (Vec<f64>, Vec<f64>) {
            let (pair, rank) = (&adapter.pairs[0], adapter.config.rank);
            let inner: Vec<f64> = (0..rank)
                .map(|r| f64::from(pair.a[r * VOCAB + token as usize]))
                .collect();
            let scores = pair.b.chunks(rank).map(|row| {
                let products = row.iter().zip(&inner).map(|(b, x)| f64::from(*b) * x);
                products.sum::<f64>().exp()
            });
            let scores: Vec<f64> = scores.collect();
            let sum: f64 = scores.iter().sum();
            (inner, scores.into_iter().map(|score| score / sum).collect())
        }

        /// Each target with the token before it.
        fn bigrams(batch: &Batch) -> impl Iterator<Item = (u32, u32)> + '_ {
            let targets = batch.targets.iter();
            targets.map(|place| (batch.ids[place - 1], batch.ids[*place]))
        }
    }

    impl Trainable for Bigrams {
        fn config(&self) -> &LlamaConfig {
            &self.shape
        }

        fn accumulate_gradients(
            &mut self,
            adapter: &Adapter,
            batch: &Batch,
            loss_scale: f32,
            dropout_seed: u64,
            gradients: &mut [LoraPair],
        ) -> Result<f64, LlamaError> {
            self.calls += 1;
            if self.breaks_at == Some(self.calls) {
                return Ok(f64::NAN);
            }
            let rank = adapter.config.rank;
            let mut sum = 0.0;
            for (i, (token, next)) in Self::bigrams(batch).enumerate() {
                let drop =
                    (dropout_seed >> (i % 64)).is_multiple_of(8) && adapter.config.dropout > 0.0;
                let (inner, probabilities) = Self::forward(adapter, token);
                sum -= probabilities[next as usize].ln();
                if drop {
                    continue;
                }
                for (row, probability) in probabilities.iter().enumerate() {
                    let is_next = f64::from(row == next as usize);
                    let error = (probability - is_next) * f64::from(loss_scale);
                    for (r, inner) in inner.iter().enumerate() {
                        let b = f64::from(adapter.pairs[0].b[row * rank + r]);
                        gradients[0].b[row * rank + r] += (error * inner) as f32;
                        gradients[0].a[r * VOCAB + token as usize] += (error * b) as f32;
                    }
                }
            }
            Ok(sum)
        }

        fn target_nlls(
            &mut self,
            adapter: Option<&Adapter>,
            batch: &Batch,
        ) -> Result<Vec<f32>, LlamaError> {
            let adapter = adapter.expect("an adapter");
            let nll = |(token, next)| -Self::forward(adapter, token).1[next as usize].ln();
            Ok(Self::bigrams(batch).map(|pair| nll(pair) as f32).collect())
        }
    }

    /// Texts in which each token says what the next one is.
    fn data() -> TrainData {
        let text = |i: u32| {
            let mut token = i % VOCAB as u32;
            let ids: Vec<u32> = (0..4 + i % 5)
                .map(|_| {
                    token = (token * 5 + 3) % VOCAB as u32;
                    token
                })
                .collect();
            text_of(&i.to_string(), &ids, ids.len() / 2)
        };
        TrainData {
            train: (0..22).map(text).collect(),
            valid: (30..36).map(text).collect(),
            too_long: Vec::new(),
        }
    }

    fn config() -> TrainConfig {
        TrainConfig {
            lora: lora(),
            adamw: AdamWConfig::default(),
            schedule: Schedule {
                peak: 0.1,
                warmup: Warmup::Steps(3),
                decay: Decay::Cosine,
            },
            length: Length {
                epochs: Some(7),
                ..Length::default()
            },
            batch_texts: 2,
            accumulation: 2,
            batch_tokens: 9,
            max_gradient_norm: Some(1.0),
            order: Order::Shuffled,
            seed: 5,
            eval_every: Some(4),
            eval_texts: None,
            save_every: Some(3),
            patience: None,
        }
    }

    /// Remembers what it is told, and calls `at_step` after each step.
    struct Watcher<'a> {
        steps: RefCell<Vec<Step>>,
        evaluations: RefCell<Vec<(Evaluation, CheckpointKind)>>,
        at_step: &'a dyn Fn(u64),
    }

    impl TrainObserver for Watcher<'_> {
        fn started(&self, _: u64, _: u64) {}

        fn step_done(&self, step: &Step) {
            self.steps.borrow_mut().push(*step);
            (self.at_step)(step.step);
        }

        fn evaluated(&self, evaluation: &Evaluation, kind: CheckpointKind) {
            self.evaluations.borrow_mut().push((*evaluation, kind));
        }

        fn saved(&self, _: u64) {}
    }

    struct Outcome {
        result: Result<(TrainReport, Adapter), TrainError>,
        steps: Vec<Step>,
        evaluations: Vec<(Evaluation, CheckpointKind)>,
    }

    impl Outcome {
        fn report(&self) -> &TrainReport {
            &self.result.as_ref().expect("a run").0
        }

        fn losses(&self) -> Vec<f64> {
            self.steps.iter().map(|step| step.loss).collect()
        }
    }

    fn run_in(
        folder: &Path,
        config: &TrainConfig,
        data: &TrainData,
        model: &mut Bigrams,
        at_step: &dyn Fn(u64, &Cancellation),
    ) -> Outcome {
        let stop = Cancellation::new();
        let observer = Watcher {
            steps: RefCell::default(),
            evaluations: RefCell::default(),
            at_step: &|step| at_step(step, &stop),
        };
        let resumed = Checkpoint::load(folder, &config.lora, &shape(), config.adamw);
        let start = match resumed.expect("no damage") {
            Some(state) => Start::Resumed(Box::new(state)),
            None => Start::New(Adapter::new(config.lora.clone(), &shape(), config.seed)),
        };
        let run = Run {
            config,
            data,
            folder,
            base: "bigrams",
            title: "bigrams",
            observer: &observer,
            cancellation: &stop,
        };
        let result = train(model, &run, start);
        Outcome {
            result,
            steps: observer.steps.into_inner(),
            evaluations: observer.evaluations.into_inner(),
        }
    }

    fn run(config: &TrainConfig) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder");
        run_in(
            folder.path(),
            config,
            &data(),
            &mut Bigrams::new(),
            &|_, _| (),
        )
    }

    /// What a run's file says of losses, learning rates and gradients, without times.
    fn numbers(folder: &Path) -> Vec<String> {
        let text = fs::read_to_string(folder.join(METRICS_FILE)).expect("a file");
        let without_times = |line: &str| {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let fields = line.as_object_mut().expect("an object");
            fields.retain(|name, _| !name.ends_with("secs") && !name.ends_with("per_sec"));
            line.to_string()
        };
        text.lines().map(without_times).collect()
    }

    #[test]
    fn bigrams_are_learned_and_the_report_says_so() {
        let outcome = run(&config());
        let report = outcome.report();
        assert_eq!(report.end, End::Finished);
        // 22 texts, 4 to a step, are 6 steps an epoch.
        assert_eq!((report.steps, report.total_steps), (42, 42));
        assert_eq!(report.epochs, 7.0);
        let tokens: usize = data().train.iter().map(Text::tokens).sum();
        assert_eq!(report.tokens, 7 * tokens as u64);
        // Before training, all tokens are equally likely.
        let first = report.first_valid_loss.expect("an evaluation");
        assert!((first - (VOCAB as f64).ln()).abs() < 1e-6, "{first}");
        assert!(report.last_valid_loss.expect("an evaluation") < 0.2 * first);
        let steps: Vec<u64> = outcome.evaluations.iter().map(|(e, _)| e.step).collect();
        assert!(
            steps.iter().copied().eq((0..=40).step_by(4).chain([42])),
            "{steps:?}"
        );
        for (step, told) in outcome.steps.iter().enumerate() {
            let wanted = config().schedule.learning_rate(step as f64, 42);
            assert_eq!(told.learning_rate, wanted, "{step}");
        }
    }

    #[test]
    fn accumulated_batches_are_one_large_batch() {
        let without_dropout = |batch_texts, accumulation, batch_tokens| {
            let mut config = config();
            config.lora.dropout = 0.0;
            config.max_gradient_norm = None;
            run(&TrainConfig {
                batch_texts,
                accumulation,
                batch_tokens,
                ..config
            })
        };
        let large = without_dropout(4, 1, 1000);
        for cut in [
            without_dropout(2, 2, 1000),
            without_dropout(1, 4, 1),
            without_dropout(4, 1, 9),
        ] {
            assert_eq!(cut.steps.len(), large.steps.len());
            for (cut, large) in cut.steps.iter().zip(&large.steps) {
                assert!((cut.loss - large.loss).abs() < 1e-4, "{cut:?} {large:?}");
                assert_eq!((cut.tokens, cut.targets), (large.tokens, large.targets));
            }
            // Before the first update, only the order of sums differs.
            let norms = [&cut, &large].map(|outcome| outcome.steps[0].gradient_norm);
            assert!((norms[0] - norms[1]).abs() < 1e-6, "{norms:?}");
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let target = to.join(entry.file_name());
            match entry.file_type().expect("a type").is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(fs::copy(entry.path(), target).expect("a copy")),
            }
        }
    }

    #[test]
    fn a_killed_run_goes_on_bit_by_bit_wherever_it_was() {
        let config = config();
        let folder = tempfile::tempdir().expect("a folder");
        let whole = folder.path().join("whole");
        let copies: Vec<PathBuf> = (0..=42)
            .map(|i| folder.path().join(i.to_string()))
            .collect();
        fs::create_dir(&whole).expect("a folder");
        // What is on the disk after each step is what a process killed there leaves.
        let outcome = run_in(&whole, &config, &data(), &mut Bigrams::new(), &|step, _| {
            copy(&whole, &copies[step as usize]);
        });
        let wanted = numbers(&whole);
        let adapter = &outcome.result.as_ref().expect("a run").1;
        for copy in &copies[1..] {
            let resumed = run_in(copy, &config, &data(), &mut Bigrams::new(), &|_, _| ());
            assert_eq!(numbers(copy), wanted, "{}", copy.display());
            assert_eq!(&resumed.result.expect("a run").1, adapter);
        }
    }

    #[test]
    fn an_interrupted_run_saves_its_last_step_and_goes_on_from_there() {
        let config = config();
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let stop_at = |wanted: u64| {
            move |step: u64, stop: &Cancellation| {
                if step == wanted {
                    stop.cancel();
                }
            }
        };
        // Also where an evaluation is due next: it is made up for.
        for step in [5, 8] {
            let outcome = run_in(
                folder,
                &config,
                &data(),
                &mut Bigrams::new(),
                &stop_at(step),
            );
            assert_eq!(outcome.report().end, End::Interrupted);
            let position = Position::load(folder).expect("no damage").expect("a state");
            assert_eq!(position.step, step);
        }
        let mut model = Bigrams::new();
        let last = run_in(folder, &config, &data(), &mut model, &|_, _| ());
        assert_eq!(last.report().end, End::Finished);
        assert_eq!(last.steps[0].step, 9);
        let whole = run(&config);
        assert_eq!(last.losses(), whole.losses()[8..]);
        assert_eq!(
            numbers(folder).len(),
            whole.steps.len() + whole.evaluations.len()
        );
        // A finished run has nothing more to do.
        let again = run_in(folder, &config, &data(), &mut model, &|_, _| ());
        assert!(again.steps.is_empty() && again.evaluations.is_empty());
        assert_eq!(again.report().end, End::Finished);
    }

    #[test]
    fn what_is_no_number_ends_the_run_and_names_step_and_examples() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = TrainConfig {
            order: Order::AsGiven,
            batch_tokens: 1000,
            ..config()
        };
        // The second batch of the sixth step, which has the last two examples of the first epoch.
        let mut model = Bigrams {
            breaks_at: Some(11),
            ..Bigrams::new()
        };
        let outcome = run_in(folder.path(), &config, &data(), &mut model, &|_, _| ());
        let error = outcome.result.expect_err("no number").to_string();
        assert!(error.contains("loss of step 6 is NaN"), "{error}");
        assert!(error.contains("examples 20, 21;"), "{error}");
        let position = Position::load(folder.path()).expect("no damage");
        assert_eq!(position.map(|position| position.step), Some(4));
    }

    #[test]
    fn a_run_that_becomes_no_better_stops_and_keeps_its_best_adapter() {
        // What validates contradicts what is learned.
        let mut data = data();
        for text in &mut data.valid {
            text.chat.ids.reverse();
        }
        let config = TrainConfig {
            patience: Some(2),
            ..config()
        };
        let folder = tempfile::tempdir().expect("a folder");
        let outcome = run_in(
            folder.path(),
            &config,
            &data,
            &mut Bigrams::new(),
            &|_, _| (),
        );
        let report = outcome.report();
        assert_eq!(report.end, End::StoppedEarly);
        assert!(report.steps < report.total_steps);
        let best = outcome.evaluations.iter().map(|(e, _)| e.loss);
        let best = best.fold(f64::INFINITY, f64::min);
        assert_eq!(report.best_valid_loss, Some(best));
        assert!(report.last_valid_loss > report.best_valid_loss);
        // The adapter that is given has that loss.
        let (_, adapter) = outcome.result.expect("a run");
        let valid: Vec<&EncodedChat> = data.valid.iter().map(|text| &text.chat).collect();
        let batch = Batch::of_chats(valid);
        let nlls = Bigrams::new()
            .target_nlls(Some(&adapter), &batch)
            .expect("losses");
        let mean = nlls.iter().sum::<f32>() / nlls.len() as f32;
        assert!((f64::from(mean) - best).abs() < 1e-5, "{mean} {best}");
    }

    #[test]
    fn a_run_without_time_evaluates_and_ends() {
        let mut config = config();
        config.length.time_limit_secs = Some(1e-9);
        let outcome = run(&config);
        assert_eq!(outcome.report().end, End::OutOfTime);
        assert_eq!((outcome.steps.len(), outcome.evaluations.len()), (0, 1));
    }

    #[test]
    fn a_run_that_ended_at_a_limit_goes_on_when_the_limit_is_larger() {
        let with = |max_steps, time_limit_secs| TrainConfig {
            length: Length {
                epochs: None,
                max_steps: Some(max_steps),
                time_limit_secs,
            },
            ..config()
        };
        let resume = |folder: &Path, config: &TrainConfig| {
            let outcome = run_in(folder, config, &data(), &mut Bigrams::new(), &|_, _| ());
            (outcome.report().end, outcome.report().steps)
        };
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let out_of_time = with(6, Some(1e-9));
        for _ in 0..2 {
            // The same limit again changes nothing.
            assert_eq!(resume(folder, &out_of_time), (End::OutOfTime, 0));
        }
        let longer = with(6, Some(1e9));
        assert_eq!(resume(folder, &longer), (End::Finished, 6));
        assert_eq!(resume(folder, &longer), (End::Finished, 6));
        let more_steps = with(9, None);
        assert_eq!(resume(folder, &more_steps), (End::Finished, 9));
    }

    #[test]
    fn long_gradients_are_shortened_and_short_ones_left_alone() {
        assert_eq!(clip_factor(0.5, 1.0), None);
        let factor = clip_factor(4.0, 1.0).expect("too long");
        assert!((factor - 0.25).abs() < 1e-6);
    }

    #[test]
    fn evaluations_come_in_tenths_if_nothing_else_is_said() {
        let config = TrainConfig {
            eval_every: None,
            ..config()
        };
        let outcome = run(&config);
        let steps: Vec<u64> = outcome.evaluations.iter().map(|(e, _)| e.step).collect();
        // The first step at or after each tenth of 42.
        assert_eq!(steps, [0, 5, 9, 13, 17, 21, 26, 30, 34, 38, 42]);
    }

    #[test]
    fn evaluations_look_at_no_more_texts_than_they_may() {
        let some = run(&TrainConfig {
            eval_texts: Some(2),
            ..config()
        });
        let targets = |outcome: &Outcome| outcome.evaluations[0].0.targets;
        let all: usize = data().valid.iter().map(Text::targets).sum();
        assert_eq!(targets(&run(&config())), all as u64);
        assert!(targets(&some) < all as u64 / 2);
        assert!(
            some.evaluations
                .iter()
                .all(|(e, _)| e.targets == targets(&some))
        );
    }

    #[test]
    fn the_shorter_of_epochs_and_steps_counts() {
        let steps = |epochs, max_steps| {
            let length = Length {
                epochs,
                max_steps,
                time_limit_secs: None,
            };
            length.total_steps(10)
        };
        assert_eq!(steps(None, None), 30);
        assert_eq!(steps(Some(2), None), 20);
        assert_eq!(steps(None, Some(70)), 70);
        assert_eq!(steps(Some(2), Some(7)), 7);
        assert_eq!(steps(Some(2), Some(70)), 20);
    }
}
