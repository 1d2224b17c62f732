//! Whether the numbers of a text follow from the facts that its writer was given.
//!
//! A number is supported if it equals, within the rounding that it was written with, a number
//! of the example's facts, data, question or answer, or one that they imply. Implied are only:
//!
//! - of each column: minimum, maximum, mean, median, range, first to last (difference and change in
//!   percent), the number of values and of rows; the sum where the sentence calls it one;
//! - of a left and a right column: the difference in each row, the differences and ratios of
//!   their minima, maxima, means and ranges;
//! - of two single values that are named as opposites (minimum and maximum, start and end): their
//!   difference, and the number of frames from one to the other.
//!
//! Sums and differences of arbitrary pairs are not implied: with them nearly any number would pass.
//! But whoever states two values may state their difference, in the same sentence or the next.
//!
//! Units are compared: 0.42 m is 42 cm, 0.85 is 85 %, but 12 degrees is not 12 frames. Where a
//! sentence names a column (`left knee`), its numbers have to come from a column that it
//! mentions, and those of a left column do not pass where it speaks only of the right.
//!
//! How many wrong numbers pass was measured with random ones over a table of 12 frames and 6 columns
//! as recipes make it (the test `few_random_numbers_pass` repeats it). Of angles from 0 to 180
//! degrees with one decimal 1.9 % pass where the sentence names the joint, 3.7 % where it does not;
//! of whole degrees 16 %; of speeds with two decimals 4.1 %; of percentages with one decimal 2.1 %.
//! Nearly all of these happen to be numbers of the table. A number without decimals passes more
//! often, since rounding gives it more room.
//!
//! Whole answers fare better than single numbers. Of 6573 answers of recipes about real clips, checked
//! as if a model had written them, 99.7 % pass for their own table, and 0.9 % for the table of another
//! example of the same recipe (an integration test repeats it with fewer).

use std::collections::HashSet;

use super::table::{self, Cell, Column, Table};
use crate::dataset::Example;
use crate::numbers::{Form, Number, Quantity, Unit, numbers, unit_of_column};

/// A number that nothing supports.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unsupported {
    /// As written.
    pub number: String,
    /// Where it stands.
    pub sentence: String,
    /// What is missing, for people and for `rejected.jsonl`.
    pub why: String,
}

/// Everything that an example's numbers may be.
#[derive(Clone, Debug, Default)]
pub struct FactSheet {
    facts: Vec<Fact>,
    /// Ratios of two values, for words such as "twice".
    multiples: Vec<Fact>,
    /// Words with digits in them that the example itself uses.
    names: HashSet<String>,
    /// The longest table's.
    row_count: usize,
    /// Whether the table that is being taken is one that the model sees.
    takes_shown: bool,
}

