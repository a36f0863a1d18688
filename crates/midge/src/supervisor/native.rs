//! Native code for whoever needs it while the node runs: a deploy, or a worker whose cache was wiped.
//!
//! Looks into the cache, then has the component compiled; each component once, however many ask.
//! Compiling itself is `compilers.rs`.
//!
//! **Invariant:** at most [`MAKING_MAX`] components are looked for at a time, and no more compiled
//! than there are cores.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};
use midge_model::{Digest, FunctionName};
use midge_sandbox::{ArtifactCache, CacheError, Lookup};
use midge_store::{Artifacts, StoreError};
use tokio::sync::Semaphore;

use super::compilers::{Compiler, CompilersError, Job, Source};
use super::progress::Progress;
use crate::cmd::fault::Hint;
use crate::machine;

/// Components that are waited for at a time. Whoever comes when so many are is told to try again.
const MAKING_MAX: usize = 256;

/// Where the bytes of components are.
#[derive(Debug)]
pub(crate) enum Components {
    /// In files.
    Files(BTreeMap<Digest, PathBuf>),
    /// In the store.
    Store(Arc<dyn Artifacts>),
}

/// Looks native code up, and has it made.
#[derive(Debug)]
pub(crate) struct NativeCode {
    cache: ArtifactCache,
    compiler: Compiler,
    components: Components,
    progress: Progress,
    permits: Semaphore,
    making: RefCell<BTreeMap<Digest, Making>>,
}

type Making = Shared<LocalBoxFuture<'static, Result<Found, Rc<NativeCodeError>>>>;

/// Native code that is in the cache now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// How long it took to make; nothing, if it was there.
    pub(crate) took: Duration,
    /// Whether it was there.
    pub(crate) cached: bool,
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NativeCodeError {
    /// Too many ask.
    #[error("{MAKING_MAX} components are being compiled already, try again")]
    Busy,
    /// Nobody has the component.
    #[error("component {digest} of function {function} is not there any more")]
    Gone {
        function: FunctionName,
        digest: Digest,
    },
    /// The store did not give it.
    #[error("read component {digest} of function {function}")]
    Store {
        function: FunctionName,
        digest: Digest,
        source: StoreError,
    },
    /// The cache cannot be used.
    #[error("open the cache of compiled code")]
    Cache { source: CacheError },
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompilersError),
}

impl Hint for NativeCodeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Compile(error) => error.hint(),
            Self::Cache { source } => source.hint(),
            Self::Gone { .. } => Some("deploy it again".to_owned()),
            Self::Busy | Self::Store { .. } => None,
        }
    }
}

impl NativeCode {
    /// Native code of these components, in this cache.
    pub(crate) fn new(
        cache: ArtifactCache,
        compiler: Compiler,
        components: Components,
        progress: Progress,
    ) -> Rc<Self> {
        let cores = usize::try_from(machine::cores().get()).unwrap_or(1);
        Rc::new(Self {
            cache,
            compiler,
            components,
            progress,
            permits: Semaphore::new(cores),
            making: RefCell::default(),
        })
    }

    /// Native code of a component, from the cache or made now. The function's name is for messages.
    /// It goes on being made when whoever asked gives up, if somebody else waits for it.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn make(
        self: &Rc<Self>,
        function: &FunctionName,
        digest: &Digest,
    ) -> Result<Found, Rc<NativeCodeError>> {
        let making = self.begin(function, digest)?;
        let made = making.await;
        self.making.borrow_mut().remove(digest);
        made
    }

    fn begin(
        self: &Rc<Self>,
        function: &FunctionName,
        digest: &Digest,
    ) -> Result<Making, Rc<NativeCodeError>> {
        let mut making = self.making.borrow_mut();
        if let Some(begun) = making.get(digest) {
            return Ok(begun.clone());
        }
        // What nobody waits for any more has stopped, and says so by having one owner.
        making.retain(|_, making| making.strong_count().is_some_and(|owners| owners > 1));
        if making.len() >= MAKING_MAX {
            return Err(Rc::new(NativeCodeError::Busy));
        }
        let (this, function, digest) = (Rc::clone(self), function.clone(), *digest);
        let make = async move {
            this.find_or_compile(function, digest)
                .await
                .map_err(Rc::new)
        };
        let begun = make.boxed_local().shared();
        making.insert(digest, begun.clone());
        Ok(begun)
    }

    async fn find_or_compile(
        &self,
        function: FunctionName,
        digest: Digest,
    ) -> Result<Found, NativeCodeError> {
        if self.find(&function, digest).await? {
            return Ok(Found {
                took: Duration::ZERO,
                cached: true,
            });
        }
        let (source, size_bytes) = self.source(&function, digest).await?;
        let job = Job {
            function,
            source,
            digest,
            size_bytes,
        };
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let made = self.compiler.compile(&job, &self.progress).await?;
        Ok(Found {
            took: made.took,
            cached: false,
        })
    }

    /// Whether sound native code is in the cache. Hashing it is not for this thread.
    async fn find(&self, function: &FunctionName, digest: Digest) -> Result<bool, NativeCodeError> {
        let cache = self.cache.clone();
        let look_up = tokio::task::spawn_blocking(move || cache.find(&digest));
        let lookup = look_up.await.expect("looking up does not panic");
        match lookup.map_err(|source| NativeCodeError::Cache { source })? {
            Lookup::Hit(_) => Ok(true),
            Lookup::Miss => Ok(false),
            Lookup::Dropped { why } => {
                tracing::warn!(%function, why, "cached code dropped, compiling again");
                Ok(false)
            }
        }
    }

    async fn source(
        &self,
        function: &FunctionName,
        digest: Digest,
    ) -> Result<(Source, u64), NativeCodeError> {
        let gone = || NativeCodeError::Gone {
            function: function.clone(),
            digest,
        };
        match &self.components {
            Components::Files(files) => {
                let path = files.get(&digest).ok_or_else(gone)?;
                // Only progress is told how large it is.
                let size_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
                Ok((Source::File(path.clone()), size_bytes))
            }
            Components::Store(artifacts) => {
                let bytes = artifacts.get(&digest).await;
                let bytes = bytes.map_err(|source| NativeCodeError::Store {
                    function: function.clone(),
                    digest,
                    source,
                })?;
                let bytes = bytes.ok_or_else(gone)?;
                let size_bytes = bytes.len() as u64;
                Ok((Source::Bytes(bytes), size_bytes))
            }
        }
    }
}
