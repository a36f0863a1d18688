//! What a 0.2 guest learns of a stream of HTTP that broke off.
//!
//! A guest of WASI 0.2 gets an opaque error from a stream and asks `http-error-code` what
//! it means. The engine's answer knows only its own bindings' type, and bodies fail with
//! another one, so every guest would be told "nothing known"; this one knows both.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use crate::guest::Guest;

/// The interface in the version that the engine links. Guests made for an older one get it, too.
const INTERFACE: &str = "wasi:http/types@0.2.12";

/// Puts our answer in the place of the engine's, in a linker that lets it be shadowed.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap(
        "http-error-code",
        |mut store, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data_mut().ctx().table.get(&error)?;
            Ok((error_code(error),))
        },
    )
}

fn error_code(error: &wasmtime::Error) -> Option<ErrorCode> {
    if let Some(code) = error.downcast_ref::<ErrorCode>() {
        return Some(code.clone());
    }
    // What bodies of ours, in either direction, end with.
    Some(match error.downcast_ref::<Error>()? {
        Error::HttpRequestBodySize(bytes) => ErrorCode::HttpRequestBodySize(*bytes),
        Error::HttpResponseBodySize(bytes) => ErrorCode::HttpResponseBodySize(*bytes),
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        _ => ErrorCode::HttpProtocolError,
    })
}
