//! Secrets: their values on the way in, and everything but their values on the way out.
//!
//! **Invariant:** no answer has a field for a value.

use midge_model::{FunctionName, NamespaceName, SecretText, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// A secret's value, on its way into the node. Printed it is `***`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// The value: any text without a zero byte.
    #[schema(value_type = schema::SecretText)]
    pub value: SecretText,
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretInfo {
    /// Whose it is.
    #[schema(value_type = schema::NamespaceName)]
    pub namespace: NamespaceName,
    /// Its name, as grants spell it.
    #[schema(value_type = schema::SecretName)]
    pub name: String,
    /// How often its value was set.
    pub generation: u64,
    /// When it was set last.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: Timestamp,
    /// By which token.
    pub updated_by: String,
    /// The functions whose live revisions were granted it.
    #[schema(value_type = Vec<schema::FunctionName>)]
    pub used_by: Vec<FunctionName>,
}

/// The node's new key for secrets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRotated {
    /// The new key's name.
    pub key_id: String,
    /// How many secrets it seals now.
    pub secrets: u64,
}
