//! A manifest of Spin (`spin.toml`, version 2) as one of ours.
//!
//! Decides what of it means the same here: components become functions, HTTP triggers routes,
//! `allowed_outbound_hosts`, `key_value_stores`, `files`, `environment` and `variables` grants.
//!
//! **Invariant:** what has no equivalent is named, not dropped silently; the manifest that comes out
//! is one that Midge reads, unless a comment in it says what to fill in. It is written by the TOML
//! writer, keys and values alike: no text of the other manifest becomes a line of its own.

mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use midge_model::{
    BucketName, ComponentSource, EnvVar, FunctionName, HttpGrant, Manifest, NetGrant, Route,
};
use toml::{Table, Value};
use toml_edit::{DocumentMut, InlineTable, Item, Table as TableOut};

use self::tables::{list, pair, put, shown, strings, table_of, text, texts};
use crate::step::quoted;

/// The longest manifest that is read in bytes.
pub const SPIN_BYTES_MAX: usize = 1 << 20;

/// What templates of variables may come to, all together: a few hundred bytes, as a rule. A variable
/// that is named a thousand times in each of a thousand others would else be more than any memory.
const VALUES_BYTES_MAX: usize = 1 << 20;

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
    /// Variables that come to too much.
    #[error("its variables come to more than {VALUES_BYTES_MAX} bytes")]
    Values,
    /// Names that are different there and the same here.
    #[error("components `{first}` and `{second}` would both be the function `{function}`")]
    SameName {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// What they would be called.
        function: FunctionName,
    },
}

impl SpinError {
    /// What to do about it, where the message does not say it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Version => Some("`spin doctor` brings a manifest to version 2".to_owned()),
            Self::SameName { second, .. } => Some(format!("call `{second}` something else")),
            Self::Values => Some("give them shorter defaults, or use them less often".to_owned()),
            Self::Toml(_) | Self::NoComponent => None,
        }
    }
}

