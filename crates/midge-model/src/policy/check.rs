//! What becomes of every grant and limit that a function asks for, and by which rule.
//!
//! Decides nothing that `rules.rs` and `address.rs` do not: it finds the rule that decides,
//! and the words for whoever wrote it and for whoever asked.
//!
//! **Invariant:** one verdict for each grant and each limit, and one that refuses says what
//! to write instead wherever anything would help.

use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;

use super::address::Passage;
use super::data_root::data_folder;
use super::hosts::HostRule;
use super::rules::{Rule, Rules};
use super::{AddressRefusal, Policy, PrivateGrant, Source};
use crate::address::HostName;
use crate::grant::{Named, lexical};
use crate::limits::Measure;
use crate::quantity::format_bytes;
use crate::{BucketName, Clock, DirGrant, Grants, HttpGrant, Limits, NamespaceName, NetGrant};

/// Entries of a rule that a verdict repeats; the line number finds the others.
const ENTRIES_SHOWN_MAX: usize = 3;

/// What a policy says to one grant or limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyVerdict {
    /// What was asked for: `http GET https://api.example.com/v1`.
    pub asked: String,
    /// The rule that decided: `policy.toml line 4: http = ["https://*"]`, or what holds
    /// because there is none.
    pub rule: Option<String>,
    /// Whether the function gets it.
    pub allowed: bool,
    /// What to write instead, and where.
    pub hint: Option<String>,
}

/// Who is asked, and by whom.
struct Court<'a> {
    source: &'a Source,
    namespace: &'a NamespaceName,
    rules: &'a Rules,
    /// The folder that is the namespace's own.
    data_folder: Option<PathBuf>,
}

/// An entry of a rule as it is written, and whether it allows what is asked.
type Entry = (String, bool);

pub(super) fn verdicts(
    policy: &Policy,
    namespace: &NamespaceName,
    grants: &Grants,
    limits: &Limits,
) -> Vec<PolicyVerdict> {
    let rules = policy.rules(namespace);
    let court = Court::of(policy, namespace);
    let mut verdicts = Vec::new();
    verdicts.extend(grants.http.iter().map(|grant| court.http(grant)));
    verdicts.extend(
        grants
            .tcp
            .iter()
            .map(|grant| court.net("tcp", &rules.tcp, grant)),
    );
    verdicts.extend(
        grants
            .udp
            .iter()
            .map(|grant| court.net("udp", &rules.udp, grant)),
    );
    verdicts.extend(grants.dns.iter().map(|grant| {
        let entries = rules.dns.entries(|rule| (quoted(rule), rule.covers(grant)));
        court.listed("dns", rules.dns.line, &entries, &quoted(grant))
    }));
    verdicts.extend(grants.listen.iter().map(|grant| {
        let entries = rules
            .listen
            .entries(|rule| (quoted(rule), rule.covers(grant)));
        court.listed("listen", rules.listen.line, &entries, &quoted(grant))
    }));
    verdicts.extend(grants.dirs.iter().map(|grant| court.dir(grant)));
    verdicts.extend(grants.secrets.iter().map(|secret| {
        let name = &secret.name;
        let entries = rules
            .secrets
            .entries(|rule| (quoted(rule), rule.covers(name)));
        court.listed("secrets", rules.secrets.line, &entries, &quoted(name))
    }));
    verdicts.extend(grants.kv.iter().map(|name| court.bucket(name)));
    verdicts.extend(court.clock(grants.clock));
    verdicts.extend(grants.tmp_bytes.map(|bytes| court.tmp(bytes)));
    verdicts.extend(grants.env.keys().map(|name| court.env(name)));
    let most = rules.limits.most.measures();
    let limits = limits.measures().into_iter().zip(most);
    verdicts.extend(limits.map(|((key, asked), (_, most))| court.limit(key, asked, most)));
    verdicts
}

/// See [`Policy::check_hosts`].
pub(super) fn host_verdicts(
    policy: &Policy,
    namespace: &NamespaceName,
    hosts: &[&str],
) -> Vec<PolicyVerdict> {
    let court = Court::of(policy, namespace);
    hosts.iter().map(|host| court.host(host)).collect()
}

