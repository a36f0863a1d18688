//! What `midge serve` is to do.
//!
//! Checks what flags mean together: who may reach the control door, and how. Opening the store and
//! the doors is `cmd/serve.rs`.
//!
//! **Invariant:** a control door that others than this machine's users can reach has TLS and wants
//! tokens, unless somebody typed that it should not.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use midge_model::SecretText;
use midge_model::quantity::{format_bytes, format_duration};
use midge_sandbox::{DnsConfig, RootsConfig};

use super::powers::Lent;
use super::{ConfigError, GRACE_MAX, PolicyChoice, TlsPaths, Workers};
use crate::cli::ServeArgs;
use crate::cmd::fault::Hint;
use crate::log::{Format, LogConfig};

/// The variable with the key that secrets are kept under.
const SECRET_KEY: &str = "MIDGE_SECRET_KEY";

/// Where a service manager listens for how we are.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The longest domain: what stands before it has up to 139 letters, and a host name 253.
const DOMAIN_BYTES_MAX: usize = 110;

/// No component is larger: it is held in memory while it is compiled.
const COMPONENT_BYTES_MAX: u64 = 1 << 30;

/// What `midge serve` is to do.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    /// Where functions answer.
    pub(crate) listen: SocketAddr,
    /// Where people deploy.
    pub(crate) control: SocketAddr,
    /// The folder where everything is kept.
    pub(crate) store: PathBuf,
    /// Where compiled code is kept.
    pub(crate) cache_dir: PathBuf,
    /// Where folders of functions are.
    pub(crate) data_root: PathBuf,
    /// Who takes the traffic.
    pub(crate) workers: Workers,
    /// Memory that code of functions may hold over all workers.
    pub(crate) memory_target_bytes: u64,
    /// Below which domain functions have addresses.
    pub(crate) domain: String,
    /// What is deployed at start.
    pub(crate) with: Vec<PathBuf>,
    /// The certificate, when HTTPS is asked for.
    pub(crate) tls: Option<TlsPaths>,
    /// Whether answers carry a `Server-Timing` header.
    pub(crate) receipt: bool,
    /// How long what is under way may go on once asked to stop.
    pub(crate) grace: Duration,
    /// The largest component.
    pub(crate) component_bytes_max: u64,
    /// Whether the control door wants tokens.
    pub(crate) auth: bool,
    /// The most that functions may be granted.
    pub(crate) policy: PolicyChoice,
    /// What they are lent that from.
    pub(crate) lent: Lent,
    /// The keys that secrets are kept under, where the environment has them.
    pub(crate) secret_key: Option<SecretText>,
    /// Whether a service manager started us, and wants to be told how we are.
    pub(crate) is_service: bool,
    /// What is logged, and how.
    pub(crate) log: LogConfig,
}

/// Why flags and environment make no node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeConfigError {
    /// As for `midge run`.
    #[error(transparent)]
    Shared(#[from] ConfigError),
    /// Another kind of store.
    #[error("store `{text}` is of a kind that this version does not have")]
    StoreKind { text: String },
    /// Nobody could be called that.
    #[error("domain `{text}` is not a lower-case host name of at most {DOMAIN_BYTES_MAX} letters")]
    Domain { text: String },
    /// More than is held in memory.
    #[error("the largest component is over the most there is, `1GiB`")]
    ComponentMax,
    /// Tokens would go over the wire for everybody to read.
    #[error("control door `{address}` is not on loopback and has no TLS")]
    PlainControl { address: SocketAddr },
    /// Everybody could do everything.
    #[error("control door `{address}` is not on loopback and would let everybody do everything")]
    OpenControl { address: SocketAddr },
    /// One address cannot be two doors.
    #[error("functions and the control door cannot both be at `{address}`")]
    OneDoor { address: SocketAddr },
    /// Not even text.
    #[error("{SECRET_KEY} is not text")]
    SecretKey,
}

impl Hint for ServeConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Shared(error) => error.hint(),
            Self::StoreKind { .. } => Some("--store ./.midge".to_owned()),
            Self::Domain { .. } => Some("--domain example.com".to_owned()),
            Self::PlainControl { .. } => Some(
                "--tls-cert cert.pem --tls-key key.pem\n    \
                 or, behind a proxy that speaks TLS: --insecure-plain-control"
                    .to_owned(),
            ),
            Self::OpenControl { .. } => Some("--control 127.0.0.1:8081".to_owned()),
            Self::OneDoor { .. } => Some("--control 127.0.0.1:8081".to_owned()),
            Self::ComponentMax | Self::SecretKey => None,
        }
    }
}

impl ServeConfig {
    /// The meaning of `midge serve` as typed.
    ///
    /// # Errors
    ///
    /// What does not make sense; nothing was touched yet.
    pub(crate) fn new(args: ServeArgs) -> Result<Self, ServeConfigError> {
        let (listen, control) = (
            super::resolve(&args.listen)?,
            super::resolve(&args.control)?,
        );
        let tls = args.tls_cert.zip(args.tls_key);
        let tls = tls.map(|(cert, key)| TlsPaths { cert, key });
        check_control(
            control,
            tls.is_some() || args.insecure_plain_control,
            !args.insecure_no_auth,
        )?;
        if listen == control && listen.port() != 0 {
            return Err(ServeConfigError::OneDoor { address: listen });
        }
        if args.grace > GRACE_MAX {
            return Err(ConfigError::Grace.into());
        }
        if args.component_max > COMPONENT_BYTES_MAX {
            return Err(ServeConfigError::ComponentMax);
        }
        let store = store(&args.store)?;
        let secret_key = super::variable(SECRET_KEY).filter(|key| !key.is_empty());
        let secret_key = secret_key
            .map(|key| {
                key.into_string()
                    .ok()
                    .and_then(|key| SecretText::new(key).ok())
            })
            .map(|key| key.ok_or(ServeConfigError::SecretKey));
        Ok(Self {
            listen,
            control,
            cache_dir: store.join("cache"),
            data_root: args.lend.data_root.unwrap_or_else(|| store.join("data")),
            store,
            workers: super::workers(args.workers),
            memory_target_bytes: super::memory_target(args.memory_target),
            domain: domain(args.domain)?,
            with: args.with,
            tls,
            receipt: args.receipt,
            grace: args.grace,
            component_bytes_max: args.component_max,
            auth: !args.insecure_no_auth,
            policy: PolicyChoice {
                file: args.lend.policy,
                private: args.lend.allow_private,
            },
            lent: Lent::new(args.lend.dns, args.lend.outbound_ca),
            secret_key: secret_key.transpose()?,
            is_service: super::variable(NOTIFY_SOCKET).is_some(),
            log: super::log(&args.log)?,
        })
    }

