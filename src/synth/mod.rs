//! Synthetic examples: a provider's model writes questions and answers about examples of a dataset,
//! and what is checked against the facts joins the train split.
//!
//! The way of a round: [`prompt`] asks about train examples in an order that the seed fixes;
//! [`asker`] sends (with [`limits`], [`retry`] and a [`cost::Budget`] that is never overdrawn);
//! every answer is in the [`journal`] before anything relies on it; [`checks`] takes the answers in
//! the order of the requests, whatever order they came in, so that the same answers always give the
//! same examples; [`facts`] decides about numbers. A run that ends early is resumed by the
//! same command and pays for no answer twice.
//!
//! Only `transport` calls a network, and only with what a prompt holds: never a picture, a path or
//! a video's name.

mod asker;
mod batch;
mod checks;
pub mod cost;
mod extend;
pub mod facts;
mod journal;
mod keys;
pub mod limits;
pub mod prompt;
pub mod provider;
pub mod report;
pub mod retry;
mod round;
pub mod table;
mod transport;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::dataset::{
    Dataset, DatasetError, Example, RECIPE_ORIGIN, SYNTHETIC_TASK_PREFIX, Split, SynthRecord,
    VideoRecord,
};
use crate::hashing;
use crate::language::LanguageError;
use crate::secret::Secret;
use crate::sync::{Cancellation, lock};
use asker::{Asked, Asker, Failure};
use checks::{Checker, Reason, Rejection, draft_of};
use cost::{Budget, Price};
pub use extend::{Extended, Extension, check_kind};
pub use journal::request_key;
use journal::{Answered, Journal, JournalError, Record};
use keys::{KeyError, Settings};
use limits::Limits;
use prompt::prompt_for;
use provider::{Parameters, Prompt, Provider, ProviderKind, Usage};
use report::{RejectedAnswer, RoundEnd, SynthReport};
use retry::RetryPolicy;
use transport::{Transport, TransportSetupError};

/// So many requests in a row without any answer, and the provider counts as out of order.
const MOST_FAILURES_IN_A_ROW: u32 = 5;

/// Why a round cannot begin, or what it gave not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The provider's key is missing, or would go to an address that somebody else may have
    /// written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The address is wrong, or no secure connection can be made at all.
    #[error(transparent)]
    Transport(#[from] TransportSetupError),
    /// The journal of what was paid for cannot be read or written, or another process has it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The dataset has nothing that a provider could be asked about.
    #[error(
        "the dataset has no train examples of recipes to ask about; build it with `posedata dataset build`"
    )]
    NoSources,
    /// The dataset teaches calls, whose right answers are no words.
    #[error(
        "the dataset holds calls of questions, which are paraphrased in their own files; give one of recipes, as `posedata dataset build --recipes queries/instruct` makes it"
    )]
    Calls,
    /// There is a limit of cost, but nothing to reckon with.
    #[error(
        "--max-cost needs the price of {model}, which is unknown; write it into a file like models/prices.toml and give --prices FILE"
    )]
    NoPrice {
        /// As it was given.
        model: String,
    },
    /// The base's chat template does not take an example; its own words.
    #[error("tokens of an example cannot be counted: {0}")]
    Tokens(String),
    /// Examples would be counted by another tokenizer than those that are there.
    #[error(
        "the tokenizer of {base} is not the one that the dataset was built with; build the dataset again"
    )]
    OtherTokenizer {
        /// As the dataset's manifest has it.
        base: String,
    },
    /// Somebody else has written the dataset since the round began; nothing was added.
    #[error(
        "the dataset has changed meanwhile; run the same command again, which pays for nothing twice: {path}"
    )]
    DatasetChanged {
        /// The dataset's folder.
        path: PathBuf,
    },
    /// `rejected.jsonl` cannot be written.
    #[error("cannot write what was rejected ({reason}): {path}")]
    Rejected {
        /// The file that was to be made.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The dataset is damaged, or cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The base's tokenizer is not there.
    #[error(transparent)]
    Language(#[from] LanguageError),
}

/// Whether to wait for each answer or to leave all requests with the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One request after the other answer, several at once.
    Direct,
    /// All at once, for half the price, answered within a day; a later run collects.
    Batch,
}

