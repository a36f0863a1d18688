//! Buckets: where functions keep values by key.
//!
//! Decides what a bucket may be called. A grant of one names it and nothing else; what is done to
//! values is the store's, and how guests come to a bucket the sandbox's.
//!
//! **Invariant:** a [`BucketName`] is always a valid name, and no pattern: a function has as many
//! buckets as its grants name, so what it can fill is bounded.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name of a bucket in bytes.
pub const BUCKET_NAME_BYTES_MAX: usize = 63;

/// The longest key in bytes.
pub const ENTRY_KEY_BYTES_MAX: usize = 512;
/// The longest value in bytes.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// What a bucket is called within its namespace: 1 to 63 of `a-z`, `0-9`, `-` and `_`.
///
/// Cloning is cheap, because each operation of a guest names its bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(Arc<str>);

/// Why a text is not the name of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bucket `{}` is not 1 to {BUCKET_NAME_BYTES_MAX} of `a`-`z`, `0`-`9`, `-` and `_`",
    .text.escape_debug()
)]
pub struct BucketNameError {
    text: String,
}

impl BucketName {
    /// The bucket that SDKs open when nobody names one.
    pub const DEFAULT: &str = "default";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether names of buckets consist of such.
pub(crate) fn is_bucket_byte(found: u8) -> bool {
    found.is_ascii_lowercase() || found.is_ascii_digit() || b"-_".contains(&found)
}

impl FromStr for BucketName {
    type Err = BucketNameError;

    fn from_str(text: &str) -> Result<Self, BucketNameError> {
        let fits = (1..=BUCKET_NAME_BYTES_MAX).contains(&text.len());
        if !fits || !text.bytes().all(is_bucket_byte) {
            let text = text.chars().take(80).collect();
            return Err(BucketNameError { text });
        }
        Ok(Self(Arc::from(text)))
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for BucketName {
    type Error = BucketNameError;

    fn try_from(text: String) -> Result<Self, BucketNameError> {
        text.parse()
    }
}

impl From<BucketName> for String {
    fn from(name: BucketName) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<BucketName>() {
            Ok(name) => format!("ok: {name}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(check("carts"), "ok: carts");
        assert_eq!(check("0-shop_9"), "ok: 0-shop_9");
        assert_eq!(check(&"x".repeat(63)), format!("ok: {}", "x".repeat(63)));
        assert!(check(&"x".repeat(64)).starts_with("error"));
        assert_snapshot!(check(""), @"error: bucket `` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
        assert_snapshot!(check("Carts"), @"error: bucket `Carts` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
        assert_snapshot!(check("a/b"), @"error: bucket `a/b` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
    }

    #[test]
    fn a_wildcard_is_no_name() {
        assert!(check("*").starts_with("error"));
        assert!(check("carts-*").starts_with("error"));
    }
}