#[derive(Clone, Debug)]
struct Fact {
    /// As the table has it.
    written: f64,
    unit: Option<Unit>,
    /// Words of the column's name without side, unit and aggregate; empty for prose.
    topic: Vec<String>,
    side: Option<Side>,
    origin: Origin,
    /// Whether a sentence can name the fact's column: the model has seen it.
    is_shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Table,
    Prose,
    Implied,
    /// Of a whole column; means something only where the sentence says that it is one.
    Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Words of column names that tell what was done with values rather than whose they are.
const AGGREGATES: [&str; 44] = [
    "min",
    "minimum",
    "smallest",
    "lowest",
    "least",
    "max",
    "maximum",
    "largest",
    "highest",
    "most",
    "mean",
    "avg",
    "average",
    "median",
    "range",
    "peak",
    "first",
    "last",
    "start",
    "end",
    "from",
    "to",
    "at",
    "of",
    "the",
    "in",
    "change",
    "diff",
    "difference",
    "value",
    "values",
    "total",
    "std",
    "p5",
    "p95",
    "angle",
    "angles",
    "joint",
    "extreme",
    "larger",
    "smaller",
    "limit",
    "measured",
    "asked",
];
/// Pairs of words whose values belong together: the second minus the first means something.
const OPPOSITES: [(&str, &str); 9] = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("start", "end"),
    ("first", "last"),
    ("before", "after"),
    ("from", "to"),
    ("left", "right"),
    ("begin", "end"),
    // Percentiles: their distance is what recipes call the spread.
    ("p5", "p95"),
];
/// Words that bring the other side into a sentence.
const BOTH_SIDES: [&str; 14] = [
    "both",
    "other",
    "opposite",
    "contralateral",
    "sides",
    "side",
    "symmetry",
    "symmetric",
    "symmetrical",
    "asymmetry",
    "difference",
    "differ",
    "differs",
    "counterpart",
];
/// Words that announce a sum.
const SUM_WORDS: [&str; 8] = [
    "sum", "sums", "summed", "add", "adds", "added", "total", "together",
];
/// Nouns of which everybody has two.
const PAIRED: [&str; 20] = [
    "knees",
    "legs",
    "arms",
    "hips",
    "ankles",
    "elbows",
    "shoulders",
    "wrists",
    "feet",
    "hands",
    "heels",
    "sides",
    "eyes",
    "ears",
    "thighs",
    "shanks",
    "forearms",
    "limbs",
    "halves",
    "joints",
];
/// A whole number may be off by this part of the value at most: "1 s" for 0.6 s is a rounding that
/// says nothing any more.
const MOST_RELATIVE_ROUNDING: f64 = 0.1;
/// "Twice" stands for 1.9 to 2.1.
const MULTIPLE_TOLERANCE: f64 = 0.05;

impl FactSheet {
    /// Gathers what an example says and implies.
    pub fn of(example: &Example) -> Self {
        let mut sheet = Self::default();
        let (mut tables, facts_prose) = table::of_json(&example.facts);
        let (data_tables, data_prose) = table::of_text(&example.data);
        if !data_tables.is_empty() {
            // The model sees the data. Of the facts behind it, those without a unit in their name
            // are what the template counts and chooses with.
            for table in &mut tables {
                table
                    .columns
                    .retain(|column| unit_of_column(&column.name).is_some());
            }
        }
        sheet.takes_shown = data_tables.is_empty();
        for table in &tables {
            sheet.take_table(table);
        }
        sheet.takes_shown = true;
        for table in &data_tables {
            sheet.take_table(table);
        }
        let texts = [
            facts_prose.as_str(),
            &data_prose,
            &example.system,
            &example.question,
            // The steps before it hold numbers that are no facts.
            example.reply(),
        ];
        for text in texts {
            sheet.take_prose(text);
        }
        let lineage = &example.lineage;
        let (first, last) = (lineage.frame_start as f64, lineage.frame_end as f64);
        for value in [first, last, last - first + 1.0, last - first] {
            sheet.imply(value, Some(FRAMES), &[], None);
        }
        sheet.imply(f64::from(lineage.person), Some(COUNT), &[], None);
        for word in [&lineage.sport, &example.data, &facts_prose] {
            sheet.take_names(word);
        }
        sheet
    }

    /// The numbers of a text that nothing supports.
    pub fn unsupported(&self, text: &str) -> Vec<Unsupported> {
        let mut unsupported = Vec::new();
        let mut before: Vec<Number> = Vec::new();
        for sentence in sentences(text) {
            let words = words_of(sentence);
            let mut supported = Vec::new();
            let mut doubtful = Vec::new();
            for number in numbers(sentence) {
                match self.check(&number, sentence, &words) {
                    Ok(()) => supported.push(number),
                    Err(why) => doubtful.push((number, why)),
                }
            }
            let stated: Vec<&Number> = before.iter().chain(&supported).collect();
            for (number, why) in doubtful {
                if !is_difference(&number, &stated) {
                    unsupported.push(Unsupported {
                        number: number.text.clone(),
                        sentence: sentence.trim().to_owned(),
                        why,
                    });
                }
            }
            before = supported;
        }
        unsupported
    }

