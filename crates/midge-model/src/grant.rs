//! What a function may touch, and on which terms.
//!
//! Gathers the grants of every kind and refuses combinations that would undo each other.
//! Each kind is read and matched by its own file; what the operator allows at all is
//! `policy.rs`; keeping to it is the sandbox's work.
//!
//! **Invariant:** no grants is the default, and no text makes more than it says.

#[cfg(test)]
pub(crate) mod arbitrary;
mod bucket;
mod clock;
mod dir;
mod env;
mod host;
mod http;
mod name;
mod net;
mod path;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(crate) use self::bucket::is_bucket_byte;
pub use self::bucket::{
    BUCKET_NAME_BYTES_MAX, BucketName, BucketNameError, ENTRY_BYTES_MAX, ENTRY_KEY_BYTES_MAX,
};
pub use self::clock::{Clock, ClockError};
pub(crate) use self::dir::lexical;
pub use self::dir::{DirGrant, DirGrantError, DirMode};
pub(crate) use self::env::is_env_name;
pub use self::env::{ENV_NAME_BYTES_MAX, ENV_VALUE_BYTES_MAX, EnvVar, EnvVarError};
pub(crate) use self::host::{HostPattern, HostPatternError};
pub use self::http::{HTTP_GRANT_BYTES_MAX, HttpGrant, HttpGrantError, Outbound};
pub use self::name::{NameGrant, NameGrantError};
pub(crate) use self::net::Named;
pub use self::net::{NET_GRANT_BYTES_MAX, NetGrant, NetGrantError};
pub use self::secret::{
    SECRET_BYTES_MAX, SECRET_NAME_BYTES_MAX, SecretExposure, SecretGrant, SecretGrantError,
    SecretText, SecretTextError, placeholder,
};
use crate::address::HostName;
use crate::limits::{LimitError, SizeRange};
use crate::quantity::bytes_text_option;

/// The most arguments of one command.
pub const ARGS_MAX: usize = 64;
/// The most bytes of all of them: each instance gets a copy.
pub const ARGS_BYTES_MAX: usize = 32 << 10;
/// The most grants of one kind: each outbound request is compared with all of its kind.
pub const GRANTS_MAX: usize = 256;
/// The most a private temporary directory may hold; it is the node's disk.
pub const TMP_BYTES_MAX: u64 = 4 << 30;
/// Where the guest sees its private temporary directory.
pub const TMP_GUEST_PATH: &str = "/tmp";

/// Everything one function may touch; empty is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Environment variables, by name.
    pub env: BTreeMap<String, String>,
    /// What follows the name of a command on its command line.
    pub args: Vec<String>,
    /// Host directories.
    pub dirs: Vec<DirGrant>,
    /// HTTP requests.
    pub http: Vec<HttpGrant>,
    /// Connections over TCP.
    pub tcp: Vec<NetGrant>,
    /// Datagrams over UDP.
    pub udp: Vec<NetGrant>,
    /// Names that may be looked up, besides those that other grants imply.
    pub dns: Vec<NameGrant>,
    /// Addresses to listen on.
    pub listen: Vec<NetGrant>,
    /// Secrets.
    pub secrets: Vec<SecretGrant>,
    /// Buckets of its namespace that it may keep values in.
    pub kv: Vec<BucketName>,
    /// How finely time may be measured.
    pub clock: Clock,
    /// The size of a private directory at [`TMP_GUEST_PATH`] that ends with the instance.
    #[serde(with = "bytes_text_option")]
    pub tmp_bytes: Option<u64>,
}

/// Why grants cannot stand together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GrantConflict {
    /// Two host directories in one place.
    #[error("directories `{first}` and `{second}` have the same guest path, give one another path")]
    SameGuestPath {
        /// The earlier grant.
        first: Box<DirGrant>,
        /// The later grant.
        second: Box<DirGrant>,
    },
    /// One tree, two modes: a rename or a hard link in the writable one would change the other.
    #[error(
        "directories `{first}` and `{second}` share host files but not the mode, give both the same mode or keep the trees apart"
    )]
    MixedModes {
        /// The earlier grant.
        first: Box<DirGrant>,
        /// The later grant.
        second: Box<DirGrant>,
    },
    /// A host directory where the private one is.
    #[error(
        "directory `{dir}` is where the private one of `tmp` is, give it another guest path or leave `tmp` out"
    )]
    TmpTaken {
        /// The grant.
        dir: Box<DirGrant>,
    },
    /// One secret in two ways.
    #[error("secret `{name}` is granted twice, keep one of them")]
    SameSecret {
        /// The secret.
        name: String,
    },
    /// The function would find one of the two.
    #[error("secret `{name}` has the name of an environment variable, give one another name")]
    SecretAndVariable {
        /// The secret.
        name: String,
    },
    /// A command line that is too long, or has a word that ends early for half of the guests.
    #[error(
        "arguments are more than {ARGS_MAX}, longer than {ARGS_BYTES_MAX} bytes or have a zero byte"
    )]
    Args,
    /// More than anybody compares a request with.
    #[error(
        "{count} grants of kind `{kind}` are more than {GRANTS_MAX}, write fewer and wider ones"
    )]
    TooMany {
        /// The key they stand under.
        kind: &'static str,
        /// How many there are.
        count: usize,
    },
}

