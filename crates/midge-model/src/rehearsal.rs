//! How the world is bent for a function that is tried out: the time, and what goes wrong.
//!
//! Decides how it is written: `+3d`, `http:200ms`, `kv:5%`. Doing it is the sandbox's, and only
//! `midge test` and `midge dev` ask for it.
//!
//! **Invariant:** nothing here widens what a function may do; it only says when, and how badly.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::quantity::{QuantityError, format_duration, parse_duration};
use crate::suggest::nearest;
use crate::{Timestamp, TimestampError};

/// The furthest that a clock is moved: beyond it there is no date to write.
const SHIFT_MAX: Duration = Duration::from_secs(3_000 * 366 * 24 * 60 * 60);

/// The longest that a call is held up; invocations do not last longer.
const SLOW_MAX: Duration = Duration::from_secs(60 * 60);

const MILLION: u32 = 1_000_000;

/// What a function takes for the time: `2026-01-01T00:00:00Z`, or `+3d` or `-1h` from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Now {
    /// A clock that stands.
    At(Timestamp),
    /// A clock that is ahead.
    Later(Duration),
    /// A clock that is behind.
    Earlier(Duration),
}

/// Why a text is not a time to take for now.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NowError {
    /// Neither a moment nor a distance.
    #[error("{0}, or `+3d` or `-1h` for a clock that is ahead or behind")]
    Moment(TimestampError),
    /// A distance that is none.
    #[error("clock `{}`: {source}", .text.escape_debug())]
    Shift {
        /// What was written.
        text: String,
        /// Why it is no distance.
        source: QuantityError,
    },
    /// A distance beyond all dates.
    #[error("clock `{}` is moved too far", .text.escape_debug())]
    TooFar {
        /// What was written.
        text: String,
    },
}

impl Now {
    /// What the clock shows when it is really `real`, since 1970 began.
    pub fn shown(self, real: Duration) -> Duration {
        match self {
            Self::At(moment) => Duration::from_millis(moment.as_ms()),
            Self::Later(by) => real.saturating_add(by),
            Self::Earlier(by) => real.saturating_sub(by),
        }
    }
}

impl FromStr for Now {
    type Err = NowError;

    fn from_str(text: &str) -> Result<Self, NowError> {
        let (shift, distance): (fn(Duration) -> Self, &str) = match text.split_at_checked(1) {
            Some(("+", distance)) => (Self::Later, distance),
            Some(("-", distance)) => (Self::Earlier, distance),
            _ => return text.parse().map(Self::At).map_err(NowError::Moment),
        };
        let text: String = text.chars().take(40).collect();
        match parse_duration(distance) {
            Ok(by) if by <= SHIFT_MAX => Ok(shift(by)),
            Ok(_) => Err(NowError::TooFar { text }),
            Err(source) => Err(NowError::Shift { text, source }),
        }
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => write!(f, "{moment}"),
            Self::Later(by) => write!(f, "+{}", format_duration(*by)),
            Self::Earlier(by) => write!(f, "-{}", format_duration(*by)),
        }
    }
}

impl TryFrom<String> for Now {
    type Error = NowError;

    fn try_from(text: String) -> Result<Self, NowError> {
        text.parse()
    }
}

impl From<Now> for String {
    fn from(now: Now) -> Self {
        now.to_string()
    }
}

/// What can be made slow, or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Faulty {
    /// Requests that go out.
    Http,
    /// Calls to buckets.
    Kv,
}

/// Holds calls up: `http:200ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slow {
    /// Which calls.
    pub what: Faulty,
    /// For how long each.
    pub by: Duration,
}

/// Lets a part of calls fail: `kv:5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fail {
    /// Which calls.
    pub what: Faulty,
    /// How many of a million.
    pub of_million: u32,
}

/// Why a text is no fault to make.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// Nothing to make slow is named.
    #[error("`{}` names nothing, write for example `{example}`", .text.escape_debug())]
    NoName {
        /// What was written.
        text: String,
        /// What would be right.
        example: &'static str,
    },
    /// Something else than what can be made slow.
    #[error("`{}` cannot be made slow or fail, write `http` or `kv`", .name.escape_debug())]
    Unknown {
        /// What was written.
        name: String,
    },
    /// Misspelt.
    #[error("`{}` cannot be made slow or fail, did you mean `{meant}`?", .name.escape_debug())]
    Misspelt {
        /// What was written.
        name: String,
        /// What is near.
        meant: &'static str,
    },
    /// Not a time.
    #[error(transparent)]
    Time(#[from] QuantityError),
    /// Too long.
    #[error("a call cannot be held up for more than an hour")]
    TooSlow,
    /// Not a part.
    #[error("`{}` is not a part of all calls, write for example `5%`", .0.escape_debug())]
    Part(String),
}

