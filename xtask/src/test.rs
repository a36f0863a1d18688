//! `cargo xtask test`: what CI runs, so that whoever changes something sees the same result first.
//!
//! This file decides what is checked and in which order, cheapest first; the first section that
//! fails ends the run. How a section's command runs is `step.rs`, what must be installed first is
//! `tools.rs`, what is installed meanwhile is `languages.rs`, how results are counted is `count.rs`.
//!
//! **Invariant:** the closing count is what the test runners said, added up; nothing is assumed.

mod api;
mod count;
mod fuzz;
mod languages;
mod step;
mod tools;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{close, tidy};
use count::{CARGO_TEST_MARKER, Count, NEXTEST_MARKER};
use languages::Languages;
use step::{Runner, Stream};

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As CI does.
    Full,
    /// Without the dependency audit, the documentation, the fuzzers and the check of the control
    /// API against its document: what one change rarely breaks.
    Quick,
}

/// Runs the sections in order and closes with the count.
pub(crate) fn run(root: &Path, extent: Extent) -> ExitCode {
    run_and_count(root, |runner, count| sections(runner, extent, root, count))
}

/// Runs the fuzzers and nothing else, for so many seconds each or as long as CI does.
pub(crate) fn fuzz(root: &Path, seconds: Option<u32>) -> ExitCode {
    let seconds = seconds.unwrap_or(fuzz::SECONDS);
    run_and_count(root, |runner, count| {
        runner.section("fuzz", |runner| fuzz::run(runner, root, seconds, count))
    })
}

/// Holds a running node against its OpenAPI document and does nothing else.
pub(crate) fn api(root: &Path) -> ExitCode {
    run_and_count(root, |runner, count| {
        runner.section("api", |runner| api::run(runner, root, count))
    })
}

fn run_and_count(
    root: &Path,
    work: impl FnOnce(&mut Runner, &mut Count) -> Result<()>,
) -> ExitCode {
    let mut count = Count::default();
    let done = Runner::new(root).and_then(|mut runner| {
        let done = work(&mut runner, &mut count);
        println!("\n== time\n{}", runner.report());
        done
    });
    let code = close(done);
    // Last, whatever happened: it is what a reader of the log looks for.
    if count != Count::default() {
        println!("{count}");
    }
    code
}

fn sections(runner: &mut Runner, extent: Extent, root: &Path, count: &mut Count) -> Result<()> {
    let full = extent == Extent::Full;
    runner.section("tools", |runner| tools::install(runner, full))?;
    // Waited for before the tests, also when something in between fails.
    let languages = Languages::start(runner, root)?;
    languages::forget_rows(&runner.target)?;
    runner.section("format", |runner| runner.cargo("fmt --all --check"))?;
    runner.section("tidy", |_| tidy::run(root))?;
    runner.section("clippy", |runner| {
        runner.cargo("clippy --workspace --all-targets --locked -- -D warnings")
    })?;
    if full {
        runner.section("deny", deny)?;
    }
    runner.section("languages", |_| languages.finish())?;
    runner.section("tests", |runner| {
        let words = "nextest run --workspace --locked --color never";
        let told = runner.watch(words, Stream::Stderr, NEXTEST_MARKER)?;
        match Count::of_nextest(&told.lines) {
            Some(ran) => count.add(ran),
            // Without a summary it did not get as far as running any; it says why itself.
            None if told.result.is_ok() => bail!("the test runner printed no summary"),
            None => {}
        }
        print!("{}", languages::table(&runner.target));
        told.result
    })?;
    runner.section("doc tests", |runner| {
        let words = "test --doc --workspace --locked --color never";
        let told = runner.watch(words, Stream::Stdout, CARGO_TEST_MARKER)?;
        count.add(Count::of_cargo_test(&told.lines));
        told.result
    })?;
    if full {
        runner.section("api", |runner| api::run(runner, root, count))?;
        runner.section("fuzz", |runner| {
            fuzz::run(runner, root, fuzz::SECONDS, count)
        })?;
        runner.section("doc", |runner| {
            let strict = [("RUSTDOCFLAGS", "-D warnings")];
            runner.cargo_with("doc --workspace --no-deps --locked", &strict)
        })?;
    }
    anyhow::ensure!(count.passed > 0, "no test ran");
    Ok(())
}

/// Licences, bans and sources always; advisories where their database can be reached, because it
/// is a git repository and a build machine may have only the package registries.
fn deny(runner: &Runner) -> Result<()> {
    runner.cargo("deny --locked check --hide-inclusion-graph bans licenses sources")?;
    match runner.quiet("deny --locked fetch db") {
        Ok(()) => runner.cargo("deny --locked check advisories"),
        Err(err) => {
            println!("advisories not checked, their database is out of reach: {err:#}");
            Ok(())
        }
    }
}
