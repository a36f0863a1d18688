//! How much a function may write into its log.
//!
//! Decides, for all invocations of a function in this worker together, whether one
//! more line fits into what it may write in a second, and when to say that lines
//! were dropped.
//!
//! **Invariant:** over any time, a function's lines are no more than its rate allows
//! for it and a second more; of those that were dropped one line a second tells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use midge_model::Limits;
use midge_model::quantity::format_bytes;
use tokio::time::Instant;

/// How often dropped lines are told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// The least that may be written at once, whatever the rate: the longest line and what it costs.
const BURST_BYTES_MIN: u64 = 8 << 10;

/// What one function may log; clones share the rate.
#[derive(Debug, Clone)]
pub(crate) struct LogBudget {
    /// For each stream of one invocation.
    pub(crate) bytes_max: u64,
    bucket: Arc<Mutex<Bucket>>,
}

/// The answer to one line.
pub(crate) struct Taken {
    pub(crate) may_write: bool,
    /// What to say of lines that were dropped before.
    pub(crate) notice: Option<String>,
}

impl LogBudget {
    pub(crate) fn of(limits: &Limits) -> Self {
        let bucket = Bucket::new(limits.log_rate_bytes, Instant::now());
        Self {
            bytes_max: limits.log_bytes,
            bucket: Arc::new(Mutex::new(bucket)),
        }
    }

    /// The budget of a revision with these limits, out of the same rate. All revisions of a
    /// function write at the rate of the one that was loaded last.
    pub(crate) fn for_revision(&self, limits: &Limits) -> Self {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.rate_bytes = limits.log_rate_bytes;
        Self {
            bytes_max: limits.log_bytes,
            bucket: Arc::clone(&self.bucket),
        }
    }

    /// Takes what one line costs, if it is there.
    pub(crate) fn take(&self, cost_bytes: u64) -> Taken {
        // The lock is for the engine, which asks that streams can move between threads.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let may_write = bucket.take(cost_bytes, now);
        let rate_bytes = bucket.rate_bytes;
        let notice = bucket.take_untold(now).map(|lines| {
            let rate = format_bytes(rate_bytes);
            format!("lines dropped: {lines}, the function may write {rate} a second")
        });
        Taken { may_write, notice }
    }
}

#[derive(Debug)]
struct Bucket {
    rate_bytes: u64,
    available_bytes: u64,
    filled: Instant,
    dropped_lines: u64,
    told: Option<Instant>,
}

impl Bucket {
    fn new(rate_bytes: u64, now: Instant) -> Self {
        Self {
            rate_bytes,
            available_bytes: rate_bytes.max(BURST_BYTES_MIN),
            filled: now,
            dropped_lines: 0,
            told: None,
        }
    }

    fn take(&mut self, cost_bytes: u64, now: Instant) -> bool {
        self.fill(now);
        match self.available_bytes.checked_sub(cost_bytes) {
            Some(left_bytes) => {
                self.available_bytes = left_bytes;
                true
            }
            None => {
                self.dropped_lines += 1;
                false
            }
        }
    }

    fn fill(&mut self, now: Instant) {
        const SECOND_NANOS: u128 = 1_000_000_000;
        let passed_nanos = now.duration_since(self.filled).as_nanos();
        let gained_bytes = passed_nanos * u128::from(self.rate_bytes) / SECOND_NANOS;
        // The time of a part of a byte is kept for the next call.
        let took_nanos = gained_bytes * SECOND_NANOS / u128::from(self.rate_bytes.max(1));
        self.filled += Duration::from_nanos(u64::try_from(took_nanos).unwrap_or(u64::MAX));
        let gained_bytes = u64::try_from(gained_bytes).unwrap_or(u64::MAX);
        let full_bytes = self.rate_bytes.max(BURST_BYTES_MIN);
        let available_bytes = self.available_bytes.saturating_add(gained_bytes);
        self.available_bytes = available_bytes.min(full_bytes);
    }

    /// How many lines to tell of now; they are told then.
    fn take_untold(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.told.is_none_or(|told| now - told >= TOLD_EVERY);
        if self.dropped_lines == 0 || !is_due {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.dropped_lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;

    /// Lines of 1 KiB, so many a millisecond, for so long: those written and those told as dropped.
    fn check(rate_bytes: u64, lines_per_ms: u64, time: Duration) -> (u64, Vec<u64>) {
        let began = Instant::now();
        let mut bucket = Bucket::new(rate_bytes, began);
        let (mut written, mut told) = (0, Vec::new());
        for ms in 0..time.as_millis() {
            let now = began + Duration::from_millis(u64::try_from(ms).unwrap());
            for _ in 0..lines_per_ms {
                written += u64::from(bucket.take(KIB, now));
                told.extend(bucket.take_untold(now));
            }
        }
        (written, told)
    }

    #[test]
    fn within_its_rate_nothing_is_dropped() {
        let (written, told) = check(1_000 * KIB, 1, Duration::from_secs(10));
        assert_eq!((written, told), (10_000, vec![]));
    }

    #[test]
    fn a_flood_is_cut_to_the_rate_and_told_once_a_second() {
        let (written, told) = check(100 * KIB, 10, Duration::from_secs(10));
        assert_eq!(written, 1_099, "a burst of a second, then the rate");
        assert_eq!(told.len(), 10);
        assert_eq!(told[0], 1, "at once");
        assert!(
            told[1..]
                .iter()
                .all(|lines| (9_899..=9_901).contains(lines))
        );
    }

    #[test]
    fn the_longest_line_passes_at_the_slowest_rate() {
        let mut bucket = Bucket::new(4 * KIB, Instant::now());
        assert!(bucket.take(4 * KIB + 256, Instant::now()));
    }

    #[test]
    fn revisions_and_their_invocations_share_the_rate() {
        let limits = Limits {
            log_rate_bytes: 8 * KIB,
            ..Limits::SAFE
        };
        let one = LogBudget::of(&limits);
        let two = one.for_revision(&limits);
        assert!(one.take(8 * KIB).may_write);
        let taken = two.take(KIB);
        assert!(!taken.may_write);
        assert_eq!(
            taken.notice.unwrap(),
            "lines dropped: 1, the function may write 8KiB a second"
        );
    }
}
