//! Which windows are looked at, which examples are taken, which videos validate.
//!
//! Every choice follows from the seed: each window and example has a sample_key, a number that a hash
//! of the seed and of what it stands for gives, and sample_keys decide.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use polars::prelude::*;

use super::Split;
use super::recipe::{Recipe, WindowKind};
use crate::hashing::seeded_u64;
use crate::metrics::timing;
use crate::random::scramble;

/// Windows that are thought of for each one that is wanted, before they are balanced.
const OVERSAMPLING: u64 = 4;
/// Windows of a length begin this often in that length.
const STARTS_PER_LENGTH: u64 = 4;

/// Sums of frames that are told apart when videos are chosen to validate: 78 hours at 30 frames a
/// second, in some 33 MB.
const MOST_SUMS: u64 = 1 << 23;

/// A person in a video, as far as windows are concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Position of the video among all videos.
    pub video: u32,
    /// Position of its sport among all sports.
    pub sport: u32,
    pub video_id: String,
    pub person: u16,
    /// When the video's frames were taken.
    pub times: Arc<VideoTimes>,
    pub first_frame: u64,
    pub last_frame: u64,
}

/// When the frames of a video were taken, as far as windows need to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoTimes {
    /// Between pauses of the recording.
    stretches: Vec<timing::Stretch>,
    /// Of all frames; empty where each stretch has an even rate, as most videos have.
    secs: Vec<f64>,
}

impl VideoTimes {
    pub fn new(secs: Vec<f64>) -> Self {
        let stretches = timing::stretches(&secs);
        let is_even = |stretch: &timing::Stretch| {
            let rate_hz = stretch.rate_hz;
            rate_hz.is_none_or(|rate| timing::is_even(&secs[stretch.frames.clone()], rate))
        };
        let secs = match stretches.iter().all(is_even) {
            true => Vec::new(),
            false => secs,
        };
        Self { stretches, secs }
    }

    /// Whether the recording was paused.
    pub fn has_pauses(&self) -> bool {
        self.stretches.len() > 1
    }

    /// The frame that is `secs` after `start`, not behind `last`, if one is, within a frame's time:
    /// the one that the rate of the stretch says, or, where frames are unevenly spaced, the nearest.
    fn frame_after(&self, start: u64, secs: f64, last: u64) -> Option<u64> {
        let (frame, last) = (start as usize, last as usize);
        let stretch = (self.stretches.iter()).find(|s| s.frames.contains(&frame))?;
        let step_secs = 1.0 / stretch.rate_hz?;
        let last = last.min(stretch.frames.end - 1);
        if self.secs.is_empty() {
            let by_rate = frame + (secs / step_secs).round() as usize;
            // The last picture is shown for a frame's time too.
            return (by_rate <= last + 1).then_some(by_rate.min(last) as u64);
        }
        let error_secs = |end: usize| (self.secs[end] - self.secs[frame] - secs).abs();
        let ends = (frame + 1..=last)
            .take_while(|end| self.secs[*end] - self.secs[frame] <= secs + step_secs);
        let nearest = ends.min_by(|a, b| error_secs(*a).total_cmp(&error_secs(*b)))?;
        // A frame's time may be rounded.
        (error_secs(nearest) <= step_secs * (1.0 + 1e-6)).then_some(nearest as u64)
    }
}

/// Frames of a track that a recipe is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Position of the track among all tracks.
    pub track: u32,
    pub frame_start: u64,
    /// Last frame, included.
    pub frame_end: u64,
    /// Every so many frames one is shown.
    pub step: u64,
    pub sample_key: u64,
}

/// Windows of one length in one track, or in what lies between two pauses of it.
struct Stretch {
    track: u32,
    first_frame: u64,
    last_frame: u64,
    /// Frames from the first to the last of a window; where frames are unevenly spaced, about that.
    length: u64,
    /// What the windows are to last; `None` where frames count.
    secs: Option<f64>,
    /// Frames between the beginnings of windows.
    stride: u64,
}

/// The sample_key of what `parts` name, under a seed.
pub fn sample_key(seed: u64, parts: &[&str]) -> u64 {
    seeded_u64(seed, parts)
}

