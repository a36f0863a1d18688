//! What time it is, for a guest.
//!
//! Decides how finely: in steps of a millisecond, unless the function was granted the
//! machine's own clocks. Fine clocks are what a guest measures caches and its neighbours
//! by. All contracts read these two; times of files are the file system's own.
//!
//! **Invariant:** a coarse clock never runs backwards: it is the fine one, rounded to whole steps.

use std::time::Duration;

use midge_model::Clock;
use midge_model::rehearsal::Now;
use wasmtime_wasi::clocks::{MonotonicClock, WallClock};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// The step of a coarse clock. Far above what a miss in a cache takes, and no longer than timers
/// of guests are late anyway.
const STEP: Duration = Duration::from_nanos(STEP_NANOS);

const STEP_NANOS: u64 = 1_000_000;

/// Gives a guest its clocks.
///
/// With `now` its wall clock shows that; what it measures and waits for is real time all the same.
pub(crate) fn grant(clock: Clock, now: Option<Now>, wasi: &mut WasiCtxBuilder) {
    let moved = now.map(|now| Moved(now, WallClock::new()));
    match (clock, moved) {
        // The engine's default.
        (Clock::Real, None) => {}
        (Clock::Real, Some(moved)) => {
            wasi.wall_clock(moved);
        }
        (Clock::Coarse, None) => {
            wasi.wall_clock(Coarse(WallClock::new()));
        }
        (Clock::Coarse, Some(moved)) => {
            wasi.wall_clock(Coarse(moved));
        }
    }
    if clock == Clock::Coarse {
        wasi.monotonic_clock(Coarse(MonotonicClock::new()));
    }
}

/// A clock that shows another time.
struct Moved(Now, WallClock);

impl HostWallClock for Moved {
    fn resolution(&self) -> Duration {
        self.1.resolution()
    }

    fn now(&self) -> Duration {
        self.0.shown(self.1.now())
    }
}

/// A clock with longer steps.
struct Coarse<C>(C);

impl<C: HostWallClock> HostWallClock for Coarse<C> {
    fn resolution(&self) -> Duration {
        self.0.resolution().max(STEP)
    }

    fn now(&self) -> Duration {
        let now = self.0.now();
        let into_step = now.subsec_nanos() % STEP.subsec_nanos();
        now - Duration::from_nanos(into_step.into())
    }
}

impl HostMonotonicClock for Coarse<MonotonicClock> {
    fn resolution(&self) -> u64 {
        self.0.resolution().max(STEP_NANOS)
    }

    /// The fine clock begins at zero with the instance. This one is a step ahead of it, because
    /// some languages take zero for a broken clock (Go's runtime ends itself).
    fn now(&self) -> u64 {
        let now = self.0.now();
        (now - now % STEP_NANOS).saturating_add(STEP_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_clock_moves_in_whole_steps() {
        let wall = Coarse(WallClock::new());
        let monotonic = Coarse(MonotonicClock::new());
        for _ in 0..1_000 {
            assert_eq!(wall.now().as_nanos() % STEP.as_nanos(), 0);
            assert_eq!(monotonic.now() % STEP_NANOS, 0);
        }
        assert_eq!(wall.resolution(), STEP);
        assert_eq!(monotonic.resolution(), STEP_NANOS);
    }

    /// Go's runtime calls a clock broken that answers zero.
    #[test]
    fn a_new_instance_is_never_told_zero() {
        assert!(Coarse(MonotonicClock::new()).now() > 0);
    }

    #[test]
    fn a_coarse_clock_is_at_most_one_step_behind() {
        let (coarse, fine) = (Coarse(WallClock::new()), WallClock::new());
        let (before, seen, after) = (fine.now(), coarse.now(), fine.now());
        assert!(before - STEP < seen && seen <= after);
    }
}
