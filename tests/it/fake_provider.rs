//! A server that speaks OpenAI's and Anthropic's wire formats, as strictly as they do, and fails on
//! demand. That it is faithful is itself tested: `tests/interop/provider_sdks.py` talks to it with
//! the official libraries.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use posedata::numbers::{Quantity, unit_of_column};
use posedata::synth::prompt::{DATA_BEGIN, DATA_END};
use posedata::synth::table::{self, Cell};
use serde_json::{Value, json};

/// The only key that the server accepts.
pub const KEY: &str = "sk-test-4f9d2c7b8a6e1035-neverprintthis";
pub const OPENAI_MODELS: [&str; 3] = ["gpt-6-luna", "gpt-6-sol", "gpt-4.1-mini"];
pub const CLAUDE_MODELS: [&str; 3] = ["claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-5-5"];

/// Ways to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    TooManyRequests,
    ServerError,
    Unavailable,
    Overloaded,
    /// The connection ends in the middle of the body.
    Dropped,
    /// No answer at all, until the client gives up.
    Hang,
    BrokenJson,
    Truncated,
    Refusal,
    WrongNumber,
    /// Text where an object was asked for.
    Prose,
    OutOfCredits,
}

/// Faults that a client gets over by asking again.
const PASSING: [Fault; 7] = [
    Fault::TooManyRequests,
    Fault::ServerError,
    Fault::Unavailable,
    Fault::Overloaded,
    Fault::Dropped,
    Fault::Hang,
    Fault::BrokenJson,
];
/// Faults that are billed answers.
const FINAL: [Fault; 4] = [
    Fault::Truncated,
    Fault::Refusal,
    Fault::WrongNumber,
    Fault::Prose,
];

/// How the server behaves.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Share of requests that meet a fault.
    pub fault_rate: f64,
    pub seed: u64,
    /// Every request meets this one.
    pub always: Option<Fault>,
    /// Error messages repeat the key.
    pub echoes_key: bool,
    /// After so many answers every further one waits for [`FakeProvider::open_gate`].
    pub gate_after: Option<usize>,
    /// How often a batch is looked at before it is done.
    pub polls_before_done: u32,
    /// Answers of these positions within a batch fail.
    pub failing_items: Vec<usize>,
}

/// A request that reached the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub path: String,
    pub system: String,
    pub user: String,
    pub model: String,
    pub max_tokens: u32,
    /// `None`: answered as asked.
    pub fault: Option<Fault>,
    pub status: u16,
}

struct Batch {
    items: Vec<(String, Value)>,
    polls: u32,
    metadata: Value,
    created: u64,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Seen>,
    answered: usize,
    refused_logins: usize,
    gate_is_open: bool,
    at_gate: usize,
    attempts: HashMap<String, u64>,
    files: HashMap<String, Vec<u8>>,
    batches: Vec<(String, Batch)>,
    ids: u64,
}

struct State {
    behaviour: Behaviour,
    memory: Mutex<Memory>,
    changed: Condvar,
    address: SocketAddr,
}

/// A running server; its threads end with the process.
#[derive(Clone)]
pub struct FakeProvider {
    state: Arc<State>,
}

impl FakeProvider {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            behaviour,
            memory: Mutex::default(),
            changed: Condvar::new(),
            address,
        });
        let server = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&server);
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        Self { state }
    }

    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.state.address)
    }

    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.state.address)
    }

    /// Requests for answers so far, in the order of their ends.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.memory().seen.clone()
    }

    /// How many requests came with a wrong key or none.
    pub fn refused_logins(&self) -> usize {
        self.state.memory().refused_logins
    }

    /// The ids of the requests in each batch.
    pub fn batches(&self) -> Vec<Vec<String>> {
        let memory = self.state.memory();
        let ids =
            |(_, batch): &(String, Batch)| batch.items.iter().map(|(id, _)| id.clone()).collect();
        memory.batches.iter().map(ids).collect()
    }

    /// Waits until so many requests were answered as asked.
    pub fn wait_for_answers(&self, count: usize) {
        let memory = self.state.memory();
        let waited =
            self.state
                .changed
                .wait_timeout_while(memory, Duration::from_secs(120), |memory| {
                    memory.answered < count
                });
        let (memory, _) = waited.expect("no panic");
        assert!(memory.answered >= count, "{} answers only", memory.answered);
    }

    /// Waits until so many requests wait at the gate.
    pub fn wait_for_waiting(&self, count: usize) {
        let memory = self.state.memory();
        let waited =
            self.state
                .changed
                .wait_timeout_while(memory, Duration::from_secs(120), |memory| {
                    memory.at_gate < count
                });
        let (memory, _) = waited.expect("no panic");
        assert!(memory.at_gate >= count, "{} wait only", memory.at_gate);
    }

    /// Lets everything through that waits.
    pub fn open_gate(&self) {
        self.state.memory().gate_is_open = true;
        self.state.changed.notify_all();
    }
}

