//! What only a file of cases can have wrong.
//!
//! What a manifest can have wrong as well is in `document/problem.rs`.

use super::{HEADERS_MAX, StandInRequestError};
use crate::SecretTextError;
use crate::method::MethodError;
use crate::rehearsal::NowError;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum CaseProblem {
    #[error("the file has no case")]
    NoCase,
    #[error("another case of the file is called `{}`", .0.escape_debug())]
    SameName(String),
    #[error("request `{}` has no path, write for example `GET /orders/7`", .0.escape_debug())]
    NoPath(String),
    #[error("request `{}` {problem}", .text.escape_debug())]
    Method { text: String, problem: MethodError },
    #[error("path `{}` is not one, write it as it is sent: from `/` on, and encoded", .0.escape_debug())]
    Path(String),
    #[error("status {0} is not one, write 100 to 999")]
    Status(i64),
    #[error("header `{}` is not a name", .0.escape_debug())]
    HeaderName(String),
    #[error("header `{0}` has a value that cannot be sent")]
    HeaderValue(String),
    #[error("these are more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    #[error("`{first}` and `{second}` say the same, keep one of them")]
    Both {
        first: &'static str,
        second: &'static str,
    },
    #[error("pattern `{}`: {reason}", .text.escape_debug())]
    Pattern { text: String, reason: String },
    #[error("{0} has no place in JSON")]
    NotJson(&'static str),
    #[error("key `{}` has {} bytes, write 1 to {}", .0.escape_debug(), .0.len(), crate::ENTRY_KEY_BYTES_MAX)]
    Key(String),
    #[error("random numbers come from a number, 0 or more")]
    Random,
    #[error(
        "`answers` has none, write for example `answers = [{{ status = 503 }}, {{ status = 200 }}]`"
    )]
    NoAnswer,
    #[error("{0}")]
    Now(NowError),
    #[error("{0}")]
    Secret(SecretTextError),
    #[error("{0}")]
    StandIn(StandInRequestError),
}

impl CaseProblem {
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoCase => {
                "write for example\n    [[case]]\n    name = \"says hello\"\n    request = \"GET /\"\n    \
                 [case.expect]\n    status = 200"
            }
            Self::NotJson(_) => "put it in quotes",
            Self::Pattern { .. } => {
                "in '…' a backslash stands for itself: `body-matches = '^\\d+$'`"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
