//! The control door and what is behind it: who may, is it sound, publish it, write it down.
//!
//! Decides who may do what, whether a deploy is sound, and in which order records are written.
//! Leaves how they are kept to midge-store, what runs to midge-runtime, and how requests and
//! answers look to midge-api. It meets the runtime in the store only; of the node it stands in it
//! asks what `Node` says.
//!
//! **Invariant:** a failure at any step leaves something unused, never something missing.
#![forbid(unsafe_code)]

mod as_written;
mod audit;
mod audit_list;
mod audit_trim;
mod authenticate;
mod bearer;
mod cap;
mod claims;
mod components;
mod config;
mod control;
mod counts;
mod deploy;
mod door;
mod error;
mod functions;
mod idempotency;
mod inspections;
mod kv;
mod leftovers;
mod namespaces;
mod node;
mod observe;
mod page;
mod publish;
mod remove;
mod role;
mod room;
mod secrets;
mod standing;
mod sweep;
mod token_room;
mod tokens;
mod traffic;
mod urls;
mod who;

pub use axum::body::Body;
pub use components::Upload;
pub use config::{Auth, ControlConfig};
pub use control::{Control, ControlParts};
pub use door::{openapi, serve};
pub use error::ControlError;
pub use idempotency::{IDEMPOTENCY_KEY_BYTES_MAX, Idempotency, IdempotencySlot};
pub use midge_api::ErrorCode;
pub use node::{
    CompileBlame, CompileFault, CompileReport, Invoke, InvokeFault, LogFeed, Node, NotServed,
};
pub use page::PageRequest;
pub use role::{Operation, Reach};
pub use sweep::Swept;
pub use who::{Cap, Who};
