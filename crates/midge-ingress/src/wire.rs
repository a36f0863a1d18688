//! What is under a connection: TCP, TLS over TCP, or the node's own door.
//!
//! Makes three kinds of stream one, with what the others do not have in common: whether the peer
//! has left, and how to tell it that an answer broke off. What is read and written is `socket.rs`.
//!
//! **Invariant:** only a connection of TCP can have TLS.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// The address of who comes through the node's own door: the node itself.
pub(crate) const OURSELVES: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The wire under a connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    /// Boxed: the TLS state is over a kilobyte, which plain connections should not carry about.
    Tls(Box<TlsStream<TcpStream>>),
    /// From the node itself.
    Internal(UnixStream),
}

impl Wire {
    /// Makes a new connection ready to be used, and tells the address that it came to.
    ///
    /// # Errors
    ///
    /// The connection is gone already.
    pub(crate) fn prepare(&self) -> io::Result<SocketAddr> {
        match self.tcp() {
            Some(tcp) => {
                // Small responses must not wait for an acknowledgement (Nagle); hyper writes whole
                // messages.
                tcp.set_nodelay(true)?;
                tcp.local_addr()
            }
            None => Ok(OURSELVES),
        }
    }

    /// Whether the peer's end of the connection is known to be closed, behind bytes that nobody
    /// reads for now: hyper stops reading when a guest leaves a body alone, and so would never know.
    pub(crate) fn peer_has_left(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let readiness = match self {
            Self::Internal(unix) => pin!(unix.ready(Interest::READABLE)).poll(&mut cx),
            Self::Plain(tcp) => pin!(tcp.ready(Interest::READABLE)).poll(&mut cx),
            Self::Tls(tls) => pin!(tls.get_ref().0.ready(Interest::READABLE)).poll(&mut cx),
        };
        matches!(readiness, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Whether the end of the stream is the end of the connection under it, which the kernel tells
    /// without a read. TLS has an end of its own, which is bytes like others down there.
    pub(crate) fn tells_the_end(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    /// Whether the peer's end is closed. If not, wakes the task when it is, or when bytes come:
    /// once, for it asks nothing of the kernel, and bytes stay there until somebody reads.
    pub(crate) fn peer_leaves(&self, cx: &mut Context<'_>) -> bool {
        let changed = match self {
            Self::Internal(unix) => unix.poll_read_ready(cx),
            Self::Plain(tcp) => tcp.poll_read_ready(cx),
            Self::Tls(tls) => tls.get_ref().0.poll_read_ready(cx),
        };
        changed.is_ready() && self.peer_has_left()
    }

    /// Makes the end of the connection one that nobody takes for the end of an answer.
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub(crate) fn end_with_reset(&self) -> io::Result<()> {
        match self.tcp() {
            Some(tcp) => tcp.set_zero_linger(),
            // The node does not speak HTTP/1.0, where only a reset could tell.
            None => Ok(()),
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(tls) => Some(tls.get_ref().0),
            Self::Internal(_) => None,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Self::Internal(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Self::Internal(unix) => Pin::new(unix).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
            Self::Internal(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Internal(unix) => unix.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Self::Internal(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Self::Internal(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
