//! Files that export nothing to call.

use std::fmt;

use super::missing::{Missing, build_for};
use super::words::{NAMES_MAX, quoted, some_of};
use crate::contract::CALLED;

/// What a library exports that sets itself up and then waits to be called.
const INITIALIZE: &str = "_initialize";

/// A core module without `_start`, and what it exports instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoStart {
    exports: Vec<String>,
}

impl NoStart {
    pub(super) fn of(exports: &[String]) -> Self {
        // What linkers export for their own ends says nothing.
        let is_telling = |name: &&String| name.as_str() != "memory" && !name.starts_with("__");
        Self {
            exports: exports.iter().filter(is_telling).cloned().collect(),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        "build a command (a `main` function) for wasm32-wasip1, or a component that exports \
         `wasi:http/incoming-handler`"
    }
}

impl fmt::Display for NoStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("has no `_start`, so there is nothing to run")?;
        let names = self.exports.iter().map(|name| quoted(name));
        let names = some_of(names, NAMES_MAX);
        match self.exports.iter().any(|name| name == INITIALIZE) {
            _ if self.exports.is_empty() => Ok(()),
            true => write!(f, "; it is a library that exports {names}"),
            false => write!(f, "; it exports {names}"),
        }
    }
}

/// A component that exports nothing Midge can call, or only in other versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherWorld {
    exports: Vec<String>,
    missing: Option<Missing>,
}

impl OtherWorld {
    pub(super) fn of(exports: &[String], missing: Option<Missing>) -> Self {
        Self {
            exports: exports.to_vec(),
            missing,
        }
    }

    /// An export that is called in other versions: its name, its version and those.
    fn nearly(&self) -> Option<(&str, &str, &'static [&'static str])> {
        self.exports.iter().find_map(|export| {
            let (name, version) = export.rsplit_once('@')?;
            let (_, versions) = CALLED.iter().find(|(called, _)| *called == name)?;
            Some((export.as_str(), version, *versions))
        })
    }

    pub(super) fn hint(&self) -> String {
        match self.nearly() {
            Some((_, asked, versions)) => {
                build_for(asked, versions.first().copied().unwrap_or_default())
            }
            None => "export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3` or \
                     `wasi:cli/run`"
                .to_owned(),
        }
    }
}

impl fmt::Display for OtherWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((export, _, versions)) = self.nearly() {
            let versions = some_of(versions.iter(), usize::MAX);
            let export = quoted(export);
            return write!(
                f,
                "exports {export}, which this host calls in version {versions}"
            );
        }
        let names = self.exports.iter().map(|name| quoted(name));
        let exports = match self.exports.as_slice() {
            [] => "nothing".to_owned(),
            _ => some_of(names, NAMES_MAX),
        };
        write!(
            f,
            "exports none of the functions Midge can call, it exports {exports}"
        )?;
        match &self.missing {
            Some(missing) => write!(f, "; it {missing}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports;

    #[test]
    fn what_is_called_is_called_in_released_versions() {
        for (name, versions) in CALLED {
            assert_eq!(imports::as_released(versions[0]), versions[0], "{name}");
        }
    }
}