impl State {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn id(&self, prefix: &str) -> String {
        let mut memory = self.memory();
        memory.ids += 1;
        format!("{prefix}{:024x}", memory.ids)
    }

    /// The fault that this attempt at a prompt meets.
    fn fault(&self, prompt: &str) -> Option<Fault> {
        let attempt = {
            let mut memory = self.memory();
            let attempts = memory.attempts.entry(prompt.to_owned()).or_default();
            *attempts += 1;
            *attempts
        };
        if self.behaviour.always.is_some() {
            return self.behaviour.always;
        }
        let seed = format!("{} {attempt} {prompt}", self.behaviour.seed);
        let random = number_of(&seed);
        let fraction = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let all: Vec<Fault> = PASSING.iter().chain(&FINAL).copied().collect();
        let choice = number_of(&format!("which {seed}")) as usize % all.len();
        (fraction < self.behaviour.fault_rate).then_some(all[choice])
    }

    fn note(&self, seen: Seen) {
        let mut memory = self.memory();
        if seen.fault.is_none() && seen.status == 200 {
            memory.answered += 1;
        }
        memory.seen.push(seen);
        self.changed.notify_all();
    }

    fn wait_at_gate(&self) {
        let Some(after) = self.behaviour.gate_after else {
            return;
        };
        let waits = |memory: &mut Memory| memory.answered >= after && !memory.gate_is_open;
        let mut memory = self.memory();
        memory.at_gate += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while(memory, waits);
        waited.expect("no panic").at_gate -= 1;
    }
}

fn number_of(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Vec<u8>,
    fault: Option<Fault>,
}

impl Response {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            fault: None,
        }
    }
}

