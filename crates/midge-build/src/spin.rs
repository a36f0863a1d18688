//! A manifest of Spin (`spin.toml`, version 2) as one of ours.
//!
//! Decides what of it means the same here: components become functions, HTTP triggers routes,
//! `allowed_outbound_hosts`, `key_value_stores`, `files`, `environment` and `variables` grants.
//!
//! **Invariant:** what has no equivalent is named, not dropped silently; the manifest that comes out
//! is one that Midge reads, unless a comment in it says what to fill in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use midge_model::FunctionName;
use toml::{Table, Value};

/// The longest manifest that is read in bytes.
const BYTES_MAX: usize = 1 << 20;

/// A manifest of ours, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of a `midge.toml`.
    pub manifest: String,
    /// One sentence for each thing that there is nothing for here.
    pub without_equivalent: Vec<String>,
}

/// Why a manifest could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpinError {
    /// No TOML, or too much.
    #[error("no manifest: {0}")]
    Toml(String),
    /// Another version.
    #[error("`spin_manifest_version` is not 2")]
    Version,
    /// Nothing to import.
    #[error("there is no component with a source")]
    NoComponent,
}

impl SpinError {
    /// What to do about it, where the message does not say it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Version => Some("`spin doctor` brings a manifest to version 2".to_owned()),
            Self::Toml(_) | Self::NoComponent => None,
        }
    }
}

/// Reads a `spin.toml` and writes it as a `midge.toml`.
///
/// # Errors
///
/// It is no TOML, of another version, or has no component.
pub fn from_spin(text: &str) -> Result<Imported, SpinError> {
    if text.len() > BYTES_MAX {
        return Err(SpinError::Toml(format!(
            "it has more than {BYTES_MAX} bytes"
        )));
    }
    let document: Table = text
        .parse()
        .map_err(|error: toml::de::Error| SpinError::Toml(error.message().to_owned()))?;
    if document
        .get("spin_manifest_version")
        .and_then(Value::as_integer)
        != Some(2)
    {
        return Err(SpinError::Version);
    }
    let mut import = Import {
        defaults: defaults(&document),
        lacking: Vec::new(),
    };
    let components = import.components(&document);
    if components.is_empty() {
        return Err(SpinError::NoComponent);
    }
    let mut manifest = String::new();
    for (name, component) in &components {
        import.function(&mut manifest, name, component);
    }
    Ok(Imported {
        manifest,
        without_equivalent: import.lacking,
    })
}

/// A component and the routes that lead to it.
struct Component<'a> {
    table: &'a Table,
    routes: Vec<String>,
}

struct Import {
    /// Values of the application's variables; `None` is one that must be given.
    defaults: BTreeMap<String, Option<String>>,
    lacking: Vec<String>,
}

impl Import {
    fn lacks(&mut self, what: String) {
        self.lacking.push(what);
    }

