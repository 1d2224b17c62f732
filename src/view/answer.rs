//! Answers: JSON, bytes, and files in parts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;

use super::ranges::Part;

/// Bytes that are read from a file at once.
const PIECE_BYTES: u64 = 256 << 10;
const JSON: &str = "application/json";
/// Browsers ask each time whether what they have is still right.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// A value with its type.
pub fn json_body(value: &Value) -> Response {
    bytes(JSON, value.to_string().into())
}

/// Bytes with their type.
pub fn bytes(media_type: &'static str, bytes: Bytes) -> Response {
    let media_type = HeaderValue::from_static(media_type);
    ([(CONTENT_TYPE, media_type)], Body::from(bytes)).into_response()
}

/// A mark that changes with the content.
pub fn etag_of(content: &[u8]) -> String {
    /// As many as no two contents of one name share.
    const DIGITS: usize = 32;
    format!("\"{}\"", &blake3::hash(content).to_hex()[..DIGITS])
}

/// Bytes that the browser keeps as long as they have this mark; 304 where it has them already.
pub fn tagged(
    headers: &HeaderMap,
    media_type: &'static str,
    etag: &str,
    content: Bytes,
) -> Response {
    let mut response = match has(headers, etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => bytes(media_type, content),
    };
    set(&mut response, ETAG, etag);
    response.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    response
}

/// JSON that the browser keeps as long as it does not change.
pub fn tagged_json(headers: &HeaderMap, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("values of JSON's own types, keys are texts");
    let etag = etag_of(text.as_bytes());
    tagged(headers, JSON, &etag, text.into())
}

/// Sets a header, if the text can be one.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Makes the browser store the answer as a file of this name.
pub fn as_download(response: &mut Response, file_name: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let ascii: String = file_name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let encoded =
        percent_encoding::utf8_percent_encode(file_name, percent_encoding::NON_ALPHANUMERIC);
    let value = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
    set(response, CONTENT_DISPOSITION, &value);
}

fn has(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(','));
    known.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
    })
}

/// A file, or the part of it that is asked for.
pub fn file(
    headers: &HeaderMap,
    file: File,
    media_type: &'static str,
    etag: &str,
) -> io::Result<Response> {
    let size = file.metadata()?.len();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // Who has the beginning of another file gets the whole of this one.
    let is_same = text(IF_RANGE).is_none_or(|known| known == etag);
    let part = Part::of(text(RANGE).filter(|_| is_same), size);
    let mut response = match part {
        _ if has(headers, etag) => StatusCode::NOT_MODIFIED.into_response(),
        Part::Whole => {
            let mut response = Response::new(read_on(file, 0, size));
            set(&mut response, CONTENT_LENGTH, &size.to_string());
            response
        }
        Part::Bytes { first, last } => {
            let mut response = Response::new(read_on(file, first, last + 1));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(
                &mut response,
                CONTENT_LENGTH,
                &(last + 1 - first).to_string(),
            );
            let range = format!("bytes {first}-{last}/{size}");
            set(&mut response, CONTENT_RANGE, &range);
            response
        }
        Part::Unsatisfiable => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
            response
        }
    };
    set(&mut response, CONTENT_TYPE, media_type);
    set(&mut response, ETAG, etag);
    set(&mut response, ACCEPT_RANGES, "bytes");
    response.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    Ok(response)
}

/// The bytes from `first` to before `end`, piece by piece as the client takes them.
fn read_on(file: File, first: u64, end: u64) -> Body {
    let file = Arc::new(file);
    Body::from_stream(stream::unfold(first, move |position| {
        let file = Arc::clone(&file);
        async move {
            let count = PIECE_BYTES.min(end - position);
            if count == 0 {
                return None;
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(count).unwrap_or_default()];
                file.read_exact_at(&mut piece, position)?;
                Ok::<_, io::Error>(Bytes::from(piece))
            });
            let piece = read.await.map_err(io::Error::other).flatten();
            // An error ends the answer, and with it the connection.
            let next = if piece.is_ok() { position + count } else { end };
            Some((piece, next))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_downloads_are_no_headers_of_their_own() {
        let mut response = Response::new(Body::empty());
        as_download(&mut response, "a\"b\r\nX: y <script>é.csv");
        let value = response.headers()[CONTENT_DISPOSITION]
            .to_str()
            .expect("ASCII");
        assert_eq!(
            value,
            "attachment; filename=\"a_b__X__y__script__.csv\"; filename*=UTF-8''a%22b%0D%0AX%3A%20y%20%3Cscript%3E%C3%A9%2Ecsv"
        );
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let etag = etag_of(b"a");
        assert_ne!(etag, etag_of(b"b"));
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, value.parse().expect("a value"));
            tagged(&headers, "text/plain", &etag, Bytes::from_static(b"a")).status()
        };
        assert_eq!(with(&etag), StatusCode::NOT_MODIFIED);
        assert_eq!(with(&format!("\"x\", W/{etag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(with("\"x\""), StatusCode::OK);
    }
}
