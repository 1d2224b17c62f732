//! From a call to an answer: which video and person are meant, the query in the sealed session, the
//! words, and why there is nothing where there is nothing.

use minijinja::Value;
use serde::Serialize;

use super::question::CANNOT_TELL;
use super::{Call, Inventory, KnownVideo, Question, QuestionError, QuestionFiles};
use crate::dataset::row_values;
use crate::query::{Parameter, ParameterType, Query, QueryError, Session};

/// Columns that say which stretch of time was looked at.
const INTERVAL: [&str; 2] = ["first_secs", "last_secs"];
/// The column in which a query says why it has no answer.
const REASON: &str = "reason";
/// Videos or subjects that a refusal names.
const MAX_NAMED: usize = 10;
/// Ends of columns' names, and what is shown for them; longer ones first.
const UNITS: [(&str, &str); 8] = [
    ("torso_per_sec", "torso lengths/s"),
    ("px_per_sec", "px/s"),
    ("percent", "%"),
    ("deg", "deg"),
    ("secs", "s"),
    ("fps", "frames/s"),
    ("px", "px"),
    ("m", "m"),
];

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedValue {
    /// The column of the result.
    pub name: String,
    /// A number or a text; null where it was not measured.
    pub value: serde_json::Value,
    /// `None` for counts, ratios and names.
    pub unit: Option<&'static str>,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// In words.
    pub answer: String,
    /// Whether there is no value, and the words say why.
    pub refused: bool,
    /// The first row of the result.
    pub values: Vec<NamedValue>,
    /// What was asked, as it was understood; `None` where it was not.
    pub call: Option<String>,
    /// Name of the video's file.
    pub video: Option<String>,
    /// Number of the person within it.
    pub person: Option<i64>,
    /// The first and the last time that was looked at, in seconds.
    pub interval: Option<[f64; 2]>,
    /// How sure it is that this was asked, 0 to 1.
    pub probability: Option<f64>,
    /// What was run.
    pub sql: Option<String>,
}

/// What a question does not say, and the circumstances do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Label of the video that is meant where none is named.
    pub video: Option<String>,
    /// Number of the person, where none is named.
    pub person: Option<i64>,
}

/// An answer without a value.
pub fn refusal(reason: impl Into<String>) -> Answer {
    Answer {
        answer: reason.into(),
        refused: true,
        values: Vec::new(),
        call: None,
        video: None,
        person: None,
        interval: None,
        probability: None,
        sql: None,
    }
}

/// The video and the person of a call.
struct Subject<'a> {
    video: Option<&'a KnownVideo>,
    person: Option<i64>,
}

/// Runs a call.
///
/// # Errors
/// When the question's files are broken, or the lake cannot be read.
pub fn answer(
    files: &QuestionFiles,
    session: &Session,
    inventory: &Inventory,
    call: &Call,
    context: &Context,
) -> Result<Answer, QuestionError> {
    let Some(question) = files.find(&call.question) else {
        return Err(QuestionError::NotACall {
            call: call.to_string(),
            reason: "there is no such question".into(),
        });
    };
    let subject = match subject(question, inventory, call, context) {
        Ok(subject) => subject,
        Err(reason) => {
            return Ok(Answer {
                call: Some(call.to_string()),
                ..refusal(reason)
            });
        }
    };
    let values = bound(question, inventory, call, &subject)?;
    let mut answer = Answer {
        call: Some(call.to_string()),
        video: subject.video.map(|video| video.name.clone()),
        person: subject.person,
        sql: Some(question.sql.clone()),
        ..refusal("")
    };
    let (columns, rows) = run(question, session, values)?;
    let first = rows.first();
    let cell = |name: &str| {
        let index = columns.iter().position(|column| column == name)?;
        first.map(|row| row[index].clone())
    };
    let secs = INTERVAL.map(|name| cell(name).and_then(|value| f64::try_from(value).ok()));
    answer.interval = match secs {
        [Some(first), Some(last)] => Some([first, last]),
        _ => None,
    };
    if let Some(reason) = cell(REASON).filter(|reason| !reason.is_none()) {
        answer.answer = match question.name.as_str() {
            CANNOT_TELL => cannot_tell(files, &reason.to_string()),
            _ => reason.to_string(),
        };
        return Ok(answer);
    }
    let is_shown = |name: &String| !INTERVAL.contains(&name.as_str()) && name != REASON;
    let shown = columns
        .iter()
        .enumerate()
        .filter(|(_, name)| is_shown(name));
    answer.values = shown
        .filter_map(|(index, name)| {
            let value = serde_json::to_value(&first?[index]).unwrap_or_default();
            Some(NamedValue {
                name: name.clone(),
                value,
                unit: unit(name),
            })
        })
        .collect();
    let Some(row) = first.filter(|_| answer.values.iter().any(|v| !v.value.is_null())) else {
        answer.values.clear();
        answer.answer = why_nothing(question, session, call, &subject)?;
        return Ok(answer);
    };
    let as_map = |row: &Vec<Value>| Value::from_pairs(columns.iter().cloned().zip(row.clone()));
    let mut more: Vec<(String, Value)> = Vec::new();
    more.push(("video".into(), answer.video.clone().into()));
    more.push(("person".into(), answer.person.into()));
    more.extend(other_names(question, inventory, call));
    more.extend(columns.iter().cloned().zip(row.iter().cloned()));
    more.push(("rows".into(), rows.iter().map(as_map).collect()));
    more.push(("row".into(), as_map(row)));
    more.push(("columns".into(), columns.iter().cloned().collect()));
    answer.answer = files.words.answer(question, call, more)?;
    answer.refused = false;
    Ok(answer)
}

