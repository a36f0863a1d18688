//! The way of one admitted request: a connection, the request on it, the head of the answer.
//!
//! Decides how long each step may take, which addresses are connected to, and when a
//! request is sent a second time. What may be sent was decided before.
//!
//! Steps that need much room and are over soon have it in a box of their own: a thousand guests that
//! wait for their answers hold no more than waiting takes.
//!
//! **Invariant:** a request is sent again only if the server cannot have acted on it twice:
//! it was never written, or it is one that has no effect.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http::{Method, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;
use midge_model::Limits;
use tokio::time::{timeout, timeout_at};
use wasmtime_wasi_http::{Error, RequestOptions};

use super::asked::Asked;
use super::bodies::{Sending, Upload};
use super::dial::dial;
use super::failure;
use super::pool::{Descriptor, Lease, Target, Turn};
use crate::host::denied::{Denial, Remedy};
use crate::net::reach::{self, Destination, OutOfReach};
use crate::powers::Lent;

/// How long a connection may take to be ready: a slot for it, its address, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may take to answer what it was sent, and to go on once it began.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a request that should have no body waits for its guest to say so.
const EMPTY_BODY_PATIENCE: Duration = Duration::from_millis(10);

/// How long the steps of one request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

impl Timeouts {
    /// As the guest wishes, or ours; no longer than the invocation may last.
    pub(super) fn of(options: Option<RequestOptions>, limits: &Limits) -> Self {
        let options = options.unwrap_or_default();
        let of = |wish: Option<Duration>, usual| wish.unwrap_or(usual).min(limits.time);
        Self {
            connect: of(options.connect_timeout, CONNECT_TIMEOUT),
            first_byte: of(options.first_byte_timeout, FIRST_BYTE_TIMEOUT),
            between_bytes: of(options.between_bytes_timeout, BETWEEN_BYTES_TIMEOUT),
        }
    }
}

/// Where one request goes, on whose behalf, and how long that may take.
pub(super) struct Route<'a> {
    pub(super) lent: &'a Lent,
    pub(super) asked: &'a Asked,
    pub(super) target: Target,
    pub(super) timeouts: Timeouts,
}

