//! The bounds of one limit: what text or number is a limit within them.
//!
//! **Invariant:** nothing comes out that is outside of its bounds.

use std::fmt;
use std::time::Duration;

use crate::quantity::{QuantityError, format_bytes, format_duration, parse_bytes, parse_duration};

/// Why a limit is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Not a size or a duration at all.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Outside the bounds.
    #[error("{limit} of `{value}` is out of range, write `{min}` to `{max}`")]
    OutOfRange {
        /// Which limit, in words.
        limit: &'static str,
        /// What was asked for.
        value: String,
        /// The least allowed.
        min: String,
        /// The most allowed.
        max: String,
    },
}

/// The value of one limit, whichever kind it is of.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Measure {
    Bytes(u64),
    Time(Duration),
    Count(u32),
}

/// Sizes in bytes from the least to the most.
pub(crate) struct SizeRange {
    pub(crate) name: &'static str,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// Durations from the shortest to the longest.
pub(crate) struct TimeRange {
    pub(crate) name: &'static str,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// Whole numbers from the least to the most.
pub(crate) struct CountRange {
    pub(crate) name: &'static str,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl Measure {
    /// As a document has it.
    pub(crate) fn to_toml(self) -> String {
        match self {
            Self::Bytes(_) | Self::Time(_) => format!("\"{self}\""),
            Self::Count(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&format_bytes(*bytes)),
            Self::Time(time) => f.write_str(&format_duration(*time)),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl SizeRange {
    pub(crate) fn parse(&self, text: &str) -> Result<u64, LimitError> {
        self.check(parse_bytes(text)?)
    }

    pub(crate) fn check(&self, bytes: u64) -> Result<u64, LimitError> {
        if (self.min..=self.max).contains(&bytes) {
            return Ok(bytes);
        }
        Err(LimitError::OutOfRange {
            limit: self.name,
            value: format_bytes(bytes),
            min: format_bytes(self.min),
            max: format_bytes(self.max),
        })
    }
}

impl TimeRange {
    pub(crate) fn parse(&self, text: &str) -> Result<Duration, LimitError> {
        self.check(parse_duration(text)?)
    }

    pub(crate) fn check(&self, time: Duration) -> Result<Duration, LimitError> {
        if (self.min..=self.max).contains(&time) {
            return Ok(time);
        }
        Err(LimitError::OutOfRange {
            limit: self.name,
            value: format_duration(time),
            min: format_duration(self.min),
            max: format_duration(self.max),
        })
    }
}

impl CountRange {
    pub(crate) fn parse(&self, number: i64) -> Result<u32, LimitError> {
        match u32::try_from(number) {
            Ok(count) if (self.min..=self.max).contains(&count) => Ok(count),
            _ => Err(LimitError::OutOfRange {
                limit: self.name,
                value: number.to_string(),
                min: self.min.to_string(),
                max: self.max.to_string(),
            }),
        }
    }

    pub(crate) fn check(&self, count: u32) -> Result<u32, LimitError> {
        self.parse(i64::from(count))
    }
}
