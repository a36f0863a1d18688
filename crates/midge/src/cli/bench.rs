//! The words of `midge bench`: what is asked, how hard, and what it is held against.
//!
//! Bounds of single values are here, so that clap names the flag; what they mean together is
//! `config/bench.rs`.
//!
//! **Invariant:** the flags that `run` has too reach the node exactly as they were typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Args as _, FromArgMatches};
use http::{HeaderName, HeaderValue, Method};
use midge_model::quantity::{format_duration, parse_bytes, parse_duration};
use midge_model::{FunctionName, IsolationLevel};

use super::functions::{header, path};
use super::{CacheArgs, GrantArgs, LimitArgs, WORKERS_MAX};

/// More connections than this measure the machine's sockets.
const CONNECTIONS_MAX: i64 = 4_096;

/// More requests a second than one thread can send.
const RATE_MAX: i64 = 1_000_000;

/// The shortest load that says anything.
const DURATION_MIN: Duration = Duration::from_millis(100);

/// The longest; longer ones are for tools that watch over days.
const DURATION_MAX: Duration = Duration::from_secs(60 * 60);

/// The most parts that a load is cut into.
const ROUNDS_MAX: i64 = 100;

/// The most cold starts; each is a function of its own in one node.
const COLD_MAX: i64 = 1_000;

/// A slowdown over this is no bound.
const FAIL_OVER_MAX_PERCENT: f64 = 1_000.0;

const EXAMPLES: &str = "\
Examples:
  midge bench hello.wasm
      Start it as `midge run` does, load it for ten seconds, and time 20 cold starts.
  midge bench shop/ --function checkout --body @order.json -H 'content-type: application/json'
      POST a file to one function of a manifest.
  midge bench hello.wasm --rate 500 --duration 30s
      Send 500 requests a second, however late the answers are.
  midge bench hello.wasm --save before.json
  midge bench hello.wasm --baseline before.json --fail-over 10%
      Keep the figures, and later fail if they are more than 10 % worse.
  midge bench http://127.0.0.1:8080/hello/
      Load something that runs already; only latency is known then.

The exit code is 1 if a request failed or was answered with 400 or above.";

/// `midge bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// A `.wasm` or `.wat` file, a `midge.toml`, a folder with one, or an `http://` URL of
    /// something that runs already.
    #[arg(default_value = ".")]
    pub(crate) target: String,

    /// Which function of a manifest that has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<FunctionName>,

    /// What is sent.
    #[command(flatten)]
    pub(crate) request: BenchRequestArgs,

    /// How hard.
    #[command(flatten)]
    pub(crate) load: BenchLoadArgs,

    /// What becomes of the figures.
    #[command(flatten)]
    pub(crate) figures: BenchFiguresArgs,

    /// The flags of `midge run`.
    #[command(flatten)]
    pub(crate) node: AsTyped,
}

/// What is sent.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct BenchRequestArgs {
    /// Path and query [default: where the function answers].
    #[arg(long, value_name = "PATH", value_parser = path)]
    pub(crate) path: Option<String>,

    /// Method [default: that of the route, POST with --body, else GET].
    #[arg(long, short = 'X', value_name = "METHOD")]
    pub(crate) method: Option<Method>,

    /// Field of the request's head; can be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Body: the text itself, or `@FILE`.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) body: Option<String>,
}

/// How hard.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct BenchLoadArgs {
    /// Connections, each with one request at a time.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    pub(crate) connections: u32,

    /// How long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,

    /// Requests a second, due whether or not earlier ones were answered; a late answer counts from
    /// when its request was due [default: each connection asks again as soon as it was answered].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    pub(crate) rate: Option<u32>,

    /// Parts that the load is cut into; how much they differ is the noise.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=ROUNDS_MAX))]
    pub(crate) rounds: u32,

    /// Cold starts: so many functions of the same component, each asked for the first time.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=COLD_MAX))]
    pub(crate) cold: u32,
}

/// What becomes of the figures.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Figures")]
pub(crate) struct BenchFiguresArgs {
    /// Write the figures down, to compare with later.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,

    /// Compare with figures that were written down.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// Exit with 1 if p50, p99 or CPU is worse by more than this, and by more than the noise.
    #[arg(long, value_name = "PERCENT", requires = "baseline", value_parser = percent)]
    pub(crate) fail_over: Option<f64>,

    /// One JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags that the node of a bench has in common with `midge run`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchNodeArgs {
    /// Worker processes; 1 serves from one process [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    pub(crate) workers: Option<u32>,

    /// Memory that code of functions may hold while nothing of it runs, as for `run`.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) memory_target: Option<u64>,

