//! The one binary: from what was typed to an exit code.
//!
//! Parses the command line, hands over to one file in `cmd/` and renders the
//! error that comes back. What a command does is decided there; the words of
//! the arguments are `cli.rs`; the printing itself is `say.rs`.
//!
//! **Invariant:** `main` is the only place that turns an error into text and
//! into an exit code, so that every refusal looks the same.

#![forbid(unsafe_code)]

mod cli;
mod cmd;
mod components;
mod config;
mod contexts;
mod control_door;
mod control_url;
mod feed;
mod functions;
mod isolation;
mod learn;
mod log;
mod machine;
mod memory_target;
mod node;
mod observed;
mod policy;
mod prepare;
mod prompt;
mod protocol;
mod regular;
mod say;
mod secrets;
mod supervisor;
mod table;
mod values;
mod worker;

use std::process::ExitCode;

use crate::cli::Args;
use crate::cmd::fault;

/// What clap itself answers for `--help` and `--version`.
const CODE_DONE: u8 = 0;

/// A command line that does not parse.
const CODE_USAGE: u8 = 2;

/// A command that was refused or that failed.
const CODE_REFUSED: u8 = 1;

fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let args = match Args::typed(&typed) {
        Ok(args) => args,
        Err(usage) => return show_usage(&usage),
    };
    match cmd::run(args) {
        Ok(ending) => ending.into(),
        // A reader that has seen enough (`midge inspect … | head -1`) is not a failure.
        Err(error) if fault::is_output_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&format!("{error:#}"), fault::hint_of(&error));
            ExitCode::from(CODE_REFUSED)
        }
    }
}

/// Prints help, the version or what is wrong with the command line.
fn show_usage(usage: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the terminal itself is gone.
    drop(usage.print());
    ExitCode::from(if usage.use_stderr() {
        CODE_USAGE
    } else {
        CODE_DONE
    })
}
