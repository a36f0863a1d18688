//! The control door's thread: where a node is administered.
//!
//! A thread of its own, so that nothing of administration holds up the supervisor's watch over its
//! workers. Makes the first token, opens the door, applies what `--with` names, tidies up. What may be
//! done through the door is midge-control.
//!
//! **Invariant:** traffic does not depend on this thread.

pub(crate) mod certificate;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use midge_api::{Client, ClientConfig, Deployed, Role};
use midge_control::{Control, ControlError};
use midge_model::NamespaceName;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::cmd::deploy;

/// The file with the first token, in the store.
const TOKEN_FILE: &str = "admin.token";

/// Only the owner reads it.
const TOKEN_MODE: u32 = 0o600;

/// What those who deploy what `--with` names are called in the audit log.
const WITH_NAME: &str = "serve --with";

/// How long one request of `--with` may take; compiling a large component takes minutes.
const WITH_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What a control door is made of.
pub(crate) struct DoorParts {
    /// What may be done, and how.
    pub(crate) control: Arc<Control>,
    /// Where people come.
    pub(crate) listener: TcpListener,
    /// What puts TLS on their connections.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Where everything is kept.
    pub(crate) store: PathBuf,
    /// What is deployed as soon as workers serve.
    pub(crate) with: Vec<PathBuf>,
    /// Whether anybody needs a token.
    pub(crate) auth: bool,
}

/// An open control door.
#[derive(Debug)]
pub(crate) struct ControlDoor {
    stop: Option<oneshot::Sender<()>>,
    serving: watch::Sender<bool>,
    /// Resolves when what `--with` names is deployed, or could not be.
    pub(crate) applied: Option<oneshot::Receiver<()>>,
    ended: oneshot::Receiver<Result<(), DoorError>>,
    over: bool,
}

/// Why the control door cannot be open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// No thread, or no runtime on it.
    #[error("start the control door")]
    Start { source: io::Error },
    /// What has to be there before the first request could not be made.
    #[error("prepare the control door")]
    Prepare { source: ControlError },
    /// It fell over.
    #[error("the control door's thread ended")]
    Lost,
}

impl ControlDoor {
    /// Opens it, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub(crate) fn open(parts: DoorParts) -> Result<Self, DoorError> {
        let (stop, stopped) = oneshot::channel();
        let (serving, seen) = watch::channel(false);
        let (applied, when_applied) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let done = match runtime {
                Ok(runtime) => {
                    let done = runtime.block_on(live(parts, stopped, seen, applied));
                    // What a caller left behind in another thread is not waited for.
                    runtime.shutdown_background();
                    done
                }
                Err(source) => Err(DoorError::Start { source }),
            };
            // Without anybody who waits for it the process is ending.
            drop(end.send(done));
        };
        let spawned = std::thread::Builder::new().name("control".to_owned());
        let spawned = spawned.spawn(work);
        drop(spawned.map_err(|source| DoorError::Start { source })?);
        Ok(Self {
            stop: Some(stop),
            serving,
            applied: Some(when_applied),
            ended,
            over: false,
        })
    }

    /// All workers serve.
    pub(crate) fn workers_ready(&self) {
        self.serving.send_replace(true);
    }

    /// Resolves if it closes although nobody asked. May be dropped at any await.
    pub(crate) async fn broken(&mut self) -> DoorError {
        if self.over {
            return std::future::pending().await;
        }
        let ended = (&mut self.ended).await;
        self.over = true;
        match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => DoorError::Lost,
        }
    }

    /// Takes no more requests, and resolves when those under way are done.
    pub(crate) async fn close(&mut self) {
        drop(self.stop.take());
        if !self.over {
            drop((&mut self.ended).await);
            self.over = true;
        }
    }
}

/// The door from its first token to its last request.
async fn live(
    parts: DoorParts,
    stopped: oneshot::Receiver<()>,
    serving: watch::Receiver<bool>,
    applied: oneshot::Sender<()>,
) -> Result<(), DoorError> {
    let DoorParts {
        control,
        listener,
        tls,
        store,
        with,
        auth,
    } = parts;
    let prepare = |source| DoorError::Prepare { source };
    control.prepare().await.map_err(prepare)?;
    if auth {
        let file = store.join(TOKEN_FILE);
        let keep = |token: &str| keep_token(&file, token);
        if control.first_token(keep).await.map_err(prepare)? {
            let file = file.display();
            tracing::info!(%file, "admin token made");
        }
    }
    let listener = adopt(listener).map_err(|source| DoorError::Start { source })?;
    let stop = async {
        // Dropped or told, both mean it.
        drop(stopped.await);
    };
    let with = apply_when_serving(&control, with, serving, applied);
    let door = midge_control::serve(listener, tls, Arc::clone(&control), stop);
    tokio::select! {
        () = door => Ok(()),
        () = async { tokio::join!(with, control.tidy()); } => unreachable!("tidying has no end"),
    }
}

/// Deploys what `--with` names through a door of its own, once workers serve.
async fn apply_when_serving(
    control: &Arc<Control>,
    with: Vec<PathBuf>,
    mut serving: watch::Receiver<bool>,
    applied: oneshot::Sender<()>,
) {
    if serving.wait_for(|serving| *serving).await.is_err() {
        return;
    }
    if !with.is_empty()
        && let Err(error) = apply(control, &with).await
    {
        let reason = format!("{error:#}");
        tracing::error!(reason, "what --with names is not deployed");
    }
    // Nobody waits for it any more if the node is ending.
    applied.send(()).unwrap_or_default();
}

async fn apply(control: &Arc<Control>, with: &[PathBuf]) -> anyhow::Result<()> {
    // Plain, because a certificate is for another name; and for this while only.
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let namespace = NamespaceName::default();
    let token = control.local_token(WITH_NAME, Role::Deployer, Some(namespace.clone()))?;
    let client = Client::new(ClientConfig {
        url: format!("http://{address}"),
        token: Some(token),
        timeout: WITH_TIMEOUT,
        ca_pem: None,
    })?;
    let (done, until_done) = oneshot::channel::<()>();
    let stop = async { drop(until_done.await) };
    let door = midge_control::serve(listener, None, Arc::clone(control), stop);
    let deploy = async {
        let deployed = apply_all(&client, with, &namespace).await;
        drop(client);
        drop(done);
        deployed
    };
    let ((), deployed) = tokio::join!(door, deploy);
    deployed
}

async fn apply_all(
    client: &Client,
    with: &[PathBuf],
    namespace: &NamespaceName,
) -> anyhow::Result<()> {
    for path in with {
        for Deployed {
            change, revision, ..
        } in deploy::apply(client, path, namespace).await?
        {
            let function = &revision.function;
            let number = revision.number;
            tracing::info!(%function, revision = %number, ?change, "deployed at start");
        }
    }
    Ok(())
}

fn adopt(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Writes the token where the operator finds it, all of it or nothing.
fn keep_token(file: &Path, token: &str) -> io::Result<()> {
    let fresh = file.with_extension("token.new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(TOKEN_MODE)
        .open(&fresh)?;
    writeln!(written, "{token}")?;
    written.sync_all()?;
    std::fs::rename(&fresh, file)
}
