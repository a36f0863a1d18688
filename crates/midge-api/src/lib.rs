//! What goes over the wire between the control door and who talks to it.
//!
//! Decides the JSON of the control API (`wire`), the schemas that describe it (`schema`) and how
//! a program in Rust calls it ([`Client`]). What an operation does, and who may, is midge-control.
//!
//! **Invariant:** requests refuse keys they do not know; answers may grow keys, and a client that
//! does not know them goes on.

#![forbid(unsafe_code)]

mod client;
pub mod schema;
mod wire;

pub use client::{
    AuditQuery, Client, ClientConfig, ClientConfigError, ClientError, InvokeAnswer, InvokeRequest,
    LogStream, PASSED_ON_PREFIX, PageRequest, TIMING_HEADER, Upload, WriteOptions,
};
pub use wire::{
    AuditActor, AuditEntry, AuditOutcome, BucketInfo, ComponentInfo, DeployChange, DeployPlan,
    DeployRequest, Deployed, EntryKey, ErrorCode, FunctionInfo, Health, InvocationSummary,
    KeyRotated, LIMIT_DEFAULT, LIMIT_MAX, LogLine, MESSAGE_BYTES_MAX, NamespaceInfo,
    NamespaceRequest, NodeStatus, PROBLEM_TYPE, Page, Problem, RevisionInfo, Role, RoleError,
    RollbackRequest, SecretInfo, SecretValue, TOKEN_LIFE_S_MAX, TOKEN_NAME_BYTES_MAX, TokenCreated,
    TokenInfo, TokenRequest, Verdict, WhoAmI, WorkerStatus,
};
