//! Requests that are due by the clock.
//!
//! A thread of its own keeps the time: the runtime's timers go in steps of a millisecond, which
//! would be most of a quick answer's latency.
//!
//! **Invariant:** request number N is due N intervals after the start, however late those before it
//! were.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Steps of the clock: sleeping less takes longer than it saves.
const STEP_MIN: Duration = Duration::from_micros(50);

/// The longest sleep: how long the thread lives on once it is over.
const STEP_MAX: Duration = Duration::from_millis(100);

/// The clock that says when requests are due.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    per_second: u32,
    taken: Cell<u64>,
    /// One permit for each request that is due and not taken.
    due: Arc<Semaphore>,
    is_over: Arc<AtomicBool>,
}

impl Pace {
    /// So many requests a second from now on.
    pub(super) fn start(per_second: u32) -> Self {
        let pace = Self {
            started: Instant::now(),
            per_second,
            taken: Cell::new(0),
            due: Arc::new(Semaphore::new(0)),
            is_over: Arc::default(),
        };
        let (started, due) = (pace.started, Arc::clone(&pace.due));
        let is_over = Arc::clone(&pace.is_over);
        std::thread::spawn(move || {
            let mut given: u64 = 0;
            while !is_over.load(Ordering::Relaxed) {
                let now = Instant::now();
                let target = number_at(now - started, per_second);
                let more = usize::try_from(target - given).unwrap_or(usize::MAX);
                due.add_permits(more.min(Semaphore::MAX_PERMITS >> 1));
                given = target;
                let next = started + moment_of(given, per_second);
                let wait = next.saturating_duration_since(Instant::now());
                std::thread::sleep(wait.clamp(STEP_MIN, STEP_MAX));
            }
        });
        pace
    }

    /// Waits for the next request and says when it was due; `None` once it is over.
    pub(super) async fn due(&self) -> Option<Instant> {
        let permit = self.due.acquire().await.ok()?;
        permit.forget();
        let number = self.taken.get();
        self.taken.set(number + 1);
        Some(self.started + moment_of(number, self.per_second))
    }

    /// Nothing is due from now on; says how many were and were not taken.
    pub(super) fn end(&self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.due.close();
        self.due.available_permits() as u64
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How many requests are due after a time.
fn number_at(after: Duration, per_second: u32) -> u64 {
    let number = after.as_nanos() * u128::from(per_second) / 1_000_000_000;
    // The first one is due at once.
    u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1)
}

/// When a request is due after the start.
fn moment_of(number: u64, per_second: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000;
    let nanos = nanos.div_ceil(u128::from(per_second));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn requests_are_due_in_even_steps_however_late_they_are_taken() {
        let pace = Pace::start(1000);
        let first = pace.due().await.unwrap();
        for number in 1..20 {
            let due = pace.due().await.unwrap();
            assert_eq!(due - first, Duration::from_millis(number));
            assert!(due <= Instant::now());
        }
        pace.end();
        assert!(pace.due().await.is_none());
    }

    proptest! {
        /// A request is counted from the moment that it is due, not before.
        #[test]
        fn numbers_and_moments_agree(number in 0_u64..1 << 40, per_second in 1_u32..=1_000_000) {
            let moment = moment_of(number, per_second);
            prop_assert!(number_at(moment, per_second) > number);
            if let Some(before) = moment.checked_sub(Duration::from_nanos(1)) {
                prop_assert!(number_at(before, per_second) <= number);
            }
        }
    }
}
