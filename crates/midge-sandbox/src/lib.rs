//! The sandbox: compiles components, and runs one invocation at a time.
//!
//! Wasmtime lives here and nowhere else. Decides how guests are compiled, cached,
//! instantiated, bounded and ended; leaves to the runtime which function runs and
//! when it may start, and to the ingress what a client sees of it.
//!
//! **Invariant:** nothing a guest does panics, blocks the worker's thread, or
//! outlives its invocation.
#![deny(unsafe_code)]

mod absent;
mod artifact;
mod body;
mod bounds;
mod by_function;
mod candidate;
mod compile;
mod contract;
mod cpu;
mod diagnosis;
mod engine;
mod function;
mod guest;
mod guest_log;
mod host;
mod imports;
mod inspect;
mod instance;
mod interfaces;
mod invocation;
mod limits;
mod linkers;
mod mapped;
mod net;
mod outcome;
mod outline;
mod page;
mod powers;
mod rehearsal;
mod reset;
mod running;
mod scan;
mod shared;
mod stdout_pipe;
mod task;
mod ticker;
mod turns;
mod types;

pub use artifact::{ArtifactCache, CacheError, LoadError, Lookup};
pub use body::{Aborted, RequestBody, RequestBodyError, ResponseBody};
pub use bounds::{Bound, bounds};
pub use compile::{CompileError, compile};
pub use contract::Contract;
pub use diagnosis::Diagnosis;
pub use engine::{Allocation, Engine, EngineError, SandboxConfig};
pub use function::{LoadedFunction, Sandbox};
pub use guest_log::GUEST_LOG_TARGET;
pub use host::http_out::{InjectError, OUTBOUND_DESCRIPTORS_MAX, RootsError};
pub use host::kv::{Bucket, Expected, KeyValues, KvFault, Swapped, Value};
pub use host::quota::{UsageCells, UsagePage};
pub use imports::Import;
pub use inspect::{InspectError, Inspection, Reusable, inspect, to_binary};
pub use instance::{Instance, InstanceUse, KeepsNone, Permit, Reused};
pub use invocation::{Answer, Caller, Invocation, OnEnd};
pub use mapped::{Mapped, Mapper};
pub use net::LOOK_UP_DESCRIPTORS_MAX;
pub use outline::Producer;
pub use page::{PageError, SharedPage};
pub use powers::{Deployment, DnsConfig, NodePowers, PowersConfig, PowersError, RootsConfig};
pub use rehearsal::{Rehearsal, StandIn, StandInAnswer, StandInAnswers};
pub use reset::ResetMechanism;
pub use scan::Scans;
pub use shared::room::{OpenInstance, Seat};
pub use types::check_types;
