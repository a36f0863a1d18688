//! `midge deploy [PATH]`: from a manifest to functions that answer.
//!
//! Walks through it: read, ask the node what would change, show that, get consent where a function
//! would get more than it has, send (`deploy/send.rs`). Reading is `deploy/package.rs`, the picture
//! `deploy/picture.rs`.
//!
//! **Invariant:** nothing is sent before everything that is wrong here, or refused there, has been
//! said, and nothing gets more than it has without a yes.

pub(super) mod package;
pub(super) mod picture;
mod progress;
mod send;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use midge_api::{Client, DeployChange, DeployPlan, Deployed};
use midge_model::{FunctionName, NamespaceName};

use self::package::Package;
use self::progress::Progress;
use super::Ending;
use super::fault::{hinted, with_hint};
use super::session::Session;
use crate::cli::DeployArgs;
use crate::components::Fetching;
use crate::config::Target;
use crate::{prompt, say};

/// Deploys what was typed.
pub(super) fn run(args: &DeployArgs) -> anyhow::Result<Ending> {
    let fetching = Fetching::usual(&args.cache);
    let message = args.message.as_deref();
    let packages = package::read(&args.path, &args.functions, message, &fetching);
    let packages = super::block_on(packages)??;
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    Session::open(target)?.run(async |session| deploy(session, args, packages).await)
}

/// Deploys everything at `path`, whatever it widens: the operator pointed the node at it.
///
/// # Errors
///
/// What is wrong with it, or the first function that was refused; those before it are deployed.
pub(crate) async fn apply(
    client: &Client,
    path: &Path,
    namespace: &NamespaceName,
) -> anyhow::Result<Vec<Deployed>> {
    let mut done = Vec::new();
    for mut package in package::read(path, &[], None, &Fetching::Never).await? {
        package.request.widen = true;
        let sent = send::send(client, namespace, &package, &Progress::Silent).await;
        let deployed = sent.with_context(|| format!("deploy {}", package.function))?;
        done.push(deployed);
    }
    Ok(done)
}

async fn deploy(
    session: &Session,
    args: &DeployArgs,
    mut packages: Vec<Package>,
) -> anyhow::Result<Ending> {
    let plans = plan(session, &packages).await?;
    show(&plans, args)?;
    refuse(&plans)?;
    if args.dry_run {
        return Ok(Ending::Done);
    }
    let widens = plans.iter().any(|plan| plan.widens);
    if widens && !args.grant {
        consent(&plans)?;
    }
    for (package, plan) in packages.iter_mut().zip(&plans) {
        package.request.widen = plan.widens;
    }
    let told = plans.into_iter().flat_map(|plan| plan.warnings).collect();
    send_all(session, &packages, (&told, args.form.json)).await
}

async fn plan(session: &Session, packages: &[Package]) -> anyhow::Result<Vec<DeployPlan>> {
    let mut plans = Vec::with_capacity(packages.len());
    for Package {
        function, request, ..
    } in packages
    {
        let plan = session
            .client
            .plan(session.namespace(), function, request)
            .await;
        let plan = plan.map_err(|error| session.fault(error));
        plans.push(plan.with_context(|| format!("plan {function}"))?);
    }
    Ok(plans)
}

/// Only for a dry run the plan is what was asked for, so only then it is data.
fn show(plans: &[DeployPlan], args: &DeployArgs) -> anyhow::Result<()> {
    match (args.dry_run, args.form.json) {
        (true, true) => plans.iter().try_for_each(say::record)?,
        (true, false) => say::data(&plans.iter().map(picture::plan).collect::<String>())?,
        (false, true) => {}
        (false, false) => plans
            .iter()
            .for_each(|plan| say::text(&picture::plan(plan))),
    }
    Ok(())
}

/// Refuses what the node's policy, or that of the token, does not allow.
fn refuse(plans: &[DeployPlan]) -> anyhow::Result<()> {
    let refused = plans.iter().flat_map(|plan| {
        let verdicts = plan.refused.iter().filter(|verdict| !verdict.allowed);
        verdicts.map(move |verdict| (&plan.function, verdict))
    });
    let mut text = "functions ask for more than the policy allows".to_owned();
    let mut hints: Vec<&str> = Vec::new();
    for (function, verdict) in refused.clone() {
        text.push_str(&format!("\n    {function}: {}", verdict.asked));
        if let Some(rule) = &verdict.rule {
            text.push_str(&format!(" ({rule})"));
        }
        hints.extend(verdict.hint.as_deref());
    }
    if refused.count() == 0 {
        return Ok(());
    }
    hints.dedup();
    let error = anyhow::anyhow!(text);
    Err(if hints.is_empty() {
        error
    } else {
        with_hint(error, hints.join("\n    "))
    })
}

/// A yes from whoever types, if somebody does.
fn consent(plans: &[DeployPlan]) -> anyhow::Result<()> {
    let wider: Vec<_> = plans.iter().flat_map(picture::widening).collect();
    let wider = wider.join("\n    ");
    if prompt::is_interactive() {
        say::text(&format!(
            "functions would get more than they have:\n    {wider}\n"
        ));
        if prompt::is_yes("grant it?")? {
            return Ok(());
        }
        anyhow::bail!("not granted, nothing was deployed");
    }
    let error = anyhow::anyhow!("functions would get more than they have\n    {wider}");
    Err(with_hint(error, "repeat the command with --grant"))
}

/// One after the other, up to the first that fails. What the plan warned of is not said again.
async fn send_all(
    session: &Session,
    packages: &[Package],
    (told, json): (&BTreeSet<String>, bool),
) -> anyhow::Result<Ending> {
    let progress = Progress::new();
    for (nth, package) in packages.iter().enumerate() {
        let sent = send::send(&session.client, session.namespace(), package, &progress).await;
        let deployed = match sent {
            Ok(deployed) => deployed,
            Err(error) => {
                let (done, rest) = packages.split_at(nth);
                report(done, rest);
                return Err(error).with_context(|| format!("deploy {}", package.function));
            }
        };
        if deployed.change != DeployChange::Unchanged {
            say::line(&sentence(&deployed));
        }
        let warnings = deployed.warnings.iter();
        for warning in warnings.filter(|warning| !told.contains(*warning)) {
            say::warning(&format!("{}: {warning}", package.function));
        }
        if json {
            say::record(&deployed)?;
        } else if let Some(url) = deployed.urls.first() {
            say::data(&format!("{}\n", say::clean_line(url)))?;
        }
    }
    Ok(Ending::Done)
}

/// What is there and what is not, when it ended in the middle. One function needs no such words.
fn report(done: &[Package], rest: &[Package]) {
    let names = |packages: &[Package]| {
        let names: Vec<_> = packages
            .iter()
            .map(|package| FunctionName::as_str(&package.function))
            .collect();
        names.join(", ")
    };
    if done.is_empty() && rest.len() == 1 {
        return;
    }
    if !done.is_empty() {
        say::line(&format!("deployed: {}", names(done)));
    }
    say::line(&format!("not deployed: {}", names(rest)));
}

/// What is now true.
fn sentence(deployed: &Deployed) -> String {
    let revision = &deployed.revision;
    let compiled = match deployed.compile_ms {
        0 => String::new(),
        ms => format!(", compiled in {ms} ms"),
    };
    format!(
        "deployed {} {}{compiled}",
        revision.function, revision.number
    )
}
