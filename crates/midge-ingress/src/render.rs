//! How each outcome looks from outside: the one table from outcome to status.
//!
//! A caller learns the kind of the trouble, a stable code and the request id; never what a guest
//! said or did, which is for the owner's log. Successful responses are `respond.rs`.
//!
//! **Invariant:** every outcome has exactly one status, decided here and nowhere else.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use midge_model::{Outcome, Refusal, RequestId};
use serde::Serialize;

use crate::request::prefers_json;

/// When a client that found us full should come back. Slots turn over in milliseconds; a second is
/// the smallest value the field can hold.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// The client has gone; nobody sees this status but the access log (nginx made it customary).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// An answer in place of a function's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// One sentence, for people.
    message: Cow<'static, str>,
    retry: bool,
    allow: Vec<Method>,
}

impl Problem {
    /// More fields than the door takes.
    pub(crate) const HEAD_TOO_LARGE: Self = Self {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        code: "head-too-large",
        message: Cow::Borrowed("the request has too many header fields"),
        retry: false,
        allow: Vec::new(),
    };

    /// The table's entry, with words.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let allow = match outcome {
            Outcome::Refused(Refusal::MethodNotAllowed { allow }) => allow.clone(),
            _ => Vec::new(),
        };
        let retry = matches!(
            outcome,
            Outcome::Refused(
                Refusal::FunctionFull
                    | Refusal::QueueTimeout
                    | Refusal::NodeFull
                    | Refusal::NotLoaded
                    | Refusal::Draining
            )
        );
        Self {
            status: status(outcome),
            code: outcome.code(),
            message: Cow::Owned(outcome.to_string()),
            retry,
            allow,
        }
    }

    /// The response that says so.
    pub(crate) fn response(&self, json: bool, id: &RequestId) -> Response<Bytes> {
        let (kind, body) = if json {
            ("application/json", self.json(id))
        } else {
            ("text/plain; charset=utf-8", format!("{}\n", self.message))
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        // A 404 may be cached unasked; the function could be deployed the next second.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.retry {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allow = self
                .allow
                .iter()
                .map(Method::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let allow = HeaderValue::try_from(allow).expect("methods are tokens");
            headers.insert(ALLOW, allow);
        }
        response
    }

    fn json(&self, id: &RequestId) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: Error<'a>,
        }
        #[derive(Serialize)]
        struct Error<'a> {
            code: &'a str,
            message: &'a str,
            request_id: &'a str,
        }
        let error = Error {
            code: self.code,
            message: &self.message,
            request_id: id.as_str(),
        };
        let mut line = serde_json::to_string(&Body { error }).expect("strings are always JSON");
        line.push('\n');
        line
    }
}

