//! What each record must lead to.
//!
//! A function to its revisions, a revision to its component, a route with traffic to its
//! function's claim. What is named by nobody is unused and no problem: records are written so
//! that whatever stops a deploy leaves only that.

use std::collections::{BTreeMap, BTreeSet};

use midge_model::{Digest, FunctionName, NamespaceName, RevisionNumber, Route};

use super::{Named, Report};
use crate::records::{
    AuditRecord, ClaimRecord, ComponentRecord, FunctionRecord, IdempotencyRecord, Kept,
    NamespaceRecord, RecordKey, RevisionRecord, SecretRecord, TokenRecord, claim_key,
    component_key, decode, function_key, host_claim_key, namespace_key, revision_key, secret_key,
    token_key,
};
use crate::{Key, Record};

type RevisionName = (NamespaceName, FunctionName, RevisionNumber);

/// The records of a store, as far as they name each other.
#[derive(Default)]
pub(super) struct References {
    functions: Vec<FunctionRecord>,
    revisions: BTreeMap<RevisionName, RevisionFacts>,
    claims: BTreeMap<Key, ClaimRecord>,
    components: BTreeMap<(NamespaceName, Digest), u64>,
}

struct RevisionFacts {
    digest: Digest,
    component_bytes: u64,
    routes: Vec<Route>,
}

impl References {
    /// Takes a record in, or says why it is not one.
    pub(super) fn add(&mut self, record: &Record, report: &mut Report) {
        let Some(named) = RecordKey::parse(&record.key) else {
            report.problem(format!("record `{}` is of no known kind", record.key));
            return;
        };
        let added = match named {
            RecordKey::Namespace(_) => read(record, |value: &NamespaceRecord| {
                Some(namespace_key(&value.name))
            })
            .map(drop),
            RecordKey::Function(..) => read(record, |value: &FunctionRecord| {
                Some(function_key(&value.namespace, &value.function))
            })
            .map(|function| self.functions.push(function)),
            RecordKey::Revision(..) => self.add_revision(record),
            RecordKey::Secret(..) => read(record, |value: &SecretRecord| {
                secret_key(&value.namespace, &value.name).ok()
            })
            .map(drop),
            RecordKey::Token(_) => {
                read(record, |value: &TokenRecord| Some(token_key(&value.id))).map(drop)
            }
            RecordKey::Claim(_) => read(record, |value: &ClaimRecord| {
                let on_host = value.route.host().map(host_claim_key);
                let is_on_host = on_host.as_ref() == Some(&record.key);
                on_host
                    .filter(|_| is_on_host)
                    .or_else(|| Some(claim_of(&value.namespace, &value.route)))
            })
            .map(|claim| {
                self.claims.insert(record.key.clone(), claim);
            }),
            RecordKey::Component(..) => self.add_component(record),
            RecordKey::Audit(..) => {
                read(record, |_: &AuditRecord| Some(record.key.clone())).map(drop)
            }
            RecordKey::Idempotency(_) => {
                read(record, |_: &IdempotencyRecord| Some(record.key.clone())).map(drop)
            }
        };
        if let Err(problem) = added {
            report.problem(problem);
        }
    }

    fn add_revision(&mut self, record: &Record) -> Result<(), String> {
        let kept: RevisionRecord = read(record, |value: &RevisionRecord| {
            let revision = &value.revision;
            Some(revision_key(
                &revision.namespace,
                &revision.function,
                revision.number,
            ))
        })?;
        let revision = kept.revision;
        let facts = RevisionFacts {
            digest: revision.digest,
            component_bytes: kept.component_bytes,
            routes: revision.routes,
        };
        let name = (revision.namespace, revision.function, revision.number);
        self.revisions.insert(name, facts);
        Ok(())
    }

    fn add_component(&mut self, record: &Record) -> Result<(), String> {
        let component: ComponentRecord = read(record, |value: &ComponentRecord| {
            Some(component_key(&value.namespace, &value.digest))
        })?;
        let name = (component.namespace, component.digest);
        self.components.insert(name, component.size_bytes);
        Ok(())
    }

    /// The artifacts that records name, each with one that does.
    pub(super) fn artifacts(&self) -> BTreeMap<Digest, Named> {
        let components = self.components.iter().map(|((namespace, digest), bytes)| {
            (*digest, component_key(namespace, digest), *bytes)
        });
        let revisions = self
            .revisions
            .iter()
            .map(|(name, facts)| (facts.digest, revision_key_of(name), facts.component_bytes));
        components
            .chain(revisions)
            .map(|(digest, by, size_bytes)| (digest, Named { by, size_bytes }))
            .collect()
    }

