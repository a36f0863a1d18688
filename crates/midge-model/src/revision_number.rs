//! Which revision of a function: `r1`, `r2` and so on.
//!
//! Decides how the number is read and written. Who gets which one is decided where revisions
//! are made.
//!
//! **Invariant:** numbers start at 1, so nothing is a number by being absent.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a revision, counted from 1 within its function and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevisionNumber(NonZeroU32);

/// Why a text is not the number of a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revision `{}` is not `r` and a number, write for example `r7`", .text.escape_debug())]
pub struct RevisionNumberError {
    text: String,
}

impl RevisionNumber {
    /// The number of a function's first revision.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The revision of this number; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number alone.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The number after this one; `None` once there are no more, after four thousand million
    /// deploys.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl FromStr for RevisionNumber {
    type Err = RevisionNumberError;

    fn from_str(text: &str) -> Result<Self, RevisionNumberError> {
        let digits = text.strip_prefix('r').filter(|digits| {
            // `r07` and `r+7` would be second names of `r7`.
            digits.bytes().all(|found| found.is_ascii_digit()) && !digits.starts_with('0')
        });
        let number = digits.and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or_else(|| RevisionNumberError {
            text: text.chars().take(40).collect(),
        })
    }
}

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("r{}", self.0))
    }
}

impl TryFrom<String> for RevisionNumber {
    type Error = RevisionNumberError;

    fn try_from(text: String) -> Result<Self, RevisionNumberError> {
        text.parse()
    }
}

impl From<RevisionNumber> for String {
    fn from(number: RevisionNumber) -> Self {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<RevisionNumber>() {
            Ok(number) => format!("ok: {number}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn has_one_spelling() {
        assert_snapshot!(check("r7"), @"ok: r7");
        assert_snapshot!(check("7"), @"error: revision `7` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("r07"), @"error: revision `r07` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("r0"), @"error: revision `r0` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("r+7"), @"error: revision `r+7` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("r4294967296"), @"error: revision `r4294967296` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check("R7"), @"error: revision `R7` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check(""), @"error: revision `` is not `r` and a number, write for example `r7`");
    }

    #[test]
    fn the_last_number_has_no_next() {
        assert_eq!(RevisionNumber::FIRST.next(), RevisionNumber::new(2));
        assert_eq!(RevisionNumber::new(u32::MAX).unwrap().next(), None);
    }

    proptest! {
        #[test]
        fn every_number_reads_back(number in 1..=u32::MAX) {
            let number = RevisionNumber::new(number).unwrap();
            prop_assert_eq!(number.to_string().parse(), Ok(number));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(text.parse::<RevisionNumber>());
        }
    }
}