/// See [`Policy::check_names_below`]; the first policy is the token's.
pub(super) fn name_verdicts(
    policies: (&Policy, &Policy),
    namespace: &NamespaceName,
    grants: &Grants,
) -> Vec<PolicyVerdict> {
    let court = Court::of(policies.0, namespace);
    let opened = &policies.1.rules(namespace).private.value;
    let http = grants.http.iter();
    let http = http.map(|grant| ("http", quoted(grant), grant.host().map(Named::Host)));
    let tcp = grants.tcp.iter();
    let tcp = tcp.map(|grant| ("tcp", quoted(grant), grant.named()));
    let udp = grants.udp.iter();
    let udp = udp.map(|grant| ("udp", quoted(grant), grant.named()));
    http.chain(tcp)
        .chain(udp)
        .filter_map(|(key, asked, named)| match named {
            Some(Named::Host(name @ HostName::Name(_))) if !name.is_localhost() => {
                court.name_below(opened, name, &format!("{key} {}", asked.trim_matches('"')))
            }
            // Addresses were judged by each policy for itself.
            _ => None,
        })
        .collect()
}

impl<'a> Court<'a> {
    fn of(policy: &'a Policy, namespace: &'a NamespaceName) -> Self {
        Self {
            source: &policy.source,
            namespace,
            rules: policy.rules(namespace),
            data_folder: policy
                .data_root
                .as_deref()
                .map(|root| data_folder(root, namespace)),
        }
    }
}

