//! Parameters of a query: declared in its header, given by `--param`, bound, never pasted.
//!
//! A header line `-- param NAME TYPE = DEFAULT : MEANING` declares `$NAME`; TYPE is text, integer,
//! number or boolean; the default may be left out.

use duckdb::types::Value;

use super::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    Text,
    Integer,
    Number,
    Boolean,
}

impl ParameterType {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Self::Text),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            _ => None,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }

    fn value(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::Text(text.into())),
            Self::Integer => text.parse().ok().map(Value::BigInt),
            Self::Number => text.parse().ok().map(Value::Double),
            Self::Boolean => text.parse().ok().map(Value::Boolean),
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

/// The parameters that a query's header declares, in its order.
pub fn parameters(sql: &str) -> Vec<Parameter> {
    sql.lines().filter_map(declaration).collect()
}

fn declaration(line: &str) -> Option<Parameter> {
    let declaration = line.trim().strip_prefix("-- param ")?;
    let (head, meaning) = declaration.split_once(" : ").unwrap_or((declaration, ""));
    let (head, default) = match head.split_once('=') {
        Some((head, default)) => (head, Some(default.trim().to_owned())),
        None => (head, None),
    };
    let mut words = head.split_whitespace();
    Some(Parameter {
        name: words.next()?.into(),
        kind: ParameterType::parse(words.next()?)?,
        default,
        meaning: meaning.trim().into(),
    })
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
        let kind = declared.map_or(ParameterType::Text, |parameter| parameter.kind);
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
        assert_eq!((span.kind, &span.default), (ParameterType::Integer, &None));
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
}
