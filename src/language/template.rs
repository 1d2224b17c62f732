//! Chat templates: Jinja, run as Hugging Face's tools run it.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::{Deserialize, Serialize};

use super::LanguageError;
use super::chat::Message;

/// The name under which error messages show the template.
const TEMPLATE_NAME: &str = "chat_template";

/// What a rendered chat ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTurn {
    /// The end of the last message.
    None,
    /// The beginning of an answer, which the model is to go on from.
    Assistant,
}

/// The texts of tokens that templates name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// Begins a text; `None` where the model has no such token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token: Option<String>,
    /// Ends a text, and in most templates a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unk_token: Option<String>,
    /// Fills batches up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token: Option<String>,
}

impl SpecialTokens {
    /// The tokens with the names that `tokenizer_config.json` has for them.
    pub fn named(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("bos_token", self.bos_token.as_deref()),
            ("eos_token", self.eos_token.as_deref()),
            ("unk_token", self.unk_token.as_deref()),
            ("pad_token", self.pad_token.as_deref()),
        ]
    }
}

/// The variables that a template sees. Tools and documents are there, and nothing: templates ask
/// whether they are none.
#[derive(Serialize)]
struct Variables<'a> {
    messages: &'a [Message],
    add_generation_prompt: bool,
    tools: Option<()>,
    documents: Option<()>,
    #[serde(flatten)]
    special_tokens: &'a SpecialTokens,
}

/// A compiled chat template.
pub struct ChatTemplate {
    source: String,
    special_tokens: SpecialTokens,
    environment: Environment<'static>,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// When its syntax is wrong.
    pub fn new(source: &str, special_tokens: SpecialTokens) -> Result<Self, LanguageError> {
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(template_error)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned(TEMPLATE_NAME, without_generation_tags(source))
            .map_err(template_error)?;
        Ok(Self {
            source: source.into(),
            special_tokens,
            environment,
        })
    }

    /// The Jinja text, as the model came with it.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    /// The text of a chat.
    ///
    /// # Errors
    /// When the template refuses the chat, for example because of the order of its roles.
    pub fn render(&self, messages: &[Message], next: NextTurn) -> Result<String, LanguageError> {
        let variables = Variables {
            messages,
            add_generation_prompt: next == NextTurn::Assistant,
            tools: None,
            documents: None,
            special_tokens: &self.special_tokens,
        };
        let template = self.environment.get_template(TEMPLATE_NAME);
        let rendered = template.and_then(|template| template.render(Serde(&variables)));
        rendered.map_err(template_error)
    }
}

fn template_error(error: Error) -> LanguageError {
    LanguageError::Template {
        reason: error.to_string(),
    }
}

/// Some templates mark what the assistant says with tags that only Hugging Face's tools know. They
/// become blocks that are always taken, with the same handling of white space.
fn without_generation_tags(source: &str) -> String {
    let mut result = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        result.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + "%}".len());
        let (tag, after) = tag.split_at(end);
        let name = tag
            .trim_start_matches("{%")
            .trim_end_matches("%}")
            .trim_matches(|c| c == '-' || c == '+' || char::is_whitespace(c));
        match name {
            "generation" => result.push_str(&tag.replace(name, "if true")),
            "endgeneration" => result.push_str(&tag.replace(name, "endif")),
            _ => result.push_str(tag),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it: a space after commas and
/// colons, and unlike Jinja's own filter nothing escaped for HTML.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent);
            let style = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut bytes, style,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes,
            SpacedFormatter,
        )),
    };
    let error = |e: String| Error::new(ErrorKind::BadSerialization, e);
    written.map_err(|e| error(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| error(e.to_string()))
}

/// One line, with spaces where Python puts them.
struct SpacedFormatter;

impl serde_json::ser::Formatter for SpacedFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        is_first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if is_first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        is_first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if is_first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The time now (UTC) as Python's `strftime` writes it, as far as chat templates use it.
fn strftime_now(format: String) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    strftime(now.map_or(0, |since| since.as_secs()), &format)
}