    /// What would be served how, one `name = value` a line, secrets masked.
    pub(crate) fn effective(&self) -> String {
        let path = |path: &Path| format!("{path:?}");
        let paths = |paths: &[PathBuf]| format!("{paths:?}");
        let scheme = match self.tls {
            Some(_) => "https",
            None => "http",
        };
        let policy = self.policy.file.as_deref();
        let policy = policy.map_or("\"what `midge serve` allows\"".to_owned(), path);
        let dns = match &self.lent.dns {
            DnsConfig::System => "\"the system's\"".to_owned(),
            DnsConfig::Servers(servers) => format!("{servers:?}"),
        };
        let outbound_ca = match &self.lent.roots {
            RootsConfig::System => "\"the system's\"".to_owned(),
            RootsConfig::Pem(file) => path(file),
        };
        let secret_key = match self.secret_key {
            Some(_) => format!("\"{SECRET_KEY}\" # ***"),
            None => path(&self.store.join("secret.key")),
        };
        let quoted = |text: String| format!("{text:?}");
        let log = match self.log.format {
            Format::Json => "json",
            Format::Text => "text",
        };
        let private: Vec<_> = self
            .policy
            .private
            .iter()
            .map(ToString::to_string)
            .collect();
        let rows = [
            ("listen", quoted(format!("{scheme}://{}", self.listen))),
            ("control", quoted(format!("{scheme}://{}", self.control))),
            ("tokens", self.auth.to_string()),
            ("store", path(&self.store)),
            ("cache", path(&self.cache_dir)),
            ("data-root", path(&self.data_root)),
            ("secret-key", secret_key),
            ("workers", self.workers.count().to_string()),
            (
                "memory-target",
                quoted(format_bytes(self.memory_target_bytes)),
            ),
            ("domain", quoted(self.domain.clone())),
            ("policy", policy),
            ("allow-private", format!("{private:?}")),
            ("dns", dns),
            ("outbound-ca", outbound_ca),
            (
                "component-max",
                quoted(format_bytes(self.component_bytes_max)),
            ),
            ("with", paths(&self.with)),
            ("grace", quoted(format_duration(self.grace))),
            ("receipt", self.receipt.to_string()),
            ("log", quoted(log.to_owned())),
            ("log-filter", quoted(self.log.filter.clone())),
        ];
        let mut text = String::new();
        for (name, value) in rows {
            writeln!(text, "{name} = {value}").expect("a String takes all writes");
        }
        text
    }
}

fn check_control(
    address: SocketAddr,
    is_secret: bool,
    wants_tokens: bool,
) -> Result<(), ServeConfigError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !wants_tokens {
        return Err(ServeConfigError::OpenControl { address });
    }
    if !is_secret {
        return Err(ServeConfigError::PlainControl { address });
    }
    Ok(())
}

/// The folder that a store's name stands for.
fn store(text: &str) -> Result<PathBuf, ServeConfigError> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.is_empty() || path.contains("://") {
        return Err(ServeConfigError::StoreKind {
            text: text.to_owned(),
        });
    }
    Ok(path.into())
}

fn domain(text: String) -> Result<String, ServeConfigError> {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label) {
        Ok(text)
    } else {
        Err(ServeConfigError::Domain { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(address: &str, is_secret: bool, wants_tokens: bool) -> String {
        match check_control(address.parse().unwrap(), is_secret, wants_tokens) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_control_door_that_others_reach_has_tls_and_wants_tokens() {
        assert_eq!(control("127.0.0.1:8081", false, false), "ok");
        assert_eq!(control("[::1]:8081", false, false), "ok");
        assert_eq!(control("10.0.0.1:8081", true, true), "ok");
        assert_eq!(
            control("0.0.0.0:8081", false, true),
            "control door `0.0.0.0:8081` is not on loopback and has no TLS"
        );
        assert_eq!(
            control("0.0.0.0:8081", true, false),
            "control door `0.0.0.0:8081` is not on loopback and would let everybody do everything"
        );
    }

    #[test]
    fn a_store_is_a_folder() {
        assert_eq!(
            store("file:/var/lib/midge").unwrap(),
            Path::new("/var/lib/midge")
        );
        assert_eq!(store("./.midge").unwrap(), Path::new("./.midge"));
        store("nats://host:4222").unwrap_err();
        store("file:").unwrap_err();
    }

    #[test]
    fn a_domain_is_a_host_name() {
        for good in ["localhost", "fn.example.com", "a-b.c1"] {
            domain(good.to_owned()).unwrap();
        }
        for bad in ["", "Example.com", "a..b", "-a", "a_b", "a:80", "a/b"] {
            domain(bad.to_owned()).unwrap_err();
        }
        domain("a".repeat(120)).unwrap_err();
    }
}