/// At most `wanted` windows for a recipe, spread evenly over sports, and in these over videos.
///
/// # Errors
/// When Polars fails.
pub fn windows(
    recipe: &Recipe,
    tracks: &[Track],
    seed: u64,
    wanted: u64,
) -> PolarsResult<Vec<Window>> {
    let stretches = stretches(recipe, tracks, wanted);
    let track = |stretch: &Stretch| &tracks[stretch.track as usize];
    let column = |name: &str, value: &dyn Fn(&Stretch) -> u64| -> Column {
        let values: Vec<u64> = stretches.iter().map(value).collect();
        Column::new(name.into(), values)
    };
    let frame = DataFrame::new(
        stretches.len(),
        vec![
            column("track", &|s| u64::from(s.track)),
            column("video", &|s| u64::from(track(s).video)),
            column("sport", &|s| u64::from(track(s).sport)),
            column("first", &|s| s.first_frame),
            column("last_start", &|s| s.last_frame - s.length),
            column("length", &|s| s.length),
            column("stride", &|s| s.stride),
            column("count", &Stretch::count),
            column("key", &|s| {
                let track = track(s);
                let (person, length) = (track.person.to_string(), s.length.to_string());
                let first_frame = s.first_frame.to_string();
                let mut parts = vec![&*recipe.task, &track.video_id, &person, &length];
                // Behind a pause.
                if s.first_frame != track.first_frame {
                    parts.push(&first_frame);
                }
                sample_key(seed, &parts)
            }),
        ],
    )?;
    let all = frame
        .lazy()
        .with_row_index("stretch", None)
        .with_column(col("stretch").repeat_by(col("count")).alias("copy"))
        .explode(
            by_name(["copy"], true, false),
            ExplodeOptions {
                empty_as_null: false,
                keep_nulls: false,
            },
        )
        .with_column((col("copy").cum_count(false).over([col("stretch")])? - lit(1)).alias("nth"))
        .with_column(sample_key_of("key", "nth").alias("sample_key"))
        .with_column(
            (col("first")
                + col("nth").cast(DataType::UInt64) * col("stride")
                + col("sample_key") % col("stride"))
            .alias("start"),
        )
        // Where the last window begins later than the track allows, it begins earlier.
        .with_column(
            when(col("start").gt(col("last_start")))
                .then(col("last_start"))
                .otherwise(col("start"))
                .alias("start"),
        )
        .unique_stable(
            Some(by_name(["stretch", "start"], true, false)),
            UniqueKeepStrategy::First,
        );
    let chosen = in_turns(all, &[])?
        .select([
            col("stretch").cast(DataType::UInt64),
            col("start"),
            col("sample_key"),
        ])
        .collect()?;
    let numbers = |name: &str| -> PolarsResult<Vec<u64>> {
        Ok(chosen.column(name)?.u64()?.into_no_null_iter().collect())
    };
    let (starts, sample_keys) = (numbers("start")?, numbers("sample_key")?);
    let chosen = numbers("stretch")?.into_iter().zip(starts).zip(sample_keys);
    let windows = chosen.filter_map(|((stretch, frame_start), sample_key)| {
        let stretch = &stretches[stretch as usize];
        let frame_end = match stretch.secs {
            None => frame_start + stretch.length,
            // Late frames may be missing where they are unevenly spaced.
            Some(secs) => {
                let times = &track(stretch).times;
                times.frame_after(frame_start, secs, stretch.last_frame)?
            }
        };
        let length = frame_end - frame_start;
        Some(Window {
            track: stretch.track,
            frame_start,
            frame_end,
            step: length.div_ceil(u64::from(recipe.max_rows) - 1).max(1),
            sample_key,
        })
    });
    Ok(windows
        .take(usize::try_from(wanted).unwrap_or(usize::MAX))
        .collect())
}

impl Stretch {
    /// How many windows there are.
    fn count(&self) -> u64 {
        (self.last_frame - self.first_frame - self.length) / self.stride + 1
    }
}

/// The lengths that fit into each track, with beginnings so far apart that there are not far more
/// windows than wanted. Windows of seconds lie between pauses.
fn stretches(recipe: &Recipe, tracks: &[Track], wanted: u64) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    for (index, track) in tracks.iter().enumerate() {
        let whole = (track.first_frame, track.last_frame);
        let mut add = |(first_frame, last_frame): (u64, u64), length: u64, secs: Option<f64>| {
            stretches.push(Stretch {
                track: index as u32,
                first_frame,
                last_frame,
                length,
                secs,
                stride: (length / STARTS_PER_LENGTH).max(1),
            });
        };
        match &recipe.window {
            WindowKind::Frame => add(whole, 0, None),
            WindowKind::Clip => add(whole, track.last_frame - track.first_frame, None),
            WindowKind::Secs(lengths) => {
                for stretch in &track.times.stretches {
                    let first_frame = whole.0.max(stretch.frames.start as u64);
                    let last_frame = whole.1.min(stretch.frames.end as u64 - 1);
                    let Some(rate_hz) = stretch.rate_hz.filter(|_| first_frame <= last_frame)
                    else {
                        continue;
                    };
                    for secs in lengths {
                        let length = (secs * rate_hz).round() as u64;
                        // Thirty pictures at 30 Hz last a second: the last is shown as long too.
                        let frames = last_frame - first_frame + 1;
                        if length > 0 && length <= frames && frames > 1 {
                            add(
                                (first_frame, last_frame),
                                length.min(frames - 1),
                                Some(*secs),
                            );
                        }
                    }
                }
            }
        }
    }
    let counts: Vec<u64> = stretches.iter().map(Stretch::count).collect();
    let most = most_of_each(&counts, OVERSAMPLING * wanted.max(1));
    for (stretch, count) in stretches.iter_mut().zip(counts) {
        stretch.stride *= count.div_ceil(most);
    }
    stretches
}

