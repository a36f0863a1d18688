//! Changing what is live: claims, revision, function record, and then what nobody needs any more.
//!
//! The order is the point. Whatever fails, what was already written is at worst unused, never
//! missing from under a route, so there is nothing to undo: the next deploy passes over it, the
//! next sweep takes it away.
//!
//! **Invariant:** what is cleared away is what this change saw before it made it unneeded, by
//! version. If somebody needs it again meanwhile, they wrote it again, and it stays.

use std::collections::BTreeSet;
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::{Revision, RevisionNumber, Route, Traffic};
use midge_store::records::{
    self, FunctionRecord, RevisionRecord, function_key, revision_key, revisions_of,
};
use midge_store::{Expect, Key, LIST_MAX, PutError, Version};

use crate::control::{Control, Turn};
use crate::deploy::wanted::SECRETS_MAX;
use crate::error::ControlError;
use crate::standing::{Standing, Target};
use crate::who::Who;

/// The longest that an answer waits for the workers of this node.
const SERVE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Another record of a function, and what it needs.
pub(crate) struct Switch<'a> {
    pub(crate) standing: Option<&'a Standing>,
    /// What is to be written.
    pub(crate) record: FunctionRecord,
    /// The revisions that have traffic then.
    pub(crate) live: Vec<&'a Revision>,
    /// The revision that is not there yet, if it is a deploy.
    pub(crate) new: Option<&'a RevisionRecord>,
}

/// What was switched to, and what nobody needs any more.
pub(crate) struct Switched {
    pub(crate) record: FunctionRecord,
    pub(crate) version: Version,
    pub(crate) unneeded: Vec<(Key, Version)>,
}

