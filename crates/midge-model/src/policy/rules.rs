//! One namespace's rules, complete.
//!
//! Each knows the line it is written in, or that nobody wrote it, so that a verdict can
//! point at it. Reading them is `read.rs`; what they mean for a grant is `check.rs`, for
//! an address `address.rs`.
//!
//! **Invariant:** every rule has a value; a key that nobody wrote has the default's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PrivateGrant;
use super::hosts::HostRule;
use crate::grant::{BUCKET_NAME_BYTES_MAX, TMP_BYTES_MAX, is_bucket_byte, is_env_name, lexical};
use crate::{BucketName, Clock, DirGrant, DirMode, Grants, HttpGrant, Limits, NameGrant, NetGrant};

/// The most that one namespace's functions may be granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) http: Rule<Vec<HttpGrant>>,
    pub(super) tcp: Rule<Vec<NetGrant>>,
    pub(super) udp: Rule<Vec<NetGrant>>,
    pub(super) dns: Rule<Vec<NameGrant>>,
    pub(super) listen: Rule<Vec<NetGrant>>,
    pub(super) dirs: Rule<Vec<DirRule>>,
    pub(super) secrets: Rule<Vec<SecretPattern>>,
    pub(super) kv: Rule<Vec<BucketPattern>>,
    pub(super) private: Rule<Vec<PrivateGrant>>,
    /// Whether a grant that writes a private address, or `localhost`, may go there without
    /// an entry in `private`. No key: only who types on this machine can mean it.
    pub(super) private_as_written: bool,
    /// `None` where nobody wrote it: any of namespace `default`, none of others.
    pub(super) hosts: Rule<Option<Vec<HostRule>>>,
    pub(super) clock: Rule<Clock>,
    pub(super) tmp_bytes: Rule<u64>,
    pub(super) limits: LimitRules,
    pub(super) env: Rule<bool>,
}

/// A value and the line it is written in; `None` where nobody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule<T> {
    pub(super) value: T,
    pub(super) line: Option<usize>,
}

/// Host folders at or below this one, in this mode at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirRule {
    /// `None` for any.
    pub(super) host: Option<PathBuf>,
    pub(super) mode: DirMode,
    /// The only guest path it may be shown under.
    pub(super) guest: Option<String>,
}

/// Names of secrets: one, or all that begin alike (`STRIPE_*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretPattern(String);

/// Names of buckets: one, or all that begin alike (`carts-*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct BucketPattern(String);

/// The most of each limit, and the lines of those that somebody wrote, by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitRules {
    pub(super) most: Limits,
    pub(super) lines: BTreeMap<String, usize>,
}

impl Rules {
    pub(super) fn serve_default() -> Self {
        Self {
            http: Rule::unwritten(vec![HttpGrant::ANY]),
            tcp: Rule::unwritten(vec![NetGrant::ANY]),
            udp: Rule::unwritten(vec![NetGrant::ANY]),
            dns: Rule::unwritten(vec![NameGrant::ANY]),
            listen: Rule::unwritten(Vec::new()),
            dirs: Rule::unwritten(Vec::new()),
            secrets: Rule::unwritten(vec![SecretPattern::any()]),
            kv: Rule::unwritten(vec![BucketPattern::any()]),
            private: Rule::unwritten(Vec::new()),
            private_as_written: false,
            hosts: Rule::unwritten(None),
            clock: Rule::unwritten(Clock::Real),
            tmp_bytes: Rule::unwritten(TMP_BYTES_MAX),
            limits: LimitRules {
                most: Limits::MOST,
                lines: BTreeMap::new(),
            },
            env: Rule::unwritten(true),
        }
    }

    pub(super) fn operator() -> Self {
        let any_folder = DirRule {
            host: None,
            mode: DirMode::ReadWrite,
            guest: None,
        };
        Self {
            listen: Rule::unwritten(vec![NetGrant::ANY]),
            dirs: Rule::unwritten(vec![any_folder]),
            private_as_written: true,
            hosts: Rule::unwritten(Some(vec![HostRule::ANY])),
            ..Self::serve_default()
        }
    }

    pub(super) fn widest(&self) -> Grants {
        Grants {
            http: self.http.value.clone(),
            tcp: self.tcp.value.clone(),
            udp: self.udp.value.clone(),
            dns: self.dns.value.clone(),
            listen: self.listen.value.clone(),
            clock: self.clock.value,
            tmp_bytes: Some(self.tmp_bytes.value).filter(|bytes| *bytes > 0),
            ..Grants::default()
        }
    }
}

impl<T> Rule<T> {
    pub(super) fn unwritten(value: T) -> Self {
        Self { value, line: None }
    }

    pub(super) fn written(value: T, line: usize) -> Self {
        let line = Some(line);
        Self { value, line }
    }
}

impl DirRule {
    pub(super) fn covers(&self, grant: &DirGrant) -> bool {
        self.holds(grant) && grant.mode <= self.mode
    }

    /// Whether it is about this folder, in whatever mode.
    pub(super) fn holds(&self, grant: &DirGrant) -> bool {
        let host = match &self.host {
            Some(host) => lexical(&grant.host).starts_with(lexical(host)),
            None => true,
        };
        host && self
            .guest
            .as_ref()
            .is_none_or(|guest| *guest == grant.guest)
    }
}

impl fmt::Display for DirRule {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("/".as_ref());
        write!(f, "{{ host = {:?}, mode = \"{}\"", host, self.mode)?;
        if let Some(guest) = &self.guest {
            write!(f, ", guest = {guest:?}")?;
        }
        f.write_str(" }")
    }
}

impl SecretPattern {
    fn any() -> Self {
        Self("*".to_owned())
    }

    /// A name, or the beginning of names with a `*` behind it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let front = text.strip_suffix('*').unwrap_or(text);
        (text == "*" || is_env_name(front)).then(|| Self(text.to_owned()))
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        begins_as(&self.0, name)
    }
}

/// Whether a name is what a pattern says: itself, or what begins as it does before its `*`.
fn begins_as(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(front) => name.starts_with(front),
        None => pattern == name,
    }
}

impl fmt::Display for SecretPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BucketPattern {
    fn any() -> Self {
        Self("*".to_owned())
    }

    /// A name, or the beginning of names with a `*` behind it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let front = text.strip_suffix('*').unwrap_or(text);
        let is_front = !front.is_empty()
            && front.len() <= BUCKET_NAME_BYTES_MAX
            && front.bytes().all(is_bucket_byte);
        (text == "*" || is_front).then(|| Self(text.to_owned()))
    }

    pub(super) fn covers(&self, name: &BucketName) -> bool {
        begins_as(&self.0, name.as_str())
    }
}

impl fmt::Display for BucketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
