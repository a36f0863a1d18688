//! The body that goes out, and with it the end of the request.
//!
//! A guest's body as it comes, or our own few words. Holds the request's record, so that the access
//! line is written when the last byte was handed over or the client went away. Checks that the guest
//! sends as many bytes as it declared: hyper trusts the declaration, and on a connection that
//! goes on, the next response would begin at the wrong byte.
//!
//! **Invariant:** a body that is not whole ends in an error, so no client takes it for whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use midge_model::Outcome;
use midge_runtime::Aborted;

use crate::access::Record;
use crate::ahead::Ahead;

/// A response body on its way to the client.
pub(crate) struct Reply<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    content: Content<B>,
    record: Record,
    /// What the guest declared and has not sent yet.
    owed_bytes: Option<u64>,
    /// How the body broke off, until hyper has sent what came before.
    broken: Option<Aborted>,
    /// Only the end of the connection tells the client that the body is over.
    ends_with_connection: bool,
}

enum Content<B> {
    Guest(Ahead<B>),
    Ours(Option<Bytes>),
}

impl<B> Reply<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    /// A guest's body, `declared_bytes` long if the guest said so.
    pub(crate) fn guest(
        body: Ahead<B>,
        record: Record,
        declared_bytes: Option<u64>,
        version: Version,
    ) -> Self {
        let has_length = declared_bytes.is_some() || body.whole_bytes().is_some();
        let ends_with_connection = version <= Version::HTTP_10 && !has_length;
        let content = Content::Guest(body);
        Self {
            content,
            record,
            owed_bytes: declared_bytes,
            broken: None,
            ends_with_connection,
        }
    }

    /// Our own words, or none.
    pub(crate) fn ours(body: Bytes, record: Record) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        let content = Content::Ours(body);
        Self {
            content,
            record,
            owed_bytes: None,
            broken: None,
            ends_with_connection: false,
        }
    }

    /// Passes a frame on if it keeps within what was declared.
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Aborted> {
        let Some(data) = frame.data_ref() else {
            return Ok(frame);
        };
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if let Some(owed) = &mut self.owed_bytes {
            *owed = owed
                .checked_sub(bytes)
                .ok_or_else(|| failed("sent more bytes than its content-length"))?;
        }
        self.record.sent(bytes);
        Ok(frame)
    }

    /// A body that ended is whole if it owes nothing.
    fn end(&mut self) -> Result<(), Aborted> {
        match self.owed_bytes {
            Some(1..) => Err(failed("sent fewer bytes than its content-length")),
            _ => Ok(()),
        }
    }

    fn break_off(&mut self, aborted: &Aborted) {
        self.record.end(aborted.outcome.clone());
        if self.ends_with_connection {
            self.record.reset_connection();
        }
    }
}

fn failed(reason: &str) -> Aborted {
    Aborted {
        outcome: Outcome::Failed {
            reason: format!("the response {reason}"),
        },
    }
}

impl<B> Body for Reply<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = &mut *self;
        if let Some(aborted) = this.broken.take() {
            return Poll::Ready(Some(Err(aborted)));
        }
        let body = match &mut this.content {
            Content::Ours(body) => {
                let Some(body) = body.take() else {
                    return Poll::Ready(None);
                };
                return Poll::Ready(Some(this.count(Frame::data(body))));
            }
            Content::Guest(body) => body,
        };
        let frame = match Pin::new(body).poll_frame(cx) {
            Poll::Pending => {
                this.record.waits_for_guest();
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        this.record.waits_for_client();
        let passed = match frame {
            Some(frame) => frame.and_then(|frame| this.count(frame)).map(Some),
            None => this.end().map(|()| None),
        };
        match passed {
            Ok(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            Ok(None) => {
                this.record.end(Outcome::Responded);
                Poll::Ready(None)
            }
            Err(aborted) => {
                // hyper drops what it has not sent yet when a body fails. One round more, and the
                // client sees a response that began and broke off, instead of none at all.
                this.break_off(&aborted);
                this.broken = Some(aborted);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            // Not before the debt is looked at: hyper does not poll a body that says it is over.
            Content::Guest(body) => body.is_end_stream() && self.owed_bytes.unwrap_or(0) == 0,
            Content::Ours(body) => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            // The declared length stands in the head, where hyper holds the body to it.
            Content::Guest(body) if self.owed_bytes.is_none() => body.size_hint(),
            Content::Guest(_) => SizeHint::default(),
            Content::Ours(body) => {
                let bytes = body.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
        }
    }
}

impl<B> Drop for Reply<B>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    fn drop(&mut self) {
        // hyper does not ask for the end of a body whose declared bytes are all there, nor of one
        // that says it is over. Anything else was dropped by a client that went away.
        let whole = match &self.content {
            Content::Guest(_) => self.owed_bytes == Some(0) || self.is_end_stream(),
            Content::Ours(body) => body.is_none(),
        };
        if whole {
            self.record.end(Outcome::Responded);
        }
    }
}
