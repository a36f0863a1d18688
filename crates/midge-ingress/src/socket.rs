//! A connection's byte stream: the wire, bytes read ahead, and its pulse.
//!
//! Every read and write of hyper passes here, so this is where the pulse learns that bytes came, that
//! the peer takes none, or that it ended. What these times lead to is decided in `connection.rs`.
//!
//! A client that ends its side while it is owed an answer has left: nobody can tell one that has
//! closed the connection from one that only sends no more.

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
    /// Whether a client that leaves is noticed here, and not by reading.
    watches_peer: bool,
}

impl Socket {
    pub(crate) fn new(wire: Wire, ahead: Bytes, pulse: Rc<Pulse>) -> Self {
        Self {
            ahead,
            wire,
            pulse,
            watches_peer: false,
        }
    }

    /// From now on tells by an error that the client has left, if that can be seen from here: says
    /// whether. Then nobody has to read ahead for it, which takes a buffer while a guest waits.
    ///
    /// By value: an asynchronous function keeps room for what it once borrowed.
    pub(crate) fn watching_peer(mut self) -> (Self, bool) {
        self.watches_peer = self.wire.tells_the_end();
        let watches_peer = self.watches_peer;
        (self, watches_peer)
    }

    /// Whether whoever is owed an answer has left. If not, the task is woken for it.
    fn client_has_left(&self, cx: &mut Context<'_>) -> bool {
        let is_owed = !self.pulse.is_idle();
        self.pulse.has_left()
            || (self.pulse.takes_look() && self.wire.peer_has_left())
            || (self.watches_peer && is_owed && self.wire.peer_leaves(cx))
    }

    fn wrote(
        &self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => {
                self.pulse.write_blocked();
                if self.client_has_left(cx) {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
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
        let before = buf.filled().len();
        let ahead = self.ahead.len().min(buf.remaining());
        if ahead > 0 {
            buf.put_slice(&self.ahead[..ahead]);
            self.ahead.advance(ahead);
        }
        // Behind what was read ahead comes what there is by now: with the rest of a head in a second
        // read, hyper would take a buffer of twice the size.
        let result = match Pin::new(&mut self.wire).poll_read(cx, buf) {
            Poll::Pending if ahead > 0 => Ok(()),
            result => ready!(result),
        };
        if buf.filled().len() > before {
            self.pulse.bytes_came();
            if self.watches_peer && self.wire.peer_leaves(cx) {
                self.pulse.peer_left();
            }
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
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.wire).poll_write_vectored(cx, slices);
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    /// hyper flushes whenever it is polled, which makes this the place to notice a lost client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.client_has_left(cx) {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::preface::sniff;

    #[tokio::test]
    async fn a_head_is_read_at_once_with_what_was_read_ahead_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(addr).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let head = "GET /longer/than/the/preface HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();

        let mut wire = Wire::Plain(tcp);
        let (_, ahead) = sniff(&mut wire).await.unwrap();
        assert!(ahead.len() < head.len());
        let mut socket = Socket::new(wire, ahead, Rc::new(Pulse::new()));
        let mut read = Vec::with_capacity(1024);
        socket.read_buf(&mut read).await.unwrap();
        assert_eq!(read, head.as_bytes());
    }
}
