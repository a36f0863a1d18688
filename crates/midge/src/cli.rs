//! The words of the command line, as typed.
//!
//! Single values are parsed here, so that clap refuses them with exit code 2
//! and names the flag; what they mean together is `config.rs`.
//!
//! **Invariant:** nothing is read from disk or bound while parsing.

mod administration;
mod bench;
mod functions;
mod grants;
mod kv;
mod node;
mod project;
mod secret;
mod serve;
mod share;
mod tips;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use midge_model::quantity::{parse_bytes, parse_duration};
use midge_model::{CONCURRENCY_MAX, IsolationLevel, Limits};

pub(crate) use self::administration::*;
pub(crate) use self::bench::*;
pub(crate) use self::functions::*;
pub(crate) use self::grants::{GrantArgs, SecretSource};
pub(crate) use self::kv::*;
pub(crate) use self::node::{FormArgs, NodeArgs, ScopeArgs};
pub(crate) use self::project::*;
pub(crate) use self::secret::*;
pub(crate) use self::serve::ServeArgs;
pub(crate) use self::share::*;

/// More worker processes than this help nobody; the number is there to stop a typing error.
const WORKERS_MAX: i64 = 1024;

/// More cycles than this show nothing new; the number is there to stop a typing error.
const CYCLES_MAX: i64 = 10_000_000;

/// Quiet help: bold headings, no rainbow.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const RUN_EXAMPLES: &str = "\
Examples:
  midge run hello.wasm
      Serve one file at http://127.0.0.1:8080/, whatever the path.
  midge run shop/ --listen 127.0.0.1:0
      Serve every function in shop/midge.toml on a free port.
  midge run report.wasm --env LOG=debug --dir ./data:/data:ro --time 2s
      Give it a variable, a folder to read and two seconds.
  midge run shop.wasm --allow-http https://api.example.com --secret API_KEY
      Let it send requests to one host, and hand it a secret.
  midge run shop.wasm --learn
      Let it do everything, and print the grants that it turned out to need.

Signals:
  SIGTERM or Ctrl-C stops once the requests in flight are done; a second one stops at once.
  SIGHUP reads the TLS certificate again.";

/// Runs WebAssembly functions: one binary, each request in a sandbox of its own.
#[derive(Debug, Parser)]
#[command(name = "midge", version, styles = STYLES, max_term_width = 100)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per file in `cmd/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a function from a template.
    New(NewArgs),
    /// Build components from sources, in any language.
    Build(BuildArgs),
    /// Test functions against cases in tests/*.toml.
    Test(Box<TestArgs>),
    /// Serve functions while they are being written: build and reload at each change.
    Dev(Box<DevArgs>),
    /// Serve functions over HTTP.
    Run(Box<RunArgs>),
    /// Serve what people deploy.
    Serve(Box<ServeArgs>),
    /// Deploy functions to a node.
    Deploy(Box<DeployArgs>),
    /// List the functions of a namespace.
    List(ListArgs),
    /// List the revisions of a function.
    Revisions(RevisionsArgs),
    /// Show everything about a function or a revision.
    Show(ShowArgs),
    /// Remove a function with all its revisions.
    Remove(RemoveArgs),
    /// Give all traffic back to an earlier revision.
    Rollback(RollbackArgs),
    /// Show or split the traffic of a function.
    Traffic(TrafficArgs),
    /// Print what a function wrote.
    Logs(LogsArgs),
    /// Send one request to a function.
    Invoke(Box<InvokeArgs>),
    /// Look at values that functions keep, and change them.
    Kv(KvArgs),
    /// Give, list and remove secrets.
    Secret(SecretArgs),
    /// Make, list and revoke tokens.
    Token(TokenArgs),
    /// Make, list and remove namespaces.
    Namespace(NamespaceArgs),
    /// Show and change how much a namespace may hold.
    Quota(QuotaArgs),
    /// Print who changed what.
    Audit(AuditArgs),
    /// Remember a node and the token for it.
    Login(LoginArgs),
    /// Choose among the nodes that you logged in to.
    Context(ContextArgs),
    /// Verify, back up and restore a store on this machine.
    Store(StoreArgs),
    /// Say what a WebAssembly file is, what it needs and what it offers.
    Inspect(InspectArgs),
    /// Write components into a folder, as OCI artifacts.
    Bundle(BundleArgs),
    /// Push a component to a registry.
    Push(PushArgs),
    /// Pull a component from a registry or a web server.
    Pull(PullArgs),
    /// Compile into the cache, so that the first start compiles nothing.
    Compile(CompileArgs),
    /// Say what a policy makes of a manifest.
    Policy(PolicyArgs),
    /// Measure a function: latency, cold starts, CPU and memory.
    Bench(Box<BenchArgs>),
    /// Show that this machine runs functions as promised.
    Doctor(DoctorArgs),
    /// Write a `midge.toml` from the manifest of another platform.
    Import(ImportArgs),
    /// Print the JSON Schema of `midge.toml`, for editors.
    Schema,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Takes traffic; started by `run` and `serve`, and spoken to over stdin and stdout.
    #[command(hide = true)]
    Worker,
    /// Compiles one component from stdin; started by `run`, `serve` and `compile`.
    #[command(hide = true)]
    Compiler(CompilerArgs),
}

