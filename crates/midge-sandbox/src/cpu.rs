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
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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
    /// For a guest in a store with this pace.
    pub(crate) fn new(vitals: Arc<Vitals>, pace: Arc<Pace>) -> Self {
        Self {
            pace,
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

/// Tells the engine's callback when the stint began, and hears from it how it ended. Belongs to a
/// store, and so to one invocation after the other. The engine asks that what it calls can move
/// between threads; there is one thread.
pub(crate) struct Pace {
    /// What the others count from: an instant does not fit an atomic.
    origin: Instant,
    deadline_nanos: AtomicI64,
    began_nanos: AtomicI64,
    interrupted: AtomicBool,
}

impl Pace {
    /// For an invocation that may run until `deadline`.
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            origin: deadline,
            deadline_nanos: AtomicI64::new(0),
            began_nanos: AtomicI64::new(0),
            interrupted: AtomicBool::new(false),
        }
    }

    /// For the next invocation, which may run until `deadline`.
    pub(crate) fn renew(&self, deadline: Instant) {
        self.deadline_nanos
            .store(self.nanos(deadline), Ordering::Relaxed);
        self.interrupted.store(false, Ordering::Relaxed);
    }

    /// For one more invocation at the same time, which may run until `deadline`.
    pub(crate) fn extend(&self, deadline: Instant) {
        self.deadline_nanos
            .fetch_max(self.nanos(deadline), Ordering::Relaxed);
    }

    fn begin(&self, now: Instant) {
        self.began_nanos.store(self.nanos(now), Ordering::Relaxed);
    }

    fn nanos(&self, instant: Instant) -> i64 {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        match instant.checked_duration_since(self.origin) {
            Some(after) => nanos(after),
            None => -nanos(self.origin.saturating_duration_since(instant)),
        }
    }

    /// Whether the invocation's time is up.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.nanos(now) >= self.deadline_nanos.load(Ordering::Relaxed)
    }

    /// Whether the stint has lasted for about a tick. Ticks come when they come: who began just
    /// before one has not had its time, and ends at the next.
    pub(crate) fn tick_is_over(&self, now: Instant) -> bool {
        let began_nanos = self.began_nanos.load(Ordering::Relaxed);
        let lasted_nanos = self.nanos(now).saturating_sub(began_nanos);
        Duration::from_nanos(u64::try_from(lasted_nanos).unwrap_or(0)) >= TICK / 2
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
        let pace = Pace::new(Instant::now() + Duration::from_secs(60));
        Stopwatch::new(Arc::clone(vitals), Arc::new(pace))
    }

    fn spin(time: Duration) {
        let until = thread_used() + time;
        while thread_used() < until {}
    }

    fn interrupted(stopwatch: &Stopwatch) {
        stopwatch.measure(|| drop(stopwatch.pace.interrupt()));
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

    #[test]
    fn the_next_invocation_has_a_deadline_of_its_own() {
        let now = Instant::now();
        let pace = Pace::new(now + TICK);
        assert!(!pace.is_over(now) && pace.is_over(now + TICK));
        pace.renew(now + 3 * TICK);
        assert!(!pace.is_over(now + 2 * TICK) && pace.is_over(now + 3 * TICK));
        pace.begin(now + 2 * TICK);
        assert!(!pace.tick_is_over(now + 2 * TICK) && pace.tick_is_over(now + 3 * TICK));
    }
}
