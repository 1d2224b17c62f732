//! Chats from JSON Lines: what [`write_jsonl`](super::format::write_jsonl) writes, and what other tools
//! write in the same shapes; and from one JSON array of the same objects, as Alpaca's files are.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::DatasetError;
use super::example::prompt;
use crate::language::chat::{Message, Role};
use crate::text::read_text;

/// A chat to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRecord {
    /// As the line has it, or `line N`, or `item N` of an array.
    pub id: String,
    /// At least one of them is the assistant's.
    pub messages: Vec<Message>,
    /// Whether it teaches a step that others are made of, and is learned before them.
    pub is_primitive: bool,
}

/// Reads the chats of a file in any [`Format`](super::Format), line by line told by its keys.
///
/// # Errors
/// When the file cannot be read, or a line is no chat.
pub fn read_jsonl(path: &Path) -> Result<Vec<ChatRecord>, DatasetError> {
    let text = read_text(path).map_err(|e| DatasetError::Unreadable {
        path: path.into(),
        reason: e.to_string(),
    })?;
    if text.trim_start().starts_with('[') {
        return read_array(&text).map_err(|reason| DatasetError::Array {
            path: path.into(),
            reason,
        });
    }
    if is_one_object(&text) {
        return Err(DatasetError::Array {
            path: path.into(),
            reason: "it is one JSON object over several lines; write each chat on a line of its own, or all of them into an array".into(),
        });
    }
    let mut chats = Vec::new();
    // Unlike `lines`, JSON Lines know no other ends of lines within texts.
    for (index, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let record = serde_json::from_str(line).map_err(|e| e.to_string());
        let record = record.and_then(|line| chat(line, &format!("line {}", index + 1)));
        chats.push(record.map_err(|reason| DatasetError::Line {
            path: path.into(),
            line: index + 1,
            reason,
        })?);
    }
    Ok(chats)
}

fn read_array(text: &str) -> Result<Vec<ChatRecord>, String> {
    let items: Vec<Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let chats = items.into_iter().enumerate().map(|(index, item)| {
        let name = format!("item {}", index + 1);
        let line = serde_json::from_value(item).map_err(|e| format!("{name}: {e}"))?;
        chat(line, &name).map_err(|reason| format!("{name}: {reason}"))
    });
    chats.collect()
}

/// Whether a text is an object that is laid out over several lines.
fn is_one_object(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty());
    let is_open = first.is_some_and(|line| line.trim_start().starts_with('{'))
        && first.is_some_and(|line| serde_json::from_str::<Value>(line).is_err());
    is_open && serde_json::from_str::<Value>(text).is_ok()
}

/// A line in any of the formats; keys that are not known are other tools' own.
#[derive(Deserialize)]
struct Line {
    id: Option<Id>,
    messages: Option<Vec<Turn>>,
    conversations: Option<Vec<Turn>>,
    instruction: Option<String>,
    input: Option<String>,
    output: Option<String>,
    system: Option<String>,
    prompt: Option<Part>,
    completion: Option<Part>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
struct Turn {
    #[serde(alias = "from")]
    role: String,
    #[serde(alias = "value")]
    content: String,
}

/// One half of a prompt and its completion.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Turns(Vec<Turn>),
    Text(String),
}

impl Part {
    fn messages(self, role: Role) -> Result<Vec<Message>, String> {
        match self {
            Self::Turns(turns) => messages(turns),
            Self::Text(text) => Ok(vec![Message::new(role, text)]),
        }
    }
}

fn messages(turns: Vec<Turn>) -> Result<Vec<Message>, String> {
    let turns = turns.into_iter();
    let messages = turns.map(|turn| Ok(Message::new(role(&turn.role)?, turn.content)));
    messages.collect()
}

/// The role of a name; ShareGPT has names of its own.
fn role(name: &str) -> Result<Role, String> {
    match name {
        "system" => Ok(Role::System),
        "user" | "human" => Ok(Role::User),
        "assistant" | "gpt" => Ok(Role::Assistant),
        other => Err(format!(
            "there is no role '{other}'; known are system, user (human), assistant (gpt)"
        )),
    }
}

fn chat(line: Line, name: &str) -> Result<ChatRecord, String> {
    let mut messages = match line {
        Line {
            messages: Some(turns),
            ..
        }
        | Line {
            conversations: Some(turns),
            ..
        } => messages(turns)?,
        Line {
            instruction: Some(instruction),
            output: Some(output),
            input,
            ref system,
            ..
        } => {
            let system = system.as_deref().unwrap_or_default();
            let mut messages = prompt(system, &instruction, &input.unwrap_or_default());
            messages.push(Message::new(Role::Assistant, output));
            return Ok(record(line.id, name, messages));
        }
        Line {
            prompt: Some(prompt),
            completion: Some(completion),
            ..
        } => {
            let mut messages = prompt.messages(Role::User)?;
            messages.extend(completion.messages(Role::Assistant)?);
            messages
        }
        _ => {
            return Err(
                "it has neither messages, nor conversations, nor instruction and output, nor prompt and completion"
                    .into(),
            );
        }
    };
    // Some ShareGPT files keep the system's words apart.
    if let Some(system) = line.system.filter(|system| !system.is_empty())
        && messages
            .first()
            .is_none_or(|first| first.role != Role::System)
    {
        messages.insert(0, Message::new(Role::System, system));
    }
    Ok(record(line.id, name, messages))
}

