//! What must hold in the store whatever failed, and what may be left over.

use std::collections::{BTreeMap, BTreeSet};

use midge_store::Store;
use midge_store::records::{
    ClaimRecord, ComponentRecord, FunctionRecord, Kept, NamespaceRecord, RevisionRecord,
    all_claims, all_components, all_functions, all_namespaces, all_revisions, claim_key,
    component_key, list_all, revision_key,
};
use midge_store::{Key, Prefix};

/// Everything in the store.
struct All {
    namespaces: BTreeMap<Key, NamespaceRecord>,
    functions: BTreeMap<Key, FunctionRecord>,
    revisions: BTreeMap<Key, RevisionRecord>,
    claims: BTreeMap<Key, ClaimRecord>,
    components: BTreeMap<Key, ComponentRecord>,
}

impl All {
    async fn read(store: &Store) -> Self {
        Self {
            namespaces: all(store, &all_namespaces()).await,
            functions: all(store, &all_functions()).await,
            revisions: all(store, &all_revisions()).await,
            claims: all(store, &all_claims()).await,
            components: all(store, &all_components()).await,
        }
    }

    /// The claims that live routes need, with whose they must be.
    fn claims_needed(&self) -> Vec<(Key, &FunctionRecord)> {
        let mut needed = Vec::new();
        for function in self.functions.values() {
            for share in function.traffic.shares() {
                let key = revision_key(&function.namespace, &function.function, share.revision);
                let routes = self.revisions.get(&key).into_iter();
                for route in routes.flat_map(|found| &found.revision.routes) {
                    let scope = route.host().is_none().then_some(&function.namespace);
                    needed.push((claim_key(scope, &route.shape()), function));
                }
            }
        }
        needed
    }

    /// The hosts that live routes name.
    fn hosts(&self) -> BTreeSet<Key> {
        let live = self.claims_needed();
        let keys: BTreeSet<_> = live.into_iter().map(|(key, _)| key).collect();
        let live = self.claims.iter().filter(|(key, _)| keys.contains(key));
        live.filter_map(|(_, claim)| claim.route.host())
            .map(|host| claim_key(None, &format!("host {host}")))
            .collect()
    }
}

/// What is wrong; nothing ever may be.
pub(crate) async fn problems(store: &Store) -> Vec<String> {
    let all = All::read(store).await;
    let mut problems = Vec::new();
    for (key, function) in &all.functions {
        let namespace = &function.namespace;
        if !all
            .namespaces
            .values()
            .any(|found| found.name == *namespace)
        {
            problems.push(format!("{key} is in no namespace"));
        }
        for share in function.traffic.shares() {
            if !function.revisions.contains(&share.revision) {
                problems.push(format!("{key} has traffic to {share}, which is not kept"));
            }
        }
        if !function.revisions.is_sorted() || function.revisions.last() >= Some(&function.next) {
            problems.push(format!("{key} counts wrongly: {function:?}"));
        }
        for number in &function.revisions {
            let revision = revision_key(namespace, &function.function, *number);
            let Some(found) = all.revisions.get(&revision) else {
                problems.push(format!("{key} keeps {number}, which is not there"));
                continue;
            };
            let digest = found.revision.digest;
            if !all
                .components
                .contains_key(&component_key(namespace, &digest))
            {
                problems.push(format!("{revision} names a component that is not there"));
            }
            let size = store.artifacts.size(&digest).await.unwrap();
            if size != Some(found.component_bytes) {
                problems.push(format!("{revision} names an artifact of {size:?} bytes"));
            }
        }
    }
    for (key, function) in all.claims_needed() {
        let owner = all.claims.get(&key);
        let is_owner = owner.is_some_and(|claim| {
            (&claim.namespace, &claim.function) == (&function.namespace, &function.function)
        });
        if !is_owner {
            problems.push(format!(
                "a route of {}/{} is claimed by {owner:?}",
                function.namespace, function.function
            ));
        }
    }
    for host in all.hosts() {
        if !all.claims.contains_key(&host) {
            problems.push(format!("a host is routed and not claimed: {host}"));
        }
    }
    problems
}

/// What nobody needs; nothing after a sweep.
pub(crate) async fn unneeded(store: &Store) -> Vec<String> {
    let all = All::read(store).await;
    let mut unneeded = Vec::new();
    let keeps = |found: &RevisionRecord| {
        all.functions.values().any(|function| {
            let revision = &found.revision;
            (&function.namespace, &function.function) == (&revision.namespace, &revision.function)
                && function.revisions.contains(&revision.number)
        })
    };
    for (key, found) in &all.revisions {
        if !keeps(found) {
            unneeded.push(key.to_string());
        }
    }
    let needed: BTreeSet<_> = all
        .claims_needed()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let hosts = all.hosts();
    for (key, claim) in &all.claims {
        if !needed.contains(key) && !hosts.contains(key) {
            unneeded.push(format!("{key}: {claim:?}"));
        }
    }
    for (key, component) in &all.components {
        let names = |found: &RevisionRecord| {
            let revision = &found.revision;
            (&revision.namespace, revision.digest) == (&component.namespace, component.digest)
        };
        if !all.revisions.values().any(names) {
            unneeded.push(key.to_string());
        }
    }
    for artifact in store.artifacts.list(None, 1_000).await.unwrap() {
        let has = |component: &ComponentRecord| component.digest == artifact.digest;
        if !all.components.values().any(has) {
            unneeded.push(artifact.digest.to_string());
        }
    }
    unneeded
}

async fn all<T: Kept>(store: &Store, prefix: &Prefix) -> BTreeMap<Key, T> {
    let found = list_all::<T>(&*store.registry, prefix).await.unwrap();
    found
        .into_iter()
        .map(|(key, found)| (key, found.value))
        .collect()
}
