//! The words of the commands about the node itself: tokens, namespaces, quotas, the audit log,
//! contexts and the store.
//!
//! **Invariant:** no token can be typed on the command line, where every user of the machine could
//! read it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use midge_api::TOKEN_NAME_BYTES_MAX;
use midge_model::quantity::parse_duration;
use midge_model::{NamespaceName, QuotaPatch};

use super::node::{FormArgs, NodeArgs, ScopeArgs};
use crate::control_url::ControlUrl;

/// The most entries of the audit log that are printed at once.
const ENTRIES_MAX: i64 = 100_000;

/// The least that a token is good for; its end is told in seconds.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// `midge token`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, this once.
    Create(TokenCreateArgs),
    /// List the tokens that you may see, without what they consist of.
    List(TokenListArgs),
    /// Make a token useless.
    Revoke(TokenRevokeArgs),
}

/// `midge token create`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenCreateArgs {
    /// What it is for, as it stands in lists and in the audit log.
    #[arg(value_parser = name)]
    pub(crate) name: String,

    /// What its bearer may do: `admin`, `deployer`, `viewer` or `invoker`.
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: midge_api::Role,

    /// Where; without one, on the whole node.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,

    /// How long it is good for [default: until it is revoked].
    #[arg(long, value_name = "DURATION", value_parser = life)]
    pub(crate) expires_in: Option<Duration>,

    /// The most that functions may be granted that its bearer deploys.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge token list`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenListArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge token revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenRevokeArgs {
    /// Which, as `midge token list` shows it: its id, or its name if no other has it.
    #[arg(value_parser = name)]
    pub(crate) token: String,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge namespace`.
#[derive(Debug, clap::Args)]
pub(crate) struct NamespaceArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: NamespaceCommand,
}

/// What can be done with namespaces.
#[derive(Debug, Subcommand)]
pub(crate) enum NamespaceCommand {
    /// Make one.
    Create(NamespaceCreateArgs),
    /// List those that you may see.
    List(NamespaceListArgs),
    /// Remove one that has no functions.
    Remove(NamespaceRemoveArgs),
}

/// `midge namespace create`.
#[derive(Debug, clap::Args)]
pub(crate) struct NamespaceCreateArgs {
    /// What it is called.
    pub(crate) name: NamespaceName,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge namespace list`.
#[derive(Debug, clap::Args)]
pub(crate) struct NamespaceListArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge namespace remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct NamespaceRemoveArgs {
    /// Which.
    pub(crate) name: NamespaceName,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge quota`.
#[derive(Debug, clap::Args)]
pub(crate) struct QuotaArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: QuotaCommand,
}

/// What can be done with a namespace's quota.
#[derive(Debug, Subcommand)]
pub(crate) enum QuotaCommand {
    /// Show the most that a namespace may hold.
    Show(QuotaShowArgs),
    /// Change it.
    Set(QuotaSetArgs),
}

/// `midge quota show`.
#[derive(Debug, clap::Args)]
pub(crate) struct QuotaShowArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge quota set`.
#[derive(Debug, clap::Args)]
pub(crate) struct QuotaSetArgs {
    /// What is to be different, such as `functions=100` or `component-bytes=10GiB`.
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub(crate) wishes: Vec<QuotaPatch>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// How many of the newest entries.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=ENTRIES_MAX))]
    pub(crate) last: u32,

    /// Only what concerns this namespace [default: all that you may see].
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `midge login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token is asked for at a terminal, and read from MIDGE_TOKEN or from stdin elsewhere:
  midge login https://midge.example.net < token.txt")]
pub(crate) struct LoginArgs {
    /// Control door of the node.
    pub(crate) url: ControlUrl,

    /// Certificates (PEM) to trust besides this machine's, for a node that signed its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// What to call it [default: host and port].
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: Option<String>,

    /// The namespace that commands mean where none is typed.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,
}

/// `midge context`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ContextCommand,
}

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the nodes that you logged in to.
    List(ContextListArgs),
    /// Let commands talk to one of them.
    Use(ContextUseArgs),
    /// Forget one, with its token. The token stays good: see `midge token revoke`.
    Remove(ContextRemoveArgs),
    /// Show the node that commands talk to now.
    Show(ContextShowArgs),
}

/// `midge context list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextListArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `midge context use`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextUseArgs {
    /// Which.
    pub(crate) name: String,

    /// The namespace that commands mean from now on where none is typed.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<NamespaceName>,
}

/// `midge context remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextRemoveArgs {
    /// Which.
    pub(crate) name: String,
}

/// `midge context show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextShowArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge store`.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What can be done with a store, on its own machine.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Verify every digest and every reference; a node may be running.
    Check(StoreCheckArgs),
    /// Write everything into one file; a node may be running.
    Backup(StoreBackupArgs),
    /// Make a store of a backup.
    Restore(StoreRestoreArgs),
}

/// Which store.
#[derive(Debug, clap::Args)]
pub(crate) struct StorePathArgs {
    /// Folder of the store, as given to `midge serve`.
    #[arg(long = "store", value_name = "FOLDER", default_value = ".midge", value_parser = store_folder)]
    pub(crate) folder: PathBuf,
}

/// `midge store check`.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreCheckArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Which store.
    #[command(flatten)]
    pub(crate) store: StorePathArgs,
}

/// `midge store backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreBackupArgs {
    /// The file to make; it must not be there yet.
    pub(crate) file: PathBuf,

    /// Which store.
    #[command(flatten)]
    pub(crate) store: StorePathArgs,
}

/// `midge store restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreRestoreArgs {
    /// The backup.
    pub(crate) file: PathBuf,

    /// Which store to make; its folder must be empty or missing.
    #[command(flatten)]
    pub(crate) store: StorePathArgs,
}

/// A store is named as `serve` names it, with or without the kind in front.
fn store_folder(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.is_empty() {
        return Err("no folder, write for example `.midge`".to_owned());
    }
    PathBuf::from_str(path).map_err(|error| error.to_string())
}

/// How long a token is good for. One that ends before it can be used would only look like one.
fn life(text: &str) -> Result<Duration, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        life if life < LIFE_MIN => Err("a token is good for `1s` at least".to_owned()),
        life => Ok(life),
    }
}

/// A name for people: one line, and not without end.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TOKEN_NAME_BYTES_MAX {
        return Err(format!("a name has 1 to {TOKEN_NAME_BYTES_MAX} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_a_second_at_least() {
        assert_eq!(life("1s"), Ok(LIFE_MIN));
        for none in ["0s", "999ms"] {
            assert_eq!(
                life(none),
                Err("a token is good for `1s` at least".to_owned())
            );
        }
        assert!(life("soon").is_err());
    }
}
