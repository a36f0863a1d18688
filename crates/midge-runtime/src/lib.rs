//! A worker's live state: which function answers a request, and may it run now.
//!
//! Decides routing (by the model's table), admission (slots, fair queues) and the
//! order of both; leaves running the guest to the sandbox and HTTP to the ingress.
//! Lives on one thread: shared by `Rc`, without a lock.
//!
//! **Invariant:** a request reads one routing table and keeps it to the end; it
//! never waits for anything but its own function's turn.
#![forbid(unsafe_code)]

mod admission;
mod counters;
mod dispatch;
mod instances;

pub use counters::{Connections, CounterError, Counters};
pub use dispatch::{Deployed, Dispatched, Dispatcher, Receipt};
pub use instances::WorkerBounds;
pub use midge_sandbox::{Aborted, Caller, RequestBody, ResponseBody};
