//! What is learned and what is held out: chats as tokens, their order in each epoch, and how a
//! step's texts are packed.
//!
//! Resident are 5 bytes for each token of a dataset.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::TrainError;
use crate::dataset::{Chat, ChatRecord, DATASET_FILE, Dataset, DatasetKind, Split, read_jsonl};
use crate::language::{ChatTokenizer, EncodedChat};
use crate::llama::Batch;

const TRAIN_FILE: &str = "train.jsonl";
const VALID_FILE: &str = "valid.jsonl";

/// Names of the datasets in a folder of datasets, in order.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn names(llm_data: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(llm_data) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join(DATASET_FILE).is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

/// The chats of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Chats {
    /// To learn from.
    pub train: Vec<ChatRecord>,
    /// To be examined with; may be empty.
    pub valid: Vec<ChatRecord>,
    /// Where they were read from.
    pub source: DataSource,
}

/// Where chats come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// A folder of `posedata dataset build`.
    Dataset {
        /// As it was given, or below the folder of datasets.
        folder: PathBuf,
        /// As the dataset's manifest has it.
        name: String,
        /// What its examples are.
        kind: DatasetKind,
        /// The lake's snapshot that the dataset was built from.
        lake_snapshot: u64,
        /// Of all examples, so that another dataset of that name is told apart.
        content_blake3: String,
    },
    /// A file of JSON Lines, and the one that validates, or `None` where a share of the first is
    /// held out.
    Files {
        /// To learn from.
        train: PathBuf,
        /// To be examined with.
        valid: Option<PathBuf>,
    },
}

impl DataSource {
    /// The dataset's name, or the file's without its ending.
    pub fn name(&self) -> String {
        match self {
            Self::Dataset { name, .. } => name.clone(),
            Self::Files { train, .. } => {
                let stem = match train.file_name() {
                    // The folder says more than the file there.
                    Some(name) if name == TRAIN_FILE => train.parent().and_then(Path::file_name),
                    _ => train.file_stem(),
                };
                stem.unwrap_or_default().to_string_lossy().into_owned()
            }
        }
    }

    /// The dataset's folder, or the file to learn from.
    pub fn path(&self) -> &Path {
        match self {
            Self::Dataset { folder, .. } => folder,
            Self::Files { train, .. } => train,
        }
    }
}

/// Reads a dataset: a name below `datasets`, a dataset's folder, a folder with `train.jsonl`, or a
/// file of JSON Lines. A file `valid.jsonl` beside it validates; without one `valid_share` of the
/// chats does.
///
/// # Errors
/// When there is no such dataset, or it is damaged.
pub fn open(
    name_or_path: &str,
    datasets: &Path,
    valid_share: f64,
    seed: u64,
) -> Result<Chats, TrainError> {
    let named = datasets.join(name_or_path);
    let path = match Path::new(name_or_path) {
        path if path.is_file() => path.to_owned(),
        path if path.join(DATASET_FILE).is_file() || path.join(TRAIN_FILE).is_file() => {
            path.to_owned()
        }
        _ => named,
    };
    if path.join(DATASET_FILE).is_file() {
        return Ok(of_dataset(&path)?);
    }
    let train = match path.is_dir() {
        true => path.join(TRAIN_FILE),
        false => path,
    };
    if !train.is_file() {
        return Err(TrainError::NoDataset {
            name: name_or_path.into(),
            path: datasets.into(),
        });
    }
    let valid = train.with_file_name(VALID_FILE);
    let valid = Some(valid).filter(|valid| valid.is_file() && *valid != train);
    let chats = read_jsonl(&train)?;
    let (train_chats, valid_chats) = match &valid {
        Some(valid) => (chats, read_jsonl(valid)?),
        None => hold_out(chats, valid_share, seed),
    };
    Ok(Chats {
        train: train_chats,
        valid: valid_chats,
        source: DataSource::Files { train, valid },
    })
}

fn of_dataset(folder: &Path) -> Result<Chats, crate::dataset::DatasetError> {
    let dataset = Dataset::open(folder)?;
    let recipes = dataset.manifest.recipes.iter();
    let primitives: BTreeSet<&str> = recipes
        .filter(|recipe| recipe.is_primitive)
        .map(|recipe| recipe.task.as_str())
        .collect();
    let chats = |split| {
        let chats = Chat::of_all(dataset.of_split(split)).into_iter();
        let chats = chats.map(|chat| ChatRecord {
            id: chat.id().into(),
            messages: chat.messages(),
            is_primitive: primitives.contains(chat.first().recipe()),
        });
        chats.collect()
    };
    Ok(Chats {
        train: chats(Split::Train),
        valid: chats(Split::Valid),
        source: DataSource::Dataset {
            folder: folder.into(),
            name: dataset.manifest.name.clone(),
            kind: dataset.manifest.kind,
            lake_snapshot: dataset.manifest.lake_snapshot,
            content_blake3: dataset.content_blake3(),
        },
    })
}