impl Route<'_> {
    /// Sends `request` over a kept connection or a new one, and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// No connection, no answer in time, or an answer that is none.
    pub(super) async fn send(
        &self,
        mut request: Box<Request<Sending>>,
        upload: &Upload,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let (mut lease, is_kept) = match Box::pin(self.turn()).await? {
            Turn::Reuse(lease) => {
                self.saw();
                (lease, true)
            }
            Turn::Open(descriptor) => (Box::pin(self.open(descriptor)).await?, false),
        };
        let patience = if changes_nothing(request.method()) {
            EMPTY_BODY_PATIENCE
        } else {
            Duration::ZERO
        };
        if request.body_mut().look_ahead(patience).await.is_err() {
            // Nothing was sent, so the connection is as good as before.
            lease.give_back();
            return Err(upload.take_failure().unwrap_or(Error::HttpProtocolError));
        }
        if let Err(error) = announce_nothing(&mut request) {
            lease.give_back();
            return Err(error);
        }
        let again = if is_kept { repeatable(&request) } else { None };
        upload.moves();
        let sent = Box::pin(lease.connection_mut().send(request));
        let mut failed = match self.answered(sent, upload).await? {
            Ok(response) => return Ok((response, lease)),
            Err(failed) => failed,
        };
        lease.discard();
        // A server may close a kept connection at any time, also just now.
        let unsent = failed.take_message();
        let error = failed.into_error();
        let again = match (is_kept, unsent) {
            (true, Some(unsent)) => Box::new(unsent),
            (true, None) if failure::is_terminated(&error) => {
                again.ok_or_else(|| failure::of_exchange(&error))?
            }
            _ => return Err(self.failure(&error, upload)),
        };
        Box::pin(self.send_anew(again, upload)).await
    }

    /// The same over a connection that has not served yet, for the last time.
    async fn send_anew(
        &self,
        request: Box<Request<Sending>>,
        upload: &Upload,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let slot = self.lent.powers.http.pool().descriptor();
        let descriptor = timeout(self.timeouts.connect, slot)
            .await
            .map_err(|_| Error::ConnectionLimitReached)?;
        let mut lease = self.open(descriptor).await?;
        upload.moves();
        let sent = Box::pin(lease.connection_mut().send(request));
        match self.answered(sent, upload).await? {
            Ok(response) => Ok((response, lease)),
            Err(failed) => Err(self.failure(&failed.into_error(), upload)),
        }
    }

    async fn turn(&self) -> Result<Turn, Error> {
        let turn = self.lent.powers.http.pool().turn(&self.target);
        timeout(self.timeouts.connect, turn)
            .await
            .map_err(|_| Error::ConnectionLimitReached)
    }

    async fn open(&self, descriptor: Descriptor) -> Result<Lease, Error> {
        let opening = async {
            let http = &self.lent.powers.http;
            let addresses = self.addresses().await?;
            let connection = dial(&self.target, &addresses, http.trust(), descriptor).await?;
            Ok(http.pool().lease(self.target.clone(), connection))
        };
        timeout(self.timeouts.connect, opening)
            .await
            .map_err(|_| Error::ConnectionTimeout)?
    }

    /// The addresses that the host leads to now and that may be connected to.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let powers = &self.lent.powers;
        let to = Destination {
            host: &self.target.host,
            port: self.target.port,
            literal: self.target.literal,
        };
        let addresses = match powers.resolver.resolve(to.host).await {
            Ok(found) => {
                reach::connectable(powers, to, &found).map_err(|refused| self.refused(&refused))?
            }
            Err(error) => {
                self.saw();
                return Err(failure::of_name(&error));
            }
        };
        self.saw();
        Ok(addresses)
    }

    fn saw(&self) {
        super::saw(self.lent, self.asked);
    }

    fn refused(&self, refused: &OutOfReach) -> Error {
        let remedy = match refused.remedy() {
            // The policy is asked only about hosts that a grant names.
            Remedy::Policy(_) if !self.target.literal => Remedy::Grant(self.asked.grant()),
            remedy => remedy,
        };
        self.lent.denials.tell(&Denial {
            what: self.asked.to_string(),
            why: refused.to_string(),
            remedy,
        });
        Error::DestinationIpProhibited
    }

    /// Waits for the head of an answer, from when the last of the request was handed over.
    async fn answered<T>(
        &self,
        mut sent: Pin<Box<impl Future<Output = T>>>,
        upload: &Upload,
    ) -> Result<T, Error> {
        loop {
            let until = upload.moved() + self.timeouts.first_byte;
            match timeout_at(until, &mut sent).await {
                Ok(answer) => return Ok(answer),
                // The guest went on sending meanwhile.
                Err(_) if upload.moved() + self.timeouts.first_byte > until => {}
                Err(_) => return Err(Error::ConnectionReadTimeout),
            }
        }
    }

    fn failure(&self, error: &hyper::Error, upload: &Upload) -> Error {
        let of_upload = upload.take_failure();
        of_upload.unwrap_or_else(|| failure::of_exchange(error))
    }
}

/// A request that turns out to have no body must not announce one: the server would take the
/// beginning of the next request on this connection for it.
fn announce_nothing(request: &mut Request<Sending>) -> Result<(), Error> {
    if !request.body().is_end_stream() {
        // Whatever is sent too little closes the connection, and what is too much is not sent.
        return Ok(());
    }
    match request.headers_mut().remove(header::CONTENT_LENGTH) {
        Some(length) if length.as_bytes().iter().any(|digit| *digit != b'0') => {
            Err(Error::HttpRequestBodySize(Some(0)))
        }
        _ => Ok(()),
    }
}

/// A copy of a request that may be sent twice: one that changes nothing and has no body.
fn repeatable(request: &Request<Sending>) -> Option<Box<Request<Sending>>> {
    if !changes_nothing(request.method()) || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(request.body().emptied());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}

/// Methods that are safe (RFC 9110, section 9.2.1) and rarely have a body.
fn changes_nothing(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
