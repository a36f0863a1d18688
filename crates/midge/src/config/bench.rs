//! What `midge bench` is to do.
//!
//! Checks what its flags mean together. Files are read by the command, the flags of the node are
//! passed on to `midge run` as they were typed.
//!
//! **Invariant:** every round of a load is long enough to be cut off cleanly.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};
use midge_model::FunctionName;
use midge_model::quantity::format_duration;

use crate::cli::{BenchArgs, BenchLoadArgs};
use crate::cmd::fault::Hint;

/// The shortest round: a scheduler's tick is a tenth of it.
const ROUND_MIN: Duration = Duration::from_millis(40);

/// What `midge bench` is to do.
#[derive(Debug)]
pub(crate) struct BenchConfig {
    /// What is measured.
    pub(crate) target: BenchTarget,
    /// What is sent, as typed.
    pub(crate) request: BenchRequest,
    /// How hard.
    pub(crate) load: BenchLoad,
    /// How many cold starts.
    pub(crate) cold: u32,
    /// Where the figures are kept.
    pub(crate) save: Option<PathBuf>,
    /// Figures to compare with.
    pub(crate) baseline: Option<PathBuf>,
    /// How much worse they may be, as a fraction.
    pub(crate) fail_over: Option<f64>,
    /// Whether they are printed as JSON.
    pub(crate) json: bool,
}

/// What is measured.
#[derive(Debug)]
pub(crate) enum BenchTarget {
    /// Functions to start.
    Functions(BenchFunctions),
    /// Something that runs.
    Running {
        /// Host and port.
        authority: String,
        /// Path and query.
        path: String,
    },
}

/// Functions to start.
#[derive(Debug)]
pub(crate) struct BenchFunctions {
    /// The file or folder with them.
    pub(crate) path: PathBuf,
    /// Which one of them.
    pub(crate) function: Option<FunctionName>,
    /// The flags of `midge run`, as typed.
    pub(crate) words: Vec<OsString>,
    /// The names of the secrets among those.
    pub(crate) secrets: Vec<String>,
}

/// What is sent, as typed.
#[derive(Debug)]
pub(crate) struct BenchRequest {
    /// Path and query.
    pub(crate) path: Option<String>,
    /// The method.
    pub(crate) method: Option<Method>,
    /// Fields of the head.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The text, or `@` and a file.
    pub(crate) body: Option<String>,
}

/// How hard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BenchLoad {
    /// Connections, each with one request at a time.
    pub(crate) connections: u32,
    /// Requests a second, if they are due by the clock.
    pub(crate) rate: Option<u32>,
    /// How many rounds.
    pub(crate) rounds: u32,
    /// How long each is.
    pub(crate) round: Duration,
}

/// Why the flags of a bench do not make sense together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchConfigError {
    /// Not a URL that we could ask.
    #[error("target `{text}` is not an http URL, write for example `http://127.0.0.1:8080/hello`")]
    Url { text: String },
    /// We speak no TLS here.
    #[error("target `{text}` is https, and the load generator speaks http only")]
    Https { text: String },
    /// Only a node that is started here can be given flags.
    #[error("`{url}` runs already, `{flag}` would change nothing")]
    Running { url: String, flag: String },
    /// Watching functions is not what they are run with.
    #[error("`--learn` allows functions more than they will have, so it measures something else")]
    Learn,
    /// Too many of them.
    #[error(
        "{rounds} rounds in `{}` would be shorter than `{}` each",
        format_duration(*.duration), format_duration(ROUND_MIN)
    )]
    Rounds { rounds: u32, duration: Duration },
}

impl Hint for BenchConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Url { .. } => None,
            Self::Https { .. } => {
                Some("ask it behind its TLS, or start the function here".to_owned())
            }
            Self::Running { flag, .. } => Some(format!("leave `{flag}` out")),
            Self::Learn => Some("midge run --learn".to_owned()),
            Self::Rounds { rounds, .. } => {
                let least = ROUND_MIN.saturating_mul(*rounds);
                Some(format!("--duration {}", format_duration(least)))
            }
        }
    }
}

impl BenchConfig {
    /// The meaning of `midge bench` as typed.
    ///
    /// # Errors
    ///
    /// What does not make sense; nothing was touched yet.
    pub(crate) fn new(args: BenchArgs) -> Result<Self, BenchConfigError> {
        if args.node.read.grants.learn.is_some() {
            return Err(BenchConfigError::Learn);
        }
        let load = load(&args.load)?;
        Ok(Self {
            load,
            cold: args.load.cold,
            request: BenchRequest {
                path: args.request.path,
                method: args.request.method,
                headers: args.request.headers,
                body: args.request.body,
            },
            save: args.figures.save,
            baseline: args.figures.baseline,
            fail_over: args.figures.fail_over,
            json: args.figures.json,
            target: if args.target.contains("://") {
                running(args.target, args.function.as_ref(), &args.node.words)?
            } else {
                let secrets = args.node.read.grants.secrets.into_iter();
                BenchTarget::Functions(BenchFunctions {
                    path: args.target.into(),
                    function: args.function,
                    words: args.node.words,
                    secrets: secrets.map(|secret| secret.name).collect(),
                })
            },
        })
    }
}

