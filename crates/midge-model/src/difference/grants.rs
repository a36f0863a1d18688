//! The grants that came, went or changed.
//!
//! Decides for each kind of grant which two are the same one on other terms, and when a new one
//! allows more. Lists are compared as sets: their order means nothing.

use std::fmt::Display;

use super::{Change, GrantChange};
use crate::grant::Named;
use crate::quantity::format_bytes;
use crate::{
    Clock, DirGrant, Grants, HostName, HttpGrant, NameGrant, NetGrant, Reach, SecretExposure,
    SecretGrant,
};

/// What changed about grants of one kind.
struct Kind {
    key: &'static str,
    /// Whether there is something to be wider than.
    may_widen: bool,
    changes: Vec<GrantChange>,
}

/// The changes in the order of a policy's verdicts.
pub(super) fn between(old: Option<&Grants>, new: &Grants) -> Vec<GrantChange> {
    let none = Grants::default();
    let may_widen = old.is_some();
    let old = old.unwrap_or(&none);
    let kind = |key| Kind {
        key,
        may_widen,
        changes: Vec::new(),
    };
    [
        kind("http").listed(&old.http, &new.http, covered_http),
        kind("tcp").listed(&old.tcp, &new.tcp, covered_net),
        kind("udp").listed(&old.udp, &new.udp, covered_net),
        kind("dns").listed(&old.dns, &new.dns, |_, grant| covered_name(old, grant)),
        kind("listen").listed(&old.listen, &new.listen, |old, grant| {
            old.iter().any(|old| old.covers(grant))
        }),
        kind("dirs").dirs(&old.dirs, &new.dirs),
        kind("secrets").secrets(&old.secrets, &new.secrets),
        kind("kv").listed(&old.kv, &new.kv, |_, _| false),
        kind("clock").clock(old.clock, new.clock),
        kind("tmp").tmp(old.tmp_bytes, new.tmp_bytes),
        kind("env").env(old, new),
        kind("args").args(old, new),
    ]
    .into_iter()
    .flat_map(|kind| kind.changes)
    .collect()
}

impl Kind {
    fn push(&mut self, change: Change, grant: impl Display, widens: bool) {
        self.changes.push(GrantChange {
            kind: self.key.to_owned(),
            grant: grant.to_string(),
            from: None,
            change,
            widens: widens && self.may_widen,
        });
    }

    fn changed(&mut self, from: String, grant: String, widens: bool) {
        self.push(Change::Changed, grant, widens);
        if let Some(change) = self.changes.last_mut() {
            change.from = Some(from);
        }
    }

    /// Grants without a name of their own: another one is a new one.
    fn listed<T: PartialEq + Display>(
        mut self,
        old: &[T],
        new: &[T],
        is_covered: impl Fn(&[T], &T) -> bool,
    ) -> Self {
        for gone in old.iter().filter(|grant| !new.contains(grant)) {
            self.push(Change::Removed, gone, false);
        }
        for grant in new.iter().filter(|grant| !old.contains(grant)) {
            self.push(Change::Added, grant, !is_covered(old, grant));
        }
        self
    }

    /// The guest knows a folder by its path.
    fn dirs(mut self, old: &[DirGrant], new: &[DirGrant]) -> Self {
        let at = |dirs: &[DirGrant], guest: &str| {
            let mut dirs = dirs.iter();
            dirs.find(|dir| dir.guest == guest).cloned()
        };
        for gone in old.iter().filter(|dir| at(new, &dir.guest).is_none()) {
            self.push(Change::Removed, dir_text(gone), false);
        }
        for dir in new {
            let is_covered = old.iter().any(|old| old.covers(dir));
            match at(old, &dir.guest) {
                None => self.push(Change::Added, dir_text(dir), !is_covered),
                Some(same) if same == *dir => {}
                Some(other) => self.changed(dir_text(&other), dir_text(dir), !is_covered),
            }
        }
        self
    }

    fn secrets(mut self, old: &[SecretGrant], new: &[SecretGrant]) -> Self {
        let named = |secrets: &[SecretGrant], name: &str| {
            let mut secrets = secrets.iter();
            secrets.find(|secret| secret.name == name).cloned()
        };
        for gone in old.iter().filter(|old| named(new, &old.name).is_none()) {
            self.push(Change::Removed, secret_text(gone), false);
        }
        for secret in new {
            match named(old, &secret.name) {
                None => self.push(Change::Added, secret_text(secret), true),
                Some(same) if same == *secret => {}
                Some(other) => {
                    let is_covered = exposure_covers(&other.exposure, &secret.exposure);
                    self.changed(secret_text(&other), secret_text(secret), !is_covered);
                }
            }
        }
        self
    }

