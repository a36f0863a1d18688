//! A moment by the wall clock, to the millisecond.
//!
//! Decides how it is kept and written: RFC 3339 in UTC. What time it is now is for those to
//! say who have a clock.
//!
//! **Invariant:** every value has a text that reads back as the same value.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The last moment that RFC 3339 can write: the end of the year 9999, in milliseconds.
const LATEST_MS: u64 = 253_402_300_799_999;

/// Milliseconds since 1970 in UTC; written as `2026-11-22T14:00:00.000Z`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time `{}` is not RFC 3339 in UTC, write for example `2026-11-22T14:00:00Z`", .text.escape_debug())]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// The moment so many milliseconds after 1970 began; the end of the year 9999 at the latest.
    pub fn from_ms(ms: u64) -> Self {
        Self(ms.min(LATEST_MS))
    }

    /// Milliseconds since 1970 began.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// The moment a time later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self::from_ms(self.0.saturating_add(ms))
    }

    /// How long after `earlier` this is; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// A clock that stands before 1970 is at 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::default().plus(since)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(time).fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let time = humantime::parse_rfc3339(text).map_err(|_| TimestampError {
            text: text.chars().take(40).collect(),
        })?;
        Ok(time.into())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_written_in_utc_to_the_millisecond() {
        assert_snapshot!(Timestamp::from_ms(1_795_356_000_123), @"2026-11-22T14:00:00.123Z");
        assert_snapshot!(Timestamp::from_ms(u64::MAX), @"9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn refuses_what_is_no_moment() {
        assert_snapshot!("yesterday".parse::<Timestamp>().unwrap_err(), @"time `yesterday` is not RFC 3339 in UTC, write for example `2026-11-22T14:00:00Z`");
    }

    proptest! {
        #[test]
        fn every_moment_reads_back(ms in 0..=LATEST_MS) {
            let moment = Timestamp::from_ms(ms);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(text.parse::<Timestamp>());
        }
    }
}