/// What a caller reads where a function gave no answer, for those who ask functions without a door.
pub fn in_place(
    outcome: &Outcome,
    (method, headers): (&Method, &HeaderMap),
    id: &RequestId,
) -> Response<Bytes> {
    let mut response = Problem::of(outcome).response(prefers_json(headers), id);
    if *method == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

/// The table. Whose fault it is decides the hundred: 4 the caller's, 502 and 504 the guest's,
/// 503 ours for now, 500 ours.
pub(crate) fn status(outcome: &Outcome) -> StatusCode {
    match outcome {
        Outcome::Responded => StatusCode::OK,
        Outcome::Trapped { .. }
        | Outcome::Failed { .. }
        | Outcome::Exited { .. }
        | Outcome::NoResponse
        | Outcome::OutOfMemory { .. }
        | Outcome::ResponseTooLarge { .. } => StatusCode::BAD_GATEWAY,
        Outcome::OutOfTime { .. } | Outcome::OutOfCpu { .. } => StatusCode::GATEWAY_TIMEOUT,
        Outcome::Cancelled => {
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).expect("499 is within 100..=999")
        }
        Outcome::Refused(refusal) => match refusal {
            Refusal::NoRoute | Refusal::NoRevision => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::FunctionFull | Refusal::QueueTimeout => StatusCode::TOO_MANY_REQUESTS,
            Refusal::NodeFull | Refusal::NotLoaded | Refusal::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BadRequest { .. } => StatusCode::BAD_REQUEST,
        },
        Outcome::Host { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;

    fn every_outcome() -> Vec<Outcome> {
        let reason = || "secret of the guest".to_owned();
        let refusals = [
            Refusal::NoRoute,
            Refusal::NoRevision,
            Refusal::NotLoaded,
            Refusal::MethodNotAllowed {
                allow: vec![Method::GET, Method::HEAD],
            },
            Refusal::FunctionFull,
            Refusal::QueueTimeout,
            Refusal::NodeFull,
            Refusal::Draining,
            Refusal::BodyTooLarge {
                limit_bytes: 10 * 1024 * 1024,
            },
            Refusal::BadRequest {
                reason: "no `host` field".to_owned(),
            },
        ];
        let mut outcomes = vec![
            Outcome::Trapped { reason: reason() },
            Outcome::Failed { reason: reason() },
            Outcome::Exited { code: 3 },
            Outcome::NoResponse,
            Outcome::OutOfTime {
                limit: Duration::from_secs(2),
            },
            Outcome::OutOfCpu {
                limit: Duration::from_secs(1),
            },
            Outcome::OutOfMemory {
                limit_bytes: 64 * 1024 * 1024,
            },
            Outcome::ResponseTooLarge {
                limit_bytes: 1024 * 1024 * 1024,
            },
            Outcome::Cancelled,
            Outcome::Host { reason: reason() },
        ];
        outcomes.extend(refusals.map(Outcome::Refused));
        outcomes
    }

    #[test]
    fn the_table() {
        let lines = every_outcome().into_iter().map(|outcome| {
            let problem = Problem::of(&outcome);
            format!(
                "{} {}: {}",
                problem.status.as_u16(),
                problem.code,
                problem.message
            )
        });
        assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        502 trapped: the function crashed
        502 failed: the function failed
        502 exited: the function exited with an error
        502 no-response: the function ended without a response
        504 out-of-time: the function did not respond within 2s
        504 out-of-cpu: the function needed more than its 1s of CPU time
        502 out-of-memory: the function needed more than its 64MiB of memory
        502 response-too-large: the function's response is larger than 1GiB
        499 cancelled: the client went away before the response was complete
        500 host-fault: the host could not run the function
        404 no-route: no function answers at this address
        404 no-revision: the function has no such revision
        503 not-loaded: the function cannot be run at the moment, try again shortly
        405 method-not-allowed: no function answers to this method here, try GET, HEAD
        429 function-full: the function is at its limit of concurrent requests, try again shortly
        429 queue-timeout: the function was at its limit of concurrent requests for too long, try again shortly
        503 node-full: the server is at its limit of concurrent requests, try again shortly
        503 draining: the server is shutting down, try again
        413 body-too-large: the request body is larger than 10MiB
        400 bad-request: the request is not valid: no `host` field
        ");
    }

    fn check(outcome: &Outcome, json: bool) -> String {
        let id = RequestId::keep("id-1").unwrap();
        let response = Problem::of(outcome).response(json, &id);
        let fields = response.headers().iter();
        let fields = fields.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        format!(
            "{}\n{}\n{body}",
            response.status(),
            fields.collect::<String>()
        )
    }

    #[test]
    fn a_refusal_says_what_would_help() {
        assert_snapshot!(check(&Outcome::Refused(Refusal::FunctionFull), false), @r#"
        429 Too Many Requests
        content-type: text/plain; charset=utf-8
        cache-control: no-store
        retry-after: 1

        the function is at its limit of concurrent requests, try again shortly
        "#);
        let allow = vec![Method::GET, Method::HEAD];
        assert_snapshot!(check(&Outcome::Refused(Refusal::MethodNotAllowed { allow }), false), @r#"
        405 Method Not Allowed
        content-type: text/plain; charset=utf-8
        cache-control: no-store
        allow: GET, HEAD

        no function answers to this method here, try GET, HEAD
        "#);
    }

    #[test]
    fn a_program_gets_json() {
        assert_snapshot!(check(&Outcome::OutOfTime { limit: Duration::from_secs(2) }, true), @r#"
        504 Gateway Timeout
        content-type: application/json
        cache-control: no-store

        {"error":{"code":"out-of-time","message":"the function did not respond within 2s","request_id":"id-1"}}
        "#);
    }

    #[test]
    fn no_body_repeats_what_a_guest_said() {
        for outcome in every_outcome() {
            for json in [false, true] {
                assert!(!check(&outcome, json).contains("secret"), "{outcome:?}");
            }
        }
    }
}
