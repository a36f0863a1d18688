//! The words of commands that talk to a node: which one, about which namespace, in which form.
//!
//! What they mean together with the environment and the contexts is `config/target.rs`.

use std::path::PathBuf;
use std::str::FromStr;

use midge_model::{FunctionName, NameError, NamespaceName, RevisionNumber, RevisionNumberError};

use crate::control_url::ControlUrl;

/// Which node.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which node")]
pub(crate) struct NodeArgs {
    /// Control door of the node [default: MIDGE_CONTROL, the current context,
    /// http://127.0.0.1:8081].
    #[arg(long, value_name = "URL")]
    pub(crate) control: Option<ControlUrl>,

    /// Certificates (PEM) to trust besides this machine's, for a node that signed its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// Which node and which of its namespaces.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which node")]
pub(crate) struct ScopeArgs {
    /// Which node.
    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// Namespace [default: that of the context, `default`].
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,
}

/// In which form.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormArgs {
    /// One JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A function, or one of its revisions: `checkout` or `checkout@r7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionAt {
    /// Which function.
    pub(crate) function: FunctionName,
    /// Which of its revisions, if one was named.
    pub(crate) revision: Option<RevisionNumber>,
}

/// Why a text names neither a function nor a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FunctionAtError {
    /// Before the `@`.
    #[error(transparent)]
    Function(#[from] NameError),
    /// Behind it.
    #[error(transparent)]
    Revision(#[from] RevisionNumberError),
}

impl FromStr for FunctionAt {
    type Err = FunctionAtError;

    fn from_str(text: &str) -> Result<Self, FunctionAtError> {
        let (function, revision) = match text.split_once('@') {
            Some((function, revision)) => (function, Some(revision.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            function: function.parse()?,
            revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<FunctionAt>() {
            Ok(FunctionAt { function, revision }) => format!("{function} {revision:?}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_revision_stands_behind_an_at_sign() {
        assert_snapshot!(check("checkout"), @"checkout None");
        assert_snapshot!(check("checkout@r7"), @"checkout Some(RevisionNumber(7))");
        assert_snapshot!(check("checkout@7"), @"error: revision `7` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("Checkout@r7"), @"error: name `Checkout` has 'C' at position 0, write lower-case letters, digits and `-` only");
    }
}
