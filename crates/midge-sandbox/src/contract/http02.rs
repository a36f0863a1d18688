//! `wasi:http/incoming-handler@0.2.*`: the guest sets its response through an
//! out-parameter and may go on working after that.

use http::Request;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

use crate::body::{GuestBody, RequestBody};
use crate::contract::HeadSender;
use crate::guest::Guest;

/// Runs one invocation to the end of the guest.
pub(crate) async fn call(
    proxy: &Proxy,
    store: &mut Store<Guest>,
    request: Box<Request<RequestBody>>,
    https: bool,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(scheme, unboxed(request))?;
    // Called from inside the guest's run: the response is out before the guest goes on.
    let outparam = store
        .data_mut()
        .http()
        .new_response_outparam_from_callback(|response| match response {
            Ok(response) => head.send(response.map(GuestBody::Wasi)),
            Err(error) => head.fail(&error),
        })?;
    proxy
        .wasi_http_incoming_handler()
        .call_handle(store, request, outparam)
        .await
}

/// Takes a request out of its box, which goes at once: moved out of it in an asynchronous function, it
/// would stay as long as that runs.
fn unboxed(request: Box<Request<RequestBody>>) -> Request<RequestBody> {
    *request
}
