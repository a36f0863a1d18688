//! The workers of a node and their places.
//!
//! Starts one worker per place, replaces those that end, and brings all of them
//! to an end. One life of a node is `start`, `watch`, `drain`, in this order;
//! `supervisor/mod.rs` walks through it and says what the operator wants.
//!
//! **Invariant:** a place is never without a worker for longer than the bound of
//! `backoff.rs`, and a node that never served does not stay alive.

use std::time::Duration;

use midge_runtime::Counters;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::child::{self, Ended, Handle, News, Report};
use super::{Node, SuperviseError};
use crate::config::Workers;
use crate::learn::Learned;
use crate::protocol::{CHANNEL_LINES, Event, Order, Plan, Shared};

/// How long a worker may take to exit once it was told to cut what is left.
const END_WAIT: Duration = Duration::from_secs(2);

/// All workers of a node.
pub(super) struct Fleet {
    template: Plan,
    /// Gone once the node drains, so that the last worker to close the door closes the port.
    shared: Option<Shared>,
    counters: Counters,
    in_process: bool,
    places: Vec<Place>,
    /// What watched functions were seen to use.
    pub(super) learned: Learned,
    reports: mpsc::Receiver<Report>,
    reporter: mpsc::Sender<Report>,
}

/// Where one worker stands.
#[derive(Debug)]
struct Place {
    worker: usize,
    handle: Option<Handle>,
    started: Instant,
    ready: bool,
    failure: Option<String>,
    restart_at: Option<Instant>,
    backoff: Backoff,
}

/// How the draining of all workers went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DrainedAll {
    /// Requests that were finished.
    pub(crate) finished: u32,
    /// Requests that were cut.
    pub(crate) cut: u32,
    /// Workers that ended without a word, so that nobody knows about their requests.
    pub(crate) lost: u32,
}

impl Fleet {
    /// Starts a worker in every place.
    ///
    /// # Errors
    ///
    /// The system gave no process.
    pub(super) fn start(node: Node) -> Result<Self, SuperviseError> {
        let (reporter, reports) = mpsc::channel(CHANNEL_LINES);
        let Node {
            plan: template,
            shared,
            workers,
            ..
        } = node;
        let counters = Counters::map(&shared.counters, template.workers, template.revisions.len())
            .map_err(|source| SuperviseError::Counters { source })?;
        let functions = template.revisions.iter();
        let functions = functions.map(|planned| &planned.revision.function);
        let mut fleet = Self {
            learned: Learned::of(functions),
            in_process: workers == Workers::InProcess,
            places: (0..template.workers).map(Place::empty).collect(),
            template,
            shared: Some(shared),
            counters,
            reports,
            reporter,
        };
        for at in 0..fleet.places.len() {
            fleet
                .launch(at)
                .map_err(|source| SuperviseError::Start { source })?;
        }
        Ok(fleet)
    }

    /// Waits until every worker accepts connections. May be dropped at any await.
    ///
    /// # Errors
    ///
    /// A worker said that it cannot serve, or ended. What fails at start fails again, so a node
    /// that never served gives up where a serving one would try again.
    pub(super) async fn ready(&mut self) -> Result<(), SuperviseError> {
        while self.places.iter().any(|place| !place.ready) {
            let Report { worker, news } = self.next_report().await;
            match news {
                News::Said(Event::Ready) => self.place(worker).become_ready(),
                News::Said(Event::Failed { message }) => {
                    return Err(SuperviseError::Failed { message });
                }
                News::Said(Event::Used { function, uses }) => self.learned.note(&function, uses),
                News::Said(Event::Alive | Event::TlsReloaded { .. } | Event::Drained { .. }) => {}
                News::Ended(ended) => return Err(SuperviseError::EndedEarly { ended }),
            }
        }
        Ok(())
    }

    /// Replaces workers that end, for as long as it is polled. May be dropped at any await.
    pub(super) async fn watch(&mut self) {
        loop {
            let restart_at = self
                .places
                .iter()
                .filter_map(|place| place.restart_at)
                .min();
            let restart = async {
                match restart_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(report) = self.reports.recv() => self.note(report),
                () = restart => self.restart_due(),
            }
        }
    }

    /// Tells every worker something.
    pub(super) fn order(&self, order: Order) {
        for handle in self.places.iter().filter_map(|place| place.handle.as_ref()) {
            handle.order(order);
        }
    }

