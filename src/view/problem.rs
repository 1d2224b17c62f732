//! Why a request is not answered, as the page is told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::access::Refusal;
use super::answer::json_body;
use crate::export::annotation::AnnotationError;
use crate::ingest::SourceError;
use crate::lake::LakeError;
use crate::query::QueryError;
use crate::text::lines;
use crate::video::{DrawError, EncodeError, ProxyError, VideoError};

/// What went wrong, in the classes that `docs/view-api.md` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense, or its SQL is wrong or not allowed.
    BadRequest,
    /// Whoever asks was not let in.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// Another method is needed.
    MethodNotAllowed,
    /// The video's file is gone.
    FileMissing,
    /// The video's file is another one now.
    FileChanged,
    /// The video's file cannot be decoded.
    FileUnreadable,
    /// The proxy has to be made first.
    ProxyNotReady,
    /// More is asked for than one answer may have.
    TooLarge,
    /// Too many requests at once.
    Busy,
    /// Nobody waits for the answer, or the server ends.
    Cancelled,
    /// The lake, the disk or an encoder fails.
    Failed,
    /// The time limit is over.
    TooSlow,
}

impl Kind {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::FileMissing => (StatusCode::CONFLICT, "file_missing"),
            Self::FileChanged => (StatusCode::CONFLICT, "file_changed"),
            Self::FileUnreadable => (StatusCode::CONFLICT, "file_unreadable"),
            Self::ProxyNotReady => (StatusCode::CONFLICT, "proxy_not_ready"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
            Self::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "too_slow"),
        }
    }
}

/// An answer that tells what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its class.
    pub kind: Kind,
    /// What was wrong.
    pub message: String,
    /// What can be done about it.
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem without a remedy of its own.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
        }
    }

    /// The same with what can be done about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A request that makes no sense.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, message)
    }

    /// Something that is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// What nobody waits for any more.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "nobody waits for this answer any more")
    }

    fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(Kind::Failed, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(Kind::Forbidden, refusal.message()).with_remedy(refusal.remedy())
    }
}

impl From<LakeError> for Problem {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Cancelled => Self::cancelled(),
            LakeError::UnknownVideo { .. } => Self::missing("the lake has no such video"),
            error => Self::failed(&error),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Lake(error) => error.into(),
            // The command's option is of no use here.
            QueryError::Forbidden(what) => Self::bad(what)
                .with_remedy("run it with `posedata query --allow-external`, if you mean it"),
            QueryError::MissingParameter { name, meaning } => {
                Self::bad(format!("the query needs a value for ${name}{meaning}"))
            }
            QueryError::WrongParameter {
                name,
                value,
                expected,
            } => Self::bad(format!("${name} is {value}, which is not {expected}")),
            QueryError::Write { .. } | QueryError::Unreadable { .. } => Self::failed(&error),
            QueryError::Sql(_)
            | QueryError::BrokenDeclaration { .. }
            | QueryError::UnknownParameter { .. }
            | QueryError::Unwritable(_) => Self::bad(error.to_string()),
        }
    }
}

impl From<VideoError> for Problem {
    fn from(error: VideoError) -> Self {
        match error {
            VideoError::Stopped => Self::cancelled(),
            error => Self::new(Kind::FileUnreadable, error.to_string()),
        }
    }
}

impl From<EncodeError> for Problem {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Stopped => Self::cancelled(),
            // The command's option is of no use here.
            EncodeError::Encode { reason, .. } => {
                Self::new(Kind::Failed, format!("encoding failed ({reason})"))
            }
            error @ EncodeError::Write { .. } => Self::failed(&error),
        }
    }
}

impl From<DrawError> for Problem {
    fn from(error: DrawError) -> Self {
        Self::failed(&error)
    }
}

impl From<AnnotationError> for Problem {
    fn from(error: AnnotationError) -> Self {
        match error {
            AnnotationError::Draw(error) => error.into(),
            AnnotationError::Encode(error) => error.into(),
        }
    }
}

impl From<ProxyError> for Problem {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::Video(error) => error.into(),
            ProxyError::Encode(error) => error.into(),
            error @ ProxyError::OtherFrames { .. } => {
                Self::new(Kind::FileChanged, error.to_string())
            }
        }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Lake(error) => error.into(),
            SourceError::Video(error) => error.into(),
            SourceError::Gone { .. } => Self::new(Kind::FileMissing, error.to_string()),
            SourceError::Changed { .. } => Self::new(Kind::FileChanged, error.to_string()),
            SourceError::NotInLake { .. } => Self::missing(error.to_string()),
            SourceError::Store(_) | SourceError::Replay(_) => Self::failed(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind.parts();
        let message = lines(&self.message).into_owned();
        let mut error = json!({ "kind": kind, "message": message });
        if let Some(remedy) = self.remedy {
            error["remedy"] = remedy.into();
        }
        let mut response = (status, json_body(&json!({ "error": error }))).into_response();
        if self.kind == Kind::Busy {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