fn serve(state: &State, stream: TcpStream) {
    let mut writer = stream.try_clone().expect("a stream");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let response = respond(state, &request);
        if response.fault == Some(Fault::Hang) {
            // The client closes the connection when it has waited long enough.
            let _ = reader.read(&mut [0]);
            return;
        }
        let reason = if response.status == 200 {
            "OK"
        } else {
            "Error"
        };
        let mut head = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
            response.status,
            response.content_type,
            response.body.len()
        );
        for (name, value) in &response.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let body = if response.fault == Some(Fault::Dropped) {
            &response.body[..response.body.len() / 2]
        } else {
            &response.body[..]
        };
        if writer
            .write_all(head.as_bytes())
            .and_then(|()| writer.write_all(body))
            .is_err()
            || response.fault == Some(Fault::Dropped)
        {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if headers
        .get("transfer-encoding")
        .is_some_and(|v| v == "chunked")
    {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().ok()?, 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

fn respond(state: &State, request: &Request) -> Response {
    let path = request.path.split('?').next().unwrap_or_default();
    let is_anthropic = path.starts_with("/v1/messages");
    let mut response = if is_anthropic {
        anthropic(state, request, path)
    } else {
        openai(state, request, path)
    };
    let limits = if is_anthropic {
        [
            ("request-id", state.id("req_")),
            ("anthropic-organization-id", "0f0f0f0f-test".into()),
            ("anthropic-ratelimit-requests-limit", "50".into()),
            ("anthropic-ratelimit-requests-remaining", "49".into()),
        ]
    } else {
        [
            ("x-request-id", state.id("req_")),
            ("openai-version", "2020-10-01".into()),
            ("x-ratelimit-limit-requests", "500".into()),
            ("x-ratelimit-remaining-requests", "499".into()),
        ]
    };
    if response.status == 401 {
        state.memory().refused_logins += 1;
    }
    response.headers.extend(limits);
    response
}

// OpenAI.

fn openai_error(status: u16, message: &str, kind: &str, param: Value, code: Value) -> Response {
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    Response::json(status, &json!({"error": error}))
}

fn openai_invalid(message: &str, param: &str, code: Value) -> Response {
    openai_error(400, message, "invalid_request_error", json!(param), code)
}

fn openai(state: &State, request: &Request, path: &str) -> Response {
    let given = request.headers.get("authorization").map(String::as_str);
    match given.and_then(|header| header.strip_prefix("Bearer ")) {
        Some(KEY) => {}
        Some(key) => {
            let shown = if state.behaviour.echoes_key {
                key
            } else {
                "sk-te********this"
            };
            let message = format!(
                "Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
            );
            let code = json!("invalid_api_key");
            return openai_error(401, &message, "invalid_request_error", Value::Null, code);
        }
        None => {
            let message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
            return openai_error(
                401,
                message,
                "invalid_request_error",
                Value::Null,
                Value::Null,
            );
        }
    }
    match (request.method.as_str(), path) {
        ("POST", "/v1/chat/completions") => chat_completions(state, request),
        ("POST", "/v1/files") => upload(state, request),
        ("POST", "/v1/batches") => create_openai_batch(state, request),
        ("GET", "/v1/batches") => {
            let ids: Vec<String> = state
                .memory()
                .batches
                .iter()
                .map(|(id, _)| id.clone())
                .collect();
            let data: Vec<Value> = ids
                .iter()
                .filter_map(|id| openai_batch(state, id, false))
                .collect();
            Response::json(
                200,
                &json!({"object": "list", "data": data, "has_more": false}),
            )
        }
        ("GET", path) => {
            if let Some(id) = path.strip_prefix("/v1/batches/") {
                return match openai_batch(state, id, true) {
                    Some(batch) => Response::json(200, &batch),
                    None => openai_not_found(path),
                };
            }
            let id = path
                .strip_prefix("/v1/files/")
                .and_then(|id| id.strip_suffix("/content"));
            match id.and_then(|id| state.memory().files.get(id).cloned()) {
                Some(body) => Response {
                    body,
                    content_type: "application/octet-stream",
                    ..Response::json(200, &Value::Null)
                },
                None => openai_not_found(path),
            }
        }
        (_, path) => openai_not_found(path),
    }
}

fn openai_not_found(path: &str) -> Response {
    let message = format!("Invalid URL (POST {path})");
    openai_error(
        404,
        &message,
        "invalid_request_error",
        Value::Null,
        Value::Null,
    )
}

/// What is wrong with a request for a chat completion.
fn openai_complaint(body: &Value) -> Option<Response> {
    const KNOWN: [&str; 9] = [
        "model",
        "messages",
        "response_format",
        "max_completion_tokens",
        "max_tokens",
        "store",
        "temperature",
        "reasoning_effort",
        "stream",
    ];
    let members = body.as_object()?;
    if let Some(unknown) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        let message = format!("Unrecognized request argument supplied: {unknown}");
        return Some(openai_error(
            400,
            &message,
            "invalid_request_error",
            Value::Null,
            Value::Null,
        ));
    }
    for required in ["model", "messages"] {
        if body.get(required).is_none() {
            let message = format!("Missing required parameter: '{required}'.");
            return Some(openai_invalid(
                &message,
                required,
                json!("missing_required_parameter"),
            ));
        }
    }
    let model = body["model"].as_str().unwrap_or_default();
    if !OPENAI_MODELS.contains(&model) {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        let code = json!("model_not_found");
        return Some(openai_error(
            404,
            &message,
            "invalid_request_error",
            Value::Null,
            code,
        ));
    }
    let thinks = model.starts_with("gpt-6");
    if thinks && body.get("max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Some(openai_invalid(
            message,
            "max_tokens",
            json!("unsupported_parameter"),
        ));
    }
    if let Some(temperature) = body.get("temperature") {
        let in_range = temperature
            .as_f64()
            .is_some_and(|t| (0.0..=2.0).contains(&t));
        if !in_range || (thinks && body["reasoning_effort"] != "none" && temperature != 1) {
            let message = format!(
                "Unsupported value: 'temperature' does not support {temperature} with this model."
            );
            return Some(openai_invalid(
                &message,
                "temperature",
                json!("unsupported_value"),
            ));
        }
    }
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let is_message =
        |m: &Value| m["role"].is_string() && (m["content"].is_string() || m["content"].is_array());
    if messages.is_empty() || !messages.iter().all(is_message) {
        return Some(openai_invalid(
            "Invalid 'messages': expected messages with role and content.",
            "messages",
            json!("invalid_type"),
        ));
    }
    let format = &body["response_format"];
    if format["type"] == "json_schema" {
        let schema = &format["json_schema"]["schema"];
        let names: Vec<&String> = schema["properties"]
            .as_object()
            .map(|p| p.keys().collect())
            .unwrap_or_default();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let is_strict = schema["additionalProperties"] == false
            && names.iter().all(|name| required.contains(&json!(name)));
        if !format["json_schema"]["name"].is_string()
            || (format["json_schema"]["strict"] == true && !is_strict)
        {
            let message = "Invalid schema for response_format 'record_example': In context=(), 'additionalProperties' is required to be supplied and to be false.";
            return Some(openai_invalid(message, "response_format", Value::Null));
        }
    }
    None
}

