//! Midge's nouns and pure decisions.
//!
//! Decides what a name, a size, a route, a grant and a manifest are, which route
//! answers a request, and how a command's output becomes an HTTP head. It leaves
//! every effect to others: no I/O, no clock, no async.
//!
//! **Invariant:** text that people, callers or guests wrote becomes a type here or
//! is refused here with a sentence that says what would be right; nothing in this
//! crate panics on it.
#![forbid(unsafe_code)]

pub mod cgi;
mod digest;
mod grant;
mod limits;
mod manifest;
mod name;
mod outcome;
pub mod quantity;
mod request_id;
mod revision;
mod route;
mod router;
pub mod suggest;

pub use digest::{Digest, DigestError};
pub use grant::{
    DirGrant, DirGrantError, DirMode, ENV_NAME_BYTES_MAX, ENV_VALUE_BYTES_MAX, EnvVar, EnvVarError,
    GrantConflict, Grants,
};
pub use limits::{
    CONCURRENCY_MAX, LimitError, Limits, LimitsPatch, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN,
    QUEUE_MAX, REQUEST_BODY_BYTES_MAX, TIME_MAX, TIME_MIN,
};
pub use manifest::{FunctionSpec, MANIFEST_BYTES_MAX, Manifest, ManifestError};
pub use name::{FunctionName, NAME_BYTES_MAX, NameError, NamespaceName};
pub use outcome::{Blame, Outcome, Refusal};
pub use request_id::{REQUEST_ID_BYTES_MAX, RequestId, RequestIdError};
pub use revision::Revision;
pub use route::{ROUTE_BYTES_MAX, Route, RouteError};
pub use router::{Resolved, RouteConflict, RouteTable};
