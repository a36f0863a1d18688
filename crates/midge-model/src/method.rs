//! HTTP methods as people write them.
//!
//! Decides what is a slip and what is a method of somebody's own (`PURGE`, `PROPFIND`).
//! Which methods a route or a grant is about is theirs.

use http::Method;

use crate::suggest::nearest;

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
];

/// Why a text is not a method. To stand after what the method is of: "route `get /`".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MethodError {
    #[error("has the method `{0}`, write it in capital letters: `{1}`")]
    LowerCase(String, String),
    #[error("has the unknown method `{0}`, did you mean `{1}`?")]
    Misspelt(String, &'static str),
    #[error("has `{0}` where the method stands, write for example `GET`")]
    NotAMethod(String),
}

/// Reads a method.
pub(crate) fn parse(text: &str) -> Result<Method, MethodError> {
    let upper = text.to_ascii_uppercase();
    let allowed = |found: u8| found.is_ascii_alphabetic() || found == b'-';
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(MethodError::NotAMethod(text.escape_debug().to_string()));
    }
    if upper != text {
        return Err(MethodError::LowerCase(text.to_owned(), upper));
    }
    // Other methods exist; only what looks like a slip is refused.
    if !METHODS.contains(&text)
        && let Some(meant) = nearest(text, METHODS)
    {
        return Err(MethodError::Misspelt(text.to_owned(), meant));
    }
    Method::from_bytes(text.as_bytes())
        .map_err(|_| MethodError::NotAMethod(text.escape_debug().to_string()))
}