/// Divides chats by a hash of their words, so that equal ones stay together and neither order nor
/// names matter.
fn hold_out(chats: Vec<ChatRecord>, share: f64, seed: u64) -> (Vec<ChatRecord>, Vec<ChatRecord>) {
    let hash = |chat: &ChatRecord| {
        let mut hasher = seeded("valid", seed);
        for message in &chat.messages {
            hasher.update(message.role.name().as_bytes());
            hasher.update(&(message.content.len() as u64).to_le_bytes());
            hasher.update(message.content.as_bytes());
        }
        *hasher.finalize().as_bytes()
    };
    let hashes: Vec<[u8; 32]> = chats.iter().map(hash).collect();
    let mut sorted = hashes.clone();
    sorted.sort_unstable();
    let count = (share * chats.len() as f64).ceil() as usize;
    let Some(last) = count.checked_sub(1).and_then(|last| sorted.get(last)) else {
        return (chats, Vec::new());
    };
    let (mut train, mut valid) = (Vec::new(), Vec::new());
    for (chat, hash) in chats.into_iter().zip(hashes) {
        match hash <= *last {
            true => valid.push(chat),
            false => train.push(chat),
        }
    }
    (train, valid)
}

/// The beginning of a hash that decides about something that is left to chance.
fn seeded(what: &str, seed: u64) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key("posedata train");
    hasher.update(what.as_bytes());
    hasher.update(&seed.to_le_bytes());
    hasher
}

/// A chat as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The example's.
    pub id: String,
    /// Its tokens, and which of them are learned.
    pub chat: EncodedChat,
    /// Whether it comes before others in the first epoch.
    pub is_primitive: bool,
}

impl Text {
    /// Of the whole chat.
    pub fn tokens(&self) -> usize {
        self.chat.ids.len()
    }

    /// Tokens that are predicted; a text's first has nothing to be predicted from.
    pub fn targets(&self) -> usize {
        let in_loss = self.chat.in_loss.iter().skip(1);
        in_loss.filter(|in_loss| **in_loss).count()
    }
}

/// A dataset as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainData {
    /// In the data's order.
    pub train: Vec<Text>,
    /// In the data's order; may be empty.
    pub valid: Vec<Text>,
    /// Ids of the texts that are longer than allowed, and left out.
    pub too_long: Vec<String>,
}

impl TrainData {
    /// Makes tokens of chats, on all cores. Texts of more than `max_tokens` are left out.
    ///
    /// # Errors
    /// When a chat has no answer to learn, or nothing is left to train on.
    pub fn encode(
        chats: &Chats,
        tokenizer: &ChatTokenizer,
        max_tokens: usize,
    ) -> Result<Self, TrainError> {
        let mut too_long = Vec::new();
        let mut encode = |chats: &[ChatRecord]| -> Result<Vec<Text>, TrainError> {
            let texts: Vec<Text> = chats
                .par_iter()
                .map(|chat| text(chat, tokenizer))
                .collect::<Result<_, _>>()?;
            let (short, long): (Vec<_>, Vec<_>) = texts
                .into_iter()
                .partition(|text| text.tokens() <= max_tokens);
            too_long.extend(long.into_iter().map(|text| text.id));
            Ok(short)
        };
        let (train, valid) = (encode(&chats.train)?, encode(&chats.valid)?);
        if train.is_empty() {
            return Err(TrainError::NothingToTrain {
                too_long: too_long.len(),
                max_tokens,
                path: chats.source.path().into(),
            });
        }
        Ok(Self {
            train,
            valid,
            too_long,
        })
    }

    /// Most tokens of a text.
    pub fn longest(&self) -> usize {
        let texts = self.train.iter().chain(&self.valid);
        texts.map(Text::tokens).max().unwrap_or(0)
    }

