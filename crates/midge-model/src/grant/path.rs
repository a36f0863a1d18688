//! Which paths of a server a grant of HTTP requests is about.
//!
//! Decides how such a pattern is written and what it matches, segment by segment and
//! without decoding: what is spelt differently is another path.
//!
//! **Invariant:** a path that some server might fold into another one (`..`, `%2e`, `//`,
//! `\`) matches no pattern, so nothing reaches `/admin` through `/v1/*`.

use std::fmt;

/// Paths of a server: `/v1/charges`, `/v1/*/refunds`, `/v1/*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PathPattern {
    segments: Vec<Segment>,
    /// Ends in `/*`: everything below, and the folder itself.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// `*`: any one that is not empty.
    Any,
    /// Exactly this; empty only as the last one.
    Literal(String),
}

/// Why a text is no pattern of paths. To stand after what the path is of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathPatternError {
    #[error("has a query or fragment, leave `{0}` and what follows out: only the path is compared")]
    Query(char),
    #[error("has {0:?} in its path, write it percent-encoded")]
    BadCharacter(char),
    #[error(
        "has `*` beside other characters in its path, a `*` stands for a whole part, as in `/v1/*/refunds`"
    )]
    BadWildcard,
    #[error(
        "has a path with `{0}`, which servers may read as another path; write the path that is meant"
    )]
    Foldable(&'static str),
}

impl PathPattern {
    /// Reads a path that begins with `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, PathPatternError> {
        for found in text.chars() {
            match found {
                '?' | '#' => return Err(PathPatternError::Query(found)),
                '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => {
                    return Err(PathPatternError::BadCharacter(found));
                }
                _ if !found.is_ascii_graphic() => {
                    return Err(PathPatternError::BadCharacter(found));
                }
                _ => {}
            }
        }
        if let Some(foldable) = foldable(text) {
            return Err(PathPatternError::Foldable(foldable));
        }
        let below_root = text.strip_prefix('/').unwrap_or(text);
        let (below_root, is_open) = match below_root.strip_suffix('*') {
            Some("") => return Ok(Self::everything()),
            Some(front) if front.ends_with('/') => (&front[..front.len() - 1], true),
            _ => (below_root, false),
        };
        let segments = below_root.split('/').map(|segment| match segment {
            "*" => Ok(Segment::Any),
            _ if segment.contains('*') => Err(PathPatternError::BadWildcard),
            literal => Ok(Segment::Literal(literal.to_owned())),
        });
        let segments = segments.collect::<Result<_, _>>()?;
        Ok(Self { segments, is_open })
    }

    /// `/*`.
    fn everything() -> Self {
        Self {
            segments: Vec::new(),
            is_open: true,
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(below_root) = path.strip_prefix('/') else {
            return false;
        };
        if foldable(path).is_some() {
            return false;
        }
        let mut parts = below_root.split('/');
        let mut own = self.segments.iter();
        loop {
            match (own.next(), parts.next()) {
                (Some(segment), Some(part)) if segment.matches(part) => {}
                (Some(_), _) => return false,
                (None, rest) => return self.is_open || rest.is_none(),
            }
        }
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        let same_front = self
            .segments
            .iter()
            .zip(&other.segments)
            .all(|(own, other)| own.covers(other));
        let fits = if self.is_open {
            self.segments.len() <= other.segments.len()
        } else {
            self.segments.len() == other.segments.len() && !other.is_open
        };
        same_front && fits
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Any => !part.is_empty(),
            Self::Literal(literal) => literal == part,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (_, Self::Literal(literal)) => self.matches(literal),
            (Self::Literal(_), Self::Any) => false,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Any => f.write_str("/*")?,
                Segment::Literal(literal) => write!(f, "/{literal}")?,
            }
        }
        if self.is_open {
            f.write_str("/*")?;
        }
        Ok(())
    }
}

/// What in a path some server might fold, so that another path is served.
pub(crate) fn foldable(path: &str) -> Option<&'static str> {
    if path.contains('\\') {
        return Some("\\");
    }
    if path.contains("//") {
        return Some("//");
    }
    for part in path.split('/') {
        // Some servers cut parameters off before they look: `..;x` is `..` to them.
        match part.split(';').next() {
            Some(".") => return Some("."),
            Some("..") => return Some(".."),
            _ => {}
        }
    }
    path.match_indices('%')
        .find_map(|(at, _)| foldable_escape(&path[at + 1..]))
}

/// The same for what follows a `%`. Some servers decode twice, so `%252e` counts as `%2e`.
fn foldable_escape(mut escape: &str) -> Option<&'static str> {
    while let Some(inner) = escape.strip_prefix("25") {
        escape = inner;
    }
    match escape.get(..2)? {
        "2e" | "2E" => Some("%2e"),
        "2f" | "2F" => Some("%2f"),
        "5c" | "5C" => Some("%5c"),
        _ => None,
    }
}
