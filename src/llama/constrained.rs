//! Texts under a grammar: at every token, all but those that lead to an allowed text are masked, and
//! the probabilities of the others add up to 1.
//!
//! The grammar gives pieces of text; a trie of their tokens says which tokens may come next. Where
//! only one may, nothing is computed to choose it.

use std::collections::BTreeMap;

use super::{Decoder, LlamaError};
use crate::language::{ChatTokenizer, LanguageError};

/// Which texts are allowed, piece by piece. No piece is the beginning of another of the same place
/// with what may follow it.
pub trait TextGrammar {
    /// How far a text has come.
    type Place: Clone;

    /// Where every text begins.
    fn start(&self) -> Self::Place;

    /// The pieces that may follow, each with the place behind it.
    fn next(&self, place: &Self::Place) -> Vec<(String, Self::Place)>;

    /// Whether the text may end here.
    fn may_end(&self, place: &Self::Place) -> bool;

    /// How much of its probability the piece before a place keeps, as against the others of its
    /// place: what speaks for or against it besides the model.
    fn weight(&self, _place: &Self::Place) -> f64 {
        1.0
    }
}

/// An allowed text, and how likely it is among all allowed ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Without the token that ends it.
    pub text: String,
    /// Product of the probabilities of its tokens among those that were allowed, 0 to 1.
    pub probability: f64,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConstrainedError {
    /// The model does not take the prompt, or the computation fails.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// The tokenizer refuses a text.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// No text is allowed at all.
    #[error("the grammar allows no text")]
    NothingAllowed,
}

/// A node of the trie of tokens that may follow a place.
struct Node<P> {
    children: BTreeMap<u32, usize>,
    /// The places behind the pieces that end here.
    ends: Vec<P>,
    /// The largest weight of the pieces that lead through here.
    weight: f64,
}

impl<P> Node<P> {
    fn empty() -> Self {
        Self {
            children: BTreeMap::new(),
            ends: Vec::new(),
            weight: 0.0,
        }
    }
}

/// Where a text is: in the trie behind a place.
struct Cursor<P> {
    nodes: Vec<Node<P>>,
    node: usize,
    /// The text may end here.
    may_end: bool,
}

/// What may come next.
enum Step {
    /// A token, and the weight of what it leads to.
    Token(u32, f64),
    End,
}

/// A token that was not taken, and how the text with it would begin.
struct Branch {
    tokens: Vec<u32>,
    probability: f64,
}

/// The likeliest texts that a grammar allows after a prompt, the likeliest first: the one that taking
/// the likeliest token each time gives, and the one that leaves it where the choice was closest.
///
/// # Errors
/// When the grammar allows nothing, the prompt is longer than the model takes, or the computation
/// fails.
pub fn readings<G: TextGrammar>(
    decoder: &mut Decoder,
    tokenizer: &ChatTokenizer,
    prompt: &[u32],
    end_ids: &[u32],
    grammar: &G,
) -> Result<Vec<Reading>, ConstrainedError> {
    let logits = decoder.feed(prompt)?;
    let mut reader = Reader {
        decoder,
        tokenizer,
        end_ids,
        grammar,
        first_logits: logits,
        prompt_tokens: prompt.len(),
    };
    let mut branches = Vec::new();
    let best = reader.read(&[], 1.0, &mut branches)?;
    let closest = branches
        .into_iter()
        .max_by(|a, b| a.probability.total_cmp(&b.probability));
    let mut found = vec![best];
    if let Some(branch) = closest {
        let other = reader.read(&branch.tokens, branch.probability, &mut Vec::new())?;
        found.push(other);
    }
    found.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    Ok(found)
}

struct Reader<'a, G> {
    decoder: &'a mut Decoder,
    tokenizer: &'a ChatTokenizer,
    end_ids: &'a [u32],
    grammar: &'a G,
    /// What follows the prompt.
    first_logits: Vec<f32>,
    prompt_tokens: usize,
}