fn chat_completions(state: &State, request: &Request) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        let message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly.)";
        return openai_error(
            400,
            message,
            "invalid_request_error",
            Value::Null,
            Value::Null,
        );
    };
    if let Some(complaint) = openai_complaint(&body) {
        return complaint;
    }
    let message = |role: &str| {
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        let found = messages.into_iter().find(|m| m["role"] == role);
        found
            .and_then(|m| m["content"].as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let (system, user) = (message("system"), message("user"));
    let fault = state.fault(&user);
    if fault.is_none() {
        state.wait_at_gate();
    }
    let mut response = openai_response(state, &body, &user, fault);
    response.fault = fault;
    state.note(Seen {
        path: "/v1/chat/completions".into(),
        system,
        user,
        model: body["model"].as_str().unwrap_or_default().into(),
        max_tokens: body["max_completion_tokens"].as_u64().unwrap_or(0) as u32,
        fault,
        status: response.status,
    });
    response
}

fn openai_response(state: &State, body: &Value, user: &str, fault: Option<Fault>) -> Response {
    let server_error = |status, message: &str, kind: &str| {
        openai_error(status, message, kind, Value::Null, Value::Null)
    };
    match fault {
        Some(Fault::TooManyRequests) => {
            let message = "Rate limit reached for gpt-6-luna in organization org-test on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in 10ms.";
            let mut response = openai_error(
                429,
                message,
                "requests",
                Value::Null,
                json!("rate_limit_exceeded"),
            );
            response.headers.push(("retry-after", "0".into()));
            response
        }
        Some(Fault::OutOfCredits) => {
            let message =
                "You exceeded your current quota, please check your plan and billing details.";
            openai_error(
                429,
                message,
                "insufficient_quota",
                Value::Null,
                json!("credit_balance_exhausted"),
            )
        }
        Some(Fault::ServerError) => server_error(
            500,
            "The server had an error while processing your request. Sorry about that!",
            "server_error",
        ),
        Some(Fault::Unavailable) => server_error(
            503,
            "The engine is currently overloaded, please try again later.",
            "service_unavailable",
        ),
        Some(Fault::Overloaded) => server_error(529, "Overloaded.", "server_error"),
        Some(Fault::BrokenJson) => Response {
            body: br#"{"id": "chatcmpl-1", "object": "chat.compl"#.to_vec(),
            ..Response::json(200, &Value::Null)
        },
        _ => Response::json(200, &completion(state, body, user, fault)),
    }
}

fn completion(state: &State, body: &Value, user: &str, fault: Option<Fault>) -> Value {
    let wants_object = body["response_format"]["type"] == "json_schema";
    let text = if wants_object {
        written_answer(user, fault).to_string()
    } else {
        "The left knee bends most.".to_owned()
    };
    let (content, refusal, finish_reason) = match fault {
        Some(Fault::Refusal) => (
            Value::Null,
            json!("I'm sorry, I can't help with that."),
            "stop",
        ),
        Some(Fault::Truncated) => (json!(text[..text.len() / 2]), Value::Null, "length"),
        Some(Fault::Prose) => (
            json!("Here is the example you asked for."),
            Value::Null,
            "stop",
        ),
        _ => (json!(text), Value::Null, "stop"),
    };
    let (prompt_tokens, completion_tokens) = (body.to_string().len() / 4, text.len() / 4);
    json!({
        "id": state.id("chatcmpl-"),
        "object": "chat.completion",
        "created": now(),
        "model": body["model"],
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": refusal, "annotations": []},
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": null,
    })
}

fn upload(state: &State, request: &Request) -> Response {
    let content_type = request
        .headers
        .get("content-type")
        .cloned()
        .unwrap_or_default();
    let Some((_, boundary)) = content_type.split_once("boundary=") else {
        return openai_invalid("Expected a multipart form.", "file", Value::Null);
    };
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let mut purpose = None;
    let mut file = None;
    for part in body.split(&format!("--{}", boundary.trim_matches('"'))) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        if head.contains("name=\"purpose\"") {
            purpose = Some(content.to_owned());
        } else if head.contains("name=\"file\"") && head.contains("filename=") {
            file = Some(content.to_owned());
        }
    }
    let (Some("batch"), Some(file)) = (purpose.as_deref(), file) else {
        return openai_invalid(
            "Missing required parameter: 'file' or 'purpose'.",
            "file",
            json!("missing_required_parameter"),
        );
    };
    let id = state.id("file-");
    let bytes = file.len();
    state.memory().files.insert(id.clone(), file.into_bytes());
    Response::json(
        200,
        &json!({"id": id, "object": "file", "bytes": bytes, "created_at": now(), "filename": "requests.jsonl", "purpose": "batch", "status": "processed", "status_details": null, "expires_at": null}),
    )
}

