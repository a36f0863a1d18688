//! Namespaces.

use midge_model::{NamespaceName, Quota, Timestamp};
use serde::{Deserialize, Serialize};

use super::Kept;

/// A namespace and how much it may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// What it is called.
    pub name: NamespaceName,
    /// When it was made.
    pub created_at: Timestamp,
    /// How much it may have.
    #[serde(default)]
    pub quota: Quota,
}

impl Kept for NamespaceRecord {
    const KIND: &'static str = "namespace";
}
