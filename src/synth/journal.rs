//! What was asked and answered, on the disk before anybody relies on it.
//!
//! A journal is a file of JSON lines that only grows. Each record is flushed to the disk before
//! [`Journal::append`] returns, so that what a provider has billed is known to the next run however
//! this one ends. A last line that a crash cut off is dropped. One process at a time writes: two
//! would pay for the same answers.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cost::Price;
use super::provider::{Parameters, Prompt, ProviderKind, Reply, Usage};

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another `posedata synth` writes this journal; wait for it, or end it: {path}")]
    InUse { path: PathBuf },
    #[error("cannot use the journal ({reason}): {path}")]
    File { path: PathBuf, reason: String },
    #[error(
        "line {line} of the journal is damaged ({reason}); mend it, or move the file away and pay again: {path}"
    )]
    Damaged {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}

/// What provider, model, prompt and parameters hash to (BLAKE3, hex).
pub fn request_key(provider: ProviderKind, parameters: &Parameters, prompt: &Prompt) -> String {
    let mut hasher = blake3::Hasher::new();
    let temperature = parameters
        .temperature
        .map_or(String::new(), |t| t.to_string());
    let effort = parameters.effort.map_or("", |effort| effort.name());
    let max_answer_tokens = parameters.max_answer_tokens.to_string();
    for part in [
        // Changes when the schema or the way of asking does.
        "posedata synth 1",
        provider.name(),
        &parameters.model,
        &max_answer_tokens,
        &temperature,
        effort,
        &prompt.system,
        &prompt.user,
    ] {
        crate::hashing::add_part(&mut hasher, part);
    }
    hasher.finalize().to_hex().to_string()
}

/// A line of the journal.
///
/// The life of a request that is sent at once: `Asked`, an `Unanswered` for each attempt that may
/// have been billed in vain, and `Answered` or `Ended` at its end. What is without an end was
/// under way when the process was killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum Record {
    /// A request is about to be sent.
    Asked {
        key: String,
        /// What one attempt costs at most, in US dollars.
        cost_at_most_usd: f64,
    },
    /// A request was answered and billed.
    Answered(Answered),
    /// An attempt brought no answer that can be used, but may have been billed.
    Unanswered {
        key: String,
        /// What it costs at most, in US dollars; `None` where no price is known.
        cost_at_most_usd: Option<f64>,
        reason: String,
    },
    /// A request has ended without an answer; what its attempts may have cost is noted.
    Ended { key: String },
    /// A batch is about to be sent. If nothing follows, nobody knows whether it was.
    BatchIntended {
        /// Names the batch where the provider keeps names.
        token: String,
        keys: Vec<String>,
        /// Seconds since 1970.
        at_secs: u64,
    },
    /// The provider has taken the batch.
    BatchSubmitted {
        token: String,
        batch_id: String,
        keys: Vec<String>,
        cost_at_most_usd: Option<f64>,
    },
    /// All answers of the batch are in the journal, or the batch failed as a whole.
    BatchCollected { batch_id: String },
    /// The batch never reached the provider.
    BatchAbandoned { token: String },
}

/// An answer as it was billed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub key: String,
    /// Provider and model.
    pub origin: String,
    /// Id of the example that it is about.
    pub example: String,
    pub reply: Reply,
    pub usage: Usage,
    /// In US dollars; `None` where no price is known.
    pub cost_usd: Option<f64>,
    pub attempts: u32,
    pub request_id: Option<String>,
}

/// A batch that was sent and not yet collected.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenBatch {
    pub token: String,
    pub batch_id: String,
    pub keys: Vec<String>,
    pub cost_at_most_usd: Option<f64>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    contents: Contents,
}

#[derive(Debug, Default)]
struct Contents {
    answers: HashMap<String, Answered>,
    unanswered_usd: HashMap<String, f64>,
    /// Requests without an end, and what an attempt at them costs at most.
    under_way_usd: HashMap<String, f64>,
    /// What all answers cost whose price was known.
    answered_usd: f64,
    /// Tokens of the answers of each provider and model whose price was not known.
    unpriced: BTreeMap<String, Usage>,
    open_batches: BTreeMap<String, OpenBatch>,
    intents: BTreeMap<String, (Vec<String>, u64)>,
    /// In how many batches a request was.
    submissions: HashMap<String, u32>,
}

