//! Patterns that an answer is compared with.
//!
//! **Invariant:** looking for one takes time that grows with the text and no faster.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// What a compiled pattern may take; one that a person wrote takes a hundredth.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression. `^` and `$` are the ends of the whole text, `(?m)` makes them those of lines.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern; the error is a sentence for who wrote it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let pattern = RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .build();
        pattern.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // The picture that the crate draws has lines of its own; the last one says what it is.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        })
    }

    /// Whether it is found in the text.
    pub fn is_found_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str())
    }
}
