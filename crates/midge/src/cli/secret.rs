//! The words of `midge secret`.
//!
//! **Invariant:** no value of a secret can be typed on the command line, where every user of the
//! machine could read it, and what was typed in its place is not repeated.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::Subcommand;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use midge_model::{SecretExposure, SecretGrant};

use super::node::{FormArgs, NodeArgs, ScopeArgs};

/// `midge secret`.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
}

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Give a secret a value.
    Set(SecretSetArgs),
    /// List the names of secrets and who uses them.
    List(SecretListArgs),
    /// Forget a secret.
    Remove(SecretRemoveArgs),
    /// Seal all secrets with a new key.
    RotateKey(RotateKeyArgs),
}

/// `midge secret set`.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretSetArgs {
    /// What functions call it.
    #[arg(value_parser = SecretName)]
    pub(crate) name: String,

    /// The file that its value is in, as `@FILE` [default: asked for at a terminal, else stdin].
    #[arg(value_name = "@FILE", value_parser = ValuePlace)]
    pub(crate) from: Option<PathBuf>,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge secret list`.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretListArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge secret remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretRemoveArgs {
    /// Which.
    #[arg(value_parser = SecretName)]
    pub(crate) name: String,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge secret rotate-key`.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateKeyArgs {
    /// Where.
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// The name of a secret. Clap would repeat in its error what was typed, and with
/// `midge secret set KEY=VALUE` that has the value in it.
#[derive(Debug, Clone)]
struct SecretName;

impl TypedValueParser for SecretName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _arg: Option<&clap::Arg>,
        typed: &OsStr,
    ) -> Result<String, clap::Error> {
        let text = typed.to_string_lossy();
        if let Some((name, _)) = text.split_once('=') {
            return Err(refused(command, &value_typed(name)));
        }
        match SecretGrant::new(&text, SecretExposure::Env) {
            Ok(grant) => Ok(grant.name),
            Err(error) => Err(refused(command, &error.to_string())),
        }
    }
}

/// Where the value of a secret is: `@FILE`. What else was typed is not repeated, it may be the value.
#[derive(Debug, Clone)]
struct ValuePlace;

impl TypedValueParser for ValuePlace {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _arg: Option<&clap::Arg>,
        typed: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        match typed.to_str().map(|text| text.strip_prefix('@')) {
            Some(Some(file)) if !file.is_empty() => Ok(PathBuf::from(file)),
            _ => Err(refused(command, &value_typed("NAME"))),
        }
    }
}

/// What is said to somebody who typed a value.
fn value_typed(name: &str) -> String {
    format!(
        "the value of a secret is not typed on the command line, where every user of this machine \
         can read it\n\n  tip: `midge secret set {name}` asks for it, `midge secret set {name} \
         @FILE` reads a file, and without a terminal it is read from stdin"
    )
}

fn refused(command: &clap::Command, reason: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{reason}\n")).with_cmd(command)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use insta::assert_snapshot;

    use crate::cli::Args;

    fn check(typed: &[&str]) -> String {
        match Args::try_parse_from(["midge"].iter().chain(typed)) {
            Ok(args) => format!("{:?}", args.command),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_value_of_a_secret_cannot_be_typed() {
        for typed in [
            &["secret", "set", "KEY=hunter2"][..],
            &["secret", "set", "KEY", "hunter2"],
            &["secret", "set", "KEY", "@"],
        ] {
            let text = check(typed);
            assert!(text.contains("is not typed on the command line"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert_snapshot!(check(&["secret", "set", "KEY=hunter2"]), @r"
        error: the value of a secret is not typed on the command line, where every user of this machine can read it

          tip: `midge secret set KEY` asks for it, `midge secret set KEY @FILE` reads a file, and without a terminal it is read from stdin
        ");
    }

    #[test]
    fn a_file_with_a_value_has_an_at_sign() {
        let text = check(&["secret", "set", "KEY", "@key.txt"]);
        assert!(text.contains(r#"from: Some("key.txt")"#), "{text}");
    }
}
