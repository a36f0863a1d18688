//! `midge worker`: a worker as a process of its own.
//!
//! Connects the pipes and the inherited sockets to `worker::serve`: the plan and
//! the orders come from stdin, events go to stdout. What a worker does is
//! `worker.rs`.
//!
//! **Invariant:** when stdin ends, for whatever reason, so does the worker;
//! a lost supervisor leaves no orphans.

use std::fs::OpenOptions;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Ending;
use crate::log::{self, Relay};
use crate::protocol::{
    CHANNEL_LINES, COUNTERS_FD, DOWN_LINE_BYTES_MAX, Event, Lines, Order, Plan, Shared, USAGE_FD,
    to_line,
};
use crate::{machine, worker};

/// Serves until stdin says otherwise.
pub(super) fn run() -> anyhow::Result<Ending> {
    machine::name_process("midge-worker");
    let shared = inherited()?;
    super::block_on(work(shared))??;
    Ok(Ending::Done)
}

/// What the supervisor left open for us.
fn inherited() -> anyhow::Result<Shared> {
    let mut sockets = ListenFd::from_env();
    let listener = sockets
        .take_tcp_listener(0)
        .context("take the listening socket")?
        .context("no listening socket: this command is for `midge` itself to start")?;
    let values = sockets
        .take_custom(1, libc::AF_UNIX, libc::SOCK_STREAM, "socket for values")
        .context("take the socket for values")?;
    let internal = sockets
        .take_unix_listener(2)
        .context("take the node's own socket")?;
    // Opened by name a second time: owning a descriptor by its number cannot be done safely.
    let page = |number| {
        let path = format!("/proc/self/fd/{number}");
        OpenOptions::new().read(true).write(true).open(path)
    };
    Ok(Shared {
        listener,
        values,
        internal,
        counters: page(COUNTERS_FD).context("take the page of counters")?,
        usage: page(USAGE_FD).context("take the page of folders' counts")?,
    })
}

async fn work(shared: Shared) -> anyhow::Result<()> {
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("read orders")?;
    let stdin = pipe::Receiver::from_owned_fd(stdin).context("read orders from stdin")?;
    let mut lines = Lines::new(stdin, DOWN_LINE_BYTES_MAX);
    let Some(plan) = lines.next::<Plan>().await.context("read the plan")? else {
        bail!("read the plan: stdin ended before it");
    };
    let relay = plan.tells.then(Arc::<Relay>::default);
    let _log = log::start(&plan.log, relay.clone());
    let (orders, orders_down) = mpsc::channel(CHANNEL_LINES);
    let (events, events_up) = mpsc::channel(CHANNEL_LINES);
    let listening = tokio::task::spawn_local(listen(lines, orders));
    let speaking = tokio::task::spawn_local(speak(events_up));
    worker::serve(plan, shared, relay, orders_down, events).await;
    listening.abort();
    // The last event says how the draining went: it must be out before we are.
    speaking.await.context("write events")
}

/// Passes orders on until there is nobody left to give any, or somebody asks this very process to
/// stop. SIGINT is for the supervisor alone.
async fn listen(mut lines: Lines<pipe::Receiver>, orders: mpsc::Sender<Order>) {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        tracing::warn!("signals not taken over");
        return;
    };
    loop {
        tokio::select! {
            order = lines.next::<Order>() => match order {
                Ok(Some(order)) => drop(orders.send(order).await),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "supervisor speaks nonsense");
                    return;
                }
            },
            // Ending the orders means: drain, and no longer than the grace period.
            _ = terminate.recv() => return,
            _ = interrupt.recv() => {}
        }
    }
}

async fn speak(mut events: mpsc::Receiver<Event>) {
    // Whoever does not listen must not hold up this thread, so writing waits in its own task.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    let stdout = stdout.and_then(pipe::Sender::from_owned_fd);
    let mut stdout = match stdout {
        Ok(stdout) => stdout,
        Err(error) => return tracing::warn!(%error, "supervisor cannot be told anything"),
    };
    while let Some(event) = events.recv().await {
        if let Err(error) = stdout.write_all(&to_line(&event)).await {
            tracing::debug!(%error, "supervisor does not listen");
        }
    }
}
