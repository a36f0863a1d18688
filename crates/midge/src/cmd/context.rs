//! `midge context list|use|remove|show`: which of the nodes that somebody knows is meant.
//!
//! How contexts are kept is `contexts.rs`, how one is made is `login.rs`.
//!
//! **Invariant:** no token is printed.

use serde::Serialize;

use super::Ending;
use super::fault::hinted;
use crate::cli::{
    ContextArgs, ContextCommand, ContextListArgs, ContextRemoveArgs, ContextShowArgs,
    ContextUseArgs,
};
use crate::config::{Target, contexts_file};
use crate::contexts::{Context, Contexts};
use crate::say;
use crate::table::{Facts, Table};

/// Does with contexts what was typed.
pub(super) fn run(args: ContextArgs) -> anyhow::Result<Ending> {
    match args.command {
        ContextCommand::List(args) => list(&args),
        ContextCommand::Use(args) => select(args),
        ContextCommand::Remove(args) => remove(&args),
        ContextCommand::Show(args) => show(&args),
    }
}

/// A context, and the shape of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: &'a str,
    url: String,
    current: bool,
    namespace: Option<&'a str>,
    has_token: bool,
}

fn list(args: &ContextListArgs) -> anyhow::Result<Ending> {
    let contexts = Contexts::load(&contexts_file().map_err(hinted)?).map_err(hinted)?;
    let current = contexts.current().map(|(name, _)| name);
    let lines = contexts.iter().map(|(name, context)| Line {
        name,
        url: context.url.to_string(),
        current: current == Some(name),
        namespace: context.namespace.as_ref().map(|name| name.as_str()),
        has_token: context.token.is_some(),
    });
    if args.form.json {
        for line in lines {
            say::record(&line)?;
        }
        return Ok(Ending::Done);
    }
    let mut table = Table::new(["", "NAME", "URL", "NAMESPACE", "TOKEN"]);
    for line in lines {
        table.row([
            if line.current { "*" } else { "" }.to_owned(),
            line.name.to_owned(),
            line.url,
            line.namespace.unwrap_or_default().to_owned(),
            if line.has_token { "yes" } else { "no" }.to_owned(),
        ]);
    }
    super::print(&table, || {
        "no contexts, `midge login URL` makes one".to_owned()
    })
}

fn select(args: ContextUseArgs) -> anyhow::Result<Ending> {
    let path = contexts_file().map_err(hinted)?;
    let mut contexts = Contexts::load(&path).map_err(hinted)?;
    let mut context = contexts.get(&args.name).map_err(hinted)?.clone();
    if args.namespace.is_some() {
        context.namespace = args.namespace;
    }
    let Context { url, namespace, .. } = &context;
    let namespace = namespace.clone().unwrap_or_default();
    let now = format!("commands talk to {url}, about namespace {namespace}");
    contexts.put(&args.name, context);
    contexts.save(&path).map_err(hinted)?;
    say::line(&now);
    Ok(Ending::Done)
}

fn remove(args: &ContextRemoveArgs) -> anyhow::Result<Ending> {
    let path = contexts_file().map_err(hinted)?;
    let mut contexts = Contexts::load(&path).map_err(hinted)?;
    contexts.remove(&args.name).map_err(hinted)?;
    contexts.save(&path).map_err(hinted)?;
    say::line(&format!("forgot context {}", args.name));
    Ok(Ending::Done)
}

/// What commands would do, as JSON.
#[derive(Debug, Serialize)]
struct Shown {
    url: String,
    namespace: String,
    has_token: bool,
}

fn show(args: &ContextShowArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let shown = Shown {
        url: target.url.to_string(),
        namespace: target.namespace.to_string(),
        has_token: target.token.is_some(),
    };
    if args.form.json {
        say::record(&shown)?;
        return Ok(Ending::Done);
    }
    let mut facts = Facts::default();
    facts.row("url", &shown.url);
    facts.row("namespace", &shown.namespace);
    facts.row("token", &if shown.has_token { "yes" } else { "no" });
    say::data(&facts.to_text())?;
    Ok(Ending::Done)
}
