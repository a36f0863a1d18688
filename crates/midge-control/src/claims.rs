//! Which function has which route.
//!
//! Decides whose a route is: of the function that claimed it first, for as long as one of its
//! revisions that have traffic has that route. Routes without a host are claimed within their
//! namespace; routes with one across the node. A host belongs to the namespace that first routes
//! it, for as long as it does: otherwise another tenant could answer `/login` below its `/*`.
//!
//! A claim says nothing by itself. One whose function does not answer the route is stale, left
//! behind by a deploy that was cut short, and whoever comes next takes it over. A claim is made
//! before the function record that needs it and within the same turn to write, so within this
//! process a claim that looks stale is.
//!
//! **Invariant:** every route of a revision that has traffic is claimed by its function.

use std::collections::BTreeSet;

use midge_api::ErrorCode;
use midge_model::{NamespaceName, Route};
use midge_store::records::{self, ClaimRecord, RevisionRecord, Versioned, claim_key, claims_of};
use midge_store::{Expect, Key, LIST_MAX, PutError, Version};

use crate::control::{ATTEMPTS_MAX, Control, Turn};
use crate::error::ControlError;
use crate::standing::Target;
use crate::who::Who;

/// What is claimed, and what was found in its place.
struct Claim {
    key: Key,
    record: ClaimRecord,
    expect: Expect,
}

/// Where the claim of a route is kept.
pub(crate) fn key_of_route(namespace: &NamespaceName, route: &Route) -> Key {
    let scope = route.host().is_none().then_some(namespace);
    claim_key(scope, &route.shape())
}

/// Where the claim of a host is kept. No shape of a route is without a `/`.
pub(crate) fn key_of_host(host: &str) -> Key {
    claim_key(None, &format!("host {host}"))
}

impl Control {
    /// Claims routes for a function. Nothing is claimed if one of them is another's.
    ///
    /// # Errors
    ///
    /// A route, or its host, is another's.
    pub(crate) async fn claim(
        &self,
        who: &Who,
        target: Target<'_>,
        routes: &[Route],
        _turn: &Turn<'_>,
    ) -> Result<(), ControlError> {
        for _ in 0..ATTEMPTS_MAX {
            let claims = self.free_claims(who, target, routes).await?;
            if self.write_claims(claims).await? {
                return Ok(());
            }
        }
        Err(ControlError::contended("one of the routes"))
    }

    /// What routes would be in the way, in words.
    ///
    /// # Errors
    ///
    /// The store does not answer, or a route is another's.
    pub(crate) async fn check_routes(
        &self,
        who: &Who,
        target: Target<'_>,
        routes: &[Route],
    ) -> Result<(), ControlError> {
        self.free_claims(who, target, routes).await.map(|_| ())
    }

    /// The claims of a function on these routes, as they are now.
    pub(crate) async fn claims_held(
        &self,
        target: Target<'_>,
        routes: &[Route],
    ) -> Result<Vec<(Key, Version)>, ControlError> {
        let mut held = Vec::new();
        for route in routes {
            let key = key_of_route(target.0, route);
            let found = records::read::<ClaimRecord>(self.registry(), &key).await?;
            held.extend(
                found
                    .filter(|found| is_of(&found.value, target))
                    .map(|found| (key, found.version)),
            );
        }
        Ok(held)
    }

    /// Whether a claim stands for nothing: its function does not answer the route.
    pub(crate) async fn is_stale(&self, claim: &ClaimRecord) -> Result<bool, ControlError> {
        let target = (&claim.namespace, &claim.function);
        let Some(standing) = self.standing(target).await? else {
            return Ok(true);
        };
        let shape = claim.route.shape();
        let has = |live: &RevisionRecord| {
            let mut routes = live.revision.routes.iter();
            routes.any(|route| route.shape() == shape)
        };
        Ok(!standing.live.iter().any(has))
    }

