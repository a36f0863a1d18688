//! One request as every contestant gets it, and what must come back.
//!
//! A figure about wrong answers says nothing, so the answer is part of the scenario: it is checked
//! before the first round and after the last one, and what the load generator can see (status,
//! errors, length) in every round.

use bytes::Bytes;

/// What is asked, again and again.
#[derive(Clone, Debug)]
pub struct Work {
    /// Path and query.
    pub path: String,
    /// A body to send, with its media type; without one it is a GET.
    pub body: Option<(Bytes, &'static str)>,
    /// What must come back.
    pub expect: Expect,
    /// Whether each request has a connection of its own.
    pub close: bool,
}

/// What a right answer is, besides status 200.
#[derive(Clone, Debug)]
pub enum Expect {
    /// This text is somewhere in the body.
    Contains(String),
    /// The body is exactly this.
    Exactly(Bytes),
}

impl Work {
    /// A GET of `path` whose answer has this text in it.
    pub fn get(path: impl Into<String>, contains: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            body: None,
            expect: Expect::Contains(contains.into()),
            close: false,
        }
    }

    /// A POST to `/`.
    pub fn post(body: Bytes, media_type: &'static str, expect: Expect) -> Self {
        Self {
            path: "/".to_owned(),
            body: Some((body, media_type)),
            expect,
            close: false,
        }
    }

    /// The same with a connection for each request.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl Expect {
    /// Whether this body is right.
    pub fn met_by(&self, body: &[u8]) -> bool {
        match self {
            Self::Contains(text) => {
                text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes())
            }
            Self::Exactly(bytes) => body == bytes,
        }
    }

    /// No right body is shorter.
    pub fn bytes_min(&self) -> usize {
        match self {
            Self::Contains(text) => text.len(),
            Self::Exactly(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Expect;

    #[test]
    fn a_body_is_right_or_wrong() {
        let greeting = Expect::Contains("Hello".to_owned());
        assert!(greeting.met_by(b"oh, Hello there"));
        assert!(!greeting.met_by(b"Hell"));
        assert!(Expect::Contains(String::new()).met_by(b""));
        let echo = Expect::Exactly(Bytes::from_static(b"abc"));
        assert!(echo.met_by(b"abc"));
        assert!(!echo.met_by(b"abcd"));
        assert_eq!(echo.bytes_min(), 3);
    }
}
