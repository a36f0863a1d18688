//! The two bodies of one outbound request, counted on their way.
//!
//! Decides when a transfer is over its bounds: too many bytes for the invocation, or a
//! peer that falls silent in the middle. Both stream; neither holds more than the frame
//! at hand.
//!
//! **Invariant:** a connection goes back to its pool only after the response on it was
//! read to its end; whatever ends early closes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::failure;
use super::pool::Lease;
use crate::powers::Lent;

/// The body of a request, as hyper takes it from the guest.
pub(super) struct Sending {
    /// `None` once it has ended.
    body: Option<WasiBody>,
    /// What was already taken from the body.
    ahead: Option<Frame<Bytes>>,
    lent: Arc<Lent>,
    upload: Arc<Upload>,
}

/// How the sending of one request goes, for who waits for the answer.
pub(super) struct Upload {
    state: Mutex<UploadState>,
    guest: Arc<Presence>,
}

struct UploadState {
    moved: Instant,
    failure: Option<Error>,
}

/// Whether the guest is still there. A body that ends because its guest has gone looks like one
/// that was finished, and half of a request must not go out as a whole one.
#[derive(Default)]
pub(super) struct Presence(AtomicBool);

impl Presence {
    /// The guest is gone, or about to be: before anything else of it is taken down.
    pub(super) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Upload {
    pub(super) fn new(guest: Arc<Presence>) -> Arc<Self> {
        let state = UploadState {
            moved: Instant::now(),
            failure: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            guest,
        })
    }

    /// When the guest last gave us something to send, or sending began.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// Sending begins, or goes on.
    pub(super) fn moves(&self) {
        self.state().moved = Instant::now();
    }

    /// Why sending ended early, if that was not the server's doing.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.state().failure.take()
    }

    fn state(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No more of a request is sent; [`Upload::take_failure`] says why. The connection it was on is
/// lost with it.
#[derive(Debug, thiserror::Error)]
#[error("the request body ended before its end")]
pub(super) struct SendError;

impl Sending {
    pub(super) fn new(body: WasiBody, lent: Arc<Lent>, upload: Arc<Upload>) -> Self {
        Self {
            body: Some(body),
            ahead: None,
            lent,
            upload,
        }
    }

    /// A body of nothing on the same account.
    pub(super) fn emptied(&self) -> Self {
        Self {
            body: None,
            ahead: None,
            lent: Arc::clone(&self.lent),
            upload: Arc::clone(&self.upload),
        }
    }

    /// Looks whether the guest ends its body without a byte, and waits for that no longer than
    /// `patience`.
    ///
    /// Bodies of WASI do not say so beforehand. A `GET` would then announce a body in chunks,
    /// which some servers refuse, and could not be sent again.
    ///
    /// # Errors
    ///
    /// The request failed before it was sent.
    pub(super) async fn look_ahead(&mut self, patience: Duration) -> Result<(), SendError> {
        let first = poll_fn(|cx| self.poll_guest(cx));
        if let Ok(first) = tokio::time::timeout(patience, first).await {
            self.ahead = first.transpose()?;
        }
        Ok(())
    }

    fn poll_guest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            None if self.upload.guest.0.load(Ordering::Relaxed) => {
                return self.fail(Error::ConnectionTerminated);
            }
            None => {
                self.body = None;
                return Poll::Ready(None);
            }
            Some(Err(error)) => return self.fail(error),
            Some(Ok(frame)) => frame,
        };
        if !takes(&self.lent, &frame) {
            let bytes_max = self.lent.budget.bytes_max();
            return self.fail(Error::HttpRequestBodySize(Some(bytes_max)));
        }
        self.upload.moves();
        Poll::Ready(Some(Ok(frame)))
    }

    fn fail(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        self.upload.state().failure = Some(error);
        Poll::Ready(Some(Err(SendError)))
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        match self.ahead.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.poll_guest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(body) = &self.body else {
            return SizeHint::with_exact(0);
        };
        let ahead = self.ahead.as_ref().and_then(Frame::data_ref);
        let ahead_bytes = ahead.map_or(0, Bytes::len) as u64;
        let mut hint = body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + ahead_bytes);
        }
        hint.set_lower(hint.lower() + ahead_bytes);
        hint
    }
}

