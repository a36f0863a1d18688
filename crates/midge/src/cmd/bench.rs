//! `midge bench TARGET`: what a function takes, measured as users run it.
//!
//! Starts `midge run` as a process of its own, asks it from this one, and ends it. Each step lives
//! below `bench/`; the order, and what the exit code is, are decided here.
//!
//! **Invariant:** whatever happens, what was started is ended, and what was measured until then is
//! printed.

mod ask;
mod cold;
mod compare;
mod connection;
mod figures;
mod histogram;
mod load;
mod node;
mod pace;
mod receipt;
mod report;
mod stop;
mod text;
mod usage;

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use midge_model::Digest;
use serde::Serialize;

use self::ask::{Ask, Found};
use self::compare::Comparison;
use self::connection::{Broken, Connection};
use self::load::{Loaded, Round};
use self::node::{Node, NodeError};
use self::report::{ColdFigures, NodeFigures, Report, RoundFigures, Setup};
use self::stop::Stop;
use self::usage::Usage;
use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::BenchArgs;
use crate::components::{Component, Fetching};
use crate::config::{BenchConfig, BenchFunctions, BenchTarget};
use crate::{machine, say};

/// A share of one core from which on the generator may be what is slow.
const GENERATOR_CORES_MAX: f64 = 0.9;

/// Measures until done or told to stop.
pub(super) fn run(args: BenchArgs) -> anyhow::Result<Ending> {
    let config = BenchConfig::new(args).map_err(hinted)?;
    let baseline = config.baseline.as_deref().map(Report::load);
    let baseline = baseline.transpose().map_err(hinted)?;
    machine::raise_descriptor_limit();
    super::block_on(measure(config, baseline))?
}

/// What was measured, and whether it was stopped.
struct Measured {
    report: Report,
    warnings: Vec<String>,
}

async fn measure(config: BenchConfig, baseline: Option<Report>) -> anyhow::Result<Ending> {
    let stop = Stop::install().context("take over the signals")?;
    let measured = match &config.target {
        BenchTarget::Running { authority, path } => {
            let ask = Ask::running(&config.request, (authority, path)).map_err(hinted)?;
            running(&config, (authority, path), ask, &stop).await
        }
        BenchTarget::Functions(functions) => started(&config, functions, &stop).await,
    };
    let Some(measured) = measured? else {
        return Ok(Ending::Interrupted);
    };
    conclude(&config, &measured, baseline.as_ref())
}

/// Something that runs already.
async fn running(
    config: &BenchConfig,
    (authority, path): (&str, &str),
    ask: Ask,
    stop: &Stop,
) -> anyhow::Result<Option<Measured>> {
    let found = tokio::net::lookup_host(authority).await;
    let address = found
        .with_context(|| format!("find `{authority}`"))?
        .next()
        .with_context(|| format!("`{authority}` has no address"))?;
    let target = format!("http://{authority}{path}");
    let setup = setup(config, (target, None, Vec::new()), &ask);
    if !try_once((address, &ask), authority, stop).await? {
        return Ok(None);
    }
    let loaded = put_under_load(config, (address, ask), None, stop).await;
    let mut report = Report::new(setup, &loaded, stop.is_asked());
    let rounds = loaded.rounds.iter();
    report.rounds = rounds.map(|round| RoundFigures::of(round, false)).collect();
    Ok(Some(Measured {
        report,
        warnings: Vec::new(),
    }))
}

/// Functions that are started for it; `None` if that was stopped.
async fn started(
    config: &BenchConfig,
    functions: &BenchFunctions,
    stop: &Stop,
) -> anyhow::Result<Option<Measured>> {
    let found = ask::find(functions, &config.request).map_err(hinted)?;
    let target = format!("{} in {}", found.name, functions.path.display());
    let node = match Node::start(&functions.path, &functions.words, stop).await {
        Err(NodeError::Stopped) => return Ok(None),
        node => node.map_err(hinted)?,
    };
    // It runs, so it is no larger than a component may be.
    let component = match &found.component {
        Component::File(path) => std::fs::read(path).ok(),
        Component::Elsewhere(pinned) => {
            let fetched = Fetching::Usual(None).get(pinned).await;
            fetched.ok().map(|fetched| fetched.component)
        }
    };
    let component = component.map(|bytes| Digest::of(&bytes));
    let setup = setup(config, (target, component, flags(functions)), &found.ask);
    let measured = load_node(config, (&node, &found), setup, stop).await;
    // Also after a failure, and before it is told: nothing is to be left behind.
    let ended = node.end(stop).await;
    let measured = measured?;
    ended.map_err(hinted)?;
    let Some(mut measured) = measured else {
        return Ok(None);
    };
    if config.cold > 0 && !stop.is_asked() {
        measured.report.cold = time_cold(config.cold, functions, &found, stop).await?;
    }
    measured.report.interrupted = stop.is_asked();
    Ok(Some(measured))
}

