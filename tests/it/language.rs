//! Base models as far as texts go: tokens and chats against what transformers gave for them, files
//! of all kinds, good and bad, and the Hugging Face hub.

use std::fs;
use std::io::Cursor;
use std::net::TcpListener;
use std::path::Path;
use std::sync::LazyLock;

use candle_core::quantized::gguf_file::{self, Value as GgufValue};
use posedata::language::bases::{self, BaseFiles};
use posedata::language::chat::{Message, Role};
use posedata::language::{ChatTokenizer, Hub, LanguageError, Needs, Network, NextTurn};
use posedata::models::ModelStore;
use serde::Deserialize;
use serde_json::json;

use crate::hub_server::{COMMIT, HubServer};
use crate::support::{installed, store};

#[derive(Deserialize)]
struct Goldens {
    cases: Vec<Case>,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Message>,
    text: String,
    with_next_turn: String,
    ids: Vec<u32>,
    /// The token's id where it is to be learned, or else -100.
    labels: Vec<i64>,
}

static GOLDENS: LazyLock<Goldens> = LazyLock::new(|| {
    let text = include_str!("../goldens/smollm2_texts.json");
    serde_json::from_str(text).expect("goldens")
});

static SMOLLM2: LazyLock<ChatTokenizer> =
    LazyLock::new(|| ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer"));

#[test]
fn smollm2_makes_the_tokens_that_transformers_makes() {
    assert!(GOLDENS.cases.len() > 400);
    for case in &GOLDENS.cases {
        let ids = SMOLLM2.tokens(&case.text).expect("tokens");
        assert_eq!(ids, case.ids, "{:?}", case.text);
        let count = SMOLLM2.count(&case.text).expect("tokens");
        assert_eq!(count, case.ids.len(), "{:?}", case.text);
        assert_eq!(SMOLLM2.decode(&ids).expect("a text"), case.text);
    }
}

#[test]
fn smollm2_lays_chats_out_as_transformers_does() {
    for chat in &GOLDENS.chats {
        let render = |next| SMOLLM2.render(&chat.messages, next).expect("a text");
        assert_eq!(render(NextTurn::None), chat.text);
        assert_eq!(render(NextTurn::Assistant), chat.with_next_turn);
    }
}

#[test]
fn what_the_assistant_says_and_its_end_mark_are_learned() {
    assert!(GOLDENS.chats.len() > 10);
    for chat in &GOLDENS.chats {
        let encoded = SMOLLM2.encode(&chat.messages).expect("tokens");
        assert_eq!(encoded.ids, chat.ids, "{}", chat.text);
        let in_loss: Vec<bool> = chat.labels.iter().map(|label| *label >= 0).collect();
        assert_eq!(encoded.in_loss, in_loss, "{}", chat.text);
    }
}

fn user(content: &str) -> Message {
    Message::new(Role::User, content)
}

fn assistant(content: &str) -> Message {
    Message::new(Role::Assistant, content)
}

#[test]
fn white_space_before_an_answer_is_not_learned_together_with_the_prompt() {
    let encoded = SMOLLM2
        .encode(&[user("Hi"), assistant("\n\nHello.")])
        .expect("tokens");
    let learned: Vec<u32> = encoded
        .ids
        .iter()
        .zip(&encoded.in_loss)
        .filter_map(|(id, is_learned)| is_learned.then_some(*id))
        .collect();
    let learned = SMOLLM2.decode(&learned).expect("a text");
    assert!("\n\nHello.<|im_end|>".ends_with(&learned), "{learned:?}");
    assert!(learned.ends_with("Hello.<|im_end|>"), "{learned:?}");
}

#[test]
fn a_chat_without_an_answer_has_nothing_to_learn() {
    let error = SMOLLM2.encode(&[user("Hi")]).expect_err("nothing");
    assert!(matches!(error, LanguageError::NothingToLearn), "{error}");
}

#[test]
fn the_hash_depends_on_the_template() {
    let folder = tempfile::tempdir().expect("a folder");
    let hash = |template: &str| {
        write_model(folder.path(), json!({ "chat_template": template }));
        open(folder.path()).expect("a tokenizer").blake3()
    };
    let one = hash("{{ messages[0].content }}");
    assert_eq!(one, hash("{{ messages[0].content }}"));
    assert_ne!(one, hash("{{ messages[1].content }}"));
    assert_eq!(one.len(), 64);
}

/// A tokenizer of 256 bytes and two special tokens, cut and padded as for batches.
pub fn tokenizer_json() -> serde_json::Value {
    // Bytes that are no visible characters are written as others, in the order of the bytes.
    let is_visible = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = (256_u32..).filter_map(char::from_u32);
    let mut vocabulary = serde_json::Map::new();
    for byte in 0..=255_u8 {
        let character = if is_visible(&byte) {
            char::from(byte)
        } else {
            others.next().expect("a character")
        };
        vocabulary.insert(character.to_string(), byte.into());
    }
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
    };
    json!({
        "version": "1.0",
        "truncation": { "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 },
        "padding": { "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 256, "pad_type_id": 0, "pad_token": "<s>" },
        "added_tokens": [special(256, "<s>"), special(257, "</s>")],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": null,
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                   "ignore_merges": false, "vocab": vocabulary, "merges": [] }
    })
}

/// A model's folder with a tokenizer of bytes and the given `tokenizer_config.json`.
pub fn write_model(folder: &Path, config: serde_json::Value) {
    fs::write(folder.join("tokenizer.json"), tokenizer_json().to_string()).expect("a file");
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).expect("a file");
}

