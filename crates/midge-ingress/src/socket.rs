//! A connection's byte stream: the wire, bytes read ahead, and its pulse.
//!
//! Every read and write of hyper passes here, so this is where the pulse learns that bytes came, that
//! the peer takes none, or that it ended. What these times lead to is decided in `connection.rs`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pulse::Pulse;
use crate::wire::Wire;

/// A wire that gives back what was read ahead and reports to the pulse.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Bytes that were read to tell the protocol, to be read again first.
    ahead: Bytes,
    wire: Wire,
    pulse: Rc<Pulse>,
}

impl Socket {
    pub(crate) fn new(wire: Wire, ahead: Bytes, pulse: Rc<Pulse>) -> Self {
        Self { ahead, wire, pulse }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => self.pulse.write_blocked(),
            Poll::Ready(_) => self.pulse.write_moved(),
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A response to an HTTP/1.0 client may end with the connection. When it broke off, an
        // orderly close would look like its end: only a reset tells the difference.
        if self.pulse.is_broken()
            && let Err(error) = self.wire.end_with_reset()
        {
            tracing::debug!(%error, "connection could not be reset");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..count]);
            self.ahead.advance(count);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.wire).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.pulse.bytes_came();
        } else {
            self.pulse.peer_ended();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.wire).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.wire).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    /// hyper flushes whenever it is polled, which makes this the place to notice a lost client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pulse.takes_look() && self.wire.peer_has_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let result = Pin::new(&mut self.wire).poll_flush(cx);
        // TLS buffers what it could not write yet and only says so when flushed.
        match result {
            Poll::Pending => self.pulse.write_blocked(),
            Poll::Ready(_) => self.pulse.write_moved(),
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