impl Court<'_> {
    fn host(&self, host: &str) -> PolicyVerdict {
        let rule = &self.rules.hosts;
        let name: Option<HostName> = host.parse().ok();
        let covers = |rule: &HostRule| name.as_ref().is_some_and(|name| rule.covers(name));
        let entries: Vec<Entry> = match &rule.value {
            Some(rules) => rules
                .iter()
                .map(|rule| (quoted(rule), covers(rule)))
                .collect(),
            None if self.namespace.is_default() => vec![(quoted("*"), true)],
            None => Vec::new(),
        };
        self.listed("hosts", rule.line, &entries, &quoted(host))
    }

    /// The refusal of a name to which the node's policy opens what this one does not.
    fn name_below(
        &self,
        opened: &[PrivateGrant],
        name: &HostName,
        asked: &str,
    ) -> Option<PolicyVerdict> {
        let private = &self.rules.private;
        let beyond = opened
            .iter()
            .filter(|entry| entry.opens_to(name))
            .find(|entry| {
                let mut own = private.value.iter();
                !own.any(|own| own.opens_as_much(entry, name))
            })?;
        let entries = private.entries(|rule| (quoted(rule), false));
        Some(PolicyVerdict {
            asked: asked.to_owned(),
            rule: Some(self.rule_of_list("private", private.line, &entries, false)),
            allowed: false,
            hint: Some(self.hint_to_add("private", private.line, &quoted(beyond))),
        })
    }

    fn http(&self, grant: &HttpGrant) -> PolicyVerdict {
        let rule = &self.rules.http;
        let entries = rule.entries(|rule| (quoted(rule), rule.covers(grant)));
        let verdict = self.listed("http", rule.line, &entries, &quoted(grant));
        self.within_reach(verdict, grant.host().map(Named::Host))
    }

    fn net(&self, key: &str, rule: &Rule<Vec<NetGrant>>, grant: &NetGrant) -> PolicyVerdict {
        let entries = rule.entries(|rule| (quoted(rule), rule.covers(grant)));
        let verdict = self.listed(key, rule.line, &entries, &quoted(grant));
        self.within_reach(verdict, grant.named())
    }

    /// The verdict, and what `private` says where the grant names an address that is not public.
    fn within_reach(&self, verdict: PolicyVerdict, named: Option<Named<'_>>) -> PolicyVerdict {
        let Some(named) = named.filter(|_| verdict.allowed) else {
            return verdict;
        };
        let private = &self.rules.private;
        let passage = self.rules.may_name(named);
        let allowed = passage.is_ok();
        let (rule, hint) = match passage {
            Ok(Passage::Open) => return verdict,
            Ok(Passage::AsWritten) => {
                let rule = format!("{}: private addresses where a grant says them", self.source);
                (rule, None)
            }
            Ok(Passage::By(entry)) => {
                let entries = [(quoted(entry), true)];
                let rule = self.rule_of_list("private", private.line, &entries, true);
                (rule, None)
            }
            Err(refusal @ AddressRefusal::Never { .. }) => (refusal.to_string(), None),
            Err(AddressRefusal::NotNamed { .. } | AddressRefusal::NotInPolicy { .. }) => {
                let entries = private.entries(|rule| (quoted(rule), false));
                let rule = self.rule_of_list("private", private.line, &entries, false);
                let hint = self.hint_to_add("private", private.line, &quoted(named));
                (rule, Some(hint))
            }
        };
        PolicyVerdict {
            rule: Some(rule),
            allowed,
            hint,
            ..verdict
        }
    }

    fn dir(&self, grant: &DirGrant) -> PolicyVerdict {
        let rule = &self.rules.dirs;
        let entries = rule.entries(|rule| (rule.to_string(), rule.covers(grant)));
        let host = lexical(&grant.host);
        let entry = format!("{{ host = {host:?}, mode = \"{}\" }}", grant.mode);
        let verdict = self.listed("dirs", rule.line, &entries, &entry);
        let asked = format!("dirs {grant}");
        if let Some(own) = &self.data_folder {
            let own = lexical(own);
            if !verdict.allowed && host.starts_with(&own) {
                return PolicyVerdict {
                    asked,
                    rule: Some(format!("the namespace's own folder {}", own.display())),
                    allowed: true,
                    hint: None,
                };
            }
        }
        let is_held = rule.value.iter().any(|rule| rule.holds(grant));
        let hint = verdict.hint.map(|hint| match &self.data_folder {
            _ if is_held => format!("write `mode = \"ro\"` in the manifest, or {hint}"),
            _ if host.is_relative() => {
                "write where the host folder is from `/` on: a policy holds wherever it is read"
                    .to_owned()
            }
            Some(own) => format!(
                "write a relative path, which lies in {}, or {hint}",
                own.display()
            ),
            None => hint,
        });
        PolicyVerdict {
            asked,
            hint,
            ..verdict
        }
    }

    fn bucket(&self, name: &BucketName) -> PolicyVerdict {
        let rule = &self.rules.kv;
        let entries = rule.entries(|rule| (quoted(rule), rule.covers(name)));
        self.listed("kv", rule.line, &entries, &quoted(name))
    }

    /// A verdict only on who asks for more than everybody has.
    fn clock(&self, asked: Clock) -> Option<PolicyVerdict> {
        let rule = &self.rules.clock;
        let written = format!("clock = \"{}\"", rule.value);
        let wanted = format!("clock = \"{asked}\"");
        (asked != Clock::default()).then(|| PolicyVerdict {
            asked: format!("clock {asked}"),
            rule: Some(self.rule_of_value("clock", rule.line, &written, "any clock")),
            allowed: asked <= rule.value,
            hint: (asked > rule.value).then(|| {
                let change = self.hint_to_change(rule.line, &wanted);
                format!("leave `clock` out of the manifest, or {change}")
            }),
        })
    }

    fn tmp(&self, bytes: u64) -> PolicyVerdict {
        let rule = &self.rules.tmp_bytes;
        let (asked, most) = (format_bytes(bytes), format_bytes(rule.value));
        let written = format!("tmp = \"{most}\"");
        let unwritten = format!("up to {most}");
        PolicyVerdict {
            asked: format!("tmp {asked}"),
            rule: Some(self.rule_of_value("tmp", rule.line, &written, &unwritten)),
            allowed: bytes <= rule.value,
            hint: (bytes > rule.value).then(|| {
                let change = self.hint_to_change(rule.line, &format!("tmp = \"{asked}\""));
                match rule.value {
                    0 => format!("leave `tmp` out of the manifest, or {change}"),
                    _ => format!("write `{written}` in the manifest, or {change}"),
                }
            }),
        }
    }

    fn env(&self, name: &str) -> PolicyVerdict {
        let rule = &self.rules.env;
        let written = format!("env = {}", rule.value);
        PolicyVerdict {
            asked: format!("env {name}"),
            rule: Some(self.rule_of_value("env", rule.line, &written, "any variable")),
            allowed: rule.value,
            hint: (!rule.value).then(|| {
                let change = self.hint_to_change(rule.line, "env = true");
                format!("leave `{name}` out of the manifest, or {change}")
            }),
        }
    }

    fn limit(&self, key: &'static str, asked: Measure, most: Measure) -> PolicyVerdict {
        let line = self.rules.limits.lines.get(key).copied();
        let written = format!("limits.{key} = {}", most.to_toml());
        let unwritten = format!("up to {most}");
        PolicyVerdict {
            asked: format!("limits.{key} {asked}"),
            rule: Some(self.rule_of_value(&format!("limits.{key}"), line, &written, &unwritten)),
            allowed: asked <= most,
            hint: (asked > most).then(|| {
                let change = self.hint_to_change(line, &format!("{key} = {}", asked.to_toml()));
                format!(
                    "write `{key} = {}` in the manifest, or {change}",
                    most.to_toml()
                )
            }),
        }
    }

    /// The verdict of a list of which one entry must allow what is asked.
    fn listed(
        &self,
        key: &str,
        line: Option<usize>,
        entries: &[Entry],
        asked: &str,
    ) -> PolicyVerdict {
        let deciding: Vec<_> = entries
            .iter()
            .filter(|(_, allows)| *allows)
            .cloned()
            .collect();
        let allowed = !deciding.is_empty();
        // The first that allows it, or all that do not.
        let shown = deciding.get(..1).unwrap_or(entries);
        PolicyVerdict {
            asked: format!("{key} {}", asked.trim_matches('"')),
            rule: Some(self.rule_of_list(key, line, shown, allowed)),
            allowed,
            hint: (!allowed).then(|| self.hint_to_add(key, line, asked)),
        }
    }

    fn rule_of_list(
        &self,
        key: &str,
        line: Option<usize>,
        entries: &[Entry],
        allowed: bool,
    ) -> String {
        let mut shown: Vec<&str> = entries.iter().map(|(entry, _)| entry.as_str()).collect();
        if shown.len() > ENTRIES_SHOWN_MAX {
            shown.truncate(ENTRIES_SHOWN_MAX);
            shown.push("…");
        }
        let written = format!("{key} = [{}]", shown.join(", "));
        match (line, key) {
            // Nobody wrote it into a file, so it was typed.
            (None, "private") if allowed => format!("`--allow-private`: {written}"),
            _ => self.rule_of_value(key, line, &written, unwritten_list(key, allowed)),
        }
    }

    fn rule_of_value(
        &self,
        key: &str,
        line: Option<usize>,
        written: &str,
        unwritten: &str,
    ) -> String {
        let source = self.source;
        match line {
            Some(line) => format!("{source} line {line}: {written}"),
            None => format!("no `{key}` in {source}: {unwritten}"),
        }
    }

    fn hint_to_add(&self, key: &str, line: Option<usize>, entry: &str) -> String {
        match (line, self.source) {
            (Some(line), _) => format!("add {entry} to `{key}` in line {line} of {}", self.source),
            (None, Source::Run) if key == "private" => {
                format!("run with `--allow-private {}`", entry.trim_matches('"'))
            }
            (None, _) => self.hint_to_change(None, &format!("{key} = [{entry}]")),
        }
    }

    fn hint_to_change(&self, line: Option<usize>, wanted: &str) -> String {
        match (line, self.source) {
            (Some(line), source) => format!("write `{wanted}` in line {line} of {source}"),
            (None, Source::File(file)) => {
                format!(
                    "write `{wanted}` below [namespace.{}] of {file}",
                    self.namespace
                )
            }
            (None, Source::Serve | Source::Run) => format!(
                "write `{wanted}` below [namespace.{}] in a file for `--policy`",
                self.namespace
            ),
        }
    }
}

impl<T> Rule<Vec<T>> {
    fn entries(&self, entry: impl Fn(&T) -> Entry) -> Vec<Entry> {
        self.value.iter().map(entry).collect()
    }
}

fn quoted(value: impl Display) -> String {
    format!("\"{value}\"")
}

/// What holds where nobody wrote the key.
fn unwritten_list(key: &str, allowed: bool) -> &'static str {
    match (key, allowed) {
        ("dns", _) => "any name",
        ("secrets", _) => "any secret",
        ("kv", _) => "any bucket",
        ("private", _) => "what is not public stays out of reach",
        ("listen", true) => "any address",
        ("listen", false) => "no listening",
        ("hosts", true) => "any host",
        ("hosts", false) => "no host but the namespace's own addresses",
        ("dirs", true) => "any host folder",
        ("dirs", false) => "no host folder",
        _ => "any public host",
    }
}
