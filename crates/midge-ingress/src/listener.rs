//! Opens the door, keeps it within its bound, and closes it in order.
//!
//! Accepts from a socket that sibling workers share: a worker at its bound leaves the rest to them.
//! What happens on a connection is `connection.rs`; when to drain and when patience ends is the
//! caller's to say through [`Phase`].
//!
//! **Invariant:** never more than `connections_max` connections, and none accepted that has no place.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use midge_model::Outcome;
use midge_runtime::{Aborted, Addressee, Caller, Connections, Dispatcher, Receipt, RequestBody};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::IngressConfig;
use crate::connection;
use crate::door::Door;
use crate::tasks::note_panic;
use crate::tls::Tls;
use crate::wire::{OURSELVES, Wire};

/// How long a worker lets its siblings go first when it holds more connections than one of them.
/// Short, because a sibling that is busy or dead must not keep a client waiting.
const SIBLINGS_FIRST: Duration = Duration::from_millis(1);
/// How many connections more than a sibling a worker may hold without letting it go first.
const CROWDED_BY: u32 = 1;
/// How long not to accept after the system refused a connection for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from, and who else takes them.
pub struct Listening {
    /// The socket, which all workers of a node share.
    pub listener: TcpListener,
    /// The node's own door, which all workers share too: requests of the node itself take the same
    /// way as all others.
    pub internal: Option<UnixListener>,
    /// The certificate, where the door speaks TLS.
    pub tls: Option<Rc<Tls>>,
    /// How many connections each worker holds.
    pub connections: Connections,
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Takes connections and requests.
    Serving,
    /// Takes no more connections; finishes the requests it has.
    Draining,
    /// Drops what is left.
    Ended,
}

/// What became of the requests that were in flight when a worker began to drain, or came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Answered, or given up by their client.
    pub finished: u32,
    /// Dropped because the worker ended before they did.
    pub cut: u32,
}

/// What the dispatcher made of a request.
pub(crate) type Handled<B> = (Option<Addressee>, Result<(Response<B>, Receipt), Outcome>);

/// Serves functions on `listener` until the phase has moved on and all requests are over.
///
/// Needs a current-thread runtime and to be inside a `LocalSet`. A closed `phase` channel counts as
/// [`Phase::Draining`]: whoever could say more is gone.
pub async fn serve(
    listening: Listening,
    dispatcher: Rc<Dispatcher>,
    config: Rc<IngressConfig>,
    phase: watch::Receiver<Phase>,
) -> Drained {
    let dispatch = async move |request: Box<Request<RequestBody>>, caller: &Caller| {
        let dispatched = dispatcher.dispatch(request, caller).await;
        (dispatched.addressee, dispatched.result)
    };
    serve_with(listening, dispatch, config, phase).await
}

/// The same for anything that answers requests: the tests answer without WebAssembly.
pub(crate) async fn serve_with<D, B>(
    listening: Listening,
    dispatch: D,
    config: Rc<IngressConfig>,
    mut phase: watch::Receiver<Phase>,
) -> Drained
where
    D: AsyncFn(Box<Request<RequestBody>>, &Caller) -> Handled<B> + 'static,
    B: Body<Data = Bytes, Error = Aborted> + Unpin + 'static,
{
    let Listening {
        listener,
        internal,
        tls,
        connections: held,
    } = listening;
    let dispatch = Rc::new(dispatch);
    let door = Rc::new(Door::new(config));
    let mut connections = JoinSet::new();
    let moves_on = phase.clone();
    let mut open = |connections: &mut JoinSet<()>, (wire, peer): Accepted| {
        // The node itself needs no certificate to know whom it speaks to.
        let tls = tls.as_ref().filter(|_| matches!(wire, Wire::Plain(_)));
        connections.spawn_local(connection::serve(
            connection::Arrival {
                wire,
                peer,
                tls: tls.map(|tls| tls.acceptor()),
            },
            Rc::clone(&door),
            Rc::clone(&dispatch),
            moves_on.clone(),
        ));
    };

    let turns = Turns {
        listener: &listener,
        internal: internal.as_ref(),
        held: &held,
        crowded_until: Cell::new(None),
    };
    accept_until_draining(&turns, &door, &mut connections, &mut phase, &mut open).await;
    door.tally.draining.set(true);
    // Clients that the kernel let in before now have their request under way: it is answered too.
    while connections.len() < places(&door)
        && let Some(Ok(arrival)) = accept_waiting(&listener).await
    {
        open(&mut connections, arrival);
    }
    drop((listener, internal));
    tracing::debug!(connections = connections.len(), "door closed");
    finish(&door, &mut connections, &mut phase).await
}

/// A connection, and whose it is.
type Accepted = (Wire, SocketAddr);

fn of_client((tcp, peer): (TcpStream, SocketAddr)) -> Accepted {
    (Wire::Plain(tcp), peer)
}

