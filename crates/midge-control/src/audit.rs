//! Who did what, from where, and how it ended.
//!
//! Decides what is written down and when: an entry before the first write of whatever changes
//! state, and how that ended after it. An entry that stays `begun` is one that the node did not
//! live to end. Showing entries is `audit_list.rs`; bounding them is `audit_trim.rs`.
//!
//! **Invariant:** nothing changes state without an entry that was written before, and no entry
//! holds a secret.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use midge_model::NamespaceName;
use midge_store::records::{self, AuditOutcome, AuditRecord, RecordId, audit_key};
use midge_store::{Expect, now};
use serde_json::Value;
use tokio::time::Instant;

use crate::control::Control;
use crate::error::ControlError;
use crate::role::Operation;
use crate::who::Who;

/// How many attempts that were refused are written down per token and minute, whether its role or
/// anything else refused them: whoever tries a thousand times must not push others' entries out.
const ATTEMPTS_NOTED_MAX: u32 = 10;
const ATTEMPTS_NOTED_PER: Duration = Duration::from_secs(60);
/// The most tokens whose attempts are counted at a time.
const ATTEMPTS_TOKENS_MAX: usize = 1_024;

/// What somebody is about to do.
#[derive(Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) operation: Operation,
    pub(crate) namespace: Option<&'a NamespaceName>,
    pub(crate) subject: String,
    pub(crate) detail: Value,
}

/// Attempts that were written down lately, by token.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Option<RecordId>, (Instant, u32)>>);

impl Control {
    /// Does what somebody was allowed to do, with an entry in the audit log around it. `learnt` is
    /// what the entry says beside, once it is done.
    ///
    /// # Errors
    ///
    /// The entry could not be written, and nothing was done; or whatever the work answers.
    pub(crate) async fn audited<T>(
        &self,
        who: &Who,
        deed: Deed<'_>,
        work: impl Future<Output = Result<T, ControlError>>,
        learnt: impl FnOnce(&T) -> Value,
    ) -> Result<T, ControlError> {
        let scope = deed.namespace.cloned();
        let mut entry = entry_of(who, deed);
        let key = audit_key(scope.as_ref(), &entry.id);
        records::write(self.registry(), &key, &entry, Expect::Absent).await?;
        let result = work.await;
        entry.outcome = outcome_of(&result);
        let is_refusal = matches!(entry.outcome, AuditOutcome::Refused(_));
        if is_refusal && !self.attempts.is_worth_noting(who.token.as_ref()) {
            // Nothing was changed, and this token was noted often enough.
            if let Err(error) = records::remove(self.registry(), &key, Expect::Any).await {
                tracing::warn!(%error, action = %entry.action, "audit entry not taken back");
            }
            return result;
        }
        if let Ok(done) = &result {
            merge(&mut entry.detail, learnt(done));
        }
        // What was done is done: a log that cannot be written now must not make it look undone.
        if let Err(error) = records::write(self.registry(), &key, &entry, Expect::Any).await {
            tracing::warn!(%error, action = %entry.action, "end of an audit entry not written");
        }
        self.audit_written(&scope).await;
        result
    }

    /// Lets the caller through, or writes down that it tried to change what it may not.
    ///
    /// # Errors
    ///
    /// As [`Who::may`].
    pub(crate) async fn let_through(
        &self,
        who: &Who,
        operation: Operation,
        namespace: Option<&NamespaceName>,
    ) -> Result<(), ControlError> {
        let Err(error) = who.may(operation, namespace) else {
            return Ok(());
        };
        if operation.changes() && self.attempts.is_worth_noting(who.token.as_ref()) {
            let deed = Deed {
                operation,
                // Of the node, whatever namespace was meant: it may not be there.
                namespace: None,
                subject: namespace.map(ToString::to_string).unwrap_or_default(),
                detail: Value::Null,
            };
            let mut entry = entry_of(who, deed);
            entry.outcome = AuditOutcome::Refused(error.code.to_string());
            let key = audit_key(None, &entry.id);
            records::write(self.registry(), &key, &entry, Expect::Absent).await?;
            self.audit_written(&None).await;
        }
        Err(error)
    }
}

impl Attempts {
    fn is_worth_noting(&self, token: Option<&RecordId>) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= ATTEMPTS_TOKENS_MAX {
            counted.clear();
        }
        let at = Instant::now();
        let (since, count) = counted.entry(token.cloned()).or_insert((at, 0));
        if at.duration_since(*since) >= ATTEMPTS_NOTED_PER {
            (*since, *count) = (at, 0);
        }
        *count = count.saturating_add(1);
        *count <= ATTEMPTS_NOTED_MAX
    }
}

fn entry_of(who: &Who, deed: Deed<'_>) -> AuditRecord {
    let id = uuid::Uuid::now_v7().to_string();
    AuditRecord {
        id: id.parse().expect("a UUID is an id"),
        at: now(),
        actor: who.actor(),
        from: who.from.to_string(),
        request_id: who.request_id.to_string(),
        action: deed.operation.to_string(),
        namespace: deed.namespace.cloned(),
        subject: deed.subject,
        outcome: AuditOutcome::Begun,
        detail: deed.detail,
    }
}

fn outcome_of<T>(result: &Result<T, ControlError>) -> AuditOutcome {
    match result {
        Ok(_) => AuditOutcome::Done,
        Err(error) if error.is_refusal() => AuditOutcome::Refused(error.code.to_string()),
        Err(error) => AuditOutcome::Failed(error.code.to_string()),
    }
}

/// Adds the members of one object to another.
fn merge(detail: &mut Value, learnt: Value) {
    let Value::Object(learnt) = learnt else {
        return;
    };
    match detail {
        Value::Object(known) => known.extend(learnt),
        other => *other = Value::Object(learnt),
    }
}