/// Reads a `spin.toml` and writes it as a `midge.toml`.
///
/// # Errors
///
/// It is no TOML, of another version, has no component or too long variables, or two of its
/// components would be one function.
pub fn from_spin(text: &str) -> Result<Imported, SpinError> {
    if text.len() > SPIN_BYTES_MAX {
        return Err(SpinError::Toml(format!(
            "it has more than {SPIN_BYTES_MAX} bytes"
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
        values_bytes: 0,
        lacking: Vec::new(),
    };
    let components = import.components(&document)?;
    let components = import.without_hidden(components);
    if components.is_empty() {
        return Err(SpinError::NoComponent);
    }
    let mut functions = TableOut::new();
    functions.set_implicit(true);
    for (function, component) in &components {
        let table = import.function(function, component)?;
        functions.insert(function.as_str(), Item::Table(table));
    }
    let mut manifest = DocumentMut::new();
    manifest.insert("function", Item::Table(functions));
    let manifest = manifest.to_string();
    if let Err(error) = Manifest::parse(&manifest) {
        import.lacks(format!("what stands where it is refused: {error}"));
    }
    Ok(Imported {
        manifest,
        without_equivalent: import.lacking,
    })
}

/// A component and the routes that lead to it.
struct Component<'a> {
    /// What it is called there, cut.
    name: String,
    table: &'a Table,
    routes: Vec<String>,
    /// Whether something leads to it that nobody comes by from outside.
    is_inner: bool,
}

/// What a template comes to.
enum Filled {
    /// This text.
    Value(String),
    /// What the operator gives.
    Given,
    /// Nothing that there is here.
    Unknown,
}

impl<'a> Component<'a> {
    fn new(name: &str, table: &'a Table) -> Self {
        Self {
            name: shown(name),
            table,
            routes: Vec::new(),
            is_inner: false,
        }
    }

    /// Whether everybody would get to what nobody was to get to: here each function has an address.
    fn is_hidden(&self) -> bool {
        self.is_inner && self.routes.is_empty()
    }
}

struct Import {
    /// Values of the application's variables; `None` is one that must be given.
    defaults: BTreeMap<String, Option<String>>,
    /// What templates came to until now.
    values_bytes: usize,
    lacking: Vec<String>,
}

impl Import {
    fn lacks(&mut self, what: String) {
        self.lacking.push(what);
    }

    fn components<'a>(
        &mut self,
        document: &'a Table,
    ) -> Result<BTreeMap<FunctionName, Component<'a>>, SpinError> {
        let mut found = BTreeMap::new();
        for (name, value) in table_of(document, "component") {
            if let Some(table) = value.as_table() {
                found.insert(name.clone(), Component::new(name, table));
            }
        }
        let mut number = found.len();
        for (kind, triggers) in table_of(document, "trigger") {
            for trigger in triggers.as_array().into_iter().flatten() {
                let Some(trigger) = trigger.as_table() else {
                    continue;
                };
                let name = match trigger.get("component") {
                    Some(Value::String(name)) => name.clone(),
                    // A component may stand in its trigger.
                    Some(Value::Table(table)) => {
                        let name = loop {
                            number += 1;
                            let name = format!("{}-{number}", shown(kind));
                            if !found.contains_key(&name) {
                                break name;
                            }
                        };
                        found.insert(name.clone(), Component::new(&name, table));
                        name
                    }
                    _ => continue,
                };
                match found.get_mut(&name) {
                    Some(component) => self.trigger(kind, trigger, component),
                    None => self.lacks(format!(
                        "trigger of `{}`, which is no component",
                        shown(&name)
                    )),
                }
            }
        }
        by_function(found)
    }

    fn trigger(&mut self, kind: &str, trigger: &Table, component: &mut Component<'_>) {
        let name = &component.name;
        if kind != "http" {
            let kind = shown(kind);
            self.lacks(format!(
                "trigger `{kind}` of `{name}`: only `http` is known here"
            ));
            component.is_inner = true;
            return;
        }
        match trigger.get("route").and_then(Value::as_str).map(route) {
            Some(route) => match route.parse::<Route>() {
                Ok(_) => component.routes.push(route),
                Err(error) => {
                    component.is_inner = true;
                    self.lacks(format!("route `{}` of `{name}`: {error}", shown(&route)));
                }
            },
            // Only called by others.
            None => component.is_inner = true,
        }
    }

    /// Those that somebody outside gets to.
    fn without_hidden<'a>(
        &mut self,
        components: BTreeMap<FunctionName, Component<'a>>,
    ) -> BTreeMap<FunctionName, Component<'a>> {
        let (hidden, open): (BTreeMap<_, _>, BTreeMap<_, _>) = components
            .into_iter()
            .partition(|(_, component)| component.is_hidden());
        for (function, Component { name, .. }) in hidden {
            self.lacks(format!(
                "`{name}`, which nobody gets to from outside: it was left out, for a function answers \
                 at `/{function}/*`"
            ));
        }
        for (function, Component { name, routes, .. }) in &open {
            if routes.is_empty() {
                self.lacks(format!(
                    "no trigger of `{name}`: it answers at `/{function}/*`"
                ));
            }
        }
        open
    }

    /// The table of a function.
    fn function(
        &mut self,
        function: &FunctionName,
        Component {
            name,
            table,
            routes,
            ..
        }: &Component<'_>,
    ) -> Result<TableOut, SpinError> {
        let mut out = TableOut::new();
        match (&table["source"], pinned(&table["source"])) {
            // What is somewhere else is not built here.
            (_, Some(pinned)) => put(&mut out, "component", text(&pinned)),
            (Value::String(path), _) => {
                put(&mut out, "component", text(path));
                if let Some(command) = build(table) {
                    put(&mut out, "build", text(&command));
                }
            }
            (other, _) => {
                let url = other.get("url").and_then(Value::as_str);
                let url = url.unwrap_or("its URL");
                // A comment ends where its line does.
                let url: String = url.chars().filter(|found| !found.is_control()).collect();
                let mut file = toml_edit::Value::from(format!("{function}.wasm"));
                file.decor_mut().set_suffix(format!(" # download {url}"));
                put(&mut out, "component", file);
                self.lacks(format!(
                    "source of `{name}` by URL: download it to {function}.wasm"
                ));
            }
        }
        if !routes.is_empty() {
            put(&mut out, "routes", list(routes));
        }
        let (env, secrets) = self.env(name, table)?;
        let allow = self.allow(name, table, &secrets)?;
        for (key, table) in [("env", env), ("allow", allow)] {
            if !table.is_empty() {
                out.insert(key, Item::Table(table));
            }
        }
        for key in [
            "sqlite_databases",
            "ai_models",
            "dependencies",
            "dependencies_inherit_configuration",
        ] {
            let is_empty = |value: &Value| match value {
                Value::Array(list) => list.is_empty(),
                Value::Table(table) => table.is_empty(),
                _ => false,
            };
            if table.get(key).is_some_and(|value| !is_empty(value)) {
                self.lacks(format!("`{key}` of `{name}`"));
            }
        }
        Ok(out)
    }

    /// Its environment and its variables with a value, and the names of those that the operator has
    /// to give.
    fn env(
        &mut self,
        name: &str,
        table: &Table,
    ) -> Result<(TableOut, BTreeSet<String>), SpinError> {
        let mut out = TableOut::new();
        let mut secrets = BTreeSet::new();
        for (key, value) in texts(table, "environment") {
            self.variable(&mut out, (key, value), name);
        }
        for (key, template) in texts(table, "variables") {
            match self.fill(template)? {
                Filled::Value(_) if out.contains_key(key) => {
                    self.lacks(format!(
                        "variable `{key}` of `{name}`: its environment has one of that name"
                    ));
                }
                Filled::Value(value) => self.variable(&mut out, (key, &value), name),
                Filled::Given => drop(secrets.insert(key.to_owned())),
                Filled::Unknown => {
                    self.lacks(format!("variable `{key}` of `{name}`: `{template}`"));
                }
            }
        }
        Ok((out, secrets))
    }

    /// One variable, if it can be granted.
    fn variable(&mut self, out: &mut TableOut, (key, value): (&str, &str), name: &str) {
        match format!("{key}={value}").parse::<EnvVar>() {
            // A `=` in the name would end it.
            Ok(variable) if variable.name == key => put(out, key, text(value)),
            Ok(_) => self.lacks(format!("variable `{key}` of `{name}`: a name has no `=`")),
            Err(error) => self.lacks(format!("variable `{key}` of `{name}`: {error}")),
        }
    }

    fn allow(
        &mut self,
        name: &str,
        table: &Table,
        secrets: &BTreeSet<String>,
    ) -> Result<TableOut, SpinError> {
        let mut out = TableOut::new();
        let (mut http, mut tcp) = (Vec::new(), Vec::new());
        for template in strings(table, "allowed_outbound_hosts") {
            let Filled::Value(host) = self.fill(&template)? else {
                let template = shown(&template);
                self.lacks(format!("outbound host `{template}` of `{name}`"));
                continue;
            };
            match host.split_once("://") {
                Some((_, to)) if is_inside(to) => {
                    let host = shown(&host);
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
                None => {
                    let host = shown(&host);
                    self.lacks(format!("outbound host `{host}` of `{name}`"));
                }
            }
        }
        let kv = strings(table, "key_value_stores");
        let http = self.fitting::<HttpGrant>(name, http);
        let tcp = self.fitting::<NetGrant>(name, tcp);
        let kv = self.fitting::<BucketName>(name, kv);
        for (key, texts) in [("http", http), ("tcp", tcp), ("kv", kv)] {
            if !texts.is_empty() {
                put(&mut out, key, list(&texts));
            }
        }
        if !secrets.is_empty() {
            let each = secrets.iter();
            let each = each.map(|name| pair(("name", name), ("as", "config")));
            put(&mut out, "secrets", each.collect::<toml_edit::Value>());
        }
        let dirs = self.dirs(name, table);
        if !dirs.is_empty() {
            put(
                &mut out,
                "dirs",
                dirs.into_iter().collect::<toml_edit::Value>(),
            );
        }
        Ok(out)
    }

    /// What can be granted so as it stands there.
    fn fitting<T: FromStr<Err: Display>>(&mut self, name: &str, texts: Vec<String>) -> Vec<String> {
        let mut fitting = texts;
        fitting.retain(|text| match text.parse::<T>() {
            Ok(_) => true,
            Err(error) => {
                self.lacks(format!("grant of `{}` to `{name}`: {error}", shown(text)));
                false
            }
        });
        fitting
    }

    fn dirs(&mut self, name: &str, table: &Table) -> Vec<InlineTable> {
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
                    dirs.push(pair(("host", source), ("guest", destination)));
                }
                _ => self.lacks(format!(
                    "files `{file}` of `{name}`: grant their folder in `dirs`"
                )),
            }
        }
        dirs
    }

    /// What a template comes to. What a variable brings is no template again.
    fn fill(&mut self, template: &str) -> Result<Filled, SpinError> {
        let mut value = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((variable, after)) = after.split_once("}}") else {
                return Ok(Filled::Unknown);
            };
            value.push_str(before);
            let default = match self.defaults.get(variable.trim()) {
                Some(Some(default)) => default,
                // Only the value as a whole can be a secret.
                Some(None) if value.is_empty() && after.is_empty() => return Ok(Filled::Given),
                Some(None) | None => return Ok(Filled::Unknown),
            };
            self.values_bytes += default.len();
            if self.values_bytes > VALUES_BYTES_MAX {
                return Err(SpinError::Values);
            }
            value.push_str(default);
            rest = after;
        }
        value.push_str(rest);
        Ok(Filled::Value(value))
    }
}

