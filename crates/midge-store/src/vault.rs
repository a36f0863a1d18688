//! Secrets at rest: sealed with a key that the store's files do not hold.
//!
//! Decides how a value is sealed (XChaCha20-Poly1305, a random nonce each) and which key does it.
//! Where sealed values are kept is `records.rs`; sealing all of them anew after a rotation is
//! midge-control's business.
//!
//! **Invariant:** a sealed value opens only under the name that it was sealed for, and no key or
//! value is ever printed.

mod key_file;
mod tag;

use std::fmt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use midge_model::{Digest, SecretText};
use serde::{Deserialize, Serialize};

use crate::hex;
use key_file::KeyFile;

/// The bytes of a key.
const KEY_BYTES: usize = 32;
/// The bytes of a nonce: long enough that random ones never meet.
const NONCE_BYTES: usize = 24;
/// The most keys at a time. Rotating again before everything was sealed anew adds one.
pub const VAULT_KEYS_MAX: usize = 16;
/// Digits of a key's digest that are its id.
const KEY_ID_DIGITS: usize = 16;

/// The keys of a node, the newest of which seals.
pub struct Vault {
    /// Newest first, at least one.
    keys: Vec<VaultKey>,
    /// Where they are kept; `None` if the environment gave the newest.
    file: Option<KeyFile>,
}

/// A value that only a vault with the right key can open. May be stored and backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which key sealed it.
    pub key_id: String,
    /// Used for this value only.
    #[serde(with = "hex")]
    pub nonce: [u8; NONCE_BYTES],
    /// In hexadecimal digits.
    pub ciphertext: String,
}

/// Why a vault did not do what it was asked to. Never says what a value or key is.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file could not be read or written.
    #[error("{doing} `{}`", .path.display())]
    File {
        /// Which step it was.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than its owner may read the key file.
    #[error("key file `{0}` may be read by others than its owner, run `chmod 600 {0}`", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// The key file does not hold keys.
    #[error("key file `{}` holds no keys, put back the file that the node had", .path.display())]
    BadFile {
        /// Which file.
        path: PathBuf,
    },
    /// The key from the environment is not one.
    #[error("the key from the environment is not {} hexadecimal digits", 2 * KEY_BYTES)]
    BadKey,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Random,
    /// The value was sealed with a key that is not here.
    #[error(
        "the secret was sealed with key {key_id}, which this node does not have: put back its key file, or set the secret again"
    )]
    NoKey {
        /// Which key.
        key_id: String,
    },
    /// The sealed value was changed, or is not the one of this name.
    #[error("the sealed secret is damaged, set it again")]
    Damaged,
    /// Keys that come from the environment are rotated there.
    #[error(
        "the node's key comes from the environment: put a new one in front, `NEW,OLD`, and start the node again"
    )]
    FromEnvironment,
    /// Too many keys.
    #[error("there are {VAULT_KEYS_MAX} keys, retire the old ones first")]
    TooManyKeys,
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
struct VaultKey {
    /// The first digits of its digest, so that it is the same wherever the key comes from.
    id: String,
    bytes: [u8; KEY_BYTES],
}

impl Vault {
    /// The vault of a key file, which is made if there is none, readable by its owner only.
    ///
    /// Keys from the environment, 64 hexadecimal digits each, newest first, joined by commas,
    /// stand before those of the file, which then only open what they sealed.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, may be read by others, or does not hold keys; or the
    /// environment does not.
    pub fn open(path: &Path, from_env: Option<&str>) -> Result<Self, VaultError> {
        let file = KeyFile::new(path);
        let mut kept = file.load()?;
        let Some(text) = from_env else {
            if kept.is_empty() {
                kept.push(VaultKey::random()?);
                file.save(&kept)?;
            }
            let file = Some(file);
            return Ok(Self { keys: kept, file });
        };
        let given: Option<Vec<_>> = text.split(',').map(VaultKey::from_hex).collect();
        let mut keys = given.ok_or(VaultError::BadKey)?;
        for key in kept {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Self { keys, file: None })
    }

