//! The operator's policy: read from its file, and held against what functions ask for.
//!
//! What a policy says is midge-model; this reads the file and puts refusals into words.
//!
//! **Invariant:** everything that is refused is told at once, so that one edit answers all of it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use midge_model::{
    FunctionName, NamespaceName, POLICY_BYTES_MAX, Policy, PolicyError, PolicyVerdict,
};

use crate::cmd::fault::Hint;
use crate::config::PolicyChoice;
use crate::functions::Function;

/// The name of a policy beside a manifest.
const POLICY: &str = "policy.toml";

/// Why functions may not start under a policy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyFault {
    /// A path that leads nowhere, or that we may not read.
    #[error("read policy `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// No person wrote this.
    #[error("policy `{}` is longer than {POLICY_BYTES_MAX} bytes, no policy is", path.display())]
    TooLong { path: PathBuf },
    /// The policy is wrong; the source says where.
    #[error("{}", path.display())]
    Parse { path: PathBuf, source: PolicyError },
    /// Functions ask for more than it allows.
    #[error("{0}")]
    Refused(Refusals),
}

/// Everything that functions ask for and do not get; at least one thing.
#[derive(Debug)]
pub(crate) struct Refusals(Vec<(FunctionName, PolicyVerdict)>);

impl fmt::Display for Refusals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "functions ask for more than the policy allows")?;
        for (function, verdict) in &self.0 {
            let PolicyVerdict { asked, rule, .. } = verdict;
            write!(out, "\n    {function}: {asked}")?;
            if let Some(rule) = rule {
                write!(out, " ({rule})")?;
            }
        }
        Ok(())
    }
}

impl Hint for PolicyFault {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Parse { source, .. } => source.hint(),
            Self::Refused(Refusals(refused)) => hints(refused.iter().map(|(_, verdict)| verdict)),
            Self::Read { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// The policy that holds: the file's, or that of who types.
///
/// # Errors
///
/// The file cannot be read or is no policy.
pub(crate) fn load(choice: &PolicyChoice) -> Result<Policy, PolicyFault> {
    let policy = match &choice.file {
        Some(file) => read(file)?,
        None => Policy::operator(),
    };
    Ok(policy.with_private(&choice.private))
}

/// The policy that holds for what people deploy: the file's, or that of who types nothing.
///
/// # Errors
///
/// The file cannot be read or is no policy.
pub(crate) fn load_for_serve(choice: &PolicyChoice) -> Result<Policy, PolicyFault> {
    let policy = match &choice.file {
        Some(file) => read(file)?,
        None => Policy::serve_default(),
    };
    Ok(policy.with_private(&choice.private))
}

/// The policy that lies beside a manifest, if there is one.
pub(crate) fn beside(manifest: &Path) -> Option<PathBuf> {
    let policy = manifest.parent().unwrap_or(Path::new("")).join(POLICY);
    policy.is_file().then_some(policy)
}

/// What becomes of everything that these functions ask for.
pub(crate) fn verdicts(
    policy: &Policy,
    functions: &[Function],
) -> Vec<(FunctionName, PolicyVerdict)> {
    let namespace = NamespaceName::default();
    let of = |function: &Function| {
        let name = function.name.clone();
        let verdicts = policy.check(&namespace, &function.grants, &function.limits);
        verdicts
            .into_iter()
            .map(move |verdict| (name.clone(), verdict))
    };
    functions.iter().flat_map(of).collect()
}

/// Refuses functions that ask for more than the policy allows.
///
/// # Errors
///
/// All of what is refused.
pub(crate) fn check(policy: &Policy, functions: &[Function]) -> Result<(), PolicyFault> {
    let mut refused = verdicts(policy, functions);
    refused.retain(|(_, verdict)| !verdict.allowed);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(PolicyFault::Refused(Refusals(refused)))
    }
}

/// What would help, said once where several verdicts say it.
pub(crate) fn hints<'a>(verdicts: impl IntoIterator<Item = &'a PolicyVerdict>) -> Option<String> {
    let mut hints: Vec<&str> = Vec::new();
    for hint in verdicts
        .into_iter()
        .filter_map(|verdict| verdict.hint.as_deref())
    {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    (!hints.is_empty()).then(|| hints.join("\n    "))
}

fn read(path: &Path) -> Result<Policy, PolicyFault> {
    let text = std::fs::read_to_string(path).map_err(|source| PolicyFault::Read {
        path: path.to_owned(),
        source,
    })?;
    if text.len() > POLICY_BYTES_MAX {
        return Err(PolicyFault::TooLong {
            path: path.to_owned(),
        });
    }
    match Policy::parse(&text) {
        Ok(policy) => Ok(policy.named(&path.display().to_string())),
        Err(source) => Err(PolicyFault::Parse {
            path: path.to_owned(),
            source,
        }),
    }
}
