//! The HTTP side: addresses, keys, streams of events.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::api::{ApiError, ChatRequest};
use super::engine::{Completion, Served};
use crate::random::SplitMix64;
use crate::secret::Secret;
use crate::sync::{Cancellation, lock};

/// Events that wait for a client which reads slowly.
const MAX_WAITING_EVENTS: usize = 64;
/// Hosts by which a browser or client on this machine may call it.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// How the server listens.
pub struct ServeOptions {
    /// 0: any that is free.
    pub port: u16,
    /// What clients must show; `None`: nothing.
    pub key: Option<Secret>,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Mostly another program that listens there.
    #[error("cannot listen on port {port} ({source}); give another --port")]
    Listen {
        /// As it was asked for.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses threads or sockets.
    #[error("the server failed")]
    Failed(#[from] io::Error),
}

struct Shared {
    /// Texts are generated one after the other.
    served: Arc<Mutex<Served>>,
    key: Option<Secret>,
    names: Vec<String>,
    tools: Vec<Value>,
}

/// Serves until `cancellation` says so; `on_ready` is told the address.
///
/// # Errors
/// When the port cannot be had, or the system refuses.
pub fn serve(
    served: Served,
    options: ServeOptions,
    cancellation: &Cancellation,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shared = Arc::new(Shared {
        names: served.names(),
        tools: served.tools(),
        served: Arc::new(Mutex::new(served)),
        key: options.key,
    });
    let router = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/tools", get(tools))
        .route("/v1/chat/completions", post(chat))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(shared);
    runtime.block_on(async move {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Listen {
            port: options.port,
            source,
        })?;
        on_ready(listener.local_addr()?);
        let (ended, mut end) = mpsc::channel::<()>(1);
        let _waiting = cancellation.on_cancel(move || {
            // Full means that the end is told already.
            let _ = ended.try_send(());
        });
        let shutdown = async move {
            let _ = end.recv().await;
        };
        axum::serve(listener, router)
            .with_graceful_shutdown(shutdown)
            .await?;
        Ok(())
    })
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let list = || {
        let models = shared.names.iter().map(|name| model_object(name));
        json!({"object": "list", "data": models.collect::<Vec<_>>()})
    };
    json_response(shared.admit(&headers).map(|()| list()))
}

async fn model(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = shared
        .admit(&headers)
        .and_then(|()| match shared.names.contains(&name) {
            true => Ok(model_object(&name)),
            false => Err(ApiError::no_model(&name, &shared.names)),
        });
    json_response(found)
}

fn model_object(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "posedata"})
}

async fn tools(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let list = || json!({"object": "list", "data": shared.tools});
    json_response(shared.admit(&headers).map(|()| list()))
}

async fn chat(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = shared.admit(&headers).and_then(|()| {
        let body = body.map_err(|rejection| ApiError {
            status: rejection.status(),
            message: rejection.body_text(),
            code: None,
        })?;
        serde_json::from_slice::<ChatRequest>(&body)
            .map_err(|error| ApiError::bad_request(format!("the request is wrong: {error}")))
    });
    let request = match request {
        Ok(request) => request,
        Err(error) => return json_response(Err(error)),
    };
    let head = Head::new(&request.model);
    let served = Arc::clone(&shared.served);
    if request.stream {
        return streamed(served, request, head).await;
    }
    let completed = tokio::task::spawn_blocking(move || {
        let completed =
            lock(&served).complete(&request, &head.id, &mut |_| ControlFlow::Continue(()));
        completed.map(|completion| head.whole(&completion))
    });
    json_response(completed.await.unwrap_or_else(|_| Err(failed())))
}

