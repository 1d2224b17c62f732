//! The preset `numbers`: tables in steps. What the steps say is computed here once more, from the
//! lake's rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use posedata::dataset::{Chat, Dataset, Example, Split, Written};
use posedata::language::ChatTokenizer;
use serde_json::Value;

use crate::dataset::{build, folder_with_lake, query};
use crate::support::installed;

const NUMBERS: [&str; 8] = [
    "--preset", "numbers", "--valid", "0.2", "--test", "0.3", "--seed", "7",
];

fn dataset(folder: &Path) -> Dataset {
    Dataset::open(&folder.join("llm_training_data/gait")).expect("a dataset")
}

/// The lake's rows by video, person and time as tables show it.
type Rows = HashMap<(String, u64, String), Value>;

fn rows_of_lake(folder: &Path) -> Rows {
    let sql = "SELECT video_id, person, time_secs::DOUBLE AS time_secs,
             COLUMNS('.*_deg')::DOUBLE, center_speed_torso_per_sec::DOUBLE AS speed
         FROM metrics";
    let rows = query(folder, sql).into_iter().map(|row| {
        let video = row["video_id"].as_str().expect("an id").to_owned();
        let time = rounded(row["time_secs"].as_f64().expect("a time"), 2);
        (
            (video, row["person"].as_u64().expect("a number"), time),
            row,
        )
    });
    rows.collect()
}

/// Half a unit goes away from zero, as DuckDB rounds.
fn rounded(value: f64, decimals: i32) -> String {
    let factor = 10_f64.powi(decimals);
    format!(
        "{:.*}",
        decimals as usize,
        (value * factor).round() / factor
    )
}

/// A table with the lake's own numbers in place of what the prompt says.
struct Table {
    times: Vec<String>,
    names: Vec<String>,
    /// By column, then row; as tables show them, `-` where nothing was measured.
    columns: Vec<Vec<String>>,
}

impl Table {
    fn of(example: &Example, lake: &Rows, decimals: i32) -> Self {
        let mut lines = example.data.lines();
        let names = lines.next().expect("names").split(',').skip(1);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let times: Vec<String> = lines
            .map(|line| line.split(',').next().expect("a time").to_owned())
            .collect();
        let lineage = &example.lineage;
        let cell = |time: &String, name: &str| {
            let key = (
                lineage.video_id.clone(),
                u64::from(lineage.person),
                time.clone(),
            );
            let row = &lake[&key];
            let name = match name {
                "center_speed_torso_per_sec" => "speed",
                name => name,
            };
            match row[name].as_f64() {
                Some(value) => rounded(value, decimals),
                None => "-".into(),
            }
        };
        let columns = names
            .iter()
            .map(|name| times.iter().map(|t| cell(t, name)).collect());
        Self {
            columns: columns.collect(),
            times,
            names,
        }
    }

    /// The prompt shows nothing else than the lake holds.
    fn text(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut text = format!("time_secs,{}", names.join(","));
        for (row, time) in self.times.iter().enumerate() {
            let cells: Vec<&str> = self.columns.iter().map(|c| c[row].as_str()).collect();
            text.push_str(&format!("\n{time},{}", cells.join(",")));
        }
        text
    }

    fn rows(&self, column: usize) -> Vec<(&str, &str)> {
        let cells = self.columns[column].iter().map(String::as_str);
        self.times.iter().map(String::as_str).zip(cells).collect()
    }

    fn at(&self, column: usize, time: &str) -> i64 {
        let row = self.times.iter().position(|of| of == time).expect("a row");
        self.columns[column][row].parse().expect("a whole number")
    }
}

