//! The name of one request in logs, error bodies and `x-request-id`.
//!
//! Decides which ids from outside are kept. Making new ones is the ingress's work,
//! because it needs a clock and randomness.
//!
//! **Invariant:** an id is safe in a header, a log line and a URL.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id in bytes: a caller's id is repeated in every log line of its request.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// An id of 1 to 128 letters, digits, `.`, `_`, `:` and `-`. Cheap to clone: much holds on to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Arc<str>);

/// Why a text is not a request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "request id `{}` is not 1 to {REQUEST_ID_BYTES_MAX} letters, digits, `.`, `_`, `:` and `-`", .text.escape_debug()
)]
pub struct RequestIdError {
    /// The text.
    text: String,
}

impl RequestId {
    /// The id that a caller sent, if it is harmless; `None` asks for a new one.
    pub fn keep(text: &str) -> Option<Self> {
        is_harmless(text).then(|| Self(text.into()))
    }

    /// The id that the ingress made, such as a UUID; `None` if it is not one.
    pub fn new(text: String) -> Option<Self> {
        is_harmless(&text).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text that many share.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl TryFrom<String> for RequestId {
    type Error = RequestIdError;

    fn try_from(text: String) -> Result<Self, RequestIdError> {
        Self::keep(&text).ok_or(RequestIdError { text })
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for RequestId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn is_harmless(text: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|found| found.is_ascii_alphanumeric() || b".:_-".contains(&found))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_ids_that_are_safe_everywhere() {
        assert!(RequestId::keep("0198f3a2-7c4e-7d1b-9e55-0242ac120002").is_some());
        assert!(RequestId::keep("Root=1:2.3_4").is_none());
        assert!(RequestId::keep("a\r\nset-cookie: x").is_none());
        assert!(RequestId::keep("").is_none());
        assert!(RequestId::keep(&"a".repeat(128)).is_some());
        assert!(RequestId::keep(&"a".repeat(129)).is_none());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_kept_unchanged(text in "[A-Za-z0-9._:-]{1,128}") {
            let kept = RequestId::keep(&text);
            prop_assert_eq!(kept.as_ref().map(RequestId::as_str), Some(text.as_str()));
            prop_assert_eq!(RequestId::new(text), kept);
        }
    }
}
