//! How much one invocation or one function may take.
//!
//! Holds the defaults, the bounds that no configuration passes, and partial
//! overrides (manifest, flags). Keeping the limits is the sandbox's and the
//! runtime's work.
//!
//! **Invariant:** limits that came through [`LimitsPatch::apply`] are within the bounds.

mod patch;
mod range;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::patch::LimitsPatch;
pub use self::range::LimitError;
pub(crate) use self::range::{CountRange, Measure, SizeRange, TimeRange};
use crate::quantity::{bytes_text, duration_text};

/// The most memory an instance may have: all that 32-bit WebAssembly can address.
pub const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// The least memory that makes sense: one WebAssembly page.
pub const MEMORY_BYTES_MIN: u64 = 64 << 10;
/// The longest an invocation may take; longer work belongs into a queue.
pub const TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// The shortest limit that the deadline clock can keep.
pub const TIME_MIN: Duration = Duration::from_millis(1);
/// The most CPU time of an invocation: all of the longest time on one core.
pub const CPU_MAX: Duration = TIME_MAX;
/// The shortest limit of CPU time: it is added up over turns of a millisecond or more.
pub const CPU_MIN: Duration = Duration::from_millis(10);
/// The most invocations of one function at a time on one node.
pub const CONCURRENCY_MAX: u32 = 10_000;
/// The most requests that may wait for one function on one node.
pub const QUEUE_MAX: u32 = 100_000;
/// The longest that a request may wait: as long as the longest invocation ahead of it.
pub const QUEUE_TIME_MAX: Duration = TIME_MAX;
/// The shortest wait that the clock can keep; who wants none writes `queue = 0`.
pub const QUEUE_TIME_MIN: Duration = Duration::from_millis(1);
/// The largest request body; bodies are streamed, so this guards only against nonsense.
pub const REQUEST_BODY_BYTES_MAX: u64 = 1 << 40;
/// The largest response body, by the same reasoning.
pub const RESPONSE_BODY_BYTES_MAX: u64 = 1 << 40;
/// The most that one invocation may log on a stream: it passes through memory and disk of the node.
pub const LOG_BYTES_MAX: u64 = 64 << 20;
/// The fastest that one function may log: what one disk takes beside its other work.
pub const LOG_RATE_BYTES_MAX: u64 = 64 << 20;
/// The slowest: one line of the longest kind in a second.
pub const LOG_RATE_BYTES_MIN: u64 = 4 << 10;
/// The most outbound requests of one invocation: more are a crawler, which belongs into a queue.
pub const OUTBOUND_CALLS_MAX: u32 = 10_000;
/// The most bytes of one invocation to and from elsewhere; streamed, as bodies are.
pub const OUTBOUND_BYTES_MAX: u64 = 1 << 40;
/// The most sockets open at a time: half of the handles that an instance has at all.
pub const SOCKETS_MAX: u32 = 256;
/// The largest share of CPU against others.
pub const WEIGHT_MAX: u32 = 10_000;
/// The smallest share: a hundredth of who asks for nothing.
pub const WEIGHT_MIN: u32 = 1;

/// What one function may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memories and tables of one instance together.
    #[serde(with = "bytes_text")]
    pub memory_bytes: u64,
    /// Time on a CPU of one invocation.
    #[serde(with = "duration_text")]
    pub cpu: Duration,
    /// Wall time of one invocation.
    #[serde(with = "duration_text")]
    pub time: Duration,
    /// Invocations at a time.
    pub concurrency: u32,
    /// Requests that may wait for a free slot.
    pub queue: u32,
    /// How long each of them may wait.
    #[serde(with = "duration_text")]
    pub queue_time: Duration,
    /// Size of one request's body.
    #[serde(with = "bytes_text")]
    pub request_body_bytes: u64,
    /// Size of one response's body.
    #[serde(with = "bytes_text")]
    pub response_body_bytes: u64,
    /// What one invocation may log, for each of its streams.
    #[serde(with = "bytes_text")]
    pub log_bytes: u64,
    /// What the function may log in a second, all its invocations together.
    #[serde(with = "bytes_text")]
    pub log_rate_bytes: u64,
    /// Outbound requests and connections of one invocation.
    pub outbound_calls: u32,
    /// Bytes of one invocation to and from elsewhere, together.
    #[serde(with = "bytes_text")]
    pub outbound_bytes: u64,
    /// Sockets of one invocation open at a time.
    pub sockets: u32,
    /// Share of the CPU against other functions when there is not enough for all.
    pub weight: u32,
}

