//! Requests over HTTP: the only place of posedata that calls a network.
//!
//! Redirects are not followed: they would carry the key to whoever they name.

use std::io::Read;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::blocking::multipart::{Form, Part};
use reqwest::header::{HeaderName, HeaderValue};

use super::retry::parse_retry_after;
use crate::secret::Secret;

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
    /// A form with a file and what it is for.
    File {
        purpose: &'static str,
        name: String,
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
    #[error("expected an address that begins with https://, or http:// for this machine: {0}")]
    Address(String),
    #[error(
        "plain http shows key and data to everybody on the way and is for this machine only (localhost, 127.0.0.1, [::1]); use https://, or a tunnel that ends here: {0}"
    )]
    PlainHttp(String),
}

impl Transport {
    /// `headers` go with every request; `timeout` is for all of a request and its answer.
    ///
    /// # Errors
    /// When the base address is none, or of another machine without encryption, or the system's
    /// certificates cannot be read.
    pub fn new(
        base_url: &str,
        headers: Vec<(&'static str, String)>,
        key: Option<Secret>,
        timeout: Duration,
    ) -> Result<Self, TransportSetupError> {
        let address = Url::parse(base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| TransportSetupError::Address(base_url.into()))?;
        let is_here = is_loopback(&address);
        if address.scheme() == "http" && !is_here {
            return Err(TransportSetupError::PlainHttp(base_url.into()));
        }
        let builder = match is_here {
            // A proxy would take what stays on this machine, key included, out of it.
            true => Client::builder().no_proxy(),
            false => Client::builder(),
        };
        let client = builder
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
        let request = self.client.post(format!("{}{path}", self.base_url));
        let request = match body {
            Body::Json(bytes) => request
                .header("content-type", "application/json")
                .body(bytes),
            Body::File {
                purpose,
                name,
                bytes,
            } => {
                let file = Part::bytes(bytes).file_name(name);
                request.multipart(Form::new().text("purpose", purpose).part("file", file))
            }
        };
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

/// Whether an address can only be this machine's. `localhost` and what ends in it are never anybody
/// else's (RFC 6761, 6.3).
fn is_loopback(address: &Url) -> bool {
    let Some(host) = address.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open(base_url: &str) -> Result<(), TransportSetupError> {
        Transport::new(base_url, Vec::new(), None, Duration::from_secs(1)).map(|_| ())
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for here in [
            "http://localhost:8000/v1",
            "http://LOCALHOST",
            "http://models.localhost/v1",
            "http://127.0.0.1:9",
            "http://127.8.9.10",
            "http://[::1]:8000",
            "https://api.openai.com/v1",
            "https://192.168.1.5",
        ] {
            assert!(open(here).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://api.openai.com/v1",
            "http://192.168.1.5:8000",
            "http://localhost@evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://[::ffff:8.8.8.8]",
            "http://0.0.0.0:8000",
        ] {
            let is_refused = matches!(open(elsewhere), Err(TransportSetupError::PlainHttp(_)));
            assert!(is_refused, "{elsewhere}");
        }
        for wrong in [
            "",
            "localhost:8000",
            "file:///etc/passwd",
            "http://",
            "api.openai.com",
        ] {
            let is_refused = matches!(open(wrong), Err(TransportSetupError::Address(_)));
            assert!(is_refused, "{wrong}");
        }
    }
}
