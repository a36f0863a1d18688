//! The audit log: who changed what, from where, and how that ended.

use midge_model::{NamespaceName, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// One change of state, or one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Sorts by time.
    #[schema(value_type = schema::AuditId)]
    pub id: String,
    /// When it began.
    #[schema(value_type = schema::Timestamp)]
    pub at: Timestamp,
    /// Who.
    pub actor: AuditActor,
    /// From which address.
    pub from: String,
    /// The request's name in the node's log.
    pub request_id: String,
    /// Which operation, by its id in the OpenAPI document.
    pub action: String,
    /// Where; absent for the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::NamespaceName>)]
    pub namespace: Option<NamespaceName>,
    /// On what.
    pub subject: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// The code of what refused or failed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else there is to know; never a secret.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditActor {
    /// The token's id; absent where nobody is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What people call it.
    pub name: String,
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// It is at work, or the node ended before it was done.
    Begun,
    /// It is so.
    Done,
    /// The caller may not, or asked for something that cannot be.
    Refused,
    /// The node could not.
    Failed,
}
