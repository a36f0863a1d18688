//! The manifest, `midge.toml`: one file, one table per function.
//!
//! Decides what a manifest says and what is wrong with one, down to line and column.
//! Reading the file, finding the components and asking the node's policy is left to
//! the commands. Keys that are planned but do nothing yet are refused: a limit that is
//! written down and not kept is worse than none.
//!
//! **Invariant:** every function of a [`Manifest`] has a component and a route, and no
//! two of its routes match the same requests.

mod read;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::grant::{DirGrantError, EnvVarError, GrantConflict};
use crate::limits::LimitError;
use crate::name::NameError;
use crate::route::RouteError;
use crate::{DirGrant, FunctionName, Grants, LimitsPatch, Route};

/// The longest manifest in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// What a `midge.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The functions by name; at least one.
    pub functions: BTreeMap<FunctionName, FunctionSpec>,
}

/// What a manifest says about one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// The component's path as written: relative to the manifest.
    pub component: String,
    /// The command that builds it, as written.
    pub build: Option<String>,
    /// Which requests it answers; `/<name>/*` where the manifest does not say.
    pub routes: Vec<Route>,
    /// The limits it wants different.
    pub limits: LimitsPatch,
    /// Its environment variables.
    pub env: BTreeMap<String, String>,
    /// Its host directories; relative paths are relative to the manifest.
    pub dirs: Vec<DirGrant>,
}

/// What is wrong with a manifest, and where. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ManifestError {
    line: usize,
    column: usize,
    problem: Box<Problem>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; show [`ManifestError::hint`] below the message.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        read::manifest(text).map_err(|located| {
            let (line, column) = line_and_column(text, located.offset);
            ManifestError {
                line,
                column,
                problem: located.problem,
            }
        })
    }
}

impl FunctionSpec {
    /// What the function asks to touch.
    pub fn grants(&self) -> Grants {
        Grants {
            env: self.env.clone(),
            dirs: self.dirs.clone(),
        }
    }
}

impl ManifestError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// A problem and the byte it starts at.
#[derive(Debug)]
struct Located {
    offset: usize,
    problem: Box<Problem>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum Problem {
    #[error("manifest is longer than {MANIFEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Toml(String),
    #[error("manifest has no function")]
    NoFunction,
    #[error("unknown key `{}` in {table}{}", .key.escape_debug(), did_you_mean(*meant))]
    UnknownKey {
        key: String,
        table: String,
        meant: Option<&'static str>,
    },
    #[error("`{key}` in {table} is not supported by this version of midge yet")]
    NotYet { key: String, table: String },
    #[error("{what} is not supported by this version of midge yet")]
    ValueNotYet { what: String },
    #[error("`{key}` in {table} is {found}, write {expected}")]
    WrongType {
        key: String,
        table: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{table} has no `{key}`")]
    Missing { table: String, key: &'static str },
    #[error("`{key}` in {table} is empty")]
    Empty { key: &'static str, table: String },
    #[error("isolation `{}` is unknown, write `fresh`", .0.escape_debug())]
    Isolation(String),
    #[error("read function name: {0}")]
    Name(NameError),
    #[error("{0}")]
    Route(RouteError),
    #[error("route `{second}` matches the same requests as `{first}` of function `{function}`")]
    RouteConflict {
        first: Box<Route>,
        second: Box<Route>,
        function: FunctionName,
    },
    #[error("{0}")]
    Limit(LimitError),
    #[error("{0}")]
    EnvVar(EnvVarError),
    #[error("{0}")]
    Dir(DirGrantError),
    #[error("{0}")]
    Grants(GrantConflict),
}

impl Problem {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFunction => {
                "add for example\n    [function.hello]\n    component = \"hello.wasm\"".to_owned()
            }
            Self::UnknownKey {
                key,
                table,
                meant: None,
            } if table == read::TOP => {
                format!("if `{key}` is about a function, write it below `[function.NAME]`")
            }
            Self::Missing {
                table,
                key: "component",
            } => {
                format!("add below {table}\n    component = \"path/to/function.wasm\"")
            }
            Self::NotYet { key, .. } => format!("remove `{key}`"),
            Self::ValueNotYet { .. } if self.is_isolation() => {
                "remove `isolation`: every invocation gets a fresh instance".to_owned()
            }
            Self::ValueNotYet { .. } => {
                "download the component and write its path, such as `function.wasm`".to_owned()
            }
            Self::Empty { key: "routes", .. } => {
                "remove `routes` and the function answers below its own name".to_owned()
            }
            Self::Limit(LimitError::Quantity(_)) => {
                "quantities are text with a unit: `memory = \"64MiB\"`, `time = \"5s\"`".to_owned()
            }
            Self::RouteConflict { .. } => {
                "give one of them another path, method or host".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    fn is_isolation(&self) -> bool {
        matches!(self, Self::ValueNotYet { what } if what.starts_with("isolation"))
    }
}

fn did_you_mean(meant: Option<&'static str>) -> String {
    meant
        .map(|meant| format!(", did you mean `{meant}`?"))
        .unwrap_or_default()
}

/// Both from 1; columns are characters, because that is what editors count.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
