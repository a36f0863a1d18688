//! `wasi:http/handler@0.3.*`: the guest returns its response and goes on streaming
//! the body from the store's event loop.

use std::convert::Infallible;
use std::future::poll_fn;

use bytes::Bytes;
use http::{Request, uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::{FieldMap, WasiHttpView};

use crate::body::{GuestBody, RequestBody};
use crate::contract::HeadSender;
use crate::guest::Guest;

/// Runs one invocation until the guest has no task left.
///
/// A busy guest blocks the event loop below, timers inside it included, so the
/// deadline must be kept outside of this future.
pub(crate) async fn call(
    service: &Service,
    store: &mut Store<Guest>,
    request: Request<RequestBody>,
    https: bool,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let (request, transmitted) = to_wasi(store, request, https);
    store
        .run_concurrent(async |accessor| {
            let (token, body_dropped) = oneshot::channel::<Infallible>();
            match service.handle(accessor, request).await? {
                Ok(response) => {
                    let response = accessor.with(|store| response.into_http(store, transmitted))?;
                    head.send(response.map(|body| GuestBody::Wasi(holding(token, body))));
                }
                Err(error) => {
                    drop(token);
                    head.fail(&error);
                }
            }
            // The body is written by tasks of the guest that outlive `handle`.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            // What they left on its way, trailers above all, moves only while this loop runs.
            drop(body_dropped.await);
            Ok(())
        })
        .await?
}

/// The same body, which drops the token when it is dropped itself.
fn holding(
    token: oneshot::Sender<Infallible>,
    body: UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>,
) -> UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error> {
    body.map_frame(move |frame| {
        let _held = &token;
        frame
    })
    .boxed_unsync()
}

/// The request as WASI 0.3 has it, and what tells the guest that its body went through.
fn to_wasi(
    store: &mut Store<Guest>,
    request: Request<RequestBody>,
    https: bool,
) -> (
    p3::Request,
    impl Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send + 'static,
) {
    let (parts, body) = request.into_parts();
    // Over HTTP/1.1 the authority stands in the Host header and not in the URI.
    let authority = parts.uri.authority().cloned().or_else(|| {
        parts
            .headers
            .get(http::header::HOST)?
            .as_bytes()
            .try_into()
            .ok()
    });
    let scheme = if https {
        uri::Scheme::HTTPS
    } else {
        uri::Scheme::HTTP
    };
    let path = parts.uri.path_and_query().cloned();
    let headers = FieldMap::new_immutable(store.data_mut().http().hooks, parts.headers);
    p3::Request::new(
        parts.method,
        Some(scheme),
        authority,
        path,
        headers,
        None,
        body,
    )
}
