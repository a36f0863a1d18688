//! Learning what functions need: let them do what the policy allows, and write down what they did.
//!
//! Decides what a watched function is granted and what its uses come to. Watching is the sandbox;
//! finding the smallest grants is midge-model.
//!
//! **Invariant:** learning goes no further than the policy: what that refuses is refused to a
//! watched function too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use midge_model::learned::{smallest, to_toml};
use midge_model::{DirGrant, FunctionName, Grants, NamespaceName, Policy, TMP_GUEST_PATH, Use};

use crate::functions::Function;
use crate::protocol::{Event, in_groups, to_line};

/// The private folder of a watched function whose manifest asks for none.
const TMP_BYTES: u64 = 64 << 20;

/// Different uses of one function over all workers; an honest function has a handful.
const USES_MAX: usize = 4_096;

/// Leaves functions what nobody could guess: their folders, variables, arguments and
/// secrets. What they are
/// granted besides is what they turn out to need.
pub(crate) fn narrow(functions: &mut [Function]) {
    for function in functions {
        let own = std::mem::take(&mut function.grants);
        function.grants = Grants {
            env: own.env,
            args: own.args,
            dirs: own.dirs,
            secrets: own.secrets,
            tmp_bytes: own.tmp_bytes,
            ..Grants::default()
        };
    }
}

/// Grants narrowed functions all else that the policy allows.
pub(crate) fn widen(functions: &mut [Function], policy: &Policy) {
    for function in functions {
        let own = std::mem::take(&mut function.grants);
        let widest = policy.widest(&NamespaceName::default());
        let tmp_taken = own.dirs.iter().any(|dir| dir.guest == TMP_GUEST_PATH);
        let tmp_most = widest.tmp_bytes.filter(|_| !tmp_taken);
        let tmp_bytes = own.tmp_bytes.or(tmp_most.map(|most| most.min(TMP_BYTES)));
        function.grants = Grants {
            env: own.env,
            args: own.args,
            dirs: own.dirs,
            secrets: own.secrets,
            tmp_bytes,
            ..widest
        };
    }
}

/// What the functions of a node were seen to use.
#[derive(Debug, Default)]
pub(crate) struct Learned(BTreeMap<FunctionName, BTreeSet<Use>>);

impl Learned {
    /// Of these functions and no others: workers run foreign code and are not trusted to name more.
    pub(crate) fn of<'a>(functions: impl IntoIterator<Item = &'a FunctionName>) -> Self {
        let functions = functions.into_iter().cloned();
        Self(functions.map(|name| (name, BTreeSet::new())).collect())
    }

    /// Remembers what a worker says.
    pub(crate) fn note(&mut self, function: &FunctionName, uses: Vec<Use>) {
        let Some(seen) = self.0.get_mut(function) else {
            return;
        };
        for what in uses {
            if seen.len() < USES_MAX {
                seen.insert(what);
            }
        }
    }

    /// The smallest `allow` table of each function. Folders are written as seen from `folder`,
    /// where the manifest lies.
    pub(crate) fn to_toml(&self, functions: &[Function], folder: Option<&Path>) -> String {
        let table = |function: &Function| {
            let name = &function.name;
            let uses = self.0.get(name).filter(|uses| !uses.is_empty());
            let Some(uses) = uses else {
                return format!(
                    "# [function.{name}.allow]: it used nothing that has to be granted\n"
                );
            };
            to_toml(name, &smallest_from(uses, function, folder))
        };
        let tables: Vec<_> = functions.iter().map(table).collect();
        tables.join("\n")
    }
}

/// The smallest grants that cover what a function used, with folders as seen from `folder`.
pub(crate) fn smallest_from(
    uses: &BTreeSet<Use>,
    function: &Function,
    folder: Option<&Path>,
) -> Grants {
    let mut grants = smallest(uses, &function.grants);
    for dir in &mut grants.dirs {
        dir.host = seen_from(folder, dir);
    }
    grants
}

/// What a manifest names lies beside it.
fn seen_from(folder: Option<&Path>, dir: &DirGrant) -> PathBuf {
    let beside = folder.and_then(|folder| dir.host.strip_prefix(folder).ok());
    match beside {
        Some(beside) => Path::new(".").join(beside),
        None => dir.host.clone(),
    }
}

/// What a worker has to say about a function, in events that fit a line.
pub(crate) fn events(function: &FunctionName, uses: Vec<Use>) -> Vec<Event> {
    let grouped = in_groups(uses);
    for what in grouped.too_long {
        // A path of 60 KiB: no line of a manifest would hold it.
        let bytes = to_line(&what).len();
        tracing::warn!(%function, bytes, "a use is too long to learn");
    }
    let event = |uses| Event::Used {
        function: function.clone(),
        uses,
    };
    grouped.groups.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::UP_LINE_BYTES_MAX;

    fn path_of(bytes: usize) -> Use {
        Use::Http {
            method: "GET".to_owned(),
            https: true,
            host: "example.com".parse().unwrap(),
            port: 443,
            path: format!("/{}", "x".repeat(bytes)),
        }
    }

    #[test]
    fn what_was_used_is_told_in_lines_that_fit() {
        let function: FunctionName = "shop".parse().unwrap();
        let uses: Vec<_> = (0..1_000).map(path_of).chain([path_of(100_000)]).collect();
        let events = events(&function, uses.clone());
        assert!(events.len() > 1);
        let mut learned = Learned::of([&function]);
        for event in events {
            assert!(to_line(&event).len() <= UP_LINE_BYTES_MAX);
            let Event::Used { function, uses } = event else {
                panic!("{event:?}");
            };
            learned.note(&function, uses);
        }
        // The last one fits no line.
        assert_eq!(learned.0[&function].len(), uses.len() - 1);
    }

    #[test]
    fn nobody_learns_without_end_or_of_strangers() {
        let function: FunctionName = "shop".parse().unwrap();
        let mut learned = Learned::of([&function]);
        for number in 0..2 * USES_MAX {
            learned.note(&function, vec![Use::Secret(number.to_string())]);
        }
        assert_eq!(learned.0[&function].len(), USES_MAX);
        learned.note(&"stranger".parse().unwrap(), vec![Use::Tmp]);
        assert_eq!(learned.0.len(), 1);
    }
}