/// The largest number, at least 1, for which not more than `total` are left when nothing has more
/// of them than that.
fn most_of_each(counts: &[u64], total: u64) -> u64 {
    let left = |most: u64| counts.iter().map(|count| (*count).min(most)).sum::<u64>();
    let (mut good, mut bad) = (1, counts.iter().copied().max().unwrap_or(1) + 1);
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        match left(middle) <= total {
            true => good = middle,
            false => bad = middle,
        }
    }
    good
}

/// `scramble(key + nth)` of two columns.
fn sample_key_of(key: &str, nth: &str) -> Expr {
    col(key).map_many(
        |columns| {
            let key = columns[0].u64()?.clone();
            let nth = columns[1].cast(&DataType::UInt64)?;
            let sample_keys: UInt64Chunked =
                (key.into_no_null_iter().zip(nth.u64()?.into_no_null_iter()))
                    .map(|(key, nth)| Some(scramble(key.wrapping_add(nth))))
                    .collect();
            Ok(sample_keys.into_column())
        },
        &[col(nth)],
        |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::UInt64)),
    )
}

/// Orders rows so that, whatever number is taken from the front, sports have equal parts of it as
/// far as they have enough, and in each sport videos have; within each of `groups`.
fn in_turns(rows: LazyFrame, groups: &[&str]) -> PolarsResult<LazyFrame> {
    let within =
        |name: &str| -> Vec<Expr> { groups.iter().copied().chain([name]).map(col).collect() };
    let turn = |partition: Vec<Expr>, name: &str| -> PolarsResult<Expr> {
        Ok(col("sample_key")
            .cum_count(false)
            .over(partition)?
            .alias(name))
    };
    let by = |names: [&'static str; 2]| names.map(PlSmallStr::from_static).to_vec();
    let options = SortMultipleOptions::default().with_maintain_order(true);
    Ok(rows
        .sort(by(["sample_key", "start"]), options.clone())
        .with_column(turn(within("video"), "turn_in_video")?)
        .sort(by(["turn_in_video", "sample_key"]), options.clone())
        .with_column(turn(within("sport"), "turn_in_sport")?)
        .sort(by(["turn_in_sport", "sample_key"]), options))
}

/// What is known of an example when examples are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Position of its recipe.
    pub task: u32,
    pub video: u32,
    pub sport: u32,
    pub frame_start: u64,
    pub sample_key: u64,
    /// Hash of all that it says.
    pub content: u64,
    pub split: Split,
    /// Questions about its table: examples that it makes.
    pub questions: u32,
}

fn candidate_frame(candidates: &[Candidate]) -> PolarsResult<LazyFrame> {
    let column = |name: &str, value: &dyn Fn(&Candidate) -> u64| -> Column {
        let values: Vec<u64> = candidates.iter().map(value).collect();
        Column::new(name.into(), values)
    };
    let frame = DataFrame::new(
        candidates.len(),
        vec![
            column("task", &|c| u64::from(c.task)),
            column("video", &|c| u64::from(c.video)),
            column("sport", &|c| u64::from(c.sport)),
            column("start", &|c| c.frame_start),
            column("sample_key", &|c| c.sample_key),
            column("content", &|c| c.content),
            column("is_train", &|c| u64::from(c.split == Split::Train)),
            column("questions", &|c| u64::from(c.questions)),
        ],
    )?;
    Ok(frame.lazy().with_row_index("index", None))
}

fn indices(rows: LazyFrame) -> PolarsResult<Vec<usize>> {
    let rows = rows
        .select([col("index").cast(DataType::UInt64)])
        .collect()?;
    let indices = rows.column("index")?.u64()?.into_no_null_iter();
    Ok(indices.map(|index| index as usize).collect())
}

/// Positions of the candidates that say something that none before them says, validation first:
/// of equal examples in both splits the one to train on goes.
///
/// # Errors
/// When Polars fails.
pub fn distinct(candidates: &[Candidate]) -> PolarsResult<Vec<usize>> {
    let by = ["is_train", "sample_key"]
        .map(PlSmallStr::from_static)
        .to_vec();
    let options = SortMultipleOptions::default().with_maintain_order(true);
    let rows = candidate_frame(candidates)?
        .sort(by, options)
        .unique_stable(
            Some(by_name(["content"], true, false)),
            UniqueKeepStrategy::First,
        );
    indices(rows)
}

/// Positions of candidates that make at most `wanted` examples: tasks by their weights as far as
/// they have enough, within a task sports and videos evenly. They come in random order.
///
/// # Errors
/// When Polars fails.
pub fn sample(candidates: &[Candidate], weights: &[f64], wanted: u64) -> PolarsResult<Vec<usize>> {
    let counted = candidate_frame(candidates)?
        .group_by([col("task")])
        .agg([col("questions").sum().alias("available")])
        .collect()?;
    let mut available = vec![0; weights.len()];
    let tasks = counted.column("task")?.u64()?.into_no_null_iter();
    for (task, count) in tasks.zip(counted.column("available")?.u64()?.into_no_null_iter()) {
        available[task as usize] = count;
    }
    let quotas = shares(&available, weights, wanted);
    let quotas = DataFrame::new(
        quotas.len(),
        vec![
            Column::new("task".into(), (0..quotas.len() as u64).collect::<Vec<_>>()),
            Column::new("quota".into(), quotas),
        ],
    )?;
    let turns = in_turns(candidate_frame(candidates)?, &["task"])?
        .with_column(
            (col("questions").cum_sum(false).over([col("task")])?)
                .cast(DataType::UInt64)
                .alias("turn"),
        )
        .join(
            quotas.lazy(),
            [col("task")],
            [col("task")],
            JoinArgs::new(JoinType::Inner),
        )
        .filter(col("turn").lt_eq(col("quota")))
        .sort(
            ["sample_key", "index"]
                .map(PlSmallStr::from_static)
                .to_vec(),
            SortMultipleOptions::default(),
        );
    indices(turns)
}