/// The answer in server-sent events. What is wrong with a request is told before the first of them.
async fn streamed(served: Arc<Mutex<Served>>, request: ChatRequest, head: Head) -> Response {
    let (sender, mut receiver) = mpsc::channel::<Result<String, ApiError>>(MAX_WAITING_EVENTS);
    tokio::task::spawn_blocking(move || {
        let send = |event: Value| sender.blocking_send(Ok(format!("data: {event}\n\n")));
        let mut has_begun = false;
        let completed = lock(&served).complete(&request, &head.id, &mut |piece| {
            let mut delta = json!({"content": piece});
            if !has_begun {
                has_begun = true;
                delta["role"] = "assistant".into();
            }
            // Whoever hung up has seen enough.
            match send(head.chunk(delta, None)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        match completed {
            Err(error) => drop(sender.blocking_send(Err(error))),
            Ok(completion) => {
                let delta = last_delta(&completion, has_begun);
                let _ = send(head.chunk(delta, Some(completion.finish_reason)));
                if request.wants_usage() {
                    let _ = send(head.usage_chunk(&completion));
                }
                let _ = sender.blocking_send(Ok("data: [DONE]\n\n".into()));
            }
        }
    });
    let first = match receiver.recv().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return json_response(Err(error)),
        None => return json_response(Err(failed())),
    };
    let events = stream::unfold(
        (Some(first), receiver),
        |(first, mut receiver)| async move {
            let event = match first {
                Some(first) => Some(first),
                None => receiver.recv().await.map(|event| match event {
                    Ok(event) => event,
                    Err(error) => format!("data: {}\n\n", error.json()),
                }),
            };
            event.map(|event| (Ok::<_, Infallible>(event), (None, receiver)))
        },
    );
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// What a stream says at its end beside why it ended: tools to call, which come in no pieces.
fn last_delta(completion: &Completion, has_begun: bool) -> Value {
    let mut delta = json!({});
    if let Some(calls) = completion.message["tool_calls"].as_array() {
        let indexed = calls.iter().enumerate().map(|(index, call)| {
            let mut call = call.clone();
            call["index"] = index.into();
            call
        });
        delta["tool_calls"] = indexed.collect();
    }
    if !has_begun {
        delta["role"] = "assistant".into();
    }
    delta
}

impl Shared {
    /// Whether a request may be answered: it was meant for this machine, and shows the key.
    fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        // A page whose name leads here must not read the lake (DNS rebinding).
        if !LOCAL_HOSTS.contains(&name) {
            return Err(ApiError {
                status: StatusCode::FORBIDDEN,
                message: "the server answers requests to localhost alone".into(),
                code: None,
            });
        }
        let Some(key) = &self.key else {
            return Ok(());
        };
        let shown = text(header::AUTHORIZATION).and_then(|v| v.strip_prefix("Bearer "));
        match shown.is_some_and(|shown| is_same(shown.as_bytes(), key.reveal().as_bytes())) {
            true => Ok(()),
            false => Err(ApiError {
                status: StatusCode::UNAUTHORIZED,
                message: "the key is missing or wrong".into(),
                code: Some("invalid_api_key"),
            }),
        }
    }
}

/// Compares in a time that depends on the lengths alone.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && difference == 0
}

/// What all parts of an answer begin with.
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn new(model: &str) -> Self {
        Self {
            id: format!("{:016x}", SplitMix64::of_process().next_u64()),
            created: unix_secs(),
            model: model.into(),
        }
    }

    fn whole(&self, completion: &Completion) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id),
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": completion.message,
                "logprobs": null,
                "finish_reason": completion.finish_reason,
            }],
            "usage": usage(completion),
        })
    }

    fn chunk(&self, delta: Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        self.chunk_of(json!([choice]))
    }

    fn usage_chunk(&self, completion: &Completion) -> Value {
        let mut chunk = self.chunk_of(json!([]));
        chunk["usage"] = usage(completion);
        chunk
    }

    fn chunk_of(&self, choices: Value) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.id),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}

fn unix_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn usage(completion: &Completion) -> Value {
    json!({
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
    })
}

async fn no_such_path() -> Response {
    not_here(StatusCode::NOT_FOUND)
}

async fn no_such_method() -> Response {
    not_here(StatusCode::METHOD_NOT_ALLOWED)
}

fn not_here(status: StatusCode) -> Response {
    json_response(Err(ApiError {
        status,
        message: "there are GET /v1/models, GET /v1/models/NAME, GET /v1/tools and POST /v1/chat/completions".into(),
        code: None,
    }))
}

fn failed() -> ApiError {
    ApiError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        message: "the request could not be worked on".into(),
        code: None,
    }
}

fn json_response(result: Result<Value, ApiError>) -> Response {
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (error.status, error.json()),
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, body.to_string()).into_response()
}
