//! How a server is asked, and what is taken from it at most.
//!
//! Decides who is spoken to without TLS, where redirects may lead, how long is waited and how many
//! bytes are read. What is asked for is the registry's (`registry.rs`) and the web's (`web.rs`).
//!
//! **Invariant:** no answer is read without a bound on its bytes, and none is waited for without a
//! bound on the time.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Request, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use crate::artifact::{DOCUMENT_BYTES_MAX, shown};

/// The hint about a server that does not behave like one.
pub(crate) const NO_REGISTRY: &str = "look whether there is a registry at that host and port";

/// How much of an error a server may explain.
const MESSAGE_CHARS_MAX: usize = 200;

/// The bounds of everything that is fetched or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The largest component.
    pub component_bytes_max: u64,
    /// How long a connection may take, TLS included.
    pub connect_time_max: Duration,
    /// How long the head of an answer may take, and how long a body may stop.
    pub answer_time_max: Duration,
    /// Beyond `answer_time_max` a body has to come, or be taken, at least so fast.
    pub bytes_per_second_min: u64,
    /// How many redirects are followed.
    pub redirects_max: usize,
}

/// Why a server did not give what it was asked for. The server is named, what was asked for too.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Certificates of this machine that do not read, and the like.
    #[error("set up for requests")]
    Setup {
        /// The reason.
        source: reqwest::Error,
    },
    /// No connection, no TLS, or one that ended.
    #[error("ask {server} for {what}")]
    Unreachable {
        /// Who.
        server: String,
        /// For what.
        what: String,
        /// The reason.
        source: reqwest::Error,
    },
    /// A loop, or a way from TLS to none.
    #[error("{server} redirects {what} {why}")]
    Redirected {
        /// Who.
        server: String,
        /// Asked for what.
        what: String,
        /// Where it went wrong.
        why: String,
    },
    /// Nothing came, or too little.
    #[error("{server} is too slow with {what}: {why}")]
    Slow {
        /// Who.
        server: String,
        /// With what.
        what: String,
        /// Which bound that was.
        why: String,
    },
    /// More came, or is said to come, than is taken.
    #[error("{server} sends more than {bytes_max} bytes as {what}")]
    TooLarge {
        /// Who.
        server: String,
        /// As what.
        what: String,
        /// The most that is taken.
        bytes_max: u64,
    },
    /// There is none, or not for us.
    #[error("{server} has no {what}, or shows it to nobody who is not logged in")]
    NotFound {
        /// Who.
        server: String,
        /// Of what.
        what: String,
    },
    /// Credentials are missing or wrong.
    #[error("{server} wants {} for {what}", if *with_credentials { "other credentials" } else { "credentials" })]
    Unauthorized {
        /// Who.
        server: String,
        /// For what.
        what: String,
        /// Whether there were some.
        with_credentials: bool,
    },
    /// Some other answer than the one that was expected.
    #[error("{server} answers {status} to {what}{message}")]
    Status {
        /// Who.
        server: String,
        /// To what.
        what: String,
        /// The status.
        status: StatusCode,
        /// What the server said about it.
        message: String,
    },
    /// An answer that is not what the protocol says.
    #[error("{server} answers to {what} with something that no registry would: {why}")]
    Protocol {
        /// Who.
        server: String,
        /// To what.
        what: String,
        /// What it was.
        why: String,
    },
}

impl ServerError {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unauthorized { server, .. } => format!(
                "docker login {server}, or set MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD"
            ),
            Self::NotFound { server, .. } => {
                format!("look whether its name is right; if it is private: docker login {server}")
            }
            Self::Unreachable { source, .. } if is_not_tls(source) => {
                "a server that speaks plain HTTP is asked by `midge pull --plain-http`, and by a \
                 manifest only on this machine"
                    .to_owned()
            }
            Self::Slow { .. } => "try again later".to_owned(),
            Self::Redirected { .. } => "write the address that it should lead to".to_owned(),
            Self::TooLarge { .. } => {
                "look whether that is the name of a component: none is so large".to_owned()
            }
            Self::Protocol { .. } => NO_REGISTRY.to_owned(),
            Self::Status { status, .. } if is_passing(*status) => "try again later".to_owned(),
            Self::Status { .. } | Self::Setup { .. } | Self::Unreachable { .. } => return None,
        };
        Some(hint)
    }
}

/// Whether the same request may be answered better another time.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// What a server says that was greeted in TLS and does not speak it.
fn is_not_tls(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.to_string().contains("InvalidContentType") {
            return true;
        }
        next = cause.source();
    }
    false
}

/// A server that is asked.
#[derive(Debug)]
pub(crate) struct Server {
    /// As it is called in messages.
    pub(crate) name: String,
    /// Whether it is spoken to without TLS.
    pub(crate) is_plain: bool,
    pub(crate) bounds: Bounds,
    /// Follows redirects, within bounds.
    reading: Client,
    /// Follows none: what is sent goes to who was meant.
    sending: Client,
}

impl Server {
    pub(crate) fn new(
        name: String,
        (is_plain, is_loopback): (bool, bool),
        bounds: Bounds,
    ) -> Result<Self, ServerError> {
        let builder = || {
            let builder = Client::builder()
                .connect_timeout(bounds.connect_time_max)
                .user_agent(concat!("midge/", env!("CARGO_PKG_VERSION")));
            match is_loopback {
                true => builder.no_proxy(),
                false => builder,
            }
        };
        let host = name.clone();
        let policy = Policy::custom(move |attempt| follow(attempt, is_plain, &host, &bounds));
        let setup = |source| ServerError::Setup { source };
        Ok(Self {
            name,
            is_plain,
            bounds,
            reading: builder().redirect(policy).build().map_err(setup)?,
            sending: builder().redirect(Policy::none()).build().map_err(setup)?,
        })
    }

