//! Namespaces and what each may use.
//!
//! Decides their JSON; the quota's own is the model's.

use midge_model::{NamespaceName, Quota, QuotaPatch, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// The namespace that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceRequest {
    /// Its name.
    #[schema(value_type = schema::NamespaceName)]
    pub name: NamespaceName,
    /// What it may use, where that is not the default.
    #[serde(default)]
    #[schema(value_type = schema::QuotaPatch)]
    pub quota: QuotaPatch,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceInfo {
    /// Its name.
    #[schema(value_type = schema::NamespaceName)]
    pub name: NamespaceName,
    /// When it was made.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: Timestamp,
    /// What it may use.
    #[schema(value_type = schema::Quota)]
    pub quota: Quota,
}
