//! The load: connections that are kept, one request at a time on each.
//!
//! Closed, each connection asks again as soon as it was answered. Open, requests are due by the
//! clock (`pace.rs`), and an answer's latency counts from when its request was due: who is late
//! makes those behind late too, and a generator that waited politely would not see it.
//!
//! **Invariant:** an answer is counted in the round in which it came, or not at all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ask::Ask;
use super::connection::{Broken, Connection};
use super::histogram::Histogram;
use super::pace::Pace;
use super::receipt::Receipt;
use super::stop::Stop;
use super::usage::Usage;
use crate::config::BenchLoad;

/// How long the load runs before anything is counted, at most: caches fill, connections open.
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// How long answers that are still out may take once the load has ended.
const REST_TIME_MAX: Duration = Duration::from_secs(2);

/// The first pause after a connection that failed; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What was seen in one round, or in all of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Nanoseconds until the last byte of each answer of success.
    pub(super) latency: Histogram,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub(super) broken: BTreeMap<Broken, u64>,
    /// Bytes of bodies.
    pub(super) body_bytes: u64,
    /// What receipts said.
    pub(super) receipts: Receipts,
}

/// What receipts said: nanoseconds, and bytes.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    pub(super) queue: Histogram,
    pub(super) instantiate: Histogram,
    pub(super) run: Histogram,
    pub(super) cpu: Histogram,
    pub(super) memory: Histogram,
}

/// One round.
#[derive(Debug)]
pub(super) struct Round {
    /// How long it was.
    pub(super) took: Duration,
    /// What was seen.
    pub(super) tally: Tally,
    /// What the node used meanwhile: time in this round, memory at its end.
    pub(super) usage: Usage,
}

/// A load that is over.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The rounds, the last one shorter if it was stopped.
    pub(super) rounds: Vec<Round>,
    /// Requests that were due and not sent, because no connection was free.
    pub(super) unsent: u64,
    /// Requests that had no answer when the load had ended.
    pub(super) cut: u64,
    /// How much of one core the generator took.
    pub(super) own_cores: f64,
}

/// What all connections have in common.
struct Shared {
    address: SocketAddr,
    ask: Ask,
    pace: Option<Pace>,
    tally: RefCell<Tally>,
    is_over: Cell<bool>,
}

impl Tally {
    /// An answer came.
    pub(super) fn answered(&mut self, status: u16, took: Duration, body_bytes: u64) {
        *self.statuses.entry(status).or_default() += 1;
        self.body_bytes += body_bytes;
        if status < 400 {
            self.latency.add(nanos(took));
        }
    }

    /// All that another has seen was seen here too.
    pub(super) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (broken, count) in &other.broken {
            *self.broken.entry(*broken).or_default() += count;
        }
        self.body_bytes += other.body_bytes;
        self.receipts.merge(&other.receipts);
    }

    /// Answers of any status.
    pub(super) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }
}

impl Receipts {
    /// One more.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        let times = [
            (&mut self.queue, receipt.queue),
            (&mut self.instantiate, receipt.instantiate),
            (&mut self.run, receipt.run),
            (&mut self.cpu, receipt.cpu),
        ];
        for (histogram, time) in times {
            if let Some(time) = time {
                histogram.add(nanos(time));
            }
        }
        if let Some(bytes) = receipt.memory_bytes {
            self.memory.add(bytes);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.queue.merge(&other.queue);
        self.instantiate.merge(&other.instantiate);
        self.run.merge(&other.run);
        self.cpu.merge(&other.cpu);
        self.memory.merge(&other.memory);
    }
}

