//! The sandbox: compiles components, and runs one invocation at a time.
//!
//! Wasmtime lives here and nowhere else. Decides how guests are compiled, cached,
//! instantiated, bounded and ended; leaves to the runtime which function runs and
//! when it may start, and to the ingress what a client sees of it.
//!
//! **Invariant:** nothing a guest does panics, blocks the worker's thread, or
//! outlives its invocation.
#![deny(unsafe_code)]

mod artifact;
mod body;
mod compile;
mod contract;
mod engine;
mod function;
mod guest;
mod guest_log;
mod host;
mod imports;
mod inspect;
mod invocation;
mod limits;
mod outcome;
mod stdout_pipe;
mod ticker;
mod turns;

pub use artifact::{ArtifactCache, CacheError, LoadError, Lookup};
pub use body::{Aborted, RequestBody, RequestBodyError, ResponseBody};
pub use compile::{CompileError, compile};
pub use contract::Contract;
pub use engine::{Allocation, Engine, EngineError, SandboxConfig};
pub use function::{LoadedFunction, Sandbox};
pub use guest_log::GUEST_LOG_TARGET;
pub use imports::Import;
pub use inspect::{InspectError, Inspection, Producer, inspect};
pub use invocation::{Answer, Caller, Invocation};