/// Divides `wanted` by weights; what one cannot give, others give.
pub fn shares(available: &[u64], weights: &[f64], wanted: u64) -> Vec<u64> {
    let mut shares = vec![0; available.len()];
    let mut open: Vec<usize> = (0..available.len())
        .filter(|task| available[*task] > 0 && weights[*task] > 0.0)
        .collect();
    let mut left = wanted;
    while left > 0 && !open.is_empty() {
        let total: f64 = open.iter().map(|task| weights[*task]).sum();
        let share = |task: usize| (left as f64 * weights[task] / total) as u64;
        let exhausted: Vec<usize> = open
            .iter()
            .copied()
            .filter(|task| available[*task] <= share(*task))
            .collect();
        if exhausted.is_empty() {
            let mut rest = left;
            for task in &open {
                shares[*task] = share(*task);
                rest -= shares[*task];
            }
            // Rounding leaves fewer than there are tasks; those that have more give them.
            for task in &open {
                if rest > 0 && available[*task] > shares[*task] {
                    shares[*task] += 1;
                    rest -= 1;
                }
            }
            return shares;
        }
        for task in exhausted {
            shares[task] = available[task];
            left -= available[task];
            open.retain(|other| *other != task);
        }
    }
    shares
}

/// A video as far as splits are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitVideo {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// Tag of the person filmed, who is in one split only.
    pub subject: Option<String>,
    /// What it weighs: frames with a pose.
    pub frames: u64,
}

/// As [`splits`], with a test split beside: it has as nearly as possible `test_fraction` of the
/// frames. Which videos validate does not depend on it.
pub fn three_splits(
    videos: &[SplitVideo],
    valid_fraction: f64,
    test_fraction: f64,
    seed: u64,
) -> Vec<Split> {
    let mut found = splits(videos, valid_fraction, seed);
    let rest: Vec<usize> = (0..videos.len())
        .filter(|place| found[*place] == Split::Train)
        .collect();
    let others: Vec<SplitVideo> = rest.iter().map(|place| videos[*place].clone()).collect();
    // The share of all frames, as one of those that are left.
    let frames = |videos: &[SplitVideo]| videos.iter().map(|video| video.frames).sum::<u64>();
    let wanted = test_fraction * frames(videos) as f64 / frames(&others).max(1) as f64;
    let tests = splits(&others, wanted.min(1.0), seed.wrapping_add(1));
    for (place, split) in rest.into_iter().zip(tests) {
        if split == Split::Valid {
            found[place] = Split::Test;
        }
    }
    found
}

/// The split of each video. Videos of the same subject stay together; the validation split has as
/// nearly as possible `valid_fraction` of all frames, and at least one group where there are two.
/// Among equally near choices the seed decides.
pub fn splits(videos: &[SplitVideo], valid_fraction: f64, seed: u64) -> Vec<Split> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, video) in videos.iter().enumerate() {
        let key = match &video.subject {
            Some(subject) => format!("subject {subject}"),
            None => format!("video {}", video.video_id),
        };
        groups.entry(key).or_default().push(index);
    }
    let mut splits = vec![Split::Train; videos.len()];
    if valid_fraction <= 0.0 || groups.len() < 2 {
        return splits;
    }
    let mut order: Vec<(u64, &Vec<usize>)> = groups
        .iter()
        .map(|(key, group)| (sample_key(seed, &["split", key]), group))
        .collect();
    order.sort();
    let frames: Vec<u64> = order
        .iter()
        .map(|(_, group)| group.iter().map(|index| videos[*index].frames).sum())
        .collect();
    let target = frames.iter().sum::<u64>() as f64 * valid_fraction;
    // Where frames are in one group only, another one validates, without frames.
    let chosen = nearest_subset(&frames, target).unwrap_or_else(|| {
        let smallest = (0..frames.len()).min_by_key(|place| frames[*place]);
        smallest.into_iter().collect()
    });
    for index in chosen.into_iter().flat_map(|place| order[place].1) {
        splits[*index] = Split::Valid;
    }
    splits
}