fn create_openai_batch(state: &State, request: &Request) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if body["endpoint"] != "/v1/chat/completions" || body["completion_window"] != "24h" {
        return openai_invalid(
            "Invalid value: endpoint or completion_window.",
            "endpoint",
            json!("invalid_value"),
        );
    }
    let file = state
        .memory()
        .files
        .get(body["input_file_id"].as_str().unwrap_or_default())
        .cloned();
    let Some(file) = file else {
        return openai_invalid("Invalid file id.", "input_file_id", json!("invalid_value"));
    };
    let mut items = Vec::new();
    for line in String::from_utf8_lossy(&file).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let is_request = line["method"] == "POST"
            && line["url"] == "/v1/chat/completions"
            && line["custom_id"].is_string();
        if !is_request || line["custom_id"].as_str().is_some_and(|id| id.len() > 64) {
            return openai_invalid(
                "The batch input file is invalid.",
                "input_file_id",
                json!("invalid_jsonl"),
            );
        }
        items.push((
            line["custom_id"].as_str().unwrap_or_default().to_owned(),
            line["body"].clone(),
        ));
    }
    let id = state.id("batch_");
    let batch = Batch {
        items,
        polls: 0,
        metadata: body["metadata"].clone(),
        created: now(),
    };
    state.memory().batches.push((id.clone(), batch));
    match openai_batch(state, &id, false) {
        Some(batch) => Response::json(200, &batch),
        None => openai_not_found("/v1/batches"),
    }
}

fn openai_batch(state: &State, id: &str, is_poll: bool) -> Option<Value> {
    let (items, polls, metadata, created) = {
        let mut memory = state.memory();
        let (_, batch) = memory.batches.iter_mut().find(|(known, _)| known == id)?;
        batch.polls += u32::from(is_poll);
        (
            batch.items.clone(),
            batch.polls,
            batch.metadata.clone(),
            batch.created,
        )
    };
    let is_done = polls > state.behaviour.polls_before_done;
    let failing = &state.behaviour.failing_items;
    let failed = items
        .iter()
        .enumerate()
        .filter(|(i, _)| failing.contains(i))
        .count();
    let mut files = [Value::Null, Value::Null];
    if is_done {
        let (mut output, mut errors) = (String::new(), String::new());
        for (index, (custom_id, body)) in items.iter().enumerate() {
            let user = body["messages"][1]["content"].as_str().unwrap_or_default();
            let complaint = openai_complaint(body);
            if complaint.is_some() || failing.contains(&index) {
                // Failed and expired items take turns.
                let line = if index % 2 == 0 {
                    json!({"id": state.id("batch_req_"), "custom_id": custom_id, "response": {"status_code": 500, "request_id": state.id("req_"), "body": {"error": {"message": "The server had an error", "type": "server_error", "param": null, "code": null}}}, "error": null})
                } else {
                    json!({"id": state.id("batch_req_"), "custom_id": custom_id, "response": null, "error": {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}})
                };
                errors += &format!("{line}\n");
            } else {
                let body = completion(state, body, user, None);
                let line = json!({"id": state.id("batch_req_"), "custom_id": custom_id, "response": {"status_code": 200, "request_id": state.id("req_"), "body": body}, "error": null});
                output += &format!("{line}\n");
            }
        }
        for (slot, (name, text)) in files
            .iter_mut()
            .zip([("output", output), ("errors", errors)])
        {
            if !text.is_empty() {
                let file = format!("file-{name}-{id}");
                state.memory().files.insert(file.clone(), text.into_bytes());
                *slot = json!(file);
            }
        }
    }
    let completed = if is_done { items.len() - failed } else { 0 };
    Some(json!({
        "id": id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": null,
        "input_file_id": "file-input",
        "completion_window": "24h",
        "status": if is_done { "completed" } else { "in_progress" },
        "output_file_id": files[0],
        "error_file_id": files[1],
        "created_at": created,
        "in_progress_at": created,
        "expires_at": created + 86_400,
        "completed_at": if is_done { json!(created) } else { Value::Null },
        "request_counts": {"total": items.len(), "completed": completed, "failed": if is_done { failed } else { 0 }},
        "metadata": metadata,
    }))
}

