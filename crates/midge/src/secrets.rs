//! The values of secrets: where they come from, and which function gets which.
//!
//! A value is named on the command line and stands somewhere else: in our own environment, in a
//! file of its own, or in a file with several. A manifest never names a place, or whoever
//! writes one could ask for any variable of the operator's.
//!
//! **Invariant:** a value leaves this process over a worker's pipe and in no other way; no
//! error and no log line contains one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use midge_model::{
    FunctionName, Grants, SECRET_BYTES_MAX, SecretExposure, SecretGrant, SecretGrantError,
    SecretText, SecretTextError,
};

use crate::cli::SecretSource;
use crate::cmd::fault::Hint;
use crate::config::{self, SecretChoice};

/// The longest file with several secrets: 256 of the longest ones.
const FILE_BYTES_MAX: u64 = 256 * SECRET_BYTES_MAX as u64;

/// The bits of a file's mode that let others than its owner at it.
const OTHERS: u32 = 0o077;

/// The values that the operator gave, by name.
#[derive(Debug, Default)]
pub(crate) struct Secrets(BTreeMap<String, SecretText>);

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// A file that is not there, or that we may not read.
    #[error("read secrets from `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// More than a person keeps there.
    #[error("`{}` is longer than {most} bytes, no secrets are", path.display())]
    TooLong { path: PathBuf, most: u64 },
    /// Something else than a name and a value.
    #[error("`{}`, line {line}: not a secret, write `NAME=VALUE`", path.display())]
    Line { path: PathBuf, line: usize },
    /// A name that is none.
    #[error("`{}`, line {line}", path.display())]
    Name {
        path: PathBuf,
        line: usize,
        source: SecretGrantError,
    },
    /// A value that is none.
    #[error("value of secret `{name}`")]
    Value {
        name: String,
        source: SecretTextError,
    },
    /// Not text.
    #[error("value of secret `{name}` is not UTF-8 text")]
    NotText { name: String },
    /// The operator said that it is in the environment, and it is not.
    #[error("secret `{name}`: there is no environment variable of this name")]
    NoVariable { name: String },
    /// The manifest asks for it and the operator gave none.
    #[error("function {function}: secret `{name}` is granted and has no value")]
    Missing {
        function: FunctionName,
        name: String,
    },
}

impl Hint for SecretsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { name, .. } | Self::NoVariable { name } => Some(format!(
                "give its value with one of\n    \
                 --secret {name} (and the environment variable {name})\n    \
                 --secret {name}=@FILE\n    \
                 --secrets FILE (and a line {name}=VALUE in it)"
            )),
            Self::Read { .. }
            | Self::TooLong { .. }
            | Self::Line { .. }
            | Self::Name { .. }
            | Self::Value { .. }
            | Self::NotText { .. } => None,
        }
    }
}

impl Secrets {
    /// Reads all values that the operator gave. A place of its own goes over a line in the file.
    ///
    /// # Errors
    ///
    /// The first value that is not there or is none.
    pub(crate) fn gather(choice: &SecretChoice) -> Result<Self, SecretsError> {
        let mut values = match &choice.file {
            Some(file) => several(file)?,
            None => BTreeMap::new(),
        };
        for SecretSource { name, file } in &choice.single {
            let text = match file {
                Some(file) => Some(single(file)?),
                None => variable(name)?,
            };
            match text {
                Some(text) => drop(values.insert(name.clone(), value(name, text)?)),
                // In the file with several, then.
                None if values.contains_key(name) => {}
                None => return Err(SecretsError::NoVariable { name: name.clone() }),
            }
        }
        Ok(Self(values))
    }

    /// All of them as variables, for a function that has no manifest.
    pub(crate) fn as_variables(&self) -> Vec<SecretGrant> {
        let grant = |name: &String| SecretGrant {
            name: name.clone(),
            exposure: SecretExposure::Env,
        };
        self.0.keys().map(grant).collect()
    }

    /// What one function gets of them: those that it was granted.
    ///
    /// # Errors
    ///
    /// It was granted one that has no value.
    pub(crate) fn of(
        &self,
        function: &FunctionName,
        grants: &Grants,
    ) -> Result<BTreeMap<String, SecretText>, SecretsError> {
        let of = |grant: &SecretGrant| match self.0.get(&grant.name) {
            Some(value) => Ok((grant.name.clone(), value.clone())),
            None => Err(SecretsError::Missing {
                function: function.clone(),
                name: grant.name.clone(),
            }),
        };
        grants.secrets.iter().map(of).collect()
    }

    /// The names that nobody was granted: misspelt, or left over.
    pub(crate) fn unused<'a>(
        &'a self,
        granted: impl IntoIterator<Item = &'a Grants>,
    ) -> Vec<&'a str> {
        let mut names: Vec<_> = self.0.keys().map(String::as_str).collect();
        for grants in granted {
            names.retain(|name| grants.secrets.iter().all(|secret| secret.name != *name));
        }
        names
    }
}

/// The value that a file of its own holds.
///
/// # Errors
///
/// The file cannot be read, or holds none.
pub(crate) fn in_file(name: &str, path: &Path) -> Result<SecretText, SecretsError> {
    value(name, single(path)?)
}

/// The value from the environment, if it is there.
fn variable(name: &str) -> Result<Option<String>, SecretsError> {
    let value = config::secret_variable(name).map(|value| value.into_string());
    value.transpose().map_err(|_| SecretsError::NotText {
        name: name.to_owned(),
    })
}

/// The value that a file holds, without the newline that editors put at the end.
fn single(path: &Path) -> Result<String, SecretsError> {
    let text = read(path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// The values in a file of lines `NAME=VALUE`; empty lines and those that start with `#` are for
/// people.
fn several(path: &Path) -> Result<BTreeMap<String, SecretText>, SecretsError> {
    let text = read(path)?;
    let mut values = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let path = || path.to_owned();
        let Some((name, text)) = text.split_once('=') else {
            return Err(SecretsError::Line { path: path(), line });
        };
        let grant = SecretGrant::new(name.trim(), SecretExposure::Env);
        let SecretGrant { name, .. } = grant.map_err(|source| SecretsError::Name {
            path: path(),
            line,
            source,
        })?;
        let value = value(&name, text.to_owned())?;
        values.insert(name, value);
    }
    Ok(values)
}

fn value(name: &str, text: String) -> Result<SecretText, SecretsError> {
    SecretText::new(text).map_err(|source| SecretsError::Value {
        name: name.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<String, SecretsError> {
    let fault = |source| SecretsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    // A pipe has no mode worth a word: `--secret KEY=@<(pass show key)` is fine.
    if metadata.is_file() && metadata.permissions().mode() & OTHERS != 0 {
        let path = path.display();
        tracing::warn!(%path, "other users may read this file of secrets, `chmod 600` it");
    }
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(fault)? as u64 > FILE_BYTES_MAX {
        return Err(SecretsError::TooLong {
            path: path.to_owned(),
            most: FILE_BYTES_MAX,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
