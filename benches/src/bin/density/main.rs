//! `midge-bench-density`: how many functions fit on a node, and what the first request of one costs.
//!
//! Makes a node with thousands of functions, each with a component, native code and a file of its
//! own, starts it anew so that nothing is loaded, and asks: first some of them once, then
//! whatever a Zipf distribution draws. This file decides the order; making functions is `made.rs`.
//!
//! **Invariant:** what is measured is `midge serve` as users start it, and every answer is held
//! against what that very function says.

#![forbid(unsafe_code)]

mod asker;
mod figures;
mod made;
mod node;
mod zipf;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use midge_bench::stats::quantile;

use crate::asker::Asker;
use crate::figures::Figures;
use crate::made::Made;
use crate::node::{Holds, Node};
use crate::zipf::{Random, Zipf};

/// Functions of the node that others are compared with: what a node holds without any.
const FEW: usize = 2;

/// Functions that are asked for the first time, one after the other, before the distribution is
/// drawn from: enough for a 99th percentile.
const FIRST_MAX: usize = 1_000;

/// Answers before this part of the draws are not steady yet.
const STEADY_FROM: usize = 2;

/// Measures density and cold starts of a node.
#[derive(Debug, Parser)]
#[command(name = "midge-bench-density")]
struct Args {
    /// The `midge` to measure.
    #[arg(long, default_value = "target/release/midge")]
    midge: PathBuf,

    /// The component that all functions are made from.
    #[arg(long, default_value = "guests/examples/prebuilt/hello-rust.wasm")]
    component: PathBuf,

    /// How many functions [default: 10000].
    #[arg(long)]
    functions: Option<usize>,

    /// How many requests are drawn [default: as many as functions].
    #[arg(long)]
    requests: Option<usize>,

    /// The exponent of the distribution: 1 is what the web has.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,

    /// As for `midge serve`.
    #[arg(long)]
    memory_target: Option<String>,

    /// As for `midge serve`.
    #[arg(long, default_value_t = 2)]
    workers: u32,

    /// What the draws begin with [default: the time].
    #[arg(long)]
    seed: Option<u64>,

    /// Fewer functions: under a minute.
    #[arg(long)]
    quick: bool,

    /// Print one JSON object in place of the table.
    #[arg(long)]
    json: bool,

    /// Write the JSON object here too.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[expect(
    clippy::print_stderr,
    reason = "a program of the project's own; the product prints through say.rs"
)]
fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all targets were met.
fn run(args: &Args) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(zipf::seed_of_now);
    let functions = args
        .functions
        .unwrap_or(if args.quick { 1_000 } else { 10_000 });
    ensure!(functions > FEW, "give more than {FEW} functions");
    let folder = tempfile::Builder::new()
        .prefix("midge-density-")
        .tempdir_in(scratch()?)
        .context("make a folder for the store")?;
    say(&format!("seed {seed}; making {functions} functions"));
    let (made, few) = set_up(args, folder.path(), functions)?;

    say("waiting for the disk");
    made.settle(&node::cache_in(folder.path()), functions)?;

    say("asking each for the first time");
    let node = start(args, folder.path())?;
    let many = node.holds()?;
    let mut random = Random::new(seed);
    let mut asker = Asker::connect(node.port())?;
    let mut asked = vec![false; functions];
    let mut first = Vec::new();
    for at in random.sample(functions, functions.min(FIRST_MAX)) {
        first.push(asker.ask(&made, at)?);
        asked[at] = true;
    }
    let loaded = node.holds()?;
    let loaded_count = usize::try_from(node.counts()?.loaded).unwrap_or(usize::MAX);

    say("asking as the distribution draws");
    let requests = args.requests.unwrap_or(functions);
    let draws = draw(args.zipf, requests, functions, &mut random);
    let (mut again, mut steady) = (Vec::new(), Vec::new());
    for (draw, at) in draws.into_iter().enumerate() {
        let took = asker.ask(&made, at)?;
        if std::mem::replace(&mut asked[at], true) {
            again.push(took);
        }
        if draw >= requests / STEADY_FROM {
            steady.push(took);
        }
    }
    let (end, counts) = (node.holds()?, node.counts()?);
    node.stop()?;

    let figures = Figures {
        component: args.component.display().to_string(),
        component_bytes: made.component_bytes(),
        functions,
        requests,
        zipf: args.zipf,
        seed,
        memory_target: args.memory_target.clone(),
        first_asked: first.len(),
        first_p50_us: micros(&mut first, 0.5),
        first_p99_us: micros(&mut first, 0.99),
        again_p50_us: micros(&mut again, 0.5),
        again_p99_us: micros(&mut again, 0.99),
        steady_p99_us: micros(&mut steady, 0.99),
        rss_per_idle_function_bytes: each(many.anonymous, few.anonymous, functions - FEW),
        pss_per_idle_function_bytes: each(many.pss, few.pss, functions - FEW),
        bytes_per_loaded_function: each(loaded.anonymous, many.anonymous, loaded_count),
        anonymous_bytes_at_end: end.anonymous,
        mappings_max: end.mappings_max,
        loaded: counts.loaded,
        evicted: counts.evicted,
    };
    figures.tell(args.json, args.out.as_deref())
}

/// Makes all functions in this store; also what a node holds that has only a few.
fn set_up(args: &Args, store: &Path, functions: usize) -> Result<(Made, Holds)> {
    let component = std::fs::read(&args.component)
        .with_context(|| format!("read {}", args.component.display()))?;
    let made = Made::new(component);
    let node = start(args, store)?;
    made.deploy_really(&node, FEW)?;
    let made = made.learn_native_code(&node.cache())?;
    node.stop()?;
    let node = start(args, store)?;
    let few = node.holds()?;
    made.deploy(&node, FEW..functions)?;
    node.stop()?;
    Ok((made, few))
}

fn start(args: &Args, store: &Path) -> Result<Node> {
    let mut flags = vec![format!("--workers={}", args.workers)];
    let target = args.memory_target.iter();
    flags.extend(target.map(|target| format!("--memory-target={target}")));
    Node::start(&args.midge, store, &flags)
}

/// Functions in the order in which they are asked.
fn draw(exponent: f64, requests: usize, functions: usize, random: &mut Random) -> Vec<usize> {
    let zipf = Zipf::new(functions, exponent);
    let ranks = random.sample(functions, functions);
    (0..requests).map(|_| ranks[zipf.draw(random)]).collect()
}

/// Where large files of benchmarks go.
fn scratch() -> Result<PathBuf> {
    let folder = PathBuf::from("target/bench");
    std::fs::create_dir_all(&folder).context("make target/bench")?;
    folder.canonicalize().context("find target/bench")
}

fn micros(took: &mut [Duration], share: f64) -> u64 {
    took.sort_unstable();
    let quantile = quantile(took, share).unwrap_or_default();
    u64::try_from(quantile.as_micros()).unwrap_or(u64::MAX)
}

fn each(more_bytes: u64, fewer_bytes: u64, functions: usize) -> u64 {
    more_bytes.saturating_sub(fewer_bytes) / u64::try_from(functions.max(1)).unwrap_or(u64::MAX)
}

/// Progress, on stderr: stdout is the result.
#[expect(
    clippy::print_stderr,
    reason = "the one place that tells a person how far it is"
)]
fn say(line: &str) {
    eprintln!("density: {line}");
}
