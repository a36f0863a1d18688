//! The JSON of [`midge_model::Difference`].

#![expect(dead_code, reason = "stand-ins are described, never made")]

use serde::Deserialize;
use utoipa::ToSchema;

use super::Digest;

/// What is different between two revisions.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Difference {
    /// The component, where it is another one.
    component: Option<ComponentChange>,
    /// Routes that came or went.
    routes: Vec<RouteChange>,
    /// Limits that have another value.
    limits: Vec<LimitChange>,
    /// Grants that came, went or changed.
    grants: Vec<GrantChange>,
    /// What invocations share, where that is different.
    isolation: Option<IsolationChange>,
}

/// Whether something came, went or became something else.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the new revision has it.
    Added,
    /// Only the old revision has it.
    Removed,
    /// Both have it, on other terms.
    Changed,
}

/// Another component.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ComponentChange {
    /// The old one; absent for a new function.
    from: Option<Digest>,
    /// The new one.
    to: Digest,
}

/// A route that came or went.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RouteChange {
    /// The route as written.
    route: String,
    /// Added or removed; a route never changes.
    change: DifferenceKind,
}

/// Another isolation.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IsolationChange {
    /// The old one for people; absent for a new function.
    from: Option<String>,
    /// The new one for people.
    to: String,
    /// Whether invocations share more than before.
    widens: bool,
}

/// A limit with another value.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LimitChange {
    /// The key that it has in a manifest.
    name: String,
    /// The old value for people; absent for a new function.
    from: Option<String>,
    /// The new value for people.
    to: String,
    /// Whether the function may take more.
    widens: bool,
}

/// A grant that came, went or changed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct GrantChange {
    /// The key that it has in a manifest.
    kind: String,
    /// The grant for people; of a variable its name alone.
    grant: String,
    /// What it was before, where that can be told.
    from: Option<String>,
    /// What became of it.
    change: DifferenceKind,
    /// Whether the function may do something that it could not do before.
    widens: bool,
}
