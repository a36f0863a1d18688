//! How records are named: tokens joined by dots, `function.default.checkout`.
//!
//! Decides what a key is and which keys a prefix covers. The alphabet is what a subject of NATS
//! and a row of SQLite both take as it is, in one case because file systems may fold it.
//!
//! **Invariant:** every key is covered by the prefix of its first tokens and by no other of the
//! same length.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest key in bytes: the name of a secret takes up to 512 of them.
pub const KEY_BYTES_MAX: usize = 768;

/// The name of a record: 1 to [`KEY_BYTES_MAX`] bytes, tokens of `a-z`, `0-9`, `-`, `_`, `=` and
/// `/`, joined by dots. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// The first tokens of keys: it covers every key that has them and at least one more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Option<Key>);

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing there, or nothing between two dots.
    #[error(
        "key `{}` has an empty token, write for example `function.default.hello`",
        .text.escape_debug()
    )]
    EmptyToken {
        /// The whole text.
        text: String,
    },
    /// Longer than any record's name.
    #[error("key has {length_bytes} bytes, the longest has {KEY_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        length_bytes: usize,
    },
    /// Not a name that a secret has.
    #[error("secret name `{}` is not letters, digits and `_`", .name.escape_debug())]
    BadSecretName {
        /// What was given.
        name: String,
    },
    /// A character that no key has.
    #[error("key `{}` has {found:?}, write `a`-`z`, `0`-`9`, `-`, `_`, `=`, `/` and `.`", .text.escape_debug())]
    BadCharacter {
        /// The whole text.
        text: String,
        /// The character.
        found: char,
    },
}

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens, at least one.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > KEY_BYTES_MAX {
            let length_bytes = text.len();
            return Err(KeyError::TooLong { length_bytes });
        }
        let is_known = |found: char| {
            found.is_ascii_lowercase() || found.is_ascii_digit() || "-_=/.".contains(found)
        };
        if let Some(found) = text.chars().find(|found| !is_known(*found)) {
            let text = text.to_owned();
            return Err(KeyError::BadCharacter { text, found });
        }
        if text.split('.').any(str::is_empty) {
            let text = text.to_owned();
            return Err(KeyError::EmptyToken { text });
        }
        Ok(Self(Arc::from(text)))
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Prefix {
    /// The prefix of all keys.
    pub const ALL: Self = Self(None);

    /// The prefix that these tokens are, without a dot at the end.
    ///
    /// # Errors
    ///
    /// The tokens would not be a key.
    pub fn of(tokens: &str) -> Result<Self, KeyError> {
        tokens.parse().map(Self::under)
    }

    /// The prefix of what is below a key.
    pub fn under(key: Key) -> Self {
        Self(Some(key))
    }

    /// Whether it covers a key.
    pub fn covers(&self, key: &Key) -> bool {
        self.0.as_ref().is_none_or(|first| {
            let rest = key.as_str().strip_prefix(first.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// The texts that all covered keys lie between, neither of which is one of them.
    pub(crate) fn bounds(&self) -> (String, String) {
        match &self.0 {
            // `/` follows `.` in ASCII, and `~` every character that a key has.
            Some(first) => (format!("{first}."), format!("{first}/")),
            None => (String::new(), "~".to_owned()),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(first) => write!(f, "{first}.*"),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<Key>() {
            Ok(key) => format!("ok: {key}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_key_is_tokens_and_dots() {
        assert_snapshot!(check("secret.default.stripe_key=a/b-1"), @"ok: secret.default.stripe_key=a/b-1");
        assert_snapshot!(check(""), @"error: key `` has an empty token, write for example `function.default.hello`");
        assert_snapshot!(check("a..b"), @"error: key `a..b` has an empty token, write for example `function.default.hello`");
        assert_snapshot!(check("a.*"), @"error: key `a.*` has '*', write `a`-`z`, `0`-`9`, `-`, `_`, `=`, `/` and `.`");
        assert_snapshot!(check(&"a".repeat(2_000)), @"error: key has 2000 bytes, the longest has 768");
    }

    #[test]
    fn a_prefix_covers_whole_tokens_only() {
        let prefix = Prefix::of("function.default").unwrap();
        let covers = |text: &str| prefix.covers(&text.parse().unwrap());
        assert!(covers("function.default.hello"));
        assert!(covers("function.default.hello.more"));
        assert!(!covers("function.default"));
        assert!(!covers("function.default-2.hello"));
        assert!(!covers("function.default/2.hello"));
        assert!(Prefix::ALL.covers(&"a".parse().unwrap()));
    }

    fn key() -> impl Strategy<Value = Key> {
        "[ab/=-]{1,2}(\\.[ab/=-]{1,2}){0,3}".prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(text.parse::<Key>());
        }

        #[test]
        fn the_bounds_hold_what_the_prefix_covers(first in key(), key in key()) {
            for prefix in [Prefix::under(first.clone()), Prefix::ALL] {
                let (low, high) = prefix.bounds();
                let between = low.as_str() < key.as_str() && key.as_str() < high.as_str();
                prop_assert_eq!(between, prefix.covers(&key));
            }
        }
    }
}
