//! When a worker that ended is started again.
//!
//! Pure arithmetic: the caller knows how long the worker served and starts the
//! next one after the delay that it gets from here.
//!
//! **Invariant:** a worker that has served for a while is replaced at once; one
//! that ends soon after it is ready, or before, again and again costs at most one
//! start per [`DELAY_MAX`].

use std::time::Duration;

/// Who served shorter than this may have ended over what it was told at its start.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// So many short lives in a row are bad luck and are replaced at once.
const SHORT_LIVES_FREE: u32 = 2;

/// The delay after the first short life that is no longer bad luck; it doubles each time.
const DELAY_FIRST: Duration = Duration::from_millis(100);

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(5);

/// The memory of one worker's place: how many short lives in a row it has seen.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    short_lives: u32,
}

impl Backoff {
    /// How long to wait before the next start, after a worker that served for so long; one that
    /// never was ready served for no time, however long that took it.
    pub(super) fn after(&mut self, served: Duration) -> Duration {
        if served >= STEADY_AFTER {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        self.short_lives = self.short_lives.saturating_add(1);
        match self.short_lives.checked_sub(SHORT_LIVES_FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
                DELAY_FIRST.saturating_mul(factor).min(DELAY_MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lives_ms: &[u64]) -> Vec<u128> {
        let mut backoff = Backoff::default();
        let after = |life| backoff.after(Duration::from_millis(life)).as_millis();
        lives_ms.iter().copied().map(after).collect()
    }

    #[test]
    fn a_worker_that_has_served_is_replaced_at_once() {
        assert_eq!(check(&[60_000, 10_000, 10_000]), [0, 0, 0]);
    }

    #[test]
    fn short_lives_in_a_row_wait_longer_and_longer_up_to_the_bound() {
        let delays = check(&[5, 9_999, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(
            delays,
            [0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]
        );
    }

    #[test]
    fn one_steady_life_wipes_the_slate() {
        assert_eq!(
            check(&[5, 5, 5, 20_000, 5, 5, 5]),
            [0, 0, 100, 0, 0, 0, 100]
        );
    }

    #[test]
    fn no_number_of_short_lives_overflows() {
        let mut backoff = Backoff {
            short_lives: u32::MAX,
        };
        assert_eq!(backoff.after(Duration::ZERO), DELAY_MAX);
    }
}
