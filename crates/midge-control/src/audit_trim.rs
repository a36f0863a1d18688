//! How long the audit log gets.
//!
//! Decides which entries go when a scope (a namespace, or the node itself) has more than it may:
//! first those of what was refused, then the others, each the oldest first. So nobody washes away
//! what was done by asking for what is refused. The bound is looked at while entries are written
//! and by every sweep.
//!
//! **Invariant:** an entry of a change goes only when no entry of a refusal is left in its scope.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use midge_store::records::{self, AuditOutcome, AuditRecord, audits_of};
use midge_store::{Key, LIST_MAX, Version};

use crate::audit_list::Scope;
use crate::control::Control;
use crate::error::ControlError;

/// The most audit entries of one namespace, and of the node, after each look.
pub(crate) const AUDIT_ENTRIES_MAX: usize = 10_000;
/// How many entries of a scope are written between two looks at its bound.
const ENTRIES_PER_LOOK: usize = 500;
/// The most scopes whose writes are counted.
const SCOPES_MAX: usize = 10_000;

/// How many entries were written since the bound was looked at, by scope.
#[derive(Debug, Default)]
pub(crate) struct SinceLook(Mutex<HashMap<Scope, usize>>);

/// An entry as far as its turn to go needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    key: Key,
    version: Version,
    is_refusal: bool,
}

impl SinceLook {
    /// Counts an entry; says whether to look at the bound now.
    fn is_due(&self, scope: &Scope) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= SCOPES_MAX {
            counted.clear();
        }
        let count = counted.entry(scope.clone()).or_default();
        *count += 1;
        if *count < ENTRIES_PER_LOOK {
            return false;
        }
        *count = 0;
        true
    }
}

impl Control {
    /// Counts an entry that was written, and keeps its scope within the bound now and then.
    pub(crate) async fn audit_written(&self, scope: &Scope) {
        if !self.since_look.is_due(scope) {
            return;
        }
        if let Err(error) = self.trim_audit(scope).await {
            tracing::warn!(%error, "audit log not kept within its bound");
        }
    }

    /// Takes away what a scope has beyond the bound; says how many entries.
    ///
    /// # Errors
    ///
    /// The store does not answer.
    pub(crate) async fn trim_audit(&self, scope: &Scope) -> Result<u64, ControlError> {
        let prefix = audits_of(scope.as_ref());
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            let after = seen.last().map(|last| last.key.clone());
            let found =
                records::list_of::<AuditRecord>(self.registry(), &prefix, after.as_ref(), LIST_MAX)
                    .await?;
            let is_last = found.len() < LIST_MAX;
            seen.extend(found.into_iter().map(|(key, found)| Seen {
                key,
                version: found.version,
                is_refusal: matches!(found.value.outcome, AuditOutcome::Refused(_)),
            }));
            if is_last {
                break;
            }
        }
        let mut taken = 0;
        for entry in beyond(seen, AUDIT_ENTRIES_MAX) {
            taken += u64::from(self.take_away(&entry.key, entry.version).await?);
        }
        Ok(taken)
    }
}

/// The entries that go, of those that there are, newest first.
fn beyond(newest_first: Vec<Seen>, entries_max: usize) -> Vec<Seen> {
    let excess = newest_first.len().saturating_sub(entries_max);
    let oldest_first = newest_first.into_iter().rev();
    let (refusals, others): (Vec<_>, Vec<_>) = oldest_first.partition(|entry| entry.is_refusal);
    refusals.into_iter().chain(others).take(excess).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_go_before_anything_that_was_done() {
        let entry = |letter: char| Seen {
            key: format!("audit._node.{letter}").parse().unwrap(),
            version: Version::new(1),
            is_refusal: letter.is_ascii_lowercase() && letter > 'm',
        };
        let gone = |letters: &str, entries_max| -> String {
            let seen = letters.chars().map(entry).collect();
            let gone = beyond(seen, entries_max).into_iter();
            gone.filter_map(|entry| entry.key.as_str().chars().last())
                .collect()
        };
        // From `n` on they are refusals; the newest comes first.
        assert_eq!(gone("azybxc", 6), "");
        assert_eq!(gone("azybxc", 4), "xy");
        assert_eq!(gone("azybxc", 2), "xyzc");
        assert_eq!(gone("azybxc", 0), "xyzcba");
    }
}
