//! `wasi:http/incoming-handler@0.2.*`: the guest sets its response through an
//! out-parameter and may go on working after that.

use http::Request;
use wasmtime::Store;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use crate::body::{GuestBody, RequestBody};
use crate::contract::HeadSender;
use crate::guest::Guest;

/// Runs one invocation to the end of the guest.
///
/// An asynchronous function would keep its arguments as long as the guest runs, beside what became
/// of them.
pub(crate) fn call(
    proxy: &Proxy,
    store: &mut Store<Guest>,
    request: Box<Request<RequestBody>>,
    https: bool,
    head: HeadSender,
) -> impl Future<Output = wasmtime::Result<()>> {
    let lent = lend(store, request, https, head);
    async move {
        let (request, outparam) = lent?;
        let handler = proxy.wasi_http_incoming_handler();
        handler.call_handle(store, request, outparam).await
    }
}

/// What the guest is called with.
fn lend(
    store: &mut Store<Guest>,
    request: Box<Request<RequestBody>>,
    https: bool,
    head: HeadSender,
) -> wasmtime::Result<(
    Resource<HostIncomingRequest>,
    Resource<HostResponseOutparam>,
)> {
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(scheme, *request)?;
    // Called from inside the guest's run: the response is out before the guest goes on.
    let outparam = store
        .data_mut()
        .http()
        .new_response_outparam_from_callback(|response| match response {
            Ok(response) => head.send(response.map(GuestBody::Wasi)),
            Err(error) => head.fail(&error),
        })?;
    Ok((request, outparam))
}