// Anthropic.

fn anthropic_error(state: &State, status: u16, kind: &str, message: &str) -> Response {
    let error = json!({"type": kind, "message": message});
    let request_id = state.id("req_");
    Response::json(
        status,
        &json!({"type": "error", "error": error, "request_id": request_id}),
    )
}

fn anthropic(state: &State, request: &Request, path: &str) -> Response {
    // The documentation sends the key as x-api-key, the official library as a bearer's.
    let bearer = request
        .headers
        .get("authorization")
        .and_then(|header| header.strip_prefix("Bearer "));
    let given = request
        .headers
        .get("x-api-key")
        .map(String::as_str)
        .or(bearer);
    match given {
        Some(KEY) => {}
        Some(key) => {
            let message = if state.behaviour.echoes_key {
                format!("invalid x-api-key: {key}")
            } else {
                "invalid x-api-key".into()
            };
            return anthropic_error(state, 401, "authentication_error", &message);
        }
        None => {
            return anthropic_error(
                state,
                401,
                "authentication_error",
                "x-api-key header is required",
            );
        }
    }
    // The version that posedata is written for, and the one of the official library.
    let version = request.headers.get("anthropic-version").map(String::as_str);
    if !matches!(version, Some("2023-06-01" | "2026-10-21")) {
        return anthropic_error(
            state,
            400,
            "invalid_request_error",
            "anthropic-version: header is required",
        );
    }
    let body: Option<Value> = serde_json::from_slice(&request.body).ok();
    match (request.method.as_str(), path, body) {
        ("POST", "/v1/messages", Some(body)) => messages(state, &body),
        ("POST", "/v1/messages/batches", Some(body)) => create_anthropic_batch(state, &body),
        ("POST", _, None) => anthropic_error(
            state,
            400,
            "invalid_request_error",
            "The request body is not valid JSON",
        ),
        ("GET", "/v1/messages/batches", _) => {
            let ids: Vec<String> = state
                .memory()
                .batches
                .iter()
                .map(|(id, _)| id.clone())
                .collect();
            let data: Vec<Value> = ids
                .iter()
                .filter_map(|id| anthropic_batch(state, id, false))
                .collect();
            Response::json(
                200,
                &json!({"data": data, "has_more": false, "first_id": null, "last_id": null}),
            )
        }
        ("GET", path, _) => {
            let id = path.trim_start_matches("/v1/messages/batches/");
            if let Some(id) = id.strip_suffix("/results") {
                return anthropic_results(state, id);
            }
            match anthropic_batch(state, id, true) {
                Some(batch) => Response::json(200, &batch),
                None => anthropic_error(state, 404, "not_found_error", "Not found"),
            }
        }
        _ => anthropic_error(state, 404, "not_found_error", "Not found"),
    }
}

/// Status, type and message of what is wrong with a request for a message.
fn anthropic_complaint(body: &Value) -> Option<(u16, &'static str, String)> {
    const KNOWN: [&str; 11] = [
        "model",
        "max_tokens",
        "system",
        "messages",
        "tools",
        "tool_choice",
        "temperature",
        "output_config",
        "stream",
        "metadata",
        "thinking",
    ];
    let invalid = |message: String| Some((400, "invalid_request_error", message));
    let members = body.as_object()?;
    if let Some(unknown) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return invalid(format!("{unknown}: Extra inputs are not permitted"));
    }
    for required in ["model", "max_tokens", "messages"] {
        if body.get(required).is_none() {
            return invalid(format!("{required}: Field required"));
        }
    }
    if body["max_tokens"].as_u64().is_none_or(|n| n == 0) {
        return invalid("max_tokens: Input should be greater than or equal to 1".into());
    }
    let model = body["model"].as_str().unwrap_or_default();
    if !CLAUDE_MODELS.contains(&model) {
        return Some((404, "not_found_error", format!("model: {model}")));
    }
    let is_new = model.ends_with("-5-5");
    if is_new
        && ["tool", "any"]
            .iter()
            .any(|kind| body["tool_choice"]["type"] == *kind)
    {
        return invalid("tool_choice: forced tool use is not supported by this model".into());
    }
    if is_new && body.get("temperature").is_some() {
        return invalid("temperature: not supported by this model".into());
    }
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    if messages.is_empty() {
        return invalid("messages: at least one message is required".into());
    }
    if messages
        .iter()
        .any(|m| m["role"] != "user" && m["role"] != "assistant")
    {
        return invalid("messages.0.role: Input should be 'user' or 'assistant'".into());
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        if !tool["name"].is_string() || tool["input_schema"]["type"] != "object" {
            return invalid("tools.0.custom.input_schema.type: Field required".into());
        }
    }
    None
}