/// Places of the weights whose sum is nearest to `target`: at least one weight above 0, and never
/// all of these. Of equally near sums the one that the weights in front reach first wins, and so
/// do these weights. `None` where fewer than two weights are above 0.
///
/// This is the subset sum problem, solved by dynamic programming over the sums that can be reached
/// (Bellman, 1957), a bit for each: n * target / 64 steps and some 4 bytes a sum. It is exact up to
/// [`MOST_SUMS`]; above, weights are rounded to the finest unit that has no more sums than that,
/// which moves the sum by less than half a unit for each weight in it.
fn nearest_subset(weights: &[u64], target: f64) -> Option<Vec<usize>> {
    let positive: Vec<u64> = weights.iter().copied().filter(|w| *w > 0).collect();
    if positive.len() < 2 {
        return None;
    }
    // One weight alone is a subset, so no sum that is further away than the best of these counts.
    let highest_sum = |weights: &[u64], target: f64| {
        let distances = weights.iter().map(|w| (*w as f64 - target).abs());
        let most = distances.fold(f64::INFINITY, f64::min);
        (target + most).ceil() as u64
    };
    let divisor = positive.iter().copied().reduce(common_divisor)?;
    let unit = divisor.max(highest_sum(&positive, target).div_ceil(MOST_SUMS));
    let rounded = |weight: &u64| match weight % unit {
        0 => weight / unit,
        // What counts stays above 0.
        _ => (weight.saturating_add(unit / 2) / unit).max(u64::from(*weight > 0)),
    };
    let weights: Vec<u64> = weights.iter().map(rounded).collect();
    let positive: Vec<u64> = weights.iter().copied().filter(|w| *w > 0).collect();
    let target = target / unit as f64;
    let all = positive.iter().sum::<u64>();
    let highest = highest_sum(&positive, target).min(all - 1);
    let distance = |sum: u64| (sum as f64 - target).abs();
    // No sum can be nearer than the whole numbers around the target.
    let ideal = [target.floor(), target.ceil()].map(|sum| (sum as u64).clamp(1, highest));
    let ideal_distance = distance(ideal[0]).min(distance(ideal[1]));

    let mut sums = ReachableSums::up_to(highest as usize);
    for (place, weight) in weights.iter().enumerate() {
        if *weight == 0 || *weight > highest {
            continue;
        }
        sums.add(place, *weight as usize);
        let is_ideal = |sum: &u64| distance(*sum) <= ideal_distance && sums.contains(*sum as usize);
        if ideal.iter().any(is_ideal) {
            break;
        }
    }
    let nearest = (1..=highest)
        .filter(|sum| sums.contains(*sum as usize))
        .min_by(|a, b| {
            let last = |sum: &u64| sums.last[*sum as usize];
            (distance(*a).total_cmp(&distance(*b))).then(last(a).cmp(&last(b)))
        })?;
    let mut chosen = Vec::new();
    let mut left = nearest as usize;
    while left > 0 {
        let place = sums.last[left] as usize;
        chosen.push(place);
        left -= weights[place] as usize;
    }
    chosen.reverse();
    Some(chosen)
}

/// Sums of the weights so far.
struct ReachableSums {
    /// A bit for each sum.
    bits: Vec<u64>,
    /// The last weight of the subset that reached a sum first; that of the rest comes before it.
    last: Vec<u32>,
    highest: usize,
}

impl ReachableSums {
    fn up_to(highest: usize) -> Self {
        let mut bits = vec![0; highest / 64 + 1];
        bits[0] = 1;
        Self {
            bits,
            last: vec![0; highest + 1],
            highest,
        }
    }

    fn contains(&self, sum: usize) -> bool {
        self.bits[sum / 64] >> (sum % 64) & 1 == 1
    }

    /// Adds a weight, above 0, to every sum there is.
    fn add(&mut self, place: usize, weight: usize) {
        let (words, shift) = (weight / 64, weight % 64);
        // From the top, so that the words below are those without the weight.
        for index in (words..self.bits.len()).rev() {
            let mut moved = self.bits[index - words] << shift;
            if shift > 0 && index > words {
                moved |= self.bits[index - words - 1] >> (64 - shift);
            }
            let mut new = moved & !self.bits[index];
            if index == self.highest / 64 {
                new &= u64::MAX >> (63 - self.highest % 64);
            }
            self.bits[index] |= new;
            while new != 0 {
                self.last[index * 64 + new.trailing_zeros() as usize] = place as u32;
                new &= new - 1;
            }
        }
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Numbers the distinct values, in the order of the values.
pub fn numbered<'a>(values: impl Iterator<Item = &'a str>) -> HashMap<&'a str, u32> {
    let distinct: std::collections::BTreeSet<&str> = values.collect();
    distinct.into_iter().zip(0..).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recipe(window: WindowKind) -> Recipe {
        Recipe {
            task: "task".into(),
            about: String::new(),
            sql: String::new(),
            sql_path: "task.sql".into(),
            template_path: "task.jinja".into(),
            template: String::new(),
            weight: 1.0,
            window,
            max_rows: 16,
            answer: None,
            may_serve_questions: true,
            language: "en".into(),
            numbers_weight: 0.0,
            is_primitive: false,
        }
    }

    fn track(video: u32, sport: u32, frames: u64) -> Track {
        Track {
            video,
            sport,
            video_id: format!("video{video}"),
            person: 0,
            times: Arc::new(VideoTimes::new(
                (0..10 + frames).map(|i| i as f64 / 30.0).collect(),
            )),
            first_frame: 10,
            last_frame: 9 + frames,
        }
    }

