//! The control API for programs in Rust: one method for each operation.
//!
//! Decides how a node is reached, how long is waited and what an answer means. Which node, and
//! what is shown to people, is the caller's. The operations are in `client/operations.rs` and
//! `client/observe.rs`, sending and reading in `client/exchange.rs`.
//!
//! **Invariant:** the token goes to the configured address and nowhere else: no redirect is
//! followed, and a node on this machine is never reached through a proxy.

mod error;
mod events;
mod exchange;
mod invoke;
mod kv;
mod observe;
mod operations;
mod upload;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect;

pub use error::{ClientConfigError, ClientError};
pub use invoke::{InvokeAnswer, InvokeRequest, PASSED_ON_PREFIX, TIMING_HEADER};
pub use observe::LogStream;
pub use upload::Upload;

/// How long a connection may take: a node that is there answers in far less.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Which node, and as whom.
#[derive(Clone)]
pub struct ClientConfig {
    /// The control door: `http://127.0.0.1:8081`, without a path.
    pub url: String,
    /// What goes behind `authorization: Bearer`.
    pub token: Option<String>,
    /// How long one operation may take; uploads, invocations and following have no such end.
    pub timeout: Duration,
    /// Certificates in PEM that are trusted beside this machine's own: for a node that signed
    /// its certificate itself.
    pub ca_pem: Option<Vec<u8>>,
}

/// A node's control API.
///
/// Cloning is cheap, and clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    url: String,
    token: Option<String>,
    timeout: Duration,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// What the part before said in `next`.
    pub cursor: Option<String>,
    /// How many items at most; the node's default if absent.
    pub limit: Option<u32>,
}

/// Which part of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only what concerns this namespace.
    pub namespace: Option<midge_model::NamespaceName>,
    /// Which part.
    pub page: PageRequest,
}

/// On what terms something is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// A request with the same key is done once; the second gets the first one's answer.
    pub idempotency_key: Option<String>,
    /// Only if the thing still has this version.
    pub if_match: Option<u64>,
}

impl WriteOptions {
    /// Done once for this key.
    pub fn once(key: impl Into<String>) -> Self {
        Self {
            idempotency_key: Some(key.into()),
            if_match: None,
        }
    }
}

impl Client {
    /// A client of this node. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The address is none, the token cannot stand in a header field, or the certificates cannot
    /// be read; ask for another.
    pub fn new(config: ClientConfig) -> Result<Self, ClientConfigError> {
        let ClientConfig {
            url,
            token,
            timeout,
            ca_pem,
        } = config;
        let parsed = parse(&url)?;
        if let Some(token) = &token {
            // A token is printed nowhere, so its error does not repeat it either.
            let is_visible = |byte: u8| byte.is_ascii_graphic();
            if token.is_empty() || !token.bytes().all(is_visible) {
                return Err(ClientConfigError::Token);
            }
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("midge/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&parsed) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = ca_pem {
            let bundle = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|source| ClientConfigError::Certificates { source })?;
            for certificate in bundle {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder
            .build()
            .map_err(|source| ClientConfigError::Setup { source })?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            token,
            timeout,
        })
    }

    /// The address of the control door, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        f.debug_struct("ClientConfig")
            .field("url", &self.url)
            .field("token", &token)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn parse(text: &str) -> Result<reqwest::Url, ClientConfigError> {
    let not_a_door = |problem| ClientConfigError::Url {
        url: text.chars().take(200).collect(),
        problem,
    };
    let url: reqwest::Url = text.parse().map_err(|_| not_a_door("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not_a_door("is neither `http` nor `https`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(not_a_door(
            "carries a name or a password, a token is what is needed",
        ));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(not_a_door("has more than a host and a port"));
    }
    Ok(url)
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}
