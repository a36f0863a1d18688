//! Values that functions keep, from a guest in a worker to the store and back.
//!
//! A worker never opens the store, so it asks the supervisor's process over a socket of its own
//! (`values/wire.rs`): the worker's end is `values/asking.rs`, the other one `values/door.rs`.
//! Why it is so is [0037](../../../docs/decisions/0037-values-are-asked-for.md).
//!
//! **Invariant:** what a guest was told to be kept was answered by the store.

mod asking;
mod door;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use self::asking::Asking;
pub(crate) use self::door::ValuesDoor;