const MEMORY: SizeRange = sizes("memory", MEMORY_BYTES_MIN, MEMORY_BYTES_MAX);
const CPU: TimeRange = times("cpu", CPU_MIN, CPU_MAX);
const TIME: TimeRange = times("time", TIME_MIN, TIME_MAX);
const CONCURRENCY: CountRange = counts("concurrency", 1, CONCURRENCY_MAX);
const QUEUE: CountRange = counts("queue", 0, QUEUE_MAX);
const QUEUE_TIME: TimeRange = times("queue time", QUEUE_TIME_MIN, QUEUE_TIME_MAX);
const REQUEST_BODY: SizeRange = sizes("request body", 0, REQUEST_BODY_BYTES_MAX);
const RESPONSE_BODY: SizeRange = sizes("response body", 0, RESPONSE_BODY_BYTES_MAX);
const LOG: SizeRange = sizes("log", 0, LOG_BYTES_MAX);
const LOG_RATE: SizeRange = sizes("log rate", LOG_RATE_BYTES_MIN, LOG_RATE_BYTES_MAX);
const OUTBOUND_CALLS: CountRange = counts("outbound calls", 0, OUTBOUND_CALLS_MAX);
const OUTBOUND_BYTES: SizeRange = sizes("outbound bytes", 0, OUTBOUND_BYTES_MAX);
const SOCKETS: CountRange = counts("sockets", 0, SOCKETS_MAX);
const WEIGHT: CountRange = counts("weight", WEIGHT_MIN, WEIGHT_MAX);

const fn sizes(name: &'static str, min: u64, max: u64) -> SizeRange {
    SizeRange { name, min, max }
}

const fn times(name: &'static str, min: Duration, max: Duration) -> TimeRange {
    TimeRange { name, min, max }
}

const fn counts(name: &'static str, min: u32, max: u32) -> CountRange {
    CountRange { name, min, max }
}

impl Limits {
    /// What a function gets that asks for nothing: enough for an interpreter, little enough
    /// that a runaway function is no danger to its neighbours.
    pub const SAFE: Self = Self {
        memory_bytes: 128 << 20,
        cpu: Duration::from_secs(2),
        time: Duration::from_secs(10),
        concurrency: 200,
        queue: 1_000,
        queue_time: Duration::from_secs(10),
        request_body_bytes: 10 << 20,
        response_body_bytes: 1 << 30,
        log_bytes: 256 << 10,
        log_rate_bytes: 1 << 20,
        outbound_calls: 50,
        outbound_bytes: 100 << 20,
        sockets: 16,
        weight: 100,
    };

    /// The most of everything: what a policy allows that sets no limit.
    pub const MOST: Self = Self {
        memory_bytes: MEMORY_BYTES_MAX,
        cpu: CPU_MAX,
        time: TIME_MAX,
        concurrency: CONCURRENCY_MAX,
        queue: QUEUE_MAX,
        queue_time: QUEUE_TIME_MAX,
        request_body_bytes: REQUEST_BODY_BYTES_MAX,
        response_body_bytes: RESPONSE_BODY_BYTES_MAX,
        log_bytes: LOG_BYTES_MAX,
        log_rate_bytes: LOG_RATE_BYTES_MAX,
        outbound_calls: OUTBOUND_CALLS_MAX,
        outbound_bytes: OUTBOUND_BYTES_MAX,
        sockets: SOCKETS_MAX,
        weight: WEIGHT_MAX,
    };

