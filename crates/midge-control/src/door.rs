//! The control door: HTTP in front of the control core.
//!
//! Decides what a well-formed control request is, how long anything may take, and what every
//! answer looks like, its refusals too. What an operation does, and who may, is the core's:
//! handlers read, call one method of [`Control`] and write.
//!
//! **Invariant:** whatever arrives, the answer is a body of the API document or a problem (RFC
//! 9457); nothing of a panic, a path on this machine or another caller's data is in it.

mod answer;
mod around;
mod attempts;
mod body;
mod caller;
mod connection;
mod connections;
mod document;
mod extract;
mod guard;
mod handlers;
mod once;
mod pace;
mod places;
mod stall;
mod strict;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use document::openapi;

use crate::Control;
use attempts::Attempts;
use caller::Peer;
use connections::Connections;
use guard::Guard;
use places::Places;

/// Tokens that are looked up at a time, before anybody knows whose places they would take.
const LOOKUPS_MAX: usize = 64;
/// How long to wait after an accept that failed: most such errors are handles that ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all requests share.
pub(crate) struct Door {
    control: Arc<Control>,
    guard: Guard,
    lookups: Semaphore,
    places: Arc<Places>,
    attempts: Attempts,
    openapi: Bytes,
    draining: watch::Receiver<bool>,
    /// Held by each write until it is done, whether its caller still waits or not.
    writing: mpsc::Sender<()>,
}

/// Serves the control API until `stop` resolves, then ends what is at work.
///
/// It returns once nobody is connected and every write is done; who cannot wait drops it.
/// Needs a Tokio runtime and no more than one thread of it.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    control: Arc<Control>,
    stop: impl Future<Output = ()>,
) {
    let guard = match listener.local_addr() {
        Ok(address) => Guard::new(control.config().auth, address),
        Err(error) => {
            tracing::error!(%error, "control door has no address");
            return;
        }
    };
    let (drain, draining) = watch::channel(false);
    let (writing, mut written) = mpsc::channel(1);
    let door = Arc::new(Door {
        control,
        guard,
        lookups: Semaphore::new(LOOKUPS_MAX),
        places: Arc::default(),
        attempts: Attempts::default(),
        openapi: document::text(),
        draining: draining.clone(),
        writing,
    });
    let router = router(door);
    let connected = Arc::new(Connections::default());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            arrival = listener.accept() => match arrival {
                Ok((tcp, peer)) => {
                    let Some(room) = connected.admit(peer.ip()) else {
                        tracing::debug!(%peer, "connection not taken: all there may be are at work");
                        continue;
                    };
                    let (router, tls, draining) = (router.clone(), tls.clone(), draining.clone());
                    let peer = Peer { address: peer, seat: room.seat() };
                    connections.spawn(async move {
                        tokio::select! {
                            () = connection::serve(tcp, peer, tls, router, draining) => {}
                            () = room.ends.notified() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "control door cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drain.send_replace(true);
    while connections.join_next().await.is_some() {}
    // With the router goes our own sender: what is left of them are writes at work.
    drop(router);
    while written.recv().await.is_some() {}
}

/// Resolves once the door is to close.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // Its sender outlives every connection; without it there is nothing to wait for either.
    drop(draining.wait_for(|draining| *draining).await);
}

/// The paths of the API document and what stands around each of them.
fn router(door: Arc<Door>) -> Router {
    let (router, _) = handlers::routes().split_for_parts();
    router
        .fallback(handlers::no_such_path)
        .method_not_allowed_fallback(handlers::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&door), around::around))
        .with_state(door)
}
