//! Values by key: which buckets and keys there are. Values themselves are bytes and no JSON.

use midge_model::BucketName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// A bucket that holds something, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketInfo {
    /// Its name, as grants spell it.
    #[schema(value_type = schema::BucketName)]
    pub name: BucketName,
    /// How many keys have a value.
    pub entries: u64,
    /// The bytes of keys and values together.
    pub bytes: u64,
}

/// A key that has a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryKey {
    /// The key.
    #[schema(value_type = schema::EntryKeyText)]
    pub key: String,
}
