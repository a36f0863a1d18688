//! What a node does besides watching over its workers: follow the store, be administered, say how
//! it is.
//!
//! Decides when the node counts as ready: once all workers serve what the store says, and what
//! `--with` names was deployed; and what ends in which order.
//!
//! **Invariant:** systemd and `/readyz` hear the same.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use midge_store::StoreError;
use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Doors;
use crate::cmd::fault::chain;
use crate::config::ServeConfig;
use crate::control_door::ControlDoor;
use crate::control_door::certificate::Certificate;
use crate::feed::Feed;
use crate::log::{Format, LogConfig};
use crate::observed::Observed;
use crate::say;
use crate::supervisor::{Beside, Roster};

/// What lives beside the workers.
pub(super) struct Life {
    announcement: Rc<Announcement>,
    observed: Arc<Observed>,
    door: ControlDoor,
    certificate: Option<Arc<Certificate>>,
    /// Resolves if the store could not be read at start.
    unread: Option<oneshot::Receiver<StoreError>>,
}

/// What that is made of.
pub(super) struct LifeParts {
    pub(super) announcement: Announcement,
    pub(super) feed: Feed,
    pub(super) roster: Arc<Roster>,
    pub(super) observed: Arc<Observed>,
    pub(super) door: ControlDoor,
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Life {
    /// Begins to follow the store; workers open their door once what is there has been passed on.
    pub(super) fn new(parts: LifeParts) -> Self {
        let LifeParts {
            announcement,
            mut feed,
            roster,
            observed,
            door,
            certificate,
        } = parts;
        let (tell, unread) = oneshot::channel();
        tokio::task::spawn_local(async move {
            match feed.catch_up().await {
                Ok(watches) => {
                    roster.complete();
                    feed.follow(watches).await;
                }
                // Without anybody who waits for it the node is ending.
                Err(error) => drop(tell.send(error)),
            }
        });
        Self {
            announcement: Rc::new(announcement),
            observed,
            door,
            certificate,
            unread: Some(unread),
        }
    }
}

impl Beside for Life {
    fn ready(&mut self) {
        self.door.workers_ready();
        let Some(applied) = self.door.applied.take() else {
            return;
        };
        let (announcement, observed) = (Rc::clone(&self.announcement), Arc::clone(&self.observed));
        tokio::task::spawn_local(async move {
            // A door that broke before is told of elsewhere.
            if applied.await.is_ok() {
                observed.node_ready();
                announcement.announce();
                notify(&[NotifyState::Ready]);
            }
        });
    }

    fn reload(&mut self) {
        let Some(certificate) = &self.certificate else {
            return;
        };
        match certificate.reload() {
            Ok(()) => tracing::info!("certificate of the control door reloaded"),
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(reason, "old certificate of the control door kept");
            }
        }
    }

    async fn broken(&mut self) -> String {
        let unread = async {
            match &mut self.unread {
                Some(unread) => unread.await.ok(),
                None => pending().await,
            }
        };
        tokio::select! {
            unread = unread => match unread {
                Some(error) => format!("read the store: {}", chain(&error)),
                None => {
                    // It was read, and from now on trouble with it is overcome or told in the log.
                    self.unread = None;
                    let error = self.door.broken().await;
                    chain(&error)
                }
            },
            error = self.door.broken() => chain(&error),
        }
    }

    async fn close(&mut self, grace: Duration) {
        notify(&[NotifyState::Stopping]);
        if timeout(grace, self.door.close()).await.is_err() {
            tracing::warn!("grace period of the control door over, requests cut");
        }
    }
}

/// What is said once the node is ready.
pub(super) struct Announcement {
    functions: String,
    control: String,
    /// Whether nobody needs a token.
    is_open: bool,
    log: LogConfig,
}

impl Announcement {
    /// Where these doors are.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub(super) fn new(config: &ServeConfig, doors: &Doors) -> anyhow::Result<Self> {
        let scheme = match config.tls {
            Some(_) => "https",
            None => "http",
        };
        let functions = doors.functions.local_addr();
        let functions = functions.context("read the listening address")?;
        let control = doors.control.local_addr();
        let control = control.context("read the control door's address")?;
        Ok(Self {
            functions: format!("{scheme}://{functions}"),
            control: format!("{scheme}://{control}"),
            is_open: !config.auth,
            log: config.log.clone(),
        })
    }

    /// Where functions answer.
    pub(super) fn functions_url(&self) -> String {
        self.functions.clone()
    }

    fn announce(&self) {
        if self.is_open {
            tracing::warn!("everybody who reaches the control door may do everything");
        }
        match self.log.format {
            Format::Json => {
                tracing::info!(url = self.control, "control door open");
                tracing::info!(url = self.functions, "listening");
            }
            Format::Text if self.log.quiet => {}
            Format::Text => {
                say::line(&format!("control door at {}", self.control));
                say::line(&format!("listening on {}", self.functions));
            }
        }
    }
}

/// Tells whoever started us, if it wants to know.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "service manager not told");
    }
}
