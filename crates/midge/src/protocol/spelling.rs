//! How values stand on a line where their own spelling would not do.
//!
//! Decides two: what is shared is written as itself, and secrets are hexadecimal digits. JSON would
//! take six bytes for some of theirs, so that nobody could say how long a line becomes.
//!
//! **Invariant:** both ends have equal values, and a byte of a secret is [`SECRET_DIGITS`] on a line.

/// What a byte of a secret takes.
pub(crate) const SECRET_DIGITS: usize = 2;

/// For `#[serde(with)]`: both ends have a value of their own.
pub(super) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::protocol) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, to)
    }

    pub(in crate::protocol) fn deserialize<'a, T: Deserialize<'a>, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// For `#[serde(with)]`: secrets by name, their values as digits.
pub(super) mod secrets {
    use std::collections::BTreeMap;

    use midge_model::SecretText;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{from_digits, to_digits};

    pub(in crate::protocol) fn serialize<S: Serializer>(
        secrets: &BTreeMap<String, SecretText>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let secrets = secrets.iter();
        to.collect_map(secrets.map(|(name, value)| (name, to_digits(value.expose()))))
    }

    pub(in crate::protocol) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<BTreeMap<String, SecretText>, D::Error> {
        let digits = BTreeMap::<String, String>::deserialize(from)?;
        let secrets = digits.into_iter().map(|(name, digits)| {
            let text = from_digits(&digits).and_then(|text| SecretText::new(text).ok());
            // Nothing of the digits may stand in a log.
            Ok((name, text.ok_or_else(|| D::Error::custom("no secret"))?))
        });
        secrets.collect()
    }
}

fn to_digits(text: &str) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("four bits are a digit");
    let bytes = text.bytes();
    bytes
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn from_digits(digits: &str) -> Option<String> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| u8::try_from(value(*high)? << 4 | value(*low)?).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_secret_comes_back_and_takes_two_digits_a_byte(text in any::<String>()) {
            let digits = to_digits(&text);
            prop_assert_eq!(digits.len(), SECRET_DIGITS * text.len());
            prop_assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            prop_assert_eq!(from_digits(&digits), Some(text));
        }

        #[test]
        fn no_digits_panic(digits in any::<String>()) {
            drop(from_digits(&digits));
        }
    }
}
