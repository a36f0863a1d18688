//! `midge completions SHELL`: prints a completion script.
//!
//! The script is made from the same declaration as the help; hidden commands
//! are left out.

use clap::CommandFactory as _;

use super::Ending;
use crate::cli::{Args, CompletionsArgs};
use crate::say;

/// Prints the script to stdout.
pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "midge", &mut script);
    say::data(&String::from_utf8(script)?)?;
    Ok(Ending::Done)
}
