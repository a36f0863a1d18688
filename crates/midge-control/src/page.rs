//! Lists that are read in parts.
//!
//! Decides what a cursor is: the last name of the part before, so that what is made or removed
//! meanwhile neither repeats nor hides others.
//!
//! **Invariant:** a cursor is a place and no right. Whoever sends one sees what it may see anyway.

use std::str::FromStr;

use midge_api::{ErrorCode, LIMIT_DEFAULT, LIMIT_MAX, Page};
use midge_store::records::{self, Kept, Versioned};
use midge_store::{Key, Prefix, Registry, StoreError};

use crate::error::ControlError;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The `next` of the part before; the list's beginning without.
    pub cursor: Option<String>,
    /// How many items; as many as [`midge_api::LIMIT_DEFAULT`] without.
    pub limit: Option<u32>,
}

impl PageRequest {
    /// How many items to answer with.
    ///
    /// # Errors
    ///
    /// None, or more than a page holds.
    pub(crate) fn limit(&self) -> Result<usize, ControlError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(ControlError::new(
                ErrorCode::InvalidRequest,
                format!("limit is {limit}, write 1 to {LIMIT_MAX}"),
            ));
        }
        Ok(usize::try_from(limit).expect("a page is small"))
    }

    /// The name that the part begins after.
    ///
    /// # Errors
    ///
    /// The cursor is not one of this list's.
    pub(crate) fn after<T: FromStr>(&self) -> Result<Option<T>, ControlError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        cursor.parse().map(Some).map_err(|_| {
            ControlError::new(
                ErrorCode::InvalidRequest,
                "the cursor is none of this list's",
            )
            .with_hint("send the `next` of the page before, or none for the first page")
        })
    }
}

/// One part of a list that a prefix covers, and the cursor of the next part.
pub(crate) struct Part<T> {
    pub(crate) records: Vec<Versioned<T>>,
    is_last: bool,
}

impl<T: Kept> Part<T> {
    /// Reads the part that begins after `after`.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub(crate) async fn read(
        registry: &dyn Registry,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Self, StoreError> {
        let found = records::list_of::<T>(registry, prefix, after, limit).await?;
        // A full part that happens to be the last is followed by an empty one: asking for one
        // more record would read a page of 1,000 twice.
        let is_last = found.len() < limit;
        let records = found.into_iter().map(|(_, record)| record).collect();
        Ok(Self { records, is_last })
    }

    /// The cursor of the next part, if there is one.
    pub(crate) fn next(&self, name: impl FnOnce(&T) -> String) -> Option<String> {
        let last = self.records.last().filter(|_| !self.is_last)?;
        Some(name(&last.value))
    }
}

/// A page of what became of the records of a part.
pub(crate) fn page<T>(items: Vec<T>, next: Option<String>) -> Page<T> {
    Page { items, next }
}