impl Control {
    /// Makes a change live; `None` if the function is not as it stood when that was decided.
    ///
    /// # Errors
    ///
    /// A route is another's, what is to have traffic is granted too many secrets, or the store does
    /// not answer; doing it again is safe.
    pub(crate) async fn switch(
        &self,
        who: &Who,
        switch: Switch<'_>,
        turn: &Turn<'_>,
    ) -> Result<Option<Switched>, ControlError> {
        let Switch {
            standing,
            record,
            live,
            new,
        } = switch;
        let target = (&record.namespace, &record.function);
        check_secrets(&live)?;
        let before = standing.map(Standing::routes).unwrap_or_default();
        let after: Vec<_> = live.iter().flat_map(|live| &live.routes).cloned().collect();
        self.claim(who, target, &only_first(&after, &before), turn)
            .await?;
        if let Some(new) = new {
            let key = revision_key(target.0, target.1, new.revision.number);
            match records::write(self.registry(), &key, new, Expect::Absent).await {
                Ok(_) => {}
                Err(PutError::Conflict { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let mut unneeded = self
            .claims_held(target, &only_first(&before, &after))
            .await?;
        unneeded.extend(self.pruned(standing, &record).await?);
        let expect = standing.map_or(Expect::Absent, |standing| Expect::Version(standing.version));
        let key = function_key(target.0, target.1);
        match records::write(self.registry(), &key, &record, expect).await {
            Ok(version) => Ok(Some(Switched {
                record,
                version,
                unneeded,
            })),
            Err(PutError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The number of the next revision: past whatever a deploy left that was cut short.
    ///
    /// # Errors
    ///
    /// There are no more numbers.
    pub(crate) async fn next_number(
        &self,
        target: Target<'_>,
        standing: Option<&Standing>,
    ) -> Result<RevisionNumber, ControlError> {
        let mut next = standing.map_or(RevisionNumber::FIRST, |standing| standing.record.next);
        let used_up = || ControlError::invalid("the function has used up its numbers");
        loop {
            // From this number on; the number before the first one has no key.
            let after = RevisionNumber::new(next.get() - 1)
                .map(|before| revision_key(target.0, target.1, before));
            let left = records::list_of::<RevisionRecord>(
                self.registry(),
                &revisions_of(target.0, target.1),
                after.as_ref(),
                LIST_MAX,
            )
            .await?;
            if let Some((_, last)) = left.last() {
                next = last.value.revision.number.next().ok_or_else(used_up)?;
            }
            if left.len() < LIST_MAX {
                return Ok(next);
            }
        }
    }

    /// Waits until all workers of this node serve a version of a function.
    ///
    /// # Errors
    ///
    /// One could not, or not in time. It is live nevertheless, and stays so.
    pub(crate) async fn served(
        &self,
        target: Target<'_>,
        version: Version,
    ) -> Result<(), ControlError> {
        let serves = self.node.serves(target.0, target.1, version);
        let not_serving = |message: String| {
            ControlError::new(ErrorCode::NotServing, message)
                .with_hint("it is published: see `midge logs` and the node's log, or try again")
        };
        match tokio::time::timeout(SERVE_WAIT_MAX, serves).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(not_serving(fault.to_string())),
            Err(_) => Err(not_serving(format!(
                "not every worker serves it after {} seconds",
                SERVE_WAIT_MAX.as_secs()
            ))),
        }
    }

    /// Takes away what nobody needs. What cannot be now, the next sweep does.
    pub(crate) async fn clear(&self, unneeded: Vec<(Key, Version)>) {
        for (key, version) in unneeded {
            let expect = Expect::Version(version);
            if let Err(error) = records::remove(self.registry(), &key, expect).await {
                tracing::debug!(%key, %error, "record that nobody needs not removed");
            }
        }
    }

    /// The revisions that the function had and has no more.
    async fn pruned(
        &self,
        standing: Option<&Standing>,
        record: &FunctionRecord,
    ) -> Result<Vec<(Key, Version)>, ControlError> {
        let before = standing.map_or(&[][..], |standing| &standing.record.revisions);
        let mut pruned = Vec::new();
        for number in before {
            if record.revisions.contains(number) {
                continue;
            }
            let key = revision_key(&record.namespace, &record.function, *number);
            let found = self.registry().get(&key).await?;
            pruned.extend(found.map(|found| (key, found.version)));
        }
        Ok(pruned)
    }
}

/// Refuses a split whose revisions have so many secrets between them that workers could not be told
/// all at once.
fn check_secrets(live: &[&Revision]) -> Result<(), ControlError> {
    let grants = live.iter().flat_map(|revision| &revision.grants.secrets);
    let names: BTreeSet<_> = grants.map(|grant| &grant.name).collect();
    if names.len() <= SECRETS_MAX {
        return Ok(());
    }
    let message = format!(
        "the revisions of the split have {} secrets together, the most is {SECRETS_MAX}",
        names.len()
    );
    Err(ControlError::invalid(message).with_hint("split the traffic over fewer revisions"))
}

/// The oldest revisions go until as many are kept as shall be; none that has traffic goes.
pub(crate) fn keep_newest(revisions: &mut Vec<RevisionNumber>, keep: u32, traffic: &Traffic) {
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let mut excess = revisions.len().saturating_sub(keep);
    revisions.retain(|number| {
        let goes = excess > 0 && !traffic.has(*number);
        excess -= usize::from(goes);
        !goes
    });
}

/// The routes of the first list that match nothing of the second, each shape once.
fn only_first(first: &[Route], second: &[Route]) -> Vec<Route> {
    let mut seen: Vec<String> = second.iter().map(Route::shape).collect();
    let mut only = Vec::new();
    for route in first {
        let shape = route.shape();
        if !seen.contains(&shape) {
            seen.push(shape);
            only.push(route.clone());
        }
    }
    only
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(numbers: &[u32]) -> Vec<RevisionNumber> {
        let number = |number: &u32| RevisionNumber::new(*number).unwrap();
        numbers.iter().map(number).collect()
    }

    #[test]
    fn the_oldest_go_but_none_with_traffic() {
        let check = |kept: &[u32], keep, live: &[u32]| {
            let shares = numbers(live).into_iter();
            let shares = shares.map(|revision| midge_model::Share {
                revision,
                weight: 1,
            });
            let traffic = Traffic::new(shares.collect(), None).unwrap();
            let mut revisions = numbers(kept);
            keep_newest(&mut revisions, keep, &traffic);
            revisions
                .iter()
                .map(|number| number.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(check(&[1, 2, 3, 4], 2, &[4]), [3, 4]);
        assert_eq!(check(&[1, 2, 3, 4], 2, &[1]), [1, 4]);
        assert_eq!(check(&[1, 2, 3, 4], 1, &[1, 3]), [1, 3]);
        assert_eq!(check(&[1, 2], 5, &[2]), [1, 2]);
    }

    #[test]
    fn routes_are_compared_by_what_they_match() {
        let routes = |texts: &[&str]| -> Vec<Route> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let only = only_first(
            &routes(&["/x/{id}", "/y", "GET /z", "/y"]),
            &routes(&["/x/{name}", "/z"]),
        );
        assert_eq!(only, routes(&["/y", "GET /z"]));
    }
}
