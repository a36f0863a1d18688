//! `cargo xtask`: the project's own chores, so that a person and CI type the same thing.
//!
//! This file decides which chore a word names and how its end is told; each chore is a module.
//! Nothing here is part of the product, and nothing of the product is built to run it.
//!
//! **Invariant:** a chore that finds a fault ends with exit code 1, a misspelt command with 2.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person at the terminal; the product prints through say.rs only"
)]

mod bench;
mod density;
mod guests;
mod release;
mod test;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [--quick]   install what is missing, then all that CI checks; --quick leaves out deny, api,
                   fuzz and doc
  api              a running node against its OpenAPI document
  fuzz [SECONDS]   every fuzz target for so long (10), from the seeds that are checked in
  bench [..]       midge beside its peers, in a release build (`cargo xtask bench --help`)
  tidy             what clippy cannot see: crate edges, file length, module docs, fixtures ...
  density [FLAGS]  thousands of functions on one node: cold starts, memory (`--help`: its flags)
  guests           rebuild the prebuilt guests (`cargo xtask guests --help`)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match (command.as_str(), rest) {
        ("guests", rest) => close(guests::run(rest)),
        ("density", rest) => close(density::run(&root(), rest)),
        ("test", []) => test::run(&root(), test::Extent::Full),
        ("test", [flag]) if flag == "--quick" => test::run(&root(), test::Extent::Quick),
        ("api", []) => test::api(&root()),
        ("fuzz", []) => test::fuzz(&root(), None),
        ("fuzz", [seconds]) if seconds.parse::<u32>().is_ok() => {
            test::fuzz(&root(), seconds.parse().ok())
        }
        ("bench", words) => bench::run(&root(), words),
        ("tidy", []) => close(tidy::run(&root())),
        ("help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("error: no chore is called `{}`\n\n{USAGE}", args.join(" "));
            ExitCode::from(2)
        }
    }
}

/// Tells how a chore ended.
fn close(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the folder above this crate's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the workspace holds xtask in a folder of its own")
        .to_path_buf()
}
