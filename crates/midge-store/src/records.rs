//! What the registry holds: one file per kind of record, in JSON.
//!
//! Decides how records are read and written, and which there are. Who writes them in which order
//! is midge-control's business, and what follows from them the feed's.
//!
//! **Invariant:** what an older version of midge wrote still reads: a field that is added has a
//! `serde` default, and none is taken away.

mod access;
mod actor;
mod deployed;
mod keys;
mod tenant;

pub use access::{Kept, LIST_ALL_PAGE, Versioned, decode, list_all, list_of, read, remove, write};
pub use actor::{
    Actor, AuditOutcome, AuditRecord, IdempotencyRecord, IdempotentAnswer, SecretRecord,
    TokenRecord,
};
pub use deployed::{ClaimRecord, ComponentRecord, FunctionRecord, RevisionRecord};
pub use keys::{
    RECORD_ID_BYTES_MAX, RecordId, RecordIdError, RecordKey, all_audits, all_claims,
    all_components, all_functions, all_namespaces, all_revisions, all_secrets, all_tokens,
    audit_key, audits_of, claim_key, claims_of, component_key, components_of, function_key,
    functions_of, host_claim_key, idempotencies, idempotency_key, namespace_key, revision_key,
    revisions_of, revisions_of_namespace, secret_key, secrets_of, token_key,
};
pub use tenant::NamespaceRecord;
