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

mod address;
pub mod cases;
pub mod cgi;
mod component;
mod difference;
mod digest;
mod document;
mod function_address;
mod grant;
mod isolation;
pub mod learned;
mod limits;
mod manifest;
mod method;
mod name;
mod outcome;
mod policy;
pub mod quantity;
mod quota;
pub mod rehearsal;
mod request_id;
mod revision;
mod revision_number;
mod route;
mod router;
pub mod suggest;
mod timestamp;
pub mod touched;
mod traffic;

pub use address::{
    Cidr, CidrError, HOST_NAME_BYTES_MAX, HostName, HostNameError, PortRange, PortRangeError, Reach,
};
pub use component::{
    Authority, COMPONENT_SOURCE_BYTES_MAX, ComponentPlace, ComponentReference, ComponentSource,
    ComponentSourceError, OciPlace, PinnedComponent, WebPlace,
};
pub use difference::{
    Change, ComponentChange, Difference, GrantChange, IsolationChange, LimitChange, RouteChange,
};
pub use digest::{Digest, DigestError};
pub use function_address::{FunctionAddress, function_host, namespace_host, revision_host};
pub use grant::{
    ARGS_BYTES_MAX, ARGS_MAX, BUCKET_NAME_BYTES_MAX, BucketName, BucketNameError, Clock,
    ClockError, DirGrant, DirGrantError, DirMode, ENTRY_BYTES_MAX, ENTRY_KEY_BYTES_MAX,
    ENV_NAME_BYTES_MAX, ENV_VALUE_BYTES_MAX, EnvVar, EnvVarError, GRANTS_MAX, GrantConflict,
    Grants, HTTP_GRANT_BYTES_MAX, HttpGrant, HttpGrantError, NET_GRANT_BYTES_MAX, NameGrant,
    NameGrantError, NetGrant, NetGrantError, Outbound, SECRET_BYTES_MAX, SECRET_NAME_BYTES_MAX,
    SecretExposure, SecretGrant, SecretGrantError, SecretText, SecretTextError, TMP_BYTES_MAX,
    TMP_GUEST_PATH, placeholder,
};
pub use isolation::{
    Isolation, IsolationError, IsolationLevel, REUSE_IDLE_MAX, REUSE_IDLE_MIN, REUSE_REQUESTS_MAX,
    Reuse, SHARED_CONCURRENCY_MAX,
};
pub use learned::Use;
pub use limits::{
    CONCURRENCY_MAX, CPU_MAX, CPU_MIN, LOG_BYTES_MAX, LOG_RATE_BYTES_MAX, LOG_RATE_BYTES_MIN,
    LimitError, Limits, LimitsPatch, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, OUTBOUND_BYTES_MAX,
    OUTBOUND_CALLS_MAX, QUEUE_MAX, QUEUE_TIME_MAX, QUEUE_TIME_MIN, REQUEST_BODY_BYTES_MAX,
    RESPONSE_BODY_BYTES_MAX, SOCKETS_MAX, TIME_MAX, TIME_MIN, WEIGHT_MAX, WEIGHT_MIN,
};
pub use manifest::{FunctionSpec, MANIFEST_BYTES_MAX, Manifest, ManifestError};
pub use name::{FunctionName, NAME_BYTES_MAX, NameError, NamespaceName};
pub use outcome::{Blame, Outcome, Refusal};
pub use policy::{
    AddressRefusal, DataPathError, POLICY_BYTES_MAX, Policy, PolicyError, PolicyVerdict,
    PrivateGrant, PrivateGrantError, data_path,
};
pub use quota::{
    QUOTA_COMPONENT_BYTES_MAX, QUOTA_FUNCTIONS_MAX, QUOTA_SECRETS_MAX, QUOTA_TOKENS_MAX, Quota,
    QuotaError, QuotaPatch,
};
pub use request_id::{REQUEST_ID_BYTES_MAX, RequestId, RequestIdError};
pub use revision::{KEEP_DEFAULT, KEEP_MAX, Revision, parse_keep};
pub use revision_number::{RevisionNumber, RevisionNumberError};
pub use route::{ROUTE_BYTES_MAX, Route, RouteError};
pub use router::{Resolved, RouteConflict, RouteTable};
pub use timestamp::{Timestamp, TimestampError};
pub use traffic::{
    COOKIE_NAME_BYTES_MAX, SHARE_WEIGHT_MAX, SHARES_MAX, Share, Sticky, Traffic, TrafficError,
};