    #[test]
    fn windows_lie_within_their_tracks() {
        let tracks = [track(0, 0, 100), track(1, 0, 31), track(2, 1, 20)];
        let recipe = recipe(WindowKind::Secs(vec![1.0]));
        let windows = windows(&recipe, &tracks, 7, 1000).expect("windows");
        // The third track is shorter than a second.
        assert!(windows.iter().all(|w| w.track < 2));
        for window in &windows {
            let track = &tracks[window.track as usize];
            assert_eq!(window.frame_end - window.frame_start, 30);
            assert!(window.frame_start >= track.first_frame);
            assert!(window.frame_end <= track.last_frame);
            assert_eq!(window.step, 2);
        }
        assert!(windows.iter().any(|w| w.track == 1));
        let starts: std::collections::HashSet<_> =
            windows.iter().map(|w| (w.track, w.frame_start)).collect();
        assert_eq!(starts.len(), windows.len());
    }

    /// Windows of a second of a single track of a video whose frames have these times.
    fn windows_of_a_second(times_secs: &[f64]) -> Vec<Window> {
        let track = Track {
            times: Arc::new(VideoTimes::new(times_secs.to_vec())),
            first_frame: 0,
            last_frame: times_secs.len() as u64 - 1,
            ..track(0, 0, 1)
        };
        let recipe = recipe(WindowKind::Secs(vec![1.0]));
        windows(&recipe, &[track], 7, 1000).expect("windows")
    }

    #[test]
    fn windows_of_a_second_last_a_second_and_never_reach_over_a_pause() {
        // 40 frames at 30 Hz, 20 s nothing, 80 frames at 60 Hz, 5 s nothing, 20 frames.
        let rates = [(0.0, 40, 30.0), (21.0, 80, 60.0), (27.0, 20, 30.0)];
        let times_secs: Vec<f64> = rates
            .into_iter()
            .flat_map(|(start, count, rate)| (0..count).map(move |i| start + f64::from(i) / rate))
            .collect();
        let windows = windows_of_a_second(&times_secs);
        for window in &windows {
            let [from, to] = [window.frame_start, window.frame_end].map(|i| times_secs[i as usize]);
            assert!((to - from - 1.0).abs() < 1e-9, "{window:?}: {from} to {to}");
        }
        for frames in [0..40, 40..120] {
            let count = windows
                .iter()
                .filter(|w| frames.contains(&w.frame_start))
                .count();
            assert!(count > 1, "{count} in {frames:?}");
        }
    }

    #[test]
    fn a_stretch_of_just_a_second_is_a_window() {
        // 30 frames at 30 Hz, 20 s nothing, 30 frames.
        let stretch = |start: f64| (0..30).map(move |i| start + f64::from(i) / 30.0);
        let times_secs: Vec<f64> = stretch(0.0).chain(stretch(21.0)).collect();
        let mut windows: Vec<_> = windows_of_a_second(&times_secs)
            .iter()
            .map(|w| (w.frame_start, w.frame_end))
            .collect();
        windows.sort_unstable();
        assert_eq!(windows, [(0, 29), (30, 59)]);
    }

    #[test]
    fn windows_of_uneven_frames_last_what_is_asked_for_too() {
        // Half of the time a frame takes twice as long; the mean rate is 20 Hz.
        let mut time_secs = 0.0;
        let times_secs: Vec<f64> = (0..300)
            .map(|i| {
                time_secs += if i / 50 % 2 == 0 { 1.0 } else { 2.0 } / 30.0;
                time_secs
            })
            .collect();
        let windows = windows_of_a_second(&times_secs);
        assert!(windows.len() > 20, "{}", windows.len());
        for window in &windows {
            let [from, to] = [window.frame_start, window.frame_end].map(|i| times_secs[i as usize]);
            assert!(
                (to - from - 1.0).abs() < 1.0 / 29.0,
                "{window:?}: {from} to {to}"
            );
        }
        let lengths = windows.iter().map(|w| w.frame_end - w.frame_start);
        let lengths: std::collections::BTreeSet<u64> = lengths.collect();
        assert!(
            lengths.contains(&30) && lengths.contains(&15),
            "{lengths:?}"
        );
    }

    #[test]
    fn every_frame_is_a_window_and_the_seed_orders_them() {
        let tracks = [track(0, 0, 50)];
        let recipe = recipe(WindowKind::Frame);
        let of_seed = |seed| windows(&recipe, &tracks, seed, 1000).expect("windows");
        let mut starts: Vec<u64> = of_seed(7).iter().map(|w| w.frame_start).collect();
        assert_eq!(of_seed(7), of_seed(7));
        assert_ne!(of_seed(7), of_seed(8));
        starts.sort_unstable();
        assert_eq!(starts, (10..60).collect::<Vec<_>>());
    }

    #[test]
    fn sports_and_videos_have_equal_parts() {
        // Sport 0 has two videos, sport 1 one, of very different lengths.
        let tracks = [track(0, 0, 5000), track(1, 0, 300), track(2, 1, 400)];
        let windows = windows(&recipe(WindowKind::Frame), &tracks, 1, 400).expect("windows");
        let count = |index: u32| windows.iter().filter(|w| w.track == index).count();
        assert_eq!(windows.len(), 400);
        assert_eq!((count(0), count(1), count(2)), (100, 100, 200));
    }

