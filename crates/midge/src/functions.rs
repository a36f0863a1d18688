//! Which functions `midge run` was pointed at.
//!
//! Reads a single component or a manifest, puts the flags over it and resolves
//! paths. Parsing the manifest is midge-model; looking into components is the
//! sandbox.
//!
//! **Invariant:** a [`Function`] that comes out of here has limits within their
//! bounds, grants that do not undo each other, folders that exist, and routes
//! that collide with no other's.

use std::io;
use std::path::{Path, PathBuf};

use midge_model::{
    Digest, DirGrant, FunctionName, GrantConflict, Grants, LimitError, Limits, LimitsPatch,
    MANIFEST_BYTES_MAX, Manifest, ManifestError, NamespaceName, Revision, Route, RouteConflict,
    RouteTable,
};

use crate::cmd::fault::Hint;
use crate::config::Overrides;

/// The name of a manifest inside a folder.
const MANIFEST: &str = "midge.toml";

/// A function before its component was looked into.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// What it is called.
    pub(crate) name: FunctionName,
    /// The file it is in.
    pub(crate) component: PathBuf,
    /// Which requests it answers.
    pub(crate) routes: Vec<Route>,
    /// What it may take.
    pub(crate) limits: Limits,
    /// What it may touch.
    pub(crate) grants: Grants,
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
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("midge run FILE.wasm, or a folder with a midge.toml".to_owned())
            }
            Self::NoManifest { path } => Some(format!(
                "name a file, as in `midge run {}`, or write a {MANIFEST} there:\n    \
                 [function.hello]\n    component = \"hello.wasm\"",
                path.join("hello.wasm").display(),
            )),
            Self::Manifest { source, .. } => source.hint(),
            Self::Folder { path, .. } => Some(format!("mkdir -p {}", path.display())),
            Self::Routes { .. } => {
                Some("give one of them another path, method or host in `routes`".to_owned())
            }
            Self::Read { .. }
            | Self::ManifestTooLong { .. }
            | Self::Limits { .. }
            | Self::Grants { .. } => None,
        }
    }
}

/// The functions at `path`, with what was typed put over what was written.
///
/// # Errors
///
/// The first thing that is wrong; nothing was started.
pub(crate) fn read(path: &Path, typed: &Overrides) -> Result<Vec<Function>, FunctionsError> {
    let metadata = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    let functions = if metadata.is_dir() {
        let manifest = path.join(MANIFEST);
        if !manifest.is_file() {
            return Err(FunctionsError::NoManifest {
                path: path.to_owned(),
            });
        }
        from_manifest(&manifest, typed)?
    } else if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        from_manifest(path, typed)?
    } else {
        vec![single(path, typed)?]
    };
    check_routes(&functions)?;
    Ok(functions)
}

impl Function {
    /// The revision that this function is, once its bytes are known.
    pub(crate) fn revision(&self, digest: Digest) -> Revision {
        Revision {
            namespace: NamespaceName::default(),
            function: self.name.clone(),
            digest,
            grants: self.grants.clone(),
            limits: self.limits,
            routes: self.routes.clone(),
        }
    }
}

/// One file is the whole site.
fn single(path: &Path, typed: &Overrides) -> Result<Function, FunctionsError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let written = Written {
        name: FunctionName::from_file_stem(&stem),
        component: path.to_owned(),
        routes: vec!["/*".parse().expect("`/*` is a route")],
        limits: LimitsPatch::default(),
        grants: Grants::default(),
    };
    written.with(typed)
}

fn from_manifest(path: &Path, typed: &Overrides) -> Result<Vec<Function>, FunctionsError> {
    let text = std::fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(FunctionsError::ManifestTooLong {
            path: path.to_owned(),
        });
    }
    let manifest = Manifest::parse(&text).map_err(|source| FunctionsError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let functions = manifest.functions.into_iter().map(|(name, spec)| {
        let mut grants = spec.grants();
        for dir in &mut grants.dirs {
            // What a manifest names lies beside it, wherever the command was typed.
            dir.host = folder.join(&dir.host);
        }
        let component = folder.join(&spec.component);
        let written = Written {
            name,
            component,
            routes: spec.routes,
            limits: spec.limits,
            grants,
        };
        written.with(typed)
    });
    functions.collect()
}

/// A function as written, before the flags.
struct Written {
    name: FunctionName,
    component: PathBuf,
    routes: Vec<Route>,
    limits: LimitsPatch,
    grants: Grants,
}