fn places(door: &Door) -> usize {
    usize::try_from(door.config.connections_max.max(1)).unwrap_or(usize::MAX)
}

/// Takes one connection at a time while there is room.
async fn accept_until_draining(
    turns: &Turns<'_>,
    door: &Door,
    connections: &mut JoinSet<()>,
    phase: &mut watch::Receiver<Phase>,
    open: &mut impl FnMut(&mut JoinSet<()>, Accepted),
) {
    let mut full = false;
    let mut paused = false;
    loop {
        let held = connections.len();
        let room = held < places(door);
        if !room && !full {
            tracing::warn!(connections = held, "connection bound reached");
        }
        door.tally.full.set(!room);
        if !room && !full {
            door.tally.crowded.notify_waiters();
        }
        full = !room;
        tokio::select! {
            biased;
            () = draining(phase) => return,
            Some(ended) = connections.join_next(), if !connections.is_empty() => note_panic(ended),
            accepted = turns.accept(held), if room => match accepted {
                Ok(arrival) => {
                    paused = false;
                    open(connections, arrival);
                    // One at a time: a burst spreads over the workers that wait on this socket.
                    yield_now().await;
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if !paused {
                        tracing::warn!(%error, "accept refused by the system, pausing");
                    }
                    paused = true;
                    tokio::select! {
                        () = draining(phase) => return,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
}

/// The shared sockets, as a worker takes its turns at them.
struct Turns<'a> {
    listener: &'a TcpListener,
    internal: Option<&'a UnixListener>,
    held: &'a Connections,
    /// Outlives a cancelled accept, so that connections that end meanwhile cannot put it off.
    crowded_until: Cell<Option<Instant>>,
}

impl Turns<'_> {
    /// The next connection, whoever makes it.
    async fn accept(&self, held: usize) -> io::Result<Accepted> {
        tokio::select! {
            accepted = self.accept_client(held) => accepted,
            accepted = self.accept_node() => accepted,
        }
    }

    /// The next connection of the node itself: seldom, and so to whoever wakes up first.
    async fn accept_node(&self) -> io::Result<Accepted> {
        match self.internal {
            Some(internal) => {
                let (unix, _) = internal.accept().await?;
                Ok((Wire::Internal(unix), OURSELVES))
            }
            None => std::future::pending().await,
        }
    }

    /// The next connection of a client, after siblings that hold fewer had the chance to take it.
    /// A burst of keep-alive connections would otherwise all stay with the worker that woke up
    /// first, and the other cores idle.
    async fn accept_client(&self, held: usize) -> io::Result<Accepted> {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.held.tell(held);
        let crowded = self
            .held
            .fewest_elsewhere()
            .is_some_and(|fewest| held > fewest.saturating_add(CROWDED_BY));
        if crowded {
            let since_first = self.crowded_until.get();
            let until = since_first.unwrap_or_else(|| Instant::now() + SIBLINGS_FIRST);
            self.crowded_until.set(Some(until));
            sleep_until(until).await;
        }
        let accepted = self.listener.accept().await;
        self.crowded_until.set(None);
        accepted.map(of_client)
    }
}

/// Errors of one connection that ended before we took it, not of the listening socket.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted
    )
}

/// A connection that is ready to be accepted at this moment.
async fn accept_waiting(listener: &TcpListener) -> Option<io::Result<Accepted>> {
    poll_fn(|cx| {
        Poll::Ready(match listener.poll_accept(cx) {
            Poll::Ready(accepted) => Some(accepted.map(of_client)),
            Poll::Pending => None,
        })
    })
    .await
}

/// Waits for the requests that are left, or drops them when time is up.
async fn finish(
    door: &Door,
    connections: &mut JoinSet<()>,
    phase: &mut watch::Receiver<Phase>,
) -> Drained {
    let all_over = async {
        while let Some(ended) = connections.join_next().await {
            note_panic(ended);
        }
        door.tasks.join_all().await;
    };
    tokio::select! {
        biased;
        () = all_over => {}
        () = ended(phase) => {}
    }
    door.tally.cutting.set(true);
    connections.abort_all();
    door.tasks.abort_all();
    while let Some(ended) = connections.join_next().await {
        note_panic(ended);
    }
    door.tasks.join_all().await;
    Drained {
        finished: door.tally.finished.get(),
        cut: door.tally.cut.get(),
    }
}

/// Resolves when no more connections are to be taken.
pub(crate) async fn draining(phase: &mut watch::Receiver<Phase>) {
    // An error says that nobody is left to change the phase.
    drop(phase.wait_for(|phase| *phase != Phase::Serving).await);
}

/// Resolves when nothing more is to be waited for.
async fn ended(phase: &mut watch::Receiver<Phase>) {
    if phase
        .wait_for(|phase| *phase == Phase::Ended)
        .await
        .is_err()
    {
        // Nobody can end us any more; the requests have limits of their own.
        std::future::pending::<()>().await;
    }
}
