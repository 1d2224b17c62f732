//! Texts that a model writes: token by token, chosen greedily or by chance, until it ends them.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use serde::{Deserialize, Serialize};

use super::{Decoder, LlamaError};
use crate::language::{ChatTokenizer, LanguageError};

/// A text under generation, with the model's cache of its keys and values.
pub trait NextToken {
    /// Takes the text's next tokens; gives the logits of what follows the last of them, as many as
    /// the vocabulary has tokens.
    ///
    /// # Errors
    /// When the text becomes too long or holds a token that the model does not know.
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError>;
}

impl NextToken for Decoder {
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        Self::feed(self, ids)
    }
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// The likeliest one.
    Greedy,
    /// By chance: `temperature` above 0 makes unlikely tokens likelier or less likely; only the
    /// likeliest ones that together have the probability `top_p` are considered.
    Chance {
        /// Logits are divided by it.
        temperature: f64,
        /// Above 0, at most 1; 1 considers all tokens.
        top_p: f64,
        /// Decides the choices.
        seed: u64,
    },
}

impl Choice {
    fn processor(self) -> LogitsProcessor {
        match self {
            Self::Greedy => LogitsProcessor::from_sampling(0, Sampling::ArgMax),
            Self::Chance {
                temperature,
                top_p: p,
                seed,
            } => LogitsProcessor::from_sampling(seed, Sampling::TopP { p, temperature }),
        }
    }
}

/// What a text that is to be written must keep to.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The likeliest token, or one by chance.
    pub choice: Choice,
    /// Most tokens that are written, at least 1.
    pub max_tokens: usize,
    /// Most tokens of prompt and answer together.
    pub max_positions: usize,
    /// Tokens that end the text; they are no part of it.
    pub end_ids: Vec<u32>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The model ended it.
    Stop,
    /// It was as long as it may be.
    MaxTokens,
    /// The model takes no longer texts.
    ContextFull,
    /// Whoever watched it wanted no more.
    Interrupted,
}

/// A text that a model wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generated {
    /// Without the token that ended it.
    pub ids: Vec<u32>,
    /// What `on_text` was given, and what was still held back when the writing ended.
    pub text: String,
    /// What made it end.
    pub end: End,
    /// Of the chat up to where the answer begins.
    pub prompt_tokens: usize,
    /// Until the first token of the answer was chosen.
    pub prefill_secs: f64,
    /// Tokens of the answer that the model was given back, each to find the next.
    pub decoded_tokens: usize,
    /// For the tokens after the first.
    pub decode_secs: f64,
}

impl Generated {
    /// Tokens per second after the first.
    pub fn tokens_per_sec(&self) -> f64 {
        self.decoded_tokens as f64 / self.decode_secs.max(f64::MIN_POSITIVE)
    }
}

/// What can go wrong while a model writes.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The model does not take the prompt, or the computation fails.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The tokenizer cannot decode.
    #[error(transparent)]
    Language(#[from] LanguageError),
}

/// Goes on from a prompt. `on_text` is given each piece of the text as soon as its characters are
/// whole, and says whether to go on.
///
/// # Errors
/// When the prompt is longer than the model takes, or the computation fails.
pub fn generate(
    model: &mut dyn NextToken,
    tokenizer: &ChatTokenizer,
    prompt: &[u32],
    limits: &Limits,
    on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Generated, GenerateError> {
    if prompt.len() >= limits.max_positions {
        return Err(GenerateError::Llama(LlamaError::TooLong {
            tokens: prompt.len() + 1,
            max_positions: limits.max_positions,
        }));
    }
    let mut processor = limits.choice.processor();
    let mut choose = |logits: Vec<f32>| -> Result<u32, LlamaError> {
        let count = logits.len();
        let logits = Tensor::from_vec(logits, count, &Device::Cpu)?;
        Ok(processor.sample(&logits)?)
    };
    let started = Instant::now();
    let mut feed = |ids: &[u32]| match model.feed(ids) {
        Err(LlamaError::Cancelled) => Ok(None),
        fed => fed.map(Some),
    };
    let mut logits = feed(prompt)?;
    let prefill_secs = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let mut stream = TextStream::new(tokenizer);
    let mut decoded_tokens = 0;
    let end = loop {
        let Some(of_next) = logits else {
            break End::Interrupted;
        };
        let id = choose(of_next)?;
        if limits.end_ids.contains(&id) {
            break End::Stop;
        }
        if let Some(piece) = stream.push(id)?
            && on_text(piece).is_break()
        {
            break End::Interrupted;
        }
        if stream.ids.len() >= limits.max_tokens {
            break End::MaxTokens;
        }
        if prompt.len() + stream.ids.len() == limits.max_positions {
            break End::ContextFull;
        }
        logits = feed(&[id])?;
        decoded_tokens += 1;
    };
    let rest = stream.finish()?;
    if !rest.is_empty() && end != End::Interrupted {
        // Nothing follows that could be kept from being written.
        let _ = on_text(rest);
    }
    Ok(Generated {
        end,
        prompt_tokens: prompt.len(),
        prefill_secs,
        decoded_tokens,
        decode_secs: started.elapsed().as_secs_f64(),
        ids: stream.ids,
        text: stream.text,
    })
}

/// Makes a text of tokens as they come. Tokens may be parts of a character; they are held back
/// until it is whole.
struct TextStream<'a> {
    tokenizer: &'a ChatTokenizer,
    ids: Vec<u32>,
    text: String,
    /// First of the tokens that are decoded together with new ones: what a token looks like may
    /// depend on the one before it.
    context: usize,
    /// First token that is not yet in the text.
    held_back: usize,
}

impl<'a> TextStream<'a> {
    fn new(tokenizer: &'a ChatTokenizer) -> Self {
        Self {
            tokenizer,
            ids: Vec::new(),
            text: String::new(),
            context: 0,
            held_back: 0,
        }
    }

    /// Adds a token; gives the characters that it completes.
    fn push(&mut self, id: u32) -> Result<Option<&str>, LanguageError> {
        self.ids.push(id);
        let (before, all) = self.decoded()?;
        let is_whole = !all.ends_with(char::REPLACEMENT_CHARACTER);
        if !is_whole || all.len() <= before {
            return Ok(None);
        }
        Ok(Some(self.take(&all, before)))
    }

    /// What is still held back, as far as it can be told.
    fn finish(&mut self) -> Result<&str, LanguageError> {
        let (before, all) = self.decoded()?;
        Ok(self.take(&all, before))
    }

    /// Length in bytes of the text of the tokens that are in the text already, and the text with
    /// those that are not.
    fn decoded(&self) -> Result<(usize, String), LanguageError> {
        let known = &self.ids[self.context..self.held_back];
        let before = self.tokenizer.decode(known)?.len();
        Ok((before, self.tokenizer.decode(&self.ids[self.context..])?))
    }

    fn take(&mut self, all: &str, before: usize) -> &str {
        let start = self.text.len();
        self.text.push_str(all.get(before..).unwrap_or_default());
        self.context = self.held_back;
        self.held_back = self.ids.len();
        &self.text[start..]
    }
}