/// Everything that a round depends on but the dataset, the key and the address.
#[derive(Clone, Debug)]
pub struct SynthConfig {
    /// Whose models are asked.
    pub provider: ProviderKind,
    /// The same for all requests.
    pub parameters: Parameters,
    /// Examples that the dataset is to have of these settings.
    pub wanted: usize,
    /// Most different requests, those of earlier runs included.
    pub max_requests: usize,
    /// Most money, in US dollars, all that the journal knows of included.
    pub max_cost_usd: Option<f64>,
    /// What the model costs in this mode.
    pub price: Option<Price>,
    /// Decides about the price, and whether the round waits.
    pub mode: Mode,
    /// Requests that are under way at once; at least 1.
    pub concurrency: usize,
    /// What the account may do in a minute.
    pub limits: Limits,
    /// What is done about requests that fail.
    pub retry: RetryPolicy,
    /// For a request and its answer.
    pub timeout: Duration,
    /// Decides in which order examples are shown to the provider.
    pub seed: u64,
}

impl SynthConfig {
    /// Provider and model as examples name them.
    pub fn origin(&self) -> String {
        format!("{}:{}", self.provider.name(), self.parameters.model)
    }
}

/// Where a provider is, and the key to it.
#[derive(Clone, Debug)]
pub struct Access {
    /// Up to where the paths of the wire format begin.
    pub base_url: String,
    /// `None` for servers of one's own that want none.
    pub key: Option<Secret>,
}

impl Access {
    /// From the environment or the `.env` file in `folder`; `confirmed_url` is an address that the
    /// user has named for this call. Only a server that was named may go without a key.
    ///
    /// Key and address have to be from the same source, unless the address is confirmed: a folder
    /// that came from elsewhere may hold a `.env` that names its writer's server.
    ///
    /// # Errors
    /// When there is no key and the provider's own server is meant, when key and address are from
    /// different sources, or when `.env` cannot be read.
    pub fn find(
        provider: ProviderKind,
        folder: &Path,
        confirmed_url: Option<&str>,
    ) -> Result<Self, KeyError> {
        let settings = Settings::read(folder)?;
        let address_variable = provider.base_url_variable();
        let named = match confirmed_url {
            Some(url) => Some((url.to_owned(), None)),
            None => settings
                .get(address_variable)
                .map(|(url, source)| (url, Some(source))),
        };
        let key = match settings.key(provider.key_variable()) {
            Err(KeyError::Missing { .. }) if named.is_some() => None,
            key => Some(key?),
        };
        let (base_url, address_source) =
            named.unwrap_or_else(|| (provider.default_base_url().into(), None));
        if let (Some((_, key_source)), Some(address_source)) = (&key, address_source)
            && *key_source != address_source
        {
            return Err(KeyError::OtherSource {
                key_variable: provider.key_variable(),
                key_source: *key_source,
                address_variable,
                address_source,
                address: base_url,
            });
        }
        Ok(Self {
            base_url: base_url.trim().to_owned(),
            key: key.map(|(key, _)| key),
        })
    }
}

/// Hears what happens during a round.
pub trait SynthObserver: Sync {
    /// So many of the wanted examples are there, after so many answers were looked at.
    fn progress(&self, accepted: usize, looked_at: usize);
}

/// Counts tokens of an example as the base model sees it: before the answer, and of the answer.
trait CountTokens {
    /// # Errors
    /// When the base model's chat template cannot lay the example out.
    fn count(&self, example: &Example) -> Result<(u32, u32), String>;
}

/// The dataset that a round is about.
struct Input<'a> {
    pub examples: &'a [Example],
    pub videos: &'a [VideoRecord],
    /// Of an example, answer included.
    pub max_tokens: u32,
    pub tokens: &'a dyn CountTokens,
}

/// The outcome of a round.
#[derive(Clone, Debug)]
pub struct Round {
    /// New examples; they have no ids yet.
    pub accepted: Vec<Example>,
    rejected: Vec<RejectedAnswer>,
    /// What the round did, and cost.
    pub report: SynthReport,
}

/// A request of the plan.
#[derive(Clone, Debug)]
struct Request<'a> {
    pub example: &'a Example,
    pub prompt: Prompt,
    pub key: String,
}

/// The requests of a round, in their order.
struct Plan<'a> {
    sources: Vec<&'a Example>,
    provider: ProviderKind,
    parameters: &'a Parameters,
    len: usize,
}