impl<G: TextGrammar> Reader<'_, G> {
    /// Reads on from the tokens `begun`, whose probability is `probability`; every choice among
    /// several adds its second best to `branches`.
    fn read(
        &mut self,
        begun: &[u32],
        mut probability: f64,
        branches: &mut Vec<Branch>,
    ) -> Result<Reading, ConstrainedError> {
        self.decoder.rewind(self.prompt_tokens);
        let mut logits = Some(self.first_logits.clone());
        let mut tokens: Vec<u32> = Vec::new();
        let mut cursor = self.cursor("", self.grammar.start())?;
        // Tokens that are chosen, and not fed yet.
        let mut waiting: Vec<u32> = Vec::new();
        loop {
            let steps = self.steps(&cursor);
            let forced = begun.get(tokens.len()).copied();
            let step = match (forced, steps.as_slice()) {
                (_, []) => return Err(ConstrainedError::NothingAllowed),
                (Some(END_MARK), _) => Step::End,
                (Some(token), _) => Step::Token(token, 1.0),
                (None, [Step::End]) => Step::End,
                (None, [Step::Token(token, weight)]) => Step::Token(*token, *weight),
                (None, several) => {
                    if !waiting.is_empty() || logits.is_none() {
                        logits = Some(self.decoder.feed(&waiting)?);
                        waiting.clear();
                    }
                    let of_next = logits.as_deref().unwrap_or_default();
                    let shares = self.shares(several, of_next);
                    let best = largest(&shares, None);
                    let second = largest(&shares, Some(best));
                    let mut other = tokens.clone();
                    other.push(match several[second] {
                        Step::Token(token, _) => token,
                        Step::End => END_MARK,
                    });
                    branches.push(Branch {
                        tokens: other,
                        probability: probability * shares[second],
                    });
                    probability *= shares[best];
                    match several[best] {
                        Step::Token(token, weight) => Step::Token(token, weight),
                        Step::End => Step::End,
                    }
                }
            };
            match step {
                Step::End => break,
                Step::Token(token, _) => {
                    tokens.push(token);
                    waiting.push(token);
                    logits = None;
                    cursor = self.after(cursor, token, &tokens)?;
                }
            }
        }
        let text = self.tokenizer.decode(&tokens)?;
        Ok(Reading { text, probability })
    }

    /// The trie of what may follow a place, after the text so far.
    fn cursor(&self, text: &str, place: G::Place) -> Result<Cursor<G::Place>, ConstrainedError> {
        let mut cursor = Cursor {
            nodes: vec![Node::empty()],
            node: 0,
            may_end: self.grammar.may_end(&place),
        };
        let before = match text {
            "" => Vec::new(),
            text => self.tokenizer.tokens(text)?,
        };
        for (piece, after) in self.grammar.next(&place) {
            let whole = self.tokenizer.tokens(&format!("{text}{piece}"))?;
            // A tokenizer that joins the piece to what stands before it gets it alone.
            let ids = match whole.strip_prefix(before.as_slice()) {
                Some(ids) => ids.to_vec(),
                None => self.tokenizer.tokens(&piece)?,
            };
            let weight = self.grammar.weight(&after);
            let mut node = 0;
            for id in ids {
                let next = cursor.nodes[node].children.get(&id).copied();
                node = match next {
                    Some(next) => next,
                    None => {
                        cursor.nodes.push(Node::empty());
                        let next = cursor.nodes.len() - 1;
                        cursor.nodes[node].children.insert(id, next);
                        next
                    }
                };
                let of_node = &mut cursor.nodes[node].weight;
                *of_node = of_node.max(weight);
            }
            cursor.nodes[node].ends.push(after);
        }
        Ok(cursor)
    }

    fn steps(&self, cursor: &Cursor<G::Place>) -> Vec<Step> {
        let node = &cursor.nodes[cursor.node];
        let tokens = node.children.iter();
        let mut steps: Vec<Step> = tokens
            .map(|(id, child)| Step::Token(*id, cursor.nodes[*child].weight))
            .collect();
        if cursor.may_end && cursor.node == 0 {
            steps.push(Step::End);
        }
        steps
    }

    /// The cursor behind a token. Where a piece ends, what may follow it is joined to what may
    /// follow within longer pieces.
    fn after(
        &self,
        mut cursor: Cursor<G::Place>,
        token: u32,
        tokens: &[u32],
    ) -> Result<Cursor<G::Place>, ConstrainedError> {
        let next = cursor.nodes[cursor.node].children.get(&token).copied();
        cursor.node = next.ok_or(ConstrainedError::NothingAllowed)?;
        cursor.may_end = false;
        let Some(place) = cursor.nodes[cursor.node].ends.first().cloned() else {
            return Ok(cursor);
        };
        let text = self.tokenizer.decode(tokens)?;
        let mut behind = self.cursor(&text, place)?;
        // What goes on within a longer piece.
        let longer = std::mem::take(&mut cursor.nodes[cursor.node].children);
        if longer.is_empty() {
            return Ok(behind);
        }
        let offset = behind.nodes.len();
        for (id, child) in longer {
            behind.nodes[0].children.entry(id).or_insert(child + offset);
        }
        let moved = cursor.nodes.into_iter().map(|node| Node {
            children: node
                .children
                .into_iter()
                .map(|(id, child)| (id, child + offset))
                .collect(),
            ends: node.ends,
            weight: node.weight,
        });
        behind.nodes.extend(moved);
        Ok(behind)
    }

    /// The probability of each step among all of them.
    fn shares(&self, steps: &[Step], logits: &[f32]) -> Vec<f64> {
        let logit = |id: u32| f64::from(logits.get(id as usize).copied().unwrap_or(f32::MIN));
        let of_step = |step: &Step| match step {
            Step::Token(id, weight) => logit(*id) + weight.ln(),
            Step::End => {
                let ends = self.end_ids.iter().map(|id| logit(*id));
                ends.fold(f64::NEG_INFINITY, f64::max)
            }
        };
        let logits: Vec<f64> = steps.iter().map(of_step).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }
}

/// Stands for the end of a text among the tokens of a branch; no vocabulary is that large.
const END_MARK: u32 = u32::MAX;

/// The place of the largest share, but for one; the first of equals.
fn largest(shares: &[f64], but: Option<usize>) -> usize {
    let places = (0..shares.len()).filter(|place| Some(*place) != but);
    places
        .reduce(|best, next| {
            if shares[next] > shares[best] {
                next
            } else {
                best
            }
        })
        .unwrap_or(0)
}
