//! Making a revision ready to run when somebody first asks for it.
//!
//! Decides who loads and who waits, for how long, and when a revision that could not be loaded is
//! tried again. How it is loaded is the [`Loader`]'s business; what is loaded at all is decided
//! where functions are published.
//!
//! **Invariant:** a revision is loaded by one request at a time, and whoever goes away leaves the
//! loading to the next that waits; no wait is without an end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use midge_model::{Refusal, Revision};
use midge_sandbox::{Deployment, LoadedFunction};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

/// How long a request waits for a revision to be loaded. Native code that has to be made first
/// may take that long.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(30);

/// How soon a revision that could not be loaded is tried again: as soon as its callers are told to
/// come back.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Revisions that stay loaded though nobody may ever need them: those without traffic that
/// somebody asked for by their address, and those that were loaded in advance. Without a bound,
/// whoever asks for all of them, or deploys many, would push out what is used.
const FEW: usize = 64;

/// Turns what is published into what runs.
#[async_trait(?Send)]
pub trait Loader {
    /// Finds the native code of this revision, maps and links it. Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// Why the revision cannot run in this worker at the moment; it will be asked for again.
    async fn load(&self, deployment: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, LoadFailure>;
}

/// Why a revision could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadFailure {
    /// The chain of causes, for the log.
    pub message: String,
}

/// Something that is loaded when it is first needed.
pub(crate) struct Loading<T> {
    loaded: RefCell<Rc<OnceCell<T>>>,
    /// When it was last tried in vain.
    failed: Cell<Option<Instant>>,
    /// Whether the log has been told, since it last worked.
    told: Cell<bool>,
}

impl<T: Clone> Loading<T> {
    /// Nothing loaded, or this.
    pub(crate) fn new(loaded: Option<T>) -> Self {
        Self {
            loaded: RefCell::new(Rc::new(OnceCell::new_with(loaded))),
            failed: Cell::new(None),
            told: Cell::new(false),
        }
    }

    /// What is loaded, if it is.
    pub(crate) fn ready(&self) -> Option<T> {
        self.loaded.borrow().get().cloned()
    }

    /// Forgets what is loaded. Whoever has it keeps it.
    pub(crate) fn unload(&self) {
        self.loaded.take();
    }

    /// What is loaded, after loading it if need be.
    pub(crate) async fn get(
        &self,
        revision: &Revision,
        load: impl AsyncFnOnce() -> Result<T, LoadFailure>,
    ) -> Result<T, Refusal> {
        if let Some(loaded) = self.ready() {
            return Ok(loaded);
        }
        let cell = Rc::clone(&self.loaded.borrow());
        let loading = cell.get_or_try_init(async || {
            // Those that waited for one who failed do not try one after the other.
            if self.failed_just_now() {
                return Err(None);
            }
            load().await.map_err(Some)
        });
        let failure = match timeout(LOAD_WAIT_MAX, loading).await {
            Ok(Ok(loaded)) => {
                self.failed.set(None);
                self.told.set(false);
                return Ok(loaded.clone());
            }
            Ok(Err(failure)) => failure,
            Err(_) => Some(LoadFailure {
                message: format!("not loaded within {} seconds", LOAD_WAIT_MAX.as_secs()),
            }),
        };
        if let Some(LoadFailure { message }) = failure {
            self.note_failure(revision, &message);
        }
        Err(Refusal::NotLoaded)
    }

    fn failed_just_now(&self) -> bool {
        let failed = self.failed.get();
        failed.is_some_and(|failed| failed.elapsed() < TRIED_AGAIN_AFTER)
    }

    fn note_failure(&self, revision: &Revision, reason: &str) {
        self.failed.set(Some(Instant::now()));
        if !self.told.replace(true) {
            tracing::warn!(
                namespace = %revision.namespace,
                function = %revision.function,
                revision = %revision.number,
                reason,
                "revision cannot be loaded"
            );
        }
    }
}

/// Revisions of which only a few stay loaded.
pub(crate) struct Few<T>(RefCell<VecDeque<Weak<T>>>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Few<T> {
    /// Notes one more, and gives back one that has to go for it.
    pub(crate) fn note(&self, one: &Rc<T>) -> Option<Rc<T>> {
        let mut all = self.0.borrow_mut();
        all.retain(|one| one.strong_count() > 0);
        all.push_back(Rc::downgrade(one));
        if all.len() <= FEW {
            return None;
        }
        all.pop_front()?.upgrade()
    }
}

#[cfg(test)]
mod tests;
