//! Answers on their way out: whoever reads too slowly is left.
//!
//! hyper bounds how long a request may take to arrive and not how long an answer may take to
//! leave. An answer's body keeps its request's place, so it has to end: it is handed over in small
//! pieces, and who takes too few of them while there are more loses the rest. On HTTP/2 this is the
//! only such bound, because a peer that grants no window leaves its socket idle.
//!
//! **Invariant:** what one answer holds, its place and its bytes, is let go when it is sent, when
//! its reader is gone, or at most two windows after its reader became too slow.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::sleep;

use super::places::Place;

/// How much is handed over at a time, and may lie in a connection when the rest is let go.
const PIECE_BYTES: usize = 16 << 10;
/// The time in which a reader has to take [`WINDOW_BYTES_MIN`] or all there is.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// About 8 KiB a second, which the poorest connection has.
pub(super) const WINDOW_BYTES_MIN: usize = 256 << 10;

/// Holds the place until the answer is sent, at a rate that makes it end.
pub(super) fn paced(response: Response, place: Option<Arc<Place>>) -> Response {
    response.map(|body| {
        let open = Open {
            body,
            rest: Bytes::new(),
            handed_bytes: 0,
            awaits_source: false,
            awaited_source: false,
            _place: place,
        };
        let state = Arc::new(Mutex::new(State::Open(open)));
        let watched = false;
        Body::new(Paced { state, watched })
    })
}

struct Paced {
    state: Arc<Mutex<State>>,
    watched: bool,
}

enum State {
    Open(Open),
    /// The reader was too slow.
    Cut,
    Ended,
}

struct Open {
    body: Body,
    /// What the body gave and was not handed over yet.
    rest: Bytes,
    /// In this window.
    handed_bytes: usize,
    /// There is nothing to hand over, which is not the reader's fault.
    awaits_source: bool,
    /// It was so at some time in this window.
    awaited_source: bool,
    _place: Option<Arc<Place>>,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = lock(&self.state);
        let frame = match &mut *state {
            State::Open(open) => ready!(open.poll(context)),
            State::Cut => {
                *state = State::Ended;
                let error = io::Error::from(io::ErrorKind::TimedOut);
                return Poll::Ready(Some(Err(axum::Error::new(error))));
            }
            State::Ended => return Poll::Ready(None),
        };
        let is_last = match &*state {
            State::Open(open) => !matches!(frame, Some(Ok(_))) || open.is_empty(),
            State::Cut | State::Ended => true,
        };
        if is_last {
            *state = State::Ended;
        }
        drop(state);
        if !is_last && !mem::replace(&mut self.watched, true) {
            tokio::spawn(watch(Arc::downgrade(&self.state)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.state) {
            State::Open(open) => open.is_empty(),
            State::Cut => false,
            State::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.state);
        let State::Open(open) = &*state else {
            return SizeHint::default();
        };
        let rest_bytes = open.rest.len() as u64;
        let of_body = open.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest_bytes);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest_bytes);
        }
        hint
    }
}

impl Open {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            self.awaits_source = polled.is_pending();
            self.awaited_source |= self.awaits_source;
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        self.handed_bytes += piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// Lets go of an answer whose reader is too slow. It ends with the answer.
async fn watch(answer: Weak<Mutex<State>>) {
    loop {
        sleep(WINDOW).await;
        let Some(answer) = answer.upgrade() else {
            return;
        };
        let mut state = lock(&answer);
        let State::Open(open) = &mut *state else {
            return;
        };
        let handed_bytes = mem::take(&mut open.handed_bytes);
        let awaited_source = mem::replace(&mut open.awaited_source, open.awaits_source);
        if handed_bytes < WINDOW_BYTES_MIN && !awaited_source {
            *state = State::Cut;
            return;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Whatever a panicking body left is dropped or asked again: neither harms.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use tokio::time::advance;

    use super::*;

    fn answer(body: Body) -> (Body, Weak<()>) {
        // Stands for the place: whoever drops the answer drops it.
        let held = Arc::new(());
        let seen = Arc::downgrade(&held);
        let body = body.into_data_stream().map(move |piece| {
            let _held = &held;
            piece
        });
        let body = paced(Response::new(Body::from_stream(body)), None);
        (body.into_body(), seen)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_too_slow_loses_the_rest() {
        let (mut body, held) = answer(Body::from(vec![7; 4 * WINDOW_BYTES_MIN]));
        // Fast enough: half as much again as it has to, in three windows.
        for _ in 0..3 * WINDOW_BYTES_MIN / PIECE_BYTES {
            advance(WINDOW * 2 / 3 / u32::try_from(WINDOW_BYTES_MIN / PIECE_BYTES).unwrap()).await;
            let piece = body.frame().await.unwrap().unwrap();
            assert_eq!(piece.data_ref().unwrap().len(), PIECE_BYTES);
        }
        // A little every now and then is not enough.
        let mut is_cut = false;
        for _ in 0..4 {
            sleep(WINDOW / 2 - Duration::from_secs(1)).await;
            is_cut |= body.frame().await.is_some_and(|frame| frame.is_err());
        }
        assert!(is_cut, "half an answer is not a whole one");
        assert!(held.upgrade().is_none());
        assert!(body.frame().await.is_none());
    }
    #[tokio::test(start_paused = true)]
    async fn a_source_may_take_its_time() {
        let lines = stream::unfold(0, |number| async move {
            sleep(WINDOW * 3).await;
            (number < 5).then(|| {
                (
                    Ok::<_, io::Error>(Bytes::from_static(b"line\n")),
                    number + 1,
                )
            })
        });
        let (body, held) = answer(Body::from_stream(lines));
        let read = body.collect().await.unwrap().to_bytes();
        assert_eq!(read.len(), 25);
        assert!(held.upgrade().is_none());
    }

    #[tokio::test]
    async fn a_length_that_is_known_stays_known() {
        let body = Body::from(vec![7; 3 * PIECE_BYTES]);
        let mut body = paced(Response::new(body), None).into_body();
        assert_eq!(body.size_hint().exact(), Some(3 * PIECE_BYTES as u64));
        drop(body.frame().await);
        assert_eq!(body.size_hint().exact(), Some(2 * PIECE_BYTES as u64));
        assert!(
            paced(Response::new(Body::empty()), None)
                .body()
                .is_end_stream()
        );
    }
}