fn messages(state: &State, body: &Value) -> Response {
    if let Some((status, kind, message)) = anthropic_complaint(body) {
        return anthropic_error(state, status, kind, &message);
    }
    let user = anthropic_user(body);
    let fault = state.fault(&user);
    if fault.is_none() {
        state.wait_at_gate();
    }
    let mut response = match fault {
        Some(Fault::TooManyRequests) => {
            let message = "This request would exceed your organization's rate limit of 50 requests per minute.";
            let mut response = anthropic_error(state, 429, "rate_limit_error", message);
            response.headers.push(("retry-after", "0".into()));
            response
        }
        Some(Fault::OutOfCredits) => anthropic_error(
            state,
            402,
            "billing_error",
            "Your credit balance is too low to access the Anthropic API.",
        ),
        Some(Fault::ServerError) => {
            anthropic_error(state, 500, "api_error", "Internal server error")
        }
        Some(Fault::Unavailable) => anthropic_error(state, 503, "api_error", "Service unavailable"),
        Some(Fault::Overloaded) => anthropic_error(state, 529, "overloaded_error", "Overloaded"),
        Some(Fault::BrokenJson) => Response {
            body: br#"{"id": "msg_1", "type": "mess"#.to_vec(),
            ..Response::json(200, &Value::Null)
        },
        _ => Response::json(200, &message(state, body, &user, fault)),
    };
    response.fault = fault;
    state.note(Seen {
        path: "/v1/messages".into(),
        system: body["system"].as_str().unwrap_or_default().into(),
        user,
        model: body["model"].as_str().unwrap_or_default().into(),
        max_tokens: body["max_tokens"].as_u64().unwrap_or(0) as u32,
        fault,
        status: response.status,
    });
    response
}

fn anthropic_user(body: &Value) -> String {
    let content = &body["messages"][0]["content"];
    let block = content[0]["text"].as_str();
    content.as_str().or(block).unwrap_or_default().to_owned()
}

fn message(state: &State, body: &Value, user: &str, fault: Option<Fault>) -> Value {
    let answer = written_answer(user, fault);
    let tool = &body["tools"][0]["name"];
    let text = |text: &str| json!([{"type": "text", "text": text, "citations": null}]);
    let (content, stop_reason) = match fault {
        Some(Fault::Refusal) => (text("I can't help with that."), "refusal"),
        Some(Fault::Truncated) => (
            json!([{"type": "tool_use", "id": state.id("toolu_"), "name": tool, "input": {}}]),
            "max_tokens",
        ),
        Some(Fault::Prose) => (text("Here is the example you asked for."), "end_turn"),
        _ if tool.is_null() => (text("The left knee bends most."), "end_turn"),
        _ => (
            json!([{"type": "tool_use", "id": state.id("toolu_"), "name": tool, "input": answer, "caller": {"type": "direct"}}]),
            "tool_use",
        ),
    };
    json!({
        "id": state.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {
            "input_tokens": body.to_string().len() / 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answer.to_string().len() / 4,
            "service_tier": "standard",
        },
    })
}

