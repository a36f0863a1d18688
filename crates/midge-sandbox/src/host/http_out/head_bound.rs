//! How much a server may send before the head of its answer is complete.
//!
//! Decides when a server that answers without end is hung up on. An HTTP/1.1 server may
//! send interim answers (1xx) ahead of the real one, and nothing in HTTP says how many;
//! they are read by the connection's own task, which no guest's time is charged for.
//!
//! **Invariant:** while a request waits for its answer, its connection reads no more than
//! [`HEAD_BYTES_MAX`]; a body is not bounded here but taken by its guest.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Four of the longest heads there may be: interim answers, the answer, the beginning of its body.
const HEAD_BYTES_MAX: u64 = 256 << 10;

/// No bound, because no head is waited for.
const UNBOUNDED: u64 = u64::MAX;

/// What one connection may still read before there is a head. Clones share it.
#[derive(Clone)]
pub(super) struct HeadBound(Arc<AtomicU64>);

impl Default for HeadBound {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(UNBOUNDED)))
    }
}

impl HeadBound {
    /// A request was sent: the head of its answer is waited for.
    pub(super) fn waits(&self) {
        self.0.store(HEAD_BYTES_MAX, Ordering::Relaxed);
    }

    /// It is there.
    pub(super) fn is_there(&self) {
        self.0.store(UNBOUNDED, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == UNBOUNDED {
            return Ok(());
        }
        match left.checked_sub(bytes) {
            Some(left) => {
                self.0.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(io::Error::other(
                "the server sent too much ahead of its answer",
            )),
        }
    }
}

/// A stream that is read under such a bound.
pub(super) struct Bounded<S> {
    stream: S,
    bound: HeadBound,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S, bound: HeadBound) -> Self {
        Self { stream, bound }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        Poll::Ready(self.bound.take(read as u64))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// How many bytes an endless server gets through.
    async fn read_of_an_endless_server(bound: &HeadBound) -> u64 {
        let mut stream = Bounded::new(tokio::io::repeat(b'x'), bound.clone());
        let mut buffer = vec![0; 64 << 10];
        let mut read = 0;
        while read < 10 * HEAD_BYTES_MAX {
            match stream.read(&mut buffer).await {
                Ok(bytes) => read += bytes as u64,
                Err(_) => break,
            }
        }
        read
    }

    #[tokio::test]
    async fn a_head_without_end_is_read_up_to_a_bound_and_a_body_is_not_bounded_here() {
        let bound = HeadBound::default();
        assert_eq!(read_of_an_endless_server(&bound).await, 10 * HEAD_BYTES_MAX);
        bound.waits();
        assert_eq!(read_of_an_endless_server(&bound).await, HEAD_BYTES_MAX);
        bound.is_there();
        assert_eq!(read_of_an_endless_server(&bound).await, 10 * HEAD_BYTES_MAX);
    }
}
