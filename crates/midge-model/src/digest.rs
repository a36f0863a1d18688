//! The name of bytes: SHA-256, written `sha256:<64 hex digits>` as OCI registries do.
//!
//! Decides how a digest is made, written and read. Where the bytes are kept and who
//! verifies them on the way is left to the store and the artifact cache.
//!
//! **Invariant:** equal digests mean equal bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256:";
const BYTES: usize = 32;
const HEX_DIGITS: usize = 2 * BYTES;

/// The SHA-256 of some bytes, by which artifacts are named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; BYTES]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another algorithm, or none.
    #[error("digest `{}` does not start with `sha256:`", .text.escape_debug())]
    NoAlgorithm {
        /// The whole text.
        text: String,
    },
    /// Too short, too long, or something else than lower-case hexadecimal digits.
    #[error("digest `{}` does not have {HEX_DIGITS} hexadecimal digits (`0`-`9`, `a`-`f`)", .text.escape_debug())]
    NotHex {
        /// The whole text.
        text: String,
    },
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 digits without the algorithm, for file names.
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(HEX_DIGITS);
        for byte in self.0 {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| DigestError::NoAlgorithm {
                text: text.to_owned(),
            })?;
        let bytes = from_hex(hex).ok_or_else(|| DigestError::NotHex {
            text: text.to_owned(),
        })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Upper-case digits are refused: one digest must have one spelling, because it is a file name.
fn from_hex(hex: &str) -> Option<[u8; BYTES]> {
    if hex.len() != HEX_DIGITS {
        return None;
    }
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<Digest>() {
            Ok(digest) => format!("ok: {digest}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn the_digest_of_nothing_is_the_well_known_one() {
        assert_snapshot!(Digest::of(b""), @"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn refuses_other_algorithms_and_spellings() {
        assert_snapshot!(check("md5:d41d8cd98f00b204e9800998ecf8427e"), @"error: digest `md5:d41d8cd98f00b204e9800998ecf8427e` does not start with `sha256:`");
        assert_snapshot!(check("sha256:E3B0"), @"error: digest `sha256:E3B0` does not have 64 hexadecimal digits (`0`-`9`, `a`-`f`)");
        assert!(check(&format!("sha256:{}", "A".repeat(64))).starts_with("error"));
    }

    proptest! {
        #[test]
        fn text_and_json_give_the_digest_back(bytes in any::<Vec<u8>>()) {
            let digest = Digest::of(&bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
            let json = serde_json::to_string(&digest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }

        #[test]
        fn never_panics(text in any::<String>(), tail in "\\PC{64}") {
            prop_assert!(text.parse::<Digest>().is_err());
            let _parsed = format!("sha256:{tail}").parse::<Digest>();
        }
    }
}
