//! What all loaded revisions of a function have together.
//!
//! Decides which allowances are the function's and not each revision's: turns to compute, lines it
//! may log in a second, look-ups, connections. So a function that splits its traffic over many
//! revisions gets no more of a worker than one that does not.
//!
//! **Invariant:** it is there as long as a revision that uses it, and then gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use midge_model::{FunctionName, NamespaceName, Revision};

/// Below so many names nobody looks for those that are gone.
const NAMES_MIN: usize = 64;

/// One value for each function of which anything is loaded.
pub(crate) struct ByFunction<T>(Mutex<HashMap<(NamespaceName, FunctionName), Weak<T>>>);

impl<T> Default for ByFunction<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ByFunction<T> {
    /// The value of the function that this is a revision of; made if none is there.
    pub(crate) fn get(&self, revision: &Revision, make: impl FnOnce() -> T) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (revision.namespace.clone(), revision.function.clone());
        if let Some(value) = values.get(&name).and_then(Weak::upgrade) {
            return value;
        }
        if values.len() >= NAMES_MIN && values.len() == values.capacity() {
            // The map would grow now; as a rule half of it is gone.
            values.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(make());
        values.insert(name, Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use midge_model::{Digest, Grants, Limits, RevisionNumber};

    use super::*;

    fn revision(function: &str, number: u32) -> Revision {
        Revision {
            namespace: NamespaceName::default(),
            function: function.parse().unwrap(),
            number: RevisionNumber::new(number).unwrap(),
            digest: Digest::of(b""),
            grants: Grants::default(),
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: Vec::new(),
        }
    }

    #[test]
    fn revisions_of_a_function_share_and_others_do_not() {
        let all = ByFunction::default();
        let one = all.get(&revision("f", 1), || 1);
        assert_eq!(*all.get(&revision("f", 2), || 2), 1);
        assert_eq!(*all.get(&revision("g", 1), || 3), 3);
        drop(one);
        assert_eq!(*all.get(&revision("f", 3), || 4), 4);
    }

    #[test]
    fn names_of_functions_that_are_gone_do_not_pile_up() {
        let all = ByFunction::default();
        for number in 0..10_000 {
            all.get(&revision(&format!("f{number}"), 1), || ());
        }
        let names = all.0.lock().unwrap().len();
        assert!(names < 256, "{names} names");
    }
}
