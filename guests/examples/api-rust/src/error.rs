//! What goes back when a request cannot be answered: a status, a stable code and a sentence.

use serde_json::{Value, json};
use wstd::http::{HeaderMap, StatusCode};

pub struct ApiError {
    pub status: StatusCode,
    /// The value of the header `Allow`.
    pub allow: Option<&'static str>,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }

    pub fn no_such_path(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-path",
            format!("nothing is at `{path}`"),
        )
    }

    pub fn no_such_size(name: &str) -> Self {
        let message = format!("`{name}` is not small, medium or large");
        Self::new(StatusCode::NOT_FOUND, "no-such-size", message)
    }

    pub fn method_not_allowed(methods: &'static str) -> Self {
        let message = format!("this path takes {methods}");
        let error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            message,
        );
        Self {
            allow: Some(methods),
            ..error
        }
    }

    pub fn unless_json(headers: &HeaderMap) -> Result<(), Self> {
        let value = headers
            .get("content-type")
            .and_then(|value| value.to_str().ok());
        match value.unwrap_or_default().split(';').next() {
            Some("application/json") => Ok(()),
            _ => Err(Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "send the header `content-type: application/json`".to_owned(),
            )),
        }
    }

    /// The text is not what the path takes; serde says where.
    pub fn malformed(error: serde_json::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", error.to_string())
    }

    pub fn body_lost(error: wstd::http::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body-lost", error.to_string())
    }

    /// The text is understood, a value in it is not acceptable.
    pub fn invalid(field: &str, reason: String) -> Self {
        let message = format!("`{field}`: {reason}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self {
            status,
            allow: None,
            code,
            message,
        }
    }
}
