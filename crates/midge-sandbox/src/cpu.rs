//! How much processor time a guest uses, and when its tick is over.
//!
//! Decides how each stint of a guest, which is one poll of it, is measured: while the guest is quick
//! by the clock on the wall, which costs next to nothing; once it was interrupted, or used
//! [`ESTIMATE_MAX`], by the thread's own clock, which is a system call. What a host call computes
//! within the poll counts; what threads of the host do for it does not. Holding the guest to its
//! limit is `outcome.rs`'s business.
//!
//! **Invariant:** time in which the thread did not run never counts for more than
//! [`ESTIMATE_MAX`] and a tick.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::limits::Vitals;
use crate::ticker::TICK;

/// From here on a guest is measured exactly. Half of the smallest limit, so nobody is ended for an
/// estimate.
const ESTIMATE_MAX: Duration = Duration::from_millis(5);

/// Measures one guest.
pub(crate) struct Stopwatch {
    pace: Arc<Pace>,
    vitals: Arc<Vitals>,
    exact: Cell<bool>,
}

/// One stint of a guest.
pub(crate) struct Stint {
    /// What it used.
    pub(crate) used: Duration,
    /// Whether it wanted to go on.
    pub(crate) interrupted: bool,
}

impl Stopwatch {
    /// For a guest that may run until `deadline`.
    pub(crate) fn new(vitals: Arc<Vitals>, deadline: Instant) -> Self {
        Self {
            pace: Arc::new(Pace::new(deadline)),
            vitals,
            exact: Cell::new(false),
        }
    }

    /// What the engine's callback is to ask.
    pub(crate) fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// Measures what `compute` uses, and adds it to the guest's vitals.
    pub(crate) fn measure<T>(&self, compute: impl FnOnce() -> T) -> (T, Stint) {
        let began = Instant::now();
        self.pace.begin(began);
        let used_before = self.exact.get().then(thread_used);
        let computed = compute();
        let used = match used_before {
            Some(before) => thread_used().saturating_sub(before),
            None => began.elapsed().min(TICK),
        };
        let interrupted = self.pace.interrupted.swap(false, Ordering::Relaxed);
        let total = self.vitals.add_cpu(used);
        if interrupted || total >= ESTIMATE_MAX {
            self.exact.set(true);
        }
        (computed, Stint { used, interrupted })
    }
}

/// Tells the engine's callback when the stint began, and hears from it how it ended. The engine
/// asks that what it calls can move between threads; there is one thread.
pub(crate) struct Pace {
    deadline: Instant,
    /// How long it was to the deadline when the stint began: an instant does not fit an atomic.
    left_nanos: AtomicU64,
    interrupted: AtomicBool,
}

impl Pace {
    fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            left_nanos: AtomicU64::new(0),
            interrupted: AtomicBool::new(false),
        }
    }

    fn begin(&self, now: Instant) {
        self.left_nanos
            .store(self.left_nanos_at(now), Ordering::Relaxed);
    }

    fn left_nanos_at(&self, now: Instant) -> u64 {
        let left = self.deadline.saturating_duration_since(now);
        u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether the stint has lasted for about a tick. Ticks come when they come: who began just
    /// before one has not had its time, and ends at the next.
    pub(crate) fn tick_is_over(&self, now: Instant) -> bool {
        let left_nanos = self.left_nanos.load(Ordering::Relaxed);
        let lasted_nanos = left_nanos.saturating_sub(self.left_nanos_at(now));
        Duration::from_nanos(lasted_nanos) >= TICK / 2
    }

    /// Ends the stint. Resolves in the guest's next one: who polls the guest decides when.
    pub(crate) fn interrupt(&self) -> impl Future<Output = ()> + Send + 'static {
        self.interrupted.store(true, Ordering::Relaxed);
        polled_again()
    }
}

/// Resolves when it is polled for the second time, and wakes nobody for it.
pub(crate) async fn polled_again() {
    let mut was_polled = false;
    poll_fn(|_| {
        if std::mem::replace(&mut was_polled, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What the calling thread has used since it began.
fn thread_used() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopwatch(vitals: &Arc<Vitals>) -> Stopwatch {
        Stopwatch::new(Arc::clone(vitals), Instant::now() + Duration::from_secs(60))
    }

    fn spin(time: Duration) {
        let until = thread_used() + time;
        while thread_used() < until {}
    }

    fn interrupted(stopwatch: &Stopwatch) {
        stopwatch.measure(|| drop(stopwatch.pace().interrupt()));
    }

    #[test]
    fn a_guest_that_was_interrupted_is_measured_by_the_processor() {
        let vitals = Arc::new(Vitals::default());
        let stopwatch = stopwatch(&vitals);
        interrupted(&stopwatch);
        let (_, stint) = stopwatch.measure(|| std::thread::sleep(20 * TICK));
        assert!(stint.used < 5 * TICK, "{:?} in its sleep", stint.used);
        let (_, stint) = stopwatch.measure(|| spin(20 * TICK));
        assert!(stint.used >= 20 * TICK, "{:?}", stint.used);
        assert!(vitals.cpu() >= stint.used);
    }

    #[test]
    fn an_estimate_is_never_more_than_a_tick_and_then_over_soon() {
        let vitals = Arc::new(Vitals::default());
        let stopwatch = stopwatch(&vitals);
        for _ in 0..50 {
            let (_, stint) = stopwatch.measure(|| std::thread::sleep(2 * TICK));
            assert!(stint.used <= TICK, "{:?}", stint.used);
        }
        let slept_through = ESTIMATE_MAX + TICK;
        assert!(vitals.cpu() < slept_through * 2, "{:?}", vitals.cpu());
    }

    #[test]
    fn who_began_just_before_a_tick_goes_on() {
        let now = Instant::now();
        let pace = Pace::new(now + 100 * TICK);
        pace.begin(now);
        assert!(!pace.tick_is_over(now + TICK / 4));
        assert!(pace.tick_is_over(now + TICK));
    }
}