fn number(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Row by row, with the row of the largest or smallest value up to there, below what is wanted.
fn best_lines(rows: &[(&str, &str)], wants_largest: bool) -> Vec<String> {
    let wanted = if wants_largest { "largest" } else { "smallest" };
    let lines = (1..=rows.len()).map(|count| {
        let mut known: Vec<_> = rows[..count].iter().filter(|(_, v)| *v != "-").collect();
        // The sort is stable: the first of equals stays first.
        known.sort_by(|a, b| match wants_largest {
            true => number(b.1).total_cmp(&number(a.1)),
            false => number(a.1).total_cmp(&number(b.1)),
        });
        let (time, value) = rows[count - 1];
        match known.first() {
            Some((best_time, best)) => format!("{time},{value}|{best}@{best_time}"),
            None => format!("{time},{value}|-"),
        }
    });
    std::iter::once(wanted.into()).chain(lines).collect()
}

/// From the smaller number to the larger one, by ones and then by tens.
fn counted_line(one: i64, other: i64) -> String {
    let (larger, smaller) = (one.max(other), one.min(other));
    let ones = (larger - smaller) % 10;
    let tens = (1..=(larger - smaller) / 10).map(|ten| ones + 10 * ten);
    let counts = (0..=ones).chain(tens);
    let steps: Vec<String> = counts
        .map(|count| format!("{}+{count}", smaller + count))
        .collect();
    format!("{smaller}-{larger}:{}", steps.join(","))
}

/// Two texts of numbers with as many decimals: the digits that they have before the point, then digit
/// beside digit until they differ.
fn comparison_line(one: &str, sign: char, other: &str) -> String {
    let spelled = |text: &str| {
        let whole = text.split('.').next().expect("digits").len();
        format!("{whole}{}", text.replace('.', ""))
    };
    let mut pairs = String::new();
    for (a, b) in spelled(one).chars().zip(spelled(other).chars()) {
        let order = match a.cmp(&b) {
            std::cmp::Ordering::Less => '<',
            std::cmp::Ordering::Equal => '=',
            std::cmp::Ordering::Greater => '>',
        };
        pairs.extend([a, b, order]);
        if a != b {
            break;
        }
    }
    let holds = match sign {
        '<' => number(one) < number(other),
        _ => number(one) > number(other),
    };
    let word = if holds { "yes" } else { "no" };
    format!("{one}{sign}{other}:{pairs} {word}")
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let end = text[start..].find(after)?;
    Some(&text[start..start + end])
}

#[track_caller]
fn cut<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    between(text, before, after).unwrap_or_else(|| panic!("{before}…{after}: {text}"))
}

