//! A worker's live state: which function answers a request, and may it run now.
//!
//! Decides routing (by the model's table), which revision answers, admission (slots, fair queues)
//! and the order of these; leaves running the guest to the sandbox, HTTP to the ingress, and where
//! functions and their code come from to the binary. Lives on one thread: shared by `Rc`, without
//! a lock.
//!
//! **Invariant:** a request keeps to its end what it found when it came; it never waits for
//! anything but its own function's turn and, the first time, its code.
#![forbid(unsafe_code)]

mod admission;
mod counters;
mod dispatch;
mod eviction;
mod function;
mod instances;
mod loading;
mod pick;
mod table;
mod tally;

pub use counters::{Connections, CounterError, Counters, FUNCTIONS_MAX};
pub use dispatch::{Addressee, Dispatched, Dispatcher, DispatcherParts, Receipt};
pub use eviction::{LoadedBounds, LoadedCounts};
pub use function::{Prepared, Published};
pub use instances::WorkerBounds;
pub use loading::{LoadFailure, Loader};
pub use midge_sandbox::{
    Aborted, Caller, Deployment, InstanceUse, LoadedFunction, RequestBody, ResponseBody,
};
pub use tally::{FunctionTally, Histogram, HistogramError};
