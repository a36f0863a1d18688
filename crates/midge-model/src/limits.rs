//! How much one invocation or one function may take.
//!
//! Holds the defaults, the bounds that no configuration passes, and partial
//! overrides (manifest, flags). Keeping the limits is the sandbox's and the
//! runtime's work.
//!
//! **Invariant:** limits that came through [`LimitsPatch::apply`] are within the bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::quantity::{
    QuantityError, bytes_text, duration_text, format_bytes, format_duration, parse_bytes,
    parse_duration,
};

/// The most memory an instance may have: all that 32-bit WebAssembly can address.
pub const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// The least memory that makes sense: one WebAssembly page.
pub const MEMORY_BYTES_MIN: u64 = 64 << 10;
/// The longest an invocation may take; longer work belongs into a queue.
pub const TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// The shortest limit that the deadline clock can keep.
pub const TIME_MIN: Duration = Duration::from_millis(1);
/// The most invocations of one function at a time on one node.
pub const CONCURRENCY_MAX: u32 = 10_000;
/// The most requests that may wait for one function on one node.
pub const QUEUE_MAX: u32 = 100_000;
/// The largest request body; bodies are streamed, so this guards only against nonsense.
pub const REQUEST_BODY_BYTES_MAX: u64 = 1 << 40;

/// What one function may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memories and tables of one instance together.
    #[serde(with = "bytes_text")]
    pub memory_bytes: u64,
    /// Wall time of one invocation.
    #[serde(with = "duration_text")]
    pub time: Duration,
    /// Invocations at a time.
    pub concurrency: u32,
    /// Requests that may wait for a free slot.
    pub queue: u32,
    /// Size of one request's body.
    #[serde(with = "bytes_text")]
    pub request_body_bytes: u64,
}

/// The limits that somebody wants different; `None` keeps what was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    /// See [`Limits::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// See [`Limits::time`].
    pub time: Option<Duration>,
    /// See [`Limits::concurrency`].
    pub concurrency: Option<u32>,
    /// See [`Limits::queue`].
    pub queue: Option<u32>,
    /// See [`Limits::request_body_bytes`].
    pub request_body_bytes: Option<u64>,
}

/// Why a limit is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Not a size or a duration at all.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Outside the bounds.
    #[error("{limit} of `{value}` is out of range, write `{min}` to `{max}`")]
    OutOfRange {
        /// Which limit, in words.
        limit: &'static str,
        /// What was asked for.
        value: String,
        /// The least allowed.
        min: String,
        /// The most allowed.
        max: String,
    },
}

impl Limits {
    /// What a function gets that asks for nothing: enough for an interpreter, little enough
    /// that a runaway function is no danger to its neighbours.
    pub const SAFE: Self = Self {
        memory_bytes: 128 << 20,
        time: Duration::from_secs(10),
        concurrency: 200,
        queue: 1_000,
        request_body_bytes: 10 << 20,
    };

    /// Reads a memory limit such as `64MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or outside [`MEMORY_BYTES_MIN`] to [`MEMORY_BYTES_MAX`].
    pub fn parse_memory(text: &str) -> Result<u64, LimitError> {
        check_memory(parse_bytes(text)?)
    }

    /// Reads a time limit such as `5s`.
    ///
    /// # Errors
    ///
    /// Not a duration, or outside [`TIME_MIN`] to [`TIME_MAX`].
    pub fn parse_time(text: &str) -> Result<Duration, LimitError> {
        check_time(parse_duration(text)?)
    }

    /// Reads a body limit such as `10MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or over [`REQUEST_BODY_BYTES_MAX`].
    pub fn parse_request_body(text: &str) -> Result<u64, LimitError> {
        check_request_body(parse_bytes(text)?)
    }

    /// Takes a whole number as the limit of invocations at a time.
    ///
    /// # Errors
    ///
    /// Outside 1 to [`CONCURRENCY_MAX`].
    pub fn parse_concurrency(number: i64) -> Result<u32, LimitError> {
        in_count("concurrency", number, 1, CONCURRENCY_MAX)
    }
}

impl LimitsPatch {
    /// These wishes over the given limits.
    ///
    /// # Errors
    ///
    /// The first limit that is out of range; the message names the bound.
    pub fn apply(&self, base: &Limits) -> Result<Limits, LimitError> {
        let concurrency = self.concurrency.unwrap_or(base.concurrency);
        let queue = self.queue.unwrap_or(base.queue);
        Ok(Limits {
            memory_bytes: check_memory(self.memory_bytes.unwrap_or(base.memory_bytes))?,
            time: check_time(self.time.unwrap_or(base.time))?,
            concurrency: Limits::parse_concurrency(i64::from(concurrency))?,
            queue: in_count("queue", i64::from(queue), 0, QUEUE_MAX)?,
            request_body_bytes: check_request_body(
                self.request_body_bytes.unwrap_or(base.request_body_bytes),
            )?,
        })
    }

