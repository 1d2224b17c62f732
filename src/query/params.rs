//! Parameters of a query: declared in its header, given by `--param`, bound, never pasted.
//!
//! A header line `-- param NAME TYPE = DEFAULT : MEANING` declares `$NAME`. TYPE is text, integer,
//! number, boolean, time (seconds), angle (one of the joint angles), landmark, video (an id), person
//! (its number), subject, or choice(A, B, ...); the default may be left out, and `null` is SQL's.

use duckdb::types::Value;

use super::error::QueryError;
use crate::pose::landmark::Landmark;

/// What stands in a header for SQL's NULL.
const NULL: &str = "null";
const DECLARATION: &str = "-- param ";

/// Joint angles that a parameter of type angle takes: columns of the table metrics without `_deg`,
/// and how far the trunk leans forward in the picture.
pub const ANGLES: [&str; 14] = [
    "left_knee",
    "right_knee",
    "left_hip",
    "right_hip",
    "left_ankle",
    "right_ankle",
    "left_elbow",
    "right_elbow",
    "left_shoulder",
    "right_shoulder",
    "left_wrist",
    "right_wrist",
    "trunk_lean",
    "forward_lean",
];

/// What a parameter's value is read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
    /// A time of the video, in seconds.
    Time,
    /// One of [`ANGLES`].
    Angle,
    /// The name of a landmark.
    Landmark,
    /// The id of a video.
    Video,
    /// The number of a person within a video.
    Person,
    /// A tag of `posedata tag`.
    Subject,
    /// One of these.
    Choice(Vec<String>),
}

impl ParameterType {
    /// What a type's name and what follows it stand for, with what is left of the line.
    fn parse(text: &str) -> Result<(Self, &str), String> {
        let text = text.trim_start();
        if let Some(list) = text.strip_prefix("choice(") {
            let (list, rest) = list
                .split_once(')')
                .ok_or("choice( has no closing bracket")?;
            let choices: Vec<String> = list.split(',').map(|c| c.trim().to_owned()).collect();
            let is_word = |c: &String| {
                !c.is_empty() && c.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
            };
            let twice = |(at, choice): &(usize, &String)| choices[..*at].contains(*choice);
            if let Some((_, choice)) = choices.iter().enumerate().find(twice) {
                return Err(format!("{choice} stands twice in choice(A, B)"));
            }
            return match choices.iter().all(is_word) {
                true => Ok((Self::Choice(choices), rest)),
                false => Err(
                    "the choices of choice(A, B) are words of letters, digits, _, - and .".into(),
                ),
            };
        }
        let end = text.find(|c: char| c.is_whitespace() || c == '=');
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        let kind = match word {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "time" => Self::Time,
            "angle" => Self::Angle,
            "landmark" => Self::Landmark,
            "video" => Self::Video,
            "person" => Self::Person,
            "subject" => Self::Subject,
            _ => {
                return Err(format!(
                    "there is no type '{word}'; known are text, integer, number, boolean, time, angle, landmark, video, person, subject, choice(A, B)"
                ));
            }
        };
        Ok((kind, rest))
    }

    /// What a value should be, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Text | Self::Video | Self::Subject => "a text".into(),
            Self::Integer | Self::Person => "a whole number".into(),
            Self::Number => "a number".into(),
            Self::Boolean => "true or false".into(),
            Self::Time => "a time in seconds".into(),
            Self::Angle | Self::Landmark | Self::Choice(_) => {
                format!("one of {}", self.choices().join(", "))
            }
        }
    }

    /// The values of a type that has a fixed list of them; none of any other.
    pub fn choices(&self) -> Vec<&str> {
        match self {
            Self::Angle => ANGLES.to_vec(),
            Self::Landmark => Landmark::ALL.map(Landmark::name).to_vec(),
            Self::Choice(choices) => choices.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a text is a value of the type.
    pub fn has_value(&self, text: &str) -> bool {
        self.value(text).is_some()
    }

    fn value(&self, text: &str) -> Option<Value> {
        match self {
            Self::Text | Self::Video | Self::Subject => Some(Value::Text(text.into())),
            Self::Integer | Self::Person => text.parse().ok().map(Value::BigInt),
            Self::Number | Self::Time => {
                let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Value::Double)
            }
            Self::Boolean => text.parse().ok().map(Value::Boolean),
            Self::Angle | Self::Landmark | Self::Choice(_) => self
                .choices()
                .contains(&text)
                .then(|| Value::Text(text.into())),
        }
    }
}

