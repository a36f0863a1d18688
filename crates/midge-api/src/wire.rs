//! The bodies of the control API, one file for each thing that is administered.
//!
//! Decides their JSON. Fields whose type is the model's are described by a stand-in from
//! `schema`, because the model knows nothing of OpenAPI.
//!
//! **Invariant:** whatever is secret in a body is masked when it is printed.

mod audit;
mod code;
mod deploy;
mod function;
mod kv;
mod namespace;
mod observe;
mod page;
mod problem;
mod secret;
mod token;

pub use audit::{AuditActor, AuditEntry, AuditOutcome};
pub use code::ErrorCode;
pub use deploy::{
    ComponentInfo, DeployChange, DeployPlan, DeployRequest, Deployed, MESSAGE_BYTES_MAX, Verdict,
};
pub use function::{FunctionInfo, RevisionInfo, RollbackRequest};
pub use kv::{BucketInfo, EntryKey};
pub use namespace::{NamespaceInfo, NamespaceRequest};
pub use observe::{Health, InvocationSummary, LogLine, NodeStatus, WorkerStatus};
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use problem::{PROBLEM_TYPE, Problem};
pub use secret::{KeyRotated, SecretInfo, SecretValue};
pub use token::{
    Role, RoleError, TOKEN_LIFE_S_MAX, TOKEN_NAME_BYTES_MAX, TokenCreated, TokenInfo, TokenRequest,
    WhoAmI,
};