impl Contents {
    fn take(&mut self, record: Record) {
        match record {
            Record::Asked {
                key,
                cost_at_most_usd,
            } => {
                // What was under way when a run was killed may have been billed.
                if let Some(usd) = self.under_way_usd.insert(key.clone(), cost_at_most_usd) {
                    *self.unanswered_usd.entry(key).or_default() += usd;
                }
            }
            Record::Ended { key } => {
                self.under_way_usd.remove(&key);
            }
            Record::Answered(answer) => {
                self.under_way_usd.remove(&answer.key);
                match answer.cost_usd {
                    Some(usd) => self.answered_usd += usd,
                    None => {
                        let unpriced = self.unpriced.entry(answer.origin.clone()).or_default();
                        unpriced.input_tokens += answer.usage.input_tokens;
                        unpriced.output_tokens += answer.usage.output_tokens;
                    }
                }
                self.answers.entry(answer.key.clone()).or_insert(answer);
            }
            Record::Unanswered {
                key,
                cost_at_most_usd,
                ..
            } => {
                *self.unanswered_usd.entry(key).or_default() += cost_at_most_usd.unwrap_or(0.0);
            }
            Record::BatchIntended {
                token,
                keys,
                at_secs,
            } => {
                self.intents.insert(token, (keys, at_secs));
            }
            Record::BatchSubmitted {
                token,
                batch_id,
                keys,
                cost_at_most_usd,
            } => {
                self.intents.remove(&token);
                for key in &keys {
                    *self.submissions.entry(key.clone()).or_default() += 1;
                }
                let batch = OpenBatch {
                    token,
                    batch_id: batch_id.clone(),
                    keys,
                    cost_at_most_usd,
                };
                self.open_batches.insert(batch_id, batch);
            }
            Record::BatchCollected { batch_id } => {
                self.open_batches.remove(&batch_id);
            }
            Record::BatchAbandoned { token } => {
                self.intents.remove(&token);
            }
        }
    }
}

impl Journal {
    /// Opens a journal, or begins one, and keeps other processes from writing it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read or written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file_error = |e: std::io::Error| JournalError::File {
            path: path.into(),
            reason: crate::files::why_not_written(&e),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(file_error)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(file_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { path: path.into() });
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(file_error(e)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(file_error)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |i| i + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(file_error)?;
            file.seek(SeekFrom::End(0)).map_err(file_error)?;
        }
        let contents = read(&bytes[..whole], path)?;
        crate::files::sync_folder(&crate::files::folder_of(path)).map_err(file_error)?;
        Ok(Self {
            path: path.into(),
            file,
            contents,
        })
    }

    /// Puts a record on the disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn append(&mut self, record: Record) -> Result<(), JournalError> {
        let error = |e: std::io::Error| JournalError::File {
            path: self.path.clone(),
            reason: e.to_string(),
        };
        let mut line = serde_json::to_vec(&record).map_err(|e| error(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(error)?;
        self.file.sync_data().map_err(error)?;
        self.contents.take(record);
        Ok(())
    }

    pub fn answer(&self, key: &str) -> Option<&Answered> {
        self.contents.answers.get(key)
    }

    /// What all that the journal knows of has cost at most, whatever the settings it was asked with:
    /// answers, attempts without one, and requests that were under way when a run was killed.
    /// Batches that are not collected yet are not in it. Answers that were journaled without a price
    /// count where they are of `origin`, by its `price`; a model without a price costs nothing here.
    pub fn spent_usd(&self, origin: &str, price: Option<Price>) -> f64 {
        let unpriced = self.contents.unpriced.get(origin);
        let unpriced_usd = unpriced.zip(price).map(|(usage, p)| p.cost_usd(*usage));
        self.contents.answered_usd
            + unpriced_usd.unwrap_or(0.0)
            + self.contents.unanswered_usd.values().sum::<f64>()
            + self.contents.under_way_usd.values().sum::<f64>()
    }

    /// What attempts without an answer may have cost.
    pub fn unanswered_usd(&self, key: &str) -> f64 {
        let usd = |costs: &HashMap<String, f64>| costs.get(key).copied().unwrap_or(0.0);
        usd(&self.contents.unanswered_usd) + usd(&self.contents.under_way_usd)
    }

    /// In how many batches a request was sent.
    pub fn submissions(&self, key: &str) -> u32 {
        self.contents.submissions.get(key).copied().unwrap_or(0)
    }

    /// Batches that were sent and not yet collected.
    pub fn open_batches(&self) -> Vec<OpenBatch> {
        self.contents.open_batches.values().cloned().collect()
    }

    /// Batches of which nobody knows whether they were sent: token, keys, seconds since 1970.
    pub fn intents(&self) -> Vec<(String, Vec<String>, u64)> {
        let intents = self.contents.intents.iter();
        intents
            .map(|(token, (keys, at_secs))| (token.clone(), keys.clone(), *at_secs))
            .collect()
    }
}

