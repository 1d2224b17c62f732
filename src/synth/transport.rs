//! Requests over HTTP: the only place of posedata that calls a network.
//!
//! Redirects are not followed: they would carry the key to whoever they name.

use std::io::Read;
use std::time::{Duration, SystemTime};

use reqwest::blocking::Client;
use reqwest::header::{HeaderName, HeaderValue};

use super::keys::Secret;
use super::retry::parse_retry_after;

/// More than any answer holds; what is longer did not come from a provider.
const MOST_BODY_BYTES: u64 = 1 << 30;

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAnswer {
    pub status: u16,
    pub body: Vec<u8>,
    pub retry_after: Option<Duration>,
    /// What the provider calls the request, for questions to its support.
    pub request_id: Option<String>,
}

/// Why there is no answer. Asking again makes sense in either case; whether the provider has worked,
/// and bills, is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("no answer within {0} s")]
    Timeout(u64),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl TransportError {
    /// Whether the request may have reached the provider.
    pub fn may_be_billed(&self) -> bool {
        !matches!(self, Self::Connect(_))
    }
}

/// A request's body.
pub enum Body {
    Json(Vec<u8>),
    /// Of this type.
    Other {
        content_type: String,
        bytes: Vec<u8>,
    },
}

/// A client of one server.
pub struct Transport {
    client: Client,
    base_url: String,
    headers: Vec<(&'static str, String)>,
    key: Option<Secret>,
    timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum TransportSetupError {
    #[error("cannot set up an HTTP client: {0}")]
    Client(String),
    #[error("expected an address that begins with http:// or https://: {0}")]
    Address(String),
}

impl Transport {
    /// `headers` go with every request; `timeout` is for all of a request and its answer.
    ///
    /// # Errors
    /// When the base address is none, or the system's certificates cannot be read.
    pub fn new(
        base_url: &str,
        headers: Vec<(&'static str, String)>,
        key: Option<Secret>,
        timeout: Duration,
    ) -> Result<Self, TransportSetupError> {
        if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
            return Err(TransportSetupError::Address(base_url.into()));
        }
        let client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(20)))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("posedata/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| TransportSetupError::Client(in_full(&e)))?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            headers,
            key,
            timeout,
        })
    }

    /// The text without the key.
    pub fn redact(&self, text: &str) -> String {
        match &self.key {
            Some(key) => key.redact(text),
            None => text.to_owned(),
        }
    }

    /// # Errors
    /// When there is no answer, or only a part of it.
    pub fn post(&self, path: &str, body: Body) -> Result<HttpAnswer, TransportError> {
        let (content_type, bytes) = match body {
            Body::Json(bytes) => ("application/json".to_owned(), bytes),
            Body::Other {
                content_type,
                bytes,
            } => (content_type, bytes),
        };
        let request = self
            .client
            .post(format!("{}{path}", self.base_url))
            .header("content-type", content_type)
            .body(bytes);
        self.send(request)
    }

    /// # Errors
    /// When there is no answer, or only a part of it.
    pub fn get(&self, path: &str) -> Result<HttpAnswer, TransportError> {
        self.send(self.client.get(format!("{}{path}", self.base_url)))
    }

    fn send(
        &self,
        request: reqwest::blocking::RequestBuilder,
    ) -> Result<HttpAnswer, TransportError> {
        let mut request = request.header("accept", "application/json");
        for (name, value) in &self.headers {
            // Only the key and a version are sent, and the key was checked when it was read.
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(true);
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        let response = request.send().map_err(|e| self.error(&e))?;
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let retry_after =
            header("retry-after").and_then(|value| parse_retry_after(&value, SystemTime::now()));
        let request_id = header("x-request-id").or_else(|| header("request-id"));
        let mut body = Vec::new();
        response
            .take(MOST_BODY_BYTES)
            .read_to_end(&mut body)
            .map_err(|e| self.read_error(&e))?;
        Ok(HttpAnswer {
            status,
            body,
            retry_after,
            request_id: request_id.map(|id| self.redact(&id)),
        })
    }

    fn error(&self, error: &reqwest::Error) -> TransportError {
        let reason = self.redact(&in_full(error));
        if error.is_timeout() {
            TransportError::Timeout(self.timeout.as_secs())
        } else if error.is_connect() {
            TransportError::Connect(reason)
        } else {
            TransportError::Broken(reason)
        }
    }

    fn read_error(&self, error: &std::io::Error) -> TransportError {
        let inner = error
            .get_ref()
            .and_then(|e| e.downcast_ref::<reqwest::Error>());
        let is_timeout = error.kind() == std::io::ErrorKind::TimedOut
            || inner.is_some_and(reqwest::Error::is_timeout);
        if is_timeout {
            TransportError::Timeout(self.timeout.as_secs())
        } else {
            TransportError::Broken(self.redact(&in_full(error)))
        }
    }
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text += &format!(": {reason}");
        }
        cause = error.source();
    }
    text
}