impl<'a> Plan<'a> {
    /// Train examples of recipes in an order that the seed fixes, again and again.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(config: &'a SynthConfig, examples: &'a [Example]) -> Result<Self, SynthError> {
        let mut sources: Vec<&Example> = examples
            .iter()
            .filter(|example| example.split == Split::Train && example.origin == RECIPE_ORIGIN)
            .collect();
        if sources.is_empty() {
            return Err(SynthError::NoSources);
        }
        // An example keeps its place among the others when more join the dataset, and its prompts
        // stay the same: answers that were paid for serve again.
        sources
            .sort_by_cached_key(|example| content_hash(Some(config.seed), example).to_le_bytes());
        Ok(Self {
            sources,
            provider: config.provider,
            parameters: &config.parameters,
            len: config.max_requests,
        })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn request(&self, index: usize) -> Request<'a> {
        let position = index % self.sources.len();
        let example = self.sources[position];
        let first = content_hash(None, example);
        let prompt = prompt_for(example, first, index / self.sources.len());
        let key = request_key(self.provider, self.parameters, &prompt);
        Request {
            example,
            prompt,
            key,
        }
    }
}

/// A number that an example's words and a seed decide.
fn content_hash(seed: Option<u64>, example: &Example) -> u64 {
    let texts = [&example.question, &example.data, &example.answer];
    hashing::seeded_u64(seed.unwrap_or_default(), &texts.map(String::as_str))
}

/// What a round would send.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Estimate {
    /// As the provider calls it.
    pub model: String,
    /// If every answer is accepted, and if all of --max-requests are needed.
    pub requests: [usize; 2],
    /// Tokens of the prompts for both.
    pub input_tokens: [u64; 2],
    /// Most tokens of the answers for both.
    pub output_tokens_at_most: [u64; 2],
    /// In US dollars for both, answers taken as long as they may be; `None` without a price.
    pub cost_usd: Option<[f64; 2]>,
    /// The first prompts.
    #[serde(skip)]
    pub prompts: Vec<Prompt>,
}

/// Estimates tokens and cost; calls no network, needs no key, writes nothing.
///
/// # Errors
/// When the dataset has nothing to ask about.
pub fn estimate(
    config: &SynthConfig,
    examples: &[Example],
    shown_prompts: usize,
) -> Result<Estimate, SynthError> {
    let plan = Plan::new(config, examples)?;
    let present = present_in(&plan, examples);
    let wanted = config.wanted.saturating_sub(present.len());
    let mut requests = [0; 2];
    let mut input_tokens = [0; 2];
    let mut prompts = Vec::new();
    for index in 0..plan.len() {
        let request = plan.request(index);
        if wanted == 0 || present.contains(&request.key) {
            continue;
        }
        let tokens = cost::likely_tokens(&request.prompt);
        for (case, most) in [(0, wanted), (1, usize::MAX)] {
            if requests[case] < most {
                requests[case] += 1;
                input_tokens[case] += tokens;
            }
        }
        if prompts.len() < shown_prompts {
            prompts.push(request.prompt);
        }
    }
    let most = u64::from(config.parameters.max_answer_tokens);
    let output_tokens_at_most = requests.map(|n| n as u64 * most);
    let cost_of = |case: usize| {
        config.price.map(|price| {
            price.cost_usd(Usage {
                input_tokens: input_tokens[case],
                output_tokens: output_tokens_at_most[case],
            })
        })
    };
    Ok(Estimate {
        model: config.parameters.model.clone(),
        requests,
        input_tokens,
        output_tokens_at_most,
        cost_usd: cost_of(0)
            .zip(cost_of(1))
            .map(|(least, most)| [least, most]),
        prompts,
    })
}

/// Requests whose examples the dataset has already.
fn present_in(plan: &Plan<'_>, examples: &[Example]) -> HashSet<String> {
    let hashes: HashSet<&str> = examples
        .iter()
        .filter_map(|example| example.prompt_hash.as_deref())
        .collect();
    (0..plan.len())
        .map(|index| plan.request(index).key)
        .filter(|key| hashes.contains(key.as_str()))
        .collect()
}

