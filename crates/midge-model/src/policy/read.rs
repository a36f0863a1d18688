//! From TOML with spans to a [`Policy`].
//!
//! Decides which keys there are and how a namespace's own rules go over those of `"*"`,
//! key by key. What a value means is decided by that type's own parser.
//!
//! **Invariant:** the tables are read in the order of the file, so the error shown is the
//! first one a reader meets.

use toml::de::DeTable;

use super::hosts::HostRule;
use super::rules::{BucketPattern, DirRule, Rule, Rules, SecretPattern};
use super::{Policy, TOP};
use crate::document::{
    self, Entry, Keys, Lines, Located, Problem, at, entries, in_order, read_list, read_texts,
    unknown_was_refused,
};
use crate::grant::TMP_BYTES_MAX;
use crate::limits::SizeRange;
use crate::{DirGrant, DirMode};

const TOP_KEYS: Keys = Keys {
    known: &["namespace"],
    planned: &[],
};
const RULE_KEYS: Keys = Keys {
    known: &[
        "http", "tcp", "udp", "dns", "listen", "dirs", "secrets", "kv", "private", "hosts",
        "clock", "tmp", "limits", "env",
    ],
    planned: &[],
};
const DIR_KEYS: Keys = Keys {
    known: &["host", "mode", "guest"],
    planned: &[],
};
/// The key of the rules for every namespace.
const EVERY: &str = "*";

/// Reads the document.
pub(super) fn policy(document: &DeTable<'_>, lines: &Lines) -> Result<Policy, Located> {
    let mut policy = Policy::serve_default().named("the policy");
    let mut tables = Vec::new();
    for top in entries(document, TOP, &TOP_KEYS)? {
        for (key, value) in in_order(top.table_value("a table such as `[namespace.\"*\"]`")?) {
            let table = table_name(key.get_ref());
            let entry = Entry {
                table: TOP,
                key,
                value,
            };
            // In the order of the file for the first error; only the rules for all are kept.
            let rules = read_rules(entry, &table, lines, &policy.any)?;
            if key.get_ref() == EVERY {
                policy.any = rules;
            } else {
                let namespace = key.get_ref().parse();
                let namespace = namespace.map_err(|error| at(key, Problem::Namespace(error)))?;
                tables.push((namespace, entry, table));
            }
        }
    }
    // Again, now that it is known what they go over.
    for (namespace, entry, table) in tables {
        let rules = read_rules(entry, &table, lines, &policy.any)?;
        policy.namespaces.insert(namespace, rules);
    }
    Ok(policy)
}

fn table_name(namespace: &str) -> String {
    if namespace == EVERY {
        "[namespace.\"*\"]".to_owned()
    } else {
        format!("[namespace.{}]", namespace.escape_debug())
    }
}

/// What the table says over what was.
fn read_rules(
    entry: Entry<'_, '_>,
    table: &str,
    lines: &Lines,
    base: &Rules,
) -> Result<Rules, Located> {
    let mut rules = base.clone();
    let content = entry.table_value("a table such as `[namespace.\"*\"]`")?;
    for entry in entries(content, table, &RULE_KEYS)? {
        let line = lines.line(entry.key.span().start);
        match entry.key.get_ref().as_ref() {
            "http" => rules.http = Rule::written(document::read_http(entry)?, line),
            "tcp" => rules.tcp = Rule::written(document::read_net(entry)?, line),
            "udp" => rules.udp = Rule::written(document::read_net(entry)?, line),
            "dns" => rules.dns = Rule::written(document::read_dns(entry)?, line),
            "listen" => rules.listen = Rule::written(document::read_net(entry)?, line),
            "dirs" => rules.dirs = Rule::written(read_dirs(entry)?, line),
            "secrets" => rules.secrets = Rule::written(read_secrets(entry)?, line),
            "kv" => rules.kv = Rule::written(read_kv(entry)?, line),
            "private" => rules.private = Rule::written(read_private(entry)?, line),
            "hosts" => rules.hosts = Rule::written(Some(read_hosts(entry)?), line),
            "clock" => rules.clock = Rule::written(document::read_clock(entry)?, line),
            "tmp" => rules.tmp_bytes = Rule::written(read_tmp(entry)?, line),
            "limits" => read_limits(entry, lines, &mut rules)?,
            "env" => rules.env = Rule::written(entry.boolean()?, line),
            _ => unknown_was_refused(),
        }
    }
    Ok(rules)
}

