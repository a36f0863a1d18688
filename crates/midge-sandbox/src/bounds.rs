//! The bounds of a sandbox that no configuration moves.
//!
//! Lists them for people; each is kept where its constant stands. What a manifest can
//! change is the model's `Limits`.

use midge_model::quantity::format_bytes;

use crate::engine::WASM_STACK_BYTES;
use crate::guest::RANDOM_BYTES_MAX;
use crate::limits::{
    CORE_INSTANCES_MAX, HANDLE_BYTES_MAX, HANDLES_MAX, HOST_CALL_BYTES_MAX, MEMORIES_MAX,
    TABLE_ELEMENTS_MAX, TABLES_MAX,
};

/// One bound: what it is about, and how much that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Such as `stack`.
    pub name: &'static str,
    /// Such as `1MiB`.
    pub value: String,
}

/// Every bound that holds for each instance, whatever its manifest says.
pub fn bounds() -> Vec<Bound> {
    let bytes = |bytes: usize| format_bytes(bytes as u64);
    let bound = |(name, value)| Bound { name, value };
    [
        ("stack", bytes(WASM_STACK_BYTES)),
        ("core instances", CORE_INSTANCES_MAX.to_string()),
        ("memories", MEMORIES_MAX.to_string()),
        ("tables", TABLES_MAX.to_string()),
        ("table elements", TABLE_ELEMENTS_MAX.to_string()),
        ("handles", HANDLES_MAX.to_string()),
        ("header fields", bytes(HANDLE_BYTES_MAX)),
        ("host-call arguments", bytes(HOST_CALL_BYTES_MAX)),
        ("random at once", format_bytes(RANDOM_BYTES_MAX)),
    ]
    .map(bound)
    .into()
}
