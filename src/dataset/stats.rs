//! What is in a dataset, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Chat, Example, Split};

/// Width of the histogram's bins in tokens.
const BIN_TOKENS: u32 = 64;

/// Numbers of examples, and how long they are; the file `stats.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    pub examples: u64,
    /// Fewer than examples where several questions are asked about one table.
    pub chats: u64,
    pub by_split: BTreeMap<&'static str, u64>,
    /// Task, then split.
    pub by_task: BTreeMap<String, BTreeMap<&'static str, u64>>,
    pub by_sport: BTreeMap<String, BTreeMap<&'static str, u64>>,
    pub by_origin: BTreeMap<String, u64>,
    pub videos: BTreeMap<&'static str, u64>,
    pub tokens: TokenStats,
}

/// Tokens of whole chats.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TokenStats {
    pub total: u64,
    /// Tokens that the loss sees.
    pub in_answers: u64,
    pub mean: f64,
    pub median: u32,
    pub p95: u32,
    pub max: u32,
    pub histogram: Vec<Bin>,
}

/// Chats with `from` to `to` tokens, the latter excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    pub from: u32,
    pub to: u32,
    pub examples: u64,
}

impl Stats {
    pub fn of(examples: &[Example]) -> Self {
        let chats = Chat::of_all(examples);
        let mut stats = Self {
            examples: examples.len() as u64,
            chats: chats.len() as u64,
            by_split: [Split::Train, Split::Valid]
                .map(|split| (split.name(), 0))
                .into(),
            by_task: BTreeMap::new(),
            by_sport: BTreeMap::new(),
            by_origin: BTreeMap::new(),
            videos: BTreeMap::new(),
            tokens: token_stats(&chats),
        };
        for example in examples {
            let split = example.split.name();
            let sport = example.lineage.sport.clone();
            let count = |counts: &mut BTreeMap<&'static str, u64>| {
                *counts.entry(split).or_default() += 1;
            };
            count(&mut stats.by_split);
            count(stats.by_task.entry(example.task.clone()).or_default());
            count(stats.by_sport.entry(sport).or_default());
            *stats.by_origin.entry(example.origin.clone()).or_default() += 1;
        }
        let is_there = |split: &Split| stats.by_split.contains_key(split.name());
        let splits: Vec<Split> = Split::ALL.into_iter().filter(is_there).collect();
        for split in splits {
            let of_split = examples.iter().filter(|example| example.split == split);
            let videos: std::collections::BTreeSet<_> =
                of_split.map(|example| &example.lineage.video_id).collect();
            stats.videos.insert(split.name(), videos.len() as u64);
        }
        stats
    }
}

fn token_stats(chats: &[Chat<'_>]) -> TokenStats {
    let mut lengths: Vec<u32> = chats.iter().map(Chat::tokens).collect();
    lengths.sort_unstable();
    let Some(max) = lengths.last().copied() else {
        return TokenStats::default();
    };
    let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    // The smallest length that at least this share of the examples does not exceed.
    let percentile = |share: f64| {
        let rank = (share * lengths.len() as f64).ceil() as usize;
        lengths[rank.clamp(1, lengths.len()) - 1]
    };
    let bins = 0..=max / BIN_TOKENS;
    let histogram = bins.map(|bin| {
        let (from, to) = (bin * BIN_TOKENS, (bin + 1) * BIN_TOKENS);
        let below = |limit: u32| lengths.partition_point(|length| *length < limit) as u64;
        Bin {
            from,
            to,
            examples: below(to) - below(from),
        }
    });
    TokenStats {
        total,
        in_answers: (chats.iter().flat_map(Chat::questions))
            .map(|example| u64::from(example.answer_tokens))
            .sum(),
        mean: total as f64 / lengths.len() as f64,
        median: percentile(0.5),
        p95: percentile(0.95),
        max,
        histogram: histogram.collect(),
    }
}