    /// Whether the namespace answers no route of this host any more. Looks at every route with a
    /// host on the node, and only where two namespaces want the same one.
    pub(crate) async fn is_host_free(
        &self,
        namespace: &NamespaceName,
        host: &str,
    ) -> Result<bool, ControlError> {
        let host_key = key_of_host(host);
        let mut after = None;
        loop {
            let found = records::list_of::<ClaimRecord>(
                self.registry(),
                &claims_of(None),
                after.as_ref(),
                LIST_MAX,
            )
            .await?;
            for (key, claim) in &found {
                let claim = &claim.value;
                let is_candidate = claim.namespace == *namespace
                    && claim.route.host() == Some(host)
                    && *key != host_key;
                if is_candidate && !self.is_stale(claim).await? {
                    return Ok(false);
                }
            }
            if found.len() < LIST_MAX {
                return Ok(true);
            }
            after = found.into_iter().last().map(|(key, _)| key);
        }
    }

    async fn free_claims(
        &self,
        who: &Who,
        target: Target<'_>,
        routes: &[Route],
    ) -> Result<Vec<Claim>, ControlError> {
        let mut claims = Vec::new();
        let hosts: BTreeSet<_> = routes.iter().filter_map(Route::host).collect();
        for host in hosts {
            claims.extend(self.free_host(who, target, host).await?);
        }
        for route in routes {
            let key = key_of_route(target.0, route);
            let found = records::read::<ClaimRecord>(self.registry(), &key).await?;
            let expect = match found {
                None => Expect::Absent,
                // Written anew although it is there: a clearance of the change before must not
                // take it away, and it does that by version.
                Some(Versioned { value, version })
                    if is_of(&value, target) || self.is_stale(&value).await? =>
                {
                    Expect::Version(version)
                }
                Some(Versioned { value, .. }) => return Err(taken(who, route, &value)),
            };
            let route = route.clone();
            claims.push(Claim {
                key,
                record: record_of(target, route),
                expect,
            });
        }
        Ok(claims)
    }

    /// The claim of a host that is not this namespace's yet.
    async fn free_host(
        &self,
        who: &Who,
        target: Target<'_>,
        host: &str,
    ) -> Result<Option<Claim>, ControlError> {
        let key = key_of_host(host);
        let route: Route = format!("{host}/*")
            .parse()
            .expect("the host stood in a route before");
        let found = records::read::<ClaimRecord>(self.registry(), &key).await?;
        let expect = match found {
            None => Expect::Absent,
            Some(found) if found.value.namespace == *target.0 => return Ok(None),
            Some(found) if self.is_host_free(&found.value.namespace, host).await? => {
                Expect::Version(found.version)
            }
            Some(found) => return Err(host_taken(who, host, &found.value)),
        };
        Ok(Some(Claim {
            key,
            record: record_of(target, route),
            expect,
        }))
    }

    /// Writes claims; `false` if one was not as it was found.
    async fn write_claims(&self, claims: Vec<Claim>) -> Result<bool, ControlError> {
        for Claim {
            key,
            record,
            expect,
        } in claims
        {
            match records::write(self.registry(), &key, &record, expect).await {
                Ok(_) => {}
                Err(PutError::Conflict { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

fn record_of(target: Target<'_>, route: Route) -> ClaimRecord {
    ClaimRecord {
        namespace: target.0.clone(),
        function: target.1.clone(),
        route,
    }
}

fn is_of(claim: &ClaimRecord, target: Target<'_>) -> bool {
    (&claim.namespace, &claim.function) == target
}

/// Says whose the host is only to who may know of that namespace.
fn host_taken(who: &Who, host: &str, by: &ClaimRecord) -> ControlError {
    let owner = &by.namespace;
    let message = match who.knows_of(owner) {
        true => format!("host `{host}` belongs to namespace `{owner}`, which routes it"),
        false => format!("host `{host}` belongs to another namespace"),
    };
    ControlError::new(ErrorCode::RouteTaken, message).with_hint("give the route another host")
}

/// Says whose the route is only to who may know of that namespace.
fn taken(who: &Who, route: &Route, by: &ClaimRecord) -> ControlError {
    let (message, hint) = if who.knows_of(&by.namespace) {
        let owner = by.function.in_namespace(&by.namespace);
        let message = format!(
            "route `{route}` matches the same requests as `{}` of function `{owner}`",
            by.route
        );
        (message, format!("change it, or remove it from `{owner}`"))
    } else {
        let message = format!("route `{route}` belongs to another namespace");
        (message, "give the route another host".to_owned())
    };
    ControlError::new(ErrorCode::RouteTaken, message).with_hint(hint)
}