/// The reason, and what can be asked instead.
pub fn cannot_tell(files: &QuestionFiles, reason: &str) -> String {
    let abouts: Vec<String> = files.abouts().map(|about| format!("  {about}")).collect();
    format!(
        "That cannot be told: {reason}.\nWhat can be asked:\n{}",
        abouts.join("\n")
    )
}

/// Which video and person are meant, or why that is not known.
fn subject<'a>(
    question: &Question,
    inventory: &'a Inventory,
    call: &Call,
    context: &Context,
) -> Result<Subject<'a>, String> {
    if let Some(reason) = unknown_name(question, inventory, call) {
        return Err(reason);
    }
    if !question.has("video") {
        return Ok(Subject {
            video: None,
            person: None,
        });
    }
    let label = call.value("video").or(context.video.as_deref());
    let video = match (label, inventory.videos.as_slice()) {
        (Some(label), _) => inventory
            .video(label)
            .ok_or_else(|| no_video(inventory, label))?,
        (None, [video]) => video,
        (None, []) => return Err("The lake has no videos; `posedata ingest` adds some.".into()),
        (None, _) => {
            return Err(format!(
                "Which video is meant? Name it in the question or with --video: {}.",
                listed(inventory.videos.iter().map(|video| video.name.as_str()))
            ));
        }
    };
    let named = call.value("person").and_then(|text| text.parse().ok());
    let person = named.or(context.person).or(video.main_person);
    if question.has("person") && person.is_none() {
        return Err(format!("Nobody is seen in {}.", video.name));
    }
    Ok(Subject {
        video: Some(video),
        person: person.filter(|_| question.has("person")),
    })
}

/// What a call names and the lake does not have, in words.
fn unknown_name(question: &Question, inventory: &Inventory, call: &Call) -> Option<String> {
    question.parameters.iter().find_map(|parameter| {
        let name = call.value(&parameter.name)?;
        match parameter.kind {
            ParameterType::Video if inventory.video(name).is_none() => {
                Some(no_video(inventory, name))
            }
            ParameterType::Subject if inventory.subject(name).is_none() => {
                let known = match inventory.subjects.is_empty() {
                    true => {
                        "none; `posedata tag VIDEO --subject NAME` tells whom a video shows".into()
                    }
                    false => listed(inventory.subjects.iter().map(String::as_str)),
                };
                Some(format!("The lake has no subject {name}; it has {known}."))
            }
            _ => None,
        }
    })
}

/// The first of some names, and how many more there are.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = &names[..names.len().min(MAX_NAMED)];
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn no_video(inventory: &Inventory, name: &str) -> String {
    let near = inventory.names_near(name);
    format!("The lake has no video {name}; near are: {near}.")
}

/// Videos and subjects that a call names beside its video, as people call them.
fn other_names(question: &Question, inventory: &Inventory, call: &Call) -> Vec<(String, Value)> {
    let names = question.parameters.iter().filter_map(|parameter| {
        let label = call.value(&parameter.name)?;
        let name = match parameter.kind {
            ParameterType::Video if parameter.name != "video" => {
                inventory.video(label)?.name.as_str()
            }
            ParameterType::Subject => inventory.subject(label)?,
            _ => return None,
        };
        Some((parameter.name.clone(), name.into()))
    });
    names.collect()
}

/// Values for the parameters of the SQL.
fn bound(
    question: &Question,
    inventory: &Inventory,
    call: &Call,
    subject: &Subject<'_>,
) -> Result<Vec<(String, String)>, QuestionError> {
    let mut values = Vec::new();
    for parameter in &question.parameters {
        let name = parameter.name.as_str();
        let given = call.value(name);
        let value = match parameter.kind {
            ParameterType::Video if name == "video" => {
                subject.video.map(|video| video.video_id.clone())
            }
            ParameterType::Video => given
                .and_then(|label| inventory.video(label))
                .map(|video| video.video_id.clone()),
            ParameterType::Subject => given
                .and_then(|label| inventory.subject(label))
                .map(str::to_owned),
            ParameterType::Person => subject.person.map(|person| person.to_string()),
            _ => given.map(str::to_owned),
        };
        match value {
            Some(value) => values.push((name.to_owned(), value)),
            None if parameter.default.is_some() => {}
            None => {
                return Err(QuestionError::NotACall {
                    call: call.to_string(),
                    reason: format!("{name} has no value"),
                });
            }
        }
    }
    Ok(values)
}

