//! Thousands of functions on one node: what an idle one takes, and what its first request costs.
//!
//! `midge-bench-density` does it, as `cargo xtask density` does for itself; this file starts it and
//! takes over its figures.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::lab::Lab;
use crate::record::{Measure, Run};

/// The promise is about one of so many; to make them takes minutes.
const FUNCTIONS: usize = 10_000;
const FUNCTIONS_QUICK: usize = 1_000;
/// Components with an interpreter: each function has its own native code of tens of MiB on disk.
const FUNCTIONS_LARGE: usize = 24;
const FUNCTIONS_LARGE_QUICK: usize = 12;

/// What is read of the figures; there are more.
#[derive(Deserialize)]
struct Figures {
    functions: f64,
    first_p50_us: f64,
    first_p99_us: f64,
    steady_p99_us: f64,
    rss_per_idle_function_bytes: f64,
    loaded: f64,
    evicted: f64,
}

pub(super) fn rust(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let functions = if lab.quick {
        FUNCTIONS_QUICK
    } else {
        FUNCTIONS
    };
    let figures = measure(lab, "hello-rust", functions)?;
    run.add(scenario, "functions", Measure::Count, figures.functions);
    run.add(
        scenario,
        "midge",
        Measure::P50Millis,
        figures.first_p50_us / 1e3,
    );
    run.add(
        scenario,
        "midge",
        Measure::P99Millis,
        figures.first_p99_us / 1e3,
    );
    run.add(
        scenario,
        "midge",
        Measure::EachKib,
        figures.rss_per_idle_function_bytes / 1024.0,
    );
    run.add(
        scenario,
        "steady",
        Measure::P99Millis,
        figures.steady_p99_us / 1e3,
    );
    run.add(
        scenario,
        "loaded at the end",
        Measure::Count,
        figures.loaded,
    );
    run.add(scenario, "evicted", Measure::Count, figures.evicted);
    Ok(())
}

pub(super) fn js(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    first_only(lab, run, scenario, "hello-js")
}

pub(super) fn py(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    first_only(lab, run, scenario, "hello-py")
}

fn first_only(lab: &Lab, run: &mut Run, scenario: &str, guest: &str) -> Result<()> {
    let functions = if lab.quick {
        FUNCTIONS_LARGE_QUICK
    } else {
        FUNCTIONS_LARGE
    };
    let figures = measure(lab, guest, functions)?;
    run.add(scenario, "functions", Measure::Count, figures.functions);
    run.add(
        scenario,
        "midge",
        Measure::P50Millis,
        figures.first_p50_us / 1e3,
    );
    run.add(
        scenario,
        "midge",
        Measure::P99Millis,
        figures.first_p99_us / 1e3,
    );
    Ok(())
}

fn measure(lab: &Lab, guest: &str, functions: usize) -> Result<Figures> {
    let mut command = Command::new(lab.ours("midge-bench-density")?);
    command.arg("--midge").arg(absolute(&lab.midge)?);
    command.arg("--component").arg(lab.guest(guest)?);
    command
        .arg("--json")
        .arg("--functions")
        .arg(functions.to_string());
    // Its progress is ours, and its exit code says what we judge by ourselves.
    command.current_dir(&lab.root).stderr(Stdio::inherit());
    let output = command.output().context("start midge-bench-density")?;
    let said = String::from_utf8_lossy(&output.stdout);
    parse(&said).with_context(|| format!("midge-bench-density ended with {}", output.status))
}

fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    path.canonicalize()
        .with_context(|| format!("find {}", path.display()))
}

fn parse(said: &str) -> Result<Figures> {
    serde_json::from_str(said.trim()).context("read its figures")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn figures_are_read_from_one_json_object() {
        let said = r#"{"functions":10000,"first_p50_us":420,"first_p99_us":910,"steady_p99_us":250,
            "rss_per_idle_function_bytes":3100,"loaded":1000,"evicted":0}"#;
        assert_eq!(parse(said).unwrap().rss_per_idle_function_bytes, 3100.0);
        assert!(parse("").is_err());
        assert!(parse("{\"first_p50_us\":420}").is_err());
    }
}
