//! How an invocation ended, and whose fault that is.
//!
//! The one vocabulary for status, log level, metric and retry. Which status and
//! body an outcome becomes is the ingress's table.
//!
//! **Invariant:** `Display` is safe to show a caller: it never repeats what a guest
//! or the host said. `reason` is for logs.

use std::time::Duration;

use http::Method;

use crate::quantity::{format_bytes, format_duration};

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    /// The guest answered to the end.
    #[error("the function responded")]
    Responded,
    /// The guest ran into a trap.
    #[error("the function crashed")]
    Trapped {
        /// What the engine says, with the guest's function names.
        reason: String,
    },
    /// The guest answered with an error in place of a response, or with one that no
    /// HTTP client would understand.
    #[error("the function failed")]
    Failed {
        /// What it answered.
        reason: String,
    },
    /// A command ended with a code other than 0.
    #[error("the function exited with an error")]
    Exited {
        /// What the command returned.
        code: i32,
    },
    /// The guest returned without setting a response.
    #[error("the function ended without a response")]
    NoResponse,
    /// The deadline passed.
    #[error("the function did not respond within {}", format_duration(*limit))]
    OutOfTime {
        /// The limit that was reached.
        limit: Duration,
    },
    /// The invocation computed for longer than it may.
    #[error("the function needed more than its {} of CPU time", format_duration(*limit))]
    OutOfCpu {
        /// The limit that was reached.
        limit: Duration,
    },
    /// The instance wanted more memory than it may have.
    #[error("the function needed more than its {} of memory", format_bytes(*limit_bytes))]
    OutOfMemory {
        /// The limit that was reached.
        limit_bytes: u64,
    },
    /// The guest answered with more than it may.
    #[error("the function's response is larger than {}", format_bytes(*limit_bytes))]
    ResponseTooLarge {
        /// The limit that was reached.
        limit_bytes: u64,
    },
    /// The client went away.
    #[error("the client went away before the response was complete")]
    Cancelled,
    /// No guest ran.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Our own fault.
    #[error("the host could not run the function")]
    Host {
        /// What happened, for the log.
        reason: String,
    },
}

/// Why a request was turned away before any guest ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing answers at this host and path.
    #[error("no function answers at this address")]
    NoRoute,
    /// The function that answers here has no such revision, or keeps it no more.
    #[error("the function has no such revision")]
    NoRevision,
    /// The function is here, and its code could not be made ready to run.
    #[error("the function cannot be run at the moment, try again shortly")]
    NotLoaded,
    /// Something answers here, but not to this method.
    #[error("no function answers to this method here, try {}", join(allow))]
    MethodNotAllowed {
        /// The methods that are answered, for `Allow`.
        allow: Vec<Method>,
    },
    /// This function's slots and queue are full.
    #[error("the function is at its limit of concurrent requests, try again shortly")]
    FunctionFull,
    /// A place in this function's queue, but no slot in time.
    #[error("the function was at its limit of concurrent requests for too long, try again shortly")]
    QueueTimeout,
    /// The whole node is full.
    #[error("the server is at its limit of concurrent requests, try again shortly")]
    NodeFull,
    /// The node is on its way out.
    #[error("the server is shutting down, try again")]
    Draining,
    /// The body is larger than the function takes.
    #[error("the request body is larger than {}", format_bytes(*limit_bytes))]
    BodyTooLarge {
        /// The limit that was reached.
        limit_bytes: u64,
    },
    /// Not a request that can be dispatched.
    #[error("the request is not valid: {reason}")]
    BadRequest {
        /// What is wrong with it: our words, never the caller's.
        reason: String,
    },
}

/// Whose fault a bad end is. It decides the log level: only the host's is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Who sent the request.
    Client,
    /// The function.
    Guest,
    /// Midge or the machine: someone must look.
    Host,
}

impl Outcome {
    /// Whether the guest did what it was asked to.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Responded)
    }

    /// A stable short word, for error bodies, metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Responded => "responded",
            Self::Trapped { .. } => "trapped",
            Self::Failed { .. } => "failed",
            Self::Exited { .. } => "exited",
            Self::NoResponse => "no-response",
            Self::OutOfTime { .. } => "out-of-time",
            Self::OutOfCpu { .. } => "out-of-cpu",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::ResponseTooLarge { .. } => "response-too-large",
            Self::Cancelled => "cancelled",
            Self::Refused(refusal) => refusal.code(),
            Self::Host { .. } => "host-fault",
        }
    }

    /// Whose fault it is; `None` where nothing went wrong or nobody is to blame.
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::Responded | Self::Refused(Refusal::Draining) => None,
            Self::Host { .. } | Self::Refused(Refusal::NotLoaded) => Some(Blame::Host),
            // A full function or node is the callers' doing: their flood must page nobody.
            Self::Cancelled | Self::Refused(_) => Some(Blame::Client),
            Self::Trapped { .. }
            | Self::Failed { .. }
            | Self::Exited { .. }
            | Self::NoResponse
            | Self::OutOfTime { .. }
            | Self::OutOfCpu { .. }
            | Self::OutOfMemory { .. }
            | Self::ResponseTooLarge { .. } => Some(Blame::Guest),
        }
    }

    /// What happened in detail, for the log and never for the caller.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Trapped { reason }
            | Self::Failed { reason }
            | Self::Host { reason }
            | Self::Refused(Refusal::BadRequest { reason }) => Some(reason),
            Self::Responded
            | Self::Exited { .. }
            | Self::NoResponse
            | Self::OutOfTime { .. }
            | Self::OutOfCpu { .. }
            | Self::OutOfMemory { .. }
            | Self::ResponseTooLarge { .. }
            | Self::Cancelled
            | Self::Refused(_) => None,
        }
    }
}

