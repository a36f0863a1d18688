//! The guest's HTTP client: requests of `wasi:http` that go out.
//!
//! Decides, request by request and in this order: has it one reading only, has the
//! invocation calls left, does a grant cover it. Addresses are judged when they are
//! known (`route.rs`). No redirect is followed: it is an answer, and what the guest makes
//! of it is a request like any other.
//!
//! **Invariant:** what is refused is an error code of `wasi:http` that a guest can handle,
//! and a line in its log that names what would allow it; never a trap.

mod asked;
mod bodies;
mod budget;
mod code02;
mod connection;
mod dial;
mod failure;
mod head_bound;
mod inject;
mod pool;
mod route;
mod stand_in;
mod tls;

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use midge_model::Use;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::{Error, RequestOptions, Result, WasiBody, WasiHttpHooks};

use crate::host::denied::{Denial, Remedy};
use crate::limits::HANDLE_BYTES_MAX;
use crate::powers::{Deployment, Lent, RootsConfig};
use asked::{Asked, OddRequest};
use bodies::{Presence, Receiving, Sending, Upload};
use inject::Injections;
use pool::{Descriptors, Target};
use route::{Route, Timeouts};
use stand_in::Judged;

pub(crate) use budget::Budget;
pub(crate) use code02::link as link_code02;
pub use inject::InjectError;
pub(crate) use pool::Pool;
pub use tls::RootsError;

/// Descriptors that outbound HTTP may take in a worker, over all its functions. They are not any
/// instance's: the instances of a function share its connections.
pub const OUTBOUND_DESCRIPTORS_MAX: u32 = 256;

/// Connections that fit into them, each while it is opened to several addresses at once.
const CONNECTIONS_IN_WORKER_MAX: u32 = OUTBOUND_DESCRIPTORS_MAX / dial::AT_ONCE_MAX;

/// What all functions of a process share.
pub(crate) struct HttpClient {
    /// Those of the system are read when a function first needs them.
    trust: Arc<OnceLock<Arc<ClientConfig>>>,
    descriptors: Descriptors,
}

/// What the invocations of one revision share.
pub(crate) struct HttpOut {
    trust: Arc<OnceLock<Arc<ClientConfig>>>,
    pool: Pool,
    injections: Injections,
}

/// The HTTP client of one invocation.
pub(crate) struct Outbound {
    lent: Arc<Lent>,
    guest: Arc<Presence>,
}

impl HttpClient {
    /// A client that trusts `roots`.
    ///
    /// # Errors
    ///
    /// The given roots cannot be used.
    pub(crate) fn new(roots: &RootsConfig) -> Result<Self, RootsError> {
        let trust = match roots {
            RootsConfig::System => OnceLock::new(),
            RootsConfig::Pem(path) => OnceLock::from(tls::of_file(path)?),
        };
        Ok(Self {
            trust: Arc::new(trust),
            descriptors: Descriptors::new(CONNECTIONS_IN_WORKER_MAX),
        })
    }

    /// The connections of one more function.
    pub(crate) fn pool(&self) -> Pool {
        Pool::new(self.descriptors.clone())
    }
}

impl HttpOut {
    /// A revision's part of the client, with the connections of its function.
    ///
    /// # Errors
    ///
    /// A secret that cannot be injected.
    pub(crate) fn new(
        client: &HttpClient,
        pool: &Pool,
        deployment: &Deployment,
    ) -> Result<Self, InjectError> {
        let http = Self {
            trust: Arc::clone(&client.trust),
            pool: pool.clone(),
            injections: Injections::of(deployment)?,
        };
        if !deployment.revision.grants.http.is_empty() {
            // Reads files; now, and not while somebody waits for an answer.
            http.trust();
        }
        Ok(http)
    }

    fn trust(&self) -> &Arc<ClientConfig> {
        self.trust.get_or_init(tls::system)
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }
}

impl Outbound {
    pub(crate) fn new(lent: Arc<Lent>) -> Self {
        let guest = Arc::default();
        Self { lent, guest }
    }
}

