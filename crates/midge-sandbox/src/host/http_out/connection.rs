//! One connection to a server, and the task that keeps it going.
//!
//! Decides what a connection may hold in memory and when an idle one is closed. Which
//! request gets which connection is `pool.rs`.
//!
//! **Invariant:** a connection lives as long as somebody holds it: with the last handle
//! go its task, everything that was spawned for it, and its descriptor.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::bodies::Sending;
use super::head_bound::{Bounded, HeadBound};
use super::pool::Descriptor;

/// How long a connection is kept that nobody uses. Servers close theirs after 5 s to 75 s.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The status line and fields of a response; what proxies and servers allow for requests.
const RESPONSE_HEAD_BYTES_MAX: u32 = 64 << 10;

/// What one HTTP/1.1 connection reads ahead of its guest.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;

/// The same for one stream and one connection of HTTP/2, and what waits there to be sent.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Requests at the same time on one HTTP/2 connection; most servers allow as many.
const STREAMS_MAX: usize = 100;

/// How long a connection may take to settle after a response before it counts as stuck.
const SETTLE_MAX: Duration = Duration::from_millis(10);

/// A handle on a connection. Those on HTTP/2 can be shared.
pub(super) struct Connection {
    sender: Sender,
    life: Arc<Life>,
}

enum Sender {
    Http1(http1::SendRequest<Sending>, HeadBound),
    Http2(http2::SendRequest<Sending>),
}

/// What all handles on a connection and its task share.
struct Life {
    /// When it is closed, if it is idle. The task listens.
    idle_until: watch::Sender<Option<Instant>>,
    streams: AtomicUsize,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`.
    pub(super) async fn http1(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        descriptor: Descriptor,
    ) -> hyper::Result<Self> {
        let head = HeadBound::default();
        let stream = Bounded::new(stream, head.clone());
        let (sender, connection) = http1::Builder::new()
            .max_header_size(RESPONSE_HEAD_BYTES_MAX as usize)
            .max_buf_size(READ_AHEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let keep = Keep {
            tasks: Tasks::default(),
            _descriptor: descriptor,
        };
        Ok(Self::kept_by(Sender::Http1(sender, head), connection, keep))
    }

    /// Speaks HTTP/2 over `stream`.
    pub(super) async fn http2(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        descriptor: Descriptor,
    ) -> hyper::Result<Self> {
        let keep = Keep {
            tasks: Tasks::default(),
            _descriptor: descriptor,
        };
        let (sender, connection) = http2::Builder::new(keep.tasks.clone())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(RESPONSE_HEAD_BYTES_MAX)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self::kept_by(Sender::Http2(sender), connection, keep))
    }

    fn kept_by<C>(sender: Sender, connection: C, keep: Keep) -> Self
    where
        C: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        let (idle_until, seen) = watch::channel(None);
        tokio::spawn(keep.going(connection, seen));
        let life = Life {
            idle_until,
            streams: AtomicUsize::new(0),
        };
        Self {
            sender,
            life: Arc::new(life),
        }
    }

    /// Another handle on this connection, if it takes requests at the same time and has room
    /// for one more.
    pub(super) fn share(&self) -> Option<Self> {
        let Sender::Http2(sender) = &self.sender else {
            return None;
        };
        (self.streams() < STREAMS_MAX).then(|| Self {
            sender: Sender::Http2(sender.clone()),
            life: Arc::clone(&self.life),
        })
    }

    /// Whether both are handles on the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.life, &other.life)
    }

    /// Whether requests can use it at the same time.
    pub(super) fn is_shareable(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether nothing more can be sent on it.
    pub(super) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender, _) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Requests that use it now.
    pub(super) fn streams(&self) -> usize {
        self.life.streams.load(Ordering::Relaxed)
    }

    /// When it was last used, by the time at which it will be closed; none while it is used.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        *self.life.idle_until.borrow()
    }

    /// A request begins.
    pub(super) fn enter(&self) {
        self.life.streams.fetch_add(1, Ordering::Relaxed);
        self.life.idle_until.send_replace(None);
    }

    /// A request has ended.
    pub(super) fn leave(&self) {
        if self.life.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            let until = Instant::now() + IDLE_MAX;
            self.life.idle_until.send_replace(Some(until));
        }
    }

    /// Whether it can take a request at once, or in a moment.
    pub(super) async fn is_usable(&mut self) -> bool {
        match &mut self.sender {
            // The end of a response is seen here before the task is through with it.
            Sender::Http1(sender, _) => tokio::time::timeout(SETTLE_MAX, sender.ready())
                .await
                .is_ok_and(|ready| ready.is_ok()),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends a request that names its target in full.
    pub(super) async fn send(
        &mut self,
        mut request: Box<Request<Sending>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sending>>> {
        match &mut self.sender {
            Sender::Http1(sender, head) => {
                make_http1(&mut request);
                head.waits();
                let answer = sender.try_send_request(unboxed(request)).await;
                head.is_there();
                answer
            }
            Sender::Http2(sender) => {
                *request.version_mut() = Version::HTTP_2;
                sender.try_send_request(unboxed(request)).await
            }
        }
    }
}

/// Takes a request out of its box, which goes at once and does not stay until the answer is there.
fn unboxed(request: Box<Request<Sending>>) -> Request<Sending> {
    *request
}

/// HTTP/1.1 names the host in a field and the rest in the request line.
fn make_http1(request: &mut Request<Sending>) {
    let headers = request.headers_mut();
    // Says what may come in trailers; here it would concern this connection only.
    headers.remove(header::TE);
    let uri = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = uri.authority {
        let host = HeaderValue::from_str(authority.as_str())
            .expect("an authority has no character that a field may not have");
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(path) = uri.path_and_query {
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
}

/// What a connection's task holds.
struct Keep {
    tasks: Tasks,
    _descriptor: Descriptor,
}

impl Keep {
    /// Drives the connection until it ends, has been idle for too long, or nobody holds it.
    async fn going<C>(self, connection: C, mut idle_until: watch::Receiver<Option<Instant>>)
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = std::pin::pin!(connection);
        loop {
            let until = *idle_until.borrow_and_update();
            let idle_too_long = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                // How it ended is told to the request that was on it, if there was one.
                _ = &mut connection => return,
                () = idle_too_long => return,
                changed = idle_until.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

/// The tasks that hyper spawns for an HTTP/2 connection, one of which owns the socket.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn abort(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended leaves, or the set would grow with every request.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}
