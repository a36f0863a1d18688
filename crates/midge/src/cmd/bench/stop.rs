//! The wish of whoever typed the command to stop it.
//!
//! **Invariant:** from `install` on no wish is lost, and a second one is told from the first.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often we were asked to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Takes Ctrl-C and SIGTERM over from now on.
    ///
    /// # Errors
    ///
    /// The kernel refused; what is started could not be ended cleanly.
    pub(super) fn install() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (asked, stop) = watch::channel(0);
        tokio::task::spawn_local(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                asked.send_modify(|times| *times += 1);
            }
        });
        Ok(Self(stop))
    }

    /// Whether we were asked.
    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Resolves when we were asked so often.
    pub(super) async fn asked(&self, times: u32) {
        let mut asked = self.0.clone();
        // The sender lives as long as the runtime.
        drop(asked.wait_for(|asked| *asked >= times).await);
    }
}