/// `midge run`.
#[derive(Debug, clap::Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// A `.wasm` or `.wat` file (served at `/`), a `midge.toml`, a folder with one, or a component
    /// under its digest (`oci://…@sha256:…`).
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Address to listen on; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Worker processes; 1 serves from this process, for debuggers [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    pub(crate) workers: Option<u32>,

    /// Memory that code of functions may hold over all workers while nothing of it runs; what was
    /// used longest ago goes first [default: a quarter of what the machine or its control group has].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) memory_target: Option<u64>,

    /// Where compiled code is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Folder in which functions keep values by key [default: in memory, until the end].
    #[arg(long, value_name = "DIR")]
    pub(crate) kv_dir: Option<PathBuf>,

    /// Certificate chain (PEM): serve HTTPS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Tell the caller what each answer cost, in a `Server-Timing` header.
    #[arg(long)]
    pub(crate) receipt: bool,

    /// How long requests in flight may go on once asked to stop.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) grace: Duration,

    /// End when the process that started this one ends, however that ends.
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,

    /// What functions may touch.
    #[command(flatten)]
    pub(crate) grants: GrantArgs,

    /// Whether instances are used again: `fresh`, `serial` or `shared`, over the manifest's.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) isolation: Option<IsolationLevel>,

    /// Limits over those of the manifest.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// What is logged, and how.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Limits as flags; each goes over the manifest's.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of each function")]
pub(crate) struct LimitArgs {
    /// Memory of one instance.
    #[arg(long, value_name = "SIZE", value_parser = Limits::parse_memory)]
    pub(crate) memory: Option<u64>,

    /// Time for one request.
    #[arg(long, value_name = "DURATION", value_parser = Limits::parse_time)]
    pub(crate) time: Option<Duration>,

    /// Time on a core for one request.
    #[arg(long, value_name = "DURATION", value_parser = Limits::parse_cpu)]
    pub(crate) cpu: Option<Duration>,

    /// Requests at the same time; more wait their turn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=CONCURRENCY_MAX.into()))]
    pub(crate) concurrency: Option<u32>,
}

/// Where native code is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheArgs {
    /// Folder for compiled code and fetched components [default: `midge` in the user's cache folder].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogArgs {
    /// Only warnings and errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// One JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `midge inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A `.wasm` or `.wat` file, or a component with its digest, as a manifest names it.
    pub(crate) file: PathBuf,

    /// Where fetched components are kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// One JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `midge compile`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompileArgs {
    /// A `.wasm` or `.wat` file, a `midge.toml`, a folder with one, or `oci://…@sha256:…`.
    pub(crate) path: PathBuf,

    /// Where compiled code is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// `midge policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What can be done with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// List every grant and limit that functions ask for, and the rule that allows or refuses it.
    Check(PolicyCheckArgs),
}

/// `midge policy check`.
#[derive(Debug, clap::Args)]
pub(crate) struct PolicyCheckArgs {
    /// A `.wasm` or `.wat` file, a `midge.toml`, a folder with one, or `oci://…@sha256:…`.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// The most that functions may ask for [default: `policy.toml` beside the manifest, else what
    /// `midge run` allows who types].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// One JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `midge doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Run thousands of instances that look for what others left behind.
    #[arg(long, required = true)]
    pub(crate) isolation: bool,

    /// How many.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=CYCLES_MAX))]
    pub(crate) cycles: u32,

    /// Where compiled code is kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// `midge completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that will read the script.
    pub(crate) shell: Shell,
}

/// `midge compiler`, typed by the supervisor only.
#[derive(Debug, clap::Args)]
pub(crate) struct CompilerArgs {
    /// Where the result goes.
    #[arg(long)]
    pub(crate) cache_dir: PathBuf,

    /// Memory the compiler may use.
    #[arg(long)]
    pub(crate) memory_bytes: u64,

    /// Which memory layout the code is for.
    #[arg(long)]
    pub(crate) allocation: AllocationArg,

    /// Processor time the compiler may use.
    #[arg(long)]
    pub(crate) cpu_seconds: u64,
}

/// How the workers that will load the code get memory for instances.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum AllocationArg {
    /// From a pool.
    Pooling,
    /// Each on its own.
    OnDemand,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        Args::command().debug_assert();
    }
}
