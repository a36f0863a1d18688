//! A worker: one thread that takes traffic.
//!
//! Builds sandbox, dispatcher and door from a plan, obeys its supervisor and tells how it goes.
//! The same code runs in a child process (`cmd/worker.rs`) and, for debuggers, inside the
//! supervisor. Orders about functions are carried out by `worker/clerk.rs`.
//!
//! **Invariant:** one thread and no lock; whatever ends the orders, drained or
//! not, this function returns within the grace period.

mod clerk;
mod folders;
mod loader;

use std::cell::Cell;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use midge_ingress::{Drained, Listening, Phase, Tls};
use midge_runtime::{Counters, Dispatcher, DispatcherParts, LoadedCounts, WorkerBounds};
use midge_sandbox::{
    ArtifactCache, LOOK_UP_DESCRIPTORS_MAX, NodePowers, OUTBOUND_DESCRIPTORS_MAX, Sandbox,
    UsagePage,
};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use self::clerk::{Clerk, say};
use self::loader::NativeLoader;
use crate::cmd::fault::chain;
use crate::config::TlsPaths;
use crate::log::Relay;
use crate::protocol::{ALIVE_EVERY, Event, FOLDERS_MAX, Order, Plan, Shared, in_groups};
use crate::values::Asking;
use crate::{learn, machine, memory_target};

/// Serves until it is ordered to stop, or until nobody is left to give orders. Lines of guests are
/// passed on from `relay`.
pub(crate) async fn serve(
    plan: Plan,
    shared: Shared,
    relay: Option<Arc<Relay>>,
    mut orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
) {
    let parts = match Parts::build(&plan, shared, &events) {
        Ok(parts) => parts,
        Err(error) => {
            let message = error.to_string();
            return say(&events, Event::Failed { message }).await;
        }
    };
    let worker = Worker {
        dispatcher: parts.dispatcher,
        clerk: parts.clerk,
        loader: parts.loader,
        tls: parts.listening.tls.clone(),
        relay,
        events,
        plan,
        told_loaded: Cell::default(),
    };
    let live = worker.live();
    let serve = async {
        if worker.prepare(&mut orders).await {
            worker.open(parts.listening, &mut orders).await;
        }
    };
    tokio::select! {
        () = serve => {}
        () = live => unreachable!("a worker lives as long as it serves"),
    }
}

/// A worker that was built.
struct Worker {
    plan: Plan,
    dispatcher: Rc<Dispatcher>,
    clerk: Rc<Clerk>,
    loader: Rc<NativeLoader>,
    tls: Option<Rc<Tls>>,
    relay: Option<Arc<Relay>>,
    events: mpsc::Sender<Event>,
    /// What it last said to be loaded.
    told_loaded: Cell<LoadedCounts>,
}

impl Worker {
    /// Learns what there is to serve. False if the door is not to be opened.
    async fn prepare(&self, orders: &mut mpsc::Receiver<Order>) -> bool {
        loop {
            match orders.recv().await {
                Some(Order::Start) => break,
                Some(Order::Drain | Order::End) | None => {
                    let (finished, cut) = (0, 0);
                    say(&self.events, Event::Drained { finished, cut }).await;
                    return false;
                }
                Some(order) => self.obey(order, self.plan.strict).await,
            }
        }
        if !self.plan.strict {
            return true;
        }
        // What is loaded may have to be compiled first, and the answer to that is an order.
        let done = tokio::select! {
            done = self.clerk.all_done() => done,
            () = self.obey_until_stopped(orders) => {
                let (finished, cut) = (0, 0);
                say(&self.events, Event::Drained { finished, cut }).await;
                return false;
            }
        };
        if let Err(error) = done {
            let message = error.to_string();
            say(&self.events, Event::Failed { message }).await;
            return false;
        }
        true
    }

