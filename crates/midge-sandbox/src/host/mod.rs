//! What the host offers a guest, one file per capability.
//!
//! Decides nothing itself: a capability is denied unless its file finds a grant.

pub(crate) mod dirs;
pub(crate) mod http_out;