/// Asks `address` for as long as the plan says, or until told to stop. `usage` says what whoever
/// answers has used so far; each round is told to `progress` as it ends.
pub(super) async fn load(
    plan: BenchLoad,
    (address, ask): (SocketAddr, Ask),
    usage: impl Fn() -> Usage,
    progress: impl Fn(usize, &Round),
    stop: &Stop,
) -> Loaded {
    let shared = Rc::new(Shared {
        address,
        ask,
        pace: plan.rate.map(Pace::start),
        tally: RefCell::default(),
        is_over: Cell::new(false),
    });
    let mut connections = JoinSet::new();
    for _ in 0..plan.connections {
        connections.spawn_local(converse(Rc::clone(&shared)));
    }
    let own_before = Usage::own_cpu();
    let started = Instant::now();
    let warm_up = (plan.round * plan.rounds / 10).min(WARM_UP_MAX);
    let mut rounds = Vec::new();
    if wait(started + warm_up, stop).await {
        rounds = run_rounds(plan, &shared, (usage, progress), stop).await;
    }
    let own = Usage::own_cpu().saturating_sub(own_before);
    let own_cores = own.as_secs_f64() / started.elapsed().as_secs_f64();
    let unsent = shared.end();
    let cut = rest(&shared, &mut connections, rounds.last_mut(), stop).await;
    Loaded {
        rounds,
        unsent,
        cut,
        own_cores,
    }
}

async fn run_rounds(
    plan: BenchLoad,
    shared: &Shared,
    (usage, progress): (impl Fn() -> Usage, impl Fn(usize, &Round)),
    stop: &Stop,
) -> Vec<Round> {
    let mut rounds = Vec::new();
    let mut before = usage();
    let mut began = Instant::now();
    shared.tally.take();
    for number in 0..plan.rounds as usize {
        let goes_on = wait(began + plan.round, stop).await;
        let (now, tally, after) = (Instant::now(), shared.tally.take(), usage());
        let round = Round {
            took: now - began,
            tally,
            usage: Usage {
                cpu: after.cpu.saturating_sub(before.cpu),
                memory_bytes: after.memory_bytes,
            },
        };
        progress(number, &round);
        rounds.push(round);
        (began, before) = (now, after);
        if !goes_on {
            break;
        }
    }
    rounds
}

/// Whether the moment came before we were told to stop.
async fn wait(until: Instant, stop: &Stop) -> bool {
    tokio::select! {
        () = sleep_until(until) => true,
        () = stop.asked(1) => false,
    }
}

/// Waits for answers that are still out, and says how many never came.
async fn rest(
    shared: &Shared,
    connections: &mut JoinSet<()>,
    last: Option<&mut Round>,
    stop: &Stop,
) -> u64 {
    let answered = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = answered => {}
        () = sleep(REST_TIME_MAX) => {}
        () = stop.asked(2) => {}
    }
    let cut = connections.len() as u64;
    connections.abort_all();
    if let Some(last) = last {
        // They were asked within the round; to leave the slowest out would be a kind lie.
        last.tally.merge(&shared.tally.take());
    }
    cut
}

impl Shared {
    /// No request is sent from now on; says how many were due.
    fn end(&self) -> u64 {
        self.is_over.set(true);
        self.pace.as_ref().map_or(0, Pace::end)
    }

    /// The moment from which the next request counts; `None` when there is no next one.
    async fn due(&self) -> Option<Instant> {
        match &self.pace {
            _ if self.is_over.get() => None,
            None => Some(Instant::now()),
            Some(pace) => pace.due().await,
        }
    }
}

/// One connection: asks, and connects anew whenever it has to.
async fn converse(shared: Rc<Shared>) {
    let mut connection = None;
    let mut pause = PAUSE_MIN;
    while let Some(due) = shared.due().await {
        let exchange = exchange(&mut connection, &shared);
        let exchanged = match timeout(super::connection::ANSWER_TIME_MAX, exchange).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Broken::TimedOut),
        };
        match exchanged {
            Ok((status, body_bytes, receipt)) => {
                let tally = &mut *shared.tally.borrow_mut();
                tally.answered(status, due.elapsed(), body_bytes);
                tally.receipts.add(&receipt);
                pause = PAUSE_MIN;
            }
            Err(broken) => {
                connection = None;
                *shared.tally.borrow_mut().broken.entry(broken).or_default() += 1;
                // Whoever is overrun is not helped by being asked faster.
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

async fn exchange(
    connection: &mut Option<Connection>,
    shared: &Shared,
) -> Result<(u16, u64, Receipt), Broken> {
    if let Some(open) = connection.as_mut().filter(|open| open.is_open()) {
        return open.ask(&shared.ask).await;
    }
    let open = connection.insert(Connection::open(shared.address).await?);
    open.ask(&shared.ask).await
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
