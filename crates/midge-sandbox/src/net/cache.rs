//! Addresses that were looked up lately.
//!
//! Decides how long an answer is kept: as long as its zone allows, and never longer
//! than [`KEPT_MAX`]. Of our own and not the resolver's: that one counts entries, of
//! which a guest's name server makes each as large as DNS allows, and asks to wait for a
//! look-up also for what is known.
//!
//! **Invariant:** at most [`NAMES_MAX`] names with a few addresses each, under a megabyte.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Names kept by one worker. Functions talk to a handful of hosts each.
const NAMES_MAX: usize = 1_024;

/// A server that moved is found again after this, whatever its zone promised.
const KEPT_MAX: Duration = Duration::from_secs(60);

/// What is known of names.
#[derive(Default)]
pub(super) struct Cache {
    names: HashMap<Box<str>, Known>,
}

struct Known {
    addresses: Box<[IpAddr]>,
    until: Instant,
}

impl Cache {
    /// The addresses of `name`, if they are still good.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Vec<IpAddr>> {
        let known = self.names.get(name)?;
        (now < known.until).then(|| known.addresses.to_vec())
    }

    /// Keeps the addresses of `name` for as long as allowed.
    pub(super) fn keep(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        allowed: Duration,
        now: Instant,
    ) {
        if allowed.is_zero() {
            return;
        }
        if self.names.len() >= NAMES_MAX {
            self.make_room(now);
        }
        let known = Known {
            addresses: addresses.into(),
            until: now + allowed.min(KEPT_MAX),
        };
        self.names.insert(name.into(), known);
    }

    /// Drops what is no longer good, or else what will be so first.
    fn make_room(&mut self, now: Instant) {
        self.names.retain(|_, known| now < known.until);
        if self.names.len() < NAMES_MAX {
            return;
        }
        let first = self.names.iter().min_by_key(|(_, known)| known.until);
        if let Some(name) = first.map(|(name, _)| name.clone()) {
            self.names.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_as_long_as_its_zone_says_and_a_minute_at_most() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.keep("short.test", &HERE, SECOND, start);
        cache.keep("long.test", &HERE, 1_000 * KEPT_MAX, start);
        cache.keep("never.test", &HERE, Duration::ZERO, start);
        assert_eq!(cache.get("short.test", start).as_deref(), Some(&HERE[..]));
        assert_eq!(cache.get("never.test", start), None);
        assert_eq!(cache.get("short.test", start + SECOND), None);
        assert!(cache.get("long.test", start + KEPT_MAX - SECOND).is_some());
        assert_eq!(cache.get("long.test", start + KEPT_MAX), None);
    }

    #[tokio::test(start_paused = true)]
    async fn ever_new_names_push_out_the_oldest_and_no_more() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.keep("old.test", &HERE, SECOND, start);
        for number in 0..2 * NAMES_MAX {
            cache.keep(&format!("{number}.test"), &HERE, KEPT_MAX, start);
        }
        assert_eq!(cache.names.len(), NAMES_MAX);
        assert_eq!(cache.get("old.test", start), None);
        let last = format!("{}.test", 2 * NAMES_MAX - 1);
        assert!(cache.get(&last, start).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_longer_good_goes_first() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.keep("good.test", &HERE, 3 * SECOND, start);
        for number in 1..NAMES_MAX {
            cache.keep(&format!("{number}.test"), &HERE, SECOND, start);
        }
        cache.keep("new.test", &HERE, SECOND, start + 2 * SECOND);
        assert_eq!(cache.names.len(), 2);
    }
}
