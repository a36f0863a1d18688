//! What the node lends to functions, as typed.
//!
//! Where the policy, the secrets and the addresses of names come from. Reading the
//! policy is `policy.rs`, reading secrets `secrets.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;

use midge_model::{Grants, Policy, PrivateGrant};
use midge_sandbox::{DnsConfig, PowersConfig, Rehearsal, RootsConfig};

use crate::cli::{GrantArgs, SecretSource};

/// What the node lends to functions, and on whose word.
#[derive(Debug)]
pub(crate) struct PowersChoice {
    /// The most that functions may be granted.
    pub(crate) policy: PolicyChoice,
    /// Where the values of secrets are.
    pub(crate) secrets: SecretChoice,
    /// Where what functions used is written, when they are watched.
    pub(crate) learn: Option<LearnTo>,
    lent: Lent,
}

/// Whom functions' own requests rely on.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Who is asked for addresses.
    pub(crate) dns: DnsConfig,
    /// Whose certificates are trusted.
    pub(crate) roots: RootsConfig,
}

impl Lent {
    /// These, or the system's where none are given.
    pub(crate) fn new(dns: Vec<SocketAddr>, outbound_ca: Option<PathBuf>) -> Self {
        Self {
            dns: if dns.is_empty() {
                DnsConfig::System
            } else {
                DnsConfig::Servers(dns)
            },
            roots: outbound_ca.map_or(RootsConfig::System, RootsConfig::Pem),
        }
    }

    /// The same under a policy, for workers; private folders of instances are made in `tmp_dir`.
    pub(crate) fn under(&self, policy: Policy, tmp_dir: PathBuf, learn: bool) -> PowersConfig {
        PowersConfig {
            policy,
            dns: self.dns.clone(),
            roots: self.roots.clone(),
            tmp_dir,
            learn,
            rehearsal: Rehearsal::default(),
        }
    }
}

/// Which policy holds.
#[derive(Debug, Default)]
pub(crate) struct PolicyChoice {
    /// The file; without one, who types is the operator.
    pub(crate) file: Option<PathBuf>,
    /// What is not public and may be reached all the same, besides what the policy says.
    pub(crate) private: Vec<PrivateGrant>,
}

/// Where the values of secrets are.
#[derive(Debug, Default)]
pub(crate) struct SecretChoice {
    /// Each with a place of its own.
    pub(crate) single: Vec<SecretSource>,
    /// A file with several.
    pub(crate) file: Option<PathBuf>,
}

/// Where what functions used is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LearnTo {
    /// To stdout.
    Stdout,
    /// Into a file.
    File(PathBuf),
}

impl PowersChoice {
    /// What was typed: as grants for every function, and as what they are lent from.
    pub(crate) fn new(typed: GrantArgs) -> (Grants, Self) {
        // Of two variables with one name the later wins, as in a shell.
        let variables = typed.env.into_iter();
        let grants = Grants {
            env: variables
                .map(|variable| (variable.name, variable.value))
                .collect(),
            args: typed.args,
            dirs: typed.dirs,
            http: typed.allow_http,
            tcp: typed.allow_tcp,
            udp: typed.allow_udp,
            dns: typed.allow_dns,
            kv: typed.allow_kv,
            tmp_bytes: typed.tmp,
            ..Grants::default()
        };
        let choice = Self {
            policy: PolicyChoice {
                file: typed.policy,
                private: typed.allow_private,
            },
            secrets: SecretChoice {
                single: typed.secrets,
                file: typed.secrets_file,
            },
            learn: typed
                .learn
                .map(|file| file.map_or(LearnTo::Stdout, LearnTo::File)),
            lent: Lent::new(typed.dns, typed.outbound_ca),
        };
        (grants, choice)
    }

    /// The same under a policy, for workers; private folders of instances are made in `tmp_dir`.
    pub(crate) fn under(&self, policy: Policy, tmp_dir: PathBuf) -> PowersConfig {
        self.lent.under(policy, tmp_dir, self.learn.is_some())
    }
}