    /// These wishes where there are any, else the other's: flags over manifest.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            time: self.time.or(other.time),
            concurrency: self.concurrency.or(other.concurrency),
            queue: self.queue.or(other.queue),
            request_body_bytes: self.request_body_bytes.or(other.request_body_bytes),
        }
    }
}

fn check_memory(bytes: u64) -> Result<u64, LimitError> {
    in_bytes("memory", bytes, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX)
}

fn check_request_body(bytes: u64) -> Result<u64, LimitError> {
    in_bytes("request body", bytes, 0, REQUEST_BODY_BYTES_MAX)
}

fn check_time(time: Duration) -> Result<Duration, LimitError> {
    if (TIME_MIN..=TIME_MAX).contains(&time) {
        return Ok(time);
    }
    Err(LimitError::OutOfRange {
        limit: "time",
        value: format_duration(time),
        min: format_duration(TIME_MIN),
        max: format_duration(TIME_MAX),
    })
}

fn in_bytes(limit: &'static str, bytes: u64, min: u64, max: u64) -> Result<u64, LimitError> {
    if (min..=max).contains(&bytes) {
        return Ok(bytes);
    }
    Err(LimitError::OutOfRange {
        limit,
        value: format_bytes(bytes),
        min: format_bytes(min),
        max: format_bytes(max),
    })
}

fn in_count(limit: &'static str, number: i64, min: u32, max: u32) -> Result<u32, LimitError> {
    match u32::try_from(number) {
        Ok(count) if (min..=max).contains(&count) => Ok(count),
        _ => Err(LimitError::OutOfRange {
            limit,
            value: number.to_string(),
            min: min.to_string(),
            max: max.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(patch: LimitsPatch) -> String {
        match patch.apply(&Limits::SAFE) {
            Ok(limits) => serde_json::to_string(&limits).unwrap_or_default(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn nobody_who_asks_for_nothing_gets_more_than_the_safe_limits() {
        assert_snapshot!(check(LimitsPatch::default()), @r#"{"memory_bytes":"128MiB","time":"10s","concurrency":200,"queue":1000,"request_body_bytes":"10MiB"}"#);
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let patch = LimitsPatch {
            memory_bytes: Some(64 << 20),
            queue: Some(0),
            ..LimitsPatch::default()
        };
        assert_snapshot!(check(patch), @r#"{"memory_bytes":"64MiB","time":"10s","concurrency":200,"queue":0,"request_body_bytes":"10MiB"}"#);
    }

    #[test]
    fn a_limit_out_of_range_names_the_bound() {
        let none = LimitsPatch::default();
        assert_snapshot!(check(LimitsPatch { memory_bytes: Some(5 << 30), ..none }), @"error: memory of `5GiB` is out of range, write `64KiB` to `4GiB`");
        assert_snapshot!(check(LimitsPatch { memory_bytes: Some(1), ..none }), @"error: memory of `1B` is out of range, write `64KiB` to `4GiB`");
        assert_snapshot!(check(LimitsPatch { time: Some(Duration::ZERO), ..none }), @"error: time of `0s` is out of range, write `1ms` to `1h`");
        assert_snapshot!(check(LimitsPatch { concurrency: Some(0), ..none }), @"error: concurrency of `0` is out of range, write `1` to `10000`");
        assert_snapshot!(check(LimitsPatch { concurrency: Some(10_001), ..none }), @"error: concurrency of `10001` is out of range, write `1` to `10000`");
        assert_snapshot!(check(LimitsPatch { queue: Some(u32::MAX), ..none }), @"error: queue of `4294967295` is out of range, write `0` to `100000`");
        assert_snapshot!(check(LimitsPatch { request_body_bytes: Some(u64::MAX), ..none }), @"error: request body of `16.0EiB` is out of range, write `0B` to `1TiB`");
    }

    #[test]
    fn flags_win_over_the_manifest() {
        let flags = LimitsPatch {
            concurrency: Some(1),
            ..LimitsPatch::default()
        };
        let manifest = LimitsPatch {
            concurrency: Some(2),
            queue: Some(3),
            ..LimitsPatch::default()
        };
        let both = flags.or(manifest);
        assert_eq!((both.concurrency, both.queue), (Some(1), Some(3)));
    }

    proptest! {
        #[test]
        fn limits_survive_json(memory_bytes in MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX, millis in 1..3_600_000_u64) {
            let limits = Limits { memory_bytes, time: Duration::from_millis(millis), ..Limits::SAFE };
            let json = serde_json::to_string(&limits).unwrap();
            prop_assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        }
    }
}