/// The work of an example and its answer, from the lake's numbers; the question is read off the
/// words of question and answer.
fn expected(example: &Example, lake: &Rows) -> (Vec<String>, String) {
    let reply = example.reply();
    match example.task.as_str() {
        "largest_or_smallest" => {
            let table = Table::of(example, lake, 1);
            assert_eq!(table.text(), example.data);
            let wants_largest = reply.starts_with("The largest");
            let extreme = if wants_largest { "largest" } else { "smallest" };
            let angle = cut(reply, extreme, " is ").trim();
            let name = match angle {
                "trunk lean" => "trunk_lean_deg".to_owned(),
                angle => angle.replace(" angle", "_deg").replace(' ', "_"),
            };
            let column = table
                .names
                .iter()
                .position(|of| *of == name)
                .expect("a column");
            let mut lines = best_lines(&table.rows(column), wants_largest);
            lines[0] = format!("column {}, {extreme}", column + 1);
            let (value, time) = cut_best(&lines);
            let answer = format!("The {extreme} {angle} is {value} deg, at {time} s.");
            (lines, answer)
        }
        "range_of_motion" => {
            let table = Table::of(example, lake, 0);
            assert_eq!(table.text(), example.data);
            let (mut lowest, mut highest) = (None::<i64>, None::<i64>);
            let mut lines = Vec::new();
            for (time, value) in table.rows(0) {
                if let Ok(value) = value.parse::<i64>() {
                    lowest = Some(lowest.map_or(value, |low| low.min(value)));
                    highest = Some(highest.map_or(value, |high| high.max(value)));
                }
                let text = |value: Option<i64>| value.map_or("-".into(), |v| v.to_string());
                lines.push(format!("{time},{value}|{},{}", text(lowest), text(highest)));
            }
            let (lowest, highest) = (lowest.expect("a value"), highest.expect("a value"));
            lines.push(counted_line(highest, lowest));
            let joint = table.names[0].replace("_deg", "").replace('_', " ");
            let answer = format!(
                "The {joint} moves between {lowest} deg and {highest} deg: a range of {} deg.",
                highest - lowest
            );
            (lines, answer)
        }
        "change_between_times" => {
            let table = Table::of(example, lake, 0);
            assert_eq!(table.text(), example.data);
            // The times stand in the question.
            let mut times = example
                .question
                .split(' ')
                .filter(|word| word.contains('.'));
            let times: Vec<&str> = times.by_ref().take(2).collect();
            let [from, to] = [times[0], times[1]].map(|time| (time, table.at(0, time)));
            let direction = match from.1.cmp(&to.1) {
                std::cmp::Ordering::Less => "grows",
                std::cmp::Ordering::Equal => "stays",
                std::cmp::Ordering::Greater => "shrinks",
            };
            let compared = comparison_line(&from.1.to_string(), '>', &to.1.to_string());
            let lines = vec![
                format!("{},{}", from.0, from.1),
                format!("{},{}", to.0, to.1),
                format!("{compared} {direction}"),
                counted_line(from.1, to.1),
            ];
            let (start, end) = (format!("{} deg", from.1), format!("{} deg", to.1));
            let answer = match direction {
                "stays" => {
                    let angle = cut(reply, "The ", " is ");
                    format!(
                        "The {angle} is {start} at {} s and at {} s: a change of 0 deg.",
                        from.0, to.0
                    )
                }
                _ => {
                    let angle = cut(reply, "The ", &format!(" {direction} from "));
                    let change = (from.1 - to.1).abs();
                    format!(
                        "The {angle} {direction} from {start} at {} s to {end} at {} s: by {change} deg.",
                        from.0, to.0
                    )
                }
            };
            (lines, answer)
        }
        "compare_sides" => {
            let table = Table::of(example, lake, 0);
            assert_eq!(table.text(), example.data);
            let time = cut(reply, "At ", " s ");
            let (left, right) = (table.at(0, time), table.at(1, time));
            let larger = match left.cmp(&right) {
                std::cmp::Ordering::Less => "right",
                std::cmp::Ordering::Equal => "neither",
                std::cmp::Ordering::Greater => "left",
            };
            let compared = comparison_line(&left.to_string(), '>', &right.to_string());
            let lines = vec![
                format!("{time},{left},{right}"),
                format!("{compared} {larger}"),
                counted_line(left, right),
            ];
            let joint = cut(&table.names[0], "left_", "_deg").to_owned();
            let difference = (left - right).abs();
            let side = if left > right { "left" } else { "right" };
            let judgement = match (joint.as_str(), difference < 3) {
                (_, true) => ": about alike.".to_owned(),
                ("ankle", _) => format!(": the {side} points the foot down more."),
                ("shoulder", _) => format!(": the {side} has the arm raised further."),
                _ => format!(": the {side} is the straighter one."),
            };
            let answer = format!(
                "At {time} s the left {joint} is at {left} deg and the right at {right} deg. The difference is {difference} deg{judgement}"
            );
            (lines, answer)
        }
        "threshold_crossing" => {
            let table = Table::of(example, lake, 1);
            assert_eq!(table.text(), example.data);
            let is_below = reply.contains(" below ");
            let (side, sign) = if is_below {
                ("below", '<')
            } else {
                ("above", '>')
            };
            let limit = cut(reply, &format!("{side} "), " deg");
            let angle = match between(reply, "The ", " is first ") {
                Some(angle) => angle,
                None => cut(reply, "The ", " is never "),
            };
            let (mut lines, mut found) = (Vec::new(), None);
            for (time, value) in table.rows(0) {
                if value == "-" {
                    lines.push(format!("{time},-"));
                    continue;
                }
                let holds = match is_below {
                    true => number(value) < number(limit),
                    false => number(value) > number(limit),
                };
                let line = comparison_line(value, sign, &format!("{limit}.0"));
                lines.push(format!("{time},{line}"));
                if holds {
                    found = Some((time, value));
                    break;
                }
            }
            let answer = match found {
                Some((time, value)) => format!(
                    "The {angle} is first {side} {limit} deg at {time} s, with {value} deg."
                ),
                None => {
                    let best = best_lines(&table.rows(0), !is_below);
                    let (value, _) = cut_best(&best);
                    lines.extend(best);
                    let word = if is_below { "smallest" } else { "largest" };
                    format!(
                        "The {angle} is never {side} {limit} deg: its {word} value is {value} deg."
                    )
                }
            };
            (lines, answer)
        }
        "speed_over_window" => {
            let table = Table::of(example, lake, 2);
            assert_eq!(table.text(), example.data);
            match between(reply, "The hips are ", " at ") {
                Some(which) => {
                    let lines = best_lines(&table.rows(0), which == "fastest");
                    let (value, time) = cut_best(&lines);
                    let answer = format!(
                        "The hips are {which} at {time} s, with {value} torso lengths per second."
                    );
                    (lines, answer)
                }
                None => mean_of(&table.rows(0)),
            }
        }
        "peak_knee_flexion" => {
            let table = Table::of(example, lake, 0);
            assert_eq!(table.text(), example.data);
            let rows = table.rows(0);
            let mut lines = best_lines(&rows, false);
            let (lowest, time) = cut_best(&lines);
            let lowest: i64 = lowest.parse().expect("a whole number");
            let place = rows.iter().position(|(of, _)| *of == time).expect("a row");
            let limit = (lowest + 10).to_string();
            lines.push(format!("{lowest}+10={limit}"));
            let mut are_steep = [false; 2];
            let parts = [("before", &rows[..place]), ("after", &rows[place + 1..])];
            for (is_steep, (word, rows)) in are_steep.iter_mut().zip(parts) {
                lines.push(format!("{word} {time}"));
                for (at, value) in rows {
                    if *value == "-" {
                        lines.push(format!("{at},-"));
                        continue;
                    }
                    lines.push(format!("{at},{}", comparison_line(value, '<', &limit)));
                    *is_steep = number(value) >= number(&limit);
                    if *is_steep {
                        break;
                    }
                }
                lines.push(if *is_steep { "steep" } else { "flat" }.into());
            }
            let side = cut(&table.names[0], "", "_knee_deg").to_owned();
            let answer = match are_steep {
                [true, true] => {
                    lines.push(counted_line(180, lowest));
                    format!(
                        "Peak flexion of the {side} knee is at {time} s: the angle is {lowest} deg, which is {} deg of flexion.",
                        180 - lowest
                    )
                }
                [true, false] => format!(
                    "No peak flexion: the smallest angle is {lowest} deg at {time} s, and the {side} knee does not straighten by 10 deg after it."
                ),
                [false, true] => format!(
                    "No peak flexion: the smallest angle is {lowest} deg at {time} s, and the {side} knee does not bend by 10 deg before it."
                ),
                [false, false] => format!(
                    "No peak flexion: the smallest angle is {lowest} deg at {time} s, and the {side} knee is not 10 deg straighter before it or after it."
                ),
            };
            (lines, answer)
        }
        "primitive_subtract" => {
            let table = Table::of(example, lake, 0);
            assert_eq!(table.text(), example.data);
            let (mut lines, mut differences) = (Vec::new(), Vec::new());
            for time in &table.times {
                let (left, right) = (table.at(0, time), table.at(1, time));
                lines.push(format!("{time},{left},{right}"));
                lines.push(comparison_line(&left.to_string(), '>', &right.to_string()));
                lines.push(counted_line(left, right));
                differences.push((left - right).abs().to_string());
            }
            (lines, format!("{} deg.", differences.join(", ")))
        }
        other => panic!("{other} has no steps here"),
    }
}