    /// Obeys until ordered to stop.
    async fn obey_until_stopped(&self, orders: &mut mpsc::Receiver<Order>) {
        loop {
            match orders.recv().await {
                Some(Order::Drain | Order::End) | None => return,
                Some(order) => self.obey(order, self.plan.strict).await,
            }
        }
    }

    /// Takes traffic until ordered to stop.
    async fn open(&self, listening: Listening, orders: &mut mpsc::Receiver<Order>) {
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let mut cut_off = phase_seen.clone();
        let ingress = Rc::new(self.plan.ingress.clone());
        let door = async {
            let dispatcher = Rc::clone(&self.dispatcher);
            let drained = midge_ingress::serve(listening, dispatcher, ingress, phase_seen).await;
            // Clients have their answers; guests may have work left behind them.
            tokio::select! {
                () = self.dispatcher.settled() => {}
                _ = cut_off.wait_for(|phase| *phase == Phase::Ended) => {}
            }
            drained
        };
        say(&self.events, Event::Ready).await;
        let obey = async {
            while let Some(order) = orders.recv().await {
                match order {
                    Order::Drain => drop(phase.send_replace(Phase::Draining)),
                    Order::End => drop(phase.send_replace(Phase::Ended)),
                    order => self.obey(order, false).await,
                }
            }
            orphaned(&phase, self.plan.grace).await;
        };
        let Drained { finished, cut } = tokio::select! {
            drained = door => drained,
            // Obeying never ends by itself; the door does, once it was told to close.
            () = obey => unreachable!("orders are obeyed for ever"),
        };
        self.tell_what_was_seen().await;
        say(&self.events, Event::Drained { finished, cut }).await;
    }

    async fn obey(&self, order: Order, strict: bool) {
        match order {
            Order::Apply { function, preload } => {
                self.clerk.apply(function, preload, strict).await;
            }
            Order::Remove { key, seq } => self.clerk.remove(key, seq).await,
            Order::NativeCode { digest, fault } => self.loader.answered(&digest, fault.as_deref()),
            Order::ReloadTls => say(&self.events, reload(self.tls.as_deref())).await,
            Order::Start | Order::Drain | Order::End => {}
        }
    }

    /// Says that it is alive and what it has seen, again and again.
    async fn live(&self) {
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = alive.tick() => {
                    say(&self.events, Event::Alive).await;
                    self.clerk.tidy();
                    self.dispatcher.make_room();
                    self.tell_what_was_seen().await;
                }
                () = lines_waiting(self.relay.as_deref()) => self.tell_lines().await,
            }
        }
    }

    async fn tell_what_was_seen(&self) {
        self.tell_lines().await;
        if self.plan.tells {
            let loaded = self.dispatcher.loaded_counts();
            if self.told_loaded.replace(loaded) != loaded {
                say(&self.events, Event::Loaded(loaded)).await;
            }
            for group in in_groups(self.dispatcher.take_tallies()).groups {
                say(&self.events, Event::Tallies(group)).await;
            }
        }
        if self.plan.powers.learn {
            for function in self.dispatcher.loaded() {
                for event in learn::events(&function.revision().function, function.take_uses()) {
                    say(&self.events, event).await;
                }
            }
        }
    }

    async fn tell_lines(&self) {
        let Some(relay) = &self.relay else {
            return;
        };
        let (lines, mut lost) = relay.take();
        let grouped = in_groups(lines);
        lost += grouped.too_long.len() as u64;
        for lines in grouped.groups {
            let lost = std::mem::take(&mut lost);
            say(&self.events, Event::Wrote { lines, lost }).await;
        }
    }
}

/// Resolves when there are lines to pass on.
async fn lines_waiting(relay: Option<&Relay>) {
    match relay {
        Some(relay) => relay.waiting().await,
        None => std::future::pending().await,
    }
}

/// Everything that serving needs.
struct Parts {
    listening: Listening,
    dispatcher: Rc<Dispatcher>,
    clerk: Rc<Clerk>,
    loader: Rc<NativeLoader>,
}

