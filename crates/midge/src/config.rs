//! From what was typed to what is meant.
//!
//! Checks what flags mean together and fills in what was left out; the single
//! values were parsed by `cli.rs`, the files are read by `functions.rs`. This
//! is the only module that reads the environment.
//!
//! **Invariant:** a `RunConfig` exists only if everything that can be checked
//! without touching a file or a socket has been checked.

mod bench;
mod powers;
mod registry;
mod serve;
mod target;

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use midge_model::{Grants, Isolation, LimitsPatch, SecretGrant};
use serde::{Deserialize, Serialize};

pub(crate) use self::bench::{BenchConfig, BenchFunctions, BenchLoad, BenchRequest, BenchTarget};
pub(crate) use self::powers::{LearnTo, PolicyChoice, PowersChoice, SecretChoice};
pub(crate) use self::registry::{RegistryAsked, registry_credentials};
pub(crate) use self::serve::ServeConfig;
pub(crate) use self::target::{Target, contexts_file, environment_token};
use crate::cli::{CacheArgs, LogArgs, RunArgs};
use crate::cmd::fault::Hint;
use crate::log::{Format, LogConfig};
use crate::{machine, memory_target, say};

/// The longest grace period; an order to stop must end some day.
const GRACE_MAX: Duration = Duration::from_secs(60 * 60);

/// Variables that reach our own child processes. None of them is a secret, and none of them
/// reaches a guest; the rest of the environment stays with the supervisor.
const INHERITED: [&str; 5] = [
    "LD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
    "TMPDIR",
    "TZ",
];

/// What `midge run` is to do.
#[derive(Debug)]
pub(crate) struct RunConfig {
    /// The file or folder with the functions.
    pub(crate) path: PathBuf,
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Who takes the traffic.
    pub(crate) workers: Workers,
    /// Memory that code of functions may hold over all workers.
    pub(crate) memory_target_bytes: u64,
    /// What goes over the manifest, for every function.
    pub(crate) overrides: Overrides,
    /// What the node lends to functions, and on whose word.
    pub(crate) powers: PowersChoice,
    /// Where compiled code is kept.
    pub(crate) cache_dir: PathBuf,
    /// Where values of functions are kept; in memory without it.
    pub(crate) kv_dir: Option<PathBuf>,
    /// The certificate, when HTTPS is asked for.
    pub(crate) tls: Option<TlsPaths>,
    /// Whether answers carry a `Server-Timing` header.
    pub(crate) receipt: bool,
    /// How long requests in flight may go on once asked to stop.
    pub(crate) grace: Duration,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
}

/// Who takes the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// The supervisor's own process, so that a debugger sees one process.
    InProcess,
    /// Children, one thread each.
    Processes(NonZeroU32),
}

impl Workers {
    /// How many that is.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::InProcess => 1,
            Self::Processes(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
        }
    }
}

/// What flags say about every function, over what its manifest says.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    /// Limits that were typed.
    pub(crate) limits: LimitsPatch,
    /// A level that was typed.
    pub(crate) isolation: Option<Isolation>,
    /// Grants that were typed, but for secrets.
    pub(crate) grants: Grants,
    /// Secrets that were typed, for a function that has no manifest to say how it gets them.
    pub(crate) secrets: Vec<SecretGrant>,
}

/// Certificate chain and private key, both PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TlsPaths {
    /// The certificate chain.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Why flags and environment do not make sense together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Not an address, or a name that resolves to none.
    #[error("listen address `{text}` is not HOST:PORT, write for example `127.0.0.1:8080`")]
    Listen {
        text: String,
        source: std::io::Error,
    },
    /// A name without an address.
    #[error("listen address `{text}` has no IP address")]
    ListenNowhere { text: String },
    /// Longer than an order to stop may take.
    #[error("grace period is over the most there is, `1h`")]
    Grace,
    /// Not a filter that `tracing` understands.
    #[error("log filter MIDGE_LOG=`{text}` is not understood, write for example `info,guest=off`")]
    LogFilter { text: String },
    /// Not a moment that files could have.
    #[error("SOURCE_DATE_EPOCH=`{text}` is not a number of seconds since 1970")]
    SourceDate { text: String },
    /// Neither flag nor home.
    #[error("no folder for compiled code: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheDir,
}

impl Hint for ConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { .. } | Self::ListenNowhere { .. } => {
                Some("--listen 127.0.0.1:8080".to_owned())
            }
            Self::NoCacheDir => Some("--cache-dir /var/cache/midge".to_owned()),
            Self::Grace | Self::LogFilter { .. } | Self::SourceDate { .. } => None,
        }
    }
}

