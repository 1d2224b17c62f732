//! Batches: all requests are left with the provider, which works on them within a day for half the
//! price. One run submits, a later one collects; what failed or expired is sent again.
//!
//! The journal knows every batch. Before a batch is sent it notes the intent: a crash between the
//! provider's receipt and the note of it leaves an intent without batch, and the next run looks for
//! it with the provider before it sends anything again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::{Value, json};

use super::asker::most_usd;
use super::checks::{Reason, Rejection};
use super::journal::{Answered, OpenBatch, Record};
use super::provider::{Billed, Provider, ProviderError, ProviderKind, Remedy, error_of};
use super::report::{PendingBatch, RoundEnd};
use super::transport::{Body, HttpAnswer, Transport};
use super::{Request, RoundState, SynthError};
use crate::random::SplitMix64;
use crate::sync::Cancellation;

/// A request that came back without an answer so often is not sent again.
const MOST_SUBMISSIONS: u32 = 3;
/// Both providers take more; files stay small.
const MOST_REQUESTS: usize = 10_000;
/// Clocks differ: a batch may seem to be older than the intent to send it.
const CLOCK_TOLERANCE_SECS: i64 = 300;

/// What a provider says of a batch.
struct Status {
    /// As the provider calls it.
    name: String,
    done: u64,
    requests: u64,
    stage: Stage,
    /// Where the results are: paths below the base address.
    results: Vec<String>,
}

enum Stage {
    Working,
    /// There are results, or there will be none.
    Ended,
    Failed(String),
}

/// A line of results.
struct Line {
    key: String,
    result: Result<Billed, String>,
}

/// Collects what is ready and sends what is missing.
///
/// # Errors
/// When the journal cannot be written.
pub(crate) fn run(
    state: &mut RoundState<'_>,
    provider: &dyn Provider,
    transport: &Transport,
    cancellation: &Cancellation,
) -> Result<RoundEnd, SynthError> {
    let client = BatchClient {
        provider,
        transport,
        cancellation,
        retry: state.config.retry,
    };
    match client.round(state) {
        Ok(end) => Ok(end),
        Err(BatchError::Synth(error)) => Err(error),
        Err(BatchError::Provider(message)) => Ok(RoundEnd::ProviderFailed { message }),
        Err(BatchError::Interrupted) => Ok(RoundEnd::Interrupted),
    }
}

enum BatchError {
    Synth(SynthError),
    Provider(String),
    Interrupted,
}

impl<E: Into<SynthError>> From<E> for BatchError {
    fn from(error: E) -> Self {
        Self::Synth(error.into())
    }
}

/// Talks to the provider about batches.
struct BatchClient<'a> {
    provider: &'a dyn Provider,
    transport: &'a Transport,
    cancellation: &'a Cancellation,
    retry: super::retry::RetryPolicy,
}

