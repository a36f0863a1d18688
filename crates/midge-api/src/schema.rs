//! How the model's types look in JSON, for the OpenAPI document.
//!
//! The model knows nothing of OpenAPI, so each of its types has a stand-in of the same name here,
//! which is never a value. Decides patterns and bounds; what is really accepted is the model's to
//! say, and tests hold the two against each other.
//!
//! They derive `Deserialize` only so that they can say `deny_unknown_fields`, which utoipa reads.
//!
//! **Invariant:** what a stand-in describes, the model reads; what the model writes, the stand-in
//! describes.

mod difference;
mod grants;
mod isolation;
mod limits;
#[cfg(test)]
mod tests;
mod text;
mod traffic;

pub use difference::{
    ComponentChange, Difference, DifferenceKind, GrantChange, IsolationChange, LimitChange,
    RouteChange,
};
pub use grants::{Clock, DirGrant, DirMode, Grants, SecretExposure, SecretGrant, SecretInjection};
pub use isolation::{Isolation, IsolationLevel};
pub use limits::{Limits, LimitsPatch, Quota, QuotaPatch};
pub use text::{
    AuditId, BucketName, Component, Digest, DurationText, EntityTag, EntryKeyText, EntryValue,
    FunctionName, HttpGrant, IdempotencyKey, InvokeMethod, InvokePath, NameGrant, NamespaceName,
    NetGrant, RequestId, RevisionNumber, Route, SecretName, SecretText, SizeText, Sticky,
    Timestamp, TokenId, TokenName,
};
pub use traffic::{Share, Traffic};
