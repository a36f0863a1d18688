//! The life of one connection: handshake, protocol, requests, farewell.
//!
//! Plain connections speak HTTP/1.1; over TLS the peer may choose HTTP/2.
//!
//! **Invariant:** every wait on the peer has an end: for the handshake, for a request's head, for
//! a body (in `body.rs`), for bytes that it does not take (in `stall.rs`) and for an answer that it
//! takes too slowly (in `pace.rs`).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::caller::Peer;
use super::drained;
use super::stall::Watched;

/// How long a handshake may take.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a request's head may take, from the end of the one before: idle connections end too.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// The bytes of a request's head; more are answered 431, by hyper and without a body.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Requests at a time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 32;
/// How often a peer of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What HTTP/2 is called in a handshake.
const ALPN_H2: &[u8] = b"h2";

/// Serves one connection to its end.
pub(super) async fn serve(
    tcp: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    router: Router,
    draining: watch::Receiver<bool>,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(peer = %peer.address, %error, "connection not opened");
        return;
    }
    let Some(tls) = tls else {
        return speak_http1(tcp, peer, router, draining).await;
    };
    let stream = match timeout(HANDSHAKE_TIME_MAX, tls.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(peer = %peer.address, %error, "handshake failed");
            return;
        }
        Err(_) => return,
    };
    if stream.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
        speak_http2(stream, peer, router, draining).await;
    } else {
        speak_http1(stream, peer, router, draining).await;
    }
}

async fn speak_http1(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    draining: watch::Receiver<bool>,
) {
    let address = peer.address;
    let service = service(router, peer);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Watched::new(socket)), service);
    let shutdown = http1::Connection::graceful_shutdown;
    run(connection, shutdown, address, draining).await;
}

async fn speak_http2(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    draining: watch::Receiver<bool>,
) {
    let address = peer.address;
    let service = service(router, peer);
    let head_bytes_max = u32::try_from(HEAD_BYTES_MAX).expect("a few kilobytes");
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(head_bytes_max)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .serve_connection(TokioIo::new(Watched::new(socket)), service);
    let shutdown = http2::Connection::graceful_shutdown;
    run(connection, shutdown, address, draining).await;
}

type Routed = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

fn service(
    router: Router,
    peer: Peer,
) -> impl Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future = Routed,
> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    })
}

/// Drives a connection to its end; once the door drains, to the end of what is at work.
async fn run<C>(
    connection: C,
    shutdown: fn(Pin<&mut C>),
    peer: SocketAddr,
    mut draining: watch::Receiver<bool>,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| connection.as_mut().poll(context)) => break ended,
            () = drained(&mut draining), if !told => {
                shutdown(connection.as_mut());
                told = true;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}