fn create_anthropic_batch(state: &State, body: &Value) -> Response {
    let requests = body["requests"].as_array().cloned().unwrap_or_default();
    let is_id = |id: &str| {
        !id.is_empty()
            && id.len() <= 64
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if requests.is_empty()
        || !requests
            .iter()
            .all(|r| r["custom_id"].as_str().is_some_and(is_id) && r["params"].is_object())
    {
        return anthropic_error(
            state,
            400,
            "invalid_request_error",
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        );
    }
    let items = requests
        .iter()
        .map(|r| {
            (
                r["custom_id"].as_str().unwrap_or_default().to_owned(),
                r["params"].clone(),
            )
        })
        .collect();
    let id = state.id("msgbatch_");
    let batch = Batch {
        items,
        polls: 0,
        metadata: Value::Null,
        created: now(),
    };
    state.memory().batches.push((id.clone(), batch));
    Response::json(200, &anthropic_batch(state, &id, false).unwrap_or_default())
}

fn anthropic_batch(state: &State, id: &str, is_poll: bool) -> Option<Value> {
    let (count, polls) = {
        let mut memory = state.memory();
        let (_, batch) = memory.batches.iter_mut().find(|(known, _)| known == id)?;
        batch.polls += u32::from(is_poll);
        (batch.items.len(), batch.polls)
    };
    let is_done = polls > state.behaviour.polls_before_done;
    let failed = (0..count)
        .filter(|i| state.behaviour.failing_items.contains(i))
        .count();
    let date = "2026-11-20T10:00:00Z";
    let url = format!("http://{}/v1/messages/batches/{id}/results", state.address);
    Some(json!({
        "id": id,
        "type": "message_batch",
        "processing_status": if is_done { "ended" } else { "in_progress" },
        "request_counts": {
            "processing": if is_done { 0 } else { count },
            "succeeded": if is_done { count - failed } else { 0 },
            "errored": if is_done { failed } else { 0 },
            "canceled": 0,
            "expired": 0,
        },
        "created_at": date,
        "expires_at": "2026-11-21T10:00:00Z",
        "ended_at": if is_done { json!(date) } else { Value::Null },
        "archived_at": null,
        "cancel_initiated_at": null,
        "results_url": if is_done { json!(url) } else { Value::Null },
    }))
}

fn anthropic_results(state: &State, id: &str) -> Response {
    let items = {
        let memory = state.memory();
        let found = memory.batches.iter().find(|(known, _)| known == id);
        found.map(|(_, batch)| batch.items.clone())
    };
    let Some(items) = items else {
        return anthropic_error(state, 404, "not_found_error", "Not found");
    };
    let mut lines = String::new();
    // Results come in any order.
    for (index, (custom_id, body)) in items.iter().enumerate().rev() {
        let result = if state.behaviour.failing_items.contains(&index) {
            if index % 2 == 0 {
                json!({"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}, "request_id": null}})
            } else {
                json!({"type": "expired"})
            }
        } else if let Some((_, kind, message)) = anthropic_complaint(body) {
            json!({"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": message}, "request_id": null}})
        } else {
            json!({"type": "succeeded", "message": message(state, body, &anthropic_user(body), None)})
        };
        lines += &format!("{}\n", json!({"custom_id": custom_id, "result": result}));
    }
    Response {
        body: lines.into_bytes(),
        content_type: "application/x-jsonl",
        ..Response::json(200, &Value::Null)
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// A question and an answer about the table of a prompt, different for different prompts.
fn written_answer(user: &str, fault: Option<Fault>) -> Value {
    let data = user
        .split_once(DATA_BEGIN)
        .and_then(|(_, rest)| rest.split_once(DATA_END));
    let (tables, _) = table::of_text(data.map_or("", |(data, _)| data));
    let choice = number_of(user) as usize;
    let Some(table) = tables.first() else {
        return json!({"question": "Which knee bends more in this clip?", "answer": "The left knee bends more than the right one."});
    };
    let is_measured =
        |name: &str| unit_of_column(name).is_some_and(|(unit, _)| unit.quantity == Quantity::Angle);
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|column| is_measured(&column.name))
        .collect();
    let column = columns[choice % columns.len()];
    let frames = table
        .columns
        .iter()
        .find(|column| column.name == "frame")
        .expect("frames");
    let value = |cell: &Cell| match cell {
        Cell::Number(value) => *value,
        _ => panic!("the tests' tables have no gaps"),
    };
    let row = (choice / 7) % table.row_count();
    let name = column.name.trim_end_matches("_deg").replace('_', " ");
    let values = column.numbers();
    let frame = value(&frames.cells[row]);
    let offset = if fault == Some(Fault::WrongNumber) {
        400.5
    } else {
        0.0
    };
    let (question, answer) = match (choice / 3) % 4 {
        0 => (
            format!("What is the angle of the {name} in frame {frame}?"),
            format!(
                "In frame {frame} the {name} is at {:.1} degrees.",
                values[row] + offset
            ),
        ),
        1 => {
            let most = values.iter().copied().fold(f64::MIN, f64::max);
            (
                format!("How far does the {name} open in the frames up to {frame} and after?"),
                format!(
                    "The {name} is at {:.1} degrees at its most open in the table.",
                    most + offset
                ),
            )
        }
        2 => {
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            (
                format!("How far does the {name} bend, if frame {frame} is counted as well?"),
                format!(
                    "The smallest angle of the {name} in the table is {:.1} degrees.",
                    least + offset
                ),
            )
        }
        _ => {
            let last = value(&frames.cells[values.len() - 1]);
            (
                format!("How does the {name} change between frame {frame} and frame {last}?"),
                format!(
                    "The {name} goes from {:.1} degrees in frame {frame} to {:.1} degrees in frame {last}.",
                    values[row] + offset,
                    values[values.len() - 1]
                ),
            )
        }
    };
    json!({"question": question, "answer": answer})
}
