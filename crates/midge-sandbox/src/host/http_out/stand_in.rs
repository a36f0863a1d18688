//! Requests that something else than a server answers, because the function is tried out.
//!
//! Decides nothing about what may be sent: that was judged before. What the answer is, and what
//! goes wrong on purpose, is `rehearsal.rs`.
//!
//! **Invariant:** an answer counts against the same bounds as a server's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use midge_model::rehearsal::Faulty;
use tokio::time::timeout_at;
use wasmtime_wasi_http::{Error, Result, WasiBody};

use super::asked::Asked;
use super::bodies::{Sending, Upload, takes};
use super::route::Timeouts;
use super::{has_room_for, remove_hop_by_hop, saw};
use crate::host::denied::{Denial, Remedy};
use crate::powers::Lent;
use crate::rehearsal::{Answered, Rehearsed, StandInAnswer};

/// A request and whose it is, once it was judged.
pub(super) struct Judged<'a> {
    pub(super) lent: &'a Arc<Lent>,
    pub(super) asked: &'a Asked,
    pub(super) upload: &'a Upload,
    pub(super) timeouts: Timeouts,
}

impl Judged<'_> {
    /// The answer of what stands in for the server, or the request again where none does.
    ///
    /// # Errors
    ///
    /// The request is made to fail, or nothing answers it.
    pub(super) async fn rehearse(
        &self,
        rehearsed: &Rehearsed,
        request: Box<Request<Sending>>,
    ) -> Result<std::result::Result<Response<WasiBody>, Box<Request<Sending>>>> {
        let Self { lent, asked, .. } = self;
        if rehearsed.denies(&asked.host) {
            saw(lent, asked);
            return Err(self.refused("this host is denied to every function".to_owned()));
        }
        if let Err(faulted) = rehearsed.meet(Faulty::Http).await {
            saw(lent, asked);
            self.refused(faulted.to_string());
            return Err(Error::ConnectionTerminated);
        }
        let Some(answer) = rehearsed.stand_in(&asked.outbound(), asked.query()) else {
            return Ok(Err(request));
        };
        saw(lent, asked);
        let answer = match answer {
            Answered::With(answer) => answer,
            Answered::NoMore { given } => {
                let why = format!(
                    "what stands in for {} has given all of its {given} answers; write one more \
                     into `answers` if it may be asked again",
                    asked.host
                );
                return Err(self.refused(why));
            }
            Answered::ByNone => {
                let why = format!(
                    "nothing answers in place of {}; write what it answers into the case, below \
                     [[case.given.http]] with `request = \"{asked}\"`",
                    asked.host
                );
                return Err(self.refused(why));
            }
        };
        self.read_all(request).await?;
        self.answer(answer).map(Ok)
    }

    /// Tells why, for the author of the function.
    fn refused(&self, why: String) -> Error {
        self.lent.denials.tell(&Denial {
            what: self.asked.to_string(),
            why,
            remedy: Remedy::Nothing,
        });
        Error::HttpRequestDenied
    }

    /// Takes the whole request, as a server does before it answers.
    async fn read_all(&self, mut request: Box<Request<Sending>>) -> Result<()> {
        self.upload.moves();
        loop {
            let until = self.upload.moved() + self.timeouts.first_byte;
            match timeout_at(until, request.body_mut().frame()).await {
                Ok(Some(Ok(_))) => {}
                Ok(None) => return Ok(()),
                Ok(Some(Err(_))) => {
                    let failure = self.upload.take_failure();
                    return Err(failure.unwrap_or(Error::HttpProtocolError));
                }
                Err(_) => return Err(Error::ConnectionReadTimeout),
            }
        }
    }

    fn answer(&self, answer: &StandInAnswer) -> Result<Response<WasiBody>> {
        let body_bytes = answer.body.len() as u64;
        let is_head = self.asked.method == Method::HEAD;
        if !is_head && !has_room_for(self.lent, body_bytes) {
            let bytes_max = self.lent.budget.bytes_max();
            return Err(Error::HttpResponseBodySize(Some(bytes_max)));
        }
        let body = Answering {
            body: (!is_head && body_bytes > 0).then(|| answer.body.clone().into()),
            lent: Arc::clone(self.lent),
        };
        let mut response = Response::new(body.boxed_unsync());
        // Whoever wrote it down was told what cannot be sent; what is left is left out.
        *response.status_mut() = answer.status.try_into().unwrap_or_default();
        let headers = response.headers_mut();
        for (name, value) in &answer.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        remove_hop_by_hop(headers);
        let length = headers.entry(header::CONTENT_LENGTH);
        length.or_insert(body_bytes.into());
        Ok(response)
    }
}

/// The body of an answer, on its way to the guest.
struct Answering {
    body: Option<Bytes>,
    lent: Arc<Lent>,
}

impl Body for Answering {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(body) = self.body.take() else {
            return Poll::Ready(None);
        };
        let frame = Frame::data(body);
        if takes(&self.lent, &frame) {
            return Poll::Ready(Some(Ok(frame)));
        }
        let bytes_max = self.lent.budget.bytes_max();
        Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(bytes_max)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, Bytes::len) as u64)
    }
}