    /// BLAKE3 in hex of all tokens and of which are learned.
    pub fn blake3(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for texts in [&self.train, &self.valid] {
            hasher.update(&(texts.len() as u64).to_le_bytes());
            for text in texts {
                hasher.update(&(text.tokens() as u64).to_le_bytes());
                for (id, in_loss) in text.chat.ids.iter().zip(&text.chat.in_loss) {
                    hasher.update(&id.to_le_bytes());
                    hasher.update(&[u8::from(*in_loss)]);
                }
            }
        }
        // They decide about the order.
        for (place, _) in self
            .train
            .iter()
            .enumerate()
            .filter(|(_, t)| t.is_primitive)
        {
            hasher.update(&(place as u64).to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn text(chat: &ChatRecord, tokenizer: &ChatTokenizer) -> Result<Text, TrainError> {
    let encoded = tokenizer.encode(&chat.messages);
    let encoded = encoded.map_err(|error| TrainError::Example {
        id: chat.id.clone(),
        error,
    })?;
    let text = Text {
        id: chat.id.clone(),
        chat: encoded,
        is_primitive: chat.is_primitive,
    };
    match text.targets() {
        0 => Err(TrainError::Example {
            id: text.id,
            error: crate::language::LanguageError::NothingToLearn,
        }),
        _ => Ok(text),
    }
}

/// Of so many texts of the first epoch, one is a primitive that comes before all others.
const TEXTS_PER_FIRST_PRIMITIVE: usize = 32;

/// In which order texts are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Anew in each epoch, by the seed; the first one begins with some primitives (curriculum
    /// learning, Bengio et al. 2009). The rest of them are spread, so that a run that ends long
    /// before its first epoch does has seen all kinds of texts.
    #[default]
    Shuffled,
    /// The first first, in every epoch.
    AsGiven,
}

impl Order {
    /// The order of an epoch, from 0: places of the texts. It follows from the seed and the epoch
    /// alone, so that no state of a random generator need be kept.
    pub fn of_epoch(self, texts: &[Text], seed: u64, epoch: u64) -> Vec<usize> {
        let mut places: Vec<usize> = (0..texts.len()).collect();
        if self == Self::Shuffled {
            places.sort_by_cached_key(|place| {
                let mut hasher = seeded("order", seed);
                hasher.update(&epoch.to_le_bytes());
                hasher.update(&(*place as u64).to_le_bytes());
                *hasher.finalize().as_bytes()
            });
            if epoch == 0 {
                let mut left = texts.len().div_ceil(TEXTS_PER_FIRST_PRIMITIVE);
                let (mut first, others): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| {
                    let is_first = texts[*place].is_primitive && left > 0;
                    left -= usize::from(is_first);
                    is_first
                });
                first.extend(others);
                places = first;
            }
        }
        places
    }
}

/// The seed of what is dropped in a batch of a step.
pub fn dropout_seed(seed: u64, step: u64, batch: usize) -> u64 {
    let mut hasher = seeded("dropout", seed);
    hasher.update(&step.to_le_bytes());
    hasher.update(&(batch as u64).to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Packs texts into as few batches of at most `max_tokens` as first-fit decreasing finds (at most
/// 11/9 of the fewest possible and 6/9 more: Dósa 2007). A longer text has a batch of its own.
/// Gives places in `lengths`.
fn pack(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // The sort is stable, so equal lengths stay in their order.
    order.sort_by_key(|place| std::cmp::Reverse(lengths[*place]));
    let mut bins: Vec<(usize, Vec<usize>)> = Vec::new();
    for place in order {
        let length = lengths[place];
        let fitting = bins
            .iter_mut()
            .find(|(tokens, _)| tokens.saturating_add(length) <= max_tokens);
        match fitting {
            Some((tokens, places)) => {
                *tokens += length;
                places.push(place);
            }
            None => bins.push((length, vec![place])),
        }
    }
    bins.into_iter().map(|(_, places)| places).collect()
}

/// The batches of some texts.
pub fn batches(texts: &[&Text], max_tokens: usize) -> Vec<Batch> {
    let lengths: Vec<usize> = texts.iter().map(|text| text.tokens()).collect();
    let packed = pack(&lengths, max_tokens).into_iter();
    let batches = packed.map(|places| {
        let chats = places.into_iter().map(|place| &texts[place].chat);
        Batch::of_chats(chats)
    });
    batches.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::language::chat::{Message, Role};

    /// A text whose last `targets` tokens are learned.
    pub fn text_of(id: &str, ids: &[u32], targets: usize) -> Text {
        let first = ids.len() - targets;
        Text {
            id: id.into(),
            chat: EncodedChat {
                ids: ids.to_vec(),
                in_loss: (0..ids.len()).map(|place| place >= first).collect(),
            },
            is_primitive: false,
        }
    }

    proptest! {
        #[test]
        fn packing_keeps_every_text_and_every_target(
            lengths in prop::collection::vec(2usize..40, 0..30), max_tokens in 1usize..100
        ) {
            let texts: Vec<Text> = lengths
                .iter()
                .enumerate()
                .map(|(i, length)| text_of("", &vec![i as u32; *length], length / 2))
                .collect();
            let all: Vec<&Text> = texts.iter().collect();
            let batches = batches(&all, max_tokens);
            let mut seen = vec![0; texts.len()];
            for batch in &batches {
                prop_assert!(batch.tokens() <= max_tokens || batch.texts().count() == 1);
                for range in batch.texts() {
                    let ids = &batch.ids[range.clone()];
                    let text = &texts[ids[0] as usize];
                    prop_assert_eq!(ids, &text.chat.ids[..]);
                    let targets = batch.targets.iter().filter(|target| range.contains(target));
                    prop_assert_eq!(targets.count(), text.targets());
                    seen[ids[0] as usize] += 1;
                }
            }
            prop_assert!(seen.iter().all(|count| *count == 1));
            // Two bins that are both at most half full would have been one.
            let half_full = batches.iter().filter(|batch| 2 * batch.tokens() <= max_tokens);
            prop_assert!(half_full.count() <= 1);
        }
    }

    #[test]
    fn each_epoch_has_an_order_of_its_own_that_holds_everything() {
        let mut texts: Vec<Text> = (0..100).map(|i| text_of("", &[i, i], 1)).collect();
        let first = Order::Shuffled.of_epoch(&texts, 7, 0);
        assert_eq!(first, Order::Shuffled.of_epoch(&texts, 7, 0));
        for other in [
            Order::Shuffled.of_epoch(&texts, 7, 1),
            Order::Shuffled.of_epoch(&texts, 8, 0),
            Order::AsGiven.of_epoch(&texts, 7, 0),
        ] {
            assert_ne!(other, first);
            let mut sorted = other;
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..100));
        }
        // Some primitives come first, once; these and all others keep their order.
        for text in &mut texts[60..70] {
            text.is_primitive = true;
        }
        let with_primitives = Order::Shuffled.of_epoch(&texts, 7, 0);
        let (primitives, others) = with_primitives.split_at(4);
        let in_order = first.iter().filter(|place| (60..70).contains(*place));
        assert!(primitives.iter().eq(in_order.take(4)));
        let expected = first.iter().filter(|place| !primitives.contains(place));
        assert!(others.iter().eq(expected));
        let second = Order::Shuffled.of_epoch(&texts, 7, 1);
        for place in texts.iter_mut() {
            place.is_primitive = false;
        }
        assert_eq!(second, Order::Shuffled.of_epoch(&texts, 7, 1));
        let seeds = [(7, 0, 0), (7, 0, 1), (7, 1, 0), (8, 0, 0)];
        let seeds = seeds.map(|(seed, step, batch)| dropout_seed(seed, step, batch));
        let different: std::collections::HashSet<u64> = seeds.into_iter().collect();
        assert_eq!(different.len(), 4);
    }

    fn chat(id: usize, words: &str) -> ChatRecord {
        ChatRecord {
            id: id.to_string(),
            messages: vec![Message::new(Role::User, words)],
            is_primitive: false,
        }
    }

    #[test]
    fn a_share_is_held_out_and_equal_chats_stay_together() {
        let chats = || (0..200).map(|i| chat(i, &(i % 50).to_string())).collect();
        let (train, valid) = hold_out(chats(), 0.1, 3);
        assert_eq!(train.len() + valid.len(), 200);
        assert!((20..=24).contains(&valid.len()), "{}", valid.len());
        let held_out = |chat: &ChatRecord| valid.iter().any(|v| v.messages == chat.messages);
        assert!(!train.iter().any(held_out));
        assert_ne!(hold_out(chats(), 0.1, 4).1, valid);
        assert_eq!(hold_out(chats(), 0.0, 3).1, []);
    }

    #[test]
    fn files_and_folders_are_found_by_path_or_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = |words: &str| format!("{{\"prompt\": \"{words}\", \"completion\": \"a\"}}\n");
        let datasets = folder.path().join("llm");
        fs::create_dir_all(datasets.join("mine")).expect("a folder");
        fs::write(datasets.join("mine/train.jsonl"), line("t").repeat(3)).expect("a file");
        let alone = open("mine", &datasets, 0.0, 0).expect("a dataset");
        assert_eq!((alone.train.len(), alone.valid.len()), (3, 0));
        assert_eq!(alone.source.name(), "mine");
        fs::write(datasets.join("mine/valid.jsonl"), line("v")).expect("a file");
        let path = datasets.join("mine/train.jsonl").display().to_string();
        for name in ["mine", &path] {
            let chats = open(name, &datasets, 0.5, 0).expect("a dataset");
            assert_eq!((chats.train.len(), chats.valid.len()), (3, 1));
        }
        let file = folder.path().join("data.jsonl");
        let lines: String = (0..10).map(|i| line(&i.to_string())).collect();
        fs::write(&file, lines).expect("a file");
        let chats = open(&file.display().to_string(), &datasets, 0.2, 0).expect("a dataset");
        assert_eq!((chats.train.len(), chats.valid.len()), (8, 2));
        assert_eq!(chats.source.name(), "data");
        let error = open("nothing", &datasets, 0.2, 0).expect_err("no dataset");
        assert!(error.to_string().contains("nothing"), "{error}");
    }
}
