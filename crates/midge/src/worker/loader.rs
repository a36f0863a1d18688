//! From a revision to something that runs: native code found, mapped and linked.
//!
//! Whatever waits for the disk does so on another thread. Native code that is not in the cache is
//! asked for from the supervisor, which has it made; so a cache that was wiped heals itself. When
//! a revision is loaded is the runtime's business.
//!
//! **Invariant:** nothing compiles here, and nothing here blocks the worker's thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use midge_model::Digest;
use midge_runtime::{Deployment, LoadFailure, LoadedFunction, Loader};
use midge_sandbox::{ArtifactCache, CacheError, LoadError, Lookup, Mapped, Sandbox};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::folders::{self, FolderError};
use crate::cmd::fault::chain;
use crate::protocol::{Event, FunctionKey};

/// Revisions that are read and mapped at a time. More would only wait for the same disk.
const LOADS_MAX: usize = 4;

/// Loads revisions for one worker.
pub(super) struct NativeLoader {
    sandbox: Sandbox,
    cache: ArtifactCache,
    /// Where folders of functions are made when they are first needed.
    data_root: Option<PathBuf>,
    permits: Semaphore,
    /// Who waits for native code, by component.
    asked: RefCell<BTreeMap<Digest, Vec<oneshot::Sender<Option<String>>>>>,
    events: mpsc::Sender<Event>,
}

/// Why a revision was not loaded.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("make folder")]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}")]
    NoCode(String),
}

/// What one look at the disk came to.
enum Looked {
    /// The code, mapped.
    Mapped(Box<Mapped>),
    /// There is none.
    Missing,
    /// There was something, which is gone now.
    Dropped(String),
}

impl NativeLoader {
    /// A loader into this sandbox, from this cache.
    pub(super) fn new(
        sandbox: Sandbox,
        cache: ArtifactCache,
        data_root: Option<PathBuf>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            sandbox,
            cache,
            data_root,
            permits: Semaphore::new(LOADS_MAX),
            asked: RefCell::default(),
            events,
        }
    }

    /// The supervisor says what became of native code that was asked for.
    pub(super) fn answered(&self, digest: &Digest, fault: Option<&str>) {
        let waiting = self.asked.borrow_mut().remove(digest);
        for answer in waiting.into_iter().flatten() {
            // Whoever waited may have gone.
            drop(answer.send(fault.map(str::to_owned)));
        }
    }

    async fn load_now(&self, deployment: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, Fault> {
        let mapped = match self.look(deployment).await? {
            Looked::Mapped(mapped) => mapped,
            looked => {
                if let Looked::Dropped(why) = looked {
                    let function = &deployment.revision.function;
                    tracing::warn!(%function, why, "cached code dropped, compiling again");
                }
                self.ask_for_code(deployment).await?;
                match self.look(deployment).await? {
                    Looked::Mapped(mapped) => mapped,
                    Looked::Missing | Looked::Dropped(_) => {
                        let reason = "native code is not in the cache although it was just made";
                        return Err(Fault::NoCode(reason.to_owned()));
                    }
                }
            }
        };
        Ok(self.sandbox.link(*mapped)?)
    }

    /// Looks native code up, checks and maps it, on a thread that may wait.
    async fn look(&self, deployment: &Arc<Deployment>) -> Result<Looked, Fault> {
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let (cache, mapper) = (self.cache.clone(), self.sandbox.mapper());
        let (deployment, data_root) = (Arc::clone(deployment), self.data_root.clone());
        let look = tokio::task::spawn_blocking(move || {
            if let Some(root) = &data_root {
                folders::make(root, &deployment.revision)?;
            }
            Ok(match cache.find(&deployment.revision.digest)? {
                Lookup::Hit(path) => Looked::Mapped(Box::new(mapper.map(&path, deployment)?)),
                Lookup::Miss => Looked::Missing,
                Lookup::Dropped { why } => Looked::Dropped(why),
            })
        });
        look.await.expect("loading does not panic")
    }

    /// Resolves when the supervisor has had the native code made, or has said why not.
    async fn ask_for_code(&self, deployment: &Deployment) -> Result<(), Fault> {
        let revision = &deployment.revision;
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut asked = self.asked.borrow_mut();
            let waiting = asked.entry(revision.digest).or_default();
            waiting.retain(|other| !other.is_closed());
            waiting.push(answer);
            waiting.len() == 1
        };
        if is_first {
            let key = FunctionKey {
                namespace: revision.namespace.clone(),
                function: revision.function.clone(),
            };
            let digest = revision.digest;
            let event = Event::NeedsNativeCode { key, digest };
            // Without a supervisor nobody answers, and the worker is about to end.
            drop(self.events.send(event).await);
        }
        match answered.await {
            Ok(None) => Ok(()),
            Ok(Some(fault)) => Err(Fault::NoCode(fault)),
            Err(_) => Err(Fault::NoCode("the worker is ending".to_owned())),
        }
    }
}

#[async_trait(?Send)]
impl Loader for NativeLoader {
    async fn load(&self, deployment: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, LoadFailure> {
        self.load_now(deployment)
            .await
            .map_err(|fault| LoadFailure {
                message: chain(&fault),
            })
    }
}
