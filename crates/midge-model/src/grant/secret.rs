//! Secrets: which ones a function gets, and in which way.
//!
//! Decides how such a grant is written and keeps values out of logs. Where values come
//! from, and putting them into headers, is left to others.
//!
//! **Invariant:** a [`SecretText`] never prints itself.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::HttpGrant;
use super::env::is_env_name;

/// The longest value of a secret in bytes: a key file of several certificates fits.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// The longest name of a secret in bytes.
pub const SECRET_NAME_BYTES_MAX: usize = 256;
/// The longest header format in bytes.
const FORMAT_BYTES_MAX: usize = 256;
/// Hosts that one secret may be sent to.
const TO_MAX: usize = 64;

/// Headers that frame or route the message: a secret in one of them would change where
/// the request goes or where it ends. Hop-by-hop ones are RFC 9110's and older servers'.
const HEADERS_REFUSED: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One secret that a function gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// How it gets it.
    pub exposure: SecretExposure,
}

/// How a function gets a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SecretExposure {
    /// As an environment variable of the same name.
    Env,
    /// As a key of `wasi:config/store`.
    Config,
    /// Not at all: the host puts it into a header of requests that these grants match, and
    /// the function sees the [`placeholder`] only.
    Inject {
        /// The header in lower case.
        header: String,
        /// The header's value, with `{}` once where the secret goes.
        format: String,
        /// The requests that get the header; at least one.
        to: Vec<HttpGrant>,
    },
}

/// A secret's value. Printed it is `***`; serialized it is itself. Copies share it: a function has
/// one for each of its revisions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretText(Arc<str>);

/// Why a grant of a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretGrantError {
    /// Not a name that an environment variable could have.
    #[error(
        "secret name `{}` is not a letter or `_` followed by letters, digits and `_`",
        .name.escape_debug()
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The name is too long.
    #[error("secret name has {length_bytes} bytes, the longest has {SECRET_NAME_BYTES_MAX}")]
    NameTooLong {
        /// How long it is.
        length_bytes: usize,
    },
    /// Not a header.
    #[error("`{}` is not a header name, write for example `authorization`", .header.escape_debug())]
    BadHeader {
        /// What was written.
        header: String,
    },
    /// A header that is about the message and not in it.
    #[error(
        "header `{header}` frames or routes the request and cannot carry a secret, write for example `authorization`"
    )]
    RefusedHeader {
        /// The header.
        header: String,
    },
    /// Not exactly one place for the secret, or nothing a header could hold.
    #[error("format `{}` must be printable ASCII with `{{}}` exactly once, write for example `Bearer {{}}`", .format.escape_debug())]
    BadFormat {
        /// What was written.
        format: String,
    },
    /// A secret for everybody or nobody.
    #[error(
        "secret `{name}` goes into {count} kinds of requests, write 1 to {TO_MAX}, for example `to = [\"https://api.example.com/*\"]`"
    )]
    BadTo {
        /// The secret.
        name: String,
        /// How many there are.
        count: usize,
    },
}

/// Why a text is not the value of a secret; never says what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretTextError {
    /// Too long.
    #[error("secret has {length_bytes} bytes, the longest has {SECRET_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        length_bytes: usize,
    },
    /// A zero byte would end it early for half of the guests.
    #[error("secret contains a zero byte")]
    ZeroByte,
}

impl SecretGrant {
    /// A grant of these parts.
    ///
    /// # Errors
    ///
    /// A name, a header or a format that is none. A header in capitals is forgiven.
    pub fn new(name: &str, mut exposure: SecretExposure) -> Result<Self, SecretGrantError> {
        if name.len() > SECRET_NAME_BYTES_MAX {
            let length_bytes = name.len();
            return Err(SecretGrantError::NameTooLong { length_bytes });
        }
        let name = name.to_owned();
        if !is_env_name(&name) {
            return Err(SecretGrantError::BadName { name });
        }
        if let SecretExposure::Inject { header, format, to } = &mut exposure {
            header.make_ascii_lowercase();
            check_header(header)?;
            check_format(format)?;
            if !(1..=TO_MAX).contains(&to.len()) {
                let count = to.len();
                return Err(SecretGrantError::BadTo { name, count });
            }
        }
        Ok(Self { name, exposure })
    }
}

impl SecretExposure {
    /// The format of who does not give one: the secret and nothing else.
    pub const FORMAT_DEFAULT: &str = "{}";
}

/// What a function sees in place of a secret that the host injects.
pub fn placeholder(name: &str) -> String {
    format!("midge-secret:{name}")
}

fn check_header(header: &str) -> Result<(), SecretGrantError> {
    let written = || header.chars().take(80).collect();
    if HeaderName::from_bytes(header.as_bytes()).is_err() {
        return Err(SecretGrantError::BadHeader { header: written() });
    }
    if HEADERS_REFUSED.contains(&header) {
        return Err(SecretGrantError::RefusedHeader { header: written() });
    }
    Ok(())
}

fn check_format(format: &str) -> Result<(), SecretGrantError> {
    let printable = |found: u8| found == b' ' || found.is_ascii_graphic();
    let is_good = format.len() <= FORMAT_BYTES_MAX
        && format.bytes().all(printable)
        && format.matches("{}").count() == 1
        && format.trim() == format;
    if is_good {
        return Ok(());
    }
    Err(SecretGrantError::BadFormat {
        format: format.chars().take(80).collect(),
    })
}

impl SecretText {
    /// A value.
    ///
    /// # Errors
    ///
    /// Longer than [`SECRET_BYTES_MAX`], or with a zero byte.
    pub fn new(text: impl Into<String>) -> Result<Self, SecretTextError> {
        let text = text.into();
        if text.len() > SECRET_BYTES_MAX {
            return Err(SecretTextError::TooLong {
                length_bytes: text.len(),
            });
        }
        if text.contains('\0') {
            return Err(SecretTextError::ZeroByte);
        }
        Ok(Self(text.into()))
    }

    /// The value itself; think twice about where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl TryFrom<String> for SecretText {
    type Error = SecretTextError;

    fn try_from(text: String) -> Result<Self, SecretTextError> {
        Self::new(text)
    }
}

impl From<SecretText> for String {
    fn from(text: SecretText) -> Self {
        text.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests;