/// Why a worker cannot serve; the text goes to its supervisor.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
struct BuildError {
    step: String,
    reason: String,
}

impl Parts {
    fn build(
        plan: &Plan,
        shared: Shared,
        events: &mpsc::Sender<Event>,
    ) -> Result<Self, BuildError> {
        let tls = match &plan.tls {
            Some(TlsPaths { cert, key }) => Some(at("load certificate", Tls::load(cert, key))?),
            None => None,
        };
        let counters = Counters::map(&shared.counters, plan.workers);
        let counters = at("share the counters of the node", counters)?;
        let usage = UsagePage::map(&shared.usage, plan.workers, FOLDERS_MAX);
        let usage = at("share the counts of folders", usage)?;
        usage.join(plan.worker);
        let values = shared.values.map(Asking::start).transpose();
        let values = at("take over the socket for values", values)?;
        let loader = Rc::new(loader(plan, values, events)?);
        let loaded = memory_target::of_worker(plan.memory_target_bytes, plan.workers);
        let dispatcher = Rc::new(Dispatcher::new(DispatcherParts {
            bounds: WorkerBounds {
                instances_max: plan.sandbox.instances_max,
                // What is left when every connection is taken; the door never competes with guests.
                descriptors_max: machine::descriptors_max()
                    .saturating_sub(plan.ingress.connections_max)
                    .saturating_sub(loaded.revisions_max)
                    .saturating_sub(OUTBOUND_DESCRIPTORS_MAX)
                    .saturating_sub(LOOK_UP_DESCRIPTORS_MAX),
            },
            loaded,
            domain: plan.domain.clone(),
            counters: counters.clone(),
            worker: plan.worker,
            loader: Rc::clone(&loader) as Rc<dyn midge_runtime::Loader>,
        }));
        let listener = at("take over the listening socket", adopt(shared.listener))?;
        let internal = shared.internal.map(adopt_internal).transpose();
        let internal = at("take over the node's own socket", internal)?;
        Ok(Self {
            listening: Listening {
                listener,
                internal,
                tls: tls.map(Rc::new),
                connections: counters.connections(plan.worker),
            },
            clerk: Clerk::new(Rc::clone(&dispatcher), usage, events.clone()),
            dispatcher,
            loader,
        })
    }
}

fn loader(
    plan: &Plan,
    values: Option<Asking>,
    events: &mpsc::Sender<Event>,
) -> Result<NativeLoader, BuildError> {
    let powers = NodePowers::new(plan.powers.clone());
    let mut powers = at("prepare what functions are lent", powers)?;
    if let Some(values) = values {
        powers = powers.with_values(Arc::new(values));
    }
    let sandbox = at("start the sandbox", Sandbox::new(&plan.sandbox, powers))?;
    let cache = ArtifactCache::open(&plan.cache_dir, sandbox.engine());
    let cache = at("open the cache of compiled code", cache)?;
    let data_root = plan.data_root.clone();
    Ok(NativeLoader::new(sandbox, cache, data_root, events.clone()))
}

/// Workers share the socket and so its mode: all of them need it non-blocking.
fn adopt(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn adopt_internal(listener: UnixListener) -> std::io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

fn at<T, E: std::error::Error + Send + Sync + 'static>(
    step: &str,
    result: Result<T, E>,
) -> Result<T, BuildError> {
    result.map_err(|error| BuildError {
        step: step.to_owned(),
        reason: chain(&error),
    })
}

/// Nobody is left to decide how long: finish what was begun, within the grace period.
async fn orphaned(phase: &watch::Sender<Phase>, grace: Duration) {
    phase.send_replace(Phase::Draining);
    tokio::time::sleep(grace).await;
    phase.send_replace(Phase::Ended);
    std::future::pending().await
}

fn reload(tls: Option<&Tls>) -> Event {
    let result = tls.map_or(Ok(()), Tls::reload);
    let kept = result.err().map(|error| chain(&error));
    Event::TlsReloaded { kept }
}