    /// These limits, none above the other's.
    #[must_use]
    pub fn at_most(&self, most: &Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.min(most.memory_bytes),
            cpu: self.cpu.min(most.cpu),
            time: self.time.min(most.time),
            concurrency: self.concurrency.min(most.concurrency),
            queue: self.queue.min(most.queue),
            queue_time: self.queue_time.min(most.queue_time),
            request_body_bytes: self.request_body_bytes.min(most.request_body_bytes),
            response_body_bytes: self.response_body_bytes.min(most.response_body_bytes),
            log_bytes: self.log_bytes.min(most.log_bytes),
            log_rate_bytes: self.log_rate_bytes.min(most.log_rate_bytes),
            outbound_calls: self.outbound_calls.min(most.outbound_calls),
            outbound_bytes: self.outbound_bytes.min(most.outbound_bytes),
            sockets: self.sockets.min(most.sockets),
            weight: self.weight.min(most.weight),
        }
    }

    /// Each limit by the key it has in a manifest, and its value for people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let row = |(key, measure): (_, Measure)| (key, measure.to_string());
        self.measures().into_iter().map(row).collect()
    }

    /// Each limit by the key it has in a manifest, to be compared.
    pub(crate) fn measures(&self) -> [(&'static str, Measure); 14] {
        use Measure::{Bytes, Count, Time};
        [
            ("memory", Bytes(self.memory_bytes)),
            ("cpu", Time(self.cpu)),
            ("time", Time(self.time)),
            ("concurrency", Count(self.concurrency)),
            ("queue", Count(self.queue)),
            ("queue-time", Time(self.queue_time)),
            ("request-body", Bytes(self.request_body_bytes)),
            ("response-body", Bytes(self.response_body_bytes)),
            ("log", Bytes(self.log_bytes)),
            ("log-rate", Bytes(self.log_rate_bytes)),
            ("outbound-calls", Count(self.outbound_calls)),
            ("outbound-bytes", Bytes(self.outbound_bytes)),
            ("sockets", Count(self.sockets)),
            ("weight", Count(self.weight)),
        ]
    }

    /// Reads a memory limit such as `64MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or outside [`MEMORY_BYTES_MIN`] to [`MEMORY_BYTES_MAX`].
    pub fn parse_memory(text: &str) -> Result<u64, LimitError> {
        MEMORY.parse(text)
    }

    /// Reads a limit of CPU time such as `50ms`.
    ///
    /// # Errors
    ///
    /// Not a duration, or outside [`CPU_MIN`] to [`CPU_MAX`].
    pub fn parse_cpu(text: &str) -> Result<Duration, LimitError> {
        CPU.parse(text)
    }

    /// Reads a time limit such as `5s`.
    ///
    /// # Errors
    ///
    /// Not a duration, or outside [`TIME_MIN`] to [`TIME_MAX`].
    pub fn parse_time(text: &str) -> Result<Duration, LimitError> {
        TIME.parse(text)
    }

    /// Takes a whole number as the limit of invocations at a time.
    ///
    /// # Errors
    ///
    /// Outside 1 to [`CONCURRENCY_MAX`].
    pub fn parse_concurrency(number: i64) -> Result<u32, LimitError> {
        CONCURRENCY.parse(number)
    }

    /// Takes a whole number as the limit of requests that wait.
    ///
    /// # Errors
    ///
    /// Outside 0 to [`QUEUE_MAX`].
    pub fn parse_queue(number: i64) -> Result<u32, LimitError> {
        QUEUE.parse(number)
    }

    /// Reads how long a request may wait, such as `10s`.
    ///
    /// # Errors
    ///
    /// Not a duration, or outside [`QUEUE_TIME_MIN`] to [`QUEUE_TIME_MAX`].
    pub fn parse_queue_time(text: &str) -> Result<Duration, LimitError> {
        QUEUE_TIME.parse(text)
    }

    /// Reads a limit of request bodies such as `10MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or over [`REQUEST_BODY_BYTES_MAX`].
    pub fn parse_request_body(text: &str) -> Result<u64, LimitError> {
        REQUEST_BODY.parse(text)
    }

    /// Reads a limit of response bodies such as `1GiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or over [`RESPONSE_BODY_BYTES_MAX`].
    pub fn parse_response_body(text: &str) -> Result<u64, LimitError> {
        RESPONSE_BODY.parse(text)
    }

    /// Reads a limit of one invocation's log such as `256KiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or over [`LOG_BYTES_MAX`].
    pub fn parse_log(text: &str) -> Result<u64, LimitError> {
        LOG.parse(text)
    }

    /// Reads a limit of a function's log in a second such as `1MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or outside [`LOG_RATE_BYTES_MIN`] to [`LOG_RATE_BYTES_MAX`].
    pub fn parse_log_rate(text: &str) -> Result<u64, LimitError> {
        LOG_RATE.parse(text)
    }

    /// Takes a whole number as the limit of one invocation's outbound requests.
    ///
    /// # Errors
    ///
    /// Outside 0 to [`OUTBOUND_CALLS_MAX`].
    pub fn parse_outbound_calls(number: i64) -> Result<u32, LimitError> {
        OUTBOUND_CALLS.parse(number)
    }

    /// Reads a limit of one invocation's bytes to and from elsewhere such as `100MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or over [`OUTBOUND_BYTES_MAX`].
    pub fn parse_outbound_bytes(text: &str) -> Result<u64, LimitError> {
        OUTBOUND_BYTES.parse(text)
    }

    /// Takes a whole number as the limit of open sockets.
    ///
    /// # Errors
    ///
    /// Outside 0 to [`SOCKETS_MAX`].
    pub fn parse_sockets(number: i64) -> Result<u32, LimitError> {
        SOCKETS.parse(number)
    }

    /// Takes a whole number as the share of CPU against other functions.
    ///
    /// # Errors
    ///
    /// Outside [`WEIGHT_MIN`] to [`WEIGHT_MAX`].
    pub fn parse_weight(number: i64) -> Result<u32, LimitError> {
        WEIGHT.parse(number)
    }
}
