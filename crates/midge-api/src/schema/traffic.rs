//! The JSON of [`midge_model::Traffic`].

#![expect(dead_code, reason = "stand-ins are described, never made")]

use serde::Deserialize;
use utoipa::ToSchema;

use super::{RevisionNumber, Sticky};

/// The revisions that answer for a function, and how often each does.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// At least one, and no revision twice.
    #[schema(min_items = 1, max_items = 16)]
    shares: Vec<Share>,
    /// What keeps a caller at one revision.
    sticky: Option<Sticky>,
}

/// One revision's part of the traffic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Which revision.
    revision: RevisionNumber,
    /// Its part of the sum of all weights.
    #[schema(minimum = 1, maximum = 10_000, example = 100)]
    weight: u32,
}