async fn load_node(
    config: &BenchConfig,
    (node, found): (&Node, &Found),
    setup: Setup,
    stop: &Stop,
) -> anyhow::Result<Option<Measured>> {
    let before = Usage::of_tree(node.pid());
    if !try_once((node.address, &found.ask), "the function", stop).await? {
        return Ok(None);
    }
    let target = (node.address, found.ask.clone());
    let loaded = put_under_load(config, target, Some(node.pid()), stop).await;
    let mut report = Report::new(setup, &loaded, stop.is_asked());
    let rounds = loaded.rounds.iter();
    let memory = rounds.clone().map(|round| round.usage.memory_bytes).max();
    let cpu = rounds.clone().map(|round| round.usage.cpu).sum();
    report.rounds = rounds.map(|round| RoundFigures::of(round, true)).collect();
    report.node = Some(NodeFigures {
        ready_ms: figures::millis(node.ready_after),
        cpu_us_per_request: figures::cpu_us(cpu, report.load.answers),
        memory_before_bytes: before.memory_bytes,
        memory_under_load_bytes: memory.unwrap_or(0),
    });
    Ok(Some(Measured {
        report,
        warnings: node.warnings(),
    }))
}

async fn time_cold(
    count: u32,
    functions: &BenchFunctions,
    found: &Found,
    stop: &Stop,
) -> anyhow::Result<Option<ColdFigures>> {
    say::line(&format!("timing {count} cold starts"));
    match cold::time(count, functions, found, stop).await {
        Ok(cold) => Ok(Some(ColdFigures::of(&cold))),
        Err(cold::ColdError::Node(NodeError::Stopped)) => Ok(None),
        Err(error) => Err(with_hint_of_cold(error)),
    }
}

fn with_hint_of_cold(error: cold::ColdError) -> anyhow::Error {
    use super::fault::Hint as _;
    match error.hint() {
        Some(_) => hinted(error),
        None => with_hint(error.into(), "--cold 0 leaves cold starts out"),
    }
}

async fn put_under_load(
    config: &BenchConfig,
    target: (SocketAddr, Ask),
    node: Option<u32>,
    stop: &Stop,
) -> Loaded {
    let rounds = config.load.rounds;
    let usage = || node.map(Usage::of_tree).unwrap_or_default();
    let progress = |number: usize, round: &Round| {
        let figures = RoundFigures::of(round, false);
        say::line(&format!(
            "round {} of {rounds}: {:.0}/s, p50 {}, p99 {}",
            number + 1,
            figures.per_second,
            text::time(figures.p50_us),
            text::time(figures.p99_us),
        ));
    };
    load::load(config.load, target, usage, progress, stop).await
}

/// One request before all others, so that what cannot work is said at once. Says whether to go on.
async fn try_once(
    (address, ask): (SocketAddr, &Ask),
    whom: &str,
    stop: &Stop,
) -> anyhow::Result<bool> {
    let asked = async { Connection::open(address).await?.ask(ask).await };
    let answered = tokio::select! {
        answered = tokio::time::timeout(connection::ANSWER_TIME_MAX, asked) => answered,
        () = stop.asked(1) => return Ok(false),
    };
    let line = ask.line();
    match answered.unwrap_or(Err(Broken::TimedOut)) {
        Ok((status, ..)) if status < 400 => Ok(true),
        Ok((status, ..)) => {
            let error = anyhow!("{whom} answered `{line}` with {status}");
            Err(with_hint(error, hint_for(status)))
        }
        Err(broken) => {
            let why = broken.name();
            let error = anyhow!("{whom} did not answer `{line}`: {why}");
            Err(with_hint(error, format!("curl http://{address}/")))
        }
    }
}