/// The state that direct rounds and batches share.
struct RoundState<'a> {
    pub config: &'a SynthConfig,
    pub plan: Plan<'a>,
    pub present: HashSet<String>,
    pub journal: Journal,
    input: &'a Input<'a>,
    checker: Checker,
    accepted: Vec<Example>,
    rejected: Vec<RejectedAnswer>,
    reasons: BTreeMap<&'static str, u64>,
    looked_at: usize,
    usage: Usage,
    cost_usd: f64,
    pub from_journal: u64,
    pub sent: u64,
    pub retries: u64,
    pub cost_of_run_usd: f64,
}

impl RoundState<'_> {
    /// How many more examples are wanted.
    pub fn missing(&self) -> usize {
        let there = self.present.len() + self.accepted.len();
        self.config.wanted.saturating_sub(there)
    }

    /// Checks an answer from the journal.
    ///
    /// # Errors
    /// When tokens cannot be counted.
    pub fn evaluate(&mut self, request: &Request<'_>) -> Result<(), SynthError> {
        let Some(answered) = self.journal.answer(&request.key).cloned() else {
            return Ok(());
        };
        self.usage.input_tokens += answered.usage.input_tokens;
        self.usage.output_tokens += answered.usage.output_tokens;
        self.cost_usd += answered.cost_usd.unwrap_or(0.0);
        self.looked_at += 1;
        match self.checked(request, &answered)? {
            Ok(example) => self.accepted.push(example),
            Err(rejection) => self.reject(request, rejection, Some(answered)),
        }
        Ok(())
    }

    /// The example that an answer makes, or why it makes none.
    fn checked(
        &mut self,
        request: &Request<'_>,
        answered: &Answered,
    ) -> Result<Result<Example, Rejection>, SynthError> {
        let draft = match draft_of(&answered.reply) {
            Ok(draft) => draft,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let mut example = Example {
            id: String::new(),
            task: format!("{SYNTHETIC_TASK_PREFIX}{}", request.example.task),
            split: Split::Train,
            origin: self.config.origin(),
            prompt_hash: Some(request.key.clone()),
            question: draft.question.clone(),
            answer: draft.answer.clone(),
            ..request.example.clone()
        };
        let counted = self.input.tokens.count(&example);
        let (prompt_tokens, answer_tokens) = counted.map_err(SynthError::Tokens)?;
        let (tokens, most) = (prompt_tokens + answer_tokens, self.input.max_tokens);
        if tokens > most {
            let detail = format!("{tokens} tokens are more than the dataset's {most}");
            return Ok(Err(Rejection::new(Reason::TokenBudget, detail)));
        }
        (example.prompt_tokens, example.answer_tokens) = (prompt_tokens, answer_tokens);
        Ok(self
            .checker
            .check(request.example, &draft)
            .map(|()| example))
    }

    pub fn reject(&mut self, request: &Request<'_>, why: Rejection, answer: Option<Answered>) {
        let reason = why.reason.name();
        *self.reasons.entry(reason).or_default() += 1;
        self.rejected.push(RejectedAnswer {
            reason,
            detail: why.detail,
            numbers: why.numbers,
            example: request.example.id.clone(),
            prompt_hash: request.key.clone(),
            reply: answer.map(|answer| answer.reply),
        });
    }

    /// What all earlier runs have cost at most, batches that the provider still works on included.
    fn earlier_usd(&self) -> f64 {
        let config = self.config;
        let spent_usd = self.journal.spent_usd(&config.origin(), config.price);
        let batches = self.journal.open_batches();
        let intents = self.journal.intents();
        let is_open = |key: &&String| self.journal.answer(key).is_none();
        let mut reserved_usd = 0.0;
        // Of what nobody has priced, the requests of this plan can be.
        let mut unpriced: HashSet<&String> = HashSet::new();
        for batch in &batches {
            let open = batch.keys.iter().filter(is_open);
            match batch.cost_at_most_usd {
                Some(usd) => {
                    let share = open.count() as f64 / batch.keys.len().max(1) as f64;
                    reserved_usd += usd * share;
                }
                None => unpriced.extend(open),
            }
        }
        for (_, keys, _) in &intents {
            unpriced.extend(keys.iter().filter(is_open));
        }
        if !unpriced.is_empty() {
            reserved_usd += (0..self.plan.len())
                .map(|index| self.plan.request(index))
                .filter(|request| unpriced.contains(&request.key))
                .map(|request| asker::most_usd(config.price, &config.parameters, &request.prompt))
                .sum::<f64>();
        }
        spent_usd + reserved_usd
    }

    fn into_round(self, end: RoundEnd) -> Round {
        let unanswered: f64 = (0..self.plan.len())
            .map(|index| self.journal.unanswered_usd(&self.plan.request(index).key))
            .sum();
        let known = self.config.price.is_some();
        let spent_usd = (self.journal).spent_usd(&self.config.origin(), self.config.price);
        let report = SynthReport {
            provider: self.config.provider,
            model: self.config.parameters.model.clone(),
            wanted: self.config.wanted as u64,
            already_there: self.present.len().min(self.config.wanted) as u64,
            accepted: self.accepted.len() as u64,
            rejected: self.reasons,
            from_journal: self.from_journal,
            sent: self.sent,
            retries: self.retries,
            usage: self.usage,
            cost_usd: known.then_some(self.cost_usd + unanswered),
            cost_of_run_usd: known.then_some(self.cost_of_run_usd),
            cost_of_dataset_usd: known.then_some(spent_usd),
            end,
        };
        Round {
            accepted: self.accepted,
            rejected: self.rejected,
            report,
        }
    }
}

