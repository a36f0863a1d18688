//! The words of `midge serve`.
//!
//! What they mean together is `config/serve.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use midge_model::PrivateGrant;
use midge_model::quantity::{parse_bytes, parse_duration};

use super::grants::name_server;
use super::{LogArgs, WORKERS_MAX};

const SERVE_EXAMPLES: &str = "\
Examples:
  midge serve
      Serve what is deployed to this node, and keep it in ./.midge.
  midge serve --store /var/lib/midge --policy /etc/midge/policy.toml --listen 0.0.0.0:80
      Take requests from everywhere, grant functions no more than the policy says.
  midge serve --with shop/midge.toml
      Deploy these functions at start, and go on as any other node.
  midge serve --check --policy policy.toml
      Say what would be served how, and start nothing.

Environment:
  MIDGE_SECRET_KEY  Key that secrets are kept under, in place of the store's own: 64 hexadecimal
                    digits; several with commas between them, newest first.

Signals:
  SIGTERM or Ctrl-C stops once deploys and requests under way are done; a second one stops at once.
  SIGHUP reads the TLS certificate again.";

/// `midge serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Address that functions answer at; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Address of the control door, where people deploy; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    pub(crate) control: String,

    /// Where everything is kept: a folder.
    #[arg(long, value_name = "[file:]FOLDER", default_value = "./.midge")]
    pub(crate) store: String,

    /// Worker processes; 1 serves from this process, for debuggers [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    pub(crate) workers: Option<u32>,

    /// Memory that code of functions may hold over all workers while nothing of it runs; what was
    /// used longest ago goes first [default: a quarter of what the machine or its control group has].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) memory_target: Option<u64>,

    /// Domain below which every function answers: FUNCTION.NAMESPACE.DOMAIN.
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) domain: String,

    /// Deploy this manifest or component at start; can be repeated.
    #[arg(long = "with", value_name = "PATH")]
    pub(crate) with: Vec<PathBuf>,

    /// Print what would be served how, and exit.
    #[arg(long)]
    pub(crate) check: bool,

    /// Certificate chain (PEM): serve HTTPS at both doors.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Tell the caller what each answer cost, in a `Server-Timing` header.
    #[arg(long)]
    pub(crate) receipt: bool,

    /// How long what is under way may go on once asked to stop.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) grace: Duration,

    /// The largest component that can be deployed.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_bytes)]
    pub(crate) component_max: u64,

    /// Let everybody who reaches the control door do everything; on a loopback address only.
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,

    /// Open the control door on an address that is not loopback without TLS.
    #[arg(long)]
    pub(crate) insecure_plain_control: bool,

    /// What functions may touch.
    #[command(flatten)]
    pub(crate) lend: LendArgs,

    /// What is logged, and how.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What a node lends to functions that are deployed to it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What functions may touch")]
pub(crate) struct LendArgs {
    /// The most that functions may be granted [default: everything but host folders, listening and
    /// private addresses].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Folder with one folder for each namespace, which functions may be granted folders of
    /// [default: `data` in the store].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_root: Option<PathBuf>,

    /// A private address, block or name that grants may lead to; can be repeated.
    #[arg(long, value_name = "ADDRESS|BLOCK|NAME")]
    pub(crate) allow_private: Vec<PrivateGrant>,

    /// Server to ask for the addresses of names, in place of the system's; can be repeated.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = name_server)]
    pub(crate) dns: Vec<SocketAddr>,

    /// Certificates (PEM) that functions' own requests trust, in place of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) outbound_ca: Option<PathBuf>,
}