impl Written {
    fn with(self, typed: &Overrides) -> Result<Function, FunctionsError> {
        let Self {
            name,
            component,
            routes,
            limits,
            mut grants,
        } = self;
        let limits = match typed.limits.or(limits).apply(&Limits::SAFE) {
            Ok(limits) => limits,
            Err(source) => {
                return Err(FunctionsError::Limits {
                    function: name,
                    source,
                });
            }
        };
        grants.env.extend(typed.env.clone());
        grants
            .dirs
            .retain(|dir| typed.dirs.iter().all(|typed| typed.guest != dir.guest));
        grants.dirs.extend(typed.dirs.iter().cloned());
        for dir in &mut grants.dirs {
            open_folder(dir).map_err(|source| FunctionsError::Folder {
                function: name.clone(),
                path: dir.host.clone(),
                source,
            })?;
        }
        // Checked after the paths are real ones: two names may lead into one tree.
        match grants.check() {
            Ok(()) => Ok(Function {
                name,
                component,
                routes,
                limits,
                grants,
            }),
            Err(source) => Err(FunctionsError::Grants {
                function: name,
                source: Box::new(source),
            }),
        }
    }
}

fn open_folder(dir: &mut DirGrant) -> io::Result<()> {
    let real = dir.host.canonicalize()?;
    if !real.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    dir.host = real;
    Ok(())
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
mod tests {
    use std::fs;

    use insta::assert_snapshot;
    use midge_model::DirMode;

    use super::*;

    /// What comes of this manifest, in a folder that also has a folder `data`.
    fn check(manifest: &str, typed: &Overrides) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let text = match read(folder.path(), typed) {
            Ok(functions) => functions
                .iter()
                .map(describe)
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => {
                let error = crate::cmd::fault::hinted(error);
                let hint = crate::cmd::fault::hint_of(&error)
                    .unwrap_or("none")
                    .to_owned();
                format!("{error:#}\nhint: {hint}")
            }
        };
        let real = folder.path().canonicalize().unwrap();
        text.replace(&*real.to_string_lossy(), "FOLDER")
    }

    fn describe(function: &Function) -> String {
        let Function {
            name,
            component,
            routes,
            limits,
            grants,
        } = function;
        let routes: Vec<_> = routes.iter().map(ToString::to_string).collect();
        let dirs: Vec<_> = grants.dirs.iter().map(ToString::to_string).collect();
        format!(
            "{name} {} {routes:?} time={:?} concurrency={} {:?} {dirs:?}",
            component.display(),
            limits.time,
            limits.concurrency,
            grants.env,
        )
    }

    fn typed(time_secs: Option<u64>, env: &[(&str, &str)], dirs: &[&str]) -> Overrides {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Overrides {
            limits: LimitsPatch {
                time: time_secs.map(std::time::Duration::from_secs),
                ..LimitsPatch::default()
            },
            env: env.iter().map(own).collect(),
            dirs: dirs.iter().map(|dir| dir.parse().unwrap()).collect(),
        }
    }

    const HELLO: &str = r#"
        [function.hello]
        component = "hello.wasm"
        limits = { time = "3s", concurrency = 7 }
        env = { LOG = "info", KEPT = "yes" }
        allow = { dirs = [{ host = "data", guest = "/data", mode = "rw" }] }
    "#;

    #[test]
    fn paths_in_a_manifest_start_from_its_folder() {
        assert_snapshot!(check(HELLO, &Overrides::default()), @r#"hello FOLDER/hello.wasm ["/hello/*"] time=3s concurrency=7 {"KEPT": "yes", "LOG": "info"} ["FOLDER/data:/data:rw"]"#);
    }

    #[test]
    fn flags_go_over_the_manifest() {
        let typed = typed(Some(1), &[("LOG", "debug")], &["/:/data:ro"]);
        assert_snapshot!(check(HELLO, &typed), @r#"hello FOLDER/hello.wasm ["/hello/*"] time=1s concurrency=7 {"KEPT": "yes", "LOG": "debug"} ["/:/data:ro"]"#);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        assert_snapshot!(check(HELLO, &typed(None, &[], &["/no/such:/x"])), @r"
        function hello: open folder `/no/such`: No such file or directory (os error 2)
        hint: mkdir -p /no/such
        ");
    }

    #[test]
    fn one_tree_is_not_granted_in_two_modes_under_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let read_only = DirGrant::new("/", "/a", DirMode::ReadOnly).unwrap();
        let writable = DirGrant::new(&link.to_string_lossy(), "/data", DirMode::ReadWrite).unwrap();
        let typed = Overrides {
            dirs: vec![read_only, writable],
            ..Overrides::default()
        };
        assert_snapshot!(check(HELLO, &typed), @r"
        function hello: directories `/:/a:ro` and `/:/data:rw` share host files but not the mode, give both the same mode or keep the trees apart
        hint: none
        ");
    }

    #[test]
    fn a_single_file_is_the_whole_site() {
        let file = tempfile::Builder::new()
            .prefix("Hello_")
            .suffix(".wasm")
            .tempfile()
            .unwrap();
        let functions = read(file.path(), &Overrides::default()).unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].routes, ["/*".parse().unwrap()]);
    }

    #[test]
    fn a_folder_without_a_manifest_says_what_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path(), &Overrides::default()).unwrap_err();
        assert!(matches!(error, FunctionsError::NoManifest { .. }));
        assert!(error.hint().unwrap().contains("[function.hello]"));
    }
}