fn read(bytes: &[u8], path: &Path) -> Result<Contents, JournalError> {
    let mut contents = Contents::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let record = serde_json::from_slice(line).map_err(|e| JournalError::Damaged {
            path: path.into(),
            line: index + 1,
            reason: e.to_string(),
        })?;
        contents.take(record);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(key: &str) -> Record {
        Record::Answered(Answered {
            key: key.into(),
            origin: "openai:m".into(),
            example: "0001".into(),
            reply: Reply::Answer {
                content: json!({"question": "q", "answer": "a\nb"}),
            },
            usage: Usage {
                input_tokens: 3,
                output_tokens: 4,
            },
            cost_usd: Some(0.25),
            attempts: 2,
            request_id: None,
        })
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("synth/journal.jsonl");
        let mut journal = Journal::open(&path).expect("a journal");
        journal.append(answered("one")).expect("a record");
        journal.append(answered("two")).expect("a record");
        drop(journal);
        // A crash while a line was written.
        let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
        file.write_all(br#"{"record":"answered","key":"thr"#)
            .expect("bytes");
        drop(file);
        let mut journal = Journal::open(&path).expect("a journal");
        assert!(journal.answer("one").is_some() && journal.answer("two").is_some());
        assert!(journal.answer("thr").is_none());
        journal.append(answered("three")).expect("a record");
        drop(journal);
        let journal = Journal::open(&path).expect("a journal");
        assert_eq!(journal.answer("three").map(|a| a.attempts), Some(2));
    }

    #[test]
    fn two_processes_cannot_write_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let _journal = Journal::open(&path).expect("a journal");
        assert!(matches!(
            Journal::open(&path),
            Err(JournalError::InUse { .. })
        ));
    }

    #[test]
    fn damage_in_the_middle_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, "\nnonsense\n").expect("a file");
        let error = Journal::open(&path).expect_err("damage").to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn batches_are_open_until_they_are_collected() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(&folder.path().join("j.jsonl")).expect("a journal");
        let keys = vec!["k".to_owned()];
        let intended = Record::BatchIntended {
            token: "t".into(),
            keys: keys.clone(),
            at_secs: 5,
        };
        journal.append(intended).expect("a record");
        assert_eq!(journal.intents(), [("t".into(), keys.clone(), 5)]);
        journal
            .append(Record::BatchSubmitted {
                token: "t".into(),
                batch_id: "b".into(),
                keys,
                cost_at_most_usd: None,
            })
            .expect("a record");
        assert!(journal.intents().is_empty());
        assert_eq!(journal.open_batches().len(), 1);
        journal
            .append(Record::BatchCollected {
                batch_id: "b".into(),
            })
            .expect("a record");
        assert!(journal.open_batches().is_empty());
    }

    #[test]
    fn the_key_changes_with_all_that_shapes_the_answer() {
        let prompt = |user: &str| Prompt {
            system: "s".into(),
            user: user.into(),
        };
        let parameters = |model: &str, temperature| Parameters {
            model: model.into(),
            max_answer_tokens: 100,
            temperature,
            effort: None,
        };
        let key = |provider, model, temperature, user| {
            request_key(provider, &parameters(model, temperature), &prompt(user))
        };
        let keys = [
            key(ProviderKind::OpenAi, "m", None, "u"),
            key(ProviderKind::Anthropic, "m", None, "u"),
            key(ProviderKind::OpenAi, "n", None, "u"),
            key(ProviderKind::OpenAi, "m", Some(0.5), "u"),
            key(ProviderKind::OpenAi, "m", None, "v"),
        ];
        let different: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], key(ProviderKind::OpenAi, "m", None, "u"));
        assert_eq!(keys[0].len(), 64);
    }
}