fn open(path: &Path) -> Result<ChatTokenizer, LanguageError> {
    ChatTokenizer::open(path)
}

/// Llama 2's way: no name for the assistant's turns, a token at the beginning of each pair.
const LLAMA_TEMPLATE: &str = "{% for m in messages %}\
    {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}\
    {% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}\
    {% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

#[test]
fn a_folder_of_the_hub_is_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({
        "bos_token": "<s>",
        "eos_token": { "__type": "AddedToken", "content": "</s>", "lstrip": false },
        "pad_token": null,
        "chat_template": [
            { "name": "tool_use", "template": "{{ raise_exception('not this one') }}" },
            { "name": "default", "template": LLAMA_TEMPLATE },
        ],
    });
    write_model(folder.path(), config);
    let chat = [user(" A "), assistant("B"), user("C"), assistant("é")];
    for path in [folder.path().into(), folder.path().join("tokenizer.json")] {
        let tokenizer = open(&path).expect("a tokenizer");
        let text = tokenizer.render(&chat, NextTurn::None).expect("a text");
        assert_eq!(text, "<s>[INST] A [/INST] B </s><s>[INST] C [/INST] é </s>");
        let encoded = tokenizer.encode(&chat).expect("tokens");
        assert_eq!(tokenizer.decode(&encoded.ids).expect("a text"), text);
        let learned = encoded.ids.iter().zip(&encoded.in_loss);
        let learned: Vec<u32> = learned.filter(|(_, l)| **l).map(|(id, _)| *id).collect();
        let expected = [" B ".as_bytes(), " é ".as_bytes()].map(|text| {
            let bytes = text.iter().map(|byte| u32::from(*byte));
            bytes.chain([257]).collect::<Vec<u32>>()
        });
        assert_eq!(learned, expected.concat());
        let error = tokenizer.render(&chat[1..], NextTurn::None);
        let error = error.expect_err("an assistant that begins").to_string();
        assert!(error.contains("roles must alternate"), "{error}");
    }
    // A file of its own counts more than the configuration.
    fs::write(folder.path().join("chat_template.jinja"), "{{ eos_token }}").expect("a file");
    let tokenizer = open(folder.path()).expect("a tokenizer");
    let text = tokenizer.render(&chat, NextTurn::None).expect("a text");
    assert_eq!(text, "</s>");
}

#[test]
fn a_template_that_changes_earlier_turns_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let template = "{% for m in messages %}<s>{{ m.role }}:{% if m.role == 'user' or loop.last %}{{ m.content }}{% endif %}</s>{% endfor %}{% if add_generation_prompt %}<s>assistant:{% endif %}";
    write_model(folder.path(), json!({ "chat_template": template }));
    let tokenizer = open(folder.path()).expect("a tokenizer");
    let chat = [user("A"), assistant("B"), user("C"), assistant("D")];
    tokenizer.encode(&chat[..2]).expect("one answer");
    let error = tokenizer.encode(&chat).expect_err("two answers");
    assert!(
        matches!(error, LanguageError::TurnsDisagree { turn: 2 }),
        "{error}"
    );
}

