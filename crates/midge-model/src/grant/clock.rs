//! How finely a function may measure time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How finely a function may measure time; a fine clock is half of a side channel.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// In steps that are too long to measure a cache by.
    #[default]
    Coarse,
    /// As the machine does.
    Real,
}

/// Why a text is not a clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("clock `{}` is unknown, write `coarse` or `real`", .text.escape_debug())]
pub struct ClockError {
    text: String,
}

impl FromStr for Clock {
    type Err = ClockError;

    fn from_str(text: &str) -> Result<Self, ClockError> {
        match text {
            "coarse" => Ok(Self::Coarse),
            "real" => Ok(Self::Real),
            other => Err(ClockError {
                text: other.chars().take(80).collect(),
            }),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coarse => "coarse",
            Self::Real => "real",
        })
    }
}