/// Dropped with the guest's store.
impl Drop for Outbound {
    fn drop(&mut self) {
        self.guest.end();
    }
}

/// A response, and the future that keeps its connection going.
type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<()>> + Send>,
);

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmitted: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent>> + Send> {
        let lent = Arc::clone(&self.lent);
        // In a task of its own, which goes on while the guest computes and polls nothing.
        let upload = Upload::new(Arc::clone(&self.guest));
        // In a box: on its way into a task a future is copied from frame to frame, here on the
        // stack of the guest, and what a stack has touched it keeps for as long as the guest waits.
        let exchange = Box::pin(exchange(lent, Box::new(request), options, upload));
        let exchange = AbortOnDropHandle::new(tokio::spawn(exchange));
        Box::new(async {
            let response = match exchange.await {
                Ok(response) => response?,
                // Nobody aborts it while it is awaited: it is a panic, and the invocation's.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            // Connections have tasks of their own; there is nothing to keep going.
            let keep_going: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, keep_going))
        })
    }

    /// Ours to write, from what was judged.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        HANDLE_BYTES_MAX
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        HANDLE_BYTES_MAX
    }

    // The engine would warn about what guests and callers do; that is not an event of ours.
    fn p2_error_from_hyper(
        &mut self,
        _error: &hyper::Error,
    ) -> wasmtime_wasi_http::p2::bindings::http::types::ErrorCode {
        wasmtime_wasi_http::p2::bindings::http::types::ErrorCode::HttpProtocolError
    }

    fn p3_error_from_hyper(
        &mut self,
        _error: &hyper::Error,
    ) -> wasmtime_wasi_http::p3::bindings::http::types::ErrorCode {
        wasmtime_wasi_http::p3::bindings::http::types::ErrorCode::HttpProtocolError
    }
}