fn strftime(unix_secs: u64, format: &str) -> Result<String, Error> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    let days = unix_secs / 86_400;
    let (year, month, day) = date_of(days);
    // Both are in range: a month is 1 to 12, and 1970 began on a Thursday.
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let mut result = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('Y') => result.push_str(&year.to_string()),
            Some('y') => result.push_str(&format!("{:02}", year % 100)),
            Some('m') => result.push_str(&format!("{month:02}")),
            Some('d') => result.push_str(&format!("{day:02}")),
            Some('B') => result.push_str(month_name),
            Some('b') => result.push_str(&month_name[..3]),
            Some('A') => result.push_str(day_name),
            Some('a') => result.push_str(&day_name[..3]),
            Some('H') => result.push_str(&format!("{:02}", unix_secs / 3600 % 24)),
            Some('M') => result.push_str(&format!("{:02}", unix_secs / 60 % 60)),
            Some('S') => result.push_str(&format!("{:02}", unix_secs % 60)),
            Some('%') => result.push('%'),
            other => {
                let code: String = other.into_iter().collect();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now does not know %{code}"),
                ));
            }
        }
    }
    Ok(result)
}

/// Year, month and day of a day since 1970-01-01 (`civil_from_days` of Howard Hinnant's
/// "chrono-compatible low-level date algorithms").
fn date_of(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    // Years begin in March here, so that a leap day is a year's last.
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::chat::Role;

    fn special_tokens() -> SpecialTokens {
        SpecialTokens {
            bos_token: Some("<s>".into()),
            eos_token: Some("</s>".into()),
            ..SpecialTokens::default()
        }
    }

    fn render(source: &str, messages: &[Message], next: NextTurn) -> String {
        let template = ChatTemplate::new(source, special_tokens()).expect("a template");
        template.render(messages, next).expect("a chat")
    }

    fn chat() -> Vec<Message> {
        vec![
            Message::new(Role::User, " How deep? "),
            Message::new(Role::Assistant, "Deep."),
        ]
    }

    #[test]
    fn blocks_take_their_lines_with_them_and_tokens_have_names() {
        let source = "{{ bos_token }}\n  {% for m in messages %}\n[{{ m.role }}] {{ m['content'].strip() + eos_token }}\n  {% endfor %}\n{%- if add_generation_prompt %}\n[assistant]\n{%- endif %}";
        assert_eq!(
            render(source, &chat(), NextTurn::None),
            "<s>\n[user] How deep?</s>\n[assistant] Deep.</s>\n"
        );
        assert_eq!(
            render(source, &chat()[..1], NextTurn::Assistant),
            "<s>\n[user] How deep?</s>\n[assistant]"
        );
    }

    #[test]
    fn tools_are_none_and_loops_break() {
        let source = "{% if tools is not none %}tools{% endif %}{% for m in messages %}{% if loop.index0 == 1 %}{% break %}{% endif %}{{ m.role }}{% endfor %}{{ pad_token is defined }}";
        assert_eq!(render(source, &chat(), NextTurn::None), "userFalse");
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        let source = "{{ messages[0]|tojson }}{{ [1, 'é<\"']|tojson(indent=2) }}";
        assert_eq!(
            render(source, &chat(), NextTurn::None),
            "{\"role\": \"user\", \"content\": \" How deep? \"}[\n  1,\n  \"é<\\\"\"\n]"
        );
    }

    #[test]
    fn a_template_that_refuses_says_why() {
        let source = "{{ raise_exception('roles must alternate') }}";
        let template = ChatTemplate::new(source, special_tokens()).expect("a template");
        let error = template
            .render(&chat(), NextTurn::None)
            .expect_err("no chat");
        assert!(
            error.to_string().contains("roles must alternate"),
            "{error}"
        );
    }

    #[test]
    fn wrong_syntax_is_an_error() {
        assert!(ChatTemplate::new("{% for %}", special_tokens()).is_err());
    }

    #[test]
    fn generation_tags_are_only_marks() {
        let source = "{% for m in messages %}\n{%- if m.role == 'assistant' %}\n{%- generation -%}\n{{ m.content }}\n{%- endgeneration -%}\n{%- endif %}\n{%- endfor %}!";
        assert_eq!(render(source, &chat(), NextTurn::None), "Deep.!");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |secs| strftime(secs, "%a %A %d %b %B %Y %y-%m %H:%M:%S %%").expect("a date");
        assert_eq!(at(0), "Thu Thursday 01 Jan January 1970 70-01 00:00:00 %");
        // The leap day of 2024, and the last second of 1999.
        assert_eq!(
            at(1_709_210_096),
            "Thu Thursday 29 Feb February 2024 24-02 12:34:56 %"
        );
        assert_eq!(
            at(946_684_799),
            "Fri Friday 31 Dec December 1999 99-12 23:59:59 %"
        );
        assert!(strftime(0, "%Q").is_err());
    }
}
