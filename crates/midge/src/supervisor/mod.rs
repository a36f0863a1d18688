//! One life of a node: start the workers, watch over them, bring them home.
//!
//! Decides in which order that happens and what each wish of the operator
//! means. Workers and their places are `fleet.rs`, one worker is `child.rs`, what
//! they are to serve is `roster.rs`; compiling is `compilers.rs` and, while the node
//! runs, `native.rs`. What else lives in this process stands [`Beside`].
//!
//! **Invariant:** the supervisor takes no traffic and reads no request, so
//! nothing that a caller does can hold it up.

mod backoff;
mod child;
mod compilers;
mod fleet;
mod internal;
mod listener;
mod native;
pub(crate) mod page;
mod places;
mod progress;
mod refusals;
mod roster;
mod signals;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use midge_ingress::Tls;
use tokio::time::Instant;

pub(crate) use self::compilers::{
    Compiler, CompilersError, Job, Made, Source, WALL_TIME_MAX, WALL_TIME_MAX_OF_TENANT,
};
pub(crate) use self::fleet::DrainedAll;
pub(crate) use self::internal::InternalDoor;
pub(crate) use self::listener::{claim, open_soon};
pub(crate) use self::native::{Components, Found, NativeCode, NativeCodeError};
pub(crate) use self::progress::{Progress, SHOWN_AFTER};
#[cfg(test)]
pub(crate) use self::roster::Mailbox;
pub(crate) use self::roster::{Roster, WantedFunction};

use self::child::Ended;
use self::fleet::Fleet;
use self::signals::{Signals, Wish};
use crate::cmd::fault::{Hint, chain};
use crate::config::{TlsPaths, Workers};
use crate::learn::Learned;
use crate::log::Relay;
use crate::observed::Observed;
use crate::protocol::{Order, Plan, Shared};
use crate::values::ValuesDoor;

/// Everything that a node is made of, ready to start.
#[derive(Debug)]
pub(crate) struct Node {
    /// What every worker knows before it is told about functions.
    pub(crate) plan: Plan,
    /// What every worker serves.
    pub(crate) roster: Arc<Roster>,
    /// Where native code comes from that a worker misses.
    pub(crate) native: Rc<NativeCode>,
    /// What is seen of the workers and their guests.
    pub(crate) observed: Arc<Observed>,
    /// Where workers ask for values of functions.
    pub(crate) values: ValuesDoor,
    /// Where lines of guests in this very process come from.
    pub(crate) relay: Option<Arc<Relay>>,
    /// What watched functions were seen to use.
    pub(crate) learned: Learned,
    /// What the workers have in common.
    pub(crate) shared: Shared,
    /// Who takes the traffic.
    pub(crate) workers: Workers,
    /// How long requests in flight may go on once asked to stop.
    pub(crate) grace: Duration,
    /// Whether a terminal that hangs up leaves the node running.
    pub(crate) is_service: bool,
}

/// What else lives in a supervisor's process.
pub(crate) trait Beside {
    /// All workers accept connections.
    fn ready(&mut self);

    /// The operator wants the certificate read again, and it is good.
    fn reload(&mut self);

    /// Resolves if it cannot go on; the node ends then. May be dropped at any await.
    async fn broken(&mut self) -> String;

    /// The node is about to end: finishes what it has begun, while workers still serve, for as long
    /// as `grace`.
    async fn close(&mut self, grace: Duration);
}

/// A life of a node that is over.
#[derive(Debug)]
pub(crate) struct Life {
    /// How it ended.
    pub(crate) ending: Ending,
    /// What watched functions were seen to use.
    pub(crate) learned: Learned,
}

/// How a node's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Asked to stop, it did.
    Drained(DrainedAll),
    /// Asked twice, it stopped at once.
    Interrupted,
}

