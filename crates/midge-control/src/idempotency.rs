//! Requests that are sent twice and done once.
//!
//! Decides by key and request: the same request with the same key gets the answer of the first
//! one, another request with that key is refused. What is in progress is known in memory only: a
//! node that ended in the middle has forgotten it, and doing it again is safe, as every operation
//! is.
//!
//! **Invariant:** an answer is kept only after it was made, for the token that asked, and nothing
//! kept tells what was asked: the request is known again by a tag of the vault.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::Digest;
use midge_store::records::{
    self, IdempotencyRecord, IdempotentAnswer, RecordId, Versioned, idempotency_key,
};
use midge_store::{Expect, Key, Registry, now};

use crate::control::Control;
use crate::error::ControlError;
use crate::who::Who;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest key that a client may choose, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Stands for the token on a node that asks for none.
const NO_TOKEN: &str = "none";

/// Keys whose first request is in progress.
#[derive(Debug, Default, Clone)]
pub(crate) struct InProgress(Arc<Mutex<HashSet<Key>>>);

/// What to do with a request that has an idempotency key.
#[derive(Debug)]
pub enum Idempotency {
    /// Do it, then tell the slot what was answered. A slot that is dropped untold leaves the key
    /// unused, as if the request had not come.
    New(IdempotencySlot),
    /// It was done: answer this again.
    Done {
        /// The status of then.
        status: u16,
        /// The body of then.
        body: String,
    },
}

/// A key in use by one request, until this is dropped.
pub struct IdempotencySlot {
    key: Key,
    request: Digest,
    registry: Arc<dyn Registry>,
    in_progress: InProgress,
}

impl Control {
    /// Begins a request with an idempotency key that the client chose. `request` stands for
    /// everything that makes it the same request: the hash of method, path, query and body.
    ///
    /// # Errors
    ///
    /// The key is none, was used for another request, is in use, or belongs to an answer that is
    /// not kept.
    pub async fn idempotency(
        &self,
        who: &Who,
        chosen: &str,
        request: [u8; 32],
    ) -> Result<Idempotency, ControlError> {
        // The newest tag is kept, and those of older keys are still the same request.
        let tags: Vec<_> = self
            .vault()
            .tags(&request)
            .into_iter()
            .map(|tag| Digest::of(&tag))
            .collect();
        let newest = *tags.first().expect("a vault has a key");
        let is_printable = chosen
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&chosen.len()) || !is_printable {
            let message = format!(
                "an idempotency key is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable characters"
            );
            return Err(ControlError::new(ErrorCode::InvalidRequest, message));
        }
        let nobody = || NO_TOKEN.parse().expect("it is an id");
        let token: RecordId = who.token.clone().unwrap_or_else(nobody);
        let key = idempotency_key(&token, chosen);
        // First the slot: of two requests at the same moment one gets it, and the other must not
        // find that nothing is kept yet.
        if !self.in_progress.add(&key) {
            return Err(in_progress());
        }
        let slot = IdempotencySlot {
            key,
            request: newest,
            registry: self.store.registry.clone(),
            in_progress: self.in_progress.clone(),
        };
        let found = records::read::<IdempotencyRecord>(self.registry(), &slot.key).await?;
        match found {
            Some(Versioned { value, .. }) if now() < value.expires_at => repeated(value, &tags),
            _ => Ok(Idempotency::New(slot)),
        }
    }
}

fn repeated(kept: IdempotencyRecord, tags: &[Digest]) -> Result<Idempotency, ControlError> {
    if !tags.contains(&kept.request_hash) {
        return Err(ControlError::new(
            ErrorCode::IdempotencyMismatch,
            "this idempotency key was used for another request",
        )
        .with_hint("choose a new key for each thing that is to be done once"));
    }
    match kept.answer {
        Some(IdempotentAnswer { status, body }) => Ok(Idempotency::Done { status, body }),
        None => Err(ControlError::new(
            ErrorCode::IdempotencyInProgress,
            "this was done, and its answer was shown once and is not kept",
        )
        .with_hint("if that answer is lost, revoke what was made and make another")),
    }
}

fn in_progress() -> ControlError {
    ControlError::new(
        ErrorCode::IdempotencyInProgress,
        "the first request with this idempotency key is still at work",
    )
    .with_hint("wait, and send it again for its answer")
}

impl IdempotencySlot {
    /// Keeps the answer for a day. `None` stands for a body that must not be kept: asking again
    /// is refused then. That it cannot be kept is no error: the request was done.
    pub async fn done(self, status: u16, body: Option<String>) {
        let record = IdempotencyRecord {
            request_hash: self.request,
            answer: body.map(|body| IdempotentAnswer { status, body }),
            expires_at: now().plus(KEPT_FOR),
        };
        let written = records::write(&*self.registry, &self.key, &record, Expect::Any).await;
        if let Err(error) = written {
            tracing::warn!(%error, "answer of an idempotent request not kept");
        }
    }
}

impl Drop for IdempotencySlot {
    fn drop(&mut self) {
        self.in_progress.keys().remove(&self.key);
    }
}

impl fmt::Debug for IdempotencySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencySlot").field(&self.key).finish()
    }
}

impl InProgress {
    /// Whether nobody had it.
    fn add(&self, key: &Key) -> bool {
        self.keys().insert(key.clone())
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
