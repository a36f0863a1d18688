//! The two bodies of an invocation.
//!
//! Decides how much of a request a guest may read, how much it may answer, and when a
//! response counts as whole. Both stream; neither holds more than the frame at hand.
//!
//! **Invariant:** a response body ends only when the guest ended it. If the
//! invocation failed first, the body fails too, so no client takes half of it for
//! the whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use midge_model::{Outcome, Refusal};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::contract::{Cut, clipped};
use crate::limits::Vitals;

/// What a caller sends: streamed from a connection, or in hand.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    bound: Option<Bound>,
}

#[derive(Debug)]
enum Source {
    Connection(Incoming),
    Lent(LentBody),
    InHand(Option<Bytes>),
}

/// A body that can be taken back from whoever reads it.
type LentBody = Arc<Mutex<Option<Incoming>>>;

/// Takes a body back when it is dropped: what a guest left of it, its connection needs for the next
/// request.
#[derive(Debug)]
pub(crate) struct TakesBack(LentBody);

impl Drop for TakesBack {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// How many bytes may still come, and whom to tell when it was not enough.
#[derive(Debug, Clone)]
struct Bound {
    remaining_bytes: u64,
    limit_bytes: u64,
    vitals: Arc<Vitals>,
}

/// Why a request body ended early. The guest sees it as an error of its stream.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The caller sent more than the function accepts.
    #[error("request body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The function's limit.
        limit_bytes: u64,
    },
    /// The connection broke; there is nobody left to answer.
    #[error("the connection broke while the request body was read")]
    Broken {
        /// What hyper saw.
        source: hyper::Error,
    },
    /// The invocation that it belonged to is over.
    #[error("the request that this body belongs to was answered")]
    Answered,
}

impl Bound {
    fn new(limit_bytes: u64, vitals: Arc<Vitals>) -> Self {
        Self {
            remaining_bytes: limit_bytes,
            limit_bytes,
            vitals,
        }
    }

    /// Counts a frame, if it still fits.
    fn count(&mut self, frame: &Frame<Bytes>) -> bool {
        let frame_bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let remaining_bytes = self.remaining_bytes.checked_sub(frame_bytes);
        self.remaining_bytes = remaining_bytes.unwrap_or(0);
        remaining_bytes.is_some()
    }
}

impl RequestBody {
    /// A body without a byte.
    pub fn empty() -> Self {
        Self {
            source: Source::InHand(None),
            bound: None,
        }
    }

    /// A body that is in hand as a whole.
    pub fn full(bytes: Bytes) -> Self {
        Self {
            source: Source::InHand(Some(bytes)),
            bound: None,
        }
    }

    /// Lends it out: it ends, whoever still holds it, when what this returns is dropped.
    pub(crate) fn lend(&mut self) -> Option<TakesBack> {
        match std::mem::replace(&mut self.source, Source::InHand(None)) {
            Source::Connection(incoming) if !incoming.is_end_stream() => {
                let body = Arc::new(Mutex::new(Some(incoming)));
                self.source = Source::Lent(Arc::clone(&body));
                Some(TakesBack(body))
            }
            source => {
                self.source = source;
                None
            }
        }
    }

