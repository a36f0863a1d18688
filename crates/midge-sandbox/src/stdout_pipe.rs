//! A command's stdout, on its way to the client.
//!
//! Decides how much may wait between guest and client: a guest that writes faster
//! than the client reads is held back, never buffered. What the bytes mean (header
//! block, body) is the model's `cgi`.
//!
//! **Invariant:** what the guest wrote before it ended is in the channel; nothing
//! depends on a flush.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Writes that may wait for the client.
const CHUNKS_MAX: usize = 4;

/// The largest single write.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Makes a pipe: what the guest writes into the first comes out of the second, which
/// ends when the guest's store is gone.
pub(crate) fn stdout_pipe() -> (StdoutPipe, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    (StdoutPipe(sender), receiver)
}

/// The guest's end, from which the engine opens streams.
pub(crate) struct StdoutPipe(mpsc::Sender<Bytes>);

impl IsTerminal for StdoutPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StdoutPipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(AsyncWriter(PollSender::new(self.0.clone())))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer(self.0.clone()))
    }
}

/// The 0.2 face (preview 1 uses it too): ask for room, then write.
struct Writer(mpsc::Sender<Bytes>);

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        // An error means that the client is gone; the next write says so.
        drop(self.0.reserve().await);
    }
}

#[async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StreamError::trap("write exceeds its permit"),
            mpsc::error::TrySendError::Closed(_) => StreamError::Closed,
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        if self.0.is_closed() {
            Err(StreamError::Closed)
        } else {
            Ok(())
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.0.is_closed() {
            Err(StreamError::Closed)
        } else if self.0.capacity() == 0 {
            Ok(0)
        } else {
            Ok(CHUNK_BYTES_MAX)
        }
    }
}

/// The 0.3 face.
struct AsyncWriter(PollSender<Bytes>);

fn client_is_gone<E>(_: E) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncWrite for AsyncWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let chunk = &bytes[..bytes.len().min(CHUNK_BYTES_MAX)];
        std::task::ready!(self.0.poll_reserve(cx)).map_err(client_is_gone)?;
        self.0
            .send_item(Bytes::copy_from_slice(chunk))
            .map_err(client_is_gone)?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close();
        Poll::Ready(Ok(()))
    }
}
