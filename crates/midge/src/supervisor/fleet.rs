//! The workers of a node and their places.
//!
//! Starts one worker per place, replaces those that end, and brings all of them
//! to an end. One life of a node is `start`, `watch`, `drain`, in this order;
//! `supervisor/mod.rs` walks through it and says what the operator wants.
//!
//! **Invariant:** a place is never without a worker for longer than the bound of
//! `backoff.rs`, and a node that never served does not stay alive.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use midge_model::Digest;
use midge_runtime::Counters;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::child::{self, Ended, Handle, News, Report};
use super::native::NativeCode;
use super::roster::Roster;
use super::{Node, SuperviseError};
use crate::cmd::fault::chain;
use crate::config::Workers;
use crate::learn::Learned;
use crate::log::Relay;
use crate::observed::Observed;
use crate::protocol::{CHANNEL_LINES, Event, FunctionKey, Order, Plan, Shared};
use crate::values::ValuesDoor;

/// How long a worker may take to exit once it was told to cut what is left.
const END_WAIT: Duration = Duration::from_secs(2);

/// Questions of workers for native code that are being answered.
const QUESTIONS_MAX: usize = 4_096;

/// All workers of a node.
pub(super) struct Fleet {
    template: Plan,
    /// Gone once the node drains, so that the last worker to close the door closes the port.
    shared: Option<Shared>,
    counters: Counters,
    in_process: bool,
    places: Vec<Place>,
    /// What workers are to serve.
    roster: Arc<Roster>,
    /// Makes what they miss.
    native: Rc<NativeCode>,
    /// What they tell of their guests, and how they are.
    observed: Arc<Observed>,
    /// Where they ask for values of functions.
    values: ValuesDoor,
    /// Where lines of guests in this very process come from.
    relay: Option<Arc<Relay>>,
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
    /// When it said that it is ready.
    ready_at: Option<Instant>,
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
            roster,
            native,
            observed,
            relay,
            values,
            learned,
            ..
        } = node;
        let counters = Counters::map(&shared.counters, template.workers)
            .map_err(|source| SuperviseError::Counters { source })?;
        let mut fleet = Self {
            learned,
            roster,
            native,
            observed,
            relay,
            values,
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
                News::Said(Event::Failed { message }) => {
                    return Err(SuperviseError::Failed { message });
                }
                News::Said(event) => self.note_event(worker, event),
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

    /// Lets every worker finish what it has begun, for as long as `grace`.
    pub(super) async fn drain(&mut self, grace: Duration) -> DrainedAll {
        let mut total = DrainedAll::default();
        // While we hold the listening socket, callers would be let in and wait for nobody.
        self.shared = None;
        self.roster.tell_all(&Order::Drain);
        if tokio::time::timeout(grace, self.collect(&mut total))
            .await
            .is_err()
        {
            self.roster.tell_all(&Order::End);
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
                News::Said(event) => self.note_event(worker, event),
                News::Ended(ended) => {
                    self.roster.leave(worker);
                    self.observed.worker_ended(worker);
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
            News::Said(event) => self.note_event(worker, event),
            News::Ended(ended) => {
                // What it was running runs no more, and must not keep its siblings waiting.
                self.counters.clear(worker);
                self.roster.leave(worker);
                self.observed.worker_ended(worker);
                self.place(worker).bury(&ended);
                self.restart_due();
            }
        }
    }

    fn note_event(&mut self, worker: usize, event: Event) {
        match event {
            Event::Ready => {
                self.observed.worker_ready(worker);
                self.place(worker).become_ready();
            }
            // Whoever reads its words has seen to it; one in our own process cannot be ended.
            Event::Alive => {}
            Event::Loaded(loaded) => self.observed.note_loaded(worker, loaded),
            Event::Applied { key, seq, fault } => self.note_applied(worker, (&key, seq), fault),
            Event::NeedsNativeCode { key, digest } => self.make_native_code(worker, key, digest),
            Event::Wrote { lines, lost } => {
                self.observed
                    .note_lines(lines, lost, |key| self.roster.has(key));
            }
            Event::Tallies(tallies) => {
                self.observed
                    .note_tallies(tallies, |key| self.roster.has(key));
            }
            Event::Used { function, uses } => self.learned.note(&function, uses),
            Event::Failed { message } => self.place(worker).failure = Some(message),
            Event::TlsReloaded { kept: None } => tracing::info!(worker, "certificate reloaded"),
            Event::TlsReloaded { kept: Some(reason) } => {
                tracing::warn!(worker, reason, "old certificate kept")
            }
            Event::Drained { finished, cut } => {
                // Somebody sent SIGTERM to the worker itself; its end will follow.
                tracing::info!(worker, finished, cut, "worker drained on its own");
            }
        }
    }

    fn note_applied(&self, worker: usize, (key, seq): (&FunctionKey, u64), fault: Option<String>) {
        if let Some(reason) = &fault {
            let FunctionKey {
                namespace,
                function,
            } = key;
            tracing::warn!(worker, %namespace, %function, reason, "function not served as it should be");
        }
        if !self.roster.applied(worker, key, seq, fault) {
            tracing::debug!(worker, %key, "worker applied what it was not given");
        }
    }

    /// Has native code made that a worker misses, and tells it what came of that.
    fn make_native_code(&self, worker: usize, key: FunctionKey, digest: Digest) {
        if !self.roster.has_component(&key, &digest) {
            // The function may have changed since; the worker has to hear something all the same.
            let fault = Some("the function has another component now".to_owned());
            self.roster
                .tell(worker, Order::NativeCode { digest, fault });
            return;
        }
        let (roster, native) = (Arc::clone(&self.roster), Rc::clone(&self.native));
        if Rc::strong_count(&native) > QUESTIONS_MAX {
            tracing::warn!(worker, "worker asks for too much native code");
            return;
        }
        tokio::task::spawn_local(async move {
            let made = native.make((&key.namespace, &key.function), &digest).await;
            let fault = made.err().map(|error| chain(&*error));
            roster.tell(worker, Order::NativeCode { digest, fault });
        });
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
        let mail = self.roster.join(place.worker);
        let values = self.values.connect();
        let shared = values.and_then(|values| shared.for_worker(values));
        let started = shared.and_then(|shared| match self.in_process {
            true => {
                let relay = self.relay.clone();
                Ok(child::start_task(plan, (shared, relay), mail, reporter))
            }
            false => child::start_process(&plan, shared, mail, reporter),
        });
        let handle = match started {
            Ok(handle) => handle,
            Err(error) => {
                self.roster.leave(place.worker);
                return Err(error);
            }
        };
        self.observed.worker_started(place.worker, handle.pid);
        tracing::debug!(worker = place.worker, pid = handle.pid, "worker started");
        place.started = Instant::now();
        place.ready = false;
        place.ready_at = None;
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
            ready_at: None,
            failure: None,
            restart_at: None,
            backoff: Backoff::default(),
        }
    }

    fn become_ready(&mut self) {
        self.ready = true;
        self.ready_at = Some(Instant::now());
        let start = self.started.elapsed();
        tracing::debug!(worker = self.worker, ?start, "worker ready");
    }

    /// Notes the end of this place's worker and when the next one is due.
    fn bury(&mut self, ended: &Ended) {
        let life = self.started.elapsed();
        let served = self.ready_at.take().map(|ready_at| ready_at.elapsed());
        let delay = self.backoff.after(served.unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_ends_soon_after_it_was_ready_is_held_back_however_long_it_took_to_start() {
        let mut place = Place::empty(0);
        let mut delays = Vec::new();
        for served_s in [1, 1, 1, 1, 60, 1] {
            place.started = Instant::now();
            tokio::time::advance(Duration::from_secs(30)).await;
            place.become_ready();
            tokio::time::advance(Duration::from_secs(served_s)).await;
            place.bury(&Ended::Done);
            let due = place.restart_at.expect("it is to be replaced");
            delays.push((due - Instant::now()).as_millis());
        }
        assert_eq!(delays, [0, 0, 100, 200, 0, 0]);
    }
}
