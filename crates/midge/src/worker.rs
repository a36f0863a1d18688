//! A worker: one thread that takes traffic.
//!
//! Builds sandbox, dispatcher and door from a plan, tells its supervisor how it
//! goes and does what it is ordered. The same code runs in a child process
//! (`cmd/worker.rs`) and, for debuggers, inside the supervisor.
//!
//! **Invariant:** one thread and no lock; whatever ends the orders, drained or
//! not, this function returns within the grace period.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use midge_ingress::{Listening, Phase, Tls};
use midge_model::Route;
use midge_runtime::{Counters, Deployed, Dispatcher, WorkerBounds};
use midge_sandbox::Sandbox;
use tokio::sync::{mpsc, watch};

use crate::cmd::fault::chain;
use crate::config::TlsPaths;
use crate::machine;
use crate::protocol::{ALIVE_EVERY, Event, Order, Plan, PlannedRevision, Shared};

/// Serves until it is ordered to stop, or until nobody is left to give orders.
pub(crate) async fn serve(
    plan: Plan,
    shared: Shared,
    mut orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
) {
    let grace = plan.grace;
    let parts = match Parts::build(plan, shared) {
        Ok(parts) => parts,
        Err(error) => {
            return tell(
                &events,
                Event::Failed {
                    message: error.to_string(),
                },
            )
            .await;
        }
    };
    let (phase, phase_seen) = watch::channel(Phase::Serving);
    let Parts {
        listening,
        dispatcher,
        ingress,
    } = parts;
    let tls = listening.tls.clone();
    let mut cut_off = phase_seen.clone();
    let door = async {
        let guests = Rc::clone(&dispatcher);
        let drained = midge_ingress::serve(listening, dispatcher, ingress, phase_seen).await;
        // Clients have their answers; guests may have work left behind them.
        tokio::select! {
            () = guests.settled() => {}
            _ = cut_off.wait_for(|phase| *phase == Phase::Ended) => {}
        }
        drained
    };
    tell(&events, Event::Ready).await;
    let obey = async {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Drain => {
                    phase.send_replace(Phase::Draining);
                }
                Order::End => {
                    phase.send_replace(Phase::Ended);
                }
                Order::ReloadTls => tell(&events, reload(tls.as_deref())).await,
            }
        }
        orphaned(&phase, grace).await;
    };
    let live = async {
        loop {
            tokio::time::sleep(ALIVE_EVERY).await;
            tell(&events, Event::Alive).await;
        }
    };
    let drained = tokio::select! {
        drained = door => drained,
        () = live => unreachable!("a worker lives as long as its door"),
        // Obeying never ends by itself; the door does, once it was told to close.
        () = obey => unreachable!("orders are obeyed for ever"),
    };
    tell(
        &events,
        Event::Drained {
            finished: drained.finished,
            cut: drained.cut,
        },
    )
    .await;
}

/// Everything that serving needs.
struct Parts {
    listening: Listening,
    dispatcher: Rc<Dispatcher>,
    ingress: Rc<midge_ingress::IngressConfig>,
}

/// Why a worker cannot serve; the text goes to its supervisor.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
struct BuildError {
    step: String,
    reason: String,
}

impl Parts {
    fn build(plan: Plan, shared: Shared) -> Result<Self, BuildError> {
        let tls = match &plan.tls {
            Some(TlsPaths { cert, key }) => Some(at("load certificate", Tls::load(cert, key))?),
            None => None,
        };
        let counters = Counters::map(&shared.counters, plan.workers, plan.revisions.len());
        let counters = at("share the counters of the node", counters)?;
        let dispatcher = Dispatcher::new(WorkerBounds {
            instances_max: plan.sandbox.instances_max,
            // What is left when every connection is taken; the door never competes with guests.
            descriptors_max: machine::descriptors_max()
                .saturating_sub(plan.ingress.connections_max),
        });
        let routes = load(&plan, &dispatcher, &counters)?;
        at("build the routing table", dispatcher.publish(routes))?;
        let listener = at("take over the listening socket", adopt(shared.listener))?;
        Ok(Self {
            listening: Listening {
                listener,
                tls: tls.map(Rc::new),
                connections: counters.connections(plan.worker),
            },
            dispatcher: Rc::new(dispatcher),
            ingress: Rc::new(plan.ingress),
        })
    }
}

/// Maps and links the native code of every function, and puts its gate before it.
fn load(
    plan: &Plan,
    dispatcher: &Dispatcher,
    counters: &Counters,
) -> Result<Vec<(Route, Rc<Deployed>)>, BuildError> {
    let sandbox = at("start the sandbox", Sandbox::new(&plan.sandbox))?;
    let mut routes = Vec::new();
    for (column, PlannedRevision { revision, artifact }) in plan.revisions.iter().enumerate() {
        let step = format!("load function {}", revision.function);
        let function = at(&step, sandbox.load(artifact, revision.clone()))?;
        let deployed = dispatcher.deploy(function, counters, plan.worker, column);
        routes.extend(
            revision
                .routes
                .iter()
                .map(|route| (route.clone(), Rc::clone(&deployed))),
        );
    }
    Ok(routes)
}

/// Workers share the socket and so its mode: all of them need it non-blocking.
fn adopt(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
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

async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    // Without a listener there is nobody who would act on it.
    drop(events.send(event).await);
}
