//! Files that web servers have. Nothing is sent to them but the request.

use std::io::Read;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_LENGTH, ETAG, IF_MATCH};
use url::Url;

use super::address::Address;
use super::error::{StoreError, chain};
use super::file::{RemoteFile, Sink};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// A request that takes longer than this has broken down.
const LONGEST_FETCH: Duration = Duration::from_secs(6 * 60 * 60);
const BUFFER_BYTES: usize = 1 << 18;

/// Size and mark of a file, as the server tells of them.
pub(super) fn look(url: &Url) -> Result<RemoteFile, StoreError> {
    let answer = send(url, client(url)?.head(url.clone()))?;
    let header = |name| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    Ok(RemoteFile {
        address: Address::Web(url.clone()),
        byte_size: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        etag: header(ETAG),
    })
}

/// Reads a file, which must be the one that `file` tells of.
pub(super) fn fetch(url: &Url, file: &RemoteFile, sink: &mut Sink<'_>) -> Result<(), StoreError> {
    let mut request = client(url)?.get(url.clone());
    // A weak mark matches nothing here (RFC 9110, 13.1.1).
    if let Some(etag) = file.etag.as_ref().filter(|etag| !etag.starts_with("W/")) {
        request = request.header(IF_MATCH, etag);
    }
    let mut answer = send(url, request)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match answer.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => sink.take(&buffer[..count])?,
            Err(error) => return Err(failed(url, &error)),
        }
    }
}

fn client(url: &Url) -> Result<Client, StoreError> {
    Client::builder()
        .user_agent(concat!("posedata/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Large files take their time.
        .timeout(LONGEST_FETCH)
        .build()
        .map_err(|e| failed(url, &e))
}

fn send(url: &Url, request: reqwest::blocking::RequestBuilder) -> Result<Response, StoreError> {
    let answer = request.send().map_err(|e| failed(url, &e.without_url()))?;
    let status = answer.status();
    let address = || Address::Web(url.clone()).to_string();
    match status {
        _ if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(StoreError::Missing { address: address() }),
        StatusCode::PRECONDITION_FAILED => Err(StoreError::Changed { address: address() }),
        _ => Err(StoreError::Failed {
            address: address(),
            reason: format!("the server answers {status}"),
        }),
    }
}

fn failed(url: &Url, error: &(dyn std::error::Error + 'static)) -> StoreError {
    StoreError::Failed {
        address: Address::Web(url.clone()).to_string(),
        reason: chain(error),
    }
}
