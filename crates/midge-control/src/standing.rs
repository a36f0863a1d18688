//! A function as it stands: its record and the revisions that have traffic.
//!
//! **Invariant:** what is decided from a [`Standing`] is written with its version expected, so a
//! decision about something that changed meanwhile is never kept.

use midge_api::ErrorCode;
use midge_model::{FunctionName, NamespaceName, RevisionNumber, Route, suggest};
use midge_store::Version;
use midge_store::records::{
    self, FunctionRecord, RevisionRecord, Versioned, function_key, functions_of, revision_key,
};

use crate::control::Control;
use crate::error::ControlError;
use crate::namespaces::SUGGEST_NAMES_MAX;
use crate::page::Part;

/// A namespace and a function in it.
pub(crate) type Target<'a> = (&'a NamespaceName, &'a FunctionName);

/// A function as it stands.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) record: FunctionRecord,
    pub(crate) version: Version,
    /// Those that have traffic, in the order of the shares.
    pub(crate) live: Vec<RevisionRecord>,
}

impl Standing {
    /// The revision that a new one is compared with: the one with the most traffic, and of
    /// several the newest.
    pub(crate) fn main(&self) -> Option<&RevisionRecord> {
        let shares = self.record.traffic.shares();
        let weight = |found: &&RevisionRecord| {
            let number = found.revision.number;
            let share = shares.iter().find(|share| share.revision == number);
            (share.map_or(0, |share| share.weight), number)
        };
        self.live.iter().max_by_key(weight)
    }

    /// The routes that are answered, each once.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        for route in self.live.iter().flat_map(|live| &live.revision.routes) {
            if !routes.contains(route) {
                routes.push(route.clone());
            }
        }
        routes
    }

    /// Refuses to change another version than the caller saw.
    ///
    /// # Errors
    ///
    /// It saw another one.
    pub(crate) fn check_match(
        standing: Option<&Self>,
        if_match: Option<Version>,
    ) -> Result<(), ControlError> {
        let Some(wanted) = if_match else {
            return Ok(());
        };
        let message = match standing {
            Some(standing) if standing.version == wanted => return Ok(()),
            Some(standing) => format!(
                "the function is at version {} and not {wanted}",
                standing.version
            ),
            None => format!("there is no such function, at version {wanted} or any other"),
        };
        Err(ControlError::new(ErrorCode::VersionMismatch, message)
            .with_hint("read it again, and decide again"))
    }
}

impl Control {
    /// The function as it stands; `None` if there is none.
    pub(crate) async fn standing(
        &self,
        target: Target<'_>,
    ) -> Result<Option<Standing>, ControlError> {
        let key = function_key(target.0, target.1);
        let Some(found) = records::read::<FunctionRecord>(self.registry(), &key).await? else {
            return Ok(None);
        };
        self.standing_of(found).await.map(Some)
    }

    /// A function's record with the revisions that have traffic.
    pub(crate) async fn standing_of(
        &self,
        found: Versioned<FunctionRecord>,
    ) -> Result<Standing, ControlError> {
        let Versioned {
            value: record,
            version,
        } = found;
        let mut live = Vec::new();
        for share in record.traffic.shares() {
            let target = (&record.namespace, &record.function);
            // One that is missing, which nothing here leaves behind, answers nothing: a deploy
            // must still be able to mend that.
            live.extend(self.revision(target, share.revision).await?);
        }
        Ok(Standing {
            record,
            version,
            live,
        })
    }

    /// A function as it stands.
    ///
    /// # Errors
    ///
    /// There is none of this name; the hint has the nearest.
    pub(crate) async fn existing(&self, target: Target<'_>) -> Result<Standing, ControlError> {
        match self.standing(target).await? {
            Some(standing) => Ok(standing),
            None => Err(self.no_function(target).await?),
        }
    }

    /// The record of a revision, whether or not the function still keeps it.
    pub(crate) async fn revision(
        &self,
        target: Target<'_>,
        number: RevisionNumber,
    ) -> Result<Option<RevisionRecord>, ControlError> {
        let key = revision_key(target.0, target.1, number);
        let found = records::read(self.registry(), &key).await?;
        Ok(found.map(|found: Versioned<RevisionRecord>| found.value))
    }

    /// The answer to a function that is not there, with the name that was probably meant.
    pub(crate) async fn no_function(
        &self,
        target: Target<'_>,
    ) -> Result<ControlError, ControlError> {
        let (namespace, function) = target;
        let prefix = functions_of(namespace);
        let part =
            Part::<FunctionRecord>::read(self.registry(), &prefix, None, SUGGEST_NAMES_MAX).await?;
        let known = part.records.iter();
        let known = known.map(|found| found.value.function.as_str());
        let hint = match suggest::nearest(function.as_str(), known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("midge list --namespace {namespace}"),
        };
        let message = format!("namespace `{namespace}` has no function `{function}`");
        Ok(ControlError::new(ErrorCode::NotFound, message).with_hint(hint))
    }
}
