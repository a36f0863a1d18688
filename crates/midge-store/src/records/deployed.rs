//! What a deploy writes: component, claims, revision, and last the function that points to it.

use midge_model::{
    Digest, FunctionName, NamespaceName, Revision, RevisionNumber, Route, Timestamp, Traffic,
};
use serde::{Deserialize, Serialize};

use super::Kept;

/// A function: what answers for it, and which of its revisions there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Whose it is.
    pub namespace: NamespaceName,
    /// What it is called.
    pub function: FunctionName,
    /// Which revisions answer, and how often each.
    pub traffic: Traffic,
    /// The revisions that are kept, oldest first; all that have traffic are among them.
    pub revisions: Vec<RevisionNumber>,
    /// The number that the next revision gets, or one after it.
    pub next: RevisionNumber,
    /// How many revisions are kept.
    pub keep: u32,
    /// The traffic before the last change of it, which a rollback goes back to.
    #[serde(default)]
    pub previous: Option<Traffic>,
    /// When it was deployed first.
    pub created_at: Timestamp,
    /// When this record was written.
    pub updated_at: Timestamp,
}

/// A revision: written once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// The revision itself.
    pub revision: Revision,
    /// How many bytes its component has.
    pub component_bytes: u64,
    /// When it was deployed.
    pub created_at: Timestamp,
    /// The name of the token that deployed it.
    pub created_by: String,
    /// What they said about it.
    #[serde(default)]
    pub message: Option<String>,
}

/// Whose a route is: of two functions with routes of one shape only one can have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// In which namespace.
    pub namespace: NamespaceName,
    /// Which function.
    pub function: FunctionName,
    /// The route as that function wrote it.
    pub route: Route,
}

/// That a namespace has a component's bytes: knowing a digest gives nobody another's artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRecord {
    /// Who may deploy it.
    pub namespace: NamespaceName,
    /// The artifact.
    pub digest: Digest,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// When it was uploaded last.
    pub uploaded_at: Timestamp,
    /// The name of the token that uploaded it.
    pub uploaded_by: String,
}

impl Kept for FunctionRecord {
    const KIND: &'static str = "function";
}

impl Kept for RevisionRecord {
    const KIND: &'static str = "revision";
}

impl Kept for ClaimRecord {
    const KIND: &'static str = "claim";
}

impl Kept for ComponentRecord {
    const KIND: &'static str = "component";
}