fn run(
    question: &Question,
    session: &Session,
    values: Vec<(String, String)>,
) -> Result<(Vec<String>, Vec<Vec<Value>>), QuestionError> {
    let query = Query::new(question.sql.clone(), values);
    let read = session.read(&query, |schema, batches| {
        let columns = schema.fields().iter().map(|field| field.name().clone());
        let rows = batches.flat_map(|batch| {
            let rows = (0..batch.num_rows()).map(|row| row_values(&batch, row));
            rows.collect::<Vec<_>>()
        });
        Ok::<_, QuestionError>((columns.collect(), rows.collect()))
    });
    read.map_err(|error| match error {
        QuestionError::Query(QueryError::Sql(message)) => question.sql_error(&message),
        QuestionError::Query(QueryError::MissingParameter { name, .. }) => {
            question.sql_error(&format!("the header declares no parameter {name}"))
        }
        QuestionError::Query(error @ QueryError::Forbidden(_)) => {
            question.sql_error(&error.to_string())
        }
        error => error,
    })
}

/// The unit of a column by its name.
fn unit(column: &str) -> Option<&'static str> {
    let named = UNITS.iter().find(|(end, _)| {
        let stem = column.strip_suffix(end);
        stem.is_some_and(|stem| stem.is_empty() || stem.ends_with('_'))
    });
    named.map(|(_, unit)| *unit)
}

/// Why a query found nothing: the person is not seen then, the video is over, or the landmarks are
/// hidden.
fn why_nothing(
    question: &Question,
    session: &Session,
    call: &Call,
    subject: &Subject<'_>,
) -> Result<String, QuestionError> {
    if let Some(reason) = &question.nothing {
        return Ok(format!("Nothing was found: {reason}."));
    }
    let (Some(video), Some(person)) = (subject.video, subject.person) else {
        return Ok(
            "Nothing was found: the lake has no such measurement of these videos; the landmarks may be hidden (visibility below 0.5).".into(),
        );
    };
    let name = &video.name;
    let secs = |parameter: &str| call.value(parameter)?.parse::<f64>().ok();
    let is_stretch = |p: &Parameter| p.kind == ParameterType::Time && p.default.is_some();
    if let (Some(from), Some(to)) = (secs("from_secs"), secs("to_secs"))
        && from > to
        && question.parameters.iter().any(is_stretch)
    {
        return Ok(format!(
            "There is no time from {from} s to {to} s: the end comes before the beginning."
        ));
    }
    let times = question
        .parameters
        .iter()
        .filter(|p| p.kind == ParameterType::Time);
    let times = times.filter_map(|p| secs(&p.name));
    let (first, end) = (video.first_secs, video.end_secs());
    if let Some(outside) = times.clone().find(|secs| *secs > end || *secs < first) {
        return Ok(match first > 0.0 {
            true => format!(
                "Of {name} the lake has {first:.2} s to {end:.2} s; there is nothing at {outside} s."
            ),
            false => format!("{name} lasts {end:.2} s; there is nothing at {outside} s."),
        });
    }
    let Some((first, last)) = seen(session, video, person)? else {
        return Ok(format!("Person {person} is not seen in {name}."));
    };
    let (from, to) = times.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), secs| {
        (from.min(secs), to.max(secs))
    });
    if from > last || to < first && to.is_finite() {
        return Ok(format!(
            "Person {person} of {name} is not seen then, only from {first:.2} s to {last:.2} s."
        ));
    }
    Ok(format!(
        "Not measured in {name} then: the landmarks that it needs are not visible enough (below 0.5), person {person} is not seen, or the recording pauses."
    ))
}

/// The first and the last time at which a person is seen.
fn seen(
    session: &Session,
    video: &KnownVideo,
    person: i64,
) -> Result<Option<(f64, f64)>, QuestionError> {
    let sql = "SELECT min(time_secs)::DOUBLE AS first_secs, max(time_secs)::DOUBLE AS last_secs
         FROM metrics WHERE video_id = $video AND person = $person::BIGINT AND quality <> 'no_pose'";
    let values = vec![
        ("video".to_owned(), video.video_id.clone()),
        ("person".to_owned(), person.to_string()),
    ];
    let query = Query::new(sql.into(), values);
    session.read(&query, |_, batches| {
        let row = batches.next().filter(|batch| batch.num_rows() > 0);
        let row = row.map(|batch| row_values(&batch, 0)).unwrap_or_default();
        let secs: Vec<f64> = row
            .into_iter()
            .filter_map(|v| f64::try_from(v).ok())
            .collect();
        Ok(match secs[..] {
            [first, last] => Some((first, last)),
            _ => None,
        })
    })
}
