//! A list that is read in parts.
//!
//! Decides how large a part is. What the cursor means is known only to the door that made it.
//!
//! **Invariant:** a page without `next` is the last.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many items a page has if nobody says.
pub const LIMIT_DEFAULT: u32 = 100;
/// How many it has at most.
pub const LIMIT_MAX: u32 = 1_000;

/// Part of a list, and where the next part starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to send as `cursor` for the part after this one; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A list that is whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
