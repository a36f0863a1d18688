//! `wasi:http/handler@0.3.*`: the guest returns its response and goes on streaming
//! the body from the store's event loop.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Request, uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::{Accessor, GuestTaskId};
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::Service;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{FieldMap, WasiHttpView};

use crate::body::{GuestBody, RequestBody};
use crate::contract::HeadSender;
use crate::guest::Guest;
use crate::shared::room::{Question, Room};

/// Runs one invocation until the guest has no task left.
///
/// A busy guest blocks the event loop below, timers inside it included, so the
/// deadline must be kept outside of this future.
pub(crate) async fn call(
    service: &Service,
    store: &mut Store<Guest>,
    request: Box<Request<RequestBody>>,
    https: bool,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let (request, transmitted) = to_wasi(store.data_mut(), request, https);
    // In a box, so that those who call one contract or the other hold no room for the larger one.
    let run = store.run_concurrent(async |accessor| {
        let answer = service.handle(accessor, request).await?;
        let body_dropped = pass_on(accessor, answer, transmitted, head)?;
        // The body is written by tasks of the guest that outlive `handle`.
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        // What they left on its way, trailers above all, moves only while this loop runs.
        drop(body_dropped.await);
        Ok(())
    });
    Box::pin(run).await?
}

/// Runs the invocations of a room until there are no more and the guest has no task left.
///
/// An invocation is over for the guest when its body is: the engine says whether any task is left,
/// and not whose. What the tasks do behind that they do in the time of those that are still here.
pub(crate) async fn converse(
    service: &Service,
    store: &mut Store<Guest>,
    room: &Room,
) -> wasmtime::Result<()> {
    store
        .run_concurrent(async |accessor| {
            let mut calls = FuturesUnordered::new();
            poll_fn(|cx| {
                room.wakes(cx.waker());
                loop {
                    while let Some((number, question)) = room.next() {
                        let (task, call) = begin(service, accessor, question, room.waiting())?;
                        room.began(number, task);
                        calls.push(async move { (number, call.await) });
                    }
                    match calls.poll_next_unpin(cx) {
                        Poll::Ready(Some((number, called))) => {
                            called?;
                            if !accessor.with(|mut store| store.data_mut().is_clean()) {
                                room.close();
                            }
                            room.answered(number);
                        }
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(None) if room.is_expecting() => return Poll::Pending,
                        Poll::Ready(None) => {
                            return accessor.poll_no_interesting_tasks(cx).map(Ok);
                        }
                    }
                }
            })
            .await
        })
        .await?
}

/// Calls the guest for one of so many invocations. The future resolves when its answer is through.
fn begin<'a>(
    service: &'a Service,
    accessor: &'a Accessor<Guest>,
    question: Question,
    of: u32,
) -> wasmtime::Result<(
    GuestTaskId,
    impl Future<Output = wasmtime::Result<()>> + use<'a>,
)> {
    let Question {
        request,
        https,
        head,
    } = question;
    let handle = service.wasi_http_handler().func_handle();
    let (call, transmitted) = accessor.with(|mut store| {
        let guest = store.data_mut();
        guest.allow_one_more(of);
        let (request, transmitted) = to_wasi(guest, request, https);
        let request = guest.table.push(request)?;
        let call = handle.start_call_concurrent(store, (request,))?;
        wasmtime::error::Ok((call, transmitted))
    })?;
    let task = call.task();
    let finished = async move {
        let (answer,) = handle.finish_call_concurrent(accessor, call).await?;
        let answer = match answer {
            Ok(response) => Ok(accessor.with(|mut store| store.data_mut().table.delete(response))?),
            Err(error) => Err(error),
        };
        drop(pass_on(accessor, answer, transmitted, head)?.await);
        Ok(())
    };
    Ok((task, finished))
}

/// Passes on what the guest answered. What is returned resolves when its body is dropped.
fn pass_on(
    accessor: &Accessor<Guest>,
    answer: Result<p3::Response, ErrorCode>,
    transmitted: impl Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send + 'static,
    head: HeadSender,
) -> wasmtime::Result<oneshot::Receiver<Infallible>> {
    let (token, body_dropped) = oneshot::channel::<Infallible>();
    match answer {
        Ok(response) => {
            let response = accessor.with(|store| response.into_http(store, transmitted))?;
            head.send(response.map(|body| GuestBody::Wasi(holding(token, body))));
        }
        Err(error) => {
            drop(token);
            head.fail(&error);
        }
    }
    Ok(body_dropped)
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
    guest: &mut Guest,
    request: Box<Request<RequestBody>>,
    https: bool,
) -> (
    p3::Request,
    impl Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send + use<>,
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
    let headers = FieldMap::new_immutable(guest.http().hooks, parts.headers);
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