/// What to do about answers with this status.
fn hint_for(status: u16) -> &'static str {
    match status {
        401 | 403 => "say who asks with --header",
        404 | 405 => "say what to ask for with --path and --method",
        413 => "allow larger bodies with `request-body` in the manifest",
        429 => "fewer --connections, a lower --rate, or more --concurrency",
        502 => "the function failed: `midge run` shows what it wrote",
        503 => "no worker had room: fewer --connections, or a lower --rate",
        504 => "more --time or --cpu, or fewer --connections",
        _ => "`midge run` and `curl` show the answer",
    }
}

fn setup(
    config: &BenchConfig,
    (target, component, flags): (String, Option<Digest>, Vec<String>),
    ask: &Ask,
) -> Setup {
    let load = &config.load;
    Setup {
        target,
        component,
        flags,
        request: ask.line(),
        body_bytes: ask.body_bytes,
        connections: load.connections,
        rate: load.rate,
        round_ms: u64::try_from(load.round.as_millis()).unwrap_or(u64::MAX),
        rounds: load.rounds,
    }
}

/// The node's flags as they may be kept in a file: values of variables may be nobody's business.
fn flags(functions: &BenchFunctions) -> Vec<String> {
    let words = functions.words.iter().map(|word| word.to_string_lossy());
    let shown = words.map(|word| match word.strip_prefix("--env=") {
        Some(variable) => format!("--env={}", variable.split('=').next().unwrap_or_default()),
        None => word.into_owned(),
    });
    shown.collect()
}

/// Prints and keeps what was measured, and says how it ended.
fn conclude(
    config: &BenchConfig,
    measured: &Measured,
    baseline: Option<&Report>,
) -> anyhow::Result<Ending> {
    let report = &measured.report;
    let comparison = baseline.map(|before| Comparison::of(before, report, config.fail_over));
    print(config, report, comparison.as_ref())?;
    if let Some(path) = &config.save {
        report
            .save(path)
            .with_context(|| format!("write `{}`", path.display()))?;
        say::line(&format!("figures are in {}", path.display()));
    }
    if report.load.generator_cores > GENERATOR_CORES_MAX {
        say::warning("the load generator was busy all the time: what answers may be faster");
    }
    if report.load.unsent > 0 {
        say::warning("answers were too slow for --rate: more --connections, or a lower --rate");
    }
    if report.interrupted {
        return Ok(Ending::Interrupted);
    }
    try_answers(report, &measured.warnings)?;
    let Some(comparison) = &comparison else {
        return Ok(Ending::Done);
    };
    let worse: Vec<_> = comparison.worse().map(|row| row.figure).collect();
    if worse.is_empty() {
        return Ok(Ending::Done);
    }
    let error = anyhow!("worse than the baseline: {}", worse.join(", "));
    Err(with_hint(
        error,
        "measure again with more --rounds and a longer --duration, on a quiet machine",
    ))
}

#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

fn print(
    config: &BenchConfig,
    report: &Report,
    comparison: Option<&Comparison>,
) -> anyhow::Result<()> {
    if config.json {
        return Ok(say::record(&Printed { report, comparison })?);
    }
    let mut shown = text::report(report);
    if let Some(comparison) = comparison {
        shown.push_str(&text::comparison(comparison));
    }
    Ok(say::data(&shown)?)
}

/// Fails if a request did.
fn try_answers(report: &Report, warnings: &[String]) -> anyhow::Result<()> {
    let load = &report.load;
    let cold = report.cold.as_ref();
    let statuses = load
        .statuses
        .iter()
        .chain(cold.iter().flat_map(|cold| &cold.statuses));
    let broken = load
        .broken
        .iter()
        .chain(cold.iter().flat_map(|cold| &cold.broken));
    let mut failed: Vec<(String, u64, &'static str)> = Vec::new();
    for (status, count) in statuses.filter(|(status, _)| **status >= 400) {
        failed.push((status.to_string(), *count, hint_for(*status)));
    }
    for (name, count) in broken {
        failed.push((
            name.clone(),
            *count,
            "fewer --connections, or a lower --rate",
        ));
    }
    let Some((_, _, hint)) = failed.iter().max_by_key(|(_, count, _)| *count) else {
        return Ok(());
    };
    for warning in warnings {
        say::line(warning);
    }
    let count: u64 = failed.iter().map(|(_, count, _)| count).sum();
    let what: Vec<_> = failed
        .iter()
        .map(|(what, count, _)| format!("{what}: {count}"))
        .collect();
    let error = anyhow!("{count} requests failed ({})", what.join(", "));
    Err(with_hint(error, *hint))
}