    /// Where compiled code is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// What functions may touch.
    #[command(flatten)]
    pub(crate) grants: GrantArgs,

    /// Whether instances are used again: `fresh`, `serial` or `shared`, over the manifest's.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) isolation: Option<IsolationLevel>,

    /// Limits over those of the manifest.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Those flags, read and as they were typed.
#[derive(Debug)]
pub(crate) struct AsTyped {
    /// What they say.
    pub(crate) read: BenchNodeArgs,
    /// The same for another command line, each flag with its value in one word.
    pub(crate) words: Vec<OsString>,
}

impl FromArgMatches for AsTyped {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            words: words(matches),
            read: BenchNodeArgs::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for AsTyped {
    fn augment_args(command: clap::Command) -> clap::Command {
        BenchNodeArgs::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        BenchNodeArgs::augment_args_for_update(command)
    }
}

/// Every flag of the node that was typed. Asking the declaration itself means that none is forgotten
/// when `run` gets another.
fn words(matches: &ArgMatches) -> Vec<OsString> {
    let declared = BenchNodeArgs::augment_args(clap::Command::new("run"));
    let mut words = Vec::new();
    for flag in declared.get_arguments() {
        let Some(long) = flag.get_long() else {
            continue;
        };
        let id = flag.get_id().as_str();
        let is_typed = matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        if !is_typed {
            continue;
        }
        if matches!(flag.get_action(), ArgAction::SetTrue) {
            words.push(format!("--{long}").into());
            continue;
        }
        for values in matches.get_raw_occurrences(id).into_iter().flatten() {
            for value in values {
                let mut word = OsString::from(format!("--{long}="));
                word.push(value);
                words.push(word);
            }
        }
    }
    words
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if !(DURATION_MIN..=DURATION_MAX).contains(&duration) {
        let [min, max] = [DURATION_MIN, DURATION_MAX].map(format_duration);
        return Err(format!("a load takes between `{min}` and `{max}`"));
    }
    Ok(duration)
}

/// A bound as a fraction: `10%` is 0.1.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if (0.0..=FAIL_OVER_MAX_PERCENT).contains(&percent) => Ok(percent / 100.0),
        _ => Err("not a percentage from 0 to 1000, write for example `10%`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use insta::assert_snapshot;

    use super::BenchArgs;
    use crate::cli::{Args, Command};

    fn read(typed: &[&str]) -> Result<BenchArgs, String> {
        let words = ["midge", "bench"].iter().chain(typed);
        match Args::try_parse_from(words) {
            Ok(args) => match args.command {
                Command::Bench(args) => Ok(*args),
                other => panic!("`bench` was typed: {other:?}"),
            },
            Err(error) => Err(error.to_string().lines().next().unwrap_or("").to_owned()),
        }
    }

    #[test]
    fn flags_of_run_are_passed_on_as_they_were_typed() {
        let typed = [
            "a.wasm",
            "--env",
            "A=b c",
            "--rate",
            "5",
            "--env=B=--c",
            "--memory",
            "64MiB",
            "--workers",
            "2",
            "--isolation=serial",
            "--dir",
            "./data:/data:ro",
        ];
        let words = read(&typed).unwrap().node.words;
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        assert_snapshot!(words.join("\n"), @r"
        --workers=2
        --env=A=b c
        --env=B=--c
        --dir=./data:/data:ro
        --isolation=serial
        --memory=64MiB
        ");
    }

    #[test]
    fn values_without_sense_are_refused() {
        let refused = |typed: &[&str]| read(typed).unwrap_err();
        assert_snapshot!(refused(&["--duration", "1ms"]), @"error: invalid value '1ms' for '--duration <DURATION>': a load takes between `100ms` and `1h`");
        assert_snapshot!(refused(&["--duration", "2h"]), @"error: invalid value '2h' for '--duration <DURATION>': a load takes between `100ms` and `1h`");
        assert_snapshot!(refused(&["--connections", "0"]), @"error: invalid value '0' for '--connections <N>': 0 is not in 1..=4096");
        assert_snapshot!(refused(&["--rate", "0"]), @"error: invalid value '0' for '--rate <N>': 0 is not in 1..=1000000");
        assert_snapshot!(refused(&["--baseline", "b", "--fail-over", "ten"]), @"error: invalid value 'ten' for '--fail-over <PERCENT>': not a percentage from 0 to 1000, write for example `10%`");
        assert_snapshot!(refused(&["--baseline", "b", "--fail-over=-1%"]), @"error: invalid value '-1%' for '--fail-over <PERCENT>': not a percentage from 0 to 1000, write for example `10%`");
        assert_snapshot!(refused(&["--fail-over", "10%"]), @"error: the following required arguments were not provided:");
    }
}
