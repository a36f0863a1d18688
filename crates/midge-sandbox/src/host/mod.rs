//! What the host offers a guest, one file per capability.
//!
//! Decides nothing itself: a capability is denied unless its file finds a grant.

pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod denied;
pub(crate) mod dirs;
pub(crate) mod files;
pub(crate) mod files01;
pub(crate) mod files02;
pub(crate) mod files03;
pub(crate) mod http_out;
pub(crate) mod kv;
pub(crate) mod learned;
pub(crate) mod names;
pub(crate) mod quota;
pub(crate) mod random;
pub(crate) mod sockets;
pub(crate) mod tmp;
pub(crate) mod variables;