fn load(args: &BenchLoadArgs) -> Result<BenchLoad, BenchConfigError> {
    let (rounds, duration) = (args.rounds, args.duration);
    let round = duration / rounds;
    if round < ROUND_MIN {
        return Err(BenchConfigError::Rounds { rounds, duration });
    }
    Ok(BenchLoad {
        connections: args.connections,
        rate: args.rate,
        rounds,
        round,
    })
}

fn running(
    url: String,
    function: Option<&FunctionName>,
    words: &[OsString],
) -> Result<BenchTarget, BenchConfigError> {
    let typed = function.map(|_| "--function".to_owned());
    let typed = typed.or_else(|| {
        let word = words.first()?.to_string_lossy();
        // Not the value: it may be long, and nobody asked to see it.
        Some(word.split('=').next().unwrap_or_default().to_owned())
    });
    if let Some(flag) = typed {
        return Err(BenchConfigError::Running { url, flag });
    }
    let Ok(read) = url.parse::<Uri>() else {
        return Err(BenchConfigError::Url { text: url });
    };
    match (read.scheme_str(), read.authority()) {
        (Some("https"), _) => Err(BenchConfigError::Https { text: url }),
        (Some("http"), Some(authority)) if !authority.as_str().contains('@') => {
            let port = read.port_u16().unwrap_or(80);
            let path = read.path_and_query().map_or("/", |path| path.as_str());
            Ok(BenchTarget::Running {
                authority: format!("{}:{port}", authority.host()),
                path: path.to_owned(),
            })
        }
        _ => Err(BenchConfigError::Url { text: url }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use insta::assert_snapshot;

    use super::*;
    use crate::cli::{Args, Command};

    fn check(typed: &[&str]) -> String {
        let words = ["midge", "bench"].iter().chain(typed);
        let Command::Bench(args) = Args::try_parse_from(words).unwrap().command else {
            panic!("`bench` was typed")
        };
        match BenchConfig::new(*args) {
            Ok(config) => match config.target {
                BenchTarget::Running { authority, path } => format!("{authority} {path}"),
                BenchTarget::Functions(functions) => functions.path.display().to_string(),
            },
            Err(error) => {
                let hint = error.hint().unwrap_or_default();
                format!("{error} ({hint})")
            }
        }
    }

    #[test]
    fn a_target_is_a_path_or_a_url() {
        assert_snapshot!(check(&[]), @".");
        assert_snapshot!(check(&["a.wasm"]), @"a.wasm");
        assert_snapshot!(check(&["http://127.0.0.1:8080/a?b=c"]), @"127.0.0.1:8080 /a?b=c");
        assert_snapshot!(check(&["http://localhost"]), @"localhost:80 /");
        assert_snapshot!(check(&["http://[::1]:81"]), @"[::1]:81 /");
        assert_snapshot!(check(&["https://a.example"]), @"target `https://a.example` is https, and the load generator speaks http only (ask it behind its TLS, or start the function here)");
        assert_snapshot!(check(&["ftp://a.example"]), @"target `ftp://a.example` is not an http URL, write for example `http://127.0.0.1:8080/hello` ()");
        assert_snapshot!(check(&["http://a:b@c/"]), @"target `http://a:b@c/` is not an http URL, write for example `http://127.0.0.1:8080/hello` ()");
        assert_snapshot!(check(&["http://"]), @"target `http://` is not an http URL, write for example `http://127.0.0.1:8080/hello` ()");
    }

    #[test]
    fn what_would_change_nothing_is_refused() {
        assert_snapshot!(check(&["http://a/", "--memory", "64MiB"]), @"`http://a/` runs already, `--memory` would change nothing (leave `--memory` out)");
        assert_snapshot!(check(&["http://a/", "--function", "a"]), @"`http://a/` runs already, `--function` would change nothing (leave `--function` out)");
        assert_snapshot!(check(&["a.wasm", "--learn"]), @"`--learn` allows functions more than they will have, so it measures something else (midge run --learn)");
        assert_snapshot!(check(&["a.wasm", "--duration", "1s", "--rounds", "100"]), @"100 rounds in `1s` would be shorter than `40ms` each (--duration 4s)");
    }
}
