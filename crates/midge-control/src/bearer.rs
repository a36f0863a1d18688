//! The text of a token: `mdg_<16 digits of its id>_<64 digits that are the secret>`.
//!
//! Pure but for randomness. Which tokens there are is `tokens.rs`, which one a request shows
//! `authenticate.rs`.
//!
//! **Invariant:** the node keeps a hash of the text and never the text. SHA-256 without salt or
//! stretching is enough, because the secret is 256 random bits: there is nothing to guess.

use std::fmt;

use midge_store::records::RecordId;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ControlError;

/// How every token begins, so that scanners for leaked secrets know one.
const MARK: &str = "mdg_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// What stands for a token's text: its SHA-256.
pub(crate) type TokenHash = [u8; 32];

/// A token as its owner shows it. Printed it is its id.
pub(crate) struct Bearer {
    pub(crate) id: RecordId,
    pub(crate) hash: TokenHash,
}

/// A new token: for its owner the text, for the node the rest.
pub(crate) struct Minted {
    pub(crate) text: String,
    pub(crate) bearer: Bearer,
}

impl Bearer {
    /// Reads a token's text. `None` for everything that is none: whoever guesses is not helped.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(MARK)?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            text.len() == 2 * bytes && text.bytes().all(is_digit)
        };
        if !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES) {
            return None;
        }
        Some(Self {
            id: id.parse().ok()?,
            hash: Sha256::digest(text.as_bytes()).into(),
        })
    }

    /// Whether this is the token that the hash stands for. Takes as long for a hash that is
    /// nearly right as for any other.
    pub(crate) fn matches(&self, hash: &TokenHash) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

impl Minted {
    /// A token that nobody else has.
    ///
    /// # Errors
    ///
    /// The system gave no random bytes.
    pub(crate) fn new() -> Result<Self, ControlError> {
        let id = random_hex::<ID_BYTES>()?;
        let secret = random_hex::<SECRET_BYTES>()?;
        let text = format!("{MARK}{id}_{secret}");
        let bearer = Bearer::parse(&text).expect("it was just put together");
        Ok(Self { text, bearer })
    }
}

fn random_hex<const BYTES: usize>() -> Result<String, ControlError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(ControlError::internal)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}_***", self.id)
    }
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bearer.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_minted_token_reads_back_and_never_prints_itself() {
        let minted = Minted::new().unwrap();
        let read = Bearer::parse(&minted.text).unwrap();
        assert_eq!(read.id, minted.bearer.id);
        assert!(read.matches(&minted.bearer.hash));
        assert!(!read.matches(&[0; 32]));
        let secret = minted.text.rsplit('_').next().unwrap();
        assert!(!format!("{minted:?}{read:?}").contains(secret));
    }

    #[test]
    fn nothing_but_the_one_spelling_is_a_token() {
        let text = Minted::new().unwrap().text;
        for other in [
            text.to_uppercase(),
            format!("{text}0"),
            format!(" {text}"),
            text.replacen("mdg_", "", 1),
            text[..text.len() - 1].to_owned(),
            text.replacen('_', "-", 2),
        ] {
            assert!(Bearer::parse(&other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(mdg_)?[0-9a-f_é]{0,90}") {
            drop(Bearer::parse(&text));
        }
    }
}