/// The body of a response, as the guest takes it from hyper.
pub(super) struct Receiving {
    incoming: Incoming,
    /// Gone once the response has ended, well or not.
    lease: Option<Lease>,
    lent: Arc<Lent>,
    upload: Arc<Upload>,
    silence_max: Duration,
    /// Runs while the guest waits for us, and not while we wait for the guest.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Receiving {
    /// A body that may be silent for `silence_max` at a time.
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        (lent, upload): (Arc<Lent>, Arc<Upload>),
        silence_max: Duration,
    ) -> Self {
        Self {
            incoming,
            lease: Some(lease),
            lent,
            upload,
            silence_max,
            silence: None,
        }
    }

    fn received(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        if takes(&self.lent, &frame) {
            return Ok(frame);
        }
        self.lease = None;
        Err(Error::HttpResponseBodySize(Some(
            self.lent.budget.bytes_max(),
        )))
    }

    fn failed(&mut self, error: &hyper::Error) -> Error {
        self.lease = None;
        let of_upload = self.upload.take_failure();
        of_upload.unwrap_or_else(|| failure::of_response_body(error))
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let silence_max = self.silence_max;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(silence_max)));
        ready!(silence.as_mut().poll(cx));
        self.lease = None;
        Poll::Ready(Error::ConnectionReadTimeout)
    }

    fn ended(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.lease.is_none() {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => return self.poll_silence(cx).map(|error| Some(Err(error))),
            Poll::Ready(frame) => frame,
        };
        self.silence = None;
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(self.received(frame)),
            Some(Err(error)) => Some(Err(self.failed(&error))),
            None => {
                self.ended();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Who sees that the end has come need not ask for the frame after the last.
        if self.incoming.is_end_stream() {
            self.ended();
        }
    }
}

/// Takes a frame's bytes out of what the invocation may still move.
pub(super) fn takes(lent: &Lent, frame: &Frame<Bytes>) -> bool {
    let bytes = match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => data.len(),
        (None, Some(trailers)) => trailers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum(),
        (None, None) => 0,
    };
    lent.budget.take_bytes(&lent.denials, bytes)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use midge_model::{Grants, Policy};

    use super::*;

    /// A body of these frames that does not know its end beforehand, as WASI's do.
    fn sending(frames: &[&'static str]) -> Sending {
        let frames: Vec<Result<_, Error>> = frames
            .iter()
            .map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
            .collect();
        of_body(StreamBody::new(stream::iter(frames)).boxed_unsync())
    }

    fn of_body(body: WasiBody) -> Sending {
        let lent = Lent::of_a_test(Grants::default(), Policy::operator());
        Sending::new(body, lent, Upload::new(Arc::default()))
    }

    #[tokio::test]
    async fn a_body_without_a_byte_is_seen_to_have_ended() {
        let mut body = sending(&[]);
        assert!(!body.is_end_stream());
        body.look_ahead(Duration::ZERO).await.unwrap();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }

    #[tokio::test]
    async fn what_was_looked_at_is_still_sent() {
        let mut body = sending(&["hello ", "world"]);
        body.look_ahead(Duration::ZERO).await.unwrap();
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello world");
        let whole = Full::new(Bytes::from_static(b"hello"));
        let mut body = of_body(whole.map_err(|never| match never {}).boxed_unsync());
        body.look_ahead(Duration::ZERO).await.unwrap();
        assert_eq!(body.size_hint().exact(), Some(5));
    }

    #[tokio::test]
    async fn a_body_that_ends_with_its_guest_is_no_whole_body() {
        let mut body = sending(&["half of"]);
        body.frame().await.unwrap().unwrap();
        body.upload.guest.end();
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.upload.take_failure().is_some());
    }
}