    /// Holds it to so many bytes.
    pub(crate) fn bind(&mut self, limit_bytes: u64, vitals: Arc<Vitals>) {
        self.bound = Some(Bound::new(limit_bytes, vitals));
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        Self {
            source: Source::Connection(incoming),
            bound: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = match &mut self.source {
            Source::InHand(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Connection(incoming) => ready!(poll_connection(incoming, cx)),
            Source::Lent(body) => {
                let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
                match &mut *body {
                    Some(incoming) => ready!(poll_connection(incoming, cx)),
                    None => Some(Err(RequestBodyError::Answered)),
                }
            }
        };
        if let (Some(Ok(frame)), Some(bound)) = (&frame, &mut self.bound)
            && !bound.count(frame)
        {
            let limit_bytes = bound.limit_bytes;
            // Noted at once: to most guests this looks like the end of the body, and what
            // they make of half a request must not go out as a whole answer.
            let refusal = Refusal::BodyTooLarge { limit_bytes };
            bound.vitals.end(Outcome::Refused(refusal));
            return Poll::Ready(Some(Err(RequestBodyError::TooLarge { limit_bytes })));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Connection(incoming) => incoming.is_end_stream(),
            Source::Lent(body) => {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner);
                body.as_ref().is_some_and(Body::is_end_stream)
            }
            Source::InHand(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Connection(incoming) => incoming.size_hint(),
            Source::Lent(body) => {
                let body = body.lock().unwrap_or_else(PoisonError::into_inner);
                body.as_ref()
                    .map_or_else(SizeHint::default, Body::size_hint)
            }
            Source::InHand(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

type ReadFrame = Option<Result<Frame<Bytes>, RequestBodyError>>;

fn poll_connection(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<ReadFrame> {
    let frame = ready!(Pin::new(incoming).poll_frame(cx));
    Poll::Ready(frame.map(|frame| frame.map_err(|source| RequestBodyError::Broken { source })))
}

impl From<RequestBodyError> for wasmtime_wasi_http::Error {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::TooLarge { limit_bytes } => {
                Self::HttpRequestBodySize(Some(limit_bytes))
            }
            RequestBodyError::Broken { .. } | RequestBodyError::Answered => {
                Self::ConnectionTerminated
            }
        }
    }
}

/// What a guest answers, as it writes it.
///
/// Dropping it before its end cancels the invocation: the client has gone.
#[derive(Debug)]
pub struct ResponseBody {
    guest: GuestBody,
    /// Bytes still owed where the guest declared a length; hyper stops asking at zero.
    owed_bytes: Option<u64>,
    bound: Bound,
    ended: bool,
    /// `None` if the guest is gone.
    task: Option<AbortHandle>,
}

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum GuestBody {
    /// A `wasi:http` body.
    Wasi(UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>),
    /// A command's stdout, and what was read of it behind the header block.
    Stdout {
        first: Bytes,
        rest: mpsc::Receiver<Bytes>,
    },
    /// Read by somebody else.
    Nothing,
}

/// A body that ends, however much of it there is, when the invocation that it answers is over.
struct CutBody {
    cut: Cut,
    body: UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>,
}

impl GuestBody {
    /// Ends it when `cut` resolves. Whoever reads it asks for the outcome then.
    pub(crate) fn cut_by(self, cut: Cut) -> Self {
        match self {
            Self::Wasi(body) => Self::Wasi(CutBody { cut, body }.boxed_unsync()),
            other @ (Self::Stdout { .. } | Self::Nothing) => other,
        }
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wasmtime_wasi_http::Error>>> {
        // First, so that a guest that always has more is cut off as well.
        if Pin::new(&mut self.cut).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

/// The invocation ended after its response had begun.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut short: {outcome}")]
pub struct Aborted {
    /// How it ended.
    pub outcome: Outcome,
}

impl ResponseBody {
    /// What `guest` writes, up to `limit_bytes`.
    pub(crate) fn new(
        guest: GuestBody,
        declared_bytes: Option<u64>,
        limit_bytes: u64,
        vitals: Arc<Vitals>,
        task: Option<AbortHandle>,
    ) -> Self {
        Self {
            guest,
            owed_bytes: declared_bytes,
            bound: Bound::new(limit_bytes, vitals),
            ended: false,
            task,
        }
    }

    /// Reads to the end and forgets: for answers that have no body on the wire (HEAD,
    /// 204, 304), whose guests still write one and should not be cancelled for it.
    pub(crate) async fn drain(mut self) {
        while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await
        {
        }
    }

    /// An ended body with the same declared length, to stand in for one that is drained.
    pub(crate) fn finished_twin(&self) -> Self {
        Self {
            guest: GuestBody::Nothing,
            owed_bytes: self.owed_bytes,
            bound: self.bound.clone(),
            ended: true,
            task: self.task.clone(),
        }
    }

    fn fail(&mut self, outcome: Outcome) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        self.ended = true;
        Poll::Ready(Some(Err(Aborted { outcome })))
    }

    /// The outcome, if the invocation has failed.
    fn failure(&self) -> Option<Outcome> {
        let outcome = self.bound.vitals.outcome()?;
        (!outcome.is_success()).then(|| outcome.clone())
    }

    fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// Ends a guest that writes more than it may. Its outcome is what it was before, if it had
    /// ended by then.
    fn cut_off(&mut self) -> Outcome {
        let too_large = Outcome::ResponseTooLarge {
            limit_bytes: self.bound.limit_bytes,
        };
        self.bound.vitals.end(too_large.clone());
        self.abort();
        self.failure().unwrap_or(too_large)
    }

    fn poll_guest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, wasmtime_wasi_http::Error>>> {
        match &mut self.guest {
            GuestBody::Wasi(body) => Pin::new(body).poll_frame(cx),
            GuestBody::Stdout { first, .. } if !first.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(first)))))
            }
            GuestBody::Stdout { rest, .. } => rest
                .poll_recv(cx)
                .map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes)))),
            GuestBody::Nothing => Poll::Ready(None),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(self.poll_guest(cx)) {
            Some(Ok(frame)) => {
                if !self.bound.count(&frame) {
                    let outcome = self.cut_off();
                    return self.fail(outcome);
                }
                if let (Some(owed), Some(data)) = (&mut self.owed_bytes, frame.data_ref()) {
                    *owed = owed.saturating_sub(data.len() as u64);
                }
                // Nothing follows them, and nobody asks for what follows.
                self.ended |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let reason = format!("the response body ended with {}", clipped(&error));
                let outcome = self.failure();
                self.fail(outcome.unwrap_or(Outcome::Failed { reason }))
            }
            // The channel from the guest closes the same way whether the guest finished or its
            // store was thrown away; the outcome, recorded before the store goes, tells which.
            None => match self.failure() {
                Some(outcome) => self.fail(outcome),
                None => {
                    self.ended = true;
                    Poll::Ready(None)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.owed_bytes
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let whole = self.ended || self.owed_bytes == Some(0);
        if !whole {
            self.bound.vitals.end(Outcome::Cancelled);
            self.abort();
        }
    }
}