    fn check(
        &self,
        number: &Number,
        sentence: &str,
        words: &HashSet<String>,
    ) -> Result<(), String> {
        match number.form {
            Form::Name => {
                let is_known = self.names.contains(&number.text.to_lowercase());
                is_known
                    .then_some(())
                    .ok_or_else(|| "no such name in the data".into())
            }
            Form::Ordinal => {
                let is_place = number.value >= 1.0 && number.value <= self.row_count as f64;
                let is_frame = self.any(number, Some(FRAMES), words);
                (is_place || is_frame)
                    .then_some(())
                    .ok_or_else(|| format!("the data has {} rows", self.row_count))
            }
            Form::Multiple => {
                let is_ratio = self.multiples.iter().any(|fact| {
                    (fact.written - number.value).abs() <= MULTIPLE_TOLERANCE * number.value
                        && self.fits(fact, words)
                });
                is_ratio
                    .then_some(())
                    .ok_or_else(|| "no two values of the data have this ratio".into())
            }
            Form::Word if number.unit.is_none() => {
                if number.value == 2.0 && is_before_pair(sentence, number) {
                    return Ok(());
                }
                let counts = self
                    .facts
                    .iter()
                    .filter(|f| is_count(f.unit) || f.unit.is_none());
                let mut equal = counts.filter(|f| f.written == number.value);
                equal
                    .next()
                    .map(|_| ())
                    .ok_or_else(|| "nothing in the data comes in this number".into())
            }
            Form::Digits | Form::Word => {
                if number.value == 2.0 && is_before_pair(sentence, number) {
                    return Ok(());
                }
                if self.any(number, number.unit, words) {
                    return Ok(());
                }
                let equals_elsewhere = self
                    .facts
                    .iter()
                    .any(|fact| equals(number, number.unit, fact).is_some());
                Err(if equals_elsewhere {
                    "the data has this number only for something else".into()
                } else {
                    "neither in the data nor implied by it".into()
                })
            }
        }
    }

    fn any(&self, number: &Number, unit: Option<Unit>, words: &HashSet<String>) -> bool {
        let mut facts = self.facts.iter();
        facts.any(|fact| equals(number, unit, fact).is_some() && self.fits(fact, words))
    }

    /// Whether a sentence may mean this fact.
    fn fits(&self, fact: &Fact, words: &HashSet<String>) -> bool {
        let has = |word: &str| words.contains(word);
        if fact.origin == Origin::Sum && !SUM_WORDS.iter().any(|word| has(word)) {
            return false;
        }
        let speaks_of_both = BOTH_SIDES.iter().any(|word| has(word));
        let is_other_side = match fact.side {
            Some(Side::Left) => has("right") && !has("left"),
            Some(Side::Right) => has("left") && !has("right"),
            None => false,
        };
        if is_other_side && !speaks_of_both {
            return false;
        }
        if fact.topic.is_empty() || fact.origin == Origin::Prose || !names_things(fact.unit) {
            return true;
        }
        let mentions = |topic: &[String]| topic.iter().any(|word| has_word(words, word));
        if mentions(&fact.topic) {
            return true;
        }
        // Nothing of this kind is named: "it bends to 75.6 degrees".
        let quantity = fact.unit.map(|unit| unit.quantity);
        let mut same_kind = self
            .facts
            .iter()
            .filter(|other| other.is_shown && other.unit.map(|unit| unit.quantity) == quantity);
        !same_kind.any(|other| {
            !other.topic.is_empty() && other.topic.iter().all(|word| has_word(words, word))
        })
    }

    fn take_table(&mut self, table: &Table) {
        self.row_count = self.row_count.max(table.row_count());
        if table.row_count() > 1 {
            self.imply(table.row_count() as f64, Some(COUNT), &[], None);
        }
        for column in &table.columns {
            self.take_names(&column.name);
            self.take_column(column);
        }
        let mut labels: Vec<&str> = Vec::new();
        for cell in table.columns.iter().flat_map(|column| &column.cells) {
            if let Cell::Text(text) = cell {
                self.take_names(text);
                if !labels.contains(&text.as_str()) {
                    labels.push(text);
                    self.take_prose(text);
                }
            }
        }
        for (i, a) in table.columns.iter().enumerate() {
            for b in &table.columns[i + 1..] {
                self.take_pair(a, b);
                self.take_pair(b, a);
            }
        }
    }

