//! What can be seen of a running node: lines of guests, numbers of invocations, health of workers.
//!
//! The supervisor writes it down as its workers tell it, the control door reads it. How many lines
//! are kept is `observed/lines.rs`.
//!
//! **Invariant:** everything here is bounded, and about functions that workers were given: what a
//! worker says is not trusted to be either.

mod lines;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use midge_api::{InvocationSummary, LogLine};
use midge_model::Timestamp;
use midge_runtime::{FunctionTally, Histogram, LoadedCounts};
use tokio::sync::broadcast;

use self::lines::KeptLines;
use crate::protocol::{FunctionKey, GuestLine};

/// Ways for an invocation to end, of one function; there are about twenty.
const OUTCOMES_MAX: usize = 64;

/// The longest name of a way to end.
const OUTCOME_BYTES_MAX: usize = 64;

/// What is seen of a node.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Since when.
    pub(crate) since: Timestamp,
    ready: AtomicBool,
    draining: AtomicBool,
    workers: Mutex<BTreeMap<usize, WorkerSeen>>,
    lines: Mutex<KeptLines>,
    tallies: Mutex<BTreeMap<FunctionKey, FunctionTally>>,
}

/// What is seen of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerSeen {
    /// Its process.
    pub(crate) pid: u32,
    /// Whether it takes traffic.
    pub(crate) ready: bool,
    /// What it has loaded.
    pub(crate) loaded: LoadedCounts,
}

impl Observed {
    /// Nothing yet.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self {
            since,
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            workers: Mutex::default(),
            lines: Mutex::default(),
            tallies: Mutex::default(),
        }
    }

    /// All workers take traffic.
    pub(crate) fn node_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// The node is on its way to its end.
    pub(crate) fn node_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node takes traffic and goes on doing so.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// Whether the node is on its way to its end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A worker was started: this process, or ours without one.
    pub(crate) fn worker_started(&self, worker: usize, pid: Option<u32>) {
        let pid = pid.unwrap_or_else(std::process::id);
        let seen = WorkerSeen {
            pid,
            ready: false,
            loaded: LoadedCounts::default(),
        };
        lock(&self.workers).insert(worker, seen);
    }

    /// A worker takes traffic.
    pub(crate) fn worker_ready(&self, worker: usize) {
        if let Some(seen) = lock(&self.workers).get_mut(&worker) {
            seen.ready = true;
        }
    }

    /// A worker says what it has loaded.
    pub(crate) fn note_loaded(&self, worker: usize, loaded: LoadedCounts) {
        if let Some(seen) = lock(&self.workers).get_mut(&worker) {
            seen.loaded = loaded;
        }
    }

    /// A worker is gone.
    pub(crate) fn worker_ended(&self, worker: usize) {
        lock(&self.workers).remove(&worker);
    }

    /// The workers there are, by number.
    pub(crate) fn workers(&self) -> BTreeMap<usize, WorkerSeen> {
        lock(&self.workers).clone()
    }

    /// Keeps lines of functions that are `known`.
    pub(crate) fn note_lines(
        &self,
        lines: Vec<GuestLine>,
        lost: u64,
        known: impl Fn(&FunctionKey) -> bool,
    ) {
        let mut kept = lock(&self.lines);
        kept.lose(lost);
        for line in lines.into_iter().filter(|line| known(&line.key)) {
            kept.add(line);
        }
    }

    /// Lines that were not kept because there were too many.
    pub(crate) fn lines_lost(&self) -> u64 {
        lock(&self.lines).lost()
    }

    /// What a function wrote lately, and what it will.
    pub(crate) fn lines(&self, key: &FunctionKey) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        lock(&self.lines).follow(key)
    }

    /// Adds up what invocations of `known` functions came to.
    pub(crate) fn note_tallies(
        &self,
        told: Vec<FunctionTally>,
        known: impl Fn(&FunctionKey) -> bool,
    ) {
        let mut tallies = lock(&self.tallies);
        for mut tally in told {
            let key = FunctionKey {
                namespace: tally.namespace.clone(),
                function: tally.function.clone(),
            };
            if !known(&key) {
                continue;
            }
            let of = tallies.entry(key).or_insert_with(|| FunctionTally {
                namespace: tally.namespace.clone(),
                function: tally.function.clone(),
                outcomes: BTreeMap::new(),
                latency: Histogram::default(),
                cpu: Duration::ZERO,
            });
            let room = OUTCOMES_MAX.saturating_sub(of.outcomes.len());
            tally.outcomes.retain(|code, _| {
                of.outcomes.contains_key(code) || code.len() <= OUTCOME_BYTES_MAX && room > 0
            });
            if tally.outcomes.len() <= OUTCOMES_MAX {
                of.add(&tally);
            }
        }
    }

    /// How a function's invocations ended.
    pub(crate) fn invocations(&self, key: &FunctionKey) -> InvocationSummary {
        let tallies = lock(&self.tallies);
        let tally = tallies.get(key);
        let outcomes = tally.map(|tally| tally.outcomes.clone());
        let by_outcome = outcomes.unwrap_or_default();
        let percentile = |percent| {
            let took = tally?.latency.percentile(percent)?;
            Some(took.as_secs_f64() * 1_000.0)
        };
        let cpu = tally.map_or(Duration::ZERO, |tally| tally.cpu);
        InvocationSummary {
            since: self.since,
            count: by_outcome
                .values()
                .fold(0, |sum, count| sum.saturating_add(*count)),
            by_outcome,
            p50_ms: percentile(50),
            p90_ms: percentile(90),
            p99_ms: percentile(99),
            cpu_ms: u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Forgets a function that is no more.
    pub(crate) fn forget(&self, key: &FunctionKey) {
        lock(&self.lines).forget(key);
        lock(&self.tallies).remove(key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
