//! The page, its files, and what every answer says to the browser.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Refusal;
use super::answer::{set, tagged};
use super::assets;
use super::problem::Problem;
use super::viewer::Viewer;

/// Nothing but what comes from this server, and no script or style within a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // The address may have the token.
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=()",
    ),
];

const PAGE_PATH: &str = "/";
const API_PREFIX: &str = "/api/";

/// Lets nobody pass who was not let in.
pub async fn guard(State(viewer): State<Arc<Viewer>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&viewer, &request) {
        Ok(None) => next.run(request).await,
        Ok(Some(response)) => response,
        Err(refusal) => refused(refusal, request.uri()),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let headers = response.headers_mut();
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The answer to a request with the token, or none for a request that may pass.
fn admit(viewer: &Viewer, request: &Request) -> Result<Option<Response>, Refusal> {
    let (headers, uri) = (request.headers(), request.uri());
    // Whoever writes a host into the address itself asks a proxy, which this is not.
    if uri.authority().is_some() {
        return Err(Refusal::Host);
    }
    let is_page = uri.path() == PAGE_PATH && request.method() == Method::GET;
    let token = token(uri).filter(|_| is_page);
    viewer.access.check_site(headers, token.is_some())?;
    let has_cookie = viewer.access.check_cookie(headers);
    let Some(token) = token else {
        return has_cookie.map(|()| None);
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    if has_cookie.is_err() {
        let cookie = viewer.access.exchange(&token)?;
        set(&mut response, SET_COOKIE, &cookie);
    }
    // What stands behind the # stays: the browser puts it there again.
    set(&mut response, LOCATION, PAGE_PATH);
    Ok(Some(response))
}

fn token(uri: &Uri) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, token) = pairs.find(|(name, _)| name == "token")?;
    Some(token.into_owned())
}

fn refused(refusal: Refusal, uri: &Uri) -> Response {
    if uri.path().starts_with(API_PREFIX) {
        return Problem::from(refusal).into_response();
    }
    let (message, remedy) = (refusal.message(), refusal.remedy());
    // Constant texts: nothing of the request is in them.
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>posedata</title>\n\
         <h1>posedata view</h1>\n<p>Refused: {message}.</p>\n<p>What to do: {}.</p></html>\n",
        remedy.replace('`', "")
    );
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    (StatusCode::FORBIDDEN, [(CONTENT_TYPE, html)], page).into_response()
}

/// `index.html`.
pub async fn page(headers: HeaderMap) -> Response {
    file(&headers, assets::INDEX)
}

/// A file of the page.
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&headers, &name)
}

fn file(headers: &HeaderMap, name: &str) -> Response {
    match assets::find(name) {
        Some(asset) => {
            let bytes = Bytes::from_static(asset.bytes);
            tagged(headers, asset.media_type, &asset.etag, bytes)
        }
        None => Problem::missing("there is no such file").into_response(),
    }
}
