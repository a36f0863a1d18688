//! One function as its manifest wrote it, and what becomes of it with the flags over it.
//!
//! **Invariant:** what [`Written`] has is what somebody wrote, and no path in it was made up; the
//! folders of a [`Function`] exist, under their real paths.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use midge_model::{
    ComponentSource, DirGrant, FunctionName, FunctionSpec, Grants, Isolation, Limits, LimitsPatch,
    Route, SecretGrant,
};

use super::{Function, FunctionsError};
use crate::components::Component;
use crate::config::Overrides;

/// A function as written, before the flags.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// What it is called.
    pub(crate) name: FunctionName,
    /// Where its component is.
    pub(crate) component: Component,
    /// The command line that builds it, where somebody said.
    pub(crate) build: Option<String>,
    /// Which requests it answers; none where nobody said.
    pub(crate) routes: Vec<Route>,
    /// The limits it wants different.
    pub(crate) limits: LimitsPatch,
    /// What its invocations share, where somebody said.
    pub(crate) isolation: Option<Isolation>,
    /// What it asks to touch, folders as written.
    pub(crate) grants: Grants,
    /// How many revisions of it are to be kept, where somebody said.
    pub(crate) keep: Option<u32>,
}

impl Written {
    /// Its name, and where its component is.
    pub(crate) fn component(&self) -> (&FunctionName, &Component) {
        (&self.name, &self.component)
    }

    /// A function that only has a component.
    pub(super) fn single(component: Component) -> Self {
        Self {
            name: component.function_name(),
            component,
            build: None,
            routes: Vec::new(),
            limits: LimitsPatch::default(),
            isolation: None,
            grants: Grants::default(),
            keep: None,
        }
    }

    /// A function of the manifest in `folder`.
    pub(super) fn from_spec(name: FunctionName, spec: FunctionSpec, folder: &Path) -> Self {
        let grants = spec.grants();
        Self {
            name,
            component: match spec.component {
                ComponentSource::Path(path) => Component::File(folder.join(path)),
                ComponentSource::Pinned(pinned) => Component::Elsewhere(pinned),
            },
            grants,
            build: spec.build,
            routes: spec.routes,
            limits: spec.limits,
            isolation: spec.isolation,
            keep: spec.keep,
        }
    }

    /// The same on this machine: what a manifest names lies beside it, wherever the command was
    /// typed.
    pub(super) fn beside(mut self, folder: &Path) -> Self {
        for dir in &mut self.grants.dirs {
            dir.host = folder.join(&dir.host);
        }
        self
    }

    /// The same as the whole site. No manifest says who gets the secrets that were typed, and there
    /// is nobody else.
    pub(super) fn alone(mut self, secrets: &[SecretGrant]) -> Self {
        self.routes = vec!["/*".parse().expect("`/*` is a route")];
        self.grants.secrets = secrets.to_vec();
        self
    }

    /// The function that comes of it: flags over manifest, manifest over `base`.
    ///
    /// # Errors
    ///
    /// Limits out of bounds, folders that are not there, grants that undo each other.
    pub(super) fn with(self, typed: &Overrides, base: &Limits) -> Result<Function, FunctionsError> {
        let limits = match typed.limits.or(self.limits).apply(base) {
            Ok(limits) => limits,
            Err(source) => {
                return Err(FunctionsError::Limits {
                    function: self.name,
                    source,
                });
            }
        };
        let mut grants = with_typed(self.grants, &typed.grants);
        for dir in &mut grants.dirs {
            open_folder(dir).map_err(|source| FunctionsError::Folder {
                function: self.name.clone(),
                path: dir.host.clone(),
                source,
            })?;
        }
        // Checked after the paths are real ones: two names may lead into one tree.
        match grants.check() {
            Ok(()) => Ok(Function {
                name: self.name,
                component: self.component,
                routes: self.routes,
                limits,
                isolation: typed.isolation.or(self.isolation).unwrap_or_default(),
                grants,
                secrets: BTreeMap::new(),
            }),
            Err(source) => Err(FunctionsError::Grants {
                function: self.name,
                source: Box::new(source),
            }),
        }
    }
}

/// What was typed comes on top. Where there can be only one, a variable of a name or a folder at a
/// path, it goes in place of what was written.
fn with_typed(mut grants: Grants, typed: &Grants) -> Grants {
    grants.env.extend(typed.env.clone());
    if !typed.args.is_empty() {
        grants.args.clone_from(&typed.args);
    }
    grants
        .dirs
        .retain(|dir| typed.dirs.iter().all(|typed| typed.guest != dir.guest));
    grants.dirs.extend(typed.dirs.iter().cloned());
    add(&mut grants.http, &typed.http);
    add(&mut grants.tcp, &typed.tcp);
    add(&mut grants.udp, &typed.udp);
    add(&mut grants.dns, &typed.dns);
    add(&mut grants.kv, &typed.kv);
    grants.tmp_bytes = typed.tmp_bytes.or(grants.tmp_bytes);
    grants
}

fn add<T: Clone + PartialEq>(written: &mut Vec<T>, typed: &[T]) {
    for grant in typed {
        if !written.contains(grant) {
            written.push(grant.clone());
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
