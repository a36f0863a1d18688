//! What a function and a namespace may be called.
//!
//! Names stand in paths, host names, file names and metrics, so they follow the
//! strictest of these: a DNS label that starts with a letter. Decides nothing about
//! which names exist.
//!
//! **Invariant:** a value of these types is always a valid name.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name in bytes: a DNS label holds no more.
pub const NAME_BYTES_MAX: usize = 63;

/// What people deploy to: 1 to 63 of `a-z`, `0-9` and `-`, from a letter on, not ending in `-`.
///
/// Cloning is cheap and does not allocate, because every dispatched request names its function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Arc<str>);

/// The scope of names, quotas and tokens; spelt like a [`FunctionName`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamespaceName(Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name has at least one character, write for example `hello`")]
    Empty,
    /// Longer than a DNS label.
    #[error("name is {length_bytes} bytes long, the longest has {NAME_BYTES_MAX}")]
    TooLong {
        /// How long the text is.
        length_bytes: usize,
    },
    /// The first character is a digit or a hyphen.
    #[error("name `{name}` starts with {found:?}, a name starts with a letter `a` to `z`")]
    BadStart {
        /// The whole text.
        name: String,
        /// Its first character.
        found: char,
    },
    /// A character that no name has.
    #[error(
        "name `{}` has {found:?} at position {position}, \
         write lower-case letters, digits and `-` only",
        .name.escape_debug()
    )]
    BadCharacter {
        /// The whole text.
        name: String,
        /// The character.
        found: char,
        /// Its place, counted in characters from 0.
        position: usize,
    },
    /// A hyphen at the end.
    #[error("name `{name}` ends with `-`, end it with a letter or a digit")]
    BadEnd {
        /// The whole text.
        name: String,
    },
}

impl FunctionName {
    /// The name nearest to a file's stem, so that `midge run Hello_World.wasm` needs no name.
    ///
    /// Lossy: two files may get the same name.
    pub fn from_file_stem(stem: &str) -> Self {
        let mut name = String::with_capacity(stem.len().min(NAME_BYTES_MAX));
        for found in stem.chars().map(|found| found.to_ascii_lowercase()) {
            if name.len() == NAME_BYTES_MAX {
                break;
            }
            if found.is_ascii_lowercase() || (found.is_ascii_digit() && !name.is_empty()) {
                name.push(found);
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
        }
        let name = name.trim_end_matches('-');
        // A stem without any letter, such as `42`, leaves nothing to name it by.
        Self(Arc::from(if name.is_empty() { "function" } else { name }))
    }

    /// The name for people: `checkout` in the namespace `default`, else `shop/checkout`.
    pub fn in_namespace(&self, namespace: &NamespaceName) -> String {
        match namespace.is_default() {
            true => self.to_string(),
            false => format!("{namespace}/{self}"),
        }
    }
}

impl NamespaceName {
    /// The name of the namespace of whoever does not name one.
    pub const DEFAULT: &str = "default";

    /// Whether it is the namespace of whoever does not name one.
    pub fn is_default(&self) -> bool {
        self.as_str() == Self::DEFAULT
    }
}

impl Default for NamespaceName {
    /// The namespace of whoever does not name one: `default`.
    fn default() -> Self {
        Self(Arc::from(Self::DEFAULT))
    }
}

/// The traits both names share; a macro, because a function cannot implement traits.
macro_rules! spelt_as_text {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

spelt_as_text!(FunctionName);
spelt_as_text!(NamespaceName);

fn check(text: &str) -> Result<(), NameError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong {
            length_bytes: text.len(),
        });
    }
    let first = text.chars().next().ok_or(NameError::Empty)?;
    let allowed =
        |found: char| found.is_ascii_lowercase() || found.is_ascii_digit() || found == '-';
    if let Some((position, found)) = text.chars().enumerate().find(|(_, found)| !allowed(*found)) {
        return Err(NameError::BadCharacter {
            name: text.to_owned(),
            found,
            position,
        });
    }
    if !first.is_ascii_lowercase() {
        return Err(NameError::BadStart {
            name: text.to_owned(),
            found: first,
        });
    }
    if text.ends_with('-') {
        return Err(NameError::BadEnd {
            name: text.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<FunctionName>() {
            Ok(name) => format!("ok: {name}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn takes_letters_digits_and_hyphens() {
        assert_snapshot!(check("resize-2"), @"ok: resize-2");
    }

    #[test]
    fn points_at_the_bad_character() {
        assert_snapshot!(check("reSize"), @"error: name `reSize` has 'S' at position 2, write lower-case letters, digits and `-` only");
        assert_snapshot!(check("a b"), @"error: name `a b` has ' ' at position 1, write lower-case letters, digits and `-` only");
        assert_snapshot!(check("grüße"), @"error: name `grüße` has 'ü' at position 2, write lower-case letters, digits and `-` only");
    }

    #[test]
    fn refuses_what_no_host_name_could_hold() {
        assert_snapshot!(check(""), @"error: a name has at least one character, write for example `hello`");
        assert_snapshot!(check("9lives"), @"error: name `9lives` starts with '9', a name starts with a letter `a` to `z`");
        assert_snapshot!(check("-x"), @"error: name `-x` starts with '-', a name starts with a letter `a` to `z`");
        assert_snapshot!(check("x-"), @"error: name `x-` ends with `-`, end it with a letter or a digit");
        assert_snapshot!(check(&"x".repeat(64)), @"error: name is 64 bytes long, the longest has 63");
    }

    #[test]
    fn a_file_stem_gives_the_nearest_name() {
        let name = |stem: &str| FunctionName::from_file_stem(stem).to_string();
        assert_snapshot!(name("Hello_World"), @"hello-world");
        assert_snapshot!(name("2024 report (final)"), @"report-final");
        assert_snapshot!(name("42"), @"function");
    }

    #[test]
    fn people_read_a_namespace_only_where_it_is_not_the_default() {
        let name: FunctionName = "checkout".parse().unwrap();
        assert_snapshot!(name.in_namespace(&NamespaceName::default()), @"checkout");
        assert_snapshot!(name.in_namespace(&"shop".parse().unwrap()), @"shop/checkout");
        assert!(
            NamespaceName::DEFAULT
                .parse::<NamespaceName>()
                .unwrap()
                .is_default()
        );
    }

    #[test]
    fn json_carries_names_as_text_and_checks_them() {
        let name: NamespaceName = serde_json::from_str("\"team-a\"").unwrap();
        assert_snapshot!(serde_json::to_string(&name).unwrap(), @r#""team-a""#);
        assert!(serde_json::from_str::<NamespaceName>("\"Team\"").is_err());
        assert_snapshot!(NamespaceName::default(), @"default");
    }

    proptest! {
        /// Whatever a file is called, its name is one that deploys.
        #[test]
        fn a_name_from_any_stem_is_a_name(stem in any::<String>()) {
            let name = FunctionName::from_file_stem(&stem);
            prop_assert_eq!(name.as_str().parse::<FunctionName>(), Ok(name.clone()));
        }

        #[test]
        fn accepts_exactly_the_grammar(text in "[a-zA-Z0-9-]{0,66}") {
            let good = (1..=63).contains(&text.len())
                && text.starts_with(|first: char| first.is_ascii_lowercase())
                && !text.ends_with('-')
                && !text.contains(|found: char| found.is_ascii_uppercase());
            prop_assert_eq!(text.parse::<FunctionName>().is_ok(), good);
        }
    }
}
