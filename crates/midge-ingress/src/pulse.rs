//! What a connection is doing, and until when it may go on doing it.
//!
//! hyper's own header timeout counts idle time and head time as one and sets a timer per request;
//! here both have their own bound, HTTP/2 gets one too, and a connection needs a single timer. This
//! module only keeps the times; `connection.rs` owns the timer and acts when it fires.
//!
//! **Invariant:** at every moment a connection without a request in flight has a deadline.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::IngressConfig;

/// How long a connection may be idle while others wait for its place.
const IDLE_WHEN_FULL: Duration = Duration::from_secs(1);

/// The times that decide whether a connection may live on.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Requests whose response has not been handed over in full.
    in_flight: Cell<u32>,
    /// Set once the first request's head is complete.
    served: Cell<bool>,
    /// When the connection was accepted or last became free of requests.
    idle_since: Cell<Instant>,
    /// When the first byte came that belongs to a head not complete yet.
    head_since: Cell<Option<Instant>>,
    /// Since when the peer has not taken a byte that we have for it.
    stalled_since: Cell<Option<Instant>>,
    /// When a request last began, or the peer was last looked after.
    looked_after: Cell<Instant>,
    /// It is time to look whether the peer is still there.
    look_due: Cell<bool>,
    /// The peer has sent its last byte.
    ended: Cell<bool>,
    /// It had done so when its bytes were read, where that can be seen.
    left: Cell<bool>,
    /// A body without a length broke off: only a reset tells the client.
    broken: Cell<bool>,
}

/// How long a connection may take for what, at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    head: Duration,
    idle: Duration,
    stall: Duration,
}

impl Allowed {
    /// What the configuration says; and idle connections have next to no time where they stand in
    /// the way of others.
    pub(crate) fn now(config: &IngressConfig, door_is_full: bool) -> Self {
        Self {
            head: config.header_timeout,
            idle: if door_is_full {
                IDLE_WHEN_FULL.min(config.idle_timeout)
            } else {
                config.idle_timeout
            },
            stall: config.stall_timeout,
        }
    }
}

