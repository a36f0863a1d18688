//! How often an address has shown a token that is not good.
//!
//! Decides when such an address is told to wait. Good tokens always pass: a token is 256 random
//! bits, so nobody guesses one, and a lock for a whole address would be a weapon for its other
//! users. What is kept low is the work and the noise.
//!
//! **Invariant:** the table never has more than [`ADDRESSES_MAX`] rows.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Refused tokens of one address in [`WINDOW`] that are answered with 401.
pub(super) const ATTEMPTS_MAX: u32 = 10;
/// How long they are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are counted at a time; past that the oldest is forgotten.
const ADDRESSES_MAX: usize = 4096;

/// The count of each address.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    rows: Mutex<HashMap<IpAddr, Row>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// Counts a refused token. Says how long to wait if there were too many.
    pub(super) fn refused(&self, from: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let address = whose(from);
        // Rows are plain numbers: one that a panic left behind is still right.
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= ADDRESSES_MAX && !rows.contains_key(&address) {
            make_room(&mut rows, now);
        }
        let fresh = Row {
            since: now,
            count: 0,
        };
        let row = rows.entry(address).or_insert(fresh);
        if now.duration_since(row.since) >= WINDOW {
            *row = fresh;
        }
        row.count = row.count.saturating_add(1);
        (row.count > ATTEMPTS_MAX).then(|| WINDOW - now.duration_since(row.since))
    }
}

fn make_room(rows: &mut HashMap<IpAddr, Row>, now: Instant) {
    rows.retain(|_, row| now.duration_since(row.since) < WINDOW);
    if rows.len() >= ADDRESSES_MAX {
        let oldest = rows.iter().min_by_key(|(_, row)| row.since);
        if let Some(address) = oldest.map(|(address, _)| *address) {
            rows.remove(&address);
        }
    }
}

/// Who has one address of version 6 has its network of 2^64.
pub(super) fn whose(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhaust(attempts: &Attempts, from: &str) -> Option<Duration> {
        for _ in 0..ATTEMPTS_MAX {
            assert_eq!(attempts.refused(from.parse().unwrap()), None);
        }
        attempts.refused(from.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_eleventh_in_a_minute_waits_for_the_rest_of_it() {
        let attempts = Attempts::default();
        let ten_seconds = Duration::from_secs(10);
        assert_eq!(attempts.refused("192.0.2.9".parse().unwrap()), None);
        tokio::time::advance(ten_seconds).await;
        for _ in 1..ATTEMPTS_MAX {
            assert_eq!(attempts.refused("192.0.2.9".parse().unwrap()), None);
        }
        let wait = attempts.refused("::ffff:192.0.2.9".parse().unwrap());
        assert_eq!(wait, Some(WINDOW - ten_seconds));
        assert_eq!(attempts.refused("192.0.2.10".parse().unwrap()), None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(attempts.refused("192.0.2.9".parse().unwrap()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_version_6_is_one_address() {
        let attempts = Attempts::default();
        assert!(exhaust(&attempts, "2001:db8::1").is_some());
        assert!(
            attempts
                .refused("2001:db8::ffff".parse().unwrap())
                .is_some()
        );
        assert_eq!(attempts.refused("2001:db8:0:1::1".parse().unwrap()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..2 * u32::try_from(ADDRESSES_MAX).unwrap() {
            attempts.refused(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(attempts.rows.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