#[test]
fn a_model_without_a_template_counts_but_takes_no_chat() {
    let folder = tempfile::tempdir().expect("a folder");
    write_model(folder.path(), json!({}));
    let tokenizer = open(folder.path()).expect("a tokenizer");
    assert_eq!(tokenizer.count("four").expect("tokens"), 4);
    let text = "more than the four tokens that a batch is cut to</s>";
    assert_eq!(tokenizer.count(text).expect("tokens"), text.len() - 3);
    let error = tokenizer.encode(&[user("A"), assistant("B")]);
    let error = error.expect_err("no template").to_string();
    assert!(error.contains("chat_template.jinja"), "{error}");
}

#[test]
fn bad_files_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let whole = fs::read(installed("smollm2")).expect("a file");
    fs::write(path("cut.gguf"), &whole[..100_000]).expect("a file");
    fs::write(path("start.gguf"), &whole[..6]).expect("a file");
    fs::write(path("text.gguf"), "no GGUF").expect("a file");
    fs::write(path("empty.gguf"), "").expect("a file");
    fs::write(path("broken.json"), "{\"version\": ").expect("a file");
    fs::create_dir(path("empty")).expect("a folder");
    let string = |text: &str| GgufValue::String(text.into());
    let model = |name: &str| vec![("tokenizer.ggml.model", string(name))];
    write_gguf(&path("bare.gguf"), &[]);
    write_gguf(&path("llama.gguf"), &model("llama"));
    let mut other = model("gpt2");
    other.push(("tokenizer.ggml.pre", string("newest")));
    write_gguf(&path("other.gguf"), &other);
    other[1].1 = string("gpt-2");
    write_gguf(&path("no_tokens.gguf"), &other);

    let expected = [
        ("cut.gguf", "truncated or damaged"),
        ("start.gguf", "truncated or damaged"),
        ("text.gguf", "not a GGUF file"),
        ("empty.gguf", "not a GGUF file"),
        ("broken.json", "the tokenizer is wrong"),
        ("empty", "no tokenizer.json"),
        ("missing.gguf", "cannot read"),
        ("bare.gguf", "tokenizer.ggml.model is missing"),
        ("llama.gguf", "tokenizer.ggml.model = llama"),
        ("other.gguf", "tokenizer.ggml.pre = newest"),
        ("no_tokens.gguf", "tokenizer.ggml.tokens is missing"),
    ];
    for (name, words) in expected {
        let error = open(&path(name)).err().expect("an error").to_string();
        assert!(error.contains(words), "{error}");
        let file = path(name).display().to_string();
        assert!(error.ends_with(&file), "{error}");
    }
}

fn write_gguf(path: &Path, metadata: &[(&str, GgufValue)]) {
    let metadata: Vec<(&str, &GgufValue)> = metadata.iter().map(|(k, v)| (*k, v)).collect();
    let mut bytes = Cursor::new(Vec::new());
    gguf_file::write(&mut bytes, &metadata, &[]).expect("a GGUF file");
    fs::write(path, bytes.into_inner()).expect("a file");
}

/// A cache without anything, and no network.
pub fn no_hub(folder: &Path) -> Hub {
    Hub::new(folder.join("hub"), None, Network::Forbidden)
}

pub fn empty_store(folder: &Path) -> ModelStore {
    ModelStore::new(Some(folder.join("models"))).expect("a store")
}

#[test]
fn an_installed_base_is_found_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = bases::find_with(
        &store(),
        &no_hub(folder.path()),
        "smollm2",
        Needs::Tokenizer,
    )
    .expect("a base");
    assert_eq!(base.name, "smollm2");
    assert_eq!(base.files, BaseFiles::Gguf(installed("smollm2")));
    let tokenizer = base.tokenizer().expect("a tokenizer");
    assert_eq!(tokenizer.blake3(), SMOLLM2.blake3());
}

#[test]
fn a_base_that_is_not_there_is_an_error_that_helps() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = no_hub(folder.path());
    let find = |store: &ModelStore, name: &str| {
        bases::find_with(store, &hub, name, Needs::Tokenizer)
            .expect_err("nothing")
            .to_string()
    };
    let empty = empty_store(folder.path());
    let error = find(&empty, "smollm2");
    assert!(error.contains("`posedata models add smollm2`"), "{error}");
    assert!(error.contains("(installed: nothing)"), "{error}");
    let error = find(&store(), "tinyllama");
    assert!(
        error.contains("TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
        "{error}"
    );
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    assert!(error.contains("(installed: smollm2)"), "{error}");
    let error = find(&store(), "smollm3");
    assert!(error.contains("smollm2, tinyllama"), "{error}");
    assert!(error.contains("(installed: smollm2)"), "{error}");
    let error = find(&store(), "nobody/nothing");
    assert!(error.contains("nobody/nothing"), "{error}");
}

