//! The audit log as it is shown, newest entry first.
//!
//! Entries are kept by namespace, those of the node itself apart. Who may see all of them gets
//! them merged by time.
//!
//! **Invariant:** a tenant sees entries of its own namespace only, and none of a namespace of the
//! same name that ended before its own began.

use midge_api::{AuditActor, AuditEntry, AuditOutcome, Page};
use midge_model::{NamespaceName, Timestamp};
use midge_store::records::{
    self, AuditRecord, RecordId, RecordKey, all_audits, audit_key, audits_of,
};
use midge_store::{Key, Registry, StoreError, records::AuditOutcome as Kept};

use crate::control::Control;
use crate::error::ControlError;
use crate::page::{PageRequest, page};
use crate::role::Operation;
use crate::who::Who;

/// The namespace, or the node itself, that entries are about.
pub(crate) type Scope = Option<NamespaceName>;

impl Control {
    /// Entries of the audit log, newest first: of one namespace, or of all that the caller may
    /// know of and the node itself.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the page is none.
    pub async fn list_audit(
        &self,
        who: &Who,
        namespace: Option<&NamespaceName>,
        request: &PageRequest,
    ) -> Result<Page<AuditEntry>, ControlError> {
        who.may(Operation::ListAudit, namespace)?;
        let limit = request.limit()?;
        let before: Option<RecordId> = request.after()?;
        let namespace = namespace.or(who.namespace.as_ref());
        let since = match (namespace, &who.namespace) {
            (Some(namespace), Some(_)) => self.namespace(who, namespace).await?.value.created_at,
            // An admin of the node may read about namespaces that are no more.
            _ => Timestamp::default(),
        };
        let scopes = match namespace {
            Some(namespace) => vec![Some(namespace.clone())],
            None => audit_scopes(self.registry()).await?,
        };
        let mut entries = Vec::new();
        for scope in scopes {
            let after = before.as_ref().map(|id| audit_key(scope.as_ref(), id));
            let prefix = audits_of(scope.as_ref());
            let found =
                records::list_of::<AuditRecord>(self.registry(), &prefix, after.as_ref(), limit)
                    .await?;
            entries.extend(found.into_iter().map(|(_, entry)| entry.value));
            // Merged as they come: a node of many namespaces must not hold a page of each.
            entries.sort_by(|one, other| other.id.cmp(&one.id));
            entries.truncate(limit);
        }
        entries.retain(|entry| entry.at >= since);
        let is_full = entries.len() == limit;
        let next = entries.last().map(|last| last.id.to_string());
        let entries = entries.into_iter().map(shown);
        Ok(page(entries.collect(), next.filter(|_| is_full)))
    }
}

/// Everything that there are entries about, namespaces that are no more among them: one record of
/// each is looked at.
pub(crate) async fn audit_scopes(registry: &dyn Registry) -> Result<Vec<Scope>, StoreError> {
    let mut scopes = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        let found = registry.list(&all_audits(), after.as_ref(), 1).await?;
        let Some(first) = found.first() else {
            return Ok(scopes);
        };
        let Some(RecordKey::Audit(scope, _)) = RecordKey::parse(&first.key) else {
            after = Some(first.key.clone());
            continue;
        };
        after = Some(end_of(scope.as_ref()));
        scopes.push(scope);
    }
}

/// A key behind every entry of a scope.
fn end_of(scope: Option<&NamespaceName>) -> Key {
    // `z` sorts behind every digit that an id begins with.
    let last = "z".parse().expect("it is an id");
    audit_key(scope, &last)
}

fn shown(record: AuditRecord) -> AuditEntry {
    let (outcome, code) = match record.outcome {
        Kept::Begun => (AuditOutcome::Begun, None),
        Kept::Done => (AuditOutcome::Done, None),
        Kept::Refused(code) => (AuditOutcome::Refused, Some(code)),
        Kept::Failed(code) => (AuditOutcome::Failed, Some(code)),
    };
    AuditEntry {
        id: record.id.to_string(),
        at: record.at,
        actor: AuditActor {
            token: record.actor.token.map(|id| id.to_string()),
            name: record.actor.name,
        },
        from: record.from,
        request_id: record.request_id,
        action: record.action,
        namespace: record.namespace,
        subject: record.subject,
        outcome,
        code,
        detail: match record.detail {
            serde_json::Value::Null => serde_json::json!({}),
            detail => detail,
        },
    }
}
