//! Texts for one step: laid one after another, so that nothing is padded.

use crate::language::EncodedChat;

/// Some texts' tokens, one text after another. Positions begin anew with each text, and no text
/// sees another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Tokens of all texts.
    pub ids: Vec<u32>,
    /// Where each text begins in `ids`, and, as the last element, their end.
    pub starts: Vec<usize>,
    /// Places in `ids` of tokens that are to be predicted, each from the tokens before it in its
    /// text; ascending. A text's first token is never among them.
    pub targets: Vec<usize>,
}

impl Batch {
    /// Without texts; `starts` has the end, 0, already.
    pub fn new() -> Self {
        Self {
            ids: Vec::new(),
            starts: vec![0],
            targets: Vec::new(),
        }
    }

    /// The chats, with what is in their loss as targets.
    pub fn of_chats<'a>(chats: impl IntoIterator<Item = &'a EncodedChat>) -> Self {
        let mut batch = Self::new();
        for chat in chats {
            batch.push(&chat.ids, |place| chat.in_loss[place]);
        }
        batch
    }

    /// Adds a text; `is_target` says of each place in it whether its token is to be predicted.
    pub fn push(&mut self, ids: &[u32], is_target: impl Fn(usize) -> bool) {
        let start = self.ids.len();
        let targets = (1..ids.len()).filter(|place| is_target(*place));
        self.targets.extend(targets.map(|place| start + place));
        self.ids.extend_from_slice(ids);
        self.starts.push(self.ids.len());
    }

    /// Of all texts together.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// First place and end of each text.
    pub fn texts(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }
}
