//! The addresses that an invocation was told for the names it looked up.
//!
//! A guest connects to addresses; its grants may say names. In between it asked, and
//! the answer is remembered here, for this invocation and nobody else: an address that
//! a name had for one guest says nothing about the name for the next.
//!
//! **Invariant:** at most [`PAIRS_MAX`] are remembered, the latest.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use midge_model::HostName;

/// Pairs of a name and an address. An honest guest connects soon after it asked.
const PAIRS_MAX: usize = 256;

/// Names by the addresses they were found to have.
#[derive(Default)]
pub(crate) struct Handed(Mutex<VecDeque<(IpAddr, Arc<HostName>)>>);

impl Handed {
    /// Remembers that `host` was found to have these addresses.
    pub(crate) fn note(&self, host: &HostName, addresses: &[IpAddr]) {
        let host = Arc::new(host.clone());
        let mut pairs = self.pairs();
        for &address in addresses {
            pairs.retain(|(known, name)| !(*known == address && *name == host));
            if pairs.len() == PAIRS_MAX {
                pairs.pop_front();
            }
            pairs.push_back((address, Arc::clone(&host)));
        }
    }

    /// The names that `address` was an answer for, the latest first.
    pub(super) fn names_of(&self, address: IpAddr) -> Vec<Arc<HostName>> {
        let pairs = self.pairs();
        let of_address = pairs.iter().rev().filter(|(known, _)| *known == address);
        of_address.map(|(_, name)| Arc::clone(name)).collect()
    }

    /// The name that was looked up last.
    pub(super) fn latest(&self) -> Option<Arc<HostName>> {
        self.pairs().back().map(|(_, name)| Arc::clone(name))
    }

    fn pairs(&self) -> MutexGuard<'_, VecDeque<(IpAddr, Arc<HostName>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(handed: &Handed, address: &str) -> String {
        let names = handed.names_of(address.parse().unwrap());
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    fn note(handed: &Handed, name: &str, address: &str) {
        handed.note(&name.parse().unwrap(), &[address.parse().unwrap()]);
    }

    #[test]
    fn an_address_may_have_been_the_answer_for_several_names() {
        let handed = Handed::default();
        note(&handed, "a.test", "192.0.2.1");
        note(&handed, "b.test", "192.0.2.1");
        note(&handed, "b.test", "192.0.2.2");
        assert_eq!(check(&handed, "192.0.2.1"), "b.test a.test");
        assert_eq!(check(&handed, "192.0.2.2"), "b.test");
        assert_eq!(check(&handed, "192.0.2.3"), "");
        note(&handed, "a.test", "192.0.2.1");
        assert_eq!(check(&handed, "192.0.2.1"), "a.test b.test");
    }

    #[test]
    fn the_latest_answers_are_remembered_and_no_more() {
        let handed = Handed::default();
        for number in 0..=PAIRS_MAX {
            note(
                &handed,
                &format!("n{number}.test"),
                &format!("10.0.{}.{}", number / 256, number % 256),
            );
        }
        assert_eq!(check(&handed, "10.0.0.0"), "");
        assert_eq!(check(&handed, "10.0.0.1"), "n1.test");
        assert_eq!(handed.pairs().len(), PAIRS_MAX);
    }
}