    fn take_column(&mut self, column: &Column) {
        let values = column.numbers();
        let Some(summary) = Summary::of(&values) else {
            return;
        };
        let (unit, topic, side) = meaning(&column.name);
        for value in &values {
            self.facts.push(Fact {
                written: *value,
                unit,
                topic: topic.clone(),
                side,
                origin: Origin::Table,
                is_shown: self.takes_shown,
            });
        }
        if values.len() < 2 {
            return;
        }
        let Summary {
            min,
            max,
            mean,
            median,
            first,
            last,
        } = summary;
        for value in [mean, median, max - min, last - first] {
            self.imply(value, unit, &topic, side);
        }
        if names_things(unit) {
            self.facts.push(Fact {
                written: values.iter().sum(),
                unit,
                topic: topic.clone(),
                side,
                origin: Origin::Sum,
                is_shown: false,
            });
        }
        if first != 0.0 && names_things(unit) {
            self.imply_ratio((last - first) / first.abs(), &topic, side);
            self.multiply(last / first, &topic, side);
        }
        if min > 0.0 {
            self.multiply(max / min, &topic, side);
        }
        self.imply(values.len() as f64, Some(COUNT), &[], None);
        if unit.is_some_and(|unit| unit.quantity == Quantity::Frames) {
            self.imply(values.len() as f64, unit, &[], None);
            self.imply(max - min + 1.0, unit, &[], None);
        }
    }

    /// What two columns that are named as opposites imply.
    fn take_pair(&mut self, a: &Column, b: &Column) {
        let Some(sides) = opposites(&a.name, &b.name) else {
            return;
        };
        let (unit, topic, side) = meaning(&a.name);
        let side = if sides { None } else { side };
        let both_numbers = |(a, b): (&Cell, &Cell)| match (a, b) {
            (Cell::Number(a), Cell::Number(b)) => Some((*a, *b)),
            _ => None,
        };
        let pairs: Vec<(f64, f64)> = a
            .cells
            .iter()
            .zip(&b.cells)
            .filter_map(both_numbers)
            .collect();
        for (a, b) in &pairs {
            self.imply(b - a, unit, &topic, side);
            if unit.is_some_and(|unit| unit.quantity == Quantity::Frames) {
                self.imply(b - a + 1.0, unit, &topic, side);
            }
        }
        let (values_a, values_b) = (a.numbers(), b.numbers());
        let (Some(a), Some(b)) = (Summary::of(&values_a), Summary::of(&values_b)) else {
            return;
        };
        let (range_a, range_b) = (a.max - a.min, b.max - b.min);
        for (a, b) in [
            (a.min, b.min),
            (a.max, b.max),
            (a.mean, b.mean),
            (range_a, range_b),
        ] {
            self.imply(b - a, unit, &topic, side);
            if a > 0.0 && b > 0.0 {
                self.imply_ratio((b - a) / a, &topic, side);
                self.imply_ratio((b - a) / b, &topic, side);
                self.imply_ratio(a / b, &topic, side);
                self.imply_ratio(b / a, &topic, side);
                self.multiply(a / b, &topic, side);
                self.multiply(b / a, &topic, side);
            }
        }
        if pairs.len() > 1 {
            let differences: Vec<f64> = pairs.iter().map(|(a, b)| (b - a).abs()).collect();
            if let Some(summary) = Summary::of(&differences) {
                self.imply(summary.mean, unit, &topic, side);
            }
        }
    }

    fn take_prose(&mut self, text: &str) {
        self.take_names(text);
        for number in numbers(text) {
            if matches!(number.form, Form::Digits | Form::Word) {
                self.facts.push(Fact {
                    written: number.value,
                    unit: number.unit,
                    topic: Vec::new(),
                    side: None,
                    origin: Origin::Prose,
                    is_shown: false,
                });
            } else if number.form == Form::Multiple {
                self.multiply(number.value, &[], None);
            }
        }
    }