impl RunConfig {
    /// The meaning of `midge run` as typed.
    ///
    /// # Errors
    ///
    /// What does not make sense; nothing was touched yet.
    pub(crate) fn new(args: RunArgs) -> Result<Self, ConfigError> {
        let limits = LimitsPatch {
            memory_bytes: args.limits.memory,
            time: args.limits.time,
            cpu: args.limits.cpu,
            concurrency: args.limits.concurrency,
            ..LimitsPatch::default()
        };
        let (grants, powers) = PowersChoice::new(args.grants);
        if args.grace > GRACE_MAX {
            return Err(ConfigError::Grace);
        }
        Ok(Self {
            path: args.path,
            listen: resolve(&args.listen)?,
            workers: workers(args.workers),
            memory_target_bytes: memory_target(args.memory_target),
            overrides: Overrides {
                limits,
                isolation: args.isolation.map(Isolation::of_level),
                grants,
                secrets: Vec::new(),
            },
            powers,
            cache_dir: cache_dir(args.cache)?,
            kv_dir: args.kv_dir,
            tls: args
                .tls_cert
                .zip(args.tls_key)
                .map(|(cert, key)| TlsPaths { cert, key }),
            receipt: args.receipt,
            grace: args.grace,
            log: log(&args.log)?,
        })
    }
}

/// The folder for compiled code: as typed, else in the user's cache folder.
///
/// # Errors
///
/// No flag was typed and the user has no home.
pub(crate) fn cache_dir(args: CacheArgs) -> Result<PathBuf, ConfigError> {
    if let Some(dir) = args.cache_dir {
        return Ok(dir);
    }
    default_cache_dir(variable("XDG_CACHE_HOME"), variable("HOME")).ok_or(ConfigError::NoCacheDir)
}

/// Our own events and the guests' lines. Not the libraries': the engine warns about what guests
/// do, as often as they do it.
const FILTER: &str = "off,midge=info,guest=info";

/// The same for `--quiet`.
const FILTER_QUIET: &str = "off,midge=warn,guest=warn";

/// What is logged and how: `--quiet`, then `MIDGE_LOG`, then what is usual.
///
/// # Errors
///
/// `MIDGE_LOG` is not a filter.
pub(crate) fn log(args: &LogArgs) -> Result<LogConfig, ConfigError> {
    let filter = match variable("MIDGE_LOG").filter(|text| !text.is_empty()) {
        _ if args.quiet => FILTER_QUIET.to_owned(),
        None => FILTER.to_owned(),
        Some(text) => {
            let text = text.to_string_lossy().into_owned();
            match tracing_subscriber::EnvFilter::try_new(&text) {
                Ok(_) => text,
                Err(_) => return Err(ConfigError::LogFilter { text }),
            }
        }
    };
    let format = if args.json {
        Format::Json
    } else {
        Format::Text
    };
    Ok(LogConfig {
        filter,
        format,
        quiet: args.quiet,
        colour: say::has_colour(),
        brief: false,
    })
}

/// The log of a command that has no flags for it.
///
/// # Errors
///
/// `MIDGE_LOG` is not a filter.
pub(crate) fn default_log() -> Result<LogConfig, ConfigError> {
    log(&LogArgs {
        quiet: false,
        json: false,
    })
}

/// When what is made is said to have been made, since 1970, if somebody says so: the variable that
/// reproducible builds agreed on.
///
/// # Errors
///
/// It is not a number of seconds.
pub(crate) fn source_date() -> Result<Option<Duration>, ConfigError> {
    let Some(text) = variable("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.to_string_lossy().into_owned();
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
        Err(_) => Err(ConfigError::SourceDate { text }),
    }
}

/// The value of a secret that the operator said is in our environment.
pub(crate) fn secret_variable(name: &str) -> Option<OsString> {
    variable(name)
}

/// Where temporary files go on this machine.
pub(crate) fn temporary_folder() -> PathBuf {
    std::env::temp_dir()
}

/// The part of the environment that our child processes see.
pub(crate) fn inherited_environment() -> Vec<(&'static str, OsString)> {
    INHERITED
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)))
        .collect()
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// XDG says that a relative `XDG_CACHE_HOME` counts as not set.
fn default_cache_dir(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let xdg = xdg.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join(".cache"));
    Some(xdg.or(home)?.join("midge"))
}

/// One worker as typed means this very process; one core without a word means one child, so that
/// a lost worker is replaced there too.
fn workers(typed: Option<u32>) -> Workers {
    match typed {
        Some(1) => Workers::InProcess,
        Some(count) => Workers::Processes(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)),
        None => Workers::Processes(machine::cores()),
    }
}

/// As typed, else what suits the machine.
fn memory_target(typed: Option<u64>) -> u64 {
    typed.unwrap_or_else(memory_target::of_this_machine)
}

fn resolve(text: &str) -> Result<SocketAddr, ConfigError> {
    let text = text.to_owned();
    match text.to_socket_addrs() {
        Ok(mut found) => found.next().ok_or(ConfigError::ListenNowhere { text }),
        Err(source) => Err(ConfigError::Listen { text, source }),
    }
}

#[cfg(test)]
mod tests;