    /// Whether a request may go there: by TLS, or as plainly as the server itself is spoken to.
    pub(crate) fn may_ask(&self, url: &Url) -> bool {
        may_ask(url, self.is_plain, &self.name)
    }

    /// Sends a request whose answer may lie elsewhere.
    pub(crate) async fn read(&self, request: Request, what: &str) -> Result<Response, ServerError> {
        self.ask(&self.reading, request, what).await
    }

    /// Sends a request that goes nowhere else.
    pub(crate) async fn send(&self, request: Request, what: &str) -> Result<Response, ServerError> {
        self.ask(&self.sending, request, what).await
    }

    async fn ask(
        &self,
        client: &Client,
        request: Request,
        what: &str,
    ) -> Result<Response, ServerError> {
        let body = request.body().and_then(|body| body.as_bytes());
        let body_bytes = body.map_or(0, |body| body.len() as u64);
        let time_max = self.time_for(body_bytes);
        match timeout(time_max, client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(error, what)),
            Err(_) => Err(self.slow(what, format!("no answer within {time_max:?}"))),
        }
    }

    /// The body of an answer, which may have so many bytes.
    pub(crate) async fn body(
        &self,
        mut response: Response,
        what: &str,
        bytes_max: u64,
    ) -> Result<Vec<u8>, ServerError> {
        let too_large = || ServerError::TooLarge {
            server: self.name.clone(),
            what: what.to_owned(),
            bytes_max,
        };
        if response.content_length().is_some_and(|it| it > bytes_max) {
            return Err(too_large());
        }
        let begun = Instant::now();
        let mut body = Vec::new();
        loop {
            let bytes = body.len() as u64;
            // What came buys time for what is to come, and a stop is no longer than the first.
            let by = begun + self.time_for(bytes);
            let by = by.min(Instant::now() + self.bounds.answer_time_max);
            let chunk = match timeout_at(by, response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Err(self.failed(error, what)),
                Err(_) => {
                    let took = begun.elapsed().as_secs();
                    return Err(self.slow(what, format!("{bytes} bytes in {took} s")));
                }
            };
            let Some(chunk) = chunk else { return Ok(body) };
            if bytes + chunk.len() as u64 > bytes_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// What an answer means that is not the one that was hoped for.
    pub(crate) async fn refusal(&self, response: Response, what: &str) -> ServerError {
        let (server, what) = (self.name.clone(), what.to_owned());
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND => ServerError::NotFound { server, what },
            status => ServerError::Status {
                message: match self.body(response, &what, DOCUMENT_BYTES_MAX).await {
                    Ok(body) => message(&body),
                    // That it explains itself badly is not what went wrong.
                    Err(_) => String::new(),
                },
                server,
                what,
                status,
            },
        }
    }

    pub(crate) fn protocol(&self, what: &str, why: impl Into<String>) -> ServerError {
        ServerError::Protocol {
            server: self.name.clone(),
            what: what.to_owned(),
            why: why.into(),
        }
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let paced = bytes / self.bounds.bytes_per_second_min.max(1);
        self.bounds.answer_time_max + Duration::from_secs(paced)
    }

    fn slow(&self, what: &str, why: String) -> ServerError {
        ServerError::Slow {
            server: self.name.clone(),
            what: what.to_owned(),
            why,
        }
    }

    fn failed(&self, error: reqwest::Error, what: &str) -> ServerError {
        let (server, what) = (self.name.clone(), what.to_owned());
        if error.is_redirect() {
            let why = error.source().map_or(String::new(), ToString::to_string);
            return ServerError::Redirected { server, what, why };
        }
        ServerError::Unreachable {
            server,
            what,
            // Addresses may carry what somebody signed.
            source: error.without_url(),
        }
    }
}

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error)]
enum RedirectError {
    #[error("more than {0} times")]
    TooMany(usize),
    #[error("to `{0}`, which is not `https://`")]
    Plain(String),
}

fn follow(
    attempt: Attempt<'_>,
    is_plain: bool,
    host: &str,
    bounds: &Bounds,
) -> reqwest::redirect::Action {
    if attempt.previous().len() > bounds.redirects_max {
        return attempt.error(RedirectError::TooMany(bounds.redirects_max));
    }
    if may_ask(attempt.url(), is_plain, host) {
        return attempt.follow();
    }
    let mut to = attempt.url().clone();
    to.set_query(None);
    attempt.error(RedirectError::Plain(shown(to.as_str())))
}

fn may_ask(url: &Url, is_plain: bool, name: &str) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_plain && (is_loopback(url) || authority(url) == name),
        _ => false,
    }
}

/// Host and port as they are written.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = |address: IpAddr| address.is_loopback();
    bare == "localhost" || bare.ends_with(".localhost") || bare.parse().is_ok_and(is_address)
}

/// The first error of those that registries send, or nothing.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<OneError>,
    }
    #[derive(Deserialize)]
    struct OneError {
        code: String,
        #[serde(default)]
        message: String,
    }
    let read: Option<Errors> = serde_json::from_slice(body).ok();
    let Some(first) = read.and_then(|read| read.errors.into_iter().next()) else {
        return String::new();
    };
    let text = format!("{} {}", first.code, first.message);
    let text: String = text.escape_debug().take(MESSAGE_CHARS_MAX).collect();
    format!(": {}", text.trim_end())
}
