//! Grants as a person would write them into a manifest.
//!
//! **Invariant:** what is written reads back as the same grants.

use std::fmt::Display;

use toml::Value;

use crate::quantity::format_bytes_exact;
use crate::{Clock, DirGrant, FunctionName, Grants, SecretExposure, SecretGrant};

/// The `[function.X.allow]` table that says these grants; environment variables have a table
/// of their own and are left out.
pub fn to_toml(function: &FunctionName, grants: &Grants) -> String {
    let mut text = format!("[function.{function}.allow]\n");
    let lists = [
        ("http", texts(&grants.http)),
        ("tcp", texts(&grants.tcp)),
        ("udp", texts(&grants.udp)),
        ("dns", texts(&grants.dns)),
        ("listen", texts(&grants.listen)),
        ("dirs", grants.dirs.iter().map(dir).collect()),
        ("secrets", grants.secrets.iter().map(secret).collect()),
        ("kv", texts(&grants.kv)),
    ];
    for (key, entries) in lists {
        text += &list(key, &entries);
    }
    if grants.clock != Clock::default() {
        text += &format!("clock = {}\n", quoted(grants.clock));
    }
    if let Some(bytes) = grants.tmp_bytes {
        text += &format!("tmp = {}\n", quoted(format_bytes_exact(bytes)));
    }
    text
}

/// On one line, or one line for each of several.
fn list(key: &str, entries: &[String]) -> String {
    match entries {
        [] => String::new(),
        [entry] => format!("{key} = [{entry}]\n"),
        entries => {
            let lines: String = entries
                .iter()
                .map(|entry| format!("    {entry},\n"))
                .collect();
            format!("{key} = [\n{lines}]\n")
        }
    }
}

fn texts<T: Display>(entries: &[T]) -> Vec<String> {
    entries.iter().map(quoted).collect()
}

fn dir(dir: &DirGrant) -> String {
    let host = quoted(dir.host.display());
    let guest = quoted(&dir.guest);
    let mode = quoted(dir.mode);
    let quota = dir.quota_bytes.map_or(String::new(), |bytes| {
        format!(", quota = {}", quoted(format_bytes_exact(bytes)))
    });
    format!("{{ host = {host}, guest = {guest}, mode = {mode}{quota} }}")
}

fn secret(secret: &SecretGrant) -> String {
    let name = quoted(&secret.name);
    match &secret.exposure {
        SecretExposure::Env => name,
        SecretExposure::Config => format!("{{ name = {name}, as = \"config\" }}"),
        SecretExposure::Inject { header, format, to } => {
            let (header, format) = (quoted(header), quoted(format));
            let to = texts(to).join(", ");
            format!(
                "{{ name = {name}, as = \"inject\", header = {header}, format = {format}, to = [{to}] }}"
            )
        }
    }
}

/// Text in quotes, with what needs it escaped.
fn quoted(value: impl Display) -> String {
    Value::String(value.to_string()).to_string()
}
