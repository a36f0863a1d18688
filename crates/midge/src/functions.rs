//! Which functions a command was pointed at.
//!
//! Reads a single component or a manifest, as `midge deploy` sends it; for `midge run` puts the
//! flags over it (`functions/written.rs`) and resolves paths. Parsing the manifest is midge-model;
//! looking into components is the sandbox; what the operator allows is `policy.rs`.
//!
//! **Invariant:** a [`Function`] that comes out of here has limits within their
//! bounds, grants that do not undo each other, folders that exist, and routes
//! that collide with no other's.

mod projects;
mod written;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use midge_build::quoted;
use midge_model::{
    ComponentSource, ComponentSourceError, Digest, FunctionName, GrantConflict, Grants, Isolation,
    LimitError, Limits, MANIFEST_BYTES_MAX, Manifest, ManifestError, NamespaceName,
    PinnedComponent, Policy, Revision, Route, RouteConflict, RouteTable, SecretText,
};

pub(crate) use self::projects::{Buildable, buildable, check_built};
pub(crate) use self::written::Written;
use crate::cmd::fault::{Hint, with_hint};
use crate::components::Component;
use crate::config::Overrides;
use crate::regular;

/// The name of a manifest inside a folder.
pub(crate) const MANIFEST: &str = "midge.toml";

/// A function before its component was looked into.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// What it is called.
    pub(crate) name: FunctionName,
    /// Where its component is.
    pub(crate) component: Component,
    /// Which requests it answers.
    pub(crate) routes: Vec<Route>,
    /// What it may take.
    pub(crate) limits: Limits,
    /// What its invocations share.
    pub(crate) isolation: Isolation,
    /// What it may touch.
    pub(crate) grants: Grants,
    /// The values of the secrets among that, by name.
    pub(crate) secrets: BTreeMap<String, SecretText>,
}

/// Why there are no functions to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FunctionsError {
    /// A path that leads nowhere, or that we may not read.
    #[error("read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A folder that nobody wrote a manifest for.
    #[error("folder `{}` has no `{MANIFEST}`", path.display())]
    NoManifest { path: PathBuf },
    /// No person wrote this.
    #[error("`{}` is longer than {MANIFEST_BYTES_MAX} bytes, no manifest is", path.display())]
    ManifestTooLong { path: PathBuf },
    /// The manifest is wrong; the source says where.
    #[error("{}", path.display())]
    Manifest {
        path: PathBuf,
        source: ManifestError,
    },
    /// A component that is somewhere else, and nobody can tell where or which.
    #[error(transparent)]
    Elsewhere(#[from] ComponentSourceError),
    /// Out of bounds.
    #[error("function {function}")]
    Limits {
        function: FunctionName,
        source: LimitError,
    },
    /// Two grants that undo each other.
    #[error("function {function}")]
    Grants {
        function: FunctionName,
        source: Box<GrantConflict>,
    },
    /// A folder that is to be granted and is not there.
    #[error("function {function}: open folder `{}`", path.display())]
    Folder {
        function: FunctionName,
        path: PathBuf,
        source: io::Error,
    },
    /// A name that the manifest does not have.
    #[error("`{}` has no function {function}", path.display())]
    Unknown {
        function: FunctionName,
        path: PathBuf,
    },
    /// A single file, which nothing says how to build of.
    #[error("`{}` is neither a folder nor a manifest", path.display())]
    NoProject { path: PathBuf },
    /// Nobody said how it is built, and more than one could be meant by the folder.
    #[error("nothing says how function {function} is built")]
    Unbuildable { function: FunctionName },
    /// A component that was not built yet, as a rule.
    #[error("function {function}: there is no `{}`", file.display())]
    NotBuilt {
        function: FunctionName,
        file: PathBuf,
        hint: String,
    },
    /// Requests that two functions would answer.
    #[error("functions {first} and {second}")]
    Routes {
        first: FunctionName,
        second: FunctionName,
        source: Box<RouteConflict>,
    },
}

impl Hint for FunctionsError {
    fn hint(&self) -> Option<String> {
        self.hint_for("run")
    }
}

impl FunctionsError {
    /// The error with what to type instead of what was typed for this command.
    pub(crate) fn hinted_for(self, command: &str) -> anyhow::Error {
        match self.hint_for(command) {
            Some(hint) => with_hint(self.into(), hint),
            None => self.into(),
        }
    }

    /// What to type instead of what was typed for this command.
    pub(crate) fn hint_for(&self, command: &str) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(match command {
                    "build" => format!("midge build FOLDER, with a {MANIFEST} or sources in it"),
                    _ => format!("midge {command} FILE.wasm, or a folder with a {MANIFEST}"),
                })
            }
            Self::NoManifest { .. } if command == "build" => Some(format!(
                "begin with `midge new`, or write a {MANIFEST} there:\n    \
                 [function.hello]\n    component = \"hello.wasm\"\n    build = \"…\""
            )),
            Self::NoProject { path } => Some(match path.parent() {
                Some(folder) if folder != Path::new("") => {
                    format!("midge build {}", quoted(&folder.to_string_lossy()))
                }
                _ => "midge build".to_owned(),
            }),
            Self::NoManifest { path } => Some(format!(
                "name a file, as in `midge {command} {}`, or write a {MANIFEST} there:\n    \
                 [function.hello]\n    component = \"hello.wasm\"",
                quoted(&path.join("hello.wasm").to_string_lossy()),
            )),
            Self::Manifest { source, .. } => source.hint(),
            Self::Elsewhere(error) => error.hint(),
            Self::Folder { path, .. } => {
                Some(format!("mkdir -p {}", quoted(&path.to_string_lossy())))
            }
            Self::Routes { .. } => {
                Some("give one of them another path, method or host in `routes`".to_owned())
            }
            Self::Unbuildable { function } => Some(format!(
                "write `build = \"…\"` into [function.{function}], or keep its sources in a folder \
                 `{function}` beside the manifest"
            )),
            Self::NotBuilt { hint, .. } => Some(hint.clone()),
            Self::Read { .. }
            | Self::Unknown { .. }
            | Self::ManifestTooLong { .. }
            | Self::Limits { .. }
            | Self::Grants { .. } => None,
        }
    }
}

