//! The connections of one function: which are kept, which are shared, how many there are.
//!
//! Decides whether a request waits, takes a kept connection or opens one. Opening is
//! `dial.rs`; what a connection does is `connection.rs`.
//!
//! **Invariant:** a connection serves one function, and only requests that were judged
//! like the one it was opened for: the same host as written, the same port, and a grant
//! that names the host literally if the first one's did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use midge_model::HostName;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;

/// Connections that one function may have open in one worker. Browsers have 6 per host; a
/// function has a handful of hosts.
pub(crate) const OUTBOUND_CONNECTIONS_MAX: u32 = 32;

/// Connections to one host that are kept though nobody uses them.
const IDLE_PER_HOST_MAX: usize = 4;

/// A worker keeps idle connections only while this part of its descriptors for outbound
/// connections is free; from then on every one is closed after use.
const SPARE_SHARE: usize = 4;

/// Where a connection leads, and how it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) https: bool,
    pub(super) host: HostName,
    pub(super) port: u16,
    /// A grant names the host literally, so its address may be one that is not public.
    pub(super) literal: bool,
}

/// The descriptors that all functions of a worker may use for outbound connections.
#[derive(Clone)]
pub(crate) struct Descriptors {
    free: Arc<Semaphore>,
    max: usize,
}

impl Descriptors {
    pub(crate) fn new(max: u32) -> Self {
        let max = max as usize;
        Self {
            free: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    fn are_scarce(&self) -> bool {
        self.free.available_permits() < self.max / SPARE_SHARE
    }
}

/// The right to have one connection open, held as long as it is.
pub(super) struct Descriptor {
    _of_function: OwnedSemaphorePermit,
    _of_worker: OwnedSemaphorePermit,
}

/// The connections of one function. Clones share them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    kept: Mutex<Vec<Kept>>,
    /// How many more may be open.
    free: Arc<Semaphore>,
    descriptors: Descriptors,
    /// A connection came back.
    given_back: Notify,
}

struct Kept {
    target: Target,
    connection: Connection,
}

/// What a request may do next.
pub(super) enum Turn {
    /// Use this connection, which has served before.
    Reuse(Lease),
    /// Open one.
    Open(Descriptor),
}

impl Pool {
    pub(crate) fn new(descriptors: Descriptors) -> Self {
        Self(Arc::new(Shared {
            kept: Mutex::default(),
            free: Arc::new(Semaphore::new(OUTBOUND_CONNECTIONS_MAX as usize)),
            descriptors,
            given_back: Notify::new(),
        }))
    }

    /// Waits until a request to `target` can use a connection or open one. The caller bounds it.
    pub(super) async fn turn(&self, target: &Target) -> Turn {
        loop {
            // Before looking, so that nothing comes back unnoticed in between.
            let given_back = self.0.given_back.notified();
            if let Some(lease) = self.take(target).await {
                return Turn::Reuse(lease);
            }
            if self.0.is_full() {
                self.close_longest_idle();
            }
            tokio::select! {
                descriptor = self.descriptor() => return Turn::Open(descriptor),
                () = given_back => {}
            }
        }
    }

    /// The right to open a connection, whatever is kept.
    pub(super) async fn descriptor(&self) -> Descriptor {
        Descriptor {
            _of_function: permit(&self.0.free).await,
            _of_worker: permit(&self.0.descriptors.free).await,
        }
    }

    /// A new connection, for its first request.
    pub(super) fn lease(&self, target: Target, connection: Connection) -> Lease {
        connection.enter();
        if let Some(shared) = connection.share() {
            self.0.kept().push(Kept {
                target: target.clone(),
                connection: shared,
            });
        }
        Lease::new(self, target, connection)
    }

    /// A kept connection that still works.
    async fn take(&self, target: &Target) -> Option<Lease> {
        loop {
            let connection = self.0.take(target)?;
            let mut lease = Lease::new(self, target.clone(), connection);
            if lease.connection_mut().is_usable().await {
                return Some(lease);
            }
            lease.discard();
        }
    }

    /// Makes room for a connection to somewhere else.
    fn close_longest_idle(&self) {
        let mut kept = self.0.kept();
        let idle = kept.iter().enumerate().filter_map(|(at, one)| {
            let until = one.connection.idle_until()?;
            Some((until, at))
        });
        if let Some((_, at)) = idle.min() {
            kept.swap_remove(at);
        }
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no further connection can be opened just now.
    fn is_full(&self) -> bool {
        self.free.available_permits() == 0 || self.descriptors.free.available_permits() == 0
    }

    /// The connection that was used last: the others may then grow old and go.
    fn take(&self, target: &Target) -> Option<Connection> {
        let mut kept = self.kept();
        kept.retain(|one| !one.connection.is_closed());
        let of_target = |one: &Kept| one.target == *target;
        let shared = kept
            .iter()
            .filter(|one| of_target(one))
            .find_map(|one| one.connection.share());
        let connection = match shared {
            Some(shared) => shared,
            None => {
                let own = |one: &Kept| of_target(one) && !one.connection.is_shareable();
                let at = kept.iter().rposition(own)?;
                kept.remove(at).connection
            }
        };
        connection.enter();
        Some(connection)
    }

    /// Keeps at most so many idle connections to `target`, and none while descriptors are scarce.
    fn close_surplus(&self, target: &Target) {
        let idle_max = if self.descriptors.are_scarce() {
            0
        } else {
            IDLE_PER_HOST_MAX
        };
        let mut kept = self.kept();
        kept.retain(|one| !one.connection.is_closed());
        let is_idle = |one: &Kept| one.target == *target && one.connection.idle_until().is_some();
        let mut surplus = kept
            .iter()
            .filter(|one| is_idle(one))
            .count()
            .saturating_sub(idle_max);
        // The oldest stand in front.
        kept.retain(|one| {
            let leaves = surplus > 0 && is_idle(one);
            surplus -= usize::from(leaves);
            !leaves
        });
    }
}

/// A connection in the hands of one request. Dropping it closes it, unless others share it.
pub(super) struct Lease {
    pool: Arc<Shared>,
    target: Target,
    connection: Option<Connection>,
}

impl Lease {
    fn new(pool: &Pool, target: Target, connection: Connection) -> Self {
        Self {
            pool: Arc::clone(&pool.0),
            target,
            connection: Some(connection),
        }
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a lease has its connection until it is given back")
    }

    /// The response was read to its end: the next request may use the connection.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.leave();
            if !connection.is_shareable() && !connection.is_closed() {
                self.pool.kept().push(Kept {
                    target: self.target.clone(),
                    connection,
                });
            }
        }
    }

    /// The connection turned out not to work: nobody else shall try.
    pub(super) fn discard(self) {
        if let Some(connection) = &self.connection {
            self.pool
                .kept()
                .retain(|one| !one.connection.is(connection));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.leave();
        }
        self.pool.close_surplus(&self.target);
        self.pool.given_back.notify_waiters();
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests;