    /// Lets every worker finish what it has begun, for as long as `grace`.
    pub(super) async fn drain(&mut self, grace: Duration) -> DrainedAll {
        let mut total = DrainedAll::default();
        // While we hold the listening socket, callers would be let in and wait for nobody.
        self.shared = None;
        self.order(Order::Drain);
        if tokio::time::timeout(grace, self.collect(&mut total))
            .await
            .is_err()
        {
            self.order(Order::End);
            drop(tokio::time::timeout(END_WAIT, self.collect(&mut total)).await);
        }
        let stuck = self
            .places
            .iter_mut()
            .filter_map(|place| place.handle.take())
            .count();
        total.lost += u32::try_from(stuck).unwrap_or(u32::MAX);
        total
    }

    /// Waits until every place is empty.
    async fn collect(&mut self, total: &mut DrainedAll) {
        while self.places.iter().any(|place| place.handle.is_some()) {
            let Report { worker, news } = self.next_report().await;
            match news {
                News::Said(Event::Drained { finished, cut }) => {
                    total.finished += finished;
                    total.cut += cut;
                    self.place(worker).ready = false;
                }
                News::Said(Event::Used { function, uses }) => self.learned.note(&function, uses),
                News::Said(event) => tracing::debug!(worker, ?event, "worker spoke while draining"),
                News::Ended(ended) => {
                    let place = self.place(worker);
                    place.handle = None;
                    if place.ready {
                        tracing::warn!(worker, %ended, "worker ended while draining");
                        total.lost += 1;
                    }
                }
            }
        }
    }

    fn note(&mut self, Report { worker, news }: Report) {
        match news {
            News::Said(Event::Ready) => self.place(worker).become_ready(),
            // Whoever reads its words has seen to it; one in our own process cannot be ended.
            News::Said(Event::Alive) => {}
            News::Said(Event::Used { function, uses }) => self.learned.note(&function, uses),
            News::Said(Event::Failed { message }) => self.place(worker).failure = Some(message),
            News::Said(Event::TlsReloaded { kept: None }) => {
                tracing::info!(worker, "certificate reloaded");
            }
            News::Said(Event::TlsReloaded { kept: Some(reason) }) => {
                tracing::warn!(worker, reason, "old certificate kept");
            }
            News::Said(Event::Drained { finished, cut }) => {
                // Somebody sent SIGTERM to the worker itself; its end will follow.
                tracing::info!(worker, finished, cut, "worker drained on its own");
            }
            News::Ended(ended) => {
                // What it was running runs no more, and must not keep its siblings waiting.
                self.counters.clear(worker);
                self.place(worker).bury(&ended);
                self.restart_due();
            }
        }
    }

    fn restart_due(&mut self) {
        let now = Instant::now();
        for at in 0..self.places.len() {
            if self.places[at].restart_at.is_some_and(|due| due <= now)
                && let Err(error) = self.launch(at)
            {
                let place = &mut self.places[at];
                let delay = place.backoff.after(Duration::ZERO);
                place.restart_at = Some(now + delay);
                tracing::warn!(worker = place.worker, %error, ?delay, "worker not started");
            }
        }
    }

    fn launch(&mut self, at: usize) -> std::io::Result<()> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        let place = &mut self.places[at];
        let plan = Plan {
            worker: place.worker,
            ..self.template.clone()
        };
        let reporter = self.reporter.clone();
        let handle = if self.in_process {
            child::start_task(plan, shared.try_clone()?, reporter)
        } else {
            child::start_process(&plan, shared, reporter)?
        };
        tracing::debug!(worker = place.worker, pid = handle.pid, "worker started");
        place.started = Instant::now();
        place.ready = false;
        place.restart_at = None;
        place.handle = Some(handle);
        Ok(())
    }

    async fn next_report(&mut self) -> Report {
        self.reports
            .recv()
            .await
            .expect("the fleet itself holds a sender")
    }

    fn place(&mut self, worker: usize) -> &mut Place {
        &mut self.places[worker]
    }
}

impl Place {
    fn empty(worker: usize) -> Self {
        Self {
            worker,
            handle: None,
            started: Instant::now(),
            ready: false,
            failure: None,
            restart_at: None,
            backoff: Backoff::default(),
        }
    }

    fn become_ready(&mut self) {
        self.ready = true;
        let start = self.started.elapsed();
        tracing::debug!(worker = self.worker, ?start, "worker ready");
    }

    /// Notes the end of this place's worker and when the next one is due.
    fn bury(&mut self, ended: &Ended) {
        let life = self.started.elapsed();
        let delay = self.backoff.after(life);
        let pid = self.handle.take().and_then(|handle| handle.pid);
        let worker = self.worker;
        match self.failure.take() {
            Some(reason) => tracing::warn!(worker, pid, reason, ?delay, "worker cannot serve"),
            None => {
                tracing::warn!(worker, pid, %ended, ?life, ?delay, "worker ended, replacing it")
            }
        }
        self.ready = false;
        self.restart_at = Some(Instant::now() + delay);
    }
}