/// A parameter that a query's header declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Without the `$`.
    pub name: String,
    /// What its value is read as.
    pub kind: ParameterType,
    /// As it is written in the header; `None` makes a value necessary.
    pub default: Option<String>,
    /// One line for people; empty where the header says nothing.
    pub meaning: String,
}

/// The parameters that a query's header declares, in its order. What is no declaration is a comment
/// like any other.
pub fn parameters(sql: &str) -> Vec<Parameter> {
    sql.lines()
        .filter_map(|line| declaration(line)?.ok())
        .collect()
}

/// What a line of a header declares; `None` where it declares nothing.
///
/// # Errors
/// When it begins as a declaration does, and is none: the reason, in words.
pub fn declaration(line: &str) -> Option<Result<Parameter, String>> {
    let declaration = line.trim().strip_prefix(DECLARATION)?;
    let (head, meaning) = declaration.split_once(" : ").unwrap_or((declaration, ""));
    Some(declared(head, meaning))
}

fn declared(head: &str, meaning: &str) -> Result<Parameter, String> {
    let head = head.trim_start();
    let (name, rest) = head
        .split_once(char::is_whitespace)
        .ok_or("a parameter is declared as `-- param NAME TYPE = DEFAULT : MEANING`")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(is_word) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "a parameter's name has letters, digits and _, and begins with no digit, not '{name}'"
        ));
    }
    let (kind, rest) = ParameterType::parse(rest)?;
    let default = match rest.trim().strip_prefix('=') {
        Some(default) => Some(default.trim().to_owned()),
        None if rest.trim().is_empty() => None,
        None => return Err(format!("'{}' follows the type", rest.trim())),
    };
    if let Some(default) = default.as_deref().filter(|default| *default != NULL)
        && kind.value(default).is_none()
    {
        return Err(format!(
            "the default '{default}' is not {}",
            kind.expected()
        ));
    }
    Ok(Parameter {
        name: name.into(),
        kind,
        default,
        meaning: meaning.trim().into(),
    })
}

/// What is wrong with the line that is to declare a parameter, if one is.
fn broken(sql: &str, name: &str) -> Option<String> {
    let is_about = |line: &str| {
        let declaration = line.trim().strip_prefix(DECLARATION);
        declaration.and_then(|rest| rest.split_whitespace().next()) == Some(name)
    };
    let reason = |line| declaration(line)?.err();
    sql.lines().filter(|line| is_about(line)).find_map(reason)
}

