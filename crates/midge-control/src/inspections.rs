//! What components ask the host for, read a few at a time and once.
//!
//! Decides how much memory reading takes: a component is held whole while it is read, so no more
//! than two are, and what was found is remembered by digest, however many deploys and plans name
//! it. What is remembered is what warnings need; a component that is refused is read again.
//!
//! **Invariant:** no more components are in memory than there are permits, and nobody waits for a
//! permit while holding one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::{Digest, Isolation, NamespaceName};
use midge_sandbox::{InspectError, Reusable};
use tokio::sync::Semaphore;

use crate::components::{is_binary, missing, not_binary};
use crate::control::Control;
use crate::error::ControlError;

/// The most components that are read at a time.
const INSPECTIONS_MAX: usize = 2;
/// The longest that a deploy or a plan waits for its turn to read.
const INSPECTION_WAIT_MAX: Duration = Duration::from_secs(30);
/// The most components whose needs are remembered.
const NEEDS_MAX: usize = 1_024;

/// What is remembered of a component.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    /// The kinds of grants that its imports need, each once.
    pub(crate) grants: Arc<[&'static str]>,
    reusable: Reusable,
}

impl Needs {
    /// Refuses an isolation that the component's contract does not allow.
    ///
    /// # Errors
    ///
    /// What it allows instead.
    pub(crate) fn check_isolation(&self, isolation: &Isolation) -> Result<(), ControlError> {
        let checked = self.reusable.check(isolation);
        checked.map_err(refused)
    }
}

/// What was read, and who reads.
#[derive(Debug)]
pub(crate) struct Inspections {
    permits: Arc<Semaphore>,
    needs: Mutex<HashMap<Digest, Needs>>,
}

impl Default for Inspections {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(INSPECTIONS_MAX)),
            needs: Mutex::default(),
        }
    }
}

impl Inspections {
    fn known(&self, digest: &Digest) -> Option<Needs> {
        let needs = self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        needs.get(digest).cloned()
    }

    fn remember(&self, digest: Digest, found: &Needs) {
        let mut needs = self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        if needs.len() >= NEEDS_MAX {
            needs.clear();
        }
        needs.insert(digest, found.clone());
    }
}

impl Control {
    /// What a component needs, and that this host can run it.
    ///
    /// # Errors
    ///
    /// It is not there, or nothing to run; or too many others are read.
    pub(crate) async fn needs(
        &self,
        namespace: &NamespaceName,
        digest: &Digest,
    ) -> Result<Needs, ControlError> {
        if let Some(known) = self.inspections.known(digest) {
            return Ok(known);
        }
        let permit = self.inspections.permits.clone().acquire_owned();
        let permit = tokio::time::timeout(INSPECTION_WAIT_MAX, permit).await;
        let permit = permit
            .map_err(|_| busy())?
            .map_err(ControlError::internal)?;
        // Somebody may have read it meanwhile.
        if let Some(known) = self.inspections.known(digest) {
            return Ok(known);
        }
        let bytes = self.store.artifacts.get(digest).await?;
        let bytes = bytes.ok_or_else(|| missing(namespace, digest))?;
        if !is_binary(&bytes) {
            return Err(not_binary());
        }
        // Parsing is work for a thread that nobody else waits for. It holds the permit, because
        // it goes on when whoever asked has gone.
        let inspected = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let inspection = midge_sandbox::inspect(&bytes)?;
            inspection.check_imports()?;
            let mut needs = Vec::new();
            for need in inspection
                .imports
                .iter()
                .filter_map(|import| import.needs_grant)
            {
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
            Ok(Needs {
                grants: needs.into(),
                reusable: inspection.reusable(),
            })
        });
        let inspected: Result<Needs, InspectError> =
            inspected.await.map_err(ControlError::internal)?;
        let needs = inspected.map_err(refused)?;
        self.inspections.remember(*digest, &needs);
        Ok(needs)
    }
}

fn refused(error: InspectError) -> ControlError {
    let hint = error.hint();
    ControlError::new(ErrorCode::RefusedComponent, error.to_string())
        .with_hint_if(hint)
        .because(error)
}

fn busy() -> ControlError {
    ControlError::new(ErrorCode::Busy, "too many other components are being read")
        .with_hint("try again in a moment")
}
