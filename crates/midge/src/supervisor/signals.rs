//! What the operator asks of a running node.
//!
//! Turns signals into wishes; granting them is `supervisor/mod.rs`. SIGHUP is
//! taken over only when there is a certificate to read again, or no terminal: without
//! one it keeps its meaning, the terminal has gone and so do we.
//!
//! **Invariant:** from `install` on no wish is lost, however early it comes.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stop: SIGTERM, or SIGINT from Ctrl-C.
    Stop,
    /// Read the certificate again: SIGHUP.
    Reload,
}

/// The signals that are wishes.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Takes the signals over from the system's defaults.
    ///
    /// # Errors
    ///
    /// The kernel refused; a node that cannot be stopped properly must not start.
    pub(super) fn install(with_reload: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: with_reload
                .then(|| signal(SignalKind::hangup()))
                .transpose()?,
        })
    }

    /// The next wish. May be dropped at any await.
    pub(super) async fn next(&mut self) -> Wish {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = hang_up => Wish::Reload,
        }
    }

    /// The next wish to stop; others are not for now.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}