    /// The id of the key that seals.
    pub fn newest(&self) -> &str {
        &self.keys[0].id
    }

    /// Whether a value was sealed with the key that seals now.
    pub fn is_newest(&self, sealed: &Sealed) -> bool {
        sealed.key_id == self.newest()
    }

    /// Seals a value under a name, which must be given again to open it.
    ///
    /// # Errors
    ///
    /// The system gave no random bytes.
    pub fn seal(&self, name: &str, value: &SecretText) -> Result<Sealed, VaultError> {
        let key = &self.keys[0];
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload {
            msg: value.expose().as_bytes(),
            aad: name.as_bytes(),
        };
        let ciphertext = key
            .cipher()
            .encrypt(XNonce::from_slice(&nonce), payload)
            .expect("a secret is far shorter than the cipher's longest message");
        Ok(Sealed {
            key_id: key.id.clone(),
            nonce,
            ciphertext: hex::encode(&ciphertext),
        })
    }

    /// The value that was sealed under this name.
    ///
    /// # Errors
    ///
    /// The key is not here, or the value is not one that was sealed under this name.
    pub fn open_sealed(&self, name: &str, sealed: &Sealed) -> Result<SecretText, VaultError> {
        let key = self.keys.iter().find(|key| key.id == sealed.key_id);
        let key = key.ok_or_else(|| VaultError::NoKey {
            key_id: sealed.key_id.clone(),
        })?;
        let ciphertext = hex::decode(&sealed.ciphertext).ok_or(VaultError::Damaged)?;
        let payload = Payload {
            msg: &ciphertext,
            aad: name.as_bytes(),
        };
        let value = key
            .cipher()
            .decrypt(XNonce::from_slice(&sealed.nonce), payload)
            .map_err(|_| VaultError::Damaged)?;
        let text = String::from_utf8(value).map_err(|_| VaultError::Damaged)?;
        SecretText::new(text).map_err(|_| VaultError::Damaged)
    }

    /// What stands for a message where the message must not be found out, by each key, that of
    /// the newest first. Keep the first and compare with all: so it outlives a rotation.
    pub fn tags(&self, message: &[u8]) -> Vec<[u8; 32]> {
        let keys = self.keys.iter();
        keys.map(|key| tag::tag(&key.bytes, message)).collect()
    }

    /// Adds a key that seals from now on; says its id. The old ones still open, so seal
    /// everything anew and then [`Vault::retire_old`].
    ///
    /// # Errors
    ///
    /// The keys come from the environment, there are too many, or the file could not be replaced;
    /// then nothing has changed.
    pub fn rotate(&mut self) -> Result<String, VaultError> {
        let file = self.file.as_ref().ok_or(VaultError::FromEnvironment)?;
        if self.keys.len() >= VAULT_KEYS_MAX {
            return Err(VaultError::TooManyKeys);
        }
        let mut keys = vec![VaultKey::random()?];
        keys.extend_from_slice(&self.keys);
        file.save(&keys)?;
        self.keys = keys;
        Ok(self.newest().to_owned())
    }

    /// Forgets all keys but the newest; says how many. What they sealed can never be opened
    /// again.
    ///
    /// # Errors
    ///
    /// The keys come from the environment, or the file could not be replaced; then nothing has
    /// changed.
    pub fn retire_old(&mut self) -> Result<usize, VaultError> {
        let file = self.file.as_ref().ok_or(VaultError::FromEnvironment)?;
        let retired_count = self.keys.len() - 1;
        if retired_count > 0 {
            file.save(&self.keys[..1])?;
            self.keys.truncate(1);
        }
        Ok(retired_count)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl VaultKey {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let mut id = Digest::of(&bytes).hex();
        id.truncate(KEY_ID_DIGITS);
        Self { id, bytes }
    }

    fn random() -> Result<Self, VaultError> {
        Ok(Self::new(random()?))
    }

    fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text.trim())?;
        Some(Self::new(bytes.try_into().ok()?))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.bytes.into())
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], VaultError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
