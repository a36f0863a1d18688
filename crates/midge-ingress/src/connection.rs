//! The life of one connection: handshake, protocol, requests, deadline, farewell.
//!
//! hyper speaks the protocol; this module gives every wait on the peer an end, closes politely when
//! the worker drains, and sees that a last response is not lost by closing too early. What a request
//! is answered with is `respond.rs`.
//!
//! **Invariant:** dropping the connection's future drops its requests, which cancels their
//! invocations; nothing here keeps them alive.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use midge_runtime::{Aborted, Caller, RequestBody};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::IngressConfig;
use crate::door::Door;
use crate::listener::{Handled, Phase, draining};
use crate::preface::{Protocol, sniff};
use crate::pulse::{Allowed, Expiry, Pulse};
use crate::request::Line;
use crate::respond;
use crate::socket::Socket;
use crate::tls::ALPN_H2;
use crate::wire::Wire;

/// How long a draining worker still reads from idle connections. A request that a client sent
/// before it could know of the drain is answered, not cut off unseen.
const DRAIN_LINGER: Duration = Duration::from_millis(100);
/// How long, after the last response, to take in what the client is still sending. Closing at once
/// would make the kernel reset the connection, and the client might lose the response (a 413, say).
const CLOSE_LINGER: Duration = Duration::from_secs(1);
/// How much of it.
const CLOSE_LINGER_BYTES_MAX: usize = 1024 * 1024;
/// How often a connection with a request in flight is looked at for a client that has left behind
/// bytes that nobody reads. It is seen within two of these; any other one is seen at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a peer may take to agree to the end of a connection that has no request.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A connection as the listener hands it over.
pub(crate) struct Arrival {
    pub(crate) wire: Wire,
    pub(crate) peer: SocketAddr,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves one connection to its end.
pub(crate) async fn serve<D, B>(
    arrival: Arrival,
    door: Rc<Door>,
    dispatch: Rc<D>,
    phase: watch::Receiver<Phase>,
) where
    D: AsyncFn(Box<Request<RequestBody>>, &Caller) -> Handled<B> + 'static,
    B: Body<Data = Bytes, Error = Aborted> + Unpin + 'static,
{
    let peer = arrival.peer;
    let https = arrival.tls.is_some();
    let mut farewell = pin!(drain_noticed(phase));
    let opened = tokio::select! {
        biased;
        opened = open(arrival, &door.config) => opened,
        () = &mut farewell => return,
    };
    let (socket, protocol, pulse, local) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::debug!(%peer, %error, "connection not opened");
            return;
        }
    };

    let line = Rc::new(Line::new(peer, local, https, Rc::clone(&pulse), door));
    let service = service_fn({
        let line = Rc::clone(&line);
        move |request| {
            let (line, dispatch) = (Rc::clone(&line), Rc::clone(&dispatch));
            // In a box: who hands on what lies in its own state keeps room for it there.
            let request = Box::new(request);
            async move {
                if line.pulse.has_left() {
                    // No guest begins for nobody; the connection ends with this poll of it.
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(respond::answer(request, &line, &*dispatch).await)
            }
        }
    });
    let (socket, watches_peer) = match protocol {
        Protocol::Http1 => socket.watching_peer(),
        Protocol::Http2 => (socket, false),
    };
    let io = TokioIo::new(socket);
    match protocol {
        Protocol::Http1 => {
            let h1 = match watches_peer {
                true => &line.door.h1,
                false => &line.door.h1_over_tls,
            };
            let mut connection = h1.serve_connection(io, service);
            let shutdown = http1::Connection::graceful_shutdown;
            let end = run(
                &mut connection,
                shutdown,
                Pulse::deadline_h1,
                &line,
                farewell,
            )
            .await;
            if end.wants_linger(&pulse) {
                Box::pin(linger(connection.into_parts().io.into_inner())).await;
            }
        }
        Protocol::Http2 => {
            // In a box: most connections speak HTTP/1 and hold no room for it.
            let mut connection = Box::new(line.door.h2.serve_connection(io, service));
            let shutdown = http2::Connection::graceful_shutdown;
            run(
                &mut *connection,
                shutdown,
                Pulse::deadline_h2,
                &line,
                farewell,
            )
            .await;
        }
    }
}

type Opened = (Socket, Protocol, Rc<Pulse>, SocketAddr);

