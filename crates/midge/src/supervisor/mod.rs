//! One life of a node: start the workers, watch over them, bring them home.
//!
//! Decides in which order that happens and what each wish of the operator
//! means. Workers and their places are `fleet.rs`, one worker is `child.rs`,
//! compiling before there are any is `compilers.rs`.
//!
//! **Invariant:** the supervisor takes no traffic and reads no request, so
//! nothing that a caller does can hold it up.

mod backoff;
mod child;
mod compilers;
mod fleet;
mod listener;
pub(crate) mod page;
mod progress;
mod signals;

use std::io;
use std::time::Duration;

use midge_ingress::Tls;

pub(crate) use self::compilers::{Compiler, CompilersError, Job, Made};
pub(crate) use self::fleet::DrainedAll;
pub(crate) use self::listener::claim;
pub(crate) use self::progress::{Progress, SHOWN_AFTER};

use self::child::Ended;
use self::fleet::Fleet;
use self::signals::{Signals, Wish};
use crate::cmd::fault::{Hint, chain};
use crate::config::{TlsPaths, Workers};
use crate::learn::Learned;
use crate::protocol::{Order, Plan, Shared};

/// Everything that a node is made of, ready to start.
#[derive(Debug)]
pub(crate) struct Node {
    /// What every worker serves.
    pub(crate) plan: Plan,
    /// What the workers have in common.
    pub(crate) shared: Shared,
    /// Who takes the traffic.
    pub(crate) workers: Workers,
    /// How long requests in flight may go on once asked to stop.
    pub(crate) grace: Duration,
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
            Self::Signals { .. } | Self::Counters { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Lives until the operator says stop. `announce` is called once all workers accept connections.
///
/// # Errors
///
/// The node never came to serve; nothing is left running.
pub(crate) async fn supervise(node: Node, announce: impl FnOnce()) -> Result<Life, SuperviseError> {
    let (grace, tls) = (node.grace, node.plan.tls.clone());
    let mut signals =
        Signals::install(tls.is_some()).map_err(|source| SuperviseError::Signals { source })?;
    let mut fleet = Fleet::start(node)?;
    tokio::select! {
        ready = fleet.ready() => {
            ready?;
            announce();
            watch_until_stopped(&mut fleet, &mut signals, tls.as_ref()).await;
        }
        // The first worker may be serving already, so this drains like any other stop.
        () = signals.stop() => {}
    }
    tracing::info!(?grace, "draining, a second signal ends at once");
    let ending = tokio::select! {
        total = fleet.drain(grace) => Ending::Drained(total),
        () = signals.stop() => Ending::Interrupted,
    };
    Ok(Life {
        ending,
        learned: std::mem::take(&mut fleet.learned),
    })
}

/// Replaces what ends and reloads what is asked for, until asked to stop.
async fn watch_until_stopped(fleet: &mut Fleet, signals: &mut Signals, tls: Option<&TlsPaths>) {
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            () = fleet.watch() => unreachable!("watching has no end of its own"),
        };
        match wish {
            Wish::Stop => return,
            Wish::Reload => reload(fleet, tls),
        }
    }
}

/// Has the workers read the certificate again, once it is known to be good: a node whose workers
/// show different certificates is worse than one that shows the old one.
fn reload(fleet: &Fleet, tls: Option<&TlsPaths>) {
    let Some(paths) = tls else { return };
    match Tls::load(&paths.cert, &paths.key) {
        Ok(_) => fleet.order(Order::ReloadTls),
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(reason, "new certificate not used, old one kept");
        }
    }
}