impl BatchClient<'_> {
    fn round(&self, state: &mut RoundState<'_>) -> Result<RoundEnd, BatchError> {
        self.find_lost_batches(state)?;
        let mut pending = Vec::new();
        for batch in state.journal.open_batches() {
            let status = self.status(&batch.batch_id)?;
            match status.stage {
                Stage::Working => pending.push(PendingBatch {
                    batch_id: batch.batch_id,
                    status: status.name,
                    requests: status.requests,
                    done: status.done,
                }),
                Stage::Failed(message) => {
                    let batch_id = batch.batch_id.clone();
                    state.journal.append(Record::BatchCollected { batch_id })?;
                    return Err(BatchError::Provider(message));
                }
                Stage::Ended => self.collect(state, &batch, &status.results)?,
            }
        }
        if !pending.is_empty() {
            return Ok(RoundEnd::BatchPending { batches: pending });
        }
        let (to_send, is_out_of_money) = choose(state)?;
        if state.missing() == 0 {
            return Ok(RoundEnd::Reached);
        }
        if to_send.is_empty() {
            return Ok(if is_out_of_money {
                RoundEnd::MaxCost
            } else {
                RoundEnd::OutOfRequests
            });
        }
        let batch = self.submit(state, &to_send)?;
        Ok(RoundEnd::BatchPending {
            batches: vec![batch],
        })
    }

    fn submit(
        &self,
        state: &mut RoundState<'_>,
        requests: &[Request<'_>],
    ) -> Result<PendingBatch, BatchError> {
        let keys: Vec<String> = requests.iter().map(|request| request.key.clone()).collect();
        let token = format!("posedata-{:016x}", SplitMix64::of_process().next_u64());
        let config = state.config;
        let price = config.price;
        let cost: f64 = requests
            .iter()
            .map(|request| most_usd(price, &config.parameters, &request.prompt))
            .sum();
        let body = |request: &Request<'_>| self.provider.body(&config.parameters, &request.prompt);
        let created = match self.provider.kind() {
            ProviderKind::OpenAi => {
                let mut lines = Vec::new();
                for request in requests {
                    let line = json!({
                        "custom_id": request.key,
                        "method": "POST",
                        "url": "/v1/chat/completions",
                        "body": body(request),
                    });
                    lines.extend(line.to_string().into_bytes());
                    lines.push(b'\n');
                }
                let file = self.upload(&token, &lines)?;
                self.intend(state, &token, &keys)?;
                self.create(
                    "/batches",
                    &json!({
                        "input_file_id": file,
                        "endpoint": "/v1/chat/completions",
                        "completion_window": "24h",
                        "metadata": {"posedata": token},
                    }),
                )
            }
            ProviderKind::Anthropic => {
                let items: Vec<Value> = requests
                    .iter()
                    .map(|request| json!({"custom_id": request.key, "params": body(request)}))
                    .collect();
                self.intend(state, &token, &keys)?;
                self.create("/v1/messages/batches", &json!({"requests": items}))
            }
        };
        let batch = match created {
            Ok(batch) => batch,
            Err(Creation::Rejected(message)) => {
                state.journal.append(Record::BatchAbandoned { token })?;
                return Err(BatchError::Provider(message));
            }
            // The intent stays in the journal: the next run finds out.
            Err(Creation::Unknown(message)) => return Err(BatchError::Provider(message)),
        };
        let batch_id = text(&batch["id"]);
        state.journal.append(Record::BatchSubmitted {
            token,
            batch_id: batch_id.clone(),
            keys,
            cost_at_most_usd: price.map(|_| cost),
        })?;
        state.sent += requests.len() as u64;
        Ok(PendingBatch {
            batch_id,
            status: "submitted".into(),
            requests: requests.len() as u64,
            done: 0,
        })
    }

    fn intend(
        &self,
        state: &mut RoundState<'_>,
        token: &str,
        keys: &[String],
    ) -> Result<(), BatchError> {
        state.journal.append(Record::BatchIntended {
            token: token.to_owned(),
            keys: keys.to_vec(),
            at_secs: secs_since_1970(),
        })?;
        Ok(())
    }

    /// Uploads a batch's requests to OpenAI; gives the file's id.
    fn upload(&self, token: &str, lines: &[u8]) -> Result<String, BatchError> {
        let file = self.json(|| {
            let body = Body::File {
                purpose: "batch",
                name: format!("{token}.jsonl"),
                bytes: lines.to_vec(),
            };
            self.transport.post("/files", body)
        })?;
        Ok(text(&file["id"]))
    }

    /// Creates a batch, once: whether a second try would make a second batch is not known.
    fn create(&self, path: &str, body: &Value) -> Result<Value, Creation> {
        let mut attempt = 1;
        loop {
            let bytes = body.to_string().into_bytes();
            let answer = self.transport.post(path, Body::Json(bytes));
            let answer =
                answer.map_err(|e| Creation::Unknown(self.transport.redact(&e.to_string())))?;
            if answer.status == 200 {
                return serde_json::from_slice(&answer.body)
                    .map_err(|e| Creation::Unknown(format!("the answer is no JSON: {e}")));
            }
            let error = self.error(&answer);
            let message = self.transport.redact(&error.to_string());
            // Only a 429 says for sure that nothing was done and that it makes sense to try again.
            let wait = (answer.status == 429 && error.remedy == Remedy::Retry)
                .then(|| self.retry.wait(attempt, error.retry_after, 1.0))
                .flatten();
            match wait {
                Some(wait) if self.sleep(wait) => attempt += 1,
                _ if answer.status >= 500 => return Err(Creation::Unknown(message)),
                _ => return Err(Creation::Rejected(message)),
            }
        }
    }

    fn status(&self, batch_id: &str) -> Result<Status, BatchError> {
        match self.provider.kind() {
            ProviderKind::OpenAi => {
                let batch = self.json(|| self.transport.get(&format!("/batches/{batch_id}")))?;
                let name = text(&batch["status"]);
                let file = |member: &str| {
                    let id = batch[member].as_str()?;
                    Some(format!("/files/{id}/content"))
                };
                let count = |member: &str| batch["request_counts"][member].as_u64().unwrap_or(0);
                let stage = match name.as_str() {
                    // Expired and cancelled batches have the answers that were ready.
                    "completed" | "expired" | "cancelled" => Stage::Ended,
                    "failed" => {
                        let message = text(&batch["errors"]["data"][0]["message"]);
                        Stage::Failed(
                            self.transport
                                .redact(&format!("the batch failed: {message}")),
                        )
                    }
                    _ => Stage::Working,
                };
                Ok(Status {
                    done: count("completed") + count("failed"),
                    requests: count("total"),
                    results: [file("output_file_id"), file("error_file_id")]
                        .into_iter()
                        .flatten()
                        .collect(),
                    name,
                    stage,
                })
            }
            ProviderKind::Anthropic => {
                let path = format!("/v1/messages/batches/{batch_id}");
                let batch = self.json(|| self.transport.get(&path))?;
                let name = text(&batch["processing_status"]);
                let counts = &batch["request_counts"];
                let count = |member: &str| counts[member].as_u64().unwrap_or(0);
                let done = ["succeeded", "errored", "canceled", "expired"]
                    .map(count)
                    .iter()
                    .sum();
                Ok(Status {
                    done,
                    requests: done + count("processing"),
                    stage: if name == "ended" {
                        Stage::Ended
                    } else {
                        Stage::Working
                    },
                    // The address that the batch names is this one; the key goes to no other.
                    results: vec![format!("{path}/results")],
                    name,
                })
            }
        }
    }

    /// Puts a batch's answers into the journal.
    fn collect(
        &self,
        state: &mut RoundState<'_>,
        batch: &OpenBatch,
        results: &[String],
    ) -> Result<(), BatchError> {
        let examples: std::collections::HashMap<String, String> = (0..state.plan.len())
            .map(|index| state.plan.request(index))
            .map(|request| (request.key, request.example.id.clone()))
            .collect();
        let mut failed = 0_u64;
        for path in results {
            let answer = self.answer(|| self.transport.get(path))?;
            for line in answer.body.split(|byte| *byte == b'\n') {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let line: Value = serde_json::from_slice(line).map_err(|e| {
                    BatchError::Provider(format!(
                        "the results of batch {} are damaged: {e}",
                        batch.batch_id
                    ))
                })?;
                let line = self.line(&line);
                if !batch.keys.contains(&line.key) || state.journal.answer(&line.key).is_some() {
                    continue;
                }
                match line.result {
                    Ok(billed) => {
                        let cost_usd = state.config.price.map(|p| p.cost_usd(billed.usage));
                        state.cost_of_run_usd += cost_usd.unwrap_or(0.0);
                        state.journal.append(Record::Answered(Answered {
                            example: examples.get(&line.key).cloned().unwrap_or_default(),
                            key: line.key,
                            origin: state.config.origin(),
                            reply: billed.reply,
                            usage: billed.usage,
                            cost_usd,
                            attempts: 1,
                            request_id: None,
                        }))?;
                    }
                    Err(reason) => {
                        failed += 1;
                        let reason = self.transport.redact(&reason);
                        tracing::debug!(target: "posedata::synth", key = line.key, reason, "item of a batch failed");
                    }
                }
            }
        }
        tracing::info!(target: "posedata::synth", batch = batch.batch_id, failed, "batch collected");
        let batch_id = batch.batch_id.clone();
        state.journal.append(Record::BatchCollected { batch_id })?;
        Ok(())
    }

    fn line(&self, line: &Value) -> Line {
        let key = text(&line["custom_id"]);
        let result = match self.provider.kind() {
            ProviderKind::OpenAi => {
                let response = &line["response"];
                if response["status_code"].as_u64() == Some(200) {
                    self.provider.reply(&response["body"])
                } else if let Some(message) = line["error"]["message"].as_str() {
                    Err(message.to_owned())
                } else {
                    let (kind, message) = self.provider.error(&response["body"]);
                    Err(format!("{kind}: {message}"))
                }
            }
            ProviderKind::Anthropic => {
                let result = &line["result"];
                match result["type"].as_str() {
                    Some("succeeded") => self.provider.reply(&result["message"]),
                    Some("errored") => {
                        let (kind, message) = self.provider.error(&result["error"]);
                        Err(format!("{kind}: {message}"))
                    }
                    other => Err(other.unwrap_or("without result").to_owned()),
                }
            }
        };
        Line { key, result }
    }

    /// Looks for batches of which only the intent is known.
    fn find_lost_batches(&self, state: &mut RoundState<'_>) -> Result<(), BatchError> {
        let intents = state.journal.intents();
        if intents.is_empty() {
            return Ok(());
        }
        let path = match self.provider.kind() {
            ProviderKind::OpenAi => "/batches?limit=100",
            ProviderKind::Anthropic => "/v1/messages/batches?limit=100",
        };
        let listed = self.json(|| self.transport.get(path))?;
        let batches = listed["data"].as_array().cloned().unwrap_or_default();
        for (token, keys, at_secs) in intents {
            let known: Vec<String> = state
                .journal
                .open_batches()
                .into_iter()
                .map(|batch| batch.batch_id)
                .collect();
            let is_it = |batch: &&Value| match self.provider.kind() {
                ProviderKind::OpenAi => batch["metadata"]["posedata"] == token.as_str(),
                // Anthropic keeps no names: time and size have to do. Results of requests that
                // are not ours are left alone when it is collected.
                ProviderKind::Anthropic => {
                    let counts = batch["request_counts"].as_object();
                    let total: u64 = counts
                        .map(|counts| counts.values().filter_map(Value::as_u64).sum())
                        .unwrap_or(0);
                    let created = DateTime::parse_from_rfc3339(&text(&batch["created_at"]));
                    total == keys.len() as u64
                        && created
                            .is_ok_and(|at| at.timestamp() + CLOCK_TOLERANCE_SECS >= at_secs as i64)
                        && !known.contains(&text(&batch["id"]))
                }
            };
            let record = match batches.iter().find(is_it) {
                Some(batch) => Record::BatchSubmitted {
                    token,
                    batch_id: text(&batch["id"]),
                    keys,
                    cost_at_most_usd: None,
                },
                None => Record::BatchAbandoned { token },
            };
            state.journal.append(record)?;
        }
        Ok(())
    }

    fn json(
        &self,
        call: impl Fn() -> Result<HttpAnswer, super::transport::TransportError>,
    ) -> Result<Value, BatchError> {
        let answer = self.answer(call)?;
        serde_json::from_slice(&answer.body)
            .map_err(|e| BatchError::Provider(format!("the answer is no JSON: {e}")))
    }

    /// Calls until there is an answer with status 200; for calls that change nothing if repeated.
    fn answer(
        &self,
        call: impl Fn() -> Result<HttpAnswer, super::transport::TransportError>,
    ) -> Result<HttpAnswer, BatchError> {
        let mut random = SplitMix64::of_process();
        let mut attempt = 1;
        loop {
            let (message, wait) = match call() {
                Ok(answer) if answer.status == 200 => return Ok(answer),
                Ok(answer) => {
                    let error = self.error(&answer);
                    let may_retry = error.remedy == Remedy::Retry;
                    (error.to_string(), may_retry.then_some(error.retry_after))
                }
                Err(error) => (error.to_string(), Some(None)),
            };
            let fraction = random.next_fraction();
            let wait = wait.and_then(|after| self.retry.wait(attempt, after, fraction));
            match wait {
                Some(wait) if self.sleep(wait) => attempt += 1,
                Some(_) => return Err(BatchError::Interrupted),
                None => return Err(BatchError::Provider(self.transport.redact(&message))),
            }
        }
    }

    fn error(&self, answer: &HttpAnswer) -> ProviderError {
        error_of(
            self.provider,
            answer.status,
            answer.retry_after,
            &answer.body,
        )
    }

    /// Sleeps; `false` if called off meanwhile.
    fn sleep(&self, wait: Duration) -> bool {
        self.cancellation.sleep(wait)
    }
}