/// Brings a connection to where its protocol is known, within the header timeout.
async fn open(arrival: Arrival, config: &IngressConfig) -> io::Result<Opened> {
    let Arrival { wire, tls, .. } = arrival;
    let local = wire.prepare()?;
    let (tcp, tls) = match (wire, tls) {
        (Wire::Plain(tcp), Some(tls)) => (tcp, tls),
        (mut wire, _) => {
            let pulse = Rc::new(Pulse::new());
            let (protocol, ahead) = timeout(config.header_timeout, sniff(&mut wire)).await??;
            let socket = Socket::new(wire, ahead, Rc::clone(&pulse));
            return Ok((socket, protocol, pulse, local));
        }
    };
    // In a box: connections without TLS, and those that are open, hold no room for it.
    let accept = Box::pin(tls.accept(tcp));
    let stream = timeout(config.header_timeout, accept).await??;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(ALPN_H2) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let pulse = Rc::new(Pulse::new());
    let wire = Wire::Tls(Box::new(stream));
    Ok((
        Socket::new(wire, Bytes::new(), Rc::clone(&pulse)),
        protocol,
        pulse,
        local,
    ))
}

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// The protocol is done, well or not.
    Over(hyper::Result<()>),
    /// We closed it while it had no request.
    ClosedIdle,
    /// Its time was up.
    Expired,
}

impl End {
    /// Whether the client may still be sending, and has not read our last word yet.
    fn wants_linger(&self, pulse: &Pulse) -> bool {
        let spoke_last = match self {
            Self::Over(Ok(())) => true,
            Self::Over(Err(error)) => error.is_parse(),
            Self::ClosedIdle | Self::Expired => false,
        };
        spoke_last && !pulse.has_ended()
    }
}

/// Drives a connection until it is over, its time is up, or the worker's drain closed it.
async fn run<C>(
    connection: &mut C,
    shutdown: fn(Pin<&mut C>),
    deadline: fn(&Pulse, &Allowed) -> Option<(Instant, Expiry)>,
    line: &Line,
    mut farewell: Pin<&mut impl Future<Output = ()>>,
) -> End
where
    C: Future<Output = hyper::Result<()>> + Unpin,
{
    let (pulse, config) = (&line.pulse, &line.door.config);
    let recheck = config.header_timeout.min(config.idle_timeout);
    let mut timer = pin!(sleep(recheck));
    let mut closing: Option<(Instant, bool)> = None;
    loop {
        let due = || {
            let allowed = Allowed::now(config, line.door.tally.full.get());
            match (deadline(pulse, &allowed), closing, pulse.idle_since()) {
                (Some((_, Expiry::Head | Expiry::Idle)), Some((since, _)), Some(idle)) => {
                    // What was written last still has to leave, and the peer to agree to the end.
                    Some((since.max(idle) + CLOSE_WAIT, Expiry::Idle))
                }
                (due, _, _) => due,
            }
        };
        let crowded = line.door.tally.crowded.notified();
        let expired = poll_fn(|cx| poll_expiry(timer.as_mut(), cx, &due, pulse));
        tokio::select! {
            biased;
            result = &mut *connection => return match closing {
                Some((_, true)) => End::ClosedIdle,
                _ => End::Over(result),
            },
            () = farewell.as_mut(), if closing.is_none() => {}
            () = crowded => {
                timer.as_mut().reset(Instant::now());
                continue;
            }
            expiry = expired => if expiry != Expiry::Idle || closing.is_some() {
                tracing::debug!(peer = %line.peer, ?expiry, "connection timed out");
                return End::Expired;
            },
        }
        closing = Some((Instant::now(), pulse.is_idle()));
        shutdown(Pin::new(connection));
    }
}

/// Ready when the connection's deadline has passed. Deadlines mostly move back, so the timer is
/// left to fire early and is set anew then, instead of at every request.
fn poll_expiry(
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    due: &impl Fn() -> Option<(Instant, Expiry)>,
    pulse: &Pulse,
) -> Poll<Expiry> {
    loop {
        let due = due();
        // Without a deadline a request is in flight: its client is looked after now and then.
        let wanted = due.map_or_else(|| pulse.looked_after() + LOOK_EVERY, |(at, _)| at);
        if wanted < timer.deadline() {
            timer.as_mut().reset(wanted);
        }
        ready!(timer.as_mut().poll(cx));
        let now = Instant::now();
        match due {
            Some((at, expiry)) if at <= now => return Poll::Ready(expiry),
            Some((at, _)) => timer.as_mut().reset(at),
            None => {
                pulse.ask_for_look(now);
                timer.as_mut().reset(now + LOOK_EVERY);
            }
        }
    }
}

/// Resolves when the worker drains and requests already under way have had time to arrive.
async fn drain_noticed(mut phase: watch::Receiver<Phase>) {
    draining(&mut phase).await;
    sleep(DRAIN_LINGER).await;
}

/// Reads and forgets what the client still sends, within bounds, so that it can read our answer.
async fn linger(mut socket: Socket) {
    let mut scrap = [0; 1024];
    let read_on = async {
        let mut left = CLOSE_LINGER_BYTES_MAX;
        while let Ok(count @ 1..) = socket.read(&mut scrap).await
            && left > 0
        {
            left = left.saturating_sub(count);
        }
    };
    // Both ways to stop are fine: the connection is dropped next.
    drop(timeout(CLOSE_LINGER, read_on).await);
}
