//! The words of the commands for people who write functions: `new`, `build` and `test`.
//!
//! **Invariant:** nothing is read from disk while parsing.

use std::path::PathBuf;

use midge_model::rehearsal::{Fail, Now, Slow};
use midge_model::{FunctionName, HostName};
use midge_sandbox::Rehearsal;

use super::{CacheArgs, RunArgs};

const NEW_EXAMPLES: &str = "\
Examples:
  midge new rust shop
      Write a function in Rust into the folder shop.
  midge new --list
      Show the templates.
  midge new --from ~/templates ours shop
      Write a template of your own: a folder with a midge.toml, or a folder of such.";

const BUILD_EXAMPLES: &str = "\
Examples:
  midge build
      Build what midge.toml in this folder names.
  midge build shop/ --function cart --optimize
      Build one function, and let wasm-opt make it smaller and faster.

Without `build` in midge.toml the project says how: Cargo.toml, go.mod, package.json,
pyproject.toml or app.py, *.zig, *.cpp, *.c.";

/// `midge new`.
#[derive(Debug, clap::Args)]
#[command(after_help = NEW_EXAMPLES, override_usage = "midge new [OPTIONS] [TEMPLATE] [NAME]")]
pub(crate) struct NewArgs {
    /// The template and the new function's name, which is its folder's, too.
    #[arg(value_names = ["TEMPLATE", "NAME"], num_args = 0..=2)]
    pub(crate) words: Vec<String>,

    /// Folder with templates of your own.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: Option<PathBuf>,

    /// Folder to write into [default: the function's name].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,

    /// Show the templates and write nothing.
    #[arg(long, conflicts_with_all = ["words", "out"])]
    pub(crate) list: bool,
}

/// `midge build`.
#[derive(Debug, clap::Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub(crate) struct BuildArgs {
    /// A `midge.toml`, or a folder with one or with a project.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Only these functions.
    #[arg(long = "function", value_name = "NAME")]
    pub(crate) functions: Vec<FunctionName>,

    /// Let `wasm-opt` (binaryen) work on it, where it still is a core module.
    #[arg(long)]
    pub(crate) optimize: bool,

    /// Say what would be run, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const TEST_EXAMPLES: &str = "\
Examples:
  midge test
      Run every case in tests/*.toml beside midge.toml.
  midge test greets
      Run those with `greets` in their name.
  midge test shop/ --build --junit report.xml
      Build first, and write a report for the program that runs the tests.
  midge test --update
      Write what came over what was expected, and what was touched.

A case:
  [[case]]
  name = \"greets by name\"
  request = \"GET /hello/Ada\"
  [case.expect]
  status = 200
  body = \"Hello, Ada!\\n\"";

/// `midge test`.
#[derive(Debug, clap::Args)]
#[command(after_help = TEST_EXAMPLES)]
pub(crate) struct TestArgs {
    /// A `midge.toml`, a folder with one, a component, or a file of cases.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Only cases with this in their name, or in that of their file.
    pub(crate) filter: Option<String>,

    /// Only the cases in this file, wherever it lies.
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: Vec<PathBuf>,

    /// Build first, as `midge build` does.
    #[arg(long)]
    pub(crate) build: bool,

    /// Write what came over what was expected, and what was touched into tests/touched.toml.
    #[arg(long)]
    pub(crate) update: bool,

    /// One JSON object a case instead of text.
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write a report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

const DEV_EXAMPLES: &str = "\
Examples:
  midge dev
      Build and serve what is in this folder, again at each change.
  midge dev --slow http:200ms --fail kv:5% --seed 7
      See what a slow server and a failing store make of it, the same each time.
  midge dev --clock +3d --deny api.example.com
      Try the day after tomorrow, without that server.";

/// `midge dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = DEV_EXAMPLES)]
pub(crate) struct DevArgs {
    /// All that `midge run` takes.
    #[command(flatten)]
    pub(crate) run: RunArgs,

    /// What goes wrong.
    #[command(flatten)]
    pub(crate) dials: DialArgs,
}

/// How the world is bent for functions that are tried out.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What goes wrong")]
pub(crate) struct DialArgs {
    /// Hold up calls of a kind, as in `http:200ms` or `kv:20ms`.
    #[arg(long, value_name = "KIND:DURATION")]
    slow: Vec<Slow>,

    /// Let a part of calls fail, as in `http:1%` or `kv:5%`.
    #[arg(long, value_name = "KIND:PART")]
    fail: Vec<Fail>,

    /// Let no request get to a host, whatever the grants say.
    #[arg(long, value_name = "HOST")]
    deny: Vec<HostName>,

    /// Another time: a moment, or `+3d` or `-1h` from now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    clock: Option<Now>,

    /// What random numbers come from, and which calls fail.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl DialArgs {
    /// The same for the sandbox.
    pub(crate) fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            now: self.clock,
            seed: self.seed,
            slow: self.slow.clone(),
            fail: self.fail.clone(),
            deny: self.deny.clone(),
            ..Rehearsal::default()
        }
    }
}

/// `midge import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// A `spin.toml`.
    pub(crate) path: PathBuf,

    /// The file to write; `-` for stdout [default: `midge.toml` beside it].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
