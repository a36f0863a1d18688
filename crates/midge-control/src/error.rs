//! Why an operation of the control API did not happen, in words a caller can act on.
//!
//! Decides the code and the sentence. The table from codes to statuses is midge-api's, and
//! rendering it as a problem body is the door's work; what went wrong underneath is kept for the
//! log and never shown.
//!
//! **Invariant:** no message says anything about what its reader may not see.

use std::error::Error;
use std::fmt;

use midge_api::ErrorCode;
use midge_store::{PutError, StoreError};

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// What kind of thing went wrong; it decides the status.
    pub code: ErrorCode,
    /// One sentence for whoever asked, without a full stop.
    pub message: String,
    /// What to do or to write instead.
    pub hint: Option<String>,
    /// What went wrong underneath: for the log, never for the caller.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ControlError {
    /// An error of this code with this sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// The same error that says what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        self.with_hint_if(Some(hint.into()))
    }

    /// The same error that says what to do, where there is anything to do.
    #[must_use]
    pub(crate) fn with_hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same error with its cause, for the log.
    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A request that can be read and makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// The one answer to every token that is not good: which reason it is would help to guess.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            ErrorCode::Unauthenticated,
            "a token is needed that is known, not expired and not revoked",
        )
        .with_hint("run `midge login`, or send `authorization: Bearer mdg_…`")
    }

    /// A fault of the node itself.
    pub(crate) fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            ErrorCode::Internal,
            "the node made a mistake, its log says more",
        )
        .because(source)
    }

    /// Others changed the same thing meanwhile, each time that it was tried.
    pub(crate) fn contended(what: impl fmt::Display) -> Self {
        Self::new(
            ErrorCode::Conflict,
            format!("{what} is being changed by others at the same time"),
        )
        .with_hint("try again")
    }

    /// Whether the operation was refused, as opposed to having been tried and failed.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code.status() < 500
    }
}

impl From<StoreError> for ControlError {
    fn from(source: StoreError) -> Self {
        Self::new(
            ErrorCode::Store,
            "what is kept could not be read or written",
        )
        .with_hint("try again; what was live still is")
        .because(source)
    }
}

impl From<PutError> for ControlError {
    /// For writes whose conflicts were handled, or cannot be.
    fn from(error: PutError) -> Self {
        match error {
            PutError::Store(source) => source.into(),
            PutError::TooLarge { .. } => {
                Self::new(ErrorCode::TooLarge, "this is more than one record holds").because(error)
            }
            PutError::Conflict { .. } => Self::contended("this").because(error),
        }
    }
}
