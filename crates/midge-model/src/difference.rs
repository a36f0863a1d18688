//! What a deploy would change: the new revision against the one that is live.
//!
//! Decides what counts as a change and which changes widen what a function may do or take, so
//! that somebody is asked before it gets more. Whether it may have more at all is the policy's to
//! say; who is asked, and how, is the deploy's.
//!
//! **Invariant:** a grant that allows anything new widens. One that several old ones cover
//! together, and no single one, is said to widen too: to be asked once too often is the safe side.

mod grants;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{Digest, Isolation, Limits, Revision, Route};

/// What is different between two revisions; empty where they are the same but for their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The component, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentChange>,
    /// Routes that came or went.
    pub routes: Vec<RouteChange>,
    /// Limits that have another value, in the order of the manifest's keys; all of a new function.
    pub limits: Vec<LimitChange>,
    /// Grants that came, went or changed.
    pub grants: Vec<GrantChange>,
    /// What invocations share, where that is different; of a new function, where it is not nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationChange>,
}

/// Whether something came, went or became something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the new revision has it.
    Added,
    /// Only the old revision has it.
    Removed,
    /// Both have it, on other terms.
    Changed,
}

/// Another component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentChange {
    /// The old one; `None` for a new function.
    pub from: Option<Digest>,
    /// The new one.
    pub to: Digest,
}

/// A route that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The route as written.
    pub route: Route,
    /// Added or removed; a route never changes.
    pub change: Change,
}

/// A limit with another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitChange {
    /// The key that it has in a manifest.
    pub name: String,
    /// The old value for people; `None` for a new function.
    pub from: Option<String>,
    /// The new value for people.
    pub to: String,
    /// Whether the function may take more.
    pub widens: bool,
}

/// Another isolation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationChange {
    /// The old one for people; `None` for a new function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The new one for people.
    pub to: String,
    /// Whether invocations share more than before.
    pub widens: bool,
}

/// A grant that came, went or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// The key that it has in a manifest: `env`, or one of those below `allow`.
    pub kind: String,
    /// The grant for people. Of a variable it is the name alone: its value may be private.
    pub grant: String,
    /// What it was before, where it changed and that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What became of it.
    pub change: Change,
    /// Whether the function may do something that it could not do before.
    pub widens: bool,
}

impl Difference {
    /// What `new` changes about `old`, the revision that is live; all of it for a new function,
    /// of which nothing widens because there is nothing to be wider than.
    pub fn between(old: Option<&Revision>, new: &Revision) -> Self {
        let from = old.map(|old| old.digest);
        let is_other = from.as_ref() != Some(&new.digest);
        let to = new.digest;
        Self {
            component: is_other.then_some(ComponentChange { from, to }),
            routes: routes(old.map_or(&[][..], |old| &old.routes), &new.routes),
            limits: limits(old.map(|old| &old.limits), &new.limits),
            grants: grants::between(old.map(|old| &old.grants), &new.grants),
            isolation: isolation(old.map(|old| &old.isolation), &new.isolation),
        }
    }

    /// Whether the function may do or take more than it could.
    pub fn widens(&self) -> bool {
        self.limits.iter().any(|limit| limit.widens)
            || self.grants.iter().any(|grant| grant.widens)
            || self
                .isolation
                .as_ref()
                .is_some_and(|isolation| isolation.widens)
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The order of routes means nothing, so that is no change.
fn routes(old: &[Route], new: &[Route]) -> Vec<RouteChange> {
    let only_in = |one: &[Route], other: &[Route], change| {
        let only = one.iter().filter(|route| !other.contains(route));
        let only = only.cloned().map(|route| RouteChange { route, change });
        only.collect::<Vec<_>>()
    };
    let mut changes = only_in(old, new, Change::Removed);
    changes.extend(only_in(new, old, Change::Added));
    changes
}

fn isolation(old: Option<&Isolation>, new: &Isolation) -> Option<IsolationChange> {
    let before = old.copied().unwrap_or_default();
    (before != *new).then(|| IsolationChange {
        from: old.map(Isolation::to_string),
        to: new.to_string(),
        widens: old.is_some_and(|old| new.shares_more_than(old)),
    })
}

fn limits(old: Option<&Limits>, new: &Limits) -> Vec<LimitChange> {
    let old = old.map(Limits::measures);
    let new = new.measures().into_iter().enumerate();
    new.filter_map(|(nth, (name, to))| {
        let from = old.map(|old| old[nth].1);
        (from != Some(to)).then(|| LimitChange {
            name: name.to_owned(),
            from: from.map(|from| from.to_string()),
            to: to.to_string(),
            widens: from.is_some_and(|from| to > from),
        })
    })
    .collect()
}