/// Value and time of the best at the end.
fn cut_best(lines: &[String]) -> (String, String) {
    let (_, best) = lines.last().expect("lines").split_once('|').expect("a bar");
    let (value, time) = best.split_once('@').expect("a time");
    (value.into(), time.into())
}

/// Running sums in hundredths, and the long division by the number of rows.
fn mean_of(rows: &[(&str, &str)]) -> (Vec<String>, String) {
    let hundredths = |text: &str| (number(text) * 100.0).round() as i64;
    let shown = |hundredths: i64| format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let mut sum = hundredths(rows[0].1);
    let mut lines = vec![format!("{},{}:{sum}", rows[0].0, rows[0].1)];
    for (time, text) in &rows[1..] {
        let value = hundredths(text);
        let digits = |number: i64, width: usize| -> Vec<i64> {
            let text = format!("{number:0width$}");
            text.bytes().rev().map(|b| i64::from(b - b'0')).collect()
        };
        let width = sum.max(value).to_string().len();
        let mut carried = "";
        let mut sums = Vec::new();
        for (a, b) in digits(sum, width).iter().zip(digits(value, width)) {
            let digit_sum = a + b + i64::from(!carried.is_empty());
            sums.push(format!("{a}+{b}{carried}={digit_sum}"));
            carried = if digit_sum >= 10 { "+1" } else { "" };
        }
        let total = sum + value;
        lines.push(format!(
            "{time},{text}:{sum}+{value}:{}:{total}",
            sums.join(",")
        ));
        sum = total;
    }
    let count = rows.len() as i64;
    let mut rest = 0;
    let mut quotients = Vec::new();
    for digit in sum.to_string().bytes() {
        let part = rest * 10 + i64::from(digit - b'0');
        rest = part % count;
        quotients.push(format!("{part}={}r{rest}", part / count));
    }
    let mean = (sum as f64 / count as f64).round() as i64;
    let is_down = if 2 * rest < count { "yes" } else { "no" };
    lines.push(format!(
        "{sum}/{count}:{};{}<{count} {is_down}:{mean}",
        quotients.join(","),
        2 * rest
    ));
    let answer = format!(
        "The {count} speeds add up to {}, so the average is {} torso lengths per second.",
        shown(sum),
        shown(mean)
    );
    (lines, answer)
}

