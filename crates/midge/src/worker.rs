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
use midge_sandbox::{
    Deployment, LOOK_UP_DESCRIPTORS_MAX, LoadedFunction, NodePowers, OUTBOUND_DESCRIPTORS_MAX,
    Sandbox, UsagePage,
};
use tokio::sync::{mpsc, watch};

use crate::cmd::fault::chain;
use crate::config::TlsPaths;
use crate::protocol::{ALIVE_EVERY, Event, Order, Plan, Shared};
use crate::{learn, machine};

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
        functions,
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
            tell_uses(&events, &functions).await;
        }
    };
    let drained = tokio::select! {
        drained = door => drained,
        () = live => unreachable!("a worker lives as long as its door"),
        // Obeying never ends by itself; the door does, once it was told to close.
        () = obey => unreachable!("orders are obeyed for ever"),
    };
    tell_uses(&events, &functions).await;
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
    functions: Vec<Rc<LoadedFunction>>,
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
                .saturating_sub(plan.ingress.connections_max)
                .saturating_sub(OUTBOUND_DESCRIPTORS_MAX)
                .saturating_sub(LOOK_UP_DESCRIPTORS_MAX),
        });
        let usage = UsagePage::map(&shared.usage, plan.workers, plan.usage().folders());
        let usage = at("share the counts of folders", usage)?;
        usage.join(plan.worker);
        let (routes, functions) = load(&plan, &dispatcher, (&counters, &usage))?;
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
            functions,
        })
    }
}

/// What of a plan's functions requests are sent to, and the functions themselves.
type Loaded = (Vec<(Route, Rc<Deployed>)>, Vec<Rc<LoadedFunction>>);

/// Maps and links the native code of every function, and puts its gate before it.
fn load(
    plan: &Plan,
    dispatcher: &Dispatcher,
    (counters, usage): (&Counters, &UsagePage),
) -> Result<Loaded, BuildError> {
    let powers = NodePowers::new(plan.powers.clone());
    let powers = at("prepare what functions are lent", powers)?;
    let sandbox = at("start the sandbox", Sandbox::new(&plan.sandbox, powers))?;
    let usage_plan = plan.usage();
    let (mut routes, mut functions) = (Vec::new(), Vec::new());
    for (column, planned) in plan.revisions.iter().enumerate() {
        let revision = &planned.revision;
        let step = format!("load function {}", revision.function);
        let deployment = Deployment {
            revision: revision.clone(),
            secrets: planned.secrets.clone(),
            usage: Some(usage_plan.cells(usage, &revision.grants)),
        };
        let function = at(&step, sandbox.load(&planned.artifact, deployment))?;
        functions.push(Rc::clone(&function));
        let deployed = dispatcher.deploy(function, counters, plan.worker, column);
        routes.extend(
            revision
                .routes
                .iter()
                .map(|route| (route.clone(), Rc::clone(&deployed))),
        );
    }
    Ok((routes, functions))
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

/// What watched functions have used since this was last said.
async fn tell_uses(events: &mpsc::Sender<Event>, functions: &[Rc<LoadedFunction>]) {
    for function in functions {
        for event in learn::events(&function.revision().function, function.take_uses()) {
            tell(events, event).await;
        }
    }
}

async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    // Without a listener there is nobody who would act on it.
    drop(events.send(event).await);
}
