//! Which hosts a namespace's routes may name, and whether a token's `private` holds for names.
//!
//! Decides by the policy alone. Hosts that are the node's own, and whose a host is that two
//! namespaces may have, is midge-control's.
//!
//! **Invariant:** an entry is a name or what is below one, never an address: whoever answers for
//! an address answers for everybody behind it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::check::PolicyVerdict;
use super::{Policy, check};
use crate::address::HostName;
use crate::grant::{HostPattern, HostPatternError};
use crate::{Grants, NamespaceName, Route};

/// An entry of `hosts`: `shop.example.net`, `*.shop.example.net` (below it, not itself) or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct HostRule(HostPattern);

/// Why a text is no entry of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host `{}` {problem}", .text.escape_debug())]
pub(crate) struct HostRuleError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is an address or this machine, and no route names one")]
    NoName,
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

impl HostRule {
    pub(super) const ANY: Self = Self(HostPattern::Any);

    pub(super) fn covers(&self, host: &HostName) -> bool {
        self.0.matches(host)
    }
}

impl Policy {
    /// What becomes of each host that these routes name, in their order. Without the key,
    /// namespace `default` may have any, and others none.
    pub fn check_hosts(&self, namespace: &NamespaceName, routes: &[Route]) -> Vec<PolicyVerdict> {
        let mut hosts: Vec<&str> = Vec::new();
        for host in routes.iter().filter_map(Route::host) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        check::host_verdicts(self, namespace, &hosts)
    }

    /// What `node`, the policy of the node, opens to a grant that names a host and this one, a
    /// token's, does not: where a name leads is known only once a function runs, and the node's
    /// policy alone decides then.
    pub fn check_names_below(
        &self,
        node: &Self,
        namespace: &NamespaceName,
        grants: &Grants,
    ) -> Vec<PolicyVerdict> {
        check::name_verdicts((self, node), namespace, grants)
    }
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, HostRuleError> {
        parse(text).map_err(|problem| HostRuleError {
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<HostRule, Problem> {
    let pattern = HostPattern::parse(text)?;
    match pattern.exact() {
        Some(host) if host.ip().is_some() || host.is_localhost() => Err(Problem::NoName),
        _ => Ok(HostRule(pattern)),
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for HostRule {
    type Error = HostRuleError;

    fn try_from(text: String) -> Result<Self, HostRuleError> {
        text.parse()
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}
