//! Chats from JSON Lines: what [`write_jsonl`](super::write_jsonl) writes, and what other tools
//! write in the same shapes.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::DatasetError;
use super::example::prompt;
use crate::language::chat::{Message, Role};

/// A chat to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRecord {
    /// As the line has it, or `line N`.
    pub id: String,
    pub messages: Vec<Message>,
}

/// Reads the chats of a file in any [`Format`](super::Format), line by line told by its keys.
///
/// # Errors
/// When the file cannot be read, or a line is no chat.
pub fn read_jsonl(path: &Path) -> Result<Vec<ChatRecord>, DatasetError> {
    let text = fs::read_to_string(path).map_err(|e| DatasetError::Unreadable {
        path: path.into(),
        reason: e.to_string(),
    })?;
    let mut chats = Vec::new();
    // Unlike `lines`, JSON Lines know no other ends of lines within texts.
    for (index, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let chat = chat(line, index + 1).map_err(|reason| DatasetError::Line {
            path: path.into(),
            line: index + 1,
            reason,
        })?;
        chats.push(chat);
    }
    Ok(chats)
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

fn chat(line: &str, number: usize) -> Result<ChatRecord, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
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
            return Ok(record(line.id, number, messages));
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
    Ok(record(line.id, number, messages))
}

fn record(id: Option<Id>, line: usize, messages: Vec<Message>) -> ChatRecord {
    let id = match id {
        Some(Id::Text(id)) => id,
        Some(Id::Number(id)) => id.to_string(),
        None => format!("line {line}"),
    };
    ChatRecord { id, messages }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::format::tests::examples;
    use crate::dataset::{Example, Format, write_jsonl};

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
