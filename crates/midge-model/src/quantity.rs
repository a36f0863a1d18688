//! Sizes and durations as people write them.
//!
//! `64MiB`, `10 MB`, `50ms`, `1m 30s`. A bare number is refused, because nobody
//! agrees on what it counts. The grammar is that of `bytesize` and `humantime`;
//! this module adds the refusals, the sentences and the way back to text.
//!
//! **Invariant:** what the serde modules write, they read back unchanged.

use std::time::Duration;

use bytesize::ByteSize;

/// The longest text read as a quantity, in bytes: errors repeat it.
pub const QUANTITY_BYTES_MAX: usize = 64;

/// Why a text is not a size or not a duration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// A size that is a number and nothing else.
    #[error("size `{text}` has no unit, write for example `{text}MiB`")]
    SizeWithoutUnit {
        /// The whole text.
        text: String,
    },
    /// Not a number with a known unit.
    #[error("`{}` is not a size, write a number and a unit such as `64MiB` or `10MB`", .text.escape_debug())]
    NotASize {
        /// The whole text.
        text: String,
    },
    /// More bytes than 64 bits count.
    #[error("size `{text}` is larger than any machine, the unit may be wrong")]
    SizeTooLarge {
        /// The whole text.
        text: String,
    },
    /// A duration that is a number and nothing else.
    #[error("duration `{text}` has no unit, write for example `{text}s` or `{text}ms`")]
    DurationWithoutUnit {
        /// The whole text.
        text: String,
    },
    /// Not a number with a known unit.
    #[error("`{}` is not a duration, write numbers and units such as `50ms` or `1m 30s`", .text.escape_debug())]
    NotADuration {
        /// The whole text.
        text: String,
        /// Where it went wrong.
        source: humantime::DurationError,
    },
    /// Longer than any quantity needs to be.
    #[error("a quantity has at most {QUANTITY_BYTES_MAX} characters, this has {length_bytes}")]
    TooLong {
        /// How long the text is.
        length_bytes: usize,
    },
}

/// Reads a size such as `64MiB` or `10 MB` into bytes.
///
/// # Errors
///
/// Refuses a bare number and anything that is not one number with one unit; the
/// message says what to write.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    let text = trimmed(text)?;
    if is_bare_number(text) {
        return Err(QuantityError::SizeWithoutUnit {
            text: text.to_owned(),
        });
    }
    let size: ByteSize = text.parse().map_err(|_: String| QuantityError::NotASize {
        text: text.to_owned(),
    })?;
    // The parser saturates instead of failing.
    if size.as_u64() == u64::MAX {
        return Err(QuantityError::SizeTooLarge {
            text: text.to_owned(),
        });
    }
    Ok(size.as_u64())
}

/// Reads a duration such as `50ms` or `1m 30s`.
///
/// # Errors
///
/// Refuses a bare number and anything that is not numbers with units; the message
/// says what to write.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let text = trimmed(text)?;
    if is_bare_number(text) {
        return Err(QuantityError::DurationWithoutUnit {
            text: text.to_owned(),
        });
    }
    humantime::parse_duration(text).map_err(|source| QuantityError::NotADuration {
        text: text.to_owned(),
        source,
    })
}

/// Writes a size for people: exact where a unit divides it, else rounded (`1.8MiB`).
pub fn format_bytes(bytes: u64) -> String {
    let (number, unit) = exact(bytes);
    // Digits nobody reads: `1900001B` says less than `1.8MiB`.
    if number < 1024 {
        return format!("{number}{unit}");
    }
    ByteSize::b(bytes).to_string().replace(' ', "")
}

/// Writes a duration for people, exactly: `10s`, `1m 30s`.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A size as text, for `#[serde(with = "midge_model::quantity::bytes_text")]`.
pub mod bytes_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the size with its unit.
    ///
    /// # Errors
    ///
    /// Whatever the format reports.
    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_bytes_exact(*bytes))
    }

    /// Reads a size with its unit.
    ///
    /// # Errors
    ///
    /// What [`super::parse_bytes`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_bytes(&text).map_err(de::Error::custom)
    }
}

/// A size that may be absent, for `#[serde(with = "midge_model::quantity::bytes_text_option")]`.
pub mod bytes_text_option {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the size with its unit, or nothing.
    ///
    /// # Errors
    ///
    /// Whatever the format reports.
    pub fn serialize<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&super::format_bytes_exact(*bytes)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a size with its unit, or nothing.
    ///
    /// # Errors
    ///
    /// What [`super::parse_bytes`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse_bytes(&text).map_err(de::Error::custom))
            .transpose()
    }
}

/// A duration as text, for `#[serde(with = "midge_model::quantity::duration_text")]`.
pub mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the duration with its units.
    ///
    /// # Errors
    ///
    /// Whatever the format reports.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    /// Reads a duration with its units.
    ///
    /// # Errors
    ///
    /// What [`super::parse_duration`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(de::Error::custom)
    }
}

/// A duration that may be absent, for
/// `#[serde(with = "midge_model::quantity::duration_text_option")]`.
pub mod duration_text_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the duration with its units, or nothing.
    ///
    /// # Errors
    ///
    /// Whatever the format reports.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&super::format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration with its units, or nothing.
    ///
    /// # Errors
    ///
    /// What [`super::parse_duration`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse_duration(&text).map_err(de::Error::custom))
            .transpose()
    }
}