/// Functions as somebody wrote them, before anything on this machine was looked for.
#[derive(Debug)]
pub(crate) struct Source {
    /// Where the manifest lies; `None` for a single component.
    folder: Option<PathBuf>,
    /// The functions.
    pub(crate) functions: Vec<Written>,
}

/// The functions at `path` as written: components are where they lie, folders to grant are not
/// looked for.
///
/// # Errors
///
/// The first thing that is wrong.
pub(crate) fn source(path: &Path) -> Result<Source, FunctionsError> {
    if let Some(manifest) = manifest_at(path)? {
        return from_manifest(&manifest);
    }
    let component = match elsewhere(path)? {
        Some(pinned) => Component::Elsewhere(pinned),
        None => Component::File(path.to_owned()),
    };
    Ok(Source {
        folder: None,
        functions: vec![Written::single(component)],
    })
}

/// The functions at `path`, with what was typed put over what was written. Who asks for no limits
/// gets the safe ones, as far as the policy allows those.
///
/// # Errors
///
/// The first thing that is wrong; nothing was started.
pub(crate) fn read(
    path: &Path,
    typed: &Overrides,
    policy: &Policy,
) -> Result<Vec<Function>, FunctionsError> {
    let base = policy.lower(&NamespaceName::default(), &Limits::SAFE);
    let Source { folder, functions } = source(path)?;
    let functions = functions.into_iter().map(|written| {
        let placed = match &folder {
            Some(folder) => written.beside(folder),
            None => written.alone(&typed.secrets),
        };
        placed.with(typed, &base)
    });
    let functions = functions.collect::<Result<Vec<_>, _>>()?;
    check_routes(&functions)?;
    Ok(functions)
}

/// The manifest that `path` names or holds; `None` where it is a component.
///
/// # Errors
///
/// There is nothing at `path`, or it is a folder without a manifest.
pub(crate) fn manifest_at(path: &Path) -> Result<Option<PathBuf>, FunctionsError> {
    if elsewhere(path)?.is_some() {
        return Ok(None);
    }
    let metadata = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if metadata.is_dir() {
        let manifest = path.join(MANIFEST);
        if !manifest.is_file() {
            return Err(FunctionsError::NoManifest {
                path: path.to_owned(),
            });
        }
        return Ok(Some(manifest));
    }
    let is_manifest = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    Ok(is_manifest.then(|| path.to_owned()))
}

/// The component that `path` names where it is the place of one, and no path of this machine's.
///
/// # Errors
///
/// It is a place that cannot be, or one without a digest.
pub(crate) fn elsewhere(path: &Path) -> Result<Option<PinnedComponent>, FunctionsError> {
    let Some(text) = path.to_str() else {
        return Ok(None);
    };
    match text.parse()? {
        ComponentSource::Path(_) => Ok(None),
        ComponentSource::Pinned(pinned) => Ok(Some(pinned)),
    }
}

/// Whether `path` is a file with a component, and no manifest and no folder.
pub(crate) fn is_component(path: &Path) -> bool {
    path.is_file() && path.extension().is_none_or(|extension| extension != "toml")
}

impl Function {
    /// Its name, and where its component is.
    pub(crate) fn component(&self) -> (&FunctionName, &Component) {
        (&self.name, &self.component)
    }

    /// The revision that this function is, once its bytes are known.
    pub(crate) fn revision(&self, digest: Digest) -> Revision {
        Revision {
            namespace: NamespaceName::default(),
            function: self.name.clone(),
            number: midge_model::RevisionNumber::FIRST,
            digest,
            grants: self.grants.clone(),
            limits: self.limits,
            isolation: self.isolation,
            routes: self.routes.clone(),
        }
    }
}

fn from_manifest(path: &Path) -> Result<Source, FunctionsError> {
    let text = match regular::read_text(path, MANIFEST_BYTES_MAX as u64) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let path = path.to_owned();
            return Err(FunctionsError::ManifestTooLong { path });
        }
        Err(source) => return Err(unreadable(path, source)),
    };
    let manifest = Manifest::parse(&text).map_err(|source| FunctionsError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let functions = manifest.functions.into_iter();
    Ok(Source {
        folder: Some(folder.to_owned()),
        functions: functions
            .map(|(name, spec)| Written::from_spec(name, spec, folder))
            .collect(),
    })
}

fn check_routes(functions: &[Function]) -> Result<(), FunctionsError> {
    let by_route = |function: &Function| {
        let name = function.name.clone();
        function
            .routes
            .clone()
            .into_iter()
            .map(move |route| (route, name.clone()))
    };
    let entries: Vec<_> = functions.iter().flat_map(by_route).collect();
    match RouteTable::new(entries.clone()) {
        Ok(_) => Ok(()),
        Err(source) => Err(FunctionsError::Routes {
            first: entries[source.first_index].1.clone(),
            second: entries[source.second_index].1.clone(),
            source: Box::new(source),
        }),
    }
}

fn unreadable(path: &Path, source: io::Error) -> FunctionsError {
    FunctionsError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