    /// Checks every name.
    pub(super) fn check(&self, report: &mut Report) {
        for function in &self.functions {
            self.check_function(function, report);
        }
        let kept = self.functions.iter().flat_map(|function| {
            let numbers = function.revisions.iter();
            numbers.map(|number| name_of(function, *number))
        });
        let kept: BTreeSet<_> = kept.collect();
        for (name, facts) in &self.revisions {
            let key = revision_key_of(name);
            if !kept.contains(name) {
                report.unused(format!("revision `{key}` belongs to no function"));
            }
            let component = (name.0.clone(), facts.digest);
            if !self.components.contains_key(&component) {
                let (namespace, digest) = component;
                report.problem(format!(
                    "revision `{key}` runs {digest}, which namespace `{namespace}` does not have"
                ));
            }
        }
        self.find_unused_claims(&kept, report);
    }

    fn find_unused_claims(&self, kept: &BTreeSet<RevisionName>, report: &mut Report) {
        let mut routed = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for name in kept {
            let facts = self.revisions.get(name);
            for route in facts.map_or(&[][..], |facts| &facts.routes) {
                routed.insert((claim_of(&name.0, route), &name.0, &name.1));
                hosts.extend(route.host().map(|host| (host_claim_key(host), &name.0)));
            }
        }
        for (key, claim) in &self.claims {
            let is_routed = routed.contains(&(key.clone(), &claim.namespace, &claim.function));
            if !is_routed && !hosts.contains(&(key.clone(), &claim.namespace)) {
                report.unused(format!("claim on `{}` is of no revision", claim.route));
            }
        }
    }

    fn check_function(&self, function: &FunctionRecord, report: &mut Report) {
        let key = function_key(&function.namespace, &function.function);
        for number in &function.revisions {
            if !self.revisions.contains_key(&name_of(function, *number)) {
                report.problem(format!("function `{key}` has {number}, which is missing"));
            }
            if *number >= function.next {
                report.problem(format!("function `{key}` would use {number} again"));
            }
        }
        for share in function.traffic.shares() {
            let number = share.revision;
            if !function.revisions.contains(&number) {
                report.problem(format!(
                    "function `{key}` sends traffic to {number}, which it does not have"
                ));
            }
            let Some(facts) = self.revisions.get(&name_of(function, number)) else {
                continue;
            };
            for route in &facts.routes {
                if !self.is_claimed(function, route) {
                    report.problem(format!(
                        "function `{key}` answers `{route}` without a claim on it"
                    ));
                }
            }
        }
    }

    /// The route must be the function's, and its host the namespace's, whichever of its functions
    /// routed that first.
    fn is_claimed(&self, function: &FunctionRecord, route: &Route) -> bool {
        let namespace = &function.namespace;
        let claim = self.claims.get(&claim_of(namespace, route));
        let has_route = claim.is_some_and(|claim| {
            claim.namespace == *namespace && claim.function == function.function
        });
        let has_host = route.host().is_none_or(|host| {
            let claim = self.claims.get(&host_claim_key(host));
            claim.is_some_and(|claim| claim.namespace == *namespace)
        });
        has_route && has_host
    }
}

/// The value of a record, if it reads and is the one that its key names.
fn read<T: Kept>(record: &Record, key_of: impl FnOnce(&T) -> Option<Key>) -> Result<T, String> {
    let key = &record.key;
    let value = decode::<T>(record)
        .map_err(|error| {
            let cause =
                std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
            format!("record `{key}` does not read: {cause}")
        })?
        .value;
    if key_of(&value).as_ref() != Some(key) {
        return Err(format!("record `{key}` holds what another key names"));
    }
    Ok(value)
}

/// Routes with a host are claimed on the node, others in their namespace.
fn claim_of(namespace: &NamespaceName, route: &Route) -> Key {
    let scope = route.host().is_none().then_some(namespace);
    claim_key(scope, &route.shape())
}

fn name_of(function: &FunctionRecord, number: RevisionNumber) -> RevisionName {
    (
        function.namespace.clone(),
        function.function.clone(),
        number,
    )
}

fn revision_key_of((namespace, function, number): &RevisionName) -> Key {
    revision_key(namespace, function, *number)
}
