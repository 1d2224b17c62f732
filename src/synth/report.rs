//! What a round has done, for people and machines.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::Unsupported;
use super::provider::{ProviderKind, Usage};

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum RoundEnd {
    /// As many examples as wanted.
    Reached,
    /// --max-requests is used up.
    OutOfRequests,
    /// The next request could have cost more than --max-cost leaves.
    MaxCost,
    /// A signal or the caller ended it; the same command goes on.
    Interrupted,
    /// The provider will answer nothing more.
    ProviderFailed {
        /// What the provider said.
        message: String,
    },
    /// Batches are with the provider.
    BatchPending {
        /// Those whose answers are missing.
        batches: Vec<PendingBatch>,
    },
}

/// A batch that is being worked on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PendingBatch {
    /// As the provider calls it.
    pub batch_id: String,
    /// As the provider calls it.
    pub status: String,
    /// In the batch.
    pub requests: u64,
    /// Of these, answered, refused or failed.
    pub done: u64,
}

/// An answer that is no example, as it is kept in `rejected.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RejectedAnswer {
    pub reason: &'static str,
    pub detail: String,
    /// Numbers that nothing supports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Unsupported>,
    /// The example that it is about.
    pub example: String,
    pub prompt_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<super::provider::Reply>,
}

/// The account of a round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SynthReport {
    /// Who was asked.
    pub provider: ProviderKind,
    /// As the provider calls it.
    pub model: String,
    /// Examples that the dataset should have of these settings.
    pub wanted: u64,
    /// Of these, there before this run.
    pub already_there: u64,
    /// New in this run.
    pub accepted: u64,
    /// Answers that are no examples, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Answers that were billed earlier and read from the journal.
    pub from_journal: u64,
    /// Requests that this run sent; each may have taken several attempts.
    pub sent: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Tokens and cost of all answers that were looked at, those of earlier runs included.
    pub usage: Usage,
    /// In US dollars; `None` where the model has no price. What failed attempts may have cost is in
    /// it.
    pub cost_usd: Option<f64>,
    /// The part of it that this run has spent.
    pub cost_of_run_usd: Option<f64>,
    /// What all runs on the dataset have spent at most, whatever their settings: what --max-cost
    /// limits.
    pub cost_of_dataset_usd: Option<f64>,
    /// Why nothing more was asked.
    pub end: RoundEnd,
}

impl SynthReport {
    /// The end in words, with what to do.
    pub fn end_in_words(&self) -> String {
        let missing = self
            .wanted
            .saturating_sub(self.already_there + self.accepted);
        match &self.end {
            RoundEnd::Reached => "as many as wanted".into(),
            RoundEnd::OutOfRequests => format!(
                "{missing} fewer than wanted: --max-requests is used up; raise it, or see rejected.jsonl for what goes wrong"
            ),
            RoundEnd::MaxCost => format!(
                "{missing} fewer than wanted: the next request could have gone beyond --max-cost; all runs on this dataset have cost {:.4} USD at most",
                self.cost_of_dataset_usd.unwrap_or(0.0)
            ),
            RoundEnd::Interrupted => {
                "interrupted; answers so far are in the journal, and the same command goes on from there".into()
            }
            RoundEnd::ProviderFailed { message } => {
                format!("{missing} fewer than wanted: {message}")
            }
            RoundEnd::BatchPending { batches } => {
                let one = |b: &PendingBatch| {
                    format!("batch {} is {} ({} of {} done)", b.batch_id, b.status, b.done, b.requests)
                };
                let all: Vec<String> = batches.iter().map(one).collect();
                format!("{}; run the same command again to collect", all.join(", "))
            }
        }
    }
}