    #[test]
    fn clips_are_whole() {
        let windows =
            windows(&recipe(WindowKind::Clip), &[track(0, 0, 301)], 1, 5).expect("windows");
        assert_eq!(windows.len(), 1);
        assert_eq!((windows[0].frame_start, windows[0].frame_end), (10, 310));
        assert_eq!(windows[0].step, 20);
    }

    fn candidate(task: u32, video: u32, content: u64, split: Split) -> Candidate {
        Candidate {
            task,
            video,
            sport: video % 2,
            frame_start: content,
            sample_key: scramble(content + u64::from(task)),
            content,
            split,
            questions: 1,
        }
    }

    #[test]
    fn of_equal_examples_the_one_to_validate_with_stays() {
        let candidates = [
            candidate(0, 0, 1, Split::Train),
            candidate(0, 1, 1, Split::Valid),
            candidate(0, 0, 2, Split::Train),
        ];
        let kept = distinct(&candidates).expect("positions");
        assert_eq!(kept, [1, 2]);
    }

    #[test]
    fn samples_follow_weights_and_balance_videos() {
        let candidates: Vec<Candidate> = (0..900)
            .map(|i| candidate((i % 3) as u32, if i < 600 { 0 } else { 1 }, i, Split::Train))
            .collect();
        let kept = sample(&candidates, &[1.0, 2.0, 1.0], 200).expect("positions");
        let count = |task: u32, video: u32| {
            let of = kept.iter().map(|index| &candidates[*index]);
            of.filter(|c| c.task == task && c.video == video).count()
        };
        assert_eq!((count(0, 0), count(0, 1)), (25, 25));
        assert_eq!((count(1, 0), count(1, 1)), (50, 50));
        assert_eq!((count(2, 0), count(2, 1)), (25, 25));
    }

    #[test]
    fn chats_of_several_questions_make_no_more_examples_than_wanted() {
        let candidates: Vec<Candidate> = (0..300)
            .map(|i| Candidate {
                questions: 1 + (i % 3) as u32,
                ..candidate((i % 2) as u32, 0, i, Split::Train)
            })
            .collect();
        for wanted in [1, 50, 51, 200, 1000] {
            let kept = sample(&candidates, &[1.0, 3.0], wanted).expect("positions");
            let made = |task: u32| -> u64 {
                let of = kept.iter().map(|index| &candidates[*index]);
                of.filter(|c| c.task == task)
                    .map(|c| u64::from(c.questions))
                    .sum()
            };
            let [few, many] = [0, 1].map(made);
            assert!(few + many <= wanted, "{few} and {many} of {wanted}");
            if wanted == 200 {
                // A chat that does not fit any more may leave two of each task open.
                assert!((48..=50).contains(&few) && (148..=150).contains(&many));
            }
        }
    }

    proptest! {
        #[test]
        fn shares_give_what_is_wanted_or_all_there_is(
            available in prop::collection::vec(0_u64..200, 1..8),
            wanted in 0_u64..600,
        ) {
            let weights: Vec<f64> = (0..available.len()).map(|i| 1.0 + i as f64).collect();
            let shares = shares(&available, &weights, wanted);
            prop_assert!(shares.iter().zip(&available).all(|(share, available)| share <= available));
            let total: u64 = available.iter().sum();
            prop_assert_eq!(shares.iter().sum::<u64>(), wanted.min(total));
        }
    }

    fn video(name: &str, subject: Option<&str>, frames: u64) -> SplitVideo {
        SplitVideo {
            video_id: name.into(),
            subject: subject.map(str::to_owned),
            frames,
        }
    }

    #[test]
    fn a_subject_is_never_divided() {
        for seed in 0..50 {
            let videos: Vec<SplitVideo> = (0..12)
                .map(|i| {
                    let subject = ["ann", "bob", "cy", "di"].get(i / 2).copied();
                    video(&format!("v{i}"), subject, 100)
                })
                .collect();
            let splits = splits(&videos, 0.25, seed);
            for pair in 0..4 {
                assert_eq!(splits[2 * pair], splits[2 * pair + 1]);
            }
            let valid = splits
                .iter()
                .filter(|split| **split == Split::Valid)
                .count();
            assert!((2..=4).contains(&valid), "{valid} of 12");
        }
    }

