//! What one invocation may still call, send and fetch.
//!
//! Decides when outbound calls and bytes are used up, and tells so. Shared by everything
//! of an invocation that reaches the network.
//!
//! **Invariant:** bytes are counted before they are passed on, so an invocation never
//! moves more than its limit.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use midge_model::Limits;
use midge_model::quantity::format_bytes;

use crate::host::denied::{Denial, Denials, Remedy};

/// The outbound limits of one invocation.
pub(crate) struct Budget {
    calls_max: u32,
    calls_left: AtomicU64,
    bytes_max: u64,
    bytes_left: AtomicU64,
    /// Every stream of an invocation runs into the end of its bytes; one line is enough.
    bytes_told: AtomicBool,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            calls_max: limits.outbound_calls,
            calls_left: AtomicU64::new(limits.outbound_calls.into()),
            bytes_max: limits.outbound_bytes,
            bytes_left: AtomicU64::new(limits.outbound_bytes),
            bytes_told: AtomicBool::new(false),
        }
    }

    /// Makes it whole again, for the next invocation of the instance. What the one before left
    /// running takes from it too.
    pub(crate) fn renew(&self) {
        self.calls_left
            .store(self.calls_max.into(), Ordering::Relaxed);
        self.bytes_left.store(self.bytes_max, Ordering::Relaxed);
        self.bytes_told.store(false, Ordering::Relaxed);
    }

    /// Adds what one more invocation may use, in an instance that has so many now: never more than
    /// all of those together.
    pub(crate) fn allow_one_more(&self, of: u32) {
        let more = |left: &AtomicU64, max: u64| {
            let left_now = left.load(Ordering::Relaxed);
            let together = max.saturating_mul(of.into());
            left.store(
                left_now.saturating_add(max).min(together),
                Ordering::Relaxed,
            );
        };
        more(&self.calls_left, self.calls_max.into());
        more(&self.bytes_left, self.bytes_max);
        self.bytes_told.store(false, Ordering::Relaxed);
    }

    /// Takes one call, for `what`.
    pub(crate) fn take_call(&self, denials: &Denials, what: &dyn fmt::Display) -> bool {
        let taken = take(&self.calls_left, 1);
        if !taken {
            let calls_max = self.calls_max;
            denials.tell(&Denial {
                what: what.to_string(),
                why: format!("this invocation has made its {calls_max} outbound calls"),
                remedy: Remedy::Limit(format!("outbound-calls = {}", calls_max.saturating_mul(2))),
            });
        }
        taken
    }

    /// Takes bytes that are about to be passed on; none are left once that failed.
    pub(crate) fn take_bytes(&self, denials: &Denials, bytes: usize) -> bool {
        let taken = take(&self.bytes_left, bytes as u64);
        if !taken {
            self.bytes_left.store(0, Ordering::Relaxed);
            self.tell_bytes(denials);
        }
        taken
    }

    /// Whether so many bytes could still be taken. Saves beginning what must be broken off.
    pub(crate) fn has_room_for(&self, denials: &Denials, bytes: u64) -> bool {
        let room = bytes <= self.bytes_left.load(Ordering::Relaxed);
        if !room {
            self.tell_bytes(denials);
        }
        room
    }

    /// The limit on bytes, for error codes that name it.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    fn tell_bytes(&self, denials: &Denials) {
        if self.bytes_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let bytes_max = self.bytes_max;
        let more = format_bytes(bytes_max.saturating_mul(2));
        denials.tell(&Denial {
            what: "move more bytes over the network".to_owned(),
            why: format!("this invocation has moved its {}", format_bytes(bytes_max)),
            remedy: Remedy::Limit(format!("outbound-bytes = \"{more}\"")),
        });
    }
}

fn take(left: &AtomicU64, amount: u64) -> bool {
    let less = |left: u64| left.checked_sub(amount);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_log::LogLabel;

    fn denials() -> Denials {
        Denials::new(LogLabel::of_a_test())
    }

    #[test]
    fn the_last_byte_fits_and_the_next_does_not() {
        let denials = denials();
        let mut limits = Limits::SAFE;
        limits.outbound_bytes = 10;
        let budget = Budget::new(&limits);
        assert!(budget.has_room_for(&denials, 10) && !budget.has_room_for(&denials, 11));
        assert!(budget.take_bytes(&denials, 4) && budget.take_bytes(&denials, 6));
        assert!(!budget.take_bytes(&denials, 1) && !budget.take_bytes(&denials, 1));
        assert_eq!(denials.count(), 1, "told once");
    }

    #[test]
    fn a_chunk_too_large_leaves_nothing_for_smaller_ones() {
        let denials = denials();
        let mut limits = Limits::SAFE;
        limits.outbound_bytes = 10;
        let budget = Budget::new(&limits);
        assert!(!budget.take_bytes(&denials, 11) && !budget.take_bytes(&denials, 1));
    }

    #[test]
    fn those_in_an_instance_have_as_many_together_and_no_more() {
        let denials = denials();
        let mut limits = Limits::SAFE;
        limits.outbound_calls = 2;
        let budget = Budget::new(&limits);
        let left = || budget.calls_left.load(Ordering::Relaxed);
        budget.allow_one_more(1);
        assert_eq!(left(), 2, "the first has what it has anyway");
        assert!(budget.take_call(&denials, &"GET http://a/"));
        budget.allow_one_more(2);
        assert_eq!(left(), 3);
        budget.allow_one_more(1);
        assert_eq!(left(), 2);
    }

    #[test]
    fn calls_are_counted_down_to_none() {
        let denials = denials();
        let mut limits = Limits::SAFE;
        limits.outbound_calls = 2;
        let budget = Budget::new(&limits);
        let taken = || budget.take_call(&denials, &"GET http://a/");
        assert_eq!(
            [taken(), taken(), taken(), taken()],
            [true, true, false, false]
        );
        assert_eq!(denials.count(), 2);
    }
}