/// Values for the parameters that a prepared statement has, in its order.
pub fn bind(
    sql: &str,
    wanted: &[String],
    given: &[(String, String)],
) -> Result<Vec<Value>, QueryError> {
    let declared = parameters(sql);
    if let Some((name, _)) = given.iter().find(|(name, _)| !wanted.contains(name)) {
        let known = match wanted {
            [] => "none".into(),
            names => names.join(", "),
        };
        return Err(QueryError::UnknownParameter {
            name: name.clone(),
            known,
        });
    }
    let value = |name: &String| {
        let declared = declared.iter().find(|parameter| parameter.name == *name);
        if let Some(reason) = declared.is_none().then(|| broken(sql, name)).flatten() {
            let name = name.clone();
            return Err(QueryError::BrokenDeclaration { name, reason });
        }
        // The last one wins, as with most options.
        let given = given.iter().rev().find(|(n, _)| n == name);
        let default = declared.and_then(|parameter| parameter.default.as_ref());
        let text = given.map(|(_, text)| text).or(default).ok_or_else(|| {
            let meaning = declared.map_or("", |parameter| &parameter.meaning);
            QueryError::MissingParameter {
                name: name.clone(),
                meaning: if meaning.is_empty() {
                    String::new()
                } else {
                    format!(" ({meaning})")
                },
            }
        })?;
        // DuckDB casts a text to what an undeclared parameter has to be.
        let kind = declared.map_or(&ParameterType::Text, |parameter| &parameter.kind);
        if text == NULL && declared.is_some_and(|d| d.default.as_deref() == Some(NULL)) {
            return Ok(Value::Null);
        }
        kind.value(text).ok_or_else(|| QueryError::WrongParameter {
            name: name.clone(),
            value: text.clone(),
            expected: kind.expected(),
        })
    };
    wanted.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = "-- Speed.\n-- param landmark text = left_hip : which landmark\n-- param span integer\nSELECT 1";

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn the_header_declares_parameters() {
        let declared = parameters(SQL);
        assert_eq!(declared.len(), 2);
        let (landmark, span) = (&declared[0], &declared[1]);
        assert_eq!(landmark.default.as_deref(), Some("left_hip"));
        assert_eq!(landmark.meaning, "which landmark");
        assert_eq!(
            (&span.kind, &span.default),
            (&ParameterType::Integer, &None)
        );
    }

    #[test]
    fn values_are_typed_and_defaults_fill_in() {
        let wanted = ["span".to_owned(), "landmark".to_owned()];
        let bound = bind(SQL, &wanted, &[pair("span", "3")]).expect("values");
        assert_eq!(bound, [Value::BigInt(3), Value::Text("left_hip".into())]);
    }

    #[test]
    fn missing_wrong_and_unknown_values_are_told_apart() {
        let wanted = ["span".to_owned()];
        let error = |given: &[(String, String)]| bind(SQL, &wanted, given).expect_err("an error");
        assert!(matches!(error(&[]), QueryError::MissingParameter { .. }));
        let wrong = error(&[pair("span", "wide")]);
        assert!(matches!(wrong, QueryError::WrongParameter { .. }));
        let unknown = error(&[pair("spam", "1")]);
        assert!(matches!(unknown, QueryError::UnknownParameter { .. }));
    }

    #[test]
    fn a_declaration_that_is_none_is_told_where_its_parameter_is_used() {
        let sql =
            "-- param span integer = wide : frames\n-- param sweeps were made before\nSELECT $span";
        let error = bind(sql, &["span".to_owned()], &[]).expect_err("no declaration");
        assert!(error.to_string().contains("$span"), "{error}");
        assert!(error.to_string().contains("the default 'wide'"), "{error}");
        let given = bind(sql, &["span".to_owned()], &[pair("span", "3")]);
        assert!(matches!(given, Err(QueryError::BrokenDeclaration { .. })));
        assert!(bind(sql, &[], &[]).is_ok(), "a comment is none");
    }

    #[test]
    fn choices_null_and_what_is_wrong_with_a_header() {
        let sql = "-- param which choice(most, least)\n-- param from_secs time = null : when\n-- param joint angle=left_knee";
        let declared = parameters(sql);
        assert_eq!(declared.len(), 3);
        assert_eq!(declared[0].kind.choices(), ["most", "least"]);
        let wanted = [
            "which".to_owned(),
            "from_secs".to_owned(),
            "joint".to_owned(),
        ];
        let bound = bind(sql, &wanted, &[pair("which", "least")]).expect("values");
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(bound, [text("least"), Value::Null, text("left_knee")]);
        let wrong = bind(sql, &wanted, &[pair("which", "many")]).expect_err("no choice");
        assert!(wrong.to_string().contains("one of most, least"), "{wrong}");
        for (line, expected) in [
            ("-- param a", "is declared as"),
            ("-- param a colour", "there is no type 'colour'"),
            ("-- param a choice(x, y", "no closing bracket"),
            ("-- param a choice(x y)", "are words"),
            ("-- param a time = soon", "the default 'soon'"),
            ("-- param a time soon", "'soon' follows the type"),
        ] {
            let error = declaration(line)
                .expect("a declaration")
                .expect_err("a wrong one");
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(declaration("-- parameters are good"), None);
    }
}
