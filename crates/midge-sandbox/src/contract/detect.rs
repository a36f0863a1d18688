//! Which contract a file follows, told from what it exports.
//!
//! How a file of that contract is run is the rest of this folder.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one.

use std::fmt;

use midge_model::IsolationLevel;
use serde::Serialize;

use crate::imports::{self, CANDIDATE_RELEASED_AS_IT_WAS};

/// What is called, in which versions, a release first: for who exports another version.
pub(crate) const CALLED: &[(&str, &[&str])] = &[
    ("wasi:http/incoming-handler", &["0.2"]),
    ("wasi:http/handler", &["0.3", CANDIDATE_RELEASED_AS_IT_WAS]),
    (
        "wasi:cli/run",
        &["0.2", "0.3", CANDIDATE_RELEASED_AS_IT_WAS],
    ),
];

/// How a file is run. Detected, never declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contract {
    /// Component exporting `wasi:http/incoming-handler@0.2.*`.
    Http02,
    /// Component exporting `wasi:http/handler@0.3.*`.
    Http03,
    /// Component exporting `wasi:cli/run@0.2.*`: a command that speaks CGI/1.1 (RFC 3875).
    Command02,
    /// Component exporting `wasi:cli/run@0.3.*`: the same with component-model async.
    Command03,
    /// Core module importing WASI preview 1 and exporting `_start`: a command, run as it is.
    Command01,
    /// Core module with an embedded component type: becomes a component when compiled.
    AdaptedModule,
}

impl Contract {
    /// The contract of a component with these exports; HTTP wins over command, and the
    /// newer version over the older, where a component offers several.
    pub(crate) fn of_exports(exports: &[&str]) -> Option<Self> {
        const KNOWN: &[(&str, Contract)] = &[
            ("wasi:http/handler@0.3.", Contract::Http03),
            ("wasi:http/incoming-handler@0.2.", Contract::Http02),
            ("wasi:cli/run@0.3.", Contract::Command03),
            ("wasi:cli/run@0.2.", Contract::Command02),
        ];
        KNOWN
            .iter()
            .find(|(prefix, _)| exports.iter().any(|export| is_release(prefix, export)))
            .map(|&(_, contract)| contract)
    }

    /// The widest isolation that its instances can have, and why no wider one.
    pub(crate) fn widest_isolation(self) -> (IsolationLevel, &'static str) {
        match self {
            Self::Http03 => (IsolationLevel::Shared, "there is no wider one"),
            Self::Http02 => (
                IsolationLevel::Serial,
                "an HTTP handler of WASI 0.2 answers one request at a time",
            ),
            Self::Command02 | Self::Command03 | Self::Command01 => (
                IsolationLevel::Fresh,
                "a command runs once, from the start of its `main` to its end",
            ),
            // Until it is made into a component nobody can tell.
            Self::AdaptedModule => (IsolationLevel::Shared, "there is no wider one"),
        }
    }
}

/// Whether an export is of the release that `prefix` names. A release candidate
/// (`0.3.0-rc-2026-01-06`) is another interface with the same beginning, unless nothing changed.
fn is_release(prefix: &str, export: &str) -> bool {
    let Some((name, version)) = export.rsplit_once('@') else {
        return false;
    };
    format!("{name}@{}", imports::as_released(version))
        .strip_prefix(prefix)
        .is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http02 => "HTTP handler, WASI 0.2",
            Self::Http03 => "HTTP handler, WASI 0.3",
            Self::Command02 => "command (CGI), WASI 0.2",
            Self::Command03 => "command (CGI), WASI 0.3",
            Self::Command01 => "command (CGI), WASI preview 1 core module",
            Self::AdaptedModule => "core module with an embedded component type",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_candidate_is_another_interface() {
        let handler = |version| Contract::of_exports(&[&format!("wasi:http/handler@{version}")]);
        assert_eq!(handler("0.3.0-rc-2026-01-06"), None);
        assert_eq!(handler("0.3.0-rc-2026-03-15"), Some(Contract::Http03));
        let both = ["wasi:cli/run@0.2.6", "wasi:http/incoming-handler@0.2.12"];
        assert_eq!(Contract::of_exports(&both), Some(Contract::Http02));
    }
}
