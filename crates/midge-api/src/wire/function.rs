//! Functions and their revisions, as they are.
//!
//! Decides their JSON. How a new revision comes to be is `deploy.rs`.

use midge_model::{
    Digest, FunctionName, Grants, Isolation, IsolationLevel, Limits, NamespaceName, RevisionNumber,
    Route, Timestamp, Traffic,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// A function: what answers for it now, and what else could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FunctionInfo {
    /// Whose it is.
    #[schema(value_type = schema::NamespaceName)]
    pub namespace: NamespaceName,
    /// Its name.
    #[schema(value_type = schema::FunctionName)]
    pub function: FunctionName,
    /// Where it answers whatever its routes are.
    pub url: String,
    /// Which revisions answer, and how often each.
    #[schema(value_type = schema::Traffic)]
    pub traffic: Traffic,
    /// The revisions that are kept, oldest first.
    #[schema(value_type = Vec<schema::RevisionNumber>)]
    pub revisions: Vec<RevisionNumber>,
    /// How many revisions are kept.
    pub keep: u32,
    /// The routes of the revisions that have traffic.
    #[schema(value_type = Vec<String>)]
    pub routes: Vec<Route>,
    /// What invocations share, in the revision with the most traffic.
    #[serde(default)]
    #[schema(value_type = schema::IsolationLevel)]
    pub isolation: IsolationLevel,
    /// When it was first deployed.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: Timestamp,
    /// When a deploy, a rollback or a split last changed it.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: Timestamp,
    /// Its version, which is also the answer's `etag`: what `if-match` compares.
    pub version: u64,
}

/// A revision: immutable but for its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionInfo {
    /// Whose it is.
    #[schema(value_type = schema::NamespaceName)]
    pub namespace: NamespaceName,
    /// Which function's.
    #[schema(value_type = schema::FunctionName)]
    pub function: FunctionName,
    /// Which of its revisions.
    #[schema(value_type = schema::RevisionNumber)]
    pub number: RevisionNumber,
    /// The component as the developer built it.
    #[schema(value_type = schema::Digest)]
    pub digest: Digest,
    /// How large that is.
    pub component_bytes: u64,
    /// Which requests it answers.
    #[schema(value_type = Vec<String>)]
    pub routes: Vec<Route>,
    /// What it may touch.
    #[schema(value_type = schema::Grants)]
    pub grants: Grants,
    /// What it may take.
    #[schema(value_type = schema::Limits)]
    pub limits: Limits,
    /// What its invocations share.
    #[serde(default)]
    #[schema(value_type = schema::Isolation)]
    pub isolation: Isolation,
    /// When it was deployed.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: Timestamp,
    /// By which token.
    pub created_by: String,
    /// What the deployer said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its weight in the function's traffic; 0 if it has none.
    pub weight: u32,
    /// Where exactly this revision answers.
    pub url: String,
}

/// Where to go back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision that shall have all traffic; absent, the traffic before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevisionNumber>)]
    pub to: Option<RevisionNumber>,
}