enum Creation {
    /// There is no batch.
    Rejected(String),
    /// There may be one.
    Unknown(String),
}

/// Checks all answers there are, in order, and chooses requests that could make up for what is
/// missing; tells whether money, and not requests, ran out.
fn choose<'a>(state: &mut RoundState<'a>) -> Result<(Vec<Request<'a>>, bool), SynthError> {
    let mut to_send: Vec<Request<'a>> = Vec::new();
    let config = state.config;
    let mut spent_usd = state.earlier_usd();
    let mut is_out_of_money = false;
    for index in 0..state.plan.len() {
        if to_send.len() >= state.missing().min(MOST_REQUESTS) {
            break;
        }
        let request = state.plan.request(index);
        if state.present.contains(&request.key) {
            continue;
        }
        if state.journal.answer(&request.key).is_some() {
            state.from_journal += 1;
            state.evaluate(&request)?;
        } else if state.journal.submissions(&request.key) >= MOST_SUBMISSIONS {
            let detail = format!("{MOST_SUBMISSIONS} batches brought no answer");
            state.reject(&request, Rejection::new(Reason::NotAnswered, detail), None);
        } else if !is_out_of_money {
            let most = most_usd(config.price, &config.parameters, &request.prompt);
            if config
                .max_cost_usd
                .is_some_and(|limit| spent_usd + most > limit)
            {
                is_out_of_money = true;
            } else {
                spent_usd += most;
                to_send.push(request);
            }
        }
    }
    // Accepted answers behind a gap may have made some of these requests unnecessary.
    to_send.truncate(state.missing());
    Ok((to_send, is_out_of_money))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn secs_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
