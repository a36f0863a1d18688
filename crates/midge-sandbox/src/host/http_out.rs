//! The choices that `wasi:http` leaves to a host: outbound requests, and how much of
//! an outgoing body is held. No grant for outbound HTTP exists yet, so every request
//! is refused.
//!
//! **Invariant:** a refusal is the error code that WASI has for it
//! (`HTTP-request-denied`), which a guest can handle, and not a trap.

use crate::limits::HANDLE_BYTES_MAX;
use http::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

/// A response, and the future that keeps its connection going.
type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<()>> + Send>,
);

/// Refuses every outbound request.
pub(crate) struct Denied;

impl WasiHttpHooks for Denied {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmitted: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        HANDLE_BYTES_MAX
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        HANDLE_BYTES_MAX
    }

    // The engine would warn about what guests and callers do; that is not an event of ours.
    fn p2_error_from_hyper(
        &mut self,
        _error: &hyper::Error,
    ) -> wasmtime_wasi_http::p2::bindings::http::types::ErrorCode {
        wasmtime_wasi_http::p2::bindings::http::types::ErrorCode::HttpProtocolError
    }

    fn p3_error_from_hyper(
        &mut self,
        _error: &hyper::Error,
    ) -> wasmtime_wasi_http::p3::bindings::http::types::ErrorCode {
        wasmtime_wasi_http::p3::bindings::http::types::ErrorCode::HttpProtocolError
    }
}
