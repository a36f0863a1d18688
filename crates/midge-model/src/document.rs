//! TOML documents that people write: the manifest and the policy.
//!
//! Holds what both read in the same way (tables, limits, grants) and everything that can
//! be wrong with either, so that an error has a place and a hint wherever it comes from.
//! Which keys there are, and what they mean, is decided by `manifest` and `policy`.
//!
//! **Invariant:** every error carries the line and column it is about.

mod grants;
mod isolation;
mod limits;
mod problem;
mod table;

use std::fmt;

use toml::Spanned;
use toml::de::DeTable;

pub(crate) use self::grants::{
    read_clock, read_dirs, read_dns, read_http, read_kv, read_list, read_mode, read_net,
    read_secrets, read_texts,
};
pub(crate) use self::isolation::read_isolation;
pub(crate) use self::limits::read_limits;
pub(crate) use self::problem::Problem;
pub(crate) use self::table::{Entry, Keys, entries, in_order, unknown_was_refused};

/// The keys of the tables that several documents have, by what the tables hold.
#[cfg(test)]
pub(crate) const KNOWN: [(&str, &[&str]); 4] = [
    ("limits", limits::KEYS.known),
    ("isolation", isolation::KEYS.known),
    ("secret", grants::SECRET_KEYS.known),
    ("dir", grants::DIR_KEYS.known),
];

/// What a document is called in messages, and how long it may be.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) bytes_max: usize,
}

/// A problem and the byte it starts at.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) offset: usize,
    pub(crate) problem: Box<Problem>,
}

/// A problem and the line and column it starts at, for whoever wrote it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) line: usize,
    pub(crate) column: usize,
    problem: Box<Problem>,
}

/// Where the lines of a text end, to find many of them.
pub(crate) struct Lines(Vec<usize>);

/// Parses the text and reads the document that it is.
pub(crate) fn read<T>(
    text: &str,
    kind: &Kind,
    read: impl FnOnce(&DeTable<'_>) -> Result<T, Located>,
) -> Result<T, Placed> {
    parse_and_read(text, kind, read).map_err(|located| {
        let (line, column) = line_and_column(text, located.offset);
        Placed {
            line,
            column,
            problem: located.problem,
        }
    })
}

fn parse_and_read<T>(
    text: &str,
    kind: &Kind,
    read: impl FnOnce(&DeTable<'_>) -> Result<T, Located>,
) -> Result<T, Located> {
    if text.len() > kind.bytes_max {
        return Err(at_start(Problem::TooLong {
            document: kind.name,
            bytes_max: kind.bytes_max,
        }));
    }
    let document = DeTable::parse(text).map_err(|error| Located {
        offset: error.span().map_or(0, |span| span.start),
        problem: Box::new(Problem::Toml(error.message().to_owned())),
    })?;
    read(document.get_ref())
}

pub(crate) fn at<T>(place: &Spanned<T>, problem: Problem) -> Located {
    Located {
        offset: place.span().start,
        problem: Box::new(problem),
    }
}

pub(crate) fn at_start(problem: Problem) -> Located {
    Located {
        offset: 0,
        problem: Box::new(problem),
    }
}

/// Both from 1; columns are characters, because that is what editors count.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    /// The line that the byte is in, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

impl Placed {
    pub(crate) fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            problem,
        } = self;
        write!(f, "line {line}, column {column}: {problem}")
    }
}
