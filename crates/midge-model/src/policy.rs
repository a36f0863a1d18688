//! The most that functions may be granted, as the operator of a node wrote it.
//!
//! Decides which rule allows or refuses a grant, a limit and an address, and says so.
//! Reading the file, refusing to start and cutting connections is left to others. The
//! policies of who writes none are data like any other, not ways through the code.
//!
//! **Invariant:** a policy only takes away: nothing is granted that the manifest does not
//! grant, and no rule lets anybody connect to what is [`crate::Reach::Never`].

mod address;
mod check;
mod data_root;
mod hosts;
mod private;
mod read;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::address::AddressRefusal;
pub use self::check::PolicyVerdict;
pub use self::data_root::{DataPathError, data_path};
pub(crate) use self::hosts::HostRuleError;
pub use self::private::{PrivateGrant, PrivateGrantError};
use self::rules::Rules;
use crate::document::{self, Kind, Lines, Placed};
use crate::{BucketName, Grants, HostName, Limits, NamespaceName};

/// The longest policy in bytes: as long as a manifest may be.
pub const POLICY_BYTES_MAX: usize = 1 << 20;

/// How the top of the file is called in messages.
pub(crate) const TOP: &str = "the policy";

/// The most that functions may be granted, by namespace.
///
/// `[namespace.shop]` is about one namespace and `[namespace."*"]` about all: a key that the
/// first does not have is taken from the second, and what neither has from the default.
///
/// | key | says | without it |
/// | --- | --- | --- |
/// | `http` | which requests, as a manifest does | any, to public hosts |
/// | `tcp`, `udp` | which hosts and ports | any public ones |
/// | `dns` | which names `dns` may list | any |
/// | `listen` | which addresses to listen on | none |
/// | `dirs` | `{ host, mode, guest }`: folders at or below `host`, in this mode at most, under this guest path only | none |
/// | `secrets` | names, or how they begin: `STRIPE_*` | any |
/// | `kv` | names of buckets, or how they begin: `carts-*` | any |
/// | `private` | addresses, blocks and names that a grant may go to by naming them, although they are not public | none |
/// | `hosts` | the hosts that routes may name | any in `default`, none in others |
/// | `clock` | the finest clock | `real` |
/// | `tmp` | the largest private directory | [`TMP_BYTES_MAX`](crate::TMP_BYTES_MAX) |
/// | `limits` | the most of each limit | [`Limits::MOST`] |
/// | `env` | whether there may be variables | `true` |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Where it comes from, for verdicts.
    source: Source,
    /// For every namespace without rules of its own.
    any: Rules,
    /// Rules of one namespace, complete: what it does not say was taken from `any`.
    namespaces: BTreeMap<NamespaceName, Rules>,
    /// Where the node keeps a folder for each namespace, which is open to it; none of a node
    /// that keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_root: Option<PathBuf>,
}

/// Where a policy comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// Nobody wrote it; `midge serve`'s.
    Serve,
    /// Nobody wrote it; `midge run`'s.
    Run,
    /// The file of this name.
    File(String),
}

/// What is wrong with a policy, and where. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(Placed);

impl PolicyError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; show [`PolicyError::hint`] below the message.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        const POLICY: Kind = Kind {
            name: "policy",
            bytes_max: POLICY_BYTES_MAX,
        };
        let lines = Lines::of(text);
        document::read(text, &POLICY, |document| read::policy(document, &lines))
            .map_err(PolicyError)
    }

    /// The policy of `midge serve` without a file: everything but addresses that are not
    /// public, listening, and host folders.
    pub fn serve_default() -> Self {
        Self {
            source: Source::Serve,
            any: Rules::serve_default(),
            namespaces: BTreeMap::new(),
            data_root: None,
        }
    }

    /// The policy of `midge run` without a file, where who types is the operator: everything,
    /// and private addresses where a grant writes the address itself or `localhost`.
    pub fn operator() -> Self {
        Self {
            source: Source::Run,
            any: Rules::operator(),
            namespaces: BTreeMap::new(),
            data_root: None,
        }
    }

    /// The same policy, called by its file's name in verdicts.
    #[must_use]
    pub fn named(mut self, file: &str) -> Self {
        self.source = Source::File(file.to_owned());
        self
    }

    /// The same policy with these private hosts allowed to literal grants in every namespace.
    #[must_use]
    pub fn with_private(mut self, private: &[PrivateGrant]) -> Self {
        for rules in self.namespaces.values_mut().chain([&mut self.any]) {
            rules.private.value.extend_from_slice(private);
        }
        self
    }

    /// The same policy on a node that keeps a folder for each namespace, `<root>/<namespace>/`:
    /// its functions may be granted folders at or below it in any mode, beside what the policy
    /// says.
    #[must_use]
    pub fn with_data_root(mut self, root: &Path) -> Self {
        self.data_root = Some(root.to_owned());
        self
    }

    /// What becomes of every grant and every limit, in the order of the manifest's keys.
    pub fn check(
        &self,
        namespace: &NamespaceName,
        grants: &Grants,
        limits: &Limits,
    ) -> Vec<PolicyVerdict> {
        check::verdicts(self, namespace, grants, limits)
    }

    /// Whether a function may connect to this address, having asked for `host`.
    ///
    /// `literal` says whether the grant that allows the host names it without a wildcard.
    ///
    /// # Errors
    ///
    /// The address is not public, and the policy does not let this grant go there.
    pub fn address(
        &self,
        namespace: &NamespaceName,
        host: &HostName,
        literal: bool,
        address: IpAddr,
    ) -> Result<(), AddressRefusal> {
        let rules = self.rules(namespace);
        rules.address(host, literal, address).map(|_passage| ())
    }

    /// Whether functions of this namespace may be granted this bucket.
    pub fn allows_bucket(&self, namespace: &NamespaceName, name: &BucketName) -> bool {
        let mut rules = self.rules(namespace).kv.value.iter();
        rules.any(|rule| rule.covers(name))
    }

    /// These limits, none above what the policy allows: what to start from, so that a function
    /// that asks for nothing is not refused.
    pub fn lower(&self, namespace: &NamespaceName, limits: &Limits) -> Limits {
        limits.at_most(&self.rules(namespace).limits.most)
    }

    /// The widest grants of requests, connections, names, clock and `tmp` that the policy
    /// allows: what a function gets while it is watched to learn what it needs.
    pub fn widest(&self, namespace: &NamespaceName) -> Grants {
        self.rules(namespace).widest()
    }

    fn rules(&self, namespace: &NamespaceName) -> &Rules {
        self.namespaces.get(namespace).unwrap_or(&self.any)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "the default policy",
            Self::Run => "the policy of `midge run`",
            Self::File(name) => name,
        })
    }
}
