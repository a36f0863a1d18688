//! The control core and what it is made of.
//!
//! The operations are methods of [`Control`], one file for each thing that is administered. Each
//! authorises first, then reads, refuses what cannot be, and only then writes, with an entry in
//! the audit log around it.
//!
//! Writes are made in turns, one operation at a time in this process: a turn is a few records
//! long and never spans a compile, an upload or a wait for workers, and the embedded store writes
//! one record after the other anyway. A lock per function would let two functions claim one route
//! at the same moment. Against other processes it is no help, nor is it needed for what must
//! hold everywhere: that rests on compare-and-swap.
//!
//! **Invariant:** what is live changes by one compare-and-swap of one function record, after
//! everything that it names is there.

use std::fmt;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::Policy;
use midge_store::{Registry, Store, Vault};
use tokio::sync::{Mutex, MutexGuard, Notify, RwLock};

use crate::audit::Attempts;
use crate::audit_trim::SinceLook;
use crate::authenticate::LocalTokens;
use crate::config::ControlConfig;
use crate::counts::Counts;
use crate::error::ControlError;
use crate::idempotency::InProgress;
use crate::inspections::Inspections;
use crate::node::Node;
use crate::token_room::TokenCounts;

/// How often a write is tried again that met another one.
pub(crate) const ATTEMPTS_MAX: usize = 5;
/// The longest that an operation waits for its turn to write.
const TURN_WAIT_MAX: Duration = Duration::from_secs(30);

/// Administers one node: who may, is it sound, publish it, write it down.
pub struct Control {
    pub(crate) store: Store,
    pub(crate) vault: Arc<StdMutex<Vault>>,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) policy: Policy,
    pub(crate) config: ControlConfig,
    pub(crate) local: LocalTokens,
    pub(crate) attempts: Attempts,
    pub(crate) since_look: SinceLook,
    pub(crate) counts: Counts,
    pub(crate) tokens: TokenCounts,
    pub(crate) in_progress: InProgress,
    pub(crate) inspections: Inspections,
    /// Held to read while a secret is sealed and written, to write while all are sealed anew.
    pub(crate) sealing: RwLock<()>,
    /// Told when there may be something to sweep.
    pub(crate) untidy: Notify,
    writing: Mutex<()>,
}

/// What a [`Control`] is made of.
pub struct ControlParts {
    /// What is kept.
    pub store: Store,
    /// What seals secrets; the node opens them with the same.
    pub vault: Arc<StdMutex<Vault>>,
    /// The node that compiles and serves.
    pub node: Arc<dyn Node>,
    /// The most that functions may be granted on this node.
    pub policy: Policy,
    /// What the binary was told.
    pub config: ControlConfig,
}

/// The turn of one operation to write.
pub(crate) type Turn<'a> = MutexGuard<'a, ()>;

impl Control {
    /// Administers a node made of these parts. Await [`Control::prepare`] before the first request.
    pub fn new(parts: ControlParts) -> Self {
        let ControlParts {
            store,
            vault,
            node,
            policy,
            config,
        } = parts;
        let policy = policy.with_data_root(&config.data_root);
        Self {
            store,
            vault,
            node,
            policy,
            config,
            local: LocalTokens::default(),
            attempts: Attempts::default(),
            since_look: SinceLook::default(),
            counts: Counts::default(),
            tokens: TokenCounts::default(),
            in_progress: InProgress::default(),
            inspections: Inspections::default(),
            sealing: RwLock::default(),
            untidy: Notify::default(),
            writing: Mutex::default(),
        }
    }

    /// What the binary was told.
    pub fn config(&self) -> &ControlConfig {
        &self.config
    }

    /// Whether the node takes traffic.
    pub fn is_ready(&self) -> bool {
        self.node.ready()
    }

    pub(crate) fn registry(&self) -> &dyn Registry {
        &*self.store.registry
    }

    /// Waits for the turn to write. Keep it short: everybody else waits too.
    ///
    /// # Errors
    ///
    /// The turns of others take too long.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, ControlError> {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, self.writing.lock()).await;
        turn.map_err(|_| {
            ControlError::new(ErrorCode::Busy, "too many others are writing")
                .with_hint("try again in a moment")
        })
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
