//! Environment variables, as typed and as granted.
//!
//! Decides what is a name that programs can read and how long a value may be.
//!
//! **Invariant:** no variable holds a zero byte, which would end it early for half of
//! the guests.

use std::str::FromStr;

/// The longest name of an environment variable, in bytes.
pub const ENV_NAME_BYTES_MAX: usize = 256;
/// The longest value of an environment variable, in bytes: each instance gets a copy.
pub const ENV_VALUE_BYTES_MAX: usize = 32 << 10;

/// One environment variable as typed: `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// Anything without a zero byte.
    pub value: String,
}

/// Why a text is not an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvVarError {
    /// A name and nothing else.
    #[error("environment variable `{0}` has no `=`, write for example `{0}=value`", .text.escape_debug())]
    NoEquals {
        /// The whole text.
        text: String,
    },
    /// Not a name that programs can read.
    #[error(
        "environment variable name `{}` is not a letter or `_` followed by letters, digits and `_`", .name.escape_debug()
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The name is too long.
    #[error(
        "environment variable name has {length_bytes} bytes, the longest has {ENV_NAME_BYTES_MAX}"
    )]
    NameTooLong {
        /// How long it is.
        length_bytes: usize,
    },
    /// The value is too long.
    #[error(
        "value of environment variable `{name}` has {length_bytes} bytes, the longest has {ENV_VALUE_BYTES_MAX}"
    )]
    ValueTooLong {
        /// The name.
        name: String,
        /// How long the value is.
        length_bytes: usize,
    },
    /// A zero byte would end the value early for half of the guests.
    #[error("value of environment variable `{name}` contains a zero byte")]
    ZeroByte {
        /// The name.
        name: String,
    },
}

impl EnvVar {
    /// A variable of these parts.
    ///
    /// # Errors
    ///
    /// A name that programs cannot read, or a name or value over the bounds.
    pub fn new(name: &str, value: &str) -> Result<Self, EnvVarError> {
        if name.len() > ENV_NAME_BYTES_MAX {
            return Err(EnvVarError::NameTooLong {
                length_bytes: name.len(),
            });
        }
        let name = name.to_owned();
        if !is_env_name(&name) {
            return Err(EnvVarError::BadName { name });
        }
        if value.len() > ENV_VALUE_BYTES_MAX {
            return Err(EnvVarError::ValueTooLong {
                name,
                length_bytes: value.len(),
            });
        }
        if value.contains('\0') {
            return Err(EnvVarError::ZeroByte { name });
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }
}

impl FromStr for EnvVar {
    type Err = EnvVarError;

    fn from_str(text: &str) -> Result<Self, EnvVarError> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            // What follows may be a secret that lost its `=`; a name is short.
            EnvVarError::NoEquals {
                text: text.chars().take(32).collect(),
            }
        })?;
        Self::new(name, value)
    }
}

/// Whether programs can read a variable of this name.
pub(crate) fn is_env_name(name: &str) -> bool {
    let mut characters = name.bytes();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && characters.all(|found| found.is_ascii_alphanumeric() || found == b'_')
}
