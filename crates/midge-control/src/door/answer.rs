//! Answers: JSON, and problems for everything else.
//!
//! A refusal travels to `around.rs` as an extension of its response; that one knows the request's
//! id, writes the body and logs the cause.
//!
//! **Invariant:** no refusal leaves the door with another body than a problem.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use midge_api::{ErrorCode, FunctionInfo, PROBLEM_TYPE, Problem};
use serde::Serialize;

use crate::ControlError;

/// What a handler gives.
pub(super) type Answer = Result<Response, Refused>;

/// Something that is not what was asked for.
#[derive(Debug, Clone)]
pub(super) struct Refused(Arc<Why>);

#[derive(Debug)]
struct Why {
    error: ControlError,
    retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        ControlError::new(code, detail).into()
    }

    /// A request that is not what the API document describes.
    pub(super) fn malformed(detail: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidRequest, detail.to_string())
    }

    /// Refused for now.
    pub(super) fn until(error: ControlError, retry_after: Duration) -> Self {
        let retry_after = Some(retry_after);
        Self(Arc::new(Why { error, retry_after }))
    }

    pub(super) fn code(&self) -> ErrorCode {
        self.0.error.code
    }

    /// What went wrong underneath, for the log alone.
    pub(super) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.0.error.source()
    }

    /// The response that the caller gets.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let ControlError {
            code,
            message,
            hint,
            ..
        } = &self.0.error;
        let problem = Problem {
            hint: hint.clone(),
            request_id: Some(request_id.to_owned()),
            ..Problem::new(*code, message)
        };
        let mut response = json(status(*code), &problem);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if *code == ErrorCode::Unauthenticated {
            let scheme = HeaderValue::from_static("Bearer realm=\"midge\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(retry_after) = self.0.retry_after {
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let retry_after = (status(error.code) == StatusCode::SERVICE_UNAVAILABLE)
            .then_some(Duration::from_secs(1));
        Self(Arc::new(Why { error, retry_after }))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = status(self.code()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The outcome of a write, so plain that it can be kept for whoever asks again.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) etag: Option<u64>,
    /// Whether the body may be kept; not with a token's text in it.
    pub(super) keeps: bool,
}

impl Reply {
    /// A body of the API document.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self {
            status,
            body: text(body),
            etag: None,
            keeps: true,
        }
    }

    /// A function after it has changed.
    pub(super) fn function(function: &FunctionInfo) -> Self {
        Self {
            etag: Some(function.version),
            ..Self::json(StatusCode::OK, function)
        }
    }

    /// It is done, and there is nothing to say about it.
    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: String::new(),
            etag: None,
            keeps: true,
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = if self.status == StatusCode::NO_CONTENT {
            self.status.into_response()
        } else {
            json_text(self.status, self.body)
        };
        if let Some(version) = self.etag {
            let etag = HeaderValue::try_from(format!("\"{version}\""));
            let etag = etag.expect("a number in quotes is a header value");
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// A body of the API document.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_text(status, text(body))
}

fn json_text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("the API's types are plain data with text keys")
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).expect("the table of codes has statuses")
}
