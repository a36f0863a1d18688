//! `midge-bench`: the harness behind `cargo xtask bench`.
//!
//! This file decides what a command line means: which scenarios run, where results go, and the exit
//! code: 0 all targets met, 1 one missed, 2 one not measured, or no run at all. Progress goes to
//! stderr, the tables to stdout.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people; the product prints through say.rs only"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use midge_bench::lab::Lab;
use midge_bench::load::client;
use midge_bench::machine;
use midge_bench::peers::{self, Peers};
use midge_bench::record::{EVERYBODY, Run};
use midge_bench::report::{self, page, table};
use midge_bench::scenario::{SCENARIOS, Scenario};
use midge_bench::targets::{exit_code, judge};
use tokio::time::Instant;

/// Midge beside its peers and the bare server: the comparison that anybody can run
#[derive(Parser)]
#[command(after_help = scenarios_help())]
struct Args {
    #[command(subcommand)]
    inner: Option<Inner>,
    /// Under 5 minutes in all: fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Only these scenarios, with commas between them
    #[arg(long, value_name = "SCENARIO,..", value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for figures and plot [default: benches/results, target/bench/results with --quick
    /// or --only]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The midge to measure [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    midge: Option<PathBuf>,
    /// Measure nothing: judge and print a stored run
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Put the tables into docs/performance.md
    #[arg(long)]
    write_docs: bool,
}

#[derive(Subcommand)]
enum Inner {
    /// Make load; what the harness starts
    #[command(name = client::COMMAND, hide = true)]
    Client { orders: String },
}

fn scenarios_help() -> String {
    let lines = SCENARIOS
        .iter()
        .map(|scenario| format!("  {:<14}{}", scenario.name, scenario.about));
    format!("Scenarios:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.inner {
        Some(Inner::Client { orders }) => client::serve(orders).map(|figures| {
            println!("{figures}");
            0
        }),
        None => bench(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::from(2)
        }
    }
}

fn bench(args: &Args) -> Result<u8> {
    let root = repository();
    let (run, stored) = match &args.from {
        Some(file) => (report::load(file)?, file.clone()),
        None => {
            let run = measure(args)?;
            let stored = report::store(&run, &results(args))?;
            eprintln!("bench: stored as {}", stored.display());
            (run, stored)
        }
    };
    let judged = judge(&run);
    println!("{}", table::targets(&judged));
    println!("{}", table::figures(&run));
    if args.write_docs {
        page::write(&run, &stored, &root.join("docs/performance.md"))?;
    }
    Ok(exit_code(&judged))
}

fn measure(args: &Args) -> Result<Run> {
    let chosen = chosen(&args.only)?;
    let lab = lab(args)?;
    let began = Instant::now();
    let mut run = Run {
        date: machine::date(),
        extent: if args.quick { "quick" } else { "full" }.to_owned(),
        machine: machine::machine(),
        versions: machine::versions(&lab),
        ..Run::default()
    };
    for scenario in chosen {
        lab.say(&format!("{}: {}", scenario.name, scenario.about));
        run.scenarios.push(scenario.name.to_owned());
        let scenario_began = Instant::now();
        if let Err(err) = (scenario.run)(&lab, &mut run, scenario.name) {
            lab.say(&format!("{}: {err:#}", scenario.name));
            // Nobody took part; the table says why in everybody's row.
            run.miss(scenario.name, EVERYBODY, format!("{err:#}"));
        }
        let seconds = scenario_began.elapsed().as_secs();
        lab.say(&format!("{}: took {seconds} s", scenario.name));
    }
    run.seconds = began.elapsed().as_secs();
    Ok(run)
}

fn chosen(only: &[String]) -> Result<Vec<&'static Scenario>> {
    for name in only {
        let known = SCENARIOS.iter().any(|scenario| scenario.name == name);
        ensure!(known, "no scenario is called `{name}`, see --help");
    }
    let asked =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(asked).collect())
}

fn lab(args: &Args) -> Result<Lab> {
    let exe = std::env::current_exe().context("find our own program")?;
    let bin = exe
        .parent()
        .context("our program is in no folder")?
        .to_path_buf();
    let midge = args.midge.clone().unwrap_or_else(|| bin.join("midge"));
    ensure!(midge.exists(), "{} is not built", midge.display());
    let folder = bin
        .parent()
        .context("our program is in no target folder")?
        .join("bench");
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).context("make the folder of the bench")?;
    let say = |line: &str| eprintln!("bench: {line}");
    peers::prepare_wrk(&say)?;
    Ok(Lab {
        root: repository(),
        peers: Peers::prepare(&folder.join("peers"), &say),
        bin,
        midge,
        folder,
        scratch,
        quick: args.quick,
    })
}

/// Only a full run of everything is kept with the sources.
fn results(args: &Args) -> PathBuf {
    match &args.out {
        Some(folder) => folder.clone(),
        None if args.quick || !args.only.is_empty() => repository().join("target/bench/results"),
        None => repository().join("benches/results"),
    }
}

/// The repository that this program was built from.
fn repository() -> PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the crate lies in a folder of the repository")
        .to_path_buf()
}