/// A request of the plan on its way to the checks.
enum RequestOutcome {
    /// Its example is in the dataset.
    Present,
    /// Its answer is in the journal.
    Answered,
    Failed(String),
    /// It was called off; the next run asks it.
    Open,
}

fn run_direct(
    state: &mut RoundState<'_>,
    provider: &dyn Provider,
    transport: &Transport,
    cancellation: &Cancellation,
    observer: &dyn SynthObserver,
) -> Result<RoundEnd, SynthError> {
    let config = state.config;
    let budget = Mutex::new(Budget::new(config.max_cost_usd, state.earlier_usd()));
    let asker = Asker::new(
        provider,
        transport,
        &config.parameters,
        config.retry,
        config.limits,
        config.price,
        &budget,
        cancellation,
    );
    let (jobs, job_queue) = crossbeam_channel::unbounded::<(usize, Prompt)>();
    let (events, event_queue) = crossbeam_channel::unbounded::<Event>();
    std::thread::scope(|scope| {
        for worker in 0..config.concurrency {
            let (job_queue, events, asker) = (job_queue.clone(), events.clone(), &asker);
            let work = move || {
                for (index, prompt) in job_queue {
                    let asked = asker.ask(&prompt, |usd| {
                        // Without a receiver the next send ends this thread.
                        let _ = events.send(Event::Lost { index, usd });
                    });
                    if events.send(Event::Ended { index, asked }).is_err() {
                        break;
                    }
                }
            };
            std::thread::Builder::new()
                .name(format!("ask-{worker}"))
                .spawn_scoped(scope, work)
                .map_err(|e| TransportSetupError::Client(format!("cannot start a thread: {e}")))?;
        }
        drop(events);
        let mut direct = Direct {
            state,
            asker: &asker,
            outcomes: BTreeMap::new(),
            next: 0,
            checked: 0,
            in_flight: 0,
            failures_in_a_row: 0,
            is_out_of_money: false,
            end: None,
        };
        let end = direct.run_jobs(&jobs, &event_queue, observer);
        // Workers end when nobody sends them jobs any more.
        drop(jobs);
        end
    })
}

/// What happens to a request that was sent.
enum Event {
    /// An attempt may have been billed in vain; another one may follow.
    Lost {
        index: usize,
        usd: f64,
    },
    Ended {
        index: usize,
        asked: Asked,
    },
}

/// The loop of a direct round.
struct Direct<'a, 'b, 'c> {
    state: &'a mut RoundState<'b>,
    asker: &'a Asker<'c>,
    /// Requests that wait for those before them to be checked.
    outcomes: BTreeMap<usize, RequestOutcome>,
    next: usize,
    /// Requests before this one were checked.
    checked: usize,
    in_flight: usize,
    failures_in_a_row: u32,
    /// Nothing more is sent; answers that are paid for still count.
    is_out_of_money: bool,
    end: Option<RoundEnd>,
}