    fn components<'a>(&mut self, document: &'a Table) -> BTreeMap<String, Component<'a>> {
        let mut found = BTreeMap::new();
        for (name, value) in table_of(document, "component") {
            if let Some(table) = value.as_table() {
                let routes = Vec::new();
                found.insert(name.clone(), Component { table, routes });
            }
        }
        for (kind, triggers) in table_of(document, "trigger") {
            for trigger in triggers.as_array().into_iter().flatten() {
                let Some(trigger) = trigger.as_table() else {
                    continue;
                };
                let name = match trigger.get("component") {
                    Some(Value::String(name)) => name.clone(),
                    // A component may stand in its trigger.
                    Some(Value::Table(table)) => {
                        let name = format!("{kind}-{}", found.len() + 1);
                        let routes = Vec::new();
                        found.insert(name.clone(), Component { table, routes });
                        name
                    }
                    _ => continue,
                };
                let Some(component) = found.get_mut(&name) else {
                    self.lacks(format!("trigger of `{name}`, which is no component"));
                    continue;
                };
                if kind != "http" {
                    self.lacks(format!(
                        "trigger `{kind}` of `{name}`: only `http` is known here"
                    ));
                    continue;
                }
                match trigger.get("route") {
                    Some(Value::String(route)) => component.routes.push(self::route(route)),
                    // Only called by others.
                    _ => self.lacks(format!("private route of `{name}`: it got its own path")),
                }
            }
        }
        found.retain(|_, component| component.table.contains_key("source"));
        found
    }

    fn function(&mut self, out: &mut String, name: &str, component: &Component<'_>) {
        let Component { table, routes } = component;
        let function = FunctionName::from_file_stem(name);
        let separator = if out.is_empty() { "" } else { "\n" };
        line(out, format_args!("{separator}[function.{function}]"));
        match &table["source"] {
            Value::String(path) => line(out, format_args!("component = {}", quoted(path))),
            other => {
                let url = other
                    .get("url")
                    .and_then(Value::as_str)
                    .unwrap_or("its URL");
                line(
                    out,
                    format_args!("component = \"{function}.wasm\" # download {url}"),
                );
                self.lacks(format!(
                    "source of `{name}` by URL: download it to {function}.wasm"
                ));
            }
        }
        if let Some(build) = table.get("build").and_then(Value::as_table)
            && let Some(command) = build.get("command").and_then(Value::as_str)
        {
            let command = match build.get("workdir").and_then(Value::as_str) {
                Some(folder) => format!("cd {folder} && {command}"),
                None => command.to_owned(),
            };
            line(out, format_args!("build = {}", quoted(&command)));
        }
        if !routes.is_empty() {
            line(out, format_args!("routes = {}", list(routes)));
        }
        let (variables, secrets) = self.variables(name, table);
        let environment = texts(table, "environment").chain(variables);
        let environment: Vec<_> = environment.collect();
        if !environment.is_empty() {
            line(out, format_args!("\n[function.{function}.env]"));
            for (key, value) in environment {
                line(out, format_args!("{key} = {}", quoted(&value)));
            }
        }
        let allow = self.allow(name, table, &secrets);
        if !allow.is_empty() {
            line(
                out,
                format_args!("\n[function.{function}.allow]\n{}", allow.trim_end()),
            );
        }
        for key in [
            "sqlite_databases",
            "ai_models",
            "dependencies_inherit_configuration",
        ] {
            if table
                .get(key)
                .is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()))
            {
                self.lacks(format!("`{key}` of `{name}`"));
            }
        }
    }

    fn allow(&mut self, name: &str, table: &Table, secrets: &[String]) -> String {
        let mut out = String::new();
        let (mut http, mut tcp) = (Vec::new(), Vec::new());
        for host in strings(table, "allowed_outbound_hosts") {
            match host.split_once("://") {
                Some((_, "self" | "self.alt")) => {
                    self.lacks(format!(
                        "`{host}` of `{name}`: functions do not call each other yet"
                    ));
                }
                Some(("http" | "https" | "*", _)) => http.push(host),
                // Redis, MySQL and PostgreSQL are what they are over TCP; their interfaces are not here.
                Some((scheme, address)) => {
                    self.lacks(format!(
                        "interface for `{scheme}` of `{name}`: `tcp` was granted"
                    ));
                    tcp.push(address.to_owned());
                }
                None => self.lacks(format!("outbound host `{host}` of `{name}`")),
            }
        }
        if !http.is_empty() {
            line(&mut out, format_args!("http = {}", list(&http)));
        }
        if !tcp.is_empty() {
            line(&mut out, format_args!("tcp = {}", list(&tcp)));
        }
        let kv = strings(table, "key_value_stores");
        if !kv.is_empty() {
            line(&mut out, format_args!("kv = {}", list(&kv)));
        }
        if !secrets.is_empty() {
            let each = secrets.iter();
            let each = each.map(|name| format!("{{ name = {}, as = \"config\" }}", quoted(name)));
            let all: Vec<_> = each.collect();
            line(&mut out, format_args!("secrets = [{}]", all.join(", ")));
        }
        let dirs = self.dirs(name, table);
        if !dirs.is_empty() {
            line(&mut out, format_args!("dirs = [{}]", dirs.join(", ")));
        }
        out
    }

    fn dirs(&mut self, name: &str, table: &Table) -> Vec<String> {
        let mut dirs = Vec::new();
        for file in table
            .get("files")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |key: &str| file.get(key).and_then(Value::as_str);
            match (text("source"), text("destination")) {
                (Some(source), Some(destination)) => {
                    let (host, guest) = (quoted(source), quoted(destination));
                    dirs.push(format!("{{ host = {host}, guest = {guest} }}"));
                }
                _ => self.lacks(format!(
                    "files `{file}` of `{name}`: grant their folder in `dirs`"
                )),
            }
        }
        dirs
    }

    /// Its variables with a value, and the names of those that the operator has to give.
    fn variables(&mut self, name: &str, table: &Table) -> (Vec<(String, String)>, Vec<String>) {
        let (mut values, mut secrets) = (Vec::new(), Vec::new());
        for (key, template) in texts(table, "variables") {
            match self.fill(&template) {
                Some(Some(value)) => values.push((key, value)),
                Some(None) => secrets.push(key),
                None => {
                    self.lacks(format!("variable `{key}` of `{name}`: `{template}`"));
                }
            }
        }
        (values, secrets)
    }

    /// What a template comes to; the inner `None` is a value that the operator gives.
    fn fill(&self, template: &str) -> Option<Option<String>> {
        let Some((before, rest)) = template.split_once("{{") else {
            return Some(Some(template.to_owned()));
        };
        let (variable, after) = rest.split_once("}}")?;
        match self.defaults.get(variable.trim())? {
            Some(value) => self.fill(&format!("{before}{value}{after}")),
            // Only the value as a whole can be a secret.
            None => (before.is_empty() && after.is_empty()).then_some(None),
        }
    }
}

