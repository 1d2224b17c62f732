//! Files that web servers have. Nothing is sent to them but the request.

use std::time::Duration;

use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MATCH, RANGE,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use url::Url;

use super::address::{Address, is_confidential};
use super::error::{StoreError, chain};
use super::file::{RemoteFile, Sink};
use super::waiting::{STALLED, runtime, unless_cancelled};
use crate::sync::Cancellation;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 10;
/// Asks for the least that tells of the whole.
const FIRST_BYTE: &str = "bytes=0-0";

/// Size and mark of a file, as the server tells of them.
///
/// Addresses that are signed are often signed for reading alone, and some servers know no HEAD; they
/// are asked for the first byte.
pub(super) fn look(url: &Url, cancellation: &Cancellation) -> Result<RemoteFile, StoreError> {
    let looked = async {
        let client = client(url)?;
        let told = sent(url, client.request(Method::HEAD, url.clone())).await?;
        let answer = match told.status().is_success() {
            true => told,
            false => {
                let first_byte = client.get(url.clone()).header(RANGE, FIRST_BYTE);
                well(url, sent(url, first_byte).await?)?
            }
        };
        Ok(RemoteFile {
            address: Address::Web(url.clone()),
            byte_size: whole_size(&answer),
            etag: text(answer.headers(), &ETAG),
        })
    };
    block_on(url, cancellation, looked)
}

/// Reads a file, which must be the one that `file` tells of.
pub(super) fn fetch(
    url: &Url,
    file: &RemoteFile,
    sink: &mut Sink<'_>,
    cancellation: &Cancellation,
) -> Result<(), StoreError> {
    let fetched = async {
        let mut request = client(url)?.get(url.clone());
        // A weak mark matches nothing here (RFC 9110, 13.1.1).
        if let Some(etag) = file.etag.as_ref().filter(|etag| !etag.starts_with("W/")) {
            request = request.header(IF_MATCH, etag);
        }
        let mut answer = well(url, sent(url, request).await?)?;
        let etag = text(answer.headers(), &ETAG);
        // Many servers do not know the condition, and answer with what they have.
        if let (Some(wanted), Some(found)) = (&file.etag, etag)
            && *wanted != found
        {
            let address = file.address.to_string();
            return Err(StoreError::Changed { address });
        }
        // What was said to HEAD may be about no content, or about another.
        if let Some(length) = answer.content_length() {
            sink.expect(length);
        }
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(|e| failed(url, &e.without_url()))?
        {
            sink.take(&bytes)?;
        }
        Ok(())
    };
    block_on(url, cancellation, fetched)
}

fn block_on<R>(
    url: &Url,
    cancellation: &Cancellation,
    work: impl Future<Output = Result<R, StoreError>>,
) -> Result<R, StoreError> {
    let runtime = runtime().map_err(|e| failed(url, &e))?;
    runtime.block_on(unless_cancelled(cancellation, work))
}

/// The length of the whole file, of an answer about all of it or about its first byte.
fn whole_size(answer: &Response) -> Option<u64> {
    let headers = answer.headers();
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => text(headers, &CONTENT_RANGE)?
            .rsplit('/')
            .next()?
            .parse()
            .ok(),
        _ => text(headers, &CONTENT_LENGTH)?.parse().ok(),
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn client(url: &Url) -> Result<Client, StoreError> {
    Client::builder()
        .user_agent(concat!("posedata/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(STALLED)
        .redirect(Policy::custom(redirect))
        .build()
        .map_err(|e| failed(url, &e))
}

/// A server sends on to where an address may lead, too, and nowhere else.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it is sent on and on");
    }
    match is_confidential(attempt.url()) {
        true => attempt.follow(),
        false => attempt.error("it is sent on to plain http, which all may read"),
    }
}

async fn sent(url: &Url, request: RequestBuilder) -> Result<Response, StoreError> {
    let answer = request.send().await;
    answer.map_err(|e| failed(url, &e.without_url()))
}

/// An answer with what was asked for.
fn well(url: &Url, answer: Response) -> Result<Response, StoreError> {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;
    use crate::store::test_server::{Request, serve};

    const CONTENT: &str = "frames of a video";

    /// A server of signed addresses, which are for reading alone, and of other things.
    fn answer(request: &Request, mut stream: TcpStream) {
        let is_head = request.method == "HEAD";
        let (status, headers, body) = match request.path.as_str() {
            "/signed" if is_head => ("403 Forbidden", String::new(), ""),
            "/signed" if request.header("range") == FIRST_BYTE => (
                "206 Partial Content",
                format!(
                    "ETag: \"e1\"\r\nContent-Range: bytes 0-0/{}\r\n",
                    CONTENT.len()
                ),
                &CONTENT[..1],
            ),
            // The condition is not known here.
            "/signed" | "/empty-head" if !is_head => ("200 OK", "ETag: \"e1\"\r\n".into(), CONTENT),
            "/empty-head" => ("200 OK", "ETag: \"e1\"\r\n".into(), ""),
            "/away" => (
                "302 Found",
                "Location: http://192.0.2.1/a.mp4\r\n".into(),
                "",
            ),
            _ => ("404 Not Found", String::new(), ""),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(if is_head { b"" } else { body.as_bytes() });
    }

    fn url(path: &str) -> Url {
        Url::parse(&format!("{}{path}", serve(answer))).expect("an address")
    }

    fn fetched(url: &Url, file: &RemoteFile) -> Result<String, StoreError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        let mut sink = Sink::create(&path, file)?;
        fetch(url, file, &mut sink, &Cancellation::new())?;
        sink.finish()?;
        Ok(std::fs::read_to_string(path).expect("a text"))
    }

    #[test]
    fn addresses_that_are_signed_for_reading_alone_can_be_read() {
        let url = url("/signed");
        let file = look(&url, &Cancellation::new()).expect("it is there");
        assert_eq!(file.byte_size, Some(CONTENT.len() as u64));
        assert_eq!(file.etag.as_deref(), Some("\"e1\""));
        assert_eq!(fetched(&url, &file).expect("it is read"), CONTENT);
    }

    #[test]
    fn what_is_sent_counts_and_not_what_was_said_before() {
        let url = url("/empty-head");
        let file = look(&url, &Cancellation::new()).expect("it is there");
        assert_eq!(fetched(&url, &file).expect("it is read"), CONTENT);
        let other = RemoteFile {
            etag: Some("\"e0\"".into()),
            ..file
        };
        let changed = fetched(&url, &other);
        assert!(
            matches!(changed, Err(StoreError::Changed { .. })),
            "{changed:?}"
        );
    }

    #[test]
    fn nobody_is_sent_on_to_where_all_may_read() {
        let refused = look(&url("/away"), &Cancellation::new()).expect_err("it is refused");
        assert!(refused.to_string().contains("plain http"), "{refused}");
        let missing = look(&url("/missing"), &Cancellation::new());
        assert!(matches!(missing, Err(StoreError::Missing { .. })));
    }
}