/// The components with a source, by what they are called here.
fn by_function(
    found: BTreeMap<String, Component<'_>>,
) -> Result<BTreeMap<FunctionName, Component<'_>>, SpinError> {
    let mut components: BTreeMap<FunctionName, Component<'_>> = BTreeMap::new();
    for (name, component) in found {
        if !component.table.contains_key("source") {
            continue;
        }
        let function = FunctionName::from_file_stem(&name);
        if let Some(other) = components.get(&function) {
            return Err(SpinError::SameName {
                first: other.name.clone(),
                second: component.name,
                function,
            });
        }
        components.insert(function, component);
    }
    Ok(components)
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

/// The command line that builds a component, in the folder where it does.
fn build(component: &Table) -> Option<String> {
    let build = component.get("build")?.as_table()?;
    let command = build.get("command")?.as_str()?;
    Some(match build.get("workdir").and_then(Value::as_str) {
        Some(folder) => format!("cd {} && {command}", quoted(folder)),
        None => command.to_owned(),
    })
}

/// A component on a web server with its digest is named as it is.
fn pinned(source: &Value) -> Option<String> {
    let text = |key| source.get(key).and_then(Value::as_str);
    let (url, digest) = (text("url")?, text("digest")?);
    let pinned = format!("{url}#sha256={}", digest.strip_prefix("sha256:")?);
    pinned.parse::<ComponentSource>().ok().map(|_| pinned)
}

/// Whether what stands behind a scheme is another component of the same application.
fn is_inside(to: &str) -> bool {
    let host = to.split(['/', ':']).next().unwrap_or_default();
    matches!(host, "self" | "self.alt") || host.ends_with(".spin.internal")
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