/// Why a node could not live.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuperviseError {
    /// The kernel refused to give us our signals.
    #[error("take over the signals")]
    Signals { source: io::Error },
    /// The page of counters is not as we made it.
    #[error("share the counters of the node")]
    Counters { source: midge_runtime::CounterError },
    /// The system gave no process.
    #[error("start a worker")]
    Start { source: io::Error },
    /// A worker said why it cannot serve.
    #[error("start a worker: {message}")]
    Failed { message: String },
    /// What lives beside the workers cannot go on.
    #[error("{message}")]
    Broken { message: String },
    /// A worker was gone before it served.
    #[error("start a worker: it ended with {ended} before it was ready")]
    EndedEarly { ended: Ended },
}

impl Hint for SuperviseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Start { .. } => {
                Some("allow more processes (`ulimit -u`), or take fewer: --workers 1".to_owned())
            }
            Self::EndedEarly { .. } => {
                Some("see what a single process says: MIDGE_LOG=debug, --workers 1".to_owned())
            }
            Self::Signals { .. }
            | Self::Counters { .. }
            | Self::Failed { .. }
            | Self::Broken { .. } => None,
        }
    }
}

/// Lives until the operator says stop.
///
/// # Errors
///
/// The node never came to serve, or what stands beside it broke; nothing is left running.
pub(crate) async fn supervise(
    node: Node,
    beside: &mut impl Beside,
) -> Result<Life, SuperviseError> {
    let (grace, tls) = (node.grace, node.plan.tls.clone());
    let (roster, observed) = (Arc::clone(&node.roster), Arc::clone(&node.observed));
    let mut signals = Signals::install(tls.is_some() || node.is_service)
        .map_err(|source| SuperviseError::Signals { source })?;
    let mut fleet = Fleet::start(node)?;
    let broken = tokio::select! {
        ready = fleet.ready() => {
            ready?;
            beside.ready();
            let tls = tls.as_ref();
            watch_until_stopped(&mut fleet, &mut signals, (&roster, tls), beside).await.err()
        }
        message = beside.broken() => Some(message),
        // The first worker may be serving already, so this drains like any other stop.
        () = signals.stop() => None,
    };
    observed.node_draining();
    tracing::info!(?grace, "draining, a second signal ends at once");
    let ending = tokio::select! {
        total = drain(&mut fleet, beside, grace) => Ending::Drained(total),
        () = signals.stop() => Ending::Interrupted,
    };
    match broken {
        Some(message) => Err(SuperviseError::Broken { message }),
        None => Ok(Life {
            ending,
            learned: std::mem::take(&mut fleet.learned),
        }),
    }
}

/// Replaces what ends and reloads what is asked for, until asked to stop.
///
/// # Errors
///
/// What stands beside the workers broke, in its words.
async fn watch_until_stopped(
    fleet: &mut Fleet,
    signals: &mut Signals,
    (roster, tls): (&Roster, Option<&TlsPaths>),
    beside: &mut impl Beside,
) -> Result<(), String> {
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            message = beside.broken() => return Err(message),
            () = fleet.watch() => unreachable!("watching has no end of its own"),
        };
        match wish {
            Wish::Stop => return Ok(()),
            Wish::Reload => reload(roster, tls, beside),
        }
    }
}

/// First what stands beside the workers, because that may still need them; then the workers. Both
/// within the grace period.
async fn drain(fleet: &mut Fleet, beside: &mut impl Beside, grace: Duration) -> DrainedAll {
    let over = Instant::now() + grace;
    tokio::select! {
        () = beside.close(grace / 2) => {}
        () = fleet.watch() => unreachable!("watching has no end of its own"),
    }
    fleet
        .drain(over.saturating_duration_since(Instant::now()))
        .await
}

/// Has the workers read the certificate again, once it is known to be good: a node whose workers
/// show different certificates is worse than one that shows the old one.
fn reload(roster: &Roster, tls: Option<&TlsPaths>, beside: &mut impl Beside) {
    let Some(paths) = tls else { return };
    match Tls::load(&paths.cert, &paths.key) {
        Ok(_) => {
            roster.tell_all(&Order::ReloadTls);
            beside.reload();
        }
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(reason, "new certificate not used, old one kept");
        }
    }
}
