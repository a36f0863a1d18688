//! How much each namespace has, for its quota.
//!
//! Counting 10,000 functions at each deploy would make deploys slower the more there are, so what
//! was counted once is remembered and kept up with. The records stay the truth: what is remembered
//! is counted anew after a while, so that a slip, or another process that writes, does not count
//! for long.
//!
//! **Invariant:** asked for within a turn to write, it says what this process knows; a quota may
//! be passed by what others wrote meanwhile, never by what was written here.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::NamespaceName;
use midge_store::records::{ComponentRecord, FunctionRecord, Kept, components_of, functions_of};
use midge_store::{LIST_MAX, Prefix, StoreError, records};
use tokio::time::Instant;

use crate::control::Control;
use crate::error::ControlError;

/// How long a count is trusted.
const COUNT_TRUSTED_MAX: Duration = Duration::from_secs(60 * 60);
/// The most namespaces whose counts are remembered.
const COUNTS_MAX: usize = 10_000;

/// What was counted, by namespace.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<NamespaceName, Counted>>);

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    functions: Option<Count>,
    component_bytes: Option<Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    total: u64,
    at: Instant,
}

impl Counts {
    /// What is remembered becomes different by so much.
    pub(crate) fn functions_changed(&self, namespace: &NamespaceName, by: i64) {
        self.with(namespace, |counted| shift(&mut counted.functions, by));
    }

    pub(crate) fn component_added(&self, namespace: &NamespaceName, bytes: u64) {
        let by = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.with(namespace, |counted| shift(&mut counted.component_bytes, by));
    }

    /// Count anew next time.
    pub(crate) fn forget(&self, namespace: &NamespaceName) {
        self.with(namespace, |counted| *counted = Counted::default());
    }

    fn with<T>(&self, namespace: &NamespaceName, work: impl FnOnce(&mut Counted) -> T) -> T {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTS_MAX {
            counts.clear();
        }
        work(counts.entry(namespace.clone()).or_default())
    }
}

impl Control {
    /// Refuses one function more than the namespace may have.
    ///
    /// # Errors
    ///
    /// It has as many as it may, or the store does not answer.
    pub(crate) async fn room_for_function(
        &self,
        namespace: &NamespaceName,
        functions_max: u32,
    ) -> Result<(), ControlError> {
        let remembered = self.counts.with(namespace, |counted| counted.functions);
        let total = match remembered.filter(Count::is_fresh) {
            Some(count) => count.total,
            None => {
                let total = self
                    .sum::<FunctionRecord>(&functions_of(namespace), |_| 1)
                    .await?;
                let count = Count::now(total);
                self.counts
                    .with(namespace, |counted| counted.functions = Some(count));
                total
            }
        };
        if total < u64::from(functions_max) {
            return Ok(());
        }
        Err(over(namespace, "functions", functions_max))
    }

    /// Refuses a component that is more than what the namespace has room for.
    ///
    /// # Errors
    ///
    /// It has not that much room left, or the store does not answer.
    pub(crate) async fn room_for_component(
        &self,
        namespace: &NamespaceName,
        bytes: u64,
        bytes_max: u64,
    ) -> Result<(), ControlError> {
        let remembered = self
            .counts
            .with(namespace, |counted| counted.component_bytes);
        let total = match remembered.filter(Count::is_fresh) {
            Some(count) => count.total,
            None => {
                let size = |component: &ComponentRecord| component.size_bytes;
                let total = self.sum(&components_of(namespace), size).await?;
                let count = Count::now(total);
                self.counts
                    .with(namespace, |counted| counted.component_bytes = Some(count));
                total
            }
        };
        if total.saturating_add(bytes) <= bytes_max {
            return Ok(());
        }
        let most = midge_model::quantity::format_bytes(bytes_max);
        Err(over(namespace, "component-bytes", most))
    }

    async fn sum<T: Kept>(
        &self,
        prefix: &Prefix,
        size: impl Fn(&T) -> u64 + Send,
    ) -> Result<u64, StoreError> {
        let mut total = 0_u64;
        let mut after = None;
        loop {
            let found =
                records::list_of::<T>(self.registry(), prefix, after.as_ref(), LIST_MAX).await?;
            total += found
                .iter()
                .map(|(_, record)| size(&record.value))
                .sum::<u64>();
            if found.len() < LIST_MAX {
                return Ok(total);
            }
            after = found.into_iter().last().map(|(key, _)| key);
        }
    }
}

/// The refusal of one more than there may be.
pub(crate) fn over(namespace: &NamespaceName, what: &str, most: impl Display) -> ControlError {
    let message =
        format!("namespace `{namespace}` has no room for more {what}: its quota is {most}");
    let hint = format!("ask an admin of the node for `midge quota set {what}=… -n {namespace}`");
    ControlError::new(ErrorCode::Quota, message).with_hint(hint)
}

impl Count {
    fn now(total: u64) -> Self {
        let at = Instant::now();
        Self { total, at }
    }

    fn is_fresh(&self) -> bool {
        self.at.elapsed() < COUNT_TRUSTED_MAX
    }
}

fn shift(count: &mut Option<Count>, by: i64) {
    if let Some(count) = count {
        count.total = count.total.saturating_add_signed(by);
    }
}
