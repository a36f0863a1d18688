//! Everything that can be wrong with a document, and what to write instead.
//!
//! One list for both documents, because most of it can be wrong with either. What is
//! wrong with a value in itself is said by the value's own parser.

use std::path::PathBuf;

use crate::cases::CaseProblem;
use crate::grant::{
    BucketNameError, ClockError, DirGrantError, EnvVarError, GRANTS_MAX, GrantConflict,
    HttpGrantError, NameGrantError, NetGrantError, SecretGrantError,
};
use crate::isolation::{IsolationError, IsolationLevel};
use crate::limits::LimitError;
use crate::name::NameError;
use crate::policy::{HostRuleError, PrivateGrantError};
use crate::route::RouteError;
use crate::{ComponentSourceError, FunctionName, Route, manifest, policy};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{document} is longer than {bytes_max} bytes")]
    TooLong {
        document: &'static str,
        bytes_max: usize,
    },
    #[error("{0}")]
    Toml(String),
    #[error("unknown key `{}` in {table}{}", .key.escape_debug(), did_you_mean(*meant))]
    UnknownKey {
        key: String,
        table: String,
        meant: Option<&'static str>,
    },
    #[error("`{key}` in {table} is not supported by this version of midge yet")]
    NotYet { key: String, table: String },
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
    #[error("`{key}` in {table} has {count} entries, the most are {GRANTS_MAX}")]
    TooMany {
        key: String,
        table: String,
        count: usize,
    },

    #[error("manifest has no function")]
    NoFunction,
    #[error("{0}")]
    Component(ComponentSourceError),
    #[error("{table} has `build` and a `component` from elsewhere, which is taken as it is")]
    BuildOfPinned { table: String },
    #[error("{0}")]
    Isolation(IsolationError),
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

    #[error("read namespace: {0}")]
    Namespace(NameError),
    #[error("{0}")]
    Private(PrivateGrantError),
    #[error("{0}")]
    HostRule(HostRuleError),
    #[error(
        "secret `{}` is not a name such as `STRIPE_KEY`, or how names begin, such as `STRIPE_*`",
        .0.escape_debug()
    )]
    SecretPattern(String),
    #[error(
        "bucket `{}` is not a name such as `carts`, or how names begin, such as `carts-*`",
        .0.escape_debug()
    )]
    BucketPattern(String),
    #[error("host folder `{}` is relative, write where it is from `/` on", .0.display())]
    RelativeFolder(PathBuf),

    #[error("{0}")]
    Limit(LimitError),
    #[error("{0}")]
    EnvVar(EnvVarError),
    #[error("{0}")]
    Dir(DirGrantError),
    #[error("{0}")]
    Http(HttpGrantError),
    #[error("{0}")]
    Net(NetGrantError),
    #[error("{0}")]
    Dns(NameGrantError),
    #[error("{0}")]
    Secret(SecretGrantError),
    #[error(
        "secret is exposed as `{}`, write `env`, `config` or `inject`",
        .0.escape_debug()
    )]
    Exposure(String),
    #[error("`{key}` in {table} is for a secret that is injected")]
    NotInjected { key: String, table: String },
    #[error("{0}")]
    Bucket(BucketNameError),
    #[error("{0}")]
    Clock(ClockError),
    #[error("{0}")]
    Grants(GrantConflict),

    #[error("{0}")]
    Case(CaseProblem),
}

impl Problem {
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFunction => {
                "add for example\n    [function.hello]\n    component = \"hello.wasm\"".to_owned()
            }
            Self::UnknownKey {
                key,
                table,
                meant: None,
            } if table == manifest::TOP => {
                format!("if `{key}` is about a function, write it below `[function.NAME]`")
            }
            Self::UnknownKey {
                key,
                table,
                meant: None,
            } if table == policy::TOP => {
                format!("if `{key}` is for every namespace, write it below `[namespace.\"*\"]`")
            }
            Self::Missing {
                table,
                key: "component",
            } => {
                format!("add below {table}\n    component = \"path/to/function.wasm\"")
            }
            Self::Missing { key: "header", .. } => {
                "say which one, for example `header = \"authorization\"`".to_owned()
            }
            Self::Missing { key: "to", .. } => {
                "say in which requests, for example `to = [\"https://api.example.com/*\"]`"
                    .to_owned()
            }
            Self::NotYet { key, .. } => format!("remove `{key}`"),
            Self::Isolation(IsolationError::NotOfLevel { key, level }) => match level {
                IsolationLevel::Fresh => {
                    format!("remove `{key}`: every invocation gets a fresh instance")
                }
                IsolationLevel::Serial | IsolationLevel::Shared => {
                    format!("remove `{key}`, or write `level = \"shared\"`")
                }
            },
            Self::Missing { key: "level", .. } => {
                "write which one, for example `level = \"serial\"`".to_owned()
            }
            Self::Empty { key: "routes", .. } => {
                "remove `routes` and the function answers below its own name".to_owned()
            }
            Self::TooMany { .. } => {
                "write fewer and wider ones: `*.example.com` for hosts, `/v1/*` for paths"
                    .to_owned()
            }
            Self::Limit(LimitError::Quantity(_)) | Self::Dir(DirGrantError::Quota(_)) => {
                "quantities are text with a unit: `memory = \"64MiB\"`, `time = \"5s\"`".to_owned()
            }
            Self::RouteConflict { .. } => {
                "give one of them another path, method or host".to_owned()
            }
            Self::NotInjected { .. } => {
                "add `as = \"inject\"`, or leave the header to the function".to_owned()
            }
            Self::BuildOfPinned { .. } => {
                "remove `build`, or write the path that it builds as `component`".to_owned()
            }
            Self::Component(error) => return error.hint(),
            Self::Case(problem) => return problem.hint(),
            _ => return None,
        };
        Some(hint)
    }
}

fn did_you_mean(meant: Option<&'static str>) -> String {
    meant
        .map(|meant| format!(", did you mean `{meant}`?"))
        .unwrap_or_default()
}
