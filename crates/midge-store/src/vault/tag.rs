//! Tags: hashes that only who has the vault's keys can make.
//!
//! HMAC-SHA-256 (RFC 2104) with a key of its own, made from the vault's. A plain hash of a short
//! value is the value, for whoever tries all of them.
//!
//! **Invariant:** a key that seals secrets is used here only to make another key.

use sha2::{Digest as _, Sha256};

/// The block of SHA-256 in bytes.
const BLOCK_BYTES: usize = 64;
/// What a key for tags is made with.
const LABEL: &[u8] = b"midge vault tag 1";

/// The tag of a message under a key of the vault.
pub(super) fn tag(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    hmac(&hmac(key, LABEL), message)
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK_BYTES];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new_with_prefix(padded(0x36)).chain_update(message);
    let outer = Sha256::new_with_prefix(padded(0x5c)).chain_update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn it_is_hmac_as_others_make_it() {
        // `printf 'what do ya want for nothing?' | openssl mac -digest SHA256 -macopt hexkey:… HMAC`
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe"); // zeros behind a key change nothing (RFC 4231, case 2)
        let made = hmac(&key, b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(&made),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