    #[test]
    fn whole_subjects_test_and_others_validate() {
        for seed in 0..50 {
            let videos: Vec<SplitVideo> = (0..12)
                .map(|i| {
                    let subject = ["ann", "bob", "cy", "di", "ed"].get(i / 2).copied();
                    video(&format!("v{i}"), subject, 100)
                })
                .collect();
            let found = three_splits(&videos, 0.17, 0.25, seed);
            for pair in 0..5 {
                assert_eq!(found[2 * pair], found[2 * pair + 1], "seed {seed}");
            }
            let count = |split: Split| found.iter().filter(|of| **of == split).count();
            assert_eq!(count(Split::Valid), 2, "seed {seed}");
            // 300 frames are wanted: with two single videos left those, else 200 or 400.
            assert!((2..=4).contains(&count(Split::Test)), "seed {seed}");
            // Those that validate are the same as without tests.
            let two = splits(&videos, 0.17, seed);
            let validate = |splits: &[Split]| -> Vec<bool> {
                splits.iter().map(|of| *of == Split::Valid).collect()
            };
            assert_eq!(validate(&found), validate(&two), "seed {seed}");
            assert_eq!(three_splits(&videos, 0.17, 0.0, seed), two);
        }
        let two = [video("a", None, 5), video("b", None, 5)];
        let found = three_splits(&two, 0.5, 0.5, 1);
        assert!(!found.contains(&Split::Test), "{found:?}");
    }

    #[test]
    fn the_only_group_trains() {
        let videos = [video("a", Some("ann"), 5), video("b", Some("ann"), 5)];
        assert_eq!(splits(&videos, 0.5, 1), [Split::Train; 2]);
        let videos = [video("a", None, 1000), video("b", None, 1000)];
        let valid = splits(&videos, 0.01, 1);
        assert_eq!(
            valid.iter().filter(|split| **split == Split::Valid).count(),
            1
        );
        assert_eq!(splits(&videos, 0.0, 1), [Split::Train; 2]);
    }

    fn valid_frames(frames: &[u64], valid_fraction: f64, seed: u64) -> u64 {
        let videos: Vec<SplitVideo> = (frames.iter().enumerate())
            .map(|(i, frames)| video(&format!("v{i}"), None, *frames))
            .collect();
        let splits = splits(&videos, valid_fraction, seed);
        let with_splits = videos.iter().zip(&splits);
        let valid = with_splits.filter(|(_, split)| **split == Split::Valid);
        valid.map(|(video, _)| video.frames).sum()
    }

    #[test]
    fn validation_comes_as_near_to_its_share_as_whole_videos_can() {
        for seed in 0..20 {
            // 11 of 55 are wanted: 10 are nearer than 15, whatever comes first.
            assert_eq!(valid_frames(&[15, 10, 30], 0.2, seed), 10);
            // 15 and 5 and 2 and 1 are 23 of 115.
            assert_eq!(valid_frames(&[15, 30, 5, 60, 2, 2, 1], 0.2, seed), 23);
            // One video has nearly everything, and one has no frames.
            assert_eq!(valid_frames(&[1_000_000, 10, 20, 0], 0.1, seed), 30);
            assert_eq!(valid_frames(&[1000, 1000, 0], 0.01, seed), 1000);
        }
    }

    #[test]
    fn the_seed_decides_among_equally_near_choices() {
        let videos: Vec<SplitVideo> = (0..10)
            .map(|i| video(&format!("v{i}"), None, 100))
            .collect();
        let of_seed = |seed| splits(&videos, 0.3, seed);
        assert_eq!(of_seed(3), of_seed(3));
        let different: std::collections::HashSet<String> =
            (0..20).map(|seed| format!("{:?}", of_seed(seed))).collect();
        assert!(different.len() > 10, "{}", different.len());
    }

    #[test]
    fn thousands_of_long_videos_are_few_steps() {
        let frames: Vec<u64> = (0..5000).map(|i| 20_000 + scramble(i) % 100_000).collect();
        let total: u64 = frames.iter().sum();
        let valid = valid_frames(&frames, 0.2, 1);
        // Frames are counted in units here, since the share has more than MOST_SUMS of them.
        let off = valid.abs_diff(total / 5) as f64 / total as f64;
        assert!(off < 1e-4, "{off}");
        // Equal videos that cannot make up the share exactly.
        let valid = valid_frames(&vec![1000; 3001], 0.1, 1);
        assert_eq!(valid, 300_000);
    }

    proptest! {
        #[test]
        fn no_other_choice_of_weights_is_nearer(
            weights in prop::collection::vec(0_u64..400, 2..10),
            share in 0.0_f64..1.0,
        ) {
            let target = weights.iter().sum::<u64>() as f64 * share;
            let positive = weights.iter().filter(|weight| **weight > 0).count();
            let sum_of = |subset: u32| -> u64 {
                let taken = |place: &usize| subset >> place & 1 == 1;
                (0..weights.len()).filter(taken).map(|place| weights[place]).sum()
            };
            let all = sum_of(u32::MAX);
            let best = (0..1_u32 << weights.len())
                .map(sum_of)
                .filter(|sum| *sum > 0 && *sum < all)
                .map(|sum| (sum as f64 - target).abs())
                .fold(f64::INFINITY, f64::min);
            match nearest_subset(&weights, target) {
                None => prop_assert!(positive < 2),
                Some(chosen) => {
                    let sum: u64 = chosen.iter().map(|place| weights[*place]).sum();
                    let distinct: std::collections::BTreeSet<_> = chosen.iter().collect();
                    prop_assert_eq!(distinct.len(), chosen.len());
                    prop_assert!(chosen.len() < positive && sum > 0);
                    prop_assert!(((sum as f64 - target).abs() - best).abs() < 1e-9);
                }
            }
        }
    }
}