    fn take_names(&mut self, text: &str) {
        for number in numbers(text) {
            if number.form == Form::Name {
                self.names.insert(number.text.to_lowercase());
            }
        }
    }

    fn imply(&mut self, value: f64, unit: Option<Unit>, topic: &[String], side: Option<Side>) {
        self.facts.push(Fact {
            written: value,
            unit,
            topic: topic.to_vec(),
            side,
            origin: Origin::Implied,
            is_shown: false,
        });
    }

    /// A ratio that is written in percent, or as it is.
    fn imply_ratio(&mut self, value: f64, topic: &[String], side: Option<Side>) {
        self.imply(value, Some(RATIO), topic, side);
    }

    fn multiply(&mut self, value: f64, topic: &[String], side: Option<Side>) {
        self.multiples.push(Fact {
            written: value,
            unit: Some(RATIO),
            topic: topic.to_vec(),
            side,
            origin: Origin::Implied,
            is_shown: false,
        });
    }
}

const FRAMES: Unit = Unit {
    quantity: Quantity::Frames,
    factor: 1.0,
};
const COUNT: Unit = Unit {
    quantity: Quantity::Count,
    factor: 1.0,
};
const RATIO: Unit = Unit {
    quantity: Quantity::Ratio,
    factor: 1.0,
};

/// Share of random angles from 0 to 180 degrees with one decimal that pass where the sentence names
/// the joint.
#[cfg(test)]
const MOST_PASSING_NAMED: f64 = 0.025;
/// The same where it names none.
#[cfg(test)]
const MOST_PASSING_UNNAMED: f64 = 0.045;
/// The same for whole degrees, the joint named.
#[cfg(test)]
const MOST_PASSING_NAMED_WHOLE: f64 = 0.18;
/// Speeds from 0 to 4 torso lengths per second with two decimals.
#[cfg(test)]
const MOST_PASSING_SPEED: f64 = 0.05;
/// Percentages from 0 to 100 with one decimal.
#[cfg(test)]
const MOST_PASSING_PERCENT: f64 = 0.03;

/// A number equals a fact in this unit, or `None`.
fn equals(number: &Number, unit: Option<Unit>, fact: &Fact) -> Option<()> {
    let is_implied = matches!(fact.origin, Origin::Implied | Origin::Sum);
    let (written, given) = match (unit, fact.unit) {
        (Some(unit), Some(fact_unit)) => {
            let counts = is_count(Some(unit)) && is_count(Some(fact_unit));
            if unit.quantity != fact_unit.quantity && !counts {
                return None;
            }
            // Both in the unit that was written, so that its decimals say how far it was rounded.
            (number.value, fact.written * fact_unit.factor / unit.factor)
        }
        // Without a unit of its own, a number is read in the column's.
        (None, Some(fact_unit)) if is_implied && fact_unit == RATIO => return None,
        (None, _) => (number.value, fact.written),
        // What a column without unit holds may be anything, but implied values of it may not.
        (Some(_), None) if is_implied => return None,
        (Some(_), None) => (number.value, fact.written),
    };
    // "Falls by 5.2 degrees" says what -5.2 says.
    let given = if written >= 0.0 { given.abs() } else { given };
    let error = (written - given).abs();
    let half_a_digit = 0.5 * 10_f64.powi(-number.decimals) * (1.0 + 1e-6) + 1e-9;
    let is_close = error <= half_a_digit;
    let is_telling =
        number.decimals > 0 || error <= MOST_RELATIVE_ROUNDING * given.abs() || error < 1e-9;
    // Counts and frames are never rounded.
    let is_exact = !is_count(unit.or(fact.unit)) || error < 1e-6;
    (is_close && is_telling && is_exact).then_some(())
}

