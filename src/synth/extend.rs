//! A round over a dataset in its folder: what is accepted joins it, and the lake learns of it.

use std::path::PathBuf;

use super::report::RoundEnd;
use super::round::run;
use super::{
    Access, CountTokens, Input, Round, SynthConfig, SynthError, SynthObserver, round_folder,
    write_rejected,
};
use crate::dataset::{Dataset, DatasetKind, Example, TokenCount};
use crate::files::why_not_written;
use crate::lake::Lake;
use crate::language::{ChatTokenizer, Needs, bases};
use crate::models::ModelStore;
use crate::sync::Cancellation;

/// A dataset that is to have further examples, with what counts its tokens.
pub struct Extension {
    dataset: Dataset,
    folder: PathBuf,
    tokenizer: ChatTokenizer,
}

/// What became of a round.
pub struct Extended {
    /// What was asked and accepted.
    pub round: Round,
    /// Whether the accepted examples are in the dataset: not before a round is over.
    pub is_saved: bool,
    /// The file of what was rejected.
    pub rejected: PathBuf,
}

/// Whether a dataset's examples can be written in other words: calls have their paraphrases in the
/// questions' files, and what answers them is no text.
///
/// # Errors
/// [`SynthError::Calls`].
pub fn check_kind(dataset: &Dataset) -> Result<(), SynthError> {
    match dataset.manifest.kind {
        DatasetKind::Answers => Ok(()),
        DatasetKind::Calls => Err(SynthError::Calls),
    }
}

impl Extension {
    /// `dataset` is what `folder` holds. Finds whatever could keep the result from being saved, before anything is paid for.
    ///
    /// # Errors
    /// When the dataset holds calls, or the tokenizer is not there, or not the one that the dataset
    /// was built with.
    pub fn new(dataset: Dataset, folder: PathBuf, store: &ModelStore) -> Result<Self, SynthError> {
        check_kind(&dataset)?;
        let manifest = &dataset.manifest;
        let tokenizer = bases::find(store, &manifest.base, Needs::Tokenizer)?.tokenizer()?;
        if tokenizer.blake3() != manifest.tokenizer_blake3 {
            return Err(SynthError::OtherTokenizer {
                base: manifest.base.clone(),
            });
        }
        Ok(Self {
            dataset,
            folder,
            tokenizer,
        })
    }

    /// Runs a round and keeps what came of it.
    ///
    /// # Errors
    /// When there is nothing to ask about, or a price is missing that the limit of cost needs; when
    /// the dataset changed meanwhile, or it, its journal or the lake cannot be written. A provider
    /// that fails is no error: the report tells.
    pub fn run(
        self,
        config: &SynthConfig,
        access: &Access,
        lake: &Lake,
        cancellation: &Cancellation,
        observer: &dyn SynthObserver,
    ) -> Result<Extended, SynthError> {
        let manifest = &self.dataset.manifest;
        let rounds = round_folder(&self.folder);
        let input = Input {
            examples: &self.dataset.examples,
            videos: &manifest.videos,
            max_tokens: manifest.max_tokens,
            tokens: &Tokens(&self.tokenizer),
        };
        let journal = rounds.join("journal.jsonl");
        let round = run(config, access, &input, &journal, cancellation, observer)?;
        let rejected = write_rejected(&rounds, &round.rejected);
        let rejected = rejected.map_err(|e| SynthError::Rejected {
            path: rounds,
            reason: why_not_written(&e),
        })?;
        let is_saved = !matches!(
            round.report.end,
            RoundEnd::Interrupted | RoundEnd::BatchPending { .. }
        );
        if is_saved {
            // Also without new examples: an earlier run may have ended between saving and
            // registering.
            self.save(&round, config, lake)?;
        }
        Ok(Extended {
            round,
            is_saved,
            rejected,
        })
    }

    fn save(mut self, round: &Round, config: &SynthConfig, lake: &Lake) -> Result<(), SynthError> {
        if !round.accepted.is_empty() {
            let there = Dataset::open(&self.folder)?;
            if there.content_blake3() != self.dataset.content_blake3() {
                return Err(SynthError::DatasetChanged { path: self.folder });
            }
            round.add_to(&mut self.dataset, &config.origin());
            self.dataset.save(&self.folder)?;
        }
        Ok(self.dataset.register(lake, &self.folder)?)
    }
}

struct Tokens<'a>(&'a ChatTokenizer);

impl CountTokens for Tokens<'_> {
    fn count(&self, example: &Example) -> Result<(u32, u32), String> {
        let counted = TokenCount::of(self.0, &example.messages());
        let counted = counted.map_err(|e| e.to_string())?;
        Ok((counted.prompt, counted.answer))
    }
}
