//! What is there of a guest's body when its head goes out.
//!
//! Most guests have written all they have to say by then. Such a body needs no chunks: it goes out
//! with its length, in one piece with the head, and the client knows from the start how much to wait
//! for. A guest that is still writing is waited for by nobody here.
//!
//! **Invariant:** what was taken ahead is given back before anything else, in its order.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use midge_runtime::Aborted;

/// A guest's body, looked into.
pub(crate) struct Ahead<B> {
    /// What it begins with.
    first: Option<Bytes>,
    then: Then,
    body: B,
}

/// What comes behind the beginning.
enum Then {
    /// Whatever the body says when it is asked.
    Asked,
    /// This.
    Came(Result<Frame<Bytes>, Aborted>),
    /// Nothing.
    Ended,
}

impl<B> Ahead<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    /// Takes a body as it comes.
    pub(crate) fn unseen(body: B) -> Self {
        Self {
            first: None,
            then: Then::Asked,
            body,
        }
    }

    /// Takes ahead what is there of a body. Where that is not all, whoever sends it asks for the rest
    /// and is woken for it: nobody is here.
    pub(crate) fn seen(body: B) -> Self {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut ahead = Self::unseen(body);
        let mut ask = || match Pin::new(&mut ahead.body).poll_frame(cx) {
            Poll::Pending => Then::Asked,
            Poll::Ready(None) => Then::Ended,
            Poll::Ready(Some(came)) => Then::Came(came),
        };
        ahead.then = match ask() {
            Then::Came(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    ahead.first = Some(data);
                    ask()
                }
                Err(frame) => Then::Came(Ok(frame)),
            },
            then => then,
        };
        ahead
    }

    /// How long it is, if all of it is there.
    pub(crate) fn whole_bytes(&self) -> Option<u64> {
        let bytes = self.first.as_ref().map_or(0, Bytes::len);
        matches!(self.then, Then::Ended).then(|| u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl<B> Body for Ahead<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match std::mem::replace(&mut self.then, Then::Asked) {
            Then::Came(came) => Poll::Ready(Some(came)),
            Then::Ended => {
                self.then = Then::Ended;
                Poll::Ready(None)
            }
            Then::Asked => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        let nothing_ahead = self.first.is_none() && !matches!(self.then, Then::Came(_));
        nothing_ahead && (matches!(self.then, Then::Ended) || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match (self.whole_bytes(), &self.first, &self.then) {
            (Some(bytes), _, _) => SizeHint::with_exact(bytes),
            (None, None, Then::Asked) => self.body.size_hint(),
            (None, _, _) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http::HeaderMap;
    use midge_model::Outcome;

    use super::*;

    type Polled = Poll<Option<Result<Frame<Bytes>, Aborted>>>;

    /// Answers each poll as it is told, and then that it has ended.
    struct Told(VecDeque<Polled>);

    impl Body for Told {
        type Data = Bytes;
        type Error = Aborted;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Polled {
            self.0.pop_front().unwrap_or(Poll::Ready(None))
        }
    }

    fn data(text: &'static str) -> Polled {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }

    fn trailers() -> Polled {
        Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new()))))
    }

    fn failure() -> Polled {
        let outcome = Outcome::Cancelled;
        Poll::Ready(Some(Err(Aborted { outcome })))
    }

    /// The length that is known ahead, and all that comes.
    fn check(told: Vec<Polled>) -> String {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut body = Ahead::seen(Told(told.into()));
        let mut seen = format!("{:?}:", body.whole_bytes());
        assert_eq!(body.size_hint().exact(), body.whole_bytes());
        while !body.is_end_stream() {
            seen += &match Pin::new(&mut body).poll_frame(cx) {
                Poll::Pending => " ..".to_owned(),
                Poll::Ready(None) => return seen + " end",
                Poll::Ready(Some(Err(_))) => " failure".to_owned(),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => format!(" {}", String::from_utf8_lossy(&data)),
                    Err(_) => " trailers".to_owned(),
                },
            };
        }
        seen + " over"
    }

    #[test]
    fn a_body_that_is_there_has_a_length_and_any_other_comes_as_it_comes() {
        assert_eq!(check(vec![]), "Some(0): over");
        assert_eq!(check(vec![data("hello")]), "Some(5): hello over");
        assert_eq!(check(vec![Poll::Pending]), "None: end");
        assert_eq!(
            check(vec![data("a"), Poll::Pending, data("b")]),
            "None: a b end"
        );
        assert_eq!(
            check(vec![data("a"), data("b"), data("c")]),
            "None: a b c end"
        );
        assert_eq!(check(vec![data("a"), trailers()]), "None: a trailers end");
        assert_eq!(check(vec![trailers()]), "None: trailers end");
        assert_eq!(check(vec![data("a"), failure()]), "None: a failure end");
        assert_eq!(check(vec![failure()]), "None: failure end");
    }
}