#[test]
fn a_base_may_be_a_file_or_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = no_hub(folder.path());
    write_model(folder.path(), json!({}));
    let file = folder.path().join("tokenizer.json");
    let text = folder.path().join("text.txt");
    fs::write(&text, "words").expect("a file");
    let find = |path: &Path| {
        let name = path.to_str().expect("a path");
        bases::find_with(&store(), &hub, name, Needs::Tokenizer).map(|base| base.files)
    };
    let gguf = installed("smollm2");
    assert_eq!(find(&gguf).expect("a base"), BaseFiles::Gguf(gguf));
    assert_eq!(
        find(folder.path()).expect("a base"),
        BaseFiles::Folder(folder.path().into())
    );
    assert_eq!(find(&file).expect("a base"), BaseFiles::TokenizerJson(file));
    assert!(matches!(find(&text), Err(LanguageError::NotGguf { .. })));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    assert!(matches!(
        find(&empty),
        Err(LanguageError::NoTokenizerInFolder { .. })
    ));
}

#[test]
fn the_cache_of_the_hub_is_used_main_before_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = no_hub(folder.path());
    let repository = folder
        .path()
        .join("hub/models--TinyLlama--TinyLlama-1.1B-Chat-v1.0");
    let snapshot = |revision: &str| repository.join("snapshots").join(revision);
    for revision in ["aaaa", "bbbb"] {
        fs::create_dir_all(snapshot(revision)).expect("a folder");
        write_model(&snapshot(revision), json!({}));
    }
    // A revision of which only weights were fetched.
    fs::create_dir_all(snapshot("0000")).expect("a folder");
    let find = || {
        bases::find_with(
            &empty_store(folder.path()),
            &hub,
            "tinyllama",
            Needs::Tokenizer,
        )
        .expect("a base")
        .files
    };
    assert_eq!(find(), BaseFiles::Folder(snapshot("aaaa")));
    fs::create_dir(repository.join("refs")).expect("a folder");
    fs::write(repository.join("refs/main"), "bbbb\n").expect("a file");
    assert_eq!(find(), BaseFiles::Folder(snapshot("bbbb")));
}

#[test]
fn a_repository_of_the_hub_is_fetched_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = json!({ "eos_token": "</s>", "chat_template": "{{ eos_token }}" });
    let file = |name: &str, content: serde_json::Value| (name.into(), content.to_string().into());
    let server = HubServer::start(vec![
        file("tokenizer.json", tokenizer_json()),
        file("tokenizer_config.json", config),
    ]);
    let cache = folder.path().join("hub");
    let hub = Hub::new(
        cache.clone(),
        Some(server.endpoint.clone()),
        Network::Allowed,
    );
    let store = empty_store(folder.path());
    let base = bases::find_with(&store, &hub, "tests/tiny", Needs::Tokenizer).expect("a base");
    let snapshot = cache.join("models--tests--tiny/snapshots").join(COMMIT);
    assert_eq!(base.files, BaseFiles::Folder(snapshot));
    let tokenizer = base.tokenizer().expect("a tokenizer");
    let text = tokenizer.render(&[user("A")], NextTurn::None);
    assert_eq!(text.expect("a text"), "</s>");
    let requests = server.requests();
    let get = "GET /tests/tiny/resolve/main/tokenizer.json".to_owned();
    assert!(requests.contains(&get), "{requests:?}");

    let again = bases::find_with(&store, &hub, "tests/tiny", Needs::Tokenizer).expect("a base");
    assert_eq!(again, base);
    assert_eq!(server.requests(), requests, "the cache was not used");

    let error =
        bases::find_with(&store, &hub, "tests/none", Needs::Tokenizer).expect_err("nothing");
    let error = error.to_string();
    assert!(error.contains("tests/none"), "{error}");
    assert!(error.contains("tokenizer.json"), "{error}");
}

#[test]
fn no_network_is_said_with_what_is_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    // A port that was free a moment ago, and that nobody listens to.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let hub = Hub::new(
        folder.path().join("hub"),
        Some(format!("http://{address}")),
        Network::Allowed,
    );
    let error =
        bases::find_with(&store(), &hub, "tests/tiny", Needs::Tokenizer).expect_err("no network");
    let error = error.to_string();
    assert!(error.contains("no network"), "{error}");
    assert!(error.contains("(installed: smollm2)"), "{error}");
}