    fn clock(mut self, old: Clock, new: Clock) -> Self {
        if old != new && !self.may_widen {
            self.push(Change::Added, new, false);
        } else if old != new {
            self.changed(old.to_string(), new.to_string(), new > old);
        }
        self
    }

    fn tmp(mut self, old: Option<u64>, new: Option<u64>) -> Self {
        match (old, new) {
            (None, Some(bytes)) => self.push(Change::Added, format_bytes(bytes), true),
            (Some(bytes), None) => self.push(Change::Removed, format_bytes(bytes), false),
            (Some(from), Some(to)) if from != to => {
                self.changed(format_bytes(from), format_bytes(to), to > from);
            }
            _ => {}
        }
        self
    }

    /// Like variables, they are said and give nothing.
    fn args(mut self, old: &Grants, new: &Grants) -> Self {
        let told = |args: &[String]| format!("{args:?}");
        match (old.args.is_empty(), new.args.is_empty()) {
            _ if old.args == new.args => {}
            (true, _) => self.push(Change::Added, told(&new.args), false),
            (_, true) => self.push(Change::Removed, told(&old.args), false),
            _ => self.changed(told(&old.args), told(&new.args), false),
        }
        self
    }

    /// A variable says something to the function and gives it nothing, so none widens.
    fn env(mut self, old: &Grants, new: &Grants) -> Self {
        for name in old.env.keys().filter(|name| !new.env.contains_key(*name)) {
            self.push(Change::Removed, name, false);
        }
        for (name, value) in &new.env {
            match old.env.get(name) {
                None => self.push(Change::Added, name, false),
                Some(same) if same == value => {}
                Some(_) => self.push(Change::Changed, name, false),
            }
        }
        self
    }
}

/// Whether an old grant allows all of it, and in as many words.
///
/// A wildcard reaches public addresses only, while who names a host may be let through to a
/// private one. So `https://db.internal` is more than `https://*.internal`, which covers it.
fn covered_http(old: &[HttpGrant], grant: &HttpGrant) -> bool {
    old.iter().any(|old| {
        let is_named = |host| is_public(host) || old.names_literally(host);
        old.covers(grant) && grant.host().is_none_or(is_named)
    })
}

/// The same for connections.
fn covered_net(old: &[NetGrant], grant: &NetGrant) -> bool {
    old.iter().any(|old| {
        let is_named = match grant.named() {
            None => true,
            Some(Named::Host(host)) => is_public(host) || old.names_literally(host),
            Some(Named::Block(block)) => {
                let first = HostName::from(block.first());
                !block.names(block.first()) || is_public(&first) || old.names_literally(&first)
            }
        };
        old.covers(grant) && is_named
    })
}

/// A look-up that a grant of requests or connections implied is none that is new.
fn covered_name(old: &Grants, grant: &NameGrant) -> bool {
    let is_implied = grant.host().is_some_and(|host| old.may_resolve(host));
    is_implied || old.dns.iter().any(|old| old.covers(grant))
}

/// Whether it is an address that anybody may go to; where a name leads nobody knows.
fn is_public(host: &HostName) -> bool {
    host.ip().is_some_and(|ip| Reach::of(ip) == Reach::Public)
}

/// Who sees a secret can send it wherever its grants lead, so only of an injected one is there
/// anything to widen.
fn exposure_covers(old: &SecretExposure, new: &SecretExposure) -> bool {
    use SecretExposure::{Config, Env, Inject};
    match (old, new) {
        (Env | Config, _) => true,
        (Inject { .. }, Env | Config) => false,
        (
            Inject { header, format, to },
            Inject {
                header: new_header,
                format: new_format,
                to: new_to,
            },
        ) => {
            let covered = |new: &HttpGrant| to.iter().any(|old| old.covers(new));
            // In another header it may come back in the answer.
            header == new_header && format == new_format && new_to.iter().all(covered)
        }
    }
}

fn dir_text(dir: &DirGrant) -> String {
    match dir.quota_bytes {
        Some(bytes) => format!("{dir} up to {}", format_bytes(bytes)),
        None => dir.to_string(),
    }
}

fn secret_text(secret: &SecretGrant) -> String {
    let name = &secret.name;
    match &secret.exposure {
        SecretExposure::Env => name.clone(),
        SecretExposure::Config => format!("{name} as config"),
        SecretExposure::Inject { header, format, to } => {
            let to: Vec<_> = to.iter().map(HttpGrant::to_string).collect();
            let to = to.join(", ");
            format!("{name} as `{header}: {format}` to {to}")
        }
    }
}
