//! The body of every answer that is not what was asked for (RFC 9457).
//!
//! Decides its fields. Which code and sentence it carries is decided where the error is made.
//!
//! **Invariant:** `detail` and `hint` are sentences for the caller; what only the operator may
//! know is in the node's log, under the same request id.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ErrorCode;

/// The media type of a [`Problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// What went wrong, for programs (`code`) and for people (`detail`, `hint`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the code says more than a page would.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The answer's HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    pub status: u16,
    /// The stable word for it.
    #[schema(value_type = ErrorCode)]
    pub code: String,
    /// What exactly is wrong.
    pub detail: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's name in the node's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem of this code.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            hint: None,
            request_id: None,
        }
    }

    /// Whether it is a problem of this code. A node may know more codes than this program.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.as_str()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