#[test]
fn steps_follow_from_the_lakes_numbers() {
    let folder = folder_with_lake();
    build(folder.path(), &NUMBERS);
    let lake = rows_of_lake(folder.path());
    let dataset = dataset(folder.path());
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    for example in &dataset.examples {
        let written = Written::of(&example.answer);
        let Some(work) = written.work else {
            let plain = ["read_value", "primitive_copy", "primitive_compare"];
            assert!(plain.contains(&&*example.task), "{example:?}");
            continue;
        };
        if example.task == "standing_still" {
            check_stops(example, work);
        } else {
            let (lines, answer) = expected(example, &lake);
            assert_eq!(work, lines.join("\n"), "{example:?}");
            assert_eq!(written.answer, answer, "{example:?}");
        }
        *checked.entry(&example.task).or_default() += 1;
    }
    assert_eq!(checked.len(), 9, "{checked:?}");
    assert!(checked.values().all(|count| *count >= 3), "{checked:?}");
}

/// The speeds are averages between rows, so they are taken from the prompt.
#[track_caller]
fn check_stops(example: &Example, work: &str) {
    let rows: Vec<(&str, &str)> = example.data.lines().skip(1).map(cells).collect();
    let (mut lines, mut still, mut stop) = (Vec::new(), 0, None);
    for (index, (time, speed)) in rows.iter().enumerate() {
        let is_still = number(speed) < 0.5;
        still = if is_still { still + 1 } else { 0 };
        let line = comparison_line(speed, '<', "0.50");
        lines.push(format!("{time},{line},{still}"));
        if still == 3 {
            stop = Some(rows[index - 2].0);
            break;
        }
    }
    let reply = example.reply();
    match stop {
        Some(time) => assert!(reply.contains(&format!(" at {time} s: ")), "{example:?}"),
        None => assert!(reply.starts_with("No stop: "), "{example:?}"),
    }
    if rows.iter().all(|(_, speed)| number(speed) >= 0.5) {
        let best = best_lines(&rows, false);
        let (slowest, _) = cut_best(&best);
        assert!(
            reply.ends_with(&format!("the slowest row has {slowest}.")),
            "{example:?}"
        );
        lines.extend(best);
    }
    assert_eq!(work, lines.join("\n"), "{example:?}");
}

fn cells(line: &str) -> (&str, &str) {
    line.split_once(',').expect("two cells")
}