/// One request from the guest's words to the head of the answer.
///
/// A guest may wait here for minutes, and a thousand of them at a time: requests are in boxes, which
/// what is called hands on without keeping a copy of each in its state.
async fn exchange(
    lent: Arc<Lent>,
    request: Box<Request<WasiBody>>,
    options: Option<RequestOptions>,
    upload: Arc<Upload>,
) -> Result<Response<WasiBody>> {
    let (asked, target, request) = judged(&lent, request, &upload)?;
    let timeouts = Timeouts::of(options, &lent.powers.limits);
    let mut request = request;
    if let Some(rehearsed) = &lent.powers.rehearsed {
        let judged = Judged {
            lent: &lent,
            asked: &asked,
            upload: &upload,
            timeouts,
        };
        match Box::pin(judged.rehearse(rehearsed, request)).await? {
            Ok(response) => return Ok(response),
            Err(as_it_was) => request = as_it_was,
        }
    }
    let route = Route {
        lent: &lent,
        target,
        asked: &asked,
        timeouts,
    };
    let (response, lease) = route.send(request, &upload).await?;

    let (mut parts, incoming) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    if !has_room_for(&lent, incoming.size_hint().lower()) {
        return Err(Error::HttpResponseBodySize(Some(lent.budget.bytes_max())));
    }
    remove_hop_by_hop(&mut parts.headers);
    let whose = (Arc::clone(&lent), upload);
    let body = Receiving::new(incoming, lease, whose, timeouts.between_bytes);
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// What is asked, where that is, and the request as it is sent.
fn judged(
    lent: &Arc<Lent>,
    request: Box<Request<WasiBody>>,
    upload: &Arc<Upload>,
) -> Result<(Asked, Target, Box<Request<Sending>>)> {
    let (parts, body) = request.into_parts();
    let asked = Asked::of(&parts).map_err(|odd| refuse_odd(lent, &parts.uri, &odd))?;
    let literal = admit(lent, &asked)?;
    if !has_room_for(lent, body.size_hint().lower()) {
        return Err(Error::HttpRequestBodySize(Some(lent.budget.bytes_max())));
    }
    let body = Sending::new(body, Arc::clone(lent), Arc::clone(upload));
    let request = outgoing(lent, &asked, parts.headers, body)?;
    let target = asked.target(literal);
    Ok((asked, target, Box::new(request)))
}

/// A use is what the grants and the policy let pass, whether or not the server is there.
fn saw(lent: &Lent, asked: &Asked) {
    lent.powers.saw(|| Use::Http {
        method: asked.method.to_string(),
        https: asked.https,
        host: asked.host.clone(),
        port: asked.port,
        path: asked.path().to_owned(),
    });
}

/// Whether the invocation may send `asked`, and whether a grant names its host literally.
fn admit(lent: &Lent, asked: &Asked) -> Result<bool> {
    if !lent.budget.take_call(&lent.denials, asked) {
        return Err(Error::HttpRequestDenied);
    }
    let outbound = asked.outbound();
    let grants = &lent.powers.grants.http;
    let mut covering = grants
        .iter()
        .filter(|grant| grant.matches(&outbound))
        .peekable();
    if covering.peek().is_none() {
        lent.denials.tell(&Denial {
            what: asked.to_string(),
            why: "no http grant covers it".to_owned(),
            remedy: Remedy::Grant(asked.grant()),
        });
        return Err(Error::HttpRequestDenied);
    }
    Ok(covering.any(|grant| grant.names_literally(&asked.host)))
}

fn refuse_odd(lent: &Lent, uri: &http::Uri, odd: &OddRequest) -> Error {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // A password before the host is not for a log.
    let host = authority.rsplit('@').next().unwrap_or_default();
    lent.denials.tell(&Denial {
        what: format!("request to {host}"),
        why: odd.to_string(),
        remedy: Remedy::Nothing,
    });
    match odd {
        OddRequest::Tunnel => Error::HttpRequestDenied,
        OddRequest::Method => Error::HttpRequestMethodInvalid,
        OddRequest::Target(_) => Error::HttpRequestUriInvalid,
    }
}

fn has_room_for(lent: &Lent, bytes: u64) -> bool {
    lent.budget.has_room_for(&lent.denials, bytes)
}

/// The request as it is sent: everything that decides where it goes comes from `asked`.
///
/// # Errors
///
/// The guest announces its body's length in a way that has two readings.
fn outgoing(
    lent: &Lent,
    asked: &Asked,
    mut headers: HeaderMap,
    body: Sending,
) -> Result<Request<Sending>> {
    remove_hop_by_hop(&mut headers);
    one_length(&mut headers)?;
    headers.remove(header::HOST);
    // HTTP/2 has one value of it that concerns the server and not the next hop.
    if headers.get(header::TE).is_some_and(|te| te != "trailers") {
        headers.remove(header::TE);
    }
    let injections = &lent.powers.http.injections;
    injections.put(asked, &mut headers, &lent.powers);
    let mut request = Request::new(body);
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = asked.uri();
    *request.headers_mut() = headers;
    Ok(request)
}

/// Leaves one announced length at most: with two of them, servers differ about where this request
/// ends and the next one on the connection begins (RFC 9112, section 6.3).
fn one_length(headers: &mut HeaderMap) -> Result<()> {
    let mut announced = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = announced.next().cloned() else {
        return Ok(());
    };
    let is_number = !first.is_empty() && first.as_bytes().iter().all(u8::is_ascii_digit);
    if !is_number || announced.any(|other| *other != first) {
        return Err(Error::HttpProtocolError);
    }
    headers.insert(header::CONTENT_LENGTH, first);
    Ok(())
}

/// Fields that concern one connection (RFC 9110, section 7.6.1), and those they name.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const HOP_BY_HOP: [HeaderName; 6] = [
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a request on its way: a thousand guests may wait for their answers at a time.
    const WAITING_BYTES_MAX: usize = 1 << 10;

    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_a_request_holds_that_waits_is_small() {
        let bytes = size(exchange);
        assert!(bytes <= WAITING_BYTES_MAX, "{bytes} bytes");
    }
}