impl Direct<'_, '_, '_> {
    fn run_jobs(
        &mut self,
        jobs: &crossbeam_channel::Sender<(usize, Prompt)>,
        events: &crossbeam_channel::Receiver<Event>,
        observer: &dyn SynthObserver,
    ) -> Result<RoundEnd, SynthError> {
        loop {
            self.dispatch(jobs)?;
            self.check_in_order(observer)?;
            if self.in_flight == 0 {
                if self.state.missing() == 0 {
                    return Ok(RoundEnd::Reached);
                }
                if let Some(end) = self.end.take() {
                    return Ok(end);
                }
                if self.checked >= self.state.plan.len() {
                    return Ok(match self.is_out_of_money {
                        true => RoundEnd::MaxCost,
                        false => RoundEnd::OutOfRequests,
                    });
                }
                // Checking has made room for more.
                continue;
            }
            match events.recv() {
                Ok(Event::Lost { index, usd }) => self.note_lost(index, usd)?,
                Ok(Event::Ended { index, asked }) => {
                    self.in_flight -= 1;
                    self.record_outcome(index, asked)?;
                }
                Err(_) => return Ok(RoundEnd::Interrupted),
            }
        }
    }

    /// Sends requests as long as each of those on their way could be one of the missing examples:
    /// so no answer is paid for that is not needed. What it costs at most is set aside, and in the
    /// journal, before a request is sent.
    fn dispatch(
        &mut self,
        jobs: &crossbeam_channel::Sender<(usize, Prompt)>,
    ) -> Result<(), SynthError> {
        while self.end.is_none() && self.next < self.state.plan.len() {
            if self.asker.cancellation.is_cancelled() {
                self.end = Some(RoundEnd::Interrupted);
                break;
            }
            let undecided = self.in_flight
                + self
                    .outcomes
                    .values()
                    .filter(|outcome| matches!(outcome, RequestOutcome::Answered))
                    .count();
            if undecided >= self.state.missing() || self.in_flight >= self.state.config.concurrency
            {
                break;
            }
            let request = self.state.plan.request(self.next);
            let most_usd = self.asker.most_usd(&request.prompt);
            if self.state.present.contains(&request.key) {
                self.outcomes.insert(self.next, RequestOutcome::Present);
            } else if self.state.journal.answer(&request.key).is_some() {
                self.state.from_journal += 1;
                self.outcomes.insert(self.next, RequestOutcome::Answered);
            } else if self.is_out_of_money {
                self.outcomes.insert(self.next, RequestOutcome::Open);
            } else if lock(self.asker.budget).reserve(most_usd) {
                if most_usd > 0.0 {
                    self.state.journal.append(Record::Asked {
                        key: request.key,
                        cost_at_most_usd: most_usd,
                    })?;
                }
                self.state.sent += 1;
                self.in_flight += 1;
                // The queue's other end lives as long as this loop.
                let _ = jobs.send((self.next, request.prompt));
            } else if self.in_flight == 0 {
                self.is_out_of_money = true;
                continue;
            } else {
                // What is in flight mostly costs less than was set aside.
                break;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Puts an attempt that may have been billed in vain on the disk.
    fn note_lost(&mut self, index: usize, usd: f64) -> Result<(), SynthError> {
        self.state.cost_of_run_usd += usd;
        if usd > 0.0 {
            self.state.journal.append(Record::Unanswered {
                key: self.state.plan.request(index).key,
                cost_at_most_usd: Some(usd),
                reason: "attempt without an answer".into(),
            })?;
        }
        Ok(())
    }

    /// Puts an answer on the disk.
    fn record_outcome(&mut self, index: usize, asked: Asked) -> Result<(), SynthError> {
        let request = self.state.plan.request(index);
        let price_is_known = self.state.config.price.is_some();
        self.state.retries += u64::from(asked.attempts.saturating_sub(1));
        self.state.cost_of_run_usd += asked.cost_usd;
        if asked.result.is_err() && self.asker.most_usd(&request.prompt) > 0.0 {
            let key = request.key.clone();
            self.state.journal.append(Record::Ended { key })?;
        }
        let outcome = match asked.result {
            Ok((billed, request_id)) => {
                self.failures_in_a_row = 0;
                self.state.journal.append(Record::Answered(Answered {
                    key: request.key.clone(),
                    origin: self.state.config.origin(),
                    example: request.example.id.clone(),
                    reply: billed.reply,
                    usage: billed.usage,
                    cost_usd: price_is_known.then_some(asked.cost_usd),
                    attempts: asked.attempts,
                    request_id,
                }))?;
                RequestOutcome::Answered
            }
            Err(Failure::Exhausted(reason) | Failure::Declined(reason)) => {
                self.failures_in_a_row += 1;
                if self.failures_in_a_row >= MOST_FAILURES_IN_A_ROW {
                    let message = format!(
                        "{MOST_FAILURES_IN_A_ROW} requests in a row failed, the last with: {reason}"
                    );
                    self.stop(RoundEnd::ProviderFailed { message });
                }
                RequestOutcome::Failed(reason)
            }
            Err(Failure::Hopeless(message)) => {
                self.stop(RoundEnd::ProviderFailed { message });
                RequestOutcome::Open
            }
            Err(Failure::Budget) => {
                self.is_out_of_money = true;
                RequestOutcome::Open
            }
            Err(Failure::CalledOff) => {
                if self.asker.cancellation.is_cancelled() {
                    self.stop(RoundEnd::Interrupted);
                }
                RequestOutcome::Open
            }
        };
        self.outcomes.insert(index, outcome);
        Ok(())
    }

    /// The first reason to stop counts.
    fn stop(&mut self, end: RoundEnd) {
        self.asker.halt.cancel();
        self.end.get_or_insert(end);
    }

    /// Checks answers in the order of their requests.
    fn check_in_order(&mut self, observer: &dyn SynthObserver) -> Result<(), SynthError> {
        while let Some(outcome) = self.outcomes.remove(&self.checked) {
            let request = self.state.plan.request(self.checked);
            match outcome {
                RequestOutcome::Present => {}
                RequestOutcome::Answered => self.state.evaluate(&request)?,
                RequestOutcome::Failed(reason) => {
                    let rejection = Rejection::new(Reason::NotAnswered, reason);
                    self.state.reject(&request, rejection, None);
                }
                RequestOutcome::Open => {}
            }
            self.checked += 1;
            observer.progress(
                self.state.present.len() + self.state.accepted.len(),
                self.state.looked_at,
            );
        }
        Ok(())
    }
}

impl Round {
    /// Adds what was accepted to the train split, and the round to the manifest; does nothing without
    /// new examples.
    pub fn add_to(&self, dataset: &mut Dataset, origin: &str) {
        if self.accepted.is_empty() {
            return;
        }
        let examples = number(self.accepted.clone(), &dataset.examples);
        dataset.examples.extend(examples);
        dataset.manifest.synth.push(record_of(origin, &self.report));
    }
}

/// Gives new examples ids that go on from those of the dataset.
fn number(new: Vec<Example>, dataset: &[Example]) -> Vec<Example> {
    let width = dataset
        .iter()
        .map(|example| example.id.len())
        .max()
        .unwrap_or(4);
    let last = dataset
        .iter()
        .filter_map(|example| example.id.parse::<u64>().ok())
        .max();
    let first_new = last.map_or(0, |last| last + 1);
    let numbered = new
        .into_iter()
        .zip(first_new..)
        .map(|(example, number)| Example {
            id: format!("{number:0width$}"),
            ..example
        });
    numbered.collect()
}

/// The round as the dataset's manifest keeps it.
fn record_of(origin: &str, report: &SynthReport) -> SynthRecord {
    SynthRecord {
        origin: origin.to_owned(),
        accepted: report.accepted,
        rejected: report
            .rejected
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect(),
    }
}

/// Where a round's journal and rejected answers are: beside the dataset's folder, which is replaced
/// as a whole when the dataset is saved.
fn round_folder(dataset: &Path) -> PathBuf {
    let mut name = dataset.file_name().unwrap_or_default().to_os_string();
    name.push(".synth");
    dataset.with_file_name(name)
}

/// Writes the rejected answers, one JSON object a line.
///
/// # Errors
/// When the disk does not take them.
fn write_rejected(folder: &Path, rejected: &[RejectedAnswer]) -> std::io::Result<PathBuf> {
    let mut lines = Vec::new();
    for answer in rejected {
        serde_json::to_writer(&mut lines, answer)?;
        lines.push(b'\n');
    }
    let path = folder.join("rejected.jsonl");
    crate::files::write_atomically(&path, &lines)?;
    Ok(path)
}
