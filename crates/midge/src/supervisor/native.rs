//! Native code for whoever needs it while the node runs: a deploy, or a worker whose cache was wiped.
//!
//! Looks into the cache, then has the component compiled; each component once for each namespace
//! that asks, however often. Compiling itself is `compilers.rs`, who compiles next is `places.rs`,
//! what is not tried again is `refusals.rs`.
//!
//! **Invariant:** at most [`MAKING_MAX`] components are looked for at a time, and no more compiled
//! than there are cores; a namespace has no more than its share of either.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};
use midge_model::{Digest, FunctionName, NamespaceName};
use midge_sandbox::{ArtifactCache, CacheError, Lookup};
use midge_store::{Artifacts, StoreError};

use super::compilers::{Compiler, CompilersError, Job, Source};
use super::places::Places;
use super::progress::Progress;
use super::refusals::Refusals;
use crate::cmd::fault::Hint;
use crate::machine;

/// Components that are waited for at a time. Whoever comes when so many are is told to try again.
const MAKING_MAX: usize = 256;

/// How many of them may be one namespace's.
const MAKING_OF_ONE_MAX: usize = MAKING_MAX / 2;

/// Where the bytes of components are.
#[derive(Debug)]
pub(crate) enum Components {
    /// In files.
    Files(RefCell<BTreeMap<Digest, PathBuf>>),
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
    places: Places,
    refusals: RefCell<Refusals>,
    making: RefCell<BTreeMap<Wanted, Making>>,
}

/// Who wants the native code of what. A namespace waits for its own place, however many others
/// want the same.
type Wanted = (NamespaceName, Digest);

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
    #[error("{making} components are being compiled already, try again")]
    Busy { making: usize },
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
            Self::Busy { .. } | Self::Store { .. } => None,
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
            places: Places::new(cores),
            refusals: RefCell::default(),
            making: RefCell::default(),
        })
    }

    /// Finds components in these files too, from now on.
    pub(crate) fn add_files(&self, more: BTreeMap<Digest, PathBuf>) {
        if let Components::Files(files) = &self.components {
            files.borrow_mut().extend(more);
        }
    }

    /// Finds these components in files, and no others.
    pub(crate) fn keep_files(&self, kept: &BTreeSet<Digest>) {
        if let Components::Files(files) = &self.components {
            files.borrow_mut().retain(|digest, _| kept.contains(digest));
        }
    }

    /// Native code of a component, from the cache or made now in a place of the namespace's. The
    /// function's name is for messages.
    /// It goes on being made when whoever asked gives up, if somebody else waits for it.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn make(
        self: &Rc<Self>,
        (namespace, function): (&NamespaceName, &FunctionName),
        digest: &Digest,
    ) -> Result<Found, Rc<NativeCodeError>> {
        let wanted = (namespace.clone(), *digest);
        let making = self.begin(function, &wanted)?;
        let made = making.await;
        self.making.borrow_mut().remove(&wanted);
        made
    }

    fn begin(
        self: &Rc<Self>,
        function: &FunctionName,
        wanted: &Wanted,
    ) -> Result<Making, Rc<NativeCodeError>> {
        let mut making = self.making.borrow_mut();
        if let Some(begun) = making.get(wanted) {
            return Ok(begun.clone());
        }
        // What nobody waits for any more has stopped, and says so by having one owner.
        making.retain(|_, making| making.strong_count().is_some_and(|owners| owners > 1));
        let own = making.keys().filter(|(name, _)| *name == wanted.0).count();
        if making.len() >= MAKING_MAX || own >= MAKING_OF_ONE_MAX {
            let making = making.len();
            return Err(Rc::new(NativeCodeError::Busy { making }));
        }
        let (this, function) = (Rc::clone(self), function.clone());
        let (namespace, digest) = wanted.clone();
        let make = async move {
            let made = this.find_or_compile(&namespace, function, digest).await;
            made.map_err(Rc::new)
        };
        let begun = make.boxed_local().shared();
        making.insert(wanted.clone(), begun.clone());
        Ok(begun)
    }

    async fn find_or_compile(
        &self,
        namespace: &NamespaceName,
        function: FunctionName,
        digest: Digest,
    ) -> Result<Found, NativeCodeError> {
        let found = Found {
            took: Duration::ZERO,
            cached: true,
        };
        if self.find(&function, digest).await? {
            return Ok(found);
        }
        self.try_no_bomb(&function, digest)?;
        let _place = self.places.place(namespace).await;
        // Another namespace may have had the same compiled while this one waited.
        if self.find(&function, digest).await? {
            return Ok(found);
        }
        self.try_no_bomb(&function, digest)?;
        // Only now: the bytes of all who wait would be too many to hold.
        let (source, size_bytes) = self.source(&function, digest).await?;
        let job = Job {
            function,
            source,
            digest,
            size_bytes,
        };
        let made = self.compiler.compile(&job, &self.progress).await;
        if let Err(CompilersError::OverLimit { limit, .. }) = &made {
            self.refusals.borrow_mut().remember(digest, limit.clone());
        }
        Ok(Found {
            took: made?.took,
            cached: false,
        })
    }

    /// Refuses a component that went over its budget a while ago, as it was refused then.
    fn try_no_bomb(&self, function: &FunctionName, digest: Digest) -> Result<(), CompilersError> {
        match self.refusals.borrow().limit_of(&digest) {
            None => Ok(()),
            Some(limit) => Err(CompilersError::OverLimit {
                function: function.clone(),
                limit,
            }),
        }
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
                let path = files.borrow().get(&digest).cloned().ok_or_else(gone)?;
                // Only progress is told how large it is.
                let size_bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
                Ok((Source::File(path), size_bytes))
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

#[cfg(test)]
mod tests {
    use midge_sandbox::{Engine, SandboxConfig};
    use tempfile::TempDir;

    use super::*;
    use crate::cmd::fault::chain;

    /// Compilers that have no time at all.
    fn native(dir: &TempDir, component: &[u8]) -> (Rc<NativeCode>, Digest, PathBuf) {
        let allocation = midge_sandbox::Allocation::OnDemand;
        let engine = Engine::new(&SandboxConfig {
            allocation,
            instances_max: 1,
        });
        let cache_dir = dir.path().join("cache");
        let cache = ArtifactCache::open(&cache_dir, &engine.unwrap()).unwrap();
        let compiler = Compiler {
            cache_dir,
            allocation,
            wall_time_max: Duration::ZERO,
        };
        let (path, digest) = (dir.path().join("bomb.wasm"), Digest::of(component));
        std::fs::write(&path, component).unwrap();
        let components = Components::Files(RefCell::new([(digest, path.clone())].into()));
        let native = NativeCode::new(cache, compiler, components, Progress::Logged);
        (native, digest, path)
    }

    #[tokio::test]
    async fn what_went_over_its_budget_is_refused_at_once_and_in_the_same_words() {
        let dir = tempfile::tempdir().unwrap();
        let (native, digest, path) = native(&dir, b"bomb");
        let function: FunctionName = "bomb".parse().unwrap();
        let refused = async |namespace: &str| {
            let namespace = namespace.parse().unwrap();
            let made = native.make((&namespace, &function), &digest).await;
            chain(&*made.unwrap_err())
        };
        let first = refused("evil").await;
        assert!(first.contains("it took more than"), "{first}");
        // A compiler could not even be given the bytes now.
        std::fs::remove_file(path).unwrap();
        assert_eq!(refused("evil").await, first);
        assert_eq!(refused("shop").await, first);
    }
}