impl Grants {
    /// Refuses grants that would undo each other.
    ///
    /// Lexical: relative paths are taken from one common folder, so make them
    /// absolute first where some are and some are not.
    ///
    /// # Errors
    ///
    /// The first that cannot stand together.
    pub fn check(&self) -> Result<(), GrantConflict> {
        self.check_counts()?;
        self.check_args()?;
        self.check_dirs()?;
        self.check_secrets()
    }

    /// Whether the function may look this host up: by a grant of names, or because a grant of
    /// requests or connections says the name. An address is its own answer.
    pub fn may_resolve(&self, host: &HostName) -> bool {
        host.ip().is_some()
            || self.dns.iter().any(|grant| grant.matches(host))
            || self.http.iter().any(|grant| grant.implies_look_up(host))
            || [&self.tcp, &self.udp]
                .into_iter()
                .flatten()
                .any(|grant| grant.implies_look_up(host))
    }

    /// Reads the size of a private temporary directory, such as `64MiB`.
    ///
    /// # Errors
    ///
    /// Not a size, or not within 1 byte to [`TMP_BYTES_MAX`].
    pub fn parse_tmp(text: &str) -> Result<u64, LimitError> {
        const TMP: SizeRange = SizeRange {
            name: "tmp",
            min: 1,
            max: TMP_BYTES_MAX,
        };
        TMP.parse(text)
    }

    /// Refuses a command line that no command could have.
    pub(crate) fn check_args(&self) -> Result<(), GrantConflict> {
        let bytes: usize = self.args.iter().map(|word| word.len() + 1).sum();
        let has_zero = self.args.iter().any(|word| word.contains('\0'));
        match self.args.len() > ARGS_MAX || bytes > ARGS_BYTES_MAX || has_zero {
            true => Err(GrantConflict::Args),
            false => Ok(()),
        }
    }

    fn check_counts(&self) -> Result<(), GrantConflict> {
        let counts = [
            ("dirs", self.dirs.len()),
            ("http", self.http.len()),
            ("tcp", self.tcp.len()),
            ("udp", self.udp.len()),
            ("dns", self.dns.len()),
            ("listen", self.listen.len()),
            ("secrets", self.secrets.len()),
            ("kv", self.kv.len()),
        ];
        match counts.into_iter().find(|(_, count)| *count > GRANTS_MAX) {
            Some((kind, count)) => Err(GrantConflict::TooMany { kind, count }),
            None => Ok(()),
        }
    }

    /// Compares the last directory with those before it.
    pub(crate) fn check_last_dir(&self) -> Result<(), GrantConflict> {
        match self.dirs.split_last() {
            Some((last, before)) => self.check_dir(last, before),
            None => Ok(()),
        }
    }

    pub(crate) fn check_dirs(&self) -> Result<(), GrantConflict> {
        (0..self.dirs.len()).try_for_each(|index| {
            let (before, rest) = self.dirs.split_at(index);
            self.check_dir(&rest[0], before)
        })
    }

    fn check_dir(&self, second: &DirGrant, before: &[DirGrant]) -> Result<(), GrantConflict> {
        if self.tmp_bytes.is_some() && second.guest == TMP_GUEST_PATH {
            let dir = Box::new(second.clone());
            return Err(GrantConflict::TmpTaken { dir });
        }
        for first in before {
            if first.guest == second.guest {
                let (first, second) = (Box::new(first.clone()), Box::new(second.clone()));
                return Err(GrantConflict::SameGuestPath { first, second });
            }
            if first.mode != second.mode && first.shares_files(second) {
                let (first, second) = (Box::new(first.clone()), Box::new(second.clone()));
                return Err(GrantConflict::MixedModes { first, second });
            }
        }
        Ok(())
    }

    pub(crate) fn check_secrets(&self) -> Result<(), GrantConflict> {
        let mut names = BTreeSet::new();
        for secret in &self.secrets {
            let name = || secret.name.clone();
            if !names.insert(&secret.name) {
                return Err(GrantConflict::SameSecret { name: name() });
            }
            let is_variable = secret.exposure != SecretExposure::Config;
            if is_variable && self.env.contains_key(&secret.name) {
                return Err(GrantConflict::SecretAndVariable { name: name() });
            }
        }
        Ok(())
    }
}