fn record(id: Option<Id>, name: &str, messages: Vec<Message>) -> ChatRecord {
    let id = match id {
        Some(Id::Text(id)) => id,
        Some(Id::Number(id)) => id.to_string(),
        None => name.into(),
    };
    ChatRecord {
        id,
        messages,
        is_primitive: false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::dataset::format::tests::examples;
    use crate::dataset::format::write_jsonl;
    use crate::dataset::{Example, Format};

    fn read(text: &[u8]) -> Result<Vec<ChatRecord>, DatasetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data.jsonl");
        fs::write(&path, text).expect("a file");
        read_jsonl(&path)
    }

    #[test]
    fn every_format_gives_back_the_examples_that_were_written() {
        let examples = examples(6);
        let wanted: Vec<ChatRecord> = examples
            .iter()
            .map(|example| ChatRecord {
                id: example.id.clone(),
                messages: example.messages(),
                is_primitive: false,
            })
            .collect();
        let examples: Vec<&Example> = examples.iter().collect();
        for format in Format::ALL {
            let mut bytes = Vec::new();
            write_jsonl(format, &examples, &mut bytes).expect("lines");
            assert_eq!(read(&bytes).expect("chats"), wanted, "{format:?}");
        }
    }

    #[test]
    fn other_tools_names_of_roles_and_plain_prompts_are_understood() {
        let chats = read(
            br#"{"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}

{"id": 7, "prompt": "Q", "completion": "A", "source": "elsewhere"}"#,
        )
        .expect("chats");
        let ids: Vec<&str> = chats.iter().map(|chat| chat.id.as_str()).collect();
        assert_eq!(ids, ["line 1", "7"]);
        let words = |chat: &ChatRecord| -> String {
            let messages = chat.messages.iter();
            let words = messages.map(|m| format!("{}:{} ", m.role.name(), m.content));
            words.collect()
        };
        assert_eq!(words(&chats[0]), "system:S user:Q assistant:A ");
        assert_eq!(words(&chats[1]), "user:Q assistant:A ");
    }

    #[test]
    fn byte_order_marks_line_ends_and_arrays_change_nothing() {
        let lines = "{\"prompt\": \"Q\", \"completion\": \"A\\n\"}\n{\"id\": \"b\", \"prompt\": \"R\", \"completion\": \"B\"}\n";
        let wanted = read(lines.as_bytes()).expect("chats");
        assert_eq!(wanted.len(), 2);
        for text in [
            format!("\u{feff}{lines}"),
            lines.replace('\n', "\r\n"),
            format!("\u{feff}{}", lines.replace('\n', "\r\n")),
        ] {
            assert_eq!(read(text.as_bytes()).expect("chats"), wanted, "{text:?}");
        }
        let array = format!(
            "\u{feff}\r\n[\n {}]\n",
            lines.trim_end().replace('\n', ",\n  ")
        );
        let items = read(array.as_bytes()).expect("chats");
        let messages = |chats: &[ChatRecord]| -> Vec<Vec<Message>> {
            chats.iter().map(|chat| chat.messages.clone()).collect()
        };
        assert_eq!(messages(&items), messages(&wanted));
        let ids: Vec<&str> = items.iter().map(|chat| chat.id.as_str()).collect();
        assert_eq!(ids, ["item 1", "b"]);
        assert_eq!(read(b"[]").expect("no chats"), []);
    }

    #[test]
    fn what_is_wrong_with_an_array_an_object_or_an_encoding_is_told() {
        for (bytes, words) in [
            (
                &b"[{\"prompt\": \"Q\", \"completion\": \"A\"}, {\"text\": 1}]"[..],
                "item 2: it has neither",
            ),
            (b"[{\"prompt\": \"Q\"", "EOF"),
            (b"{\n \"data\": []\n}", "one JSON object over several lines"),
            (b"\xFF\xFE{\0", "UTF-16"),
        ] {
            let error = read(bytes).expect_err("no chats").to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_line_that_is_no_chat_is_named() {
        for (text, reason) in [
            (
                "{\"messages\": []}\n{\"text\": \"abc\"}",
                "neither messages",
            ),
            ("{\"messages\": []}\n{\"messages\"", "EOF"),
            (
                "{\"messages\": []}\n{\"messages\": [{\"role\": \"tool\", \"content\": \"\"}]}",
                "no role 'tool'",
            ),
        ] {
            let error = read(text.as_bytes()).expect_err("no chat").to_string();
            assert!(
                error.contains(reason) && error.contains("line 2"),
                "{error}"
            );
        }
    }
}