#[test]
fn primitives_come_first_and_judge_nothing() {
    let folder = folder_with_lake();
    let report = build(folder.path(), &NUMBERS);
    let dataset = dataset(folder.path());
    let splits: BTreeSet<Split> = dataset.examples.iter().map(|e| e.split).collect();
    assert_eq!(splits.len(), 3);
    let is_primitive = |example: &Example| example.task.starts_with("primitive_");
    let primitives = dataset.examples.iter().filter(|e| is_primitive(e));
    assert!(primitives.clone().count() > 20);
    assert!(primitives.clone().all(|e| e.split == Split::Train));
    // The first ids are theirs.
    let first_other = dataset.examples.iter().position(|e| !is_primitive(e));
    assert_eq!(first_other, Some(primitives.count()));
    let tasks: BTreeSet<&str> = dataset.examples.iter().map(|e| e.task.as_str()).collect();
    for prose in [
        "describe_posture",
        "coaching_general",
        "outside_the_data",
        "summarise_clip",
    ] {
        assert!(!tasks.contains(prose), "{tasks:?}");
    }
    for (split, name) in [("train", "train"), ("valid", "valid"), ("test", "test")] {
        let path = folder
            .path()
            .join(format!("llm_training_data/gait/{split}.jsonl"));
        let chats = fs::read_to_string(path).expect("a file").lines().count();
        let split = Split::ALL
            .into_iter()
            .find(|s| s.name() == name)
            .expect("a split");
        let examples = dataset.of_split(split);
        assert_eq!(report["report"][name], examples.len());
        assert_eq!(Chat::of_all(examples).len(), chats);
    }
    let card = fs::read_to_string(folder.path().join("llm_training_data/gait/README.md"));
    let card = card.expect("a card");
    for part in [
        "to test)",
        "Training begins with primitives",
        "| task | train | valid | test |",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    // Without the preset they are no recipes.
    let report = build(folder.path(), &["--examples", "100"]);
    let recipes = report["report"]["recipes"].as_array().expect("recipes");
    let is_named = |recipe: &Value| {
        recipe["task"]
            .as_str()
            .is_some_and(|t| t.starts_with("primitive_"))
    };
    assert!(!recipes.iter().any(is_named));
}

#[test]
fn every_answer_of_a_chat_is_learned_and_nothing_else() {
    let folder = folder_with_lake();
    build(folder.path(), &NUMBERS);
    let dataset = dataset(folder.path());
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let chats = Chat::of_all(&dataset.examples);
    let most = chats.iter().map(|chat| chat.questions().len()).max();
    assert_eq!(most, Some(3));
    for chat in chats.iter().step_by(7) {
        let encoded = tokenizer.encode(&chat.messages()).expect("tokens");
        assert_eq!(chat.tokens() as usize, encoded.ids.len());
        let mut learned: Vec<Vec<u32>> = Vec::new();
        let mut was_learned = false;
        for (id, in_loss) in encoded.ids.iter().zip(&encoded.in_loss) {
            if *in_loss && !was_learned {
                learned.push(Vec::new());
            }
            if let Some(part) = learned.last_mut().filter(|_| *in_loss) {
                part.push(*id);
            }
            was_learned = *in_loss;
        }
        let questions = chat.questions();
        assert_eq!(learned.len(), questions.len());
        for (part, example) in learned.iter().zip(questions) {
            let text = tokenizer.decode(part).expect("a text");
            assert_eq!(text, format!("{}<|im_end|>", example.answer));
            assert_eq!(part.len(), example.answer_tokens as usize);
        }
        // Further questions come without the table, and about the same one.
        assert!(
            questions
                .iter()
                .all(|example| example.data == questions[0].data)
        );
        let different: BTreeSet<&str> = questions.iter().map(|e| e.answer.as_str()).collect();
        assert_eq!(different.len(), questions.len(), "{chat:?}");
    }
}

#[test]
fn steps_and_further_questions_can_be_left_out() {
    let folder = folder_with_lake();
    let plain = [&NUMBERS[..], &["--no-work", "--questions", "1"]].concat();
    build(folder.path(), &plain);
    let dataset = dataset(folder.path());
    assert!(
        dataset
            .examples
            .iter()
            .all(|e| !e.has_work() && !e.id.contains('-'))
    );
    for format in ["alpaca", "prompt-completion"] {
        build(
            folder.path(),
            &[&NUMBERS[..], &["--format", format]].concat(),
        );
        let dataset = self::dataset(folder.path());
        let path = folder.path().join("llm_training_data/gait/train.jsonl");
        let text = fs::read_to_string(path).expect("a file");
        let ids = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["id"].as_str().expect("an id").to_owned()
        });
        let examples = dataset.of_split(Split::Train).into_iter();
        assert!(
            ids.eq(examples.map(|example| example.id.clone())),
            "{format}"
        );
    }
}