impl Refusal {
    /// A stable short word, as [`Outcome::code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::NoRevision => "no-revision",
            Self::NotLoaded => "not-loaded",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::FunctionFull => "function-full",
            Self::QueueTimeout => "queue-timeout",
            Self::NodeFull => "node-full",
            Self::Draining => "draining",
            Self::BodyTooLarge { .. } => "body-too-large",
            Self::BadRequest { .. } => "bad-request",
        }
    }
}

fn join(methods: &[Method]) -> String {
    methods
        .iter()
        .map(Method::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn all() -> Vec<Outcome> {
        let reason = || "secret".to_owned();
        let allow = vec![Method::GET, Method::HEAD];
        let mut all = vec![
            Outcome::Responded,
            Outcome::Trapped { reason: reason() },
            Outcome::Failed { reason: reason() },
            Outcome::Exited { code: 3 },
            Outcome::NoResponse,
            Outcome::OutOfTime {
                limit: Duration::from_secs(5),
            },
            Outcome::OutOfCpu {
                limit: Duration::from_secs(2),
            },
            Outcome::OutOfMemory {
                limit_bytes: 64 << 20,
            },
            Outcome::ResponseTooLarge {
                limit_bytes: 1 << 30,
            },
            Outcome::Cancelled,
            Outcome::Host { reason: reason() },
        ];
        let refusals = [
            Refusal::NoRoute,
            Refusal::NoRevision,
            Refusal::NotLoaded,
            Refusal::MethodNotAllowed { allow },
            Refusal::FunctionFull,
            Refusal::QueueTimeout,
            Refusal::NodeFull,
            Refusal::Draining,
            Refusal::BodyTooLarge {
                limit_bytes: 10 << 20,
            },
            Refusal::BadRequest {
                reason: "no host".to_owned(),
            },
        ];
        all.extend(refusals.map(Outcome::Refused));
        all
    }

    #[test]
    fn every_outcome_has_a_code_a_culprit_and_a_sentence() {
        let line = |outcome: &Outcome| {
            let blame = outcome
                .blame()
                .map_or("nobody".to_owned(), |blame| format!("{blame:?}"));
            format!("{} | {blame} | {outcome}\n", outcome.code())
        };
        assert_snapshot!(all().iter().map(line).collect::<String>(), @r"
        responded | nobody | the function responded
        trapped | Guest | the function crashed
        failed | Guest | the function failed
        exited | Guest | the function exited with an error
        no-response | Guest | the function ended without a response
        out-of-time | Guest | the function did not respond within 5s
        out-of-cpu | Guest | the function needed more than its 2s of CPU time
        out-of-memory | Guest | the function needed more than its 64MiB of memory
        response-too-large | Guest | the function's response is larger than 1GiB
        cancelled | Client | the client went away before the response was complete
        host-fault | Host | the host could not run the function
        no-route | Client | no function answers at this address
        no-revision | Client | the function has no such revision
        not-loaded | Host | the function cannot be run at the moment, try again shortly
        method-not-allowed | Client | no function answers to this method here, try GET, HEAD
        function-full | Client | the function is at its limit of concurrent requests, try again shortly
        queue-timeout | Client | the function was at its limit of concurrent requests for too long, try again shortly
        node-full | Client | the server is at its limit of concurrent requests, try again shortly
        draining | nobody | the server is shutting down, try again
        body-too-large | Client | the request body is larger than 10MiB
        bad-request | Client | the request is not valid: no host
        ");
    }

    #[test]
    fn the_caller_never_reads_what_the_guest_or_the_host_said() {
        for outcome in all() {
            assert!(!outcome.to_string().contains("secret"), "{outcome}");
        }
        let trapped = Outcome::Trapped {
            reason: "unreachable".to_owned(),
        };
        assert_eq!(trapped.reason(), Some("unreachable"));
    }

    #[test]
    fn no_two_outcomes_share_a_code() {
        let mut codes: Vec<_> = all().iter().map(Outcome::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all().len());
    }
}