fn trimmed(text: &str) -> Result<&str, QuantityError> {
    let text = text.trim();
    if text.len() > QUANTITY_BYTES_MAX {
        return Err(QuantityError::TooLong {
            length_bytes: text.len(),
        });
    }
    Ok(text)
}

fn is_bare_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .chars()
            .all(|found| found.is_ascii_digit() || found == '.' || found == '_')
}

/// Writes a size so that it reads back unchanged.
pub(crate) fn format_bytes_exact(bytes: u64) -> String {
    let (number, unit) = exact(bytes);
    format!("{number}{unit}")
}

/// In the largest unit that divides the size, binary ones first, so that nothing is rounded.
fn exact(bytes: u64) -> (u64, &'static str) {
    const UNITS: [(u64, &str); 8] = [
        (bytesize::TIB, "TiB"),
        (bytesize::GIB, "GiB"),
        (bytesize::MIB, "MiB"),
        (bytesize::TB, "TB"),
        (bytesize::GB, "GB"),
        (bytesize::MB, "MB"),
        (bytesize::KIB, "KiB"),
        (bytesize::KB, "kB"),
    ];
    let divides = |(unit, _): &&(u64, &str)| bytes != 0 && bytes.is_multiple_of(*unit);
    UNITS
        .iter()
        .find(divides)
        .map_or((bytes, "B"), |(unit, name)| (bytes / unit, *name))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn size(text: &str) -> String {
        match parse_bytes(text) {
            Ok(bytes) => format!("ok: {bytes}"),
            Err(error) => format!("error: {error}"),
        }
    }

    fn duration(text: &str) -> String {
        match parse_duration(text) {
            Ok(duration) => format!("ok: {duration:?}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn reads_binary_and_decimal_sizes() {
        assert_snapshot!(size("64MiB"), @"ok: 67108864");
        assert_snapshot!(size("10 MB"), @"ok: 10000000");
        assert_snapshot!(size("1.5GiB"), @"ok: 1610612736");
        assert_snapshot!(size("0B"), @"ok: 0");
    }

    #[test]
    fn refuses_sizes_that_could_mean_anything() {
        assert_snapshot!(size("64"), @"error: size `64` has no unit, write for example `64MiB`");
        assert_snapshot!(size(""), @"error: `` is not a size, write a number and a unit such as `64MiB` or `10MB`");
        assert_snapshot!(size("-1MiB"), @"error: `-1MiB` is not a size, write a number and a unit such as `64MiB` or `10MB`");
        assert_snapshot!(size("lots"), @"error: `lots` is not a size, write a number and a unit such as `64MiB` or `10MB`");
        assert_snapshot!(size("64 parsecs"), @"error: `64 parsecs` is not a size, write a number and a unit such as `64MiB` or `10MB`");
        assert_snapshot!(size("999999999999EiB"), @"error: size `999999999999EiB` is larger than any machine, the unit may be wrong");
        assert_snapshot!(size(&"1".repeat(65)), @"error: a quantity has at most 64 characters, this has 65");
    }

    #[test]
    fn reads_durations_of_several_units() {
        assert_snapshot!(duration("50ms"), @"ok: 50ms");
        assert_snapshot!(duration("1m 30s"), @"ok: 90s");
    }

    #[test]
    fn refuses_durations_that_could_mean_anything() {
        assert_snapshot!(duration("5"), @"error: duration `5` has no unit, write for example `5s` or `5ms`");
        assert_snapshot!(duration("0"), @"error: duration `0` has no unit, write for example `0s` or `0ms`");
        assert_snapshot!(duration("5 parsecs"), @"error: `5 parsecs` is not a duration, write numbers and units such as `50ms` or `1m 30s`");
        assert_snapshot!(duration("soon"), @"error: `soon` is not a duration, write numbers and units such as `50ms` or `1m 30s`");
        assert_snapshot!(duration("99999999999999999999y"), @"error: `99999999999999999999y` is not a duration, write numbers and units such as `50ms` or `1m 30s`");
    }

    #[test]
    fn writes_sizes_for_people() {
        assert_snapshot!(format_bytes(64 << 20), @"64MiB");
        assert_snapshot!(format_bytes(1_900_000), @"1.8MiB");
        assert_snapshot!(format_bytes(1_900_001), @"1.8MiB");
        assert_snapshot!(format_bytes(1_023), @"1023B");
        assert_snapshot!(format_bytes(0), @"0B");
        assert_snapshot!(format_bytes(u64::MAX), @"16.0EiB");
    }

    proptest! {
        #[test]
        fn sizes_survive_their_own_text(bytes in 0..u64::MAX) {
            prop_assert_eq!(parse_bytes(&format_bytes_exact(bytes)), Ok(bytes));
        }

        #[test]
        fn round_sizes_survive_their_own_text(number in 0..1024_u64, shift in 0..5_u32) {
            let bytes = number << (10 * shift);
            prop_assert_eq!(parse_bytes(&format_bytes_exact(bytes)), Ok(bytes));
        }

        #[test]
        fn durations_survive_their_own_text(seconds in 0..u64::from(u32::MAX), nanos in 0..1_000_000_000_u32) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in any::<String>(), near in "[0-9.]{0,25} ?[a-zA-Zµ]{0,4}") {
            for text in [text, near] {
                let _size = parse_bytes(&text);
                let _duration = parse_duration(&text);
            }
        }
    }
}