/// Whether a number is the difference of two that were just stated, or their change in percent: "from
/// 135 to 147 degrees, by 12 degrees".
fn is_difference(number: &Number, stated: &[&Number]) -> bool {
    if !matches!(number.form, Form::Digits | Form::Word) {
        return false;
    }
    let half_a_digit = 0.5 * 10_f64.powi(-number.decimals) * (1.0 + 1e-6) + 1e-9;
    let is_close = |value: f64| (number.value.abs() - value.abs()).abs() <= half_a_digit;
    let in_percent = number
        .unit
        .is_some_and(|unit| unit.quantity == Quantity::Ratio);
    stated.iter().enumerate().any(|(i, a)| {
        stated[i + 1..].iter().any(|b| {
            // "At 75.6 degrees, later at 80.1": the unit is written once.
            let Some(shared) = a.unit.or(b.unit) else {
                return false;
            };
            let (unit_a, unit_b) = (a.unit.unwrap_or(shared), b.unit.unwrap_or(shared));
            if unit_a.quantity != unit_b.quantity {
                return false;
            }
            let (a, b) = (a.value * unit_a.factor, b.value * unit_b.factor);
            let same_unit = number.unit.filter(|unit| unit.quantity == shared.quantity);
            same_unit.is_some_and(|unit| is_close((b - a) / unit.factor))
                || in_percent
                    && !is_count(Some(shared))
                    && a != 0.0
                    && is_close((b - a) / a * 100.0)
        })
    })
}

fn is_count(unit: Option<Unit>) -> bool {
    unit.is_some_and(|unit| matches!(unit.quantity, Quantity::Frames | Quantity::Count))
}

/// Times and frames belong to the whole row, other values to what the column is named after.
fn names_things(unit: Option<Unit>) -> bool {
    unit.is_none_or(|unit| {
        !matches!(
            unit.quantity,
            Quantity::Frames | Quantity::Count | Quantity::Time | Quantity::Frequency
        )
    })
}

struct Summary {
    min: f64,
    max: f64,
    mean: f64,
    median: f64,
    first: f64,
    last: f64,
}

impl Summary {
    fn of(values: &[f64]) -> Option<Self> {
        let (first, last) = (*values.first()?, *values.last()?);
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self {
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            mean: values.iter().sum::<f64>() / values.len() as f64,
            median,
            first,
            last,
        })
    }
}

/// A column's unit, what it is about, and its side.
fn meaning(name: &str) -> (Option<Unit>, Vec<String>, Option<Side>) {
    let (unit, stem) = match unit_of_column(name) {
        Some((unit, stem)) => (Some(unit), stem),
        None => (None, name.to_lowercase()),
    };
    let words: Vec<String> = stem
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let side = words.iter().find_map(|word| match word.as_str() {
        "left" => Some(Side::Left),
        "right" => Some(Side::Right),
        _ => None,
    });
    let topic = words
        .into_iter()
        .filter(|word| !["left", "right"].contains(&word.as_str()))
        .filter(|word| !AGGREGATES.contains(&word.as_str()))
        .collect();
    (unit, topic, side)
}

/// Whether two columns have the same name but for a pair of opposite words; `Some(true)` for sides.
fn opposites(a: &str, b: &str) -> Option<bool> {
    let split =
        |name: &str| -> Vec<String> { name.to_lowercase().split('_').map(str::to_owned).collect() };
    let (a, b) = (split(a), split(b));
    if a.len() != b.len() {
        return None;
    }
    let differing: Vec<(&String, &String)> = a.iter().zip(&b).filter(|(a, b)| a != b).collect();
    let [(a, b)] = differing[..] else {
        return None;
    };
    OPPOSITES
        .contains(&(a.as_str(), b.as_str()))
        .then_some(a == "left")
}

/// Sentences and lines; a point between digits ends none.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let ends = match c {
            '\n' => true,
            '.' | '!' | '?' => next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if ends {
            sentences.push(&text[start..i + c.len_utf8()]);
            start = i + c.len_utf8();
        }
    }
    sentences.push(&text[start..]);
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

