//! Commands: `wasi:cli/run` in 0.2 and 0.3, and preview 1 core modules with `_start`.
//!
//! All three speak CGI/1.1 (RFC 3875): the request is in the environment, its body
//! on stdin, the answer on stdout. What the variables and the header block mean is
//! the model's `cgi`; this file connects the streams.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::Body;
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::cli::AsyncStdinStream;
use wasmtime_wasi::p2::bindings::CommandPre as Command02Pre;
use wasmtime_wasi::p3::bindings::CommandPre as Command03Pre;

use crate::body::RequestBody;
use crate::contract::HeadSender;
use crate::guest::{Guest, Guest01};

/// Runs a 0.2 command to its end.
pub(crate) async fn call02(
    pre: &Command02Pre<Guest>,
    store: &mut Store<Guest>,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let command = head.instantiated(pre.instantiate_async(&mut *store).await)?;
    exit(command.wasi_cli_run().call_run(store).await?)
}

/// Runs a 0.3 command until none of its tasks is left.
pub(crate) async fn call03(
    pre: &Command03Pre<Guest>,
    store: &mut Store<Guest>,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let command = head.instantiated(pre.instantiate_async(&mut *store).await)?;
    let ran = store
        .run_concurrent(async |accessor| {
            let ran = command.wasi_cli_run().call_run(accessor).await?;
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::error::Ok(ran)
        })
        .await??;
    exit(ran)
}

/// Runs a preview 1 command to its end.
pub(crate) async fn call01(
    pre: &wasmtime::InstancePre<Guest01>,
    store: &mut Store<Guest01>,
    head: HeadSender,
) -> wasmtime::Result<()> {
    let instance = head.instantiated(pre.instantiate_async(&mut *store).await)?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await
}

/// `wasi:cli/run` knows only success and failure; failure is what a shell calls exit code 1.
fn exit(ran: Result<(), ()>) -> wasmtime::Result<()> {
    ran.map_err(|()| I32Exit(1).into())
}

/// The request body as a command's stdin. Reading starts when the guest asks for it.
pub(crate) fn stdin(body: RequestBody) -> AsyncStdinStream {
    AsyncStdinStream::new(Stdin {
        body: Mutex::new(body),
        unread: Bytes::new(),
    })
}

struct Stdin {
    /// A body may move between threads but not be shared, and the engine asks for both. The
    /// mutex is never locked: every access goes through `get_mut`.
    body: Mutex<RequestBody>,
    unread: Bytes,
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(Pin::new(body).poll_frame(cx)) {
                // Trailers have no place in CGI.
                Some(Ok(frame)) => self.unread = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken_bytes = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..taken_bytes]);
        self.unread.advance(taken_bytes);
        Poll::Ready(Ok(()))
    }
}
