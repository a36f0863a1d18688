//! A connection's byte stream: TCP with or without TLS, bytes read ahead, and its pulse.
//!
//! Every read and write of hyper passes here, so this is where the pulse learns that bytes came, that
//! the peer takes none, or that it ended. What these times lead to is decided in `connection.rs`.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::pulse::Pulse;

/// The wire under a connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    /// Boxed: the TLS state is over a kilobyte, which plain connections should not carry about.
    Tls(Box<TlsStream<TcpStream>>),
}

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

    fn tcp(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether the client's end of the connection is known to be closed, behind bytes that nobody
    /// reads for now: hyper stops reading when a guest leaves a body alone, and so would never know.
    fn client_has_left(&self) -> bool {
        let readiness = pin!(self.tcp().ready(Interest::READABLE));
        let mut cx = Context::from_waker(Waker::noop());
        matches!(readiness.poll(&mut cx), Poll::Ready(Ok(ready)) if ready.is_read_closed())
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
            && let Err(error) = self.tcp().set_zero_linger()
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
        let result = ready!(match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        });
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
        let result = match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Wire::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Wire::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        };
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(tcp) => tcp.is_write_vectored(),
            Wire::Tls(tls) => tls.is_write_vectored(),
        }
    }

    /// hyper flushes whenever it is polled, which makes this the place to notice a lost client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pulse.takes_look() && self.client_has_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let result = match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        };
        // TLS buffers what it could not write yet and only says so when flushed.
        match result {
            Poll::Pending => self.pulse.write_blocked(),
            Poll::Ready(_) => self.pulse.write_moved(),
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
