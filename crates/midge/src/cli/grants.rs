//! The words that say what functions may touch.
//!
//! Each grant is parsed by its own type in midge-model. What flags mean together is
//! `config.rs`, where the values of secrets come from is `secrets.rs`.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use midge_model::{
    BucketName, DirGrant, EnvVar, Grants, HttpGrant, NameGrant, NetGrant, PrivateGrant,
    SecretExposure, SecretGrant, SecretGrantError,
};

/// What functions may touch, besides what their manifest grants.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What each function may touch")]
pub(crate) struct GrantArgs {
    /// Environment variable for every function; can be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<EnvVar>,

    /// Argument of every function that is a command; can be repeated.
    #[arg(long = "arg", value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,

    /// Folder that every function may use, `ro` (default) or `rw`; can be repeated.
    #[arg(long = "dir", value_name = "HOST:GUEST[:ro|rw]")]
    pub(crate) dirs: Vec<DirGrant>,

    /// A private folder at `/tmp` for each request, of this size.
    #[arg(long, value_name = "SIZE", value_parser = Grants::parse_tmp)]
    pub(crate) tmp: Option<u64>,

    /// Requests it may send, such as `https://api.example.com` or `GET https://*.example.com/v1/*`;
    /// can be repeated.
    #[arg(long, value_name = "[METHOD ]URL")]
    pub(crate) allow_http: Vec<HttpGrant>,

    /// Where it may connect to over TCP, such as `db.internal:5432`; can be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) allow_tcp: Vec<NetGrant>,

    /// Where it may send datagrams over UDP; can be repeated.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) allow_udp: Vec<NetGrant>,

    /// Names it may look up, besides those in the three above; can be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_dns: Vec<NameGrant>,

    /// Bucket that it may keep values in, such as `default`; can be repeated.
    #[arg(long, value_name = "BUCKET")]
    pub(crate) allow_kv: Vec<BucketName>,

    /// A private address, block or name that grants may lead to; can be repeated.
    #[arg(long, value_name = "ADDRESS|BLOCK|NAME")]
    pub(crate) allow_private: Vec<PrivateGrant>,

    /// Value of a secret: from our own environment variable of that name, or from a file; can be
    /// repeated.
    #[arg(long = "secret", value_name = "NAME[=@FILE]", value_parser = ReadSecretSource)]
    pub(crate) secrets: Vec<SecretSource>,

    /// Values of secrets, one `NAME=VALUE` a line.
    #[arg(long = "secrets", value_name = "FILE")]
    pub(crate) secrets_file: Option<PathBuf>,

    /// The most that functions may ask for.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Server to ask for the addresses of names, in place of the system's; can be repeated.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = name_server)]
    pub(crate) dns: Vec<SocketAddr>,

    /// Certificates (PEM) that functions' own requests trust, in place of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) outbound_ca: Option<PathBuf>,

    /// Let functions do all that the policy allows, and print (or write) what they used as grants.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) learn: Option<Option<PathBuf>>,
}

/// A secret, and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretSource {
    /// What functions call it.
    pub(crate) name: String,
    /// The file with its value; without one, the environment has it.
    pub(crate) file: Option<PathBuf>,
}

/// Why a text is no secret and its place. Shows nothing behind the `=`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretSourceError {
    /// Others could read it in the list of processes.
    #[error(
        "the value of secret `{name}` stands on the command line, where every user of this machine \
         can read it, write `{name}=@FILE` or put it into the environment"
    )]
    Value { name: String },
    /// Not a name.
    #[error(transparent)]
    Name(#[from] SecretGrantError),
}

impl FromStr for SecretSource {
    type Err = SecretSourceError;

    fn from_str(text: &str) -> Result<Self, SecretSourceError> {
        let (name, file) = match text.split_once('=') {
            Some((name, value)) => match value.strip_prefix('@') {
                Some(file) if !file.is_empty() => (name, Some(PathBuf::from(file))),
                _ => {
                    let name = name.to_owned();
                    return Err(SecretSourceError::Value { name });
                }
            },
            None => (text, None),
        };
        let SecretGrant { name, .. } = SecretGrant::new(name, SecretExposure::Env)?;
        Ok(Self { name, file })
    }
}

/// An address and no name: who would be asked for that one?
pub(super) fn name_server(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "not an address and a port, write for example `127.0.0.1:53` or `[::1]:53`")
}

/// Reads a secret's place. Clap would repeat in its error what was typed, value and all.
#[derive(Debug, Clone)]
struct ReadSecretSource;

impl TypedValueParser for ReadSecretSource {
    type Value = SecretSource;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _flag: Option<&clap::Arg>,
        typed: &OsStr,
    ) -> Result<SecretSource, clap::Error> {
        typed.to_string_lossy().parse().map_err(|error| {
            let error: SecretSourceError = error;
            clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n")).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<SecretSource>() {
            Ok(SecretSource { name, file: None }) => format!("{name} from the environment"),
            Ok(SecretSource {
                name,
                file: Some(file),
            }) => format!("{name} from {}", file.display()),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_value_on_the_command_line_is_refused_and_not_repeated() {
        assert_eq!(check("KEY"), "KEY from the environment");
        assert_eq!(check("KEY=@a=b"), "KEY from a=b");
        for value in ["hunter2", "", "@"] {
            let error = check(&format!("KEY={value}"));
            assert!(
                error.starts_with("error: the value of secret `KEY`"),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(check("no-name").starts_with("error: secret name"));
    }
}