fn read_limits(entry: Entry<'_, '_>, lines: &Lines, rules: &mut Rules) -> Result<(), Located> {
    let (patch, places) = document::read_limits(entry)?;
    let limits = &mut rules.limits;
    limits.most = patch
        .apply(&limits.most)
        .map_err(|error| at(entry.value, Problem::Limit(error)))?;
    let places = places.into_iter();
    limits
        .lines
        .extend(places.map(|(key, offset)| (key, lines.line(offset))));
    Ok(())
}

fn read_tmp(entry: Entry<'_, '_>) -> Result<u64, Located> {
    /// Nothing at all is a rule too.
    const TMP: SizeRange = SizeRange {
        name: "tmp",
        min: 0,
        max: TMP_BYTES_MAX,
    };
    let text = entry.quantity("a size such as `\"64MiB\"`")?;
    TMP.parse(&text)
        .map_err(|error| at(entry.value, Problem::Limit(error)))
}

fn read_private(entry: Entry<'_, '_>) -> Result<Vec<super::PrivateGrant>, Located> {
    read_texts(
        entry,
        "a list such as `[\"10.0.0.0/8\", \"db.internal\"]`",
        |text| text.parse().map_err(Problem::Private),
    )
}

fn read_hosts(entry: Entry<'_, '_>) -> Result<Vec<HostRule>, Located> {
    read_texts(
        entry,
        "a list such as `[\"shop.example.net\", \"*.shop.example.net\"]`",
        |text| text.parse().map_err(Problem::HostRule),
    )
}

fn read_secrets(entry: Entry<'_, '_>) -> Result<Vec<SecretPattern>, Located> {
    read_texts(entry, "a list such as `[\"STRIPE_*\"]`", |text| {
        SecretPattern::parse(text).ok_or_else(|| Problem::SecretPattern(text.to_owned()))
    })
}

fn read_kv(entry: Entry<'_, '_>) -> Result<Vec<BucketPattern>, Located> {
    read_texts(entry, "a list such as `[\"carts\", \"shop-*\"]`", |text| {
        BucketPattern::parse(text).ok_or_else(|| Problem::BucketPattern(text.to_owned()))
    })
}

fn read_dirs(entry: Entry<'_, '_>) -> Result<Vec<DirRule>, Located> {
    read_list(
        entry,
        "a list such as `[{ host = \"/srv\", mode = \"ro\" }]`",
    )?
    .map(|value| read_dir(entry.with(value)))
    .collect()
}

fn read_dir(entry: Entry<'_, '_>) -> Result<DirRule, Located> {
    let (mut host, mut mode, mut guest) = (None, DirMode::default(), None);
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `{ host = \"/srv\", mode = \"ro\" }`")?;
    for entry in entries(content, &table, &DIR_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "host" => host = Some((entry.text()?, entry.value)),
            "mode" => mode = document::read_mode(entry)?,
            "guest" => guest = Some(entry.text()?),
            _ => unknown_was_refused(),
        }
    }
    let (host, place) = host.ok_or_else(|| entry.missing("host"))?;
    // A grant's own reader knows what a path is; where there is no guest path any will do.
    let grant = DirGrant::new(host, guest.unwrap_or("/"), mode);
    let grant = grant.map_err(|error| at(entry.value, Problem::Dir(error)))?;
    if !grant.host.is_absolute() {
        return Err(at(place, Problem::RelativeFolder(grant.host)));
    }
    Ok(DirRule {
        host: Some(grant.host),
        mode,
        guest: guest.map(|_| grant.guest),
    })
}
