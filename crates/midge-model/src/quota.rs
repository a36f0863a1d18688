//! How much one namespace may keep on a node.
//!
//! Holds the defaults, the bounds that no configuration passes, and how wishes are written
//! (`functions=100`). Counting what is there, and refusing what goes over, is control's work.
//!
//! **Invariant:** what [`QuotaPatch::apply`] returns is within the bounds.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{CountRange, LimitError, Measure, SizeRange};
use crate::quantity::{bytes_text, bytes_text_option};
use crate::suggest::nearest;

/// The most functions of a namespace: as many as one node counts at all.
pub const QUOTA_FUNCTIONS_MAX: u32 = 65_536;
/// The most bytes of components of a namespace: a petabyte guards only against nonsense.
pub const QUOTA_COMPONENT_BYTES_MAX: u64 = 1 << 50;
/// The most secrets of a namespace: each function's are decrypted in the node's memory.
pub const QUOTA_SECRETS_MAX: u32 = 100_000;
/// The most tokens of a namespace.
pub const QUOTA_TOKENS_MAX: u32 = 100_000;

/// The longest text read as a wish, in bytes: errors repeat it.
const PATCH_BYTES_MAX: usize = 128;

const FUNCTIONS: CountRange = counts("functions", QUOTA_FUNCTIONS_MAX);
const COMPONENT_BYTES: SizeRange = SizeRange {
    name: "component-bytes",
    min: 0,
    max: QUOTA_COMPONENT_BYTES_MAX,
};
const SECRETS: CountRange = counts("secrets", QUOTA_SECRETS_MAX);
const TOKENS: CountRange = counts("tokens", QUOTA_TOKENS_MAX);
/// How the wishes are called in text.
const KEYS: [&str; 4] = ["functions", "component-bytes", "secrets", "tokens"];

const fn counts(name: &'static str, max: u32) -> CountRange {
    CountRange { name, min: 0, max }
}

/// The most that a namespace may have of what the node keeps for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Functions, whatever their traffic.
    pub functions: u32,
    /// Components that its revisions name or that were uploaded for them, each counted once.
    #[serde(with = "bytes_text")]
    pub component_bytes: u64,
    /// Secrets.
    pub secrets: u32,
    /// Tokens that are limited to it.
    pub tokens: u32,
}

/// The quotas that somebody wants different; `None` keeps what was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct QuotaPatch {
    /// See [`Quota::functions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<u32>,
    /// See [`Quota::component_bytes`].
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component_bytes: Option<u64>,
    /// See [`Quota::secrets`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<u32>,
    /// See [`Quota::tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
}

/// Why a text is not a quota.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuotaError {
    /// Not a name and a value.
    #[error("quota `{}` is not a name and a value, write for example `functions=100`", .text.escape_debug())]
    NoValue {
        /// What was written.
        text: String,
    },
    /// No quota of this name.
    #[error(
        "quota `{}` is unknown, {}", .name.escape_debug(),
        match .meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write one of `{}`", KEYS.join("`, `")),
        }
    )]
    Unknown {
        /// What was written.
        name: String,
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// A count that is not a whole number.
    #[error("quota `{name}` is `{}`, write a whole number such as `100`", .value.escape_debug())]
    NotANumber {
        /// Which quota.
        name: &'static str,
        /// What was written.
        value: String,
    },
    /// Not a size, or out of bounds.
    #[error(transparent)]
    Bounds(#[from] LimitError),
}

impl Default for Quota {
    /// What a namespace has that nobody set a quota for.
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Quota {
    /// Room for a large team, and too little to fill a node's disk unnoticed.
    pub const DEFAULT: Self = Self {
        functions: 20_000,
        component_bytes: 64 << 30,
        secrets: 1_000,
        tokens: 1_000,
    };

    /// Each quota by the name it has in text, and its value for people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let measures = [
            Measure::Count(self.functions),
            Measure::Bytes(self.component_bytes),
            Measure::Count(self.secrets),
            Measure::Count(self.tokens),
        ];
        let row = |(key, measure): (_, Measure)| (key, measure.to_string());
        KEYS.into_iter().zip(measures).map(row).collect()
    }
}

impl QuotaPatch {
    /// These wishes over the given quota.
    ///
    /// # Errors
    ///
    /// The first that is out of range; the message names the bound.
    pub fn apply(&self, base: &Quota) -> Result<Quota, LimitError> {
        Ok(Quota {
            functions: FUNCTIONS.check(self.functions.unwrap_or(base.functions))?,
            component_bytes: COMPONENT_BYTES
                .check(self.component_bytes.unwrap_or(base.component_bytes))?,
            secrets: SECRETS.check(self.secrets.unwrap_or(base.secrets))?,
            tokens: TOKENS.check(self.tokens.unwrap_or(base.tokens))?,
        })
    }

    /// These wishes where there are any, else the other's: how several texts become one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            functions: self.functions.or(other.functions),
            component_bytes: self.component_bytes.or(other.component_bytes),
            secrets: self.secrets.or(other.secrets),
            tokens: self.tokens.or(other.tokens),
        }
    }
}

impl FromStr for QuotaPatch {
    type Err = QuotaError;

    /// Reads one wish such as `functions=100` or `component-bytes=10GiB`.
    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let shown = |text: &str| text.chars().take(PATCH_BYTES_MAX).collect();
        let no_value = || QuotaError::NoValue { text: shown(text) };
        let (name, value) = text.split_once('=').ok_or_else(no_value)?;
        let count = |range: CountRange| {
            let number: i64 = value.parse().map_err(|_| QuotaError::NotANumber {
                name: range.name,
                value: shown(value),
            })?;
            Ok::<_, QuotaError>(Some(range.parse(number)?))
        };
        let mut patch = Self::default();
        match name {
            "functions" => patch.functions = count(FUNCTIONS)?,
            "component-bytes" => patch.component_bytes = Some(COMPONENT_BYTES.parse(value)?),
            "secrets" => patch.secrets = count(SECRETS)?,
            "tokens" => patch.tokens = count(TOKENS)?,
            unknown => {
                return Err(QuotaError::Unknown {
                    name: shown(unknown),
                    meant: nearest(unknown, KEYS),
                });
            }
        }
        Ok(patch)
    }
}

impl Serialize for QuotaPatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The one that is derived; `remote` keeps it from being the trait's.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for QuotaPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let patch = Self::deserialize(deserializer)?;
        // Within the bounds themselves, the defaults show what is wrong with the wishes.
        patch.apply(&Quota::DEFAULT).map_err(de::Error::custom)?;
        Ok(patch)
    }
}
