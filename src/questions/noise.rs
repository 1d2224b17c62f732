//! How people type: abbreviated sides and units, no capitals, slips. All of it is decided by a
//! generator of numbers, so that the same seed gives the same examples.

use crate::random::SplitMix64;

/// Shortest word with a slip.
const MIN_SLIP_CHARS: usize = 5;

/// Draws what looks random.
pub struct Dice(SplitMix64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// Below `count`, which is above 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.0.next_u64() % count as u64) as usize
    }

    /// True in `percent` of a hundred cases.
    pub fn is_lucky(&mut self, percent: u64) -> bool {
        self.0.next_u64() % 100 < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// From `low` to `high`, with at most so many decimals; fewer are likelier.
    pub fn number(&mut self, low: f64, high: f64, max_decimals: usize) -> f64 {
        let decimals = self.below(max_decimals + 1);
        let number = low + (high - low) * self.0.next_fraction();
        let scale = 10_f64.powi(decimals as i32);
        (number * scale).round() / scale
    }
}

/// A joint angle, landmark or part of the body: `right_knee` as right knee, rt knee, r. knee.
pub fn body_part(value: &str, dice: &mut Dice) -> String {
    match value {
        "trunk_lean" => {
            return (*dice.pick(&["trunk lean", "lean of the trunk", "trunk inclination"])).into();
        }
        "forward_lean" => {
            return (*dice.pick(&["forward lean", "lean forward", "forward inclination"])).into();
        }
        _ => {}
    }
    let (side, part) = match value.split_once('_') {
        Some((side @ ("left" | "right"), part)) => (side, part.replace('_', " ")),
        _ => return value.replace('_', " "),
    };
    let is_left = side == "left";
    let part = match dice.is_lucky(5) {
        true => slip(&part, dice),
        false => part,
    };
    match dice.below(20) {
        0 => format!("{} {part}", if is_left { "lt" } else { "rt" }),
        1 => format!("{} {part}", if is_left { "l." } else { "r." }),
        2 => format!("{} {part}", if is_left { "l" } else { "r" }),
        3 => format!("{part} ({side})"),
        4 => format!("{part} on the {side}"),
        5 => format!("{} {part}", if is_left { "Left" } else { "Right" }),
        6 => format!("{} {part}", slip(side, dice)),
        _ => format!("{side} {part}"),
    }
}

/// A number of seconds with its unit.
pub fn secs(number: &str, dice: &mut Dice) -> String {
    let unit = dice.pick(&[
        " s", " s", "s", "s", " sec", "sec", " seconds", " seconds", " secs",
    ]);
    format!("{number}{unit}")
}

/// A number of degrees with its unit, or without.
pub fn degrees(number: &str, dice: &mut Dice) -> String {
    let unit = dice.pick(&[" deg", " deg", " degrees", " degrees", "°", "", "deg"]);
    format!("{number}{unit}")
}

/// A moment.
pub fn at(number: &str, dice: &mut Dice) -> String {
    match dice.below(12) {
        0 => format!("at second {number}"),
        1 => format!("at t={number}"),
        2 => format!("@{number}s"),
        3 => format!("at {number}"),
        4 => format!("at the time {}", secs(number, dice)),
        5 => format!("after {}", secs(number, dice)),
        _ => format!("at {}", secs(number, dice)),
    }
}

/// A stretch of time with one or two ends.
pub fn during(from: Option<&str>, to: Option<&str>, dice: &mut Dice) -> String {
    match (from, to) {
        (None, None) => String::new(),
        (Some(from), None) => match dice.below(4) {
            0 => format!("from {} on", secs(from, dice)),
            1 => format!("after the first {}", secs(from, dice)),
            2 => format!("since {}", secs(from, dice)),
            _ => format!("after {}", secs(from, dice)),
        },
        (None, Some(to)) => match dice.below(5) {
            0 => format!("in the first {}", secs(to, dice)),
            1 => format!("until {}", secs(to, dice)),
            2 => format!("up to {}", secs(to, dice)),
            3 => format!("within the first {}", secs(to, dice)),
            _ => format!("before {}", secs(to, dice)),
        },
        (Some(from), Some(to)) => match dice.below(8) {
            0 => format!("from {} to {}", secs(from, dice), secs(to, dice)),
            1 => format!("from {from} to {}", secs(to, dice)),
            2 => format!("between {} and {}", secs(from, dice), secs(to, dice)),
            3 => format!("{from} to {}", secs(to, dice)),
            4 => format!("{from}-{}", secs(to, dice)),
            5 => format!("from {} until {}", secs(from, dice), secs(to, dice)),
            _ => format!("between {from} and {}", secs(to, dice)),
        },
    }
}

/// The name of a video: its file, or that without its suffix.
pub fn video(label: &str, dice: &mut Dice) -> String {
    match label.rsplit_once('.') {
        Some((stem, _)) if stem.contains(|c: char| c.is_ascii_digit()) && dice.is_lucky(30) => {
            stem.into()
        }
        _ => label.into(),
    }
}

/// One slip of the fingers in a word: a letter twice, left out, or exchanged with the next.
pub fn slip(word: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 3 {
        return word.into();
    }
    // The first letter is seldom wrong.
    let at = 1 + dice.below(letters.len() - 2);
    match dice.below(3) {
        0 => letters.insert(at, letters[at]),
        1 => drop(letters.remove(at)),
        _ => letters.swap(at, at + 1),
    }
    letters.into_iter().collect()
}

/// A slip in one of the longer words outside of `open` and `close`.
pub fn slip_in(text: &str, (open, close): (char, char), dice: &mut Dice) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_plain = |word: &&str| {
        word.len() >= MIN_SLIP_CHARS
            && word.chars().all(char::is_alphabetic)
            && !word.contains([open, close])
    };
    let places: Vec<usize> = (0..words.len()).filter(|i| is_plain(&words[*i])).collect();
    if places.is_empty() {
        return text.into();
    }
    let place = *dice.pick(&places);
    let words = words
        .iter()
        .enumerate()
        .map(|(index, word)| match index == place {
            true => slip(word, dice),
            false => (*word).to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// A whole question as it may be typed.
pub fn typed(question: &str, dice: &mut Dice) -> String {
    const OPENINGS: [&str; 9] = [
        "please tell me: ",
        "hi, ",
        "can you tell me ",
        "I want to know ",
        "ok, ",
        "so ",
        "quick question: ",
        "hey ",
        "could you say ",
    ];
    let mut text = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if dice.is_lucky(10) {
        let opening = dice.pick(&OPENINGS);
        let mut letters = text.chars();
        if let Some(first) = letters.next() {
            text = format!("{opening}{}{}", first.to_lowercase(), letters.as_str());
        }
    }
    if dice.is_lucky(35) {
        text = text.to_lowercase();
    }
    if dice.is_lucky(40) {
        text = text.trim_end_matches(['?', '.']).to_owned();
    }
    text
}
