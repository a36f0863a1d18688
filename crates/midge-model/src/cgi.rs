//! CGI/1.1 (RFC 3875) for command guests, both ways and without effects.
//!
//! `request` makes the variables a command finds in its environment, `response` finds
//! the header block in what it writes. Running the command and moving the bytes is
//! the sandbox's work.
//!
//! **Invariant:** nothing a caller sends can set a variable that is not its own
//! (`HTTP_PROXY` is never set), and nothing a guest writes can frame the response.

mod request;
mod response;

pub use request::{CgiRequest, meta_variables};
pub use response::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX, Head, HeadError, HeadParser};

use http::HeaderName;

/// Headers that speak about one connection and so never pass a gateway.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    ) || name.as_str().starts_with("proxy-")
}
