//! What the door allows: every bound on connections, heads and waits, in one place.
//!
//! The values are the binary's to choose; this crate only says what each of them means. Bounds on
//! what a *function* may do (time, memory, body size) are the revision's limits, not these.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds and switches of one worker's traffic door.
///
/// It travels from the supervisor to its workers as JSON. There is no `Default`: the binary decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressConfig {
    /// Connections that one worker holds at a time. At the bound it stops accepting, so that its
    /// siblings on the same socket take over and the kernel queues the rest.
    pub connections_max: u32,
    /// From the first byte of a request to the end of its head; also from the accept to the first
    /// request of a connection, and for the TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request in flight.
    pub idle_timeout: Duration,
    /// How long a client may refuse to take bytes that are ready for it before it is cut off.
    pub stall_timeout: Duration,
    /// Bytes of one request's head (request line and fields). More is a 431.
    pub header_bytes_max: u32,
    /// Fields in one request's head. More is a 431.
    pub header_count_max: u32,
    /// Requests in flight on one HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Adds `server-timing` with the cost of each invocation to its response.
    pub receipt: bool,
    /// Logs one line per finished request.
    pub access_log: bool,
    /// With what its invocation cost up to the head of the answer.
    pub log_costs: bool,
}

#[cfg(test)]
impl IngressConfig {
    /// Bounds for tests that do not wait for any of them.
    pub(crate) const fn roomy() -> Self {
        Self {
            connections_max: 100,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(40),
            header_bytes_max: 16 * 1024,
            header_count_max: 100,
            h2_streams_max: 100,
            receipt: false,
            access_log: true,
            log_costs: false,
        }
    }
}
