//! What the control core is told about its node.
//!
//! Decides nothing: the binary reads flags and environment and fills this in.

use std::path::PathBuf;

/// What the control core is told about its node. Without defaults: the binary decides.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// The domain below which every function has an address: `localhost`.
    pub domain: String,
    /// Where the traffic door answers, as callers write it: `http://127.0.0.1:8080`.
    pub public_url: String,
    /// Where host folders of deployed functions lie, one folder a namespace.
    pub data_root: PathBuf,
    /// The largest component that is taken.
    pub component_bytes_max: u64,
    /// Who may do anything at all.
    pub auth: Auth,
}

/// Who may do anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Who has a token, as far as it reaches.
    Tokens,
    /// Everybody who reaches the door may do everything. Only for a door on loopback, and only
    /// because somebody typed `--insecure-no-auth`.
    None,
}
