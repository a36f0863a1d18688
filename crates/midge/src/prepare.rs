//! From functions to revisions with native code.
//!
//! Looks each component up in the cache, inspects those that are not there and
//! has them compiled. Reading the manifest came before (`functions.rs`), the
//! compilers are `supervisor/compilers.rs`.
//!
//! **Invariant:** every component that cannot be run is refused before the
//! first one is compiled, because compiling may take minutes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use midge_model::{Digest, FunctionName, Revision};
use midge_sandbox::{ArtifactCache, CacheError, InspectError, Lookup, inspect};

use crate::cmd::fault::Hint;
use crate::components::{COMPONENT_BYTES_MAX, Component, ComponentError, Fetching};
use crate::functions::Function;
use crate::regular;
use crate::supervisor::{Compiler, CompilersError, Job, Made, Progress, Source};

/// Why functions did not become revisions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The component's file.
    #[error("function {function}: read `{}`", path.display())]
    Read {
        function: FunctionName,
        path: PathBuf,
        source: io::Error,
    },
    /// More than we are willing to hold in memory.
    #[error("function {function}: `{}` is larger than 1GiB, no component is", path.display())]
    TooLarge {
        function: FunctionName,
        path: PathBuf,
    },
    /// The component is somewhere else, and it did not come from there.
    #[error("function {function}")]
    Fetch {
        function: FunctionName,
        source: Box<ComponentError>,
    },
    /// The component cannot be run here.
    #[error("function {function}: `{component}`")]
    Inspect {
        function: FunctionName,
        component: Box<Component>,
        source: Box<InspectError>,
    },
    /// The cache cannot be used.
    #[error("open the cache of compiled code")]
    Cache { source: CacheError },
    /// No native code.
    #[error(transparent)]
    Compile(#[from] CompilersError),
}

impl Hint for PrepareError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("correct `component` in midge.toml".to_owned())
            }
            Self::Fetch { source, .. } => source.hint(),
            Self::Inspect { source, .. } => source.hint(),
            Self::Cache { source } => source.hint(),
            Self::Compile(error) => error.hint(),
            Self::Read { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Functions that can be loaded.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// One for each function, in the same order.
    pub(crate) revisions: Vec<Revision>,
    /// Where the component of each lies, in the same order.
    pub(crate) files: Vec<PathBuf>,
    /// Where native code lies, by component.
    pub(crate) artifacts: BTreeMap<Digest, PathBuf>,
    /// What was not in the cache before.
    pub(crate) made: Vec<Made>,
}

/// Revisions of all functions, compiled as far as that was needed.
///
/// # Errors
///
/// The first function that cannot be run.
pub(crate) async fn prepare(
    functions: &[Function],
    cache: &ArtifactCache,
    compiler: &Compiler,
    progress: &Progress,
) -> Result<Prepared, PrepareError> {
    let fetching = Fetching::Into(compiler.cache_dir.clone());
    let mut digests = Vec::with_capacity(functions.len());
    let mut files = Vec::with_capacity(functions.len());
    let mut artifacts = BTreeMap::new();
    let mut jobs = BTreeMap::new();
    for function in functions {
        let (file, source) = read(function, &fetching).await?;
        files.push(file.clone());
        let digest = Digest::of(&source);
        digests.push(digest);
        check_isolation(function, &source)?;
        if artifacts.contains_key(&digest) || jobs.contains_key(&digest) {
            continue;
        }
        match find(cache, &digest, function)? {
            Some(artifact) => drop(artifacts.insert(digest, artifact)),
            None => drop(jobs.insert(digest, job(function, (file, &source), digest)?)),
        }
    }
    let made = compiler
        .compile_all(jobs.into_values().collect(), progress)
        .await?;
    artifacts.extend(made.iter().map(|made| (made.digest, made.artifact.clone())));
    let revisions = functions
        .iter()
        .zip(digests)
        .map(|(function, digest)| function.revision(digest));
    Ok(Prepared {
        revisions: revisions.collect(),
        files,
        artifacts,
        made,
    })
}

/// The component's bytes, and the file that they are in now.
async fn read(
    function: &Function,
    fetching: &Fetching,
) -> Result<(PathBuf, Vec<u8>), PrepareError> {
    match &function.component {
        Component::File(path) => Ok((path.clone(), read_file(function, path)?)),
        Component::Elsewhere(pinned) => match fetching.get(pinned).await {
            Ok(fetched) => Ok((fetched.path, fetched.component)),
            Err(source) => Err(PrepareError::Fetch {
                function: function.name.clone(),
                source: source.into(),
            }),
        },
    }
}

fn read_file(function: &Function, path: &Path) -> Result<Vec<u8>, PrepareError> {
    regular::read(path, COMPONENT_BYTES_MAX).map_err(|source| {
        let (function, path) = (function.name.clone(), path.to_owned());
        match source.kind() {
            io::ErrorKind::FileTooLarge => PrepareError::TooLarge { function, path },
            _ => PrepareError::Read {
                function,
                path,
                source,
            },
        }
    })
}

/// The component's native code, if it is there and sound.
fn find(
    cache: &ArtifactCache,
    digest: &Digest,
    function: &Function,
) -> Result<Option<PathBuf>, PrepareError> {
    match cache
        .find(digest)
        .map_err(|source| PrepareError::Cache { source })?
    {
        Lookup::Hit(artifact) => Ok(Some(artifact)),
        Lookup::Miss => Ok(None),
        Lookup::Dropped { why } => {
            tracing::warn!(function = %function.name, why, "cached code dropped, compiling again");
            Ok(None)
        }
    }
}

/// Looks into every component whose instances are to be used again: one file may be several
/// functions.
fn check_isolation(function: &Function, source: &[u8]) -> Result<(), PrepareError> {
    if function.isolation.is_fresh() {
        return Ok(());
    }
    let checked = inspect(source).and_then(|file| file.reusable().check(&function.isolation));
    checked.map_err(|source| unfit(function, source))
}

fn unfit(function: &Function, source: InspectError) -> PrepareError {
    PrepareError::Inspect {
        function: function.name.clone(),
        component: function.component.clone().into(),
        source: Box::new(source),
    }
}

/// A component that is not in the cache is new to us and is looked into before it is compiled.
fn job(
    function: &Function,
    (file, source): (PathBuf, &[u8]),
    digest: Digest,
) -> Result<Job, PrepareError> {
    let checked = inspect(source).and_then(|file| file.check_imports().map(|()| file));
    let inspection = checked.map_err(|source| unfit(function, source))?;
    Ok(Job {
        function: function.name.clone(),
        source: Source::File(file),
        digest,
        size_bytes: inspection.size_bytes,
    })
}
