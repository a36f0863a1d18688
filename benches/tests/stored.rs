//! The harness on a stored run: what it prints and how it ends, without measuring anything.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may fail like the tests themselves"
)]

use std::path::Path;
use std::process::Command;

use midge_bench::record::{Measure, Run};
use midge_bench::report;

/// Stores a run of the Rust hello in which midge took so long, and lets the harness judge it.
fn judged(midge_us: f64, with_hyper: bool) -> (Option<i32>, String) {
    let mut run = Run {
        date: "2026-11-22T18:00:00Z".to_owned(),
        extent: "quick".to_owned(),
        scenarios: vec!["hello-rust".to_owned()],
        ..Run::default()
    };
    let others = [
        ("hyper", 10.0, 60_000.0),
        ("wasmtime serve", 210.0, 4_000.0),
    ];
    for (subject, micros, rate) in others.into_iter().chain([("midge", midge_us, 24_000.0)]) {
        if subject != "hyper" || with_hyper {
            run.add("hello-rust", subject, Measure::CpuMicros, micros);
            run.add("hello-rust", subject, Measure::Rate, rate);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = report::store(&run, folder.path()).unwrap();
    assert_eq!(report::load(&file).unwrap(), run);
    ask(&["--from", file.to_str().unwrap()])
}

fn ask(words: &[&str]) -> (Option<i32>, String) {
    let harness = Path::new(env!("CARGO_BIN_EXE_midge-bench"));
    let output = Command::new(harness).args(words).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[test]
fn all_met_ends_with_0() {
    let (code, said) = judged(30.0, true);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("| CPU, Rust hello: midge / bare hyper"),
        "{said}"
    );
    assert!(!said.contains("missed"), "{said}");
}

#[test]
fn a_missed_target_ends_with_1() {
    let (code, said) = judged(50.0, true);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("**missed**"), "{said}");
}

#[test]
fn what_could_not_be_measured_ends_with_2() {
    let (code, said) = judged(30.0, false);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("not measured: hyper: no figure"), "{said}");
}

#[test]
fn a_file_that_is_no_run_ends_with_2() {
    let (code, said) = ask(&["--from", "Cargo.toml"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("error: read Cargo.toml: "), "{said}");
}

#[test]
fn a_misspelt_scenario_is_named_before_anything_is_measured() {
    let (code, said) = ask(&["--only", "hello-rust,helo-js"]);
    assert_eq!(code, Some(2));
    assert_eq!(said, "error: no scenario is called `helo-js`, see --help\n");
}
