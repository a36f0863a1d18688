//! How many requests are at work, and whose.
//!
//! Decides who gets a place when there are few. What takes long by nature has a pool of its own,
//! so that uploads, invocations and followers keep nobody from administering; in each pool a token
//! has a share, the tokens of a namespace together have one, and the last places are kept for
//! those who administer the node: whoever floods it can be stopped by them.
//!
//! A place is held until the answer's body is sent (`pace.rs`) and the write behind it is done
//! (`once.rs`), whichever is later.
//!
//! **Invariant:** in each pool no more are at work than its bound, nor of a token or a namespace
//! than its share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use midge_api::{ErrorCode, Role};
use midge_model::NamespaceName;
use midge_store::records::RecordId;

use super::answer::Refused;
use super::connections::{AtWork, Seat};
use crate::Who;

/// Requests at a time that are in no other pool: more are answered 503 at once, so that a flood
/// costs little.
pub(super) const REQUESTS_MAX: usize = 64;
/// Uploads at a time.
pub(super) const UPLOADS_MAX: usize = 32;
/// Invocations at a time.
pub(super) const INVOCATIONS_MAX: usize = 64;
/// Followers of logs at a time.
pub(super) const FOLLOWERS_MAX: usize = 64;
/// The part of each pool that one token may have.
pub(super) const TOKEN_SHARE: usize = 4;
/// The part of each pool that all tokens of one namespace may have together.
pub(super) const NAMESPACE_SHARE: usize = 2;
/// The places of each pool that only admins of the node get.
pub(super) const ADMIN_PLACES: usize = 8;

/// What a request is, for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Everything else.
    Requests,
    /// A component on its way in.
    Uploads,
    /// A function that is asked.
    Invocations,
    /// Somebody who reads lines as they are written.
    Followers,
}

/// The places of one door.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<[Taken; 4]>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    tokens: HashMap<RecordId, usize>,
    namespaces: HashMap<NamespaceName, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    pool: Pool,
    token: Option<RecordId>,
    namespace: Option<NamespaceName>,
    _at_work: AtWork,
}

/// Where the place of a request lies once it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<OnceLock<Arc<Place>>>);

impl Slot {
    /// Keeps the place for as long as the request needs it.
    pub(super) fn put(&self, place: Place) {
        // A request asks once who sends it. If it did twice, the second place would be let go.
        drop(self.0.set(Arc::new(place)));
    }

    /// The place, if the request got so far.
    pub(super) fn place(&self) -> Option<Arc<Place>> {
        self.0.get().cloned()
    }
}

impl Pool {
    fn bound(self) -> (usize, &'static str) {
        match self {
            Self::Requests => (REQUESTS_MAX, "control requests"),
            Self::Uploads => (UPLOADS_MAX, "uploads"),
            Self::Invocations => (INVOCATIONS_MAX, "invocations through this door"),
            Self::Followers => (FOLLOWERS_MAX, "followers"),
        }
    }
}

impl Places {
    /// A place in this pool.
    ///
    /// # Errors
    ///
    /// There is none for this caller; try again later.
    pub(super) fn take(
        self: &Arc<Self>,
        pool: Pool,
        who: &Who,
        seat: Seat,
    ) -> Result<Place, Refused> {
        let (bound, what) = pool.bound();
        let busy = |whose: &str| {
            let detail = format!("{whose} is at its bound of {what}");
            Err(Refused::new(ErrorCode::Busy, detail))
        };
        let administers = who.role == Role::Admin && who.namespace.is_none();
        let reach = if administers {
            bound
        } else {
            bound - ADMIN_PLACES
        };
        let mut all = self.taken();
        let taken = &mut all[pool as usize];
        if has(&taken.tokens, who.token.as_ref()) >= bound / TOKEN_SHARE {
            return busy("this token");
        }
        if has(&taken.namespaces, who.namespace.as_ref()) >= bound / NAMESPACE_SHARE {
            return busy("this namespace");
        }
        if taken.all >= reach {
            return busy("the node");
        }
        taken.all += 1;
        add(&mut taken.tokens, who.token.as_ref());
        add(&mut taken.namespaces, who.namespace.as_ref());
        Ok(Place {
            places: Arc::clone(self),
            pool,
            token: who.token.clone(),
            namespace: who.namespace.clone(),
            _at_work: seat.at_work(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, [Taken; 4]> {
        // Plain numbers: what a panic left behind is still right.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.taken();
        let taken = &mut all[self.pool as usize];
        taken.all -= 1;
        give_back(&mut taken.tokens, self.token.as_ref());
        give_back(&mut taken.namespaces, self.namespace.as_ref());
    }
}

/// Who has no name has no share: on a door without tokens everybody is one.
fn has<K: Eq + Hash>(counts: &HashMap<K, usize>, key: Option<&K>) -> usize {
    key.and_then(|key| counts.get(key)).copied().unwrap_or(0)
}

fn add<K: Eq + Hash + Clone>(counts: &mut HashMap<K, usize>, key: Option<&K>) {
    if let Some(key) = key {
        *counts.entry(key.clone()).or_default() += 1;
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: Option<&K>) {
    let Some(key) = key else { return };
    let Some(count) = counts.get_mut(key) else {
        return;
    };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}
