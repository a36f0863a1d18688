//! The words of `midge kv`.

use std::ffi::OsString;

use clap::Subcommand;
use midge_model::BucketName;

use super::node::{FormArgs, ScopeArgs};

/// `midge kv`.
#[derive(Debug, clap::Args)]
pub(crate) struct KvArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KvCommand,
}

/// What can be done with values.
#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print the value of a key, as it is.
    Get(KvGetArgs),
    /// Give a key a value.
    Set(KvSetArgs),
    /// List the keys of a bucket, or the buckets.
    List(KvListArgs),
    /// Forget a key, or everything in a bucket.
    Delete(KvDeleteArgs),
}

/// `midge kv get`.
#[derive(Debug, clap::Args)]
pub(crate) struct KvGetArgs {
    /// In which bucket.
    pub(crate) bucket: BucketName,

    /// Which key.
    #[arg(value_parser = key)]
    pub(crate) key: String,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge kv set`.
#[derive(Debug, clap::Args)]
pub(crate) struct KvSetArgs {
    /// In which bucket.
    pub(crate) bucket: BucketName,

    /// Which key.
    #[arg(value_parser = key)]
    pub(crate) key: String,

    /// The value; `@FILE` for what is in a file, `-` for stdin.
    #[arg(value_name = "VALUE|@FILE|-")]
    pub(crate) value: OsString,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge kv list`.
#[derive(Debug, clap::Args)]
pub(crate) struct KvListArgs {
    /// Of which bucket [default: the buckets themselves].
    pub(crate) bucket: Option<BucketName>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge kv delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct KvDeleteArgs {
    /// In which bucket.
    pub(crate) bucket: BucketName,

    /// Which key; everything in the bucket without one.
    #[arg(value_parser = key)]
    pub(crate) key: Option<String>,

    /// Forget everything in a bucket without asking.
    #[arg(long)]
    pub(crate) yes: bool,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// An empty key would leave a path of the control API that means something else.
fn key(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a key is not empty".to_owned()),
        key => Ok(key.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Args;

    #[test]
    fn an_empty_key_is_bad_usage() {
        for rest in [
            &["get", "b", ""][..],
            &["set", "b", "", "v"],
            &["delete", "b", ""],
        ] {
            let error = Args::try_parse_from(["midge", "kv"].iter().chain(rest)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("a key is not empty"), "{error}");
        }
    }
}