/// The application's variables; a default that is a template itself is left to the operator.
fn defaults(document: &Table) -> BTreeMap<String, Option<String>> {
    let variables = table_of(document, "variables");
    let each = variables.map(|(name, value)| {
        let default = value.get("default").and_then(Value::as_str);
        let is_secret = value.get("secret").and_then(Value::as_bool) == Some(true);
        let default = default.filter(|text| !is_secret && !text.contains("{{"));
        (name.clone(), default.map(str::to_owned))
    });
    each.collect()
}

/// `/users/:id/...` as `/users/{id}/*`.
fn route(route: &str) -> String {
    let parts = route.split('/').map(|part| match part.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None if part == "..." => "*".to_owned(),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn table_of<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

fn texts(table: &Table, key: &str) -> impl Iterator<Item = (String, String)> {
    table_of(table, key).filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
}

fn strings(table: &Table, key: &str) -> Vec<String> {
    let list = table
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    list.filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::Manifest;

    use super::*;

    #[track_caller]
    fn check(text: &str) -> String {
        match from_spin(text) {
            Ok(imported) => {
                Manifest::parse(&imported.manifest).unwrap();
                let lacking = imported.without_equivalent.iter();
                let lacking = lacking.map(|sentence| format!("- {sentence}\n"));
                format!("{}---\n{}", imported.manifest, lacking.collect::<String>())
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_application_becomes_functions() {
        let text = r#"
            spin_manifest_version = 2
            [application]
            name = "shop"
            [variables]
            region = { default = "eu" }
            api_key = { required = true, secret = true }
            [[trigger.http]]
            route = "/orders/:id/..."
            component = "orders"
            [[trigger.redis]]
            channel = "news"
            component = "orders"
            [component.orders]
            source = "target/wasm32-wasip1/release/orders.wasm"
            allowed_outbound_hosts = ["https://api.example.com", "redis://db.example.com:6379", "http://self"]
            key_value_stores = ["default"]
            sqlite_databases = ["default"]
            environment = { LOG = "info" }
            files = [{ source = "static", destination = "/static" }, "img/*.png"]
            [component.orders.variables]
            where = "in {{ region }}"
            key = "{{ api_key }}"
            both = "{{ region }}-{{ api_key }}"
            [component.orders.build]
            command = "cargo build --target wasm32-wasip1 --release"
            workdir = "orders"
        "#;
        assert_snapshot!(check(text), @r#"
        [function.orders]
        component = "target/wasm32-wasip1/release/orders.wasm"
        build = "cd orders && cargo build --target wasm32-wasip1 --release"
        routes = ["/orders/{id}/*"]

        [function.orders.env]
        LOG = "info"
        where = "in eu"

        [function.orders.allow]
        http = ["https://api.example.com"]
        tcp = ["db.example.com:6379"]
        kv = ["default"]
        secrets = [{ name = "key", as = "config" }]
        dirs = [{ host = "static", guest = "/static" }]
        ---
        - trigger `redis` of `orders`: only `http` is known here
        - variable `both` of `orders`: `{{ region }}-{{ api_key }}`
        - interface for `redis` of `orders`: `tcp` was granted
        - `http://self` of `orders`: functions do not call each other yet
        - files `"img/*.png"` of `orders`: grant their folder in `dirs`
        - `sqlite_databases` of `orders`
        "#);
    }

    #[test]
    fn what_is_none_is_said() {
        assert_snapshot!(check("a = "), @"no manifest: string values must be quoted, expected literal string");
        assert_snapshot!(check("spin_manifest_version = \"1\""), @"`spin_manifest_version` is not 2");
        assert_snapshot!(check("spin_manifest_version = 2"), @"there is no component with a source");
    }
}
