//! Why a client cannot be, and why an operation did not give what was asked for.

use std::time::Duration;

use crate::Problem;

/// Why there is no client for this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// Not the address of a control door.
    #[error("control address `{}` {problem}, write for example `http://127.0.0.1:8081`", .url.escape_debug())]
    Url {
        /// What was written.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not a token.
    #[error("the token is empty or has a character that no token has")]
    Token,
    /// Not certificates.
    #[error("the certificates are not PEM")]
    Certificates {
        /// What is wrong with them.
        source: reqwest::Error,
    },
    /// TLS could not be set up.
    #[error("connections over TLS cannot be set up")]
    Setup {
        /// Why.
        source: reqwest::Error,
    },
}

/// Why an operation did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node refused it, and says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No node was reached; nothing was done.
    #[error("no node answers at `{url}`")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer in time; it may have been done.
    #[error("no answer from `{url}` within {}", humantime::format_duration(*.after))]
    Timeout {
        /// Where.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before the answer did; it may have been done.
    #[error("the connection to `{url}` ended before the answer")]
    Broken {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The bytes that were to be sent could not be read.
    #[error("the component's bytes cannot be read")]
    Upload {
        /// Why.
        source: reqwest::Error,
    },
    /// Something answered that does not speak this API.
    #[error("what answers at `{url}` is not a node of this version: {detail}")]
    Protocol {
        /// Where.
        url: String,
        /// What is odd about the answer.
        detail: String,
    },
}

impl ClientError {
    /// What the node says, if it was the node.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Upload { .. }
            | Self::Protocol { .. } => None,
        }
    }
}
