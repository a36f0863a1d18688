//! What a function was seen to use, when somebody asked to learn it.
//!
//! Remembers each use once. From what is remembered the model makes the smallest
//! `allow` table; collecting it over workers is the binary's.
//!
//! **Invariant:** a function that uses ever new things is remembered up to
//! [`USES_MAX`] and no further.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use midge_model::Use;

/// Different uses of one function in one worker; an honest function has a handful.
const USES_MAX: usize = 4_096;

/// The uses of one function, shared by its invocations.
#[derive(Default)]
pub(crate) struct Learned(Mutex<Uses>);

#[derive(Default)]
struct Uses {
    seen: BTreeSet<Use>,
    /// What was not fetched yet.
    fresh: Vec<Use>,
}

impl Learned {
    /// Remembers a use.
    pub(crate) fn saw(&self, what: Use) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.seen.len() < USES_MAX && uses.seen.insert(what.clone()) {
            uses.fresh.push(what);
        }
    }

    /// What was seen since this was last asked.
    pub(crate) fn take(&self) -> Vec<Use> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut uses.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_is_told_once() {
        let learned = Learned::default();
        learned.saw(Use::Tmp);
        learned.saw(Use::Tmp);
        assert_eq!(learned.take(), [Use::Tmp]);
        learned.saw(Use::Tmp);
        assert!(learned.take().is_empty());
    }

    #[test]
    fn a_flood_of_uses_is_remembered_up_to_a_bound() {
        let learned = Learned::default();
        for number in 0..2 * USES_MAX {
            learned.saw(Use::Secret(number.to_string()));
        }
        assert_eq!(learned.take().len(), USES_MAX);
    }
}
