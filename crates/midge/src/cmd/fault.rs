//! Errors as commands hand them to `main`: a chain of causes and one hint.
//!
//! Each floor's error type knows its own remedy; this module carries that
//! remedy through `anyhow` to the one place that prints it. It decides nothing
//! about wording.
//!
//! **Invariant:** a hint never appears in `Display`, so it is printed once.

use std::error::Error;
use std::fmt;

use crate::say::OutputClosed;

/// An error that knows what to type next.
pub(crate) trait Hint: Error + Send + Sync + Sized + 'static {
    /// The remedy, if there is one worth typing.
    fn hint(&self) -> Option<String>;
}

impl Hint for midge_sandbox::CacheError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

impl Hint for midge_model::ComponentSourceError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

impl Hint for midge_sandbox::InspectError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// The error with its remedy attached.
pub(crate) fn hinted<E: Hint>(error: E) -> anyhow::Error {
    match error.hint() {
        Some(hint) => with_hint(anyhow::Error::new(error), hint),
        None => anyhow::Error::new(error),
    }
}

/// The error with a remedy that only the command knows.
pub(crate) fn with_hint(error: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted {
        error,
        hint: hint.into(),
    })
}

/// The remedy that an error carries, however much context was put around it.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<&str> {
    error
        .downcast_ref::<Hinted>()
        .map(|hinted| hinted.hint.as_str())
}

/// An error and its causes on one line, for a log or for another process.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Whether the command only stopped because nobody reads its output any more.
pub(crate) fn is_output_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<OutputClosed>()
        .is_some_and(OutputClosed::is_broken_pipe)
}

/// Wears the face of the error it carries, so that the chain reads as without it.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.error)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use insta::assert_snapshot;

    use super::*;

    /// Why a made-up step did not work.
    #[derive(Debug, thiserror::Error)]
    #[error("bind `127.0.0.1:80`")]
    struct Bind {
        source: std::io::Error,
    }

    impl Hint for Bind {
        fn hint(&self) -> Option<String> {
            Some("midge run --listen 127.0.0.1:0".to_owned())
        }
    }

    fn check(error: &anyhow::Error) -> String {
        let shown = crate::say::render_error(&format!("{error:#}"), hint_of(error));
        anstream::adapter::strip_str(&shown).to_string()
    }

    fn bind() -> Bind {
        Bind {
            source: std::io::Error::other("permission denied"),
        }
    }

    #[test]
    fn a_hint_stands_once_after_a_blank_line() {
        assert_snapshot!(check(&hinted(bind())), @r"
        error: bind `127.0.0.1:80`: permission denied

        hint: midge run --listen 127.0.0.1:0
        ");
    }

    #[test]
    fn context_around_an_error_keeps_its_hint() {
        let error = Err::<(), _>(hinted(bind()))
            .context("start")
            .context("run hello")
            .unwrap_err();
        assert_snapshot!(check(&error), @r"
        error: run hello: start: bind `127.0.0.1:80`: permission denied

        hint: midge run --listen 127.0.0.1:0
        ");
    }

    #[test]
    fn an_error_without_a_hint_is_one_line() {
        assert_snapshot!(check(&anyhow::Error::new(bind())), @"error: bind `127.0.0.1:80`: permission denied");
    }
}
