//! Why a control request was refused, as a stable word, and the status that goes with it.
//!
//! One table: the door answers with it, the core names its errors by it, the client's users match
//! on it. The sentence for people is made where the error is.
//!
//! **Invariant:** a code never changes its meaning or its status.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused or failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request is not what the OpenAPI document describes.
    InvalidRequest,
    /// No token, or one that is not known, expired or revoked.
    Unauthenticated,
    /// The token's role may not do this.
    Forbidden,
    /// A web page of another site made somebody's browser ask.
    ForeignOrigin,
    /// A quota of the namespace is used up.
    Quota,
    /// There is no such thing, or nothing this token may know of.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// No media type that the caller accepts can be made.
    NotAcceptable,
    /// The request did not arrive in time.
    RequestTimeout,
    /// Something else is in the way: a name that is taken, a namespace that is not empty.
    Conflict,
    /// A route belongs to another function.
    RouteTaken,
    /// The deploy widens what the function may do, and nobody said that it may.
    Widens,
    /// The first request with this idempotency key is still at work, or its answer cannot be
    /// repeated.
    IdempotencyInProgress,
    /// What `if-match` names is no longer what is there.
    VersionMismatch,
    /// The body is larger than this operation takes.
    TooLarge,
    /// The body is not of the media type that this operation takes.
    UnsupportedMediaType,
    /// The request's line or fields are larger than the door takes.
    HeadersTooLarge,
    /// The request names another host than this door's.
    Misdirected,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// Well formed, and yet nothing that can be done; the sentence says why.
    Invalid,
    /// The bytes are not what their digest says.
    DigestMismatch,
    /// The component's bytes were not put yet.
    ComponentMissing,
    /// The component cannot run here.
    RefusedComponent,
    /// The node's policy, or the token's, does not allow what is asked.
    RefusedPolicy,
    /// A granted secret does not exist.
    SecretMissing,
    /// Too many refused tokens from this address.
    RateLimited,
    /// The node failed; its log says how, under the request id.
    Internal,
    /// The node is at its bound of control requests, or draining.
    Busy,
    /// What is kept could not be read or written.
    Store,
    /// The revision was written, and not every worker serves it yet.
    NotServing,
    /// No worker could take the invocation.
    NotInvoked,
    /// The node's disk has no more room than it needs to be administered.
    DiskFull,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 32] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::ForeignOrigin,
        Self::Quota,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::RouteTaken,
        Self::Widens,
        Self::IdempotencyInProgress,
        Self::VersionMismatch,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::HeadersTooLarge,
        Self::Misdirected,
        Self::IdempotencyMismatch,
        Self::Invalid,
        Self::DigestMismatch,
        Self::ComponentMissing,
        Self::RefusedComponent,
        Self::RefusedPolicy,
        Self::SecretMissing,
        Self::RateLimited,
        Self::Internal,
        Self::Busy,
        Self::Store,
        Self::NotServing,
        Self::NotInvoked,
        Self::DiskFull,
    ];

    /// The HTTP status of an answer with this code.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The same for every problem of this code, for people.
    pub fn title(self) -> &'static str {
        self.row().1
    }

    /// The code as it stands in a body.
    pub fn as_str(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (400, "The request is malformed", "invalid-request"),
            Self::Unauthenticated => (401, "A valid token is needed", "unauthenticated"),
            Self::Forbidden => (403, "This token may not do that", "forbidden"),
            Self::ForeignOrigin => (403, "A page of another site asks", "foreign-origin"),
            Self::Quota => (403, "A quota is used up", "quota"),
            Self::NotFound => (404, "There is no such thing", "not-found"),
            Self::MethodNotAllowed => (405, "The path has no such method", "method-not-allowed"),
            Self::NotAcceptable => (406, "No acceptable media type", "not-acceptable"),
            Self::RequestTimeout => (408, "The request took too long", "request-timeout"),
            Self::Conflict => (409, "Something else is in the way", "conflict"),
            Self::RouteTaken => (409, "A route is another function's", "route-taken"),
            Self::Widens => (409, "The deploy widens what is granted", "widens"),
            Self::IdempotencyInProgress => (
                409,
                "The idempotency key is in use",
                "idempotency-in-progress",
            ),
            Self::VersionMismatch => (412, "It has changed meanwhile", "version-mismatch"),
            Self::TooLarge => (413, "The body is too large", "too-large"),
            Self::UnsupportedMediaType => (
                415,
                "The body has another media type",
                "unsupported-media-type",
            ),
            Self::HeadersTooLarge => (431, "The header fields are too large", "headers-too-large"),
            Self::Misdirected => (421, "This is another host's door", "misdirected"),
            Self::IdempotencyMismatch => (
                422,
                "The idempotency key is another's",
                "idempotency-mismatch",
            ),
            Self::Invalid => (422, "The request cannot be fulfilled", "invalid"),
            Self::DigestMismatch => (422, "The bytes have another digest", "digest-mismatch"),
            Self::ComponentMissing => (422, "The component was not put yet", "component-missing"),
            Self::RefusedComponent => (422, "The component cannot run here", "refused-component"),
            Self::RefusedPolicy => (422, "The policy does not allow it", "refused-policy"),
            Self::SecretMissing => (422, "A granted secret is missing", "secret-missing"),
            Self::RateLimited => (429, "Too many refused tokens", "rate-limited"),
            Self::Internal => (500, "The node failed", "internal"),
            Self::Busy => (503, "The node is busy", "busy"),
            Self::Store => (503, "The store cannot be used", "store"),
            Self::NotServing => (503, "Not every worker serves it yet", "not-serving"),
            Self::NotInvoked => (503, "The function could not be reached", "not-invoked"),
            Self::DiskFull => (507, "The node's disk is full", "disk-full"),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_one_spelling_and_a_status_of_its_kind() {
        let mut seen = BTreeSet::new();
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(seen.insert(code.as_str()), "{code} is there twice");
        }
    }
}
