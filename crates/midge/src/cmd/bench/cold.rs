//! Cold starts: what the very first request of a function costs.
//!
//! Starts a node with many functions of the same component, as `midge run` does, and asks each of
//! them once. They differ in nothing but their names and the hosts that they answer at, so each is
//! what it would be alone. The node has no memory for code that is not in use, as one that knows more
//! functions than fit: nothing is loaded in advance, and a first request reads the code from its
//! file, checks, maps and links it, and makes the first instance.
//!
//! **Invariant:** no function is asked twice, and nothing else runs meanwhile.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use toml::{Table, Value};

use super::ask::{AskError, Found};
use super::connection::{ANSWER_TIME_MAX, Broken, Connection};
use super::load::Tally;
use super::node::{Node, NodeError};
use super::stop::Stop;
use crate::cmd::fault::Hint;
use crate::components::Component;
use crate::config::BenchFunctions;
use crate::functions::{self, FunctionsError};

/// Below which host the functions answer. Nobody has such a name: the domain is reserved.
const DOMAIN: &str = "cold.invalid";

/// The flag of `midge run` for how much code stays loaded.
const MEMORY_TARGET: &str = "--memory-target=";

/// Cold starts that were timed.
#[derive(Debug)]
pub(super) struct Cold {
    /// How long the node took until it listened, with all functions.
    pub(super) ready_after: Duration,
    /// The first answers.
    pub(super) tally: Tally,
}

/// Why cold starts could not be timed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ColdError {
    /// The manifest of the function.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// The folder for ours.
    #[error("write the manifest for cold starts")]
    Write { source: io::Error },
    /// The manifest of the function, read again.
    #[error("read `{}` for cold starts", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It changed meanwhile.
    #[error("`{}` is not the manifest any more that it was", path.display())]
    Changed { path: PathBuf },
    /// The node.
    #[error("cold starts")]
    Node(#[source] NodeError),
    /// The request.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl Hint for ColdError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Node(error) => error.hint(),
            Self::Functions(error) => error.hint_for("bench"),
            Self::Ask(error) => error.hint(),
            Self::Write { .. } | Self::Read { .. } | Self::Changed { .. } => None,
        }
    }
}

/// Times the first request of so many functions.
///
/// # Errors
///
/// The node did not start, or what it is to run cannot be written.
pub(super) async fn time(
    count: u32,
    functions: &BenchFunctions,
    found: &Found,
    stop: &Stop,
) -> Result<Cold, ColdError> {
    let folder = tempfile::tempdir().map_err(|source| ColdError::Write { source })?;
    let manifest = manifest(count, functions, found)?;
    fs::write(folder.path().join("midge.toml"), manifest)
        .map_err(|source| ColdError::Write { source })?;
    let node = Node::start(folder.path(), &words(functions), stop).await;
    let node = node.map_err(ColdError::Node)?;
    let mut tally = Tally::default();
    let asked = ask_each(count, &node, found, (&mut tally, stop)).await;
    let ready_after = node.ready_after;
    node.end(stop).await.map_err(ColdError::Node)?;
    asked?;
    Ok(Cold { ready_after, tally })
}

/// The flags that were typed, but that code which is not in use is not kept.
fn words(functions: &BenchFunctions) -> Vec<OsString> {
    let is_other = |word: &&OsString| !word.to_string_lossy().starts_with(MEMORY_TARGET);
    let typed = functions.words.iter().filter(is_other).cloned();
    let nothing = OsString::from(format!("{MEMORY_TARGET}0B"));
    typed.chain([nothing]).collect()
}

async fn ask_each(
    count: u32,
    node: &Node,
    found: &Found,
    (tally, stop): (&mut Tally, &Stop),
) -> Result<(), AskError> {
    for number in 0..count {
        if stop.is_asked() {
            break;
        }
        let ask = found.ask.with_host(&host(number))?;
        let asked = async {
            // Connecting is not the function's doing.
            let mut connection = Connection::open(node.address).await?;
            let began = Instant::now();
            let answer = connection.ask(&ask).await?;
            Ok((answer, began.elapsed()))
        };
        let answered = tokio::select! {
            answered = timeout(ANSWER_TIME_MAX, asked) => answered,
            () = stop.asked(1) => break,
        };
        match answered {
            Ok(Ok(((status, body_bytes, receipt), took))) => {
                tally.answered(status, took, body_bytes);
                tally.receipts.add(&receipt);
            }
            Ok(Err(broken)) => *tally.broken.entry(broken).or_default() += 1,
            Err(_) => *tally.broken.entry(Broken::TimedOut).or_default() += 1,
        }
    }
    Ok(())
}

fn host(number: u32) -> String {
    format!("f{number}.{DOMAIN}")
}

/// A manifest with so many functions like the one that was found.
fn manifest(count: u32, functions: &BenchFunctions, found: &Found) -> Result<String, ColdError> {
    let original = match functions::manifest_at(&functions.path)? {
        Some(path) => table_of(&path, found)?,
        None => alone(functions),
    };
    let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut tables = Table::new();
    for number in 0..count {
        let mut table = original.clone();
        let host = host(number);
        let routes = found.routes.iter().map(|route| {
            let method = route.method().map(|method| format!("{method} "));
            Value::from(format!(
                "{}{host}{}",
                method.unwrap_or_default(),
                route.path()
            ))
        });
        table.insert("routes".to_owned(), Value::Array(routes.collect()));
        let component = match &found.component {
            Component::File(path) => absolute(path).to_string_lossy().into_owned(),
            Component::Elsewhere(pinned) => pinned.to_string(),
        };
        table.insert("component".to_owned(), component.into());
        tables.insert(format!("cold-{number}"), table.into());
    }
    let all = Table::from_iter([("function".to_owned(), Value::Table(tables))]);
    Ok(all.to_string())
}

/// What a file without a manifest has: all secrets that were typed, as variables.
fn alone(functions: &BenchFunctions) -> Table {
    let secrets = functions.secrets.iter().cloned().map(Value::from);
    let allow = Table::from_iter([("secrets".to_owned(), Value::Array(secrets.collect()))]);
    match functions.secrets.is_empty() {
        true => Table::new(),
        false => Table::from_iter([("allow".to_owned(), Value::Table(allow))]),
    }
}

/// What the manifest says of the function, with folders as this process finds them.
fn table_of(path: &Path, found: &Found) -> Result<Table, ColdError> {
    let changed = || ColdError::Changed {
        path: path.to_owned(),
    };
    let text = fs::read_to_string(path).map_err(|source| ColdError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut manifest: Table = text.parse().map_err(|_| changed())?;
    let functions = manifest.get_mut("function").and_then(Value::as_table_mut);
    let function = functions.and_then(|functions| functions.remove(found.name.as_str()));
    let Some(Value::Table(mut table)) = function else {
        return Err(changed());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder =
        fs::canonicalize(Path::new(".").join(folder)).map_err(|source| ColdError::Read {
            path: path.to_owned(),
            source,
        })?;
    let allow = table.get_mut("allow").and_then(Value::as_table_mut);
    let dirs = allow.and_then(|allow| allow.get_mut("dirs"));
    for dir in dirs.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(Value::String(host)) = dir.get_mut("host") {
            *host = folder.join(&*host).to_string_lossy().into_owned();
        }
    }
    Ok(table)
}