fn words_of(sentence: &str) -> HashSet<String> {
    sentence
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// "leans", "knees" and "leaning" are about lean and knee.
fn has_word(words: &HashSet<String>, word: &str) -> bool {
    words.contains(word)
        || (word.len() >= 3
            && ["s", "es", "ed", "ing"]
                .iter()
                .any(|end| words.contains(&format!("{word}{end}"))))
        || word
            .strip_suffix('s')
            .is_some_and(|stem| words.contains(stem))
}

fn is_before_pair(sentence: &str, number: &Number) -> bool {
    let after = sentence.get(number.span.end..).unwrap_or_default();
    let mut words = after
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase);
    words
        .next()
        .is_some_and(|word| PAIRED.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::{Lineage, RECIPE_ORIGIN, Split};

    const FRAME: [u64; 12] = [10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32];
    const LEFT_KNEE: [f64; 12] = [
        171.2, 164.8, 150.3, 128.9, 103.4, 84.1, 75.6, 88.7, 110.2, 139.5, 158.6, 169.9,
    ];
    const RIGHT_KNEE: [f64; 12] = [
        140.7, 153.1, 163.9, 170.4, 172.8, 168.2, 161.0, 149.6, 131.3, 109.9, 92.5, 87.3,
    ];
    const LEAN: [f64; 12] = [4.1, 4.8, 5.5, 6.3, 6.9, 7.2, 6.6, 5.9, 5.1, 4.4, 3.8, 3.5];
    const SPEED: [f64; 12] = [
        1.21, 1.34, 1.52, 1.78, 2.05, 2.31, 2.44, 2.28, 1.97, 1.66, 1.43, 1.27,
    ];

    /// An example as a recipe makes it.
    fn example() -> Example {
        let mut data = String::from(
            "frame,time_secs,left_knee_deg,right_knee_deg,trunk_lean_deg,center_speed_torso_per_sec\n",
        );
        for i in 0..FRAME.len() {
            data += &format!(
                "{},{:.2},{},{},{},{}\n",
                FRAME[i],
                FRAME[i] as f64 / 30.0,
                LEFT_KNEE[i],
                RIGHT_KNEE[i],
                LEAN[i],
                SPEED[i]
            );
        }
        Example {
            id: "0001".into(),
            task: "compare_sides".into(),
            split: Split::Train,
            origin: RECIPE_ORIGIN.into(),
            prompt_hash: None,
            lineage: Lineage {
                video_id: "3a7f00".into(),
                sport: "run".into(),
                person: 0,
                frame_start: 10,
                frame_end: 32,
            },
            facts: json!({"mean_visibility": 0.85, "step_length_m": 0.42, "fps": 30.0, "left_knee_min_deg": 75.6, "left_knee_max_deg": 171.2}),
            system: String::new(),
            question: "Compare the knees.".into(),
            data,
            answer: "Below 100 degrees the knee counts as bent.".into(),
            prompt_tokens: 0,
            answer_tokens: 0,
        }
    }

    fn rejected(text: &str) -> Vec<String> {
        let unsupported = FactSheet::of(&example()).unsupported(text);
        unsupported.into_iter().map(|u| u.number).collect()
    }

    #[test]
    fn what_the_facts_say_or_imply_passes() {
        for text in [
            "The left knee bends most in frame 22, at 75.6 degrees.",
            "The left knee bends to about 76°.",
            "Its range of motion is 95.6 degrees.",
            "On average the left knee is at 128.8 degrees.",
            "The knees differ by 30.5 degrees in the first frame.",
            "At 0.73 s the left knee reaches 75.6 degrees.",
            "That is 733 ms into the clip? No: the frame is at 0.73 seconds.",
            "The step is 42 cm long, or 0.42 m.",
            "Visibility is 85 % on average.",
            "The trunk leans between 3.5 and 7.2 degrees.",
            "The clip covers frames 10 to 32 at 30 fps; the table has 12 rows.",
            "There are twelve frames in the table, and two knees.",
            "From the first to the last frame the left knee loses 1.3 degrees.",
            "Speed peaks at 2.44 torso lengths per second, twice the lowest speed.",
            "The 7th frame has the smallest angle.",
            "Anything below 100 degrees counts as bent.",
            "The left knee angles add up to 1545.2 degrees.",
            "From 103.4 to 128.9 degrees the left knee changes by 25.5 degrees, or 24.7 %.",
            "In frame 14 the left knee is at 150.3 degrees, in frame 20 at 84.1. It loses 66.2 degrees.",
            "While the left knee is at 75.6 degrees, the right one is at 161.0.",
        ] {
            // 733 ms is 0.73 s only if the table's rounding is undone, which nobody can.
            let expected: &[&str] = if text.contains("733") { &["733"] } else { &[] };
            assert_eq!(rejected(text), expected, "{text}");
        }
    }

    #[test]
    fn what_nothing_supports_is_rejected() {
        for (text, number) in [
            ("The left knee bends to 74.2 degrees.", "74.2"),
            ("The left knee bends to 75.60001 degrees.", "75.60001"),
            (
                "From 103.4 to 128.9 degrees the left knee changes by 26.5 degrees.",
                "26.5",
            ),
            ("The step is 24 cm long.", "24"),
            ("The left knee bends to 75.6 metres.", "75.6"),
            ("It takes 12 s.", "12"),
            ("In frame 11 it is straight.", "11"),
            ("There are five people.", "five"),
            ("It moves 4 times as fast.", "4"),
            ("The 15th frame has the smallest angle.", "15"),
            ("Seen by cam02.", "cam02"),
            ("The T12 vertebra is stiff.", "T12"),
            ("A good runner reaches 90 degrees.", "90"),
            ("Visibility is 58 %.", "58"),
            ("The visibility is 9.", "9"),
            ("The left knee is at 1545.2 degrees.", "1545.2"),
        ] {
            assert_eq!(rejected(text), [number], "{text}");
        }
    }

    #[test]
    fn a_true_number_of_something_else_is_rejected() {
        for (text, number) in [
            ("The right knee bends to 75.6 degrees.", "75.6"),
            ("The trunk leans by 161.0 degrees.", "161.0"),
            ("The left knee reaches 7.2 degrees.", "7.2"),
        ] {
            assert_eq!(rejected(text), [number], "{text}");
        }
        let why =
            &FactSheet::of(&example()).unsupported("The right knee bends to 75.6 degrees.")[0];
        assert_eq!(why.why, "the data has this number only for something else");
        assert_eq!(why.sentence, "The right knee bends to 75.6 degrees.");
    }

    /// Share of random numbers between `low` and `high` that a sentence gets away with.
    fn false_accept_rate(low: f64, high: f64, sentence: impl Fn(f64) -> String) -> f64 {
        const DRAWS: usize = 4000;
        let sheet = FactSheet::of(&example());
        let mut random = crate::random::SplitMix64::new(7);
        let passes = |_: &usize| {
            let value = low + (high - low) * random.next_fraction();
            sheet.unsupported(&sentence(value)).is_empty()
        };
        (0..DRAWS).filter(passes).count() as f64 / DRAWS as f64
    }

    #[test]
    fn few_random_numbers_pass() {
        for (most, rate) in [
            (
                MOST_PASSING_NAMED,
                false_accept_rate(0.0, 180.0, |v| {
                    format!("The left knee is at {v:.1} degrees.")
                }),
            ),
            (
                MOST_PASSING_UNNAMED,
                false_accept_rate(0.0, 180.0, |v| format!("It bends to {v:.1} degrees.")),
            ),
            (
                MOST_PASSING_NAMED_WHOLE,
                false_accept_rate(0.0, 180.0, |v| {
                    format!("The left knee is at {v:.0} degrees.")
                }),
            ),
            (
                MOST_PASSING_SPEED,
                false_accept_rate(0.0, 4.0, |v| {
                    format!("It moves at {v:.2} torso lengths per second.")
                }),
            ),
            (
                MOST_PASSING_PERCENT,
                false_accept_rate(0.0, 100.0, |v| format!("That is {v:.1} % less.")),
            ),
        ] {
            assert!(
                rate <= most,
                "{rate} of random numbers pass, more than {most}"
            );
            assert!(rate > 0.0, "the table's own numbers have to pass");
        }
    }
}