impl Faulty {
    const ALL: [(&'static str, Self); 2] = [("http", Self::Http), ("kv", Self::Kv)];

    /// The part before the colon, and what is behind it.
    fn split<'a>(text: &'a str, example: &'static str) -> Result<(Self, &'a str), FaultError> {
        let short = |text: &str| text.chars().take(40).collect::<String>();
        let (name, rest) = text.split_once(':').ok_or_else(|| FaultError::NoName {
            text: short(text),
            example,
        })?;
        if let Some((_, what)) = Self::ALL.into_iter().find(|(known, _)| *known == name) {
            return Ok((what, rest));
        }
        let meant = nearest(name, Self::ALL.map(|(known, _)| known));
        let name = short(name);
        Err(match meant {
            Some(meant) => FaultError::Misspelt { name, meant },
            None => FaultError::Unknown { name },
        })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Kv => "kv",
        })
    }
}

impl FromStr for Slow {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (what, by) = Faulty::split(text, "http:200ms")?;
        let by = parse_duration(by)?;
        if by > SLOW_MAX {
            return Err(FaultError::TooSlow);
        }
        Ok(Self { what, by })
    }
}

impl FromStr for Fail {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (what, part) = Faulty::split(text, "kv:5%")?;
        let refused = || FaultError::Part(part.chars().take(40).collect());
        let digits = part.strip_suffix('%').ok_or_else(refused)?;
        let of_million = millionths(digits).ok_or_else(refused)?;
        Ok(Self { what, of_million })
    }
}

/// Percent with up to four digits behind the point; exact, so that it is written as it was read.
fn millionths(percent: &str) -> Option<u32> {
    const PLACES: usize = 4;
    let (whole, behind) = percent.split_once('.').unwrap_or((percent, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(whole) || !is_digits(behind) || behind.len() > PLACES {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let behind: u32 = format!("{behind:0<PLACES$}").parse().ok()?;
    let of_million = whole.checked_mul(10_000)?.checked_add(behind)?;
    (of_million <= MILLION).then_some(of_million)
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.what, format_duration(self.by))
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, behind) = (self.of_million / 10_000, self.of_million % 10_000);
        write!(f, "{}:{whole}", self.what)?;
        if behind > 0 {
            write!(f, ".{}", format!("{behind:04}").trim_end_matches('0'))?;
        }
        f.write_str("%")
    }
}

impl TryFrom<String> for Slow {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}

impl TryFrom<String> for Fail {
    type Error = FaultError;

    fn try_from(text: String) -> Result<Self, FaultError> {
        text.parse()
    }
}

impl From<Slow> for String {
    fn from(slow: Slow) -> Self {
        slow.to_string()
    }
}

impl From<Fail> for String {
    fn from(fail: Fail) -> Self {
        fail.to_string()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check<T: FromStr<Err: fmt::Display> + fmt::Display>(text: &str) -> String {
        match text.parse::<T>() {
            Ok(read) => format!("ok: {read}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_clock_stands_or_is_moved() {
        assert_snapshot!(check::<Now>("2026-01-01T00:00:00Z"), @"ok: 2026-01-01T00:00:00.000Z");
        assert_snapshot!(check::<Now>("+3d"), @"ok: +3days");
        assert_snapshot!(check::<Now>("-1h"), @"ok: -1h");
        assert_snapshot!(check::<Now>("tomorrow"), @"error: time `tomorrow` is not RFC 3339 in UTC, write for example `2026-11-22T14:00:00Z`, or `+3d` or `-1h` for a clock that is ahead or behind");
        assert_snapshot!(check::<Now>("+99999years"), @"error: clock `+99999years` is moved too far");
        let hour = Duration::from_secs(3_600);
        assert_eq!(Now::Earlier(hour).shown(hour * 2), hour);
        assert_eq!(Now::Later(hour).shown(hour), hour * 2);
    }

    #[test]
    fn a_fault_names_what_and_how_much() {
        assert_snapshot!(check::<Slow>("http:200ms"), @"ok: http:200ms");
        assert_snapshot!(check::<Slow>("200ms"), @"error: `200ms` names nothing, write for example `http:200ms`");
        assert_snapshot!(check::<Slow>("kv:5h"), @"error: a call cannot be held up for more than an hour");
        assert_snapshot!(check::<Fail>("kv:5%"), @"ok: kv:5%");
        assert_snapshot!(check::<Fail>("kv:0.25%"), @"ok: kv:0.25%");
        assert_snapshot!(check::<Fail>("kv:101%"), @"error: `101%` is not a part of all calls, write for example `5%`");
        assert_snapshot!(check::<Fail>("htp:5%"), @"error: `htp` cannot be made slow or fail, did you mean `http`?");
        assert_snapshot!(check::<Fail>("disk:5%"), @"error: `disk` cannot be made slow or fail, write `http` or `kv`");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(of_million in 0..=MILLION, ms in 0..3_600_000_u64) {
            let fail = Fail { what: Faulty::Kv, of_million };
            prop_assert_eq!(fail.to_string().parse(), Ok(fail));
            let slow = Slow { what: Faulty::Http, by: Duration::from_millis(ms) };
            prop_assert_eq!(slow.to_string().parse(), Ok(slow));
            let now = Now::Later(Duration::from_millis(ms));
            prop_assert_eq!(now.to_string().parse(), Ok(now));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop((text.parse::<Now>(), text.parse::<Slow>(), text.parse::<Fail>()));
        }
    }
}