/// Why a connection's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// A head was begun, or awaited on a new connection, and not completed in time.
    Head,
    /// No request for the whole idle timeout.
    Idle,
    /// The peer takes no bytes.
    Stall,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            in_flight: Cell::new(0),
            served: Cell::new(false),
            idle_since: Cell::new(now),
            head_since: Cell::new(None),
            stalled_since: Cell::new(None),
            looked_after: Cell::new(now),
            look_due: Cell::new(false),
            ended: Cell::new(false),
            left: Cell::new(false),
            broken: Cell::new(false),
        }
    }

    /// A request's head is complete.
    pub(crate) fn request_began(&self, now: Instant) {
        self.looked_after.set(now);
        self.in_flight.set(self.in_flight.get() + 1);
        self.served.set(true);
        self.head_since.set(None);
    }

    /// A request's response was handed over, or given up.
    pub(crate) fn request_ended(&self, now: Instant) {
        let left = self.in_flight.get() - 1;
        self.in_flight.set(left);
        if left == 0 {
            self.idle_since.set(now);
        }
    }

    pub(crate) fn bytes_came(&self) {
        if self.in_flight.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    pub(crate) fn write_blocked(&self) {
        if self.stalled_since.get().is_none() {
            self.stalled_since.set(Some(Instant::now()));
        }
    }

    pub(crate) fn write_moved(&self) {
        self.stalled_since.set(None);
    }

    pub(crate) fn ask_for_look(&self, now: Instant) {
        self.look_due.set(true);
        self.looked_after.set(now);
    }

    /// When a request last began, or the peer was last looked after.
    pub(crate) fn looked_after(&self) -> Instant {
        self.looked_after.get()
    }

    /// Whether a look is due; it is then taken for done.
    pub(crate) fn takes_look(&self) -> bool {
        self.look_due.take()
    }

    pub(crate) fn peer_ended(&self) {
        self.ended.set(true);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    pub(crate) fn peer_left(&self) {
        self.left.set(true);
    }

    /// Whether whoever sent the request that was read last does not wait for its answer.
    pub(crate) fn has_left(&self) -> bool {
        self.left.get()
    }

    pub(crate) fn break_off(&self) {
        self.broken.set(true);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Since when no request is in flight, if none is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.is_idle().then(|| self.idle_since.get())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// The moment at which an HTTP/1 connection has to end if nothing more happens.
    pub(crate) fn deadline_h1(&self, allowed: &Allowed) -> Option<(Instant, Expiry)> {
        if let Some(since) = self.stalled_since.get() {
            return Some((since + allowed.stall, Expiry::Stall));
        }
        if !self.is_idle() {
            return None;
        }
        let idle_since = self.idle_since.get();
        if !self.served.get() {
            // From the accept, not from the first byte: both ways to be slow share one allowance.
            return Some((idle_since + allowed.head, Expiry::Head));
        }
        Some(match self.head_since.get() {
            Some(since) => (since + allowed.head, Expiry::Head),
            None => (idle_since + allowed.idle, Expiry::Idle),
        })
    }

    /// The same for HTTP/2, where bytes between requests may be pings and window updates: only
    /// the absence of requests counts.
    pub(crate) fn deadline_h2(&self, allowed: &Allowed) -> Option<(Instant, Expiry)> {
        if let Some(since) = self.stalled_since.get() {
            return Some((since + allowed.stall, Expiry::Stall));
        }
        self.is_idle()
            .then(|| (self.idle_since.get() + allowed.idle, Expiry::Idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Allowed {
        Allowed::now(&IngressConfig::roomy(), false)
    }

    fn expiry(pulse: &Pulse) -> Option<Expiry> {
        pulse.deadline_h1(&config()).map(|(_, expiry)| expiry)
    }

    #[test]
    fn a_new_connection_owes_a_head() {
        let pulse = Pulse::new();
        assert_eq!(expiry(&pulse), Some(Expiry::Head));
        let before = pulse.deadline_h1(&config());
        pulse.bytes_came();
        assert_eq!(
            pulse.deadline_h1(&config()),
            before,
            "dripping bytes buys no time"
        );
    }

    #[test]
    fn a_request_in_flight_has_the_functions_time_not_ours() {
        let pulse = Pulse::new();
        pulse.request_began(Instant::now());
        pulse.bytes_came();
        assert_eq!(expiry(&pulse), None);
        assert_eq!(pulse.deadline_h2(&config()), None);
    }

    #[test]
    fn between_requests_a_connection_is_idle_until_a_byte_comes() {
        let pulse = Pulse::new();
        pulse.request_began(Instant::now());
        pulse.request_ended(Instant::now());
        assert_eq!(expiry(&pulse), Some(Expiry::Idle));
        pulse.bytes_came();
        assert_eq!(expiry(&pulse), Some(Expiry::Head));
        pulse.request_began(Instant::now());
        pulse.request_ended(Instant::now());
        assert_eq!(expiry(&pulse), Some(Expiry::Idle));
    }

    #[test]
    fn who_is_idle_makes_room_when_the_door_is_full() {
        let pulse = Pulse::new();
        pulse.request_began(Instant::now());
        pulse.request_ended(Instant::now());
        let due = |full| {
            let allowed = Allowed::now(&IngressConfig::roomy(), full);
            pulse.deadline_h1(&allowed).unwrap().0
        };
        assert_eq!(due(false) - due(true), Duration::from_secs(59));
    }

    #[test]
    fn a_peer_that_takes_nothing_is_bounded_even_in_flight() {
        let pulse = Pulse::new();
        pulse.request_began(Instant::now());
        pulse.write_blocked();
        assert_eq!(expiry(&pulse), Some(Expiry::Stall));
        pulse.write_moved();
        assert_eq!(expiry(&pulse), None);
    }
}
